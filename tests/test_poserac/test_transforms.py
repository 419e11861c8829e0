import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS

from projects.keypoints import LAYOUTS
from projects.poserac.poses import min_max_normalize
from projects.poserac.transforms import (
    FlipPoses,
    JitterPoses,
    NormalizePoses,
    PackPoses,
    RotatePoses,
)

PENN = LAYOUTS['penn']


@pytest.fixture(autouse=True)
def _seeded():
    np.random.seed(0)  # noqa: NPY002 - the transforms draw from it


def sequence(frames=6, dims=3):
    """Poses in pixels; the second is missing and the third lacks a keypoint."""
    poses = np.random.default_rng(1).normal(0, 100, (frames, 13, dims)).astype(np.float32)
    poses += np.float32([320, 240, 0][:dims])
    poses[1] = np.nan
    poses[2, 4] = np.nan
    return poses


def apply(transform, poses):
    before = poses.copy()
    result = transform(dict(poses=poses))['poses']
    np.testing.assert_array_equal(poses, before)  # a data set may share its array
    assert result.dtype == np.float32
    return result


@pytest.mark.parametrize('dims', [2, 3])
@pytest.mark.parametrize(
    'config',
    [
        dict(type='NormalizePoses'),
        dict(type='FlipPoses', layout='penn', prob=1.0),
        dict(type='RotatePoses'),
        dict(type='JitterPoses', std=0.1),
    ],
)
def test_missing_stays_missing(config, dims):
    transform = TRANSFORMS.build(config)
    poses = sequence(dims=dims)
    result = apply(transform, poses)
    assert not np.array_equal(result, poses, equal_nan=True)
    swapped = 3 if config['type'] == 'FlipPoses' else 4
    assert PENN.flip_indices[4] == 3
    missing = np.zeros(poses.shape, bool)
    missing[1] = True
    missing[2, swapped] = config['type'] != 'NormalizePoses'
    np.testing.assert_array_equal(np.isnan(result), missing)
    assert np.isnan(apply(transform, poses[1])).all()  # a single pose
    assert np.isfinite(apply(transform, poses[0])).all()


def test_normalize():
    poses = sequence()
    result = apply(NormalizePoses(), poses)
    np.testing.assert_array_equal(result, min_max_normalize(poses))
    assert result[2, 4].tolist() == [0.5] * 3


def test_flip_by_hand():
    layout = LAYOUTS['penn']
    pose = np.zeros((13, 2), np.float32)
    pose[:, 0] = 100  # all in a line, but the arms
    names = layout.joint_names
    pose[names.index('left_wrist')] = 160, 7
    pose[names.index('right_wrist')] = 60, 9
    result = apply(FlipPoses('penn', prob=1.0), pose)  # x becomes 60 + 160 - x
    assert result[names.index('right_wrist')].tolist() == [60, 7]
    assert result[names.index('left_wrist')].tolist() == [160, 9]
    assert result[names.index('head')].tolist() == [120, 0]


def test_flip_is_its_own_inverse_and_mirrors_normalised_poses():
    poses = sequence()
    flip = FlipPoses('penn', prob=1.0)
    mirrored = apply(flip, poses)
    np.testing.assert_allclose(apply(flip, mirrored), poses, rtol=1e-4)
    normalised = min_max_normalize(poses)[[0, 3, 4, 5]]
    expected = normalised[:, PENN.flip_indices]
    expected[..., 0] = 1 - expected[..., 0]
    result = min_max_normalize(mirrored)[[0, 3, 4, 5]]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_flip_happens_as_often_as_asked():
    poses = sequence()
    for prob, low, high in ((0.0, 0, 0), (0.3, 60, 120), (1.0, 300, 300)):
        flip = FlipPoses('penn', prob)
        results = [apply(flip, poses) for _ in range(300)]
        flipped = sum(not np.array_equal(result, poses, equal_nan=True) for result in results)
        assert low <= flipped <= high
    with pytest.raises(ValueError, match=r'prob is 1.5, expected a number from 0 to 1'):
        FlipPoses('penn', 1.5)
    with pytest.raises(ValueError, match="layout 'h36m' is not one of"):
        FlipPoses('h36m')
    with pytest.raises(
        ValueError, match=r'shape \(6, 13, 3\), expected \(..., 33, D\) .*blazepose'
    ):
        FlipPoses('blazepose')(dict(poses=poses))


def middle(pose):
    return (pose.min(axis=0) + pose.max(axis=0)) / 2


@pytest.mark.parametrize(('dims', 'limit'), [(3, 30), (2, 10)])
def test_rotation_turns_about_the_middle(dims, limit):
    pose = sequence(dims=dims)[0]
    plane = [0, 2] if dims == 3 else [0, 1]
    options = dict(max_angle=30, max_tilt=0) if dims == 3 else dict(max_tilt=10)
    angles = []
    for _ in range(200):
        result = apply(RotatePoses(**options), pose)
        if dims == 3:
            np.testing.assert_allclose(result[:, 1], pose[:, 1], atol=1e-3)  # heights stay
        before, after = ((p - middle(pose))[:, plane] @ [1, 1j] for p in (pose, result))
        turns = after / before  # a rotation multiplies every point by the same number
        np.testing.assert_allclose(turns, turns.mean(), atol=1e-3)
        np.testing.assert_allclose(abs(turns), 1, atol=1e-3)
        angles.append(np.degrees(np.angle(turns[0])))
    assert max(map(abs, angles)) <= limit + 0.01
    assert min(angles) < -0.8 * limit
    assert max(angles) > 0.8 * limit


def test_tilt_moves_what_is_upright_a_little():
    upright = np.zeros((13, 3), np.float32)
    upright[:, 1] = np.linspace(-1, 1, 13)
    leans = []
    for _ in range(300):
        result = apply(RotatePoses(max_angle=0, max_tilt=5), upright)
        distances = np.linalg.norm(result, axis=1)
        np.testing.assert_allclose(distances, abs(upright[:, 1]), atol=1e-5)
        leans.append(np.degrees(np.arcsin(result[-1, [0, 2]])))
    leans = np.array(leans)
    assert (abs(leans) <= 5.01).all()
    assert (leans.min(axis=0) < -4).all()  # to both sides, backwards and forwards
    assert (leans.max(axis=0) > 4).all()


def test_a_sequence_is_turned_by_one_angle():
    poses = np.repeat(sequence()[:1], 5, axis=0)
    poses += np.arange(5, dtype=np.float32)[:, None, None] * 50  # a person who walks
    result = apply(RotatePoses(), poses)
    steps = np.broadcast_to(np.arange(5)[:, None, None] * 50, result.shape)
    np.testing.assert_allclose(result - result[:1], steps, atol=1e-2)
    assert abs(result - poses).max() > 1
    for bad in (-1, 181):
        with pytest.raises(ValueError, match=f'max_angle is {bad}, expected degrees'):
            RotatePoses(max_angle=bad)
    with pytest.raises(ValueError, match='max_tilt is -2'):
        RotatePoses(max_tilt=-2)


def test_jitter_is_a_share_of_the_extent():
    pose = np.zeros((13, 3), np.float32)
    pose[1] = 200, 50, 0  # no extent in depth
    poses = np.repeat(pose[None], 4000, axis=0)
    noise = apply(JitterPoses(std=0.02), poses) - poses
    np.testing.assert_allclose(noise.std(axis=(0, 1)), [4, 1, 0], rtol=0.02)
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), 0, atol=0.1)
    np.testing.assert_array_equal(apply(JitterPoses(std=0), pose), pose)
    with pytest.raises(ValueError, match='std is -0.1, expected 0 or more'):
        JitterPoses(std=-0.1)


@pytest.mark.parametrize(
    'transform', [FlipPoses('penn'), RotatePoses(), JitterPoses()], ids=lambda t: type(t).__name__
)
def test_random_numbers_come_from_the_generator_that_workers_seed(transform):
    poses = sequence()

    def draw():
        np.random.seed(3)  # noqa: NPY002
        return [apply(transform, poses) for _ in range(8)]

    first, second = draw(), draw()
    np.testing.assert_array_equal(first, second)
    assert any(not np.array_equal(first[0], other, equal_nan=True) for other in first[1:])


def test_pack():
    poses = sequence()[:, ::-1].astype(np.float64)
    meta = dict(name='a')
    packed = PackPoses()(dict(poses=poses, label=3, state=1, meta=meta, sample_idx=7))
    assert set(packed) == {'poses', 'label', 'state', 'meta'}
    assert (packed['label'], packed['state'], packed['meta']) == (3, 1, meta)
    assert packed['poses'].dtype == torch.float32
    np.testing.assert_array_equal(packed['poses'].numpy(), poses.astype(np.float32))
    assert set(PackPoses()(dict(poses=poses, meta=meta))) == {'poses', 'meta'}
