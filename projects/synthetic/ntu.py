"""Writes videos and skeletons of the figure in the layout of NTU RGB+D 60 and 120."""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from projects.files import whole_folder
from projects.ntu_rgbd import (
    ACTIONS,
    MISSING_60,
    MISSING_120,
    MUTUAL,
    SKELETONS,
    TRAIN_SUBJECTS_60,
    TRAIN_SUBJECTS_120,
    VIDEO_ENDING,
    VIDEOS,
    SampleNumbers,
    in_training,
    read_sample_list,
    split_names,
)
from projects.synthetic.body import LIMBS
from projects.synthetic.camera import Camera
from projects.synthetic.figure import JOINT_INDEX, NTU_LANDMARKS, Motion, attached_landmarks
from projects.synthetic.rendering import Rendering
from projects.synthetic.sampling import Layer, check_names
from projects.synthetic.scene import Scene, sample_scene
from projects.synthetic.scenery import Appearance, Light, sample_background


@dataclass(frozen=True)
class NTUClass:
    """A class of NTU RGB+D.

    Args:
        name: As published.
        action: The mover's action.
        mutual: Whether a second person stands before the first.
    """

    name: str
    action: str
    mutual: bool = False


_MOVES = {
    2: 'eat',
    6: 'pick_up',
    8: 'sit_down',  # and up again
    10: 'clap',
    23: 'wave',
    24: 'kick',
    27: 'jump',
    28: 'phone',
    31: 'point',
    35: 'bow',
    50: 'punch',
    51: 'kick',
    54: 'point',
    80: 'squat',
    95: 'arm_raise',
    99: 'running',
}
CLASSES = {
    number: NTUClass(ACTIONS[number - 1], action, mutual=number in MUTUAL)
    for number, action in _MOVES.items()
}
"""The classes that can be written, by the number after the A. Those above 60 are NTU 120's."""
CLASSES_60 = tuple(number for number in CLASSES if number <= 60)
PERFORMANCES = 8
CAMERAS = (1, 2, 3)

_SETUPS = {60: tuple(range(1, 18)), 120: tuple(range(18, 33))}
_SUBJECTS = {
    60: (tuple(range(1, 41)), TRAIN_SUBJECTS_60),
    120: (tuple(range(1, 107)), TRAIN_SUBJECTS_120),
}
# Where the cameras stand, and where a person looks in the two replications: degrees around the
# place to the left of the first camera, seen from the person.
_AZIMUTHS = {1: 0.0, 2: -45.0, 3: 45.0}
_FACING = {1: -45.0, 2: 45.0}
_COLOUR_FOCAL = 1081.0 / 1920  # of the sensor's colour pictures, in widths
_DEPTH_FOCAL, _DEPTH_CENTER = 365.0, (255.5, 211.5)  # of its 512x424 depth pictures, px
_NUM_JOINTS = len(NTU_LANDMARKS)
_LANDMARKS = list(NTU_LANDMARKS.values())
# The sensor gives no orientation of what no bone leaves.
_LEAVES = (
    'head',
    *(f'{side}_{tip}' for side in ('left', 'right') for tip in ('foot', 'hand_tip', 'thumb')),
)
_ORIENTED = [index for index, name in enumerate(NTU_LANDMARKS) if name not in _LEAVES]
# Keeps the streams apart from those of other data sets of the same seed, and from each other.
_STREAM = zlib.crc32(b'ntu')
_PERFORMANCE, _SAMPLE, _PERSON, _PLACE, _VIEW = range(5)


def _stream(seed: int, kind: int, *numbers: int) -> np.random.Generator:
    sequence = np.random.SeedSequence([seed, *numbers], spawn_key=(_STREAM, kind))
    return np.random.default_rng(sequence)


@dataclass(frozen=True)
class Sample:
    """What one camera sees of a performance, not yet written.

    Args:
        name: ``S<setup>C<camera>P<subject>R<replication>A<class>``, three digits each.
        scene: What it shows, before the sensor mirrors it.
        found: (T,) bool, False where the sensor finds no bodies.
        noise: (P, T, 25, 3) errors of the joints, m.
        bodies: The sensor's number of each person.
    """

    name: str
    scene: Scene
    found: np.ndarray
    noise: np.ndarray
    bodies: tuple[int, ...]

    @property
    def missing(self) -> bool:
        """Whether it has no skeleton at all."""
        return not self.found.any()

    def draw(self) -> tuple[list[np.ndarray], str]:
        """The video and the content of the skeleton file.

        Both are mirrored as the sensor's are: x grows to the sensor's left and to the picture's
        right, and who faces the sensor has the right hand on the picture's right.

        Returns:
            T pictures, (H, W, 3) uint8, BGR, and the text.
        """
        joints = sensor_positions(self.scene) + self.noise  # (P, T, 25, 3) m
        rows = np.concatenate(
            [
                joints,
                _projected(joints, _DEPTH_FOCAL, _DEPTH_CENTER),
                _projected(joints, self.scene.camera.focal, self.scene.camera.center),
                _orientations(self.scene),
            ],
            axis=-1,
        )  # (P, T, 25, 11)
        trunk = joints[:, :, 20] - joints[:, :, 0]
        trunk /= np.linalg.norm(trunk, axis=-1, keepdims=True)
        lean = trunk[..., (0, 2)] * (1.0, -1.0)  # (P, T, 2) to the right and forward
        images, lines = [], [f'{self.scene.num_frames}\n']
        for index in range(self.scene.num_frames):
            picture = self.scene.frame(index)
            images.append(np.ascontiguousarray(picture.image[:, ::-1]))
            lines.append(f'{len(self.bodies) if self.found[index] else 0}\n')
            if not self.found[index]:
                continue
            tracked = _tracked(picture, rows[:, index, :, 5:7])  # (P, 25)
            for person, body in enumerate(self.bodies):
                x, y = lean[person, index]
                values = np.column_stack([rows[person, index], tracked[person]])
                lines.append(f'{body} 0 1 2 1 2 0 {x:.7g} {y:.7g} 2\n{_NUM_JOINTS}\n')
                lines.append(_JOINT_LINES % tuple(values.ravel().tolist()))
        return images, ''.join(lines)


_JOINT_LINES = ('%.7g ' * 11 + '%d\n') * _NUM_JOINTS


def _sensor_axes(camera: Camera) -> np.ndarray:
    """(3, 3), rows are the sensor's left, up and forward in the world: a right-handed system."""
    return camera.rotation * np.array([[-1.0], [-1.0], [1.0]])


def sensor_positions(scene: Scene) -> np.ndarray:
    """(P, T, 25, 3) positions of the joints: to the sensor's left, up, away from it, m."""
    points = np.stack([motion.landmarks(_LANDMARKS) for motion in scene.motions])
    return (points - scene.camera.position) @ _sensor_axes(scene.camera).T / 1000


def _projected(joints: np.ndarray, focal: float, center: tuple[float, float]) -> np.ndarray:
    """(..., 2) pixels of (..., 3) positions in a mirrored picture."""
    return joints[..., :2] * (focal, -focal) / joints[..., 2:] + np.array(center)


def _orientations(scene: Scene) -> np.ndarray:
    """(P, T, 25, 4) quaternions w, x, y, z of the figure's joints, 0 where no bone leaves."""
    attached = attached_landmarks()
    joints = [
        JOINT_INDEX[name] if name in JOINT_INDEX else attached[name][0] for name in _LANDMARKS
    ]
    axes = Rotation.from_matrix(_sensor_axes(scene.camera))
    result = np.zeros((len(scene.motions), scene.num_frames, _NUM_JOINTS, 4))
    for person, motion in enumerate(scene.motions):
        turns = motion.orientations()
        for index in _ORIENTED:
            quaternion = (axes * turns[joints[index]]).as_quat()
            result[person, :, index] = quaternion[:, (3, 0, 1, 2)]
    return result


def _tracked(picture: Rendering, pixels: np.ndarray) -> np.ndarray:
    """(P, 25): 2 where (P, 25, 2) mirrored pixels show the person, 1 where the joint is guessed."""
    height, width = picture.owners.shape
    x, y = np.moveaxis(np.rint(pixels).astype(np.int64), -1, 0)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    owner = picture.owners[np.clip(y, 0, height - 1), width - 1 - np.clip(x, 0, width - 1)]
    person = (owner - Rendering.owner(0, 0)) // len(LIMBS)  # negative where there is nobody
    return np.where(inside & (person == np.arange(len(pixels))[:, None]), 2, 1)


@dataclass(frozen=True)
class Performance:
    """What a subject does once, before all cameras at the same time.

    Args:
        setup: Number of the cameras' height and distance.
        subject: Number of the performer.
        replication: 1, where the performer looks at camera 2, or 2, at camera 3.
        action: Number of the class.
        scene: The people; the first one is the subject. Its camera is none of the set's.
        difficulty: See :func:`ntu_performance`.
        missing: See :func:`ntu_performance`.
        seed: See :func:`ntu_performance`.
    """

    setup: int
    subject: int
    replication: int
    action: int
    scene: Scene
    difficulty: float
    missing: float
    seed: int

    def seen_by(self, camera: int) -> Sample:
        """The sample of one of ``CAMERAS``."""
        check_names('cameras', [camera], CAMERAS)
        size, frames = self.scene.camera.size, self.scene.num_frames
        place = _stream(self.seed, _PLACE, self.setup)
        height, distance = place.uniform(900, 1900), place.uniform(2900, 3900)
        azimuth = np.radians(_AZIMUTHS[camera] - _FACING[self.replication])
        lens = Camera.look_at(
            position=(distance * np.sin(azimuth), height, distance * np.cos(azimuth)),
            target=(0.0, 950.0, 0.0),
            focal=_COLOUR_FOCAL * size[0],
            size=size,
        )
        # the same room whatever is done in it
        view = _stream(self.seed, _VIEW, self.setup, camera)
        back = lens.position * (-0.6, 0.0, -0.6)
        background = sample_background(
            size, view, floor=lens.project(back)[0][1], clutter=int(view.integers(3, 12))
        )
        numbers = (self.setup, self.subject, self.replication, self.action, camera)
        rng = _stream(self.seed, _SAMPLE, *numbers)
        found = np.ones(frames, dtype=bool)
        if rng.random() < 0.3 * self.difficulty and frames > 1:  # bodies are lost for a while
            start, length = rng.integers(frames), rng.integers(1, max(frames // 4, 1) + 1)
            found[start : start + length] = False
        if rng.random() < self.missing:
            found[:] = False
        people = len(self.scene.motions)
        noise = 0.02 * self.difficulty * rng.standard_normal((people, frames, _NUM_JOINTS, 3))
        scene = replace(
            self.scene,
            camera=lens,
            background=background,
            light=Light.sample(frames, size, rng, noise=2.0 + 4.0 * self.difficulty),
        )
        first = 72057594037927936 + int(rng.integers(1, 60000))
        setup, subject, replication, action, _ = numbers
        name = SampleNumbers(setup, camera, subject, replication, action).name
        return Sample(name, scene, found, noise, tuple(first + index for index in range(people)))


def numbering(action: int, number: int) -> tuple[int, int, int]:
    """Setup, subject and replication of a performance of a class.

    Replications take turns, within them subjects of the two halves of the cross-subject split,
    within them setups; so eight performances have every half of every split.

    Args:
        action: Number of the class; setups and subjects are those of its data set.
        number: Which performance, from 0.

    Returns:
        Setup, subject, replication.

    Raises:
        ValueError: If there are not so many.
    """
    kind = 60 if action <= 60 else 120
    setups, (subjects, train) = _SETUPS[kind], _SUBJECTS[kind]
    test = [subject for subject in subjects if subject not in train]
    turns = list(chain.from_iterable(zip(train, test, strict=True)))
    most = 2 * np.lcm(len(turns), 2 * len(setups))
    if not 0 <= number < most:
        raise ValueError(f'number is {number}, expected from 0 to {most - 1}')
    pair = number // 2
    return setups[pair // 2 % len(setups)], turns[pair % len(turns)], 1 + number % 2


def ntu_performance(
    action: int,
    number: int,
    *,
    num_frames: int = 24,
    image_size: tuple[int, int] = (256, 144),
    fps: float = 12.0,
    two_people: float = 0.1,
    missing: float = 0.02,
    difficulty: float = 0.3,
    seed: int = 0,
) -> Performance:
    """A performance that :func:`write_ntu` writes.

    Each (seed, class, number) has random streams of its own; subjects keep their looks and size,
    setups their room and cameras.

    Args:
        action: Number of the class, a key of ``CLASSES``.
        number: Which one of its class, from 0.
        num_frames: Number of frames T.
        image_size: Width and height of the video, px.
        fps: Frames per second.
        two_people: Share of the performances of one person that somebody else watches.
        missing: Share of the samples without a skeleton.
        difficulty: In [0, 1]: irregular motion, errors of the joints (20 mm at 1), and how often
            the sensor loses the bodies for some frames.
        seed: Seed of the whole data set, not negative.

    Returns:
        The performance.

    Raises:
        ValueError: If a name or number is not one of the allowed.
    """
    check_names('classes', [action], tuple(CLASSES))
    if num_frames < 1:
        raise ValueError(f'num_frames is {num_frames}, expected at least 1')
    if len(image_size) != 2 or min(image_size) < 32 or any(side % 2 for side in image_size):
        raise ValueError(f'image_size is {image_size!r}, expected even numbers of at least 32')
    if not fps > 0:
        raise ValueError(f'fps is {fps!r}, expected a positive number')
    for name, share in (
        ('two_people', two_people),
        ('missing', missing),
        ('difficulty', difficulty),
    ):
        if not 0 <= share <= 1:
            raise ValueError(f'{name} is {share!r}, expected a number in [0, 1]')
    if seed < 0:
        raise ValueError(f'seed is {seed}, expected 0 or more')
    setup, subject, replication = numbering(action, number)
    rng = _stream(seed, _PERFORMANCE, setup, subject, replication, action)
    kind = CLASSES[action]
    actors = [(Layer(kind.action), Layer('idle', 1.3, ('head',)))]
    if kind.mutual or rng.random() < two_people:
        actors.append((Layer('idle', 1.3),))
    scene = sample_scene(
        actors,
        num_frames,
        fps,
        rng,
        image_size=tuple(image_size),
        difficulty=difficulty,
        yaws=((-12.0, 12.0),),
    )
    performer = _stream(seed, _PERSON, subject)
    looks, scale = Appearance.sample(performer), performer.uniform(0.88, 1.1)
    first = scene.motions[0]
    motions = [first.scaled(scale / first.scale), *scene.motions[1:]]
    if kind.mutual:
        apart = rng.uniform(350, 500)
        motions = [
            _standing(motions[0].turned(90.0), -apart, 0.0),
            _standing(motions[1].turned(-90.0), apart, 0.0),
        ]
    else:
        aside = rng.choice([-1, 1]) * rng.uniform(750, 950)
        places = ((0.0, 0.0), (aside, rng.uniform(-500, -200)))
        motions = [
            _standing(motion, *place) for motion, place in zip(motions, places, strict=False)
        ]
    scene = replace(
        scene,
        motions=tuple(motions),
        appearances=(looks, *scene.appearances[1:]),
        occluders=(),
        present=np.ones(num_frames, dtype=bool),
    )
    return Performance(setup, subject, replication, action, scene, difficulty, missing, seed)


def _standing(motion: Motion, x: float, z: float) -> Motion:
    """The motion with its mean place at (x, z), mm."""
    middle = motion.translation.mean(axis=0) * (1.0, 0.0, 1.0)
    return replace(motion, translation=motion.translation - middle + np.array([x, 0.0, z]))


def write_ntu(
    root: str | Path,
    *,
    classes: Sequence[int] = CLASSES_60,
    performances: int = PERFORMANCES,
    cameras: Sequence[int] = CAMERAS,
    num_frames: int = 24,
    image_size: tuple[int, int] = (256, 144),
    fps: float = 12.0,
    two_people: float = 0.1,
    missing: float = 0.02,
    difficulty: float = 0.3,
    seed: int = 0,
    progress: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Writes ``nturgb+d_skeletons``, ``nturgb+d_rgb`` and the lists of missing skeletons.

    Fewer classes, performances or cameras give the same files as writing all, but for the lists,
    which name those of this call. The folder appears when it is complete.

    Args:
        root: Folder to write, new or empty.
        classes: Keys of ``CLASSES``.
        performances: Number of performances of each class.
        cameras: Of ``CAMERAS``; each makes a sample of each performance.
        num_frames: See :func:`ntu_performance`.
        image_size: See :func:`ntu_performance`.
        fps: See :func:`ntu_performance`.
        two_people: See :func:`ntu_performance`.
        missing: See :func:`ntu_performance`.
        difficulty: See :func:`ntu_performance`.
        seed: See :func:`ntu_performance`.
        progress: Called with each finished skeleton file, which lies there only in the end.

    Returns:
        The skeleton files.

    Raises:
        ValueError: If a name or number is not one of the allowed; nothing is written then.
        FileExistsError: If the folder has content.
    """
    check_names('classes', classes, tuple(CLASSES))
    check_names('cameras', cameras, CAMERAS)
    if performances < 1:
        raise ValueError(f'performances is {performances}, expected at least 1')
    options = {
        'num_frames': num_frames,
        'image_size': tuple(image_size),
        'fps': fps,
        'two_people': two_people,
        'missing': missing,
        'difficulty': difficulty,
        'seed': seed,
    }
    for action in classes:  # checks them
        numbering(action, performances - 1)
    ntu_performance(classes[0], 0, **{**options, 'num_frames': min(num_frames, 1)})
    root = Path(root)
    paths, lost = [], []
    with whole_folder(root) as partial:
        for folder in (SKELETONS, VIDEOS):
            (partial / folder).mkdir()
        for action in dict.fromkeys(classes):
            for number in range(performances):
                performance = ntu_performance(action, number, **options)
                for camera in dict.fromkeys(cameras):
                    sample = performance.seen_by(camera)
                    images, text = sample.draw()
                    path = Path(SKELETONS, f'{sample.name}.skeleton')
                    (partial / path).write_text(text)
                    video = Path(VIDEOS, f'{sample.name}{VIDEO_ENDING}')
                    _write_video(partial / video, images, fps, root / video)
                    if sample.missing:
                        lost.append(sample.name)
                    paths.append(root / path)
                    if progress is not None:
                        progress(paths[-1])
        lost.sort()
        old = [name for name in lost if split_names(name).action <= 60]
        _write_list(partial / MISSING_60, old)
        _write_list(partial / MISSING_120, lost)
    return paths


def _write_video(path: Path, images: Sequence[np.ndarray], fps: float, said: Path) -> None:
    height, width = images[0].shape[:2]
    codec = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), codec, fps, (width, height))
    if not writer.isOpened():
        raise OSError(f'{said}: OpenCV cannot write Motion JPEG videos there')
    for image in images:
        writer.write(image)
    writer.release()


def _write_list(path: Path, names: Sequence[str]) -> None:
    # three lines of text stand before the names in the published lists
    header = f'{len(names)} samples have no skeleton.', 'Leave them out.', ''
    path.write_text(''.join(f'{line}\n' for line in (*header, *names)))


def count_samples(root: str | Path) -> tuple[dict[int, int], dict[str, tuple[int, int]], int]:
    """What is in a folder of the data set.

    Args:
        root: Folder of the data set.

    Returns:
        ``{class: samples}``, ``{'XSub' | 'XView' | 'XSet': (training samples, test samples)}`` by
        the published numbers, and how many samples are listed as without a skeleton.

    Raises:
        FileNotFoundError: If there are no skeletons.
    """
    root = Path(root)
    files = sorted((root / SKELETONS).glob('*.skeleton'))
    if not files:
        raise FileNotFoundError(f'{root}: no {SKELETONS}/*.skeleton')
    samples = [split_names(file.name) for file in files]
    # XSub of 120 has the subjects of 60's among those up to 40
    benchmarks = {'XSub': 'xsub120', 'XView': 'xview60', 'XSet': 'xset120'}
    train = {
        name: sum(in_training(sample, benchmark) for sample in samples)
        for name, benchmark in benchmarks.items()
    }
    return (
        dict(sorted(Counter(sample.action for sample in samples).items())),
        {name: (count, len(samples) - count) for name, count in train.items()},
        len(read_sample_list(root / MISSING_120)),
    )
