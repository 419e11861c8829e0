"""Predictions as the challenge wants them: people, their parts, names instead of numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from projects.apct.scoring.score import MAX_PEOPLE

FIELDS = ('bboxes', 'scores', 'part_bboxes', 'part_states', 'part_state_scores')


def official_people(
    instances: Mapping[str, Any],
    part_names: Sequence[str],
    state_names: Sequence[str],
    *,
    max_people: int = MAX_PEOPLE,
    score_thr: float | None = None,
    proposals: int = 1,
    for_drawing: bool = False,
) -> tuple[list[dict[str, Any]], int]:
    """Predictions of one frame in the form of ``pred_part_result.json``.

    A person is ``{'number': 1, 'box': [x1, y1, x2, y2], 'score': 0.9, 'parts': {name: part}}`` with
    a part ``{'box': [[x1, y1, x2, y2]], 'verb': ['bend']}``: boxes are pixels of the frame.

    Args:
        instances: ``bboxes`` (N, 4), ``scores`` (N,) and, if the model has the branches,
            ``part_bboxes`` (N, K, 4), ``part_states`` (N, K), ``part_state_scores`` (N, K, S).
        part_names: K names.
        state_names: S names.
        max_people: Keep so many, the best by score.
        score_thr: Leave out people with a lower score.
        proposals: States of each part, the best first, all with the part's one box.
        for_drawing: Parts also have the ``score`` of their state, and a model that lacks one of the
            branches leaves ``box`` or ``verb`` empty; otherwise its people have no parts.

    Returns:
        The people, and how many boxes were left out because they are no finite numbers.

    Raises:
        ValueError: If there are other numbers of parts or states than names.
    """
    arrays = {
        name: np.asarray(value.detach().cpu() if hasattr(value, 'detach') else value)
        for name, value in instances.items()
        if name in FIELDS
    }
    part_boxes, states = arrays.get('part_bboxes'), arrays.get('part_states')
    state_scores = arrays.get('part_state_scores')
    branches = [branch for branch in (part_boxes, states) if branch is not None]
    if branches and len(branches[0]):
        check_count(branches[0].shape[1], part_names, 'parts')
    if state_scores is not None and len(state_scores):
        check_count(state_scores.shape[-1], state_names, 'states')
    with_parts = len(branches) == 2 or (for_drawing and branches)
    boxes, scores = arrays['bboxes'].astype(float), arrays['scores'].astype(float)
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    broken = int((~finite).sum())
    order = [index for index in np.argsort(-scores, kind='stable') if finite[index]]
    if score_thr is not None:
        order = [index for index in order if scores[index] >= score_thr]
    people = []
    for number, index in enumerate(order[:max_people], start=1):
        parts = {}
        for k, name in enumerate(part_names if with_parts else ()):
            part: dict[str, list] = dict(box=[], verb=[])
            chosen = [] if states is None else [int(states[index, k])]
            if proposals > 1 and state_scores is not None:
                ranked = np.argsort(-state_scores[index, k], kind='stable')
                chosen += [int(state) for state in ranked if state != chosen[0]][: proposals - 1]
            part['verb'] = [state_names[state] for state in chosen]
            if part_boxes is not None:
                box = part_boxes[index, k].astype(float)
                if not np.isfinite(box).all():
                    broken += 1
                    continue
                part['box'] = [_rounded(box)] * max(len(chosen), 1)
            if for_drawing and state_scores is not None:
                part['score'] = [round(float(state_scores[index, k, s]), 4) for s in chosen]
            parts[name] = part
        people.append(
            dict(
                number=number,
                box=_rounded(boxes[index]),
                score=round(float(scores[index]), 6),
                parts=parts,
            )
        )
    return people, broken


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


def _rounded(box: np.ndarray) -> list[float]:
    """To hundredths of a pixel, which keeps the file small."""
    return [round(float(value), 2) for value in box]
