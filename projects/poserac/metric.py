"""Scores of counting repetitions under three protocols, and the file of counts they come from."""

import csv
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table

from projects.files import whole_file

PROTOCOLS = {
    'predicted': 'nothing of the truth',
    'given': 'the true class',
    'oracle': 'the true count: upper bound',
}
"""Whose class is counted, and what that uses of the truth."""

ERRORS = ('MAE', 'MAE-TransRAC', 'OBO', 'absolute_error')
ZERO_ERRORS = ('zero/videos', 'zero/mean_count', 'zero/OBO')


@dataclass(frozen=True)
class CountRecord:
    """What was counted of one person of one video, a row of the file of counts.

    Args:
        name: Name of the video.
        person: Which of its people, from 0.
        type: The true class; where it is none of the model's, as the annotation names it.
        count: The true number of repetitions.
        predicted_type: The class that was found, empty if none was: no frame has a pose.
        predicted_count: Repetitions counted of that class.
        given_count: Of the true class; None where it is none of the model's.
        oracle_count: Of the class whose count is nearest to the truth.
    """

    name: str
    person: int
    type: str
    count: int
    predicted_type: str
    predicted_count: int
    given_count: int | None
    oracle_count: int


@METRICS.register_module()
class PoseRACMetric(BaseMetric):
    """Errors of repetition counts.

    A model counts the repetitions of every class; the protocols differ in whose count is taken:

    - ``predicted``: the class that the model finds. Uses nothing of the truth.
    - ``given``: the true class. Videos of a class that the model lacks are left out of it.
    - ``oracle``: the class whose count is nearest to the true count, as PoseRAC's own evaluation
      does. It uses the very number that is asked for, and so is an upper bound. The scores that
      papers of this family print are of this protocol.

    With p counted and g true repetitions:

    - ``MAE``: PoseRAC's, the mean of abs(p - g) / (g + 1e-9).
    - ``MAE-TransRAC``: TransRAC's, the mean of abs(p - g) / (g + 0.1).
    - ``OBO``: share of the videos with abs(p - g) <= 1.
    - ``absolute_error``: the mean of abs(p - g), in repetitions.

    Either MAE is over the videos with g > 0: the first would be some 1e9 for each repetition
    found in a video without any. OBO and absolute_error are over all videos. Those with g = 0
    are also reported alone: ``zero/videos``, how many there are, ``zero/mean_count``, the mean of
    p, and ``zero/OBO``.

    ``protocol``'s errors stand under their plain names, all protocols' as ``given/MAE`` and so on.
    ``class_accuracy`` is over the videos of the model's classes; ``given/left_out`` is the number
    of the others. A score that no video enters is left out.

    Args:
        protocol: Whose errors stand under the plain names: ``'predicted'``, ``'given'`` or
            ``'oracle'``.
        per_class: Add ``MAE/<action>`` and ``OBO/<action>`` for every action, of ``protocol``.
        outfile: Write the counts of all videos to this ``.csv`` file, see :func:`read_counts`.
        collect_device: How processes exchange results. The default goes through the process group
            and so needs no disk that all nodes share; it works on CPU too.
        prefix: As in mmengine's ``BaseMetric``.

    Raises:
        ValueError: If there is no such protocol, or ``outfile`` does not end in ``.csv``.
    """

    default_prefix = 'count'

    def __init__(
        self,
        protocol: str = 'predicted',
        per_class: bool = False,
        outfile: str | None = None,
        collect_device: str = 'gpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        _check_protocol(protocol)
        if outfile is not None and not str(outfile).endswith('.csv'):
            raise ValueError(f'outfile is {str(outfile)!r}, expected a name that ends in .csv')
        self.protocol = protocol
        self.per_class = per_class
        self.outfile = outfile

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Reduce a batch to one record a sample.

        Args:
            data_batch: ``meta``, a list of dicts with ``name``, ``person``, ``action``, ``label``
                and ``count``; ``error`` where the poses could not be read.
            data_samples: As many predictions with ``counts`` (C,) and ``predicted_label``, -1
                where no class was found, which counts as 0 repetitions.

        Raises:
            ValueError: If counts are not of the data set's classes.
        """
        classes = (self.dataset_meta or {}).get('classes')
        for meta, sample in zip(data_batch['meta'], data_samples, strict=True):
            counts = np.asarray(sample['counts'])
            if classes and counts.shape != (len(classes),):
                raise ValueError(
                    f'counts of {meta["name"]} are of shape {counts.shape}, but the data set has '
                    f'{len(classes)} classes: set model.num_classes to {len(classes)}'
                )
            names = classes or [str(label) for label in range(len(counts))]
            label, true = int(meta['label']), int(meta['count'])
            known = 0 <= label < len(names)
            predicted_label, error = int(sample['predicted_label']), meta.get('error')
            if error is not None:  # whatever stood in its place, nothing was counted
                counts, predicted_label = np.zeros_like(counts), -1
            found = counts_under_protocols(
                counts, predicted_label, label=label if known else None, true_count=true
            )
            record = CountRecord(
                name=str(meta['name']),
                person=int(meta.get('person', 0)),
                type=names[label] if known else str(meta['action']),
                count=true,
                predicted_type='' if predicted_label < 0 else names[predicted_label],
                predicted_count=int(found['predicted']),
                given_count=int(found['given']) if known else None,
                oracle_count=int(found['oracle']),
            )
            self.results.append((record, None if error is None else str(error)))

    def compute_metrics(self, results: list[tuple[CountRecord, str | None]]) -> dict[str, float]:
        """Score the records, log the table, write ``outfile``.

        Args:
            results: Records of :meth:`process`, each with its error or None.
        """
        logger = MMLogger.get_current_instance()
        records = [record for record, _ in results]
        unread = [(record, error) for record, error in results if error is not None]
        if unread:
            few = '; '.join(f'{record.name}: {error}' for record, error in unread[:3])
            logger.warning(
                f'{len(unread)} of {len(results)} samples could not be read; they count as 0 '
                f'repetitions. The first: {few}'
            )
        scores = score_counts(records, self.protocol, self.per_class)
        logger.info('\n' + counts_table(records))
        if self.outfile is not None:
            write_counts(self.outfile, records)
            logger.info(f'{len(records)} counts are written to {self.outfile}')
        return scores


def counts_under_protocols(
    counts: ArrayLike, predicted_label: int, label: int | None, true_count: int
) -> dict[str, int | None]:
    """The count of a sequence, one for each way to choose whose class's count it is.

    ``predicted`` uses nothing of the truth and ``given`` the true class. ``oracle`` takes the
    class whose count is nearest to the true count, as the evaluation of the original code does. It
    is told the very number it is asked for and so is an upper bound of what can be reached by
    choosing a class, not the score of a counter; the published scores of this method are of this
    protocol.

    Args:
        counts: (C,) repetitions of every class.
        predicted_label: The class that was found, -1 if none was.
        label: The true class; -1 or None if it is none of the C.
        true_count: The true number of repetitions.

    Returns:
        ``predicted``, 0 where no class was found; ``given``, None where the true class is none of
        the C; ``oracle``, of the first class where several are as near.

    Raises:
        ValueError: If the counts are not (C,) of at least one class, or a label is no class.
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or not len(counts):
        raise ValueError(f'counts have shape {counts.shape}, expected (C,) of at least one class')
    label = -1 if label is None else label
    for name, value in (('predicted_label', predicted_label), ('label', label)):
        if not -1 <= value < len(counts):
            raise ValueError(f'{name} is {value}, expected -1 to {len(counts) - 1}')
    return dict(
        predicted=0 if predicted_label < 0 else int(counts[predicted_label]),
        given=None if label < 0 else int(counts[label]),
        oracle=int(counts[np.abs(counts - true_count).argmin()]),
    )


def counting_errors(predicted: Sequence[int], true: Sequence[int]) -> dict[str, float]:
    """Errors of counts, as :class:`PoseRACMetric` defines them.

    Args:
        predicted: (N,) counted repetitions.
        true: (N,) true repetitions.

    Returns:
        ``videos`` N, ``MAE``, ``MAE-TransRAC``, ``OBO``, ``absolute_error``, ``zero/videos``,
        ``zero/mean_count`` and ``zero/OBO``; NaN where there is no video to average over.

    Raises:
        ValueError: If the shapes differ, or a count is negative or no number.
    """
    predicted, true = np.asarray(predicted, dtype=float), np.asarray(true, dtype=float)
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise ValueError(
            f'predicted has shape {predicted.shape} and true {true.shape}, expected (N,) of both'
        )
    for name, counts in (('predicted', predicted), ('true', true)):
        bad = counts[~(counts >= 0)]
        if len(bad):
            raise ValueError(f'{name} holds {bad[0]}, expected counts of 0 or more')
    error = np.abs(predicted - true)
    zero = true == 0
    return {
        'videos': float(len(true)),
        'MAE': _mean(error[~zero] / (true[~zero] + 1e-9)),
        'MAE-TransRAC': _mean(error[~zero] / (true[~zero] + 0.1)),
        'OBO': _mean(error <= 1),
        'absolute_error': _mean(error),
        'zero/videos': float(zero.sum()),
        'zero/mean_count': _mean(predicted[zero]),
        'zero/OBO': _mean(error[zero] <= 1),
    }


def score_counts(
    records: Sequence[CountRecord], protocol: str = 'predicted', per_class: bool = False
) -> dict[str, float]:
    """Scores of counts under all protocols, named as :class:`PoseRACMetric` says.

    Args:
        records: Of every video, such as :func:`read_counts` gives them.
        protocol: Whose errors stand under the plain names.
        per_class: Add the errors of every action.

    Raises:
        ValueError: If there is no such protocol.
    """
    _check_protocol(protocol)
    main = counting_errors(*_counts_of(records, protocol))
    scores = {name: main[name] for name in (*ERRORS, *ZERO_ERRORS)}
    for name in PROTOCOLS:
        errors = counting_errors(*_counts_of(records, name))
        scores.update({f'{name}/{error}': errors[error] for error in ERRORS})
    known = [record for record in records if record.given_count is not None]
    scores['given/left_out'] = float(len(records) - len(known))
    scores['class_accuracy'] = _mean([record.type == record.predicted_type for record in known])
    for action in sorted({record.type for record in records}) if per_class else ():
        of_action = [record for record in records if record.type == action]
        errors = counting_errors(*_counts_of(of_action, protocol))
        scores.update({f'{name}/{action}': errors[name] for name in ('MAE', 'OBO')})
    return {name: score for name, score in scores.items() if not math.isnan(score)}


def counts_table(records: Sequence[CountRecord]) -> str:
    """The errors under all protocols as text, each protocol beside what it uses of the truth.

    Args:
        records: Of every video.
    """
    table = Table(title=f'Repetitions counted in {len(records)} samples', title_justify='left')
    table.add_column('class')
    table.add_column('uses of the truth')
    for column in ('samples', 'MAE', 'MAE-TransRAC', 'OBO', 'absolute error'):
        table.add_column(column, justify='right')
    for protocol, uses in PROTOCOLS.items():
        errors = counting_errors(*_counts_of(records, protocol))
        cells = ['-' if math.isnan(errors[name]) else f'{errors[name]:.4f}' for name in ERRORS]
        table.add_row(protocol, uses, f'{errors["videos"]:.0f}', *cells)
    zero = sum(record.count == 0 for record in records)
    if zero:
        table.caption = f'Either MAE is without the samples whose true count is 0 ({zero}).'
        table.caption_justify = 'left'
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def write_counts(path: str | Path, records: Sequence[CountRecord]) -> None:
    """Write counts as CSV with a header, a row a video and person; whole or not at all.

    Args:
        path: The file.
        records: What it holds; a ``given_count`` of None is an empty cell.
    """
    with whole_file(path) as partial, open(partial, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(_columns())
        writer.writerows(astuple(record) for record in records)


def read_counts(path: str | Path) -> list[CountRecord]:
    """Read a file that :func:`write_counts` wrote.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing or a cell is no count; the message names file and line.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file of counts')
    try:
        with open(path, newline='', encoding='utf-8') as file:
            rows = list(csv.reader(file, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: is no CSV in UTF-8: {error}') from None
    columns = _columns()
    if not rows or rows[0] != columns:
        raise ValueError(f'{path}:1: has columns {rows[0] if rows else []}, expected {columns}')
    records = []
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(columns):
            raise ValueError(f'{path}:{line}: has {len(row)} cells, expected {len(columns)}')
        cells = dict(zip(columns, row, strict=True))
        for field in ('person', 'count', 'predicted_count', 'given_count', 'oracle_count'):
            if field == 'given_count' and not cells[field]:
                cells[field] = None
            elif not (cells[field].isascii() and cells[field].isdigit()):
                raise ValueError(
                    f'{path}:{line}: {field} is {cells[field]!r}, expected a whole number of 0 '
                    'or more'
                )
            else:
                cells[field] = int(cells[field])
        records.append(CountRecord(**cells))
    return records


def _columns() -> list[str]:
    return [field.name for field in fields(CountRecord)]


def _counts_of(records: Sequence[CountRecord], protocol: str) -> tuple[list[int], list[int]]:
    """Counted and true repetitions of the records that have a count under the protocol."""
    pairs = [(getattr(record, f'{protocol}_count'), record.count) for record in records]
    pairs = [pair for pair in pairs if pair[0] is not None]
    return [counted for counted, _ in pairs], [true for _, true in pairs]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _check_protocol(protocol: str) -> None:
    if protocol not in PROTOCOLS:
        raise ValueError(f'protocol is {protocol!r}, expected one of {list(PROTOCOLS)}')
