"""How people and their keypoints look in a drawing: colours by side, discs, rings, sizes."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np

from projects.keypoints import KeypointLayout
from projects.visualization import Colour

LEFT, RIGHT, CENTRE = (86, 196, 255), (255, 138, 36), (250, 231, 117)
EDGE = (16, 18, 22)  # around everything, which keeps it apart from a light ground
_SHIFT = 4  # cv2 takes whole numbers of 1/16 pixel


class PosePerson(NamedTuple):
    """A person as it is drawn; K keypoints, places in pixels of the image."""

    points: np.ndarray
    """(K, 2), NaN where a keypoint has no place."""
    present: np.ndarray
    """(K,) bool, whether a keypoint is there."""
    scores: np.ndarray | None = None
    """(K,) what tells how sure that is, 0..1; None if nothing does, as of a truth."""
    box: np.ndarray | None = None
    """(4,) x1, y1, x2, y2."""
    truth: np.ndarray | None = None
    """(K,) 1 = truly there, 0 = truly not, NaN = not known; None to say nothing of it."""


class PoseLook(NamedTuple):
    """Names, limbs and colours of a data set's keypoints."""

    layout: KeypointLayout
    colours: tuple[Colour, ...]
    """K RGB colours: of the left side, the right one, and what has no side."""


def pose_look(meta: Mapping[str, Any]) -> PoseLook:
    """The look of a data set's keypoints.

    Args:
        meta: As mmpose's ``parse_pose_metainfo`` gives it: ``keypoint_id2name``,
            ``skeleton_links`` and ``flip_indices``.

    Raises:
        ValueError: If one of these is missing.
    """
    for key in ('keypoint_id2name', 'skeleton_links', 'flip_indices'):
        if key not in meta:
            raise ValueError(
                f'the metainfo of the data set has no {key!r} but {sorted(meta)}, expected what '
                "mmpose's parse_pose_metainfo returns"
            )
    by_number = {int(number): name for number, name in meta['keypoint_id2name'].items()}
    names = tuple(by_number[number] for number in sorted(by_number))
    limbs = tuple((int(a), int(b)) for a, b in meta['skeleton_links'])
    layout = KeypointLayout(str(meta.get('dataset_name', 'keypoints')), names, limbs)
    colours = tuple(
        CENTRE if mirrored == index else _colour(name)
        for index, (name, mirrored) in enumerate(zip(names, meta['flip_indices'], strict=True))
    )
    return PoseLook(layout, colours)


def _colour(name: str) -> Colour:
    """Of a keypoint that has a mirror image; data sets write ``left_eye``, ``L_Eye``, ``leye``."""
    found = re.search(r'left|right|(?<![a-z])[lr](?![a-z])', name.lower())
    return CENTRE if found is None else LEFT if found[0][0] == 'l' else RIGHT


def limb_colour(look: PoseLook, limb: tuple[int, int]) -> Colour:
    """Colour of a limb: its side's, of one to the middle that of its other end.

    Args:
        look: Of the keypoints.
        limb: Two keypoints.
    """
    sides = {look.colours[joint] for joint in limb} - {CENTRE}
    return sides.pop() if len(sides) == 1 else CENTRE


def mark(
    canvas: np.ndarray, centre: np.ndarray, radius: float, colour: Colour, present: bool
) -> None:
    """Draw a keypoint in place: a disc if it is present, else a ring that is empty inside.

    Args:
        canvas: (height, width, 3) uint8, BGR.
        centre: (2,) pixels.
        radius: Pixels.
        colour: RGB.
        present: Whether it is.
    """
    at = subpixels(centre)
    how = dict(lineType=cv2.LINE_AA, shift=_SHIFT)
    if present:
        for extra, paint in ((1.6, EDGE), (0.0, colour)):
            size = round((radius + extra) * 2**_SHIFT)
            cv2.circle(canvas, at, size, paint[::-1], -1, **how)
        return
    size, width = round(radius * 1.15 * 2**_SHIFT), max(2, round(0.3 * radius))
    cv2.circle(canvas, at, size, EDGE[::-1], width + 3, **how)
    cv2.circle(canvas, at, size, colour[::-1], width, **how)


def stroke(
    canvas: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    width: int,
    colour: Colour,
    dash: float | None = None,
) -> None:
    """Draw a line with a dark edge in place.

    Args:
        canvas: (height, width, 3) uint8, BGR.
        start: (2,) pixels.
        end: (2,) pixels.
        width: Pixels, without the edge.
        colour: RGB.
        dash: Length of a dash and of the gap after it; None for a solid line.
    """
    pieces = np.stack([start, end])[None]  # (dashes, 2 ends, 2)
    length = float(np.linalg.norm(end - start))
    if dash is not None and length > dash:
        number = max(1, round((length / dash + 1) / 2))  # begins and ends with a dash
        at = np.arange(2 * number).reshape(-1, 2) / max(2 * number - 1, 1)
        pieces = start + at[..., None] * (end - start)
    for size, paint in ((width + 3, EDGE), (width, colour)):
        for one, two in pieces:
            ends = subpixels(one), subpixels(two)
            cv2.line(canvas, *ends, paint[::-1], size, cv2.LINE_AA, _SHIFT)


def subpixels(point: np.ndarray) -> tuple[int, int]:
    """A point as OpenCV takes it with ``shift``; far outside it is moved to where it fits.

    Args:
        point: (2,) pixels.
    """
    x, y = (round(float(value) * 2**_SHIFT) for value in np.clip(point, -1e5, 1e5))
    return x, y
