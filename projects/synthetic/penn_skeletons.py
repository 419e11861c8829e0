"""Draws the joints of Penn Action's real label files as clothed figures before textured rooms."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from projects.files import whole_folder
from projects.penn_labels import CLASS_NAMES, known_joints, read_labels
from projects.synthetic.body import LIMB_INDEX, LIMBS
from projects.synthetic.implements import sample_implements
from projects.synthetic.penn_action import JOINTS, matlab_file
from projects.synthetic.pieces import SHIFT, fixed_point, median_over_time
from projects.synthetic.scenery import Appearance, Light, sample_background

_AT = {name: index for index, name in enumerate(JOINTS)}
_CORNERS = 12
_ANGLES = np.arange(_CORNERS) * 2 * np.pi / _CORNERS
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)
_TRUNK = 500.0  # mm from shoulder to hip
# Lengths of the figure's bones, mm; what is seen is never longer, often shorter.
_LENGTHS = {
    (f'{side}_{start}', f'{side}_{end}'): length
    for side in ('left', 'right')
    for start, end, length in (
        ('shoulder', 'elbow', 279.0),
        ('elbow', 'wrist', 252.0),
        ('shoulder', 'hip', _TRUNK),
        ('hip', 'knee', 443.0),
        ('knee', 'ankle', 454.0),
    )
}
# Longer than it is: it counts where nothing else is known.
_LENGTHS |= {('head', f'{side}_shoulder'): 350.0 for side in ('left', 'right')}
_BONES = np.array([[_AT[name] for name in pair] for pair in _LENGTHS])
_MM = np.array(list(_LENGTHS.values()))
_STEADY = 15  # frames over which the size of a person is steadied
_STREAM = zlib.crc32(b'penn_skeletons')


def _radii(limb: str) -> tuple[float, float]:
    """Radii of a limb's first and last ball, mm."""
    balls = LIMBS[LIMB_INDEX[limb]].balls
    return balls[0][1], balls[-1][1]


def _shapes() -> list[tuple[str, tuple[tuple[dict[str, float], float], ...], bool]]:
    """Colour, balls (weights of joints, radius in mm), and whether it is of an arm or leg."""
    shapes = []
    for part in ('leg', 'arm'):
        for side in ('left', 'right'):
            for limb, start, end, colour in (
                ('thigh', 'hip', 'knee', 'trousers'),
                ('shin', 'knee', 'ankle', 'leg'),
                ('upper_arm', 'shoulder', 'elbow', 'shirt'),
                ('forearm', 'elbow', 'wrist', 'sleeve'),
            ):
                if (limb in ('thigh', 'shin')) != (part == 'leg'):
                    continue
                first, last = _radii(f'{side}_{limb}')
                start, end = f'{side}_{start}', f'{side}_{end}'
                shapes.append((colour, (({start: 1.0}, first), ({end: 1.0}, last)), True))
                if limb in ('shin', 'forearm'):  # a shoe or hand beyond the end
                    beyond = {start: -0.22, end: 1.22}
                    extra = 'shoes' if limb == 'shin' else 'skin'
                    near = ({start: -0.05, end: 1.05}, 38.0)
                    shapes.append((extra, (near, (beyond, 36.0)), True))
    shoulders, hips = (
        [{f'{side}_{joint}': 1.0} for side in ('left', 'right')] for joint in ('shoulder', 'hip')
    )
    torso, pelvis, neck = _radii('torso')[0], _radii('pelvis')[1], _radii('neck')[0]
    middle = {'left_shoulder': 0.5, 'right_shoulder': 0.5}
    waist = [{f'{side}_hip': 0.65, f'{side}_shoulder': 0.35} for side in ('left', 'right')]
    trunk = [
        ('trousers', tuple((point, pelvis) for point in (*hips, *waist)), False),
        ('shirt', tuple((point, torso + 20) for point in (*shoulders, *waist)), False),
        ('skin', ((middle, neck), ({'head': 1.0}, neck)), False),
        ('hair', (({'head': 1.0}, 112.0),), False),
        ('skin', (({'head': 0.93, **{name: 0.035 for name in middle}}, 92.0),), False),
    ]
    return [*trunk, *shapes]


_SHAPES = _shapes()
_BALLS = [ball for _, balls, _ in _SHAPES for ball in balls]
_WEIGHTS = np.array([[weights.get(name, 0.0) for name in JOINTS] for weights, _ in _BALLS])
_RADII = np.array([radius for _, radius in _BALLS])
_STARTS = np.cumsum([0, *(len(balls) for _, balls, _ in _SHAPES)])
_NEEDS = np.array(
    [
        (_WEIGHTS[first:last] != 0).any(axis=0)
        for first, last in zip(_STARTS[:-1], _STARTS[1:], strict=True)
    ]
)  # (shapes, 13)
_IS_LIMB = np.array([limb for *_, limb in _SHAPES])


def render_skeletons(
    joints: np.ndarray,
    visible: np.ndarray,
    known: np.ndarray,
    rng: np.random.Generator,
    *,
    image_size: tuple[int, int] = (171, 128),
    draw_hidden: bool = True,
    difficulty: float = 0.3,
    implements: str | None = None,
) -> Iterator[np.ndarray]:
    """Pictures of a person in clothes, drawn through 13 joints a frame.

    Clothes, build, room and light are drawn from ``rng`` once a clip. Hidden limbs are drawn behind
    the trunk, visible ones before it.

    Args:
        joints: (T, 13, 2) pixels of the pictures to draw, the first pixel's centre at 0.
        visible: (T, 13) bool.
        known: (T, 13) bool, False where a joint has no position; limbs that need it are not drawn,
            and a shoulder or hip is taken from the other side for the trunk.
        rng: Source of chance: the same state gives the same pictures.
        image_size: Width and height, px.
        draw_hidden: Whether what needs a joint that is not visible is drawn.
        difficulty: In [0, 1]: things in the room, and grain.
        implements: The action whose things are drawn too, see
            :func:`~projects.synthetic.implements.sample_implements`. Their chances come from a
            child of ``rng``, so that all else is as it is without them.

    Yields:
        T pictures (H, W, 3) uint8, BGR.

    Raises:
        ValueError: If a shape or number is not one of the allowed.
    """
    frames = len(joints)
    for name, array, shape in (
        ('joints', joints, (frames, len(JOINTS), 2)),
        ('visible', visible, (frames, len(JOINTS))),
        ('known', known, (frames, len(JOINTS))),
    ):
        if np.shape(array) != shape:
            raise ValueError(f'{name} has shape {np.shape(array)}, expected {shape}')
    if len(image_size) != 2 or min(image_size) < 32:
        raise ValueError(f'image_size is {image_size!r}, expected width and height of at least 32')
    if not 0 <= difficulty <= 1:
        raise ValueError(f'difficulty is {difficulty!r}, expected a number in [0, 1]')
    if implements is not None and implements not in CLASS_NAMES:
        raise ValueError(
            f'implements is {implements!r}, expected an action: {", ".join(CLASS_NAMES)}'
        )
    size = tuple(image_size)
    return _pictures(joints, visible, known, rng, size, draw_hidden, difficulty, implements)


def _pictures(
    joints: np.ndarray,
    visible: np.ndarray,
    known: np.ndarray,
    rng: np.random.Generator,
    size: tuple[int, int],
    draw_hidden: bool,
    difficulty: float,
    action: str | None,
) -> Iterator[np.ndarray]:
    frames = len(joints)
    look = Appearance.sample(rng)
    background = sample_background(
        size,
        rng,
        floor=rng.uniform(0.5, 0.9) * size[1],
        clutter=int(rng.integers(2, 6 + round(16 * difficulty))),
    )
    light = Light.sample(frames, size, rng, noise=2.0 + 4.0 * difficulty)
    scale = person_scale(joints, known)  # (T,) px a mm
    usable = known if draw_hidden else known & visible
    trunk, trunk_usable = _trunk_joints(joints, usable, scale)
    of_limb = np.repeat(_IS_LIMB, np.diff(_STARTS))[:, None]  # (balls, 1)
    centers = np.where(
        of_limb,
        _WEIGHTS @ np.where(usable[..., None], joints, 0.0),
        _WEIGHTS @ np.where(trunk_usable[..., None], trunk, 0.0),
    )  # (T, balls, 2)
    radii = np.maximum(look.girth * _RADII * scale[:, None], 0.6)  # (T, balls)
    rims = radii[..., None, None] * _CIRCLE  # (T, balls, corners, 2)
    outlines = fixed_point(centers[:, :, None] + rims)
    lit = fixed_point(centers[:, :, None] + 0.7 * rims - 0.12 * radii[..., None, None])
    # far out points would overflow OpenCV's fixed-point numbers
    near = (np.abs(centers).max(axis=-1) < 20 * max(size)) & (radii < 20 * max(size))
    near = np.logical_and.reduceat(near, _STARTS[:-1], axis=1)  # (T, shapes)
    there = np.where(_IS_LIMB[:, None], usable[:, None], trunk_usable[:, None])  # (T, shapes, 13)
    drawn = near & (there | ~_NEEDS).all(axis=-1)  # (T, shapes)
    hidden = ((~visible)[:, None] & _NEEDS).any(axis=-1)
    # 0: hidden limbs, 1: the trunk, 2: visible limbs
    layer = np.where(_IS_LIMB, np.where(hidden, 0, 2), 1)
    order = np.argsort(layer, axis=1, kind='stable')
    things = []
    if action is not None:
        things = sample_implements(action, joints, usable, scale, size, rng.spawn(1)[0])
    colours = [look.colours[colour] for colour, *_ in _SHAPES]
    dark = [tuple(0.68 * value for value in colour) for colour in colours]
    for frame in range(frames):
        image = background.copy()
        shapes = order[frame][drawn[frame, order[frame]]]
        seen = [thing for thing in things if thing.shown[frame]]
        of_shapes, of_things = layer[frame, shapes], [thing.layer_at(frame) for thing in seen]
        for now in range(4):
            for thing, its in zip(seen, of_things, strict=True):
                if its == now:
                    thing.draw(image, frame)
            for shape in shapes[of_shapes == now]:
                balls = frame, slice(_STARTS[shape], _STARTS[shape + 1])
                for corners, colour in ((outlines, dark[shape]), (lit, colours[shape])):
                    hull = cv2.convexHull(corners[balls].reshape(-1, 2))
                    cv2.fillConvexPoly(image, hull, colour, cv2.LINE_AA, SHIFT)
        yield light.apply(image, frame)


def _trunk_joints(
    joints: np.ndarray, usable: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Joints of the trunk, where one side stands for both, and which there are.

    From the side the far shoulder and hip are hidden, and often never marked. If neither shoulder
    is, they stand between head and hips. Who is cut off by the picture's border has neither hips
    nor knees; the trunk then hangs from the shoulders.
    """
    joints, usable = joints.copy(), usable.copy()
    for joint in ('shoulder', 'hip'):
        left, right = _AT[f'left_{joint}'], _AT[f'right_{joint}']
        for here, other in ((left, right), (right, left)):
            copied = ~usable[:, here] & usable[:, other]
            joints[copied, here] = joints[copied, other]
            usable[copied, here] = True
    sides = ('left', 'right')
    head = _AT['head']
    for side in sides:
        shoulder, hip = _AT[f'{side}_shoulder'], _AT[f'{side}_hip']
        between = ~usable[:, shoulder] & usable[:, hip] & usable[:, head]
        joints[between, shoulder] = 0.7 * joints[between, head] + 0.3 * joints[between, hip]
        usable[between, shoulder] = True
    below = [_AT[f'{side}_{joint}'] for joint in ('hip', 'knee') for side in sides]
    cut = ~usable[:, below].any(axis=1)
    for side in sides:
        shoulder, hip = _AT[f'{side}_shoulder'], _AT[f'{side}_hip']
        joints[cut, hip, 0] = joints[cut, shoulder, 0]
        joints[cut, hip, 1] = joints[cut, shoulder, 1] + _TRUNK * scale[cut]
        usable[cut, hip] = usable[cut, shoulder]
    return joints, usable


def person_scale(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How large the person is seen in each frame.

    A bone that points at the camera looks short, none looks long: the second longest, compared
    with the figure's, tells the size, and a median over frames steadies it.

    Args:
        joints: (T, 13, 2) pixels.
        known: (T, 13) bool.

    Returns:
        (T,) pixels a mm; 0 if no bone is known in any frame.
    """
    ends = joints[:, _BONES]  # (T, bones, 2, 2)
    length = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1) / _MM
    length = np.where(known[:, _BONES].all(axis=-1), length, 0.0)
    longest, found = np.sort(length, axis=1)[:, :-3:-1].T  # (T,) each
    found = np.where(found > 0, found, longest)
    if not found.any():
        return found
    found = np.where(found > 0, found, np.median(found[found > 0]))
    return median_over_time(found, _STEADY)


def write_skeleton_videos(
    labels: Sequence[str | Path],
    root: str | Path,
    *,
    short_side: int = 128,
    draw_hidden: bool = True,
    difficulty: float = 0.3,
    implements: bool = False,
    seed: int = 0,
    progress: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Writes Penn Action's layout with drawn frames and the labels scaled to them.

    Each label file has a random stream of its own, by its name. The folder appears when it is
    complete.

    Args:
        labels: Label files, whose names stay.
        root: Folder to write, new or empty.
        short_side: Of the pictures, px; they keep the proportions of the published ones.
        draw_hidden: See :func:`render_skeletons`.
        difficulty: See :func:`render_skeletons`.
        implements: Whether the things that the label's action is done with are drawn too: a bat, a
            barbell, a rope. They tell of the class as in real frames, but they follow from the
            label: a clip always has the thing of its class, where its hands are known.
        seed: Not negative.
        progress: Called with each finished label file, which lies there only in the end.

    Returns:
        The label files written.

    Raises:
        FileNotFoundError: If a label file is missing.
        ValueError: If a number is not one of the allowed, or a file is no label file.
        FileExistsError: If the folder has content.
    """
    if not len(labels):
        raise ValueError('labels is empty, expected some files')
    if short_side < 32:
        raise ValueError(f'short_side is {short_side}, expected at least 32')
    if not 0 <= difficulty <= 1:
        raise ValueError(f'difficulty is {difficulty!r}, expected a number in [0, 1]')
    if seed < 0:
        raise ValueError(f'seed is {seed}, expected 0 or more')
    root = Path(root)
    paths = []
    with whole_folder(root) as partial:
        (partial / 'labels').mkdir()
        for source in map(Path, labels):
            fields = read_labels(source)
            known = known_joints(fields['x'], fields['y'], fields['visibility'])
            scaled, size = _scaled(fields, known, short_side)
            pixels = np.stack([scaled['x'], scaled['y']], axis=-1) - 1.0
            entropy = [seed, zlib.crc32(source.stem.encode())]
            sequence = np.random.SeedSequence(entropy, spawn_key=(_STREAM,))
            images = render_skeletons(
                pixels,
                scaled['visibility'],
                known,
                np.random.default_rng(sequence),
                image_size=size,
                draw_hidden=draw_hidden,
                difficulty=difficulty,
                implements=_action(source, fields) if implements else None,
            )
            folder = Path('frames', source.stem)
            (partial / folder).mkdir(parents=True)
            for index, image in enumerate(images):
                path = folder / f'{index + 1:06d}.jpg'
                quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
                if not cv2.imwrite(str(partial / path), image, quality):
                    raise OSError(f'{root / path}: OpenCV cannot write JPEG files there')
            path = Path('labels', source.name)
            (partial / path).write_bytes(matlab_file(scaled))
            paths.append(root / path)
            if progress is not None:
                progress(paths[-1])
    return paths


def _action(source: Path, fields: dict[str, np.ndarray]) -> str:
    """The class that a label file names."""
    found = np.ravel(fields.get('action', ''))
    action = str(found[0]) if found.size else ''
    if action not in CLASS_NAMES:
        raise ValueError(
            f"{source}: field 'action' is {action!r}, expected one of {', '.join(CLASS_NAMES)}"
        )
    return action


def _scaled(
    fields: dict[str, np.ndarray], known: np.ndarray, short_side: int
) -> tuple[dict[str, np.ndarray], tuple[int, int]]:
    """The fields for pictures whose shorter side is given, and the pictures' width and height."""
    height, width = (float(side) for side in fields['dimensions'][0, :2])
    factor = short_side / min(width, height)
    size = round(width * factor), round(height * factor)
    ratio = np.array([size[0] / width, size[1] / height])
    result = dict(fields)
    # pixel 1 reaches from 0.5 to 1.5
    for name, axis in (('x', 0), ('y', 1)):
        result[name] = np.where(known, (fields[name] - 0.5) * ratio[axis] + 0.5, 1.0)
    if 'bbox' in fields:
        result['bbox'] = (fields['bbox'] - 0.5) * np.tile(ratio, 2) + 0.5
    result['dimensions'] = np.array([[size[1], size[0], len(known)]], dtype=np.uint16)
    return result, size
