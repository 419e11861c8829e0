"""The generated RepCount: supports of the body, files, counts, salient poses, reproducibility."""

import csv
import dataclasses

import numpy as np
import pytest
from scipy.signal import find_peaks

from projects.keypoints import keypoint_layout
from projects.synthetic.actions import ACTIONS
from projects.synthetic.curves import Action, both_sides, mirrored, part_of
from projects.synthetic.figure import LANDMARKS, Motion, rotations_from_angles
from projects.synthetic.repcount import (
    EXERCISES,
    SPLITS,
    read_counts,
    repcount_video,
    write_repcount,
)
from projects.synthetic.sampling import Style, sample_motion
from projects.synthetic.supports import Grip, Support, supported
from tools.datasets import make_synthetic

SUPPORTED = sorted(name for name, action in ACTIONS.items() if action.support is not None)
QUICK = {
    'actions': ('squat', 'pull_up'),
    'videos_per_action': {'train': 2, 'valid': 1, 'test': 1},
    'num_frames': (40, 70),
    'fps': 10.0,
}
JOINTS = keypoint_layout('blazepose').joint_names
CLASS_NAMES = 'front_raise pull_up squat bench_pressing jump_jack situp push_up pommelhorse'.split()


def rng(seed=0):
    return np.random.default_rng(seed)


def one(name, phase, *landmarks):
    """Landmarks of a typical person at a phase of the second repetition."""
    seconds = ACTIONS[name].seconds
    motion = sample_motion(
        name, int(seconds * 240), 60.0, rng(), difficulty=0.0, style=Style(tempo=1.0)
    )
    start, end = motion.repetitions[1]
    points = motion.landmarks(landmarks)[int(start + phase * (end - start))]
    return dict(zip(landmarks, points, strict=True))


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


def read(root, name):
    with open(root / 'annotation' / f'{name}.csv', newline='') as file:
        return list(csv.reader(file))


def pairs(row, first=3):
    numbers = [int(cell) for cell in row[first:] if cell]
    return np.array(numbers, dtype=int).reshape(-1, 2)


# --- supports ---------------------------------------------------------------------------------


@pytest.mark.parametrize('difficulty', [0.0, 0.3, 1.0])
@pytest.mark.parametrize('name', SUPPORTED)
def test_supported_actions_are_continuous_and_above_the_ground(name, difficulty):
    for seed in range(4):
        motion = sample_motion(name, 240, 30.0, rng(seed), difficulty=difficulty)
        points = motion.landmarks(LANDMARKS)
        assert np.isfinite(points).all()
        assert points[..., 1].min() > -1
        speed = np.linalg.norm(np.diff(points, axis=0), axis=-1).max() * 30 / 1000
        assert speed < (16 if name == 'pommel_horse' else 4)  # m/s; its toes do 9


@pytest.mark.parametrize('difficulty', [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ('name', 'still'),
    [
        ('push_up', ('LeftHand', 'RightHand', 'left_palm', 'right_palm', 'LeftToeBase')),
        ('sit_up', ('Hips', 'LeftFoot', 'RightFoot', 'left_heel', 'right_foot_index')),
        ('pull_up', ('LeftHand', 'RightHand', 'left_palm', 'right_index')),
        ('bench_press', ('Hips', 'LeftFoot', 'RightFoot', 'left_heel', 'right_foot_index')),
    ],
)
def test_what_carries_the_body_stays_put(name, still, difficulty):
    for seed in range(4):
        motion = sample_motion(name, 240, 30.0, rng(seed), difficulty=difficulty)
        assert np.ptp(motion.landmarks(still), axis=0).max() < 3  # mm


def test_limbs_that_hold_keep_their_lengths():
    motion = sample_motion('push_up', 200, 30.0, rng(2), difficulty=1.0)
    points = motion.landmarks(['LeftArm', 'LeftForeArm', 'LeftHand'])
    lengths = np.linalg.norm(np.diff(points, axis=1), axis=-1)  # (T, 2)
    np.testing.assert_allclose(lengths, [[278.9, 251.7]] * 200, atol=0.2)


def test_push_up_is_a_plank_that_comes_down_to_the_floor():
    names = ('LeftArm', 'LeftForeArm', 'Hips', 'LeftLeg', 'LeftFoot', 'left_palm', 'nose')
    high, low = one('push_up', 0.0, *names), one('push_up', 0.5, *names)
    for pose in (high, low):  # shoulder, hip, knee, ankle on a line
        line = pose['LeftFoot'] - pose['LeftArm']
        for joint in ('Hips', 'LeftLeg'):
            off = np.cross(line, pose[joint] - pose['LeftArm'])[0] / np.linalg.norm(line)
            assert abs(off) < 40
        assert pose['left_palm'][1] < 50
    assert high['LeftArm'][1] > 440
    assert low['LeftArm'][1] < 270
    assert low['LeftForeArm'][1] > low['LeftArm'][1] - 80  # the elbow is up beside the chest
    assert low['nose'][1] > 80


def test_pull_up_hangs_and_brings_the_chin_over_the_bar():
    names = ('LeftHand', 'chin', 'nose', 'LeftForeArm', 'LeftToeEnd', 'head_center')
    hanging, up = one('pull_up', 0.0, *names), one('pull_up', 0.5, *names)
    assert hanging['LeftHand'][1] > hanging['nose'][1] + 300
    assert up['nose'][1] > up['LeftHand'][1]
    assert up['LeftForeArm'][1] < up['LeftHand'][1]
    assert hanging['LeftToeEnd'][1] > 250


def test_sit_up_lies_and_sits():
    names = ('Neck', 'Hips', 'LeftLeg', 'LeftArm')
    lying, sitting = one('sit_up', 0.0, *names), one('sit_up', 0.49, *names)
    assert lying['Neck'][1] < 200
    assert lying['Neck'][2] < lying['Hips'][2] - 400
    assert lying['LeftLeg'][1] > 300
    assert sitting['Neck'][1] > 500


def test_bench_press_lies_on_the_back_and_lowers_the_bar_to_the_chest():
    names = ('LeftHand', 'RightHand', 'LeftArm', 'Hips', 'nose', 'head_center', 'LeftForeArm')
    up, down = one('bench_press', 0.0, *names), one('bench_press', 0.5, *names)
    assert abs(up['LeftArm'][1] - up['Hips'][1]) < 40
    assert up['nose'][1] > up['head_center'][1] + 50  # face up
    assert up['LeftHand'][1] > up['LeftArm'][1] + 400
    assert 60 < down['LeftHand'][1] - down['LeftArm'][1] < 220
    assert down['LeftForeArm'][1] < down['LeftHand'][1]
    np.testing.assert_allclose(up['LeftHand'] * (-1, 1, 1), up['RightHand'], atol=5)


def test_a_hand_that_cannot_reach_comes_as_near_as_it_can():
    grip = Grip('arm', (400.0, 9000.0, 0.0), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.0, 0.0, -1.0))
    rotations, translation = supported(
        rotations_from_angles({}, 2), Support(('Hips',), (0.0, 900.0, 0.0), (grip,)), {}
    )
    motion = Motion(rotations, translation, fps=1.0)
    root, shoulder, hand = motion.landmarks(['Hips', 'LeftArm', 'LeftHand'])[0]
    np.testing.assert_allclose(root, (0, 900, 0), atol=1e-6)
    way, wanted = hand - shoulder, np.array([400.0, 9000.0, 0.0]) - shoulder
    assert np.linalg.norm(way) == pytest.approx(530.3, abs=1)
    assert way @ wanted / np.linalg.norm(way) / np.linalg.norm(wanted) > 0.9999


def test_shifts_move_root_and_hands():
    grip = Grip('arm', (300.0, 950.0, 100.0), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.0, 0.0, -1.0))
    support = Support(('Hips',), (0.0, 900.0, 0.0), (grip,))
    shifts = {'root z': np.array([0.0, 30.0]), 'right hand x': np.array([0.0, 50.0])}
    before = rotations_from_angles({}, 2)
    rotations, translation = supported(before, support, shifts)
    np.testing.assert_array_equal(before, rotations_from_angles({}, 2))  # not changed
    motion = Motion(rotations, translation, fps=1.0)
    (left, right), (left_moved, right_moved) = motion.landmarks(['LeftHand', 'RightHand'])
    np.testing.assert_allclose(translation, [(0, 900, 0), (0, 900, 30)], atol=1e-6)
    np.testing.assert_allclose(left, (300, 950, 100), atol=1e-3)
    np.testing.assert_allclose(left_moved, (300, 950, 100), atol=1e-3)
    np.testing.assert_allclose(right, (-300, 950, 100), atol=1e-3)
    np.testing.assert_allclose(right_moved, (-350, 950, 100), atol=1e-3)  # outwards


def test_shifts_belong_to_parts_and_have_mirror_images():
    assert both_sides({'hand y': 3.0}) == {'left hand y': 3.0, 'right hand y': 3.0}
    assert mirrored({'root x': 1.0, 'root y': 2.0, 'left hand x': 3.0}) == {
        'root x': -1.0,
        'root y': 2.0,
        'right hand x': 3.0,
    }
    assert part_of('root z') == 'legs'
    assert part_of('left hand x') == 'left arm'


def test_bad_supports_are_refused():
    flat = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    with pytest.raises(ValueError, match="limb 'tail' is not one of"):
        Grip('tail', (0, 0, 0), flat, (0, 1, 0))
    with pytest.raises(ValueError, match='expected a right-handed frame'):
        Grip('arm', (0, 0, 0), ((1, 0, 0), (0, 1, 0), (0, 0, -1)), (0, 1, 0))
    with pytest.raises(ValueError, match="angle 'hand w'"):
        Action('x', 'hold', 1.0, keys=((0.5, {'hand w': 1.0}),)).angles(np.zeros(2), rng())


def test_aborted_repetitions_only():
    for name in ('squat', 'push_up'):
        motion = sample_motion(name, 400, 30.0, rng(), difficulty=0.4, aborts=1.0)
        assert motion.count == 0
        assert np.ptp(motion.landmarks(['nose'])[..., 1]) > 30  # but something happens
    with pytest.raises(ValueError, match='aborts is 1.5'):
        sample_motion('squat', 40, 30.0, rng(), aborts=1.5)


# --- videos -----------------------------------------------------------------------------------

# What is followed to count: joints whose rows in the picture have their extremes in the salient
# poses, and whether they are high in salient I. Circles are followed by where the ankles are.
SIGNALS = {
    'front_raise': ('wrist', True),
    'pull_up': ('shoulder', True),
    'squat': ('hip', False),
    'bench_pressing': ('wrist', False),
    'jump_jack': ('wrist', True),
    'situp': ('shoulder', True),
    'push_up': ('shoulder', False),
    'pommelhorse': ('ankle', None),
}


def both(poses, part):
    return [poses[:, JOINTS.index(f'{side}_{part}')] for side in ('left', 'right')]


def signal_of(action, poses):
    """(T,), greatest in salient pose I."""
    part, high = SIGNALS[action]
    if high is None:  # how far the ankles are behind the hips, seen from above
        left, right = both(poses, 'hip')
        across = (left - right).mean(axis=0)
        forwards = np.array([across[2], -across[0]])  # in x and z
        behind = (left + right - sum(both(poses, part)))[:, (0, 2)]
        return behind @ forwards / np.linalg.norm(forwards)
    return sum(both(poses, part))[:, 1] * (-1 if high else 1)


def test_every_class_has_a_signal():
    assert list(SIGNALS) == CLASS_NAMES == list(EXERCISES)


@pytest.mark.parametrize('action', CLASS_NAMES)
def test_counts_are_what_can_be_seen(action):
    total = 0
    for number in range(5):
        video = repcount_video('test', action, number, two_people=0.0, difficulty=0.0)
        (person,) = video.people
        signal = signal_of(action, person.poses)
        peaks, _ = find_peaks(signal, prominence=0.5 * np.ptp(signal))
        starts, ends = person.repetitions.T
        inside = (peaks[:, None] >= starts) & (peaks[:, None] < ends)  # (peaks, R)
        assert (inside.sum(axis=0) == 1).all()
        # circles go on to the end of the video, the last one is cut
        assert len(peaks) - len(person.repetitions) in ((0, 1) if action == 'pommelhorse' else (0,))
        total += len(person.repetitions)
        first, second = signal[person.salient].T  # I is the extreme, II is at rest
        assert (first > signal.max() - 0.15 * np.ptp(signal)).all()
        assert (second < signal.min() + 0.15 * np.ptp(signal)).all()
    assert total >= 10


@pytest.mark.parametrize('difficulty', [0.0, 1.0])
def test_salient_poses_lie_inside_the_repetitions(difficulty):
    for action in CLASS_NAMES:
        for number in range(3):
            video = repcount_video(
                'train', action, number, num_frames=(60, 90), fps=10.0, difficulty=difficulty
            )
            for person in video.people:
                starts, ends = person.repetitions.T
                first, second = person.salient.T
                assert (starts <= first).all()
                assert (first < second).all()
                assert (second <= ends).all()
                assert (starts[1:] >= ends[:-1]).all()
                assert (person.repetitions < len(person.poses)).all()


def test_poses_are_pixels_with_depths_from_the_hips():
    for action in ('squat', 'situp', 'pull_up'):
        video = repcount_video('train', action, 3, difficulty=0.0, two_people=0.0)
        poses = video.array
        assert poses.dtype == np.float32
        assert poses.shape[1:] == (33, 3)
        assert 150 <= len(poses) <= 450
        assert ((poses[..., 0] > -5) & (poses[..., 0] < 645)).all()
        assert ((poses[..., 1] > -5) & (poses[..., 1] < 485)).all()
        hips = [JOINTS.index('left_hip'), JOINTS.index('right_hip')]
        body = np.ptp(poses[..., :2], axis=(0, 1)).max()
        assert np.abs(poses[:, hips, 2].mean(axis=1)).max() < 0.05 * body
        # in its own scale: limbs are as long in depth as in the picture
        thigh = np.linalg.norm(poses[:, hips[0]] - poses[:, JOINTS.index('left_knee')], axis=-1)
        assert thigh.max() < 1.3 * thigh.min()


def test_a_person_before_the_camera_faces_it():
    video = repcount_video('train', 'jump_jack', 0, difficulty=0.0, two_people=0.0)
    pose = video.array[0]
    left, right, nose = (pose[JOINTS.index(name)] for name in ('left_hip', 'right_hip', 'nose'))
    assert left[0] > right[0]  # not mirrored
    assert nose[1] < left[1]
    assert nose[2] < 0  # nearer than the hips


def videos(difficulty, two_people=0.0, actions=('squat', 'push_up', 'situp'), count=10):
    return [
        repcount_video(
            'test',
            action,
            number,
            num_frames=(60, 80),
            fps=10.0,
            two_people=two_people,
            difficulty=difficulty,
        )
        for action in actions
        for number in range(count)
    ]


def missing(person):
    holes = np.isnan(person.poses)
    assert (holes.all(axis=(1, 2)) == holes.any(axis=(1, 2))).all()  # whole poses only
    return holes.all(axis=(1, 2))


def test_difficulty_brings_gaps_and_videos_without_a_repetition():
    for difficulty, gaps, empty in ((0.0, (0, 0), (0, 0)), (1.0, (12, 30), (2, 15))):
        people = [video.people[0] for video in videos(difficulty)]
        assert gaps[0] <= sum(missing(person).any() for person in people) <= gaps[1]
        assert empty[0] <= sum(not len(person.repetitions) for person in people) <= empty[1]


def test_two_people_do_different_things():
    some = videos(0.8, two_people=1.0)
    assert all(len(video.people) == 2 for video in some)
    assert all(video.people[0].action != video.people[1].action for video in some)
    assert len({video.people[1].action for video in some}) > 4
    assert any(missing(video.people[1]).mean() > 0.1 for video in some)
    for video in some:
        assert video.array.shape == (len(video.people[0].poses), 2, 33, 3)
        np.testing.assert_array_equal(video.array[:, 1], video.people[1].poses)
        for person in video.people:  # what is out of view for the most part is not counted
            for start, end in person.repetitions:
                assert missing(person)[start : end + 1].mean() < 0.9
    assert {len(video.people) for video in videos(0.3, two_people=0.4)} == {1, 2}


# --- files ------------------------------------------------------------------------------------


def test_fixture_suffices_for_training(repcount_root):
    rows = (repcount_root / 'annotation_pose' / 'train.csv').read_text().splitlines()
    assert len(rows) >= 40
    assert len(read(repcount_root, 'test')) >= 1 + 39


def test_layout(repcount_root):
    names = {
        'all_action.csv',
        'annotation_pose/train.csv',
        *(f'annotation/{name}.csv' for name in (*SPLITS, 'pose_train', 'people')),
        *(
            f'{split}_poses/{row[1].removesuffix(".mp4")}.npy'
            for split in SPLITS
            for row in read(repcount_root, split)[1:]
        ),
    }
    assert set(files(repcount_root)) == names
    lines = (repcount_root / 'all_action.csv').read_text().split('\n')
    assert lines == [
        ',action,label',
        *(f'{label},{name},{label}' for label, name in enumerate(CLASS_NAMES)),
        '',
    ]


@pytest.mark.parametrize('name', [*SPLITS, 'pose_train', 'people'])
def test_annotations_have_the_published_columns(repcount_root, name):
    head, *rows = read(repcount_root, name)
    first = ['type', 'name', 'count', *(['person'] if name == 'people' else [])]
    assert head == [*first, *(f'L{index}' for index in range(1, 303))]
    split = {'pose_train': 'train', 'people': 'test'}.get(name, name)
    for row in rows:
        assert len(row) == len(head)
        cells = row[len(first) :]
        filled = len([cell for cell in cells if cell])
        assert cells[filled:] == [''] * (len(cells) - filled)
        assert filled == 2 * int(row[2])
        poses = np.load(repcount_root / f'{split}_poses' / f'{row[1][:-4]}.npy')
        assert poses.dtype == np.float32
        assert poses.shape[-2:] == (33, 3)
        assert poses.ndim == 3 or poses.shape[1] == 2
        frames = pairs(row, len(first))
        assert ((frames >= 0) & (frames < len(poses))).all()
        assert (np.diff(frames.ravel()) >= 0).all()


def test_people_lists_everybody(repcount_root):
    rows, everybody = read(repcount_root, 'test')[1:], read(repcount_root, 'people')[1:]
    firsts = [row for row in everybody if row[3] == '0']
    assert [[*row[:3], *row[4:]] for row in firsts] == rows
    others = {row[1]: row for row in everybody if row[3] == '1'}
    assert len(firsts) + len(others) == len(everybody)
    assert others
    for row in rows:
        poses = np.load(repcount_root / 'test_poses' / f'{row[1][:-4]}.npy')
        assert (poses.ndim == 4) == (row[1] in others)
        if row[1] in others:
            assert others[row[1]][0] != row[0]


def test_salient_rows_are_the_poses_of_the_salient_frames(repcount_root):
    with open(repcount_root / 'annotation_pose' / 'train.csv', newline='') as file:
        rows = list(csv.reader(file))
    found = {row[0]: row[1:] for row in rows}
    assert len(found) == len(rows)
    expected = {}
    for action, video, _, *cells in read(repcount_root, 'pose_train')[1:]:
        poses = np.load(repcount_root / 'train_poses' / f'{video[:-4]}.npy')
        poses = poses if poses.ndim == 3 else poses[:, 0]
        frames = pairs(cells, 0)
        for index, frame in enumerate(frames.T.ravel()):
            if np.isfinite(poses[frame]).all():
                state = 1 + (index >= len(frames))
                path = f'train/{action}/salient{state}/{video}/{index}.jpg'
                expected[path] = [action, *poses[frame].ravel()]
    assert set(found) == set(expected)
    for path, (action, *numbers) in expected.items():
        assert found[path][0] == action
        np.testing.assert_allclose(np.array(found[path][1:], float), numbers, atol=1e-4)


def test_a_subset_is_the_same_as_all_of_it(tmp_path):
    paths = write_repcount(tmp_path / 'whole', **QUICK)
    options = {**QUICK, 'actions': ['pull_up'], 'videos_per_action': {'test': 1, 'train': 1}}
    write_repcount(tmp_path / 'part', **options)
    whole, part = files(tmp_path / 'whole'), files(tmp_path / 'part')
    assert len(paths) == sum(name.endswith('.npy') for name in whole) == 8
    assert sorted(part) == [
        *('all_action.csv', 'annotation/people.csv', 'annotation/pose_train.csv'),
        *('annotation/test.csv', 'annotation/train.csv', 'annotation_pose/train.csv'),
        *('test_poses/pull_up_test_000.npy', 'train_poses/pull_up_train_000.npy'),
    ]
    for name, content in part.items():
        lines = set(content.splitlines()) - set(whole[name].splitlines())
        assert not lines if name.endswith('.csv') else content == whole[name]


def test_the_seed_decides(tmp_path):
    for run, seed in enumerate((0, 0, 1)):
        write_repcount(tmp_path / str(run), seed=seed, **QUICK)
    first, again, other = (files(tmp_path / str(run)) for run in range(3))
    assert first == again
    arrays = [name for name in first if name.endswith('.npy')]
    assert all(first[name] != other[name] for name in arrays)
    assert len({first[name] for name in arrays}) == len(arrays)


def test_class_names_are_a_choice(tmp_path):
    options = {**QUICK, 'videos_per_action': {'valid': 1}}
    write_repcount(tmp_path / 'x', class_names=('pull_up', 'squat'), **options)
    assert (tmp_path / 'x' / 'all_action.csv').read_text() == (
        ',action,label\n0,pull_up,0\n1,squat,1\n'
    )
    assert sorted(path.name for path in (tmp_path / 'x' / 'annotation').iterdir()) == ['valid.csv']
    assert read_counts(tmp_path / 'x', 'valid').tolist() == [
        int(row[2]) for row in read(tmp_path / 'x', 'valid')[1:]
    ]
    assert read_counts(tmp_path / 'x', 'test').tolist() == []


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'actions': ('swimming',)}, "actions: 'swimming' is not one of .*'front_raise'"),
        ({'actions': ()}, 'actions is empty'),
        ({'actions': ('squat', 'squat')}, 'expected each once'),
        ({'class_names': ('squat',)}, "actions: 'pull_up' is not one of"),
        ({'videos_per_action': {'dev': 1}}, "videos_per_action: 'dev' is not one of"),
        ({'videos_per_action': {'train': -1}}, r"videos_per_action\['train'\] is -1"),
        ({'num_frames': (9, 5)}, r'num_frames is \(9, 5\)'),
        ({'num_frames': (1, 5)}, r'num_frames is \(1, 5\)'),
        ({'fps': 0.0}, 'fps is 0.0'),
        ({'image_size': (640, 8)}, 'image_size is'),
        ({'two_people': 2}, 'two_people is 2'),
        ({'difficulty': -0.1}, 'difficulty is -0.1'),
        ({'seed': -1}, 'seed is -1'),
    ],
)
def test_bad_requests_write_nothing(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_repcount(tmp_path, **{**QUICK, **change})
    assert not list(tmp_path.iterdir())
    if not set(change) & {'actions', 'class_names', 'videos_per_action'}:
        options = {key: value for key, value in QUICK.items() if key in ('num_frames', 'fps')}
        with pytest.raises(ValueError, match=message):
            repcount_video('test', 'squat', 0, **{**options, **change})


def test_a_folder_with_content_is_left_alone(tmp_path):
    (tmp_path / 'note.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='is not empty'):
        write_repcount(tmp_path, **QUICK)
    assert files(tmp_path) == {'note.txt': b'mine'}


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    def stop(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_repcount(tmp_path / 'x', progress=stop, **QUICK)
    assert not list(tmp_path.iterdir())


def test_names_cannot_be_changed():
    video = repcount_video('valid', 'squat', 7, num_frames=(5, 5))
    assert video.name == 'squat_valid_007.mp4'
    with pytest.raises(dataclasses.FrozenInstanceError):
        video.name = '../x'


def test_command_writes_and_sums_up(tmp_path, capsys):
    out = tmp_path / 'repcount'
    make_synthetic.main(
        f'repcount --out {out} --actions squat situp --train-videos 2 --valid-videos 0 '
        '--test-videos 3 --num-frames 40 50 --fps 10 --two-people 1'.split()
    )
    assert len(list(out.glob('train_poses/*.npy'))) == 4
    assert len(list(out.glob('test_poses/*.npy'))) == 6
    text = capsys.readouterr().out
    assert f'10 videos: {out}' in text
    counts = read_counts(out, 'test')
    assert (
        f'test: 6 videos, 12 people, count {counts.mean():.1f} on average, '
        f'{counts.min()} to {counts.max()}, {np.mean(counts == 0):.0%} without any'
    ) in text
    assert 'valid' not in text


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('--actions swimming', 'bench_pressing'),
        ('--num-frames 9 5', '--num-frames is [9, 5]'),
        ('--train-videos -1', '--train-videos is -1'),
        ('--train-videos 0 --valid-videos 0 --test-videos 0', 'are all 0'),
        ('--fps 0', '--fps is 0.0'),
        ('--image-size 8 640', '--image-size is [8, 640]'),
        ('--two-people 3', '--two-people is 3.0'),
        ('--class-names squat', '--class-names lacks'),
        ('--class-names squat squat', 'expected each once'),
        ('--difficulty 2', '--difficulty is 2.0'),
        ('--seed -1', '--seed is -1'),
        ('--out {folder}', 'is not empty'),
    ],
)
def test_command_refuses_bad_options(tmp_path, capsys, options, message):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'note.txt').write_text('mine')
    options = options.format(folder=tmp_path / 'full')
    with pytest.raises(SystemExit):
        make_synthetic.main(f'repcount --out {tmp_path / "x"} {options}'.split())
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
