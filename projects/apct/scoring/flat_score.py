"""The score of ``score`` on flat arrays: people, parts and proposals of all videos at once.

Same numbers in the same order of additions. Two things make it fast: overlaps are computed only
where the states agree, and the assignment problem is solved only in frames where it is not obvious
(:func:`match_flat`).
"""

from dataclasses import dataclass

import numpy as np

from projects.apct.scoring.score import PART_IOU, PERSON_IOU, match_people, person_iou

# How much better than the second best a partner must be for a pairing to be obvious: far above the
# rounding of a cost in single precision, 6e-8.
_MARGIN = 1e-6


@dataclass
class FlatTruth:
    """True people of all frames that have any.

    Attributes:
        frame_video: (F,) video of each frame, ascending.
        person_frame: (P,) frame of each person, ascending.
        person_box: (P, 4) single precision.
        part_person: (R,) person of each part, ascending.
        part_name: (R,) number of its name.
        part_state: (R,) number of its state.
        part_box: (R, 4) double precision.
    """

    frame_video: np.ndarray
    person_frame: np.ndarray
    person_box: np.ndarray
    part_person: np.ndarray
    part_name: np.ndarray
    part_state: np.ndarray
    part_box: np.ndarray


@dataclass
class FlatPrediction:
    """Predicted people in the frames of a :class:`FlatTruth`.

    Attributes:
        frame_present: (F,) whether the frame was predicted at all.
        person_frame: (Q,) frame of each person, ascending.
        person_box: (Q, 4) single precision.
        part_person: (U,) person of each part.
        part_name: (U,) number of its name, as in the truth; above those for other names.
        part_count: (U,) its proposals, at most five; they follow each other.
        proposal_state: (V,) number of the state, as in the truth.
        proposal_box: (V, 4) double precision.
    """

    frame_present: np.ndarray
    person_frame: np.ndarray
    person_box: np.ndarray
    part_person: np.ndarray
    part_name: np.ndarray
    part_count: np.ndarray
    proposal_state: np.ndarray
    proposal_box: np.ndarray


def flat_pscs(truth: FlatTruth, predicted: FlatPrediction, videos: int) -> np.ndarray:
    """Part state correctness of each video.

    Args:
        truth: The true people.
        predicted: The predicted people.
        videos: How many there are; those without a frame get 1.

    Returns:
        (videos,), 0..1.
    """
    frames = len(truth.frame_video)
    partner = match_flat(truth, predicted)
    credit = part_credits(truth, predicted, partner)
    # bincount adds one by one in the order of its input, from zero: person, frame, video
    of_person = np.bincount(truth.part_person, credit, len(truth.person_frame))
    of_frame = np.bincount(truth.person_frame, of_person, frames)
    parts = np.bincount(truth.person_frame[truth.part_person], minlength=frames)
    value = of_frame / np.maximum(parts, 1)
    kept = (parts > 0) | ~predicted.frame_present
    of_video = np.bincount(truth.frame_video, value, videos)
    count = np.bincount(truth.frame_video[kept], minlength=videos)
    return np.where(count > 0, of_video / np.maximum(count, 1), 1.0)


def match_flat(truth: FlatTruth, predicted: FlatPrediction) -> np.ndarray:
    """Prediction of each true person, as ``match_people`` finds it frame by frame.

    Take the side of a frame that has fewer people (either, if equal). Each of them must get a
    partner, so the sum of costs is at least the sum of everyone's cheapest. If everyone's cheapest
    is cheaper than the second by a margin and no two want the same, that bound is reached by this
    pairing alone, and it is what any solver returns; the padding costs the same in every pairing.
    Someone who shares no pixel with anybody costs the same wherever put and cannot be kept, so
    who gets them does not matter. All other frames go to the solver.

    Args:
        truth: The true people.
        predicted: The predicted people.

    Returns:
        (P,) index into the predicted people, -1 for none.
    """
    frames = len(truth.frame_video)
    people = np.bincount(truth.person_frame, minlength=frames)
    predictions = np.bincount(predicted.person_frame, minlength=frames)
    first_true = np.cumsum(people) - people
    first_pred = np.cumsum(predictions) - predictions
    partner = np.full(len(truth.person_frame), -1)

    both = (people > 0) & (predictions > 0)
    hard = np.zeros(frames, dtype=bool)
    for few_are_true in (True, False):
        chosen = both & ((people <= predictions) == few_are_true)
        if few_are_true:
            rows = np.flatnonzero(chosen[truth.person_frame])
            frame = truth.person_frame[rows]
            width, start = predictions[frame], first_pred[frame]
        else:
            rows = np.flatnonzero(chosen[predicted.person_frame])
            frame = predicted.person_frame[rows]
            width, start = people[frame], first_true[frame]
        if not len(rows):
            continue
        offset = np.cumsum(width) - width
        row = np.repeat(np.arange(len(rows)), width)
        column = np.arange(len(row)) - np.repeat(offset - start, width)
        if few_are_true:
            iou = person_iou(truth.person_box[rows[row]], predicted.person_box[column])
        else:
            iou = person_iou(truth.person_box[column], predicted.person_box[rows[row]])
        best = np.maximum.reduceat(iou, offset)
        near = np.add.reduceat(iou > best[row] - np.float32(_MARGIN), offset, dtype=np.int64)
        choice = np.zeros(len(rows), dtype=np.int64)
        at_best = iou == best[row]
        choice[row[at_best]] = column[at_best]
        touching = best > -1
        wanted = np.bincount(choice[touching], minlength=int(choice.max()) + 1)
        clear = ~touching | ((near == 1) & (wanted[choice] == 1))
        hard[frame[~clear]] = True
        kept = touching & (best > PERSON_IOU)
        if few_are_true:
            partner[rows[kept]] = choice[kept]
        else:
            partner[choice[kept]] = rows[kept]

    for frame in np.flatnonzero(hard):
        true = slice(first_true[frame], first_true[frame] + people[frame])
        pred = slice(first_pred[frame], first_pred[frame] + predictions[frame])
        iou = person_iou(truth.person_box[true, None], predicted.person_box[None, pred])
        found = match_people(iou)
        partner[true] = np.where(found >= 0, found + first_pred[frame], -1)
    return partner


def part_credits(truth: FlatTruth, predicted: FlatPrediction, partner: np.ndarray) -> np.ndarray:
    """What every true part earns: 1/N or 0.

    Args:
        truth: The true people.
        predicted: The predicted people.
        partner: (P,) of :func:`match_flat`.

    Returns:
        (R,)
    """
    credit = np.zeros(len(truth.part_person))
    names = int(truth.part_name.max(initial=-1)) + 1
    if not names or not len(predicted.part_person):
        return credit
    # which predicted part has a person and a name, (Q * names,)
    part_of = np.full(len(predicted.person_frame) * names, -1, dtype=np.int32)
    known = np.flatnonzero(predicted.part_name < names)  # others are not asked for
    part_of[predicted.part_person[known] * names + predicted.part_name[known]] = known
    person = partner[truth.part_person]
    paired = np.flatnonzero(person >= 0)
    part = part_of[person[paired] * names + truth.part_name[paired]]
    paired, part = paired[part >= 0], part[part >= 0]
    # and the way back: which true part a predicted one is compared with, and that one's state
    counts = predicted.part_count
    true_part = np.full(len(counts), -1)
    true_part[part] = paired
    state = np.full(len(counts), -1, dtype=truth.part_state.dtype)
    state[part] = truth.part_state[paired]
    right = np.flatnonzero(predicted.proposal_state == np.repeat(state, counts))
    part = np.repeat(np.arange(len(counts), dtype=np.int32), counts)[right]
    iou = part_ious(truth.part_box[true_part[part]], predicted.proposal_box[right])
    part = part[iou >= PART_IOU]
    credit[true_part[part]] = 1 / counts[part]  # once, however many proposals hit
    return credit


def part_ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``part_iou`` of pairs of boxes, each operation in the same order.

    Args:
        a: (M, 4) double precision, finite.
        b: (M, 4).

    Returns:
        (M,)
    """
    a, b = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]) + 1
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1]) + 1
    shared = width * height
    area_a = (a[2] - a[0] + 1) * (a[3] - a[1] + 1)
    area_b = (b[2] - b[0] + 1) * (b[3] - b[1] + 1)
    disjoint = (width <= 0) | (height <= 0)
    return np.where(disjoint, -1.0, shared / np.where(disjoint, 1.0, area_a + area_b - shared))
