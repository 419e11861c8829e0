import sys
import types
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from projects.keypoints import LAYOUTS
from projects.pose_extraction import (
    MediaPipeExtractor,
    MMPoseExtractor,
    PoseExtractor,
    extract_video,
    iterate_video,
)
from projects.poserac.poses import read_poses
from projects.tracking import Pose, PoseTracker
from tools.datasets import extract_poses as tool

COCO, BLAZEPOSE = LAYOUTS['coco'], LAYOUTS['blazepose']
POSE_CONFIG = """
default_scope = 'mmpose'
data_mode = '{mode}'
dataset_type = 'CocoDataset'
codec = dict(type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(type='PoseDataPreprocessor', mean=[0.0], std=[255.0]),
    backbone=dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7,)),
    head=dict(
        type='HeatmapHead',
        in_channels=1280,
        out_channels=17,
        deconv_out_channels=(8, 8, 8),
        deconv_kernel_sizes=(4, 4, 4),
        loss=dict(type='KeypointMSELoss'),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=False),
)
pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(48, 64)),
    dict(type='PackPoseInputs'),
]
test_dataloader = dict(dataset=dict(type=dataset_type, pipeline=pipeline))
train_dataloader = dict(dataset=dict(type=dataset_type))
visualizer = dict(type='PoseLocalVisualizer')
"""
DETECTOR_CONFIG = """
default_scope = 'mmdet'
norm = dict(type='BN')
model = dict(
    type='RTMDet',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3),
    backbone=dict(type='CSPNeXt', deepen_factor=0.01, widen_factor=0.0625, norm_cfg=norm),
    neck=dict(
        type='CSPNeXtPAFPN',
        in_channels=[16, 32, 64],
        out_channels=8,
        num_csp_blocks=1,
        norm_cfg=norm,
    ),
    bbox_head=dict(
        type='RTMDetSepBNHead',
        num_classes=1,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        norm_cfg=norm,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        bbox_coder=dict(type='DistancePointBBoxCoder'),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='GIoULoss'),
    ),
    test_cfg=dict(
        nms_pre=100,
        min_bbox_size=0,
        score_thr=0.0,
        nms=dict(type='nms', iou_threshold=0.6),
        max_per_img=3,
    ),
)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='Pad', size=(64, 64)),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
test_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=pipeline))
visualizer = dict(type='DetLocalVisualizer')
"""


def write_video(path, frames=10, size=(96, 64)):
    """Frames of one grey each, 20 levels brighter from frame to frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, size)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 20 * number % 240, np.uint8))
    writer.release()
    return path


class FakeExtractor(PoseExtractor):
    """Gives the poses that a list holds for each frame of a video."""

    def __init__(self, frames, joint_names=COCO.joint_names):
        super().__init__(joint_names, 2)
        self.frames, self.at = frames, 0

    def start(self):
        self.at = 0

    def __call__(self, frame, seconds):
        self.at += 1
        return self.frames[self.at - 1]


def pose_at(x, y=100.0, height=80.0, score=0.9, seed=0):
    """Somebody of a shape of their own."""
    shape = np.random.default_rng(seed).uniform(-0.5, 0.5, (17, 2)) * [0.4 * height, height]
    keypoints = (shape + [x, y]).astype(np.float32)
    box = np.concatenate([keypoints.min(0), keypoints.max(0)])
    return Pose(keypoints, np.full(17, score, np.float32), box)


# ---- following people over the frames


@pytest.mark.parametrize('track_by', ['oks', 'iou'])
def test_people_who_cross_stay_themselves(tmp_path, track_by):
    """One walks to the right behind another, taller one, who walks to the left."""
    video = write_video(tmp_path / 'v.avi', frames=40)
    frames = []
    for step in range(40):
        small, tall = pose_at(50 + 5 * step, seed=1), pose_at(250 - 5 * step, height=170, seed=2)
        frames.append([small, tall] if step % 2 else [tall, small])  # in no fixed order
    del frames[12][0]  # the tall one is missed in a frame
    found = extract_video(video, FakeExtractor(frames), people=2, track_by=track_by)
    assert found.shape == (40, 2, 17, 2)
    expected = [[pose_at(50 + 5 * step, seed=1).keypoints for step in range(40)]]
    expected.append([pose_at(250 - 5 * step, height=170, seed=2).keypoints for step in range(40)])
    expected = np.array(expected).transpose(1, 0, 2, 3)  # (T, P, J, 2)
    expected[12, 1] = np.nan
    np.testing.assert_array_equal(found, expected)


def test_longest_seen_first_and_nan_elsewhere(tmp_path):
    video = write_video(tmp_path / 'v.avi', frames=6)
    short, long = pose_at(50, seed=1), pose_at(400, seed=2)
    frames = [[short], [short, long], [long], [], [long], [long]]
    found = extract_video(video, FakeExtractor(frames), people=3)
    seen = np.isfinite(found).all((2, 3))
    assert seen.T.tolist() == [[0, 1, 1, 0, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(found[1, 0], long.keypoints)
    assert extract_video(video, FakeExtractor(frames)).shape == (6, 1, 17, 2)


def test_folder_of_frames_is_read_as_a_video(tmp_path):
    (tmp_path / 'frames').mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / 'frames' / f'{number}.png'), np.full((8, 8, 3), number, 'uint8'))
    frames = [frame[0, 0, 0] for frame, _ in iterate_video(tmp_path / 'frames')]
    assert frames == [0, 1, 2]
    extractor = FakeExtractor([[pose_at(10)], [], [pose_at(20)]])
    found = extract_video(tmp_path / 'frames', extractor)  # (3, 1, J, 2)
    assert np.isnan(found).all(axis=(1, 2, 3)).tolist() == [False, True, False]
    (tmp_path / 'frames' / '1.png').write_text('no picture')
    with pytest.raises(ValueError, match='1.png: cannot be read as an image'):
        extract_video(tmp_path / 'frames', FakeExtractor([[]] * 3))


def test_somebody_is_remembered_for_a_while():
    person = pose_at(50)
    for gap, same in ((0, True), (3, True), (4, False)):
        tracker = PoseTracker(None, patience=3)
        assert tracker([person]) == [0]
        for _ in range(gap):
            assert tracker([]) == []
        assert tracker([person]) == [0 if same else 1]


def test_thresholds(tmp_path):
    video = write_video(tmp_path / 'v.avi', frames=2)
    pose = pose_at(50)
    scores = np.linspace(0, 1, 17, dtype=np.float32)  # 0.5 in the mean
    frames = [[pose._replace(scores=scores)], [pose._replace(scores=scores * 0.3)]]
    found = extract_video(video, FakeExtractor(frames), keypoint_threshold=0.5)[:, 0]
    assert np.isfinite(found[0]).all(-1).tolist() == (scores >= 0.5).tolist()
    assert np.isnan(found[1]).all()
    found = extract_video(video, FakeExtractor(frames), pose_threshold=0.1)[:, 0]
    np.testing.assert_array_equal(found, [pose.keypoints] * 2)


def test_layout_is_picked_by_names():
    extractor = FakeExtractor([])
    assert extractor.layout is COCO
    assert FakeExtractor([], COCO.joint_names[::-1]).layout is None
    names = BLAZEPOSE.joint_names
    keypoints = np.arange(66).reshape(33, 2)

    class Picks(FakeExtractor):
        def __init__(self, layout):
            PoseExtractor.__init__(self, names, 2, layout, np.arange(33) / 100)

    picked = Picks('coco')
    pose = picked._pose(keypoints, np.arange(33), np.zeros(4))
    for joint, name in enumerate(COCO.joint_names):
        assert pose.keypoints[joint].tolist() == keypoints[names.index(name)].tolist()
        assert pose.scores[joint] == names.index(name)
        assert picked.sigmas[joint] == names.index(name) / 100
    with pytest.raises(ValueError, match=r"layout 'penn' has the joints \['head'\]"):
        Picks('penn')


def test_what_is_no_video(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.mp4: no such video'):
        next(iterate_video(tmp_path / 'none.mp4'))
    (tmp_path / 'text.mp4').write_text('text')
    with pytest.raises(ValueError, match='text.mp4: cannot be read as a video'):
        extract_video(tmp_path / 'text.mp4', backend='mmpose')
    video = write_video(tmp_path / 'v.avi')
    for options, message in (
        (dict(), 'neither an extractor'),
        (dict(backend='openpose'), "backend is 'openpose'"),
        (dict(extractor=FakeExtractor([]), people=0), 'people is 0'),
        (dict(extractor=FakeExtractor([]), track_by='eye'), "track_by is 'eye'"),
        (dict(extractor=FakeExtractor([]), device='cpu'), r"\['device'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            extract_video(video, **options)
    times = [seconds for _, seconds in iterate_video(video)]
    assert times == pytest.approx(np.arange(10) / 10)


# ---- MMPose


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Options that name a tiny pose estimator and detector, both with random weights."""
    import torch
    from mmdet.apis import init_detector
    from mmpose.apis import init_model

    folder = tmp_path_factory.mktemp('models')
    torch.manual_seed(0)
    (folder / 'pose.py').write_text(POSE_CONFIG.format(mode='topdown'))
    (folder / 'det.py').write_text(DETECTOR_CONFIG)
    model = init_model(str(folder / 'pose.py'), device='cpu')
    meta = dict(dataset_meta=model.dataset_meta)  # numpy arrays are in it
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'pose.pth')
    detector = init_detector(str(folder / 'det.py'), device='cpu')
    torch.save(dict(state_dict=detector.state_dict(), meta={}), folder / 'det.pth')
    names = dict(pose_config='pose.py', pose_checkpoint='pose.pth')
    names |= dict(det_config='det.py', det_checkpoint='det.pth')
    return {name: str(folder / file) for name, file in names.items()}


def words(options):
    pairs = ((f'--{name.replace("_", "-")}', text) for name, text in options.items())
    return [word for pair in pairs for word in pair]


def test_mmpose_end_to_end(tmp_path, models, capsys):
    write_video(tmp_path / 'in' / 'a.avi')
    write_video(tmp_path / 'in' / 'more' / 'b.c.avi', frames=4)
    (tmp_path / 'in' / 'broken.mp4').write_text('no video')
    (tmp_path / 'in' / 'notes.txt').write_text('')
    out = tmp_path / 'out'
    command = [str(tmp_path / 'in'), '--out-dir', str(out), '--backend', 'mmpose']
    # random scores are about 0, of boxes and of keypoints
    command += [*words(models), '--det-threshold', '0', '--device', 'cpu', '--people', '2']
    command += ['--pose-threshold', '-9']
    with pytest.raises(SystemExit) as stop:
        tool.main(command)
    assert stop.value.code == 1
    printed = capsys.readouterr().out
    assert 'layout: coco, 17 joints, 2 coordinates each' in printed
    assert 'broken.mp4: cannot be read as a video' in printed
    assert '1 of 3 videos could not be read' in printed
    assert sorted(path.relative_to(out) for path in out.rglob('*') if path.is_file()) == [
        Path('a.npy'),
        Path('more/b.c.npy'),
    ]
    poses = read_poses(out / 'a.npy', COCO, dims=2)
    assert poses.shape == (10, 2, 17, 2)
    assert np.isfinite(poses).any((0, 2, 3)).all()
    assert np.load(out / 'more' / 'b.c.npy').shape == (4, 2, 17, 2)

    # what a plain call of MMPose says of the first frame
    from mmpose.apis import inference_topdown, init_model

    model = init_model(models['pose_config'], models['pose_checkpoint'], device='cpu')
    options = dict(det_threshold=0.0, device='cpu')
    options |= dict(zip(('pose_model', 'pose_checkpoint'), list(models.values())[:2], strict=True))
    options |= dict(zip(('det_model', 'det_checkpoint'), list(models.values())[2:], strict=True))
    extractor = MMPoseExtractor(**options)
    frame = next(iterate_video(tmp_path / 'in' / 'a.avi'))[0]
    boxes = extractor._boxes(frame)
    assert 1 <= len(boxes) <= 3
    expected = inference_topdown(model, frame, boxes)
    for pose, sample in zip(extractor(frame), expected, strict=True):
        np.testing.assert_allclose(pose.keypoints, sample.pred_instances.keypoints[0], rtol=1e-5)
    extractor.det_threshold = 1.1
    assert extractor(frame) == []  # nobody there is not somebody as large as the picture

    whole = MMPoseExtractor(**{**options, 'det_model': 'whole_image', 'det_checkpoint': None})
    (pose,) = whole(frame)
    expected = inference_topdown(model, frame)[0].pred_instances
    np.testing.assert_allclose(pose.keypoints, expected.keypoints[0], rtol=1e-5)
    assert pose.box.tolist() == [0, 0, 96, 64]

    mistaken = {**options, 'layout': 'ntu'}
    with pytest.raises(ValueError, match="layout 'ntu' has the joints"):
        MMPoseExtractor(**mistaken)


def test_checkpoint_that_could_run_code_is_refused(tmp_path, models):
    import torch

    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / 'has_run',)

    torch.save(dict(state_dict={}, meta=Harmful()), tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match='bad.pth: refused'):
        MMPoseExtractor(models['pose_config'], str(tmp_path / 'bad.pth'), device='cpu')
    assert not (tmp_path / 'has_run').exists()


# ---- MediaPipe, which is not needed for the tests: a module that has its interface


class Landmark(NamedTuple):
    x: float
    y: float
    z: float
    visibility: float


def landmarks_of(image, person=0):
    """From the picture's brightness, so that frames can be told apart."""
    level = float(image[0, 0, 0]) / 255
    return [
        Landmark(level / 4 + person / 2 + joint / 99, joint / 33, -joint / 66, 0.5 + joint / 66)
        for joint in range(33)
    ]


class FakeEstimator:
    def __init__(self, **settings):
        self.settings, self.times, self.closed = settings, [], False
        ESTIMATORS.append(self)

    def process(self, image):
        assert image.shape == (64, 96, 3)
        assert image.flags.c_contiguous
        self.times.append(len(self.times))
        nobody = image[0, 0, 0] < 10  # the first frame of a video is black
        landmarks = types.SimpleNamespace(landmark=landmarks_of(image))
        return types.SimpleNamespace(pose_landmarks=None if nobody else landmarks)

    @classmethod
    def create_from_options(cls, options):
        return cls(**vars(options))

    def detect_for_video(self, image, time):
        assert isinstance(time, int)
        assert not self.times or time > self.times[-1]
        self.times.append(time)
        people = range(self.settings['num_poses'] if image.data[0, 0, 0] >= 10 else 0)
        return types.SimpleNamespace(pose_landmarks=[landmarks_of(image.data, p) for p in people])

    def close(self):
        self.closed = True


ESTIMATORS = []


@pytest.fixture(params=['solutions', 'tasks'])
def fake_mediapipe(request, monkeypatch):
    ESTIMATORS.clear()
    module = types.ModuleType('mediapipe')
    module.__version__ = '0.0'
    module.Image = types.SimpleNamespace
    module.ImageFormat = types.SimpleNamespace(SRGB='srgb')
    module.tasks = types.SimpleNamespace(
        BaseOptions=types.SimpleNamespace,
        vision=types.SimpleNamespace(
            PoseLandmarker=FakeEstimator,
            PoseLandmarkerOptions=types.SimpleNamespace,
            RunningMode=types.SimpleNamespace(VIDEO='video'),
        ),
    )
    if request.param == 'solutions':
        module.solutions = types.SimpleNamespace(pose=types.SimpleNamespace(Pose=FakeEstimator))
    monkeypatch.setitem(sys.modules, 'mediapipe', module)
    return request.param


def test_mediapipe_end_to_end(tmp_path, fake_mediapipe, capsys):
    videos = [str(write_video(tmp_path / f'{name}.avi', frames=5)) for name in 'ab']
    command = [*videos, '--out-dir', str(tmp_path / 'out'), '--backend', 'mediapipe']
    model = tmp_path / 'pose.task'
    model.write_text('')
    with_model = [*command, '--model-path', str(model), '--people', '2']
    if fake_mediapipe == 'solutions':
        tool.main(command)
    else:
        with pytest.raises(SystemExit):
            tool.main(command)
        assert 'pose_landmarker_full.task' in capsys.readouterr().err
        tool.main(with_model)
        assert ESTIMATORS[0].times == [0, 100, 200, 300, 400]
        assert ESTIMATORS[0].settings['base_options'].model_asset_path == str(model)
    assert len(ESTIMATORS) == 2  # no video follows the people of another one
    assert all(estimator.closed for estimator in ESTIMATORS)
    found = np.load(tmp_path / 'out' / 'b.npy')
    assert found.shape == ((5, 33, 3) if fake_mediapipe == 'solutions' else (5, 2, 33, 3))
    assert np.isnan(found[0]).all()
    joint = np.arange(33)
    for frame in range(1, 5):
        people = found[frame].reshape(-1, 33, 3)
        people = people[np.argsort(people[:, 0, 0])]
        for person, pose in enumerate(people):
            x = (20 * frame / 255 / 4 + person / 2 + joint / 99) * 96
            np.testing.assert_allclose(pose[:, 0], x, atol=0.4)  # the codec's grey
            np.testing.assert_allclose(pose[:, 1], joint / 33 * 64, rtol=1e-5)
            np.testing.assert_allclose(pose[:, 2], -joint / 66 * 96, rtol=1e-5)


def test_mediapipe_of_one_person_needs_no_tracking(tmp_path, fake_mediapipe):
    if fake_mediapipe == 'tasks':
        with pytest.raises(FileNotFoundError, match='none.task: no such model; there is https'):
            MediaPipeExtractor('none.task')
        return
    with pytest.raises(ValueError, match='people is 2'):
        MediaPipeExtractor(people=2)
    extractor = MediaPipeExtractor(layout='coco')
    assert extractor.layout is COCO
    # other poses in two frames are never as alike as this threshold asks
    far = extract_video(write_video(tmp_path / 'v.avi'), extractor, track_threshold=0.99)
    assert np.isfinite(far[1:]).all()
    assert far.shape == (10, 1, 17, 3)


def test_without_mediapipe(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'mediapipe', None)
    video = str(write_video(tmp_path / 'v.avi'))
    with pytest.raises(SystemExit) as stop:
        tool.main([video, '--out-dir', str(tmp_path), '--backend', 'mediapipe'])
    assert stop.value.code == 2
    assert "pip install -e '.[mediapipe]'" in capsys.readouterr().err


# ---- the tool


def use_fake(monkeypatch, frames):
    used = []

    def build(*args, **kwargs):
        used.append((args, kwargs))
        return FakeExtractor(frames)

    monkeypatch.setattr(tool, 'build_extractor', build)
    return used


def test_resumes(tmp_path, monkeypatch, capsys):
    videos = [str(write_video(tmp_path / f'{name}.avi', frames=3)) for name in 'abc']
    out = tmp_path / 'out'
    command = [*videos, '--out-dir', str(out), '--backend', 'mmpose']
    use_fake(monkeypatch, [[pose_at(50)]] * 3)
    calls = []
    whole = extract_video

    def interrupted(video, *args, **kwargs):
        calls.append(Path(video).stem)
        if calls == ['a', 'b']:
            raise KeyboardInterrupt
        return whole(video, *args, **kwargs)

    monkeypatch.setattr(tool, 'extract_video', interrupted)
    with pytest.raises(KeyboardInterrupt):
        tool.main(command)
    assert [path.name for path in out.iterdir()] == ['a.npy']
    stamp = (out / 'a.npy').stat().st_mtime_ns
    tool.main(command)
    assert calls == ['a', 'b', 'b', 'c']
    assert sorted(path.name for path in out.iterdir()) == ['a.npy', 'b.npy', 'c.npy']
    assert (out / 'a.npy').stat().st_mtime_ns == stamp
    assert '1 of 3 arrays are there already' in capsys.readouterr().out
    used = use_fake(monkeypatch, [[pose_at(70)]] * 3)
    tool.main(command)
    assert not used  # no model is loaded for nothing
    tool.main([*command, '--overwrite'])
    np.testing.assert_array_equal(np.load(out / 'a.npy'), [pose_at(70).keypoints] * 3)


def test_what_cannot_be_asked_for(tmp_path, monkeypatch, capsys):
    used = use_fake(monkeypatch, [])
    a = write_video(tmp_path / 'one' / 'a.avi')
    b = write_video(tmp_path / 'two' / 'a.avi')
    (tmp_path / 'empty').mkdir()
    cases = [
        ([a, b], 'would both become'),
        ([tmp_path / 'none.mp4'], 'none.mp4: no such video or folder'),
        ([tmp_path / 'empty'], 'empty: has no videos'),
        ([a, '--people', '0'], '--people is 0'),
        ([a, '--model-path', 'm.task'], 'model_path is an option of mediapipe'),
    ]
    for arguments, message in cases:
        with pytest.raises(SystemExit) as stop:
            tool.main([*map(str, arguments), '--out-dir', str(tmp_path), '--backend', 'mmpose'])
        assert stop.value.code == 2
        assert message in ' '.join(capsys.readouterr().err.split())
    assert not used
    assert tool.plan_outputs([a, a, a.parent], tmp_path) == {a: tmp_path / 'a.npy'}
