"""Skeleton files of NTU RGB+D: their numbers, and the people in them."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from projects.files import default_cache_dir, whole_file
from projects.keypoints import keypoint_layout

MAX_PEOPLE = 2
NUM_JOINTS = keypoint_layout('ntu').num_joints

_NUM_INFO, _NUM_COLUMNS = 10, 12  # numbers of a body, and of a joint
_BODY = _NUM_INFO + 1 + NUM_JOINTS * _NUM_COLUMNS  # between them stands the number of joints
_COLOR, _STATE = slice(5, 7), 11  # columns of a joint
# Thresholds of the "denoising" that the literature shares, see split_people.
_SHORT, _WIDE, _MOSTLY_WIDE = 11, 0.8, 0.69754
# Raised whenever the same file would yield other arrays than before.
_CACHE_VERSION = 1


@dataclass(frozen=True)
class Skeletons:
    """Content of a ``.skeleton`` file: D detected bodies, frame after frame.

    Args:
        num_frames: Frames T of the file, also those without a body.
        frames: (D,) int64, frame of each detection, from 0, rising.
        ids: (D,) int64, the sensor's number of the body, the same as long as it is tracked.
        info: (D, 9) float32: clipped edges, confidence and state of the left and of the right hand,
            restricted, lean x and y, tracking state.
        joints: (D, 25, 12) float32: x, y, z in metres, x and y in pixels of the depth and of the
            colour picture, orientation w, x, y, z, tracking state (0 not tracked, 1 inferred,
            2 tracked).
    """

    num_frames: int
    frames: np.ndarray
    ids: np.ndarray
    info: np.ndarray
    joints: np.ndarray


def read_skeleton(path: str | Path) -> Skeletons:
    """Parse a file as NTU RGB+D publishes it: numbers between white space.

    The number of frames; for each frame the number of bodies; for each body ten numbers, the number
    of joints, and twelve numbers for each joint.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If something else stands in the file; the message names file and frame.
    """
    words = Path(path).read_bytes().split()
    num_frames, frames, starts = _outline(path, words)
    inside = starts[:, None] + np.arange(_BODY)  # (D, 311)
    try:
        numbers = np.array(words, dtype=np.float64)[inside]
        ids = np.array([int(words[start]) for start in starts], dtype=np.int64)
    except (ValueError, OverflowError):
        for start, frame in zip(starts, frames, strict=True):
            _count(path, words, start, f'frame {frame}: number of a body', limit=2**63)
            for word in words[start : start + _BODY]:
                _number(path, word, frame)
        raise  # if numpy refuses what Python reads
    with np.errstate(over='ignore'):  # infinite, and so without a place
        numbers = numbers.astype(np.float32)
    joints = numbers[:, _NUM_INFO + 1 :].reshape(-1, NUM_JOINTS, _NUM_COLUMNS)
    return Skeletons(num_frames, frames, ids, numbers[:, 1:_NUM_INFO], joints)


def _outline(path: str | Path, words: list[bytes]) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of frames, (D,) frame of each body, (D,) index of its first word."""
    num_frames = _count(path, words, 0, 'number of frames')
    if num_frames < 1:
        raise ValueError(f'{path}: holds 0 frames, expected 1 or more')
    frames, starts, place = [], [], 1
    for frame in range(num_frames):
        bodies = _count(path, words, place, f'frame {frame}: number of bodies')
        place += 1
        for body in range(bodies):
            joints = _count(
                path, words, place + _NUM_INFO, f'frame {frame}, body {body}: number of joints'
            )
            if joints != NUM_JOINTS:
                raise ValueError(
                    f'{path}: frame {frame}, body {body}: {joints} joints, expected {NUM_JOINTS}'
                )
            frames.append(frame)
            starts.append(place)
            place += _BODY
        if place > len(words):
            raise ValueError(
                f'{path}: ends in frame {frame} of {num_frames}, {place - len(words)} numbers too '
                'early'
            )
    if place < len(words):
        raise ValueError(
            f'{path}: {len(words) - place} words after the last of {num_frames} frames, from '
            f'{_shown(words[place])} on'
        )
    return num_frames, np.array(frames, dtype=np.int64), np.array(starts, dtype=np.int64)


def _count(path: str | Path, words: list[bytes], place: int, what: str, limit: int = 2**31) -> int:
    """The whole number at a place."""
    if place >= len(words):
        raise ValueError(f'{path}: {what}: the file ends, expected a whole number')
    try:
        value = int(words[place])
    except ValueError:
        value = -1
    if not 0 <= value < limit:
        raise ValueError(f'{path}: {what} is {_shown(words[place])}, expected a whole number')
    return value


def _number(path: str | Path, word: bytes, frame: int) -> None:
    """Refuse a word that is no number."""
    try:
        float(word)
    except ValueError as error:
        raise ValueError(f'{path}: frame {frame}: {_shown(word)} is no number') from error


def _shown(word: bytes) -> str:
    """A word of a file that may hold anything, for a message."""
    return repr(word[:20].decode('ascii', 'backslashreplace'))


def split_people(skeletons: Skeletons, most: int = MAX_PEOPLE) -> list[np.ndarray]:
    """Whose detections are whose, the person who moves most first.

    The sensor finds bodies in chairs and tables, and gives a person who was lost another number. So
    this follows what the data set's authors advise and the literature does before training (code of
    SGN, CTR-GCN and others): bodies of 11 frames or fewer are left out; then those that are wider
    than 0.8 times their height in 69.754 % of their frames or more; the others are sorted by their
    motion, the sum of the variances of x, y and z over all joints and frames (frames that are too
    wide left out, where that makes less of it). The first body is the first person. Each further
    body continues the first person it shares no frame with, or else is one more person, or is left
    out where there are ``most`` already.

    Where this differs: a step that would leave nobody is skipped, so that short samples and
    people who lie keep their bodies; a body may also fill a gap within a person's frames; equal
    motions keep the order of appearance. The class is never looked at: how many people there are is
    not to give it away.

    Args:
        skeletons: Content of a file.
        most: Number of people.

    Returns:
        For each person the indices of the detections, each of another frame; no more than ``most``.
    """
    positions = skeletons.joints[..., :3].astype(np.float64)
    with np.errstate(invalid='ignore'):
        span = np.ptp(positions[..., :2], axis=1)  # (D, 2) m
    wide = ~(span[:, 0] <= _WIDE * span[:, 1])  # also where something is no number
    numbers = dict.fromkeys(skeletons.ids.tolist())
    bodies = [np.flatnonzero(skeletons.ids == number) for number in numbers]
    bodies = [body for body in bodies if len(body) > _SHORT] or bodies
    bodies = [body for body in bodies if wide[body].mean() < _MOSTLY_WIDE] or bodies
    motions = [_motion(positions[body], wide[body]) for body in bodies]
    people: list[np.ndarray] = []
    for index in np.argsort(-np.array(motions), kind='stable'):
        body = bodies[index]
        frames = skeletons.frames[body]
        for person, other in enumerate(people):
            if not np.isin(frames, skeletons.frames[other]).any():
                people[person] = np.concatenate([other, body])
                break
        else:
            if len(people) < most:
                people.append(body)
    return people


def _motion(positions: np.ndarray, wide: np.ndarray) -> float:
    """The sum of the variances of x, y and z of a body, (n, 25, 3), in m^2."""
    sets = [positions, positions[~wide]] if not wide.all() else [positions]
    points = [frames[np.isfinite(frames).all(axis=-1)] for frames in sets]  # (joints seen, 3) each
    return min(float(seen.var(axis=0).sum()) if len(seen) else 0.0 for seen in points)


def joints_of_people(skeletons: Skeletons) -> tuple[np.ndarray, np.ndarray]:
    """Joints in the colour pictures of the people of :func:`split_people`.

    Args:
        skeletons: Content of a file.

    Returns:
        (M, T, 25, 2) float32, pixels, and (M, T, 25) float32 scores: 1 of a tracked joint, 0.5 of
        an inferred one. What is not tracked, not detected or has no finite place has score 0 and
        stands at (0, 0). M is 1 or 2, also 1 where there is nobody.
    """
    people = split_people(skeletons)
    shape = max(len(people), 1), skeletons.num_frames, NUM_JOINTS
    places, states = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    for person, detections in enumerate(people):
        frames = skeletons.frames[detections]
        places[person, frames] = skeletons.joints[detections, :, _COLOR]
        states[person, frames] = skeletons.joints[detections, :, _STATE]
    known = np.isin(states, (1, 2)) & np.isfinite(places).all(axis=-1)
    return np.where(known[..., None], places, 0), np.where(known, states / 2, 0)


def read_people(
    path: str | Path, cache_dir: str | Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`joints_of_people` of a file, parsed only once.

    The arrays are cached under the file's path, size and date, so a changed file is parsed anew.

    Args:
        path: A ``.skeleton`` file.
        cache_dir: Folder of the cache, :func:`projects.files.default_cache_dir` if None.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, see :func:`read_skeleton`.
    """
    path = Path(path).absolute()
    status = path.stat()
    stamp = _CACHE_VERSION, str(path), status.st_size, status.st_mtime_ns
    key = hashlib.blake2b(repr(stamp).encode(), digest_size=20).hexdigest()
    cached = Path(cache_dir or default_cache_dir('ntu'), f'{key}.npz')
    try:
        with np.load(cached, allow_pickle=False) as file:
            places, scores = file['places'], file['scores']
        if places.ndim == 4 and places.shape == (*scores.shape, 2):
            return places, scores
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not cached yet, or damaged: parsed (again) below
    places, scores = joints_of_people(read_skeleton(path))
    try:
        with whole_file(cached) as partial:
            np.savez(partial, places=places, scores=scores)
    except OSError:
        pass  # a full or read-only disk costs time, never the run
    return places, scores
