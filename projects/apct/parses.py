"""People, parts and states in the challenge's own form, and who is who from frame to frame.

A person is ``{'number': 1, 'box': [x1, y1, x2, y2], 'score': 0.9, 'parts': {'left_arm': part}}``
with a part ``{'number': 1, 'name': 'left_arm', 'box': [[x1, y1, x2, y2]], 'verb': ['bend'],
'score': [0.8]}``: boxes are xyxy pixels of the frame. True people have flat part boxes and states
and no scores.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.structures import InstanceData


def people_of(
    instances: InstanceData, part_names: Sequence[str], state_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Predicted people in the challenge's form, each part with one proposal.

    What the model does not predict stays away: without part boxes a part's ``box`` is empty,
    without states its ``verb`` is, without both a person has no parts. So do people and parts with
    boxes that are no finite numbers.

    Args:
        instances: n people: ``bboxes`` (n, 4), ``scores`` (n,) and, where the model has them,
            ``part_bboxes`` (n, K, 4), ``part_states`` (n, K), ``part_state_scores`` (n, K, S).
        part_names: K names.
        state_names: S names.

    Returns:
        People, numbered from 1 in the order of ``instances``; all plain numbers and text.

    Raises:
        ValueError: If there are other numbers of parts or states than names.
    """
    arrays = {key: value.float().cpu().numpy() for key, value in instances.items()}
    boxes, states = arrays.get('part_bboxes'), arrays.get('part_states')
    state_scores = arrays.get('part_state_scores')
    num_parts = next(
        (len(part[0]) for part in (boxes, states) if part is not None and len(part)), 0
    )
    check_count(num_parts or len(part_names), part_names, 'parts')
    if state_scores is not None:
        check_count(state_scores.shape[-1], state_names, 'states')
    people = []
    for index, (box, score) in enumerate(zip(arrays['bboxes'], arrays['scores'], strict=True)):
        if not np.isfinite([*box, score]).all():
            continue
        parts = {}
        for k in range(num_parts):
            if boxes is not None and not np.isfinite(boxes[index, k]).all():
                continue
            name = part_names[k]
            part = parts[name] = dict(number=1, name=name, box=[], verb=[])
            if boxes is not None:
                part['box'].append(_rounded(boxes[index, k], 2))
            if states is not None:
                state = int(states[index, k])
                part['verb'].append(state_names[state])
                part['score'] = [round(float(state_scores[index, k, state]), 4)]
        people.append(
            dict(
                number=len(people) + 1,
                box=_rounded(box, 2),
                score=round(float(score), 4),
                parts=parts,
            )
        )
    return people


def check_count(count: int, names: Sequence[str], what: str) -> None:
    """Stop where the model's vocabulary is not that of the names.

    Args:
        count: How many the model predicts.
        names: Their names.
        what: ``'parts'`` or ``'states'``.

    Raises:
        ValueError: If there are more or fewer names.
    """
    if count != len(names):
        raise ValueError(
            f'the model predicts {count} {what}, but {len(names)} are named: {list(names)}'
        )


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


def _rounded(values: np.ndarray, decimals: int) -> list[float]:
    return [round(float(value), decimals) for value in values]
