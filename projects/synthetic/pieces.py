"""Pieces of things placed on the joints of a person in a clip, and drawn."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import uniform_filter1d

from projects.synthetic.penn_action import JOINTS
from projects.synthetic.scenery import Colour

SHIFT = 4
"""OpenCV's sub-pixel bits."""
BEHIND, BETWEEN, FRONT = 0, 2, 3
"""Layers: behind the figure; before its hidden limbs and trunk; before all of it."""
SIDES = ('left', 'right')
WRISTS = ('left_wrist', 'right_wrist')
SHOULDERS = ('left_shoulder', 'right_shoulder')
_ANGLES = np.arange(25) * np.pi / 12
CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)
"""(25, 2) points of the circle of radius 1, closed."""
_AT = {name: index for index, name in enumerate(JOINTS)}
_THIN = 0.3  # px, half a rod's width at least; OpenCV's smooth edges add more than a pixel


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Points in OpenCV's fixed-point coordinates, with ``SHIFT`` bits.

    Args:
        points: (..., 2) px.

    Returns:
        The same shape, int32; points far outside are brought nearer.
    """
    limit = 1 << 24
    return np.rint(np.clip(points * (1 << SHIFT), -limit, limit)).astype(np.int32)


def median_over_time(values: np.ndarray, window: int) -> np.ndarray:
    """A running median, whose first and last values go on beyond the ends.

    Args:
        values: (T, ...), T at least 1; may be shorter than the window, where scipy's gives 0.
        window: Frames, odd.

    Returns:
        The same shape.
    """
    pad = [(window // 2, window // 2)] + [(0, 0)] * (values.ndim - 1)
    padded = np.pad(values, pad, mode='edge')
    windows = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0)
    return np.median(windows, axis=-1)


@dataclass(frozen=True)
class Piece:
    """A piece of a thing in all frames of a clip: a filled convex polygon, or lines.

    Args:
        points: (T, V, 2) px, whose hull is filled, or (T, L, V, 2), L lines.
        colour: BGR.
        shown: (T,) bool.
        layer: ``BEHIND``, ``BETWEEN`` or ``FRONT``, (T,) or one for all frames.
        width: Of lines, px, (T,).
    """

    points: np.ndarray
    colour: Colour
    shown: np.ndarray
    layer: np.ndarray | int = FRONT
    width: np.ndarray | None = None

    def layer_at(self, frame: int) -> int:
        """The layer in a frame.

        Args:
            frame: Which.
        """
        return int(np.broadcast_to(self.layer, self.shown.shape)[frame])

    def draw(self, image: np.ndarray, frame: int) -> None:
        """Draws the piece into a picture, in place, whether it is shown or not.

        Args:
            image: (H, W, 3) uint8.
            frame: Which.
        """
        points = fixed_point(self.points[frame])
        if self.width is None:
            cv2.fillConvexPoly(image, cv2.convexHull(points), self.colour, cv2.LINE_AA, SHIFT)
        else:
            width = max(round(float(self.width[frame])), 1)
            cv2.polylines(image, list(points), False, self.colour, width, cv2.LINE_AA, SHIFT)


class Clip:
    """A person's joints, for placing things; what is not usable stands where it last was.

    Args:
        joints: (T, 13, 2) px, T at least 1.
        usable: (T, 13) bool. Joints far outside of the picture are not used.
        scale: (T,) px a mm; where it is 0 no joint is used.
        size: Width and height of the pictures, px.
        rng: Source of chance for whoever places things.
    """

    def __init__(
        self,
        joints: np.ndarray,
        usable: np.ndarray,
        scale: np.ndarray,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:
        near = np.abs(joints).max(axis=-1) < 20 * max(size)
        self.usable = usable & near & (scale > 0)[:, None]
        self.frames = np.arange(len(joints))
        self.scale, self.size, self.rng = np.maximum(scale, 1e-6), size, rng
        last = np.maximum.accumulate(np.where(self.usable, self.frames[:, None], -1))
        last = np.where(last < 0, self.usable.argmax(axis=0), last)  # (T, 13)
        held = joints[last, np.arange(len(JOINTS))]
        self.joints = np.where(self.usable.any(axis=0)[:, None], held, 0.0)

    def mean(self, *names: str) -> tuple[np.ndarray, np.ndarray]:
        """The mean of those of some joints that are usable in a frame.

        Args:
            *names: Joints.

        Returns:
            (T, 2) px, and whether any is usable, (T,) bool.
        """
        which = [_AT[name] for name in names]
        found = self.usable[:, which].any(axis=1)
        ever = self.usable[:, which].any(axis=0)
        weights = np.where(found[:, None], self.usable[:, which], ever)[..., None]
        total = (weights * self.joints[:, which]).sum(axis=1)
        return total / np.maximum(weights.sum(axis=1), 1), found

    def across(self, first: str, second: str) -> np.ndarray:
        """From a joint to another, steadied over 3 frames.

        Args:
            first: A joint.
            second: Another.

        Returns:
            (T, 2) px; a frame in which one of them is not usable counts as 0.
        """
        ends = [_AT[first], _AT[second]]
        vectors = self.joints[:, ends[1]] - self.joints[:, ends[0]]
        vectors = np.where(self.usable[:, ends].all(axis=1)[:, None], vectors, 0.0)
        return uniform_filter1d(vectors, 3, axis=0, mode='nearest')

    def forearm(self, *sides: str) -> tuple[np.ndarray, np.ndarray]:
        """Where forearms point together.

        Args:
            *sides: ``left``, ``right`` or both.

        Returns:
            (T, 2) of length 1, or 0 where it is not known, and whether it is, (T,) bool.
        """
        axis = unit(sum(self.across(f'{side}_elbow', f'{side}_wrist') for side in sides))
        return axis, axis.any(axis=1)

    def hand(self, side: str, beyond: float) -> tuple[np.ndarray, np.ndarray]:
        """A place beyond a wrist on the line of the forearm.

        Args:
            side: ``left`` or ``right``.
            beyond: How far, mm.

        Returns:
            (T, 2) px, and whether the wrist is usable, (T,) bool.
        """
        wrist, found = self.mean(f'{side}_wrist')
        return wrist + beyond * self.scale[:, None] * self.forearm(side)[0], found

    def speeds(self) -> np.ndarray:
        """Of both wrists beside the trunk, (T, 2) mm a frame; single wrong marks do not count."""
        trunk = self.mean(*SHOULDERS, 'left_hip', 'right_hip')[0]
        wrists = self.joints[:, [_AT[name] for name in WRISTS]] - trunk[:, None]
        wrists = median_over_time(wrists, 3)
        wrists = np.pad(wrists, ((1, 1), (0, 0), (0, 0)), mode='edge')
        speeds = np.linalg.norm(wrists[2:] - wrists[:-2], axis=-1) / 2
        return speeds / self.scale[:, None] * self.usable[:, [_AT[name] for name in WRISTS]]

    def fastest(self) -> tuple[str, str, int]:
        """The side of the hand that is fastest at any time, the other side, and that frame."""
        speeds = self.speeds()
        frame, side = np.unravel_index(speeds.argmax(), speeds.shape)
        return SIDES[side], SIDES[1 - side], int(frame)

    def place(self, origin: np.ndarray, axis: np.ndarray, local: np.ndarray) -> np.ndarray:
        """Pixels of points that are given beside an axis.

        Args:
            origin: (T, 2) px.
            axis: (T, 2) of length 1.
            local: (V, 2) or (T, V, 2), mm along the axis and across it.

        Returns:
            (T, V, 2).
        """
        basis = np.stack([axis, np.stack([-axis[:, 1], axis[:, 0]], axis=-1)], axis=1)
        return origin[:, None] + self.scale[:, None, None] * (local @ basis)

    def rod(
        self,
        origin: np.ndarray,
        axis: np.ndarray,
        along: tuple[float | np.ndarray, float | np.ndarray],
        radii: tuple[float, float],
    ) -> np.ndarray:
        """Corners of a tapered rod.

        Args:
            origin: (T, 2) px.
            axis: (T, 2) of length 1.
            along: Where on the axis it starts and ends, mm.
            radii: There, mm; it is seen however thin it is.

        Returns:
            (T, 4, 2) px, two at the start and two at the end.
        """
        corners = [
            (start, sign * np.maximum(radius, _THIN / self.scale))
            for start, radius in zip(along, radii, strict=True)
            for sign in (-1, 1)
        ]
        local = np.stack([np.stack(np.broadcast_arrays(*c), axis=-1) for c in corners], axis=1)
        return self.place(origin, axis, local)

    def ball(
        self,
        centre: np.ndarray,
        shown: np.ndarray,
        radius: float,
        colour: Colour,
        *,
        glossy: bool = False,
    ) -> list[Piece]:
        """A ball that is lit.

        Args:
            centre: (T, 2) px.
            shown: (T,) bool.
            radius: mm.
            colour: BGR.
            glossy: Whether it mirrors the light.
        """
        rim = np.maximum(radius * self.scale, 0.8)[:, None, None] * CIRCLE  # (T, 25, 2)
        middle = centre[:, None]
        lit = middle + 0.75 * rim + 0.15 * rim.min(axis=1, keepdims=True)
        shine = middle + 0.22 * rim + 0.4 * rim.min(axis=1, keepdims=True)
        dark, white = tuple(0.6 * value for value in colour), (245.0, 245.0, 245.0)
        pieces = [Piece(middle + rim, dark, shown), Piece(lit, colour, shown)]
        return pieces + ([Piece(shine, white, shown)] if glossy else [])

    def colour(self, *choices: Colour) -> Colour:
        """One of some colours, by chance, moved a little.

        Args:
            *choices: BGR.
        """
        chosen = choices[self.rng.integers(len(choices))]
        return tuple(np.clip(chosen + self.rng.uniform(-18, 18, size=3), 0, 255).tolist())


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1.

    Args:
        vectors: (T, 2) px.

    Returns:
        The same shape; what is shorter than a hundredth of a pixel becomes 0.
    """
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > 0.01, vectors / np.maximum(length, 0.01), 0.0)
