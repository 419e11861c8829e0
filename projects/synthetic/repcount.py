"""Writes pose arrays and annotations of the figure in the layout of RepCount-pose."""

import csv
import io
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from projects.files import whole_folder
from projects.synthetic.actions import ACTIONS
from projects.synthetic.camera import Camera
from projects.synthetic.figure import BLAZEPOSE_LANDMARKS, CONTACTS, Motion
from projects.synthetic.sampling import Style, check_names, sample_motion

SPLITS = ('train', 'valid', 'test')
VIDEOS_PER_ACTION = {'train': 24, 'valid': 3, 'test': 12}

_FRONT, _SIDE = ((-25.0, 25.0), (25.0, 65.0), (-65.0, -25.0)), ((60.0, 100.0), (-100.0, -60.0))


@dataclass(frozen=True)
class Exercise:
    """How a class of RepCount-pose is shown.

    Args:
        action: The mover's action.
        salient: Phases of the two salient poses in a repetition, from 0 to 1: I is the extreme
            away from rest, II the rest pose it comes back to, in the repetition's last frame.
        yaws: Ranges of where the person faces, degrees to the left of the camera; each equally
            likely.
    """

    action: str
    salient: tuple[float, float]
    yaws: tuple[tuple[float, float], ...] = (*_FRONT, *_SIDE)


EXERCISES = {
    'front_raise': Exercise('front_raise', (0.49, 1.0)),  # I: arms level
    'pull_up': Exercise('pull_up', (0.5, 1.0), _FRONT),  # chin over the bar
    'squat': Exercise('squat', (0.485, 1.0)),  # the lowest point
    'bench_pressing': Exercise('bench_press', (0.5, 1.0)),  # the bar on the chest
    'jump_jack': Exercise('jumping_jack', (0.5, 1.0), _FRONT),  # arms up, legs apart
    'situp': Exercise('sit_up', (0.49, 1.0), (*_FRONT[1:], *_SIDE, *_SIDE)),  # sitting
    'push_up': Exercise('push_up', (0.5, 1.0), (*_FRONT[1:], *_SIDE, *_SIDE)),  # the lowest point
    'pommelhorse': Exercise('pommel_horse', (0.5, 1.0)),  # legs behind; II: before the body
}
"""The classes of RepCount-pose, in the order of its labels."""

_JOINTS = tuple(BLAZEPOSE_LANDMARKS.values())
_HIPS = [_JOINTS.index('LeftUpLeg'), _JOINTS.index('RightUpLeg')]
_COLUMNS = 302  # as many as the published files have, whatever the counts
# Keeps the videos' streams apart from those of other data sets of the same seed.
_STREAM = zlib.crc32(b'repcount')
# Estimators err more at hands and feet.
_LOOSE = ('Hand', 'Foot', 'pinky', 'index', 'thumb', 'heel')
_LOOSENESS = np.array([1.6 if any(part in name for part in _LOOSE) else 1.0 for name in _JOINTS])


@dataclass(frozen=True)
class Person:
    """One person of a video.

    Args:
        action: The class of what the person does.
        poses: (T, 33, 3) float32 landmarks in pixels: x right, y down, z away from the camera,
            from the depth of the hips' middle; NaN where the person is not found.
        repetitions: (R, 2) frames of each repetition, first and last; the last one is where the
            next begins, if it does.
        salient: (R, 2) frames of the salient poses I and II of each repetition.
    """

    action: str
    poses: np.ndarray
    repetitions: np.ndarray
    salient: np.ndarray


@dataclass(frozen=True)
class PoseVideo:
    """One video of the data set, not yet written.

    Args:
        name: Its name, ending in ``.mp4``.
        people: The person that the annotations count, then the others.
    """

    name: str
    people: tuple[Person, ...]

    @property
    def array(self) -> np.ndarray:
        """(T, 33, 3) poses; of more than one person (T, P, 33, 3)."""
        poses = [person.poses for person in self.people]
        return poses[0] if len(poses) == 1 else np.stack(poses, axis=1)


def repcount_video(
    split: str,
    action: str,
    number: int,
    *,
    num_frames: tuple[int, int] = (150, 450),
    fps: float = 30.0,
    image_size: tuple[int, int] = (640, 480),
    two_people: float = 0.2,
    difficulty: float = 0.3,
    seed: int = 0,
) -> PoseVideo:
    """The video that :func:`write_repcount` writes.

    Each (seed, split, action, number) has a random stream of its own.

    Args:
        split: One of ``SPLITS``.
        action: Its class, a key of ``EXERCISES``.
        number: Which one of its class, from 0.
        num_frames: Fewest and most frames.
        fps: Frames per second.
        image_size: Width and height, px.
        two_people: Share of the videos with a second person, who does another action at another
            tempo.
        difficulty: In [0, 1]: see :func:`projects.synthetic.sampling.sample_motion`; also how
            often people stand or walk before and after, do not complete a single repetition, or
            are not found in some frames, and the estimator's errors.
        seed: Seed of the whole data set, not negative.

    Returns:
        The video.

    Raises:
        ValueError: If a name or number is not one of the allowed.
    """
    check_names('split', [split], SPLITS)
    check_names('actions', [action], tuple(EXERCISES))
    if len(num_frames) != 2 or not 2 <= num_frames[0] <= num_frames[1]:
        raise ValueError(f'num_frames is {num_frames!r}, expected fewest and most, at least 2')
    if len(image_size) != 2 or min(image_size) < 32:
        raise ValueError(f'image_size is {image_size!r}, expected width and height of at least 32')
    for name, share in (('two_people', two_people), ('difficulty', difficulty)):
        if not 0 <= share <= 1:
            raise ValueError(f'{name} is {share!r}, expected a number in [0, 1]')
    if not fps > 0:
        raise ValueError(f'fps is {fps!r}, expected a positive number')
    if seed < 0:
        raise ValueError(f'seed is {seed}, expected 0 or more')
    # the name's checksum, not its place in a list, which more actions would change
    entropy = [seed, SPLITS.index(split), zlib.crc32(action.encode()), number]
    rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(_STREAM,)))
    frames = int(rng.integers(num_frames[0], num_frames[1] + 1))
    actions = [action]
    if rng.random() < two_people:
        others = [name for name in EXERCISES if name != action]
        actions.append(others[rng.integers(len(others))])
    places = [0.0, float(rng.choice([-1, 1]) * rng.uniform(1000, 1700))]
    shows = [
        _perform(EXERCISES[name], frames, fps, rng, difficulty, (place, 0.0, rng.normal(0, 200)))
        for name, place in zip(actions, places, strict=False)
    ]
    camera = _filming(shows, image_size, rng, difficulty)
    people = []
    for index, (name, show) in enumerate(zip(actions, shows, strict=True)):
        away = np.zeros(frames, dtype=bool)
        if index and rng.random() < difficulty:  # comes late or leaves early
            gap = int(rng.integers(1, max(frames // 3, 2)))
            away[slice(0, gap) if rng.random() < 0.5 else slice(frames - gap, None)] = True
        people.append(_seen(name, show, camera, away, fps, rng, difficulty))
    return PoseVideo(f'{action}_{split}_{number:03d}.mp4', tuple(people))


@dataclass(frozen=True)
class _Show:
    """What a person does in a video, and in which frames it is the exercise."""

    motion: Motion
    landmarks: np.ndarray  # (T, 33, 3) mm
    exercising: slice


def _perform(
    exercise: Exercise,
    num_frames: int,
    fps: float,
    rng: np.random.Generator,
    difficulty: float,
    place: Sequence[float],
) -> _Show:
    style = Style.sample(rng)
    style = replace(style, tempo=style.tempo * float(np.exp(rng.uniform(-0.25, 0.25))))
    yaw = rng.uniform(*exercise.yaws[rng.integers(len(exercise.yaws))])
    scale = rng.uniform(0.9, 1.08)
    longest = min(0.25 * num_frames / fps, 3.0)  # seconds of standing or walking
    idle = [
        int(fps * rng.uniform(0.3, 1.0) * longest) * (rng.random() < min(1.5 * difficulty, 0.6))
        for _ in range(2)
    ]
    fails, idles = rng.random(2) < (0.2 * difficulty, 0.4)
    action = ACTIONS[exercise.action]
    name = exercise.action
    if fails and (idles or action.kind != 'stroke'):
        name, idle = ('idle', 'talk')[rng.integers(2)], [0, 0]
    frames = num_frames - sum(idle)
    cycles = ACTIONS[name].kind == 'gait'
    motion = sample_motion(
        name,
        # a gait starts anywhere in its cycle; a video starts with a whole one
        frames + (int(3 * action.seconds / style.tempo * fps) if cycles else 0),
        fps,
        rng,
        difficulty=difficulty,
        style=style,
        aborts=1.0 if fails else None,
    )
    motion = _clipped(motion, motion.repetitions[0, 0] if cycles else 0, frames).turned(yaw)
    middle = motion.translation.mean(axis=0) * (1, 0, 1)
    motion = replace(motion, translation=motion.translation - middle)
    for frames, first in zip(idle, (True, False), strict=True):
        if frames:
            motion = _joined(motion, frames, fps, rng, difficulty, style, yaw, first=first)
    motion = motion.scaled(scale)
    motion = replace(motion, translation=motion.translation + np.array(place))
    exercising = slice(idle[0], num_frames - idle[1])
    return _Show(motion, motion.landmarks(_JOINTS), exercising)


def _clipped(motion: Motion, start: int, num_frames: int) -> Motion:
    repetitions = motion.repetitions - start
    inside = (repetitions[:, 0] >= 0) & (repetitions[:, 1] <= num_frames)
    return replace(
        motion,
        rotations=motion.rotations[start : start + num_frames],
        translation=motion.translation[start : start + num_frames],
        repetitions=repetitions[inside],
    )


def _joined(
    motion: Motion,
    num_frames: int,
    fps: float,
    rng: np.random.Generator,
    difficulty: float,
    style: Style,
    yaw: float,
    *,
    first: bool,
) -> Motion:
    """The motion with standing or walking before it (``first``) or after it."""
    walks = rng.random() < 0.5
    other = sample_motion(
        'walking' if walks else 'idle', num_frames, fps, rng, difficulty=difficulty, style=style
    )
    # who walks passes before the camera instead of into it
    aside = rng.choice([-1, 1]) * rng.uniform(65, 115)
    other = other.turned(aside if walks else yaw + rng.uniform(-40, 40))
    near, far = (-1, 0) if first else (0, -1)
    shift = (motion.translation[far] - other.translation[near]) * (1, 0, 1)
    other = replace(other, translation=other.translation + shift)
    blend = np.clip(1 - np.arange(num_frames) / max(min(0.9 * fps, num_frames - 1), 1), 0, 1)
    share = blend * blend * (3 - 2 * blend)  # smooth at both ends
    other = _towards(other, motion.rotations[far], motion.translation[far], share[:: 2 * near + 1])
    parts = (other, motion) if first else (motion, other)
    return replace(
        motion,
        rotations=np.concatenate([part.rotations for part in parts]),
        translation=np.concatenate([part.translation for part in parts]),
        repetitions=motion.repetitions + (num_frames if first else 0),
    )


def _towards(
    motion: Motion, rotations: np.ndarray, translation: np.ndarray, share: np.ndarray
) -> Motion:
    """The motion on its way to a pose: ``share`` (T,) of the shortest arcs, above the ground."""
    start = Rotation.from_rotvec(motion.rotations.reshape(-1, 3))
    end = Rotation.from_rotvec(np.tile(rotations, (motion.num_frames, 1)))
    step = (start.inv() * end).as_rotvec() * np.repeat(share, 32)[:, None]
    turned = (start * Rotation.from_rotvec(step)).as_rotvec().reshape(-1, 32, 3)
    path = motion.translation + share[:, None] * (translation - motion.translation)
    mixed = replace(motion, rotations=turned, translation=path)
    lowest = mixed.landmarks((*CONTACTS, *_JOINTS))[..., 1].min(axis=1)
    path[:, 1] += np.maximum(-lowest, 0.0)
    return replace(mixed, translation=path)


def _filming(
    shows: Sequence[_Show],
    image_size: tuple[int, int],
    rng: np.random.Generator,
    difficulty: float,
) -> Camera:
    """A camera somewhere, zoomed so that the people fill the picture while they exercise."""
    points = np.concatenate([show.landmarks[show.exercising].reshape(-1, 3) for show in shows])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    distance, height = rng.uniform(3000, 6000), rng.uniform(500, 1700)
    camera = Camera.look_at(
        position=(middle[0] + rng.normal(0, 300), height, middle[2] + distance),
        target=middle,
        focal=1000.0,
        size=image_size,
        roll=2.0 * difficulty * rng.normal(),
    )
    pixels, _ = camera.project(points)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    size, center = np.array(image_size), np.array(camera.center)
    factor = rng.uniform(0.55, 0.9) * min(size / (high - low))
    low, high = (low - center) * factor + center, (high - center) * factor + center
    shift = -low + rng.uniform(0.25, 0.75, size=2) * (size - 1 - (high - low))
    return camera.zoomed(factor, shift)


def _seen(
    action: str,
    show: _Show,
    camera: Camera,
    away: np.ndarray,
    fps: float,
    rng: np.random.Generator,
    difficulty: float,
) -> Person:
    """What an estimator makes of a person, and what of it can be counted."""
    frames = len(away)
    pixels, depth = camera.project(show.landmarks)  # (T, 33, 2), (T, 33)
    hips = depth[:, _HIPS].mean(axis=1, keepdims=True)
    scale = camera.focal / np.maximum(hips, 1.0)  # (T, 1) px a mm
    poses = np.concatenate([pixels, ((depth - hips) * scale)[..., None]], axis=-1)
    inside = ((pixels >= 0) & (pixels < camera.size)).all(axis=-1)
    away = away | (inside.mean(axis=1) < 0.5) | (depth.min(axis=1) < 300)

    body = 1700 * scale[:, :, None]  # (T, 1, 1) px
    noise = lfilter([0.8], [1.0, -0.6], rng.normal(size=(frames, 33, 3)), axis=0)  # variance 1
    noise *= 0.0012 + 0.004 * difficulty
    noise += 0.004 * difficulty * rng.normal(size=(33, 3))  # the same error in all frames
    poses += body * noise * _LOOSENESS[:, None] * (1.0, 1.0, 3.0)  # depth is guessed

    lost = away.copy()
    for _ in range(rng.binomial(3, 0.6 * difficulty)):
        start, length = rng.integers(frames), rng.integers(2, max(round(0.4 * fps), 3) + 1)
        lost[start : start + length] = True
    poses[lost] = np.nan

    repetitions = show.motion.repetitions
    seen = np.concatenate([[0], np.cumsum(~away)])
    share = np.diff(seen[repetitions], axis=1)[:, 0] / np.diff(repetitions, axis=1)[:, 0]
    repetitions = repetitions[share >= 0.5]
    start, end = repetitions[:, :1], repetitions[:, 1:]
    phases = np.array(EXERCISES[action].salient)
    salient = np.rint(start + phases * (end - start)).astype(np.int64)  # (R, 2)
    return Person(
        action=action,
        poses=poses.astype(np.float32),
        repetitions=np.minimum(repetitions, frames - 1),
        salient=np.minimum(salient, end - 1),
    )


def write_repcount(
    root: str | Path,
    *,
    actions: Sequence[str] = tuple(EXERCISES),
    videos_per_action: Mapping[str, int] = VIDEOS_PER_ACTION,
    class_names: Sequence[str] = tuple(EXERCISES),
    num_frames: tuple[int, int] = (150, 450),
    fps: float = 30.0,
    image_size: tuple[int, int] = (640, 480),
    two_people: float = 0.2,
    difficulty: float = 0.3,
    seed: int = 0,
    progress: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Writes pose arrays, annotations and salient poses: the layout of RepCount-pose.

    Fewer actions or videos give the same arrays and the same rows as writing all. The folder
    appears when it is complete.

    Args:
        root: Folder to write, which does not exist yet or is empty.
        actions: Keys of ``EXERCISES``.
        videos_per_action: ``{'train': n, 'valid': m, 'test': k}``; a split left out or with 0
            videos is not written.
        class_names: Classes of ``all_action.csv``, with at least the actions.
        num_frames: See :func:`repcount_video`.
        fps: See :func:`repcount_video`.
        image_size: See :func:`repcount_video`.
        two_people: See :func:`repcount_video`.
        difficulty: See :func:`repcount_video`.
        seed: See :func:`repcount_video`.
        progress: Called with the path of each finished array, which lies there only in the end.

    Returns:
        The paths of the arrays.

    Raises:
        ValueError: If a name or number is not one of the allowed; nothing is written then.
        FileExistsError: If the folder has content.
    """
    check_names('actions', actions, tuple(EXERCISES))
    check_names('videos_per_action', tuple(videos_per_action), SPLITS)
    check_names('actions', actions, class_names)
    for name, names in (('actions', actions), ('class_names', class_names)):
        if len(set(names)) != len(names):
            raise ValueError(f'{name} is {list(names)}, expected each once')
    for split, number in videos_per_action.items():
        if number < 0:
            raise ValueError(f'videos_per_action[{split!r}] is {number}, expected at least 0')
    options = {
        'fps': fps,
        'image_size': tuple(image_size),
        'two_people': two_people,
        'difficulty': difficulty,
        'seed': seed,
    }
    repcount_video(SPLITS[0], actions[0], 0, num_frames=(2, 2), **options)  # checks them
    options['num_frames'] = tuple(num_frames)
    root = Path(root)
    paths = []
    with whole_folder(root) as partial:
        labels = ((label, name, label) for label, name in enumerate(class_names))
        _write_csv(partial / 'all_action.csv', [('', 'action', 'label'), *labels])
        for split in (split for split in SPLITS if videos_per_action.get(split)):
            folder = Path(f'{split}_poses')
            (partial / folder).mkdir()
            videos = []
            for action in actions:
                for number in range(videos_per_action[split]):
                    video = repcount_video(split, action, number, **options)
                    path = folder / f'{Path(video.name).stem}.npy'
                    np.save(partial / path, video.array)
                    videos.append(video)
                    paths.append(root / path)
                    if progress is not None:
                        progress(paths[-1])
            _write_annotations(partial, split, videos)
    return paths


def _write_annotations(root: Path, split: str, videos: Sequence[PoseVideo]) -> None:
    firsts = [(video.name, video.people[0]) for video in videos]
    rows = [_row(name, person, person.repetitions) for name, person in firsts]
    _write_pairs(root / 'annotation' / f'{split}.csv', rows)
    if split == 'train':
        rows = [_row(name, person, person.salient) for name, person in firsts]
        _write_pairs(root / 'annotation' / 'pose_train.csv', rows)
        _write_csv(root / 'annotation_pose' / 'train.csv', _salient_rows(firsts))
    if split == 'test':
        rows = []
        for video in videos:
            for index, person in enumerate(video.people):
                row = _row(video.name, person, person.repetitions)
                rows.append([*row[:3], index, *row[3:]])
        _write_pairs(root / 'annotation' / 'people.csv', rows, 'person')


def _row(name: str, person: Person, pairs: np.ndarray) -> list[object]:
    return [person.action, name, len(pairs), *pairs.ravel().tolist()]


def _write_pairs(path: Path, rows: Sequence[list], *more: str) -> None:
    """Rows of pairs of frames, padded with blanks as the published ones."""
    head = ['type', 'name', 'count', *more]
    width = max([_COLUMNS, *(len(row) - len(head) for row in rows)])
    blank = [[*row, *[''] * (len(head) + width - len(row))] for row in rows]
    _write_csv(path, [[*head, *(f'L{index + 1}' for index in range(width))], *blank])


def _salient_rows(people: Sequence[tuple[str, Person]]) -> Iterable[list[str]]:
    """Salient poses, action by action as published, those that were not found left out."""
    for action in dict.fromkeys(person.action for _, person in people):
        for state in range(2):
            for name, person in people:
                if person.action != action:
                    continue
                frames = person.salient[:, state]
                for index, pose in enumerate(person.poses[frames], start=state * len(frames)):
                    if np.isfinite(pose).all():
                        path = f'train/{action}/salient{state + 1}/{name}/{index}.jpg'
                        yield [path, action, *(f'{value:.4f}' for value in pose.ravel().tolist())]


def _write_csv(path: Path, rows: Iterable[Sequence]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue())


def read_counts(root: str | Path, split: str, file: str = '') -> np.ndarray:
    """The counts that stand in an annotation.

    Args:
        root: Folder of the data set.
        split: One of ``SPLITS``.
        file: Name of another file than the split's, such as ``'people'``.

    Returns:
        (N,) int, one of each row; empty if the split was not written.
    """
    path = Path(root) / 'annotation' / f'{file or split}.csv'
    if not path.exists():
        return np.zeros(0, dtype=np.int64)
    with open(path, newline='') as rows:
        return np.array([int(row['count']) for row in csv.DictReader(rows)], dtype=np.int64)
