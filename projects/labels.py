"""Where labels and cards go in a drawing: geometry. Rectangles are (x1, y1, x2, y2) pixels."""

import math
from collections.abc import Sequence

Rect = tuple[float, float, float, float]


def overlap(a: Rect, b: Rect) -> float:
    """Shared area of two rectangles.

    Args:
        a: A rectangle.
        b: Another.
    """
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def spread(centres: Sequence[float], height: float, low: float, high: float) -> list[float] | None:
    """Stack labels of one height so that none overlap and each lies near where it wants to be.

    Args:
        centres: Wanted centres.
        height: Of a label, with the gap to the next one.
        low: Where the column begins.
        high: Where it ends.

    Returns:
        Tops, in the order of ``centres``, in which the labels also lie below one another; None if
        the column is too short for all of them.
    """
    if len(centres) * height > high - low:
        return None
    order = sorted(range(len(centres)), key=lambda index: centres[index])
    tops = [0.0] * len(centres)
    free = low
    for index in order:
        tops[index] = max(free, centres[index] - height / 2)
        free = tops[index] + height
    end = high
    for index in reversed(order):
        tops[index] = min(tops[index], end - height)
        end = tops[index]
    return tops


def place_tag(
    box: Rect,
    size: tuple[float, float],
    taken: Sequence[Rect],
    avoid: Sequence[Rect],
    bounds: Rect,
) -> Rect:
    """Find room for a small tag at a box.

    Args:
        box: What the tag belongs to.
        size: (width, height) of the tag.
        taken: Rectangles that the tag must not touch.
        avoid: Rectangles that it should not cover, such as faces.
        bounds: Where the tag must lie.

    Returns:
        The tag: at a corner of the box if there is room, else in the nearest free cell of a grid.
        It overlaps ``taken`` only if every cell is touched.
    """
    width, height = size
    x1, y1, x2, y2 = box
    corners = [
        *((x1, y1 - height), (x2 - width, y1 - height), (x1 - width, y1), (x2, y1)),
        *((x1, y1), (x2 - width, y1), (x1, y2), (x2 - width, y2), (x1, y2 - height)),
    ]
    columns = max(1, math.floor((bounds[2] - bounds[0]) / width))
    rows = max(1, math.floor((bounds[3] - bounds[1]) / height))
    cells = [
        (bounds[0] + column * width, bounds[1] + row * height)
        for row in range(rows)
        for column in range(columns)
    ]
    cells.sort(key=lambda cell: math.dist(cell, (x1, y1 - height)))
    best, least = None, (math.inf, math.inf)
    for x, y in [*corners, *cells]:
        x = min(max(x, bounds[0]), bounds[2] - width)
        y = min(max(y, bounds[1]), bounds[3] - height)
        rect = (x, y, x + width, y + height)
        cost = (sum(overlap(rect, other) for other in taken), sum(overlap(rect, a) for a in avoid))
        if cost < least:
            best, least = rect, cost
        if least == (0, 0):
            break
    return best


def stack_cards(
    count: int, size: tuple[float, float], height: float, gap: float
) -> tuple[list[Rect], tuple[float, float]]:
    """Cards in columns beside a picture.

    Args:
        count: How many.
        size: (width, height) of a card.
        height: Of the picture. Cards may reach a fifth beyond it, which saves columns.
        gap: Between cards, and around them.

    Returns:
        The cards, from (0, 0) down and then to the right, and (width, height) of all of them.
    """
    if not count:
        return [], (0, 0)
    a_column = max(1, math.floor((1.2 * height - gap) / (size[1] + gap)))
    columns = math.ceil(count / a_column)
    a_column = math.ceil(count / columns)
    cards = []
    for index in range(count):
        x = gap + index // a_column * (size[0] + gap)
        y = gap + index % a_column * (size[1] + gap)
        cards.append((x, y, x + size[0], y + size[1]))
    return cards, (gap + columns * (size[0] + gap), gap + a_column * (size[1] + gap))
