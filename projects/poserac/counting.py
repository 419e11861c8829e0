"""From scores over time to repetitions: offline, as a stream, and of which class."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.signal import lfilter

FIRST_SCORE = 0.5
"""The smoothed score before the first frame: neither salient pose."""

_BLOCK = 1 << 18  # scores that are smoothed together: what comes of them fits the cache
_FEW = 100_000  # scores, of which a filter is quicker than pieces
_PIECE = 128  # frames after which a sequence is cut, to smooth the pieces side by side
_FORGOTTEN = 80  # bits of a wrong start that smoothing loses before a piece begins; a double has 53
_ABOVE_1, _BELOW_1, _ABOVE_2, _BELOW_2 = (np.uint8(1 << bit) for bit in range(4))  # zones


def count_repetitions(
    scores: ArrayLike | torch.Tensor,
    enter_threshold: float = 0.78,
    exit_threshold: float = 0.4,
    momentum: float = 0.4,
    return_frames: bool = False,
) -> np.ndarray | tuple[np.ndarray, list[np.ndarray]]:
    """Count the repetitions of every class in a sequence, as the original code does.

    Scores are smoothed: ``score * (1 - momentum) + momentum * smoothed``, from 0.5 on, in float64.
    Each salient pose has a trigger. The value of the first is the smoothed score, that of the
    second is one minus it. A value above ``enter_threshold`` arms its trigger; a value below
    ``exit_threshold`` on a later frame fires the armed trigger and disarms it.

    The salient pose whose trigger fires first is where repetitions start. One is counted whenever
    the other's trigger fires and the last one to have fired was the start's. Never do both fire
    on one frame: the two values cannot both be below a threshold of 0.5 or less, and with one of
    more whatever arms a trigger fires the other.

    A frame without any score (no pose) changes nothing: counting goes on behind it as if it were
    not there.

    Args:
        scores: (T, C) score of salient pose I of each class, in [0, 1]; NaN in all classes of a
            frame where there is no pose. An array or a tensor on any device.
        enter_threshold: Above it a trigger is armed.
        exit_threshold: Below it an armed trigger fires, at most ``enter_threshold``.
        momentum: Share of the past in the smoothed scores, at least 0 and below 1.
        return_frames: Return also when the repetitions were counted.

    Returns:
        (C,) int64 counts; with ``return_frames`` also a list of C int64 arrays, the frames at
        which the repetitions of each class were counted.

    Raises:
        ValueError: If a threshold or the momentum is out of its range, the scores are no numbers
            of shape (T, C), or a value is infinite or missing in some classes of a frame only.
    """
    enter, leave, momentum = _options(enter_threshold, exit_threshold, momentum)
    scores = _numbers(scores, 'scores', 'T, C')
    seen = _seen_frames(scores)
    if not seen.all():
        scores = scores[seen]
    length, num_classes = scores.shape
    counts = np.zeros(num_classes, dtype=np.int64)
    found = [np.zeros(0, dtype=np.int64)]
    block = max(1, _BLOCK // max(1, length))
    for start in range(0, num_classes if length else 0, block):
        part = slice(start, start + block)
        zones = trigger_zones(_smooth(scores[:, part], momentum), enter, leave)  # (S, P, c)
        zones = zones.transpose(2, 1, 0).reshape(zones.shape[2], -1)[:, :length]  # (c, T)
        rows, steps = _completed(*fired_triggers(zones), length)
        counts[part] = np.bincount(rows, minlength=len(zones))
        found.append(steps)
    if not return_frames:
        return counts
    frames = np.flatnonzero(seen)[np.concatenate(found)]
    return counts, np.split(frames, counts.cumsum()[:-1]) if num_classes else []


def _smooth(scores: np.ndarray, momentum: float) -> np.ndarray:
    """Smoothed scores, to the bit what the sum frame by frame gives.

    Each frame needs the one before, which leaves a processor waiting: with 1,000 classes a filter
    would take most of the time of counting. So a sequence of many scores is cut into pieces of S
    frames, and all of them are smoothed at once, each from where the last frames of the piece
    before lead from a guess. The guess does not matter any more, bit for bit, where the piece
    before in the end arrives at that very start; where it does not, a filter goes frame by frame.

    Args:
        scores: (T, c), T at least 1.
        momentum: Share of the past.

    Returns:
        (S, P, c) float64 with P pieces; frame ``p * S + s`` stands at ``[s, p]``. What stands
        behind the last frame has no meaning.
    """
    length, num_classes = scores.shape
    forgets = math.ceil(_FORGOTTEN / -math.log2(momentum)) if momentum else 0  # frames
    if scores.size < _FEW or forgets >= _PIECE:
        return filter_scores(scores, momentum).T[:, None]  # (T, 1, c)
    whole, rest = divmod(length, _PIECE)
    values = np.empty((_PIECE, whole + (rest > 0), num_classes))
    values[:, :whole] = scores[: whole * _PIECE].reshape(whole, _PIECE, num_classes).swapaxes(0, 1)
    if rest:
        values[:rest, whole] = scores[whole * _PIECE :]
        values[rest:, whole] = 0
    values *= 1.0 - momentum

    # As many steps whatever T and c are, each over all pieces of all classes.
    arrived = values[-1 - forgets, :-1].copy()  # (P - 1, c), at the end of each piece but the last
    for step in range(_PIECE - forgets, _PIECE):
        arrived *= momentum
        arrived += values[step, :-1]
    past = np.full(values.shape[1:], FIRST_SCORE)  # (P, c), before each piece
    past[1:] = arrived
    share = np.empty_like(past)
    for step in range(_PIECE):
        np.multiply(past, momentum, out=share)
        past = values[step]
        past += share
    wrong = np.flatnonzero((values[-1, :-1] != arrived).any(axis=0))
    if len(wrong):
        padded = np.zeros((len(wrong), values.shape[1] * _PIECE))
        padded[:, :length] = filter_scores(scores[:, wrong], momentum)
        values[..., wrong] = padded.reshape(len(wrong), -1, _PIECE).T
    return values


def filter_scores(scores: np.ndarray, momentum: float) -> np.ndarray:
    """Smoothed scores, as :func:`count_repetitions` has them.

    Args:
        scores: (T, C), none missing.
        momentum: Share of the past.

    Returns:
        (C, T) float64.
    """
    shares = np.array(scores.T, dtype=np.float64, order='C')
    shares *= 1.0 - momentum
    # The filter's own factor on the scores is 1, so that each product is rounded before the sum
    # even where a compiler fuses the two: the same bits on any machine.
    past = np.full((len(shares), 1), momentum * FIRST_SCORE)
    return lfilter([1.0], [1.0, -momentum], shares, axis=1, zi=past)[0]


def trigger_zones(
    smoothed: np.ndarray, enter_threshold: float, exit_threshold: float
) -> np.ndarray:
    """Whether the values of both triggers are above or below the thresholds.

    Args:
        smoothed: Smoothed scores of any shape, the values of trigger I.
        enter_threshold: Above it a trigger is armed.
        exit_threshold: Below it an armed trigger fires.

    Returns:
        Bits for :func:`fired_triggers`, uint8 of the same shape.
    """
    opposite = 1 - smoothed
    zones = (smoothed > enter_threshold).view(np.uint8)
    zones |= (smoothed < exit_threshold).view(np.uint8) << 1
    zones |= (opposite > enter_threshold).view(np.uint8) << 2
    zones |= (opposite < exit_threshold).view(np.uint8) << 3
    return zones


def fired_triggers(zones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the triggers of salient poses I and II fire.

    Args:
        zones: (C, T) what :func:`trigger_zones` gives, in order of time.

    Returns:
        For either trigger the places ``class * T + frame`` at which it fires, int64, ascending.
    """
    # A trigger is armed and fires where its value crosses a threshold: few frames are left.
    length = zones.shape[1]
    crossed = zones.copy()
    crossed[:, 1:] &= ~zones[:, :-1]
    crossed = crossed.ravel()
    fired = []
    for above, below in ((_ABOVE_1, _BELOW_1), (_ABOVE_2, _BELOW_2)):
        own = crossed & (above | below)
        places = np.flatnonzero(own != 0)  # of booleans, which is faster
        arms, rows = own[places] == above, places // length
        fires = arms[:-1] & ~arms[1:] & (rows[:-1] == rows[1:])
        fired.append(places[1:][fires])
    return tuple(fired)


def _completed(
    fired_1: np.ndarray, fired_2: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Class and frame of each repetition, by class and then by frame.

    Args:
        fired_1: Where trigger I fires, as :func:`fired_triggers` says.
        fired_2: Where trigger II fires, nowhere where I does.
        length: Number of frames T.
    """
    events = np.concatenate([fired_1, fired_2])
    order = events.argsort(kind='stable')  # which is quick to merge two that are in order
    rows, steps = np.divmod(events[order], length)
    is_1 = order < len(fired_1)
    initial = np.ones(len(events), dtype=bool)  # the first event of its class
    initial[1:] = rows[1:] != rows[:-1]
    origin = np.maximum.accumulate(np.where(initial, np.arange(len(events)), 0))
    start = is_1[origin]
    last = np.roll(is_1, 1)  # the last of another class where initial, which is not used
    completes = (is_1 != start) & (last == start)  # never the start's event itself
    return rows[completes], steps[completes]


class RepetitionCounter:
    """Counts the repetitions of every class frame by frame.

    The same counts at the same frames as :func:`count_repetitions`, which says how it is done.

    Args:
        num_classes: Number of classes C.
        enter_threshold: Above it a trigger is armed.
        exit_threshold: Below it an armed trigger fires, at most ``enter_threshold``.
        momentum: Share of the past in the smoothed scores, at least 0 and below 1.

    Raises:
        ValueError: If an option is out of its range.
    """

    def __init__(
        self,
        num_classes: int,
        enter_threshold: float = 0.78,
        exit_threshold: float = 0.4,
        momentum: float = 0.4,
    ) -> None:
        self.num_classes = _class_number(num_classes)
        self.enter_threshold, self.exit_threshold, self.momentum = _options(
            enter_threshold, exit_threshold, momentum
        )
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._smoothed = np.full(self.num_classes, FIRST_SCORE)
        self._armed = np.zeros((2, self.num_classes), dtype=bool)  # trigger I, trigger II
        self._started, self._starts_with_1, self._last_was_1 = np.zeros(
            (3, self.num_classes), dtype=bool
        )
        self._counts = np.zeros(self.num_classes, dtype=np.int64)

    @property
    def counts(self) -> np.ndarray:
        """(C,) int64 repetitions so far."""
        return self._counts.copy()

    @property
    def smoothed(self) -> np.ndarray:
        """(C,) smoothed scores of salient pose I."""
        return self._smoothed.copy()

    def update(self, scores: ArrayLike | torch.Tensor) -> np.ndarray:
        """Take the next frame.

        Args:
            scores: (C,) score of salient pose I of each class; NaN in all where there is no pose.

        Returns:
            (C,) True = this frame completed a repetition of the class.

        Raises:
            ValueError: If the scores are no numbers of shape (C,), or are infinite or missing in
                some classes only.
        """
        scores = _frame(scores, 'scores', self.num_classes)
        if not _seen_frames(scores)[0]:
            return np.zeros(self.num_classes, dtype=bool)

        self._smoothed = scores[0] * (1.0 - self.momentum) + self.momentum * self._smoothed
        values = np.stack([self._smoothed, 1 - self._smoothed])  # (2, C)
        below = values < self.exit_threshold
        fired_1, fired_2 = self._armed & below  # never both
        self._armed = (self._armed | (values > self.enter_threshold)) & ~below

        fired = fired_1 | fired_2
        completes = (
            (fired & self._started)
            & (fired_1 != self._starts_with_1)
            & (self._last_was_1 == self._starts_with_1)
        )
        self._starts_with_1 = np.where(self._started, self._starts_with_1, fired_1)
        self._last_was_1 = np.where(fired, fired_1, self._last_was_1)
        self._started |= fired
        self._counts += completes
        return completes


def predict_class(
    scores: ArrayLike | torch.Tensor,
    salient2_scores: ArrayLike | torch.Tensor | None = None,
    enter_threshold: float = 0.78,
) -> int:
    """The class that a sequence shows, found without ground truth.

    With the scores of salient pose I alone, the class cannot be read from a frame that shows
    salient pose II. Each frame whose highest score is above ``enter_threshold`` is a vote for the
    class of that score. The most votes win; among equals, or if there are no votes at all, the
    highest mean score does.

    With scores of both salient poses it is the class of which both are seen: each score is summed
    over the frames, and the product of the two sums is the largest. Several classes share a resting
    pose, in which a person spends most of the time; a sum of both scores would be a guess at which
    of them.

    Args:
        scores: (T, C) score of salient pose I of each class; NaN in all classes of a frame where
            there is no pose.
        salient2_scores: (T, C) score of salient pose II, comparable between the classes, not the
            complement of the first. Missing on the same frames.
        enter_threshold: What a vote needs, where salient pose I alone has scores.

    Returns:
        Index of the class; among equals in everything the first; -1 if no frame has a pose.

    Raises:
        ValueError: If the scores are no numbers of shape (T, C), differ in shape, are infinite or
            missing in some classes of a frame only, or ``enter_threshold`` is not in [0, 1].
    """
    first = _numbers(scores, 'scores', 'T, C')
    second = None
    if salient2_scores is not None:
        second = _numbers(salient2_scores, 'salient2_scores', 'T, C')
    vote = ClassVote(first.shape[1], enter_threshold)
    vote._add(first, second)
    return vote.label


class ClassVote:
    """The class that a stream shows, after each frame what :func:`predict_class` says so far.

    Args:
        num_classes: Number of classes C.
        enter_threshold: What a vote needs, where salient pose I alone has scores.

    Raises:
        ValueError: If an option is out of its range.
    """

    def __init__(self, num_classes: int, enter_threshold: float = 0.78) -> None:
        self.num_classes = _class_number(num_classes)
        if not 0 <= enter_threshold <= 1:
            raise ValueError(f'enter_threshold is {enter_threshold}, expected a number from 0 to 1')
        self.enter_threshold = float(enter_threshold)
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._votes = np.zeros(self.num_classes, dtype=np.int64)
        self._sums = np.zeros((2, self.num_classes))  # of the scores of salient poses I and II
        self._voting = None  # until a frame is seen: votes, or sums of both salient poses?

    def update(
        self,
        scores: ArrayLike | torch.Tensor,
        salient2_scores: ArrayLike | torch.Tensor | None = None,
    ) -> None:
        """Take the next frame.

        Args:
            scores: (C,) score of salient pose I of each class; NaN in all where there is no pose.
            salient2_scores: (C,) score of salient pose II.

        Raises:
            ValueError: If scores are no numbers of shape (C,), are infinite or missing in some
                classes only, or frames before had other kinds of scores.
        """
        second = None
        if salient2_scores is not None:
            second = _frame(salient2_scores, 'salient2_scores', self.num_classes)
        self._add(_frame(scores, 'scores', self.num_classes), second)

    @property
    def label(self) -> int:
        """The class so far, -1 if no frame had a pose."""
        if self._voting is None:
            return -1
        best = self._votes if self._voting else self._sums.prod(axis=0)
        winners = best == best.max()
        return int(np.where(winners, self._sums.sum(axis=0), -np.inf).argmax())

    def _add(self, first: np.ndarray, second: np.ndarray | None) -> None:
        """Take (T, C) scores of salient pose I, and of II or None."""
        seen = _seen_frames(first, second)
        if not seen.any() or not self.num_classes:
            return
        voting = second is None
        if self._voting not in (None, voting):
            kinds = {True: 'salient pose I alone', False: 'both salient poses'}
            raise ValueError(
                f'scores of {kinds[voting]}, after frames with scores of {kinds[self._voting]}'
            )
        self._voting = voting
        if not seen.all():
            first, second = first[seen], None if second is None else second[seen]
        if voting:
            best = first.argmax(axis=1)
            highest = np.take_along_axis(first, best[:, None], axis=1)[:, 0]  # (T,)
            votes = best[highest.astype(np.float64) > self.enter_threshold]
            self._votes += np.bincount(votes, minlength=self.num_classes)
        for sums, scores in zip(self._sums, (first,) if voting else (first, second), strict=False):
            # Rows of contiguous classes are added one after another, as a stream adds them; along
            # contiguous frames NumPy would add in pairs, and round otherwise.
            sums += np.ascontiguousarray(scores, dtype=np.float64).sum(axis=0)


def _options(enter: float, leave: float, momentum: float) -> tuple[float, float, float]:
    if not 0 <= leave <= enter <= 1:
        raise ValueError(
            f'exit_threshold is {leave} and enter_threshold {enter}, expected '
            '0 <= exit_threshold <= enter_threshold <= 1'
        )
    if not 0 <= momentum < 1:
        raise ValueError(f'momentum is {momentum}, expected at least 0 and below 1')
    return float(enter), float(leave), float(momentum)


def _class_number(num_classes: int) -> int:
    if num_classes < 0:
        raise ValueError(f'num_classes is {num_classes}, expected at least 0')
    return num_classes


def _numbers(scores: Any, name: str, shape: str) -> np.ndarray:
    """The scores as an array of their own precision, with as many axes as the shape's letters."""
    if isinstance(scores, torch.Tensor):
        scores = scores.detach().cpu()
        scores = (scores.float() if scores.dtype == torch.bfloat16 else scores).numpy()
    scores = np.asarray(scores)
    if scores.dtype.kind not in 'fiub':
        raise ValueError(f'{name} are of dtype {scores.dtype}, expected numbers')
    if scores.ndim != len(shape.split(',')):
        raise ValueError(f'{name} have shape {scores.shape}, expected ({shape})')
    return scores


def _frame(scores: Any, name: str, num_classes: int) -> np.ndarray:
    """One frame's scores as (1, C) float64."""
    scores = _numbers(scores, name, 'C')
    if len(scores) != num_classes:
        raise ValueError(f'{name} have shape {scores.shape}, expected ({num_classes},)')
    return scores.astype(np.float64)[None]


def _seen_frames(first: np.ndarray, second: np.ndarray | None = None) -> np.ndarray:
    """(T,) True = the frame has scores.

    Args:
        first: (T, C) scores.
        second: (T, C) scores of salient pose II, or None.

    Raises:
        ValueError: If a value is infinite, or missing where others of its frame are not.
    """
    missing = None
    for name, scores in (('scores', first), ('salient2_scores', second)):
        if scores is None:
            continue
        if scores.shape != first.shape:
            raise ValueError(f'{name} have shape {scores.shape}, expected {first.shape} of scores')
        usable = np.isfinite(scores)
        if usable.all():
            absent = np.zeros(len(scores), dtype=bool)
        else:
            absent = np.isnan(scores).all(axis=1)
            odd = np.argwhere(~usable & ~absent[:, None])
            if len(odd):
                frame, index = odd[0]
                raise ValueError(
                    f'{name} hold {scores[frame, index]} in frame {frame}, class {index}, '
                    'expected finite numbers, or NaN in all classes of a frame'
                )
        if missing is not None and (absent != missing).any():
            frame = np.flatnonzero(absent != missing)[0]
            raise ValueError(
                f'scores and {name} are not missing on the same frames: first of frame {frame}'
            )
        missing = absent
    return ~missing
