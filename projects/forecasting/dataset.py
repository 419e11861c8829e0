"""Motion capture data sets for pose forecasting: Human3.6M and CMU."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from projects.forecasting.motion_dataset import MotionForecastDataset, windows_of
from projects.forecasting.motion_files import ENDINGS, load_positions, read_motion
from projects.skeleton import CMU, HUMAN36M, Skeleton

# The literature's test windows are drawn with this seed, from positions that leave room for
# 50 observed frames, whatever number of them the model uses.
_PROTOCOL_SEED = 1234567890
_PROTOCOL_OBSERVED = 50


class PublishedMotionDataset(MotionForecastDataset):
    """A data set of the literature: its skeleton, its actions and splits, its fixed test windows.

    Files hold exponential maps as text; global rotation and translation are removed.

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'val'`` or ``'test'``.
        samples_per_action: Instead of all windows, draw this many an action by the literature's
            fixed rule (8: Martinez et al. 2017; 256: Mao et al. 2020), so that results compare.
        actions: Actions to read; all of the data set if None.
        frame_step: Take every n-th frame of the files; 2 turns 50 frames a second into 25.
        cache_dir: Where parsed files are kept, see ``projects.files.default_cache_dir``.
        kwargs: Further options of :class:`MotionForecastDataset`.

    Raises:
        FileNotFoundError: If none of the files is there.
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
        samples_per_action: int | None = None,
        actions: Sequence[str] | None = None,
        frame_step: int = 2,
        cache_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        if split not in self.splits:
            raise ValueError(f'split is {split!r}, expected one of {self.splits}')
        unknown = sorted(set(actions or ()) - set(self.all_actions))
        if unknown:
            raise ValueError(f'actions {unknown} are not among {sorted(self.all_actions)}')
        self.samples_per_action = samples_per_action
        self.cache_dir = Path(cache_dir) if cache_dir else None
        super().__init__(
            data_root,
            split,
            actions=actions or self.all_actions,
            frame_step=frame_step,
            metainfo=self.describe(),
            **kwargs,
        )

    @classmethod
    def describe(cls) -> dict[str, list]:
        """The meta information, see :class:`MotionForecastDataset`."""
        skeleton = cls.skeleton
        return dict(
            joint_names=[skeleton.joint_names[joint] for joint in skeleton.forecast_joints],
            left_joints=skeleton.left_joints(),
            all_joint_weights=skeleton.all_joint_weights().tolist(),
            static_positions=skeleton.static_positions().tolist(),
            limbs=skeleton.limbs(),
            up=[0, 1, 0],
        )

    def read(self, path: Path) -> list[np.ndarray]:
        """The one person of a text file, or the people of an array's file.

        Args:
            path: A text file of exponential maps, or ``.npy`` or ``.npz``, see :meth:`from_array`.
        """
        if Path(path).suffix in ENDINGS:
            return self.from_array(load_positions(path), str(path))
        positions = read_motion(path, self.skeleton, self.cache_dir)
        joints = list(self.skeleton.forecast_joints)
        return [np.ascontiguousarray(positions[:: self.frame_step, joints])]

    def from_array(self, positions: np.ndarray, source: str) -> list[np.ndarray]:
        """The people of an array that is at the model's frame rate already.

        Args:
            positions: (T, P, J, 3) millimetres, of the forecast joints or of all joints of the
                skeleton, global rotation and translation removed.
            source: What messages call it.
        """
        joints = self.skeleton.forecast_joints
        if positions.shape[2] == self.skeleton.num_joints:
            positions = positions[:, :, list(joints)]
        if positions.shape[2] != len(joints):
            raise ValueError(
                f'{source}: has {positions.shape[2]} joints, expected {len(joints)} or '
                f'{self.skeleton.num_joints} of skeleton {self.skeleton.name!r}'
            )
        return list(positions.swapaxes(0, 1).astype(np.float32, order='C'))

    def list_windows(self) -> np.ndarray:
        """All windows, or the fixed ones; see :class:`PublishedMotionDataset`."""
        if self.samples_per_action is None:
            return super().list_windows()
        room = dict(num_frames=_PROTOCOL_OBSERVED, num_frames_out=self.protocol_frames_out)
        for name, most in room.items():
            if getattr(self, name) > most:
                raise ValueError(
                    f'{name} is {getattr(self, name)}: the fixed test windows of '
                    f'samples_per_action leave room for at most {most}'
                )
        return self._protocol_windows(self.samples_per_action)

    @abstractmethod
    def _protocol_windows(self, samples: int) -> np.ndarray:
        """The literature's fixed windows; where they lie differs between the data sets."""


@DATASETS.register_module()
class Human36MForecastDataset(PublishedMotionDataset):
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
class CMUForecastDataset(PublishedMotionDataset):
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
