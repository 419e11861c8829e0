import time

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from projects.files import safe_name
from projects.keypoints import keypoint_layout
from projects.poserac import visualizer
from projects.poserac.animation import draw_counts
from projects.poserac.counting import count_repetitions
from projects.poserac.drawing import (
    COUNTED,
    SALIENT_1,
    SALIENT_2,
    TRUE,
    plot_counts,
    pose_limits,
)
from projects.poserac.trace import count_trace
from projects.poserac.visualizer import PoseRACVisualizationHook
from projects.synthetic.figure import COCO_LANDMARKS
from projects.synthetic.sampling import sample_motion
from projects.video import video_frames

COCO = keypoint_layout('coco')


def squats(num_frames=150, fps=15.0):
    """Poses (T, 17, 2) in pixels, the squat's score (T,), and the true repetitions."""
    rng = np.random.default_rng(0)
    motion = sample_motion('squat', num_frames, fps, rng, difficulty=0.0).turned(40)
    points = motion.landmarks(list(COCO_LANDMARKS.values()))
    poses = np.stack([160 + 0.1 * points[..., 0], 220 - 0.1 * points[..., 1]], axis=-1)
    height = poses[:, COCO.joint_names.index('left_hip'), 1]
    score = (height - height.min()) / np.ptp(height)
    poses[28:36], score[28:36] = np.nan, np.nan
    return poses.astype(np.float32), score, motion.repetitions


def share(image, code):
    """Share of the pixels near a colour."""
    pixels = np.asarray(image.convert('RGB')).reshape(-1, 3).astype(int)
    wanted = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)])
    return (np.abs(pixels - wanted).max(axis=1) < 25).mean()


def slow_trace(scores, enter, leave, momentum):
    """Smoothed scores, frames at which the triggers fire, and of the counts: frame by frame."""
    smoothed, fired, counted = [], ([], []), []
    value, armed, start, last = 0.5, [False, False], None, None
    for frame, score in enumerate(scores):
        if not np.isnan(score):
            value = score * (1.0 - momentum) + momentum * value
            fires = [False, False]
            for side, level in enumerate((value, 1 - value)):
                if not armed[side]:
                    armed[side] = level > enter
                elif level < leave:
                    armed[side], fires[side] = False, True
                    fired[side].append(frame)
            if start is None and any(fires):
                start = 0 if fires[0] else 1
            if start is not None and last == start and fires[1 - start]:
                counted.append(frame)
            if any(fires):
                last = 0 if fires[0] else 1
        smoothed.append(value)
    return smoothed, *fired, counted


@given(
    scores=st.lists(st.one_of(st.just(np.nan), st.floats(0, 1, width=32)), max_size=60),
    thresholds=st.sampled_from([(0.78, 0.4, 0.4), (0.5, 0.5, 0.0), (0.6, 0.55, 0.1)]),
)
@settings(max_examples=300, deadline=None)
def test_trace_equals_a_loop_over_frames(scores, thresholds):
    trace = count_trace(np.array(scores), *thresholds)
    smoothed, fired_1, fired_2, counted = slow_trace(scores, *thresholds)
    np.testing.assert_array_equal(trace.smoothed, smoothed)
    assert trace.fired_1.tolist() == fired_1
    assert trace.fired_2.tolist() == fired_2
    assert trace.counted.tolist() == counted
    assert trace.missing.tolist() == np.isnan(scores).tolist()


def test_trace_counts_what_is_counted():
    _, score, repetitions = squats()
    trace = count_trace(score)
    assert len(trace.counted) == count_repetitions(score[:, None])[0] == len(repetitions)
    with pytest.raises(ValueError, match=r'shape \(150, 1\), expected \(T,\) of one class'):
        count_trace(score[:, None])


def test_overview_shows_triggers_counts_and_truth(tmp_path):
    poses, score, repetitions = squats()
    path = tmp_path / 'new' / 'squat.png'
    plot_counts(str(path), poses, count_trace(score), COCO, 'a $q^ b$', 15.0, repetitions, 5)
    with Image.open(path) as image:
        assert image.size == (1300, 560)
        for colour in (SALIENT_1, SALIENT_2, COUNTED, TRUE[0]):
            assert share(image, colour) > 5e-4
    assert [file.name for file in path.parent.iterdir()] == ['squat.png']


def test_overview_without_counts_or_truth_or_poses(tmp_path):
    poses, score, _ = squats()
    shown = []
    for number, (some, scores) in enumerate(
        [
            (poses, np.full(150, 0.5)),
            (np.full_like(poses, np.nan), np.full(150, np.nan)),
            (poses[:1], score[:1]),
            (poses[:0], score[:0]),
        ]
    ):
        plot_counts(str(tmp_path / f'{number}.png'), some, count_trace(scores), COCO)
        with Image.open(tmp_path / f'{number}.png') as image:
            assert share(image, TRUE[0]) < 4e-4
            pixels = np.asarray(image.convert('RGB'))
            shown.append((pixels[60:250] < 200).mean())  # where skeletons stand
    assert shown[0] > shown[2] > shown[1]


def test_skeleton_stands_on_its_feet_whichever_way_y_grows(tmp_path):
    poses, score, _ = squats()
    for name, flipped, y_up in (('down', poses, False), ('up', poses * [1, -1], True)):
        plot_counts(str(tmp_path / f'{name}.png'), flipped, count_trace(score), COCO, y_up=y_up)
    one, two = (np.asarray(Image.open(tmp_path / f'{name}.png')) for name in ('down', 'up'))
    assert (np.abs(one.astype(int) - two).max(axis=-1) > 60).mean() < 1e-3


def gif_frames(path):
    with Image.open(path) as gif:
        frames = []
        for number in range(gif.n_frames):
            gif.seek(number)
            frames.append(gif.convert('RGB'))
        return frames


def test_animation_moves_and_is_coloured_by_the_score(tmp_path):
    poses, score, _ = squats()
    trace = count_trace(score)
    path = tmp_path / 'new' / 'squat.gif'
    draw_counts(
        str(path), poses, trace, COCO, class_name='$^$', title='$_$', frame_rate=15.0, max_frames=50
    )
    frames = gif_frames(path)
    assert len(frames) == 50
    assert frames[0].size == (800, 592)
    above = [frame.crop((0, 40, 540, 390)) for frame in frames]  # the skeleton's place
    assert len({frame.tobytes() for frame in above}) > 30
    high, low = np.nanargmax(trace.smoothed) // 3, np.nanargmin(trace.smoothed) // 3
    assert share(above[high], SALIENT_1) > 10 * share(above[high], SALIENT_2)
    assert share(above[low], SALIENT_2) > 10 * share(above[low], SALIENT_1)
    assert (np.asarray(above[10]) > 250).all()  # frame 30 has no pose
    assert [file.name for file in path.parent.iterdir()] == ['squat.gif']


def test_animation_lights_the_number_up_when_it_grows(tmp_path):
    poses, score, _ = (part[:70] for part in squats())
    trace = count_trace(score)
    draw_counts(str(tmp_path / 'a.gif'), poses, trace, COCO, frame_rate=15.0)
    assert len(trace.counted) == 2
    numbers = [frame.crop((560, 40, 800, 300)) for frame in gif_frames(tmp_path / 'a.gif')]
    green = np.array([share(number, COUNTED) for number in numbers])
    for frame in trace.counted:
        assert green[frame - 1] < 1e-3 < green[frame]
    shown = [number.convert('1').tobytes() for number in numbers]
    assert len(set(shown)) >= len(trace.counted) + 1


def write_video(path, size, num_frames):
    """A video whose frames get lighter."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 15, size)
    for number in range(num_frames):
        writer.write(np.full((size[1], size[0], 3), (0, 0, 150 + number), np.uint8))
    writer.release()


@pytest.mark.parametrize(('size', 'shape'), [((320, 240), (4, 3)), ((120, 240), (1, 2))])
def test_skeleton_is_drawn_over_the_video_whose_aspect_is_kept(tmp_path, size, shape):
    poses, score, _ = squats()
    write_video(tmp_path / 'video.mp4', size, 100)  # shorter than the poses
    for ending, zoom in (('gif', 1), ('mp4', 1.5)):
        path = tmp_path / f'drawn.{ending}'
        draw_counts(
            *(str(path), poses, count_trace(score), COCO),
            frame_rate=15.0,
            video=str(tmp_path / 'video.mp4'),
            max_frames=15,
        )
        if ending == 'gif':
            frames = [np.asarray(frame) for frame in gif_frames(path)]
        else:
            frames = list(video_frames(path, np.arange(100)))
        assert len(frames) == 15
        reds = []
        for frame in frames:
            picture = frame[: int(395 * zoom), : int(560 * zoom)].astype(int)
            coloured = picture[..., 2] < 120  # all but paper
            rows, columns = coloured.any(axis=1), coloured.any(axis=0)
            assert columns.sum() / rows.sum() == pytest.approx(shape[0] / shape[1], rel=0.03)
            assert 300 * zoom < rows.sum() < 355 * zoom
            reds.append(np.median(picture[coloured][:, 0]))
        assert reds[0] + 60 < reds[9] == pytest.approx(reds[14], abs=4)  # its end stays


def test_long_sequences_take_seconds(tmp_path):
    rng = np.random.default_rng(0)
    poses = np.tile(squats()[0], (67, 1, 1))[:10_000]
    scores = np.clip(0.5 + 0.5 * np.sin(np.arange(10_000) / 20) + rng.normal(0, 0.05, 10_000), 0, 1)
    scores[rng.random(10_000) < 0.2] = np.nan
    start = time.perf_counter()
    draw_counts(str(tmp_path / 'a.gif'), poses, count_trace(scores), COCO, max_frames=20)
    plot_counts(str(tmp_path / 'a.png'), poses, count_trace(scores), COCO)
    assert time.perf_counter() - start < 30  # about 1 s on an idle machine
    assert len(gif_frames(tmp_path / 'a.gif')) == 20


def test_limits_leave_stray_keypoints_out():
    poses = np.random.default_rng(0).uniform(0, 100, (200, 17, 2))
    poses[3, 4] = 1e6
    low, high = pose_limits(poses)
    assert (low > -30).all()
    assert (high < 130).all()
    low, high = pose_limits(np.ones((2, 17, 2)))
    assert (high > low).all()


def test_what_cannot_be_drawn(tmp_path):
    poses, score, _ = squats()
    trace = count_trace(score)
    with pytest.raises(ValueError, match=r"a.jpg', expected a name that ends in \('.png',\)"):
        plot_counts(str(tmp_path / 'a.jpg'), poses, trace, COCO)
    with pytest.raises(ValueError, match=r"a.png', expected a name that ends in \('.gif', '.mp4'"):
        draw_counts(str(tmp_path / 'a.png'), poses, trace, COCO)
    with pytest.raises(ValueError, match='there are 149 poses and 150 scores'):
        draw_counts(str(tmp_path / 'a.gif'), poses[1:], trace, COCO)
    with pytest.raises(ValueError, match=r"\(150, 17, 2\), expected \(T, 13, 2 or 3\) .* 'penn'"):
        draw_counts(str(tmp_path / 'a.gif'), poses, trace, keypoint_layout('penn'))
    with pytest.raises(ValueError, match='a.gif: there are no frames'):
        draw_counts(str(tmp_path / 'a.gif'), poses[:0], count_trace(score[:0]), COCO)
    with pytest.raises(ValueError, match='frame_rate is 0'):
        draw_counts(str(tmp_path / 'a.gif'), poses, trace, COCO, frame_rate=0)
    with pytest.raises(ValueError, match='max_frames is 0'):
        draw_counts(str(tmp_path / 'a.gif'), poses, trace, COCO, max_frames=0)
    with pytest.raises(FileNotFoundError, match='no.mp4: no such video'):
        draw_counts(str(tmp_path / 'a.gif'), poses, trace, COCO, video=str(tmp_path / 'no.mp4'))
    (tmp_path / 'bad.mp4').write_text('no video')
    with pytest.raises(ValueError, match='bad.mp4: cannot be read as a video'):
        draw_counts(str(tmp_path / 'a.gif'), poses, trace, COCO, video=str(tmp_path / 'bad.mp4'))
    assert [file.name for file in tmp_path.iterdir()] == ['bad.mp4']


class Runner:
    """As much of a runner as the hook looks at."""

    class test_dataloader:
        class dataset:
            metainfo = dict(classes=('push_up', 'squat'), layout='coco')
            layout = COCO
            dims = 2
            pose_dir = None


def run_hook(folder, number=3, **options):
    poses, score, repetitions = squats()
    hook = PoseRACVisualizationHook(enable=True, out_dir=str(folder), **options)
    output = dict(
        scores=np.stack([1 - score, score], axis=1).astype(np.float32),
        predicted_label=1,
        thresholds=dict(enter_threshold=0.78, exit_threshold=0.4, momentum=0.4),
    )
    names = ['a.mp4', '../up.mp4', 'b.mp4']
    batch = dict(
        poses=[torch.from_numpy(poses)] * 3,
        meta=[
            dict(name=name, person=0, action='squat', label=1, count=9, repetitions=repetitions)
            for name in names
        ],
    )
    hook.before_test_epoch(Runner())
    for index in range(number):
        hook.after_test_iter(Runner(), index, batch, [output] * 3)
    return hook


def test_hook_draws_every_nth_sequence(tmp_path):
    run_hook(tmp_path / 'drawn', interval=4)
    names = sorted(path.name for path in (tmp_path / 'drawn').iterdir())
    assert names == ['000000_a.png', f'000004_{safe_name("../up")}.png', '000008_b.png']


def test_hook_draws_poses_as_they_are_stored(tmp_path, monkeypatch):
    run_hook(tmp_path / 'without', number=1)
    stored = np.stack([squats()[0]] * 2, axis=1)
    stored[..., 0] *= 0.1  # a thin person
    (tmp_path / 'poses').mkdir()
    np.save(tmp_path / 'poses' / 'a.npy', stored)
    monkeypatch.setattr(Runner.test_dataloader.dataset, 'pose_dir', tmp_path / 'poses')
    run_hook(tmp_path / 'with', number=1)
    drawn = [tmp_path / folder / '000000_a.png' for folder in ('without', 'with')]
    assert drawn[0].read_bytes() != drawn[1].read_bytes()


def test_hook_survives_what_cannot_be_drawn(tmp_path, monkeypatch):
    monkeypatch.setitem(Runner.test_dataloader.dataset.metainfo, 'layout', 'penn')
    run_hook(tmp_path / 'drawn', number=1)
    assert not (tmp_path / 'drawn').exists()


def test_hook_draws_no_single_poses(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(visualizer, 'print_log', lambda text, **options: said.append(text))
    hook = PoseRACVisualizationHook(enable=True, out_dir=str(tmp_path / 'drawn'), interval=1)
    batch = dict(poses=torch.zeros(4, 17, 2), label=[0] * 4, state=[1] * 4)
    hook.before_test_epoch(Runner())
    for index in range(3):
        outputs = [dict(class_state_scores=np.zeros(4))] * 4
        hook.after_test_iter(Runner(), index, batch, outputs)
    assert not (tmp_path / 'drawn').exists()
    assert said == ['PoseRACVisualizationHook: nothing is drawn, the test is on single poses']


def test_hook_options():
    with pytest.raises(ValueError, match='out_dir is not set'):
        PoseRACVisualizationHook(enable=True)
    with pytest.raises(ValueError, match='interval is 0'):
        PoseRACVisualizationHook(interval=0)
    PoseRACVisualizationHook().after_test_iter(None, 0)  # does nothing unless enabled
