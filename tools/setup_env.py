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
import hashlib
import json
import os
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from setup_checks import (
    ROOT,
    Problem,
    SetupError,
    base_python,
    broken_distributions,
    check_compiler,
    check_disk,
    check_headers,
    check_python,
    check_venv_module,
    default_jobs,
    find_hint,
    read_requirements,
    split_requirement,
)
from setup_commands import CommandRunner
from setup_inspect import check_existing, describe_devices, find_faults, read_report

# Goes into every stamp: raise it when an installing step changes in a way its inputs do not show.
RECIPE = 1
DISK_GB = {'torch': 12.0, 'mmcv': 2.0}  # free space wanted while that step is still to come
# What shows that a package compiled here fits the torch and numpy it will run with.
SOURCE_PROBES = {'mmcv': 'import torch, mmcv._ext', 'xtcocotools': 'import xtcocotools._mask'}


class Step(NamedTuple):
    """An installing step; it is repeated when `inputs` differ from those in its stamp."""

    name: str
    inputs: tuple[str, ...]
    action: Callable[[], None]


class Setup(CommandRunner):
    """The environment in `<root>/.venv` and the steps that make it.

    Args:
        root: The repository.
    """

    def __init__(self, root: Path = ROOT) -> None:
        super().__init__(root)
        self.running = self.state / 'running'  # left behind by a run that did not finish
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
                raise SetupError('environment', f'{self.python} is not there', self.start_over())
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

    def pip(self, what: str, *arguments: object, hint: str = '', **env: str) -> None:
        """Runs pip of the environment; arguments and errors as in `command`."""
        self.command(what, [self.python, '-m', 'pip', *arguments], hint, **env)

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
                    raise SetupError('mmcv', why, self.start_over())

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
                raise SetupError('mmcv', why, self.start_over())
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
        _, lines = self.command(
            'imports', [self.python, Path(__file__).with_name('setup_inspect.py')]
        )
        report = read_report(lines)
        wrong = find_faults(report, self.root)
        if wrong:
            raise SetupError('imports', '\n  '.join(wrong), self.start_over())
        print(f'      {describe_devices(report)}', flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the set-up; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--verify', action='store_true', help='import everything again')
    options = parser.parse_args(arguments)
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
