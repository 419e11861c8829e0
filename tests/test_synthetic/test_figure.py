"""The figure's geometry and its actions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from projects.skeleton import HUMAN36M
from projects.synthetic import figure
from projects.synthetic.actions import ACTIONS
from projects.synthetic.curves import PARTS, Action, mirrored, part_of
from projects.synthetic.figure import CHANNELS, LANDMARKS, Motion, rotations_from_angles
from projects.synthetic.sampling import Layer, Style, sample_mix, sample_motion, smooth_noise

PERIODIC = sorted(name for name, action in ACTIONS.items() if action.periodic)
ON_FEET = sorted(name for name, action in ACTIONS.items() if action.support is None)
TABLES = {
    'coco': (figure.COCO_LANDMARKS, 17),
    'penn': (figure.PENN_LANDMARKS, 13),
    'ntu': (figure.NTU_LANDMARKS, 25),
    'blazepose': (figure.BLAZEPOSE_LANDMARKS, 33),
}


def still(angles, num_frames=1):
    return Motion(rotations_from_angles(angles, num_frames), np.zeros((num_frames, 3)), fps=50.0)


def at(motion, *names):
    return motion.landmarks(names)[0]


def rng(seed=0):
    return np.random.default_rng(seed)


# --- figure -----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 4), size=st.floats(0, 3.0))
def test_positions_agree_with_the_skeletons_forward_kinematics(seed, frames, size):
    rotations = rng(seed).normal(scale=size, size=(frames, 32, 3))
    translation = rng(seed).normal(scale=1000, size=(frames, 3))
    motion = Motion(rotations, translation, fps=50.0)
    expected = HUMAN36M.forward_kinematics(rotations) + translation[:, None]
    np.testing.assert_allclose(motion.positions(), expected, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    joint=st.sampled_from(['hip', 'knee', 'ankle']),
)
def test_angles_are_euler_angles_of_the_parents_axes(angles, joint):
    names = [f'left {joint} {movement}' for movement in ('flexion', 'abduction', 'twist')]
    neutral = [figure.NEUTRAL.get(name.partition(' ')[2], 0.0) for name in names]
    rotations = rotations_from_angles(
        {name: angle - rest for name, angle, rest in zip(names, angles, neutral, strict=True)}, 1
    )
    flexion = angles[0] if joint == 'knee' else -angles[0]
    expected = Rotation.from_euler('XZY', [flexion, *angles[1:]], degrees=True)
    index = figure.JOINT_INDEX[{'hip': 'LeftUpLeg', 'knee': 'LeftLeg', 'ankle': 'LeftFoot'}[joint]]
    found = Rotation.from_rotvec(-rotations[0, index])
    assert (expected.inv() * found).magnitude() < 1e-6


def test_rest_pose_stands_with_hanging_arms():
    motion = still({})
    for side in ('Left', 'Right'):
        shoulder, elbow, wrist, hip, knee, ankle, toe = at(
            motion,
            *(f'{side}{n}' for n in ('Arm', 'ForeArm', 'Hand', 'UpLeg', 'Leg', 'Foot', 'ToeEnd')),
        )
        assert shoulder[1] > elbow[1] > wrist[1]
        assert wrist[2] > elbow[2]  # a slightly bent elbow brings the hand forwards
        assert hip[1] > knee[1] > ankle[1] > toe[1]
        assert knee[2] > (hip[2] + ankle[2]) / 2  # knees bend backwards, so they stand in front
        assert toe[2] > ankle[2] + 150
        side_sign = 1 if side == 'Left' else -1
        assert min(side_sign * point[0] for point in (shoulder, elbow, wrist, hip, ankle)) > 0
    heights = motion.landmarks(figure.CONTACTS)[0, :, 1]
    assert np.ptp(heights) < 3  # heel, ball and toes lie on one plane


@pytest.mark.parametrize(
    ('angle', 'landmark', 'axis', 'sign'),
    [
        ('left hip flexion', 'LeftLeg', 2, 1),
        ('left hip abduction', 'LeftLeg', 0, 1),
        ('right hip abduction', 'RightLeg', 0, -1),
        ('left hip twist', 'LeftToeEnd', 0, 1),
        ('right hip twist', 'RightToeEnd', 0, -1),
        ('left knee flexion', 'LeftFoot', 2, -1),
        ('left ankle flexion', 'LeftToeEnd', 1, 1),
        ('right ball flexion', 'RightToeEnd', 1, 1),
        ('left shoulder flexion', 'LeftForeArm', 2, 1),
        ('left shoulder abduction', 'LeftForeArm', 0, 1),
        ('right shoulder abduction', 'RightForeArm', 0, -1),
        ('left shoulder twist', 'LeftHand', 0, 1),
        ('left elbow flexion', 'LeftHand', 2, 1),
        ('right elbow flexion', 'RightHand', 1, 1),
        ('right wrist flexion', 'RightWristEnd', 2, 1),
        ('left clavicle abduction', 'LeftArm', 1, 1),
        ('right clavicle abduction', 'RightArm', 1, 1),
        ('spine flexion', 'HeadEnd', 2, 1),
        ('chest bend', 'HeadEnd', 0, 1),
        ('head twist', 'nose', 0, 1),
        ('pelvis twist', 'nose', 0, 1),
        ('heading', 'nose', 0, 1),
    ],
)
def test_an_angle_moves_what_its_name_says(angle, landmark, axis, sign):
    moved = at(still({angle: 20.0}), landmark) - at(still({}), landmark)
    assert sign * moved[0][axis] > 5


def test_left_and_right_are_mirror_images():
    # The published offsets differ by up to 27 micrometres between the sides, the hands' end more.
    motion = still({'shoulder flexion': 30.0, 'elbow flexion': 40.0, 'hip abduction': 9.0})
    for name in LANDMARKS:
        if name.startswith('Left') or name.startswith('left_'):
            other = name.replace('Left', 'Right').replace('left_', 'right_')
            if 'Wrist' in name:
                continue
            left, right = at(motion, name, other)
            np.testing.assert_allclose(left * (-1, 1, 1), right, atol=0.05)


def test_mirrored_angles_give_the_mirror_image():
    angles = {name: 17.0 for name in CHANNELS if name.startswith(('left', 'spine', 'head', 'pel'))}
    shown, other = still(angles), still(mirrored(angles))
    left = at(shown, 'LeftHand', 'RightHand', 'LeftFoot', 'nose', 'right_ear')
    right = at(other, 'RightHand', 'LeftHand', 'RightFoot', 'nose', 'left_ear')
    np.testing.assert_allclose(left * (-1, 1, 1), right, atol=0.05)


@pytest.mark.parametrize('table', TABLES)
def test_every_landmark_of_the_target_formats_resolves(table):
    names, count = TABLES[table]
    assert len(names) == count
    assert set(names.values()) <= set(LANDMARKS)
    points = dict(zip(names, at(still({}), *names.values()), strict=True))
    for name, point in points.items():
        if 'left' in name:
            assert point[0] > 0
            np.testing.assert_allclose(
                point * (-1, 1, 1), points[name.replace('left', 'right')], atol=0.05
            )
        elif 'right' not in name:
            assert abs(point[0]) < 1e-6


def test_coco_and_blazepose_stand_in_their_published_order():
    assert list(figure.COCO_LANDMARKS)[:7] == [
        *('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear'),
        *('left_shoulder', 'right_shoulder'),
    ]
    blazepose = list(figure.BLAZEPOSE_LANDMARKS)
    published = {0: 'nose', 4: 'right_eye_inner', 9: 'mouth_left', 11: 'left_shoulder'}
    published |= {16: 'right_wrist', 19: 'left_index', 23: 'left_hip', 32: 'right_foot_index'}
    assert {index: blazepose[index] for index in published} == published


def test_scaled_figure_keeps_its_shape_and_its_feet_on_the_ground():
    motion = sample_motion('walking', 60, 50.0, rng())
    small = motion.scaled(0.5)
    np.testing.assert_allclose(small.positions(), 0.5 * motion.positions(), atol=1e-6)
    names = ['left_heel', 'nose']
    np.testing.assert_allclose(small.landmarks(names), 0.5 * motion.landmarks(names), atol=1e-6)


def test_turned_motion_is_the_motion_turned():
    motion = sample_motion('kick', 40, 50.0, rng())
    x, y, z = np.moveaxis(motion.positions(), -1, 0)
    np.testing.assert_allclose(
        motion.turned(90.0).positions(), np.stack([z, y, -x], axis=-1), atol=1e-6
    )


def test_resample_keeps_frames_and_fills_between():
    motion = sample_motion('squat', 301, 25.0, rng())
    double = motion.resample(50.0)
    assert (double.num_frames, double.fps) == (601, 50.0)
    np.testing.assert_allclose(double.positions()[::2], motion.positions(), atol=1e-6)
    between = (motion.positions()[1:] + motion.positions()[:-1]) / 2
    assert np.abs(double.positions()[1::2] - between).max() < 10
    np.testing.assert_array_equal(double.repetitions, 2 * motion.repetitions)
    assert motion.resample(10.0).num_frames == 121
    assert still({}).resample(30.0).num_frames == 1


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'rotations': np.zeros((3, 31, 3))}, 'rotations has shape'),
        ({'translation': np.zeros((2, 3))}, 'translation has shape'),
        ({'repetitions': np.zeros(4, dtype=int)}, 'repetitions has shape'),
        ({'fps': 0}, 'fps is 0'),
        ({'scale': -1.0}, 'scale is -1.0'),
    ],
)
def test_malformed_motion_is_refused(change, message):
    fields = {'rotations': np.zeros((3, 32, 3)), 'translation': np.zeros((3, 3)), 'fps': 50.0}
    with pytest.raises(ValueError, match=message):
        Motion(**{**fields, **change})


def test_unknown_names_are_refused_with_the_allowed_ones():
    with pytest.raises(ValueError, match="angle 'knee bend'.*left knee flexion"):
        rotations_from_angles({'knee bend': 1.0}, 1)
    with pytest.raises(ValueError, match="landmark 'tail'.*left_heel"):
        still({}).landmarks(['tail'])
    with pytest.raises(ValueError, match='fps is 0'):
        still({}).resample(0)


# --- actions ----------------------------------------------------------------------------------


@pytest.mark.parametrize('difficulty', [0.0, 1.0])
@pytest.mark.parametrize('name', ON_FEET)
def test_actions_are_continuous_and_stand_on_the_ground(name, difficulty):
    motion = sample_motion(name, 300, 30.0, rng(3), difficulty=difficulty)
    positions = motion.positions()
    assert np.isfinite(positions).all()
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1).max() * motion.fps / 1000
    assert speed < (22 if name == 'running' else 16)  # m/s; a sprinter's toes reach 20
    lowest = motion.landmarks(figure.CONTACTS)[..., 1].min(axis=1)
    assert lowest.min() > -6
    if name not in ('running', 'jump', 'jumping_jack'):
        assert lowest.max() < 2
    knees = positions[:, [figure.JOINT_INDEX['LeftLeg'], figure.JOINT_INDEX['RightLeg']], 1]
    assert knees.min() > 20


def test_jumps_leave_the_ground_and_come_back():
    lowest = (
        sample_motion('jump', 400, 50.0, rng(), difficulty=0.0, style=Style())
        .landmarks(figure.CONTACTS)[..., 1]
        .min(axis=1)
    )
    assert lowest.max() > 200
    assert np.median(lowest) < 2


def test_squat_bends_the_knees_and_stays_on_the_spot():
    motion = sample_motion('squat', 400, 50.0, rng(), difficulty=0.0, style=Style())
    positions = motion.positions()
    drop = positions[0, 0, 1] - positions[:, 0, 1].min()
    assert 300 < drop < 600
    feet = motion.landmarks(['LeftFoot', 'RightFoot'])
    assert np.ptp(feet[..., (0, 2)], axis=0).max() < 40
    lowest = positions[:, 0, 1].argmin()
    pelvis, left_knee = positions[lowest, [0, figure.JOINT_INDEX['LeftLeg']]]
    assert left_knee[2] > pelvis[2] + 200  # the seat goes backwards, the knees forwards


def test_walking_moves_forwards_on_feet_that_stand_still():
    motion = sample_motion('walking', 500, 50.0, rng(), difficulty=0.0, style=Style())
    travel = motion.translation[-1] - motion.translation[0]
    assert 0.6 < travel[2] / 10_000 < 2.0  # 10 seconds, m/s
    assert abs(travel[0]) < 100
    balls = motion.landmarks(['LeftToeBase', 'RightToeBase'])
    flat = motion.landmarks(['left_heel', 'right_heel'])[..., 1] < 6
    on_ground = (flat & (balls[..., 1] < 6))[1:]
    speed = np.linalg.norm(np.diff(balls, axis=0), axis=-1) * 50  # mm/s
    assert np.median(speed[on_ground]) < 150


@pytest.mark.parametrize(
    ('name', 'hand', 'target', 'distance'),
    [('eat', 'index', 'mouth', 60), ('smoke', 'index', 'mouth', 60), ('phone', 'palm', 'ear', 80)],
)
@pytest.mark.parametrize('left_handed', [False, True])
def test_hand_reaches_the_head(name, hand, target, distance, left_handed):
    style = Style(left_handed=left_handed)
    motion = sample_motion(name, 500, 50.0, rng(), difficulty=0.0, style=style)
    side = 'left' if left_handed else 'right'
    points = motion.landmarks([f'{side}_{hand}', f'{side}_{target}'])
    assert np.linalg.norm(points[:, 0] - points[:, 1], axis=-1).min() < distance


@pytest.mark.parametrize('difficulty', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('name', PERIODIC)
def test_repetitions_are_ordered_inside_and_apart(name, difficulty):
    motion = sample_motion(name, 700, 30.0, rng(5), difficulty=difficulty)
    starts, ends = motion.repetitions.T
    assert motion.count == len(starts) > 0
    assert motion.repetitions.dtype.kind == 'i'
    assert (starts >= 0).all()
    assert (ends <= 700).all()
    assert (starts < ends).all()
    assert (starts[1:] >= ends[:-1]).all()


def test_only_periodic_actions_have_repetitions():
    assert len(PERIODIC) >= 15
    for name in sorted(set(ACTIONS) - set(PERIODIC)):
        assert sample_motion(name, 100, 30.0, rng()).count == 0


@pytest.mark.parametrize('difficulty', [0.0, 0.6])
def test_repetitions_are_what_can_be_seen(difficulty):
    """Counting the deep dips of the hips finds the repetitions, aborted squats left out."""
    for seed in range(5):
        motion = sample_motion('squat', 1200, 30.0, rng(seed), difficulty=difficulty)
        height = motion.translation[:, 1]
        deep = height < height.max() - 0.35 * np.ptp(height)
        dips = np.flatnonzero(np.diff(deep.astype(int)) == 1)
        assert len(dips) == motion.count
        inside = (dips[:, None] >= motion.repetitions[:, 0]) & (
            dips[:, None] < motion.repetitions[:, 1]
        )
        assert (inside.sum(axis=1) == 1).all()


def test_difficulty_zero_is_periodic():
    motion = sample_motion('squat', 1000, 50.0, rng(), difficulty=0.0, style=Style())
    lengths = np.diff(motion.repetitions, axis=1)
    assert np.ptp(lengths) <= 1
    first = motion.positions()[: 110 * 4].reshape(4, 110, 32, 3)  # 2.2 s each
    assert np.abs(first - first[:1]).max() < 1e-3


def test_difficulty_makes_repetitions_vary():
    def spread(difficulty):
        values = []
        for seed in range(4):
            motion = sample_motion(
                'squat', 800, 12.0, rng(seed), difficulty=difficulty, style=Style()
            )
            lengths = np.diff(motion.repetitions, axis=1)
            values.append(lengths.std() / lengths.mean())
        return np.mean(values)

    assert spread(0.0) < 0.02 < spread(0.4) < spread(1.0)


def test_sampling_is_reproducible_and_random():
    first = sample_motion('wave', 90, 30.0, rng(1), difficulty=0.7)
    again = sample_motion('wave', 90, 30.0, rng(1), difficulty=0.7)
    other = sample_motion('wave', 90, 30.0, rng(2), difficulty=0.7)
    np.testing.assert_array_equal(first.rotations, again.rotations)
    np.testing.assert_array_equal(first.translation, again.translation)
    assert np.abs(first.rotations - other.rotations).max() > 0.01


def test_elbows_and_knees_bend_one_way_only():
    for seed in range(4):
        points = sample_motion('punch', 200, 30.0, rng(seed), difficulty=1.0)
        rotations = [
            Rotation.from_rotvec(-points.rotations[:, figure.JOINT_INDEX[joint]])
            for joint in ('LeftForeArm', 'RightForeArm', 'LeftLeg', 'RightLeg')
        ]
        for rotation in rotations:
            assert rotation.as_euler('XZY', degrees=True)[:, 0].min() > -1e-6


def test_left_handed_motion_is_the_mirror_image():
    motions = [
        sample_motion('wave', 200, 30.0, rng(), difficulty=0.0, style=Style(left_handed=left))
        for left in (False, True)
    ]
    right, left = (
        motion.landmarks([f'{side}_palm', f'{side}_ear'])
        for motion, side in zip(motions, ('right', 'left'), strict=True)
    )
    np.testing.assert_allclose(right * (-1, 1, 1), left, atol=0.1)


def test_mix_moves_only_the_parts_of_a_layer():
    style = Style()
    mixed = sample_mix(
        (Layer('squat'), Layer('wave', parts=('right arm',))),
        300,
        30.0,
        rng(),
        difficulty=0.0,
        style=style,
    )
    alone = sample_motion('squat', 300, 30.0, rng(), difficulty=0.0, style=style)
    moved = np.abs(mixed.rotations - alone.rotations).max(axis=(0, 2)) > 1e-9
    assert {HUMAN36M.joint_names[joint] for joint in np.flatnonzero(moved)} <= {
        *('RightArm', 'RightForeArm', 'RightHand')
    }
    np.testing.assert_array_equal(mixed.repetitions, alone.repetitions)


def test_every_angle_belongs_to_a_part():
    sided = [name for name in CHANNELS if len(CHANNELS[name]) == 1]
    assert {part_of(name) for name in [*sided, 'lift', 'heading']} == set(PARTS)


def test_short_clips_have_no_repetitions():
    for num_frames in (1, 2, 5):
        motion = sample_motion('squat', num_frames, 30.0, rng())
        assert (motion.num_frames, motion.count) == (num_frames, 0)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'action': 'swim'}, "action 'swim' is not one of .*'walking'"),
        ({'num_frames': 0}, 'num_frames is 0'),
        ({'fps': -1.0}, 'fps is -1.0'),
        ({'difficulty': 1.5}, 'difficulty is 1.5'),
    ],
)
def test_bad_requests_are_refused(change, message):
    arguments = {'action': 'walking', 'num_frames': 10, 'fps': 30.0, 'rng': rng(), **change}
    with pytest.raises(ValueError, match=message):
        sample_motion(**arguments)


def test_bad_layers_and_actions_are_refused():
    with pytest.raises(ValueError, match=r"parts \['tail'\]"):
        Layer('walking', parts=('tail',))
    with pytest.raises(ValueError, match='layers is empty'):
        sample_mix((), 10, 30.0, rng())
    with pytest.raises(ValueError, match="kind 'dance'"):
        Action('x', 'dance', 1.0, keys=((0.5, {}),))
    with pytest.raises(ValueError, match='a gait takes curves'):
        Action('x', 'gait', 1.0, keys=((0.5, {}),))
    with pytest.raises(ValueError, match="angle 'kne flexion'"):
        Action('x', 'hold', 1.0, keys=((0.5, {'kne flexion': 1.0}),)).angles(np.zeros(2), rng())


def test_noise_has_unit_variance():
    noise = np.stack([smooth_noise(2000, 30.0, rng(seed)) for seed in range(40)])
    assert abs(noise.std() - 1) < 0.1
