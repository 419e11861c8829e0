r"""Turn results on COCO test-dev into the files that the evaluation server takes, or check files.

    python tools/coco_submission.py work_dirs/test-dev2017.keypoints.json --name vitpose-presence \
        --images data/coco/annotations/image_info_test-dev2017.json --out-dir submission
    python tools/coco_submission.py --validate person_keypoints_test-dev2017_x_results.zip

The results are what mmpose's CocoMetric with format_only=True writes. --images tells which images
there are; without it that is not checked.
"""

import argparse
import sys
from pathlib import Path

from projects.files import read_json
from projects.presence.submission import (
    TEST_SETS,
    check_file,
    read_image_ids,
    write_submission,
)

MAX_LINES = 100


def main(argv: list[str] | None = None) -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('results', nargs='?', type=Path, help='PREFIX.keypoints.json of CocoMetric')
    parser.add_argument('--name', help='of the method: letters, digits, "-" and "."')
    parser.add_argument('--out-dir', type=Path, default=Path('.'), help='folder [.]')
    parser.add_argument('--test-set', choices=TEST_SETS, default=TEST_SETS[0])
    parser.add_argument('--validate', type=Path, metavar='FILE', help='check this JSON or zip only')
    parser.add_argument('--images', type=Path, help='image_info_test-dev2017.json')
    args = parser.parse_args(argv)
    if (args.validate is None) == (args.results is None):
        parser.error('give either RESULTS or --validate FILE')
    if args.results is not None and args.name is None:
        parser.error('give --name NAME of the method')
    if args.images is None:
        print('not checked: which images there are (--images)', file=sys.stderr)
    try:
        image_ids = None if args.images is None else read_image_ids(args.images)
        if args.validate is not None:
            return validate(args.validate, image_ids)
        *paths, notes = write_submission(
            args.out_dir, args.name, read_json(args.results), image_ids, args.test_set
        )
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    for note in notes:
        print(f'note: {note}', file=sys.stderr)
    for path in paths:
        print(f'{path}: written and valid')
    return 0


def validate(path: Path, image_ids: frozenset[int] | None) -> int:
    """Print what is wrong with a file, a line each up to 100, and how much it is.

    Args:
        path: JSON or zip.
        image_ids: Of the test set, if known.

    Returns:
        0 if nothing is wrong, else 1.
    """
    violations, notes = check_file(path, image_ids)
    for line in violations[:MAX_LINES]:
        print(line)
    if len(violations) > MAX_LINES:
        print(f'and {len(violations) - MAX_LINES} more')
    for note in notes:
        print(f'note: {note}', file=sys.stderr)
    print(f'{path}: {len(violations)} violations' if violations else f'{path}: valid')
    return int(bool(violations))


if __name__ == '__main__':
    sys.exit(main())
