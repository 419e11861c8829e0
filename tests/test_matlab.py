import numpy as np
import pytest
from scipy.io import savemat

from projects.matlab import read_mat


@pytest.fixture
def path(tmp_path):
    file = tmp_path / 'some.mat'
    savemat(file, dict(x=np.arange(600.0), y=np.ones(3)), do_compression=True)
    return file


def test_reads_what_is_asked_for(path):
    np.testing.assert_array_equal(read_mat(path)['x'].ravel(), np.arange(600))
    found = read_mat(path, ['y', 'z'])
    assert [name for name in found if not name.startswith('__')] == ['y']


@pytest.mark.parametrize('damage', ['cut', 'bits', 'text', 'new', 'empty'])
def test_damaged_files_are_named(path, damage):
    data = path.read_bytes()
    damaged = {
        'cut': data[: len(data) // 2],
        'bits': data[:160] + bytes(byte ^ 255 for byte in data[160:200]) + data[200:],
        'text': b'no MATLAB file at all, but long enough to look at its header' * 5,
        'new': data[:124] + b'\x00\x02' + data[126:],  # version 7.3 is HDF5
        'empty': b'',
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match='some.mat: no MATLAB file that can be read'):
        read_mat(path)
