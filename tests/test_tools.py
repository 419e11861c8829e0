"""The launchers' command lines, and the options that need no training to be seen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def echo_path(tmp_path):
    """A folder with programs that print their arguments, one a line, instead of doing anything."""
    for name in ('srun', 'fake-python'):
        (tmp_path / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (tmp_path / name).chmod(0o755)
    return tmp_path


def arguments_of(script, *arguments, echo_path, **environment):
    path = f'{echo_path}{os.pathsep}{os.environ["PATH"]}'
    result = subprocess.run(
        ['bash', ROOT / 'tools' / script, *arguments],
        env={**os.environ, 'PATH': path, 'PYTHON': 'fake-python', **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


def after(words, first):
    return words[words.index(first) + 1 :]


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [('slurm_train.sh', ['c.py']), ('slurm_test.sh', ['c.py', 'w.pth'])],
)
def test_slurm_scripts(echo_path, script, arguments):
    words = arguments_of(
        *(script, 'part', 'job', *arguments, '--cfg-options', 'a=b c'),
        echo_path=echo_path,
        GPUS='4',
        SRUN_ARGS='--time 1:00 --mem=8G',
    )
    for word in ('--job-name=job', '--ntasks=4', '--ntasks-per-node=4', '--gres=gpu:4', '--mem=8G'):
        assert word in words
    tool = next(word for word in words if word.endswith(f'{script[6:-3]}.py'))
    assert after(words, tool) == [*arguments, '--launcher', 'slurm', '--cfg-options', 'a=b c']


def test_slurm_on_several_nodes(echo_path):
    words = arguments_of('slurm_train.sh', 'p', 'j', 'c.py', echo_path=echo_path, GPUS='16')
    assert '--ntasks=16' in words
    assert '--ntasks-per-node=8' in words


@pytest.mark.parametrize(
    ('script', 'arguments'), [('dist_train.sh', ['c.py']), ('dist_test.sh', ['c.py', 'w.pth'])]
)
def test_dist_scripts(echo_path, script, arguments):
    words = arguments_of(
        *(script, *arguments, '8', '--work-dir', 'a b'),
        echo_path=echo_path,
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='10.0.0.1',
        PORT='29501',
    )
    assert words[:2] == ['-m', 'torch.distributed.run']
    for word in (
        *('--nnodes=2', '--node_rank=1', '--nproc_per_node=8'),
        *('--master_addr=10.0.0.1', '--master_port=29501'),
    ):
        assert word in words
    tool = str(next(word for word in words if word.endswith('.py')))
    assert after(words, tool) == [*arguments, '--launcher', 'pytorch', '--work-dir', 'a b']


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh']
)
def test_scripts_say_how_they_are_used(script):
    result = subprocess.run(
        ['bash', ROOT / 'tools' / script], capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert f'usage: {script} ' in result.stderr


@pytest.mark.parametrize('tool', ['train.py', 'test.py', 'demo.py', 'quick_demo.py'])
def test_tools_have_help(tool):
    command = [sys.executable, ROOT / 'tools' / tool, '--help']
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert out.startswith('usage:')
