"""Writes generated data in the layout of a published data set.

Example:
    python tools/datasets/make_synthetic.py human36m --out data/synthetic/h36m
    python tools/datasets/make_synthetic.py kinetics-tps --out data/synthetic/kinetics_tps
    python tools/datasets/make_synthetic.py repcount --out data/synthetic/repcount
    python tools/datasets/make_synthetic.py coco --out data/synthetic/coco
    python tools/datasets/make_synthetic.py penn-action --out data/synthetic/penn_action
    python tools/datasets/make_synthetic.py ntu --out data/synthetic/ntu
    python tools/datasets/make_synthetic.py penn-skeletons --labels LABELS --out data/penn_drawn
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from projects.synthetic import ntu, penn_action, penn_skeletons
from projects.synthetic.actions import ACTIONS
from projects.synthetic.coco import (
    IMAGES,
    MOST_PEOPLE,
    count_visibility,
    write_coco,
)
from projects.synthetic.human36m import (
    ACTION_NAMES,
    FPS,
    SUBJECTS,
    TRIALS,
    write_human36m,
)
from projects.synthetic.kinetics_tps import (
    CLASSES,
    STORAGES,
    VIDEOS_PER_CLASS,
    count_states,
    majority_accuracy,
    write_kinetics_tps,
)
from projects.synthetic.repcount import (
    EXERCISES,
    VIDEOS_PER_ACTION,
    read_counts,
    write_repcount,
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line of the tool; each format is a subcommand with ``write`` set to what it runs."""
    parser = argparse.ArgumentParser(
        description='Write generated data in the layout of a published data set.'
    )
    formats = parser.add_subparsers(dest='format', required=True, metavar='FORMAT')
    for add_format in (
        add_human36m,
        add_kinetics_tps,
        add_repcount,
        add_coco,
        add_penn_action,
        add_ntu,
        add_penn_skeletons,
    ):
        add_format(formats)
    args = parser.parse_args(argv)
    args.check(args, formats.choices[args.format])
    return args


def _add_format(
    formats: argparse._SubParsersAction, name: str, text: str
) -> argparse.ArgumentParser:
    """A subcommand with the options that all formats have."""
    parser = formats.add_parser(
        name, help=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to write into')
    parser.add_argument(
        '--difficulty',
        type=float,
        default=0.3,
        help='0 is steady; 1 has strong changes of tempo and amplitude, noise, pauses',
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser


def _check_common(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    num_frames = getattr(args, 'num_frames', None)  # pictures have none, some videos a range
    if isinstance(num_frames, int) and num_frames < 1:
        parser.error(f'--num-frames is {num_frames}, expected at least 1')
    if not 0 <= args.difficulty <= 1:
        parser.error(f'--difficulty is {args.difficulty}, expected a number from 0 to 1')
    if args.seed < 0:
        parser.error(f'--seed is {args.seed}, expected 0 or more')
    if args.out.exists() and not args.out.is_dir():
        parser.error(f'--out {args.out} is not a folder')


def _check_new(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    if args.out.exists() and any(args.out.iterdir()):
        parser.error(f'--out {args.out} is not empty, expected a new folder')


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)


def add_human36m(formats: argparse._SubParsersAction) -> None:
    """The subcommand ``human36m``."""
    human36m = _add_format(
        formats, 'human36m', 'exponential maps as text, dataset/S<subject>/<action>_<trial>.txt'
    )
    human36m.set_defaults(write=make_human36m, check=_check_common)
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


def make_human36m(args: argparse.Namespace, console: Console) -> None:
    """Writes the Human3.6M layout with a progress bar and says where it lies."""
    total = len(args.subjects) * len(args.actions) * len(args.trials)
    with _progress(console) as progress:
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


def add_kinetics_tps(formats: argparse._SubParsersAction) -> None:
    """The subcommand ``kinetics-tps``."""
    kinetics = _add_format(
        formats, 'kinetics-tps', 'videos with boxes and states of body parts, <split>_videos/...'
    )
    kinetics.set_defaults(write=make_kinetics_tps, check=_check_kinetics_tps)
    kinetics.add_argument(
        '--classes',
        nargs='+',
        default=list(CLASSES),
        choices=sorted(ACTIONS),
        metavar='CLASS',
        help=f'of {", ".join(sorted(ACTIONS))}',
    )
    for split, number in VIDEOS_PER_CLASS.items():
        kinetics.add_argument(
            f'--{split}-videos', type=int, default=number, help=f'{split} videos a class'
        )
    kinetics.add_argument('--num-frames', type=int, default=20, help='frames a video')
    kinetics.add_argument('--fps', type=float, default=10.0, help='frames per second')
    kinetics.add_argument(
        '--image-size', nargs=2, type=int, default=[160, 128], metavar=('WIDTH', 'HEIGHT')
    )
    kinetics.add_argument(
        '--people', nargs=2, type=int, default=[1, 2], metavar=('FEWEST', 'MOST'), help='a video'
    )
    kinetics.add_argument(
        '--storage', choices=STORAGES, default='video', help='mp4 files, or folders of JPEGs'
    )
    kinetics.add_argument(
        '--annotate-every', type=int, default=1, help='annotates frames 1, 1 + n, 1 + 2n, ...'
    )
    kinetics.add_argument(
        '--states', action='store_true', help='print how often each state occurs, all splits'
    )


def _check_kinetics_tps(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    _check_common(args, parser)
    for name in ('train_videos', 'test_videos'):
        if getattr(args, name) < 0:
            option = name.replace('_', '-')
            parser.error(f'--{option} is {getattr(args, name)}, expected 0 or more')
    if args.train_videos + args.test_videos == 0:
        parser.error('--train-videos and --test-videos are both 0, expected some videos')
    if args.annotate_every < 1:
        parser.error(f'--annotate-every is {args.annotate_every}, expected at least 1')
    if not args.fps > 0:
        parser.error(f'--fps is {args.fps}, expected a positive number')
    if min(args.image_size) < 32 or (
        args.storage == 'video' and any(n % 2 for n in args.image_size)
    ):
        parser.error(f'--image-size is {args.image_size}, expected even numbers of at least 32')
    if not 1 <= args.people[0] <= args.people[1]:
        parser.error(f'--people is {args.people}, expected fewest and most, at least 1')


def make_kinetics_tps(args: argparse.Namespace, console: Console) -> None:
    """Writes the Kinetics-TPS layout with a progress bar and says where it lies."""
    counts = {'train': args.train_videos, 'test': args.test_videos}
    with _progress(console) as progress:
        task = progress.add_task('Kinetics-TPS', total=len(args.classes) * sum(counts.values()))
        paths = write_kinetics_tps(
            args.out,
            classes=args.classes,
            videos_per_class=counts,
            num_frames=args.num_frames,
            image_size=tuple(args.image_size),
            fps=args.fps,
            people=tuple(args.people),
            difficulty=args.difficulty,
            seed=args.seed,
            storage=args.storage,
            annotate_every=args.annotate_every,
            progress=lambda path: progress.advance(task),
        )
    console.print(
        f'{len(paths)} videos of {args.num_frames} frames, {len(args.classes)} classes: {args.out}',
        soft_wrap=True,
    )
    if args.states:
        for split, number in counts.items():
            if number:
                _print_states(args.out, split, console)


def _print_states(root: Path, split: str, console: Console) -> None:
    counts = count_states(root, split)
    table = Table('part', 'boxes', 'states', title=f'{split}: share of each state')
    for part, count in counts.items():
        shares = (f'{state} {number / count.total():.2f}' for state, number in count.most_common())
        table.add_row(part, str(count.total()), ', '.join(shares))
    console.print(table)
    console.print(f'always the most frequent state: {majority_accuracy(counts):.3f} right')


def add_repcount(formats: argparse._SubParsersAction) -> None:
    """The subcommand ``repcount``."""
    repcount = _add_format(
        formats, 'repcount', 'pose arrays with counted repetitions, <split>_poses/<video>.npy'
    )
    repcount.set_defaults(write=make_repcount, check=_check_repcount)
    repcount.add_argument(
        '--actions',
        nargs='+',
        default=list(EXERCISES),
        choices=list(EXERCISES),
        metavar='ACTION',
        help=f'of {", ".join(EXERCISES)}',
    )
    repcount.add_argument(
        '--class-names',
        nargs='+',
        default=list(EXERCISES),
        metavar='CLASS',
        help='of all_action.csv, in the order of their labels',
    )
    for split, number in VIDEOS_PER_ACTION.items():
        repcount.add_argument(
            f'--{split}-videos', type=int, default=number, help=f'{split} videos an action'
        )
    repcount.add_argument(
        '--num-frames',
        nargs=2,
        type=int,
        default=[150, 450],
        metavar=('FEWEST', 'MOST'),
        help='frames a video',
    )
    repcount.add_argument('--fps', type=float, default=30.0, help='frames per second')
    repcount.add_argument(
        '--image-size', nargs=2, type=int, default=[640, 480], metavar=('WIDTH', 'HEIGHT')
    )
    repcount.add_argument(
        '--two-people', type=float, default=0.2, help='share of the videos with a second person'
    )


def _check_repcount(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    _check_common(args, parser)
    numbers = {split: getattr(args, f'{split}_videos') for split in VIDEOS_PER_ACTION}
    for split, number in numbers.items():
        if number < 0:
            parser.error(f'--{split}-videos is {number}, expected 0 or more')
    if not sum(numbers.values()):
        options = ', '.join(f'--{split}-videos' for split in numbers)
        parser.error(f'{options} are all 0, expected some videos')
    if not 2 <= args.num_frames[0] <= args.num_frames[1]:
        parser.error(f'--num-frames is {args.num_frames}, expected fewest and most, at least 2')
    if not args.fps > 0:
        parser.error(f'--fps is {args.fps}, expected a positive number')
    if min(args.image_size) < 32:
        parser.error(f'--image-size is {args.image_size}, expected at least 32 each')
    if not 0 <= args.two_people <= 1:
        parser.error(f'--two-people is {args.two_people}, expected a number from 0 to 1')
    for option, names in (('actions', args.actions), ('class-names', args.class_names)):
        if len(set(names)) != len(names):
            parser.error(f'--{option} names {names}, expected each once')
    missing = [name for name in args.actions if name not in args.class_names]
    if missing:
        parser.error(f'--class-names lacks {missing}, which --actions has')
    _check_new(args, parser)


def make_repcount(args: argparse.Namespace, console: Console) -> None:
    """Writes the layout of RepCount-pose with a progress bar and says what is in it."""
    numbers = {split: getattr(args, f'{split}_videos') for split in VIDEOS_PER_ACTION}
    with _progress(console) as progress:
        task = progress.add_task('RepCount', total=len(args.actions) * sum(numbers.values()))
        paths = write_repcount(
            args.out,
            actions=args.actions,
            videos_per_action=numbers,
            class_names=args.class_names,
            num_frames=tuple(args.num_frames),
            fps=args.fps,
            image_size=tuple(args.image_size),
            two_people=args.two_people,
            difficulty=args.difficulty,
            seed=args.seed,
            progress=lambda path: progress.advance(task),
        )
    console.print(f'{len(paths)} videos: {args.out}', soft_wrap=True)
    for split, number in numbers.items():
        if number:
            counts = read_counts(args.out, split)
            people = f', {len(read_counts(args.out, "people"))} people' if split == 'test' else ''
            console.print(
                f'{split}: {len(counts)} videos{people}, count {counts.mean():.1f} on average, '
                f'{counts.min()} to {counts.max()}, {np.mean(counts == 0):.0%} without any',
                soft_wrap=True,
            )


def add_coco(formats: argparse._SubParsersAction) -> None:
    """The subcommand ``coco``."""
    coco = _add_format(
        formats, 'coco', 'pictures with keypoints, annotations/person_keypoints_<split>2017.json'
    )
    coco.set_defaults(write=make_coco, check=_check_coco, difficulty=0.5)
    for split, number in IMAGES.items():
        coco.add_argument(f'--{split}-images', type=int, default=number, help=f'{split} images')
    coco.add_argument(
        '--image-size', nargs=2, type=int, default=[320, 256], metavar=('WIDTH', 'HEIGHT')
    )
    coco.add_argument(
        '--people', nargs=2, type=int, default=[1, 3], metavar=('FEWEST', 'MOST'), help='an image'
    )
    coco.add_argument(
        '--visibility', action='store_true', help='print how often each keypoint has each v'
    )


def _check_coco(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    _check_common(args, parser)
    numbers = {split: getattr(args, f'{split}_images') for split in IMAGES}
    for split, number in numbers.items():
        if number < 0:
            parser.error(f'--{split}-images is {number}, expected 0 or more')
    if not sum(numbers.values()):
        options = ' and '.join(f'--{split}-images' for split in numbers)
        parser.error(f'{options} are both 0, expected some images')
    if min(args.image_size) < 32:
        parser.error(f'--image-size is {args.image_size}, expected at least 32 each')
    if not 1 <= args.people[0] <= args.people[1] <= MOST_PEOPLE:
        parser.error(
            f'--people is {args.people}, expected fewest and most, at least 1, '
            f'at most {MOST_PEOPLE}'
        )
    _check_new(args, parser)


def make_coco(args: argparse.Namespace, console: Console) -> None:
    """Writes the layout of COCO keypoints with a progress bar and says what is in it."""
    numbers = {split: getattr(args, f'{split}_images') for split in IMAGES}
    with _progress(console) as progress:
        task = progress.add_task('COCO', total=sum(numbers.values()))
        paths = write_coco(
            args.out,
            images=numbers,
            image_size=tuple(args.image_size),
            people=tuple(args.people),
            difficulty=args.difficulty,
            seed=args.seed,
            progress=lambda path: progress.advance(task),
        )
    console.print(f'{len(paths)} images: {args.out}', soft_wrap=True)
    for split, number in numbers.items():
        if number:
            file = args.out / 'annotations' / f'person_keypoints_{split}2017.json'
            counts = count_visibility(file)
            people = sum(next(iter(counts.values())))
            console.print(f'{split}: {number} images, {people} people with keypoints')
            if args.visibility and people:
                table = Table('keypoint', 'v = 0', 'v = 1', 'v = 2', title=f'{split}: shares')
                for name, count in counts.items():
                    table.add_row(name, *(f'{value / people:.2f}' for value in count))
                console.print(table)


def add_penn_action(formats: argparse._SubParsersAction) -> None:
    """The subcommand ``penn-action``."""
    penn = _add_format(
        formats, 'penn-action', 'frames with 13 joints in MATLAB files, labels/<number>.mat'
    )
    penn.set_defaults(write=make_penn_action, check=_check_penn_action)
    penn.add_argument(
        '--classes',
        nargs='+',
        default=list(penn_action.CLASSES),
        choices=list(penn_action.CLASSES),
        metavar='CLASS',
        help=f'of {", ".join(penn_action.CLASSES)}',
    )
    for split, number in penn_action.VIDEOS_PER_CLASS.items():
        penn.add_argument(
            f'--{split}-videos', type=int, default=number, help=f'{split} videos a class'
        )
    penn.add_argument(
        '--num-frames',
        nargs=2,
        type=int,
        default=[24, 48],
        metavar=('FEWEST', 'MOST'),
        help='frames a video',
    )
    penn.add_argument('--fps', type=float, default=15.0, help='frames per second')
    penn.add_argument(
        '--image-size', nargs=2, type=int, default=[160, 120], metavar=('WIDTH', 'HEIGHT')
    )


def _check_penn_action(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    _check_common(args, parser)
    for name in ('train_videos', 'test_videos'):
        if getattr(args, name) < 0:
            option = name.replace('_', '-')
            parser.error(f'--{option} is {getattr(args, name)}, expected 0 or more')
    if args.train_videos + args.test_videos == 0:
        parser.error('--train-videos and --test-videos are both 0, expected some videos')
    if not 1 <= args.num_frames[0] <= args.num_frames[1]:
        parser.error(f'--num-frames is {args.num_frames}, expected fewest and most, at least 1')
    if not args.fps > 0:
        parser.error(f'--fps is {args.fps}, expected a positive number')
    if min(args.image_size) < 32:
        parser.error(f'--image-size is {args.image_size}, expected at least 32 each')
    _check_new(args, parser)


def make_penn_action(args: argparse.Namespace, console: Console) -> None:
    """Writes the layout of Penn Action with a progress bar and says what is in it."""
    counts = {'train': args.train_videos, 'test': args.test_videos}
    with _progress(console) as progress:
        total = len(set(args.classes)) * sum(counts.values())
        task = progress.add_task('Penn Action', total=total)
        paths = penn_action.write_penn_action(
            args.out,
            classes=args.classes,
            videos_per_class=counts,
            num_frames=tuple(args.num_frames),
            image_size=tuple(args.image_size),
            fps=args.fps,
            difficulty=args.difficulty,
            seed=args.seed,
            progress=lambda path: progress.advance(task),
        )
    console.print(f'{len(paths)} videos: {args.out}', soft_wrap=True)
    _print_penn_action(args.out, console)


def _print_penn_action(root: Path, console: Console) -> None:
    table = Table('class', 'train', 'test', 'frames', 'joints visible')
    for name, row in penn_action.count_videos(root).items():
        numbers = (str(row[key]) for key in ('train', 'test', 'frames'))
        table.add_row(name, *numbers, f'{row["visible"]:.2f}')
    console.print(table)


def add_ntu(formats: argparse._SubParsersAction) -> None:
    """The subcommand ``ntu``."""
    parser = _add_format(
        formats, 'ntu', f'videos with 25 joints as text, {ntu.SKELETONS}/<sample>.skeleton'
    )
    parser.set_defaults(write=make_ntu, check=_check_ntu)
    names = (f'{number} {kind.name}' for number, kind in ntu.CLASSES.items())
    parser.add_argument(
        '--classes',
        nargs='+',
        type=int,
        default=list(ntu.CLASSES_60),
        choices=list(ntu.CLASSES),
        metavar='CLASS',
        help=f'of {", ".join(names)}; those above 60 are of NTU RGB+D 120',
    )
    parser.add_argument('--performances', type=int, default=ntu.PERFORMANCES, help='of each class')
    parser.add_argument(
        '--cameras',
        nargs='+',
        type=int,
        default=list(ntu.CAMERAS),
        choices=list(ntu.CAMERAS),
        metavar='CAMERA',
        help='of 1, 2, 3; each makes a sample of each performance',
    )
    parser.add_argument('--num-frames', type=int, default=24, help='frames a sample')
    parser.add_argument('--fps', type=float, default=12.0, help='frames per second')
    parser.add_argument(
        '--image-size', nargs=2, type=int, default=[256, 144], metavar=('WIDTH', 'HEIGHT')
    )
    parser.add_argument(
        '--two-people', type=float, default=0.1, help='share of performances that one watches'
    )
    parser.add_argument(
        '--missing', type=float, default=0.02, help='share of the samples without a skeleton'
    )


def _check_ntu(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    _check_common(args, parser)
    if args.performances < 1:
        parser.error(f'--performances is {args.performances}, expected at least 1')
    for action in args.classes:
        try:
            ntu.numbering(action, args.performances - 1)
        except ValueError as error:
            parser.error(f'--performances is {args.performances}: {error}')
    if not args.fps > 0:
        parser.error(f'--fps is {args.fps}, expected a positive number')
    if min(args.image_size) < 32 or any(side % 2 for side in args.image_size):
        parser.error(f'--image-size is {args.image_size}, expected even numbers of at least 32')
    for name in ('two_people', 'missing'):
        if not 0 <= getattr(args, name) <= 1:
            option = name.replace('_', '-')
            parser.error(f'--{option} is {getattr(args, name)}, expected a number from 0 to 1')
    _check_new(args, parser)


def make_ntu(args: argparse.Namespace, console: Console) -> None:
    """Writes the layout of NTU RGB+D with a progress bar and says what is in it."""
    with _progress(console) as progress:
        total = len(set(args.classes)) * args.performances * len(set(args.cameras))
        task = progress.add_task('NTU RGB+D', total=total)
        paths = ntu.write_ntu(
            args.out,
            classes=args.classes,
            performances=args.performances,
            cameras=args.cameras,
            num_frames=args.num_frames,
            image_size=tuple(args.image_size),
            fps=args.fps,
            two_people=args.two_people,
            missing=args.missing,
            difficulty=args.difficulty,
            seed=args.seed,
            progress=lambda path: progress.advance(task),
        )
    classes, splits, missing = ntu.count_samples(args.out)
    console.print(f'{len(paths)} samples, {missing} without a skeleton: {args.out}', soft_wrap=True)
    table = Table('class', 'name', 'samples')
    for number, samples in classes.items():
        table.add_row(f'A{number:03d}', ntu.CLASSES[number].name, str(samples))
    console.print(table)
    for name, (train, test) in splits.items():
        console.print(f'{name}: {train} train, {test} test')


def add_penn_skeletons(formats: argparse._SubParsersAction) -> None:
    """The subcommand ``penn-skeletons``."""
    parser = _add_format(
        formats, 'penn-skeletons', "drawn frames for the joints of Penn Action's real labels"
    )
    parser.set_defaults(write=make_penn_skeletons, check=_check_penn_skeletons)
    parser.add_argument(
        '--labels', type=Path, required=True, help="Penn Action's folder labels, of *.mat"
    )
    parser.add_argument(
        '--short-side', type=int, default=128, help="of the frames, px; labels' pixels follow"
    )
    parser.add_argument(
        '--every', type=int, default=1, help='draws label files 1, 1 + n, 1 + 2n, ... by name'
    )
    parser.add_argument(
        '--no-hidden', action='store_true', help='leaves out what needs a joint that is not visible'
    )
    parser.add_argument(
        '--implements',
        action='store_true',
        help='draws what the action is done with too: bat, racket, barbell, ball, rope, guitar',
    )


def _check_penn_skeletons(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    _check_common(args, parser)
    if args.short_side < 32:
        parser.error(f'--short-side is {args.short_side}, expected at least 32')
    if args.every < 1:
        parser.error(f'--every is {args.every}, expected at least 1')
    if not any(args.labels.glob('*.mat')):
        parser.error(f'--labels {args.labels} has no *.mat files')
    _check_new(args, parser)


def make_penn_skeletons(args: argparse.Namespace, console: Console) -> None:
    """Draws frames for label files with a progress bar and says what is in the folder."""
    labels = sorted(args.labels.glob('*.mat'))[:: args.every]
    with _progress(console) as progress:
        task = progress.add_task('clips', total=len(labels))
        paths = penn_skeletons.write_skeleton_videos(
            labels,
            args.out,
            short_side=args.short_side,
            draw_hidden=not args.no_hidden,
            implements=args.implements,
            difficulty=args.difficulty,
            seed=args.seed,
            progress=lambda path: progress.advance(task),
        )
    console.print(f'{len(paths)} clips: {args.out}', soft_wrap=True)
    _print_penn_action(args.out, console)


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    args.write(args, Console())


if __name__ == '__main__':
    main()
