"""Runs the commands of the set-up: one set-up at a time, output kept, nothing left behind."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from setup_checks import SetupError, find_hint

TICK_S = 30.0  # a long command says this often that it is alive
TAIL_LINES = 30


class CommandRunner:
    """Runs commands for the environment in `<root>/.venv`.

    Args:
        root: The repository.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / '.venv'
        self.python = self.venv / 'bin' / 'python'
        self.state = self.venv / '.mmkinesis'  # stamps; its presence says that the folder is ours
        self.log_path = root / 'setup.log'
        self._log = None
        self._lock_fd = -1

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
                hint or find_hint('\n'.join(output[-200:]), self.start_over()),
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

    def start_over(self) -> str:
        """The hint when nothing better is known."""
        return (
            f'the whole output is in {self.log_path}; run this again, and if it fails in the same '
            'way, start over with make clean-env'
        )


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
