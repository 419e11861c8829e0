"""Packaging of MMKinesis: `pip install -e .` into an environment that already holds torch."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def read_requirements(name: str) -> list[str]:
    """The requirement lines of requirements/<name>.txt, without comments and empty lines."""
    text = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8')
    lines = (line.split('#', 1)[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


readme = ROOT / 'README.md'

setup(
    name='mmkinesis',
    version='0.1.0',
    description='Human motion understanding methods as OpenMMLab plugins',
    long_description=readme.read_text(encoding='utf-8') if readme.exists() else '',
    long_description_content_type='text/markdown',
    author='The MMKinesis contributors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    packages=find_packages(include=['projects', 'projects.*']),
    python_requires='>=3.10',
    install_requires=read_requirements('install'),
    extras_require={
        'tests': ['pytest>=8,<9.2', 'pytest-xdist>=3.5', 'hypothesis>=6.100', 'ruff==0.17.5'],
        # Reads video files; the pictures need nothing more.
        'demos': ['decord>=0.6'],
        # One of two pose estimators of tools/datasets/extract_poses.py; the other is mmpose.
        'mediapipe': ['mediapipe>=0.10.14'],
        # As in the OpenMMLab libraries themselves, mmengine and its siblings are an extra: with
        # mmengine required, pip would follow its requirement of opencv-python, and install that
        # over the headless OpenCV of a server that has no libGL.
        'mim': read_requirements('mim'),
    },
    zip_safe=False,
)
