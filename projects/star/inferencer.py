"""From clips and a checkpoint to actions: predictions as JSON, videos and strips of pictures."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmaction.registry import DATASETS
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import INFERENCERS, init_default_scope

from projects.files import safe_name
from projects.inference import MethodInferencer, class_names, free_name, tested_dataset
from projects.keypoints import keypoint_layout
from projects.ntu_rgbd import ACTIONS, IMAGE_SHAPE
from projects.pose_finder import PoseFinder, extraction_options
from projects.star.drawing import Clip, draw_video, write_strip
from projects.star.ntu import NTURGBDDataset
from projects.star.panels import Verdict
from projects.star.sources import (
    Source,
    pictures_of_groups,
    read_pictures,
    read_source,
    read_stored_poses,
)
from projects.video import video_length_and_rate

DRAWINGS = ('video', 'summary', 'both')
# mmaction2's steps that read pictures, in place of which the inferencer reads those it needs.
_DECODING = (
    *('RawFrameDecode', 'DecordInit', 'DecordDecode', 'OpenCVInit', 'OpenCVDecode'),
    *('PyAVInit', 'PyAVDecode', 'PIMSInit', 'PIMSDecode', 'ImageDecode'),
)
# Joints that a pose estimator is less sure of are missing.
_SURE = 0.3


class Input(NamedTuple):
    """What is given, and what was read of it."""

    path: str
    name: str
    """Of its drawings; no two inputs of a call have the same."""
    source: Source | None = None
    error: Exception | None = None


class Stretch(NamedTuple):
    """What the model says of a stretch of an input."""

    number: int
    """Which of the inputs."""
    start: int
    stop: int
    frames: np.ndarray
    """(T,) the frames that the model saw, rising."""
    sample: Any = None
    """mmaction2's data sample with ``pred_score``."""


@INFERENCERS.register_module()
class STARInferencer(MethodInferencer):
    """Recognise the action of a clip.

    An input is a folder of frames or a label file of Penn Action (``frames/0001``,
    ``labels/0001.mat``), a video or skeleton file of NTU RGB+D (``nturgb+d_rgb/<name>_rgb.avi``,
    ``nturgb+d_skeletons/<name>.skeleton``), or, with ``poses``, any video or folder of images. The
    one of labels and pictures is found by the other. Only a model of skeletons alone needs no
    pictures. A clip goes through the config's test pipeline, of which the steps that read pictures
    are replaced: of a video only the frames that are needed are decoded, and each once.

    Options of a call:

    - ``poses``: where poses come from, in place of label files: a ``.npy`` file as
      ``tools/datasets/extract_poses.py`` writes it, a folder of such files ``<input's name>.npy``,
      or what mmpose's inferencer takes as a model, such as ``human``; ``extraction``, a dict of
      further options of :class:`projects.pose_finder.PoseFinder`: ``extraction.det_model=...``.
    - ``window``, ``stride``: seconds; a prediction for each stretch of that length, the next one
      ``stride`` later, by default ``window``; the last one ends with the clip. By default there is
      one prediction for a whole clip.
    - ``frame_rate``: frames a second; by default a video's own, else 30.
    - ``topk``: how many of the best classes are told.
    - ``out_dir``: folder for the drawings, none are made if None; ``draw``: ``video``, ``summary``
      (a strip of frames) or ``both``; ``truth``: whether drawings show the true class where it is
      known; ``video_format``: ``mp4`` or ``gif``; ``max_frames`` of a video, longer ones show every
      n-th frame.
    - ``batch_size``: stretches at once.

    The result holds ``predictions``, one JSON-ready dict an input, and ``visualization``, the files
    drawn. A prediction has ``file``, ``label``, ``score``, ``topk``, a list of [label, score],
    ``truth`` where it is known, and with ``window`` ``windows``: of each its ``start`` and ``end``
    in seconds, ``label``, ``score`` and ``topk``; the clip's scores are then the mean of theirs. An
    input that cannot be read is logged and has an ``error`` in place of the rest; where that is
    every input, it is an error.

    Args:
        args: As in mmengine's ``BaseInferencer``.
        kwargs: As in mmengine's ``BaseInferencer``.

    Raises:
        ValueError: If neither checkpoint nor config says which layout the joints have, or the names
            of classes are not as many as the model's.
    """

    preprocess_kwargs = {'poses', 'extraction', 'window', 'stride', 'frame_rate'}
    forward_kwargs: set = set()
    visualize_kwargs = {'out_dir', 'draw', 'truth', 'video_format', 'max_frames'}
    postprocess_kwargs: set = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.inputs: list[Input] = []  # of the call at hand
        self.topk, self.in_windows = 5, False  # likewise
        super().__init__(*args, **kwargs)
        meta = {**self._configured_meta(), **self.saved_meta}
        if meta.get('keypoint_layout') is None:
            raise ValueError(
                'neither the checkpoint nor test_dataloader.dataset of the config says which '
                'keypoint_layout the joints have'
            )
        self.layout = keypoint_layout(meta['keypoint_layout'])
        self.classes = class_names(meta.get('classes'), self.model.cls_head.num_classes)

    def _init_model(self, cfg: Any, weights: str | None, device: str = 'cpu') -> torch.nn.Module:
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        return super()._init_model(cfg, weights, device)

    def _init_pipeline(self, cfg: Any) -> Callable:
        """The test pipeline behind the reading of pictures; what is before it samples frames."""
        steps = tested_dataset(cfg).get('pipeline') or ()
        names = [str(getattr(step['type'], '__name__', step['type'])) for step in steps]
        reads = [index for index, name in enumerate(names) if name.split('.')[-1] in _DECODING]
        split = reads[-1] if reads else 0
        self.reads_pictures = bool(reads)
        self.sampling = Compose([steps[k] for k in range(split) if k not in reads])
        self.num_people = next((s['num_people'] for s in steps if 'num_people' in s), 1)
        return Compose(list(steps[split + 1 if reads else 0 :]))

    def _init_collate(self, cfg: Any) -> Callable:
        return pseudo_collate  # what mmaction2's preprocessors take; mmengine's search for it warns

    def _configured_meta(self) -> dict[str, Any]:
        """Classes and layout that the config's test data set has, as far as that is told."""
        dataset = tested_dataset(self.cfg)
        kind = dataset.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        meta = {**getattr(kind, 'METAINFO', {}), **(dataset.get('metainfo') or {})}
        for key in ('classes', 'keypoint_layout'):
            if dataset.get(key) is not None:
                meta[key] = dataset[key]
        if kind is not None and issubclass(kind, NTURGBDDataset):
            numbers = dataset.get('actions') or range(1, self.model.cls_head.num_classes + 1)
            meta.setdefault('classes', [ACTIONS[number - 1] for number in numbers])
        return meta

    def _dispatch_kwargs(self, **kwargs: Any) -> tuple[dict, dict, dict, dict]:
        """Sort the options, and stop on a bad one before anything is computed."""
        kwargs['extraction'] = extraction_options(kwargs)
        self.topk = kwargs.pop('topk', 5)
        for name, allowed in (('draw', DRAWINGS), ('video_format', ('mp4', 'gif'))):
            if name in kwargs and kwargs[name] not in allowed:
                raise ValueError(f'{name} is {kwargs[name]!r}, expected one of {allowed}')
        for name, value in (('topk', self.topk), ('max_frames', kwargs.get('max_frames'))):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f'{name} is {value!r}, expected a whole number of 1 or more')
        for name in ('window', 'stride', 'frame_rate'):
            value = kwargs.get(name)
            if value is not None and (not isinstance(value, (int, float)) or not value > 0):
                raise ValueError(f'{name} is {value!r}, expected a positive number')
        if kwargs.get('stride') is not None and kwargs.get('window') is None:
            raise ValueError(f'stride is {kwargs["stride"]!r}, but window is not set')
        self.in_windows = kwargs.get('window') is not None
        return super()._dispatch_kwargs(**kwargs)

    def _inputs_to_list(self, inputs: Any) -> list[Input]:
        """The inputs, of which nothing but the type has been looked at.

        Raises:
            ValueError: If one is no path.
        """
        self.inputs = []
        for number, item in enumerate(inputs if isinstance(inputs, (list, tuple)) else [inputs]):
            if not isinstance(item, (str, os.PathLike)):
                raise ValueError(
                    f'input {number}: is of type {type(item).__name__}, expected the path of a '
                    'folder of images, a video or a label file'
                )
            stem = safe_name(Path(item).resolve().stem)
            name = free_name(stem, {given.name for given in self.inputs})
            self.inputs.append(Input(str(item), name))
        return self.inputs

    def preprocess(
        self,
        inputs: list[Input],
        batch_size: int = 1,
        poses: str | None = None,
        extraction: dict[str, Any] | None = None,
        window: float | None = None,
        stride: float | None = None,
        frame_rate: float | None = None,
    ) -> Iterator[tuple[list[Stretch], dict]]:
        """Batches of stretches.

        Raises:
            FileNotFoundError: If there is but inputs that cannot be read, the first of which is
                missing.
            ValueError: If there is but inputs that cannot be read, or options are wrong.
        """
        with contextlib.ExitStack() as stack:
            find = self._pose_finder(poses, extraction, stack, len(inputs))
            sensor = tuple(tested_dataset(self.cfg).get('img_shape') or IMAGE_SHAPE)

            def clips() -> Iterator[tuple[Stretch, dict]]:
                for number, given in enumerate(inputs):
                    try:
                        source = read_source(
                            Path(given.path), self.layout, find, frame_rate, sensor
                        )
                        inputs[number] = given._replace(source=source)
                        yield from self._prepared(number, source, window, stride)
                    except (OSError, ValueError) as error:
                        print_log(f'left out: {error}', logger='current', level=logging.WARNING)
                        inputs[number] = given._replace(error=error)

            for chunk in self._get_chunk_data(clips(), batch_size):
                stretches, data = zip(*chunk, strict=True)
                yield list(stretches), self.collate_fn(data)
        if inputs and all(given.error is not None for given in inputs):
            raise inputs[0].error

    def _pose_finder(
        self,
        poses: str | None,
        extraction: dict[str, Any] | None,
        stack: contextlib.ExitStack,
        num_inputs: int,
    ) -> Callable | None:
        """What finds the poses of pictures, None to read label files.

        Raises:
            FileNotFoundError: If a file of poses is missing.
            ValueError: If one file of poses is given for several inputs, or the options are wrong.
        """
        if poses is None:
            return None
        if Path(poses).is_dir() or Path(poses).suffix.lower() == '.npy':
            if num_inputs > 1 and not Path(poses).is_dir():
                raise ValueError(
                    f'poses is {poses!r}, one file for {num_inputs} inputs; expected a folder of '
                    "files that have the inputs' names"
                )
            return partial(self._stored, Path(poses))
        settings = {'people': self.num_people, 'pose_model': poses, 'layout': None}
        settings |= {'keypoint_threshold': _SURE, 'device': str(self._device())}
        finder = PoseFinder('mmpose', self.layout, 2, {**settings, **(extraction or {})})
        stack.enter_context(contextlib.closing(finder))
        return lambda pictures: (finder(pictures), finder.extractor.joint_names)

    def _stored(self, poses: Path, pictures: Path) -> tuple[np.ndarray, tuple[str, ...]]:
        """Poses out of a file, or out of the one of a folder that is named like the pictures."""
        if poses.is_dir():
            poses = poses / f'{pictures.name if pictures.is_dir() else pictures.stem}.npy'
        count = None if pictures.is_dir() else video_length_and_rate(pictures)[0]
        return read_stored_poses(poses, self.layout, count)

    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _prepared(
        self, number: int, source: Source, window: float | None, stride: float | None
    ) -> Iterator[tuple[Stretch, dict]]:
        """The stretches of an input, each with what the model takes."""
        if self.reads_pictures and source.pictures is None:
            raise FileNotFoundError(
                f'{source.file}: its pictures were not found, which this model looks at'
            )
        every = []
        for start, stop in stretches(source.num_frames, source.rate, window, stride):
            results = dict(
                name=source.file,
                total_frames=stop - start,
                keypoint=source.points[:, start:stop].copy(),
                keypoint_score=source.scores[:, start:stop].copy(),
                img_shape=source.shape,
                original_shape=source.shape,
                modality='RGB',
                start_index=0,
                offset=0,
            )
            every.append((start, stop, self.sampling(results)))
        pictures = None
        if self.reads_pictures:
            groups = [start + np.reshape(one['frame_inds'], -1) for start, _, one in every]
            pictures = pictures_of_groups(source.pictures, groups)
        for start, stop, results in every:
            if pictures is not None:
                results['imgs'] = next(pictures)
                results['img_shape'] = results['original_shape'] = results['imgs'][0].shape[:2]
            data = self.pipeline(results)
            frames = np.unique(results['frame_inds']) + start
            yield Stretch(number, start, stop, frames), data

    @torch.no_grad()
    def forward(self, inputs: tuple[list[Stretch], dict], **kwargs: Any) -> list[Stretch]:
        """Recognise one batch of stretches."""
        found, data = inputs
        samples = self.model.test_step(data)
        return [one._replace(sample=sample) for one, sample in zip(found, samples, strict=True)]

    def visualize(
        self,
        inputs: list[Input],
        preds: list[Stretch],
        out_dir: str | None = None,
        draw: str = 'both',
        truth: bool = True,
        video_format: str = 'mp4',
        max_frames: int | None = None,
    ) -> list[str]:
        """Draw every input, in files named after it; what cannot be drawn is logged."""
        if out_dir is None:
            return []
        paths, of_input = [], _by_input(preds)
        for number, given in enumerate(inputs):
            source, found = given.source, of_input.get(number, [])
            if given.error is not None:
                continue
            clip = self._clip(source)
            shown = source.truth if truth else None
            verdicts = [self._verdict([pred], pred.frames, shown) for pred in found]
            frames = np.unique(np.concatenate([pred.frames for pred in found]))
            overall = self._verdict(found, frames, shown)
            jobs: list[tuple[Path, Callable]] = []
            if draw in ('video', 'both'):
                path = Path(out_dir, f'{given.name}.{video_format}')
                jobs.append((path, partial(draw_video, max_frames=max_frames, verdicts=verdicts)))
            if draw in ('summary', 'both'):
                path = Path(out_dir, f'{given.name}.png')
                jobs.append((path, partial(write_strip, verdict=overall)))
            for path, function in jobs:
                try:
                    function(path, clip)
                    paths.append(str(path))
                except (OSError, ValueError) as error:
                    text = f'{path.name}: not drawn ({type(error).__name__}: {error})'
                    print_log(text, logger='current', level=logging.WARNING)
        return paths

    def _clip(self, source: Source) -> Clip:
        """An input as it is drawn."""
        pictures = None if source.pictures is None else partial(read_pictures, source.pictures)
        path = Path(source.file)
        name = '/'.join(path.resolve().parts[-2:]) if path.is_dir() else path.name
        joints = source.points, source.scores
        return Clip(name, *joints, source.shape, self.layout, pictures, source.rate)

    def _verdict(self, found: Sequence[Stretch], frames: np.ndarray, truth: str | None) -> Verdict:
        """What the model says of stretches together."""
        best = self._best(_mean_score(found))
        return Verdict(tuple(best), found[0].start, found[-1].stop, frames, truth)

    def _best(self, scores: np.ndarray) -> list[tuple[str, float]]:
        """Names and scores of the best classes, the best first."""
        order = np.argsort(-scores, kind='stable')[: self.topk]
        return [(self.classes[label], round(float(scores[label]), 6)) for label in order]

    def postprocess(
        self,
        preds: list[Stretch],
        visualization: list[str],
        return_datasamples: bool = False,
        **kwargs: Any,
    ) -> dict[str, list]:
        """JSON-ready results; ``return_datasamples`` gives mmaction2's samples of all stretches."""
        if return_datasamples:
            samples = [pred.sample for pred in preds]
            return dict(predictions=samples, visualization=visualization)
        predictions, of_input = [], _by_input(preds)
        for number, given in enumerate(self.inputs):
            if given.error is not None:
                predictions.append(dict(file=given.path, error=str(given.error)))
                continue
            found = of_input[number]
            prediction = dict(file=given.path, **self._describe(found))
            if given.source.truth is not None:
                prediction['truth'] = given.source.truth
            if self.in_windows:
                prediction['windows'] = [
                    dict(
                        start=round(pred.start / given.source.rate, 3),
                        end=round(pred.stop / given.source.rate, 3),
                        **self._describe([pred]),
                    )
                    for pred in found
                ]
            predictions.append(prediction)
        return dict(predictions=predictions, visualization=visualization)

    def _describe(self, found: Sequence[Stretch]) -> dict[str, Any]:
        """Label, score and best classes of stretches together, as JSON can hold them."""
        best = self._best(_mean_score(found))
        return dict(label=best[0][0], score=best[0][1], topk=[list(pair) for pair in best])


def stretches(
    num_frames: int, rate: float, window: float | None, stride: float | None = None
) -> list[tuple[int, int]]:
    """The stretches of a clip that are looked at one by one.

    Args:
        num_frames: Of the clip.
        rate: Frames a second.
        window: Length of a stretch, seconds; None for the whole clip.
        stride: From the start of one to that of the next, seconds; ``window`` if None.

    Returns:
        First frame of each, and the frame behind its last one. All are of one length; the last one
        ends with the clip.
    """
    length = num_frames if window is None else min(max(1, round(window * rate)), num_frames)
    step = max(1, round((stride or window) * rate)) if window is not None else 1
    starts = list(range(0, num_frames - length + 1, step))
    if starts[-1] + length < num_frames:
        starts.append(num_frames - length)
    return [(start, start + length) for start in starts]


def _by_input(preds: Sequence[Stretch]) -> dict[int, list[Stretch]]:
    """The stretches of each input that has some, in one pass."""
    found: dict[int, list[Stretch]] = {}
    for pred in preds:
        found.setdefault(pred.number, []).append(pred)
    return found


def _mean_score(found: Sequence[Stretch]) -> np.ndarray:
    """(classes,) mean of the scores of stretches."""
    scores = [pred.sample.pred_score.detach().float().cpu().numpy() for pred in found]
    return np.mean(scores, axis=0, dtype=np.float64)
