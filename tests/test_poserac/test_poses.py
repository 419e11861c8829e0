import io
import warnings

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from projects.keypoints import LAYOUTS
from projects.poserac.poses import (
    min_max_normalize,
    missing_poses,
    pose_bounds,
    pose_file_size,
    read_poses,
)

PENN = LAYOUTS['penn']  # J = 13
NAN = np.nan

shapes = st.builds(
    lambda batch, joints, dims: (*batch, joints, dims),
    array_shapes(min_dims=0, max_dims=2, max_side=4),
    st.integers(1, 6),
    st.integers(2, 3),
)
coordinates = st.one_of(
    st.floats(-1000, 1000, width=32),
    st.floats(width=32),  # with NaN, infinite, huge and tiny ones
    st.sampled_from([0.0, 1.0, NAN]),  # so that axes are flat and keypoints missing
)
pose_arrays = arrays(np.float32, shapes, elements=coordinates)


def slow_normalize(pose):
    """One pose, axis by axis, as the original writes it, and what is added about missing ones."""
    pose = pose.astype(np.float64)
    seen = [joint for joint in range(len(pose)) if all(np.isfinite(pose[joint]))]
    result = np.full(pose.shape, NAN)
    for axis in range(pose.shape[1]) if seen else ():
        values = [pose[joint, axis] for joint in seen]
        low, high = min(values), max(values)
        for joint in range(len(pose)):
            if low == high:
                result[joint, axis] = 0
            elif joint in seen:
                result[joint, axis] = (pose[joint, axis] - low) / (high - low)
            else:
                result[joint, axis] = 0.5
    return result.astype(np.float32)


@given(pose_arrays)
@example(np.array([[3.4e38, 0], [-3.4e38, 1]], np.float32))
def test_normalize_equals_the_loop(poses):
    before = poses.copy()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        result = min_max_normalize(poses)
    np.testing.assert_array_equal(poses, before)
    assert result.dtype == np.float32
    assert result.shape == poses.shape
    flat = poses.reshape(-1, *poses.shape[-2:])
    expected = np.stack([slow_normalize(pose) for pose in flat]).reshape(poses.shape)
    np.testing.assert_array_equal(result, expected)


@given(pose_arrays)
def test_normalized_range_and_idempotence(poses):
    result = min_max_normalize(poses)
    missing = missing_poses(poses)
    assert missing.shape == poses.shape[:-2]
    assert np.isnan(result[missing]).all()
    there = result[~missing]
    assert ((there >= 0) & (there <= 1)).all()
    # from 0 to 1 on every axis, but where there is no extent
    low, high = pose_bounds(poses)
    extent = (high - low)[~missing][:, 0] > 0
    np.testing.assert_array_equal(there.min(axis=1), 0)
    np.testing.assert_array_equal(there.max(axis=1), extent.astype(np.float32))
    np.testing.assert_array_equal(min_max_normalize(result), result)


@given(
    arrays(np.float64, (4, 5, 3), elements=st.floats(-1000, 1000).map(lambda x: round(x, 2))),
    arrays(np.float64, 3, elements=st.floats(0.01, 100)),
    arrays(np.float64, 3, elements=st.floats(-1000, 1000)),
)
def test_scale_and_shift_of_an_axis_change_nothing(poses, scale, shift):
    poses[0, 0] = NAN
    moved = poses * scale + shift
    # rounding may give a flat axis, or one that is nearly so, an extent
    keep = (np.ptp(poses[:, 1:], axis=1) > 1)[:, None]
    first, second = (min_max_normalize(p) for p in (poses, moved))
    np.testing.assert_allclose(np.where(keep, first, 0), np.where(keep, second, 0), atol=1e-6)


def test_normalize_by_hand():
    pose = np.array([[10, 7, -1], [30, 7, 0], [15, 7, 3], [NAN, 7, 0], [NAN] * 3])
    expected = [[0, 0, 0], [1, 0, 0.25], [0.25, 0, 1], [0.5, 0, 0.5], [0.5, 0, 0.5]]
    np.testing.assert_array_equal(min_max_normalize(pose), np.float32(expected))
    integers = np.array([[[2, 4], [4, 8]]])
    np.testing.assert_array_equal(min_max_normalize(integers), [[[0, 0], [1, 1]]])


def test_missing_poses_and_bounds_by_hand():
    poses = np.array([[[1, 2], [3, NAN]], [[NAN, 2], [np.inf, 0]], [[5, 6], [0, 9]]])
    np.testing.assert_array_equal(missing_poses(poses), [False, True, False])
    low, high = pose_bounds(poses)
    np.testing.assert_array_equal(low, [[[1, 2]], [[NAN, NAN]], [[0, 6]]])
    np.testing.assert_array_equal(high, [[[1, 2]], [[NAN, NAN]], [[5, 9]]])
    assert missing_poses(np.zeros((0, 13, 3))).shape == (0,)


def random_poses(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 100, shape).astype(np.float32)


@pytest.mark.parametrize('shape', [(5, 13, 3), (5, 39), (5, 1, 13, 3)])
@pytest.mark.parametrize('dtype', [np.float32, np.float64, np.float16, np.int32])
def test_read_poses_takes_every_form(tmp_path, shape, dtype):
    poses = random_poses(5, 1, 13, 3).astype(dtype)
    poses[2] = 0  # the original's way to write that there is no pose
    poses[3, 0, 1:] = 0  # a pose of which one keypoint is not zero
    np.save(tmp_path / 'a.npy', poses.reshape(shape))
    expected = poses.astype(np.float32)
    expected[2] = NAN
    for dims in (3, 2):
        result = read_poses(tmp_path / 'a.npy', PENN, dims)
        assert result.dtype == np.float32
        assert result.flags.c_contiguous
        np.testing.assert_array_equal(result, expected[..., :dims])
        assert pose_file_size(tmp_path / 'a.npy', PENN, dims) == (5, 1)


def test_read_poses_of_several_people_and_two_coordinates(tmp_path):
    poses = random_poses(4, 3, 13, 2)
    poses[1, 2] = 0
    poses[0, 0, 5, 1] = np.inf
    np.save(tmp_path / 'a.npy', poses)
    result = read_poses(tmp_path / 'a.npy', PENN, dims=2)
    np.testing.assert_array_equal(missing_poses(result), np.arange(12).reshape(4, 3) == 5)
    assert np.isnan(result[0, 0, 5, 1])
    poses[1, 2] = poses[0, 0, 5, 1] = NAN
    np.testing.assert_array_equal(result, poses)
    assert pose_file_size(tmp_path / 'a.npy', PENN, dims=2) == (4, 3)
    with pytest.raises(ValueError, match=r'a.npy: has shape \(4, 3, 13, 2\).*J = 13.*D = 3'):
        read_poses(tmp_path / 'a.npy', PENN, dims=3)


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def archive():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize('read', [read_poses, pose_file_size])
@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is no array'),
        (b'no numpy', 'is no array'),
        (saved(random_poses(5, 13, 3))[:-7], 'is no array'),
        (saved(random_poses(5, 13, 3))[:40], 'is no array'),
        (saved(np.array([dict(a=1)], dtype=object)), 'is no array'),
        (archive(), 'is an archive'),
        (saved(np.zeros((5, 13, 3), complex)), 'holds complex128, expected numbers'),
        (saved(np.zeros((5, 13, 3), bool)), 'holds bool, expected numbers'),
        (saved(random_poses(5, 17, 3)), r'has shape \(5, 17, 3\), expected .*13 .*penn'),
        (saved(random_poses(39)), r'has shape \(39,\)'),
        (saved(np.float32(3)), r'has shape \(\)'),
        (saved(random_poses(5, 40)), r'has shape \(5, 40\)'),
        (saved(random_poses(5, 2, 13, 4)), r'has shape \(5, 2, 13, 4\)'),
        (saved(random_poses(2, 5, 2, 13, 3)), r'has shape \(2, 5, 2, 13, 3\)'),
    ],
)
def test_bad_files_are_named(tmp_path, read, content, message):
    (tmp_path / 'bad.npy').write_bytes(content)
    with pytest.raises(ValueError, match=rf'bad\.npy: {message}'):
        read(tmp_path / 'bad.npy', PENN)


def test_no_frames(tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros((0, 13, 3)))
    with pytest.raises(ValueError, match=r'a.npy: holds no frames, its shape is \(0, 13, 3\)'):
        read_poses(tmp_path / 'a.npy', PENN)
    with pytest.raises(ValueError, match=r'a\.npy: '):  # an empty array cannot be mapped
        pose_file_size(tmp_path / 'a.npy', PENN)


def test_missing_file_and_dims(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'a\.npy: no such file of poses'):
        read_poses(tmp_path / 'a.npy', PENN)
    np.save(tmp_path / 'a.npy', random_poses(5, 13, 3))
    with pytest.raises(ValueError, match='dims is 4, expected 2 or 3'):
        read_poses(tmp_path / 'a.npy', PENN, dims=4)
