"""Python scripts in processes forked from one that has imported the host libraries already.

A tool spends most of a small run on importing PyTorch and the host libraries: a small training took
4.9 s in a fresh process and 0.6 s in a forked one, and each method's tests in test_wiring.py took
120 to 130 s, now 65 to 70 s. The methods' plugins are not imported beforehand: they come from a
config's ``custom_imports``, as always. Where a missing import is to be noticed, a test has to start
a fresh process instead.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest import mock

import numpy as np

PRELOADED = (
    'projects',  # first: it repairs the host libraries
    'mmengine.runner',
    *('mmcv.ops', 'mmcv.transforms'),
    *(
        f'{host}.{part}'
        for host in ('mmdet', 'mmpose', 'mmaction', 'mmpretrain')
        for part in ('models', 'datasets')
    ),
    *('scipy.stats', 'matplotlib.pyplot'),
)


@cache
def _server() -> ForkServerContext:
    """The server, started at the first call. It ends with the process that started it."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(list(PRELOADED))
    with mock.patch.dict(os.environ, OMP_NUM_THREADS='1'):  # read when PyTorch is imported
        forkserver.ensure_running()
    return context


@cache
def _library_path() -> list[str]:
    """What a fresh interpreter has in ``sys.path`` behind a script's folder and PYTHONPATH."""
    command = [sys.executable, '-E', '-c', 'import sys; print(*sys.path[1:], sep="\\n")']
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _run_script(
    command: list[str], folder: str, environment: dict[str, str], log: str, library_path: list[str]
) -> None:
    """In the forked process: become what Python is when it runs a script, and run it."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open(log, 'wb') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    added = [entry for entry in environment.get('PYTHONPATH', '').split(os.pathsep) if entry]
    sys.argv[:] = command
    sys.path[:] = [str(Path(command[0]).resolve().parent), *added, *library_path]
    np.random.seed()  # noqa: NPY002 - the server's state would give each process the same numbers
    try:
        runpy.run_path(command[0], run_name='__main__')
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:
        atexit._run_exitfuncs()  # a process of multiprocessing leaves them out


def run_forked(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess:
    """Run a Python script as ``subprocess.run`` would, in a process forked from the server.

    Args:
        command: Script and its arguments, without the interpreter.
        cwd: Folder to run in.
        env: All of its environment.
        timeout: Seconds.

    Returns:
        Exit code (minus the signal that ended it), and in ``stdout`` what it printed.

    Raises:
        subprocess.TimeoutExpired: If it takes longer. It is killed then.
    """
    with tempfile.NamedTemporaryFile('r', encoding='utf-8') as log:
        args = (list(command), str(cwd), dict(env), log.name, _library_path())
        process = _server().Process(target=_run_script, args=args)
        # or else it would import the script that started this process, pytest
        with mock.patch.object(sys.modules['__main__'], '__file__', None, create=True):
            process.start()
        try:
            process.join(timeout)
            if process.exitcode is None:
                raise subprocess.TimeoutExpired(list(command), timeout, log.read().encode())
        finally:
            process.kill()
            process.join()
        return subprocess.CompletedProcess(list(command), process.exitcode, log.read())
