"""People in the challenge's form, as drawings need them, and who is who from frame to frame.

Predicted people are those of ``people.official_people`` with ``for_drawing``: parts have lists of
boxes, states and scores. True people have flat part boxes and states, and no scores.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def first_box(part: dict[str, Any]) -> list[float] | None:
    """The box of a part, the first of several proposals; None if there is none.

    Args:
        part: A part of a true or predicted person.
    """
    box = part.get('box')
    if box and isinstance(box[0], (list, tuple)):
        box = box[0]
    return list(box[:4]) if box else None


def first_state(part: dict[str, Any]) -> str:
    """The state of a part, the first of several proposals; empty if there is none.

    Args:
        part: A part of a true or predicted person.
    """
    state = part.get('verb') or ''
    return state if isinstance(state, str) else str(state[0])


def shown_people(
    people: Sequence[dict[str, Any]], person_threshold: float = 0.5, part_threshold: float = 0.1
) -> list[dict[str, Any]]:
    """The people and parts whose scores reach the thresholds; true ones have none and all stay.

    Args:
        people: People of one frame; they are not changed.
        person_threshold: Least score of a person.
        part_threshold: Least score of a part's state.
    """

    def score(thing: dict[str, Any]) -> float:
        value = thing.get('score')
        value = value[0] if isinstance(value, (list, tuple)) and value else value
        return float('inf') if value is None or value == [] else float(value)

    return [
        dict(
            person,
            parts={
                name: part
                for name, part in person.get('parts', {}).items()
                if score(part) >= part_threshold
            },
        )
        for person in people
        if score(person) >= person_threshold
    ]


def follow_people(frames: Sequence[Sequence[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Number people so that a person keeps the number while the boxes of two frames overlap.

    The challenge knows no identities; this is for drawings in which numbers shall not jump.

    Args:
        frames: People of each frame of a video; they are not changed.

    Returns:
        The same with new ``number``, the smallest free ones from left to right for new people.
    """
    followed, before = [], []
    for people in frames:
        overlaps = np.array([[_iou(a['box'], b['box']) for b in before] for a in people])
        overlaps = overlaps.reshape(len(people), len(before))
        numbers: dict[int, int] = {}
        # the best pair first
        while overlaps.size and overlaps.max() > 0.2:
            one, other = np.unravel_index(overlaps.argmax(), overlaps.shape)
            numbers[int(one)] = before[other]['number']
            overlaps[one], overlaps[:, other] = 0, 0
        free = (n for n in range(1, 2 * len(people) + 1) if n not in numbers.values())
        for index in sorted(range(len(people)), key=lambda index: people[index]['box'][0]):
            if index not in numbers:
                numbers[index] = next(free)
        before = [dict(person, number=numbers[i]) for i, person in enumerate(people)]
        followed.append(before)
    return followed


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Overlap of two xyxy boxes, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)
