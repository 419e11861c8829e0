import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.registry import INFERENCERS
from mmengine.runner import save_checkpoint

import projects.star  # noqa: F401 - registers
from projects import pose_extraction
from projects.keypoints import LAYOUTS
from projects.ntu_rgbd import ACTIONS
from projects.pose_extraction import PoseExtractor
from projects.star import sources
from projects.star.inferencer import STARInferencer, stretches
from projects.star.penn_action import read_clip
from projects.synthetic.ntu import write_ntu
from projects.synthetic.penn_action import CLASS_NAMES, write_penn_action
from projects.tracking import Pose

T, SIDE = 4, 32
PENN, COCO = LAYOUTS['penn'], LAYOUTS['coco']


def config(pictures=True, dataset='PennActionDataset', joints=13, people=1, classes=15, **options):
    """A tiny model, and the test pipeline of its kind."""
    used = ('imgs', 'keypoint') if pictures else ('keypoint',)
    of_video = dict(
        cnn=dict(type='MC3', base_channels=4, norm_cfg=dict(type='GN', num_groups=2)),
        grid_tokens=dict(in_channels=32, grid_size=(2, 2)),
    )
    kinds = dict(
        imgs=dict(
            type='ActionDataPreprocessor', mean=[110.0] * 3, std=[58.0] * 3, format_shape='NCTHW'
        ),
        keypoint=dict(type='ActionDataPreprocessor'),
    )
    decoding = [dict(type='RawFrameDecode')]
    if dataset == 'NTURGBDDataset':
        decoding = [dict(type='DecordInit'), dict(type='DecordDecode')]
    pipeline = [
        dict(type='SampleSegments', clip_len=T, test_mode=True),
        *(decoding if pictures else ()),
        dict(type='PickJoints'),
        dict(type='CropPeople', input_size=(SIDE, SIDE)),
        *([dict(type='FormatShape', input_format='NCTHW')] if pictures else ()),
        dict(type='FormatJoints', num_people=people),
        dict(type='PackActionInputs', collect_keys=used, meta_keys=('name',)),
    ]
    return Config(
        dict(
            default_scope='mmaction',
            model=dict(
                type='MMRecognizer3D',
                data_preprocessor=dict(
                    type='MultiModalDataPreprocessor',
                    preprocessors={kind: kinds[kind] for kind in used},
                ),
                backbone=dict(
                    type='STARTransformer',
                    num_frames=T,
                    embed_dims=16,
                    num_heads=2,
                    feedforward_channels=16,
                    joint_tokens=dict(
                        num_joints=joints * people,
                        in_channels=8 if pictures else 0,
                        heatmap_size=(4, 4),
                        hidden_channels=4,
                    ),
                    encoder=dict(num_layers=1),
                    decoder=dict(num_layers=1),
                    **(of_video if pictures else {}),
                ),
                cls_head=dict(
                    type='STARHead', num_classes=classes, in_channels=16, average_clips='prob'
                ),
            ),
            test_dataloader=dict(dataset=dict(type=dataset, pipeline=pipeline, **options)),
        )
    )


def build(cfg=None, **options):
    torch.manual_seed(0)
    settings = dict(type='STARInferencer', model=cfg or config(), device='cpu')
    built = INFERENCERS.build({**settings, 'show_progress': False, **options})
    with torch.no_grad():  # scores of an untrained head hardly differ
        built.model.cls_head.mlp[-1].weight.mul_(20)
    return built


@pytest.fixture(scope='module')
def penn(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'penn'
    labels = write_penn_action(
        root,
        classes=('squat', 'pullup'),
        videos_per_class=dict(test=1),
        image_size=(64, 48),
        num_frames=(10, 12),
    )
    return root, [path.stem for path in labels]


@pytest.fixture(scope='module')
def ntu(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'ntu'
    options = dict(performances=1, cameras=(1,), num_frames=8, image_size=(96, 54), missing=0.0)
    (path,) = write_ntu(root, classes=(50,), **options)
    return root, path.stem


@pytest.fixture(scope='module')
def inferencer():
    return build()


@pytest.fixture(scope='module')
def of_skeletons():
    return build(config(pictures=False))


def write_movie(path, frames=12, size=(64, 48), rate=10.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), rate, size)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 20 * number % 240, np.uint8))
    writer.release()
    return str(path)


def person(frames, layout=COCO, shift=0.0, seed=0):
    """(frames, J, 2) pixels of somebody who moves a little."""
    rng = np.random.default_rng(seed)
    still = rng.uniform(8, 40, (layout.num_joints, 2)) + shift
    return (still + rng.normal(0, 1, (frames, *still.shape))).astype(np.float32)


@pytest.fixture
def log(caplog):
    """What mmengine's logger says, which does not hand it on."""
    print_log('', logger='current')
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_folders_of_frames_and_label_files_are_the_same_clip(inferencer, penn, tmp_path):
    root, names = penn
    inputs = [str(root / 'frames' / names[0]), str(root / 'labels' / f'{names[0]}.mat')]
    inputs.append(str(root / 'frames' / names[1]))
    result = inferencer(inputs, out_dir=str(tmp_path / 'out'), topk=3, batch_size=2)
    folder, label, other = result['predictions']
    assert json.loads(json.dumps(result['predictions'])) == result['predictions']
    assert [one['file'] for one in result['predictions']] == inputs
    assert dict(folder['topk']) == pytest.approx(dict(label['topk']), abs=1e-5)
    assert folder['label'] == label['label']
    assert folder['topk'] != other['topk']
    assert [folder['truth'], other['truth']] == ['squat', 'pullup']
    assert [folder['label'], folder['score']] == folder['topk'][0]
    scores = [score for _, score in folder['topk']]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert {name for name, _ in folder['topk']} <= set(CLASS_NAMES)
    drawn = [Path(path).name for path in result['visualization']]
    stems = [names[0], f'{names[0]}_2', names[1]]
    assert drawn == [f'{stem}.{ending}' for stem in stems for ending in ('mp4', 'png')]
    assert all(Path(path).stat().st_size for path in result['visualization'])


def test_prediction_is_that_of_testing(inferencer, penn):
    """The same numbers as the data set, its pipeline and its decoders give."""
    from mmaction.registry import DATASETS
    from mmengine.dataset import pseudo_collate

    root, names = penn
    dataset = inferencer.cfg.test_dataloader.dataset
    dataset = DATASETS.build(dict(dataset, data_root=str(root), split='test', test_mode=True))
    samples = inferencer.model.test_step(pseudo_collate([dataset[0], dataset[1]]))
    paths = [str(root / 'frames' / name) for name in sorted(names)]
    found = inferencer(paths, topk=15)['predictions']
    for sample, one in zip(samples, found, strict=True):
        scores = dict(one['topk'])
        expected = dict(zip(CLASS_NAMES, sample.pred_score.tolist(), strict=True))
        assert scores == pytest.approx(expected, abs=1e-5)


def test_windows(inferencer, penn):
    root, names = penn
    path = str(root / 'frames' / names[0])
    total = read_clip(root / 'labels' / f'{names[0]}.mat')[1]['total_frames']
    options = dict(window=0.5, stride=0.2, frame_rate=10, topk=15)
    (found,) = inferencer(path, **options)['predictions']
    starts = [one['start'] for one in found['windows']]
    expected = sorted({*range(0, total - 4, 2), total - 5})
    assert starts == pytest.approx([start / 10 for start in expected])
    assert all(one['end'] - one['start'] == pytest.approx(0.5) for one in found['windows'])
    scores = [dict(one['topk']) for one in found['windows']]
    mean = {name: np.mean([one[name] for one in scores]) for name in CLASS_NAMES}
    assert dict(found['topk']) == pytest.approx(mean, abs=1e-5)
    assert len({tuple(sorted(one.items())) for one in scores}) > 1
    (whole,) = inferencer(path, window=100.0, topk=15)['predictions']
    (plain,) = inferencer(path, topk=15)['predictions']
    assert dict(whole['topk']) == pytest.approx(dict(plain['topk']), abs=1e-5)
    assert len(whole['windows']) == 1
    assert 'windows' not in plain


@pytest.mark.parametrize(
    ('frames', 'window', 'stride', 'expected'),
    [
        (10, None, None, [(0, 10)]),
        (10, 0.5, None, [(0, 5), (5, 10)]),
        (12, 0.5, None, [(0, 5), (5, 10), (7, 12)]),
        (12, 0.5, 1.0, [(0, 5), (7, 12)]),
        (3, 0.5, None, [(0, 3)]),
        (2, 0.01, None, [(0, 1), (1, 2)]),
    ],
)
def test_stretches(frames, window, stride, expected):
    assert stretches(frames, 10.0, window, stride) == expected


def test_label_file_alone_needs_a_model_of_skeletons(inferencer, of_skeletons, penn, tmp_path):
    root, names = penn
    alone = tmp_path / 'labels' / f'{names[0]}.mat'
    alone.parent.mkdir()
    alone.write_bytes((root / 'labels' / alone.name).read_bytes())
    (found,) = of_skeletons(str(alone), out_dir=str(tmp_path / 'out'))['predictions']
    (same,) = of_skeletons(str(root / 'frames' / names[0]))['predictions']
    assert found['topk'] == same['topk']
    assert found['truth'] == 'squat'
    assert (tmp_path / 'out' / f'{names[0]}.mp4').is_file()
    with pytest.raises(FileNotFoundError, match='its pictures were not found'):
        inferencer(str(alone))


def test_ntu_video_and_skeleton_file(ntu, tmp_path):
    root, name = ntu
    tiny = config(dataset='NTURGBDDataset', joints=25, people=2, classes=60)
    inferencer = build(tiny)
    assert inferencer.classes == ACTIONS[:60]
    video = str(root / 'nturgb+d_rgb' / f'{name}_rgb.avi')
    skeleton = str(root / 'nturgb+d_skeletons' / f'{name}.skeleton')
    result = inferencer([video, skeleton], out_dir=str(tmp_path), draw='summary')
    one, other = result['predictions']
    assert one['topk'] == other['topk']
    assert one['truth'] == 'punching/slapping other person'
    assert [Path(path).suffix for path in result['visualization']] == ['.png', '.png']
    chosen = config(
        dataset='NTURGBDDataset', joints=25, people=2, classes=2, actions=[50, 7], pictures=False
    )
    assert build(chosen).classes == ('punching/slapping other person', 'throw')


def test_stored_poses_of_a_video(inferencer, tmp_path):
    video = write_movie(tmp_path / 'own.avi')
    poses = person(12)
    with_scores = np.concatenate([poses, np.full((12, 17, 1), 0.5)], axis=-1)
    two = np.stack([poses, person(12, seed=1)], axis=1)  # (T, P, J, 2)
    arrays = dict(plain=poses, scores=with_scores, two=two, first=two.swapaxes(0, 1))
    found = {}
    for name, array in arrays.items():
        path = tmp_path / f'{name}.npy'
        np.save(path, array)
        (found[name],) = inferencer(video, poses=str(path))['predictions']
        assert 'truth' not in found[name]
        assert 'error' not in found[name]
    assert found['plain']['topk'] == found['two']['topk'] == found['first']['topk']
    assert found['plain']['topk'] != found['scores']['topk']
    folder = tmp_path / 'poses'
    folder.mkdir()
    np.save(folder / 'own.npy', poses)
    (again,) = inferencer(video, poses=str(folder))['predictions']
    assert again['topk'] == found['plain']['topk']


class FakeExtractor(PoseExtractor):
    built, closed = [], 0

    def __init__(self, layout=None, **options):
        super().__init__(COCO.joint_names, 2, layout)
        type(self).built.append(options)
        self.at = 0

    def start(self):
        self.at = 0

    def __call__(self, frame, seconds):
        self.at += 1
        if self.at == 2:
            return []
        scores = np.where(np.arange(17) == 5, 0.1, 0.9)  # the left shoulder is hardly seen
        people = [person(1, shift=shift)[0] for shift in (0, 10)]
        return [Pose(points, scores, np.array([0, 0, 60, 48])) for points in people]

    def close(self):
        type(self).closed += 1


def test_poses_are_found(penn, tmp_path, monkeypatch):
    root, names = penn
    FakeExtractor.built, FakeExtractor.closed = [], 0
    monkeypatch.setattr(
        pose_extraction, 'build_extractor', lambda backend, people, **o: FakeExtractor(**o)
    )
    inferencer = build(config(people=2))
    inputs = [write_movie(tmp_path / 'own.avi'), str(root / 'frames' / names[0])]
    options = {'poses': 'human', 'extraction.det_model': 'whole_image'}
    predictions = inferencer(inputs, **options)['predictions']
    assert [one.get('truth') for one in predictions] == [None, 'squat']
    assert [one.get('error') for one in predictions] == [None, None]
    expected = dict(pose_model='human', device='cpu', det_model='whole_image')
    assert FakeExtractor.built == [expected]
    assert FakeExtractor.closed == 1
    source = inferencer.inputs[0].source
    assert source.points.shape == (2, 12, 13, 2)
    assert source.scores[:, 1].max() == 0  # nobody is seen
    assert source.scores[:, 0, PENN.joint_names.index('left_shoulder')].max() == 0
    ears = [COCO.joint_names.index(f'{side}_ear') for side in ('left', 'right')]
    head = person(1)[0, ears].mean(axis=0)
    assert source.points[0, 0, PENN.joint_names.index('head')] == pytest.approx(head, abs=1e-3)


def test_bad_inputs_do_not_stop_the_others(inferencer, penn, tmp_path, log):
    root, names = penn
    (tmp_path / 'bad.mat').write_text('no MATLAB')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'notes.txt').write_text('nothing')
    (tmp_path / 'broken_rgb.avi').write_text('no video')
    movie = write_movie(tmp_path / 'own.avi')
    wrong = ['bad.mat', 'empty', 'notes.txt', 'gone.avi', 'broken_rgb.avi']
    inputs = [*(str(tmp_path / name) for name in wrong), movie]
    good = str(root / 'frames' / names[0])
    result = inferencer([*inputs, good], out_dir=str(tmp_path / 'out'), max_frames=2)
    *errors, prediction = result['predictions']
    assert 'label' in prediction
    for path, one in zip(inputs, errors, strict=True):
        assert set(one) == {'file', 'error'}
        assert Path(path).name in one['error']
    assert 'no such file or folder' in errors[3]['error']
    assert 'as in poses=human' in errors[5]['error']
    assert log.text.count('left out: ') == 6
    assert len(result['visualization']) == 2
    with pytest.raises(ValueError, match='bad.mat'):
        inferencer(inputs)


def test_broken_picture_and_drawing_that_fails(inferencer, penn, tmp_path, log):
    root, names = penn
    folder = tmp_path / 'frames' / names[0]
    folder.mkdir(parents=True)
    (tmp_path / 'labels').mkdir()
    label = tmp_path / 'labels' / f'{names[0]}.mat'
    label.write_bytes((root / 'labels' / label.name).read_bytes())
    for path in (root / 'frames' / names[0]).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    total = len(list(folder.iterdir()))
    seen = ((np.arange(T) + 0.5) * total / T).astype(int)
    unseen = min(set(range(1, total)) - set(seen.tolist()))
    (folder / f'{unseen + 1:06}.jpg').write_text('no picture')
    result = inferencer(str(folder), out_dir=str(tmp_path / 'out'))  # the model does not see it
    assert [Path(path).suffix for path in result['visualization']] == ['.png']
    assert f'{names[0]}.mp4: not drawn (ValueError' in log.text
    (folder / f'{seen[0] + 1:06}.jpg').write_text('no picture')
    with pytest.raises(ValueError, match='cannot be read as an image'):
        inferencer(str(folder))


def test_a_video_is_read_once_and_little_of_it_is_held(tmp_path, monkeypatch):
    read = []

    def frames_of(path, numbers):
        for number in numbers:
            if number < 9:  # it ends early
                read.append(int(number))
                yield np.full((2, 2, 3), number, np.uint8)

    monkeypatch.setattr(sources, 'video_frames', frames_of)
    groups = [np.array([2, 0, 4]), np.array([3, 4, 6]), np.array([6, 8, 11])]
    found = list(sources.pictures_of_groups(tmp_path / 'a.avi', groups))
    assert [[int(one[0, 0, 0]) for one in group] for group in found] == [
        [2, 0, 4],
        [3, 4, 6],
        [6, 8, 8],
    ]
    assert read == [0, 2, 3, 4, 6, 8]


def test_joints_of_the_layout_stay_as_they_are():
    rng = np.random.default_rng(0)
    for layout in LAYOUTS.values():
        points = rng.uniform(0, 50, (2, 3, layout.num_joints, 2)).astype(np.float32)
        scores = rng.choice([0, 0.5, 1], (2, 3, layout.num_joints)).astype(np.float32)
        points[scores == 0] = 0
        places, sure = sources.to_layout(points, scores, layout.joint_names, layout)
        assert (places == points).all()
        assert (sure == scores).all()


def test_joints_that_are_not_found_stand_between_others():
    poses = person(3)[None]
    scores = np.ones(poses.shape[:3])
    scores[0, 1, COCO.joint_names.index('left_hip')] = 0
    scores[0, 2, [COCO.joint_names.index(f'{side}_hip') for side in ('left', 'right')]] = 0
    ntu = LAYOUTS['ntu']
    places, sure = sources.to_layout(poses, scores, COCO.joint_names, ntu)
    base, hand = ntu.joint_names.index('spine_base'), ntu.joint_names.index('left_hand')
    left, right = (poses[0, :, COCO.joint_names.index(f'{s}_hip')] for s in ('left', 'right'))
    assert places[0, 0, base] == pytest.approx((left[0] + right[0]) / 2)
    assert places[0, 1, base] == pytest.approx(right[1])
    assert sure[0, :, base].tolist() == [1, 1, 0]
    assert not sure[..., hand].any()
    with pytest.raises(ValueError, match="are none of layout 'penn'"):
        sources.to_layout(poses[:, :, :1], scores[:, :, :1], ['tail'], PENN)


@pytest.mark.parametrize(
    ('array', 'message'),
    [
        (np.zeros((5, 12, 2)), r'shape \(5, 12, 2\)'),
        (np.zeros((5, 17)), r'shape \(5, 17\)'),
        (np.array(['a']), 'expected numbers'),
        (np.full((12, 17, 3), 7.0), 'third number of a joint is 7.0'),
    ],
)
def test_what_is_no_array_of_poses(inferencer, tmp_path, array, message):
    np.save(tmp_path / 'poses.npy', array)
    movie = write_movie(tmp_path / 'own.avi')
    with pytest.raises(ValueError, match=f'poses.npy.*{message}'):
        inferencer(movie, poses=str(tmp_path / 'poses.npy'))


def test_poses_of_pickled_objects_are_refused(inferencer, tmp_path):
    np.save(tmp_path / 'poses.npy', np.array([dict(a=1)], dtype=object), allow_pickle=True)
    movie = write_movie(tmp_path / 'own.avi')
    with pytest.raises(ValueError, match='is no .npy array of numbers'):
        inferencer(movie, poses=str(tmp_path / 'poses.npy'))
    with pytest.raises(ValueError, match='one file for 2 inputs'):
        inferencer([movie, movie], poses=str(tmp_path / 'poses.npy'))


def test_pictures_of_another_size_than_their_labels(penn, tmp_path):
    root, names = penn
    folder = tmp_path / 'frames' / names[0]
    folder.mkdir(parents=True)
    (tmp_path / 'labels').mkdir()
    label = tmp_path / 'labels' / f'{names[0]}.mat'
    label.write_bytes((root / 'labels' / label.name).read_bytes())
    for path in (root / 'frames' / names[0]).iterdir():
        cv2.imwrite(str(folder / path.name), cv2.resize(cv2.imread(str(path)), (128, 96)))
    small = sources.read_source(root / 'frames' / names[0], PENN)
    large = sources.read_source(folder, PENN)
    assert large.shape == (96, 128)
    known = small.scores > 0
    assert large.points[known] == pytest.approx((small.points[known] + 0.5) * 2 - 0.5)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(window=0), 'window is 0'),
        (dict(stride=1), 'stride is 1, but window is not set'),
        (dict(topk=0), 'topk is 0'),
        (dict(draw='all'), "draw is 'all'"),
        (dict(video_format='avi'), "video_format is 'avi'"),
        (dict(max_frames=1.5), 'max_frames is 1.5'),
        (dict(frame_rate='fast'), "frame_rate is 'fast'"),
    ],
)
def test_bad_options(inferencer, options, message):
    with pytest.raises(ValueError, match=message):
        inferencer('any', **options)
    with pytest.raises(ValueError, match='input 0: is of type int'):
        inferencer(7)


def test_names_and_layout_of_the_checkpoint_come_first(tmp_path):
    model = build().model
    names = [f'action {label}' for label in range(15)]
    meta = dict(dataset_meta=dict(classes=names, keypoint_layout='penn'))
    save_checkpoint(dict(state_dict=model.state_dict(), meta=meta), str(tmp_path / 'a.pth'))
    assert build(weights=str(tmp_path / 'a.pth')).classes == tuple(names)
    meta['dataset_meta']['classes'] = names[:3]
    save_checkpoint(dict(state_dict=model.state_dict(), meta=meta), str(tmp_path / 'b.pth'))
    with pytest.raises(ValueError, match='there are 3 names of classes.* the model has 15'):
        build(weights=str(tmp_path / 'b.pth'))


def test_other_data_sets_tell_names_and_layout_by_their_options(log):
    of_pickles = config(False, 'PosePickleDataset', 17, classes=3, keypoint_layout='coco')
    found = build(of_pickles)
    assert isinstance(found, STARInferencer)
    assert found.layout is COCO
    assert found.classes == ('class_0', 'class_1', 'class_2')
    assert 'they are numbered class_0' in log.text
    unknown = config(False, 'PoseDataset', 17, classes=3)
    with pytest.raises(ValueError, match='which keypoint_layout'):
        build(unknown)
