"""Presence in the pipeline: options against a plain loop, and mmpose's transforms around it."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.registry import DATASETS, MODELS, TRANSFORMS
from PIL import Image

import projects.presence  # noqa: F401 - registers
from projects.presence.transforms import KeypointPresenceTarget

OPTIONS = [
    dict(target=target, unlabelled=unlabelled, outside=outside)
    for target in ('labelled', 'visible')
    for unlabelled in ('unknown', 'absent')
    for outside in ('absent', 'unknown', 'present')
]
each_option = pytest.mark.parametrize('options', OPTIONS, ids=lambda o: '-'.join(o.values()))
SIZE = (48, 64)
LEFT_RIGHT = [0, 2, 1, 4, 3]


@pytest.fixture(autouse=True)
def mmpose_scope():
    init_default_scope('mmpose')


def plain_state(v, inside, target, unlabelled, outside):
    """(present, known) of one keypoint; present is 0 where it is unknown or irrelevant."""
    if v == 0:
        return 0, 1 if target == 'labelled' or unlabelled == 'absent' else 0
    present = 1 if v == 2 or target == 'labelled' else 0
    if not inside and outside == 'absent':
        return 0, 1
    if not inside and outside == 'unknown':
        return 0, 0
    return present, 1


def make_results(v, places, flip=False):
    """What stands before the transform; ``places`` are of the input, as it is after mirroring."""
    v = np.asarray(v)
    keypoints = np.concatenate([np.ones((len(v), 2)), v[:, None]], axis=1)
    return {
        'img_path': 'some.jpg',
        'raw_ann_info': {'keypoints': keypoints.ravel().tolist()},
        'keypoints': np.ones((1, len(v), 2), dtype=np.float32),
        'transformed_keypoints': np.asarray(places, dtype=np.float32)[None],
        'input_size': SIZE,
        'flip': flip,
        'flip_direction': 'horizontal' if flip else None,
        'flip_indices': LEFT_RIGHT,
    }


# (x, y) and whether it is in the input of 48 x 64
PLACES = [
    ((20, 30), True),
    ((0, 0), True),
    ((47, 63), True),
    ((47.2, 30), False),
    ((20, 63.5), False),
    ((-0.1, 5), False),
    ((5, -7), False),
    ((500, 500), False),
]


@each_option
def test_every_state(options):
    cases = [(v, place, inside) for v in (0, 1, 2) for place, inside in PLACES]
    results = make_results([v for v, _, _ in cases], [place for _, place, _ in cases])
    results = TRANSFORMS.build(dict(type='KeypointPresenceTarget', **options))(results)
    expected = [plain_state(v, inside, **options) for v, _, inside in cases]
    for column, name in enumerate(('keypoint_presence', 'keypoint_presence_weights')):
        assert results[name].shape == (1, len(cases))
        assert results[name].dtype == np.float32
        assert results[name][0].tolist() == [row[column] for row in expected]


@settings(max_examples=40, deadline=None)
@given(
    v=st.lists(st.sampled_from([0, 1, 2]), min_size=5, max_size=5),
    places=st.lists(st.tuples(st.integers(-20, 70), st.integers(-20, 80)), min_size=5, max_size=5),
    options=st.sampled_from(OPTIONS),
)
def test_mirroring_mirrors_the_states(v, places, options):
    transform = KeypointPresenceTarget(**options)
    plain = transform(make_results(v, places))
    mirrored_places = [(SIZE[0] - 1 - places[k][0], places[k][1]) for k in LEFT_RIGHT]
    mirrored = transform(make_results(v, mirrored_places, flip=True))
    for name in ('keypoint_presence', 'keypoint_presence_weights'):
        np.testing.assert_array_equal(mirrored[name], plain[name][:, LEFT_RIGHT])


@each_option
def test_without_a_crop(options):
    results = make_results([0, 1, 2, 0, 2], np.full((5, 2), -9.0))
    del results['transformed_keypoints'], results['input_size']
    results = KeypointPresenceTarget(**options)(results)
    expected = [plain_state(v, True, **options) for v in (0, 1, 2, 0, 2)]
    assert list(results['keypoint_presence'][0]) == [present for present, _ in expected]
    assert list(results['keypoint_presence_weights'][0]) == [known for _, known in expected]


def test_labels_of_others_stay():
    results = make_results([2] * 5, [(1, 1)] * 5)
    shared = dict(PackPoseInputs.label_mapping_table)
    results['label_mapping_table'] = {'keypoint_x_labels': 'keypoint_x_labels'}
    table = KeypointPresenceTarget()(results)['label_mapping_table']
    assert table['keypoint_x_labels'] == 'keypoint_x_labels'
    assert table['keypoint_presence'] == 'keypoint_presence'
    assert PackPoseInputs.label_mapping_table == shared


@pytest.mark.parametrize('several', [False, True])
def test_empty_heatmaps_of_absent_keypoints(several):
    v = [0, 1, 2, 2, 0]
    places = [(1, 1), (1, 1), (1, 1), (90, 1), (1, 1)]
    weights = np.array([[0, 1, 1, 0, 0]], dtype=np.float32)  # as of a codec of heatmaps
    for target, expected in (('labelled', [1, 1, 1, 1, 1]), ('visible', [0, 1, 1, 1, 0])):
        results = make_results(v, places)
        results['keypoint_weights'] = [weights.copy(), weights.copy()] if several else weights
        results = KeypointPresenceTarget(target=target, absent_heatmaps='empty')(results)
        found = results['keypoint_weights']
        for one in found if several else [found]:
            assert one.dtype == np.float32
            assert one.tolist() == [expected]
    results = make_results(v, places)
    results['keypoint_weights'] = weights
    assert KeypointPresenceTarget()(results)['keypoint_weights'] is weights


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('target', 'seen'),
        ('unlabelled', 'present'),
        ('outside', 'gone'),
        ('absent_heatmaps', 'zero'),
    ],
)
def test_bad_options(name, value):
    with pytest.raises(ValueError, match=f"{name} is '{value}', expected one of"):
        KeypointPresenceTarget(**{name: value})


@pytest.mark.parametrize('annotation', [None, {}, {'bbox': [0, 0, 1, 1]}])
def test_without_annotation(annotation):
    results = make_results([2] * 5, [(1, 1)] * 5)
    results['raw_ann_info'] = annotation
    with pytest.raises(ValueError, match='some.jpg: no raw_ann_info with keypoints .* annotated'):
        KeypointPresenceTarget()(results)


@pytest.mark.parametrize('people', [1, 2])
def test_unlabelled_samples_are_refused(people):
    """Detected boxes as mmpose has them, mirrored; and several people."""
    results = make_results([2] * 5, [(1, 1)] * 5, flip=True)
    places = np.arange(20.0).reshape(2, 5, 2) if people == 2 else np.tile((63.0, 0.0), (1, 5, 1))
    results.update(raw_ann_info=None, keypoints=places, keypoints_visible=np.ones((people, 5)))
    with pytest.raises(ValueError, match='some.jpg: .* not detected boxes'):
        KeypointPresenceTarget()(results)


@pytest.mark.parametrize('direction', ['vertical', 'diagonal'])
def test_other_mirrors(direction):
    results = make_results([2] * 5, [(1, 1)] * 5, flip=True)
    results['flip_direction'] = direction
    message = f"some.jpg: flip_direction is '{direction}', expected 'horizontal'"
    with pytest.raises(ValueError, match=message):
        KeypointPresenceTarget()(results)


# ------------------------------------------------------------------ in mmpose's pipeline

CODEC = dict(type='MSRAHeatmap', input_size=SIZE, heatmap_size=(12, 16), sigma=1)
STEPS = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', prob=1.0),
    dict(type='RandomBBoxTransform', shift_prob=1.0, scale_factor=(0.5, 1.0)),
    dict(type='TopdownAffine', input_size=SIZE),
    dict(type='GenerateTarget', encoder=CODEC),
    dict(type='KeypointPresenceTarget'),
    dict(type='PackPoseInputs', pack_transformed=True),
]


def coco_dataset(root, pipeline, **options):
    options = {'ann_file': 'annotations/person_keypoints_train2017.json', **options}
    return DATASETS.build(
        dict(
            type='CocoDataset',
            data_root=str(root),
            data_prefix=dict(img='train2017/'),
            pipeline=pipeline,
            indices=12,
            **options,
        )
    )


@pytest.fixture(scope='module')
def annotated_v(coco_root):
    """COCO's v by id of the annotation, as the file has it."""
    path = coco_root / 'annotations' / 'person_keypoints_train2017.json'
    rows = json.loads(path.read_text())['annotations']
    return {row['id']: row['keypoints'][2::3] for row in rows}


def with_step(kind, **options):
    return [dict(step, **options) if step['type'] == kind else step for step in STEPS]


@each_option
def test_packed_labels_are_those_of_the_file(coco_root, annotated_v, options):
    np.random.seed(0)  # noqa: NPY002 - mmpose's transforms draw from it
    dataset = coco_dataset(coco_root, with_step('KeypointPresenceTarget', **options))
    seen = set()
    for packed in dataset:
        sample = packed['data_samples']
        assert sample.metainfo['flip']
        mirror = sample.metainfo['flip_indices']
        v = [annotated_v[sample.metainfo['id']][k] for k in mirror]
        places = sample.gt_instances.transformed_keypoints[0]
        expected = []
        for k in range(17):
            inside = all(0 <= places[k][axis] <= SIZE[axis] - 1 for axis in range(2))
            expected.append(plain_state(v[k], inside, **options))
            seen.add((v[k], inside))
        labels = sample.gt_instance_labels
        assert len(labels) == 1
        assert labels.keypoint_presence.shape == labels.keypoint_presence_weights.shape == (1, 17)
        assert labels.keypoint_presence.dtype == torch.float32
        assert labels.keypoint_presence[0].tolist() == [present for present, _ in expected]
        assert labels.keypoint_presence_weights[0].tolist() == [known for _, known in expected]
    assert seen >= {(v, inside) for v in (1, 2) for inside in (False, True)}


def test_mirrored_labels_follow_the_places(coco_root, annotated_v):
    """A keypoint's label goes where mmpose moves its place to."""
    plain, mirrored = (
        coco_dataset(
            coco_root,
            [
                dict(step, prob=prob) if step['type'] == 'RandomFlip' else step
                for step in STEPS
                if step['type'] != 'RandomBBoxTransform'
            ],
        )
        for prob in (0.0, 1.0)
    )
    different = 0
    for index in range(len(plain)):
        one, other = (dataset[index]['data_samples'] for dataset in (plain, mirrored))
        mirror = one.metainfo['flip_indices']
        states = [sample.gt_instance_labels.keypoint_presence[0] for sample in (one, other)]
        assert torch.equal(states[1], states[0][mirror])
        different += not torch.equal(*states)
        places = [sample.gt_instances.transformed_keypoints[0] for sample in (one, other)]
        shown = states[1].numpy() > 0
        expected = (SIZE[0] - 1 - places[0][mirror][:, 0])[shown]
        np.testing.assert_allclose(places[1][shown, 0], expected, atol=1.5)
    assert different


@pytest.fixture(scope='module')
def mpii_root(tmp_path_factory):
    """Two people in the form of MPII, which keeps no v: of the second, no keypoint is hidden."""
    root = tmp_path_factory.mktemp('mpii')
    rng = np.random.default_rng(0)
    rows = []
    for number, hidden in enumerate(([0, 10], [])):
        Image.new('RGB', (120, 100)).save(root / f'{number}.png')
        visible = [0 if joint in hidden else 1 for joint in range(16)]
        joints = rng.uniform(30, 80, (16, 2)).tolist()
        row = dict(image=f'{number}.png', center=[60, 50], scale=0.5)
        rows.append(dict(row, joints=joints, joints_vis=visible))
    (root / 'people.json').write_text(json.dumps(rows))
    return root


def mpii_dataset(root, pipeline):
    options = dict(type='MpiiDataset', ann_file='people.json', data_prefix=dict(img=''))
    return DATASETS.build(dict(options, data_root=str(root), pipeline=pipeline))


@pytest.mark.parametrize('prob', [0.0, 1.0])
@pytest.mark.parametrize('training', [True, False])
def test_data_sets_without_v(mpii_root, prob, training):
    steps = [
        dict(step, prob=prob) if step['type'] == 'RandomFlip' else step
        for step in STEPS
        if step['type'] != 'RandomBBoxTransform'
        if training or step['type'] != 'GenerateTarget'
    ]
    hidden = {5, 15} if prob else {0, 10}  # ankle and wrist, left or right
    for sample, absent in zip(mpii_dataset(mpii_root, steps), (hidden, set()), strict=True):
        labels = sample['data_samples'].gt_instance_labels
        presence = labels.keypoint_presence[0].tolist()
        assert presence == [0.0 if joint in absent else 1.0 for joint in range(16)]
        assert labels.keypoint_presence_weights.all()


def test_data_sets_without_v_have_no_target_visible(mpii_root):
    dataset = mpii_dataset(mpii_root, with_step('KeypointPresenceTarget', target='visible'))
    with pytest.raises(ValueError, match=r"0.png: .* this data set keeps no v, .* 'labelled'"):
        dataset[0]


@pytest.mark.parametrize('training', [True, False])
def test_converted_data_sets_without_v(mpii_root, training):
    """A keypoint that the data set never labels would be taken for absent."""
    convert = dict(type='KeypointConverter', num_keypoints=3, mapping=[(0, 0), (5, 2)])
    steps = [STEPS[0], convert, STEPS[1], STEPS[4], *STEPS[5 if training else 6 :]]
    with pytest.raises(ValueError, match=r'0.png: keypoints_visible has weights, expected none'):
        mpii_dataset(mpii_root, steps)[0]


def test_before_generate_target(coco_root):
    """There mmpose would drop the labels, and nothing would tell."""
    order = [*STEPS[:5], STEPS[6], STEPS[5], STEPS[7]]
    with pytest.raises(ValueError, match=r'jpg: .* stands before GenerateTarget, which drops its'):
        coco_dataset(coco_root, order)[0]


ENCODERS = {
    'one': (CODEC, {}),
    'several': (
        [
            dict(type='MegviiHeatmap', input_size=SIZE, heatmap_size=(12, 16), kernel_size=size)
            for size in (5, 3)
        ],
        dict(multilevel=True),
    ),
}


@pytest.mark.parametrize('kind', ENCODERS)
@pytest.mark.parametrize(
    'options',
    [dict(), dict(target='visible'), dict(outside='unknown'), dict(outside='present')],
    ids=str,
)
def test_empty_heatmaps_in_the_pipeline(coco_root, annotated_v, kind, options):
    encoder, levels = ENCODERS[kind]
    samples = []
    for choice in ('unknown', 'empty'):
        np.random.seed(0)  # noqa: NPY002 - mmpose's transforms draw from it
        steps = with_step('GenerateTarget', encoder=encoder, **levels)
        target = dict(type='KeypointPresenceTarget', absent_heatmaps=choice, **options)
        dataset = coco_dataset(coco_root, [*steps[:6], target, steps[7]])
        samples.append([packed['data_samples'] for packed in dataset])
    became = {'absent': 0, 'unknown': 0, 'present': 0}
    for left, emptied in zip(*samples, strict=True):
        labels, before = emptied.gt_instance_labels, left.gt_instance_labels
        shape = (2, 1, 17) if kind == 'several' else (1, 17)
        assert labels.keypoint_weights.shape == shape
        assert labels.keypoint_weights.dtype == before.keypoint_weights.dtype == torch.float32
        heatmaps = emptied.gt_fields.heatmaps
        heatmaps, others = (
            torch.stack(list(field)) if kind == 'several' else field[None]
            for field in (heatmaps, left.gt_fields.heatmaps)
        )
        assert torch.equal(heatmaps, others)
        level = labels.keypoint_weights.reshape(-1, 17)
        presence = labels.keypoint_presence.reshape(-1, 17)
        known = labels.keypoint_presence_weights.reshape(-1, 17)
        mirror = emptied.metainfo['flip_indices']
        v = torch.tensor([annotated_v[emptied.metainfo['id']][k] for k in mirror])
        absent = (presence == 0) & (known == 1)
        assert (level[absent] == 1).all()
        kept = before.keypoint_weights.reshape(-1, 17)
        assert (heatmaps[absent & ((v == 0) | (kept == 0))] == 0).all()
        assert torch.equal(level[~absent], kept[~absent])
        nowhere = (known == 0) & (v == 0)
        assert (level[nowhere] == 0).all()
        became['absent'] += int((absent & (kept == 0)).sum())
        became['unknown'] += int(nowhere.sum())
        became['present'] += int((presence == 1).sum())
    assert became['present']
    if options.get('target') == 'visible':
        assert became['unknown']
    else:
        assert became['absent']


def test_labels_of_the_encoder_are_packed_too(coco_root):
    steps = [step for step in STEPS if not step['type'].startswith('Random')]
    without = [step for step in steps if step['type'] != 'KeypointPresenceTarget']
    samples = [coco_dataset(coco_root, one)[0]['data_samples'] for one in (steps, without)]
    ours, theirs = (sample.gt_instance_labels for sample in samples)
    assert set(ours.keys()) - set(theirs.keys()) == {
        'keypoint_presence',
        'keypoint_presence_weights',
    }
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


def test_behind_several_encoders(coco_root):
    """mmpose stacks the weights of all levels; labels of a sample have to be as many."""
    encoders = [
        dict(type='MegviiHeatmap', input_size=SIZE, heatmap_size=(12, 16), kernel_size=size)
        for size in (5, 3)
    ]
    steps = with_step('GenerateTarget', encoder=encoders, multilevel=True)
    samples = [coco_dataset(coco_root, steps)[index]['data_samples'] for index in range(2)]
    single = [coco_dataset(coco_root, STEPS)[index]['data_samples'] for index in range(2)]
    for sample in samples:
        labels = sample.gt_instance_labels
        assert labels.keypoint_weights.shape == labels.keypoint_presence.shape == (2, 1, 17)
        assert torch.equal(labels.keypoint_presence[0], labels.keypoint_presence[1])
    assert single[0].gt_instance_labels.keypoint_presence.shape == (1, 17)
    head = MODELS.build(
        dict(
            type='KeypointPresenceHead',
            hidden_channels=4,
            pose_head=dict(
                type='MSPNHead',
                num_stages=1,
                num_units=2,
                out_shape=(16, 12),
                unit_channels=4,
                out_channels=17,
                level_indices=[0, 1],
                decoder=encoders[-1],
            ),
        )
    )
    feats = [[torch.randn(2, 4, 16, 12) for _ in range(2)]]
    losses = head.loss(feats, samples, {})
    assert torch.isfinite(losses['loss_presence'])
    assert torch.isfinite(losses['loss_kpt'])


def test_training_head_on_packed_samples(coco_root):
    samples = [packed['data_samples'] for packed in coco_dataset(coco_root, STEPS)]
    pose_head = dict(
        type='HeatmapHead', in_channels=4, out_channels=17, deconv_out_channels=None, decoder=CODEC
    )
    heads = [
        MODELS.build(head)
        for head in (
            dict(type='KeypointPresenceHead', pose_head=pose_head, hidden_channels=4),
            dict(
                type='VisPredictHead',
                pose_cfg=pose_head,
                loss=dict(type='BCELoss', use_target_weight=True, use_sigmoid=True),
            ),
        )
    ]
    feats = (torch.randn(len(samples), 4, 16, 12),)
    losses = [head.loss(feats, samples, {}) for head in heads]
    assert torch.isfinite(losses[0]['loss_presence'])
    assert torch.isfinite(losses[1]['loss_vis'])


def test_detected_boxes(coco_root, tmp_path):
    boxes = [dict(image_id=1, category_id=1, bbox=[5, 5, 50, 90], score=0.9)]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    steps = [step for step in STEPS if step['type'] not in ('RandomFlip', 'GenerateTarget')]
    dataset = coco_dataset(coco_root, steps, bbox_file=str(tmp_path / 'boxes.json'), test_mode=True)
    with pytest.raises(ValueError, match='jpg: no raw_ann_info .* not detected boxes'):
        dataset[0]


def test_other_keypoints_than_annotated(coco_root):
    convert = dict(type='KeypointConverter', num_keypoints=3, mapping=[(0, 0), (5, 1), (6, 2)])
    dataset = coco_dataset(coco_root, [STEPS[0], convert, STEPS[1], *STEPS[4:]])
    with pytest.raises(ValueError, match='raw_ann_info has 17 keypoints, expected 3'):
        dataset[0]


def test_repr_names_the_options():
    text = repr(KeypointPresenceTarget(target='visible', unlabelled='absent', outside='unknown'))
    assert text.startswith('KeypointPresenceTarget(')
    for word in ("target='visible'", "unlabelled='absent'", "outside='unknown'"):
        assert word in text
