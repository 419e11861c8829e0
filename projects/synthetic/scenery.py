"""What is around the people: clothes, backgrounds, things in the way, light."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Colour = tuple[int, int, int]
_SKIN = ((190, 214, 245), (150, 184, 228), (110, 150, 205), (70, 105, 165), (45, 68, 112))
_HAIR = ((22, 22, 28), (30, 50, 80), (60, 105, 160), (90, 170, 215), (35, 55, 140), (150, 150, 155))


@dataclass(frozen=True)
class Appearance:
    """How one person looks.

    Args:
        colours: ``{'skin', 'hair', 'shirt', 'sleeve', 'trousers', 'leg', 'shoes', 'print'}`` to
            BGR. ``sleeve`` is the forearms', ``leg`` the shins', ``print`` that on the chest.
        girth: Factor on the thickness of all limbs.
    """

    colours: Mapping[str, Colour]
    girth: float = 1.0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> 'Appearance':
        """A random person's."""

        def near(colour: Sequence[int], spread: int) -> Colour:
            moved = np.asarray(colour) + rng.integers(-spread, spread + 1, size=3)
            return tuple(int(value) for value in np.clip(moved, 0, 255))

        skin = hair = near(_SKIN[rng.integers(len(_SKIN))], 10)
        while np.abs(np.subtract(skin, hair)).sum() < 150:  # the face has to be seen
            hair = near(_HAIR[rng.integers(len(_HAIR))], 10)
        shirt, trousers = _vivid(rng), _vivid(rng)
        while np.abs(np.subtract(shirt, trousers)).sum() < 120:
            trousers = _vivid(rng)
        bare_arms, bare_legs = rng.random() < 0.6, rng.random() < 0.25
        return cls(
            colours={
                'skin': skin,
                'hair': hair,
                'shirt': shirt,
                'sleeve': skin if bare_arms else shirt,
                'trousers': trousers,
                'leg': skin if bare_legs else trousers,
                'shoes': near((40, 40, 40) if rng.random() < 0.5 else (220, 220, 220), 30),
                'print': tuple(255 - value for value in shirt),
            },
            girth=float(rng.uniform(0.92, 1.15)),
        )


def _vivid(rng: np.random.Generator) -> Colour:
    """A colour drawn evenly in hue, not too dark."""
    hsv = np.uint8([[[rng.integers(180), rng.integers(40, 230), rng.integers(70, 245)]]])
    return tuple(int(value) for value in cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0])


def sample_background(
    size: tuple[int, int], rng: np.random.Generator, *, floor: float, clutter: int = 8
) -> np.ndarray:
    """A wall and a floor with texture, and things along the wall.

    Args:
        size: Width and height, px.
        rng: Source of chance.
        floor: Row where the wall meets the floor; may lie outside of the image.
        clutter: Number of things.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    width, height = size
    image = np.empty((height, width, 3), dtype=np.float32)
    row = int(np.clip(round(floor), 0, height))
    for region, low, high in ((image[:row], 70, 215), (image[row:], 50, 190)):
        region[:] = rng.uniform(low, high) + rng.uniform(-35, 35, size=3)  # rooms are not vivid
    scale = width / 160
    for _ in range(clutter):
        colour = rng.uniform(20, 240, size=3)
        x, w, h = rng.uniform(0, width), *(rng.uniform(6, 45, size=2) * scale)
        y = row - h / 2 if rng.random() < 0.4 else rng.uniform(0, max(row, 1))  # stands or hangs
        corner, other = (int(x - w / 2), int(y - h / 2)), (int(x + w / 2), int(y + h / 2))
        kind = rng.integers(4)
        if kind == 0:
            middle, axes = (int(x), int(y)), (int(w / 3) + 1, int(h / 3) + 1)
            cv2.ellipse(image, middle, axes, rng.uniform(0, 180), 0, 360, colour.tolist(), -1)
        elif kind == 1:
            cv2.line(image, corner, other, colour.tolist(), max(int(2 * scale), 1))
        else:
            cv2.rectangle(image, corner, other, colour.tolist(), -1)
            if kind == 2:
                cv2.rectangle(image, corner, other, (0.5 * colour).tolist(), max(int(scale), 1))
    for cells, grey, tint in ((6, 20.0, 8.0), (24, 11.0, 4.0), (width, 5.0, 2.0)):
        shape = (max(cells * height // width, 2), cells)
        noise = rng.normal(0, grey, size=(*shape, 1)) + rng.normal(0, tint, size=(*shape, 3))
        image += cv2.resize(noise.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.clip(image, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Occluder:
    """A thing between the camera and everybody.

    Args:
        outline: (V, 2) convex polygon, px.
        colour: BGR.
    """

    outline: np.ndarray
    colour: Colour

    @classmethod
    def sample(cls, size: tuple[int, int], rng: np.random.Generator) -> 'Occluder':
        """A bar across the image or a box that stands at its lower edge."""
        width, height = size
        x, angle = rng.uniform(0, width), np.radians(rng.normal(0, 8))
        if rng.random() < 0.5:
            half, top, bottom = rng.uniform(0.012, 0.03) * width, -height, 2 * height
        else:
            half, top = rng.uniform(0.06, 0.13) * width, rng.uniform(0.6, 0.9) * height
            bottom = 2 * height
        corners = np.array([[-half, top], [half, top], [half, bottom], [-half, bottom]])
        corners[:, 0] += x + (corners[:, 1] - height / 2) * np.tan(angle)
        return cls(corners, _vivid(rng))


@dataclass(frozen=True)
class Light:
    """Brightness and grain of the frames of a video.

    Args:
        gains: (T,) factor on the brightness.
        offsets: (T, 2) int, where each frame's grain begins in the field.
        grain: (H + margin, W + margin, 3) int16.
    """

    gains: np.ndarray
    offsets: np.ndarray
    grain: np.ndarray

    @classmethod
    def sample(
        cls, num_frames: int, size: tuple[int, int], rng: np.random.Generator, noise: float = 3.0
    ) -> 'Light':
        """Random light.

        Args:
            num_frames: T.
            size: Width and height, px.
            rng: Source of chance.
            noise: Standard deviation of the grain, grey levels.

        Returns:
            The light.
        """
        margin = 32  # one field for all frames: drawing grain anew costs more than the figures
        field = rng.standard_normal((size[1] + margin, size[0] + margin, 3), dtype=np.float32)
        gain = rng.uniform(0.75, 1.15)
        return cls(
            gains=gain * (1 + 0.01 * rng.standard_normal(num_frames)),
            offsets=rng.integers(0, margin, size=(num_frames, 2)),
            grain=np.rint(noise * field).astype(np.int16),
        )

    def apply(self, image: np.ndarray, frame: int) -> np.ndarray:
        """The image in the light of a frame, (H, W, 3) uint8."""
        y, x = self.offsets[frame]
        grain = self.grain[y : y + image.shape[0], x : x + image.shape[1]]
        lit = cv2.convertScaleAbs(image, alpha=float(self.gains[frame]))
        return cv2.add(lit, grain, dtype=cv2.CV_8U)
