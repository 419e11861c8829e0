"""Penn Action: clips of one person in 15 sports, with frames and 13 joints a frame."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.datasets import BaseActionDataset
from mmaction.registry import DATASETS
from mmengine.logging import print_log
from PIL import Image, UnidentifiedImageError

from projects.keypoints import keypoint_layout
from projects.penn_labels import CLASS_NAMES, known_joints, read_labels

SPLITS = ('train', 'val', 'trainval', 'test')
HIDDEN = ('keep', 'missing')
PICTURE = '{:06}.jpg'
"""Name of a picture in a clip's folder, numbered from 1."""

_LAYOUT = keypoint_layout('penn')
_NAMED = 5  # clips that a line of the log names


@DATASETS.register_module()
class PennActionDataset(BaseActionDataset):
    """Clips of Penn Action as published: ``labels/0001.mat``, ``frames/0001/000001.jpg``.

    A sample before its pipeline is ``dict(name, label, total_frames=T, keypoint=(1, T, 13, 2)
    float32, keypoint_score=(1, T, 13) float32, img_shape, original_shape, modality, start_index)``
    and, of the pictures, ``dict(frame_dir, filename_tmpl, offset)`` as mmaction2's
    ``RawFrameDecode`` reads them. Joints are in pixels, the first pixel's centre at 0 (the files
    count from 1), in the order of layout ``'penn'``, left being the person's own left: the columns
    that the files name left hold the person's right side, and are exchanged. A joint without a
    place has score 0 and stands at (0, 0).

    The published split has two halves and no validation part: ``'val'`` is every
    ``val_every``-th clip of each class of the training half, in the order of their numbers,
    ``'train'`` the others, ``'trainval'`` both. Clips whose pictures are missing count, so that
    they move no other clip to another split.

    Clips that cannot be used (a damaged label file, no pictures, pictures of another size than the
    labels are for) are left out and named in one line of the log. Where a clip has more pictures
    than rows of joints, or fewer, the smaller number counts; pictures are counted up to the first
    number that is missing. A clip in which no joint has a place is kept.

    Args:
        data_root: Folder of the data set.
        pipeline: Transforms of a sample.
        split: ``'train'``, ``'val'``, ``'trainval'`` or ``'test'``.
        frames: Folder of the clips' pictures in ``data_root``. None reads the joints alone, for
            which no pictures are needed.
        labels: Folder of the label files in ``data_root``; ``''`` if they lie there directly.
        val_every: How many training clips of a class there are to a validation clip.
        hidden: What becomes of a joint that is marked invisible, yet was given a place by the
            annotator: ``'keep'`` it or have it ``'missing'``. A joint that is hidden in the whole
            clip has no place, and is missing with both.
        hidden_score: The score of invisible joints that are kept, above 0; visible ones have 1.
        kwargs: Further options of mmengine's ``BaseDataset``: ``test_mode``, ``indices``, ...

    Raises:
        FileNotFoundError: If there are no label files, or ``frames`` is no folder.
        ValueError: If an option is not one of these, or no clip is left.
    """

    METAINFO: dict = dict(dataset_name='penn_action', classes=CLASS_NAMES, keypoint_layout='penn')

    def __init__(
        self,
        data_root: str,
        pipeline: Sequence[dict | Any] = (),
        split: str = 'train',
        frames: str | None = 'frames',
        labels: str = 'labels',
        val_every: int = 10,
        hidden: str = 'keep',
        hidden_score: float = 1.0,
        **kwargs: Any,
    ) -> None:
        for name, value, choices in (('split', split, SPLITS), ('hidden', hidden, HIDDEN)):
            if value not in choices:
                raise ValueError(f'{name} is {value!r}, expected one of {choices}')
        if not isinstance(val_every, int) or val_every < 2:
            raise ValueError(f'val_every is {val_every!r}, expected a whole number of 2 or more')
        if not 0 < hidden_score <= 1:
            raise ValueError(
                f'hidden_score is {hidden_score!r}, expected a number above 0 and at most 1; '
                "hidden='missing' takes invisible joints out"
            )
        self.split = split
        self.frames = frames
        self.labels = labels
        self.val_every = val_every
        self.hidden_score = hidden_score if hidden == 'keep' else 0.0
        super().__init__(ann_file='', data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the label files and list the clips of the split."""
        folder = Path(self.data_root, self.labels)
        # archives made on a Mac hold ._0001.mat beside 0001.mat
        paths = sorted(path for path in folder.glob('*.mat') if not path.name.startswith('.'))
        if not paths:
            raise FileNotFoundError(
                f'{folder}: no label files *.mat; Penn Action has them in labels, and '
                "labels='' looks for them in data_root itself"
            )
        frame_root = None if self.frames is None else Path(self.data_root, self.frames)
        if frame_root is not None and not frame_root.is_dir():
            raise FileNotFoundError(
                f'{frame_root}: no such folder; the pictures of Penn Action lie there as '
                '0001/000001.jpg, and frames=None reads the joints alone'
            )
        samples, left_out, odd_lengths = [], [], []
        in_class = Counter()  # training clips so far
        for path in paths:
            try:
                train, sample = read_clip(path, self.hidden_score)
                number = in_class[sample['label']]
                in_class[sample['label']] += train
                if not self._is_in_split(train, number):
                    continue
                if frame_root is not None:
                    rows = sample['total_frames']
                    pictures = _add_pictures(sample, frame_root)
                    if pictures != rows:
                        odd_lengths.append(f'{path.stem} ({pictures} for {rows} rows)')
            except (ValueError, FileNotFoundError) as error:
                left_out.append(str(error))
                continue
            samples.append(sample)
        self._report(samples, left_out, odd_lengths)
        return samples

    def _is_in_split(self, train: bool, number: int) -> bool:
        """Whether a clip is of the split.

        Args:
            train: Whether it is in the training half.
            number: How many training clips of its class come before it.
        """
        if self.split in ('trainval', 'test'):
            return train == (self.split == 'trainval')
        in_val = number % self.val_every == self.val_every - 1
        return train and in_val == (self.split == 'val')

    def _report(self, samples: list[dict], left_out: list[str], odd_lengths: list[str]) -> None:
        """Log what is odd, each kind in one line; raise if nothing is left."""
        heading = f'{type(self).__name__}: split {self.split!r} of {self.data_root}'
        if not samples:
            hint = ''
            if self.split == 'val':
                hint = f'; a class needs {self.val_every} training clips for one, see val_every'
            first = f'; {len(left_out)} clips are left out, {left_out[0]}' if left_out else ''
            raise ValueError(f'{heading}: no clip{hint}{first}')
        total = len(samples) + len(left_out)
        empty = [sample['name'] for sample in samples if not sample['keypoint_score'].any()]
        for names, what in (
            (left_out, 'left out, for they cannot be used'),
            (odd_lengths, 'with another number of pictures than rows of joints, the smaller used'),
            (empty, 'without a joint in any frame, kept'),
        ):
            if names:
                few = '; '.join(names[:_NAMED]) + ' ...' * (len(names) > _NAMED)
                print_log(
                    f'{heading}: {len(names)} of {total} clips {what}: {few}',
                    logger='current',
                    level=logging.WARNING,
                )


def read_clip(path: Path, hidden_score: float = 1.0) -> tuple[bool, dict[str, Any]]:
    """A clip of Penn Action without its pictures.

    Args:
        path: Its label file.
        hidden_score: Score of joints that are marked invisible and have a place, 0 to 1.

    Returns:
        Whether it is in the training half, and its sample as in :class:`PennActionDataset`.

    Raises:
        ValueError: If the file or one of its fields is malformed; the message names them.
    """
    fields = read_labels(path)
    action, train = (fields.get(name, np.empty(0)) for name in ('action', 'train'))
    if action.size != 1 or action.item() not in CLASS_NAMES:
        raise ValueError(
            f"{path}: field 'action' is {action.tolist()}, expected one of {CLASS_NAMES}"
        )
    if train.size != 1 or train.item() not in (1, -1):
        raise ValueError(f"{path}: field 'train' is {train.tolist()}, expected 1 or -1")
    height, width = (float(side) for side in fields['dimensions'][0, :2])
    if not (height >= 1 and width >= 1 and height % 1 == width % 1 == 0):
        raise ValueError(
            f"{path}: field 'dimensions' is {fields['dimensions'][0].tolist()}, expected height "
            'and width in pixels, and the number of frames'
        )
    visible = fields['visibility']  # (T, 13)
    known = known_joints(fields['x'], fields['y'], visible)
    joints = np.stack([fields['x'], fields['y']], axis=-1) - 1.0  # (T, 13, 2)
    joints = np.where(known[..., None], joints, 0.0)
    scores = np.where(visible, 1.0, hidden_score) * known  # (T, 13)
    if hidden_score == 0:
        joints *= visible[..., None]
    own_sides = list(_LAYOUT.flip_indices)
    shape = int(height), int(width)
    return train.item() == 1, dict(
        name=path.stem,
        label=CLASS_NAMES.index(action.item()),
        total_frames=len(joints),
        keypoint=joints[None, :, own_sides].astype(np.float32),  # (1, T, 13, 2)
        keypoint_score=scores[None, :, own_sides].astype(np.float32),  # (1, T, 13)
        img_shape=shape,
        original_shape=shape,
    )


def _add_pictures(sample: dict[str, Any], frame_root: Path) -> int:
    """Tell a sample where its pictures are, and cut it to their number if these are fewer.

    Returns:
        How many pictures there are.

    Raises:
        FileNotFoundError: If there is no picture.
        ValueError: If the first picture is damaged or has another size than the labels say.
    """
    folder = frame_root / sample['name']
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: no such folder of pictures')
    names = {entry.name for entry in os.scandir(folder)}
    count = 0
    while PICTURE.format(count + 1) in names:
        count += 1
    first = folder / PICTURE.format(1)
    if not count:
        raise FileNotFoundError(f'{first}: no such picture')
    try:
        with Image.open(first) as picture:  # reads its header alone
            width, height = picture.size
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f'{first}: no picture that can be read ({error})') from error
    if (height, width) != sample['img_shape']:
        raise ValueError(
            f'{first}: has height and width {(height, width)}, but its joints are for pictures of '
            f'{sample["img_shape"]}'
        )
    frames = min(count, sample['total_frames'])
    sample.update(
        total_frames=frames,
        keypoint=sample['keypoint'][:, :frames],
        keypoint_score=sample['keypoint_score'][:, :frames],
        frame_dir=str(folder),
        filename_tmpl=PICTURE,
        offset=1,
    )
    return count
