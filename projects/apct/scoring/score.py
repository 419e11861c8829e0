"""The Kinetics-TPS challenge score, equal to the organisers' script to the last bits.

What is computed, for every video that the truth gives a class:

1. In a frame, people are paired with predictions one to one by the largest sum of overlaps
   (:func:`match_people`), and a pair counts if its IoU is above 1/2.
2. A true part of a paired person earns 1/N when any of its N predicted proposals overlaps it by
   at least 0.3 and names its state (:func:`person_credit`). One guess is worth most: of two
   proposals the right one earns 1/2.
3. A frame's value is the credit of its people divided by the number of their true parts; the mean
   over frames is the video's part state correctness, PSC (:func:`video_psc`).
4. A video is right at a threshold if its class is right and its PSC reaches the threshold. The
   score, Acc^p, is the area under that accuracy over thresholds 0.0001 to 0.9999
   (:func:`curve_area`): a perfect prediction scores 0.9999.

The script has corners that its description leaves out, and all are kept: boxes include their last
pixel, people without any shared pixel overlap by -1, a frame that was not predicted counts as
zero even where nothing could be earned. Where the script stops with an exception, a ``ValueError``
or ``KeyError`` here names file, video, frame, person and field.

This module works on parsed results, one item after the other; ``flat_score`` computes the same
from arrays, many times faster, and ``file_score`` reads the files and picks between the two.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from projects.apct.scoring.result_fields import (
    ABSENT,
    FILE_NAMES,
    ResultNames,
    check_box,
    field,
    frame_people,
    is_list,
    json_object,
    member,
    of_video,
    proposals,
    short,
    where,
)

PERSON_IOU = 0.5
PART_IOU = 0.3
MAX_PEOPLE = 10
STEPS = 10000


def kinetics_tps_score(
    gt_videos: dict[str, str],
    gt_people: dict[str, dict],
    pred_videos: dict[str, str],
    pred_people: dict[str, dict],
    names: ResultNames = FILE_NAMES,
) -> dict[str, float]:
    """The score of four parsed results.

    Args:
        gt_videos: True class of every video. Its videos are the ones that count.
        gt_people: ``{video: {frame: {'humans': [...]}}}``; its frames are the ones that count.
        pred_videos: Predicted class of every video.
        pred_people: As ``gt_people``, with lists of boxes and states for a part, or, as in 2022,
            one of each.
        names: Of the four, for messages.

    Returns:
        ``acc_p``, the challenge's score; ``mean_psc``, the mean part state correctness of all
        videos; ``top1``, the accuracy of the classes; ``videos``, their number. Not rounded.

    Raises:
        ValueError: If there is no video, or something that the score looks at is malformed.
        KeyError: If something that the score looks at is missing.
    """
    psc = video_pscs(gt_videos, gt_people, pred_people, names)
    right = right_classes(gt_videos, pred_videos, names)
    return summary(list(psc.values()), right)


def right_classes(
    gt_videos: dict[str, str], pred_videos: dict[str, str], names: ResultNames = FILE_NAMES
) -> list[bool]:
    """Whether the class of each video is right.

    Args:
        gt_videos: True class of every video.
        pred_videos: Predicted class of every video.
        names: Of the four results, for messages.

    Raises:
        ValueError: If there is no video, or something else than names and classes.
        KeyError: If a video has no predicted class.
    """
    json_object(gt_videos, names.gt_videos)
    json_object(pred_videos, names.pred_videos)
    if not gt_videos:
        raise ValueError(f'{names.gt_videos}: found no video, expected at least one')
    return [
        bool(true_class == of_video(pred_videos, video, names.pred_videos))
        for video, true_class in gt_videos.items()
    ]


def video_pscs(
    videos: Sequence[str],
    gt_people: dict[str, dict],
    pred_people: dict[str, dict],
    names: ResultNames = FILE_NAMES,
) -> dict[str, float]:
    """Part state correctness of each video, 0..1.

    Args:
        videos: Names of the videos that count.
        gt_people: True people, ``{video: {frame: {'humans': [...]}}}``.
        pred_people: Predicted people.
        names: Of the four results, for messages.
    """
    json_object(gt_people, names.gt_people)
    json_object(pred_people, names.pred_people)
    psc, strange = {}, []
    for video in videos:
        truth = of_video(gt_people, video, names.gt_people)
        json_object(truth, names.gt_people, video=video)
        predicted = pred_people.get(video)
        psc[video] = video_psc(truth, predicted, video, names)
        named = isinstance(predicted, dict) and predicted
        if named and not psc[video] and truth.keys().isdisjoint(predicted):
            strange.append(video)
    warn_of_strange_frames(strange, names)
    return psc


def warn_of_strange_frames(videos: Sequence[str], names: ResultNames) -> None:
    """Warn of videos none of whose predicted frames is one of the truth: they score zero.

    Args:
        videos: Their names; none is fine.
        names: Of the four results.
    """
    if videos:
        warnings.warn(
            f'{names.pred_people}: {len(videos)} videos, {videos[0]!r} the first, have no frame '
            f'under a name that {names.gt_people} uses, as in "img_00001.json"; they score 0',
            stacklevel=3,
        )


def video_psc(
    truth: dict[str, dict],
    predicted: dict[str, dict] | None,
    video: str,
    names: ResultNames = FILE_NAMES,
) -> float:
    """Part state correctness of one video.

    Args:
        truth: ``{frame: {'humans': [...]}}``.
        predicted: The same as predicted; None if the video was not, which is an error as soon as
            a frame with people comes.
        video: Its name, for messages.
        names: Of the four results, for messages.

    Returns:
        0..1; 1 for a video in which there was nothing to find.
    """
    total, kept = 0.0, 0
    for frame, content in truth.items():
        place = dict(video=video, frame=frame)
        humans = frame_people(content, names.gt_people, place)
        if not humans:
            continue
        if predicted is None:
            raise KeyError(f'{names.pred_people}: video {video!r} is missing')
        content = member(predicted, frame, names.pred_people, video=video)
        if content is ABSENT:
            kept += 1
            continue
        credit, parts = _frame_credit(humans, content, place, names)
        if parts:
            kept += 1
            total += credit / parts
    return total / kept if kept else 1.0


def _frame_credit(
    humans: list[dict], content: Any, place: dict, names: ResultNames
) -> tuple[float, int]:
    """Credit of all people of a frame, and the number of their true parts."""
    predicted = frame_people(content, names.pred_people, place)
    true_boxes = people_boxes(humans, names.gt_people, place)
    pred_boxes = people_boxes(predicted, names.pred_people, place)
    iou = person_iou(true_boxes[:, None], pred_boxes[None])
    if np.isnan(iou).any():
        true_index, pred_index = np.argwhere(np.isnan(iou))[0]
        raise ValueError(
            f'{where(names.pred_people, **place, person=int(pred_index))}, box: its overlap with '
            f'box {humans[true_index]["box"]} of person {true_index} is no number; found '
            f'{predicted[pred_index]["box"]}, expected finite coordinates'
        )
    partner = match_people(iou)
    if len(predicted) > MAX_PEOPLE:
        raise ValueError(
            f'{where(names.pred_people, **place)}, humans: found {len(predicted)} people, '
            f'expected at most {MAX_PEOPLE}'
        )
    credit, parts = 0.0, 0
    for index, human in enumerate(humans):
        in_truth = dict(place, person=index)
        true_parts = json_object(
            field(human, 'parts', names.gt_people, **in_truth), names.gt_people, **in_truth
        )
        parts += len(true_parts)
        if true_parts and partner[index] >= 0:
            in_prediction = dict(place, person=int(partner[index]))
            credit += person_credit(
                true_parts, predicted[partner[index]], in_truth, in_prediction, names
            )
    return credit, parts


def people_boxes(humans: Sequence[dict], name: str, place: dict[str, Any]) -> np.ndarray:
    """Boxes of people as the score sees them.

    Args:
        humans: M people, each with a ``box`` of at least four numbers, all of one length.
        name: Of the result, for messages.
        place: ``video`` and ``frame``, for messages.

    Returns:
        (M, 4) single precision, xyxy in pixels.
    """
    boxes = []
    for index, human in enumerate(humans):
        box = field(human, 'box', name, **place, person=index)
        check_box(box, name, dict(place, person=index), len(box) if is_list(box) else 4)
        if len(box) != len(humans[0]['box']):
            raise ValueError(
                f'{where(name, **place, person=index)}, box: found {len(box)} numbers, expected '
                f'{len(humans[0]["box"])} as for person 0'
            )
        boxes.append(box[:4])
    with np.errstate(over='ignore'):  # to infinity, which overlaps nothing
        try:
            return np.array(boxes, dtype=np.float32).reshape(-1, 4)
        except OverflowError as error:
            raise ValueError(f'{where(name, **place)}, box: a number is too large') from error


def person_iou(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Overlap of people's boxes, pixels counted inclusively; -1 where no pixel is shared.

    Differences of coordinates are rounded to single precision, all else is computed in double and
    the result rounded to single: what the script does under the numpy of the challenge's years.

    Args:
        truth: (..., 4) single precision, xyxy in pixels.
        predicted: The same; the two are broadcast.

    Returns:
        (...) single precision.
    """

    def extent(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return (high - low).astype(np.float64) + 1

    def larger(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where(b > a, b, a)  # as Python's max: the first where they do not compare

    def smaller(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where(b < a, b, a)

    a, b = np.moveaxis(truth, -1, 0), np.moveaxis(predicted, -1, 0)  # (4, ...)
    with np.errstate(invalid='ignore', over='ignore'):
        width = extent(larger(a[0], b[0]), smaller(a[2], b[2]))
        height = extent(larger(a[1], b[1]), smaller(a[3], b[3]))
        shared = width * height
        area_a = extent(a[0], a[2]) * extent(a[1], a[3])
        area_b = extent(b[0], b[2]) * extent(b[1], b[3])
        disjoint = (width <= 0) | (height <= 0)
        union = np.where(disjoint, 1.0, area_a + area_b - shared)
        return np.where(disjoint, -1.0, shared / union).astype(np.float32)


def match_people(iou: np.ndarray) -> np.ndarray:
    """Pair people with predictions, one to one.

    The sum of overlaps over all pairs is maximised first, and only then are pairs kept that
    overlap by more than 1/2: a person may lose a good partner to the sum.

    Args:
        iou: (M, N) of :func:`person_iou`, single precision, finite.

    Returns:
        (M,) index of each person's prediction, -1 for none.
    """
    people, predictions = iou.shape
    partner = np.full(people, -1)
    size = max(people, predictions)
    cost = 1 - iou  # stays single where the counts are equal: that decides near-ties
    if people != predictions:
        cost = np.ones((size, size))  # whoever is left over costs 1, disjoint boxes cost 2
        cost[:people, :predictions] -= iou
    rows, columns = linear_sum_assignment(cost)
    real = (rows < people) & (columns < predictions)
    rows, columns = rows[real], columns[real]
    kept = iou[rows, columns] > PERSON_IOU
    partner[rows[kept]] = columns[kept]
    return partner


def person_credit(
    true_parts: dict[str, dict],
    predicted: dict[str, Any],
    in_truth: dict[str, Any],
    in_prediction: dict[str, Any],
    names: ResultNames = FILE_NAMES,
) -> float:
    """Sum of the credits of a paired person's parts.

    Args:
        true_parts: ``{name: {'box': [x1, y1, x2, y2], 'verb': state}}``.
        predicted: The person's prediction, with ``parts``.
        in_truth: ``video``, ``frame`` and ``person``, for messages.
        in_prediction: The same of the prediction.
        names: Of the four results, for messages.
    """
    credit = 0.0
    pred_parts = field(predicted, 'parts', names.pred_people, **in_prediction)
    for part_name, true_part in true_parts.items():
        truth = dict(in_truth, part=part_name)
        state = field(true_part, 'verb', names.gt_people, **truth)
        part = member(pred_parts, part_name, names.pred_people, **in_prediction)
        if part is ABSENT:
            continue
        place = dict(in_prediction, part=part_name)
        boxes, states = proposals(part, state, names.pred_people, place)
        true_box = field(true_part, 'box', names.gt_people, **truth)
        for index, box in enumerate(boxes):
            check_box(true_box, names.gt_people, truth)
            check_box(box, names.pred_people, place)
            if index >= len(states):
                raise ValueError(
                    f'{where(names.pred_people, **place)}, verb: found {len(states)} states for '
                    f'{len(boxes)} boxes, expected as many'
                )
            try:
                hit = part_iou(true_box, box) >= PART_IOU and states[index] == state
            except OverflowError as error:
                raise ValueError(
                    f'{where(names.pred_people, **place)}, box: found {short(box)} against '
                    f'{short(true_box)}, expected numbers that fit double precision'
                ) from error
            if hit:
                credit += 1 / len(states)
                break
    return credit


def part_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Overlap of two boxes of parts, in double precision; -1 if they share no pixel.

    Args:
        a: x1, y1, x2, y2 in pixels, the last pixel included.
        b: The same.
    """
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return -1.0
    shared = width * height
    area_a = (a[2] - a[0] + 1) * (a[3] - a[1] + 1)
    area_b = (b[2] - b[0] + 1) * (b[3] - b[1] + 1)
    return shared / float(area_a + area_b - shared)


def summary(psc: Sequence[float], right: Sequence[bool]) -> dict[str, float]:
    """The scores of a set of videos.

    Args:
        psc: Part state correctness of each video.
        right: Whether its class is right.
    """
    return dict(
        acc_p=curve_area(psc, right),
        mean_psc=float(np.mean(psc)),
        top1=float(np.mean(right)),
        videos=len(right),
    )


def curve_area(psc: Sequence[float], right: Sequence[bool]) -> float:
    """Area under the accuracy conditioned on the parts, over thresholds 1/10000 to 9999/10000.

    Args:
        psc: Part state correctness of each video.
        right: Whether its class is right; others count at no threshold.
    """
    reached = np.sort(np.asarray(psc, dtype=np.float64)[np.asarray(right, dtype=bool)])
    thresholds = np.arange(1, STEPS) / STEPS
    count = len(reached) - np.searchsorted(reached, thresholds, side='left')
    return float(np.cumsum(1 / STEPS * (count / len(psc)))[-1])  # cumsum adds in order
