"""What setting up an environment needs to know: versions, what a machine must bring, and hints.

Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PYTHON_RANGE = ((3, 10), (3, 13))  # the pins have wheels for these
JOB_GB = 2.5  # memory that compiling the largest file of mmcv takes


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


def base_python() -> str:
    """The Python that runs this; inside an environment, the one that environment was made with.

    With `.venv` activated, python3 is a link in the very folder that may have to be made again.
    """
    base = getattr(sys, '_base_executable', None)
    return base if base and os.path.exists(base) else sys.executable


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
