"""Makes `.venv` beside this repository and installs everything pinned in `requirements/` into it.

    python3 tools/setup_env.py            # what `make setup`, `make demo` and `make test` run first
    python3 tools/setup_env.py --verify   # also import everything again when nothing has changed

Needs Python's standard library only. Each finished step leaves a stamp, so a second run does
nothing, a changed requirement repeats its step and those after it, and a run that was interrupted
is repaired by running it again. The output of every command is kept in `setup.log`.

Environment variables:
    MMKINESIS_PYTHON: A Python whose environment is used as it is: it is checked, and nothing is
        installed.
    MMKINESIS_TORCH_INDEX: Index URL from which to take torch and torchvision, for example that of
        PyTorch's CPU wheels. The default index's wheels for Linux carry CUDA, so a GPU is found
        without this.
    MAX_JOBS: How many files of mmcv to compile at once. The default depends on cores and memory.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import csv
import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# Goes into every stamp: raise it when an installing step changes in a way its inputs do not show.
RECIPE = 1
PYTHON_RANGE = ((3, 10), (3, 13))  # the pins have wheels for these
DISK_GB = {'torch': 12.0, 'mmcv': 2.0}  # free space wanted while that step is still to come
JOB_GB = 2.5  # memory that compiling the largest file of mmcv takes
TICK_S = 30.0  # a long step says this often that it is alive
TAIL_LINES = 30

# Imported in this order: importing `projects` repairs what keeps mmaction.models from importing.
MODULES = (
    'numpy',
    'cv2',
    'torch',
    'torchvision',
    'mmcv._ext',
    'projects',
    'mmdet.models',
    'mmpose.models',
    'mmaction.models',
)
# What shows that a package compiled here fits the torch and numpy it will run with.
SOURCE_PROBES = {'mmcv': 'import torch, mmcv._ext', 'xtcocotools': 'import xtcocotools._mask'}


class SetupError(Exception):
    """A step that failed: what failed, why, and what the user can do about it."""

    def __init__(self, what: str, why: str, hint: str) -> None:
        super().__init__(f'{what}: {why}')
        self.what, self.why, self.hint = what, why, hint


class Problem(NamedTuple):
    """Something this machine lacks; `apt` names the Debian packages that bring it, if any."""

    why: str
    hint: str = ''
    apt: tuple[str, ...] = ()


class Step(NamedTuple):
    """An installing step; it is repeated when `inputs` differ from those in its stamp."""

    name: str
    inputs: tuple[str, ...]
    action: Callable[[], None]


# --------------------------------------------------------------------------------------------------
# Requirements and versions


def read_requirements(path: Path) -> list[str]:
    """The lines of a requirements file, without comments and empty lines."""
    lines = (line.split('#', 1)[0].strip() for line in path.read_text('utf-8').splitlines())
    return [line for line in lines if line]


def release(version: str) -> tuple[int, ...]:
    """The release numbers of a version: (2, 11) for '2.11.0+cu130', (2, 2) for '2.2.0rc1'.

    Trailing zeros are dropped, so that 3.3 equals 3.3.0.
    """
    match = re.match(r'\d+(\.\d+)*', version)
    if match is None:
        raise ValueError(f'{version!r} is not a version')
    numbers = [int(number) for number in match.group().split('.')]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def split_requirement(requirement: str) -> tuple[str, str]:
    """Name and version range of a requirement: ('mmcv', '>=2.0.0,<2.2.0')."""
    match = re.fullmatch(r'([A-Za-z0-9._-]+)\s*((?:[<>=!].*)?)', requirement)
    if match is None:
        raise ValueError(f'{requirement!r} is not of the form name>=1.0,<2')
    return match.group(1), match.group(2).replace(' ', '')


def satisfies(version: str, version_range: str) -> bool:
    """Whether a version lies in a range such as '>=2.0.0,<2.2.0' (release numbers only)."""
    compare = {
        '>=': lambda a, b: a >= b,
        '<=': lambda a, b: a <= b,
        '==': lambda a, b: a == b,
        '!=': lambda a, b: a != b,
        '>': lambda a, b: a > b,
        '<': lambda a, b: a < b,
    }
    for part in filter(None, version_range.split(',')):
        match = re.fullmatch(r'(>=|<=|==|!=|>|<)([\w.]+)', part)
        if match is None:
            raise ValueError(f'{part!r} in {version_range!r} is not a comparison with a version')
        if not compare[match.group(1)](release(version), release(match.group(2))):
            return False
    return True


# --------------------------------------------------------------------------------------------------
# What the machine must bring


def base_python() -> str:
    """The Python that runs this; inside an environment, the one that environment was made with.

    With `.venv` activated, python3 is a link in the very folder that may have to be made again.
    """
    base = getattr(sys, '_base_executable', None)
    return base if base and os.path.exists(base) else sys.executable


def is_alive(process: int) -> bool:
    """Whether a process of this number exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def end_group(group: int, ended: Callable[[], bool]) -> None:
    """Ends a process group: kindly first, so that ninja can end its compilers."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
        until = time.monotonic() + 5
        while not ended():
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        else:
            return


def check_python(version: Sequence[int]) -> Problem | None:
    """Whether the pins have wheels for this Python."""
    low, high = PYTHON_RANGE
    if low <= tuple(version[:2]) <= high:
        return None
    return Problem(
        f'this is Python {version[0]}.{version[1]}, but {low[0]}.{low[1]} to {high[0]}.{high[1]} '
        'is needed',
        f'name another Python: make setup PYTHON=python{high[0]}.{high[1]}',
    )


def check_venv_module(version: Sequence[int]) -> Problem | None:
    """Whether Python can make environments; Debian ships that part as a package of its own."""
    missing = [name for name in ('venv', 'ensurepip') if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return Problem(
        f"Python's {' and '.join(missing)} cannot be imported, so no environment can be made",
        apt=(f'python{version[0]}.{version[1]}-venv',),
    )


def check_compiler(c_compiler: str = 'cc') -> Problem | None:
    """Whether mmcv (C++) and xtcocotools (C) can be compiled.

    Args:
        c_compiler: The C compiler that Python itself was built with.
    """
    wanted = [os.environ.get('CXX') or 'c++', os.environ.get('CC') or c_compiler]
    missing = [command for command in wanted if shutil.which(command.split()[0]) is None]
    if not missing:
        return None
    return Problem(
        f'no compiler {" or ".join(missing)} on PATH; mmcv has no binary package and is compiled',
        apt=('g++',),
    )


def check_headers(include: Path, version: Sequence[int]) -> Problem | None:
    """Whether the C headers of Python are there."""
    if (include / 'Python.h').exists():
        return None
    return Problem(
        f'{include / "Python.h"} is missing; mmcv needs it to compile',
        apt=(f'python{version[0]}.{version[1]}-dev',),
    )


def check_disk(folder: Path, needed_gb: float) -> Problem | None:
    """Whether the disk of a folder has room."""
    free = shutil.disk_usage(folder).free / 1e9
    if free >= needed_gb:
        return None
    return Problem(
        f'{free:.1f} GB are free in {folder}, and {needed_gb:.0f} GB are needed',
        'free some space, or put the repository on another disk',
    )


def default_jobs(cores: int, memory_gb: float) -> int:
    """How many files to compile at once, so that neither cores nor memory run short."""
    return max(1, min(cores, int(memory_gb / JOB_GB)))


def find_hint(output: str, default: str) -> str:
    """What to do about a failed command, guessed from what it printed."""
    known = (
        (r'No space left on device|Errno 28', 'the disk is full: free some space'),
        (
            r'Killed signal|fatal error: Killed|internal compiler error|out of memory',
            'the compiler ran out of memory: try MAX_JOBS=1 make setup',
        ),
        (
            r'NewConnectionError|ConnectTimeout|ReadTimeout|Name or service not known'
            r'|Temporary failure in name resolution|Max retries exceeded|ProxyError'
            r'|No matching distribution found|IncompleteRead|Connection (?:reset|broken)',
            'the package index could not be reached or lacks this version: check the internet '
            "connection, the proxy and pip's configuration (pip config list)",
        ),
        (r'CERTIFICATE_VERIFY_FAILED|SSLError', "check this machine's TLS certificates"),
        (r'Permission denied|Errno 13', 'check who owns the repository and ~/.cache'),
    )
    for pattern, hint in known:
        if re.search(pattern, output, re.IGNORECASE):
            return f'{hint}; then run this again'
    return default


def broken_distributions(site_packages: Path) -> list[Path]:
    """The .dist-info folders of packages of which some files are missing or cut short.

    pip writes a package's RECORD last, so a package whose installation was killed has none; one
    whose replacement was killed lacks files that its RECORD names.
    """
    broken = []
    for info in sorted(site_packages.glob('*.dist-info')):
        try:
            with (info / 'RECORD').open(newline='', encoding='utf-8') as file:
                rows = [row for row in csv.reader(file) if len(row) == 3 and row[2]]
            # Python rewrites .pyc files, and some wheels list wrong sizes for their own metadata.
            rows = [row for row in rows if not re.search(r'\.pyc$|\.dist-info/', row[0])]
            whole = all((site_packages / row[0]).stat().st_size == int(row[2]) for row in rows)
        except (OSError, ValueError):
            whole = False
        if not whole:
            broken.append(info)
    return broken


# --------------------------------------------------------------------------------------------------
# The set-up


class Setup:
    """The environment in `<root>/.venv` and the steps that make it.

    Args:
        root: The repository.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.venv = root / '.venv'
        self.python = self.venv / 'bin' / 'python'
        self.state = self.venv / '.mmkinesis'  # stamps; its presence says that the folder is ours
        self.running = self.state / 'running'  # left behind by a run that did not finish
        self.log_path = root / 'setup.log'
        self._log = None
        self._lock_fd = -1
        self.installing = [
            Step('build tools', self._inputs('build'), self._install_build),
            Step('runtime', self._inputs('runtime', 'tests'), self._install_runtime),
            Step('torch', self._inputs('torch'), self._install_torch),
            Step('hosts', self._inputs('hosts'), self._install_hosts),
            Step('mmcv', self._inputs('source'), self._install_source),
            Step('project', self._project_inputs(), self._install_project),
            Step('imports', (), self._check_imports),
        ]
        self.total = len(self.installing) + 2  # the machine's checks and the environment itself

    def _inputs(self, *names: str) -> tuple[str, ...]:
        folder = self.root / 'requirements'
        return tuple(line for name in names for line in read_requirements(folder / f'{name}.txt'))

    def _project_inputs(self) -> tuple[str, ...]:
        return ((self.root / 'setup.py').read_text('utf-8'), *self._inputs('install', 'mim'))

    # State ----------------------------------------------------------------------------------------

    def environment(self) -> dict | None:
        """What was written down when the environment was made; None if it must be made (again).

        It must when its Python was removed or replaced by another, and when the folder was moved:
        an environment holds absolute paths.
        """
        try:
            made = json.loads((self.state / 'venv.json').read_text('utf-8'))
        except (OSError, ValueError):
            return None
        real = os.path.realpath(self.python)
        if not os.path.exists(real) or made.get('real') != real or made.get('at') != str(self.venv):
            return None
        return made

    def keys(self, made: dict) -> dict[str, str]:
        """What the stamp of each installing step must hold: a hash of all inputs up to it."""
        key = json.dumps([RECIPE, made['version'], made['real'], made['at']])
        keys = {}
        for step in self.installing:
            key = hashlib.sha256('\0'.join((key, step.name, *step.inputs)).encode()).hexdigest()
            keys[step.name] = key
        return keys

    def stamp_path(self, step: Step) -> Path:
        """Where the stamp of a step lies."""
        return self.state / f'{step.name.replace(" ", "-")}.stamp'

    def stamped(self, step: Step, key: str) -> bool:
        """Whether a step has been done with these inputs."""
        try:
            return self.stamp_path(step).read_text('utf-8') == key
        except OSError:
            return False

    def pending(self) -> list[str]:
        """Names of the installing steps still to do."""
        made = self.environment()
        if made is None:
            return [step.name for step in self.installing]
        keys = self.keys(made)
        done = [self.stamped(step, keys[step.name]) for step in self.installing]
        first = done.index(False) if False in done else len(done)
        return [step.name for step in self.installing[first:]]

    def write(self, path: Path, text: str) -> None:
        """Writes a small file whole or not at all."""
        temporary = path.with_name(path.name + '.tmp')
        temporary.write_text(text, 'utf-8')
        os.replace(temporary, path)

    # Running --------------------------------------------------------------------------------------

    def run(self, verify: bool = False) -> None:
        """Does what is still to do.

        Args:
            verify: Import everything again even if nothing has changed.

        Raises:
            SetupError: If a step fails.
        """
        if not verify and not self.pending():
            print(f'{self.venv} is up to date')
            return
        with self._locked():
            if verify:
                self.stamp_path(self.installing[-1]).unlink(missing_ok=True)
            if not self.pending():  # done by the set-up this one had to wait for
                print(f'{self.venv} is up to date')
                return
            with self.log_path.open('w', encoding='utf-8') as self._log:
                self._run_pending()

    def _run_pending(self) -> None:
        started = time.monotonic()
        self._timed(1, 'checks', self.check_machine)
        if self.environment() and self.running.exists():
            self._repair()
        made = self.environment()
        if made is None:
            self._timed(2, 'environment', self._make_environment)
            made = self.environment()
            if made is None:
                raise SetupError('environment', f'{self.python} is not there', self._start_over())
        elif tuple(made['version']) != tuple(sys.version_info[:2]):
            version = '.'.join(map(str, made['version']))
            print(f'      .venv keeps its Python {version}; make clean-env to change it')
        self.running.touch()
        todo, keys = self.pending(), self.keys(made)
        for number, step in enumerate(self.installing, 3):
            if step.name in todo:
                self._timed(number, step.name, step.action)
                self.write(self.stamp_path(step), keys[step.name])
        shutil.rmtree(self.state / 'tmp', ignore_errors=True)
        self.running.unlink()
        print(f'      {self.venv} is ready, {time.monotonic() - started:.0f} s in all')

    def _timed(self, number: int, name: str, action: Callable[[], None]) -> None:
        started = time.monotonic()
        print(f'[{number}/{self.total}] {name} ...', flush=True)
        self._log.write(f'\n=== [{number}/{self.total}] {name}\n')
        action()
        seconds = time.monotonic() - started
        print(f'[{number}/{self.total}] {name} done, {seconds:.0f} s', flush=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps two set-ups apart: `make demo` and `make test` may start in two terminals.

        The commands inherit the lock, so what is left of a set-up that was killed still holds it.
        Such a command is ended: it would go on compiling for minutes, and work against this run.
        """
        self._lock_fd = os.open(self.root / '.venv.lock', os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not self._end_orphan():
                    print('waiting for the other set-up that is running', flush=True)
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
            self._note_command(0)
            yield
        finally:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _note_command(self, group: int) -> None:
        """Writes into the lock who holds it: this process, and the command that it runs now."""
        if self._lock_fd >= 0:
            os.pwrite(self._lock_fd, f'{os.getpid():>10} {group:>10}\n'.encode(), 0)

    def _end_orphan(self) -> bool:
        """Ends the command of a set-up that was killed; False if that set-up is alive."""
        try:
            setup, group = map(int, os.pread(self._lock_fd, 100, 0).split())
            if setup <= 0 or group <= 0 or is_alive(setup):
                return False
            print('ending what a killed set-up left running', flush=True)
            end_group(group, lambda: not is_alive(group))
        except (ValueError, OSError):
            return False
        return True

    def command(
        self, what: str, arguments: Sequence[object], hint: str = '', check: bool = True, **env: str
    ) -> tuple[int, list[str]]:
        """Runs a command, keeps its output in the log, and shows that it is alive.

        Args:
            what: What the command is for, for the error message.
            arguments: The command.
            hint: What to do if it fails; by default guessed from its output.
            check: Raise if it fails.
            **env: Environment variables added to the usual ones.

        Returns:
            Exit status and the lines of its output.

        Raises:
            SetupError: If it fails and `check` is set.
        """
        arguments = [str(argument) for argument in arguments]
        self._log.write(f'$ {" ".join(arguments)}\n')
        self._log.flush()
        process = subprocess.Popen(
            arguments,
            cwd=self.root,
            env={**self._environ(), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
            errors='replace',
            pass_fds=(self._lock_fd,) if self._lock_fd >= 0 else (),
            start_new_session=True,  # so that compilers can be ended together with pip
        )
        self._note_command(process.pid)
        lines: collections.deque[str] = collections.deque(maxlen=1000)
        compiled = ''

        def read() -> None:
            nonlocal compiled
            for line in process.stdout:
                lines.append(line.rstrip('\n'))
                self._log.write(line)
                match = re.match(r'\s*(\[\d+/\d+\]) ', line)  # ninja's counter
                compiled = f', compiled {match.group(1)}' if match else compiled

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        started = time.monotonic()
        try:
            while True:
                try:
                    process.wait(TICK_S)
                    break
                except subprocess.TimeoutExpired:
                    print(f'      {time.monotonic() - started:.0f} s{compiled}', flush=True)
        except BaseException:
            end_group(process.pid, lambda: process.poll() is not None)
            raise
        finally:
            self._note_command(0)
            reader.join(5)  # not for ever: a stray grandchild may hold the pipe open
        self._log.flush()
        if check and process.returncode:
            output = list(lines)
            tail = '\n'.join('    ' + line for line in output[-TAIL_LINES:])
            raise SetupError(
                what,
                f'{Path(arguments[0]).name} ended with status {process.returncode}:\n{tail}',
                hint or find_hint('\n'.join(output[-200:]), self._start_over()),
            )
        return process.returncode, list(lines)

    def _environ(self) -> dict[str, str]:
        """The user's environment without what would send pip to another place than .venv."""
        drop = ('PYTHONPATH', 'PYTHONHOME', 'PIP_USER', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_ROOT')
        environ = {key: value for key, value in os.environ.items() if key not in drop}
        if self.state.is_dir():
            # pip unpacks gigabytes here; /tmp is a small memory disk on many machines.
            temporary = self.state / 'tmp'
            temporary.mkdir(exist_ok=True)
            environ['TMPDIR'] = str(temporary)
        environ.update(
            PATH=os.pathsep.join((str(self.venv / 'bin'), environ.get('PATH', os.defpath))),
            VIRTUAL_ENV=str(self.venv),
            PYTHONNOUSERSITE='1',
            PYTHONUNBUFFERED='1',
            PIP_DISABLE_PIP_VERSION_CHECK='1',
            PIP_NO_INPUT='1',
        )
        return environ

    def pip(self, what: str, *arguments: object, hint: str = '', **env: str) -> None:
        """Runs pip of the environment; arguments and errors as in `command`."""
        self.command(what, [self.python, '-m', 'pip', *arguments], hint, **env)

    def _start_over(self) -> str:
        return (
            f'the whole output is in {self.log_path}; run this again, and if it fails in the same '
            'way, start over with make clean-env'
        )

    # Steps ----------------------------------------------------------------------------------------

    def check_machine(self) -> None:
        """Checks what has to be there before anything is installed.

        Raises:
            SetupError: If something is missing; all that is missing is named at once.
        """
        problems: list[Problem | None] = []
        made = self.environment()
        if self.venv.is_symlink() or (
            self.venv.exists() and not self.state.is_dir() and any(self.venv.iterdir())
        ):
            problems.append(
                Problem(
                    f'{self.venv} was not made by this set-up',
                    'remove or rename it, or use it as it is: '
                    f'MMKINESIS_PYTHON={self.venv}/bin/python make ...',
                )
            )
        version = made['version'] if made else list(sys.version_info[:2])
        if made is None:
            problems += [check_python(version), check_venv_module(version)]
        todo = self.pending()
        if 'mmcv' in todo:
            query = (
                'import sysconfig as s; print(s.get_paths()["include"]); '
                'print((s.get_config_var("CC") or "cc").split()[0])'
            )
            python = self.python if made else base_python()
            code, lines = self.command('checks', [python, '-c', query], check=False)
            if code == 0 and len(lines) == 2:
                problems += [check_compiler(lines[1]), check_headers(Path(lines[0]), version)]
        needed = [DISK_GB[name] for name in todo if name in DISK_GB]
        if needed:
            problems.append(check_disk(self.root, max(needed)))
        found = [problem for problem in problems if problem is not None]
        if not found:
            return
        why = '\n  '.join(problem.why for problem in found)
        packages = [package for problem in found for package in problem.apt]
        hints = [problem.hint for problem in found if problem.hint]
        if packages:
            hints.append(
                f'on Debian or Ubuntu: sudo apt install {" ".join(packages)}; then run this again'
            )
        raise SetupError('checks', why, '\n  '.join(hints))

    def _repair(self) -> None:
        """Cleans up after an interrupted run: what is half installed is installed again."""
        print('      the last set-up did not finish: looking for what is half done', flush=True)
        version = '.'.join(map(str, self.environment()['version']))
        site_packages = self.venv / 'lib' / f'python{version}' / 'site-packages'
        for leftover in site_packages.glob('~*'):  # pip's, from a replacement that was cut off
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.rmtree(self.state / 'tmp', ignore_errors=True)
        broken = broken_distributions(site_packages)
        names = [info.name.split('-')[0] for info in broken]
        pip_works = self.command('repair', [self.python, '-m', 'pip', '--version'], check=False)[0]
        if pip_works != 0 or 'pip' in names:
            print('      pip is broken: making the environment again', flush=True)
            (self.state / 'venv.json').unlink()
            return
        for info in broken:
            print(f'      half installed: {info.name}', flush=True)
            shutil.rmtree(info)
        if broken:  # whichever step it belongs to; pip is quick with what is already there
            for stamp in self.state.glob('*.stamp'):
                stamp.unlink()

    def _make_environment(self) -> None:
        # Moved first: killed in the middle of removing, .venv would be left without what says that
        # it is ours.
        old = self.root / '.venv.old'
        if old.exists():
            shutil.rmtree(old)
        if self.venv.exists():
            self.venv.rename(old)  # check_machine has made sure that it is ours
            shutil.rmtree(old)
        self.state.mkdir(parents=True)
        self.running.touch()
        self.command('environment', [base_python(), '-m', 'venv', self.venv])
        made = {
            'version': list(sys.version_info[:2]),
            'real': os.path.realpath(self.python),
            'at': str(self.venv),
        }
        self.write(self.state / 'venv.json', json.dumps(made))

    def _requirements(self, name: str) -> tuple[str, Path]:
        return '-r', self.root / 'requirements' / f'{name}.txt'

    def _install_build(self) -> None:
        self.pip('build tools', 'install', *self._requirements('build'))

    def _install_runtime(self) -> None:
        # Before torch, so that torch finds what it needs in the pinned versions.
        both = (*self._requirements('runtime'), *self._requirements('tests'))
        self.pip('runtime', 'install', *both)

    def _install_torch(self) -> None:
        index = os.environ.get('MMKINESIS_TORCH_INDEX')
        where = ('--index-url', index) if index else ()
        self.pip('torch', 'install', *where, *self._requirements('torch'))

    def _install_hosts(self) -> None:
        self.pip('hosts', 'install', '--no-deps', *self._requirements('hosts'))

    def _install_source(self) -> None:
        """Installs what is compiled here, from wheels kept between set-ups.

        pip's own cache is passed by: it does not know against which torch a wheel was built.
        """
        query = (
            'import sys, sysconfig, torch; print("-".join((sys.implementation.cache_tag, '
            '"torch" + torch.__version__, sysconfig.get_platform())))'
        )
        cache = self._wheel_cache() / self.command('mmcv', [self.python, '-c', query])[1][-1]
        for requirement in self._inputs('source'):
            name = split_requirement(requirement)[0]
            wheel = self._find_wheel(cache, requirement)
            if wheel is not None and not self._wheel_works(name, wheel):
                print(f'      the kept {wheel.name} does not load: compiling again', flush=True)
                wheel.unlink()
                wheel = None
            if wheel is None:
                wheel = self._build_wheel(cache, requirement)
                if not self._wheel_works(name, wheel):
                    wheel.unlink()
                    why = f'{name} was compiled but does not load'
                    raise SetupError('mmcv', why, self._start_over())

    def _wheel_cache(self) -> Path:
        base = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
        return base / 'mmkinesis' / 'wheels'

    def _find_wheel(self, cache: Path, requirement: str) -> Path | None:
        name, version = requirement.split('==')
        found = sorted(cache.glob(f'{name}-{version}-*.whl'))
        return found[0] if found else None

    def _build_wheel(self, cache: Path, requirement: str) -> Path:
        name = split_requirement(requirement)[0]
        duration = ' (about 15 minutes of one core)' if name == 'mmcv' else ''
        print(f'      compiling {requirement}{duration}', flush=True)
        memory_gb = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9
        allowed = getattr(os, 'sched_getaffinity', None)  # Linux: also what a container allows
        cores = len(allowed(0)) if allowed else os.cpu_count() or 1
        jobs = os.environ.get('MAX_JOBS') or default_jobs(cores, memory_gb)
        folder = self.state / 'tmp' / 'wheels'
        shutil.rmtree(folder, ignore_errors=True)
        self.pip(
            'mmcv',
            *('wheel', '-v', '--no-cache-dir', '--no-build-isolation', '--no-deps'),
            *('--no-binary', name, '--wheel-dir', folder, requirement),
            MMCV_WITH_OPS='1',
            # Nothing here needs mmcv's CUDA kernels; without them no CUDA toolkit is needed.
            FORCE_CUDA='0',
            CUDA_VISIBLE_DEVICES='',
            MAX_JOBS=str(jobs),
        )
        built = next(folder.glob('*.whl'))
        # Built where torch cannot be imported, mmcv comes out without its compiled part and
        # without a word about it.
        with zipfile.ZipFile(built) as archive:
            if not any(member.endswith('.so') for member in archive.namelist()):
                why = f'{built.name} holds no compiled part'
                raise SetupError('mmcv', why, self._start_over())
        cache.mkdir(parents=True, exist_ok=True)
        partial = cache / f'.{built.name}.{os.getpid()}'
        shutil.copyfile(built, partial)
        return partial.rename(cache / built.name)  # so that a wheel in the cache is a whole one

    def _wheel_works(self, name: str, wheel: Path) -> bool:
        """Installs a wheel and says whether its compiled part loads."""
        arguments = ('install', '--no-deps', '--no-cache-dir', '--force-reinstall', wheel)
        code, _ = self.command('mmcv', [self.python, '-m', 'pip', *arguments], check=False)
        if code:
            return False
        return self.command('mmcv', [self.python, '-c', SOURCE_PROBES[name]], check=False)[0] == 0

    def _install_project(self) -> None:
        self.pip('project', 'install', '--no-deps', '--no-build-isolation', '-e', self.root)

    def _check_imports(self) -> None:
        _, lines = self.command('imports', [self.python, Path(__file__), '--inspect'])
        report = read_report(lines)
        wrong = find_faults(report, self.root)
        if wrong:
            raise SetupError('imports', '\n  '.join(wrong), self._start_over())
        print(f'      {describe_devices(report)}', flush=True)


# --------------------------------------------------------------------------------------------------
# Looking at an environment, ours or one that the user names


REPORT = 'environment report: '


def inspect_environment() -> dict:
    """Imports everything and reports versions and failures of the Python that runs this."""
    import importlib.metadata

    # As a script's folder, tools/ would come first and hide other modules of the same names.
    sys.path[:] = [entry for entry in sys.path if Path(entry or '.').resolve() != ROOT / 'tools']
    os.environ.setdefault('MPLBACKEND', 'Agg')
    failures, versions, where = {}, {}, None
    for module in MODULES:
        try:
            imported = importlib.import_module(module)
        except Exception as error:  # whatever it is, it is for the user to read
            failures[module] = f'{type(error).__name__}: {error}'
        else:
            if module == 'projects':
                where = getattr(imported, '__file__', None) or ''
    for name in ('install', 'mim', 'tests'):
        for requirement in read_requirements(ROOT / 'requirements' / f'{name}.txt'):
            distribution = split_requirement(requirement)[0]
            try:
                versions[distribution] = importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                versions[distribution] = None
    devices = []
    if 'torch' not in failures:
        import torch

        devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        'python': list(sys.version_info[:3]),
        'failures': failures,
        'versions': versions,
        'projects': where,
        'devices': devices,
    }


def read_report(lines: Sequence[str]) -> dict:
    """The report that `--inspect` printed among whatever the libraries print when imported."""
    for line in reversed(lines):
        if line.startswith(REPORT):
            return json.loads(line[len(REPORT) :])
    raise SetupError('imports', 'the check printed no report:\n' + '\n'.join(lines[-10:]), '')


def find_faults(report: dict, root: Path) -> list[str]:
    """What keeps an environment from being used, a line each.

    Args:
        report: As `inspect_environment` returns it.
        root: The repository that the package `projects` has to come from.
    """
    faults = []
    if tuple(report['python'][:2]) < PYTHON_RANGE[0]:
        faults.append(f'Python {".".join(map(str, report["python"]))}: 3.10 or later is wanted')
    folder = root / 'requirements'
    for requirement in read_requirements(folder / 'install.txt') + read_requirements(
        folder / 'mim.txt'
    ):
        name, version_range = split_requirement(requirement)
        version = report['versions'].get(name)
        if version is None:
            faults.append(f'{name} is missing: {requirement} is wanted')
        elif not satisfies(version, version_range):
            faults.append(f'{name} {version} is there: {requirement} is wanted')
    for module, error in report['failures'].items():
        if module == 'mmaction.models' and 'projects' in report['failures']:
            continue  # it is importing `projects` that repairs it
        faults.append(f'import {module} fails: {error}')
        if module == 'mmcv._ext':
            faults.append('  (mmcv was built without its compiled part, or against another torch)')
        if module == 'cv2':
            faults.append('  (any OpenCV will do; opencv-python-headless needs no display)')
    if report['projects'] and root not in Path(report['projects']).resolve().parents:
        faults.append(f'the package projects comes from {report["projects"]}, not from {root}')
    return faults


def describe_devices(report: dict) -> str:
    """A line on what torch will compute with."""
    devices = ', '.join(report['devices']) or 'no NVIDIA GPU found, so everything runs on the CPU'
    python = '.'.join(map(str, report['python']))
    return f'Python {python}, torch {report["versions"]["torch"]}: {devices}'


def check_existing(python: str, root: Path = ROOT) -> None:
    """Checks an environment that the user brings, and installs nothing.

    Args:
        python: The value of MMKINESIS_PYTHON.
        root: The repository.

    Raises:
        SetupError: If something is missing or does not import.
    """
    what = f'MMKINESIS_PYTHON={python}'
    found = shutil.which(python)
    if found is None:
        raise SetupError(what, 'there is no such program', 'name the Python of an environment')
    print(f'checking the environment of {found} ...', flush=True)
    done = subprocess.run(
        [os.path.abspath(found), str(Path(__file__).resolve()), '--inspect'],
        cwd=tempfile.gettempdir(),  # so that `projects` is found only where it is installed
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding='utf-8',
        errors='replace',
    )
    report = read_report(done.stdout.splitlines())
    faults = find_faults(report, root)
    if faults:
        hint = 'install what is named'
        if 'projects' in report['failures']:
            hint += (
                f'; this project: {found} -m pip install --no-deps --no-build-isolation -e {root}'
            )
        raise SetupError(what, '\n  '.join(faults), hint)
    missing = [n for n in ('pytest', 'hypothesis', 'ruff') if report['versions'].get(n) is None]
    if missing:
        print(f'      make test also needs: {" ".join(missing)}')
    print(f'      {describe_devices(report)}')


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the set-up; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--verify', action='store_true', help='import everything again')
    parser.add_argument('--inspect', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inspect:
        print('\n' + REPORT + json.dumps(inspect_environment()))
        return 0
    # Ends the running command too, as an interrupt from the keyboard does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        existing = os.environ.get('MMKINESIS_PYTHON')
        if existing:
            check_existing(existing)
        else:
            Setup().run(options.verify)
    except SetupError as error:
        print(f'\nset-up failed at {error.what}:\n  {error.why}', file=sys.stderr)
        if error.hint:
            print(f'what to do:\n  {error.hint}', file=sys.stderr)
        return 1
    except OSError as error:
        print(f'\nset-up failed: {error}', file=sys.stderr)
        print(f'what to do:\n  {find_hint(str(error), "see above")}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\ninterrupted; run this again to go on from here', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
