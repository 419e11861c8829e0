"""How well scores of keypoints tell those that are there from those that are not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

F1_NAMES = ('F1', 'F1_absent', 'F1_macro')
CLIP = 1e-7  # of probabilities in cross_entropy: float32's resolution near 1


@dataclass(frozen=True)
class PresenceScores:
    """Scores of one kind of score.

    Args:
        summary: As ``KeypointPresenceMetric`` names them, without prefix; NaN where undefined.
        keypoints: A dict for each of the K keypoints: ``n`` of known state, ``share_present``,
            ``AP``, ``AP_absent`` and ``AUROC``, NaN where undefined.
        bins: A dict for each bin of the calibration: ``lower``, ``upper``, ``n``, ``mean_score``
            and ``share_present``, NaN where it is empty.
    """

    summary: dict[str, float]
    keypoints: list[dict[str, float]]
    bins: list[dict[str, float]]

    @property
    def ranked(self) -> int:
        """Of how many keypoints both states occur, so that their AP and AUROC are defined."""
        return sum(not np.isnan(keypoint['AUROC']) for keypoint in self.keypoints)


def presence_scores(
    truth: np.ndarray,
    known: np.ndarray,
    scores: np.ndarray,
    threshold: float | None = None,
    criterion: str = 'F1_macro',
    num_bins: int = 15,
) -> PresenceScores:
    """Score S people of K keypoints.

    Args:
        truth: (S, K) bool, whether the keypoint is there.
        known: (S, K) bool, whether that is known; others do not count.
        scores: (S, K), higher where the keypoint is there; cut to 0..1 for all but ranking.
        threshold: Adds the F1 at this threshold.
        criterion: Which of ``F1_NAMES`` is largest at ``best_threshold``.
        num_bins: Of equal width, for ECE.

    Raises:
        ValueError: If the shapes differ, a known keypoint's score is not finite, or none is known.
    """
    truth, known = np.asarray(truth, dtype=bool), np.asarray(known, dtype=bool)
    scores = np.asarray(scores, dtype=float)
    if truth.ndim != 2 or not truth.shape == known.shape == scores.shape:
        raise ValueError(
            f'shapes are truth {truth.shape}, known {known.shape}, scores {scores.shape}, expected '
            '(people, keypoints) of all'
        )
    if not known.any():
        raise ValueError(f'of none of {known.size} keypoints it is known whether it is there')
    bad = known & ~np.isfinite(scores)
    if bad.any():
        person, keypoint = np.argwhere(bad)[0]
        raise ValueError(
            f'the score of keypoint {keypoint} of person {person} is {scores[person, keypoint]}, '
            'expected finite numbers'
        )
    keypoints = [
        _ranking(truth[known[:, index], index], scores[known[:, index], index])
        for index in range(truth.shape[1])
    ]
    there, score = truth[known], scores[known]  # (M,) of all keypoints together
    probability = np.clip(score, 0, 1)
    pooled = _ranking(there, score)
    best = best_threshold(there, probability, criterion)
    bins = reliability(there, probability, num_bins)
    summary = {
        **{name: _mean(keypoints, name) for name in ('AP', 'AUROC', 'AP_absent')},
        **{f'{name}_pooled': pooled[name] for name in ('AP', 'AUROC', 'AP_absent')},
        **_f1_at(there, probability, 0.5),
        **_f1_at(there, probability, best, '_best'),
        'best_threshold': best,
    }
    if threshold is not None:
        summary.update(_f1_at(there, probability, threshold, '_val'))
    summary.update(
        brier=float(np.square(probability - there).mean()),
        ECE=expected_calibration_error(bins),
        cross_entropy=float(log_loss(there, np.clip(probability, CLIP, 1 - CLIP), labels=[0, 1])),
        share_present=pooled['share_present'],
    )
    return PresenceScores(summary, keypoints, bins)


def f1_scores(
    hits: np.ndarray, called: np.ndarray, present: float, total: float
) -> dict[str, np.ndarray]:
    r"""F1 of both states, :math:`2 TP / (2 TP + FP + FN)` of each, and their mean.

    Args:
        hits: How many of the keypoints called present are.
        called: How many are called present, of the same shape.
        present: How many are present.
        total: How many there are.

    Returns:
        ``F1`` of finding the present ones, ``F1_absent`` of finding the absent ones and their
        mean ``F1_macro``; NaN where nothing is to be found and nothing was.
    """
    hits, called = np.asarray(hits, dtype=float), np.asarray(called, dtype=float)
    wrong = called + present - 2 * hits  # present ones called absent, and absent ones present
    absent_hits = total - called - present + hits
    with np.errstate(invalid='ignore'):
        f1 = 2 * hits / (2 * hits + wrong)
        f1_absent = 2 * absent_hits / (2 * absent_hits + wrong)
    return dict(F1=f1, F1_absent=f1_absent, F1_macro=(f1 + f1_absent) / 2)


def best_threshold(truth: np.ndarray, scores: np.ndarray, criterion: str = 'F1_macro') -> float:
    """The score from which on keypoints are best called present.

    Args:
        truth: (M,) bool.
        scores: (M,) in 0..1.
        criterion: Which of ``F1_NAMES`` is to be the largest; of equal ones the highest score.

    Returns:
        One of the scores; NaN where only one state occurs, so that nothing tells.
    """
    if truth.all() or not truth.any():
        return float('nan')
    order = np.argsort(-scores, kind='stable')
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of equal scores the last
    f1 = f1_scores(np.cumsum(truth[order])[ends], ends + 1, truth.sum(), len(truth))[criterion]
    return float(scores[order][ends[f1.argmax()]])


def reliability(truth: np.ndarray, scores: np.ndarray, num_bins: int) -> list[dict[str, float]]:
    """What share of the keypoints is there, by score.

    Args:
        truth: (M,) bool.
        scores: (M,) in 0..1.
        num_bins: Of equal width; a bin holds its lower end, the last one both.

    Returns:
        Bins as in :class:`PresenceScores`.
    """
    index = np.minimum((scores * num_bins).astype(int), num_bins - 1)
    count, score, present = (
        np.bincount(index, weights, num_bins) for weights in (None, scores, truth.astype(float))
    )
    with np.errstate(invalid='ignore'):
        means, shares = score / count, present / count
    return [
        dict(
            lower=number / num_bins,
            upper=(number + 1) / num_bins,
            n=int(count[number]),
            mean_score=float(means[number]),
            share_present=float(shares[number]),
        )
        for number in range(num_bins)
    ]


def expected_calibration_error(bins: list[dict[str, float]]) -> float:
    """Mean distance of score and share present over bins, weighted by what they hold.

    Args:
        bins: Of :func:`reliability`.
    """
    filled = [one for one in bins if one['n']]
    distances = [abs(one['mean_score'] - one['share_present']) for one in filled]
    return float(np.average(distances, weights=[one['n'] for one in filled]))


def _ranking(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """What follows from the order of the scores (n,) alone."""
    ranking = dict(n=len(truth), share_present=float(truth.mean()) if len(truth) else np.nan)
    if not len(truth) or truth.all() or not truth.any():
        return {**ranking, 'AP': np.nan, 'AP_absent': np.nan, 'AUROC': np.nan}
    return {
        **ranking,
        'AP': float(average_precision_score(truth, scores)),
        'AP_absent': float(average_precision_score(~truth, -scores)),
        'AUROC': float(roc_auc_score(truth, scores)),
    }


def _f1_at(
    truth: np.ndarray, scores: np.ndarray, threshold: float, suffix: str = ''
) -> dict[str, float]:
    """The three F1 where scores from the threshold on are called present."""
    if np.isnan(threshold):
        return {f'{name}{suffix}': float('nan') for name in F1_NAMES}
    called = scores >= threshold
    f1 = f1_scores((called & truth).sum(), called.sum(), truth.sum(), len(truth))
    return {f'{name}{suffix}': float(f1[name]) for name in F1_NAMES}


def _mean(keypoints: list[dict[str, Any]], name: str) -> float:
    """Over the keypoints where it is defined; NaN if there is none."""
    values = [keypoint[name] for keypoint in keypoints if not np.isnan(keypoint[name])]
    return float(np.mean(values)) if values else float('nan')
