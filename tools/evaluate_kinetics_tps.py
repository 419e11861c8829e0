"""The Kinetics-TPS challenge's score of a folder of results, as one line of JSON.

    python tools/evaluate_kinetics_tps.py GT_DIR PRED_DIR
    python tools/evaluate_kinetics_tps.py GT_DIR submission.zip --tables

GT_DIR holds gt_vid_result.json and gt_part_result.json, PRED_DIR pred_vid_result.json and
pred_part_result.json. ``acc_p`` is the challenge's score, to the last bits; nothing is rounded.
"""

import argparse
import json
import math
import os
import sys
import types
import warnings
import zipfile
import zlib
from pathlib import Path

# Bytes above which a second process saves more than it takes to start.
LARGE = 20_000_000


def import_alone() -> None:
    """Let modules of ``projects.apct`` be imported without the packages around them.

    Those import torch and mmdet, which takes longer than scoring the whole challenge, and the
    score needs neither. Does nothing where the packages are loaded already.
    """
    root = Path(__file__).resolve().parents[1]
    if 'projects' not in sys.modules:
        for name in ('projects', 'projects.apct'):
            module = types.ModuleType(name, 'Stands for the package without what it imports.')
            module.__path__ = [str(root.joinpath(*name.split('.')))]
            sys.modules[name] = module


def main() -> int:
    """Score, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('gt_dir', type=Path)
    parser.add_argument('pred_dir', type=Path, help='folder, or the zip of a submission')
    parser.add_argument(
        '--tables',
        action='store_true',
        help='add part_recall, state_acc and part_ap50, and print tables to stderr (slower)',
    )
    parser.add_argument(
        '--processes', type=int, help='that share the videos [1, and 2 for large files]'
    )
    args = parser.parse_args()
    if args.processes is None:
        path = args.pred_dir / 'pred_part_result.json'
        large = path.is_file() and path.stat().st_size > LARGE
        args.processes = 2 if large and (os.cpu_count() or 1) > 1 else 1
    if args.processes < 1:
        parser.error(f'--processes is {args.processes}, expected at least 1')
    warnings.showwarning = lambda message, *_, **__: print(f'warning: {message}', file=sys.stderr)
    try:
        scores = evaluate(args.gt_dir, args.pred_dir, args.tables, args.processes)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, zlib.error) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f'error: {message}', file=sys.stderr)
        return 1
    print(json.dumps(scores))
    return 0


def evaluate(
    gt_dir: Path, pred_dir: Path, tables: bool = False, processes: int = 1
) -> dict[str, float | None]:
    """The scores that the tool prints.

    Args:
        gt_dir: Folder of the truth.
        pred_dir: Folder or zip of the predictions.
        tables: Add the diagnostics, and print their tables to stderr.
        processes: That share the videos among them.
    """
    from projects.apct.scoring.file_score import score_files

    scores = score_files(gt_dir, pred_dir, processes)
    if tables:
        from projects.apct.scoring.diagnostics import diagnostic_tables, parsing_diagnostics
        from projects.apct.scoring.result_files import read_results, result_names

        scores.update(part_recall=None, state_acc=None, part_ap50=None)
        try:
            gt_videos, gt_people, _, pred_people = read_results(gt_dir, pred_dir)
            names = result_names(gt_dir, pred_dir)
            diagnostics = parsing_diagnostics(list(gt_videos), gt_people, pred_people, names)
            print(diagnostic_tables(diagnostics), file=sys.stderr)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # the score may take what the tables cannot count, and then it is what was asked for
            warnings.warn(f'no tables: {type(error).__name__}: {error}', stacklevel=2)
            return scores
        for name in ('part_recall', 'state_acc', 'part_ap50'):
            value = diagnostics[name]
            scores[name] = None if value is None or math.isnan(value) else value
    return scores


if __name__ == '__main__':
    os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')  # threads that would only take start-up time
    import_alone()
    sys.exit(main())
