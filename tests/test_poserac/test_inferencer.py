import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.model import BaseModel
from mmengine.registry import INFERENCERS, MODELS
from PIL import Image

from projects import pose_extraction
from projects.keypoints import keypoint_layout
from projects.pose_extraction import PoseExtractor
from projects.poserac.counting import count_repetitions, predict_class
from projects.poserac.inferencer import PoseRACInferencer, class_score
from projects.poserac.model import PoseRAC  # noqa: F401 - registers it
from projects.tracking import Pose
from tools.demo import run

CLASSES = ['push_up', 'squat']
THRESHOLDS = dict(enter_threshold=0.78, exit_threshold=0.4, momentum=0.4)


@MODELS.register_module()
class CounterForTests(BaseModel):
    """Scores push-ups by the height of joint 6 and squats by that of joint 5."""

    def __init__(self, num_classes=2):
        super().__init__()
        self.num_classes = num_classes
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, poses, meta=None, mode='tensor'):
        results = []
        for sequence in poses:
            scores = (self.weight * sequence[:, [6, 5], 1]).numpy()
            results.append(
                dict(
                    scores=scores,
                    counts=count_repetitions(scores, **THRESHOLDS),
                    predicted_label=predict_class(scores),
                    thresholds=THRESHOLDS,
                )
            )
        return results


def person(squats, push_ups=0, num_frames=120):
    """(T, 17, 2) pixels: joints 5 and 6 go up and down between joints that stand still."""
    poses = np.zeros((num_frames, 17, 2), dtype=np.float32)
    poses[..., 0] = np.linspace(20, 100, 17)
    poses[..., 1] = np.linspace(10, 110, 17)
    time = np.arange(num_frames) / num_frames
    for joint, count in ((5, squats), (6, push_ups)):
        poses[:, joint, 1] = 10 + 100 * (0.5 - 0.5 * np.cos(2 * np.pi * count * time))
    poses[3:7] = np.nan
    return poses


def config(**dataset):
    common = dict(type='RepCountDataset', classes=CLASSES, layout='coco', dims=2)
    return Config(
        dict(
            model=dict(type='CounterForTests'),
            test_dataloader=dict(dataset={**common, **dataset}),
            inferencer=dict(type='PoseRACInferencer'),
        )
    )


@pytest.fixture(scope='module')
def inferencer():
    return build(config())


def build(cfg, **options):
    settings = dict(type='PoseRACInferencer', model=cfg, device='cpu', show_progress=False)
    return INFERENCERS.build(dict(settings, **options))


@pytest.fixture
def log(caplog):
    """What mmengine's logger says, which does not hand it on."""
    print_log('', logger='current')
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def save(path, *people):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, people[0] if len(people) == 1 else np.stack(people, axis=1))
    return str(path)


def test_one_person(inferencer, tmp_path):
    path = save(tmp_path / 'a.npy', person(5))
    result = inferencer(path, out_dir=str(tmp_path / 'out'), frame_rate=20.0, max_frames=40)
    (prediction,) = json.loads(json.dumps(result['predictions']))
    assert prediction['input'] == path
    assert prediction['frame_rate'] == 20.0
    (found,) = prediction['people']
    frames = found.pop('counted_frames')
    assert 0.2 < found.pop('class_score') < 0.4
    assert found == {
        'person': 0,
        'class': 'squat',
        'class_known': False,
        'count': 5,
        'frames': 120,
        'missing_frames': 4,
    }
    assert [round(frame / 24) for frame in frames] == [1, 2, 3, 4, 5]
    assert result['visualization'] == [str(tmp_path / 'out' / 'a.gif')]
    with Image.open(tmp_path / 'out' / 'a.gif') as gif:
        assert gif.n_frames == 40


@pytest.mark.parametrize('batch_size', [1, 3])
def test_every_person_is_counted(inferencer, tmp_path, batch_size):
    paths = [
        save(tmp_path / 'a.npy', person(5), person(0, push_ups=3)),
        save(tmp_path / 'sub' / 'a.npy', person(2), np.full_like(person(2), np.nan)),
    ]
    options = dict(out_dir=str(tmp_path / 'out'), draw='overview', batch_size=batch_size)
    result = inferencer(paths, **options)
    found = [
        [(one['person'], one['class'], one['count']) for one in prediction['people']]
        for prediction in result['predictions']
    ]
    assert found == [[(0, 'squat', 5), (1, 'push_up', 3)], [(0, 'squat', 2), (1, None, 0)]]
    nobody = result['predictions'][1]['people'][1]
    assert nobody['class_score'] is None
    assert nobody['missing_frames'] == nobody['frames'] == 120
    drawn = [f'{name}_person{number}.png' for name in ('a', 'a_2') for number in (0, 1)]
    assert result['visualization'] == [str(tmp_path / 'out' / name) for name in drawn]
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == sorted(drawn)


def test_drawings_do_not_overwrite_one_another(inferencer, tmp_path):
    alone, two = person(1), (person(2), person(3))
    for order in (1, -1):
        paths = [
            save(tmp_path / 'a.npy', *two),
            save(tmp_path / 'a_person0.npy', alone),
            save(tmp_path / 'sub' / 'a_person0.npy', *two),
            save(tmp_path / 'a person0.npy', alone),
        ][::order]
        out = tmp_path / f'out{order}'
        drawn = inferencer(paths, out_dir=str(out), draw='overview')['visualization']
        assert sorted(drawn) == sorted(str(path) for path in out.iterdir())
        assert len(set(drawn)) == 6
        names = [path.removeprefix(f'{out}/') for path in drawn]
        if order == 1:
            assert names[:3] == ['a_person0.png', 'a_person1.png', 'a_person0_2.png']


def test_arrays_in_memory(inferencer, tmp_path):
    poses = person(5)
    poses[3:7] = 0  # how the original writes that nobody is seen
    people = np.stack([person(2), person(0, push_ups=3)], axis=1).astype(np.float64)
    saved = [save(tmp_path / 'a.npy', poses), save(tmp_path / 'b.npy', people)]
    before = poses.copy(), people.copy()
    options = dict(out_dir=str(tmp_path / 'out'), draw='overview')
    result = inferencer([poses, people, saved[0]], **options)
    of_files = inferencer(saved)['predictions']
    for given, prediction, of_file in zip(before, result['predictions'], of_files, strict=False):
        assert prediction['people'] == of_file['people']
        assert prediction['people'][0]['missing_frames'] == 4
        assert given.shape[0] == prediction['people'][0]['frames']
    assert [one['input'] for one in result['predictions']] == ['array_0', 'array_1', saved[0]]
    names = ['array_0.png', 'array_1_person0.png', 'array_1_person1.png', 'a.png']
    assert result['visualization'] == [str(tmp_path / 'out' / name) for name in names]
    np.testing.assert_array_equal(poses, before[0])  # left as they were
    np.testing.assert_array_equal(people, before[1])
    assert inferencer(poses)['predictions'][0]['people'][0]['count'] == 5


def test_arrays_in_memory_are_checked_like_files(inferencer, log):
    for array, message in (
        (np.zeros((10, 5, 2)), r'array_0: has shape \(10, 5, 2\), expected \(T, J, D\)'),
        (np.zeros((0, 17, 2)), 'array_0: holds no frames'),
        (np.full((10, 17, 2), 'a'), 'array_0: holds <U1, expected numbers'),
        (np.zeros(()), r'array_0: has shape \(\)'),
    ):
        with pytest.raises(ValueError, match=message):
            inferencer(array)
    predictions = inferencer([person(2), np.zeros((10, 5, 2))])['predictions']
    assert predictions[0]['people'][0]['count'] == 2
    assert 'array_1: has shape (10, 5, 2)' in predictions[1]['error']
    for given in (3, dict(poses=person(2)), torch.zeros(5, 17, 2), None):
        message = f'input 1: is of type {type(given).__name__}, expected the path .* numpy array'
        with pytest.raises(ValueError, match=message):
            inferencer([person(2), given])


def test_known_class_is_counted(inferencer, tmp_path):
    path = save(tmp_path / 'a.npy', person(5, push_ups=2), np.full_like(person(5), np.nan))
    for label, count in (('squat', 5), ('push_up', 2), ('pushups', 2)):
        one, nobody = inferencer(path, label=label)['predictions'][0]['people']
        assert one['count'] == count
        assert one['class_known']
        assert one['class'] == nobody['class'] == ('squat' if label == 'squat' else 'push_up')
        assert nobody['count'] == 0
    with pytest.raises(ValueError, match=r"label is 'jog', expected one of \['push_up', 'squat'\]"):
        inferencer(path, label='jog')


def test_unreadable_inputs_cost_no_others(inferencer, tmp_path, log):
    good = save(tmp_path / 'good.npy', person(3))
    bad = save(tmp_path / 'bad.npy', np.zeros((10, 5, 2)))
    (tmp_path / 'text.txt').write_text('')
    (tmp_path / 'alone.mp4').write_text('')
    missing = str(tmp_path / 'missing.npy')
    inputs = [bad, missing, good, str(tmp_path / 'text.txt'), str(tmp_path / 'alone.mp4')]
    predictions = inferencer(inputs)['predictions']
    assert [prediction['input'] for prediction in predictions] == inputs
    assert predictions[2]['people'][0]['count'] == 3
    assert 'error' not in predictions[2]
    for index, message in (
        (0, 'bad.npy: has shape (10, 5, 2)'),
        (1, 'missing.npy: no such video or array'),
        (3, "text.txt: ends in '.txt', expected .npy or a video"),
        (4, f'alone.mp4: has no poses {tmp_path / "alone.npy"}; set backend=mmpose'),
    ):
        assert message in predictions[index]['error']
        assert predictions[index]['people'] == []
        assert message in log.text


def test_nothing_readable_is_an_error(inferencer, tmp_path):
    with pytest.raises(FileNotFoundError, match='missing.npy: no such video or array'):
        inferencer(str(tmp_path / 'missing.npy'))


def write_video(path, num_frames=60, size=(160, 120)):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 15, size)
    for number in range(num_frames):
        writer.write(np.full((size[1], size[0], 3), 40 + 3 * number, np.uint8))
    writer.release()
    return str(path)


def test_video_with_poses_beside_it_or_elsewhere(inferencer, tmp_path):
    video = write_video(tmp_path / 'squats.mp4')
    save(tmp_path / 'squats.npy', person(2, num_frames=60))
    result = inferencer(video, out_dir=str(tmp_path / 'out'), draw='both', max_frames=20)
    (prediction,) = result['predictions']
    assert prediction['frame_rate'] == 15
    assert prediction['people'][0]['count'] == 2
    drawn = [tmp_path / 'out' / f'squats.{ending}' for ending in ('mp4', 'png')]
    assert result['visualization'] == [str(path) for path in drawn]
    capture = cv2.VideoCapture(str(drawn[0]))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 20
    capture.release()

    save(tmp_path / 'poses' / 'squats.npy', person(1, num_frames=60))
    options = dict(poses_dir=str(tmp_path / 'poses'), video_format='gif', max_frames=5)
    result = inferencer(video, out_dir=str(tmp_path / 'out'), **options)
    assert result['predictions'][0]['people'][0]['count'] == 1
    assert result['visualization'] == [str(tmp_path / 'out' / 'squats.gif')]


class ExtractorForTests(PoseExtractor):
    """Tells from a frame's brightness which one it is, and sees one person that does squats."""

    closed = 0

    def __init__(self, layout=None):
        super().__init__(keypoint_layout('coco').joint_names, 2, layout)

    def __call__(self, frame, seconds):
        number = round((float(frame.mean()) - 40) / 3)
        keypoints = person(2, num_frames=60)[number]
        if np.isnan(keypoints).any():
            return []
        return [Pose(keypoints, np.ones(17), np.array([20, 10, 100, 110]))]

    def close(self):
        type(self).closed += 1


def test_poses_of_videos_are_found(inferencer, tmp_path, monkeypatch):
    built = []

    def build_extractor(backend, people=1, **options):
        built.append((backend, people))
        return ExtractorForTests(**options)

    monkeypatch.setattr(pose_extraction, 'build_extractor', build_extractor)
    videos = [write_video(tmp_path / f'{name}.mp4') for name in 'ab']
    (tmp_path / 'bad.mp4').write_text('no video')
    inputs = [*videos, str(tmp_path / 'bad.mp4')]
    options = {'backend': 'mmpose', 'extraction': dict(track_by='iou'), 'extraction.people': 2}
    ExtractorForTests.closed = 0
    result = inferencer(inputs, **options, out_dir=str(tmp_path / 'out'), max_frames=3)
    for prediction in result['predictions'][:2]:
        assert [one['count'] for one in prediction['people']] == [2, 0]
        assert [one['missing_frames'] for one in prediction['people']] == [4, 60]
    assert 'bad.mp4: cannot be read' in result['predictions'][2]['error']
    assert built == [('mmpose', 2)]  # once for all videos
    assert ExtractorForTests.closed == 1
    assert len(result['visualization']) == 4

    save(tmp_path / 'a.npy', person(1, num_frames=60))
    inferencer(videos[0], **options)
    assert len(built) == 1  # stored poses need none
    with pytest.raises(ValueError, match=r"extraction: \['mistyped'\]"):
        inferencer(videos[1], backend='mmpose', extraction=dict(mistyped=1))
    three = build(config(dims=3))
    with pytest.raises(ValueError, match='finds 2 coordinates of a joint, but the model takes 3'):
        three(videos[1], backend='mmpose')


def test_poses_of_another_length_are_told(inferencer, tmp_path, log):
    video = write_video(tmp_path / 'squats.mp4')
    save(tmp_path / 'squats.npy', person(2, num_frames=40))
    inferencer(video)
    assert 'squats.mp4: has 60 frames, its poses 40' in log.text


def test_drawing_that_fails_costs_nothing_else(inferencer, tmp_path, log):
    save(tmp_path / 'broken.npy', person(2))
    (tmp_path / 'broken.mp4').write_text('no video')
    good = save(tmp_path / 'good.npy', person(3))
    inputs = [str(tmp_path / 'broken.mp4'), good]
    result = inferencer(inputs, out_dir=str(tmp_path / 'out'), max_frames=4)
    assert [one['people'][0]['count'] for one in result['predictions']] == [2, 3]
    assert result['visualization'] == [str(tmp_path / 'out' / 'good.gif')]
    assert 'broken.mp4: not drawn' in log.text


def test_options_are_checked_before_anything_is_computed(inferencer):
    for options, message in (
        (dict(draw='film'), "draw is 'film', expected one of"),
        (dict(video_format='avi'), "video_format is 'avi'"),
        (dict(frame_rate=-1), 'frame_rate is -1'),
        (dict(max_frames=0), 'max_frames is 0'),
        (dict(no_such_option=1), 'no_such_option'),
    ):
        with pytest.raises(ValueError, match=message):
            inferencer('missing.npy', **options)


def test_names_of_classes(tmp_path):
    assert build(config()).classes == ('push_up', 'squat')
    assert build(config(), classes=['a', 'b']).classes == ('a', 'b')
    assert build(config(classes=None)).classes == ('class_0', 'class_1')
    (tmp_path / 'all_action.csv').write_text(',action,label\n0,sit_up,1\n1,lunge,0\n')
    listed = config(data_root=str(tmp_path), classes='all_action.csv')
    assert build(listed).classes == ('lunge', 'sit_up')
    with pytest.raises(ValueError, match='there are 3 names of classes'):
        build(config(classes=['a', 'b', 'c']))


def test_demo_takes_class_names_from_the_checkpoint(tmp_path):
    weights = dict(weight=torch.ones(1))
    meta = dict(dataset_meta=dict(classes=('bench', 'lunge')))
    torch.save(dict(state_dict=weights, meta=meta), tmp_path / 'epoch_1.pth')
    inputs = [save(tmp_path / 'a.npy', person(4))]
    out = tmp_path / 'out'
    run(config(), str(tmp_path / 'epoch_1.pth'), inputs, str(out), 'cpu', max_frames=3)
    (prediction,) = json.loads((out / 'predictions.json').read_text())
    assert prediction['people'][0]['class'] == 'lunge'
    assert prediction['people'][0]['count'] == 4
    assert (out / 'a.gif').stat().st_size > 1000


def test_datasamples_are_what_the_model_says(inferencer, tmp_path):
    path = save(tmp_path / 'a.npy', person(5), person(2))
    outputs = inferencer(path, return_datasamples=True)['predictions']
    assert [output['counts'].tolist() for output in outputs] == [[0, 5], [0, 2]]


def test_class_score():
    scores = np.array([[0.9, 0.1], [np.nan, np.nan], [0.3, 0.8], [0.7, 0.2], [0.95, 0.9]])
    output = dict(scores=scores, thresholds=THRESHOLDS)
    assert class_score(output, 0) == 0.5  # the first and the last of four frames vote for it
    assert class_score(output, 1) == 0.25
    assert class_score(output, -1) is None
    shares = np.array([[0.6, 0.4], [np.nan, np.nan], [0.2, 0.8], [0.5, 0.5], [0.1, 0.9]])
    assert class_score(dict(output, class_scores=shares), 0) == 0.35
    assert class_score(dict(output, class_scores=3 * shares), 0) == 0.35  # of sigmoids


def test_config_without_a_test_set():
    with pytest.raises(ValueError, match='no test_dataloader.dataset'):
        PoseRACInferencer(model=Config(dict(model=dict(type='CounterForTests'))), device='cpu')


@pytest.mark.parametrize('salient_states', ['shared', 'separate'])
def test_the_method_itself(tmp_path, salient_states):
    """An untrained PoseRAC: what is reported is what the model says."""
    cfg = config()
    options = dict(num_joints=17, dims=2, num_layers=1, num_heads=2, feedforward_channels=8)
    cfg.model = dict(type='PoseRAC', num_classes=2, salient_states=salient_states, **options)
    inferencer = build(cfg)
    path = save(tmp_path / 'a.npy', person(3), person(2, push_ups=1), np.zeros((120, 17, 2)))
    said = inferencer(path, return_datasamples=True, batch_size=2)['predictions']
    result = inferencer(path, batch_size=3, out_dir=str(tmp_path / 'out'), draw='overview')
    found = result['predictions'][0]['people']
    for one, output in zip(found[:2], said, strict=False):
        label = output['predicted_label']
        assert one['class'] == CLASSES[label]
        assert one['count'] == output['counts'][label] == len(one['counted_frames'])
        assert 0 <= one['class_score'] <= 1
    assert (found[2]['class'], found[2]['count'], found[2]['missing_frames']) == (None, 0, 120)
    assert len(result['visualization']) == 3
