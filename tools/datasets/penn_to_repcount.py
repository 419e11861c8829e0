"""Turns the joints of Penn Action into a data set in RepCount-pose's layout.

Penn Action marks 13 joints in every frame of its clips, but counts no repetitions. Squats,
pull-ups, push-ups, sit-ups and jumping jacks get theirs from a signal of the joints, such as the
height of the hips over the ankles: its extremes are the salient poses, and a repetition goes from
one rest pose to the next. These are reference counts, derived and not annotated by a person. What
is learnt is real motion of real people in the published split.

The publishers have cut these clips to a single repetition each, so that always counting one is
never wrong. To have something to count, the clips of the test half are also written played several
times in a row (test_looped.csv).

Example:
    python tools/datasets/penn_to_repcount.py ~/Penn_Action/labels --out data/penn_repcount
"""

import argparse
import csv
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from projects.files import whole_folder
from projects.matlab import read_mat
from projects.penn_labels import known_joints
from projects.poserac.penn_signals import (
    EXERCISES,
    PENN,
    Repetitions,
    exercise_signal,
    find_repetitions,
    smooth_signal,
)

ACTIONS = tuple(EXERCISES)
_BY_PENN_NAME = {exercise.penn_name: name for name, exercise in EXERCISES.items()}
_README = """Penn Action in RepCount-pose's layout, written by tools/datasets/penn_to_repcount.py

The counts, the repetitions (L1, L2 ...) and the salient poses in these files are NOT ANNOTATED BY
A PERSON. They are derived from Penn Action's marked joints: extremes of a signal such as the height
of the hips over the ankles. Say so beside any score that is measured on them.

annotation/train.csv        clips of the published training half, frames from 0; they have been cut
                            to a single repetition each
annotation/test.csv         clips of the published test half, likewise: always counting one is right
annotation/test_looped.csv  the clips of the test half, each played {least} to {most} times in a row
annotation/pose_train.csv   pairs (salient pose I, salient pose II) of the training half
annotation_pose/train.csv   the salient poses: 13 x (x, y) pixels, layout 'penn', nan where a joint
                            is not marked
train_poses, test_poses     (frames, 13, 2) float32 pixels
left_out.txt                the clips that are in none of these files, and why
"""


class Clip(NamedTuple):
    """A clip of one of the exercises."""

    name: str
    """Its number, as the file is named."""
    action: str
    """One of ``ACTIONS``."""
    train: bool
    """Which half of the published split it is in."""
    poses: np.ndarray
    """(T, 13, 2) float32 pixels, NaN where a joint is not marked."""


@dataclass
class Findings:
    """What was written and what was left out."""

    counts: dict[tuple[str, str], Counter] = field(default_factory=dict)
    """Number of clips by their count of repetitions, for each action and half."""
    left_out: list[str] = field(default_factory=list)
    """Clips without a count, and why."""


def read_clip(path: Path) -> Clip | None:
    """A clip of Penn Action.

    A joint that is outside of the picture or hidden by the body stands at the picture's first pixel
    in every frame of the clip; it becomes NaN. What is marked as invisible elsewhere has been put
    there by a person, and is kept.

    Args:
        path: MATLAB file of Penn Action.

    Returns:
        None if it is of none of the exercises.

    Raises:
        ValueError: If it is no such file; the message names it.
    """
    fields = ('action', 'x', 'y', 'visibility', 'train')
    found = read_mat(path, fields)
    for name in fields:
        if np.size(found.get(name, ())) == 0:
            raise ValueError(f"{path}: field '{name}' is missing or empty")
    action = _BY_PENN_NAME.get(str(found['action'].ravel()[0]).strip())
    if action is None:
        return None
    shape = found['x'].shape
    for name in ('x', 'y', 'visibility'):
        array = found[name]
        if (
            array.shape != shape
            or shape[1:] != (PENN.num_joints,)
            or array.dtype.kind not in 'buif'
        ):
            raise ValueError(
                f"{path}: field '{name}' is {array.dtype} of shape {array.shape}, expected numbers "
                f'(frames, {PENN.num_joints}), as many frames as in the others'
            )
    train = found['train'].ravel()[0]
    if train not in (1, -1):
        raise ValueError(f"{path}: field 'train' is {train!r}, expected 1 or -1")
    poses = np.stack([found['x'], found['y']], axis=-1).astype(np.float32)  # (T, 13, 2)
    poses[~known_joints(found['x'], found['y'], found['visibility'] != 0)] = np.nan
    return Clip(path.stem, action, bool(train == 1), poses)


def count_clip(clip: Clip) -> tuple[np.ndarray, Repetitions]:
    """Smoothed signal and repetitions of a clip.

    Args:
        clip: The clip.

    Returns:
        The signal (T,) in lengths of the trunk, and at least one repetition.

    Raises:
        ValueError: If no repetition can be told, and why.
    """
    signal = smooth_signal(exercise_signal(clip.poses.astype(float), clip.action))
    found = find_repetitions(signal)
    if not len(found.salient1):
        raise ValueError(
            f'no repetition that begins and ends near rest; the signal has a range of '
            f'{np.ptp(signal):.2f} lengths of the trunk'
        )
    return signal, found


def loops_of(name: str, loops: tuple[int, int], seed: int) -> int:
    """How often a clip is played: by chance, but not that of other clips.

    Args:
        name: Name of the clip.
        loops: Least and greatest number.
        seed: Seed of the chance.
    """
    stream = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return int(stream.integers(loops[0], loops[1] + 1))


def convert(
    source: Path, out: Path, loops: tuple[int, int], seed: int, plots: int, console: Console
) -> Findings:
    """Write the data set.

    Args:
        source: Folder of Penn Action's MATLAB files.
        out: Folder to write into.
        loops: Least and greatest number of times that a clip is played in ``test_looped.csv``.
        seed: Seed of how often.
        plots: How many clips of each action and half to draw.
        console: Where progress is shown.

    Raises:
        FileNotFoundError: If there are no MATLAB files.
        ValueError: If none of them is of use.
    """
    paths = sorted(source.glob('*.mat')) or sorted(source.glob('labels/*.mat'))
    if not paths:
        raise FileNotFoundError(f'{source}: has no .mat files, neither has its folder labels')
    findings = Findings()
    rows: dict[str, list] = dict(train=[], test=[], test_looped=[], pose_train=[])
    salient: list[list[str]] = []
    drawn: dict[str, list] = {}
    for folder in ('annotation', 'annotation_pose', 'train_poses', 'test_poses'):
        (out / folder).mkdir(parents=True)
    for path in track(paths, 'clips', console=console):
        try:
            clip = read_clip(path)
            if clip is None:
                continue
            signal, found = count_clip(clip)
        except ValueError as error:
            text = str(error)
            findings.left_out.append(text if str(path) in text else f'{path}: {text}')
            continue
        half = 'train' if clip.train else 'test'
        count, frames = len(found.salient1), len(clip.poses)
        rows[half].append((clip.action, clip.name, count, found.bounds))
        np.save(out / f'{half}_poses' / f'{clip.name}.npy', clip.poses)
        if clip.train:
            rows['pose_train'].append((clip.action, clip.name, count, found.pairs))
            salient += salient_rows(clip, found)
        else:
            times = loops_of(clip.name, loops, seed)
            name = f'{clip.name}_looped'
            bounds = found.bounds + frames * np.arange(times)[:, None, None]  # (times, R, 2)
            rows['test_looped'].append((clip.action, name, count * times, bounds.reshape(-1, 2)))
            looped = np.tile(clip.poses, (times, 1, 1))
            np.save(out / 'test_poses' / f'{name}.npy', looped)
        findings.counts.setdefault((clip.action, half), Counter())[count] += 1
        drawings = drawn.setdefault(f'{clip.action}_{half}', [])
        if len(drawings) < plots:
            drawings.append((clip.name, signal, found))
    if not findings.counts:
        first = f', the first problem: {findings.left_out[0]}' if findings.left_out else ''
        raise ValueError(f'{source}: no clip of {", ".join(_BY_PENN_NAME)} of use{first}')
    for name, videos in rows.items():
        write_annotation(out / 'annotation' / f'{name}.csv', videos)
    write_rows(out / 'annotation_pose' / 'train.csv', salient)
    actions = [[number, name, number] for number, name in enumerate(ACTIONS)]
    write_rows(out / 'all_action.csv', [['', 'action', 'label'], *actions])
    for name, drawings in drawn.items():
        if drawings:
            draw(out / 'plots' / f'{name}.png', name, drawings)
    (out / 'README.txt').write_text(_README.format(least=loops[0], most=loops[1]))
    (out / 'left_out.txt').write_text(''.join(f'{text}\n' for text in findings.left_out))
    return findings


def salient_rows(clip: Clip, found: Repetitions) -> list[list[str]]:
    """Rows of ``annotation_pose/train.csv``: every extreme, also the rest before the first one.

    Args:
        clip: The clip.
        found: Its repetitions.
    """
    rows = []
    for state, frames in (('salient1', found.salient1), ('salient2', found.rest)):
        for frame in frames.tolist():
            pose = clip.poses[frame]
            if np.isfinite(pose).all(-1).any():
                path = f'train/{clip.action}/{state}/{clip.name}.mp4/{frame}.jpg'
                rows.append([path, clip.action, *map(str, pose.ravel())])  # 26 numbers
    return rows


def write_annotation(path: Path, videos: Sequence[tuple[str, str, int, np.ndarray]]) -> None:
    """Write one of RepCount's annotation files.

    Args:
        path: The file.
        videos: Action, name, count and (R, 2) pairs of frames of each.
    """
    columns = max((2 * len(pairs) for *_, pairs in videos), default=2)
    header = ['type', 'name', 'count', *(f'L{number}' for number in range(1, columns + 1))]
    rows = []
    for action, name, count, pairs in videos:
        numbers = pairs.ravel().tolist()  # R * 2
        blank = [''] * (columns - len(numbers))
        rows.append([action, f'{name}.mp4', count, *numbers, *blank])
    write_rows(path, [header, *rows])


def write_rows(path: Path, rows: Iterable[Sequence]) -> None:
    """Write a CSV file.

    Args:
        path: The file.
        rows: Its rows.
    """
    with open(path, 'w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows(rows)


def draw(path: Path, title: str, clips: Sequence[tuple[str, np.ndarray, Repetitions]]) -> None:
    """Draw signals and their extremes, for a person to check.

    Args:
        path: PNG file to write.
        title: What the clips are.
        clips: Name, signal and repetitions of each.
    """
    from matplotlib.figure import Figure

    across = min(4, len(clips))
    down = -(-len(clips) // across)
    figure = Figure(figsize=(4 * across, 2.5 * down + 0.6), layout='constrained')
    figure.suptitle(f'{title}: derived from joints, not annotated; trunk lengths over frames')
    for axes, (name, signal, found) in zip(
        figure.subplots(down, across, squeeze=False).flat, clips, strict=False
    ):
        axes.plot(signal, color='0.4')
        axes.plot(found.salient1, signal[found.salient1], '^', color='tab:red', label='salient I')
        axes.plot(found.rest, signal[found.rest], 'v', color='tab:blue', label='salient II')
        axes.set_title(f'{name}: {len(found.salient1)}', fontsize=9)
    figure.axes[0].legend(fontsize=7)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=80)


def report(findings: Findings, console: Console) -> None:
    """Print how many clips have which count, and name those without.

    Args:
        findings: Of :func:`convert`.
        console: Where to print.
    """
    for text in findings.left_out:
        console.print(f'left out: {text}', soft_wrap=True, markup=False, highlight=False)
    table = Table('action', 'half', 'clips', 'repetitions', 'clips by count')
    for (action, half), counts in sorted(findings.counts.items()):
        total = sum(count * clips for count, clips in counts.items())
        by_count = ', '.join(f'{count}: {clips}' for count, clips in sorted(counts.items()))
        table.add_row(action, half, str(counts.total()), str(total), by_count)
    console.print(table)
    console.print(
        'These reference counts are derived from joints, not annotated by a person.', soft_wrap=True
    )
    if findings.left_out:
        console.print(f'{len(findings.left_out)} clips are left out, named above')


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description="Turn Penn Action's joints into RepCount-pose's layout, with counts derived "
        'from the joints.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        'source', type=Path, metavar='LABELS_DIR', help="Penn Action's folder labels, of *.mat"
    )
    parser.add_argument(
        '--out', type=Path, required=True, help='folder to write into, new or empty'
    )
    parser.add_argument(
        '--loops',
        type=int,
        nargs=2,
        default=(2, 8),
        metavar=('LEAST', 'MOST'),
        help='how often a test clip is played in test_looped.csv',
    )
    parser.add_argument('--seed', type=int, default=0, help='of how often each clip is played')
    parser.add_argument(
        '--plots', type=int, default=0, help='draw so many clips of each action and half'
    )
    args = parser.parse_args(argv)
    loops = tuple(args.loops)
    if not 1 <= loops[0] <= loops[1]:
        parser.error(f'--loops is {loops[0]} {loops[1]}, expected 1 or more, the least first')
    if args.seed < 0 or args.plots < 0:
        parser.error(f'--seed is {args.seed} and --plots {args.plots}, expected 0 or more')
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        parser.error(
            f'--out {args.out} is not a new or empty folder: nothing is written over; name another '
            'one, or delete it first'
        )
    console = Console()
    try:
        with whole_folder(args.out) as partial:
            findings = convert(args.source, partial, loops, args.seed, args.plots, console)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    report(findings, console)
    console.print(f'written: {args.out}', soft_wrap=True)


if __name__ == '__main__':
    main()
