"""From pictures and a checkpoint to keypoints and whether they are there: drawings and JSON."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import INFERENCERS, init_default_scope
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.datasets.transforms import LoadImage

from projects.files import safe_name
from projects.inference import (
    IMAGE_ENDINGS,
    MethodInferencer,
    check_image,
    free_name,
    has_ending,
    images_in,
    tested_dataset,
)
from projects.pose_look import pose_look
from projects.presence.boxes import (
    PersonDetector,
    boxes_of,
    check_inside,
    cut_off,
    read_annotated_boxes,
    read_boxes,
)
from projects.presence.drawing import SCORES, draw_presence
from projects.presence.people import MEASURES, predicted_person, predicted_presence
from projects.visualization import check_thresholds, write_image

# Steps of a test pipeline that need the truth, which nobody has of a new picture.
TRUTH_STEPS = (
    *('KeypointPresenceTarget', 'GenerateTarget', 'KeypointConverter', 'FilterAnnotations'),
    *('RemoveNoiseKeypoints', 'SingleHandConverter'),
)


class Source:
    """One picture of a call, and what goes wrong with it.

    Args:
        name: Of its drawing; no two pictures of a call have the same.
        path: Its file, None of an array.
        image: (height, width, 3) uint8 BGR of an array.
        error: Why it cannot be read.
    """

    def __init__(
        self,
        name: str,
        path: str | None = None,
        image: np.ndarray | None = None,
        error: Exception | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.image = image
        self.error = error

    @property
    def label(self) -> str:
        """What messages and results call it."""
        return self.path or self.name


class Person(NamedTuple):
    """A person that the model looked at."""

    source: Source
    sample: Any
    """mmpose's data sample with ``pred_instances``."""


@INFERENCERS.register_module()
class KeypointPresenceInferencer(MethodInferencer):
    """Find the keypoints of people, and whether each of them is there.

    An input is an image file, a folder of images, or an image as an array (height, width, 3) uint8
    BGR, called ``array_0`` if it is the first input. The people go through the config's test
    pipeline and in batches, of all pictures together, through the model.

    Options of a call:

    - ``boxes``: where the people are, see :func:`projects.presence.boxes.read_boxes`;
      ``ann_file``: a COCO annotation file whose people are taken; ``detector``: name or config of
      a model that ``mmdet.apis.DetInferencer`` takes, of whose people those with a score of at
      least ``detector_threshold``, 0.3, are taken. Without any a whole picture is one person.
    - ``threshold``: score from which a keypoint counts as present; by default the
      ``presence_threshold`` in the checkpoint's ``meta``, else 0.5.
    - ``out_dir``: folder for the drawings, none are made if None; ``scores``: which numbers are
      written at keypoints, of the ``absent``, of ``all`` or ``none``.
    - ``batch_size``: people at once.

    The result holds ``predictions``, one JSON-ready dict a picture, and ``visualization``, the
    files drawn. A prediction has ``file``, ``threshold``, ``presence_from`` and ``people``. Each of
    these has ``bbox``, ``bbox_score`` and ``keypoints`` by name with ``x``, ``y``, ``score``,
    ``presence`` and ``present``. Of a model without presence there is no ``presence``; what is
    present then goes by mmpose's ``keypoints_visible``, which is added as ``visible``, or by the
    heatmap maximum, the ``score``. ``presence_from`` says by what, None without people.

    A picture that cannot be read, or whose boxes do not fit it, is logged and has an ``error`` in
    place of people; where that is every picture, it is an error. Of ``ann_file`` single boxes that
    do not fit are left out, and one warning counts them.

    Args:
        args: As in mmengine's ``BaseInferencer``.
        kwargs: As in mmengine's ``BaseInferencer``.

    Raises:
        ValueError: If neither checkpoint nor config says which keypoints there are, or the
            checkpoint's ``presence_threshold`` is not in 0..1.
    """

    preprocess_kwargs = {'boxes', 'ann_file', 'detector', 'detector_threshold'}
    forward_kwargs: set = set()
    visualize_kwargs = {'out_dir', 'scores'}
    postprocess_kwargs: set = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sources: list[Source] = []  # of the call at hand
        self.saved_threshold = self.threshold = 0.5  # the checkpoint's, and of the call at hand
        self.detectors: dict[str, PersonDetector] = {}
        super().__init__(*args, **kwargs)
        self.meta = self.saved_meta or self._configured_meta()
        self.look = pose_look(self.meta)

    def __call__(
        self, inputs: Any, return_datasamples: bool = False, batch_size: int = 32, **kwargs: Any
    ) -> dict[str, list]:
        """Run on inputs.

        Args:
            inputs: One input or several, see the class.
            return_datasamples: Whether ``predictions`` are mmpose's data samples of all people.
            batch_size: People at once.
            kwargs: Options, see the class.
        """
        return super().__call__(inputs, return_datasamples, batch_size, **kwargs)

    def _init_model(self, cfg: Any, weights: str | None, device: str = 'cpu') -> torch.nn.Module:
        init_default_scope(cfg.get('default_scope', 'mmpose'))
        return super()._init_model(cfg, weights, device)

    def _load_weights_to_model(
        self, model: torch.nn.Module, checkpoint: dict | None, cfg: Any
    ) -> None:
        super()._load_weights_to_model(model, checkpoint, cfg)
        meta = (checkpoint or {}).get('meta') or {}
        self.saved_threshold = meta.get('presence_threshold', 0.5)
        check_thresholds(presence_threshold=self.saved_threshold)

    def _init_pipeline(self, cfg: Any) -> Callable:
        """The test pipeline, of which loading is done once a picture and what needs truth never."""
        steps = without_truth(tested_dataset(cfg).get('pipeline', ()))
        loading = [step for step in steps if _step_name(step) == 'LoadImage']
        self.loader = Compose(loading[:1] or [LoadImage()])
        return Compose([step for step in steps if _step_name(step) != 'LoadImage'])

    def _init_collate(self, cfg: Any) -> Callable:
        return pseudo_collate  # what pose estimators take; mmengine's search for it warns

    def _configured_meta(self) -> dict[str, Any]:
        """The metainfo of the config's test data set, inside of any wrappers."""
        inner = Config(dict(test_dataloader=dict(dataset=tested_dataset(self.cfg))))
        meta = dataset_meta_from_config(inner, 'test')
        if meta is None:
            raise ValueError(
                'neither the checkpoint nor test_dataloader.dataset of the config says which '
                'keypoints there are, expected its metainfo or a type that has some'
            )
        return meta

    def _dispatch_kwargs(self, **kwargs: Any) -> tuple[dict, dict, dict, dict]:
        """Sort the options, and stop on a bad one before anything is computed."""
        given = [key for key in ('boxes', 'ann_file', 'detector') if kwargs.get(key) is not None]
        if len(given) > 1:
            raise ValueError(f'{" and ".join(given)} are given, expected one of them at most')
        self.threshold = kwargs.pop('threshold', None)
        if self.threshold is None:
            self.threshold = self.saved_threshold
        check_thresholds(
            threshold=self.threshold, detector_threshold=kwargs.get('detector_threshold', 0.3)
        )
        if kwargs.get('scores', 'absent') not in SCORES:
            raise ValueError(f'scores is {kwargs["scores"]!r}, expected one of {SCORES}')
        return super()._dispatch_kwargs(**kwargs)

    def _inputs_to_list(self, inputs: Any) -> list[Source]:
        """The pictures, looked at but not read.

        Raises:
            ValueError: If an input is neither a path nor an image.
        """
        self.sources = []
        for number, item in enumerate(inputs if isinstance(inputs, (list, tuple)) else [inputs]):
            if isinstance(item, np.ndarray):
                check_image(item, number)
                self.sources.append(Source(f'array_{number}', image=item))
                continue
            if not isinstance(item, (str, os.PathLike)):
                raise ValueError(
                    f'input {number}: is of type {type(item).__name__}, expected the path of an '
                    'image or a folder of images, or a numpy array (height, width, 3) uint8'
                )
            try:
                paths, error = _image_files(Path(item)), None
            except (FileNotFoundError, ValueError) as caught:
                paths, error = [Path(item)], caught
            for path in paths:
                taken = {source.name for source in self.sources}
                name = free_name(safe_name(path.resolve().stem), taken)
                self.sources.append(Source(name, str(path), error=error))
        return self.sources

    def preprocess(
        self,
        inputs: list[Source],
        batch_size: int = 32,
        boxes: Any = None,
        ann_file: str | None = None,
        detector: str | None = None,
        detector_threshold: float = 0.3,
    ) -> Iterator[tuple[list[Source], Any]]:
        """Batches of people.

        Raises:
            FileNotFoundError: If there is but pictures that cannot be read, the first of which is
                missing, or a file of boxes is.
            ValueError: If there is but pictures that cannot be read, or boxes are no boxes.
        """
        table = None if boxes is None else read_boxes(boxes, len(inputs))
        table = table if ann_file is None else read_annotated_boxes(ann_file)
        find = None if detector is None else self._detector(detector, detector_threshold)

        def people() -> Iterator[tuple[Source, dict]]:
            unfit = 0  # boxes of ann_file
            for source in inputs:
                try:
                    if source.error is not None:
                        raise source.error
                    loaded = self.load(source)
                    size = loaded['img'].shape[1::-1]
                    found = np.array([[0, 0, *size, 1]], dtype=np.float32)
                    if isinstance(table, dict):
                        found = boxes_of(table, source.label)
                    elif table is not None:
                        found = table
                    elif find is not None:
                        found = find(loaded['img'])
                    if ann_file is None:
                        found = check_inside(found, size, source.label)
                    else:
                        found, empty = cut_off(found, size)
                        found, unfit = found[~empty], unfit + int(empty.sum())
                except (FileNotFoundError, ValueError) as error:
                    print_log(f'left out: {error}', logger='current', level=logging.WARNING)
                    source.error = error
                    continue
                for box in found:
                    person = dict(loaded, bbox=box[None, :4], bbox_score=box[4:])
                    yield source, self.pipeline(person)
            if unfit:
                text = f'{ann_file}: {unfit} boxes without an area in their picture are left out'
                print_log(text, logger='current', level=logging.WARNING)

        for chunk in self._get_chunk_data(people(), batch_size):
            sources, data = zip(*chunk, strict=True)
            yield list(sources), self.collate_fn(data)
        if inputs and all(source.error is not None for source in inputs):
            raise inputs[0].error

    def load(self, source: Source) -> dict[str, Any]:
        """A picture as the rest of the test pipeline takes it, without people.

        Args:
            source: The picture.

        Raises:
            ValueError: If it cannot be read; the message names the file.
        """
        results = dict(self.meta, img_path=source.label)
        if source.image is not None:
            results['img'] = source.image
        try:
            return self.loader(results)
        except Exception as error:
            raise ValueError(f'{source.label}: cannot be read as an image ({error})') from error

    def _detector(self, model: str, threshold: float) -> PersonDetector:
        """The detector, built at its first use."""
        if model not in self.detectors:
            device = str(next(self.model.parameters()).device)
            self.detectors[model] = PersonDetector(model, device=device)
        self.detectors[model].threshold = threshold
        return self.detectors[model]

    @torch.no_grad()
    def forward(self, inputs: tuple[list[Source], Any], **kwargs: Any) -> list[Person]:
        """Find the keypoints of one batch of people.

        Raises:
            ValueError: If the model finds another number than are named.
        """
        sources, data = inputs
        samples = self.model.test_step(data)
        found, named = samples[0].pred_instances.keypoints.shape[1], self.look.layout.num_joints
        if found != named:
            raise ValueError(f'the model predicts {found} keypoints, but {named} are named')
        return [Person(*pair) for pair in zip(sources, samples, strict=True)]

    def visualize(
        self,
        inputs: list[Source],
        preds: list[Person],
        out_dir: str | None = None,
        scores: str = 'absent',
    ) -> list[str]:
        """Draw every picture as a PNG named after it; one that fails is logged and left out."""
        if out_dir is None:
            return []
        limit, paths, of_source = self.threshold, [], _by_source(preds)
        for source in inputs:
            if source.error is not None:
                continue
            found = of_source.get(source, [])
            measure = MEASURES[_presence_from(found) or 'keypoints_presence']
            path = Path(out_dir, f'{source.name}.png')
            try:
                image = np.asarray(self.load(source)['img']).astype(np.uint8)
                people = [predicted_person(sample, limit) for sample in found]
                write_image(
                    path, draw_presence(image, people, self.look, limit, scores, measure=measure)
                )
                paths.append(str(path))
            except (OSError, ValueError) as error:
                text = f'{path.name}: not drawn ({type(error).__name__}: {error})'
                print_log(text, logger='current', level=logging.WARNING)
        return paths

    def postprocess(
        self,
        preds: list[Person],
        visualization: list[str],
        return_datasamples: bool = False,
        **kwargs: Any,
    ) -> dict[str, list]:
        """JSON-ready results; ``return_datasamples`` gives mmpose's samples of all people."""
        if return_datasamples:
            samples = [pred.sample for pred in preds]
            return dict(predictions=samples, visualization=visualization)
        limit, predictions, of_source = float(self.threshold), [], _by_source(preds)
        for source in self.sources:
            found = of_source.get(source, [])
            prediction = dict(
                file=source.label,
                threshold=limit,
                presence_from=_presence_from(found),
                people=[describe(sample, self.look.layout.joint_names, limit) for sample in found],
            )
            if source.error is not None:
                prediction['error'] = str(source.error)
            predictions.append(prediction)
        return dict(predictions=predictions, visualization=visualization)


def without_truth(steps: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A test pipeline without the steps that need the truth, for pictures that have none.

    Args:
        steps: Configs of transforms.
    """
    return [step for step in steps if _step_name(step) not in TRUTH_STEPS]


def _step_name(step: dict[str, Any]) -> str:
    """Of a transform that is given by its name, with its scope or module, or as a class."""
    return str(getattr(step['type'], '__name__', step['type'])).split('.')[-1]


def describe(sample: Any, names: tuple[str, ...], threshold: float) -> dict[str, Any]:
    """A person as JSON can hold it.

    Args:
        sample: A ``PoseDataSample`` with ``pred_instances`` of one person.
        names: K names of keypoints.
        threshold: Score from which a keypoint counts as present.
    """
    instances = sample.pred_instances
    presence, person = predicted_presence(instances), predicted_person(sample, threshold)
    scores = np.asarray(instances.keypoint_scores, dtype=float).reshape(-1)
    added = {'keypoints_presence': 'presence', 'keypoints_visible': 'visible'}.get(presence.source)
    keypoints = {}
    for joint, name in enumerate(names):
        x, y = (round(float(value), 2) for value in person.points[joint])
        keypoints[name] = dict(x=x, y=y, score=round(float(scores[joint]), 4))
        if added:
            keypoints[name][added] = round(float(presence.scores[joint]), 4)
        keypoints[name]['present'] = bool(person.present[joint])
    return dict(
        bbox=[round(float(value), 2) for value in person.box],
        bbox_score=round(float(np.asarray(instances.bbox_scores).reshape(-1)[0]), 4),
        keypoints=keypoints,
    )


def _by_source(people: Iterable[Person]) -> dict[Source, list[Any]]:
    """The samples of each picture that has people, in one pass."""
    samples: dict[Source, list[Any]] = {}
    for person in people:
        samples.setdefault(person.source, []).append(person.sample)
    return samples


def _presence_from(samples: list[Any]) -> str | None:
    return predicted_presence(samples[0].pred_instances).source if samples else None


def _image_files(path: Path) -> list[Path]:
    """The pictures of an input."""
    if path.is_dir():
        return images_in(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such image or folder of images')
    if not has_ending(path, IMAGE_ENDINGS):
        raise ValueError(f'{path}: ends in {path.suffix!r}, expected an image {IMAGE_ENDINGS}')
    return [path]
