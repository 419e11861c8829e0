"""A pinhole camera: positions in the world (mm, y up) to pixels (y down) and depth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    The centre of the top left pixel is (0, 0), as in OpenCV.

    Args:
        rotation: (3, 3), rows are the camera's right, down and forward in the world.
        position: (3,) of the pinhole in the world, mm.
        focal: Focal length, px.
        center: Pixel (x, y) that the optical axis meets; off the image's middle is a crop.
        size: Width and height of the image, px.
    """

    rotation: np.ndarray
    position: np.ndarray
    focal: float
    center: tuple[float, float]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if not self.focal > 0:
            raise ValueError(f'focal is {self.focal!r}, expected a positive number')
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f'size is {self.size!r}, expected width and height of at least 1')

    @classmethod
    def look_at(
        cls,
        position: Sequence[float],
        target: Sequence[float],
        focal: float,
        size: tuple[int, int],
        *,
        roll: float = 0.0,
    ) -> 'Camera':
        """A camera whose optical axis goes from ``position`` through ``target``.

        Args:
            position: (3,) of the pinhole, mm.
            target: (3,) point that appears in the middle of the image, mm.
            focal: Focal length, px.
            size: Width and height of the image, px.
            roll: Degrees by which the camera is turned clockwise, seen from behind it.

        Returns:
            The camera.

        Raises:
            ValueError: If it would look straight up or down.
        """
        position, target = np.asarray(position, float), np.asarray(target, float)
        forward = target - position
        right = np.cross(forward, (0.0, 1.0, 0.0))
        if not np.linalg.norm(right) > 1e-9 * np.linalg.norm(forward):
            raise ValueError(f'target {target} is straight above or below position {position}')
        forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
        down = np.cross(forward, right)
        cosine, sine = np.cos(np.radians(roll)), np.sin(np.radians(roll))
        right, down = cosine * right + sine * down, cosine * down - sine * right
        center = ((size[0] - 1) / 2, (size[1] - 1) / 2)
        return cls(np.stack([right, down, forward]), position, float(focal), center, tuple(size))

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where points are seen.

        Args:
            points: (..., 3) in the world, mm.

        Returns:
            (..., 2) pixels x, y, and (...) depth along the optical axis, mm. Where the depth is
            not positive, the point is not before the camera and its pixel means nothing.
        """
        seen = (np.asarray(points) - self.position) @ self.rotation.T
        depth = seen[..., 2]
        scale = self.focal / np.where(depth > 0, depth, np.inf)
        return seen[..., :2] * scale[..., None] + self.center, depth

    def zoomed(self, factor: float, shift: Sequence[float] = (0.0, 0.0)) -> 'Camera':
        """The view enlarged about its centre, then moved by ``shift`` pixels right and down."""
        center = (self.center[0] + float(shift[0]), self.center[1] + float(shift[1]))
        return replace(self, focal=self.focal * factor, center=center)
