import csv

import numpy as np
import pytest
from scipy.io import savemat

from projects.keypoints import LAYOUTS
from projects.poserac.annotations import (
    pose_file,
    read_action_list,
    read_repcount,
    read_salient_poses,
)
from projects.poserac.penn_signals import (
    EXERCISES,
    body_size,
    exercise_signal,
    find_repetitions,
    smooth_signal,
)
from projects.poserac.poses import read_poses
from tools.datasets import penn_to_repcount as tool

PENN = LAYOUTS['penn']
# Which joints move in an exercise, and by how many of the 40 pixels of the trunk at salient pose I;
# down is positive as in a picture.
MOVES = {
    'squat': (('head', 'shoulder', 'elbow', 'wrist', 'hip'), 30),
    'pull_up': (('head', 'shoulder', 'hip', 'knee', 'ankle'), -30),
    'push_up': (('head', 'shoulder', 'hip'), 15),
    'situp': (('head', 'shoulder', 'elbow'), -30),
    'jump_jack': (('elbow', 'wrist'), -60),
}
FRAMES, PERIOD = 120, 40
I_FRAMES, REST_FRAMES = [20, 60, 100], [0, 40, 80, 119]


def standing():
    heights = dict(head=10, shoulder=30, elbow=52, wrist=70, hip=70, knee=104, ankle=138)
    pose = np.zeros((13, 2))
    for joint, name in enumerate(PENN.joint_names):
        side = {'left': 8, 'right': -8}.get(name.split('_')[0], 0)
        pose[joint] = 100 + side, 20 + heights[name.split('_')[-1]]
    return pose


def clip_of(action, frames=FRAMES, scale=1.0):
    """Salient pose I at frames 20, 60 and 100, rest at 0, 40, 80 and at the end."""
    names, reach = MOVES[action]
    away = (1 - np.cos(2 * np.pi * np.arange(frames) / PERIOD)) / 2
    poses = np.repeat(standing()[None], frames, axis=0)
    moving = [j for j, name in enumerate(PENN.joint_names) if name.split('_')[-1] in names]
    poses[:, moving, 1] += reach * away[:, None]
    return poses * scale


def write_clip(folder, name, poses, penn_name, train=1, hidden=(), marked_invisible=(), **changes):
    """As published: a hidden joint stands at the scaled first pixel, and its visibility is 0."""
    poses = poses.copy()
    poses[:, list(hidden)] = 2 / 3
    visibility = np.ones(poses.shape[:2], np.uint8)
    visibility[:, [*hidden, *marked_invisible]] = 0
    found = dict(
        action=np.array([penn_name]),
        pose=np.array(['left']),
        x=poses[..., 0],
        y=poses[..., 1],
        visibility=visibility,
        train=np.array([[train]], np.int32),
        bbox=np.zeros((len(poses), 4)),
        dimensions=np.array([[270, 480, len(poses)]], np.uint16),
        nframes=np.array([[len(poses)]], np.uint8),
    )
    folder.mkdir(exist_ok=True)
    savemat(folder / f'{name}.mat', {**found, **changes})


def rows_of(path):
    with open(path, newline='') as file:
        return list(csv.reader(file))


@pytest.mark.parametrize('action', EXERCISES)
@pytest.mark.parametrize('hidden', [(), [j for j, n in enumerate(PENN.joint_names) if 'left' in n]])
@pytest.mark.parametrize('scale', [0.3, 1.0, 7.0])
def test_extremes_are_where_they_were_put(action, hidden, scale):
    poses = clip_of(action, scale=scale)
    poses += np.random.default_rng(0).normal(0, 0.5 * scale, poses.shape)  # an annotator's hand
    poses[:, hidden] = np.nan
    poses[33] += 25 * scale * np.random.default_rng(1).normal(size=(13, 2))  # one bad frame
    found = find_repetitions(smooth_signal(exercise_signal(poses, action)))
    np.testing.assert_allclose(found.salient1, I_FRAMES, atol=4)
    np.testing.assert_allclose(found.rest, REST_FRAMES, atol=4)
    assert found.bounds[:, 0].tolist() == found.rest[:-1].tolist()
    assert found.pairs.tolist() == np.stack([found.salient1, found.rest[1:]], 1).tolist()


def test_signal_is_in_trunk_lengths():
    poses = clip_of('squat')
    assert body_size(poses) == pytest.approx(40)
    signal = exercise_signal(poses, 'squat')
    # hips 68 pixels over the ankles when standing, 38 at the lowest point
    assert signal[[0, 20]] == pytest.approx([-68 / 40, -38 / 40])
    poses[10:13] = np.nan
    assert exercise_signal(poses, 'squat')[9:14] == pytest.approx(
        np.interp(range(9, 14), [9, 13], signal[[9, 13]])
    )


def test_other_joints_where_those_are_not_marked():
    poses = clip_of('squat')
    poses[:, -2:] = np.nan  # feet outside of the picture
    assert len(find_repetitions(smooth_signal(exercise_signal(poses, 'squat'))).salient1) == 3
    poses[:, -4:] = np.nan
    with pytest.raises(ValueError, match='hip and ankle, or hip and knee'):
        exercise_signal(poses, 'squat')
    with pytest.raises(ValueError, match='no bone'):
        exercise_signal(np.full((5, 13, 2), np.nan), 'squat')


def test_what_is_no_repetition():
    cosine = -np.cos(2 * np.pi * np.arange(121) / 40)  # three whole repetitions
    assert find_repetitions(cosine).salient1.tolist() == I_FRAMES
    assert not len(find_repetitions(0.09 * cosine).salient1)  # too small a movement
    # begun but not ended; ended but not begun
    assert find_repetitions(cosine[:103]).salient1.tolist() == [20, 60]
    assert find_repetitions(cosine[22:]).salient1.tolist() == [38, 78]
    aborted = cosine.copy()
    aborted[40:80] = -1 + (aborted[40:80] + 1) * 0.4  # the second one to less than halfway
    assert find_repetitions(aborted).salient1.tolist() == [20, 100]
    plateau = np.interp(range(80), [0, 20, 40, 41, 42, 60, 79], [0, 1, 1, 0.99, 1, 1, 0])
    assert len(find_repetitions(plateau).salient1) == 1
    for short in range(1, 12):
        assert len(smooth_signal(cosine[:short])) == short


def test_written_data_set(tmp_path, capsys):
    source = tmp_path / 'Penn_Action' / 'labels'
    source.parent.mkdir()
    for number, (action, exercise) in enumerate(EXERCISES.items()):
        for half, train in enumerate((1, -1)):
            poses = clip_of(action, 119 if train == 1 else 45)
            write_clip(
                *(source, f'{2 * number + half:04d}', poses, exercise.penn_name, train),
                hidden=[5],
                marked_invisible=[6],
            )
    write_clip(source, '0100', clip_of('squat'), 'bowl')
    write_clip(source, '0101', np.repeat(standing()[None], 50, axis=0), 'squat')
    write_clip(source, '0102', clip_of('squat'), 'squat', train=0)
    (source / '0103.mat').write_text('no MATLAB file')
    write_clip(source, '0104', clip_of('squat'), 'squat', x=np.zeros((4, 13)))
    whole = (source / '0100.mat').read_bytes()
    (source / '0105.mat').write_bytes(whole[: len(whole) // 2])
    out = tmp_path / 'out'
    tool.main([str(source.parent), '--out', str(out), '--loops', '2', '5', '--plots', '1'])
    classes = read_action_list(out / 'all_action.csv')
    assert classes == tuple(EXERCISES)

    videos = read_repcount(out / 'annotation' / 'train.csv')
    assert sorted(video.action for video in videos) == sorted(EXERCISES)
    for video in videos:
        assert video.count == 3
        np.testing.assert_allclose(video.repetitions, [[0, 40], [40, 80], [80, 118]], atol=3)
        poses = read_poses(pose_file(out / 'train_poses', video.name), PENN, dims=2)
        expected = clip_of(video.action, 119)
        expected[:, 5] = np.nan  # not seen; joint 6 is marked by hand, though invisible
        np.testing.assert_array_equal(poses[:, 0], expected.astype(np.float32))

    found = read_salient_poses(out / 'annotation_pose' / 'train.csv', PENN, dims=2)
    assert len(found) == len(EXERCISES) * (3 + 4)
    pairs = {video.name: video for video in read_repcount(out / 'annotation' / 'pose_train.csv')}
    rows = rows_of(out / 'annotation_pose' / 'train.csv')
    assert all(len(row) == 2 + 26 for row in rows)
    for row, pose, state, group in zip(rows, found.poses, found.states, found.groups, strict=True):
        frame = int(row[0].split('/')[-1].removesuffix('.jpg'))
        video = pairs[group]
        first_rest = frame <= 3  # is in no pair
        assert first_rest or frame in video.repetitions[:, state]
        stored = np.load(out / 'train_poses' / f'{group[:-4]}.npy')
        np.testing.assert_array_equal(pose, stored[frame])

    once = {video.name: video for video in read_repcount(out / 'annotation' / 'test.csv')}
    assert [video.count for video in once.values()] == [1] * 5
    for video in read_repcount(out / 'annotation' / 'test_looped.csv'):
        single = once[video.name.replace('_looped', '')]
        assert 2 <= video.count <= 5
        assert len(video.repetitions) == video.count
        assert (np.diff(video.repetitions[:, 0]) == 45).all()
        poses = read_poses(pose_file(out / 'test_poses', video.name), PENN, dims=2)
        clip = read_poses(pose_file(out / 'test_poses', single.name), PENN, dims=2)
        np.testing.assert_array_equal(poses, np.concatenate([clip] * video.count))

    printed = capsys.readouterr().out
    left_out = (out / 'left_out.txt').read_text()
    for name, reason in (
        ('0101', 'range of 0.00'),
        ('0102', "field 'train' is"),
        ('0103', 'no MATLAB file that can be read'),
        ('0104', "field 'y' is"),
        ('0105', '0105.mat: '),
    ):
        line = next(line for line in left_out.splitlines() if f'{name}.mat' in line)
        assert reason in line
        assert line in printed
    assert 'not annotated by a person' in printed
    assert 'NOT ANNOTATED BY\nA PERSON' in (out / 'README.txt').read_text()
    assert len(list((out / 'plots').glob('*.png'))) == 10


def test_same_loops_whatever_else_is_there():
    loops = {name: tool.loops_of(name, (2, 8), 0) for name in map(str, range(200))}
    assert set(loops.values()) == set(range(2, 9))
    assert tool.loops_of('7', (2, 8), 0) == loops['7']
    assert loops != {name: tool.loops_of(name, (2, 8), 1) for name in loops}


def test_what_cannot_be_converted(tmp_path, capsys):
    cases = [
        ([str(tmp_path / 'none')], 'has no .mat files'),
        ([str(tmp_path), '--loops', '3', '2'], '--loops is 3 2'),
        ([str(tmp_path), '--plots', '-1'], '--plots -1'),
    ]
    write_clip(tmp_path / 'bowls', '1', clip_of('squat'), 'bowl')
    cases.append(([str(tmp_path / 'bowls')], 'no clip of squat, pullup'))
    for arguments, message in cases:
        with pytest.raises(SystemExit) as stop:
            tool.main([*arguments, '--out', str(tmp_path / 'out')])
        assert stop.value.code == 2
        assert message in ' '.join(capsys.readouterr().err.split())
        assert not (tmp_path / 'out').exists()
    full = tmp_path / 'full'
    full.mkdir()
    (full / 'kept.txt').write_text('')
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path / 'bowls'), '--out', str(full)])
    assert 'not a new or empty folder' in ' '.join(capsys.readouterr().err.split())
