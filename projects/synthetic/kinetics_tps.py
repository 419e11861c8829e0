"""Writes videos of the figure in the layout of Kinetics-TPS: people, body parts, their states."""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from projects.files import whole_file
from projects.synthetic.actions import ACTIONS
from projects.synthetic.curves import PARTS as BODY
from projects.synthetic.parts import PARTS, STATES, annotate, part_states
from projects.synthetic.sampling import Layer, check_names
from projects.synthetic.scene import Scene, sample_scene

CLASSES = ('bow', 'jumping_jack', 'kick', 'lunge', 'running', 'squat')
SPLITS = ('train', 'test')
STORAGES = ('video', 'frames')
VIDEOS_PER_CLASS = {'train': 40, 'test': 10}

_NOT_ARMS = tuple(part for part in BODY if not part.endswith('arm'))
_ARMS = tuple(part for part in BODY if part.endswith('arm'))
# Who does one of these may do something else with the arms; it makes their states vary.
_ARMS_FREE = ('bow', 'kick', 'lunge', 'pick_up', 'sit_down', 'squat')
_ARM_ACTIONS = ('clap', 'front_raise', 'photo', 'pose', 'talk', 'wave')
_LOOKING = Layer('idle', 1.3, ('head',))
_BYSTANDER = (Layer('idle', 1.3), Layer('talk'))

# Frontal or three-quarter view, nothing in between: who is turned away is seen at a glance.
_YAWS = ((-60.0, -40.0), (-20.0, 20.0), (-20.0, 20.0), (40.0, 60.0))
_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'


@dataclass(frozen=True)
class Video:
    """One video of the data set, not yet written.

    Args:
        name: Its name, ``<11 characters>_000000_000010``.
        scene: What it shows.
        states: (P, T, len(PARTS)) indices into ``STATES``.
    """

    name: str
    scene: Scene
    states: np.ndarray

    def frame(self, index: int) -> tuple[np.ndarray, dict]:
        """Picture and annotation of a frame, counted from 0.

        Args:
            index: The frame.

        Returns:
            (H, W, 3) uint8, BGR, and ``{'humans': [...]}`` as in the data set's files.
        """
        picture = self.scene.frame(index)
        return picture.image, {'humans': annotate(picture, self.states[:, index])}


def kinetics_tps_video(
    split: str,
    action: str,
    number: int,
    *,
    num_frames: int = 20,
    image_size: tuple[int, int] = (160, 128),
    fps: float = 10.0,
    people: tuple[int, int] = (1, 2),
    difficulty: float = 0.3,
    seed: int = 0,
) -> Video:
    """The video that :func:`write_kinetics_tps` writes.

    Each (seed, split, action, number) has a random stream of its own.

    Args:
        split: ``'train'`` or ``'test'``.
        action: Its class, a name in ``ACTIONS``.
        number: Which one of its class, from 0.
        num_frames: Number of frames.
        image_size: Width and height, px.
        fps: Frames per second.
        people: Fewest and most people.
        difficulty: See :func:`projects.synthetic.scene.sample_scene`; also how often a second
            person is a bystander.
        seed: Seed of the whole data set, not negative.

    Returns:
        The video.

    Raises:
        ValueError: If a name or number is not one of the allowed.
    """
    check_names('split', [split], sorted(SPLITS))
    check_names('classes', [action], sorted(ACTIONS))
    if len(people) != 2 or not 1 <= people[0] <= people[1]:
        raise ValueError(f'people is {people!r}, expected fewest and most, at least 1')
    if seed < 0:
        raise ValueError(f'seed is {seed}, expected 0 or more')
    if not 0 <= difficulty <= 1:
        raise ValueError(f'difficulty is {difficulty!r}, expected a number in [0, 1]')
    # the name's checksum, not its place in a list, which more actions would change
    entropy = [seed, SPLITS.index(split), zlib.crc32(action.encode()), number]
    rng = np.random.default_rng(np.random.SeedSequence(entropy))
    name = ''.join(_LETTERS[index] for index in rng.integers(62, size=1))  # no leading dash
    name += ''.join(_LETTERS[index] for index in rng.integers(len(_LETTERS), size=10))
    actors = []
    for person in range(rng.integers(people[0], people[1] + 1)):
        bystander = person > 0 and rng.random() < 0.5 * difficulty
        actors.append(_BYSTANDER if bystander else _layers(action, rng))
    scene = sample_scene(
        actors,
        num_frames,
        fps,
        rng,
        image_size=image_size,
        difficulty=difficulty,
        yaws=_YAWS,
    )
    states = part_states(scene.landmarks, scene.camera.position)
    return Video(f'{name}_000000_000010', scene, states)


def _layers(action: str, rng: np.random.Generator) -> tuple[Layer, ...]:
    """What a person of a class does."""
    if action in _ARMS_FREE and rng.random() < 0.75:
        arms = Layer(_ARM_ACTIONS[rng.integers(len(_ARM_ACTIONS))], 1.0, _ARMS)
        return Layer(action, 1.0, _NOT_ARMS), arms, _LOOKING
    return Layer(action), _LOOKING


def write_kinetics_tps(
    root: str | Path,
    *,
    classes: Sequence[str] = CLASSES,
    videos_per_class: Mapping[str, int] = VIDEOS_PER_CLASS,
    num_frames: int = 20,
    image_size: tuple[int, int] = (160, 128),
    fps: float = 10.0,
    people: tuple[int, int] = (1, 2),
    difficulty: float = 0.3,
    seed: int = 0,
    storage: str = 'video',
    annotate_every: int = 1,
    progress: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Writes ``<split>_videos``, ``<split>_annotations`` and ``list`` below a folder.

    Fewer classes or videos give the same files as writing all, but for the ``list``, which has
    those of this call. A file appears under its name only when it is complete. The real set's
    test annotations are not public; here they are written, so that one can score.

    Args:
        root: Folder to write into, made if missing.
        classes: Names in ``ACTIONS``.
        videos_per_class: ``{'train': n, 'test': m}``; a split left out is not written.
        num_frames: See :func:`kinetics_tps_video`.
        image_size: See :func:`kinetics_tps_video`; for videos even numbers.
        fps: See :func:`kinetics_tps_video`.
        people: See :func:`kinetics_tps_video`.
        difficulty: See :func:`kinetics_tps_video`.
        seed: See :func:`kinetics_tps_video`.
        storage: ``'video'`` for an mp4 a video, ``'frames'`` for a folder of JPEGs.
        annotate_every: Annotates frames 1, 1 + n, 1 + 2n, ...
        progress: Called with the path of each finished video or folder of frames.

    Returns:
        The paths of the videos or folders of frames.

    Raises:
        ValueError: If a name or number is not one of the allowed; nothing is written then.
    """
    check_names('classes', classes, sorted(ACTIONS))
    check_names('videos_per_class', tuple(videos_per_class), sorted(SPLITS))
    check_names('storage', [storage], sorted(STORAGES))
    for name, number, least in (
        ('num_frames', num_frames, 1),
        ('annotate_every', annotate_every, 1),
        *((f'videos_per_class[{split!r}]', n, 0) for split, n in videos_per_class.items()),
    ):
        if number < least:
            raise ValueError(f'{name} is {number}, expected at least {least}')
    if storage == 'video' and any(value % 2 for value in image_size):
        raise ValueError(f'image_size is {image_size!r}, expected even numbers for videos')
    options = {
        'num_frames': num_frames,
        'image_size': tuple(image_size),
        'fps': fps,
        'people': tuple(people),
        'difficulty': difficulty,
        'seed': seed,
    }
    kinetics_tps_video(SPLITS[0], classes[0], 0, **{**options, 'num_frames': 1})  # checks them
    root = Path(root)
    _write_lines(root / 'list' / 'body_part.txt', PARTS)
    _write_lines(root / 'list' / 'part_stat.txt', STATES)
    paths = []
    for split, count in videos_per_class.items():
        names = []
        for action in classes:
            for number in range(count):
                video = kinetics_tps_video(split, action, number, **options)
                names.append(video.name)
                folder = root / f'{split}_videos' / action / video.name
                pictures, humans = zip(*map(video.frame, range(num_frames)), strict=True)
                paths.append(_write_pictures(folder, pictures, fps, storage))
                notes = root / f'{split}_annotations' / action / video.name / video.name
                for index in range(0, num_frames, annotate_every):
                    with whole_file(notes / f'img_{index + 1:05d}.json') as partial:
                        partial.write_text(json.dumps(humans[index]))
                if progress is not None:
                    progress(paths[-1])
        lines = [f'{name},{num_frames}' for name in names]
        _write_lines(root / 'list' / f'video_{split}_flist.csv', lines)
    return paths


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    with whole_file(path) as partial:
        partial.write_text(''.join(f'{line}\n' for line in lines))


def _write_pictures(folder: Path, pictures: Sequence[np.ndarray], fps: float, storage: str) -> Path:
    """Writes ``<folder>.mp4`` or ``<folder>/img_%05d.jpg`` and returns which."""
    if storage == 'frames':
        for index, picture in enumerate(pictures):
            with whole_file(folder / f'img_{index + 1:05d}.jpg') as partial:
                if not cv2.imwrite(str(partial), picture, [cv2.IMWRITE_JPEG_QUALITY, 95]):
                    raise OSError(f'{folder}: OpenCV cannot write JPEG files there')
        return folder
    path = folder.with_name(f'{folder.name}.mp4')
    height, width = pictures[0].shape[:2]
    with whole_file(path) as partial:
        codec = cv2.VideoWriter_fourcc(*'mp4v')
        writer = cv2.VideoWriter(str(partial), codec, fps, (width, height))
        if not writer.isOpened():
            raise OSError(f'{path}: OpenCV cannot write MPEG-4 videos there')
        for picture in pictures:
            writer.write(picture)
        writer.release()
    return path


def count_states(root: str | Path, split: str = 'train') -> dict[str, Counter]:
    """How often each state of each part stands in the annotations.

    Args:
        root: Folder of the data set.
        split: ``'train'`` or ``'test'``.

    Returns:
        ``{part: Counter({state: parts})}`` in the order of ``PARTS``.

    Raises:
        FileNotFoundError: If there are no annotations.
    """
    counts = {part: Counter() for part in PARTS}
    files = sorted((Path(root) / f'{split}_annotations').glob('*/*/*/img_*.json'))
    if not files:
        raise FileNotFoundError(f'{root}: no {split}_annotations/*/*/*/img_*.json')
    for path in files:
        for human in json.loads(path.read_text())['humans']:
            for name, part in human['parts'].items():
                counts[name][part['verb']] += 1
    return counts


def majority_accuracy(counts: Mapping[str, Counter]) -> float:
    """Share of right states when each part's most frequent one is guessed, mean over parts."""
    shares = [max(count.values()) / count.total() for count in counts.values() if count]
    return float(np.mean(shares))
