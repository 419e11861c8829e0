r"""Join a parser's and a classifier's results into the zip of the challenge, or check a zip.

    python tools/make_submission.py pred_part_result.json pred_vid_result.json \
        --data-root data/kinetics_tps --out submission.zip
    python tools/make_submission.py --validate submission.zip --data-root data/kinetics_tps

The parser's result is what KineticsTPSMetric writes as ``outfile``. --data-root gives the
vocabularies, the classes and list/video_test_flist.csv; without it, or without --frame-list, what
they would tell is not checked.
"""

import argparse
import sys
from pathlib import Path

from projects.apct.scoring.result_files import garbage_collection_off, read_result
from projects.apct.scoring.submission import Rules, write_submission, zip_violations


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('parser_result', nargs='?', type=Path, help='pred_part_result.json')
    parser.add_argument('classifier_result', nargs='?', type=Path, help='pred_vid_result.json')
    parser.add_argument('--out', type=Path, default=Path('submission.zip'))
    parser.add_argument('--validate', type=Path, metavar='ZIP', help='check this zip only')
    parser.add_argument('--data-root', type=Path, help='of Kinetics-TPS')
    parser.add_argument(
        '--frame-list',
        type=Path,
        help='videos and their frames [DATA_ROOT/list/video_test_flist.csv]',
    )
    args = parser.parse_args()
    if (args.validate is None) == (args.classifier_result is None):
        parser.error('give either PARSER_RESULT and CLASSIFIER_RESULT, or --validate ZIP')
    try:
        rules = Rules.read(args.data_root, args.frame_list)
        unchecked = [
            what
            for what, known in (
                ('videos and frames (--data-root or --frame-list)', rules.frame_counts),
                ('parts, states and classes (--data-root)', rules.part_names),
            )
            if known is None
        ]
        if unchecked:
            print(f'not checked against a list: {"; ".join(unchecked)}', file=sys.stderr)
        if args.validate is not None:
            return validate(args.validate, rules)
        results = [
            read_result(path.parent, path.name)
            for path in (args.parser_result, args.classifier_result)
        ]
        notes = write_submission(args.out, *results, rules)
    except (ValueError, KeyError, OSError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f'error: {message}', file=sys.stderr)
        return 1
    for note in notes:
        print(f'note: {note}', file=sys.stderr)
    print(f'{args.out}: written and valid')
    return 0


def validate(path: Path, rules: Rules) -> int:
    """Print everything that is wrong with a zip, a line each, and how much it is.

    Args:
        path: The zip.
        rules: What it may name.

    Returns:
        0 if nothing is wrong, else 1.
    """
    count = 0
    for line in zip_violations(path, rules):
        print(line)
        count += 1
    print(f'{path}: {count} violations' if count else f'{path}: valid')
    return int(count > 0)


if __name__ == '__main__':
    with garbage_collection_off():  # halves the time on results of 100 MB
        sys.exit(main())
