"""What the challenge's score does not tell: where a part parser is good, and where it is not."""

import contextlib
import io
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from rich.table import Table

from projects.apct.scoring.result_fields import (
    FILE_NAMES,
    ResultNames,
    frame_people,
    is_list,
    proposals,
)
from projects.apct.scoring.result_files import garbage_collection_off
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
    True parts without a state, and people without parts, are passed over where the score never
    looks at them.

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
        part_ap50=_mean(precision.values()) if precision else None,
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
        predicted_frames = _frames(pred_people, video)
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
                for name, part in _parts(human):
                    if 'verb' not in part:
                        continue
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
        predicted_frames = _frames(pred_people, video)
        for frame, content in gt_people[video].items():
            place = dict(video=video, frame=frame)
            humans = frame_people(content, names.gt_people, place)
            predicted = []
            if humans and frame in predicted_frames:
                predicted = frame_people(predicted_frames[frame], names.pred_people, place)
            if predicted:
                true_boxes = people_boxes(humans, names.gt_people, place)
                pred_boxes = people_boxes(predicted, names.pred_people, place)
                iou = person_iou(true_boxes[:, None], pred_boxes[None])
                best += np.maximum(iou, 0).max(axis=1).tolist()
            else:
                best += [0.0] * len(humans)
    return float(np.mean(best)) if best else math.nan


@garbage_collection_off()  # a search through all people whenever some boxes have been added
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
        0..1 for each part, NaN if the truth holds no box of it; None if no prediction has a score.
    """
    # of each part rows of image, x, y, width, height and, if predicted, score: numbers only, as
    # the dicts that pycocotools wants take a kilobyte a box and so exist for one part at a time
    truths = {name: array('d') for name in part_names}
    detections = {name: array('d') for name in part_names}
    image, scored = 0, False
    for video in videos:
        predicted_frames = _frames(pred_people, video)
        for frame, content in gt_people[video].items():
            image += 1
            for human in content['humans']:
                for name, part in _parts(human):
                    box = _xywh(part.get('box'))
                    if name in truths and box is not None:
                        truths[name].extend((image, *box))
            for human in _predicted_people(predicted_frames.get(frame)):
                scored = scored or 'score' in human
                for name, box, score in _scored_parts(human):
                    if name in detections:
                        detections[name].extend((image, *box, score))
    if not any(detections.values()):
        return dict.fromkeys(part_names, 0.0) if scored else None
    return {name: _average_precision(truths.pop(name), detections.pop(name)) for name in part_names}


def _average_precision(truths: array, detections: array) -> float:
    """COCO's average precision at IoU 0.5 of boxes of one kind.

    Args:
        truths: Rows of image, x, y, width and height.
        detections: Rows of image, x, y, width, height and score.
    """
    columns = ('image_id', 'bbox', 'score')
    truth, found = (
        _coco([dict(zip(columns, (row[0], row[1:5], *row[5:]), strict=False)) for row in rows])
        for rows in (
            np.frombuffer(truths).reshape(-1, 5).tolist(),
            np.frombuffer(detections).reshape(-1, 6).tolist(),
        )
    )
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = COCOeval(truth, found, 'bbox')
        evaluation.params.imgIds = sorted({*truth.imgs, *found.imgs})
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.areaRng = evaluation.params.areaRng[:1]  # all sizes
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = float(evaluation.eval['precision'][0, :, 0, 0, 0].mean())  # over the recall levels
    return precision if precision >= 0 else math.nan  # -1: there was nothing to find


def _mean(values: Iterable[float]) -> float:
    """Of those that are numbers."""
    numbers = [value for value in values if not math.isnan(value)]
    return float(np.mean(numbers)) if numbers else math.nan


def _coco(boxes: list[dict[str, Any]]) -> COCO:
    """Boxes of one category; its images are those that hold a box.

    Args:
        boxes: Each with ``image_id``, ``bbox`` and, if predicted, ``score``; completed in place.
    """
    for number, box in enumerate(boxes, start=1):
        area = box['bbox'][2] * box['bbox'][3]
        box.update(id=number, category_id=1, area=area, iscrowd=0)
    coco = COCO()
    images = [dict(id=image) for image in dict.fromkeys(box['image_id'] for box in boxes)]
    coco.dataset = dict(images=images, annotations=boxes, categories=[dict(id=1)])
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _frames(people: dict[str, Any], video: str) -> dict[str, Any]:
    """The frames of a video; none if they are something that the score only takes unseen."""
    frames = people.get(video)
    return frames if isinstance(frames, dict) else {}


def _parts(human: Any) -> Iterator[tuple[str, dict]]:
    """Name and content of a true person's parts.

    Of people whom the score never looks at, those in frames that were not predicted, what is not
    well-formed is passed over: the score takes it, too.
    """
    parts = human.get('parts') if isinstance(human, dict) else None
    if isinstance(parts, dict):
        yield from ((name, part) for name, part in parts.items() if isinstance(part, dict))


def _predicted_people(content: Any) -> list[dict]:
    """The people of a predicted frame; what is not well-formed is passed over."""
    humans = content.get('humans') if isinstance(content, dict) else None
    return [human for human in humans if isinstance(human, dict)] if is_list(humans) else []


def _scored_parts(human: dict[str, Any]) -> Iterator[tuple[str, list[float], float]]:
    """Name, box and score of a person's predicted parts; what is not well-formed is passed over."""
    try:
        score, parts = human['score'], human['parts'].items()
        offers = [(name, part['box'][0], part['box']) for name, part in parts if part['box']]
        for name, first, box in offers:
            corners = _xywh(box if isinstance(first, int | float) else first)  # bare, as in 2022
            if math.isfinite(score) and corners is not None:
                yield name, corners, float(score)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError):
        return


def _xywh(box: Any) -> list[float] | None:
    """Corner and extent of a box given as x1, y1, x2, y2; None if it holds no finite numbers."""
    if not is_list(box) or not all(isinstance(number, int | float) for number in box[:4]):
        return None
    try:
        x1, y1, x2, y2 = map(float, box[:4])
    except (OverflowError, ValueError):  # too large, too few
        return None
    corners = [x1, y1, x2 - x1, y2 - y1]
    return corners if all(map(math.isfinite, corners)) else None


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
