"""Writes the ground truth of a Kinetics-TPS split as the challenge's scoring reads it.

The frames are those that ``KineticsTPSDataset`` tests on with the same options.

Example:
    python tools/datasets/kinetics_tps_ground_truth.py data/kinetics_tps --split val --out gt
"""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import track

from projects.apct.dataset import KineticsTPSDataset
from projects.apct.layout import SPLITS
from projects.files import whole_file


def collect(dataset: KineticsTPSDataset, console: Console) -> tuple[dict, dict]:
    """Classes and people of all videos of a split.

    Args:
        dataset: The split, in test mode.
        console: Where progress is shown.

    Returns:
        ``{video: class}`` and ``{video: {frame: {'humans': [...]}}}``.

    Raises:
        ValueError: If the split has no annotations.
    """
    classes: dict[str, str] = {}
    people: dict[str, dict] = {}
    for index in track(range(len(dataset)), 'frames', console=console):
        sample = dataset.get_data_info(index)
        if 'truth' not in sample:
            raise ValueError(
                f'{dataset.data_root}: split {dataset.split!r} has no annotations, so no truth'
            )
        classes[sample['video']] = sample['video_class']
        people.setdefault(sample['video'], {})[sample['frame']] = sample['truth']
    return classes, people


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description='Write gt_vid_result.json and gt_part_result.json of a split.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('data_root', help='folder of the data set')
    parser.add_argument('--split', default='val', choices=SPLITS)
    parser.add_argument('--out', type=Path, required=True, help='folder to write into')
    parser.add_argument('--frame-interval', type=int, default=5, help='every n-th frame, from 1')
    parser.add_argument('--val-every', type=int, default=10, help='as in the data set')
    parser.add_argument('--classes', nargs='+', help='some of the video classes; all if not given')
    parser.add_argument('--frame-root', help='folder of extracted frames, as in the data set')
    args = parser.parse_args(argv)
    console = Console()
    try:
        dataset = KineticsTPSDataset(
            args.data_root,
            args.split,
            frame_interval=args.frame_interval,
            val_every=args.val_every,
            classes=args.classes,
            frame_root=args.frame_root,
            test_mode=True,
        )
        classes, people = collect(dataset, console)
        for name, content in (('gt_vid_result', classes), ('gt_part_result', people)):
            with whole_file(args.out / f'{name}.json') as partial:
                partial.write_text(json.dumps(content) + '\n', encoding='utf-8')
    except (OSError, ValueError) as error:
        parser.error(str(error))
    console.print(
        f'{len(classes)} videos, {len(dataset)} frames: {args.out}/gt_vid_result.json, '
        'gt_part_result.json',
        soft_wrap=True,
    )


if __name__ == '__main__':
    main()
