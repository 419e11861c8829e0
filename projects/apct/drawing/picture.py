"""Drawing persons, parts and part states on an image, with labels that leave the people visible."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from projects.apct.drawing.appearance import GAP, HEADER, Part, Person, part_colours
from projects.apct.drawing.callouts import with_callouts
from projects.apct.drawing.cards import Plan, plan_people, with_cards
from projects.apct.drawing.parses import first_box, first_state, shown_people
from projects.labels import Rect
from projects.visualization import BACKGROUND, SOFT, WHITE, Colour, beside, font, scaled


def draw_parses(
    image: np.ndarray,
    people: Sequence[dict[str, Any]],
    part_names: Sequence[str],
    person_threshold: float = 0.5,
    part_threshold: float = 0.1,
    heading: str = '',
    long_side: tuple[int, int] = (960, 1600),
    plan: Plan | None = None,
) -> np.ndarray:
    """Draw people with their parts and part states.

    Each kind of part has a colour, left and right a light and a strong one of the same hue. One or
    two people get labels beside them, with a line to each part; more get a card each beside the
    picture, numbered as in the picture. What lies below a threshold is left out, and the state
    ``none`` is drawn dimmer.

    Args:
        image: (height, width, 3) uint8, BGR.
        people: True or predicted people in the challenge's form, see ``people.py``.
        part_names: All part names, which the colours depend on.
        person_threshold: Least score of a person.
        part_threshold: Least score of a part's state.
        heading: Text above the picture.
        long_side: Smallest and largest long side of the picture, pixels; it is scaled into this
            range, small ones so that labels are readable beside it.
        plan: Cards to draw, as in the other frames of a video, see :func:`plan_cards`.

    Returns:
        (height', width', 3) uint8, BGR.
    """
    height, width = image.shape[:2]
    picture = scaled(image, long_side)
    size = (picture.shape[1], picture.shape[0])
    shown = shown_people(people, person_threshold, part_threshold)
    factors = np.array([size[0] / width, size[1] / height] * 2)
    persons = _persons(shown, part_names, factors, size)
    _draw_boxes(picture, persons)
    drawn = None
    if plan is None and 1 <= len(persons) <= 2:
        drawn = with_callouts(picture, persons)
    if drawn is None:
        drawn = with_cards(picture, persons, plan or plan_people([persons]))
    if heading:
        drawn = _with_heading(drawn, heading)
    return np.ascontiguousarray(np.asarray(drawn)[..., ::-1])


def draw_beside(
    image: np.ndarray,
    truth: Sequence[dict[str, Any]],
    people: Sequence[dict[str, Any]],
    part_names: Sequence[str],
    **options: Any,
) -> np.ndarray:
    """The truth and the prediction side by side, or one above the other where that is less wide.

    Args:
        image: (height, width, 3) uint8, BGR.
        truth: True people.
        people: Predicted people.
        part_names: All part names.
        options: Of :func:`draw_parses`.
    """
    options.setdefault('long_side', (720, 960))
    limits = {key: value for key, value in options.items() if key.endswith('_threshold')}
    both = [truth, people]
    plans: list[Plan | None] = [None, None]
    if max(len(shown_people(some, **limits)) for some in both) > 2:  # cards for both of them
        plans = [plan_cards([some], part_names, **limits) for some in both]
    headings = ('truth', 'prediction')
    one, two = (
        draw_parses(image, some, part_names, heading=heading, plan=plan, **options)
        for some, heading, plan in zip(both, headings, plans, strict=True)
    )
    return beside(one, two, GAP)


def plan_cards(
    frames: Sequence[Sequence[dict[str, Any]]],
    part_names: Sequence[str],
    person_threshold: float = 0.5,
    part_threshold: float = 0.1,
) -> Plan:
    """Cards for all frames of a video.

    Args:
        frames: People of each frame, numbered as by ``projects.apct.drawing.parses.follow_people``.
        part_names: All part names.
        person_threshold: Least score of a person.
        part_threshold: Least score of a part's state.
    """
    shown = [shown_people(people, person_threshold, part_threshold) for people in frames]
    return plan_people([_persons(people, part_names, np.ones(4), None) for people in shown])


def _persons(
    people: Sequence[dict[str, Any]],
    part_names: Sequence[str],
    factors: np.ndarray,
    size: tuple[int, int] | None,
) -> list[Person]:
    """People as they are drawn, boxes scaled and clipped to the picture."""
    colours = part_colours(tuple(part_names))
    numbers = [person.get('number') for person in people]
    if len({n for n in numbers if isinstance(n, int)}) < len(people):
        numbers = list(range(1, len(people) + 1))
    persons = []
    for index, person in enumerate(people):
        box = _clipped(person['box'], factors, size)
        if box is None:
            continue
        found = person.get('parts', {})
        parts = []
        for name in [*part_names, *(name for name in found if name not in colours)]:
            if name not in found:
                continue
            values = first_box(found[name])
            part_box = None if values is None else _clipped(values, factors, size)
            state = first_state(found[name])
            if part_box is not None or (values is None and state):
                parts.append(Part(name, state, part_box, colours.get(name, SOFT)))
        persons.append(Person(numbers[index], person.get('score'), box, parts))
    return persons


def _clipped(
    box: Sequence[float], factors: np.ndarray, size: tuple[int, int] | None
) -> Rect | None:
    """A box in the picture; None if nothing of it is left."""
    values = np.asarray(box, dtype=float) * factors
    if size is not None:
        values = np.clip(values, 0, np.array([size[0] - 1, size[1] - 1] * 2))
    if not np.isfinite(values).all() or values[0] >= values[2] or values[1] >= values[3]:
        return None
    return tuple(float(value) for value in values)


def _draw_boxes(picture: np.ndarray, persons: Sequence[Person]) -> None:
    """Draw all boxes into the picture, in place, small parts above large ones."""
    thin = 1 if max(picture.shape[:2]) < 1200 else 2
    for person in persons:
        _frame(picture, person.box, WHITE, thin)
    parts = [part for person in persons for part in person.parts if part.box is not None]
    parts.sort(key=lambda part: -(part.box[2] - part.box[0]) * (part.box[3] - part.box[1]))
    for part in parts:
        _fill(picture, part.box, part.colour, 0.06 if part.dim else 0.14)
        _frame(picture, part.box, part.colour, thin if part.dim else thin + 1)


def _corners(box: Rect) -> tuple[tuple[int, int], tuple[int, int]]:
    return (round(box[0]), round(box[1])), (round(box[2]), round(box[3]))


def _frame(picture: np.ndarray, box: Rect, colour: Colour, thickness: int) -> None:
    """A rectangle with a dark edge, to be seen on any background."""
    cv2.rectangle(picture, *_corners(box), (0, 0, 0), thickness + 2, cv2.LINE_AA)
    cv2.rectangle(picture, *_corners(box), colour[::-1], thickness, cv2.LINE_AA)


def _fill(picture: np.ndarray, box: Rect, colour: Colour, alpha: float) -> None:
    (x1, y1), (x2, y2) = _corners(box)
    inside = picture[y1 : y2 + 1, x1 : x2 + 1]
    inside[:] = np.round(inside * (1 - alpha) + np.array(colour[::-1]) * alpha)


def _with_heading(drawn: Image.Image, heading: str) -> Image.Image:
    canvas = Image.new('RGB', (drawn.width, drawn.height + HEADER), BACKGROUND)
    canvas.paste(drawn, (0, HEADER))
    pen = ImageDraw.Draw(canvas)
    pen.text((12, HEADER / 2), heading, WHITE, font(bold=True), anchor='lm')
    return canvas
