"""Accuracy of the video classifier, and its half of a Kinetics-TPS submission."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmaction.evaluation import top_k_accuracy
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from projects.files import whole_file


@METRICS.register_module()
class KineticsTPSVideoMetric(BaseMetric):
    """Top-1 and top-5 accuracy of videos, and the mean of the classes' accuracies, in 0 to 1.

    Class names come from the data set's meta information ``video_classes``. A video that could not
    be read counts as class 0, in the accuracies as in ``outfile``, which must name every video.

    Args:
        outfile: JSON file to write ``{video: class}`` to, the ``pred_vid_result.json`` of a
            submission. It needs ``video`` among the ``meta_keys`` of ``PackActionInputs``.
        topk: Which top-k accuracies to report; a k that is no smaller than the number of classes
            is left out.
        collect_device: How processes exchange results. The default goes through the process group
            and so needs no disk that all nodes share; it works on CPU too.
        prefix: Put before the names of the results.
    """

    default_prefix = 'video'

    def __init__(
        self,
        outfile: str | None = None,
        topk: Sequence[int] = (1, 5),
        collect_device: str = 'gpu',
        prefix: str | None = None,
    ) -> None:
        if not topk or any(not isinstance(k, int) or k < 1 for k in topk):
            raise ValueError(f'topk is {topk!r}, expected whole numbers of 1 or more')
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.outfile = outfile
        self.topk = tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep scores and label of each video.

        Args:
            data_batch: Not used.
            data_samples: The recognizer's results: ``pred_score`` (classes,), which the head has
                averaged over clips, ``gt_label`` (1,), ``video`` and, where another video was
                tested in place of one that could not be read, ``unreadable``.
        """
        for sample in data_samples:
            video = sample.get('video')
            if video is None and self.outfile is not None:
                raise ValueError(
                    'a result does not say which video it belongs to, which outfile needs: '
                    "PackActionInputs takes meta_keys=('img_shape', 'video')"
                )
            scores = sample['pred_score'].detach().float().cpu().numpy()
            unreadable = bool(sample.get('unreadable'))
            self.results.append((video, scores, int(sample['gt_label']), unreadable))

    def compute_metrics(
        self, results: list[tuple[str | None, np.ndarray, int, bool]]
    ) -> dict[str, Any]:
        """The accuracies over all videos; writes ``outfile``.

        Args:
            results: Name, scores (classes,) and label of each video, and whether it was unreadable.
        """
        names = self.dataset_meta['video_classes']
        for video, scores, _, _ in results:
            if scores.shape != (len(names),):
                raise ValueError(
                    f'video {video!r}: got scores of shape {scores.shape}, expected one for each '
                    f'of the {len(names)} classes of the data set; see num_classes of the head'
                )
        scores = np.stack([scores for _, scores, _, _ in results])  # (videos, classes)
        labels = np.array([label for _, _, label, _ in results])
        unread = np.flatnonzero([unreadable for _, _, _, unreadable in results])
        if len(unread):
            print_log(
                f'{type(self).__name__}: {len(unread)} of {len(scores)} videos could not be read, '
                f'first {results[unread[0]][0]!r}; they count as class 0',
                logger='current',
                level=logging.WARNING,
            )
            scores[unread] = -np.arange(scores.shape[1])
        unsound = np.flatnonzero(~np.isfinite(scores).all(1))
        if len(unsound):
            print_log(
                f'{type(self).__name__}: the scores of {len(unsound)} of {len(scores)} videos are '
                f'not finite, first of {results[unsound[0]][0]!r}; they count as class 0',
                logger='current',
                level=logging.WARNING,
            )
            scores[unsound] = -np.arange(scores.shape[1])
        best = scores.argmax(1)
        if self.outfile is not None:
            classes = {
                video: names[index] for (video, *_), index in zip(results, best, strict=True)
            }
            with whole_file(self.outfile) as partial:
                partial.write_text(json.dumps(classes, indent=1) + '\n', encoding='utf-8')
        topk = [k for k in self.topk if k < len(names)] or [1]
        accuracies = top_k_accuracy(scores, labels, topk)
        return {
            **{f'top{k}': float(value) for k, value in zip(topk, accuracies, strict=True)},
            # mmaction2's counts a class that no video belongs to, but one was taken for, as 0
            'mean_class': float(np.mean([(best[labels == c] == c).mean() for c in set(labels)])),
        }
