"""Writes videos of the figure in the layout of Penn Action: frames, and joints in MATLAB files."""

import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.io import loadmat, savemat

from projects.files import whole_folder
from projects.penn_labels import CLASS_NAMES
from projects.synthetic.body import LIMB_INDEX
from projects.synthetic.coco import KEYPOINTS, visibility
from projects.synthetic.figure import COCO_LANDMARKS, PENN_LANDMARKS
from projects.synthetic.rendering import Rendering
from projects.synthetic.sampling import Layer, check_names
from projects.synthetic.scene import Scene, sample_scene

SPLITS = ('train', 'test')
VIDEOS_PER_CLASS = {'train': 12, 'test': 6}
NEAREST = {'bowl': 'lunge', 'golf_swing': 'twist', 'jump_rope': 'jump'}
"""Classes that the figure cannot do, and what it does instead."""
CLASSES = {
    'bench_press': 'bench_press',
    'jumping_jacks': 'jumping_jack',
    'pullup': 'pull_up',
    'pushup': 'push_up',
    'situp': 'sit_up',
    'squat': 'squat',
    **NEAREST,
}
"""The classes that can be written, and the mover's action for each."""
VIEWS = {
    'front': (-30.0, 30.0),
    'back': (150.0, 210.0),
    'left': (-120.0, -60.0),
    'right': (60.0, 120.0),
}
"""Values of the field ``pose``: where in the picture a person faces, as degrees to the person's
left of the camera."""


def _column(name: str) -> str:
    """The figure's joint in a column of the files.

    The published column of the left wrist holds the wrist of the person's right arm, and so on for
    all joints: seen from the front it is on the picture's left, from behind on its right.
    """
    other = {'left': 'right', 'right': 'left'}
    side, _, joint = name.partition('_')
    return f'{other[side]}_{joint}' if side in other else name


JOINTS = tuple(PENN_LANDMARKS)
"""Published names of the columns."""
_IN_COCO = [KEYPOINTS.index(_column(name)) for name in JOINTS[1:]]
_HEAD = PENN_LANDMARKS['head']
_HEAD_LIMBS = [LIMB_INDEX['face'], LIMB_INDEX['hair']]
_LAST_NUMBER = 9999  # names have four digits
# Keeps the videos' streams apart from those of other data sets of the same seed.
_STREAM = zlib.crc32(b'penn_action')
_HEADER = b'MATLAB 5.0 MAT-file, written by the synthetic mover'.ljust(116)


@dataclass(frozen=True)
class PennVideo:
    """One video of the data set, not yet written.

    Args:
        number: What its folder and file are named after, from 1.
        action: Its class.
        view: Where the person faces, one of ``VIEWS``.
        train: Whether it is in the training half.
        scene: What it shows.
    """

    number: int
    action: str
    view: str
    train: bool
    scene: Scene

    def draw(self) -> tuple[list[np.ndarray], dict]:
        """The video and its labels.

        Returns:
            T pictures, (H, W, 3) uint8, BGR, and the fields of the label file: ``x``, ``y``
            (T, 13) and ``bbox`` (T, 4; x1, y1, x2, y2) in pixels counted from 1, ``visibility``
            (T, 13) bool, ``dimensions`` (height, width, T), ``nframes``, ``train`` (1 or -1),
            ``action``, ``pose``.
        """
        scene, motion = self.scene, self.scene.motions[0]
        width, height = scene.camera.size
        frames = scene.num_frames
        in_coco = motion.landmarks(list(COCO_LANDMARKS.values()))  # (T, 17, 3)
        head = motion.landmarks([_HEAD])  # (T, 1, 3)
        points = np.concatenate([head, in_coco[:, _IN_COCO]], axis=1)  # (T, 13, 3)
        pixels = scene.camera.project(points)[0]
        seen = np.zeros((frames, len(JOINTS)), dtype=bool)
        boxes = np.empty((frames, 4))
        guesses = np.ones((1, len(KEYPOINTS)))  # nothing hidden is guessed
        images = []
        for index in range(frames):
            picture = scene.frame(index)
            v = visibility(
                picture,
                in_coco[None, index],
                scene.landmarks[:, index],
                scene.camera,
                guesses,
            )[1]
            seen[index, 0] = _shows_head(picture, pixels[index, 0])
            seen[index, 1:] = v[0, _IN_COCO] == 2
            extents = picture.extents()[0]  # (limbs, 4)
            boxes[index] = *extents[:, :2].min(axis=0), *extents[:, 2:].max(axis=0)
            images.append(picture.image)
        limit = np.array([width - 1, height - 1], dtype=float)
        # the published hidden joints lie in the picture, guessed by a person
        pixels = np.clip(pixels, 0.0, limit)
        # or at its first pixel if they are hidden from the first frame to the last
        pixels[:, ~seen.any(axis=0)] = 0.0
        pixels = np.round(pixels, 2) + 1.0
        return images, {
            'action': self.action,
            'pose': self.view,
            'x': pixels[..., 0],
            'y': pixels[..., 1],
            'visibility': seen,
            'train': np.array([[1 if self.train else -1]], dtype=np.int32),
            'bbox': np.round(np.clip(boxes, 0.0, np.tile(limit, 2)), 2) + 1.0,
            'dimensions': np.array([[height, width, frames]], dtype=np.uint16),
            'nframes': np.array([[frames]], dtype=np.min_scalar_type(frames)),
        }


def _shows_head(picture: Rendering, pixel: np.ndarray) -> bool:
    """Whether the picture shows the only person's head at a pixel."""
    column, row = np.rint(pixel).astype(int)
    height, width = picture.owners.shape
    if not (0 <= column < width and 0 <= row < height):
        return False
    return picture.owners[row, column] in [Rendering.owner(0, limb) for limb in _HEAD_LIMBS]


def penn_video(
    split: str,
    action: str,
    number: int,
    *,
    num_frames: tuple[int, int] = (24, 48),
    image_size: tuple[int, int] = (160, 120),
    fps: float = 15.0,
    difficulty: float = 0.3,
    seed: int = 0,
) -> PennVideo:
    """The video that :func:`write_penn_action` writes.

    Each (seed, split, action, number) has a random stream of its own.

    Args:
        split: ``'train'`` or ``'test'``.
        action: Its class, a key of ``CLASSES``.
        number: Which one of its class and split, from 0.
        num_frames: Fewest and most frames.
        image_size: Width and height, px.
        fps: Frames per second.
        difficulty: See :func:`projects.synthetic.scene.sample_scene`; the person is in all frames.
        seed: Seed of the whole data set, not negative.

    Returns:
        The video.

    Raises:
        ValueError: If a name or number is not one of the allowed.
    """
    check_names('split', [split], SPLITS)
    check_names('classes', [action], tuple(CLASSES))
    if len(num_frames) != 2 or not 1 <= num_frames[0] <= num_frames[1] <= np.iinfo(np.uint16).max:
        raise ValueError(f'num_frames is {num_frames!r}, expected fewest and most, 1 to 65535')
    if not 0 <= difficulty <= 1:
        raise ValueError(f'difficulty is {difficulty!r}, expected a number in [0, 1]')
    if not fps > 0:
        raise ValueError(f'fps is {fps!r}, expected a positive number')
    for name, value in (('number', number), ('seed', seed)):
        if value < 0:
            raise ValueError(f'{name} is {value}, expected 0 or more')
    # the same name however many videos and classes are written
    place = 2 * number + SPLITS.index(split)
    name = 1 + len(CLASS_NAMES) * place + CLASS_NAMES.index(action)
    if name > _LAST_NUMBER:
        raise ValueError(f'number is {number}, expected so few that names have four digits')
    entropy = [seed, SPLITS.index(split), zlib.crc32(action.encode()), number]
    rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(_STREAM,)))
    frames = int(rng.integers(num_frames[0], num_frames[1] + 1))
    view = tuple(VIEWS)[rng.integers(len(VIEWS))]
    scene = sample_scene(
        [[Layer(CLASSES[action])]],
        frames,
        fps,
        rng,
        image_size=tuple(image_size),
        difficulty=difficulty,
        yaws=(VIEWS[view],),
    )
    scene = replace(scene, present=np.ones(frames, dtype=bool))
    return PennVideo(name, action, view, split == 'train', scene)


def write_penn_action(
    root: str | Path,
    *,
    classes: Sequence[str] = tuple(CLASSES),
    videos_per_class: Mapping[str, int] = VIDEOS_PER_CLASS,
    num_frames: tuple[int, int] = (24, 48),
    image_size: tuple[int, int] = (160, 120),
    fps: float = 15.0,
    difficulty: float = 0.3,
    seed: int = 0,
    progress: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Writes ``frames/<4 digits>/<6 digits>.jpg`` and ``labels/<4 digits>.mat`` below a folder.

    Fewer classes or videos give the same files as writing all: what a video is numbered depends on
    its class, split and place alone, so numbers have gaps. The folder appears when it is complete.

    Args:
        root: Folder to write, new or empty.
        classes: Keys of ``CLASSES``.
        videos_per_class: ``{'train': n, 'test': m}``; a split left out is not written.
        num_frames: See :func:`penn_video`.
        image_size: See :func:`penn_video`.
        fps: See :func:`penn_video`.
        difficulty: See :func:`penn_video`.
        seed: See :func:`penn_video`.
        progress: Called with each finished label file, which lies there only in the end.

    Returns:
        The label files.

    Raises:
        ValueError: If a name or number is not one of the allowed; nothing is written then.
        FileExistsError: If the folder has content.
    """
    check_names('classes', classes, tuple(CLASSES))
    check_names('videos_per_class', tuple(videos_per_class), SPLITS)
    for split, count in videos_per_class.items():
        if count < 0:
            raise ValueError(f'videos_per_class[{split!r}] is {count}, expected at least 0')
    if not any(videos_per_class.values()):
        raise ValueError(f'videos_per_class is {dict(videos_per_class)}, expected some')
    options = {
        'num_frames': tuple(num_frames),
        'image_size': tuple(image_size),
        'fps': fps,
        'difficulty': difficulty,
        'seed': seed,
    }
    for split, count in videos_per_class.items():  # checks them
        penn_video(split, classes[0], max(count - 1, 0), **options)
    root = Path(root)
    paths = []
    with whole_folder(root) as partial:
        (partial / 'labels').mkdir()
        for split, count in videos_per_class.items():
            for action in dict.fromkeys(classes):
                for number in range(count):
                    video = penn_video(split, action, number, **options)
                    path = Path('labels', f'{video.number:04d}.mat')
                    images, labels = video.draw()
                    _write_frames(partial, Path('frames', path.stem), images, root)
                    (partial / path).write_bytes(matlab_file(labels))
                    paths.append(root / path)
                    if progress is not None:
                        progress(paths[-1])
    return paths


def _write_frames(partial: Path, folder: Path, images: Sequence[np.ndarray], root: Path) -> None:
    (partial / folder).mkdir(parents=True)
    for index, image in enumerate(images):
        path = folder / f'{index + 1:06d}.jpg'
        if not cv2.imwrite(str(partial / path), image, [cv2.IMWRITE_JPEG_QUALITY, 95]):
            raise OSError(f'{root / path}: OpenCV cannot write JPEG files there')


def matlab_file(fields: Mapping[str, object]) -> bytes:
    """A MATLAB 5 file.

    Args:
        fields: Its variables.

    Returns:
        Its bytes, the same whenever it is written: the header says no date.
    """
    stream = io.BytesIO()
    savemat(stream, dict(fields), do_compression=True)
    return _HEADER + stream.getvalue()[len(_HEADER) :]


def count_videos(root: str | Path) -> dict[str, dict[str, float]]:
    """What is in a folder of the data set.

    Args:
        root: Folder of the data set.

    Returns:
        ``{class: {'train': videos, 'test': videos, 'frames': frames, 'visible': share of joints}}``
        in the order of ``CLASS_NAMES``.

    Raises:
        FileNotFoundError: If there are no labels.
    """
    files = sorted((Path(root) / 'labels').glob('*.mat'))
    if not files:
        raise FileNotFoundError(f'{root}: no labels/*.mat')
    rows: dict[str, list[tuple[bool, np.ndarray]]] = {}
    for file in files:
        found = loadmat(file, variable_names=('action', 'train', 'visibility'))
        row = bool(found['train'].item() == 1), found['visibility']
        rows.setdefault(str(found['action'].item()), []).append(row)
    return {
        name: {
            'train': sum(train for train, _ in rows[name]),
            'test': sum(not train for train, _ in rows[name]),
            'frames': sum(len(seen) for _, seen in rows[name]),
            'visible': float(np.concatenate([seen for _, seen in rows[name]]).mean()),
        }
        for name in CLASS_NAMES
        if name in rows
    }
