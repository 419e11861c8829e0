import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import INFERENCERS
from mmengine.structures import InstanceData
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures import PoseDataSample

import projects.presence.head  # noqa: F401 - registers the head
from projects.presence import inferencer as module
from projects.presence.boxes import PersonDetector, boxes_of, read_annotated_boxes, read_boxes
from projects.presence.inferencer import KeypointPresenceInferencer

CODEC = dict(type='UDPHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=2)
HEATMAPS = dict(
    type='HeatmapHead',
    in_channels=64,
    out_channels=17,
    deconv_out_channels=(16, 16, 16),
    deconv_kernel_sizes=(4, 4, 4),
    loss=dict(type='KeypointMSELoss', use_target_weight=True),
    decoder=CODEC,
)
WITH_PRESENCE = dict(type='KeypointPresenceHead', pose_head=HEATMAPS, hidden_channels=4)
# what needs truth is there too, as in the pipeline of a data set that is scored
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(64, 64), use_udp=True),
    dict(type='KeypointPresenceTarget'),
    dict(type='GenerateTarget', encoder=CODEC),
    dict(type='PackPoseInputs'),
]
META = dict(from_file='configs/_base_/datasets/coco.py')
NAMES = tuple(parse_pose_metainfo(CocoDataset.METAINFO)['keypoint_name2id'])


def config(head=None, **dataset):
    return Config(
        dict(
            default_scope='mmpose',
            model=dict(
                type='TopdownPoseEstimator',
                data_preprocessor=dict(
                    type='PoseDataPreprocessor', mean=[128] * 3, std=[64] * 3, bgr_to_rgb=True
                ),
                backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
                head=head or WITH_PRESENCE,
                test_cfg=dict(flip_test=True, shift_heatmap=False, flip_mode='heatmap'),
            ),
            test_dataloader=dict(
                dataset=dict(type='CocoDataset', pipeline=PIPELINE, metainfo=META, **dataset)
            ),
        )
    )


def build(cfg=None, **options):
    torch.manual_seed(0)
    settings = dict(type='KeypointPresenceInferencer', model=cfg or config(), device='cpu')
    return INFERENCERS.build({**settings, 'show_progress': False, **options})


@pytest.fixture(scope='module')
def inferencer():
    return build()


def picture(seed, size=(80, 60)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'two').mkdir()
    for number, path in enumerate(['one.png', 'two/one.png', 'two/other.png']):
        cv2.imwrite(str(tmp_path / path), picture(number))
    (tmp_path / 'two' / 'notes.txt').write_text('no picture')
    return tmp_path


def test_files_folders_and_arrays(inferencer, folder):
    inputs = [str(folder / 'one.png'), str(folder / 'two'), picture(0)]
    result = inferencer(inputs, out_dir=str(folder / 'drawn'))
    names = [Path(path).name for path in result['visualization']]
    assert names == ['one.png', 'one_2.png', 'other.png', 'array_2.png']
    assert [cv2.imread(path).shape[2] for path in result['visualization']] == [3] * 4
    predictions = result['predictions']
    assert json.loads(json.dumps(predictions)) == predictions
    files = [folder / 'one.png', folder / 'two' / 'one.png', folder / 'two' / 'other.png']
    assert [one['file'] for one in predictions] == [*map(str, files), 'array_2']
    for one in predictions:
        assert (one['threshold'], one['presence_from']) == (0.5, 'keypoints_presence')
        (person,) = one['people']  # the whole picture
        assert person['bbox'] == [0, 0, 60, 80]
        assert person['bbox_score'] == 1
        assert tuple(person['keypoints']) == NAMES
        for point in person['keypoints'].values():
            assert set(point) == {'x', 'y', 'score', 'presence', 'present'}
            assert point['present'] == (point['presence'] >= 0.5)
    assert predictions[3]['people'] == predictions[0]['people']  # the same picture, as an array


def test_people_go_through_the_model_together(inferencer, folder, monkeypatch):
    sizes, step = [], inferencer.model.test_step

    def watch(data):
        sizes.append(len(data['inputs']))
        return step(data)

    monkeypatch.setattr(inferencer.model, 'test_step', watch)
    boxes = {'one.png': [[0, 0, 30, 60], [20, 10, 60, 80], [5, 5, 25, 70]], 'array_1': []}
    boxes['array_2'] = [[1.5, 2, 40, 50, 0.25], [0, 0, 60, 80]]
    inputs = [str(folder / 'one.png'), picture(1), picture(2)]
    together = inferencer(inputs, boxes=boxes)['predictions']
    alone = inferencer(inputs, boxes=boxes, batch_size=1)['predictions']
    assert sizes == [5, 1, 1, 1, 1, 1]
    assert [len(one['people']) for one in together] == [3, 0, 2]
    assert together[1]['presence_from'] is None
    assert [one['bbox_score'] for one in together[2]['people']] == [0.25, 1]
    for one, other in zip(together, alone, strict=True):
        for person, again in zip(one['people'], other['people'], strict=True):
            assert person['bbox'] == again['bbox']
            for name, point in person['keypoints'].items():
                for key in ('x', 'y', 'score', 'presence'):
                    assert point[key] == pytest.approx(again['keypoints'][name][key], abs=2e-3)


def test_boxes_decide_where_keypoints_are(inferencer):
    box = [10, 20, 30, 60]
    ((person,),) = [one['people'] for one in inferencer(picture(0), boxes=[box])['predictions']]
    points = np.array([[p['x'], p['y']] for p in person['keypoints'].values()])
    centre, scale = np.array([20, 40]), 50.0  # 1.25 of the box's longer side
    assert (np.abs(points - centre) <= scale / 2 + 4).all()  # refined by up to a heatmap's pixel


def test_boxes_from_files(inferencer, folder):
    (folder / 'boxes.json').write_text(json.dumps({'two/one.png': [[0, 0, 20, 20]]}))
    given = inferencer(str(folder / 'two' / 'one.png'), boxes=str(folder / 'boxes.json'))
    assert given['predictions'][0]['people'][0]['bbox'] == [0, 0, 20, 20]
    coco = dict(
        images=[dict(id=4, file_name='one.png'), dict(id=5, file_name='other.png')],
        categories=[dict(id=1, name='person'), dict(id=2, name='dog')],
        annotations=[
            dict(image_id=4, category_id=1, bbox=[10, 20, 30, 40]),
            dict(image_id=4, category_id=2, bbox=[1, 1, 9, 9]),
            dict(image_id=4, category_id=1, bbox=[1, 1, 9, 9], iscrowd=1),
        ],
    )
    (folder / 'coco.json').write_text(json.dumps(coco))
    result = inferencer(str(folder / 'two'), ann_file=str(folder / 'coco.json'))
    assert [[p['bbox'] for p in one['people']] for one in result['predictions']] == [
        [[10, 20, 40, 60]],
        [],
    ]
    del coco['annotations'][0]['bbox']
    (folder / 'coco.json').write_text(json.dumps(coco))
    with pytest.raises(ValueError, match=r"coco.json: is no COCO annotation .*KeyError: 'bbox'"):
        read_annotated_boxes(folder / 'coco.json')


def test_single_bad_boxes_of_annotations_are_left_out(inferencer, folder, monkeypatch):
    said = []
    monkeypatch.setattr(module, 'print_log', lambda text, **_: said.append(text))
    boxes = {4: [[10, 20, 30, 40], [5, 5, 0, 9], [99, 5, 9, 9]], 5: [[5, 5, 9, -1]]}
    coco = dict(
        images=[dict(id=4, file_name='one.png'), dict(id=5, file_name='other.png')],
        annotations=[dict(image_id=i, bbox=box) for i, some in boxes.items() for box in some],
    )
    (folder / 'coco.json').write_text(json.dumps(coco))
    path = str(folder / 'coco.json')
    result = inferencer(str(folder / 'two'), ann_file=path)
    one, other = result['predictions']
    assert [person['bbox'] for person in one['people']] == [[10, 20, 40, 60]]
    assert other['people'] == []
    assert not {'error'} & {*one, *other}
    assert said == [f'{path}: 3 boxes without an area in their picture are left out']


def test_people_are_looked_through_once_for_all_pictures(inferencer, folder):
    class Watched(list):
        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    samples = inferencer(str(folder / 'two'), return_datasamples=True)['predictions']
    sources = inferencer.sources
    people = Watched(module.Person(*pair) for pair in zip(sources, samples, strict=True))
    assert len(inferencer.visualize(sources, people, out_dir=str(folder / 'drawn'))) == 2
    assert people.passes == 1
    found = inferencer.postprocess(people, [])['predictions']
    assert [len(one['people']) for one in found] == [1, 1]
    assert people.passes == 2


@pytest.mark.parametrize(
    ('box', 'text'),
    [
        ([70, 0, 90, 20], r'array_0: has a box \[70.0, 0.0, 90.0, 20.0\].* of 60 x 80 pixels'),
        ([10, 10, 10, 20], r'array_0: has a box \[10.0, 10.0, 10.0, 20.0\], expected .* x1 < x2'),
        ([10, 30, 20, 20], 'array_0: has a box .* that lies in the picture'),
        ([1, 2, 3], r'boxes: box \[1.0, 2.0, 3.0\], expected \[x1, y1, x2, y2\]'),
        ([0, 0, float('nan'), 3], r'boxes: box \[0.0, 0.0, nan, 3.0\], expected'),
        ('left', "boxes: .*'left'.*, expected a list of boxes"),
    ],
)
def test_bad_boxes(inferencer, box, text):
    with pytest.raises(ValueError, match=text):
        inferencer(picture(0), boxes=[box])


def test_boxes_of_several_pictures_have_names(inferencer, tmp_path):
    with pytest.raises(ValueError, match='a list of boxes is for a single picture.* there are 2'):
        inferencer([picture(0), picture(1)], boxes=[[0, 0, 9, 9]])
    with pytest.raises(FileNotFoundError, match='none.json: no such file'):
        inferencer(picture(0), boxes='none.json')
    (tmp_path / 'broken.json').write_text('{')
    with pytest.raises(ValueError, match='broken.json: no valid JSON'):
        read_boxes(tmp_path / 'broken.json', 1)
    table = {'a/b.jpg': 'close', 'b.jpg': 'far'}
    assert [boxes_of(table, name) for name in ('x/a/b.jpg', 'c/b.jpg')] == ['close', 'far']
    with pytest.raises(ValueError, match=r"c.jpg: has no boxes, which are of 2 .*'a/b.jpg'"):
        boxes_of(table, 'c.jpg')


def test_a_bad_picture_costs_no_other(inferencer, folder, caplog):
    (folder / 'broken.png').write_bytes(b'no picture')
    names = ['one.png', 'broken.png', 'gone.png', 'two/notes.txt', 'two/other.png']
    inputs = [str(folder / name) for name in names]
    boxes = {'one.png': [[0, 0, 60, 80]], 'other.png': [[90, 90, 99, 99]]}
    boxes |= {'broken.png': [[0, 0, 9, 9]]}
    with caplog.at_level(logging.WARNING):
        result = inferencer(inputs, out_dir=str(folder / 'drawn'), boxes=boxes)
    assert [Path(path).name for path in result['visualization']] == ['one.png']
    one, *others = result['predictions']
    assert 'error' not in one
    assert [other['people'] for other in others] == [[]] * 4
    errors = [other['error'] for other in others]
    said = ['cannot be read as an image', 'no such image', "ends in '.txt'", 'has a box']
    for name, part, error in zip(names[1:], said, errors, strict=True):
        assert str(folder / name) in error
        assert part in error
    with pytest.raises(ValueError, match=r'broken.png: cannot be read as an image'):
        inferencer(inputs[1:3])
    with pytest.raises(FileNotFoundError, match='gone.png: no such image or folder'):
        inferencer(inputs[2:3])


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (dict(threshold=2), 'threshold is 2, expected a number in 0..1'),
        (dict(scores='some'), "scores is 'some', expected one of"),
        (dict(boxes=[[0, 0, 1, 1]], ann_file='a.json'), 'boxes and ann_file are given, expected'),
    ],
)
def test_bad_options(inferencer, options, text):
    with pytest.raises(ValueError, match=text):
        inferencer(picture(0), **options)


@pytest.mark.parametrize(
    ('item', 'text'),
    [
        (picture(0)[..., 0], r'input 0: is an array of shape \(80, 60\), uint8; expected'),
        (7, 'input 0: is of type int, expected the path of an image or a folder'),
    ],
)
def test_bad_inputs(inferencer, item, text):
    with pytest.raises(ValueError, match=text):
        inferencer(item)


def test_checkpoint_brings_threshold_and_names(tmp_path):
    model = build().model
    meta = parse_pose_metainfo(CocoDataset.METAINFO)
    meta['keypoint_id2name'] = {k: f'point_{k}' for k in range(17)}
    saved = dict(state_dict=model.state_dict(), meta=dict(dataset_meta=meta))
    saved['meta']['presence_threshold'] = 0.0
    torch.save(saved, tmp_path / 'model.pth')
    loaded = build(weights=str(tmp_path / 'model.pth'))
    (one,) = loaded(picture(0))['predictions']
    assert one['threshold'] == 0
    assert all(point['present'] for point in one['people'][0]['keypoints'].values())
    assert list(one['people'][0]['keypoints'])[3] == 'point_3'
    (one,) = loaded(picture(0), threshold=1)['predictions']
    assert not any(point['present'] for point in one['people'][0]['keypoints'].values())
    saved['meta']['presence_threshold'] = 'high'
    torch.save(saved, tmp_path / 'model.pth')
    with pytest.raises(ValueError, match="presence_threshold is 'high', expected a number"):
        build(weights=str(tmp_path / 'model.pth'))


@pytest.mark.parametrize(
    ('head', 'source', 'key'),
    [
        (HEATMAPS, 'keypoint_scores', 'score'),
        (
            dict(
                type='VisPredictHead',
                pose_cfg=HEATMAPS,
                loss=dict(type='BCELoss', use_target_weight=True, use_sigmoid=True),
            ),
            'keypoints_visible',
            'visible',
        ),
    ],
)
def test_models_without_presence(head, source, key, tmp_path):
    result = build(config(head))(picture(0), out_dir=str(tmp_path), threshold=0.4)
    (one,) = result['predictions']
    assert one['presence_from'] == source
    assert len(result['visualization']) == 1
    for point in one['people'][0]['keypoints'].values():
        assert set(point) == {'x', 'y', 'score', 'present', key}
        assert point['present'] == (point[key] >= 0.4)


def test_names_have_to_fit_the_model():
    cfg = config({**HEATMAPS, 'out_channels': 13})
    cfg.model.test_cfg.flip_test = False  # which would need 17
    with pytest.raises(ValueError, match='the model predicts 13 keypoints, but 17 are named'):
        build(cfg)(picture(0))


def test_a_data_set_without_names():
    cfg = config()
    cfg.test_dataloader.dataset = dict(type='NoSuchDataset', pipeline=PIPELINE)
    with pytest.raises(ValueError, match='neither the checkpoint nor test_dataloader.dataset'):
        build(cfg)


def test_data_sets_inside_of_wrappers():
    cfg = config()
    cfg.test_dataloader.dataset = dict(type='RepeatDataset', dataset=cfg.test_dataloader.dataset)
    assert build(cfg).look.layout.joint_names == NAMES


class FakeDetector:
    """As much of mmdet's DetInferencer as is used."""

    built = 0

    def __init__(self, model, device=None, show_progress=True):
        type(self).built += 1
        self.model = torch.nn.Module()
        self.model.dataset_meta = dict(classes=model.split('+'))

    def __call__(self, image, return_datasamples=False):
        assert return_datasamples
        found = InstanceData(
            bboxes=torch.tensor([[1.0, 2, 30, 70], [0, 0, 9, 9], [5, 5, 50, 50]]),
            scores=torch.tensor([0.9, 0.8, 0.2]),
            labels=torch.tensor([1, 0, 1]),
        )
        return dict(predictions=[PoseDataSample(pred_instances=found)])


def test_detector(inferencer, monkeypatch):
    monkeypatch.setattr('mmdet.apis.DetInferencer', FakeDetector)
    monkeypatch.setattr(inferencer, 'detectors', {})
    for _ in range(2):
        (one, _) = inferencer([picture(0), picture(1)], detector='dog+person')['predictions']
        assert [person['bbox'] for person in one['people']] == [[1, 2, 30, 70]]
        assert one['people'][0]['bbox_score'] == pytest.approx(0.9)
    assert FakeDetector.built == 1  # once, whatever the calls and pictures
    options = dict(detector='dog+person', detector_threshold=0.1)
    assert len(inferencer(picture(0), **options)['predictions'][0]['people']) == 2
    with pytest.raises(ValueError, match=r"finds \['dog', 'cat'\], expected one that finds 'pers"):
        PersonDetector('dog+cat')


def test_nobody(inferencer, tmp_path):
    result = inferencer(picture(0), boxes=[], out_dir=str(tmp_path))
    assert result['predictions'][0]['people'] == []
    assert len(result['visualization']) == 1


def test_data_samples(inferencer):
    result = inferencer([picture(0), picture(1)], return_datasamples=True)
    assert [len(sample.pred_instances) for sample in result['predictions']] == [1, 1]


def test_a_drawing_that_fails_stops_nothing(inferencer, tmp_path, monkeypatch):
    def fail(path, image):
        raise OSError('the disk is full')

    monkeypatch.setattr(module, 'write_image', fail)
    result = inferencer(picture(0), out_dir=str(tmp_path))
    assert result['visualization'] == []
    assert len(result['predictions'][0]['people']) == 1


def test_registered():
    assert INFERENCERS.get('KeypointPresenceInferencer') is KeypointPresenceInferencer
