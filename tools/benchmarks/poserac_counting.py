"""Speed of counting repetitions, against plain loops over classes and frames.

    OMP_NUM_THREADS=1 python tools/benchmarks/poserac_counting.py      # a minute
    python tools/benchmarks/poserac_counting.py --classes 8 --frames 2000

All count the same scores on one core in one run, taking turns, and must find the same counts. The
scores are periodic curves, of another period and phase in each class, with noise. The loops share
their arithmetic and differ in how a score comes to it:

- "array, score by score": ``float(scores[frame, index])``
- "array, by columns": ``map(float, scores[:, index])``
- "lists": from columns that ``tolist`` turned into lists, the quickest that plain Python knows
- "tensor": as the original code takes it, ``output[index].detach().cpu().numpy()`` of each frame's
  tensor (here the tensor lies on the CPU; from a GPU each of these is a transfer of its own)

A loop is timed on some of the classes and its time scaled to all of them, as the table says.
"""

import argparse
import math
import sys
from collections.abc import Iterable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from timing import describe, interleaved

from projects.poserac.counting import RepetitionCounter, count_repetitions

ENTER, EXIT, MOMENTUM = 0.78, 0.4, 0.4
OFFLINE, STREAM = 'count_repetitions', 'RepetitionCounter'


def make_scores(num_classes: int, num_frames: int, seed: int = 0) -> np.ndarray:
    """(T, C) float32 scores in [0, 1]: of each class a noisy curve with a period of its own.

    Args:
        num_classes: C.
        num_frames: T.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    periods = rng.uniform(20, 120, num_classes)  # frames: about one to four seconds each
    phases = rng.uniform(0, math.tau, num_classes)
    time = np.arange(num_frames)[:, None]
    scores = 0.5 + 0.48 * np.sin(math.tau * time / periods + phases)
    scores += rng.normal(0, 0.05, scores.shape)
    return scores.clip(0, 1).astype(np.float32)


def plain_count(scores: Iterable[float]) -> int:
    """Repetitions of one class, score by score.

    Args:
        scores: Of salient pose I.
    """
    kept = np.float64(1) - MOMENTUM if isinstance(scores, _OneByOne) else 1 - MOMENTUM
    smoothed, count, start, last = 0.5, 0, 0, 0
    entered_1 = entered_2 = False
    for score in scores:
        smoothed = score * kept + MOMENTUM * smoothed
        opposite = 1 - smoothed
        fired = 0
        if not entered_2:
            entered_2 = opposite > ENTER
        elif opposite < EXIT:
            entered_2, fired = False, 2
        if not entered_1:
            entered_1 = smoothed > ENTER
        elif smoothed < EXIT:
            entered_1, fired = False, 1
        if fired:  # never both: one value cannot be below EXIT and above 1 - EXIT
            start = start or fired
            count += last == start != fired
            last = fired
    return count


class _OneByOne:
    """Scores of a class, each taken out of the tensor alone, as an array of no axis."""

    def __init__(self, scores: torch.Tensor, index: int) -> None:
        self.scores, self.index = scores, index

    def __iter__(self) -> Iterable[np.ndarray]:
        for output in self.scores:
            yield output[self.index].detach().cpu().numpy()


def stream_counts(scores: np.ndarray) -> np.ndarray:
    """(C,) counts, frame by frame.

    Args:
        scores: (T, C).
    """
    counter = RepetitionCounter(scores.shape[1], ENTER, EXIT, MOMENTUM)
    for row in scores:
        counter.update(row)
    return counter.counts


def main() -> None:
    """Count in all ways, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--classes', type=int, default=1000)
    parser.add_argument('--frames', type=int, default=10000)
    parser.add_argument('--loop-classes', type=int, default=20, help='that the loops are timed on')
    parser.add_argument('--tensor-classes', type=int, default=5, help='the same, for the tensor')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    for name, value in vars(args).items():
        if value < (name != 'seed'):
            parser.error(f'--{name.replace("_", "-")} is {value}, expected more')
    torch.set_num_threads(1)
    scores = make_scores(args.classes, args.frames, args.seed)
    tensor = torch.from_numpy(scores)
    some = range(min(args.loop_classes, args.classes))
    few = range(min(args.tensor_classes, args.classes))
    frames = range(args.frames)
    jobs = {
        OFFLINE: lambda: count_repetitions(scores, ENTER, EXIT, MOMENTUM),
        STREAM: lambda: stream_counts(scores),
        'loop: array, score by score': lambda: [
            plain_count(float(scores[frame, index]) for frame in frames) for index in some
        ],
        'loop: array, by columns': lambda: [
            plain_count(map(float, scores[:, index])) for index in some
        ],
        'loop: lists': lambda: [plain_count(scores[:, index].tolist()) for index in some],
        'loop: tensor': lambda: [plain_count(_OneByOne(tensor, index)) for index in few],
    }
    found = {}
    device = torch.device('cpu')
    seconds = interleaved(
        {
            name: lambda name=name, job=job: found.update({name: job()})
            for name, job in jobs.items()
        },
        args.repeats,
        device,
    )
    expected = found[OFFLINE]
    for name, counts in found.items():
        if list(counts) != list(expected[: len(counts)]):
            sys.exit(f'the counts differ: {OFFLINE} and {name}')
    table = Table(
        title=f'{args.classes} classes, {args.frames} frames, {describe(device)}; '
        f'{expected.sum()} repetitions, equal in all',
        title_justify='left',
    )
    for column in ('', 'classes timed', 'all classes, s', 'frames/s', 'ratio'):
        table.add_column(column, justify='left' if not column else 'right')
    for name, counts in found.items():
        whole = seconds[name] * args.classes / len(counts)
        ratio = whole / seconds[OFFLINE]
        row = f'{len(counts)}', f'{whole:.4g}', f'{args.frames / whole:.0f}', f'{ratio:.1f}'
        table.add_row(name, *row)
    Console(width=100).print(table)


if __name__ == '__main__':
    main()
