"""Motion capture data sets for pose forecasting: Human3.6M and CMU."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from projects.forecasting.motion_files import read_motion
from projects.skeleton import CMU, HUMAN36M, Skeleton

# The literature's test windows are drawn with this seed, from positions that leave room for
# 50 observed frames, whatever number of them the model uses.
_PROTOCOL_SEED = 1234567890
_PROTOCOL_OBSERVED = 50


class MotionSequence(NamedTuple):
    """One motion file."""

    path: Path
    action: str
    positions: np.ndarray
    """(T, J, 3) float32 forecast joints at the data set's frame rate, millimetres."""


def list_missing(paths: Sequence[Path]) -> str:
    """Missing files by folder; a folder that is missing itself stands for all of its files."""
    folders: dict[Path, list[str]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path.name)
    return '; '.join(
        f'{folder}: {", ".join(names)}' if folder.is_dir() else f'{folder} (no such folder)'
        for folder, names in folders.items()
    )


def windows_of(starts: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
    """Windows as one array of records.

    Args:
        starts: Pairs of a sequence's index and its windows' first frames.

    Returns:
        (N,) records of ``sequence`` and ``start``, sequence by sequence.
    """
    kind = np.dtype([('sequence', np.int32), ('start', np.int32)])
    parts = [np.empty(0, kind)]
    for sequence, frames in starts:
        part = np.empty(len(frames), kind)
        part['sequence'], part['start'] = sequence, frames
        parts.append(part)
    return np.concatenate(parts)


class MotionForecastDataset(BaseDataset, ABC):
    """Windows of observed and forecast frames out of motion files.

    A sample is ``dict(motion=(num_frames + num_frames_out, J, 3) float32 mm, action, path,
    start)``; J counts the skeleton's forecast joints. Subclasses name the files.

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'val'`` or ``'test'``.
        num_frames: Observed frames of a window.
        num_frames_out: Forecast frames of a window.
        stride: Frames from one window's start to the next one's.
        samples_per_action: Instead of all windows, draw this many an action by the literature's
            fixed rule (8: Martinez et al. 2017; 256: Mao et al. 2020), so that results compare.
        actions: Actions to read; all of the data set if None.
        fraction: Share of the windows to use, evenly spread over the data.
        frame_step: Take every n-th frame of the files; 2 turns 50 frames a second into 25.
        cache_dir: Where parsed files are kept, see ``projects.files.default_cache_dir``.
        pipeline: Transforms of a sample.
        kwargs: Further options of mmengine's ``BaseDataset``: ``test_mode``, ``indices``, ...

    Raises:
        ValueError: If an option is out of range, a file malformed, or no window remains.
    """

    skeleton: Skeleton
    all_actions: tuple[str, ...]
    splits: tuple[str, ...] = ('train', 'val', 'test')
    protocol_frames_out: int  # frames that every fixed test window has left to forecast

    def __init__(
        self,
        data_root: str,
        split: str,
        num_frames: int = 10,
        num_frames_out: int = 25,
        stride: int = 1,
        samples_per_action: int | None = None,
        actions: Sequence[str] | None = None,
        fraction: float = 1.0,
        frame_step: int = 2,
        cache_dir: str | None = None,
        pipeline: Sequence[dict | Any] = (dict(type='PackForecastInputs'),),
        **kwargs: Any,
    ) -> None:
        if split not in self.splits:
            raise ValueError(f'split is {split!r}, expected one of {self.splits}')
        for name, value in dict(
            num_frames=num_frames,
            num_frames_out=num_frames_out,
            stride=stride,
            frame_step=frame_step,
        ).items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'{name} is {value!r}, expected a whole number of 1 or more')
        if not 0 < fraction <= 1:
            raise ValueError(f'fraction is {fraction!r}, expected a number above 0 and at most 1')
        if samples_per_action is not None:
            room = dict(num_frames=_PROTOCOL_OBSERVED, num_frames_out=self.protocol_frames_out)
            for name, value in dict(num_frames=num_frames, num_frames_out=num_frames_out).items():
                if value > room[name]:
                    raise ValueError(
                        f'{name} is {value}: the fixed test windows of samples_per_action leave '
                        f'room for at most {room[name]}'
                    )
        unknown = sorted(set(actions or ()) - set(self.all_actions))
        if unknown:
            raise ValueError(f'actions {unknown} are not among {sorted(self.all_actions)}')
        self.split = split
        self.num_frames = num_frames
        self.num_frames_out = num_frames_out
        self.stride = stride
        self.samples_per_action = samples_per_action
        self.actions = tuple(actions) if actions else self.all_actions
        self.fraction = fraction
        self.frame_step = frame_step
        self.cache_dir = Path(cache_dir) if cache_dir else None
        self.sequences: list[MotionSequence] = []
        super().__init__(
            data_root=data_root,
            metainfo=self.describe(),
            pipeline=list(pipeline),
            serialize_data=False,  # the windows are one array already, which workers share
            **kwargs,
        )

    @classmethod
    def describe(cls) -> dict[str, list]:
        """What metrics and drawings need to know of the joints, as the data set's meta information.

        ``joint_names`` and ``left_joints`` of the forecast joints, ``all_joint_weights`` for the
        average over all of the skeleton's joints, ``static_positions`` of the joints that never
        move, and ``limbs`` as index pairs into the forecast joints followed by the static ones.
        """
        skeleton = cls.skeleton
        return dict(
            joint_names=[skeleton.joint_names[joint] for joint in skeleton.forecast_joints],
            left_joints=skeleton.left_joints(),
            all_joint_weights=skeleton.all_joint_weights().tolist(),
            static_positions=skeleton.static_positions().tolist(),
            limbs=skeleton.limbs(),
        )

    @property
    def window(self) -> int:
        """Frames of a sample, observed and forecast."""
        return self.num_frames + self.num_frames_out

    @abstractmethod
    def motion_files(self) -> list[tuple[str, Path]]:
        """Action and path of every file of the split, in a fixed order, present or not."""

    def load_data_list(self) -> np.ndarray:
        """Read the files and list the windows.

        Returns:
            (N,) records of ``sequence``, an index into ``sequences``, and ``start``, a frame.
        """
        files = self.motion_files()
        missing = [path for _, path in files if not path.is_file()]
        joints = list(self.skeleton.forecast_joints)
        for action, path in files:
            if path not in missing:
                positions = read_motion(path, self.skeleton, self.cache_dir)
                positions = np.ascontiguousarray(positions[:: self.frame_step, joints])
                self.sequences.append(MotionSequence(path, action, positions))
        if not self.sequences:
            raise FileNotFoundError(
                f'{self.data_root}: none of the {len(files)} files of split {self.split!r} is '
                f"there, such as {files[0][1] if files else '<no files>'}; the method's README "
                'shows the layout, tools/datasets/make_synthetic.py writes data to try it on'
            )
        if missing:
            print_log(
                f'{type(self).__name__}: {len(missing)} of {len(files)} files of split '
                f'{self.split!r} are missing and left out: {list_missing(missing)}',
                logger='current',
                level=logging.WARNING,
            )
        if self.samples_per_action is None:
            windows = self._all_windows()
        else:
            windows = self._protocol_windows(self.samples_per_action)
        if self.fraction < 1 and len(windows):
            count = max(1, round(self.fraction * len(windows)))
            windows = windows[np.linspace(0, len(windows) - 1, count).round().astype(int)]
        if not len(windows):
            longest = max(len(sequence.positions) for sequence in self.sequences)
            raise ValueError(
                f'{self.data_root}: no sequence of split {self.split!r} holds a window of '
                f'{self.window} frames; the longest has {longest}'
            )
        return windows

    def _all_windows(self) -> np.ndarray:
        ends = [len(sequence.positions) - self.window + 1 for sequence in self.sequences]
        return windows_of((i, np.arange(0, max(end, 0), self.stride)) for i, end in enumerate(ends))

    @abstractmethod
    def _protocol_windows(self, samples: int) -> np.ndarray:
        """The literature's fixed windows; where they lie differs between the data sets."""

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The sample ``idx`` before its pipeline."""
        info = self.data_list[idx]
        sequence = self.sequences[info['sequence']]
        start = int(info['start'])
        return dict(
            motion=sequence.positions[start : start + self.window],
            num_frames=self.num_frames,
            action=sequence.action,
            path=str(sequence.path),
            start=start,
            sample_idx=idx,
        )


@DATASETS.register_module()
class Human36MForecastDataset(MotionForecastDataset):
    """Human3.6M in the classic exponential-map text layout.

    ``data_root`` holds ``S1/walking_1.txt`` and so on: 99 comma-separated columns, 50 frames a
    second. Training subjects are S1, S6, S7, S8 and S9, validation S11, test S5.
    """

    skeleton = HUMAN36M
    all_actions = (
        *('walking', 'eating', 'smoking', 'discussion', 'directions', 'greeting', 'phoning'),
        *('posing', 'purchases', 'sitting', 'sittingdown', 'takingphoto', 'waiting'),
        *('walkingdog', 'walkingtogether'),
    )
    protocol_frames_out = 100
    subjects = dict(train=(1, 6, 7, 8, 9), val=(11,), test=(5,))

    def motion_files(self) -> list[tuple[str, Path]]:
        """Both trials of every action of the split's subjects."""
        return [
            (action, Path(self.data_root, f'S{subject}', f'{action}_{trial}.txt'))
            for subject in self.subjects[self.split]
            for action in self.actions
            for trial in (1, 2)
        ]

    def _protocol_windows(self, samples: int) -> np.ndarray:
        """Half of the windows from each trial, drawn in turn from one generator an action.

        The last 150 frames and the first 16 take no draw (Martinez et al. 2017).
        """
        if samples < 2 or samples % 2:
            raise ValueError(
                f'samples_per_action is {samples}, expected an even number: one half a trial'
            )
        trials: dict[tuple[Path, str], list[int]] = {}
        for index, sequence in enumerate(self.sequences):
            trials.setdefault((sequence.path.parent, sequence.action), []).append(index)
        windows = []
        for (folder, action), pair in trials.items():
            if len(pair) != 2:
                print_log(
                    f'{folder}: action {action!r} has {len(pair)} of 2 trials; the fixed test '
                    'windows need both, so the action is left out',
                    logger='current',
                    level=logging.WARNING,
                )
                continue
            limits = [len(self.sequences[index].positions) - 150 for index in pair]
            for index, limit in zip(pair, limits, strict=True):
                if limit <= 16:
                    raise ValueError(
                        f'{self.sequences[index].path}: has {limit + 150} frames at the rate '
                        'used; the fixed test windows need at least 167'
                    )
            generator = np.random.RandomState(_PROTOCOL_SEED)
            # one draw for trial 1, one for trial 2, and so on
            draws = generator.randint([16, 16], limits, size=(samples // 2, 2))
            starts = draws + _PROTOCOL_OBSERVED - self.num_frames
            windows += [(pair[trial], starts[:, trial]) for trial in (0, 1)]
        return windows_of(windows)


@DATASETS.register_module()
class CMUForecastDataset(MotionForecastDataset):
    """CMU motion capture as used in pose forecasting.

    ``data_root`` holds ``train/walking/walking_1.txt`` and so on: 117 comma-separated columns, of
    which every second line is taken. The published data has no validation part: here the
    highest-numbered training file of every action is ``'val'``, the others are ``'train'``, and
    ``'trainval'`` is both, as the papers train.
    """

    skeleton = CMU
    all_actions = (
        *('basketball', 'basketball_signal', 'directing_traffic', 'jumping', 'running'),
        *('soccer', 'walking', 'washwindow'),
    )
    splits = ('train', 'val', 'trainval', 'test')
    protocol_frames_out = 25

    def motion_files(self) -> list[tuple[str, Path]]:
        """The files found; an action without any is named once and left out."""
        folder = Path(self.data_root, 'test' if self.split == 'test' else 'train')
        files = []
        for action in self.actions:
            numbers = sorted(
                int(path.stem[len(action) + 1 :])
                for path in Path(folder, action).glob(f'{action}_*.txt')
                if path.stem[len(action) + 1 :].isdigit()
            )
            if not numbers:  # as a file that is missing, so that it is named in the warning
                files.append((action, Path(folder, action, f'{action}_1.txt')))
            elif self.split == 'train':
                numbers = numbers[:-1]
            elif self.split == 'val':
                numbers = numbers[-1:]
            files += [(action, Path(folder, action, f'{action}_{n}.txt')) for n in numbers]
        return files

    def _protocol_windows(self, samples: int) -> np.ndarray:
        """The windows of every file, from a generator that starts anew for each."""
        windows = []
        for index, sequence in enumerate(self.sequences):
            limit = len(sequence.positions) - _PROTOCOL_OBSERVED - self.protocol_frames_out
            if limit <= 0:
                raise ValueError(
                    f'{sequence.path}: has {len(sequence.positions)} frames at the rate used; the '
                    'fixed test windows need at least 76'
                )
            draws = np.random.RandomState(_PROTOCOL_SEED).randint(0, limit, size=samples)
            starts = draws + _PROTOCOL_OBSERVED - self.num_frames
            windows.append((index, starts))
        return windows_of(windows)
