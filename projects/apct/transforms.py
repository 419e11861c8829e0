"""Pipeline steps of part parsing: load a frame, its people and parts, and pack them."""

import logging
import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.fileio import get
from mmengine.logging import print_log
from mmengine.registry import TRANSFORMS
from mmengine.structures import InstanceData


class VideoFrameReader:
    """Single frames of many videos, of which the last few used stay open.

    decord gives the exact frame, and when frames are asked for in order it goes on decoding where
    it stopped: every 5th frame of a 300-frame H.264 video took 1.2 ms each, against 21 ms with
    ``mmcv.VideoReader``, which seeks anew. Both take 21 to 24 ms for one frame out of a video.
    As it decodes ahead, a frame shortly before a damaged place may be unreadable, too.

    Args:
        max_open: How many videos stay open.
    """

    def __init__(self, max_open: int = 4) -> None:
        if not isinstance(max_open, int) or max_open < 1:
            raise ValueError(f'max_open is {max_open!r}, expected a whole number of 1 or more')
        self.max_open = max_open
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._process = os.getpid()
        self._inherited: list[OrderedDict] = []

    def read(self, path: str, number: int) -> np.ndarray:
        """Read one frame.

        Args:
            path: Video file.
            number: The frame, counted from 1.

        Returns:
            (height, width, 3) uint8, BGR.

        Raises:
            ValueError: If the video cannot be opened, or has no such frame.
        """
        try:
            import decord  # not every installation reads videos
        except ImportError as error:
            raise ImportError(
                f'{path}: reading frames out of videos needs decord: pip install decord, or '
                'extract the frames to <video>/img_%05d.jpg'
            ) from error
        if self._process != os.getpid():
            # A decoder's threads do not survive a fork. A worker must not use its parent's
            # decoders, nor close them: that waits for the threads, forever.
            self._inherited.append(self._open)
            self._open, self._process = OrderedDict(), os.getpid()
        try:
            if path not in self._open:
                self._open[path] = decord.VideoReader(path, num_threads=1)
            self._open.move_to_end(path)
            while len(self._open) > self.max_open:
                self._open.popitem(last=False)
            if number < 1:
                raise IndexError('frames count from 1')
            frame = self._open[path][number - 1].asnumpy()
        except (
            RuntimeError,  # files that cannot be opened
            IndexError,
            OSError,
            decord.DECORDError,  # files that are damaged further on
            decord.DECORDLimitReachedError,
        ) as error:
            length = len(self._open[path]) if path in self._open else 'unknown'
            self._open.pop(path, None)
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise ValueError(
                f'{path}: frame {number} cannot be read, number of frames {length} ({reason})'
            ) from error
        return np.ascontiguousarray(frame[..., ::-1])

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self), _open=OrderedDict(), _inherited=[])


@TRANSFORMS.register_module()
class LoadKineticsTPSFrame(BaseTransform):
    """Load a frame from its image file, or out of its video where ``img_path`` is None.

    Adds ``img`` (height, width, 3) uint8 BGR, ``img_shape`` and ``ori_shape``, as mmcv's
    ``LoadImageFromFile`` does.

    Args:
        max_open: How many videos a worker keeps open.
        skip_unreadable: What becomes of a frame that cannot be read. False: an error. True, for
            training: it is logged and the data set takes another frame. ``'blank'``, for testing,
            where every frame must have a result: it is logged, and a black frame of the size last
            read (128 x 128 before any was) takes its place, with ``unreadable=True``, by which
            ``KineticsTPSMetric`` knows that there are no people.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(self, max_open: int = 4, skip_unreadable: bool | str = False) -> None:
        if not isinstance(skip_unreadable, bool) and skip_unreadable != 'blank':
            raise ValueError(
                f"skip_unreadable is {skip_unreadable!r}, expected False, True or 'blank'"
            )
        self.reader = VideoFrameReader(max_open)
        self.skip_unreadable = skip_unreadable
        self._last_shape = (128, 128, 3)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load one frame; see the class.

        Raises:
            ValueError: If the frame cannot be read and is not to be skipped; the message names
                file and frame.
        """
        if results['img_path'] is None and results.get('video_path') is None:
            raise ValueError('a sample has neither img_path nor video_path to load from')
        try:
            img = self._load(results)
        except ValueError as error:
            blank = self.skip_unreadable == 'blank'
            if not self.skip_unreadable or ('truth' in results and not blank):
                raise
            fate = 'taken as a frame without people' if blank else 'left out'
            print_log(f'{fate}: {error}', logger='current', level=logging.WARNING)
            if not blank:
                return None
            img = np.zeros(self._last_shape, np.uint8)
            results['unreadable'] = True
        self._last_shape = img.shape
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def _load(self, results: dict[str, Any]) -> np.ndarray:
        path = results['img_path']
        if path is None:
            return self.reader.read(results['video_path'], results['frame_number'])
        try:
            img = mmcv.imfrombytes(get(path))
        except OSError as error:
            raise ValueError(f'{path}: cannot be read ({error})') from error
        if img is None:
            raise ValueError(f'{path}: is no image that can be decoded')
        return img


@TRANSFORMS.register_module()
class LoadPartAnnotations(BaseTransform):
    """Hand persons and parts to mmdet's transforms, as ordinary boxes.

    All boxes, those of the M persons and of their present parts, become ``gt_bboxes``. A label in
    ``gt_bboxes_labels`` says whose box it is: ``person * (K + 1)`` for the person, ``+ 1 + k`` for
    part k. So whatever moves, crops or filters boxes treats persons and parts alike, and
    :class:`PackPartInputs` can take them apart again.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Set ``gt_bboxes``, ``gt_bboxes_labels`` and ``gt_ignore_flags``."""
        boxes = results['bboxes']  # (M, 4)
        part_boxes, valid = results['part_bboxes'], results['part_valid']  # (M, K, 4), (M, K)
        num_people, num_parts = valid.shape
        boxes = np.concatenate([boxes[:, None], part_boxes], axis=1)  # (M, K + 1, 4)
        present = np.concatenate([np.ones((num_people, 1), bool), valid], axis=1)  # (M, K + 1)
        labels = np.arange(present.size).reshape(num_people, num_parts + 1)
        results['gt_bboxes'] = HorizontalBoxes(boxes[present], dtype=torch.float32)
        results['gt_bboxes_labels'] = labels[present].astype(np.int64)
        results['gt_ignore_flags'] = np.zeros(int(present.sum()), bool)
        return results


@TRANSFORMS.register_module()
class PackPartInputs(BaseTransform):
    """Pack a frame as model input, with people and parts as targets where they were loaded.

    ``gt_instances`` gets ``bboxes`` (M, 4) and ``part_bboxes`` (M, K, 4) float32 xyxy pixels,
    clipped to the image, zeros where missing; ``labels`` (M,) zeros; ``part_valid`` (M, K) bool;
    ``part_states`` (M, K) int64, -1 where there is none. A person whose box is gone, or lies
    outside, is dropped with its parts; such a part is missing. In a mirrored image left and right
    parts are swapped, for a mirrored left arm is a right one.

    Args:
        flip_pairs: Pairs of part names that a mirror swaps; by default ``left_x`` and ``right_x``.
        meta_keys: What to keep of the sample as meta information, where it is there.
    """

    def __init__(
        self,
        flip_pairs: Sequence[tuple[str, str]] | None = None,
        meta_keys: Sequence[str] = (
            *('img_id', 'img_path', 'video', 'video_class', 'frame', 'frame_number', 'truth'),
            *('ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction', 'unreadable'),
        ),
    ) -> None:
        self.flip_pairs = None if flip_pairs is None else [tuple(pair) for pair in flip_pairs]
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack one sample."""
        img = np.ascontiguousarray(results['img'].transpose(2, 0, 1))  # (3, height, width)
        sample = DetDataSample(
            metainfo={key: results[key] for key in self.meta_keys if key in results}
        )
        sample.gt_instances = InstanceData()
        if 'gt_bboxes' in results:
            sample.gt_instances = self.gather(results)
        return dict(inputs=torch.from_numpy(img), data_samples=sample)

    def gather(self, results: dict[str, Any]) -> InstanceData:
        """The people of a frame out of its boxes.

        Args:
            results: A sample after :class:`LoadPartAnnotations` and any transforms of one image.

        Raises:
            ValueError: If boxes of several images were mixed.
        """
        states = results['part_states']  # (M, K)
        num_people, num_parts = states.shape
        boxes = results['gt_bboxes'].tensor.numpy()
        labels = np.asarray(results['gt_bboxes_labels'])
        if len(np.unique(labels)) < len(labels) or (
            len(labels) and not 0 <= labels.min() <= labels.max() < num_people * (num_parts + 1)
        ):
            raise ValueError(
                'a box belongs to two people: PackPartInputs takes boxes of one image, transforms '
                'that join several (Mosaic, MixUp, CopyPaste) cannot be used with parts'
            )
        height, width = results['img'].shape[:2]
        clipped = np.zeros((num_people * (num_parts + 1), 4), np.float32)
        clipped[labels] = boxes.clip(0, np.array([width, height, width, height], np.float32))
        clipped = clipped.reshape(num_people, num_parts + 1, 4)
        there = ((clipped[..., 2:] - clipped[..., :2]) > 0).all(-1)  # (M, K + 1)
        people = there[:, 0]
        boxes, part_boxes = clipped[people, 0], clipped[people, 1:]
        valid = there[people, 1:]
        if is_mirrored(results):
            order = self.mirror_order(results)
            part_boxes, valid = part_boxes[:, order], valid[:, order]
            states = states[:, order]
        states = np.where(valid, states[people], -1)
        part_boxes = np.where(valid[..., None], part_boxes, 0)
        return InstanceData(
            bboxes=torch.from_numpy(boxes),
            labels=torch.zeros(len(boxes), dtype=torch.int64),
            part_bboxes=torch.from_numpy(part_boxes),
            part_valid=torch.from_numpy(valid),
            part_states=torch.from_numpy(states),
        )

    def mirror_order(self, results: dict[str, Any]) -> list[int]:
        """For each part the part that it shows in a mirror.

        Args:
            results: A sample, of which ``part_names`` is used.

        Raises:
            ValueError: If one of ``flip_pairs`` is not a pair of different parts.
        """
        names = list(results['part_names'])
        order = list(range(len(names)))
        pairs = self.flip_pairs
        if pairs is None:
            lefts = [name for name in names if name.startswith('left_')]
            pairs = [(name, f'right_{name[5:]}') for name in lefts]
            pairs = [pair for pair in pairs if pair[1] in names]
        for pair in pairs:
            if len(set(pair)) != 2 or not set(pair) <= set(names):
                raise ValueError(f'flip_pairs holds {pair}, expected pairs of the parts {names}')
            left, right = (names.index(name) for name in pair)
            order[left], order[right] = right, left
        return order


def is_mirrored(results: dict[str, Any]) -> bool:
    """Whether the image shows left and right exchanged.

    The sign of the recorded homography's determinant tells it after any number of flips, where
    ``flip`` only knows of the last; a flip along both axes is a rotation and no mirror.

    Args:
        results: A sample after any transforms.
    """
    homography = results.get('homography_matrix')
    if homography is not None:
        return bool(np.linalg.det(np.asarray(homography)[:2, :2]) < 0)
    return bool(results.get('flip')) and results.get('flip_direction') != 'diagonal'
