"""Reading motion files: text, with a cache that makes the second read fast, and arrays."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from projects.files import default_cache_dir, whole_file
from projects.skeleton import Skeleton

# Raised whenever the same file would yield other positions than before.
_CACHE_VERSION = 1

ENDINGS = ('.npy', '.npz')
"""Of the files that hold arrays."""


def parse_motion(path: Path, num_columns: int) -> np.ndarray:
    """Parse a text file of one frame a line, comma-separated.

    Args:
        path: The file.
        num_columns: Numbers that every line is to hold.

    Returns:
        (T, num_columns) float64.

    Raises:
        ValueError: If a line holds another number of columns, or a value that is no finite number,
            or if the file is empty; the message names file and line.
    """
    try:
        frames = np.loadtxt(path, delimiter=',', ndmin=2, comments=None)
        sound = frames.shape[0] > 0 and frames.shape[1] == num_columns
        if sound and np.isfinite(frames).all():
            return frames
    except ValueError:
        pass  # found and named below, where speed no longer matters
    with open(path, encoding='utf-8', errors='replace') as file:
        lines = [(row, line.strip()) for row, line in enumerate(file, 1) if line.strip()]
    if not lines:
        raise ValueError(f'{path}: holds no frames, expected lines of {num_columns} columns')
    for row, line in lines:
        values = line.split(',')
        if len(values) != num_columns:
            raise ValueError(f'{path}:{row}: found {len(values)} columns, expected {num_columns}')
        for column, value in enumerate(values, 1):
            try:
                finite = np.isfinite(float(value))
            except ValueError:
                finite = False
            if not finite:
                raise ValueError(
                    f'{path}:{row}: column {column} holds {value!r}, expected a finite number'
                )
    raise ValueError(f'{path}: not readable as numbers, expected {num_columns} columns a line')


def read_motion(path: Path, skeleton: Skeleton, cache_dir: Path | None = None) -> np.ndarray:
    """Joint positions of a motion file, global rotation and translation removed.

    Positions are cached under the hash of the file's content, so a changed file is parsed anew
    and an unchanged one is not, whatever its name and date.

    Args:
        path: Text file of exponential maps: 3 columns of global translation, then 3 a joint.
        skeleton: Its joint tree.
        cache_dir: Folder of the cache, :func:`projects.files.default_cache_dir` if None.

    Returns:
        (T, J, 3) float32, millimetres, every joint of the skeleton, at the file's own frame rate.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is malformed, see :func:`parse_motion`.
    """
    content = Path(path).read_bytes()
    salt = f'{_CACHE_VERSION}:{skeleton.name}'.encode()
    key = hashlib.blake2b(content, digest_size=20, salt=salt[:16]).hexdigest()
    cached = Path(cache_dir or default_cache_dir('motion'), f'{key}.npy')
    try:
        positions = np.load(cached, allow_pickle=False)
        if positions.ndim == 3 and positions.shape[1:] == (skeleton.num_joints, 3):
            return positions
    except (OSError, ValueError, EOFError):
        pass  # not cached yet, or damaged: parsed (again) below
    columns = parse_motion(path, skeleton.num_columns)
    rotations = columns[:, 3:].reshape(len(columns), -1, 3)
    rotations[:, 0] = 0  # the root's map is the global rotation
    positions = skeleton.forward_kinematics(rotations).astype(np.float32)
    try:
        with whole_file(cached) as partial:
            np.save(partial, positions)
    except OSError:
        pass  # a full or read-only disk costs time, never the run
    return positions


def load_positions(path: Path, key: str = 'positions') -> np.ndarray:
    """Joint positions of an array's file.

    Args:
        path: Ends in ``.npy``, or in ``.npz`` with the array under ``key``; (T, J, 3), or
            (T, P, J, 3) for P people.
        key: Name of the array in an ``.npz`` file.

    Returns:
        (T, P, J, 3), in the file's unit and number type; NaN where a joint is missing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no array's, has none under ``key``, or as
            :func:`check_positions`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such motion file')
    try:
        # never with pickles, which could run code
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.lib.npyio.NpzFile):
            with content:
                if key not in content.files:
                    raise ValueError(f'holds arrays {content.files}, expected one named {key!r}')
                content = content[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error) or 'cut short'
        if 'pickle' in reason:  # numpy's text is advice on how to load such a file all the same
            reason = 'no array of numbers; Python objects are not read, for they could run code'
        raise ValueError(f'{path}: {reason}') from error
    return check_positions(content, str(path))


def check_positions(positions: np.ndarray, source: str) -> np.ndarray:
    """Check an array of joint positions.

    Args:
        positions: (T, J, 3), or (T, P, J, 3) for P people.
        source: What messages call it.

    Returns:
        (T, P, J, 3) of the same values.

    Raises:
        ValueError: If it is of another shape, holds no frame or nobody, no numbers, or numbers
            without end (NaN, a joint that is missing, may be).
    """
    shape = positions.shape
    if positions.ndim == 3:
        positions = positions[:, None]
    if positions.ndim != 4 or positions.shape[3] != 3 or not positions.size:
        raise ValueError(
            f'{source}: has shape {shape}, expected (frames, joints, 3) or (frames, people, '
            'joints, 3)'
        )
    if positions.dtype.kind not in 'fiu':
        raise ValueError(f'{source}: holds values of type {positions.dtype}, expected numbers')
    endless = np.isinf(positions).any(axis=(1, 2, 3))
    if endless.any():
        raise ValueError(
            f'{source}: frame {int(endless.argmax())} holds an infinite coordinate, expected '
            'finite ones, or NaN for a joint that is missing'
        )
    return positions
