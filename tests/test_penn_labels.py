"""Reading Penn Action's label files."""

import numpy as np
import pytest
from scipy.io import savemat

from projects.penn_labels import known_joints, read_labels


def fields(frames=4, **changes):
    x = np.arange(frames * 13, dtype=np.uint16).reshape(frames, 13)
    return {
        'action': 'squat',
        'x': x,
        'y': x + 1,
        'visibility': np.ones((frames, 13), np.uint8),
        'bbox': np.ones((frames, 4), np.uint8),
        'dimensions': np.array([[270, 480, frames]], np.uint16),
        **changes,
    }


def test_which_joints_are_known():
    x = np.array([[1.0, 2 / 3, 1.0, 50.0, 1.0, np.nan, 30.0]])
    y = np.array([[1.0, 2 / 3, 40.0, 60.0, 1.0, 1.0, 30.0]])
    visible = np.array([[False, False, False, False, True, False, False]])
    expected = [[False, False, True, True, True, False, True]]
    assert known_joints(x, y, visible).tolist() == expected


def test_integers_as_published_are_read(tmp_path):
    savemat(tmp_path / 'whole.mat', fields())
    found = read_labels(tmp_path / 'whole.mat')
    assert [found[name].dtype for name in ('x', 'y', 'bbox')] == [np.float64] * 3
    assert found['visibility'].dtype == bool
    np.testing.assert_array_equal(found['y'] - found['x'], np.ones((4, 13)))


def test_boxes_may_be_a_row_short(tmp_path):
    """As in two published files."""
    savemat(tmp_path / 'short.mat', fields(bbox=np.ones((3, 4))))
    found = read_labels(tmp_path / 'short.mat')
    assert found['x'].shape == (4, 13)
    assert found['bbox'].shape == (3, 4)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'y': np.zeros((3, 13))},
            r"field 'y' is .* \(3, 13\), expected .*\(4, 13\)",
        ),
        ({'x': 'all'}, "field 'x'"),
        ({'dimensions': np.zeros((1, 2))}, r"field 'dimensions' is float64 of shape \(1, 2\)"),
    ],
)
def test_bad_fields_are_named(tmp_path, change, message):
    savemat(tmp_path / '0001.mat', fields(**change))
    with pytest.raises(ValueError, match=rf'0001\.mat: {message}'):
        read_labels(tmp_path / '0001.mat')


def test_no_matlab_file(tmp_path):
    path = tmp_path / '0001.mat'
    with pytest.raises(FileNotFoundError, match='no such file'):
        read_labels(path)
    path.write_bytes(b'not a MATLAB file' * 20)
    with pytest.raises(ValueError, match=r'0001\.mat: no MATLAB file'):
        read_labels(path)
