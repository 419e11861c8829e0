"""Pictures of poses that say which keypoints are there: discs, rings and scores."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from projects.labels import place_tag
from projects.pose_look import (
    EDGE,
    PoseLook,
    PosePerson,
    limb_colour,
    mark,
    stroke,
)
from projects.presence.scorecards import GAP, HEADER, legend, score_cards, score_text
from projects.visualization import BACKGROUND, SOFT, WHITE, Colour, beside, font, scaled

SCORES = ('absent', 'all', 'none')
MOST_CARDS = 6  # people; of more the cards would outgrow the picture
_MOST_ROWS = 40  # keypoints of a card
_PERSON = 420  # pixels, long side of a person that is large enough to be looked at
_PLACES = 16  # directions in which a score may lie from its keypoint
_TOUCHING = 1000.0  # what it costs a score to lie on another altogether
_DISTANCES = np.array([3.0, 10.0, 22.0, 38.0])  # pixels between a keypoint and its score


class Score(NamedTuple):
    """A number to write at a keypoint."""

    text: str
    at: np.ndarray
    """(2,) the keypoint, pixels of the drawing."""
    radius: float
    outwards: np.ndarray
    """(2,) away from the person, of length 1 or 0."""
    colour: Colour
    size: int


def draw_presence(
    image: np.ndarray,
    people: Sequence[PosePerson],
    look: PoseLook,
    threshold: float = 0.5,
    scores: str = 'absent',
    cards: bool = True,
    measure: str = 'probability',
    long_side: tuple[int, int] = (900, 1600),
) -> np.ndarray:
    """Draw poses: present keypoints as discs, absent ones as rings with their scores.

    Limbs between two present keypoints are solid, others thin, dashed and dim. Beside the picture
    every person has a card with a bar for each keypoint, below it a legend.

    Args:
        image: (height, width, 3) uint8, BGR.
        people: The people.
        look: Of their keypoints.
        threshold: Score from which a keypoint counts as present, for bars and legend.
        scores: Which numbers are written at keypoints: of the ``absent``, of ``all`` or ``none``.
        cards: Whether to draw cards; more than 6 people or 40 keypoints get none.
        measure: What the scores are.
        long_side: Smallest and largest long side of the picture, see
            :func:`projects.visualization.scaled`.

    Returns:
        (height', width', 3) uint8, BGR.
    """
    drawn = draw_people(image, people, look, scores, long_side)
    if cards and 1 <= len(people) <= MOST_CARDS and look.layout.num_joints <= _MOST_ROWS:
        drawn = _row(drawn, score_cards(people, look, threshold, drawn.shape[0]))
    strip = legend(look, drawn.shape[1], threshold, measure, scores != 'none')
    return np.concatenate([drawn, strip])


def draw_with_truth(
    image: np.ndarray,
    truth: PosePerson,
    person: PosePerson,
    look: PoseLook,
    threshold: float = 0.5,
    scores: str = 'absent',
    measure: str = 'probability',
) -> np.ndarray:
    """The truth and the prediction of one person beside each other, and the person's card.

    Args:
        image: (height, width, 3) uint8, BGR.
        truth: What is true; where it has ``truth``, the card shows it beside the prediction.
        person: What is predicted.
        look: Of the keypoints.
        threshold: Score from which a keypoint counts as present.
        scores: See :func:`draw_presence`.
        measure: What the scores are.
    """
    both = []
    for heading, one in (('truth', truth), ('prediction', person)):
        picture = draw_people(image, [one], look, scores, (560, 960))
        both.append(np.concatenate([_heading(heading, picture.shape[1]), picture]))
    drawn = beside(*both)
    if look.layout.num_joints <= _MOST_ROWS:
        marked = [person._replace(truth=truth.truth)]
        drawn = _row(drawn, score_cards(marked, look, threshold, drawn.shape[0]))
    strip = legend(look, drawn.shape[1], threshold, measure, scores != 'none')
    return np.concatenate([drawn, strip])


def draw_people(
    image: np.ndarray,
    people: Sequence[PosePerson],
    look: PoseLook,
    scores: str = 'absent',
    long_side: tuple[int, int] = (900, 1600),
) -> np.ndarray:
    """The picture alone, without cards and legend.

    Args:
        image: (height, width, 3) uint8, BGR.
        people: The people.
        look: Of their keypoints.
        scores: See :func:`draw_presence`.
        long_side: See :func:`draw_presence`.

    Raises:
        ValueError: If ``scores`` is not one of the allowed.
    """
    if scores not in SCORES:
        raise ValueError(f'scores is {scores!r}, expected one of {SCORES}')
    boxes = [person.box for person in people if person.box is not None]
    if boxes:  # enlarged until a person of middle size can be seen
        size = float(np.median([max(box[2] - box[0], box[3] - box[1], 1) for box in boxes]))
        wanted = round(max(image.shape[:2]) * _PERSON / size)
        long_side = (int(np.clip(wanted, *long_side)), long_side[1])
    picture = scaled(image, long_side)
    factors = np.array(picture.shape[1::-1]) / image.shape[1::-1]
    people = [_enlarged(person, factors) for person in people]
    radii = [_radii(person) for person in people]
    for person in people:
        if person.box is not None:
            _corners(picture, person.box)
    veil = picture.copy()
    for person, sizes in zip(people, radii, strict=True):
        _limbs(veil, person, sizes, look, solid=False)
    picture = cv2.addWeighted(veil, 0.75, picture, 0.25, 0)
    for person, sizes in zip(people, radii, strict=True):
        _limbs(picture, person, sizes, look, solid=True)
        for joint in np.argsort(~person.present):  # rings, which are hollow, in front of discs
            if np.isfinite(sizes[joint]):
                at, colour = person.points[joint], look.colours[joint]
                mark(picture, at, sizes[joint], colour, bool(person.present[joint]))
    return _with_text(picture, people, radii, look, scores)


def _enlarged(person: PosePerson, factors: np.ndarray) -> PosePerson:
    """A person in pixels of the drawing; the middle of pixel 0 lies at 0 in both."""
    points = (np.asarray(person.points, dtype=float) + 0.5) * factors - 0.5
    box = None
    if person.box is not None:
        box = np.asarray(person.box, dtype=float) * np.tile(factors, 2)
    return person._replace(points=points, box=box)


def _radii(person: PosePerson) -> np.ndarray:
    """(K,) radius of each keypoint, pixels: by the person's size, less where they are close."""
    points = person.points
    known = np.isfinite(points).all(axis=1)
    if not known.any():
        return np.full(len(points), np.nan)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    if person.box is not None:
        low, high = person.box[:2], person.box[2:]
    size = np.sqrt(np.prod(np.maximum(high - low, 1)))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)  # (K, K)
    distances[np.diag_indices_from(distances)] = np.inf
    nearest = np.where(np.isnan(distances), np.inf, distances).min(axis=1)
    radius = np.clip(0.02 * size, 4.0, 9.0)
    return np.where(known, np.minimum(radius, np.maximum(0.42 * nearest, 3.5)), np.nan)


def _limbs(
    canvas: np.ndarray, person: PosePerson, radii: np.ndarray, look: PoseLook, solid: bool
) -> None:
    """Draw the limbs between two present keypoints, or the others, in place."""
    for limb in look.layout.limbs:
        pair = list(limb)
        if not np.isfinite(radii[pair]).all() or person.present[pair].all() != solid:
            continue
        start, end = person.points[pair]
        width = max(2, round(0.5 * float(np.nanmax(radii))))
        colour = limb_colour(look, limb)
        if solid:
            stroke(canvas, start, end, width, colour)
            continue
        length = np.linalg.norm(end - start)
        direction = (end - start) / max(length, 1e-9)
        inside = np.where(person.present[pair], 0.0, 1.3 * radii[pair] + 2)  # a ring stays empty
        if inside.sum() < length:
            ends = start + inside[0] * direction, end - inside[1] * direction
            stroke(canvas, *ends, max(2, round(0.55 * width)), colour, dash=2.2 * width + 6)


def _corners(canvas: np.ndarray, box: np.ndarray) -> None:
    """Mark the corners of a box, in place: a whole frame would hide what it is about."""
    low, high = box[:2], box[2:]
    arm = min(26.0, 0.18 * float((high - low).min()))
    inner = np.array(canvas.shape[1::-1]) - 2.0
    low, high = np.clip(low, 1, inner), np.clip(high, 1, inner)
    for x, towards_x in ((low[0], arm), (high[0], -arm)):
        for y, towards_y in ((low[1], arm), (high[1], -arm)):
            corner = np.array([x, y])
            for way in ((towards_x, 0.0), (0.0, towards_y)):
                stroke(canvas, corner, corner + way, 2, WHITE)


def _with_text(
    picture: np.ndarray,
    people: Sequence[PosePerson],
    radii: Sequence[np.ndarray],
    look: PoseLook,
    scores: str,
) -> np.ndarray:
    """Write scores at keypoints and numbers at people."""
    bounds = (float(picture.shape[1]), float(picture.shape[0]))
    squares = [
        np.concatenate([person.points - sizes[:, None], person.points + sizes[:, None]], axis=1)
        for person, sizes in zip(people, radii, strict=True)
    ]
    squares = np.concatenate([np.zeros((0, 4)), *squares])
    squares = squares[np.isfinite(squares).all(axis=1)]  # (keypoints, 4)
    tags = _tags(people, squares, bounds)
    found = [
        score
        for person, sizes in zip(people, radii, strict=True)
        for score in _scores(person, sizes, look, scores)
        # those far outside would heap up at the border
        if (np.abs(score.at - np.clip(score.at, 0, bounds)) <= 2 * score.radius).all()
    ]
    text_sizes = np.array([_text_size(score) for score in found]).reshape(-1, 2)
    lines = np.concatenate([np.zeros((0, 2)), *(_along_limbs(p, look) for p in people)])
    places = place_scores(found, text_sizes, squares, np.array(tags).reshape(-1, 4), lines, bounds)
    for score, place in zip(found, places, strict=True):
        near = np.clip(score.at, place[:2] + 2, place[2:] - 2)
        away = near - score.at
        distance = float(np.linalg.norm(away))
        if distance > score.radius + 16:
            start = score.at + away / distance * (score.radius + 4)
            stroke(picture, start, near, 1, score.colour)
    drawn = Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))
    pen = ImageDraw.Draw(drawn, 'RGBA')
    for number, tag in enumerate(tags, start=1):
        pen.rounded_rectangle(tag, 4, fill=WHITE, outline=BACKGROUND)
        middle = ((tag[0] + tag[2]) / 2, (tag[1] + tag[3]) / 2)
        pen.text(middle, str(number), BACKGROUND, font(bold=True), anchor='mm')
    for score, place in zip(found, places, strict=True):
        middle = tuple((place[:2] + place[2:]) / 2)
        style = dict(font=font(bold=True, size=score.size), anchor='mm')
        pen.text(middle, score.text, score.colour, stroke_width=2, stroke_fill=EDGE, **style)
    if not people:
        pen.rounded_rectangle((GAP, GAP, GAP + 106, GAP + 24), 4, fill=(*BACKGROUND, 225))
        pen.text((GAP + 10, GAP + 12), 'no person', SOFT, font(), anchor='lm')
    return np.ascontiguousarray(np.asarray(drawn)[..., ::-1])


def _tags(
    people: Sequence[PosePerson], squares: np.ndarray, bounds: tuple[float, float]
) -> list[tuple[float, float, float, float]]:
    """Where the number of each of several people lies."""
    tags: list[tuple[float, float, float, float]] = []
    avoid = [tuple(square) for square in squares]
    for number, person in enumerate(people, start=1):
        box = person.box
        if box is None:
            box = np.concatenate([np.nanmin(person.points, axis=0), np.nanmax(person.points, 0)])
        size = (font(bold=True).getlength(str(number)) + 14, 24)
        tags.append(place_tag(tuple(box), size, tags, avoid, (0, 0, bounds[0] - 1, bounds[1] - 1)))
    return tags if len(people) > 1 else []


def _scores(person: PosePerson, radii: np.ndarray, look: PoseLook, scores: str) -> list[Score]:
    """The numbers to write at a person's keypoints."""
    if person.scores is None or scores == 'none':
        return []
    middle = np.nanmean(person.points, axis=0)
    found = []
    for joint in np.flatnonzero(np.isfinite(radii) & np.isfinite(person.scores)):
        if scores == 'absent' and person.present[joint]:
            continue
        away = person.points[joint] - middle
        away = away / max(np.linalg.norm(away), 1e-9)
        size = int(np.clip(round(1.8 * float(np.nanmax(radii))), 12, 16))
        text = score_text(person.scores[joint])
        colour = look.colours[joint]
        found.append(Score(text, person.points[joint], radii[joint], away, colour, size))
    return found


def _text_size(score: Score) -> tuple[float, float]:
    """Width and height of a score with its edge."""
    left, top, right, bottom = font(bold=True, size=score.size).getbbox(score.text, anchor='mm')
    return right - left + 4.0, bottom - top + 4.0


def _along_limbs(person: PosePerson, look: PoseLook) -> np.ndarray:
    """(P, 2) points on a person's limbs."""
    limbs = np.array(look.layout.limbs, dtype=int).reshape(-1, 2)
    ends = person.points[limbs]  # (limbs, 2, 2)
    ends = ends[np.isfinite(ends).all(axis=(1, 2))]
    steps = np.linspace(0, 1, 24)[:, None, None]
    return (ends[:, 0] + steps * (ends[:, 1] - ends[:, 0])).reshape(-1, 2)


def place_scores(
    scores: Sequence[Score],
    sizes: np.ndarray,
    squares: np.ndarray,
    tags: np.ndarray,
    lines: np.ndarray,
    bounds: tuple[float, float],
) -> np.ndarray:
    """Find a place for every score near its keypoint.

    Each takes the best of many places around its keypoint: outside of the others and inside of the
    picture before all, then beside keypoints and limbs, near, and away from the person. In turn
    each looks again when all have a place.

    Args:
        scores: N scores.
        sizes: (N, 2) width and height.
        squares: (M, 4) keypoints.
        tags: (T, 4) other labels.
        lines: (P, 2) points on limbs.
        bounds: Width and height of the picture.

    Returns:
        (N, 4) rectangles x1, y1, x2, y2; all lie inside of the picture if it is large enough.
    """
    if not scores:
        return np.zeros((0, 4))
    angles = 2 * np.pi * np.arange(_PLACES) / _PLACES
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=-1)  # (16, 2)
    far = np.array(bounds)
    anchors = np.clip(np.stack([score.at for score in scores]), 0, far)
    reach = _DISTANCES + np.array([score.radius for score in scores])[:, None]  # (N, 4)
    # (N, 4, 16, 2): the nearest side or corner of the rectangle lies that far away
    centres = anchors[:, None, None] + reach[..., None, None] * ways
    centres = centres + ways * sizes[:, None, None] / 2
    half = sizes[:, None] / 2
    centres = centres.reshape(len(scores), -1, 2)  # (N, places, 2)
    inside = np.clip(centres, half, np.maximum(far - half, half))
    moved = np.abs(inside - centres).sum(axis=-1) / sizes.sum(axis=1)[:, None]
    rects = np.concatenate([inside - half, inside + half], axis=-1)  # (N, places, 4)
    outwards = np.stack([score.outwards for score in scores])
    cost = 1.2 * moved + 0.4 * (1 - np.tile(outwards @ ways.T, (1, len(_DISTANCES))))
    cost += 0.7 * np.repeat(np.arange(len(_DISTANCES)), _PLACES)
    area = sizes.prod(axis=1)[:, None]
    for index, one in enumerate(rects):  # a score at a time bounds the memory
        cost[index] += 8 * _shared(one, squares).sum(axis=1) / area[index]
        cost[index] += _TOUCHING * _shared(one, tags).sum(axis=1) / area[index]
        within = (lines > one[:, None, :2]) & (lines < one[:, None, 2:])
        cost[index] += 0.25 * within.all(axis=-1).sum(axis=1)
    chosen = np.full((len(scores), 4), np.nan)
    for _ in range(3):
        for index, one in enumerate(rects):
            others = np.delete(chosen, index, axis=0)
            others = others[np.isfinite(others).all(axis=1)]
            taken = _TOUCHING * _shared(one, others).sum(axis=1) / area[index]
            chosen[index] = one[np.argmin(cost[index] + taken)]
    return chosen


def _shared(rects: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(A, B) shared areas of (A, 4) and (B, 4) rectangles."""
    low = np.maximum(rects[:, None, :2], others[None, :, :2])
    high = np.minimum(rects[:, None, 2:], others[None, :, 2:])
    return np.maximum(high - low, 0).prod(axis=-1)


def _heading(text: str, width: int) -> np.ndarray:
    canvas = Image.new('RGB', (width, HEADER), BACKGROUND)
    style: dict[str, Any] = dict(font=font(bold=True), anchor='lm')
    ImageDraw.Draw(canvas).text((12, HEADER / 2), text, WHITE, **style)
    return np.asarray(canvas)[..., ::-1]


def _row(picture: np.ndarray, panel: np.ndarray) -> np.ndarray:
    """A picture and a panel, which may be higher, side by side."""
    missing = panel.shape[0] - picture.shape[0]
    picture = cv2.copyMakeBorder(
        picture, 0, max(missing, 0), 0, 0, cv2.BORDER_CONSTANT, value=BACKGROUND[::-1]
    )
    return np.concatenate([picture, panel], axis=1)
