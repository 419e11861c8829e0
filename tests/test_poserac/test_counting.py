import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from projects.poserac import counting
from projects.poserac.counting import (
    ClassVote,
    RepetitionCounter,
    count_repetitions,
    predict_class,
)

DEFAULTS = dict(enter_threshold=0.78, exit_threshold=0.4, momentum=0.4)


class PlainTrigger:
    def __init__(self, enter, leave):
        self.enter, self.leave, self.entered = enter, leave, False

    def __call__(self, value):
        if not self.entered:
            self.entered = value > self.enter
            return False
        if value < self.leave:
            self.entered = False
            return True
        return False


def plain_frames(scores, enter_threshold, exit_threshold, momentum):
    """Frames at which repetitions of one class are counted, step by step from the rules."""
    triggers = [PlainTrigger(enter_threshold, exit_threshold) for _ in range(2)]
    smoothed, start, last = 0.5, None, None
    frames = []
    for frame, score in enumerate(scores):
        if math.isnan(score):
            continue
        smoothed = float(score) * (1.0 - momentum) + momentum * smoothed
        fired_1, fired_2 = triggers[0](smoothed), triggers[1](1 - smoothed)
        assert not (fired_1 and fired_2)
        if start is None:
            if fired_1:
                start = 'I'
            elif fired_2:
                start = 'II'
        if start == 'I':
            if last == 'I' and fired_2:
                frames.append(frame)
        elif last == 'II' and fired_1:
            frames.append(frame)
        if fired_1:
            last = 'I'
        elif fired_2:
            last = 'II'
    return frames


def check(scores, options):
    """Both counters give the plain loop's counts at its frames; the number of repetitions."""
    _, num_classes = scores.shape
    expected = [plain_frames(column, **options) for column in scores.T]
    counts, frames = count_repetitions(scores, return_frames=True, **options)
    assert counts.dtype == np.int64
    assert counts.tolist() == [len(each) for each in expected]
    assert all(each.dtype == np.int64 for each in frames)
    assert [each.tolist() for each in frames] == expected

    stream = RepetitionCounter(num_classes, **options)
    completed = np.zeros(scores.shape, dtype=bool)
    for frame, row in enumerate(scores):
        completed[frame] = stream.update(row)
    assert [np.flatnonzero(column).tolist() for column in completed.T] == expected
    assert stream.counts.tolist() == counts.tolist()
    return counts.sum()


@st.composite
def cases(draw, number=1):
    """Scores of a few values, held for a while, and options; the values like to be thresholds.

    Several scores are missing on the same frames.
    """
    share = st.sampled_from([0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.78, 0.9, 1.0]) | st.floats(0, 1)
    leave, enter = sorted([draw(share), draw(share)])
    momentum = draw(st.sampled_from([0.0, 0.1, 0.4, 0.5, 0.8, 0.99]) | st.floats(0, 0.999))
    edges = [enter, leave, 1 - enter, 1 - leave, 0.0, 1.0]
    edges += [np.nextafter(edge, side) for edge in edges for side in (0.0, 1.0)]
    values = draw(st.lists(st.sampled_from(edges) | st.floats(0, 1), min_size=1, max_size=5))
    if draw(st.booleans()):
        values += [0.0, 1.0]  # or hardly any sequence would have a repetition
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.integers(0, 90)), draw(st.integers(0, 6))
    hold = draw(st.integers(1, 6))
    missing = rng.random(shape[0]) < draw(st.sampled_from([0, 0, 0.2, 1]))
    arrays = []
    for _ in range(number):
        held = rng.choice(values, shape)[np.arange(shape[0]) // hold]
        array = np.where(rng.random(shape) < draw(st.sampled_from([0, 0.3])), 0.5, held)
        array[missing] = np.nan
        arrays.append(array)
    return *arrays, dict(enter_threshold=enter, exit_threshold=leave, momentum=momentum)


@settings(max_examples=1000, deadline=None)
@given(
    cases(),
    st.sampled_from([(128, 80), (8, 80), (8, 10), (3, 2), (16, 0)]),
    st.sampled_from([1 << 18, 100]),
    st.sampled_from([0, 0, 100]),
)
def test_counters_equal_the_plain_loop(case, cut, block, few):
    # pieces so short, and forgetting so little, that many starts are wrong and found to be so
    piece, forgotten = cut
    small = dict(_PIECE=piece, _FORGOTTEN=forgotten, _BLOCK=block, _FEW=few)
    with mock.patch.multiple(counting, **small):
        check(*case)


@pytest.mark.parametrize('momentum', [0.0, 0.4, 0.6, 0.9])
def test_long_sequences_equal_the_plain_loop(momentum, monkeypatch):
    rng = np.random.default_rng(0)
    time = np.arange(700)[:, None]
    scores = 0.5 + 0.5 * np.sin(time / rng.uniform(1, 20, 60) + rng.uniform(0, 6, 60))
    scores = np.clip(scores + rng.normal(0, 0.15, scores.shape), 0, 1)
    scores[:, :10] = scores[:, :10] > 0.5  # saturated
    scores[200:500, 10:20] = 0.0  # decays through all magnitudes: no start is ever forgotten
    scores[200:600, 20:30] = 0.3
    scores[300:340] = np.nan
    options = dict(enter_threshold=0.7, exit_threshold=0.4, momentum=momentum)
    for few in (0, counting._FEW):  # in pieces, and not
        monkeypatch.setattr(counting, '_FEW', few)
        assert check(scores, options) > 60


@pytest.mark.parametrize(
    ('length', 'momentum', 'alone'), [(300, 0.4, 300), (800, 0.4, 0), (800, 0.8, 300)]
)
def test_pieces_are_for_many_scores_that_are_forgotten(length, momentum, alone, monkeypatch):
    filtered = count_filtered(monkeypatch)
    scores = np.random.default_rng(0).random((length, 300))
    count_repetitions(scores, momentum=momentum)
    assert sum(filtered) == alone


def count_filtered(monkeypatch):
    """Numbers of the classes that are smoothed frame by frame."""
    filtered, original = [], counting.filter_scores

    def record(scores, momentum):
        filtered.append(scores.shape[1])
        return original(scores, momentum)

    monkeypatch.setattr(counting, 'filter_scores', record)
    return filtered


def test_most_starts_of_pieces_are_right(monkeypatch):
    """Else the result would still be right, but slow."""
    filtered = count_filtered(monkeypatch)
    rng = np.random.default_rng(0)
    counting._smooth(rng.random((5000, 200)), 0.4)
    counting._smooth(rng.random((5000, 200)) * 1e-9, 0.5)
    assert not filtered


@settings(max_examples=100, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_permuted_classes_permute_counts(case, random):
    scores, options = case
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    counts = count_repetitions(scores, **options)
    assert count_repetitions(scores[:, order], **options).tolist() == counts[order].tolist()


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(0, 90))
def test_further_frames_leave_what_was_counted(case, length):
    scores, options = case
    _, frames = count_repetitions(scores, return_frames=True, **options)
    _, before = count_repetitions(scores[:length], return_frames=True, **options)
    for all_frames, first_frames in zip(frames, before, strict=True):
        assert all_frames[all_frames < length].tolist() == first_frames.tolist()


def test_worked_out_by_hand():
    # Smoothed: 0.8 arms I; 0.92; 0.368 fires I; 0.147 arms II (0.853); 0.659 fires II (0.341):
    # one repetition. 0.864 arms I; 0.345 fires I; 0.138 arms II; 0.655 fires II: another.
    scores = np.array([1, 1, 0, 0, 1, 1, 0, 0, 1])[:, None]
    counts, frames = count_repetitions(scores, return_frames=True)
    assert counts.tolist() == [2]
    assert frames[0].tolist() == [4, 8]
    stream = RepetitionCounter(1)
    smoothed = []
    for row in scores[:4]:
        stream.update(row)
        smoothed.append(stream.smoothed[0])
    assert smoothed == pytest.approx([0.8, 0.92, 0.368, 0.1472])


def test_the_pose_that_fires_first_is_the_start():
    options = dict(DEFAULTS, momentum=0)
    low_first = np.array([0.1, 0.9, 0.1, 0.9, 0.5])[:, None]  # II fires at 1 and 3, I at 2
    high_first = 1 - low_first  # I fires at 1 and 3, II at 2
    for scores in (low_first, high_first):
        assert count_repetitions(scores, return_frames=True, **options)[1][0].tolist() == [2]


def test_values_at_a_threshold_neither_arm_nor_fire():
    options = dict(enter_threshold=0.75, exit_threshold=0.25, momentum=0.0)
    exact = np.array([0.75, 0.25] * 4)[:, None]
    assert count_repetitions(exact, **options).tolist() == [0]
    past = np.array([0.75 + 2**-52, 0.25 - 2**-52] * 4)[:, None]
    assert count_repetitions(past, **options).tolist() == [3]


def test_missing_frames_are_bridged():
    rng = np.random.default_rng(0)
    scores = rng.random((200, 5))
    counts, frames = count_repetitions(scores, 0.6, 0.4, return_frames=True)
    assert counts.min() > 3
    seen = np.sort(rng.permutation(300)[:200])
    gaps = np.full((300, 5), np.nan)
    gaps[seen] = scores
    with_gaps, frames_with_gaps = count_repetitions(gaps, 0.6, 0.4, return_frames=True)
    assert with_gaps.tolist() == counts.tolist()
    for before, after in zip(frames, frames_with_gaps, strict=True):
        assert after.tolist() == seen[before].tolist()


@pytest.mark.parametrize('shape', [(0, 3), (0, 0), (5, 0), (1, 2)])
def test_nothing_to_count(shape):
    for fill in (1.0, np.nan):
        counts, frames = count_repetitions(np.full(shape, fill), return_frames=True)
        assert counts.tolist() == [0] * shape[1]
        assert [each.tolist() for each in frames] == [[]] * shape[1]
    stream = RepetitionCounter(shape[1])
    for _ in range(shape[0]):
        assert not stream.update(np.ones(shape[1])).any()


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_arrays_and_tensors_of_any_precision(dtype):
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(400, 6, generator=generator).to(dtype).requires_grad_()
    exact = scores.detach().double().numpy()
    expected = count_repetitions(exact, 0.6, 0.4)
    assert expected.min() > 3
    assert count_repetitions(scores, 0.6, 0.4).tolist() == expected.tolist()
    assert count_repetitions(np.asfortranarray(exact), 0.6, 0.4).tolist() == expected.tolist()
    stream, vote = RepetitionCounter(6, 0.6, 0.4), ClassVote(6, 0.6)
    for row in scores:
        stream.update(row)
        vote.update(row)
    assert stream.counts.tolist() == expected.tolist()
    assert (
        vote.label == predict_class(scores, enter_threshold=0.6) == predict_class(exact, None, 0.6)
    )
    if torch.cuda.is_available():
        assert count_repetitions(scores.cuda(), 0.6, 0.4).tolist() == expected.tolist()


def test_scores_are_left_as_they_are():
    scores = np.random.default_rng(0).random((300, 4))
    copy = scores.copy()
    count_repetitions(scores, return_frames=True)
    stream = RepetitionCounter(4)
    stream.update(scores[0])
    predict_class(scores, scores)
    np.testing.assert_array_equal(scores, copy)
    stream.counts[:] = 7  # what is handed out is a copy
    stream.smoothed[:] = 7
    assert stream.counts.max() == 0
    assert stream.smoothed.max() < 1


def test_streams_start_anew():
    scores = np.random.default_rng(0).random((60, 4))
    stream, vote = RepetitionCounter(4, 0.6), ClassVote(4, 0.6)
    for _ in range(2):
        stream.reset()
        vote.reset()
        assert vote.label == -1
        for row in scores:
            stream.update(row)
            vote.update(row)
        assert stream.counts.tolist() == count_repetitions(scores, 0.6).tolist()
    vote.reset()
    vote.update(scores[0], scores[0])  # another kind of scores than before


ONES = np.ones((4, 2))
PARTLY = np.where(np.eye(4, 2), np.nan, 1)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((ONES, 0.3, 0.4), 'exit_threshold is 0.4 and enter_threshold 0.3, expected 0 <= exit'),
        ((ONES, 1.1), 'enter_threshold 1.1'),
        ((ONES, 0.5, -0.1), 'exit_threshold is -0.1'),
        ((ONES, math.nan), 'enter_threshold nan'),
        ((ONES, 0.5, 0.4, 1.0), 'momentum is 1.0, expected at least 0 and below 1'),
        ((ONES, 0.5, 0.4, -0.1), 'momentum is -0.1'),
        ((ONES[0],), r'scores have shape \(2,\), expected \(T, C\)'),
        ((ONES[None],), r'scores have shape \(1, 4, 2\)'),
        ((np.array([['a']]),), 'scores are of dtype <U1, expected numbers'),
        ((PARTLY,), 'scores hold nan in frame 0, class 0, expected finite numbers'),
        ((ONES * math.inf,), 'scores hold inf in frame 0, class 0'),
    ],
)
def test_bad_input_of_counting(arguments, message):
    with pytest.raises(ValueError, match=message):
        count_repetitions(*arguments)


@pytest.mark.parametrize(
    ('options', 'scores', 'message'),
    [
        (dict(num_classes=-1), (), 'num_classes is -1'),
        (dict(enter_threshold=0.3), (), 'exit_threshold is 0.4 and enter_threshold 0.3'),
        (dict(momentum=1), (), 'momentum is 1,'),
        (dict(), (ONES[0, :1],), r'scores have shape \(1,\), expected \(2,\)'),
        (dict(), (ONES,), r'scores have shape \(4, 2\), expected \(C\)'),
        (dict(), (PARTLY[0],), 'scores hold nan in frame 0, class 0'),
    ],
)
def test_bad_input_of_the_stream(options, scores, message):
    def run():
        stream = RepetitionCounter(**dict(dict(num_classes=2), **options))
        before = stream.smoothed
        try:
            stream.update(*scores)
        finally:  # a refused frame leaves no trace
            assert stream.smoothed.tolist() == before.tolist()

    with pytest.raises(ValueError, match=message):
        run()


def test_class_of_most_votes():
    scores = np.full((6, 3), 0.1)
    scores[0, 0] = scores[1, 0] = 0.8
    scores[2:5, 1] = 0.79
    scores[:, 2] += 0.6  # the highest mean, never above the threshold
    assert scores.mean(axis=0).argmax() == 2
    assert predict_class(scores) == 1
    assert predict_class(scores, enter_threshold=0.795) == 0
    assert predict_class(scores, enter_threshold=0.9) == 2  # no votes: the highest mean
    assert predict_class(scores[1:4], enter_threshold=0.5) == 1
    scores[5] = np.nan
    assert predict_class(scores) == 1


def test_a_score_at_the_threshold_is_no_vote():
    scores = np.array([[0.75, 0.0], [0.1, 0.5], [0.1, 0.5]])
    assert predict_class(scores, enter_threshold=0.75) == 1
    assert predict_class(scores, enter_threshold=0.7) == 0
    single = scores.astype(np.float32)
    single[0, 0] = 0.79  # a little more than that in double precision, which compares
    assert predict_class(single, enter_threshold=0.79) == 0


def test_equal_votes_go_by_the_mean():
    scores = np.array([[0.9, 0.3, 0.2], [0.2, 0.95, 0.2], [0.7, 0.7, 0.77]])
    assert predict_class(scores) == 1
    assert predict_class(scores[:, ::-1]) == 1
    assert predict_class(np.array([[0.9, 0.9]])) == 0  # equal in everything


def test_class_of_both_salient_poses():
    first, second = np.array([[0.9, 0.1], [0.2, 0.2]]), np.array([[0.1, 0.3], [0.1, 0.9]])
    assert predict_class(first) == 0
    assert predict_class(first, second) == 1  # 1.1 * 0.2 and 0.3 * 1.2
    rest = np.tile([[0.0, 0.02, 0.0]], (50, 1)), np.tile([[0.5, 0.4, 0.1]], (50, 1))
    raised = np.array([[0.02, 0.9, 0.0]] * 2), np.array([[0.0, 0.02, 0.1]] * 2)
    first, second = (np.concatenate(parts) for parts in zip(rest, raised, strict=True))
    assert (first + second).sum(axis=0).argmax() == 0  # the likelier rest, never raised
    assert predict_class(first, second) == 1
    assert predict_class(np.zeros((2, 3)), np.array([[0.1, 0.2, 0.1]] * 2)) == 1  # no product


def test_no_class():
    assert predict_class(np.full((3, 2), np.nan)) == -1
    assert predict_class(np.full((3, 2), np.nan), np.full((3, 2), np.nan)) == -1
    assert predict_class(np.zeros((0, 2))) == -1
    assert predict_class(np.zeros((3, 0))) == -1
    assert predict_class(np.zeros((3, 2))) == 0
    assert predict_class(np.full((3, 2), 0.1), np.zeros((3, 2))) == 0


@settings(max_examples=100, deadline=None)
@given(
    cases(number=2),
    st.booleans(),
    st.sampled_from([np.float64, np.float32]),
    st.booleans(),
)
def test_streamed_class_equals_offline_after_every_frame(case, both, dtype, transposed):
    scores, second, options = case
    scores = scores.astype(dtype)
    if transposed:
        scores = np.asfortranarray(scores)
    vote = ClassVote(scores.shape[1], options['enter_threshold'])
    for frame, row in enumerate(scores):
        vote.update(row, second[frame] if both else None)
        so_far = second[: frame + 1] if both else None
        assert vote.label == predict_class(scores[: frame + 1], so_far, vote.enter_threshold)


@pytest.mark.parametrize('num_classes', [2, 3, 17])
@pytest.mark.parametrize('order', ['C', 'F'])
def test_streamed_sums_equal_offline_to_the_bit(num_classes, order):
    rng = np.random.default_rng(0)
    shuffled = rng.permuted(np.tile(rng.random((9000, 1)), num_classes), axis=0)
    scores = np.asarray(shuffled, order=order)  # equal but for their rounding
    offline, stream = ClassVote(num_classes), ClassVote(num_classes)
    offline._add(scores, None)
    for row in scores:
        stream.update(row)
    assert len(set(offline._sums[0])) > 1
    assert offline._sums.tolist() == stream._sums.tolist()
    assert offline.label == stream.label == predict_class(scores)


def test_bad_input_of_classes():
    with pytest.raises(ValueError, match='enter_threshold is 1.5, expected a number from 0 to 1'):
        predict_class(ONES, enter_threshold=1.5)
    with pytest.raises(ValueError, match='scores hold nan in frame 0'):
        predict_class(PARTLY)
    with pytest.raises(ValueError, match=r'salient2_scores have shape \(3, 2\), expected \(4, 2\)'):
        predict_class(ONES, ONES[:3])
    with pytest.raises(ValueError, match='salient2_scores hold nan in frame 0, class 0'):
        predict_class(ONES, PARTLY)
    with pytest.raises(ValueError, match='not missing on the same frames.* frame 0'):
        predict_class(ONES, ONES * math.nan)
    with pytest.raises(ValueError, match='num_classes is -1'):
        ClassVote(-1)
    vote = ClassVote(2)
    with pytest.raises(ValueError, match=r'scores have shape \(3,\), expected \(2,\)'):
        vote.update(np.ones(3))
    vote.update(ONES[0])
    vote.update(ONES[0] * math.nan, ONES[0] * math.nan)  # nothing is seen, so nothing differs
    with pytest.raises(ValueError, match='both salient poses, after frames with .* I alone'):
        vote.update(ONES[0], ONES[0])
