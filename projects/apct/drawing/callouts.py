"""Labels beside one or two people, with a line to each part."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from projects.apct.drawing.appearance import CHIP, GAP, Person, text_length, words
from projects.labels import Rect, spread
from projects.visualization import BACKGROUND, DIM, SOFT, WHITE, Colour, font


class Callout(NamedTuple):
    """A label and what it belongs to."""

    words: tuple[str, str]
    box: Rect
    colour: Colour
    dim: bool


class Placed(NamedTuple):
    """A label that has its place."""

    item: Callout
    side: int
    """0 left of the people, 1 right of them."""
    rect: Rect


def with_callouts(picture: np.ndarray, persons: Sequence[Person]) -> Image.Image | None:
    """Put labels left and right of the people; None if they do not fit.

    Args:
        picture: (height, width, 3) uint8, BGR, with its boxes.
        persons: One or two people.
    """
    found = place_callouts(persons, (picture.shape[1], picture.shape[0]))
    if found is None:
        return None
    placed, pads = found
    canvas = cv2.copyMakeBorder(picture, 0, 0, *pads, cv2.BORDER_CONSTANT, value=BACKGROUND[::-1])
    for place in placed:
        _leader(canvas, place, pads[0])
    drawn = Image.fromarray(np.ascontiguousarray(canvas[..., ::-1]))
    pen = ImageDraw.Draw(drawn, 'RGBA')
    for place in placed:
        _label(pen, place)
    return drawn


def place_callouts(
    persons: Sequence[Person], size: tuple[int, int]
) -> tuple[list[Placed], tuple[int, int]] | None:
    """Find room for the labels of one or two people, and widen the picture where there is none.

    Args:
        persons: The people.
        size: (width, height) of the picture.

    Returns:
        The labels, in the widened picture, and how much wider it is left and right; None if it is
        not high enough for them.
    """
    columns = callout_columns(persons)
    boxes = [person.box for person in persons]
    boxes += [part.box for person in persons for part in person.parts if part.box is not None]
    edges = (min(box[0] for box in boxes) - 30, max(box[2] for box in boxes) + 30)
    widths = [max((_label_width(item) for item in column), default=0) for column in columns]
    pad_left = max(0, math.ceil(widths[0] + GAP - edges[0])) if columns[0] else 0
    pad_right = max(0, math.ceil(edges[1] + widths[1] + GAP - size[0])) if columns[1] else 0
    placed = []
    for side, column in enumerate(columns):
        centres = [(item.box[1] + item.box[3]) / 2 for item in column]
        tops = spread(centres, CHIP + 4, GAP, size[1] - GAP)
        if tops is None:
            return None
        for item, top in zip(column, tops, strict=True):
            width = _label_width(item)
            x = round((edges[1] if side else edges[0] - width) + pad_left)
            placed.append(Placed(item, side, (x, round(top), x + width, round(top) + CHIP)))
    return placed, (pad_left, pad_right)


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


def _leader(canvas: np.ndarray, place: Placed, shift: int) -> None:
    """A line from a label to the nearest edge of its box."""
    item = place.item
    x1, y1, x2, y2 = item.box
    middle = (place.rect[1] + place.rect[3]) / 2
    start = (place.rect[0] if place.side else place.rect[2], middle)
    end = ((x2 if place.side else x1) + shift, min(max(middle, y1), y2))
    ends = [tuple(round(value) for value in point) for point in (start, end)]
    cv2.line(canvas, *ends, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.line(canvas, *ends, item.colour[::-1], 2, cv2.LINE_AA)
    cv2.circle(canvas, ends[1], 5, (0, 0, 0), -1, cv2.LINE_AA)
    cv2.circle(canvas, ends[1], 4, item.colour[::-1], -1, cv2.LINE_AA)


def _label_width(item: Callout) -> int:
    name, state = (words(word) for word in item.words)
    return round(14 + text_length(name) + (7 + text_length(state, bold=True) if state else 0) + 8)


def _label(pen: ImageDraw.ImageDraw, place: Placed) -> None:
    """A dark label with a stripe in the part's colour, its name and its state."""
    item, (x, y, right, bottom) = place.item, place.rect
    pen.rounded_rectangle(place.rect, 4, fill=(*BACKGROUND, 225))
    stripe = x if place.side else right - 6  # where the line begins
    pen.rounded_rectangle((stripe, y, stripe + 6, bottom), 3, fill=item.colour)
    x += 14 if place.side else 8
    name, state = (words(word) for word in item.words)
    middle = y + CHIP / 2
    pen.text((x, middle), name, SOFT, font(), anchor='lm')
    at = (x + 7 + text_length(name), middle)
    pen.text(at, state, DIM if item.dim else WHITE, font(bold=True), anchor='lm')
