"""Writes pictures of the figure with the annotations of COCO keypoints."""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from projects.files import whole_folder
from projects.synthetic.actions import ACTIONS
from projects.synthetic.body import BODY_INDEX, LIMB_INDEX
from projects.synthetic.camera import Camera
from projects.synthetic.figure import COCO_LANDMARKS
from projects.synthetic.rendering import Rendering
from projects.synthetic.sampling import Layer, check_names
from projects.synthetic.scene import Scene, sample_scene
from projects.synthetic.scenery import sample_background

SPLITS = ('train', 'val')
IMAGES = {'train': 800, 'val': 200}
KEYPOINTS = tuple(COCO_LANDMARKS)
SKELETON = (
    *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9)),
    *((8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
)
"""Pairs of keypoints that the published file joins, counted from 1."""

MOST_PEOPLE = 20
# A person of whom fewer keypoints are seen has a box and no keypoints.
FEWEST_SEEN = 3
# Nobody annotates a person of whom fewer pixels are seen.
_FEWEST_PIXELS = 32
# A hidden keypoint is always annotated if this share of its limbs is seen, half as often if half
# of that is.
_TELLING = 0.25

# Everybody turns where they like: from the front, from the sides, from behind.
_YAWS = ((-60.0, 60.0), (-60.0, 60.0), (60.0, 120.0), (-120.0, -60.0), (120.0, 240.0))
_EDGES, _EDGE_WEIGHTS = ('bottom', 'left', 'right', 'top'), (0.5, 0.2, 0.2, 0.1)
_CUT = 0.32  # share of the pictures whose border cuts a person on purpose; it makes a third of all
_GATHERED = 0.6  # share of the pictures of several whose people stand one before another
# Keeps the pictures' streams apart from those of other data sets of the same seed.
_STREAM = zlib.crc32(b'coco')


@dataclass(frozen=True)
class _Part:
    """What a keypoint is seen on.

    Args:
        own: Limbs that are the keypoint's own at whatever side.
        shared: Limbs of both sides, which show the keypoint only if it is on the near side.
        center: Landmark from which the keypoint points outwards.
        facing: Least cosine between outwards and the way to the camera for the near side.
    """

    own: tuple[str, ...]
    shared: tuple[str, ...] = ()
    center: str = 'Hips'
    facing: float = -1.0


def _parts() -> dict[str, _Part]:
    # As the renderer draws eyes and nose; an ear may be seen from a little behind or before it,
    # a shoulder or hip through shirt and trousers until the trunk is turned by 45 degrees.
    parts = {'nose': _Part((), ('face',), 'head_center', 0.0)}
    for side in ('left', 'right'):
        parts |= {
            f'{side}_eye': _Part((), ('face',), 'head_center', 0.1),
            f'{side}_ear': _Part((), ('hair', 'face'), 'head_center', -0.3),
            f'{side}_shoulder': _Part((f'{side}_upper_arm',), ('torso',), 'Neck', -0.7),
            f'{side}_elbow': _Part((f'{side}_upper_arm', f'{side}_forearm')),
            f'{side}_wrist': _Part((f'{side}_forearm', f'{side}_hand')),
            f'{side}_hip': _Part((f'{side}_thigh',), ('pelvis', 'torso'), 'Hips', -0.7),
            f'{side}_knee': _Part((f'{side}_thigh', f'{side}_shin')),
            f'{side}_ankle': _Part((f'{side}_shin', f'{side}_foot')),
        }
    return {name: parts[name] for name in KEYPOINTS}


PARTS = _parts()
"""What each keypoint is seen on, in COCO's order."""
_GROUPS = [(*part.own, *part.shared) for part in PARTS.values()]
_DISTINCT = list(dict.fromkeys(_GROUPS))
_GROUP_OF = [_DISTINCT.index(group) for group in _GROUPS]
_CENTERS = [BODY_INDEX[part.center] for part in PARTS.values()]
_FACING = np.array([part.facing for part in PARTS.values()])


def _limb_table(groups: list[tuple[str, ...]]) -> np.ndarray:
    """(17, limbs) bool."""
    table = np.zeros((len(groups), len(LIMB_INDEX)), dtype=bool)
    for index, group in enumerate(groups):
        table[index, [LIMB_INDEX[name] for name in group]] = True
    return table


_OWN = _limb_table([part.own for part in PARTS.values()])
_SHARED = _limb_table([part.shared for part in PARTS.values()])


@dataclass(frozen=True)
class Picture:
    """One picture of the data set, not yet written.

    Args:
        image_id: Its id: odd in the train split, even in the val split.
        scene: What it shows, one frame.
        rendering: The drawn picture and whose limb each pixel shows.
        annotations: As in the data set's files, of those people who are annotated.
        people: Which person of the scene each annotation is of.
    """

    image_id: int
    scene: Scene
    rendering: Rendering
    annotations: tuple[dict, ...]
    people: tuple[int, ...]

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f'{self.image_id:012d}.jpg'


def coco_picture(
    split: str,
    number: int,
    *,
    image_size: tuple[int, int] = (320, 256),
    people: tuple[int, int] = (1, 3),
    difficulty: float = 0.5,
    seed: int = 0,
) -> Picture:
    """The picture that :func:`write_coco` writes.

    Each (seed, split, number) has a random stream of its own.

    Args:
        split: ``'train'`` or ``'val'``.
        number: Which one of its split, from 0.
        image_size: Width and height, px.
        people: Fewest and most people.
        difficulty: See :func:`projects.synthetic.scene.sample_scene`.
        seed: Seed of the whole data set, not negative.

    Returns:
        The picture.

    Raises:
        ValueError: If a name or number is not one of the allowed.
    """
    check_names('split', [split], SPLITS)
    if len(image_size) != 2 or min(image_size) < 32:
        raise ValueError(f'image_size is {image_size!r}, expected width and height of at least 32')
    if len(people) != 2 or not 1 <= people[0] <= people[1] <= MOST_PEOPLE:
        raise ValueError(
            f'people is {people!r}, expected fewest and most, at least 1, at most {MOST_PEOPLE}'
        )
    if not 0 <= difficulty <= 1:
        raise ValueError(f'difficulty is {difficulty!r}, expected a number in [0, 1]')
    for name, value in (('number', number), ('seed', seed)):
        if value < 0:
            raise ValueError(f'{name} is {value}, expected 0 or more')
    entropy = [seed, SPLITS.index(split), number]
    rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(_STREAM,)))
    names = sorted(ACTIONS)
    count = int(rng.integers(people[0], people[1] + 1))
    actors = [[Layer(names[index])] for index in rng.integers(len(names), size=count)]
    scene = sample_scene(
        actors, 1, 10.0, rng, image_size=tuple(image_size), difficulty=difficulty, yaws=_YAWS
    )
    scene = replace(scene, present=np.ones(1, dtype=bool))  # a picture of nobody trains nothing
    if count > 1 and rng.random() < _GATHERED:
        scene = _gathered(scene, rng)
    if rng.random() < _CUT:
        scene = _cut(scene, rng, difficulty)
    rendering = scene.frame(0)
    image_id = 2 * number + 1 + SPLITS.index(split)  # whatever the number of images
    annotations, annotated = _annotate(scene, rendering, image_id, rng)
    return Picture(image_id, scene, rendering, annotations, annotated)


def _gathered(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with people closer beside and farther behind each other, so that they overlap."""
    closer, behind = rng.uniform(0.2, 0.7), rng.choice([-1, 1]) * 400.0
    motions = []
    for person, motion in enumerate(scene.motions):
        translation = motion.translation * (closer, 1.0, 1.0)
        translation[:, 2] += behind if person % 2 else -behind
        motions.append(replace(motion, translation=translation))
    return replace(scene, motions=tuple(motions))


def _cut(scene: Scene, rng: np.random.Generator, difficulty: float) -> Scene:
    """The scene from closer by, so that an edge of the picture cuts one of the people."""
    camera, size = scene.camera, np.array(scene.camera.size)
    person = rng.integers(len(scene.motions))
    edge = _EDGES[rng.choice(len(_EDGES), p=_EDGE_WEIGHTS)]
    factor, out = rng.uniform(1.0, 1.6), rng.uniform(0.1, 0.55)
    pixels, _ = camera.project(scene.landmarks[person, 0])
    center = np.array(camera.center)
    low, high = ((f(axis=0) - center) * factor + center for f in (pixels.min, pixels.max))
    shift = rng.uniform(0.3, 0.7, size=2) * (size - 1) - (low + high) / 2
    extent = high - low
    if edge in ('left', 'right'):
        shift[0] = -low[0] - out * extent[0] if edge == 'left' else 0.0
        if edge == 'right':
            shift[0] = size[0] - 1 - high[0] + out * extent[0]
    elif edge == 'top':
        shift[1] = -low[1] - out * extent[1]
    else:
        shift[1] = size[1] - 1 - high[1] + out * extent[1]
    camera = camera.zoomed(factor, shift)
    return replace(scene, camera=camera, background=_background(camera, rng, difficulty))


def _background(camera: Camera, rng: np.random.Generator, difficulty: float) -> np.ndarray:
    """Another wall, whose floor lies where the camera now sees it."""
    floor = camera.project(np.array([0.0, 0.0, -rng.uniform(900, 4000)]))[0][1]
    clutter = int(rng.integers(2, 6 + round(16 * difficulty)))
    return sample_background(camera.size, rng, floor=floor, clutter=clutter)


def keypoint_positions(scene: Scene) -> np.ndarray:
    """(P, 17, 3) positions of the keypoints in a scene's first frame, mm."""
    names = list(COCO_LANDMARKS.values())
    return np.stack([motion.landmarks(names)[0] for motion in scene.motions])


def visibility(
    rendering: Rendering,
    points: np.ndarray,
    landmarks: np.ndarray,
    camera: Camera,
    guesses: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Where a picture has the keypoints, and COCO's v of them.

    2: the picture shows the keypoint's own part at its pixel (``PARTS``), from the side on which
    the keypoint is. 1: it is inside the picture and hidden, and enough of its limbs is seen to
    tell where it is: the share ``f`` that is seen lets one guess with a chance of ``f / 0.25``.
    0: it is outside, or nobody could tell.

    Args:
        rendering: The picture of P people.
        points: (P, 17, 3) positions of the keypoints, mm.
        landmarks: (P, L, 3) positions of ``BODY_LANDMARKS``, mm.
        camera: The camera.
        guesses: (P, 17) chance, evenly from [0, 1).

    Returns:
        (P, 17, 2) where the keypoints are, px, to the hundredth, and (P, 17) int v.
    """
    pixels = np.round(camera.project(points)[0], 2)
    height, width = rendering.owners.shape
    column, row = np.moveaxis(np.rint(pixels).astype(np.int64), -1, 0)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    owner = rendering.owners[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    limb = owner - rendering.owner(0, 0) - np.arange(len(pixels))[:, None] * len(LIMB_INDEX)
    oneself = (limb >= 0) & (limb < len(LIMB_INDEX))
    limb = np.clip(limb, 0, len(LIMB_INDEX) - 1)
    outwards, towards = points - landmarks[:, _CENTERS], camera.position - points  # (P, 17, 3)
    length = np.linalg.norm(outwards, axis=-1) * np.linalg.norm(towards, axis=-1)
    facing = (outwards * towards).sum(axis=-1) / np.maximum(length, 1e-9)
    keypoint = np.arange(len(KEYPOINTS))
    shown = _OWN[keypoint, limb] | (_SHARED[keypoint, limb] & (facing > _FACING))
    seen = inside & oneself & shown
    fractions = rendering.visible_fractions(_DISTINCT)[:, _GROUP_OF]  # (P, 17)
    told = inside & ~seen & (guesses < fractions / _TELLING)
    return pixels, np.where(seen, 2, np.where(told, 1, 0))


def _annotate(
    scene: Scene, rendering: Rendering, image_id: int, rng: np.random.Generator
) -> tuple[tuple[dict, ...], tuple[int, ...]]:
    """Annotations of the people who are seen, and which people these are."""
    landmarks, points = scene.landmarks[:, 0], keypoint_positions(scene)
    guesses = rng.random((len(landmarks), len(KEYPOINTS)))
    pixels, v = visibility(rendering, points, landmarks, scene.camera, guesses)
    v[(v == 2).sum(axis=1) < FEWEST_SEEN] = 0
    keypoints = np.concatenate([pixels, v[..., None]], axis=-1) * (v > 0)[..., None]
    annotations, people = [], []
    for person in range(len(landmarks)):
        first = rendering.owner(person, 0)
        mask = (rendering.owners >= first) & (rendering.owners < first + len(LIMB_INDEX))
        area = int(mask.sum())
        if area < _FEWEST_PIXELS:
            continue
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        annotations.append(
            {
                'id': 100 * image_id + person,
                'image_id': image_id,
                'category_id': 1,
                'bbox': [float(x), float(y), float(width), float(height)],
                'area': float(area),
                'iscrowd': 0,
                'segmentation': polygons(mask),
                'num_keypoints': int((v[person] > 0).sum()),
                'keypoints': [
                    int(value) if value == int(value) else value
                    for value in keypoints[person].ravel().tolist()
                ],
            }
        )
        people.append(person)
    return tuple(annotations), tuple(people)


def polygons(mask: np.ndarray) -> list[list[float]]:
    """Outlines of a mask in COCO's coordinates, in which pixel 0 reaches from 0 to 1.

    Holes are filled, as in the published annotations.

    Args:
        mask: (H, W) bool.

    Returns:
        A polygon x, y, x, y, ... of at least three corners for each connected piece.
    """
    # Twice the size, because contours run through the middle of pixels, half of one too narrow.
    large = np.repeat(np.repeat(mask.astype(np.uint8), 2, axis=0), 2, axis=1)
    result = []
    for contour in cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        smooth = cv2.approxPolyDP(contour, 1.0, closed=True)
        corners = smooth if len(smooth) >= 3 else contour
        result.append(((corners.ravel() + 0.5) / 2).tolist())
    return result


def write_coco(
    root: str | Path,
    *,
    images: Mapping[str, int] = IMAGES,
    image_size: tuple[int, int] = (320, 256),
    people: tuple[int, int] = (1, 3),
    difficulty: float = 0.5,
    seed: int = 0,
    progress: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Writes pictures and keypoints in the layout of COCO 2017.

    Fewer images give the same files, ids and annotations as writing all. The folder appears when
    it is complete.

    Args:
        root: Folder to write, which does not exist yet or is empty.
        images: ``{'train': n, 'val': m}``; a split left out or with 0 images is not written.
        image_size: See :func:`coco_picture`.
        people: See :func:`coco_picture`.
        difficulty: See :func:`coco_picture`.
        seed: See :func:`coco_picture`.
        progress: Called with the path of each finished picture, which lies there only in the end.

    Returns:
        The paths of the pictures.

    Raises:
        ValueError: If a name or number is not one of the allowed; nothing is written then.
        FileExistsError: If the folder has content.
    """
    for split, number in images.items():
        if split not in SPLITS:
            raise ValueError(f'images: {split!r} is not one of {list(SPLITS)}')
        if number < 0:
            raise ValueError(f'images[{split!r}] is {number}, expected at least 0')
    if not any(images.values()):
        raise ValueError(f'images is {dict(images)}, expected some')
    options = {
        'image_size': tuple(image_size),
        'people': tuple(people),
        'difficulty': difficulty,
        'seed': seed,
    }
    coco_picture(SPLITS[0], 0, **options)  # checks them
    root = Path(root)
    paths = []
    with whole_folder(root) as partial:
        (partial / 'annotations').mkdir()
        for split in (split for split in SPLITS if images.get(split)):
            folder = Path(f'{split}2017')
            (partial / folder).mkdir()
            rows, annotations = [], []
            for number in range(images[split]):
                picture = coco_picture(split, number, **options)
                path = folder / picture.file_name
                quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
                if not cv2.imwrite(str(partial / path), picture.rendering.image, quality):
                    raise OSError(f'{root / path}: OpenCV cannot write JPEG files there')
                rows.append(
                    {
                        'id': picture.image_id,
                        'file_name': picture.file_name,
                        'width': int(image_size[0]),
                        'height': int(image_size[1]),
                        'license': 1,
                    }
                )
                annotations.extend(picture.annotations)
                paths.append(root / path)
                if progress is not None:
                    progress(paths[-1])
            file = partial / 'annotations' / f'person_keypoints_{split}2017.json'
            file.write_text(json.dumps(_document(rows, annotations)))
    return paths


def _document(images: list[dict], annotations: list[dict]) -> dict:
    return {
        'info': {'description': 'Synthetic figure, layout of COCO 2017', 'version': '1.0'},
        'licenses': [{'id': 1, 'name': 'generated', 'url': ''}],
        'images': images,
        'annotations': annotations,
        'categories': [
            {
                'supercategory': 'person',
                'id': 1,
                'name': 'person',
                'keypoints': list(KEYPOINTS),
                'skeleton': [list(pair) for pair in SKELETON],
            }
        ],
    }


def count_visibility(file: str | Path) -> dict[str, list[int]]:
    """How often each keypoint has each v, over people with keypoints.

    Args:
        file: A ``person_keypoints_*.json``.

    Returns:
        ``{keypoint: [people with v = 0, with 1, with 2]}`` in COCO's order.
    """
    annotations = json.loads(Path(file).read_text())['annotations']
    v = [row['keypoints'][2::3] for row in annotations if row['num_keypoints']]
    v = np.array(v, dtype=np.int64).reshape(-1, len(KEYPOINTS), 1)
    counts = (v == np.arange(3)).sum(axis=0)  # (17, 3)
    return dict(zip(KEYPOINTS, counts.tolist(), strict=True))
