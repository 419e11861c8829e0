"""Looks at an environment, the one in `.venv` or one that the user names, and says what it lacks.

Standard library only, because the environment may be empty.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from setup_checks import (
    PYTHON_RANGE,
    ROOT,
    SetupError,
    read_requirements,
    satisfies,
    split_requirement,
)

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

REPORT = 'environment report: '


def inspect_environment() -> dict:
    """Imports everything and reports versions and failures of the Python that runs this."""
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
    """The report that this script printed among whatever the libraries print when imported."""
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
        [os.path.abspath(found), str(Path(__file__).resolve())],
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
        if 'No module named' in report['failures'].get('projects', ''):
            hint += (
                f'; this project: {found} -m pip install --no-deps --no-build-isolation -e {root}'
            )
        raise SetupError(what, '\n  '.join(faults), hint)
    missing = [n for n in ('pytest', 'hypothesis', 'ruff') if report['versions'].get(n) is None]
    if missing:
        print(f'      make test also needs: {" ".join(missing)}')
    print(f'      {describe_devices(report)}')


if __name__ == '__main__':
    print('\n' + REPORT + json.dumps(inspect_environment()))
