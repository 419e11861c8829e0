"""What inferencers find poses with: a pose estimator for many videos, by its options."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from projects import pose_extraction
from projects.keypoints import KeypointLayout


class PoseFinder:
    """Finds the poses of videos by a pose estimator, which is loaded once.

    Args:
        backend: ``mmpose`` or ``mediapipe``.
        layout: Of the keypoints.
        dims: Coordinates of a joint.
        options: Of :func:`projects.pose_extraction.extract_video` and of the backend's
            extractor: ``people``, ``track_by``, ``pose_model`` ...

    Raises:
        ImportError: If the backend is not installed.
        ValueError: If there is no such backend or option, or it does not find what is needed.
    """

    def __init__(
        self,
        backend: str,
        layout: KeypointLayout,
        dims: int,
        options: dict[str, Any] | None = None,
    ) -> None:
        options = dict(options or {})
        known = set(inspect.signature(pose_extraction.extract_video).parameters)
        known -= {'path', 'extractor', 'backend', 'options'}
        self.options = {name: options.pop(name) for name in known & set(options)}
        people = self.options.get('people', 1)
        try:
            self.extractor = pose_extraction.build_extractor(
                backend, people, **{'layout': layout.name, **options}
            )
        except TypeError as error:
            raise ValueError(f'extraction: {sorted(options)}: {error}') from error
        self.dims = dims
        if self.extractor.dims < dims:
            self.close()
            raise ValueError(
                f'backend {backend!r} finds {self.extractor.dims} coordinates of a joint, but the '
                f'model takes {dims}'
            )

    def __call__(self, path: Path) -> np.ndarray:
        """Poses (T, P, J, D) of a video.

        Args:
            path: The video.

        Raises:
            ValueError: If it cannot be read.
        """
        poses = pose_extraction.extract_video(path, self.extractor, **self.options)
        return poses[..., : self.dims]

    def close(self) -> None:
        """Give back what the estimator holds."""
        self.extractor.close()


def extraction_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take those of a pose estimator out of the options of an inferencer's call.

    Args:
        options: ``extraction``, a dict, and on a command line ``extraction.people`` and so on;
            they are removed.

    Returns:
        Options of :class:`PoseFinder`.
    """
    found = dict(options.pop('extraction', None) or {})
    for key in [key for key in options if key.startswith('extraction.')]:
        found[key.partition('.')[2]] = options.pop(key)
    return found
