"""What several test files share: a private cache, and small generated data."""

import os
from pathlib import Path

import numpy as np
import pytest

# Workers of a two-core machine gain nothing from more threads, and the suite stays repeatable.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import projects  # noqa: F401 - repairs the host libraries before any test imports them
from projects.skeleton import CMU, HUMAN36M
from projects.synthetic.coco import write_coco
from projects.synthetic.kinetics_tps import write_kinetics_tps
from projects.synthetic.penn_action import write_penn_action
from projects.synthetic.repcount import write_repcount


@pytest.fixture(scope='session', autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep parsed sequences out of the user's cache."""
    folder = tmp_path_factory.mktemp('cache')
    os.environ['MMKINESIS_CACHE'] = str(folder)
    return folder


def smooth_rotations(rng: np.random.Generator, frames: int, joints: int) -> np.ndarray:
    """Slowly changing exponential maps, (T, J, 3) radians."""
    time = np.arange(frames)[:, None, None] / 50
    speed, phase = rng.uniform(0.3, 1.2, (2, 1, joints, 3)) * 2 * np.pi
    return rng.uniform(0.1, 0.5, (1, joints, 3)) * np.sin(speed * time + phase)


def write_motion(path: Path, rotations: np.ndarray, translation: np.ndarray = None) -> None:
    """Write a motion file in the published text layout."""
    frames = len(rotations)
    if translation is None:
        translation = np.zeros((frames, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = np.concatenate([translation, rotations.reshape(frames, -1)], axis=1)
    np.savetxt(path, columns, fmt='%.7f', delimiter=',')


@pytest.fixture(scope='session')
def h36m_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two actions of three subjects (training, validation, test) in Human3.6M's layout."""
    root = tmp_path_factory.mktemp('h36m')
    rng = np.random.default_rng(0)
    for subject in (1, 11, 5):
        for action in ('walking', 'eating'):
            for trial in (1, 2):
                rotations = smooth_rotations(rng, 160, HUMAN36M.num_joints)
                write_motion(root / f'S{subject}' / f'{action}_{trial}.txt', rotations)
    return root


@pytest.fixture(scope='session')
def cmu_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two actions in the layout of the CMU data."""
    root = tmp_path_factory.mktemp('cmu')
    rng = np.random.default_rng(1)
    for split, numbers in (('train', (1, 2, 10)), ('test', (1,))):
        for action in ('running', 'walking'):
            for number in numbers:
                rotations = smooth_rotations(rng, 180, CMU.num_joints)
                write_motion(root / split / action / f'{action}_{number}.txt', rotations)
    return root


@pytest.fixture(scope='session')
def kinetics_tps_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated videos of two classes in the layout of Kinetics-TPS, as frames."""
    root = tmp_path_factory.mktemp('kinetics_tps')
    write_kinetics_tps(
        root,
        classes=('squat', 'jumping_jack'),
        videos_per_class=dict(train=12, test=5),
        num_frames=20,
        image_size=(96, 80),
        storage='frames',
        annotate_every=5,
    )
    return root


@pytest.fixture(scope='session')
def coco_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated pictures of several people in the layout of COCO keypoints."""
    root = tmp_path_factory.mktemp('coco')
    write_coco(root, images=dict(train=30, val=30), image_size=(160, 128), people=(2, 3))
    return root


@pytest.fixture(scope='session')
def penn_action_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated clips of five classes in the layout of Penn Action."""
    root = tmp_path_factory.mktemp('penn_action')
    write_penn_action(
        root,
        classes=('jumping_jacks', 'pullup', 'pushup', 'situp', 'squat'),
        videos_per_class=dict(train=8, test=8),
        num_frames=(16, 20),
        image_size=(64, 48),
    )
    return root


@pytest.fixture(scope='session')
def repcount_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated pose arrays of four classes in the layout of RepCount-pose."""
    root = tmp_path_factory.mktemp('repcount')
    write_repcount(
        root,
        actions=('squat', 'jump_jack', 'push_up', 'situp'),
        videos_per_action=dict(train=4, valid=2, test=10),
        num_frames=(60, 90),
        fps=10.0,
    )
    return root
