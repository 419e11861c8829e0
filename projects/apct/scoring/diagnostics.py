"""What the challenge's score does not tell: where a part parser is good, and where it is not."""

import contextlib
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from rich.table import Table

from projects.apct.scoring.result_fields import FILE_NAMES, ResultNames, frame_people, proposals
from projects.apct.scoring.score import (
    PART_IOU,
    match_people,
    part_iou,
    people_boxes,
    person_iou,
)


class Tally:
    """True parts counted: all, those found, and those found whose state is right."""

    def __init__(self) -> None:
        self.truths = self.found = self.right = 0

    def add(self, found: bool, right: bool) -> None:
        """Count one true part.

        Args:
            found: Whether a predicted box overlaps it enough.
            right: Whether that box's state is right.
        """
        self.truths += 1
        self.found += found
        self.right += right

    def rates(self) -> dict[str, float]:
        """``truths``, ``found``, ``recall`` and ``state_acc``; NaN where nothing was counted."""
        return dict(
            truths=self.truths,
            found=self.found,
            recall=self.found / self.truths if self.truths else math.nan,
            state_acc=self.right / self.found if self.found else math.nan,
        )


def parsing_diagnostics(
    videos: Sequence[str],
    gt_people: dict[str, dict],
    pred_people: dict[str, dict],
    names: ResultNames = FILE_NAMES,
) -> dict[str, Any]:
    """Detection rate, state accuracy and average precision of parts.

    A true part is found if its person is paired with a prediction as the score pairs them, and one
    of the predicted boxes overlaps it by at least 0.3; its state is right if the first such
    proposal names it. So ``state_acc`` is about states alone, ``part_recall`` about boxes alone.

    Args:
        videos: Names of the videos that count.
        gt_people: True people, ``{video: {frame: {'humans': [...]}}}``.
        pred_people: Predicted people; ranked by ``score`` where they have one.
        names: Of the four results, for messages.

    Returns:
        ``state_acc``; ``part_recall``; ``part_ap50``, the mean over parts, None if no person has
        a score; ``parts`` and ``states``, for each name its ``truths``, ``found``, ``recall``,
        ``state_acc`` and, for parts, ``ap50``.
    """
    total, parts, states = Tally(), {}, {}
    for part, state, found, right in _judged_parts(videos, gt_people, pred_people, names):
        for tally in (
            total,
            parts.setdefault(part, Tally()),
            states.setdefault(str(state), Tally()),
        ):
            tally.add(found, right)
    precision = part_average_precision(videos, gt_people, pred_people, sorted(parts))
    part_rates = {
        part: dict(tally.rates(), ap50=precision[part] if precision else None)
        for part, tally in sorted(parts.items())
    }
    rates = total.rates()
    return dict(
        state_acc=rates['state_acc'],
        part_recall=rates['recall'],
        part_ap50=float(np.mean(list(precision.values()))) if precision else None,
        parts=part_rates,
        states={state: tally.rates() for state, tally in sorted(states.items())},
    )


def _judged_parts(
    videos: Sequence[str],
    gt_people: dict[str, dict],
    pred_people: dict[str, dict],
    names: ResultNames,
) -> Iterator[tuple[str, Any, bool, bool]]:
    """Name and state of every true part, whether it was found, and whether its state is right."""
    for video in videos:
        predicted_frames = pred_people.get(video) or {}
        for frame, content in gt_people[video].items():
            place = dict(video=video, frame=frame)
            humans = frame_people(content, names.gt_people, place)
            predicted = []
            if humans and frame in predicted_frames:
                predicted = frame_people(predicted_frames[frame], names.pred_people, place)
            partner = np.full(len(humans), -1)
            if predicted:
                true_boxes = people_boxes(humans, names.gt_people, place)
                pred_boxes = people_boxes(predicted, names.pred_people, place)
                partner = match_people(person_iou(true_boxes[:, None], pred_boxes[None]))
            for index, human in enumerate(humans):
                pred_parts = predicted[partner[index]].get('parts') if partner[index] >= 0 else {}
                for name, part in human['parts'].items():
                    state = part['verb']
                    found = right = False
                    if pred_parts and name in pred_parts:
                        where = dict(place, person=int(partner[index]), part=name)
                        offers = proposals(pred_parts[name], state, names.pred_people, where)
                        for box, guess in zip(*offers, strict=False):
                            if part_iou(part['box'], box) >= PART_IOU:
                                found, right = True, guess == state
                                break
                    yield name, state, found, right


def mean_person_iou(
    videos: Sequence[str],
    gt_people: dict[str, dict],
    pred_people: dict[str, dict],
    names: ResultNames = FILE_NAMES,
) -> float:
    """Mean over true people of the overlap with the prediction that is nearest, 0 to 1.

    It moves long before anything passes the score's thresholds: the first sign of learning.

    Args:
        videos: Names of the videos that count.
        gt_people: True people, ``{video: {frame: {'humans': [...]}}}``.
        pred_people: Predicted people.
        names: Of the four results, for messages.

    Returns:
        The mean, NaN without people.
    """
    best: list[float] = []
    for video in videos:
        predicted_frames = pred_people.get(video) or {}
        for frame, content in gt_people[video].items():
            place = dict(video=video, frame=frame)
            humans = frame_people(content, names.gt_people, place)
            found = predicted_frames.get(frame)
            predicted = frame_people(found, names.pred_people, place) if found else []
            if humans and predicted:
                true_boxes = people_boxes(humans, names.gt_people, place)
                pred_boxes = people_boxes(predicted, names.pred_people, place)
                iou = person_iou(true_boxes[:, None], pred_boxes[None])
                best += np.maximum(iou, 0).max(axis=1).tolist()
            else:
                best += [0.0] * len(humans)
    return float(np.mean(best)) if best else math.nan


def part_average_precision(
    videos: Sequence[str],
    gt_people: dict[str, dict],
    pred_people: dict[str, dict],
    part_names: Sequence[str],
) -> dict[str, float] | None:
    """COCO's average precision at IoU 0.5 of each part, whoever it belongs to.

    Args:
        videos: Names of the videos that count.
        gt_people: True people.
        pred_people: Predicted people. Their ``score`` ranks their parts; of several proposals the
            first counts.
        part_names: K parts.

    Returns:
        0..1 for each part that the truth holds; None if no prediction has a score.
    """
    number = {name: index for index, name in enumerate(part_names, start=1)}
    images, truths, detections = [], [], []
    for video in videos:
        predicted_frames = pred_people.get(video) or {}
        for frame, content in gt_people[video].items():
            image = len(images) + 1
            images.append(dict(id=image))
            for human in content['humans']:
                for name, part in human['parts'].items():
                    if name in number:
                        box = _xywh(part['box'])
                        truths.append(
                            dict(
                                id=len(truths) + 1,
                                image_id=image,
                                category_id=number[name],
                                bbox=box,
                                area=box[2] * box[3],
                                iscrowd=0,
                            )
                        )
            if frame in predicted_frames:
                for name, box, score in _scored_parts(predicted_frames[frame]):
                    if name in number:
                        detections.append(
                            dict(image_id=image, category_id=number[name], bbox=box, score=score)
                        )
    if not detections:
        scored = any(
            'score' in human
            for video in videos
            for frame, content in (pred_people.get(video) or {}).items()
            if frame in gt_people[video]
            for human in content['humans']
        )
        return dict.fromkeys(part_names, 0.0) if scored else None
    categories = [dict(id=index, name=name) for name, index in number.items()]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        truth = COCO()
        truth.dataset = dict(images=images, annotations=truths, categories=categories)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), 'bbox')
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.areaRng = evaluation.params.areaRng[:1]  # all sizes
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval['precision'][0, :, :, 0, 0]  # (recall levels, K)
    return {name: float(precision[:, index - 1].mean()) for name, index in number.items()}


def _scored_parts(content: dict[str, Any]) -> Iterator[tuple[str, list[float], float]]:
    """Name, box and score of predicted parts; what is not well-formed is passed over."""
    for human in content['humans']:
        try:
            score, parts = human['score'], human['parts'].items()
            offers = [(name, part['box'][0], part['box']) for name, part in parts if part['box']]
            for name, first, box in offers:
                box = box if isinstance(first, int | float) else first  # bare, as in 2022
                if math.isfinite(score) and all(map(math.isfinite, box[:4])):
                    yield name, _xywh(box), float(score)
        except (AttributeError, IndexError, KeyError, TypeError):
            continue


def _xywh(box: Sequence[float]) -> list[float]:
    """Corner and extent of a box given as x1, y1, x2, y2."""
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def diagnostic_tables(diagnostics: dict[str, Any]) -> str:
    """The tables of parts and of states as text.

    Args:
        diagnostics: Of :func:`parsing_diagnostics`.
    """
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        for kind in ('parts', 'states'):
            table = Table(title=f'By {kind[:-1]}', title_justify='left')
            table.add_column(kind[:-1])
            columns = ['truths', 'found', 'recall', 'state_acc']
            columns += ['ap50'] if kind == 'parts' else []
            for column in columns:
                table.add_column(column, justify='right')
            for name, rates in diagnostics[kind].items():
                table.add_row(name, *(_cell(rates[column]) for column in columns))
            console.print(table)
    return capture.get()


def _cell(value: float | None) -> str:
    if value is None or math.isnan(value):
        return '-'
    return str(value) if isinstance(value, int) else f'{value:.3f}'
