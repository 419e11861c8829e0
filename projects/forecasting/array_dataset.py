"""Pose forecasting on a user's own arrays, of any skeleton."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from mmengine.registry import DATASETS

from projects.forecasting.motion_dataset import MotionForecastDataset
from projects.forecasting.motion_files import ENDINGS, load_positions

UNITS = {'mm': 1.0, 'm': 1000.0}
"""Millimetres in each unit that files may be in."""

_UPWARD = {
    sign + axis: [float(f'{sign}1') * (axis == other) for other in 'xyz']
    for axis in 'xyz'
    for sign in ('', '-')
}


@DATASETS.register_module()
class ArrayForecastDataset(MotionForecastDataset):
    """Arrays of joint positions, of any skeleton.

    ``data_root`` holds ``<split>/<action>/<name>.npy``: (T, J, 3) of one person or (T, P, J, 3) of
    P people, or ``.npz`` files with such an array under ``key``. An action is the folder that a
    file lies in. Each person is a sequence of its own. Where a joint is missing (NaN), the windows
    that hold the frame are left out, which is logged once.

    Files hold frames at the rate that the model is to work at, or ``frame_step`` times as many.
    That rate itself is stated where it is needed: to the metric and the drawing hook.

    Joints are given by name or by index.

    Args:
        data_root: Folder of the data set.
        split: Folder of the part to read; with ``file_list`` a name and nothing else.
        joint_names: Names of the J joints, in the arrays' order.
        parents: Each joint's parent, -1 for a root; either these or ``limbs``.
        limbs: The bones that drawings show, as pairs of joints.
        left_joints: Joints on the body's left side, which drawings show lighter.
        unit: Of the files, ``'mm'`` or ``'m'``; samples are in millimetres.
        center: Joint that every frame is centred on, so that the person stays in place. As in the
            published data sets this joint, which no longer moves, is drawn but not forecast:
            samples have J - 1 joints.
        up: Upward direction of the coordinates, ``'y'``, ``'z'``, ``'-y'``, ...: for drawings.
        file_list: Text file of the split's files, a path relative to ``data_root`` a line, instead
            of the folder; relative to ``data_root`` too.
        key: Name of the array in ``.npz`` files.
        kwargs: Further options of :class:`MotionForecastDataset`: ``num_frames``, ``stride``,
            ``actions``, ``frame_step``, ...

    Raises:
        FileNotFoundError: If a folder, the list or all of the files are missing.
        ValueError: If an option is out of range, a file malformed or of another number of joints,
            or no window remains.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        joint_names: Sequence[str],
        parents: Sequence[str | int] | None = None,
        limbs: Sequence[tuple[str | int, str | int]] | None = None,
        left_joints: Sequence[str | int] = (),
        unit: str = 'mm',
        center: str | int | None = None,
        up: str = 'y',
        file_list: str | None = None,
        key: str = 'positions',
        **kwargs: Any,
    ) -> None:
        for name, value, known in (('unit', unit, UNITS), ('up', up, _UPWARD)):
            if value not in known:
                raise ValueError(f'{name} is {value!r}, expected one of {list(known)}')
        self.joint_names = tuple(joint_names)
        if len(set(self.joint_names)) < len(self.joint_names) or not self.joint_names:
            raise ValueError(
                f'joint_names are {list(joint_names)}, expected one or more, all different'
            )
        self.unit = unit
        self.up = up
        self.center = None if center is None else self._joint('center', center)
        self.file_list = file_list
        self.key = key
        bones = self._bones(parents, limbs)
        left = [self._joint('left_joints', joint) for joint in left_joints]
        super().__init__(data_root, split, metainfo=self._describe(bones, left), **kwargs)

    def _joint(self, option: str, joint: str | int) -> int:
        """Index of a joint given by name or index."""
        if joint in self.joint_names:
            return self.joint_names.index(joint)
        sound = isinstance(joint, int) and not isinstance(joint, bool)
        if not sound or not 0 <= joint < len(self.joint_names):
            raise ValueError(
                f'{option}: {joint!r} is no joint, expected one of joint_names '
                f'{list(self.joint_names)} or an index below {len(self.joint_names)}'
            )
        return joint

    def _bones(
        self,
        parents: Sequence[str | int] | None,
        limbs: Sequence[tuple[str | int, str | int]] | None,
    ) -> list[tuple[int, int]]:
        """Bones as pairs of indices into ``joint_names``."""
        if (parents is None) == (limbs is None):
            raise ValueError('give either parents or limbs: the bones that drawings show')
        if parents is not None:
            if len(parents) != len(self.joint_names):
                raise ValueError(
                    f'parents has {len(parents)} entries, expected one for each of the '
                    f'{len(self.joint_names)} joint_names'
                )
            limbs = [(parent, joint) for joint, parent in enumerate(parents) if parent != -1]
            name = 'parents'
        else:
            name = 'limbs'
            for limb in limbs:
                if isinstance(limb, str) or not isinstance(limb, Sequence) or len(limb) != 2:
                    raise ValueError(f'limbs: {limb!r} is no pair of joints')
        return [(self._joint(name, one), self._joint(name, other)) for one, other in limbs]

    def _describe(self, bones: list[tuple[int, int]], left: list[int]) -> dict[str, list]:
        """The meta information, see :class:`MotionForecastDataset`."""
        kept = [joint for joint in range(len(self.joint_names)) if joint != self.center]
        static = [] if self.center is None else [self.center]
        index = {joint: number for number, joint in enumerate([*kept, *static])}
        return dict(
            joint_names=[self.joint_names[joint] for joint in kept],
            left_joints=[index[joint] for joint in left if joint in kept],
            all_joint_weights=[1 / len(self.joint_names)] * len(kept),
            static_positions=[[0.0, 0.0, 0.0] for _ in static],
            limbs=[(index[one], index[other]) for one, other in bones],
            up=_UPWARD[self.up],
        )

    def motion_files(self) -> list[tuple[str, Path]]:
        """The files of the split's folder or list, by name, with the folders they lie in."""
        root = Path(self.data_root)
        if self.file_list is None:
            folder = root / self.split
            if not folder.is_dir():
                raise FileNotFoundError(
                    f'{folder}: no such folder, expected {self.split}/<action>/<name>.npy in '
                    f'{self.data_root}, or a file_list'
                )
            # by name, not by what the file system says first; hidden files are others' half-written
            paths = sorted(p for p in folder.rglob('[!.]*') if p.suffix in ENDINGS)
        else:
            paths = self._listed(root)
        files = [(path.parent.name, path) for path in paths]
        if self.actions is None:
            return files
        found = sorted({action for action, _ in files})
        unknown = sorted(set(self.actions) - set(found))
        if unknown:
            raise ValueError(f'{root}: actions {unknown} are not among {found} of {self.split!r}')
        return [(action, path) for action, path in files if action in self.actions]

    def _listed(self, root: Path) -> list[Path]:
        """The files that ``file_list`` names; none may lie outside of the data set."""
        path = root / self.file_list
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such file_list')
        paths = []
        for row, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
            name = PurePosixPath(line.strip())
            if not name.name:
                continue
            if name.is_absolute() or '..' in name.parts or name.suffix not in ENDINGS:
                raise ValueError(
                    f'{path}:{row}: found {line.strip()!r}, expected the path of an .npy or .npz '
                    'file inside of data_root'
                )
            paths.append(root / name)
        return paths

    def read(self, path: Path) -> list[np.ndarray]:
        """The people of an array's file.

        Args:
            path: Ends in ``.npy`` or ``.npz``.
        """
        return self.from_array(load_positions(path, self.key), str(path))

    def from_array(self, positions: np.ndarray, source: str) -> list[np.ndarray]:
        """The people of an array as the files hold it: in ``unit``, at the files' frame rate.

        Args:
            positions: (T, P, J, 3).
            source: What messages call it.
        """
        if positions.shape[2] != len(self.joint_names):
            raise ValueError(
                f'{source}: has {positions.shape[2]} joints, expected the {len(self.joint_names)} '
                'of joint_names'
            )
        positions = positions[:: self.frame_step] * UNITS[self.unit]
        if self.center is not None:
            # before rounding to float32: far from the origin that costs digits
            positions = positions - positions[:, :, self.center, None]
            positions = np.delete(positions, self.center, axis=2)
        return list(positions.swapaxes(0, 1).astype(np.float32, order='C'))
