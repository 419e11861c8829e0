"""From poses or a video and a checkpoint to counts of every person, and their drawings."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmengine.registry import INFERENCERS

from projects.files import safe_name
from projects.inference import MethodInferencer, class_names, tested_dataset
from projects.keypoints import keypoint_layout
from projects.pose_finder import PoseFinder, extraction_options
from projects.poserac.animation import draw_counts
from projects.poserac.annotations import canonical_action, read_action_list
from projects.poserac.dataset import poserac_collate
from projects.poserac.drawing import plot_counts
from projects.poserac.poses import missing_poses
from projects.poserac.sources import (
    Input,
    Source,
    drawing_stems,
    lacks_poses,
    read_source,
)
from projects.poserac.trace import CountTrace
from projects.poserac.transforms import NormalizePoses, PackPoses
from projects.poserac.visualizer import grows_upwards, trace_of

DRAWINGS = ('animation', 'overview', 'both')


class Person(NamedTuple):
    """What was counted of one person of an input."""

    source: Source
    number: int
    label: int
    """The class that is counted, -1 for none."""
    class_score: float | None
    trace: CountTrace
    output: dict[str, Any]


@INFERENCERS.register_module()
class PoseRACInferencer(MethodInferencer):
    """Count the repetitions of every person.

    An input is an ``.npy`` array of poses, see :func:`projects.poserac.poses.read_poses`, such an
    array in memory, (T, J, D) or (T, P, J, D), or a video. An array in memory is called ``array_0``
    if it is the first input, in results and drawings. A video's poses are read from ``<its
    name>.npy`` in the folder ``poses_dir`` or, without one, beside it; where there is no such file
    they are extracted, if ``backend`` is set.

    Options of a call:

    - ``label``: name of the class, where it is known; the model finds it if None.
    - ``frame_rate``: frames a second; by default the video's, else the config's.
    - ``poses_dir``, ``backend`` (``mmpose`` or ``mediapipe``) and ``extraction``, a dict of options
      as :class:`projects.poserac.sources.PoseFinder` takes them: ``extraction.people=2``.
    - ``out_dir``: folder for the drawings, none are made if None.
    - ``draw``: ``animation``, ``overview`` or ``both``; ``video_format``, ``mp4`` or ``gif``, of
      animations over a video; ``max_frames``, the most frames of an animation, longer ones show
      every n-th frame.
    - ``batch_size``: people counted at once.

    The result holds ``predictions``, one JSON-ready dict an input, and ``visualization``, the
    files drawn. An input that cannot be read is logged and has an ``error`` in place of people;
    where that is every input, it is an error. Of a person there are: ``class``, None if no frame
    has a pose; ``class_known``, whether it was given; ``class_score``, see :func:`class_score`;
    ``count``; ``counted_frames``, at which repetitions were complete; ``frames`` and
    ``missing_frames``, how many there are and in how many there is no pose.

    Args:
        args: As in mmengine's ``BaseInferencer``.
        classes: C names; if None those of the checkpoint, else of the config's test data set.
        kwargs: As in mmengine's ``BaseInferencer``.

    Raises:
        ValueError: If the names of the classes are not as many as the model's.
    """

    preprocess_kwargs = {'frame_rate', 'poses_dir', 'backend', 'extraction'}
    forward_kwargs = {'label'}
    visualize_kwargs = {'out_dir', 'draw', 'video_format', 'max_frames'}
    postprocess_kwargs: set = set()

    def __init__(self, *args: Any, classes: Sequence[str] | None = None, **kwargs: Any) -> None:
        self.sources: list[Source] = []  # of the call at hand
        self.known: int | None = None  # the class of the call at hand
        super().__init__(*args, **kwargs)
        dataset = tested_dataset(self.cfg)
        self.layout = keypoint_layout(dataset.get('layout', 'blazepose'))
        self.dims = dataset.get('dims', 3)
        self.frame_rate = dataset.get('frame_rate')
        self.classes = self._class_names(classes, dataset)

    def _init_pipeline(self, cfg: Any) -> Callable:
        """The test data set's, so that poses are normalised as they were in testing."""
        steps = tested_dataset(cfg).get('pipeline')
        return Compose(steps or [NormalizePoses(), PackPoses()])

    def _init_collate(self, cfg: Any) -> Callable:
        return poserac_collate

    def _class_names(self, given: Sequence[str] | None, dataset: ConfigDict) -> tuple[str, ...]:
        """Given, the checkpoint's, or the config's; else numbers."""
        named = given or self.saved_meta.get('classes') or dataset.get('classes')
        if isinstance(named, str):
            path = Path(dataset.get('data_root') or '', named)
            named = read_action_list(path) if path.is_file() else None
        return class_names(named, self.model.num_classes)

    def _dispatch_kwargs(self, **kwargs: Any) -> tuple[dict, dict, dict, dict]:
        """Sort the options, and stop on a bad one before anything is computed."""
        kwargs['extraction'] = extraction_options(kwargs)
        for name, allowed in (('draw', DRAWINGS), ('video_format', ('mp4', 'gif'))):
            if name in kwargs and kwargs[name] not in allowed:
                raise ValueError(f'{name} is {kwargs[name]!r}, expected one of {allowed}')
        rate, frames = kwargs.get('frame_rate'), kwargs.get('max_frames')
        if rate is not None and (not isinstance(rate, (int, float)) or not rate > 0):
            raise ValueError(f'frame_rate is {rate!r}, expected a positive number')
        if frames is not None and (not isinstance(frames, int) or frames < 1):
            raise ValueError(f'max_frames is {frames!r}, expected a whole number of 1 or more')
        if kwargs.get('label') is not None:
            action = canonical_action(str(kwargs['label']), self.classes)
            if action is None:
                raise ValueError(
                    f'label is {kwargs["label"]!r}, expected one of {list(self.classes)}'
                )
            kwargs['label'] = action
        return super()._dispatch_kwargs(**kwargs)

    def _inputs_to_list(self, inputs: Any) -> list[Input]:
        """The inputs, of which nothing but the type has been looked at.

        Raises:
            ValueError: If one is neither a path nor an array.
        """
        items = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        for number, item in enumerate(items):
            if not isinstance(item, (str, os.PathLike, np.ndarray)):
                raise ValueError(
                    f'input {number}: is of type {type(item).__name__}, expected the path of an '
                    '.npy array of poses or of a video, or a numpy array (T, J, D) or (T, P, J, D)'
                )
        return [
            Input(Path(f'array_{number}'), item)
            if isinstance(item, np.ndarray)
            else Input(Path(item))
            for number, item in enumerate(items)
        ]

    def preprocess(
        self,
        inputs: list[Input],
        batch_size: int = 1,
        frame_rate: float | None = None,
        poses_dir: str | None = None,
        backend: str | None = None,
        extraction: dict[str, Any] | None = None,
    ) -> Iterator[tuple[list[tuple[Source, int]], dict[str, list]]]:
        """Batches of people.

        Raises:
            FileNotFoundError: If there is but inputs that cannot be read, the first of which is
                missing.
            ValueError: If there is but inputs that cannot be read.
        """
        self.sources, failures, finder = [], [], None
        taken: set[str] = set()
        if backend is not None and any(lacks_poses(given.path, poses_dir) for given in inputs):
            finder = PoseFinder(backend, self.layout, self.dims, extraction)
        with contextlib.closing(finder) if finder else contextlib.nullcontext():
            for given in inputs:
                try:
                    source = read_source(given, self.layout, self.dims, poses_dir, finder)
                except (FileNotFoundError, ValueError) as error:
                    print_log(f'left out: {error}', logger='current', level=logging.WARNING)
                    failures.append(error)
                    source = Source(str(given.path), error=str(error))
                rate = frame_rate or source.frame_rate or self.frame_rate
                stems = drawing_stems(source, safe_name(given.path.resolve().stem), taken)
                taken.update(stems)
                self.sources.append(source._replace(frame_rate=rate, stems=stems))
        if failures and len(failures) == len(self.sources):
            raise failures[0]

        def people() -> Iterator[tuple[tuple[Source, int], dict]]:
            for source in self.sources:
                for number in range(0 if source.poses is None else source.poses.shape[1]):
                    meta = dict(name=source.path, person=number)
                    poses = source.poses[:, number].copy()  # (T, J, D)
                    yield (source, number), self.pipeline(dict(poses=poses, meta=meta))

        for chunk in self._get_chunk_data(people(), batch_size):
            persons, data = zip(*chunk, strict=True)
            yield list(persons), self.collate_fn(data)

    @torch.no_grad()
    def forward(
        self, inputs: tuple[list[tuple[Source, int]], dict], label: str | None = None
    ) -> list[Person]:
        """Count one batch of people."""
        persons, data = inputs
        outputs = self.model.test_step(data)
        self.known = None if label is None else self.classes.index(label)
        found = []
        for (source, number), output in zip(persons, outputs, strict=True):
            label_of = int(output['predicted_label']) if self.known is None else self.known
            score = class_score(output, label_of)
            found.append(
                Person(source, number, label_of, score, trace_of(output, label_of), output)
            )
        return found

    def visualize(
        self,
        inputs: list[Input],
        preds: list[Person],
        out_dir: str | None = None,
        draw: str = 'animation',
        video_format: str = 'mp4',
        max_frames: int | None = None,
    ) -> list[str]:
        """Draw every person, in files named after the input.

        A drawing that fails is logged and left out.
        """
        if out_dir is None:
            return []
        paths = []
        for pred in preds:
            source, people = pred.source, pred.source.poses.shape[1]
            stem = source.stems[pred.number]
            class_name = 'no class' if pred.label < 0 else self.classes[pred.label]
            title = Path(source.path).name
            title += f', person {pred.number} (of {people})' if people > 1 else ''
            poses, y_up = source.poses[:, pred.number], grows_upwards(self.layout.name)
            common = dict(
                poses=poses,
                trace=pred.trace,
                layout=self.layout,
                frame_rate=source.frame_rate,
                y_up=y_up,
            )
            jobs: list[tuple[Path, Callable, dict]] = []
            if draw in ('animation', 'both'):
                ending = 'gif' if source.video is None else video_format
                options = dict(class_name=class_name, title=title, video=source.video)
                path = Path(out_dir, f'{stem}.{ending}')
                jobs.append((path, draw_counts, dict(options, max_frames=max_frames)))
            if draw in ('overview', 'both'):
                heading = f'{title}: {class_name}'
                jobs.append((Path(out_dir, f'{stem}.png'), plot_counts, dict(title=heading)))
            for path, function, options in jobs:
                try:
                    function(str(path), **common, **options)
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
        """JSON-ready results; ``return_datasamples`` gives what the model said of every person."""
        if return_datasamples:
            return dict(predictions=[pred.output for pred in preds], visualization=visualization)
        predictions = []
        for source in self.sources:
            prediction = dict(input=source.path, frame_rate=source.frame_rate, people=[])
            if source.error is not None:
                prediction['error'] = source.error
            for pred in preds:
                if pred.source is source:
                    prediction['people'].append(self._describe(pred))
            predictions.append(prediction)
        return dict(predictions=predictions, visualization=visualization)

    def _describe(self, pred: Person) -> dict[str, Any]:
        missing = missing_poses(pred.source.poses[:, pred.number])
        return {
            'person': pred.number,
            'class': None if pred.label < 0 else self.classes[pred.label],
            'class_known': self.known is not None,
            'class_score': pred.class_score,
            'count': len(pred.trace.counted),
            'counted_frames': pred.trace.counted.tolist(),
            'frames': len(missing),
            'missing_frames': int(missing.sum()),
        }


def class_score(output: dict[str, Any], label: int) -> float | None:
    """How much of a sequence shows a class.

    Args:
        output: A prediction with ``scores`` (T, C), ``thresholds`` and, of models that tell the
            class from every frame, ``class_scores`` (T, C).
        label: The class; -1 for none.

    Returns:
        0 to 1: the class's share of all class scores or, without them, the share of the frames
        whose highest score is this class's and above the enter threshold. None without class or
        frames.
    """
    scores = np.asarray(output['scores'])
    seen = ~np.isnan(scores).all(axis=1)
    if label < 0 or not seen.any():
        return None
    if output.get('class_scores') is not None:
        sums = np.asarray(output['class_scores'], dtype=float)[seen].sum(axis=0)  # (C,)
        return round(float(sums[label] / max(sums.sum(), 1e-12)), 4)
    scores = scores[seen]
    votes = (scores.argmax(axis=1) == label) & (
        scores.max(axis=1) > output['thresholds']['enter_threshold']
    )
    return round(float(votes.mean()), 4)
