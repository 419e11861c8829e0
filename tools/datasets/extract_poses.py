r"""Writes the poses of people in videos as the arrays that PoseRAC reads.

Of every video there will be DIR/<its name>.npy, float32 pixels: (frames, joints, 2 or 3), or
(frames, people, joints, 2 or 3) with more than one person; NaN where nobody is seen. Videos whose
array is there are passed over, so that an interrupted run goes on where it was.

Examples:
    python tools/datasets/extract_poses.py videos/ --out-dir data/poses --backend mediapipe \
        --model-path pose_landmarker_full.task
    python tools/datasets/extract_poses.py a.mp4 --out-dir data/poses --backend mmpose --people 2
"""

import argparse
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import projects  # noqa: F401 - repairs the reading of checkpoints
from projects.files import whole_file
from projects.keypoints import LAYOUTS
from projects.pose_extraction import (
    BACKENDS,
    MEDIAPIPE_MODEL_URL,
    PoseExtractor,
    build_extractor,
    extract_video,
)
from projects.poserac.poses import missing_poses
from projects.video import VIDEO_ENDINGS


def plan_outputs(inputs: Iterable[Path], out_dir: Path) -> dict[Path, Path]:
    """The array to write for each video.

    Args:
        inputs: Videos, and folders whose videos are meant, those of subfolders too.
        out_dir: Folder of the arrays; the subfolders of an input are repeated in it.

    Raises:
        FileNotFoundError: If an input is missing, or a folder has no videos.
        ValueError: If two videos would get the same array.
    """
    outputs: dict[Path, Path] = {}
    videos: dict[Path, Path] = {}  # by output
    for given in inputs:
        if given.is_dir():
            found = sorted(
                path
                for path in given.rglob('*')
                if path.suffix.lower() in VIDEO_ENDINGS
                and not path.name.startswith('.')
                and path.is_file()
            )
            if not found:
                raise FileNotFoundError(f'{given}: has no videos, {", ".join(VIDEO_ENDINGS)}')
            pairs = [(path, path.relative_to(given)) for path in found]
        elif given.is_file():
            pairs = [(given, Path(given.name))]
        else:
            raise FileNotFoundError(f'{given}: no such video or folder')
        for video, name in pairs:
            output = out_dir / name.with_suffix('.npy')
            other = videos.setdefault(output, video)
            if other.resolve() != video.resolve():
                raise ValueError(f'{other} and {video} would both become {output}')
            outputs[other] = output
    return outputs


def extract(
    outputs: dict[Path, Path],
    extractor: PoseExtractor,
    people: int,
    pose_threshold: float,
    keypoint_threshold: float | None,
    track_by: str,
    console: Console,
) -> list[str]:
    """Write the arrays, each whole or not at all.

    Args:
        outputs: The array of each video.
        extractor: Finds the poses of a frame.
        people: How many people to keep.
        pose_threshold: Least mean score of a pose.
        keypoint_threshold: Least score of a keypoint; all are kept if None.
        track_by: ``oks`` or ``iou``.
        console: Where progress is shown.

    Returns:
        What went wrong, a text for each video that could not be read.
    """
    problems = []
    columns = (
        *(TextColumn('{task.description}', markup=False), BarColumn(), MofNCompleteColumn()),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        total = bars.add_task('videos', total=len(outputs))
        for video, output in outputs.items():
            frames = bars.add_task(video.name, total=None)

            def show(done: int, claimed: int, task: int = frames) -> None:
                bars.update(task, completed=done, total=claimed or None)

            try:
                poses = extract_video(
                    video,
                    extractor,
                    people,
                    show,
                    pose_threshold=pose_threshold,
                    keypoint_threshold=keypoint_threshold,
                    track_by=track_by,
                )  # (T, P, J, D)
            except (OSError, ValueError, cv2.error) as error:
                text = str(error)
                problems.append(text if str(video) in text else f'{video}: {text}')
                console.print(f'left out: {problems[-1]}', **_PLAIN)
            else:
                seen = ~missing_poses(poses)  # (T, P)
                share = ', '.join(f'{part:.0%}' for part in seen.mean(axis=0))
                with whole_file(output) as partial:
                    np.save(partial, poses[:, 0] if people == 1 else poses)
                console.print(f'{output}: {len(poses)} frames, seen in {share}', **_PLAIN)
            bars.remove_task(frames)
            bars.advance(total)
    return problems


_PLAIN = dict(soft_wrap=True, markup=False, highlight=False)
_OPTIONS_OF = {
    'mmpose': (
        *('pose_model', 'pose_checkpoint', 'det_model', 'det_checkpoint', 'det_class'),
        *('det_threshold', 'device'),
    ),
    'mediapipe': ('model_path', 'min_confidence'),
}


def parse_options(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """The command line.

    Args:
        argv: Its words; the program's if None.
    """
    parser = argparse.ArgumentParser(
        description='Write the poses of people in videos as arrays.',
    )
    add = parser.add_argument
    add('videos', type=Path, nargs='+', metavar='VIDEO', help='videos, or folders of videos')
    add('--out-dir', type=Path, required=True, help='folder of the arrays')
    add('--backend', choices=BACKENDS, required=True, help='what finds the poses')
    add(
        '--layout',
        choices=sorted(LAYOUTS),
        help="keypoints to keep, found by their names [all of the estimator's]",
    )
    add('--people', type=int, default=1, help='how many people to keep, those seen longest [1]')
    add('--pose-threshold', type=float, default=0.2, help='least mean score of a pose [0.2]')
    add('--keypoint-threshold', type=float, help='least score of a keypoint [keep all]')
    add(
        *('--track-by',),
        choices=('oks', 'iou'),
        default='oks',
        help='who is who by the similarity of poses or the overlap of boxes [oks]',
    )
    add('--overwrite', action='store_true', help='write arrays anew that are there')
    # Without defaults, so that an option of the other backend is noticed.
    group = parser.add_argument_group(
        'mmpose', 'Weights that are not named are downloaded from where MMPose publishes them.'
    )
    text = "config file, or a name or alias of MMPose's [human]"
    group.add_argument('--pose2d', '--pose-config', dest='pose_model', help=text, **_UNSET)
    group.add_argument('--pose-checkpoint', help='its weights', **_UNSET)
    text = "config file of MMDetection's, or whole_image [the one MMPose publishes for people]"
    group.add_argument('--det-config', dest='det_model', help=text, **_UNSET)
    group.add_argument('--det-checkpoint', help='its weights', **_UNSET)
    text = "number of the detector's class of people [0]"
    group.add_argument('--det-class', type=int, help=text, **_UNSET)
    text = 'least score of a box [0.3]'
    group.add_argument('--det-threshold', type=float, help=text, **_UNSET)
    text = 'such as cuda:0 or cpu [the best there is]'
    group.add_argument('--device', help=text, **_UNSET)
    group = parser.add_argument_group(
        'mediapipe',
        "In the checkout, pip install -e '.[mediapipe]'. It brings an OpenCV that needs libGL; "
        'where there is none, pip install --force-reinstall --no-deps opencv-python-headless '
        'afterwards.',
    )
    text = (
        f'model to download, {MEDIAPIPE_MODEL_URL} [the one that MediaPipe up to 0.10.21 brings '
        'along]'
    )
    group.add_argument('--model-path', type=Path, help=text, **_UNSET)
    text = 'least confidence of finding and of following a person [0.5]'
    group.add_argument('--min-confidence', type=float, help=text, **_UNSET)
    return parser, parser.parse_args(argv)


_UNSET = dict(default=argparse.SUPPRESS)


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser, args = parse_options(argv)
    for backend, names in _OPTIONS_OF.items():
        given = [name for name in names if hasattr(args, name)]
        if backend != args.backend and given:
            parser.error(f'{given[0]} is an option of {backend}, not of {args.backend}')
    options = {
        name: getattr(args, name) for name in _OPTIONS_OF[args.backend] if hasattr(args, name)
    }
    if args.people < 1:
        parser.error(f'--people is {args.people}, expected 1 or more')
    console = Console()
    try:
        outputs = plan_outputs(args.videos, args.out_dir)
        planned = len(outputs)
        if not args.overwrite:
            outputs = {video: path for video, path in outputs.items() if not path.is_file()}
        if planned > len(outputs):
            text = f'{planned - len(outputs)} of {planned} arrays are there already'
            console.print(f'{text}; --overwrite writes them anew', **_PLAIN)
        if not outputs:
            return
        extractor = build_extractor(args.backend, args.people, layout=args.layout, **options)
    except (OSError, ImportError, ValueError) as error:  # OSError: no download, too
        parser.error(str(error))
    with closing(extractor):
        layout = extractor.layout.name if extractor.layout else 'none of the known ones'
        size = f'{len(extractor.joint_names)} joints, {extractor.dims} coordinates each'
        console.print(f'layout: {layout}, {size}', **_PLAIN)
        problems = extract(
            *(outputs, extractor, args.people),
            *(args.pose_threshold, args.keypoint_threshold, args.track_by, console),
        )
    if problems:
        text = f'{len(problems)} of {len(outputs)} videos could not be read, named above'
        console.print(text, **_PLAIN)
        sys.exit(1)


if __name__ == '__main__':
    main()
