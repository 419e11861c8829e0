import numpy as np
import pytest

from projects.forecasting import motion_files
from projects.forecasting.motion_files import parse_motion, read_motion
from projects.skeleton import HUMAN36M
from tests.conftest import smooth_rotations, write_motion


@pytest.fixture
def motion(tmp_path):
    rng = np.random.default_rng(0)
    rotations = smooth_rotations(rng, 12, 32)
    path = tmp_path / 'S1' / 'walking_1.txt'
    write_motion(path, rotations, rng.normal(0, 1000, (12, 3)))
    return path, rotations


def test_global_motion_is_removed(motion, tmp_path):
    path, rotations = motion
    rotations[:, 0] = 0
    expected = HUMAN36M.forward_kinematics(rotations)
    np.testing.assert_allclose(read_motion(path, HUMAN36M, tmp_path), expected, atol=0.01)


def test_second_read_comes_from_the_cache(motion, tmp_path, monkeypatch):
    path, _ = motion
    first = read_motion(path, HUMAN36M, tmp_path / 'cache')
    moved = path.rename(tmp_path / 'elsewhere.txt')  # the content decides, not the name
    monkeypatch.setattr(motion_files, 'parse_motion', lambda *_: pytest.fail('parsed again'))
    np.testing.assert_array_equal(read_motion(moved, HUMAN36M, tmp_path / 'cache'), first)


def test_changed_file_is_read_anew(motion, tmp_path):
    path, rotations = motion
    before = read_motion(path, HUMAN36M, tmp_path / 'cache')
    write_motion(path, rotations[::-1])
    after = read_motion(path, HUMAN36M, tmp_path / 'cache')
    np.testing.assert_allclose(after, before[::-1], atol=0.01)


def test_damaged_cache_is_replaced(motion, tmp_path):
    path, _ = motion
    first = read_motion(path, HUMAN36M, tmp_path / 'cache')
    (cached,) = (tmp_path / 'cache').iterdir()
    cached.write_bytes(cached.read_bytes()[:200])
    np.testing.assert_array_equal(read_motion(path, HUMAN36M, tmp_path / 'cache'), first)
    np.testing.assert_array_equal(np.load(cached), first)


def test_cache_that_cannot_be_written_costs_only_time(motion, tmp_path):
    path, _ = motion
    (tmp_path / 'file').write_text('')
    positions = read_motion(path, HUMAN36M, tmp_path / 'file' / 'cache')
    assert positions.shape == (12, 32, 3)


def change(path, row, edit):
    lines = path.read_text().splitlines()
    lines[row] = edit(lines[row])
    path.write_text('\n'.join(lines))


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda line: line.rsplit(',', 1)[0], r'walking_1.txt:4: found 98 columns, expected 99'),
        (lambda line: line + ',0', r'walking_1.txt:4: found 100 columns, expected 99'),
        (lambda line: 'x' + line, r"walking_1.txt:4: column 1 holds 'x.*', expected a finite num"),
        (lambda line: line[: line.rindex(',')] + ',nan', r"txt:4: column 99 holds 'nan'"),
        (lambda line: line[: line.rindex(',')] + ',', r"txt:4: column 99 holds ''"),
        (lambda line: line.replace(',', ' '), r'walking_1.txt:4: found 1 columns, expected 99'),
    ],
)
def test_malformed_line_is_named(motion, tmp_path, edit, message):
    path, _ = motion
    change(path, 3, edit)
    with pytest.raises(ValueError, match=message):
        read_motion(path, HUMAN36M, tmp_path / 'cache')


def test_every_line_too_short_and_empty_file(motion):
    path, _ = motion
    with pytest.raises(ValueError, match=r'walking_1.txt:1: found 99 columns, expected 117'):
        parse_motion(path, 117)
    path.write_text('\n\n')
    with pytest.raises(ValueError, match=r'walking_1.txt: holds no frames'):
        parse_motion(path, 99)


def test_blank_lines_at_the_end_are_allowed(motion):
    path, _ = motion
    path.write_text(path.read_text() + '\n\n')
    assert parse_motion(path, 99).shape == (12, 99)
