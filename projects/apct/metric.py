"""The challenge's score and its diagnostics as a mmengine metric."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS

from projects.apct.people import official_people
from projects.apct.scoring.diagnostics import (
    diagnostic_tables,
    mean_person_iou,
    parsing_diagnostics,
)
from projects.apct.scoring.result_fields import (
    MAX_PROPOSALS,
    ResultNames,
    json_object,
    short,
    where,
)
from projects.apct.scoring.result_files import garbage_collection_off, read_result
from projects.apct.scoring.score import MAX_PEOPLE, curve_area, video_psc
from projects.files import whole_file


@METRICS.register_module()
class KineticsTPSMetric(BaseMetric):
    """Part parsing as the Kinetics-TPS challenge scores it, over the frames that were tested.

    - ``acc_p``, ``top1``: the challenge's score and the accuracy of the video classes, if
      ``video_results`` tells the classes.
    - ``acc_p_true_class``: without it, the score as if every video's class were right: an upper
      bound of ``acc_p`` with these parts.
    - ``mean_psc``: mean part state correctness of the videos.
    - ``part_recall``, ``state_acc``, ``part_ap50``: how many true parts were found, how many of
      these have the right state, and COCO's average precision of the part boxes at IoU 0.5; by
      part and by state they are logged as tables.
    - ``person_iou``: mean overlap of true people with the nearest prediction, which moves long
      before the others do.

    The predictions are scored in the form in which they are submitted, so the numbers are those of
    ``tools/evaluate_kinetics_tps.py`` on ``outfile``.

    Args:
        max_people: At most so many people a frame, the best by score; the challenge allows 10.
        score_thr: Leave out people with a lower score.
        proposals: States proposed for a part, the best first. The default is the best choice for
            most models: of N proposals the right one earns 1/N, so a second pays only where it
            is right more often than the first.
        video_results: ``pred_vid_result.json`` of a video classifier, read at once. A video that
            it lacks counts as wrong.
        outfile: Write the predictions to this ``.json`` file, as ``pred_part_result.json``. With
            it, samples need no truth.
        collect_device: How processes exchange results. The default goes through the process group
            and so needs no disk that all nodes share; it works on CPU too.
        prefix: As in mmengine's ``BaseMetric``.

    Raises:
        ValueError: If an option is out of its range, ``outfile`` does not end in ``.json``, or
            ``video_results`` is no JSON object of videos and classes.
        FileNotFoundError: If there is no ``video_results``.
    """

    default_prefix = 'kinetics_tps'

    def __init__(
        self,
        max_people: int = MAX_PEOPLE,
        score_thr: float | None = None,
        proposals: int = 1,
        video_results: str | None = None,
        outfile: str | None = None,
        collect_device: str = 'gpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not 1 <= max_people <= MAX_PEOPLE:
            raise ValueError(f'max_people is {max_people}, expected 1 to {MAX_PEOPLE}')
        if not 1 <= proposals <= MAX_PROPOSALS:
            raise ValueError(f'proposals is {proposals}, expected 1 to {MAX_PROPOSALS}')
        if outfile is not None and not str(outfile).endswith('.json'):
            raise ValueError(f'outfile is {str(outfile)!r}, expected a name that ends in .json')
        if video_results is not None and not Path(video_results).is_file():
            raise FileNotFoundError(f'video_results: {video_results}: no such file')
        self.max_people = max_people
        self.score_thr = score_thr
        self.proposals = proposals
        self.video_results = video_results
        # read now, not after hours of testing, where one process alone would fail
        self._predicted_classes = None if video_results is None else read_classes(video_results)
        self.outfile = outfile

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Put predictions into the form of a submission.

        Args:
            data_batch: Not used.
            data_samples: Of a batch, each with ``video``, ``frame``, ``video_class``, ``truth``
                and ``pred_instances``.

        Raises:
            ValueError: If a sample has no truth, and no ``outfile`` was asked for either.
        """
        for sample in data_samples:
            if sample.get('truth') is None and self.outfile is None:
                raise ValueError(
                    f'video {sample["video"]!r}, frame {sample["frame"]!r}: there is no truth to '
                    'score by, and no outfile to write to'
                )
            people, broken = official_people(
                sample['pred_instances'],
                self.dataset_meta['part_names'],
                self.dataset_meta['state_names'],
                max_people=self.max_people,
                score_thr=self.score_thr,
                proposals=self.proposals,
            )
            unreadable = bool(sample.get('unreadable'))
            if unreadable:  # a black frame was tested in its place: what was found there is noise
                people, broken = [], 0
            record = dict(
                video=sample['video'],
                frame=sample['frame'],
                video_class=sample.get('video_class'),
                truth=sample.get('truth'),
                people=people,
                broken=broken,
                unreadable=unreadable,
            )
            # as text it takes a fifth of the memory, in each process that gathers the others'
            self.results.append(json.dumps(record, separators=(',', ':')).encode())

    def compute_metrics(self, results: list[bytes]) -> dict[str, float]:
        """Write ``outfile``, score, log the tables.

        Args:
            results: Records of :meth:`process`, JSON each.
        """
        logger = MMLogger.get_current_instance()
        with garbage_collection_off():
            results = [json.loads(record) for record in results]
        results.sort(key=lambda record: (record['video'], record['frame']))
        predicted, truth, classes = {}, {}, {}
        for record in results:
            frames = predicted.setdefault(record['video'], {})
            frames[record['frame']] = dict(humans=record['people'])
            if record['truth'] is not None:
                truth.setdefault(record['video'], {})[record['frame']] = record['truth']
                classes[record['video']] = record['video_class']
        broken = [record for record in results if record['broken']]
        if broken:
            logger.warning(
                f'{len(broken)} of {len(results)} frames hold predictions that are no finite '
                f'numbers; they are left out. The first: video {broken[0]["video"]!r}, frame '
                f'{broken[0]["frame"]!r}'
            )
        unread = [record for record in results if record['unreadable']]
        if unread:
            logger.warning(
                f'{len(unread)} of {len(results)} frames could not be read; they count as frames '
                f'without people. The first: video {unread[0]["video"]!r}, frame '
                f'{unread[0]["frame"]!r}'
            )
        if self.outfile is not None:
            with whole_file(self.outfile) as partial:
                partial.write_text(json.dumps(predicted), encoding='utf-8')
            logger.info(f'{len(results)} parsed frames are written to {self.outfile}')
        if not truth:
            logger.info('No frame has a truth: nothing is scored.')
            return {}
        return self._scores(classes, truth, predicted, logger)

    def _scores(
        self,
        classes: dict[str, str],
        truth: dict[str, dict],
        predicted: dict[str, dict],
        logger: MMLogger,
    ) -> dict[str, float]:
        names = ResultNames('truth', 'truth', self.video_results or '', 'prediction')
        psc = {}
        for video, frames in truth.items():
            try:
                psc[video] = video_psc(frames, predicted[video], video, names)
            except (KeyError, ValueError) as error:
                logger.warning(f'A video is left out of all scores: {error.args[0]}')
        if not psc:
            return {}
        if len(psc) < len(truth):
            logger.warning(f'{len(truth) - len(psc)} of {len(truth)} videos are not scored.')
        scores = dict(mean_psc=float(np.mean(list(psc.values()))))
        values = list(psc.values())
        if self.video_results is not None:
            right = self._right_classes({video: classes[video] for video in psc}, logger)
            scores.update(acc_p=curve_area(values, right), top1=float(np.mean(right)))
        else:
            scores.update(acc_p_true_class=curve_area(values, [True] * len(values)))
        diagnostics = parsing_diagnostics(list(psc), truth, predicted, names)
        for name in ('state_acc', 'part_recall', 'part_ap50'):
            value = diagnostics[name]
            scores[name] = math.nan if value is None else value
        scores['person_iou'] = mean_person_iou(list(psc), truth, predicted, names)
        logger.info('\n' + diagnostic_tables(diagnostics))
        return scores

    def _right_classes(self, classes: dict[str, str], logger: MMLogger) -> list[bool]:
        """Whether the class of each video is right."""
        predicted = self._predicted_classes
        missing = [video for video in classes if video not in predicted]
        if missing:
            logger.warning(
                f'{self.video_results}: {len(missing)} of {len(classes)} videos are missing; their '
                f'class counts as wrong. The first: video {missing[0]!r}'
            )
        return [
            video in predicted and predicted[video] == true_class
            for video, true_class in classes.items()
        ]


def read_classes(path: str | Path) -> dict[str, str]:
    """A ``pred_vid_result.json``.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, or no object of videos and classes.
    """
    classes = json_object(read_result(Path(path).parent, Path(path).name), str(path))
    for video, video_class in classes.items():
        if not isinstance(video_class, str):
            raise ValueError(
                f'{where(str(path), video=video)}: found {short(video_class)}, expected the name '
                'of a class'
            )
    return classes
