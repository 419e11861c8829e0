"""Poses of clips in mmaction2's pickle layout."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from mmaction.datasets import BaseActionDataset
from mmaction.registry import DATASETS
from mmengine.logging import print_log

from projects.keypoints import KeypointLayout
from projects.keypoints import keypoint_layout as layout_of
from projects.star.safe_pickle import safe_load_pickle

_NAMED = 3  # samples that a line of the log names
_SEQUENCES = (list, tuple, np.ndarray)


@DATASETS.register_module()
class PosePickleDataset(BaseActionDataset):
    """2-D poses of clips in mmaction2's pickle layout, with or without their pictures.

    The file holds ``dict(split={name: [frame_dir, ...]}, annotations=[...])`` or the list of
    annotations alone. An annotation is ``dict(frame_dir, label, img_shape=(height, width),
    total_frames=T, keypoint=(M, T, J, 2) pixels, keypoint_score=(M, T, J))`` of M people; other
    fields are not read, and ``filename`` may stand for ``frame_dir``. The file is read by
    :func:`safe_load_pickle`, so that one from elsewhere cannot run code.

    A sample before its pipeline is ``dict(name, label, total_frames, keypoint float32,
    keypoint_score float32, img_shape, original_shape, modality, start_index)`` and, of the
    pictures, either ``dict(frame_dir, filename_tmpl, offset)`` as mmaction2's ``RawFrameDecode``
    reads them, or ``filename`` for its video decoders. Scores are cut to 0..1; where one is 0 or a
    coordinate is not finite the joint is missing, and both score and coordinates are 0. An
    annotation of no people becomes one person without joints.

    Args:
        ann_file: The pickle, absolute or in ``data_root``.
        pipeline: Transforms of a sample.
        data_root: What ``ann_file`` and ``data_prefix`` are relative to.
        data_prefix: ``dict(img=folder)`` if ``<folder>/<frame_dir>`` has the pictures of a clip,
            ``dict(video=folder)`` for videos, None for the joints alone. Where pictures are not of
            the size ``img_shape``, ``CropPeople`` scales the joints. Clips without their last
            picture, or without their video, are left out and counted in the log.
        split: Name of a split of the file; None takes all annotations.
        classes: Names of the classes in the order of their labels; None names them '0', '1', ...
            up to the largest label of the file.
        keypoint_layout: Order of the joints, a name in ``projects.keypoints.LAYOUTS``.
        filename_tmpl: Name of a picture, formatted with its number.
        offset: Number of a clip's first picture.
        video_tmpl: Name of a video below its folder; ``{}`` stands for ``frame_dir``, as in
            ``'{}_rgb.avi'``.
        kwargs: Further options of mmengine's ``BaseDataset``: ``test_mode``, ``indices``, ...

    Raises:
        FileNotFoundError: If the pickle is missing, or all pictures are.
        ValueError: If an option or annotation is malformed; the message names file, index and
            field.
    """

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[dict | Any] = (),
        data_root: str = '',
        data_prefix: Mapping[str, str] | None = None,
        split: str | None = None,
        classes: Sequence[str] | None = None,
        keypoint_layout: str = 'coco',
        filename_tmpl: str = 'img_{:05}.jpg',
        offset: int = 1,
        video_tmpl: str = '{}.mp4',
        **kwargs: Any,
    ) -> None:
        prefix = dict(data_prefix or {})
        if len(prefix) > 1 or not prefix.keys() <= {'img', 'video'}:
            raise ValueError(f'data_prefix is {prefix}, expected dict(img=...) or dict(video=...)')
        if classes is not None and (isinstance(classes, str) or len({*classes}) < len(classes)):
            raise ValueError(f'classes is {classes!r}, expected a list of different names')
        try:
            varies = filename_tmpl.format(1) != filename_tmpl.format(2)
        except (ValueError, LookupError):
            varies = False
        if not varies:
            raise ValueError(
                f'filename_tmpl is {filename_tmpl!r}, expected a number in it as in img_{{:05}}.jpg'
            )
        if '{}' not in video_tmpl:
            raise ValueError(f'video_tmpl is {video_tmpl!r}, expected {{}} in it, as in {{}}.mp4')
        self.layout = layout_of(keypoint_layout)
        self.split = split
        self.classes = None if classes is None else tuple(classes)
        self.filename_tmpl = filename_tmpl
        self.offset = offset
        self.video_tmpl = video_tmpl
        super().__init__(
            ann_file,
            pipeline=list(pipeline),
            data_root=data_root,
            data_prefix=prefix,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Read the pickle and list the clips of the split."""
        annotations, chosen = _of_split(safe_load_pickle(self.ann_file), self.split, self.ann_file)
        samples = [
            self._sample(annotation, f'{self.ann_file}: annotation {index}')
            for index, annotation in enumerate(annotations)
        ]
        if not samples:
            raise ValueError(f'{self.ann_file}: no annotations')
        largest = max(sample['label'] for sample in samples)
        classes = self.classes or tuple(str(label) for label in range(largest + 1))
        # not given as metainfo, of which mmengine takes text for a file of a list
        self._metainfo.update(classes=classes, keypoint_layout=self.layout.name)
        if chosen is not None:
            samples = [sample for sample in samples if sample['name'] in chosen]
            lacking = sorted(chosen - {sample['name'] for sample in samples})
            self._warn(lacking, len(chosen), f'names of split {self.split!r} have no annotation')
            if not samples:
                raise ValueError(f'{self.ann_file}: split {self.split!r} has no annotation')
        if self.data_prefix:
            probes = [self._add_pictures(sample) for sample in samples]
            there = [probe.is_file() for probe in probes]
            lost = [str(probe) for probe, found in zip(probes, there, strict=True) if not found]
            if not any(there):
                raise FileNotFoundError(
                    f'{lost[0]}: no such file, and none of the {len(lost) - 1} other clips of '
                    f'{self.ann_file} has its pictures either, see data_prefix'
                )
            self._warn(lost, len(samples), 'clips are left out, their pictures are not there')
            samples = [sample for sample, found in zip(samples, there, strict=True) if found]
        return samples

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The sample ``idx`` before its pipeline.

        Args:
            idx: Its index.
        """
        info = super().get_data_info(idx)
        joints = info['keypoint'].astype(np.float32)  # (M, T, J, 2)
        scores = info['keypoint_score'].astype(np.float32)  # (M, T, J)
        if not len(joints):
            joints = np.zeros((1, *joints.shape[1:]), np.float32)
            scores = np.zeros((1, *scores.shape[1:]), np.float32)
        scores = np.nan_to_num(scores, nan=0.0).clip(0.0, 1.0)
        there = (scores > 0) & np.isfinite(joints).all(axis=-1)
        info['keypoint'] = np.where(there[..., None], joints, np.float32(0))
        info['keypoint_score'] = np.where(there, scores, np.float32(0))
        return info

    def _sample(self, annotation: Any, where: str) -> dict[str, Any]:
        """Check an annotation and take what is needed of it; ``where`` begins the messages."""
        if not isinstance(annotation, dict):
            raise ValueError(f'{where} is a {type(annotation).__name__}, expected a dict')
        key = 'frame_dir' if 'frame_dir' in annotation else 'filename'
        name = annotation.get(key)
        if not isinstance(name, str) or not name:
            raise _error(where, key, repr(name), 'the name of the clip')
        if self.data_prefix and _leaves_folder(name):
            raise _error(where, key, repr(name), 'a path below the folder of data_prefix')
        label = _whole(annotation.get('label'))
        count = np.inf if self.classes is None else len(self.classes)
        if label is None or not 0 <= label < count:
            expected = 'a whole number of 0 or more'
            if self.classes is not None:
                expected = f'0 to {count - 1}, for there are {count} classes'
            raise _error(where, 'label', repr(annotation.get('label')), expected)
        size = annotation.get('img_shape')
        sides = [_whole(side) for side in size] if isinstance(size, _SEQUENCES) else []
        if len(sides) != 2 or any(side is None or side < 1 for side in sides):
            raise _error(where, 'img_shape', repr(size), 'height and width in pixels')
        joints, scores = _joints(annotation, where, self.layout)
        frames = annotation.get('total_frames', joints.shape[1])
        if _whole(frames) != joints.shape[1]:
            raise _error(where, 'total_frames', repr(frames), f'{joints.shape[1]} as keypoint has')
        return dict(
            name=name,
            label=label,
            total_frames=joints.shape[1],
            keypoint=joints,
            keypoint_score=scores,
            img_shape=tuple(sides),
            original_shape=tuple(sides),
            keypoint_shape=tuple(sides),  # for CropPeople, where the pictures have another size
        )

    def _add_pictures(self, sample: dict[str, Any]) -> Path:
        """Tell a sample where its pictures are; the file to look for."""
        if 'video' in self.data_prefix:
            name = self.video_tmpl.replace('{}', sample['name'])
            sample['filename'] = str(Path(self.data_prefix['video'], name))
            return Path(sample['filename'])
        folder = Path(self.data_prefix['img'], sample['name'])
        sample.update(frame_dir=str(folder), filename_tmpl=self.filename_tmpl, offset=self.offset)
        return folder / self.filename_tmpl.format(sample['total_frames'] - 1 + self.offset)

    def _warn(self, names: Sequence[str], total: int, what: str) -> None:
        if names:
            few = ', '.join(names[:_NAMED]) + ' ...' * (len(names) > _NAMED)
            print_log(
                f'{type(self).__name__}: {self.ann_file}: {len(names)} of {total} {what}: {few}',
                logger='current',
                level=logging.WARNING,
            )


def _of_split(content: Any, split: str | None, path: str) -> tuple[list, set[str] | None]:
    """All annotations, and the names of those in the split, None for all."""
    if isinstance(content, list):
        if split is not None:
            raise ValueError(f'{path}: is a list without splits, but split is {split!r}')
        return content, None
    if not isinstance(content, dict) or not isinstance(content.get('annotations'), list):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{path}: found {found}, expected a dict with 'split' and 'annotations', or a list of "
            'annotations'
        )
    if split is None:
        return content['annotations'], None
    splits = content.get('split')
    if not isinstance(splits, dict) or split not in splits:
        found = sorted(map(str, splits)) if isinstance(splits, dict) else splits
        raise ValueError(f'{path}: split is {split!r}, but the file has the splits {found!s:.200}')
    names = splits[split]
    is_list = isinstance(names, (*_SEQUENCES, set))
    if not is_list or not all(isinstance(name, str) for name in names):
        raise ValueError(f'{path}: split {split!r} is {names!r:.80}, expected a list of names')
    return content['annotations'], set(names)


def _joints(annotation: dict, where: str, layout: KeypointLayout) -> tuple[np.ndarray, np.ndarray]:
    """An annotation's joints (M, T, J, 2) and their scores (M, T, J), as they are."""
    joints, scores = (annotation.get(field) for field in ('keypoint', 'keypoint_score'))
    shape = joints.shape if _has_numbers(joints) else ()
    if len(shape) == 4 and shape[3] == 3:
        raise _error(
            where,
            'keypoint',
            f'of shape {shape}',
            'x and y in pixels: 3-D joints, as in ntu60_3d.pkl, have no place in the picture',
        )
    if len(shape) != 4 or not shape[1] or shape[2:] != (layout.num_joints, 2):
        raise _error(
            where,
            'keypoint',
            f'of shape {shape}' if shape else repr(joints),
            f'numbers (people, frames, {layout.num_joints}, 2), joints of layout {layout.name!r}',
        )
    if not _has_numbers(scores) or scores.shape != shape[:3]:
        found = f'of shape {scores.shape}' if _has_numbers(scores) else repr(scores)
        raise _error(where, 'keypoint_score', found, f'numbers {shape[:3]}, as keypoint has')
    return joints, scores


def _error(where: str, field: str, found: str, expected: str) -> ValueError:
    return ValueError(f"{where}: field '{field}' is {found:.80}, expected {expected}")


def _whole(value: Any) -> int | None:
    """A whole number, or None if it is none."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return int(value) if is_whole else None


def _has_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in 'fiu'


def _leaves_folder(name: str) -> bool:
    """Whether a relative path points out of its folder, on any system."""
    paths = PurePosixPath(name), PureWindowsPath(name)
    return '\0' in name or any(path.anchor or '..' in path.parts for path in paths)
