"""Writes the salient poses that PoseRAC learns from, out of per-frame poses of the training videos.

The original cuts the annotated frames out of the videos and runs a pose estimator on each single
image. Here the frames' poses are picked from arrays that hold every frame of a video, so that one
estimator run serves training and counting alike, and may track.

Example:
    python tools/datasets/repcount_salient_poses.py data/RepCount_pose
"""

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from projects.files import whole_file
from projects.keypoints import LAYOUTS, KeypointLayout
from projects.poserac.annotations import RepCountVideo, pose_file, read_repcount
from projects.poserac.poses import missing_poses, read_poses

SALIENT = ('salient1', 'salient2')


@dataclass
class Findings:
    """What was written and what was left out."""

    written: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    """Poses of each action by salient pose."""
    without_pose: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    """Annotated frames of each action in which nobody was seen, by salient pose."""
    problems: list[str] = field(default_factory=list)
    """Files and frames that could not be used."""


def salient_rows(
    videos: list[RepCountVideo],
    folder: Path,
    layout: KeypointLayout,
    dims: int,
    findings: Findings,
    console: Console,
) -> Iterator[list[str]]:
    """Rows of the file of salient poses.

    Args:
        videos: Rows of ``pose_train.csv``.
        folder: Folder of the pose arrays.
        layout: Keypoint layout of the arrays.
        dims: Coordinates of a joint to write.
        findings: Gets what was written and what was left out.
        console: Where progress is shown.

    Yields:
        ``train/<action>/salient1/<video>/<frame>.jpg``, the action, then J * D numbers.
    """
    for video in track(videos, 'videos', console=console):
        try:
            people = read_poses(pose_file(folder, video.name), layout, dims)  # (T, P, J, D)
        except (FileNotFoundError, ValueError) as error:
            findings.problems.append(str(error))
            continue
        if video.person >= people.shape[1]:
            findings.problems.append(
                f'{video.name}: has poses of {people.shape[1]} people, but not of person '
                f'{video.person} (from 0)'
            )
            continue
        poses = people[:, video.person]  # (T, J, D)
        missing = missing_poses(poses)  # (T,)
        beyond = sorted(set(video.repetitions[video.repetitions >= len(poses)].tolist()))
        if beyond:
            findings.problems.append(
                f'{video.name}: has poses of {len(poses)} frames, but not of frames '
                f'{", ".join(map(str, beyond))} (from 0)'
            )
        for state, frames in zip(SALIENT, video.repetitions.T, strict=True):
            frames = frames[frames < len(poses)]
            findings.without_pose[video.action][state] += int(missing[frames].sum())
            frames = frames[~missing[frames]]
            findings.written[video.action][state] += len(frames)
            start = f'train/{video.action}/{state}/{Path(video.name).name}'
            for frame in frames.tolist():
                numbers = map(str, poses[frame].ravel())  # J * D, the shortest exact float32
                yield [f'{start}/{frame}.jpg', video.action, *numbers]


def write_salient_poses(
    annotation: Path,
    poses: Path,
    out: Path,
    layout: KeypointLayout,
    dims: int,
    console: Console,
) -> Findings:
    """Write the file of salient poses, whole or not at all.

    Args:
        annotation: ``pose_train.csv``.
        poses: Folder of the pose arrays.
        out: The file to write.
        layout: Keypoint layout of the arrays.
        dims: Coordinates of a joint to write.
        console: Where progress is shown.

    Raises:
        FileNotFoundError: If the annotation or the folder of poses is missing.
        ValueError: If the annotation is malformed, or there is no pose to write.
    """
    videos = read_repcount(annotation)
    if not poses.is_dir():
        raise FileNotFoundError(f'{poses}: no such folder of pose arrays')
    findings = Findings()
    with whole_file(out) as partial:
        with open(partial, 'w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            writer.writerows(salient_rows(videos, poses, layout, dims, findings, console))
        if not any(counts.total() for counts in findings.written.values()):
            raise ValueError(
                f'{poses}: no pose found of the {len(videos)} videos of {annotation}'
                + (f', the first problem: {findings.problems[0]}' if findings.problems else '')
            )
    return findings


def report(findings: Findings, console: Console) -> None:
    """Print what was written of each class and state, and name what was not.

    Args:
        findings: Of :func:`write_salient_poses`.
        console: Where to print.
    """
    for problem in findings.problems:
        console.print(f'left out: {problem}', soft_wrap=True, markup=False, highlight=False)
    table = Table('action', title='salient poses written')
    for column in ('salient I', 'salient II', 'I without a pose', 'II without a pose'):
        table.add_column(column, justify='right')
    both = findings.written, findings.without_pose
    for action in sorted({*both[0], *both[1]}):
        table.add_row(action, *(str(part[action][state]) for part in both for state in SALIENT))
    sums = [sum(counts[state] for counts in part.values()) for part in both for state in SALIENT]
    table.add_section()
    table.add_row('all', *map(str, sums))
    console.print(table)
    if findings.problems:
        console.print(f'{len(findings.problems)} problems are named above')


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description='Write the salient poses that PoseRAC learns from.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('root', type=Path, metavar='REPCOUNT_DIR', help='folder of the data set')
    parser.add_argument(
        '--annotation',
        type=Path,
        default=Path('annotation/pose_train.csv'),
        help='CSV file of frames in salient pose I and II, in the folder of the data set',
    )
    parser.add_argument(
        '--poses',
        type=Path,
        default=Path('train_poses'),
        help='folder of <video>.npy in it, (T, 33, 3) or (T, people, 33, 3)',
    )
    parser.add_argument(
        '--out', type=Path, default=Path('annotation_pose/train.csv'), help='file to write in it'
    )
    parser.add_argument('--layout', choices=sorted(LAYOUTS), default='blazepose')
    parser.add_argument('--dims', type=int, choices=(2, 3), default=3, help='coordinates a joint')
    parser.add_argument('--overwrite', action='store_true', help='replace the file if it is there')
    args = parser.parse_args(argv)
    out = args.root / args.out
    if out.exists() and not args.overwrite:
        parser.error(f'{out} is there already: --overwrite replaces it, --out names another one')
    console = Console()
    try:
        findings = write_salient_poses(
            *(args.root / args.annotation, args.root / args.poses, out),
            *(LAYOUTS[args.layout], args.dims, console),
        )
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    report(findings, console)
    console.print(f'written: {out}', soft_wrap=True)


if __name__ == '__main__':
    main()
