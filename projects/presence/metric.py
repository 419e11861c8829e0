"""Scores of presence: how well is told which keypoints are there."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS
from mmpose.utils.tensor_utils import to_numpy
from rich.console import Console
from rich.table import Table

from projects.files import whole_file
from projects.presence.presence_scores import F1_NAMES, PresenceScores, presence_scores
from projects.visualization import check_thresholds

SOURCES = {
    'presence': 'keypoints_presence',
    'heatmap_max': ('keypoint_heatmap_scores', 'keypoint_scores'),
}
HINTS = {
    'keypoints_presence': 'KeypointPresenceHead predicts it',
    'keypoints_visible': "mmpose's VisPredictHead predicts it",
}
TABLE = (
    *('AP', 'AUROC', 'AP_absent', 'F1', 'F1_absent', 'F1_macro_best', 'best_threshold'),
    *('brier', 'ECE', 'cross_entropy'),
)


@METRICS.register_module()
class KeypointPresenceMetric(BaseMetric):
    """How well a score of each keypoint tells whether the keypoint is there.

    Truth is ``keypoint_presence`` of ``KeypointPresenceTarget`` where the pipeline has it; unknown
    keypoints do not count. Without it, present is what is labelled, v > 0. People must be
    annotated: of detected boxes nothing is known.

    Over the order of the scores, which any growing function of the scores keeps:

    - ``AP``: average precision of finding the present ones, ``AP_absent`` of finding the absent
      ones by the lowest scores, ``AUROC``. Each is the mean over the keypoints of which both
      states occur; the log tells how many these are. ``AP`` by chance is the share of present
      ones, some 0.9 on most data, so ``AP_absent`` tells more. ``AP_pooled``, ``AP_absent_pooled``
      and ``AUROC_pooled`` are over all keypoints in one list: there a score that only knows how
      often each keypoint is there is better than chance.

    Over decisions, present from a threshold on, of all keypoints together:

    - ``F1`` of finding the present ones at 0.5, ``F1_absent`` of finding the absent ones, and
      their mean ``F1_macro``. Calling everything present has an F1 of 0.94 where 88 % are.
    - ``F1_best``, ``F1_absent_best``, ``F1_macro_best`` at ``best_threshold``, which is chosen on
      the very data at hand; ``F1_val``, ``F1_absent_val`` and ``F1_macro_val`` at ``threshold``,
      which ``PresenceThresholdHook`` takes from validation.

    Over the scores as probabilities, cut to 0..1, of all keypoints together:

    - ``brier``, the mean square error, ``cross_entropy``, probabilities cut to 1e-7..1 - 1e-7
      (under this name, for mmengine's log line averages what has ``loss`` in its name over the
      validations of a run), and ``ECE``, the expected calibration error of the probability of
      presence, bins of equal width.

    ``share_present`` is of the truth. A score that the data does not define, as of one state
    alone, is NaN, and the log says so.

    Args:
        sources: Name of each kind of score and its field in ``pred_instances``, or several fields
            of which the first one that exists is taken. The scores of the first source have plain
            names, those of the others begin with the source's name: ``heatmap_max/AP``.
        threshold: From validation: that of the first source, or a dict of them by source.
        criterion: ``best_threshold`` makes this largest: ``'F1_macro'``, ``'F1'`` or
            ``'F1_absent'``. F1 alone is often best where nearly everything is called present.
        num_bins: Of ECE.
        per_keypoint: Log a table of the keypoints.
        outfile: Write all scores, those of every keypoint and the bins to this ``.json`` file.
        collect_device: How processes exchange results. The default goes through the process group
            and so needs no disk that all nodes share; it works on CPU too.
        prefix: As in mmengine's ``BaseMetric``.

    Raises:
        ValueError: If an option is not one of these.
    """

    default_prefix = 'presence'

    def __init__(
        self,
        sources: Mapping[str, str | Sequence[str]] | None = None,
        threshold: float | Mapping[str, float] | None = None,
        criterion: str = 'F1_macro',
        num_bins: int = 15,
        per_keypoint: bool = False,
        outfile: str | None = None,
        collect_device: str = 'gpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        sources = SOURCES if sources is None else sources
        if not isinstance(sources, Mapping) or not sources:
            raise ValueError(f'sources are {sources!r}, expected names and fields, one at least')
        if criterion not in F1_NAMES:
            raise ValueError(f'criterion is {criterion!r}, expected one of {F1_NAMES}')
        if num_bins < 1:
            raise ValueError(f'num_bins is {num_bins!r}, expected 1 or more')
        if outfile is not None and not str(outfile).endswith('.json'):
            raise ValueError(f'outfile is {str(outfile)!r}, expected a name that ends in .json')
        self.sources = {
            name: (fields,) if isinstance(fields, str) else tuple(fields)
            for name, fields in sources.items()
        }
        self.threshold = threshold
        self._check_thresholds()
        self.criterion = criterion
        self.num_bins = num_bins
        self.per_keypoint = per_keypoint
        self.outfile = outfile

    def thresholds(self) -> dict[str, float]:
        """Those from validation by source; sources without one are left out."""
        if self.threshold is None:
            return {}
        if isinstance(self.threshold, Mapping):
            return dict(self.threshold)
        return {next(iter(self.sources)): self.threshold}

    def _check_thresholds(self) -> None:
        thresholds = self.thresholds()
        unknown = [source for source in thresholds if source not in self.sources]
        if unknown:
            raise ValueError(
                f'threshold is of source {unknown[0]!r}, expected some of {list(self.sources)}'
            )
        for source, value in thresholds.items():
            check_thresholds(**{f'threshold of source {source!r}': value})

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep truth and scores of a batch.

        Args:
            data_batch: Not used.
            data_samples: With ``pred_instances``, and ``gt_instance_labels`` or ``gt_instances``.

        Raises:
            ValueError: If a sample has no truth, or lacks a field of scores.
        """
        for sample in data_samples:
            truth, known = _truth(sample)
            scores = [
                _scores(sample, source, fields, truth.shape)
                for source, fields in self.sources.items()
            ]
            self.results.append((truth, known, np.stack(scores)))

    def compute_metrics(
        self, results: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    ) -> dict[str, float]:
        """Score all people, log the tables, write ``outfile``.

        Args:
            results: Of each sample truth (n, K), whether it is known (n, K), and the scores of
                each source (sources, n, K).

        Raises:
            ValueError: If there is no sample, or a score is not finite.
        """
        if not results:
            raise ValueError('no sample to score, expected annotated people')
        truth, known = (np.concatenate(column) for column in list(zip(*results, strict=True))[:2])
        all_scores = np.concatenate([scores for _, _, scores in results], axis=1)
        logger = MMLogger.get_current_instance()
        of_source, summary, thresholds = {}, {}, self.thresholds()
        for number, (source, scores) in enumerate(zip(self.sources, all_scores, strict=True)):
            try:
                found = presence_scores(
                    truth,
                    known,
                    scores,
                    threshold=thresholds.get(source),
                    criterion=self.criterion,
                    num_bins=self.num_bins,
                )
            except ValueError as error:
                raise ValueError(f'source {source!r}: {error}') from error
            of_source[source] = found
            summary.update(
                {f'{source}/{name}' if number else name: value
                 for name, value in found.summary.items()}
            )  # fmt: skip
        names = self._names(truth.shape[1])
        logger.info('\n' + scores_table(of_source, int(known.sum())))
        self._log_undefined(of_source, names)
        if self.per_keypoint:
            logger.info('\n' + keypoints_table(of_source, names))
        if self.outfile is not None:
            write_scores(self.outfile, of_source, names, thresholds)
            logger.info(f'scores of {len(truth)} people are written to {self.outfile}')
        return summary

    def _log_undefined(self, of_source: dict[str, PresenceScores], names: Sequence[str]) -> None:
        """Say which keypoints have no AP and AUROC; this is the same for all sources."""
        found = next(iter(of_source.values()))
        missing = [
            name
            for name, keypoint in zip(names, found.keypoints, strict=True)
            if math.isnan(keypoint['AUROC'])
        ]
        if missing:
            MMLogger.get_current_instance().warning(
                f'AP and AUROC are over {found.ranked} of {len(names)} keypoints: of the others '
                f'only one state occurs ({", ".join(missing)})'
                + ('' if found.ranked else '; they are NaN')
            )

    def _names(self, count: int) -> list[str]:
        """Of the keypoints, as the data set has them."""
        names = (self.dataset_meta or {}).get('keypoint_id2name', {})
        return [str(names.get(index, index)) for index in range(count)]


def scores_table(of_source: Mapping[str, PresenceScores], count: int) -> str:
    """The main scores as text, a row for each source.

    Args:
        of_source: Scores of each source.
        count: How many keypoints they are over.
    """
    share = next(iter(of_source.values())).summary['share_present']
    table = Table(title=f'Presence of {count} keypoints, {share:.1%} present', title_justify='left')
    table.add_column('score')
    for name in TABLE:
        table.add_column(name, justify='right')
    for source, found in of_source.items():
        table.add_row(source, *(_cell(found.summary[name]) for name in TABLE))
    return _text(table)


def keypoints_table(of_source: Mapping[str, PresenceScores], names: Sequence[str]) -> str:
    """Scores of every keypoint as text.

    Args:
        of_source: Scores of each source.
        names: Of the keypoints.
    """
    table = Table(title='Presence by keypoint', title_justify='left')
    for column in ('keypoint', 'n', 'present'):
        table.add_column(column, justify='left' if column == 'keypoint' else 'right')
    for source in of_source:
        for name in ('AP', 'AUROC', 'AP_absent'):
            table.add_column(f'{source} {name}', justify='right')
    for index, name in enumerate(names):
        rows = [found.keypoints[index] for found in of_source.values()]
        cells = [_cell(row[score]) for row in rows for score in ('AP', 'AUROC', 'AP_absent')]
        table.add_row(name, str(rows[0]['n']), _cell(rows[0]['share_present']), *cells)
    return _text(table)


def write_scores(
    path: str,
    of_source: Mapping[str, PresenceScores],
    names: Sequence[str],
    thresholds: Mapping[str, float],
) -> None:
    """Write all scores as JSON, whole or not at all; NaN becomes null.

    Args:
        path: The file.
        of_source: Scores of each source. ``sources`` of the file holds for each ``scores``,
            ``keypoints`` by name, ``bins``, and the ``threshold`` that ``F1_val`` is at.
        names: Of the keypoints.
        thresholds: That ``F1_val`` is at, by source.
    """
    content = dict(
        sources={
            source: dict(
                threshold=thresholds.get(source),
                scores=found.summary,
                keypoints=dict(zip(names, found.keypoints, strict=True)),
                bins=found.bins,
            )
            for source, found in of_source.items()
        },
    )
    with whole_file(path) as partial:
        text = json.dumps(_without_nan(content), indent=1, allow_nan=False)
        partial.write_text(text + '\n', encoding='utf-8')


def _truth(sample: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """(n, K) bool each: which keypoints of a sample are there, and of which it is known."""
    labels = sample.get('gt_instance_labels') or {}
    if 'keypoint_presence' in labels:
        truth = to_numpy(labels['keypoint_presence']) > 0.5
        known = np.ones_like(truth)
        if 'keypoint_presence_weights' in labels:
            known = to_numpy(labels['keypoint_presence_weights']) > 0
        # of several encoders (L, n, K): repeated for each, see KeypointPresenceTarget
        return (truth[-1], known[-1]) if truth.ndim == 3 else (truth, known)
    instances = sample.get('gt_instances') or {}
    # mmpose gives detected boxes keypoints that are all visible, and all at 0
    detected = 'raw_ann_info' not in sample and not np.any(
        to_numpy(instances.get('keypoints', np.zeros(1)))
    )
    if 'keypoints_visible' not in instances or detected:
        raise ValueError(
            f'{sample.get("img_path")}: nothing tells which keypoints are there; '
            'KeypointPresenceMetric needs annotated boxes: leave out bbox_file of the data set'
        )
    visible = to_numpy(instances['keypoints_visible'])
    truth = (visible if visible.ndim == 2 else visible[..., 0]) > 0  # after v, packed weights
    return truth, np.ones_like(truth)


def _scores(
    sample: Mapping[str, Any], source: str, fields: Sequence[str], shape: tuple[int, ...]
) -> np.ndarray:
    """(n, K) scores of a sample."""
    predicted = sample.get('pred_instances') or {}
    field = next((field for field in fields if field in predicted), None)
    if field is None:
        hints = [HINTS[field] for field in fields if field in HINTS]
        raise ValueError(
            f'{sample.get("img_path")}: source {source!r} needs pred_instances.'
            f'{" or ".join(fields)}, found {sorted(predicted)}'
            + ''.join(f'; {hint}' for hint in hints)
        )
    scores = to_numpy(predicted[field]).astype(np.float32)
    if scores.shape != shape:
        raise ValueError(
            f'{sample.get("img_path")}: pred_instances.{field} is of shape {scores.shape}, '
            f'expected {shape} as the truth: one prediction for each annotated person'
        )
    return scores


def _cell(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.4f}'


def _text(table: Table) -> str:
    console = Console(width=160, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
