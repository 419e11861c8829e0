"""The Kinetics-TPS score as plain loops over parsed results: slow, short, without any checks.

What the fast score is tested against and timed against. It follows the description of the score
step by step and shares no code with ``projects.apct``.
"""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment


def reference_score(
    gt_videos: dict[str, str],
    gt_people: dict[str, Any],
    pred_videos: dict[str, str],
    pred_people: dict[str, Any],
) -> float:
    """Acc^p, the area over thresholds.

    Args:
        gt_videos: True class of each video.
        gt_people: ``{video: {frame: {'humans': [...]}}}``.
        pred_videos: Predicted class of each video.
        pred_people: As ``gt_people``, with lists of boxes and states for each part.
    """
    psc = {v: reference_psc(gt_people[v], pred_people.get(v)) for v in gt_videos}
    area = 0.0
    for step in range(1, 10000):
        right = 0
        for video, video_class in gt_videos.items():
            if video_class == pred_videos[video] and psc[video] >= step / 10000:
                right += 1
        area += 1 / 10000 * (right / len(gt_videos))
    return area


def reference_psc(truth: dict[str, Any], predicted: dict[str, Any] | None) -> float:
    """Part state correctness of one video.

    Args:
        truth: ``{frame: {'humans': [...]}}``.
        predicted: The same as predicted.
    """
    frames, total = 0, 0.0
    for frame, content in truth.items():
        people = content['humans']
        if not people:
            continue
        if frame not in predicted:
            frames += 1
            continue
        guesses = predicted[frame]['humans']
        pairs = matches(people, guesses)
        parts, credit = 0, 0.0
        for index, person in enumerate(people):
            parts += len(person['parts'])
            if index in pairs:
                credit += person_credit(person, guesses[pairs[index]])
        if parts:
            frames += 1
            total += credit / parts
    return total / frames if frames else 1.0


def matches(people: list[dict], guesses: list[dict]) -> dict[int, int]:
    """Prediction of each person that has one, by the cheapest pairing of all.

    Args:
        people: True people.
        guesses: Predicted people.
    """
    overlap = np.zeros((len(people), len(guesses)), dtype=np.float32)
    true_boxes = np.array([person['box'] for person in people], dtype=np.float32)
    pred_boxes = np.array([guess['box'] for guess in guesses], dtype=np.float32)
    for i in range(len(people)):
        for j in range(len(guesses)):
            overlap[i, j] = iou(true_boxes[i], pred_boxes[j])
    size = max(overlap.shape)
    if len(people) < size:
        overlap = np.concatenate([overlap, np.zeros((size - len(people), size))], axis=0)
    if len(guesses) < size:
        overlap = np.concatenate([overlap, np.zeros((size, size - len(guesses)))], axis=1)
    rows, columns = linear_sum_assignment(1 - overlap)
    return {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if row < len(people) and column < len(guesses) and overlap[row, column] > 0.5
    }


def person_credit(person: dict, guess: dict) -> float:
    """Credit of one paired person: 1/N for each part that one of N proposals gets right.

    Args:
        person: The true person.
        guess: The predicted one.
    """
    credit = 0.0
    for name, part in person['parts'].items():
        if name not in guess['parts']:
            continue
        boxes, states = guess['parts'][name]['box'], guess['parts'][name]['verb']
        for index in range(len(boxes)):
            if iou(part['box'], boxes[index]) >= 0.3 and states[index] == part['verb']:
                credit += 1 / len(states)
                break
    return credit


def iou(a: list[float], b: list[float]) -> float:
    """Overlap of two boxes that include their last pixel; -1 if they share none.

    Numbers in single precision are subtracted as such; the rest is done in double.

    Args:
        a: x1, y1, x2, y2.
        b: The same.
    """
    width = float(min(a[2], b[2]) - max(a[0], b[0])) + 1
    height = float(min(a[3], b[3]) - max(a[1], b[1])) + 1
    if width <= 0 or height <= 0:
        return -1.0
    area_a = (float(a[2] - a[0]) + 1) * (float(a[3] - a[1]) + 1)
    area_b = (float(b[2] - b[0]) + 1) * (float(b[3] - b[1]) + 1)
    return width * height / (area_a + area_b - width * height)
