"""Labels beside one or two people, with a line to each part."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from projects.apct.appearance import (
    BACKGROUND,
    CHIP,
    DIM,
    GAP,
    SOFT,
    WHITE,
    Colour,
    Person,
    font,
    text_length,
    words,
)
from projects.apct.labels import Rect, spread


class Callout(NamedTuple):
    """A label and what it belongs to."""

    words: tuple[str, str]
    box: Rect
    colour: Colour
    dim: bool


def with_callouts(picture: np.ndarray, persons: Sequence[Person]) -> Image.Image | None:
    """Put labels left and right of the people; None if they do not fit.

    Args:
        picture: (height, width, 3) uint8, BGR, with its boxes.
        persons: One or two people.
    """
    height, width = picture.shape[:2]
    columns = callout_columns(persons)
    boxes = [box for person in persons for box in (person.box, *_part_boxes(person))]
    edges = (min(box[0] for box in boxes) - 30, max(box[2] for box in boxes) + 30)
    widths = [max((_label_width(item) for item in column), default=0) for column in columns]
    pad_left = max(0, round(widths[0] + GAP - edges[0])) if columns[0] else 0
    pad_right = max(0, round(edges[1] + widths[1] + GAP - width)) if columns[1] else 0
    placed = []
    for side, column in enumerate(columns):
        centres = [(item.box[1] + item.box[3]) / 2 for item in column]
        tops = spread(centres, CHIP + 4, GAP, height - GAP)
        if tops is None:
            return None
        for item, top in zip(column, tops, strict=True):
            x = edges[0] - _label_width(item) if side == 0 else edges[1]
            placed.append((item, side, x + pad_left, top))
    pads = (0, 0, pad_left, pad_right)
    canvas = cv2.copyMakeBorder(picture, *pads, cv2.BORDER_CONSTANT, value=BACKGROUND[::-1])
    for item, side, x, top in placed:
        start = (x + (_label_width(item) if side == 0 else 0), top + CHIP / 2)
        _leader(canvas, start, item, side, pad_left)
    drawn = Image.fromarray(canvas[..., ::-1])
    pen = ImageDraw.Draw(drawn, 'RGBA')
    for item, side, x, top in placed:
        _label(pen, item, side, round(x), round(top))
    return drawn


def callout_columns(persons: Sequence[Person]) -> tuple[list[Callout], list[Callout]]:
    """Labels of one or two people, left and right of them.

    One person's labels go half to each side; two people have a side each.

    Args:
        persons: The people.
    """
    people = []
    for person in persons:
        score = '' if person.score is None else f'{person.score:.2f}'
        x1, y1, x2, _ = person.box
        head = Callout(('person', score), (x1, y1, x2, y1), WHITE, False)
        boxed = [part for part in person.parts if part.box is not None]
        parts = [Callout((p.name, p.state), p.box, p.colour, p.dim) for p in boxed]
        parts.sort(key=lambda item: item.box[0] + item.box[2])
        people.append((x1 + x2, head, parts))
    people.sort(key=lambda item: item[0])
    if len(people) == 2:
        left, right = ([head, *parts] for _, head, parts in people)
        return left, right
    _, head, parts = people[0]
    half = len(parts) // 2
    return [head, *parts[:half]], parts[half:]


def _part_boxes(person: Person) -> list[Rect]:
    return [part.box for part in person.parts if part.box is not None]


def _leader(
    canvas: np.ndarray, start: tuple[float, float], item: Callout, side: int, shift: int
) -> None:
    """A line from a label to the nearest edge of its box."""
    x1, y1, x2, y2 = item.box
    end = ((x1 if side == 0 else x2) + shift, min(max(start[1], y1), y2))
    ends = [tuple(round(value) for value in point) for point in (start, end)]
    cv2.line(canvas, *ends, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.line(canvas, *ends, item.colour[::-1], 2, cv2.LINE_AA)
    cv2.circle(canvas, ends[1], 5, (0, 0, 0), -1, cv2.LINE_AA)
    cv2.circle(canvas, ends[1], 4, item.colour[::-1], -1, cv2.LINE_AA)


def _label_width(item: Callout) -> int:
    name, state = (words(word) for word in item.words)
    return round(14 + text_length(name) + (7 + text_length(state, bold=True) if state else 0) + 8)


def _label(pen: ImageDraw.ImageDraw, item: Callout, side: int, x: int, y: int) -> None:
    """A dark label with a stripe in the part's colour, its name and its state."""
    width = _label_width(item)
    pen.rounded_rectangle((x, y, x + width, y + CHIP), 4, fill=(*BACKGROUND, 225))
    stripe = x if side else x + width - 6  # where the line begins
    pen.rounded_rectangle((stripe, y, stripe + 6, y + CHIP), 3, fill=item.colour)
    x += 14 if side else 8
    name, state = (words(word) for word in item.words)
    middle = y + CHIP / 2
    pen.text((x, middle), name, SOFT, font(), anchor='lm')
    at = (x + 7 + text_length(name), middle)
    pen.text(at, state, DIM if item.dim else WHITE, font(bold=True), anchor='lm')
