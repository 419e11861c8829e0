"""Inputs of the inferencer: clips of Penn Action and NTU RGB+D, videos and folders with poses."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.logging import print_log

from projects.inference import has_ending, images_in
from projects.keypoints import LAYOUTS, KeypointLayout, keypoint_layout
from projects.ntu_rgbd import ACTIONS, IMAGE_SHAPE, SKELETONS, VIDEO_ENDING, VIDEOS, split_names
from projects.star.ntu_skeletons import read_people
from projects.star.penn_action import PennActionDataset, read_clip
from projects.video import VIDEO_ENDINGS, video_frames, video_length_and_rate, video_size

LABEL_ENDINGS = ('.mat', '.skeleton')
RATE = 30.0
"""Frames a second where nothing tells; NTU RGB+D's."""

# A joint that a pose estimator does not find is put in the middle of some that it does: of those of
# the first line of which there are any.
_SHOULDERS, _HIPS = ('left_shoulder', 'right_shoulder'), ('left_hip', 'right_hip')
_STAND_INS = {
    'head': (('left_ear', 'right_ear'), ('left_eye', 'right_eye', 'nose'), ('head_top', 'neck')),
    'nose': (('head',),),
    'neck': (_SHOULDERS,),
    'spine_shoulder': (_SHOULDERS,),
    'spine_base': (_HIPS,),
    'spine_mid': (_SHOULDERS + _HIPS,),
}


class Source(NamedTuple):
    """A clip that was read."""

    file: str
    """What was given."""
    num_frames: int
    shape: tuple[int, int]
    """Height and width of the pictures, pixels."""
    rate: float
    """Frames a second."""
    points: np.ndarray
    """(M, T, J, 2) float32 pixels of the model's joints, 0 at the middle of the first one."""
    scores: np.ndarray
    """(M, T, J) float32 in 0..1, 0 of a missing joint."""
    pictures: Path | None = None
    """A video, or a folder of images; None without any."""
    truth: str | None = None
    """Name of the class, if the labels tell it."""


class _Joints(NamedTuple):
    """What a label file says."""

    points: np.ndarray
    scores: np.ndarray
    layout: KeypointLayout
    shape: tuple[int, int] | None
    """Size of the pictures that the joints are of; None if it is not told."""
    truth: str


def read_source(
    path: Path,
    layout: KeypointLayout,
    find: Callable[[Path], tuple[np.ndarray, Sequence[str]]] | None = None,
    rate: float | None = None,
    sensor_shape: tuple[int, int] = IMAGE_SHAPE,
    cache_dir: str | None = None,
) -> Source:
    """Read the joints of a clip, and find out where its pictures are.

    Args:
        path: A video, a folder of images, a ``.mat`` file of Penn Action or a ``.skeleton`` file of
            NTU RGB+D. Of a picture's labels the file is found as the data sets publish it:
            ``labels/0001.mat`` beside ``frames/0001``, ``nturgb+d_skeletons/<name>.skeleton``
            beside ``nturgb+d_rgb/<name>_rgb.avi``. Of a label file the pictures likewise.
        layout: The model's joints. Of other ones those of the same name are taken; head, neck and
            spine are put between others.
        find: Gives the poses of pictures, (T, P, J', 2 or 3) with NaN for what is missing, and the
            J' names of the joints. It is asked before label files are.
        rate: Frames a second; if None a video's own, else 30.
        sensor_shape: Height and width, pixels, of the pictures that the coordinates in skeleton
            files are of, whatever the video's size; see ``img_shape`` of ``NTURGBDDataset``.
        cache_dir: Of parsed skeleton files, see :func:`projects.star.ntu_skeletons.read_people`.

    Raises:
        FileNotFoundError: If there is no such file, or neither labels nor ``find``.
        ValueError: If something cannot be read; the message names it.
    """
    pictures, labels = _parts(path)
    told = None if labels is None else _read_labels(labels, sensor_shape, cache_dir)
    if find is not None and pictures is not None:
        poses, names = find(pictures)
        found = np.moveaxis(np.asarray(poses, dtype=np.float32), 1, 0)  # (P, T, J', D)
        points, scores = found[..., :2], np.ones(found.shape[:3], np.float32)
        if found.shape[-1] > 2:
            scores = np.nan_to_num(found[..., 2])
        points, scores = to_layout(points, scores, names, layout)
        joints_of = None
    elif told is not None:
        points, scores = to_layout(told.points, told.scores, told.layout.joint_names, layout)
        joints_of = told.shape
    else:
        raise FileNotFoundError(
            f'{path}: no label file was found for it; poses names a .npy file of its poses or a '
            'pose estimator, as in poses=human'
        )
    frames, size, own_rate = points.shape[1], joints_of or sensor_shape, None
    if pictures is not None:
        frames, size, own_rate = _look_at(pictures, frames)
    if joints_of is not None and joints_of != size:  # stored in another size
        factor = np.array(size[::-1]) / np.array(joints_of[::-1])
        points = np.where(scores[..., None] > 0, (points + 0.5) * factor - 0.5, 0)
    return Source(
        file=str(path),
        num_frames=frames,
        shape=size,
        rate=float(rate or own_rate or RATE),
        points=points[:, :frames].astype(np.float32),
        scores=scores[:, :frames].astype(np.float32),
        pictures=pictures,
        truth=None if told is None else told.truth,
    )


def _parts(path: Path) -> tuple[Path | None, Path | None]:
    """Pictures and label file of an input, each None if there are none."""
    if not path.exists():
        raise FileNotFoundError(f'{path}: no such file or folder')
    root = path.resolve().parent.parent
    if path.is_dir():
        images_in(path)  # before anything else is found wrong with it
        labels = root / 'labels' / f'{path.resolve().name}.mat'
        return path, labels if labels.is_file() else None
    if has_ending(path, LABEL_ENDINGS):
        pictures = root / 'frames' / path.stem
        if path.suffix.lower() == '.skeleton':
            pictures = root / VIDEOS / f'{path.stem}{VIDEO_ENDING}'
        return (pictures if pictures.exists() else None), path
    if not has_ending(path, VIDEO_ENDINGS):
        raise ValueError(
            f'{path}: ends in {path.suffix!r}, expected a folder of images, a video '
            f'{VIDEO_ENDINGS} or a label file {LABEL_ENDINGS}'
        )
    labels = root / SKELETONS / f'{path.name.removesuffix(VIDEO_ENDING)}.skeleton'
    return path, labels if path.name.endswith(VIDEO_ENDING) and labels.is_file() else None


def _read_labels(path: Path, sensor_shape: tuple[int, int], cache_dir: str | None) -> _Joints:
    if path.suffix.lower() == '.mat':
        _, sample = read_clip(path)
        truth = PennActionDataset.METAINFO['classes'][sample['label']]
        joints = sample['keypoint'], sample['keypoint_score']
        return _Joints(*joints, keypoint_layout('penn'), sample['img_shape'], truth)
    try:
        action = split_names(path.name).action
        truth = ACTIONS[action - 1]
    except (ValueError, IndexError) as error:
        raise ValueError(f'{path}: its name does not tell the action ({error})') from error
    return _Joints(*read_people(path, cache_dir), keypoint_layout('ntu'), sensor_shape, truth)


def _look_at(pictures: Path, frames: int) -> tuple[int, tuple[int, int], float | None]:
    """Number of frames that have picture and joints, (height, width), frames a second."""
    rate = None
    if pictures.is_dir():
        images = images_in(pictures)
        count, size = len(images), _read_image(images[0]).shape[:2]
    else:
        width, height = video_size(pictures)
        size = (height, width)
        count, rate = video_length_and_rate(pictures)
        count = count or frames
    if abs(count - frames) > max(2, frames // 50):
        text = f'{pictures}: has {count} frames, its joints {frames}: the smaller number counts'
        print_log(text, logger='current', level=logging.WARNING)
    return min(count, frames), size, rate


def _read_image(path: Path) -> np.ndarray:
    """(height, width, 3) uint8 RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f'{path}: cannot be read as an image')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_pictures(pictures: Path, frames: np.ndarray) -> Iterator[np.ndarray]:
    """Some frames of a video or of a folder of images.

    Args:
        pictures: The video, or the folder.
        frames: Which, from 0, rising.

    Yields:
        (height, width, 3) uint8 RGB; of a video that ends early there are fewer.

    Raises:
        ValueError: If one cannot be read.
    """
    if not pictures.is_dir():
        yield from video_frames(pictures, frames)
        return
    images = images_in(pictures)
    for frame in frames:
        yield _read_image(images[frame])


def pictures_of_groups(pictures: Path, groups: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The pictures of groups of frames, reading a video once, from its start to its end.

    A picture stays in memory until no later group needs it. Where a video ends earlier than it
    claims, its last picture stands for those behind it.

    Args:
        pictures: A video, or a folder of images.
        groups: Frames of each group, in any order, also several times.

    Yields:
        For each group its pictures, (height, width, 3) uint8 RGB.

    Raises:
        ValueError: If they cannot be read.
    """
    wanted = np.unique(np.concatenate(groups))
    firsts = np.minimum.accumulate([group.min() for group in groups][::-1])[::-1]
    stream = zip(wanted.tolist(), read_pictures(pictures, wanted), strict=False)
    held: dict[int, np.ndarray] = {}
    number, latest = -1, None
    for index, group in enumerate(groups):
        while number < group.max() and (following := next(stream, None)) is not None:
            number, latest = following
            held[number] = latest
        yield [held.get(frame, latest) for frame in group.tolist()]
        needed = firsts[index + 1] if index + 1 < len(groups) else np.inf
        held = {frame: picture for frame, picture in held.items() if frame >= needed}


def to_layout(
    points: np.ndarray, scores: np.ndarray, names: Sequence[str], layout: KeypointLayout
) -> tuple[np.ndarray, np.ndarray]:
    """Joints in the order of a layout, by their names.

    Head, neck and spine of a layout are put in the middle of others where they are not found, with
    the least score of these; what has no such others is missing.

    Args:
        points: (M, T, J', 2) pixels, NaN where missing.
        scores: (M, T, J') in 0..1, 0 where missing.
        names: J' names of the joints.
        layout: Which joints to give.

    Returns:
        (M, T, J, 2) and (M, T, J); missing joints are 0.

    Raises:
        ValueError: If none of the layout's joints has a name that was found.
    """
    names = list(names)
    if not set(names) & set(layout.joint_names):
        raise ValueError(
            f'the joints found, {names}, are none of layout {layout.name!r}, '
            f'{list(layout.joint_names)}'
        )
    known = (scores > 0) & np.isfinite(points).all(axis=-1)
    points = np.where(known[..., None], points, 0.0)
    scores = np.where(known, np.clip(scores, 0, 1), 0.0)
    shape = (*scores.shape[:2], layout.num_joints)
    places, sure = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    for joint, name in enumerate(layout.joint_names):
        for group in ((name,),) if name in names else _STAND_INS.get(name, ()):
            members = [names.index(one) for one in group if one in names]
            if not members:
                continue
            weight = known[..., members]  # (M, T, members)
            number = weight.sum(axis=-1)
            empty = (sure[..., joint] == 0) & (number > 0)
            middle = points[..., members, :].sum(axis=-2) / np.maximum(number, 1)[..., None]
            least = np.where(weight, scores[..., members], 1).min(axis=-1)
            places[..., joint, :] = np.where(empty[..., None], middle, places[..., joint, :])
            sure[..., joint] = np.where(empty, least, sure[..., joint])
    return places, sure


def read_stored_poses(
    path: Path, layout: KeypointLayout, num_frames: int | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Poses that were stored as an array, such as ``tools/datasets/extract_poses.py`` writes them.

    Args:
        path: A ``.npy`` file: (T, J', 2 or 3), or (T, P, J', 2 or 3) of several people; x and y in
            pixels, a score in 0..1, NaN where missing. The third number of BlazePose's 33 joints is
            a depth and not read. People may come before the frames if only so ``num_frames`` fit.
        layout: The model's joints; other joints are told by their number.
        num_frames: Of the pictures, if it is known.

    Returns:
        (T, P, J', 2 or 3) and the names of the joints.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file of poses')
    try:
        poses = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f'{path}: is no .npy array of numbers ({error})') from error
    layouts = {one.num_joints: one for one in (*LAYOUTS.values(), layout)}
    shape = np.shape(poses)
    known = len(shape) in (3, 4) and shape[-2] in layouts and shape[-1] in (2, 3)
    if not known or poses.dtype.kind not in 'fiu' or not poses.size:
        raise ValueError(
            f'{path}: is an array of {poses.dtype} of shape {shape}, expected numbers (frames, '
            f'joints, 2 or 3) or (frames, people, joints, 2 or 3) with {sorted(layouts)} joints'
        )
    if poses.ndim == 3:
        poses = poses[:, None]
    elif poses.shape[0] != num_frames and poses.shape[1] == num_frames:
        poses = poses.swapaxes(0, 1)
    found = layouts[poses.shape[-2]]
    if found.name == 'blazepose':
        poses = poses[..., :2]
    elif poses.shape[-1] == 3:
        scores = poses[..., 2]
        odd = np.isfinite(scores) & ((scores < 0) | (scores > 1))
        if odd.any():
            raise ValueError(
                f'{path}: the third number of a joint is {scores[odd][0]}, expected a score in 0..1'
            )
    return poses, found.joint_names
