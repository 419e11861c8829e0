import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from projects.skeleton import CMU, HUMAN36M, SKELETONS


def slow_forward_kinematics(skeleton, rotations):
    """One frame, joint by joint; rotations by the matrix exponential. (J, 3) -> (J, 3)."""
    positions, world = [], []
    for joint, parent in enumerate(skeleton.parents):
        x, y, z = rotations[joint]
        local = expm(np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
        if parent < 0:
            positions.append(np.zeros(3))
            world.append(local)
        else:
            positions.append(positions[parent] + np.array(skeleton.offsets[joint]) @ world[parent])
            world.append(local @ world[parent])
    return np.array(positions)


@pytest.mark.parametrize('skeleton', SKELETONS.values(), ids=SKELETONS)
def test_forward_kinematics_equals_joint_by_joint(skeleton):
    rotations = np.random.default_rng(0).normal(0, 1, (3, skeleton.num_joints, 3))
    expected = np.stack([slow_forward_kinematics(skeleton, frame) for frame in rotations])
    np.testing.assert_allclose(skeleton.forward_kinematics(rotations), expected, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0, 3))
def test_bones_keep_their_length(seed, scale):
    rotations = np.random.default_rng(seed).normal(0, scale, (2, HUMAN36M.num_joints, 3))
    positions = HUMAN36M.forward_kinematics(rotations)
    for joint, parent in enumerate(HUMAN36M.parents):
        if parent >= 0:
            lengths = np.linalg.norm(positions[:, joint] - positions[:, parent], axis=-1)
            expected = np.linalg.norm(HUMAN36M.offsets[joint])
            np.testing.assert_allclose(lengths, expected, atol=1e-6)


def test_rest_pose():
    """Without rotations, the offsets just add up along the tree."""
    rotations = np.zeros((1, 32, 3))
    positions = HUMAN36M.forward_kinematics(rotations)[0]
    np.testing.assert_allclose(positions[3], [-132.948591, -442.894612 - 454.206447, 0], atol=1e-9)
    np.testing.assert_allclose(positions[15, 1], 0.1 + 233.383263 + 257.077681 + 236.137165)


@pytest.mark.parametrize('skeleton', SKELETONS.values(), ids=SKELETONS)
def test_every_joint_is_forecast_repeated_or_static(skeleton):
    rotations = np.random.default_rng(1).normal(0, 0.7, (5, skeleton.num_joints, 3))
    rotations[:, 0] = 0
    if skeleton is CMU:
        rotations[:, [1, 7]] = 0  # the hip joints' own maps are zero in the data
    positions = skeleton.forward_kinematics(rotations)
    for joint, other in skeleton.repeats.items():
        np.testing.assert_allclose(positions[:, joint], positions[:, other], atol=1e-9)
    for joint in skeleton.static_joints:
        assert np.ptp(positions[:, joint], axis=0).max() < 1e-9
    kinds = [*skeleton.forecast_joints, *skeleton.repeats, *skeleton.static_joints]
    assert sorted(kinds) == list(range(skeleton.num_joints))
    for joint in skeleton.forecast_joints:
        if joint not in (12, 13, 14, 15):  # along the spine some bones lie on the turning axis
            assert np.ptp(positions[:, joint], axis=0).max() > 1


def test_counts():
    assert (HUMAN36M.num_joints, HUMAN36M.num_columns, len(HUMAN36M.forecast_joints)) == (
        32,
        99,
        22,
    )
    assert (CMU.num_joints, CMU.num_columns, len(CMU.forecast_joints)) == (38, 117, 25)
    assert len(HUMAN36M.repeats) == 6
    assert HUMAN36M.static_joints == (0, 1, 6, 11)


def test_all_joint_weights_average_over_all_joints():
    errors = np.random.default_rng(2).uniform(1, 9, 22)
    full = np.zeros(32)  # joints that never move have no error
    full[list(HUMAN36M.forecast_joints)] = errors
    for joint, other in HUMAN36M.repeats.items():
        full[joint] = full[other]
    assert errors @ HUMAN36M.all_joint_weights() == pytest.approx(full.mean())


@pytest.mark.parametrize('skeleton', SKELETONS.values(), ids=SKELETONS)
def test_limbs_join_one_whole_figure(skeleton):
    drawn = len(skeleton.forecast_joints) + len(skeleton.static_joints)
    assert skeleton.static_positions().shape == (len(skeleton.static_joints), 3)
    reached = {drawn - 1}
    for _ in range(drawn):
        reached |= {j for limb in skeleton.limbs() for j in limb if reached & set(limb)}
    reached |= {len(skeleton.forecast_joints)}
    assert reached == set(range(drawn))


@pytest.mark.parametrize('skeleton', SKELETONS.values(), ids=SKELETONS)
def test_left_joints_lie_left_at_rest(skeleton):
    rest = skeleton.forward_kinematics(np.zeros((1, skeleton.num_joints, 3)))[0]
    left = {skeleton.forecast_joints[index] for index in skeleton.left_joints()}
    for joint in skeleton.forecast_joints:
        x = rest[joint, 0]
        if abs(x) > 100:  # away from the middle line
            assert (joint in left) == (x > 0)


def test_wrong_number_of_joints():
    with pytest.raises(ValueError, match=r'human36m.*\(2, 38, 3\).*\(T, 32, 3\)'):
        HUMAN36M.forward_kinematics(np.zeros((2, 38, 3)))
