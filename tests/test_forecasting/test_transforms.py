import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import TRANSFORMS

from projects.skeleton import CMU, HUMAN36M, flip_indices

NAMES = ('LeftFoot', 'RightFoot', 'Head', 'LThumbEnd', 'RThumbEnd')


def window(frames=6, seed=0):
    motion = np.random.default_rng(seed).normal(size=(frames, len(NAMES), 3)).astype(np.float32)
    return dict(motion=motion, flip_indices=np.array(flip_indices(NAMES)))


def apply(name, sample=None, **options):
    results = TRANSFORMS.build(dict(type=name, **options)).transform(sample or window())
    assert results['motion'].dtype == np.float32
    assert results['motion'].flags.c_contiguous
    return results['motion']


def test_names_of_the_other_side():
    assert flip_indices(NAMES) == [1, 0, 2, 4, 3]
    assert flip_indices(('left_hip', 'neck', 'right_hip', 'l_ear', 'r_ear')) == [2, 1, 0, 4, 3]
    assert flip_indices(('LeftHand', 'Lumbar', 'Root')) == [0, 1, 2]  # nobody on the other side


@pytest.mark.parametrize('skeleton', [HUMAN36M, CMU], ids=lambda skeleton: skeleton.name)
def test_sides_of_the_published_skeletons(skeleton):
    flipped = flip_indices(skeleton.joint_names)
    assert [flipped[joint] for joint in flipped] == list(range(skeleton.num_joints))
    rest = skeleton.forward_kinematics(np.zeros((1, skeleton.num_joints, 3)))[0]
    middle = [joint for joint in range(skeleton.num_joints) if flipped[joint] == joint]
    assert 5 < len(middle) < 10
    # the body at rest is its own mirror image, but for what was measured of a person
    np.testing.assert_allclose(rest[flipped] * [-1, 1, 1], rest, atol=40)


def test_mirror_by_hand():
    sample = window()
    motion = sample['motion'].copy()
    mirrored = apply('MirrorMotion', sample, prob=1.0)
    for frame in range(len(motion)):
        for joint, other in enumerate((1, 0, 2, 4, 3)):
            x, y, z = motion[frame, other]
            assert mirrored[frame, joint].tolist() == [-x, y, z]
    again = dict(sample, motion=mirrored)
    np.testing.assert_array_equal(apply('MirrorMotion', again, prob=1.0), motion)


def test_reverse():
    np.testing.assert_array_equal(apply('ReverseMotion', prob=1.0), window()['motion'][::-1])


@pytest.mark.parametrize('name', ['MirrorMotion', 'ReverseMotion'])
def test_share(name):
    transform = TRANSFORMS.build(dict(type=name, prob=0.25))
    np.random.seed(0)  # noqa: NPY002
    original = window()['motion']
    changed = [
        not np.array_equal(transform.transform(window())['motion'], original) for _ in range(400)
    ]
    assert 70 < sum(changed) < 130
    np.testing.assert_array_equal(apply(name, prob=0.0), original)


@given(seed=st.integers(0, 1000), angle=st.floats(0, 180))
def test_turn_keeps_heights_and_distances(seed, angle):
    np.random.seed(seed)  # noqa: NPY002
    before = window(seed=seed)['motion']
    after = apply('RotateMotion', window(seed=seed), max_angle=angle)
    np.testing.assert_array_equal(after[..., 1], before[..., 1])
    for motion, other in ((before, after),):
        lengths = [np.linalg.norm(m[:, 1:] - m[:, :-1], axis=-1) for m in (motion, other)]
        np.testing.assert_allclose(*lengths, atol=1e-5)
    # one angle for all frames and joints, within the range
    flat = [m[..., 0] + 1j * m[..., 2] for m in (before, after)]
    turns = np.angle(flat[1] / flat[0])
    np.testing.assert_allclose(turns, turns[0, 0], atol=1e-3)
    assert abs(np.rad2deg(turns[0, 0])) <= angle + 0.1


def test_turn_by_hand():
    np.random.seed(1)  # noqa: NPY002
    sample = dict(motion=np.array([[[1, 5, 0]]], dtype=np.float32))
    turned = apply('RotateMotion', sample, max_angle=180.0)[0, 0]
    assert turned[1] == 5
    assert np.hypot(turned[0], turned[2]) == pytest.approx(1)
    assert abs(turned[2]) > 0.01


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(type='MirrorMotion', prob=1.5), r'prob is 1\.5, expected a number from 0 to 1'),
        (dict(type='ReverseMotion', prob=-0.1), r'prob is -0\.1'),
        (dict(type='RotateMotion', max_angle=200), r'max_angle is 200, expected degrees'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(options)
