"""Accuracy of recognizers together: the weighted sum of their scores, sample by sample.

The usual way to join a model of pictures with one of joints (late fusion). Each file is what
tools/test.py wrote with --out FILE.csv. Scores of different files should be of one kind, such as
probabilities. Choose weights on validation data, not on the data that is reported.

Example:
    python tools/test.py configs/star.py rgb.pth --out work_dirs/rgb.csv
    python tools/test.py configs/star/star_joint.py joint.pth --out work_dirs/joint.csv
    python tools/analysis/star_fusion.py work_dirs/rgb.csv work_dirs/joint.csv --weights 1 2
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from projects.star.metric import ActionScores, action_accuracies, read_scores


def fuse(
    paths: Sequence[Path], weights: Sequence[float]
) -> tuple[list[ActionScores], ActionScores]:
    """The scores of each file, and their weighted mean.

    Args:
        paths: Files of scores, of the same samples and classes, each in any order.
        weights: Of each file, 0 or more and not all 0.

    Returns:
        The files' scores, and the mean in the order of the first file.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is malformed, or of other samples, classes or labels than the first.
    """
    files = [read_scores(path) for path in paths]
    first = files[0]
    mean = np.zeros_like(first.scores)
    for path, found, weight in zip(paths, files, weights, strict=True):
        rows = _places(path, paths[0], 'sample', found.names, first.names)
        columns = _places(path, paths[0], 'class', found.classes, first.classes)
        for row, name, label in zip(rows, first.names, first.labels, strict=True):
            one, other = first.classes[label], found.classes[found.labels[row]]
            if one != other:
                raise ValueError(
                    f'{path}: sample {name!r} is of class {other!r}, but {one!r} in {paths[0]}'
                )
        mean += weight / sum(weights) * found.scores[np.ix_(rows, columns)]
    return files, ActionScores(first.names, first.classes, first.labels, mean)


def _places(
    path: Path, first_path: Path, kind: str, names: Sequence[str], first_names: Sequence[str]
) -> list[int]:
    """Where the first file's names are in another file."""
    odd = sorted(set(names) ^ set(first_names))
    if odd:
        here, there = (path, first_path) if odd[0] in names else (first_path, path)
        raise ValueError(
            f'{path} and {first_path} differ in {len(odd)} names of a {kind}: {odd[0]!r} is in '
            f'{here}, not in {there}'
        )
    place = {name: index for index, name in enumerate(names)}
    return [place[name] for name in first_names]


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('files', nargs='+', type=Path, metavar='CSV', help='files of scores')
    parser.add_argument(
        '--weights', nargs='+', type=float, metavar='W', help='of each file [all the same]'
    )
    args = parser.parse_args(argv)
    weights = args.weights or [1.0] * len(args.files)
    if len(args.files) < 2:
        parser.error(f'{len(args.files)} file of scores, expected two or more')
    if len(weights) != len(args.files):
        parser.error(f'--weights has {len(weights)} numbers for {len(args.files)} files')
    if not all(weight >= 0 and math.isfinite(weight) for weight in weights) or not any(weights):
        parser.error(f'--weights is {weights}, expected numbers of 0 or more, not all 0')
    try:
        files, fused = fuse(args.files, weights)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    rows = [
        *(
            (str(path), f'{weight:g}', action_accuracies(found))
            for path, weight, found in zip(args.files, weights, files, strict=True)
        ),
        ('weighted mean', '', action_accuracies(fused)),
    ]
    columns = dict.fromkeys(name for *_, scores in rows for name in scores)
    table = Table('scores', 'weight', *columns, title=f'{len(fused.names)} samples')
    for name, weight, scores in rows:
        cells = (f'{scores[column]:.4f}' if column in scores else '-' for column in columns)
        table.add_row(escape(name), weight, *cells)
    Console().print(table)


if __name__ == '__main__':
    main()
