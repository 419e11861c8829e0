"""NTU RGB+D 60 and 120: 60 and 120 actions of one or two people, 25 joints and video."""

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmaction.datasets import BaseActionDataset
from mmaction.registry import DATASETS
from mmengine.logging import print_log

from projects.ntu_rgbd import (
    ACTIONS,
    BENCHMARKS,
    IMAGE_SHAPE,
    MISSING_60,
    MISSING_120,
    SKELETONS,
    VIDEO_ENDING,
    VIDEOS,
    SampleNumbers,
    check_benchmark,
    in_training,
    read_sample_list,
    split_names,
)
from projects.star.ntu_skeletons import NUM_JOINTS, read_people

SPLITS = ('train', 'val', 'trainval', 'test')

_ENDING = '.skeleton'
_MAX_TRIES = 10


@DATASETS.register_module()
class NTURGBDDataset(BaseActionDataset):
    """Samples of NTU RGB+D in the published layout, one performance before one camera each.

    ``nturgb+d_skeletons/S001C002P003R002A013.skeleton`` and, of the pictures,
    ``nturgb+d_rgb/S001C002P003R002A013_rgb.avi``; files of NTU RGB+D 120 may lie beside those of
    60. A sample before its pipeline is ``dict(name, label, total_frames=T, keypoint=(M, T, 25, 2)
    float32, keypoint_score=(M, T, 25) float32, img_shape, original_shape, modality,
    start_index)`` and, of the pictures, ``filename``. Joints are pixels of the colour pictures;
    scores are 1 of tracked joints, 0.5 of inferred ones, 0 of missing ones, which stand at (0, 0).
    Of M = 1 or 2 people the first moves most, see
    :func:`projects.star.ntu_skeletons.split_people`. Frame t of the video is frame t of the
    skeleton; where their numbers differ, the smaller counts.

    The benchmarks have a training and a test half, and the literature chooses its models on the
    test half. Here ``'val'`` is every ``val_every``-th subject found in the training half, by
    number, with all samples there; ``'train'`` are the others, ``'trainval'`` both. So nobody is
    in both, and no performance, which each camera makes a sample of.

    The start lists names and reads no file. A skeleton file is parsed when its sample is asked
    for, and the result cached. A damaged one is logged by name and gives a person without joints
    (all scores 0). A video that cannot be decoded is logged, and the next sample that can takes
    its place. While testing, when every sample needs a result, that one bears the name and label
    of the first, and ``unreadable=True`` in its meta information. Of an AVI file that is cut off,
    decord ends the process without an error; these are found by the length in their header.

    DecordInit and DecordDecode suit the videos: exact for any frames, and three to four times
    as fast as OpenCVInit and OpenCVDecode for 16 rising frames of 1920x1080.

    Args:
        data_root: Folder of the data set.
        pipeline: Transforms of a sample.
        benchmark: ``'xsub60'``, ``'xview60'``, ``'xsub120'`` or ``'xset120'``.
        split: ``'train'``, ``'val'``, ``'trainval'`` or ``'test'``.
        videos: Folder of the videos in ``data_root``. None reads the joints alone, for which no
            videos are needed.
        skeletons: Folder of the skeleton files in ``data_root``.
        missing: Lists of samples to leave out, in ``data_root``; if None those of the two published
            names that are there.
        actions: Numbers of the actions to read, from 1, in the order of their labels; all if None.
        val_every: How many training subjects there are to a validation subject.
        img_shape: Height and width of the pictures that the skeleton files' colour coordinates are
            of, pixels: the sensor's, also where the videos were made smaller since.
        cache_dir: Where parsed files are kept, see ``projects.files.default_cache_dir``.
        kwargs: Further options of mmengine's ``BaseDataset``: ``test_mode``, ``indices``, ...

    Raises:
        FileNotFoundError: If a folder or a list is missing, or no sample is left.
        ValueError: If an option is not one of these.
    """

    METAINFO: dict = dict(dataset_name='ntu_rgbd', keypoint_layout='ntu')

    def __init__(
        self,
        data_root: str,
        pipeline: Sequence[dict | Any] = (),
        benchmark: str = 'xsub60',
        split: str = 'train',
        videos: str | None = VIDEOS,
        skeletons: str = SKELETONS,
        missing: Sequence[str] | None = None,
        actions: Sequence[int] | None = None,
        val_every: int = 10,
        img_shape: tuple[int, int] = IMAGE_SHAPE,
        cache_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_benchmark(benchmark)
        if split not in SPLITS:
            raise ValueError(f'split is {split!r}, expected one of {SPLITS}')
        if not isinstance(val_every, int) or val_every < 2:
            raise ValueError(f'val_every is {val_every!r}, expected a whole number of 2 or more')
        if isinstance(missing, str):
            raise ValueError(f'missing is {missing!r}, expected a list of names of files')
        every = range(1, BENCHMARKS[benchmark] + 1)
        chosen = list(every if actions is None else actions)
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(every):
            raise ValueError(
                f'actions is {actions!r}, expected different numbers from 1 to {every[-1]} for '
                f'benchmark {benchmark!r}'
            )
        if len(img_shape) != 2 or not min(img_shape) >= 1:
            raise ValueError(f'img_shape is {img_shape!r}, expected height and width in pixels')
        self.benchmark = benchmark
        self.split = split
        self.videos = videos
        self.skeletons = skeletons
        self.missing = missing
        self.labels = {number: label for label, number in enumerate(chosen)}
        self.val_every = val_every
        self.img_shape = tuple(img_shape)
        self.cache_dir = cache_dir
        self._damaged: set[str] = set()
        super().__init__(
            ann_file='',
            data_root=data_root,
            metainfo=dict(classes=tuple(ACTIONS[number - 1] for number in chosen)),
            pipeline=list(pipeline),
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """List the samples of the split, in the order of their names."""
        heading = f'{type(self).__name__}: split {self.split!r} of {self.data_root}'
        found = _samples(self._stems(self.skeletons, _ENDING, ''))
        samples = [numbers for numbers in found if numbers.action <= BENCHMARKS[self.benchmark]]
        samples = self._of_split(samples)
        # the halves do not move with what is left out below
        samples = [numbers for numbers in samples if numbers.action in self.labels]
        listed = self._listed()
        kept = [numbers for numbers in samples if numbers.name not in listed]
        if len(kept) < len(samples):
            print_log(
                f'{heading}: {len(samples) - len(kept)} of {len(samples)} samples are left out, '
                'which are listed as without skeletons or with parts of them',
                logger='current',
            )
        if self.videos is not None:
            seen = self._stems(self.videos, VIDEO_ENDING, '; videos=None reads the joints alone')
            unseen = [numbers.name for numbers in kept if numbers.name not in seen]
            kept = [numbers for numbers in kept if numbers.name in seen]
            if unseen:
                print_log(
                    f'{heading}: {len(unseen)} samples have no video and are left out, the first '
                    f'is {unseen[0]}',
                    logger='current',
                    level=logging.WARNING,
                )
        if not kept:
            hint = ''
            if self.split == 'val':
                hint = f'; it needs {self.val_every} training subjects, see val_every'
            raise FileNotFoundError(
                f'{heading}: no sample of benchmark {self.benchmark!r}{hint}. Found: {len(found)} '
                f'skeleton files, {len(samples)} of this split and its actions'
            )
        return [dict(name=numbers.name, label=self.labels[numbers.action]) for numbers in kept]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The sample ``idx`` before its pipeline.

        Args:
            idx: Its index.

        Raises:
            ValueError: If its video cannot be opened.
        """
        info = super().get_data_info(idx)
        shape, frames = self.img_shape, None
        if self.videos is not None:
            video = Path(self.data_root, self.videos, info['name'] + VIDEO_ENDING)
            frames, shape = _video_size(video)
            info['filename'] = str(video)
        path = Path(self.data_root, self.skeletons, info['name'] + _ENDING)
        try:
            places, scores = read_people(path, self.cache_dir)
        except (ValueError, OSError) as error:
            self._warn(path, 'taken as a person without joints', error)
            empty = 1, frames or 1, NUM_JOINTS
            places, scores = np.zeros((*empty, 2), np.float32), np.zeros(empty, np.float32)
        frames = min(frames or scores.shape[1], scores.shape[1])
        info.update(
            total_frames=frames,
            keypoint=places[:, :frames],
            keypoint_score=scores[:, :frames],
            img_shape=shape,
            original_shape=shape,
            keypoint_shape=self.img_shape,  # for CropPeople
        )
        return info

    def prepare_data(self, idx: int) -> Any:
        """The sample ``idx`` through the pipeline, or one in its place; see the class.

        Args:
            idx: Its index.

        Raises:
            ValueError: If neither it nor the samples after it can be loaded, which has other
                reasons than a damaged video.
        """
        if self.videos is None:
            return super().prepare_data(idx)
        own = super().get_data_info(idx)
        tries = min(len(self), _MAX_TRIES)
        failure: Exception | None = None
        for step in range(tries):
            try:
                info = self.get_data_info((idx + step) % len(self))
                if failure is not None and self.test_mode:
                    info.update(name=own['name'], label=own['label'])
                packed = self.pipeline(info)
            except Exception as error:  # every decoder has errors of its own
                failure = failure or error
                continue
            if failure is not None:
                fate = 'another sample takes its place'
                if self.test_mode and 'data_samples' in (packed or ()):
                    packed['data_samples'].set_metainfo(dict(unreadable=True))
                video = Path(self.data_root, self.videos, own['name'] + VIDEO_ENDING)
                self._warn(video, fate, failure)
            return packed
        raise ValueError(
            f'{own["name"]}: cannot be loaded, nor can the {tries - 1} samples after it: {failure}'
        ) from failure

    def _stems(self, folder: str, ending: str, hint: str) -> set[str]:
        """Names of the files in a folder, without their ending."""
        path = Path(self.data_root, folder)
        if not path.is_dir():
            raise FileNotFoundError(
                f'{path}: no such folder; NTU RGB+D has S001C002P003R002A013{ending} there{hint}'
            )
        return {name.removesuffix(ending) for name in os.listdir(path) if name.endswith(ending)}

    def _of_split(self, samples: list[SampleNumbers]) -> list[SampleNumbers]:
        """Those of the samples that are in the split."""
        training = [in_training(numbers, self.benchmark) for numbers in samples]
        half = [
            numbers
            for numbers, trains in zip(samples, training, strict=True)
            if trains == (self.split != 'test')
        ]
        if self.split in ('trainval', 'test'):
            return half
        subjects = sorted({numbers.subject for numbers in half})
        held_out = set(subjects[self.val_every - 1 :: self.val_every])
        return [
            numbers for numbers in half if (numbers.subject in held_out) == (self.split == 'val')
        ]

    def _listed(self) -> set[str]:
        """Names in the lists of samples to leave out."""
        paths = [Path(self.data_root, name) for name in self.missing or ()]
        if self.missing is None:
            published = (Path(self.data_root, name) for name in (MISSING_60, MISSING_120))
            paths = [path for path in published if path.is_file()]
        return {name for path in paths for name in read_sample_list(path)}

    def _warn(self, path: Path, fate: str, reason: Exception) -> None:
        """Say once, in each process, what becomes of a damaged file."""
        if str(path) not in self._damaged:
            self._damaged.add(str(path))
            line = f'{type(reason).__name__}: {reason}'.splitlines()[0]
            print_log(
                f'{path}: {fate} ({len(self._damaged)} damaged so far): {line}',
                logger='current',
                level=logging.WARNING,
            )


def _samples(names: Iterable[str]) -> list[SampleNumbers]:
    """The samples among names of files, sorted; what is named otherwise is passed over."""
    found = []
    for name in sorted(names):
        try:
            numbers = split_names(name)
        except ValueError:
            continue
        if numbers.name == name:  # nothing follows
            found.append(numbers)
    return found


def _video_size(path: Path) -> tuple[int, tuple[int, int]]:
    """Number of frames, and (height, width), as the header of a video says.

    Raises:
        ValueError: If it cannot be opened, or is cut off.
    """
    with open(path, 'rb') as file:
        start, size = file.read(8), os.fstat(file.fileno()).st_size
    length = int.from_bytes(start[4:], 'little')  # of what follows in an AVI file
    if start[:4] == b'RIFF' and size < length < 2**32 - 1:  # the largest stands for unknown
        raise ValueError(f'{path}: is cut off, {size} of {length} bytes')
    capture = cv2.VideoCapture(str(path))
    values = (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
    frames, height, width = (int(capture.get(value)) for value in values)
    opened = capture.isOpened()
    capture.release()
    if not opened or min(frames, height, width) < 1:
        raise ValueError(f'{path}: no video that can be opened')
    return frames, (height, width)
