"""Data sets of PoseRAC: single salient poses to learn from, and sequences to count in."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import DATASETS, FUNCTIONS
from sklearn.model_selection import StratifiedKFold

from projects.keypoints import keypoint_layout
from projects.poserac.annotations import (
    canonical_action,
    distinct_actions,
    pose_file,
    read_action_list,
    read_repcount,
    read_salient_poses,
)
from projects.poserac.poses import check_dims, pose_file_size, read_poses

_PIPELINE = (dict(type='NormalizePoses'), dict(type='PackPoses'))


class _PoseDataset(BaseDataset):
    """What both data sets share: classes, and what drawings need to know of the joints."""

    def __init__(
        self,
        ann_file: str,
        data_root: str,
        classes: Sequence[str] | str | None,
        layout: str,
        dims: int,
        pipeline: Sequence[dict | Any],
        **kwargs: Any,
    ) -> None:
        check_dims(dims)
        self.classes = classes
        self.layout = keypoint_layout(layout)
        self.dims = dims
        super().__init__(ann_file=ann_file, data_root=data_root, pipeline=list(pipeline), **kwargs)

    def _describe(self, actions: Sequence[str]) -> tuple[str, ...]:
        """Fill the meta information; the classes are the file's actions if none were given."""
        classes = self.classes
        if classes is None:
            classes = distinct_actions(actions)
        elif isinstance(classes, str | Path):
            classes = read_action_list(Path(self.data_root or '', classes))
        classes = tuple(classes)
        if not classes:
            raise ValueError(f'{self.ann_file}: there are no classes')
        # not handed over as `metainfo`, which takes every text for the name of a file
        self._metainfo.update(
            classes=classes,
            layout=self.layout.name,
            joint_names=list(self.layout.joint_names),
            limbs=list(self.layout.limbs),
        )
        return classes

    def _labels(self, actions: Sequence[str], classes: tuple[str, ...]) -> np.ndarray:
        """(N,) int64 class of each action, -1 where it is none."""
        label_of = {}
        for name in set(actions):
            action = canonical_action(name, classes)
            label_of[name] = -1 if action is None else classes.index(action)
        return np.array([label_of[name] for name in actions], dtype=np.int64)

    def _log(self, text: str, level: int = logging.WARNING) -> None:
        print_log(f'{type(self).__name__}: {self.ann_file}: {text}', logger='current', level=level)


@DATASETS.register_module()
class SalientPoseDataset(_PoseDataset):
    """Single poses, each one of the two salient poses of its action.

    A sample is ``dict(poses=(J, D) float32, label, state)``, state 0 for salient pose I and 1 for
    II. The two ways to hold poses out do not share any between training and validation: ``split``
    alone takes whole videos, of which poses resemble each other; with ``fold`` poses are dealt
    out one by one, evenly by class and state, as benchmarks on single poses do.

    Args:
        ann_file: CSV file, see :func:`projects.poserac.annotations.read_salient_poses`.
        data_root: Folder of the data set.
        classes: The classes, or the path of ``all_action.csv``; the file's actions if None.
        layout: Name of the keypoint layout.
        dims: Coordinates of a joint, 2 or 3.
        salient_names: What a file with a header calls the salient poses I and II.
        split: ``'train'``, ``'val'``, or None for all poses.
        val_fraction: Share of each class's videos held out for ``'val'``, at least one where the
            class has two or more.
        split_seed: Which videos are held out.
        fold: Number of the fold that is ``'val'``, from 0; the others are ``'train'``. Takes the
            place of ``val_fraction``.
        num_folds: Number of folds.
        fold_seed: Which poses are in which fold: ``random_state`` of scikit-learn's
            ``StratifiedKFold`` with shuffling, over ``2 * label + state``.
        skip_unknown: Leave out poses of actions that are none of the classes instead of failing.
        pipeline: Transforms of a sample.
        kwargs: Further options of mmengine's ``BaseDataset``: ``test_mode``, ``indices`` ...

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If an option is out of range, the file malformed, an action none of the
            classes, or no pose remains.
    """

    def __init__(
        self,
        ann_file: str,
        data_root: str = '',
        classes: Sequence[str] | str | None = None,
        layout: str = 'blazepose',
        dims: int = 3,
        salient_names: Sequence[str] = ('up', 'down'),
        split: str | None = None,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        fold: int | None = None,
        num_folds: int = 5,
        fold_seed: int = 0,
        skip_unknown: bool = False,
        pipeline: Sequence[dict | Any] = _PIPELINE,
        **kwargs: Any,
    ) -> None:
        if split not in (None, 'train', 'val'):
            raise ValueError(f"split is {split!r}, expected 'train', 'val' or None")
        if not 0 < val_fraction < 1:
            raise ValueError(f'val_fraction is {val_fraction!r}, expected a number within 0 and 1')
        if not isinstance(num_folds, int) or num_folds < 2:
            raise ValueError(f'num_folds is {num_folds!r}, expected a whole number of 2 or more')
        if fold is not None:
            if split is None:
                raise ValueError(f"fold is {fold!r}, so split must be 'train' or 'val', not None")
            if not isinstance(fold, int) or not 0 <= fold < num_folds:
                raise ValueError(f'fold is {fold!r}, expected one of 0 to {num_folds - 1}')
        self.salient_names = tuple(salient_names)
        self.split = split
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.fold = fold
        self.num_folds = num_folds
        self.fold_seed = fold_seed
        self.skip_unknown = skip_unknown
        super().__init__(
            *(ann_file, data_root, classes, layout, dims, pipeline),
            serialize_data=False,  # the poses are one array already, which workers share
            **kwargs,
        )

    def load_data_list(self) -> np.ndarray:
        """Read the file and take the poses of the split.

        Returns:
            (N,) records of ``row``, an index into ``poses``, ``label`` and ``state``.
        """
        found = read_salient_poses(self.ann_file, self.layout, self.dims, self.salient_names)
        self.poses = found.poses
        classes = self._describe(found.actions)
        labels = self._labels(found.actions, classes)
        unknown = np.flatnonzero(labels < 0)
        if len(unknown) and not self.skip_unknown:
            first = unknown[0]
            raise ValueError(
                f'{self.ann_file}:{found.lines[first]}: action {found.actions[first]!r} is none of '
                f'the classes {list(classes)}; skip_unknown=True leaves out such poses'
            )
        if len(unknown):
            counts = Counter(found.actions[row] for row in unknown)
            self._log(f'left out {len(unknown)} poses of actions that are no class: {dict(counts)}')
        rows = np.flatnonzero(labels >= 0)
        records = np.empty(len(rows), [('row', np.int64), ('label', np.int64), ('state', np.int64)])
        records['row'], records['label'], records['state'] = rows, labels[rows], found.states[rows]
        if self.split is not None and len(rows):
            groups = np.array(found.groups)[rows]
            held_out = self._held_out(records, groups, classes)
            records = records[held_out == (self.split == 'val')]
        if not len(records):
            raise ValueError(
                f'{self.ann_file}: no pose of the classes {list(classes)} is left'
                + (f' for split {self.split!r}' if self.split else '')
            )
        return records

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The sample ``idx`` before its pipeline."""
        record = self.data_list[idx]
        return dict(
            poses=self.poses[record['row']].copy(),  # for transforms that work in place
            label=int(record['label']),
            state=int(record['state']),
            sample_idx=idx % len(self),
        )

    def _held_out(
        self, records: np.ndarray, groups: np.ndarray, classes: tuple[str, ...]
    ) -> np.ndarray:
        """(N,) bool, True = for validation."""
        if self.fold is None:
            return self._held_out_groups(records['label'], groups, classes)
        folds = StratifiedKFold(self.num_folds, shuffle=True, random_state=self.fold_seed)
        try:
            parts = list(folds.split(records, 2 * records['label'] + records['state']))
        except ValueError as error:
            raise ValueError(
                f'{self.ann_file}: {len(records)} poses make no {self.num_folds} folds ({error})'
            ) from error
        held_out = np.zeros(len(records), dtype=bool)
        held_out[parts[self.fold][1]] = True
        return held_out

    def _held_out_groups(
        self, labels: np.ndarray, groups: np.ndarray, classes: tuple[str, ...]
    ) -> np.ndarray:
        """Whole groups of every class, drawn from one generator, class after class."""
        names, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
        class_of = labels[first]  # of a video of several classes its first
        generator = np.random.default_rng(self.split_seed)
        chosen = np.zeros(len(names), dtype=bool)
        without = []
        for label, name in enumerate(classes):
            own = generator.permutation(np.flatnonzero(class_of == label))
            number = max(1, round(self.val_fraction * len(own)))
            if len(own) < 2:
                without.append(name)
                number = 0
            chosen[own[: min(number, len(own) - 1)]] = True
        if without:
            self._log(f'classes with less than two videos, so that none is held out: {without}')
        return chosen[group_of.reshape(-1)]


@DATASETS.register_module()
class RepCountDataset(_PoseDataset):
    """One person's poses in one video, and how often the person repeats the action.

    A sample is ``dict(poses=(T, J, D) float32, NaN where the pose is missing; meta)``. ``meta``
    has ``name`` of the video, ``person``, ``action`` (the class, or the file's name of an action
    that is none), ``label`` (-1 if it is none), ``count``, ``repetitions`` (R, 2) frames,
    ``frame_rate`` if given, and ``error``, a text, in place of poses that cannot be read.
    Repetitions that end before they start are left out and logged, while the count stays.

    In ``data_root`` lie ``annotation/test.csv`` and, for a video ``a.mp4``, ``test_poses/a.npy``,
    see :func:`projects.poserac.poses.read_poses`.

    Args:
        ann_file: CSV file, see :func:`projects.poserac.annotations.read_repcount`.
        data_root: Folder of the data set.
        pose_dir: Folder of the pose arrays in it.
        classes: The classes, or the path of ``all_action.csv``; the file's actions if None.
        layout: Name of the keypoint layout.
        dims: Coordinates of a joint, 2 or 3.
        unknown_actions: What becomes of videos of an action that is none of the classes:
            ``'keep'`` or ``'drop'``.
        frame_rate: Frames a second, where it is known.
        skip_unreadable: Give a sample with poses that cannot be read one missing frame and an
            ``error``, and leave out repetitions beyond a video's frames, so that a test is not
            lost. All of them are found and logged once, at the start. False: an error when the
            sample is loaded. By default what ``test_mode`` says.
        test_mode: As in mmengine's ``BaseDataset``.
        pipeline: Transforms of a sample.
        kwargs: Further options of mmengine's ``BaseDataset``: ``indices`` ...

    Raises:
        FileNotFoundError: If the annotation, or the poses of all videos are missing.
        ValueError: If an option is out of range, the annotation malformed, a video's name leads
            out of ``pose_dir``, or no video remains.
    """

    def __init__(
        self,
        ann_file: str,
        data_root: str = '',
        pose_dir: str = 'test_poses',
        classes: Sequence[str] | str | None = None,
        layout: str = 'blazepose',
        dims: int = 3,
        unknown_actions: str = 'keep',
        frame_rate: float | None = None,
        skip_unreadable: bool | None = None,
        test_mode: bool = False,
        pipeline: Sequence[dict | Any] = _PIPELINE,
        **kwargs: Any,
    ) -> None:
        if unknown_actions not in ('keep', 'drop'):
            raise ValueError(f"unknown_actions is {unknown_actions!r}, expected 'keep' or 'drop'")
        if frame_rate is not None and not frame_rate > 0:
            raise ValueError(f'frame_rate is {frame_rate!r}, expected a number above 0')
        self.pose_dir = Path(data_root or '', pose_dir)
        self.unknown_actions = unknown_actions
        self.frame_rate = frame_rate
        self.skip_unreadable = test_mode if skip_unreadable is None else skip_unreadable
        super().__init__(
            *(ann_file, data_root, classes, layout, dims, pipeline), test_mode=test_mode, **kwargs
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotation and, to skip what is unreadable, look at the files of poses.

        Returns:
            A dict a sample: ``pose_path``, ``meta``.
        """
        videos = read_repcount(self.ann_file)
        classes = self._describe([video.action for video in videos])
        labels = self._labels([video.action for video in videos], classes)
        samples, unknown, backward = [], Counter(), []
        for video, label in zip(videos, labels.tolist(), strict=True):
            if label < 0:
                unknown[video.action] += 1
                if self.unknown_actions == 'drop':
                    continue
            try:
                path = pose_file(self.pose_dir, video.name)
            except ValueError as error:
                raise ValueError(f'{self.ann_file}:{video.line}: {error}') from None
            forward = video.repetitions[:, 0] <= video.repetitions[:, 1]  # (R,)
            if not forward.all():
                backward.append(video.name)
            meta = dict(
                name=video.name,
                person=video.person,
                action=classes[label] if label >= 0 else video.action,
                label=label,
                count=video.count,
                repetitions=video.repetitions[forward],
            )
            if self.frame_rate is not None:
                meta['frame_rate'] = float(self.frame_rate)
            samples.append(dict(pose_path=str(path), meta=meta))
        if unknown:
            fate = 'kept as' if self.unknown_actions == 'keep' else 'left out, being'
            number = sum(unknown.values())
            self._log(f'{number} videos {fate} of no class: {dict(unknown)}', logging.INFO)
        if not samples:
            raise ValueError(f'{self.ann_file}: no video of the classes {list(classes)} is left')
        if backward:
            self._log(
                f'{len(backward)} of {len(samples)} samples have repetitions that end before they '
                f'start, which are left out, while the count stays: {_few(backward)}'
            )
        if self.skip_unreadable:
            self._look_at(samples)
        return samples

    def prepare_data(self, idx: int) -> Any:
        """Load the poses of sample ``idx`` and run the pipeline.

        Args:
            idx: Index of the sample.

        Raises:
            FileNotFoundError: If the poses are missing and not to be skipped.
            ValueError: If they are unreadable and not to be skipped, or lack the annotation's
                person or frames.
        """
        info = self.get_data_info(idx)
        meta = info['meta']
        try:
            if 'error' in meta:
                raise ValueError(meta['error'])
            poses = read_poses(info['pose_path'], self.layout, self.dims)  # (T, P, J, D)
            self._check_person(info, poses.shape[1])
            self._check_repetitions(info, len(poses))
            info['poses'] = poses[:, meta['person']]  # (T, J, D)
        except (FileNotFoundError, ValueError) as error:
            if not self.skip_unreadable:
                raise
            meta['error'] = str(error)
            info['poses'] = np.full((1, self.layout.num_joints, self.dims), np.nan, np.float32)
        return self.pipeline(info)

    def _look_at(self, samples: list[dict[str, Any]]) -> None:
        """Note in the samples what is wrong with them, and log it once."""
        beyond = []
        for sample in samples:
            meta = sample['meta']
            try:
                frames, people = pose_file_size(sample['pose_path'], self.layout, self.dims)
                self._check_person(sample, people)
            except (FileNotFoundError, ValueError) as error:
                meta['error'] = str(error)
                continue
            inside = meta['repetitions'].max(axis=1, initial=-1) < frames
            if not inside.all():
                beyond.append(meta['name'])
                meta['repetitions'] = meta['repetitions'][inside]
        errors = [sample['meta']['error'] for sample in samples if 'error' in sample['meta']]
        if len(errors) == len(samples):
            raise FileNotFoundError(
                f'{self.ann_file}: the poses of none of the {len(samples)} samples can be read; '
                f'the first: {errors[0]}'
            )
        if errors:
            self._log(
                f'the poses of {len(errors)} of {len(samples)} samples cannot be read, they count '
                f'as a video without a pose: {_few(errors)}'
            )
        if beyond:
            self._log(
                f'{len(beyond)} of {len(samples)} samples have repetitions beyond their frames, '
                f'which are left out, while the count stays: {_few(beyond)}'
            )

    def _check_person(self, info: dict[str, Any], people: int) -> None:
        person = info['meta']['person']
        if person >= people:
            raise ValueError(
                f'{info["pose_path"]}: holds {people} people, but the annotation has person '
                f'{person} (from 0) of {info["meta"]["name"]!r}'
            )

    def _check_repetitions(self, info: dict[str, Any], frames: int) -> None:
        last = info['meta']['repetitions'].max(initial=-1)
        if last >= frames:
            raise ValueError(
                f'{info["pose_path"]}: holds {frames} frames, but the annotation has a repetition '
                f'with frame {last} (from 0) of {info["meta"]["name"]!r}'
            )


@FUNCTIONS.register_module()
def poserac_collate(samples: Sequence[dict[str, Any]]) -> dict[str, list]:
    """A batch of sequences of different lengths: every field as a list with an item a sample.

    mmengine's ``pseudo_collate`` does the same but to ``meta``, whose fields it takes apart.

    Args:
        samples: Samples of :class:`RepCountDataset`.
    """
    batch = pseudo_collate([{**sample, 'meta': None} for sample in samples])
    return {**batch, 'meta': [sample['meta'] for sample in samples]}


def _few(texts: Sequence[str], number: int = 5) -> str:
    more = f'; and {len(texts) - number} more' if len(texts) > number else ''
    return '; '.join(texts[:number]) + more
