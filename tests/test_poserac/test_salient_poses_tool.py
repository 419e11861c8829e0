import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from projects.keypoints import LAYOUTS
from projects.poserac.annotations import read_salient_poses
from tools.datasets import repcount_salient_poses as tool

BLAZEPOSE = LAYOUTS['blazepose']


def random_poses(*shape, seed):
    return np.random.default_rng(seed).normal(300, 100, shape).astype(np.float32)


@pytest.fixture
def root(tmp_path):
    """Two squats, a pull-up with two people, and a video whose poses are missing."""
    (tmp_path / 'annotation').mkdir()
    (tmp_path / 'annotation' / 'pose_train.csv').write_text(
        'type,name,count,L1,L2,L3,L4,person\n'
        'squat,a.mp4,2,0,3,5,8.0,\n'
        'squat,sub/b.mp4,1,2,40,41,3,\n'
        'pull_up,c.mp4,1,4,1,,,1\n'
        'pull_up,gone.mp4,1,4,1,,,\n'
    )
    folder = tmp_path / 'train_poses'
    (folder / 'sub').mkdir(parents=True)
    a = random_poses(10, 33, 3, seed=0)
    a[5] = np.nan  # nobody was seen
    a[8, 3] = np.nan
    np.save(folder / 'a.npy', a)
    b = random_poses(40, 99, seed=1)
    b[3] = 0
    np.save(folder / 'sub' / 'b.npy', b)
    np.save(folder / 'c.npy', random_poses(6, 2, 33, 3, seed=2))
    return tmp_path


def test_rows_are_the_frames_poses(root, capsys):
    tool.main([str(root)])
    found = read_salient_poses(root / 'annotation_pose' / 'train.csv', BLAZEPOSE)
    a, b, c = (np.load(root / 'train_poses' / f'{name}.npy') for name in ('a', 'sub/b', 'c'))
    expected = [a[0], a[3], a[8], b[2].reshape(33, 3), c[4, 1], c[1, 1]]
    np.testing.assert_array_equal(found.poses, expected)  # every digit of a float32
    assert found.states.tolist() == [0, 1, 1, 0, 0, 1]
    assert found.actions == ['squat'] * 4 + ['pull_up'] * 2
    assert found.groups == ['a.mp4'] * 3 + ['b.mp4'] + ['c.mp4'] * 2
    first = (root / 'annotation_pose' / 'train.csv').read_text().split(',')[0]
    assert first == 'train/squat/salient1/a.mp4/0.jpg'
    out = capsys.readouterr().out
    assert 'train_poses/gone.npy: no such file of poses' in out
    assert 'sub/b.mp4: has poses of 40 frames, but not of frames 40, 41 (from 0)' in out
    rows = [line.split() for line in out.replace('│', ' ').splitlines()]
    assert ['squat', '2', '2', '1', '1'] in rows
    assert ['pull_up', '1', '1', '0', '0'] in rows
    assert ['all', '3', '3', '1', '1'] in rows
    assert '2 problems' in out


def test_options(root):
    args = [str(root), '--dims', '2', '--poses', 'train_poses', '--out', 'flat/b.csv']
    tool.main(args)
    found = read_salient_poses(root / 'flat' / 'b.csv', BLAZEPOSE, dims=2)
    np.testing.assert_array_equal(found.poses[0], np.load(root / 'train_poses/a.npy')[0, :, :2])


def error_of(args, capsys):
    with pytest.raises(SystemExit) as stop:
        tool.main([str(arg) for arg in args])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_nothing_is_written_over_unasked(root, capsys):
    out = root / 'annotation_pose' / 'train.csv'
    out.parent.mkdir()
    out.write_text('mine')
    assert 'is there already: --overwrite' in error_of([root], capsys)
    assert out.read_text() == 'mine'
    tool.main([str(root), '--overwrite'])
    assert len(read_salient_poses(out, BLAZEPOSE)) == 6


def test_a_person_who_is_not_there_is_named(root, capsys):
    path = root / 'annotation' / 'pose_train.csv'
    path.write_text(path.read_text().replace('41,3,\n', '41,3,1\n'))
    tool.main([str(root)])
    assert 'sub/b.mp4: has poses of 1 people, but not of person 1' in capsys.readouterr().out


def test_bad_input_writes_nothing(root, capsys):
    annotation = root / 'annotation' / 'pose_train.csv'
    assert 'no such folder of pose arrays' in error_of([root, '--poses', 'nowhere'], capsys)
    text = annotation.read_text()
    annotation.write_text(text.replace('gone.mp4', '../../gone.mp4'))
    tool.main([str(root)])
    assert "'../../gone.mp4' is no path inside of" in capsys.readouterr().out
    annotation.write_text(text.replace('8.0', 'eight'))
    assert "field 'L4' is 'eight'" in error_of([root, '--overwrite'], capsys)
    annotation.write_text('type,name,L1,L2\nsquat,gone.mp4,1,2\n')
    message = error_of([root, '--out', 'none.csv'], capsys)
    assert 'no pose found of the 1 videos' in message
    assert 'gone.npy: no such file' in message
    assert not (root / 'none.csv').exists()
    annotation.unlink()
    assert 'no such file, expected the CSV file' in error_of([root, '--overwrite'], capsys)


def test_command_line():
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, root / 'tools/datasets/repcount_salient_poses.py', '--help']
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
    assert 'annotation/pose_train.csv' in out
