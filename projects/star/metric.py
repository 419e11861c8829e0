"""Accuracies of action recognition, and the file of scores that they come from."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS
from sklearn.metrics import recall_score

from projects.files import whole_file

COLUMNS = ('name', 'label', 'prediction')
"""The first columns of a file of scores; one for each class follows."""
_LEAST = 1e-7  # probability, so that one sure mistake does not make the cross-entropy infinite
_SUM_TOLERANCE = 1e-2  # bfloat16 has two digits


@dataclass(frozen=True)
class ActionScores:
    """Scores of N samples for C classes.

    Args:
        names: N names of the samples.
        classes: C names of the classes.
        labels: (N,) int, the true classes.
        scores: (N, C) float, larger is surer.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray


@METRICS.register_module()
class ActionAccuracy(BaseMetric):
    """Accuracies of recognised actions, in 0..1, of the scores that a recognizer predicts.

    - ``top1``, ``top5``: share of the samples whose class is among the k of highest score.
      Classes of the same score are taken in their order.
    - ``mean1``: the mean over the classes of their top-1 accuracy. Classes without a sample do not
      count; mmaction2's ``AccMetric`` counts one that a sample was mistaken for as 0.
    - ``cross_entropy``: the mean of -log p of the true class, p cut to 1e-7..1. It is left out, and
      the log says so, where scores are no probabilities: set ``average_clips='prob'`` of the head.

    Class names are the data set's meta information ``classes``, numbers where it has none.

    Args:
        topk: Which accuracies of k classes to report. A k that is no smaller than the number of
            classes is always right, and is left out, but for 1.
        outfile: Write the score of every sample and class to this ``.csv`` file, see
            :func:`write_scores`. It needs ``name`` among the ``meta_keys`` of
            ``PackActionInputs``.
        collect_device: How processes exchange results. The default goes through the process group
            and so needs no disk that all nodes share; it works on CPU too.
        prefix: Put before the names of the results.

    Raises:
        ValueError: If an option is not one of these.
    """

    default_prefix = 'acc'

    def __init__(
        self,
        topk: Sequence[int] = (1, 5),
        outfile: str | None = None,
        collect_device: str = 'gpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        _check_topk(topk)
        if outfile is not None and not str(outfile).endswith('.csv'):
            raise ValueError(f'outfile is {str(outfile)!r}, expected a name that ends in .csv')
        self.topk = tuple(topk)
        self.outfile = outfile

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep name, scores and label of each sample.

        Args:
            data_batch: Not used.
            data_samples: The recognizer's results: ``pred_score`` (C,), ``gt_label`` (1,),
                ``unreadable`` if a data set says so, and ``name`` where an outfile is written.

        Raises:
            ValueError: If a sample has no such scores or label, or no name where it needs one.
        """
        for sample in data_samples:
            name = sample.get('name')
            if name is None and self.outfile is not None:
                raise ValueError(
                    'a result does not say which sample it belongs to, which outfile needs: give '
                    "PackActionInputs meta_keys=('img_shape', 'name')"
                )
            scores, label = sample.get('pred_score'), sample.get('gt_label')
            for field, value, expected in (
                ('pred_score', scores, 'a tensor (classes,)'),
                ('gt_label', label, 'a tensor (1,)'),
            ):
                found = tuple(value.shape) if isinstance(value, torch.Tensor) else value
                if not isinstance(found, tuple) or len(found) != 1 or not found[0]:
                    raise ValueError(f'sample {name!r}: {field} is {found!r}, expected {expected}')
            if len(label) > 1:
                raise ValueError(f'sample {name!r}: gt_label is {label.tolist()}, expected one')
            scores = scores.detach().float().cpu().numpy()
            self.results.append((name, scores, int(label), bool(sample.get('unreadable'))))

    def compute_metrics(
        self, results: list[tuple[str | None, np.ndarray, int, bool]]
    ) -> dict[str, float]:
        """The accuracies over all samples; writes ``outfile``.

        Args:
            results: Name, scores (C,) and label of each sample, and whether it was unreadable.

        Raises:
            ValueError: If there is no sample, scores are not finite or not one for each class, or
                a name that ``outfile`` needs occurs twice.
        """
        if not results:
            raise ValueError('no sample to score')
        classes = (self.dataset_meta or {}).get('classes')
        classes = tuple(map(str, range(len(results[0][1])) if classes is None else classes))
        for name, scores, label, _ in results:
            if scores.shape != (len(classes),) or not np.isfinite(scores).all():
                found = f'of shape {scores.shape}' if np.isfinite(scores).all() else scores.tolist()
                raise ValueError(
                    f'sample {name!r}: scores are {found!s:.80}, expected a finite one for each of '
                    f'the {len(classes)} classes of the data set; see num_classes of the head'
                )
            if not 0 <= label < len(classes):
                raise ValueError(
                    f'sample {name!r}: label is {label}, expected 0 to {len(classes) - 1}'
                )
        names, scores, labels, unreadable = zip(*results, strict=True)
        found = ActionScores(names, classes, np.array(labels), np.stack(scores))
        logger = MMLogger.get_current_instance()
        if any(unreadable):
            logger.warning(
                f'{type(self).__name__}: {sum(unreadable)} of {len(results)} samples could not be '
                f'read, first {names[unreadable.index(True)]!r}; they are scored as what the model '
                'says of a sample in which nobody is seen'
            )
        summary = action_accuracies(found, self.topk)
        if 'cross_entropy' not in summary:
            logger.warning(
                f'{type(self).__name__}: the scores are no probabilities, so there is no '
                "cross_entropy; average_clips='prob' of the head gives probabilities"
            )
        if self.outfile is not None:
            write_scores(self.outfile, found)
            logger.info(f'scores of {len(names)} samples are written to {self.outfile}')
        return summary


def action_accuracies(found: ActionScores, topk: Sequence[int] = (1, 5)) -> dict[str, float]:
    """Accuracies as :class:`ActionAccuracy` defines them.

    Args:
        found: Scores of at least one sample.
        topk: Which accuracies of k classes to give.

    Returns:
        ``top1`` and so on, ``mean1`` and, where all scores are probabilities, ``cross_entropy``.

    Raises:
        ValueError: If ``topk`` has something else than whole numbers of 1 or more.
    """
    _check_topk(topk)
    labels, scores = found.labels, found.scores
    order = np.argsort(-scores, axis=1, kind='stable')  # (N, C), the surest first
    rank = np.argmax(order == labels[:, None], axis=1)  # (N,) of the true class, from 0
    summary = {
        f'top{k}': float(np.mean(rank < k)) for k in topk if k == 1 or k < len(found.classes)
    }
    summary['mean1'] = float(
        recall_score(labels, order[:, 0], labels=np.unique(labels), average='macro')
    )
    if (scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, rtol=0, atol=_SUM_TOLERANCE):
        true = scores[np.arange(len(labels)), labels].astype(float)  # (N,)
        summary['cross_entropy'] = float(-np.log(true.clip(_LEAST, 1)).mean())
    return summary


def write_scores(path: str | Path, found: ActionScores) -> None:
    """Write scores as CSV, whole or not at all.

    The header is ``name,label,prediction`` and the names of the classes; a row has the name of a
    sample, the names of its true class and of that of the highest score, and all scores, with the
    digits that make a float32 what it was.

    Args:
        path: The file.
        found: The scores.

    Raises:
        ValueError: If two samples have one name, or two classes.
    """
    for kind, names in (('sample', found.names), ('class', found.classes)):
        twice = _first_repeated(names)
        if twice is not None:
            raise ValueError(f'{path}: {kind} name {twice!r} occurs twice, nothing is written')
    best = found.scores.argmax(axis=1)
    with whole_file(path) as partial, open(partial, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *found.classes])
        for name, label, prediction, scores in zip(
            found.names, found.labels, best, found.scores, strict=True
        ):
            classes = found.classes[label], found.classes[prediction]
            writer.writerow([name, *classes, *(f'{score:.9g}' for score in scores)])


def read_scores(path: str | Path) -> ActionScores:
    """Read a file that :func:`write_scores` wrote.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, a cell is no number or no class, or a name occurs twice;
            the message names file and line.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file of scores')
    try:
        with open(path, newline='', encoding='utf-8') as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: is no CSV in UTF-8: {error}') from None
    header = rows[0][1] if rows else []
    classes = tuple(header[len(COLUMNS) :])
    if tuple(header[: len(COLUMNS)]) != COLUMNS or not classes:
        raise ValueError(
            f'{path}:1: has columns {header}, expected {", ".join(COLUMNS)} and one for each class'
        )
    if _first_repeated(classes) is not None:
        raise ValueError(f'{path}:1: class {_first_repeated(classes)!r} has two columns')
    index = {name: number for number, name in enumerate(classes)}
    names: dict[str, int] = {}
    labels, scores = [], []
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(f'{path}:{line}: has {len(row)} cells, expected {len(header)}')
        name, *cells = row
        if name in names:
            raise ValueError(f'{path}:{line}: name {name!r} is that of line {names[name]} too')
        names[name] = line
        for column, cell in zip(COLUMNS[1:], cells[:2], strict=True):
            if cell not in index:
                raise ValueError(
                    f'{path}:{line}: {column} is {cell!r}, expected one of {list(classes)}'
                )
        labels.append(index[cells[0]])
        scores.append([_number(path, line, *pair) for pair in zip(classes, cells[2:], strict=True)])
    if not names:
        raise ValueError(f'{path}: has no sample')
    return ActionScores(tuple(names), classes, np.array(labels), np.array(scores))


def _number(path: str | Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f'{path}:{line}: {column} is {cell!r}, expected a finite number')
    return value


def _first_repeated(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)


def _check_topk(topk: Sequence[int]) -> None:
    if not topk or any(not isinstance(k, int) or k < 1 for k in topk):
        raise ValueError(f'topk is {topk!r}, expected whole numbers of 1 or more')
