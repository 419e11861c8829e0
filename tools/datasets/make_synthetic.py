"""Writes generated data in the layout of a published data set.

Example:
    python tools/datasets/make_synthetic.py human36m --out data/synthetic/h36m
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from projects.synthetic.human36m import (
    ACTION_NAMES,
    FPS,
    SUBJECTS,
    TRIALS,
    write_human36m,
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line of the tool; each format is a subcommand."""
    parser = argparse.ArgumentParser(
        description='Write generated data in the layout of a published data set.'
    )
    formats = parser.add_subparsers(dest='format', required=True, metavar='FORMAT')
    human36m = formats.add_parser(
        'human36m',
        help='exponential maps as text, dataset/S<subject>/<action>_<trial>.txt',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    human36m.add_argument('--out', type=Path, required=True, help='folder to write into')
    human36m.add_argument(
        '--actions',
        nargs='+',
        default=list(ACTION_NAMES),
        choices=ACTION_NAMES,
        metavar='ACTION',
        help=f'of {", ".join(ACTION_NAMES)}',
    )
    human36m.add_argument(
        '--subjects',
        nargs='+',
        type=int,
        default=list(SUBJECTS),
        choices=SUBJECTS,
        metavar='SUBJECT',
        help=f'of {", ".join(map(str, SUBJECTS))}',
    )
    human36m.add_argument(
        '--trials',
        nargs='+',
        type=int,
        default=list(TRIALS),
        choices=TRIALS,
        metavar='TRIAL',
        help='of 1, 2',
    )
    human36m.add_argument('--num-frames', type=int, default=1000, help='frames a file, at 50 fps')
    human36m.add_argument(
        '--difficulty',
        type=float,
        default=0.3,
        help='0 is steady; 1 has strong changes of tempo and amplitude, noise, pauses',
    )
    human36m.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    if args.num_frames < 1:
        human36m.error(f'--num-frames is {args.num_frames}, expected at least 1')
    if not 0 <= args.difficulty <= 1:
        human36m.error(f'--difficulty is {args.difficulty}, expected a number from 0 to 1')
    if args.seed < 0:
        human36m.error(f'--seed is {args.seed}, expected 0 or more')
    if args.out.exists() and not args.out.is_dir():
        human36m.error(f'--out {args.out} is not a folder')
    return args


def make_human36m(args: argparse.Namespace, console: Console) -> None:
    """Writes the Human3.6M layout with a progress bar and says where it lies."""
    total = len(args.subjects) * len(args.actions) * len(args.trials)
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task('Human3.6M', total=total)
        paths = write_human36m(
            args.out,
            actions=args.actions,
            subjects=args.subjects,
            trials=args.trials,
            num_frames=args.num_frames,
            seed=args.seed,
            difficulty=args.difficulty,
            progress=lambda path: progress.advance(task),
        )
    minutes = len(paths) * args.num_frames / FPS / 60
    console.print(
        f'{len(paths)} files, {minutes:.1f} minutes of motion at {FPS:g} fps: '
        f'{args.out / "dataset"}',
        soft_wrap=True,
    )


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    make_human36m(args, Console())


if __name__ == '__main__':
    main()
