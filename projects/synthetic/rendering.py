"""Pictures of clothed figures, and who is seen where in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from projects.synthetic.body import (
    BALLS,
    BODY_INDEX,
    BODY_LANDMARKS,
    LIMB_INDEX,
    LIMBS,
    limb_extents,
    limb_points,
)
from projects.synthetic.camera import Camera
from projects.synthetic.scenery import Appearance, Colour, Occluder

BACKGROUND, OCCLUDER = 0, -1
_NEAREST = 200.0  # mm; nearer than this to the camera's plane a person is not drawn
_SHIFT = 4  # OpenCV's sub-pixel bits
_UNIT = 1 << _SHIFT


@dataclass(frozen=True)
class Rendering:
    """A picture of people.

    Args:
        image: (H, W, 3) uint8, BGR.
        owners: (H, W) int16: ``BACKGROUND``, ``OCCLUDER``, or :meth:`owner` of what is seen.
        points: (P, balls, corners, 2) of :func:`projects.synthetic.body.limb_points`, px.
        drawn: (P,) bool, False for a person behind or in the camera.
    """

    image: np.ndarray
    owners: np.ndarray
    points: np.ndarray
    drawn: np.ndarray

    @staticmethod
    def owner(person: int, limb: int) -> int:
        """Value in ``owners`` of a person's limb."""
        return 1 + int(person) * len(LIMBS) + int(limb)

    def extents(self) -> np.ndarray:
        """(P, limbs, 4) x1, y1, x2, y2 of the limbs, not clipped to the image, px."""
        return limb_extents(self.points)

    def visible_pixels(self) -> np.ndarray:
        """(P, limbs) number of pixels in which each limb is seen."""
        length = 1 + len(self.points) * len(LIMBS)
        count = np.bincount(self.owners[self.owners > 0], minlength=length)
        return count[1:].reshape(-1, len(LIMBS))

    def visible_fractions(self, groups: Sequence[Sequence[str]]) -> np.ndarray:
        """How much of each group of limbs is seen.

        Args:
            groups: G groups of names in ``LIMBS``.

        Returns:
            (P, G) visible pixels over the pixels of the group drawn alone on an unbounded image.
        """
        count, outlines = self.visible_pixels(), _fixed(self.points)
        result = np.zeros((len(self.points), len(groups)))
        for index, group in enumerate(groups):
            limbs = [LIMB_INDEX[name] for name in group]
            for person, seen in enumerate(count[:, limbs].sum(axis=1)):
                if seen:
                    alone = _area([_hull(outlines[person, BALLS[limb]]) for limb in limbs])
                    result[person, index] = min(seen / alone, 1.0)
        return result


def render(
    people: Sequence[tuple[np.ndarray, Appearance]],
    camera: Camera,
    background: np.ndarray,
    occluders: Sequence[Occluder] = (),
) -> Rendering:
    """Draws people, the farther first, and things before them.

    Args:
        people: Positions of ``BODY_LANDMARKS``, (L, 3) in the world, mm, and looks of each.
        camera: The camera.
        background: (H, W, 3) uint8, BGR, of the camera's size; left as it is.
        occluders: Things drawn over the people.

    Returns:
        The picture.

    Raises:
        ValueError: If an array has the wrong shape.
    """
    expected = (camera.size[1], camera.size[0], 3)
    if background.shape != expected or background.dtype != np.uint8:
        raise ValueError(
            f'background is {background.dtype} {background.shape}, expected uint8 {expected}'
        )
    for positions, _ in people:
        if np.shape(positions) != (len(BODY_LANDMARKS), 3):
            raise ValueError(
                f'positions of shape {np.shape(positions)}, expected {(len(BODY_LANDMARKS), 3)}'
            )
    landmarks = np.array([positions for positions, _ in people])
    landmarks = landmarks.reshape(len(people), len(BODY_LANDMARKS), 3)  # also of nobody
    image, owners = background.copy(), np.zeros(expected[:2], dtype=np.int16)
    girth = np.array([appearance.girth for _, appearance in people])
    points, depths = limb_points(landmarks, camera, girth)
    drawn = (depths > _NEAREST).all(axis=-1)
    order = [person for person in np.argsort(-depths.mean(axis=-1)) if drawn[person]]
    for person in order:
        _shadow(image, landmarks[person], camera)
    centre = points.mean(axis=-2, keepdims=True)
    radius = np.abs(points[..., :1, :] - centre).max(axis=-1, keepdims=True)
    lit = _fixed(centre + 0.7 * (points - centre) - 0.12 * radius)  # towards the light
    outlines = _fixed(points)
    for person in order:
        colours = people[person][1].colours
        details = _Details(landmarks[person], camera, colours)
        for limb in np.argsort(-depths[person]):
            colour, balls = colours[LIMBS[limb].colour], (person, BALLS[limb])
            hull, owner = _hull(outlines[balls]), Rendering.owner(person, limb)
            dark = [0.68 * value for value in colour]
            cv2.fillConvexPoly(image, hull, dark, cv2.LINE_AA, _SHIFT)
            cv2.fillConvexPoly(owners, hull, owner, cv2.LINE_8, _SHIFT)
            cv2.fillConvexPoly(image, _hull(lit[balls]), colour, cv2.LINE_AA, _SHIFT)
            details.draw(image, LIMBS[limb].name)
    for thing in occluders:
        outline = _fixed(thing.outline)
        cv2.fillConvexPoly(image, outline, thing.colour, cv2.LINE_AA, _SHIFT)
        cv2.fillConvexPoly(owners, outline, OCCLUDER, cv2.LINE_8, _SHIFT)
    return Rendering(image, owners, points, drawn)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Points in OpenCV's fixed-point coordinates."""
    return np.rint(np.asarray(points) * _UNIT).astype(np.int32)


def _hull(points: np.ndarray) -> np.ndarray:
    """Convex hull of (balls, corners, 2) points in fixed-point coordinates."""
    return cv2.convexHull(points.reshape(-1, 2))


def _area(hulls: Sequence[np.ndarray]) -> int:
    """Pixels covered by hulls together, at least 1."""
    left, top, width, height = cv2.boundingRect(np.concatenate(hulls))
    low = np.array([left >> _SHIFT, top >> _SHIFT])
    canvas = np.zeros(((height >> _SHIFT) + 3, (width >> _SHIFT) + 3), dtype=np.uint8)
    for hull in hulls:
        cv2.fillConvexPoly(canvas, hull - (low << _SHIFT), 1, cv2.LINE_8, _SHIFT)
    return max(cv2.countNonZero(canvas), 1)


def _shadow(image: np.ndarray, landmarks: np.ndarray, camera: Camera) -> None:
    """Darkens the ground under the feet, in place."""
    feet = landmarks[[BODY_INDEX[name] for name in ('LeftToeBase', 'RightToeBase')]]
    feet = np.concatenate([feet, landmarks[[BODY_INDEX['Hips']]]])
    ground = feet[:, None] + 130.0 * _GROUND_CIRCLE  # (3, 12, 3)
    ground[..., 1] = 0.0
    pixels, depth = camera.project(ground)
    if depth.min() < _NEAREST:
        return
    size = np.array(camera.size)
    low = np.clip(np.floor(pixels.min(axis=(0, 1))).astype(int), 0, size)
    high = np.clip(np.ceil(pixels.max(axis=(0, 1))).astype(int) + 1, 0, size)
    if (high <= low).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), dtype=np.uint8)
    cv2.fillConvexPoly(mask, _hull(_fixed(pixels - low)), 1, cv2.LINE_8, _SHIFT)
    region = image[low[1] : high[1], low[0] : high[0]]
    cv2.copyTo(cv2.convertScaleAbs(region, alpha=0.62), mask, region)


_GROUND_CIRCLE = np.stack(
    [np.cos(np.arange(12) * np.pi / 6), np.zeros(12), np.sin(np.arange(12) * np.pi / 6)], axis=-1
)


class _Details:
    """Eyes, nose, mouth and the print on the chest: they tell front from back."""

    def __init__(
        self, landmarks: np.ndarray, camera: Camera, colours: Mapping[str, Colour]
    ) -> None:
        self._colours = colours
        eyes = landmarks[_EYES]
        mouth = landmarks[_MOUTH]
        nose, centre = landmarks[BODY_INDEX['nose']], landmarks[BODY_INDEX['head_center']]
        shoulders = landmarks[_SHOULDERS]
        neck, chest = landmarks[BODY_INDEX['Neck']], landmarks[BODY_INDEX['Spine1']]
        across, up = shoulders[0] - shoulders[1], neck - chest
        front = np.cross(across, up)
        front *= 100.0 / max(np.linalg.norm(front), 1e-9)  # mm, to the chest's surface
        middle = chest + 0.45 * up + front
        patch = [middle + x * across + y * up for x, y in _PATCH]
        points = np.array([*eyes, *mouth, nose, *patch])
        outward = points - np.array([centre] * 5 + [middle - front] * 4)
        self._pixels, depth = camera.project(points)
        facing = np.einsum('ij,ij->i', outward, camera.position - points)
        facing /= np.linalg.norm(outward, axis=1) * np.linalg.norm(camera.position - points, axis=1)
        self._facing = facing
        self._scale = camera.focal / max(float(depth[4]), 1.0)

    def draw(self, image: np.ndarray, limb: str) -> None:
        """Draws what belongs on a limb that has just been drawn."""
        if limb == 'torso' and self._facing[5:].min() > 0.1:
            outline = _fixed(self._pixels[5:])
            cv2.fillConvexPoly(image, outline, self._colours['print'], cv2.LINE_AA, _SHIFT)
        elif limb == 'face':
            self._face(image)

    def _face(self, image: np.ndarray) -> None:
        dark = [0.62 * value for value in self._colours['skin']]
        fixed = _fixed(self._pixels)
        thin = max(int(round(12 * self._scale)), 1)
        if self._facing[4] > 0.0:
            bridge = _fixed(0.5 * self._pixels[:2].mean(axis=0) + 0.5 * self._pixels[4])
            cv2.line(image, bridge, fixed[4], dark, thin, cv2.LINE_AA, _SHIFT)
        if self._facing[2:4].min() > 0.05:
            red = (60, 50, 150)
            cv2.line(image, fixed[2], fixed[3], red, thin, cv2.LINE_AA, _SHIFT)
        for eye in np.flatnonzero(self._facing[:2] > 0.1):
            radius = max(int(14 * self._scale * _UNIT), _UNIT * 2 // 3)
            cv2.circle(image, fixed[eye], radius, (20, 15, 15), -1, cv2.LINE_AA, _SHIFT)


_EYES = [BODY_INDEX['left_eye'], BODY_INDEX['right_eye']]
_MOUTH = [BODY_INDEX['left_mouth'], BODY_INDEX['right_mouth']]
_SHOULDERS = [BODY_INDEX['LeftArm'], BODY_INDEX['RightArm']]
_PATCH = ((-0.22, -0.3), (0.22, -0.3), (0.22, 0.3), (-0.22, 0.3))
