"""What all motion data sets for pose forecasting share: windows out of sequences."""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from projects.skeleton import flip_indices

_NAMED_FILES = 5  # with missing joints, in a warning


class MotionSequence(NamedTuple):
    """One person of one motion file."""

    path: Path
    action: str
    positions: np.ndarray
    """(T, J, 3) float32 forecast joints at the model's frame rate, millimetres; NaN if missing."""
    person: int = 0


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
    start, flip_indices)``; J counts the joints to forecast. Subclasses name and read the files.

    The meta information is what metrics and drawings need to know of the joints:
    ``joint_names`` and ``left_joints`` of the forecast joints, ``all_joint_weights`` for the
    average over all of the skeleton's joints, ``static_positions`` of the joints that never move,
    ``limbs`` as index pairs into the forecast joints followed by the static ones, and ``up``, the
    upward direction of the coordinates.

    Args:
        data_root: Folder of the data set.
        split: Name of the part to read.
        num_frames: Observed frames of a window.
        num_frames_out: Forecast frames of a window.
        stride: Frames from one window's start to the next one's.
        actions: Actions to read; all of the data set if None.
        fraction: Share of the windows to use, evenly spread over the data.
        balance: From 0 to 1, how far actions of few windows are repeated to be seen as often as the
            one of most windows, by (most / windows) ** ``balance``: an epoch grows. CMU has 6,200
            windows of one action and 200 of another.
        speed_range: Least and greatest speed at which windows are played, drawn evenly for each
            sample, as augmentation in training; poses between frames are interpolated.
        frame_step: Take every n-th frame of the files; 2 turns 50 frames a second into 25.
        pipeline: Transforms of a sample.
        kwargs: Further options of mmengine's ``BaseDataset``: ``test_mode``, ``indices``, ...

    Raises:
        FileNotFoundError: If none of the files is there.
        ValueError: If an option is out of range, a file malformed, or no window remains.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        num_frames: int = 10,
        num_frames_out: int = 25,
        stride: int = 1,
        actions: Sequence[str] | None = None,
        fraction: float = 1.0,
        balance: float = 0.0,
        speed_range: tuple[float, float] = (1.0, 1.0),
        frame_step: int = 1,
        pipeline: Sequence[dict | Any] = (dict(type='PackForecastInputs'),),
        **kwargs: Any,
    ) -> None:
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
        if not 0 <= balance <= 1:
            raise ValueError(f'balance is {balance!r}, expected a number from 0 to 1')
        if len(speed_range) != 2 or not 0 < speed_range[0] <= speed_range[1]:
            raise ValueError(
                f'speed_range is {speed_range!r}, expected least and greatest speed, above 0'
            )
        self.split = split
        self.num_frames = num_frames
        self.num_frames_out = num_frames_out
        self.stride = stride
        self.actions = tuple(actions) if actions else None
        self.fraction = fraction
        self.balance = balance
        self.speed_range = tuple(speed_range)
        self.frame_step = frame_step
        self.sequences: list[MotionSequence] = []
        super().__init__(
            data_root=data_root,
            pipeline=list(pipeline),
            serialize_data=False,  # the windows are one array already, which workers share
            **kwargs,
        )

    @property
    def window(self) -> int:
        """Frames of a sample, observed and forecast."""
        return self.num_frames + self.num_frames_out

    @cached_property
    def flip_indices(self) -> np.ndarray:
        """(J,) for each joint the one that it becomes in a mirror, see :mod:`projects.skeleton`."""
        return np.array(flip_indices(self.metainfo['joint_names']))

    @abstractmethod
    def motion_files(self) -> list[tuple[str, Path]]:
        """Action and path of every file of the split, in a fixed order, present or not."""

    @abstractmethod
    def read(self, path: Path) -> list[np.ndarray]:
        """The people of a motion file.

        Args:
            path: Of the data set, or another one of its format.

        Returns:
            A person's (T, J, 3) forecast joints each, float32 millimetres, every
            ``frame_step``-th frame; NaN where a joint is missing.

        Raises:
            ValueError: If the file is malformed or of another skeleton.
        """

    @abstractmethod
    def from_array(self, positions: np.ndarray, source: str) -> list[np.ndarray]:
        """The people of an array; what :meth:`read` does with one that lies in a file.

        Args:
            positions: (T, P, joints, 3), see :func:`~.motion_files.check_positions`.
            source: What messages call it.

        Returns:
            As :meth:`read`.

        Raises:
            ValueError: If the array is of another skeleton.
        """

    def load_data_list(self) -> np.ndarray:
        """Read the files and list the windows.

        Returns:
            (N,) records of ``sequence``, an index into ``sequences``, and ``start``, a frame.
        """
        files = self.motion_files()
        missing = [path for _, path in files if not path.is_file()]
        for action, path in files:
            if path not in missing:
                self.sequences += [
                    MotionSequence(path, action, positions, person)
                    for person, positions in enumerate(self.read(path))
                ]
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
        windows = self.list_windows()
        if self.fraction < 1 and len(windows):
            count = max(1, round(self.fraction * len(windows)))
            windows = windows[np.linspace(0, len(windows) - 1, count).round().astype(int)]
        if not len(windows):
            longest = max(len(sequence.positions) for sequence in self.sequences)
            raise ValueError(
                f'{self.data_root}: no sequence of split {self.split!r} holds a window of '
                f'{self.window} frames; the longest has {longest}'
            )
        return self._balanced(windows) if self.balance else windows

    def _balanced(self, windows: np.ndarray) -> np.ndarray:
        """The windows, those of actions with few of them evenly repeated."""
        actions = np.array([sequence.action for sequence in self.sequences])[windows['sequence']]
        counts = Counter(actions.tolist())
        most, parts = max(counts.values()), []
        for action, count in counts.items():
            number = round(count * (most / count) ** self.balance)
            parts.append(windows[actions == action][np.arange(number) * count // number])
        return np.concatenate(parts)

    def list_windows(self) -> np.ndarray:
        """All windows, ``stride`` apart, in which no joint is missing.

        Returns:
            (N,) records, see :func:`windows_of`.
        """
        starts, incomplete, skipped = [], [], 0
        for sequence in self.sequences:
            positions = sequence.positions
            first = np.arange(0, max(len(positions) - self.window + 1, 0), self.stride)
            broken = np.isnan(positions).any(axis=(1, 2))  # (T,)
            before = np.concatenate([[0], np.cumsum(broken)])  # broken frames before each frame
            whole = before[first + self.window] == before[first]
            starts.append(first[whole])
            if broken.any():
                skipped += int((~whole).sum())
                incomplete.append(
                    f'{sequence.path} (person {sequence.person}, {broken.sum()} frames, the first '
                    f'is {int(broken.argmax())})'
                )
        if incomplete:
            others = len(incomplete) - _NAMED_FILES
            print_log(
                f'{type(self).__name__}: {skipped} windows of split {self.split!r} are left out, '
                f'for joints are missing (NaN): {"; ".join(incomplete[:_NAMED_FILES])}'
                + (f'; and {others} more' if others > 0 else ''),
                logger='current',
                level=logging.WARNING,
            )
        return windows_of(enumerate(starts))

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The sample ``idx`` before its pipeline."""
        info = self.data_list[idx]
        sequence = self.sequences[info['sequence']]
        start = int(info['start'])
        motion = sequence.positions[start : start + self.window]
        if self.speed_range != (1, 1):
            motion = self._at_random_speed(sequence.positions, start)
        return dict(
            motion=motion,
            num_frames=self.num_frames,
            action=sequence.action,
            path=str(sequence.path),
            start=start,
            flip_indices=self.flip_indices,
            sample_idx=idx,
        )

    def _at_random_speed(self, positions: np.ndarray, start: int) -> np.ndarray:
        """A window at another speed, from ``start`` or as late before it as the frames last."""
        low, high = self.speed_range
        steps, last = self.window - 1, len(positions) - 1
        # a window at its own speed always fits
        speed = np.random.uniform(low, max(low, min(high, last / steps)))  # noqa: NPY002
        speed = min(speed, last / steps)
        at = min(start, last - speed * steps) + speed * np.arange(self.window)
        before = np.minimum(at.astype(int), last - 1)
        share = (at - before).astype(positions.dtype)[:, None, None]
        motion = positions[before] * (1 - share) + positions[before + 1] * share
        # frames with missing joints are next to the window, if not in it
        whole = np.isfinite(motion).all()
        return motion if whole else positions[start : start + self.window]
