"""The set-up's logic: stamps, repair, checks and hints, without network and without installing."""

import ast
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


sys.path.insert(0, str(ROOT / 'tools'))
import setup_checks  # noqa: E402
import setup_commands  # noqa: E402
import setup_env  # noqa: E402
import setup_inspect  # noqa: E402

sys.path.remove(str(ROOT / 'tools'))  # it holds a test.py, which is also a name of the stdlib


@pytest.fixture
def repository(tmp_path):
    """A copy of what the set-up reads."""
    root = tmp_path / 'repository'
    shutil.copytree(ROOT / 'requirements', root / 'requirements')
    shutil.copy(ROOT / 'setup.py', root)
    return root


class Recorder(setup_env.Setup):
    """A set-up that makes a bare environment and writes down its steps instead of doing them.

    Args:
        root: The repository.
        fail_at: Name of a step that dies as on SIGKILL: without any cleaning up.
    """

    def __init__(self, root, fail_at=None):
        super().__init__(root)
        self.did = []
        self.installing = [
            step._replace(action=lambda step=step: self._do(step.name, fail_at))
            for step in self.installing
        ]

    def _do(self, name, fail_at):
        if name == fail_at:
            raise SystemExit(137)
        self.did.append(name)

    def check_machine(self):
        """Leaves the machine's compiler and disk out."""

    def _make_environment(self):
        shutil.rmtree(self.venv, ignore_errors=True)
        (self.venv / 'bin').mkdir(parents=True)
        self.site_packages.mkdir(parents=True)
        self.python.symlink_to(setup_checks.base_python())
        self.state.mkdir()
        self.running.touch()
        made = {
            'version': list(sys.version_info[:2]),
            'real': os.path.realpath(self.python),
            'at': str(self.venv),
        }
        self.write(self.state / 'venv.json', json.dumps(made))
        self.did.append('environment')

    @property
    def site_packages(self):
        version = '.'.join(map(str, sys.version_info[:2]))
        return self.venv / 'lib' / f'python{version}' / 'site-packages'

    def go(self):
        self.did.clear()
        self.run()
        return list(self.did)


ALL = ['environment', 'build tools', 'runtime', 'torch', 'hosts', 'mmcv', 'project', 'imports']


def test_first_run_does_every_step_and_the_second_none(repository, capsys):
    assert Recorder(repository).go() == ALL
    assert Recorder(repository).go() == []
    assert 'up to date' in capsys.readouterr().out


def test_second_run_starts_at_once(repository):
    Recorder(repository).go()
    script = repository / 'tools' / 'setup_env.py'
    script.parent.mkdir()
    for file in (ROOT / 'tools').glob('setup_*.py'):
        shutil.copy(file, script.parent)
    environ = {key: value for key, value in os.environ.items() if key != 'MMKINESIS_PYTHON'}
    started = time.monotonic()
    # The interpreter in .venv can do nothing but be there: no pip, no packages.
    done = subprocess.run(
        [sys.executable, script], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert time.monotonic() - started < 2


def test_changed_requirement_repeats_its_step_and_those_after(repository):
    Recorder(repository).go()
    file = repository / 'requirements' / 'hosts.txt'
    file.write_text(file.read_text().replace('mmpose==1.3.2', 'mmpose==1.3.1'))
    assert Recorder(repository).go() == ['hosts', 'mmcv', 'project', 'imports']


def test_changed_comment_repeats_nothing(repository):
    Recorder(repository).go()
    file = repository / 'requirements' / 'torch.txt'
    file.write_text('# another word\n\n' + file.read_text())
    assert Recorder(repository).go() == []


@pytest.mark.parametrize('step', ALL[1:])
def test_killed_run_goes_on_where_it_stopped(repository, step):
    with pytest.raises(SystemExit):
        Recorder(repository, fail_at=step).go()
    again = Recorder(repository)
    again.command = lambda *arguments, **options: (0, [])  # `pip --version` works
    assert again.go() == ALL[ALL.index(step) :]
    assert not again.running.exists()


def test_environment_without_pip_is_made_again(repository, capsys):
    with pytest.raises(SystemExit):
        Recorder(repository, fail_at='build tools').go()
    # This environment is bare, so its `python -m pip` truly fails.
    again = Recorder(repository)
    (again.venv / 'pyvenv.cfg').write_text(
        f'home = {Path(setup_checks.base_python()).parent}\ninclude-system-site-packages = false\n'
    )
    assert again.go() == ALL
    assert 'pip is broken' in capsys.readouterr().out


@pytest.mark.parametrize('damage', ['no python', 'half a record', 'no record', 'other python'])
def test_damaged_environment_is_made_again(repository, damage):
    setup = Recorder(repository)
    setup.go()
    made = setup.state / 'venv.json'
    if damage == 'no python':
        setup.python.unlink()
    elif damage == 'half a record':
        made.write_text(made.read_text()[:9])
    elif damage == 'no record':
        made.unlink()
    else:  # what an upgrade of the system leaves behind: the link leads to another version
        setup.python.unlink()
        setup.python.symlink_to(shutil.which('sh'))
    assert Recorder(repository).go() == ALL


def test_moved_repository_gets_a_new_environment(repository):
    Recorder(repository).go()
    moved = repository.with_name('moved')
    repository.rename(moved)
    assert Recorder(moved).go() == ALL


def distribution(site_packages, name, record=True):
    """A small installed package of one module; returns the module."""
    info = site_packages / f'{name}-1.0.dist-info'
    info.mkdir()
    module = site_packages / f'{name}.py'
    module.write_text('x = 1\n')
    if record:
        (info / 'RECORD').write_text(
            f'{name}.py,sha256=abc,6\n'
            f'__pycache__/{name}.pyc,sha256=abc,999\n'  # not there: Python makes these anew
            f'{name}-1.0.dist-info/RECORD,,\n'
        )
    return module


def test_broken_distributions(tmp_path):
    distribution(tmp_path, 'whole')
    distribution(tmp_path, 'killed_while_installed', record=False)
    distribution(tmp_path, 'cut_short').write_text('x')
    distribution(tmp_path, 'file_lost').unlink()
    names = [info.name for info in setup_checks.broken_distributions(tmp_path)]
    assert names == [
        'cut_short-1.0.dist-info',
        'file_lost-1.0.dist-info',
        'killed_while_installed-1.0.dist-info',
    ]


def test_half_installed_package_is_installed_again(repository):
    setup = Recorder(repository, fail_at='hosts')
    with pytest.raises(SystemExit):
        setup.go()
    distribution(setup.site_packages, 'whole')
    distribution(setup.site_packages, 'numpy', record=False)
    (setup.site_packages / '~umpy').mkdir()
    again = Recorder(repository)
    again.command = lambda *arguments, **options: (0, [])
    assert again.go() == ALL[1:]  # numpy came with an earlier step than the one that was killed
    assert sorted(path.name for path in setup.site_packages.glob('*-1.0.dist-info')) == [
        'whole-1.0.dist-info'
    ]
    assert not (setup.site_packages / '~umpy').exists()


def test_foreign_environment_is_left_alone(repository):
    foreign = repository / '.venv' / 'lib' / 'precious'
    foreign.mkdir(parents=True)
    with pytest.raises(setup_checks.SetupError) as caught:
        setup_env.Setup(repository).run()
    assert 'was not made by this set-up' in caught.value.why
    assert 'MMKINESIS_PYTHON=' in caught.value.hint
    assert foreign.is_dir()


def test_everything_missing_is_named_at_once(repository, monkeypatch, tmp_path):
    real = setup_checks.importlib.util.find_spec
    monkeypatch.setattr(
        setup_checks.importlib.util, 'find_spec', lambda n: None if n == 'ensurepip' else real(n)
    )
    monkeypatch.setattr(setup_env, 'DISK_GB', {'torch': 1e9})
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CC', raising=False)
    monkeypatch.delenv('CXX', raising=False)
    with pytest.raises(setup_checks.SetupError) as caught:
        setup_env.Setup(repository).run()
    version = f'python{sys.version_info[0]}.{sys.version_info[1]}'
    assert caught.value.what == 'checks'
    assert 'no compiler c++' in caught.value.why
    assert '1000000000 GB are needed' in caught.value.why
    assert f'sudo apt install {version}-venv g++;' in caught.value.hint
    assert not (repository / '.venv').exists()


def test_check_compiler(monkeypatch, tmp_path):
    monkeypatch.delenv('CC', raising=False)
    monkeypatch.delenv('CXX', raising=False)
    monkeypatch.setenv('PATH', str(tmp_path))
    assert setup_checks.check_compiler('cc').apt == ('g++',)
    for name in ('c++', 'cc'):
        program = tmp_path / name
        program.write_text('#!/bin/sh\n')
        program.chmod(0o755)
    assert setup_checks.check_compiler('cc') is None
    monkeypatch.setenv('CXX', 'clang++ -v')
    assert 'clang++' in setup_checks.check_compiler('cc').why


def test_check_headers(tmp_path):
    problem = setup_checks.check_headers(tmp_path, (3, 12))
    assert str(tmp_path / 'Python.h') in problem.why
    assert problem.apt == ('python3.12-dev',)
    (tmp_path / 'Python.h').touch()
    assert setup_checks.check_headers(tmp_path, (3, 12)) is None


@pytest.mark.parametrize(
    ('version', 'good'),
    [((3, 9), False), ((3, 10), True), ((3, 11, 7), True), ((3, 13), True), ((3, 14), False)],
)
def test_check_python(version, good):
    problem = setup_checks.check_python(version)
    assert (problem is None) is good
    if problem:
        assert f'Python 3.{version[1]},' in problem.why


def test_python_too_old_is_told_so():
    """The script itself must run, at least to its message, on the Pythons that it turns away."""
    for script in (ROOT / 'tools').glob('setup_*.py'):
        ast.parse(script.read_text('utf-8'), feature_version=(3, 8))


@pytest.mark.parametrize(
    ('version', 'numbers'),
    [
        ('2.11.0+cu130', (2, 11)),
        ('2.2.0rc1', (2, 2)),
        ('3.3.0', (3, 3)),
        ('2026.9', (2026, 9)),
        ('0', (0,)),
    ],
)
def test_release(version, numbers):
    assert setup_checks.release(version) == numbers


@pytest.mark.parametrize(
    ('version', 'version_range', 'good'),
    [
        ('2.1.0', '>=2.0.0,<2.2.0', True),
        ('2.2.0', '>=2.0.0,<2.2.0', False),
        ('2.2.0rc1', '>=2.0.0,<2.2.0', False),
        ('1.7.2', '>=2.0.0,<2.2.0', False),
        ('2.10.0', '>=2.6', True),
        ('2.11.0+cpu', '>=2.6', True),
        ('2.5.1', '>=2.6', False),
        ('3.3', '==3.3.0', True),
        ('1.0', '', True),
    ],
)
def test_satisfies(version, version_range, good):
    assert setup_checks.satisfies(version, version_range) is good


@pytest.mark.parametrize('bad', ['~=1.0', '>=1.0;<2', 'mmcv'])
def test_satisfies_refuses_what_it_does_not_understand(bad):
    with pytest.raises(ValueError, match='is not a'):
        setup_checks.satisfies('1.0', bad)


@pytest.mark.parametrize(('cores', 'memory_gb', 'jobs'), [(2, 24, 2), (16, 8, 3), (4, 1, 1)])
def test_default_jobs(cores, memory_gb, jobs):
    assert setup_checks.default_jobs(cores, memory_gb) == jobs


@pytest.mark.parametrize(
    ('output', 'word'),
    [
        ('OSError: [Errno 28] No space left on device', 'disk'),
        ('c++: fatal error: Killed signal terminated program cc1plus', 'MAX_JOBS=1'),
        ('ERROR: No matching distribution found for torch==2.11.0', 'internet'),
        ('something else', 'the default'),
    ],
)
def test_find_hint(output, word):
    assert word in setup_checks.find_hint(output, 'the default')


def test_failed_command_shows_its_last_lines(repository, tmp_path):
    setup = setup_env.Setup(repository)
    script = 'print("\\n".join(map(str, range(100)))); raise SystemExit("ReadTimeout")'
    with (tmp_path / 'log').open('w+') as setup._log:
        with pytest.raises(setup_checks.SetupError) as caught:
            setup.command('torch', [sys.executable, '-c', script])
        setup._log.seek(0)
        log = setup._log.read()
    shown = [line.strip() for line in caught.value.why.splitlines()[1:]]
    assert shown == [*map(str, range(71, 100)), 'ReadTimeout']
    assert 'internet' in caught.value.hint
    assert '\n0\n' in log


def test_long_command_says_that_it_is_alive(repository, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(setup_commands, 'TICK_S', 0.2)
    setup = setup_env.Setup(repository)
    script = 'import time; print("[7/77] c++ file.cpp", flush=True); time.sleep(0.7)'
    with (tmp_path / 'log').open('w') as setup._log:
        setup.command('mmcv', [sys.executable, '-c', script])
    assert 'compiled [7/77]' in capsys.readouterr().out


def test_what_a_killed_setup_left_running_is_ended(repository, tmp_path):
    """SIGKILL leaves the command alone in the world; it holds the lock until the next set-up."""
    child_started = tmp_path / 'child'
    child = f'import os, time; open({str(child_started)!r}, "w").write("."); time.sleep(60)'
    killed = (
        f'import pathlib, sys; sys.path.insert(0, {str(ROOT / "tools")!r}); import setup_env\n'
        f'setup = setup_env.Setup(pathlib.Path({str(repository)!r}))\n'
        'with setup._locked(), open(setup.log_path, "w") as setup._log:\n'
        f'    setup.command("torch", [sys.executable, "-c", {child!r}])\n'
    )
    process = subprocess.Popen([sys.executable, '-c', killed])
    while not child_started.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    started = time.monotonic()
    with setup_env.Setup(repository)._locked():
        assert time.monotonic() - started < 30


def test_running_setup_is_waited_for(repository):
    setup = setup_env.Setup(repository)
    with setup._locked():
        other = setup_env.Setup(repository)
        other._lock_fd = setup._lock_fd
        assert other._end_orphan() is False
        with (repository / '.venv.lock').open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_pip_is_not_sent_elsewhere(repository, monkeypatch):
    monkeypatch.setenv('PIP_TARGET', '/elsewhere')
    monkeypatch.setenv('PYTHONPATH', '/elsewhere')
    monkeypatch.setenv('PIP_INDEX_URL', 'https://example.org/simple')
    environ = setup_env.Setup(repository)._environ()
    assert 'PIP_TARGET' not in environ
    assert 'PYTHONPATH' not in environ
    assert environ['PIP_INDEX_URL'] == 'https://example.org/simple'


def test_kept_wheel_that_does_not_load_is_compiled_again(repository, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    setup = setup_env.Setup(repository)
    folder = tmp_path / 'cache' / 'mmkinesis' / 'wheels' / 'tag'
    folder.mkdir(parents=True)
    stale = folder / 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'
    good = folder / 'xtcocotools-1.14.3-cp311-cp311-linux_x86_64.whl'
    stale.write_text('stale')
    good.write_text('fresh')
    built = []

    def build(cache, requirement):
        assert cache == folder
        built.append(requirement)
        stale.write_text('fresh')
        return stale

    setup.command = lambda *arguments, **options: (0, ['tag'])
    setup._build_wheel = build
    setup._wheel_works = lambda name, wheel: wheel.read_text() == 'fresh'
    setup._install_source()
    assert built == ['mmcv==2.1.0']
    assert 'does not load' in capsys.readouterr().out


def report(**changes):
    """The report on an environment without fault."""
    names = [
        setup_checks.split_requirement(requirement)[0]
        for name in ('install', 'mim')
        for requirement in setup_checks.read_requirements(ROOT / 'requirements' / f'{name}.txt')
    ]
    pins = dict(
        line.split('==')
        for name in ('runtime', 'torch', 'hosts', 'source')
        for line in setup_checks.read_requirements(ROOT / 'requirements' / f'{name}.txt')
    )
    good = {
        'python': [3, 11, 7],
        'failures': {},
        'versions': {name: pins[name] for name in names},
        'projects': str(ROOT / 'projects' / '__init__.py'),
        'devices': [],
    }
    return {**good, **changes}


def test_pins_lie_within_the_ranges():
    assert setup_inspect.find_faults(report(), ROOT) == []


def test_faults_name_the_range_wanted():
    versions = {**report()['versions'], 'mmcv': '2.2.0', 'mmdet': None}
    failures = {'mmcv._ext': "ModuleNotFoundError: No module named 'mmcv._ext'"}
    faults = '\n'.join(
        setup_inspect.find_faults(
            report(versions=versions, failures=failures, python=[3, 9, 1]), ROOT
        )
    )
    assert 'Python 3.9.1: 3.10 or later is wanted' in faults
    assert 'mmcv 2.2.0 is there: mmcv>=2.0.0,<2.2.0 is wanted' in faults
    assert 'mmdet is missing: mmdet>=3.3,<3.4 is wanted' in faults
    assert 'import mmcv._ext fails' in faults


def test_only_the_cause_is_named():
    failures = {'projects': 'ModuleNotFoundError: x', 'mmaction.models': 'ModuleNotFoundError: drn'}
    faults = setup_inspect.find_faults(report(failures=failures, projects=None), ROOT)
    assert faults == ['import projects fails: ModuleNotFoundError: x']
    del failures['projects']
    assert 'mmaction.models' in setup_inspect.find_faults(report(failures=failures), ROOT)[0]


def test_another_checkout_is_noticed():
    faults = setup_inspect.find_faults(report(projects='/elsewhere/projects/__init__.py'), ROOT)
    assert len(faults) == 1
    assert '/elsewhere' in faults[0]


def test_named_python_must_exist(monkeypatch, capsys):
    monkeypatch.setenv('MMKINESIS_PYTHON', '/nowhere/python')
    assert setup_env.main([]) == 1
    assert 'there is no such program' in capsys.readouterr().err


def test_named_bare_environment_is_only_checked(tmp_path, monkeypatch, capsys):
    """A Python without packages: all that is missing is named, and nothing is installed."""
    python = tmp_path / 'bare' / 'bin' / 'python'
    base = setup_checks.base_python()
    subprocess.run([base, '-m', 'venv', '--without-pip', tmp_path / 'bare'], check=True)
    before = sorted(tmp_path.rglob('*'))
    monkeypatch.setenv('MMKINESIS_PYTHON', str(python))
    assert setup_env.main([]) == 1
    error = capsys.readouterr().err
    assert 'torch is missing: torch>=2.6 is wanted' in error
    assert f'{python} -m pip install --no-deps --no-build-isolation -e {ROOT}' in error
    assert sorted(tmp_path.rglob('*')) == before


def test_one_version_of_ruff_everywhere():
    hooks = (ROOT / '.pre-commit-config.yaml').read_text('utf-8')
    hook = re.search(r'ruff-pre-commit\n\s*rev: v(\S+)', hooks).group(1)
    assert f'ruff=={hook}' in (ROOT / 'requirements' / 'tests.txt').read_text('utf-8')
    assert f'ruff=={hook}' in (ROOT / 'setup.py').read_text('utf-8')


@pytest.mark.parametrize('name', ['build', 'runtime', 'torch', 'hosts', 'source', 'tests'])
def test_every_requirement_is_pinned(name):
    lines = setup_checks.read_requirements(ROOT / 'requirements' / f'{name}.txt')
    assert lines
    assert [line for line in lines if not re.fullmatch(r'[\w.-]+==[\w.]+', line)] == []
