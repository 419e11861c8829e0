"""From photographs or a video and a checkpoint to parses: drawings, and the challenge's JSON."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import INFERENCERS, init_default_scope

from projects.apct.drawing.parses import follow_people, shown_people
from projects.apct.drawing.picture import draw_parses, plan_cards
from projects.apct.layout import read_names
from projects.apct.people import check_count, official_people
from projects.apct.transforms import LoadKineticsTPSFrame
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
from projects.video import VIDEO_ENDINGS, write_video
from projects.visualization import check_thresholds, write_image


class Source(NamedTuple):
    """One input."""

    kind: str
    """``'image'``, ``'folder'``, ``'video'`` or ``'array'``."""
    name: str
    """Of its drawing; no two inputs of a call have the same."""
    path: str | None
    image: np.ndarray | None = None


class Frame(NamedTuple):
    """One image of an input."""

    source: Source
    name: str
    number: int
    img_path: str | None = None
    video_path: str | None = None


@INFERENCERS.register_module()
class PartParsingInferencer(MethodInferencer):
    """Find people, their body parts and the parts' states.

    An input is an image file, a folder of images, a video file, or an image as an array (height,
    width, 3) uint8 BGR. They go through the config's test pipeline.

    Options of a call: ``frame_interval``, every how many-th frame of a video is parsed, 5 as in the
    challenge, 1 for all of them; ``out_dir``, a folder for the drawings, none are made if None;
    ``person_threshold`` and ``part_threshold``, the least scores that are drawn; ``video_format``,
    ``mp4`` or ``gif``, of a drawn video; ``batch_size``.

    The result holds ``predictions``, one JSON-ready dict an input, and ``visualization``, the files
    drawn. A prediction's ``frames`` are those of the challenge's ``pred_part_result.json`` for one
    video, ``{'img_00001.json': {'humans': [...]}}``, with people of any score; images are named
    after their files. An input of which no frame could be read has none.

    Args:
        args: As in mmengine's ``BaseInferencer``.
        part_names: K names; if None those of the checkpoint, else of the config's data set, else of
            the lists in its ``data_root``, else numbers.
        state_names: S names, likewise.
        kwargs: As in mmengine's ``BaseInferencer``.
    """

    preprocess_kwargs = {'frame_interval'}
    forward_kwargs: set = set()
    visualize_kwargs = {'out_dir', 'person_threshold', 'part_threshold', 'video_format'}
    postprocess_kwargs: set = set()

    def __init__(
        self,
        *args: Any,
        part_names: Sequence[str] | None = None,
        state_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.sources: list[Source] = []  # of the call at hand
        super().__init__(*args, **kwargs)
        self.loader = LoadKineticsTPSFrame()
        head = getattr(self.model, 'bbox_head', None)
        self.part_names = self._names('part', part_names, getattr(head, 'num_parts', 0))
        self.state_names = self._names('state', state_names, getattr(head, 'num_states', 0))

    def _init_model(self, cfg: Any, weights: str | None, device: str = 'cpu') -> torch.nn.Module:
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        return super()._init_model(cfg, weights, device)

    def _init_pipeline(self, cfg: Any) -> Callable:
        """The test pipeline without its loading steps: images are loaded by this class."""
        steps = list(tested_dataset(cfg).get('pipeline', ()))
        names = [str(getattr(s['type'], '__name__', s['type'])).split('.')[-1] for s in steps]
        kept = [s for s, name in zip(steps, names, strict=True) if not name.startswith('Load')]
        return Compose(kept)

    def _init_collate(self, cfg: Any) -> Callable:
        return pseudo_collate  # what detectors take; mmengine's search for it warns

    def _names(self, kind: str, given: Sequence[str] | None, count: int) -> list[str]:
        """Names of parts or states: given, the checkpoint's, the config's or the data set's."""
        key = f'{kind}_names'
        dataset = tested_dataset(self.cfg)
        file = 'body_part.txt' if kind == 'part' else 'part_stat.txt'
        path = Path(dataset.get('data_root') or '', 'list', file)
        named = given or self.saved_meta.get(key) or (dataset.get('metainfo') or {}).get(key)
        if not count:
            return list(named or ())
        if named is None and path.is_file():
            named = read_names(path)
        if named is None:
            text = (
                f'{type(self).__name__}: no names of {kind}s in the checkpoint, and {path} does '
                f'not exist; they are numbered {kind}_0, {kind}_1, ...'
            )
            print_log(text, logger='current', level=logging.WARNING)
            named = [f'{kind}_{number}' for number in range(count)]
        check_count(count, named, f'{kind}s')
        return [str(name) for name in named]

    def _dispatch_kwargs(self, **kwargs: Any) -> tuple[dict, dict, dict, dict]:
        """Sort the options, and stop on a bad one before anything is computed."""
        check_thresholds(**{k: v for k, v in kwargs.items() if k.endswith('_threshold')})
        interval = kwargs.get('frame_interval', 1)
        if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
            raise ValueError(
                f'frame_interval is {interval!r}, expected a whole number of 1 or more'
            )
        if kwargs.get('video_format', 'mp4') not in ('mp4', 'gif'):
            raise ValueError(f"video_format is {kwargs['video_format']!r}, expected 'mp4' or 'gif'")
        return super()._dispatch_kwargs(**kwargs)

    def _inputs_to_list(self, inputs: Any) -> list[Source]:
        """The inputs, looked at but not read.

        Raises:
            FileNotFoundError: If there is no such file or folder.
            ValueError: If an input is of no kind that can be parsed.
        """
        several = isinstance(inputs, (list, tuple))
        sources: list[Source] = []
        for number, item in enumerate(inputs if several else [inputs]):
            if isinstance(item, np.ndarray):
                check_image(item, number)
                kind, name, path, image = 'array', f'array_{number}', None, item
            else:
                path, image = Path(item), None
                kind, name = _kind(path), safe_name(path.resolve().stem)
                path = str(path)
            name = free_name(name, {source.name for source in sources})
            sources.append(Source(kind, name, path, image))
        self.sources = sources
        return sources

    def preprocess(
        self, inputs: list[Source], batch_size: int = 1, frame_interval: int = 5
    ) -> Iterator[tuple[list[Frame], Any]]:
        """Batches of frames.

        A frame of a folder or video that cannot be read is logged and left out.

        Raises:
            ValueError: If a single image cannot be read, or a video as a whole.
        """

        def packed() -> Iterator[tuple[Frame, dict]]:
            for source in inputs:
                for frame in frames_of(source, frame_interval):
                    try:
                        yield frame, self.pipeline(self.load(frame))
                    except ValueError as error:
                        if source.kind not in ('folder', 'video'):
                            raise
                        text = f'left out: {error}'
                        print_log(text, logger='current', level=logging.WARNING)

        for chunk in self._get_chunk_data(packed(), batch_size):
            frames, data = zip(*chunk, strict=True)
            yield list(frames), self.collate_fn(data)

    def load(self, frame: Frame) -> dict[str, Any]:
        """A frame as the test pipeline takes it, its image loaded.

        Args:
            frame: What to load.

        Raises:
            ValueError: If it cannot be read; the message names the file.
        """
        results = dict(
            img_path=frame.img_path,
            video_path=frame.video_path,
            frame_number=frame.number,
            video=frame.source.name,
            frame=frame.name,
            img_id=frame.number,
            part_names=self.part_names,
        )
        if frame.source.image is None:
            return self.loader(results)
        shape = frame.source.image.shape[:2]
        return dict(results, img=frame.source.image.copy(), img_shape=shape, ori_shape=shape)

    @torch.no_grad()
    def forward(self, inputs: tuple[list[Frame], Any], **kwargs: Any) -> list[dict[str, Any]]:
        """Parse one batch."""
        frames, data = inputs
        samples = [sample.cpu() for sample in self.model.test_step(data)]
        return [
            dict(
                frame=frame,
                sample=sample,
                people=official_people(
                    sample.pred_instances, self.part_names, self.state_names, for_drawing=True
                )[0],
            )
            for frame, sample in zip(frames, samples, strict=True)
        ]

    def visualize(
        self,
        inputs: list[Source],
        preds: list[dict[str, Any]],
        out_dir: str | None = None,
        person_threshold: float = 0.5,
        part_threshold: float = 0.1,
        video_format: str = 'mp4',
    ) -> list[str]:
        """Draw every image as a PNG named after it, every video as a video.

        Videos run as fast as the original, with as many frames a second as were parsed.
        """
        if out_dir is None:
            return []
        limits = dict(person_threshold=person_threshold, part_threshold=part_threshold)
        paths = []
        for source in inputs:
            found = [pred for pred in preds if pred['frame'].source is source]
            if source.kind == 'video' and found:
                paths.append(Path(out_dir, f'{source.name}.{video_format}'))
                people = follow_people([shown_people(pred['people'], **limits) for pred in found])
                plan = plan_cards(people, self.part_names, **limits)
                # an animation holds every pixel of every frame
                size = (960, 1600) if video_format == 'mp4' else (480, 640)
                drawings = (
                    draw_parses(
                        self.load(pred['frame'])['img'],
                        some,
                        self.part_names,
                        **limits,
                        long_side=size,
                        plan=plan,
                    )
                    for pred, some in zip(found, people, strict=True)
                )
                write_video(paths[-1], drawings, _drawn_rate([pred['frame'] for pred in found]))
                continue
            for pred in found:
                folder, stem = Path(out_dir), source.name
                if source.kind == 'folder':
                    folder, stem = folder / source.name, Path(pred['frame'].name).stem
                paths.append(folder / f'{stem}.png')
                image = self.load(pred['frame'])['img']
                write_image(
                    paths[-1], draw_parses(image, pred['people'], self.part_names, **limits)
                )
        return [str(path) for path in paths]

    def postprocess(
        self,
        preds: list[dict[str, Any]],
        visualization: list[str],
        return_datasamples: bool = False,
        **kwargs: Any,
    ) -> dict[str, list]:
        """JSON-ready results; ``return_datasamples`` gives mmdet's samples of all frames."""
        if return_datasamples:
            samples = [pred['sample'] for pred in preds]
            return dict(predictions=samples, visualization=visualization)
        predictions = {
            source.name: dict(input=source.path, video=source.name, frames={})
            for source in self.sources
        }
        for pred in preds:
            frame = pred['frame']
            predictions[frame.source.name]['frames'][frame.name] = dict(humans=pred['people'])
        return dict(predictions=list(predictions.values()), visualization=visualization)


def frames_of(source: Source, frame_interval: int = 5) -> Iterator[Frame]:
    """The frames to parse of an input.

    Args:
        source: The input.
        frame_interval: Of a video, every how many-th frame.

    Raises:
        ValueError: If it is a video that cannot be read, or a folder without images.
    """
    if source.kind == 'video':
        LoadKineticsTPSFrame()(dict(img_path=None, video_path=source.path, frame_number=1))
        for number in range(1, _video(source.path)[0] + 1, frame_interval):
            yield Frame(source, f'img_{number:05d}.json', number, video_path=source.path)
    elif source.kind == 'folder':
        paths = images_in(Path(source.path))
        stems = [path.stem for path in paths]
        for number, path in enumerate(paths, start=1):
            stem = path.stem if stems.count(path.stem) == 1 else path.name
            yield Frame(source, f'{stem}.json', number, img_path=str(path))
    elif source.kind == 'image':
        yield Frame(source, f'{Path(source.path).stem}.json', 1, img_path=source.path)
    else:
        yield Frame(source, 'img_00001.json', 1)


def _kind(path: Path) -> str:
    """What kind of input a path is."""
    if path.is_dir():
        return 'folder'
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such image, folder of images or video')
    for kind, endings in (('image', IMAGE_ENDINGS), ('video', VIDEO_ENDINGS)):
        if has_ending(path, endings):
            return kind
    raise ValueError(
        f'{path}: ends in {path.suffix!r}, expected an image {IMAGE_ENDINGS} or a video '
        f'{VIDEO_ENDINGS}'
    )


def _video(path: str) -> tuple[int, float]:
    """Number of frames and frames a second of a video that is known to be readable."""
    from decord import VideoReader  # there, as a frame has been read

    video = VideoReader(path, num_threads=1)
    return len(video), float(video.get_avg_fps()) or 25.0


def _drawn_rate(frames: Sequence[Frame]) -> float:
    """Frames a second at which the parsed frames of a video last as long as it does."""
    rate = _video(frames[0].video_path)[1]
    steps = [b.number - a.number for a, b in zip(frames, frames[1:], strict=False)]
    return rate / min(steps, default=1)
