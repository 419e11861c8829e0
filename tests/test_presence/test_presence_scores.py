import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projects.presence.presence_scores import (
    best_threshold,
    expected_calibration_error,
    f1_scores,
    presence_scores,
    reliability,
)


def slow_auroc(truth, scores):
    wins = pairs = 0
    for one, score in zip(truth, scores, strict=True):
        for other, lower in zip(truth, scores, strict=True):
            if one and not other:
                pairs += 1
                wins += 1 if score > lower else 0.5 if score == lower else 0
    return wins / pairs


def slow_ap(truth, scores):
    """Sum over falling thresholds of the gain in recall times precision."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        hits = sum(
            1 for one, score in zip(truth, scores, strict=True) if score >= threshold and one
        )
        called = sum(1 for score in scores if score >= threshold)
        recall = hits / sum(truth)
        total += (recall - before) * hits / called
        before = recall
    return total


def slow_f1(truth, called):
    right = sum(1 for one, call in zip(truth, called, strict=True) if one and call)
    precision, recall = right / max(sum(called), 1), right / sum(truth)
    return 2 * precision * recall / (precision + recall) if right else 0.0


def slow_ece(truth, scores, num_bins):
    total = 0.0
    for number in range(num_bins):
        last = number == num_bins - 1
        inside = [
            index
            for index, score in enumerate(scores)
            if number <= score * num_bins and (score * num_bins < number + 1 or last)
        ]
        if inside:
            mean = sum(scores[index] for index in inside) / len(inside)
            share = sum(truth[index] for index in inside) / len(inside)
            total += len(inside) / len(scores) * abs(mean - share)
    return total


def data(seed=0, people=40, keypoints=5, ties=False):
    rng = np.random.default_rng(seed)
    truth = rng.random((people, keypoints)) < 0.8
    scores = np.clip(rng.normal(0.35 + 0.3 * truth, 0.25), 0, 1)
    if ties:
        scores = np.round(scores, 1)
    return truth, rng.random((people, keypoints)) < 0.9, scores


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('seed', [0, 1])
def test_scores_equal_plain_references(seed, ties):
    truth, known, scores = data(seed, ties=ties)
    found = presence_scores(truth, known, scores, threshold=0.4)
    columns = [(truth[known[:, k], k].tolist(), scores[known[:, k], k].tolist()) for k in range(5)]
    summary = found.summary
    assert summary['AUROC'] == pytest.approx(np.mean([slow_auroc(*one) for one in columns]))
    assert summary['AP'] == pytest.approx(np.mean([slow_ap(*one) for one in columns]))
    absent = [([not one for one in there], [-s for s in score]) for there, score in columns]
    assert summary['AP_absent'] == pytest.approx(np.mean([slow_ap(*one) for one in absent]))
    assert found.keypoints[2]['AUROC'] == pytest.approx(slow_auroc(*columns[2]))
    assert found.keypoints[2]['AP'] == pytest.approx(slow_ap(*columns[2]))
    assert found.keypoints[2]['n'] == len(columns[2][0])
    assert found.ranked == 5

    there, score = truth[known].tolist(), scores[known].tolist()
    gone = [not one for one in there]
    assert summary['AUROC_pooled'] == pytest.approx(slow_auroc(there, score))
    assert summary['AP_pooled'] == pytest.approx(slow_ap(there, score))
    assert summary['AP_absent_pooled'] == pytest.approx(slow_ap(gone, [-s for s in score]))
    for threshold, suffix in ((0.5, ''), (0.4, '_val'), (summary['best_threshold'], '_best')):
        called = [one >= threshold for one in score]
        f1, f1_absent = slow_f1(there, called), slow_f1(gone, [not call for call in called])
        assert summary[f'F1{suffix}'] == pytest.approx(f1)
        assert summary[f'F1_absent{suffix}'] == pytest.approx(f1_absent)
        assert summary[f'F1_macro{suffix}'] == pytest.approx((f1 + f1_absent) / 2)
    squares = [(s - t) ** 2 for t, s in zip(there, score, strict=True)]
    assert summary['brier'] == pytest.approx(sum(squares) / len(squares))
    assert summary['ECE'] == pytest.approx(slow_ece(there, score, 15))
    logs = [
        -math.log(min(max(s if t else 1 - s, 1e-7), 1 - 1e-7))
        for t, s in zip(there, score, strict=True)
    ]
    assert summary['cross_entropy'] == pytest.approx(sum(logs) / len(logs))
    assert summary['share_present'] == pytest.approx(np.mean(there))


@pytest.mark.parametrize('criterion', ['F1', 'F1_absent', 'F1_macro'])
@pytest.mark.parametrize('seed', range(4))
def test_no_threshold_is_better_than_the_best(criterion, seed):
    truth, _, scores = (one.ravel() for one in data(seed, people=12, ties=seed % 2 == 0))
    best = best_threshold(truth, scores, criterion)

    def value(threshold):
        called = scores >= threshold
        f1 = slow_f1(truth, called)
        f1_absent = slow_f1(~truth, ~called)
        return dict(F1=f1, F1_absent=f1_absent, F1_macro=(f1 + f1_absent) / 2)[criterion]

    candidates = sorted(set(scores))
    assert best in candidates
    assert value(best) == pytest.approx(max(value(one) for one in candidates))
    assert presence_scores(
        truth[:, None], np.ones((len(truth), 1)), scores[:, None], criterion=criterion
    ).summary[f'{criterion}_best'] == pytest.approx(value(best))


@settings(deadline=None)
@given(seed=st.integers(0, 10000), power=st.floats(0.2, 4), factor=st.floats(0.1, 1))
def test_growing_functions_keep_the_ranking(seed, power, factor):
    truth, known, scores = data(seed, people=15, keypoints=3)
    scores = np.round(scores, 2)  # so that no two of them become equal
    before = presence_scores(truth, known, scores).summary
    after = presence_scores(truth, known, factor * scores**power).summary
    for name in ('AP', 'AUROC', 'AP_absent', 'AUROC_pooled', 'F1_macro_best'):
        assert after[name] == pytest.approx(before[name], nan_ok=True)


@settings(deadline=None)
@given(seed=st.integers(0, 10000))
def test_swapping_states_and_scores_swaps_the_f1(seed):
    truth, known, scores = data(seed, people=15, keypoints=3)
    scores = np.clip(scores, 0.001, 0.999)
    one = presence_scores(truth, known, scores).summary
    other = presence_scores(~truth, known, 1 - scores).summary
    assert other['F1'] == pytest.approx(one['F1_absent'])
    assert other['AP'] == pytest.approx(one['AP_absent'], nan_ok=True)
    assert other['AUROC'] == pytest.approx(one['AUROC'], nan_ok=True)
    for name in ('brier', 'cross_entropy'):
        assert other[name] == pytest.approx(one[name])


def test_perfect_and_wrong_scores():
    truth = np.array([[True, False], [False, True], [True, True]])
    known = np.ones_like(truth)
    perfect = presence_scores(truth, known, truth.astype(float)).summary
    for name in ('AP', 'AUROC', 'AP_absent', 'F1', 'F1_absent_best', 'AUROC_pooled'):
        assert perfect[name] == 1
    assert perfect['brier'] == perfect['ECE'] == 0
    assert 0 < perfect['cross_entropy'] < 1e-6
    wrong = presence_scores(truth, known, 1.0 - truth).summary
    assert wrong['AUROC'] == wrong['F1'] == 0
    assert wrong['brier'] == wrong['ECE'] == 1
    assert wrong['cross_entropy'] == pytest.approx(-math.log(1e-7))


def test_unknown_keypoints_do_not_count():
    truth, known, scores = data()
    before = presence_scores(truth, known, scores)
    changed = np.where(known, scores, 77.0)
    changed[np.argwhere(~known)[0][0], np.argwhere(~known)[0][1]] = np.nan
    after = presence_scores(truth ^ ~known, known, changed)
    assert after == before


def test_keypoints_of_one_state_are_left_out_of_means():
    truth, known, scores = data()
    truth[:, 1] = True
    known[:, 3] = False
    found = presence_scores(truth, known, scores)
    assert found.ranked == 3
    assert math.isnan(found.keypoints[1]['AUROC'])
    assert found.keypoints[1]['share_present'] == 1
    assert found.keypoints[3]['n'] == 0
    rest = [found.keypoints[k]['AP'] for k in (0, 2, 4)]
    assert found.summary['AP'] == pytest.approx(np.mean(rest))


def test_one_state_alone_has_no_ranking():
    found = presence_scores(np.ones((3, 2)), np.ones((3, 2)), np.full((3, 2), 0.7), threshold=0.6)
    undefined = {name for name, value in found.summary.items() if math.isnan(value)}
    assert {'AP', 'AUROC', 'AP_absent', 'best_threshold', 'F1_best', 'F1_absent'} <= undefined
    assert found.summary['F1'] == 1
    assert found.summary['F1_val'] == 1
    assert found.summary['cross_entropy'] == pytest.approx(-math.log(0.7))
    assert found.summary['ECE'] == pytest.approx(0.3)
    assert found.ranked == 0


def test_scores_beyond_probabilities_are_cut_but_ranked():
    truth = np.array([[True], [True], [False], [False]])
    scores = np.array([[3.0], [1.2], [1.1], [-0.5]])
    summary = presence_scores(truth, np.ones_like(truth), scores).summary
    assert summary['AUROC'] == 1  # though three of them are cut to 1
    assert summary['brier'] == pytest.approx(1 / 4)
    assert 0 <= summary['best_threshold'] <= 1


def test_bins():
    bins = reliability(np.array([True, False, True, True]), np.array([0.0, 0.5, 0.99, 1.0]), 2)
    assert [one['n'] for one in bins] == [1, 3]
    assert bins[1]['mean_score'] == pytest.approx((0.5 + 0.99 + 1) / 3)
    assert bins[1]['share_present'] == pytest.approx(2 / 3)
    assert (bins[0]['lower'], bins[0]['upper'], bins[1]['upper']) == (0, 0.5, 1)
    expected = 1 / 4 * 1 + 3 / 4 * abs((0.5 + 0.99 + 1) / 3 - 2 / 3)
    assert expected_calibration_error(bins) == pytest.approx(expected)
    assert math.isnan(reliability(np.array([True]), np.array([0.9]), 2)[0]['mean_score'])


def test_f1_of_nothing_is_undefined():
    assert math.isnan(f1_scores(0, 0, 0, 5)['F1'])
    assert f1_scores(0, 0, 0, 5)['F1_absent'] == 1
    assert f1_scores(0, 2, 0, 5)['F1'] == 0


@pytest.mark.parametrize(
    ('truth', 'known', 'scores', 'message'),
    [
        (np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 2)), r'scores \(2, 2\), expected'),
        (np.ones(3), np.ones(3), np.ones(3), r'truth \(3,\)'),
        (np.ones((2, 3)), np.zeros((2, 3)), np.ones((2, 3)), 'of none of 6 keypoints it is known'),
        (
            np.ones((2, 3)),
            np.ones((2, 3)),
            [[0, 0, 0], [0, math.nan, 0]],
            'score of keypoint 1 of person 1 is nan, expected finite',
        ),
    ],
)
def test_bad_input(truth, known, scores, message):
    with pytest.raises(ValueError, match=message):
        presence_scores(truth, known, scores)
