"""The Human3.6M text files: format, content, reproducibility."""

import re

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from projects.skeleton import HUMAN36M
from projects.synthetic.human36m import (
    ACTION_NAMES,
    SUBJECTS,
    human36m_motion,
    write_human36m,
)
from tools.datasets import make_synthetic

QUICK = {'actions': ('walking', 'posing'), 'subjects': (1, 11), 'num_frames': 60}


@pytest.mark.parametrize('action', ACTION_NAMES)
def test_positions_come_back_through_file_and_forward_kinematics(tmp_path, action):
    (path,) = write_human36m(
        tmp_path, actions=[action], subjects=[9], trials=[2], num_frames=150, difficulty=1.0
    )
    table = np.loadtxt(path, delimiter=',')
    motion = human36m_motion(9, action, 2, num_frames=150, difficulty=1.0)
    world = motion.positions()
    np.testing.assert_allclose(table[:, :3], world[:, 0], atol=1e-5)

    maps = table[:, 3:].reshape(-1, 32, 3)
    found = HUMAN36M.forward_kinematics(maps)
    assert np.abs(found - (world - world[:, :1])).max() < 0.01  # mm

    # without global rotation and translation, as forecasting uses it
    local = maps.copy()
    local[:, 0] = 0
    found = HUMAN36M.forward_kinematics(local)
    root = Rotation.from_rotvec(-motion.rotations[:, 0])
    expected = np.stack(
        [root.inv().apply(world[:, joint] - world[:, 0]) for joint in range(32)], axis=1
    )
    assert np.abs(found - expected).max() < 0.01  # mm
    assert np.abs(expected[1:] - expected[:-1]).max() > 0  # it moves


def test_format(tmp_path):
    paths = write_human36m(tmp_path, **QUICK)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.*'))
    assert names == sorted(
        f'dataset/S{subject}/{action}_{trial}.txt'
        for subject in (1, 11)
        for action in ('walking', 'posing')
        for trial in (1, 2)
    )
    assert sorted(paths) == sorted(tmp_path / name for name in names)
    lines = paths[0].read_text().split('\n')
    assert lines.pop() == ''
    assert len(lines) == 60
    for line in lines:
        columns = line.split(',')
        assert len(columns) == 99
        assert all(re.fullmatch(r'-?\d+\.\d{7}', column) for column in columns)
        assert '-0.0000000' not in columns


def test_end_joints_keep_still_and_repeats_hold():
    motion = human36m_motion(1, 'discussion', 1, num_frames=50)
    found = HUMAN36M.forward_kinematics(motion.rotations)
    for joint, other in HUMAN36M.repeats.items():
        np.testing.assert_array_equal(found[:, joint], found[:, other])
    ends = set(range(32)) - set(HUMAN36M.parents)
    assert np.abs(motion.rotations[:, sorted(ends)]).max() == 0


def test_a_subset_is_the_same_as_all_of_it(tmp_path):
    whole = write_human36m(tmp_path / 'whole', **QUICK)
    (part,) = write_human36m(
        tmp_path / 'part', actions=('posing',), subjects=(11,), trials=(2,), num_frames=60
    )
    (same,) = [path for path in whole if path.name == part.name and path.parent.name == 'S11']
    assert part.read_bytes() == same.read_bytes()


def test_the_seed_decides(tmp_path):
    texts = [
        [path.read_bytes() for path in write_human36m(tmp_path / str(run), seed=seed, **QUICK)]
        for run, seed in enumerate((0, 0, 1))
    ]
    assert texts[0] == texts[1]
    assert not set(texts[0]) & set(texts[2])
    assert len(set(texts[0])) == len(texts[0])


@pytest.mark.parametrize('action', ACTION_NAMES)
def test_every_action_moves_and_subjects_differ(action):
    motions = [human36m_motion(subject, action, 1, num_frames=200) for subject in SUBJECTS[:2]]
    for motion in motions:
        maps = motion.rotations.copy()
        maps[:, 0] = 0
        local = HUMAN36M.forward_kinematics(maps)
        assert np.linalg.norm(np.ptp(local, axis=0), axis=-1).max() > 30
    assert np.abs(motions[0].rotations - motions[1].rotations).max() > 0.01


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'actions': ('swimming',)}, "actions: 'swimming' is not one of .*'walking'"),
        ({'actions': ()}, 'actions is empty'),
        ({'subjects': (2,)}, 'subjects: 2 is not one of'),
        ({'trials': (3,)}, 'trials: 3 is not one of'),
        ({'num_frames': 0}, 'num_frames is 0'),
        ({'difficulty': -0.1}, 'difficulty is -0.1'),
        ({'seed': -1}, 'seed is -1'),
    ],
)
def test_bad_requests_write_nothing(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_human36m(tmp_path, **{**QUICK, **change})
    assert not list(tmp_path.iterdir())


def test_failed_writing_leaves_no_half_file(tmp_path, monkeypatch):
    def fails(source, target):
        raise OSError('disk full')

    monkeypatch.setattr('os.replace', fails)
    with pytest.raises(OSError, match='disk full'):
        write_human36m(tmp_path, **QUICK)
    assert not [path for path in tmp_path.rglob('*') if path.is_file()]


def test_command_writes_and_says_where(tmp_path, capsys):
    make_synthetic.main(
        f'human36m --out {tmp_path} --actions walking eating --subjects 5 --num-frames 20'.split()
    )
    assert len(list(tmp_path.glob('dataset/S5/*.txt'))) == 4
    assert f'{tmp_path}/dataset' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('--actions swimming', 'walkingtogether'),
        ('--subjects 2', '11'),
        ('--num-frames 0', '--num-frames is 0'),
        ('--difficulty 2', '--difficulty is 2.0'),
        ('--seed -1', '--seed is -1'),
    ],
)
def test_command_refuses_bad_options(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        make_synthetic.main(f'human36m --out {tmp_path / "x"} {options}'.split())
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
