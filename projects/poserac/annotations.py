"""The CSV files of RepCount and RepCount-pose: action lists, salient poses, repetitions."""

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import numpy as np

from projects.keypoints import KeypointLayout
from projects.poserac.poses import check_dims, missing_poses

# What RepCount's files call the same action, in the normal form of `_normal_form`.
_ALIASES = {'squant': 'squat', 'jumpjack': 'jumpingjack', 'benchpress': 'benchpressing'}
_VIDEO_SUFFIXES = '.mp4 .avi .mov .mkv .webm .m4v .mpg .mpeg .wmv .flv'.split()
_SALIENT_FOLDERS = ('salient1', 'salient2')


@dataclass(eq=False)
class SalientPoses:
    """Single poses of N frames, each one of the two salient poses of its action."""

    poses: np.ndarray
    """(N, J, D) float32 as in the file, NaN where a keypoint is missing; read-only."""
    actions: list[str]
    """The actions' names as in the file."""
    states: np.ndarray
    """(N,) int64, 0 = salient pose I, 1 = salient pose II; read-only."""
    groups: list[str]
    """What poses that resemble each other share: their video, or the pose alone if unknown."""
    lines: np.ndarray
    """(N,) int64, line of the file, from 1; read-only."""

    def __len__(self) -> int:
        return len(self.actions)


class RepCountVideo(NamedTuple):
    """One person's repetitions in one video, a row of RepCount's annotation."""

    name: str
    action: str
    """Name of the action as in the file."""
    count: int
    repetitions: np.ndarray
    """(R, 2) int64, first and last frame of each repetition; or in ``pose_train.csv`` the frames
    of salient pose I and II, of which either may come first. Frames count from 0."""
    person: int = 0
    """Which track of the video's poses, from 0."""
    line: int = 0
    """Line of the file, from 1."""


def read_action_list(path: str | Path) -> tuple[str, ...]:
    """Classes out of the original's ``all_action.csv``, whose columns are ``,action,label``.

    Args:
        path: The file.

    Returns:
        The actions in the order of their labels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, or the labels are not 0, 1, 2 ... once each.
    """
    (line, header), *rows = _read_rows(path, 'list of actions')
    columns = _columns(path, line, header, ('action', 'label'))
    actions: dict[int, str] = {}
    for line, row in rows:
        action, label = (_cell(row, columns[name]) for name in ('action', 'label'))
        number = _whole_number(path, line, 'label', label)
        if not action or number in actions:
            raise ValueError(
                f'{path}:{line}: action {action!r} has label {number}'
                + (f', which {actions[number]!r} has already' if number in actions else '')
            )
        actions[number] = action
    if sorted(actions) != list(range(len(actions))) or not actions:
        raise ValueError(f'{path}: has labels {sorted(actions)}, expected 0, 1, 2 and so on')
    return tuple(actions[label] for label in range(len(actions)))


def canonical_action(name: str, classes: Sequence[str]) -> str | None:
    """The class that an action's name stands for.

    RepCount's files write the same action in several ways (``pull_up`` and ``pullups``, ``squant``
    for ``squat``). A name that is a class is that class. Otherwise names are compared in lower
    case, without anything but letters and digits, without a plural s, and by a few aliases.

    Args:
        name: Name of an action.
        classes: The classes to choose from.

    Returns:
        One of ``classes``, None if it is none of them.

    Raises:
        ValueError: If two of the classes would be the same action.
    """
    names = _classes_by_form(tuple(classes))
    return name if name in classes else names.get(_normal_form(name))


def distinct_actions(names: Iterable[str]) -> list[str]:
    """Classes out of the actions of a file: sorted, each action once whatever its spellings.

    Args:
        names: Names of actions; of several spellings of one the first in the alphabet is kept.
    """
    forms: dict[str, str] = {}
    for name in sorted(set(names) - {''}):
        forms.setdefault(_normal_form(name), name)
    return list(forms.values())


def read_salient_poses(
    path: str | Path,
    layout: KeypointLayout,
    dims: int = 3,
    salient_names: tuple[str, str] = ('up', 'down'),
) -> SalientPoses:
    """Read salient poses in one of two formats, told apart by their first row.

    The original's has no header, its rows are ``train/<action>/salient1/<video>/<k>.jpg,
    <action>`` and J * D numbers. The other one has a header ``pose_id, pose, x_nose, y_nose ...``;
    its ``pose`` is the action, an underscore and the salient pose's name. What was read is kept
    in memory until the file changes.

    Args:
        path: The file.
        layout: Its J joints.
        dims: How many coordinates of each joint to keep: 3, or 2 to leave out a third.
        salient_names: What the format with a header calls the salient poses I and II.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a row is malformed; the message names file and line.
    """
    check_dims(dims)
    names = tuple(salient_names)
    if len(names) != 2 or names[0] == names[1] or not all(names):
        raise ValueError(f'salient_names is {salient_names!r}, expected two different names')
    stamp = None
    if Path(path).is_file():
        status = Path(path).stat()
        stamp = status.st_mtime_ns, status.st_size
    found = _parse_salient_poses(str(path), stamp, layout, dims, names)
    return SalientPoses(
        found.poses, list(found.actions), found.states, list(found.groups), found.lines
    )


def read_repcount(path: str | Path) -> list[RepCountVideo]:
    """Read RepCount's annotation, or ``pose_train.csv`` with its pairs of salient frames.

    Columns are found by their names: ``type``, ``name``, ``count``, ``L1``, ``L2`` ... and, of
    videos with several people, ``person``. Others are passed over. Without a count, in the row or
    in the file, it is the number of pairs. Where both are there they may differ: in the published
    files a few do, and the count is what is scored. Pairs are given as they stand, even where the
    second frame comes before the first, as that of salient pose II may.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, a number is none, or frames are not in pairs; the
            message names file and line.
    """
    (line, header), *rows = _read_rows(path, 'annotation')
    columns = _columns(path, line, header, ('type', 'name'))
    frames = {int(name[1:]): at for name, at in columns.items() if re.fullmatch(r'[lL]\d+', name)}
    frame_columns = [frames[number] for number in sorted(frames)]
    if 'count' not in columns and not frame_columns:
        raise ValueError(f"{path}:{line}: has neither a column 'count' nor 'L1', 'L2' ...")
    videos = []
    for line, row in rows:
        if len(row) > len(header):
            raise ValueError(f'{path}:{line}: has {len(row)} cells, the header has {len(header)}')
        name = _cell(row, columns['name'])
        if not name:
            raise ValueError(f"{path}:{line}: field 'name' is empty")
        cells = ((header[at], _cell(row, at)) for at in frame_columns)
        numbers = [_whole_number(path, line, field, cell) for field, cell in cells if cell]
        if len(numbers) % 2:
            raise ValueError(f'{path}:{line}: has {len(numbers)} frames, expected pairs')
        count = _cell(row, columns.get('count'))
        person = _cell(row, columns.get('person'))
        videos.append(
            RepCountVideo(
                name=name,
                action=_cell(row, columns['type']),
                count=_whole_number(path, line, 'count', count) if count else len(numbers) // 2,
                repetitions=np.array(numbers, dtype=np.int64).reshape(-1, 2),  # (R, 2)
                person=_whole_number(path, line, 'person', person) if person else 0,
                line=line,
            )
        )
    return videos


def pose_file(folder: str | Path, name: str) -> Path:
    """The file of a video's poses: its name with ``.npy`` for the video's ending.

    Args:
        folder: Where the files are.
        name: Name of the video, in a subfolder or not.

    Raises:
        ValueError: If the name leads out of the folder.
    """
    parts = PureWindowsPath(name), PurePosixPath(name)  # what is a path on either system
    if any(path.anchor or '..' in path.parts for path in parts) or not parts[1].name:
        raise ValueError(f'video name {name!r} is no path inside of {folder}')
    path = parts[1]
    stem = path.stem if path.suffix.lower() in _VIDEO_SUFFIXES else path.name
    return Path(folder, path.parent, f'{stem}.npy')


@lru_cache(maxsize=8)
def _parse_salient_poses(
    path: str,
    stamp: tuple[int, int] | None,  # so that a file which changed is read anew
    layout: KeypointLayout,
    dims: int,
    salient_names: tuple[str, str],
) -> SalientPoses:
    rows = _read_rows(path, 'salient poses')
    if rows[0][1][0].lower() == 'pose_id':
        (line, header), *rows = rows
        depth = _check_header(path, line, header, layout)
        tell = _pose_of_header_format
        if not rows:
            raise ValueError(f'{path}: holds no poses, only a header')
    else:
        depth = 2 if len(rows[0][1]) == 2 + 2 * layout.num_joints else 3
        tell = _pose_of_original_format
    if depth < dims:
        raise ValueError(f'{path}: has {depth} coordinates a joint, expected {dims}')
    width = 2 + depth * layout.num_joints
    for line, row in rows:
        if len(row) != width:
            raise ValueError(
                f'{path}:{line}: has {len(row)} cells, expected {width}: two and {depth} numbers '
                f'for each of the {layout.num_joints} joints of layout {layout.name!r}'
            )
    lines = np.array([line for line, _ in rows])
    try:
        numbers = [list(map(float, row[2:])) for _, row in rows]
    except ValueError:
        _name_bad_number(path, rows)
        raise
    with np.errstate(over='ignore'):
        poses = np.array(numbers, dtype=np.float32)
    poses = poses.reshape(len(rows), layout.num_joints, depth)  # (N, J, D)
    bad = np.isinf(poses).any(axis=(1, 2)) | missing_poses(poses) | ~poses.any(axis=(1, 2))
    if bad.any():
        raise ValueError(
            f'{path}:{lines[bad.argmax()]}: holds no pose, expected finite coordinates of the '
            "joints, or 'nan' of some of them"
        )
    told = [tell(path, line, row, salient_names) for line, row in rows]
    actions, states, groups = (list(part) for part in zip(*told, strict=True))
    kept = np.ascontiguousarray(poses[..., :dims])
    result = SalientPoses(kept, actions, np.array(states), groups, lines)
    for array in (result.poses, result.states, result.lines):
        array.setflags(write=False)  # it is shared by all who read the file
    return result


def _check_header(path: str, line: int, header: list[str], layout: KeypointLayout) -> int:
    """Number of coordinates a joint, after making sure that they are the layout's joints."""
    depth = 3 if any(name.startswith('z_') for name in header) else 2
    expected = ['pose_id', 'pose']
    expected += [f'{axis}_{name}' for name in layout.joint_names for axis in 'xyz'[:depth]]
    found = [name.lower() for name in header]
    # MediaPipe's own names number some joints (left_pinky_1), of which there is one only
    found[2:] = [re.sub(r'_\d+$', '', name) for name in found[2:]]
    if found != expected:
        pairs = zip([*header, '<end>'], [*found, '<end>'], [*expected, '<end>'], strict=False)
        name, wanted = next((name, wanted) for name, plain, wanted in pairs if plain != wanted)
        raise ValueError(
            f'{path}:{line}: has column {name!r} where layout {layout.name!r} has {wanted!r}'
        )
    return depth


def _pose_of_header_format(
    path: str, line: int, row: list[str], salient_names: tuple[str, str]
) -> tuple[str, int, str]:
    """Action, state and group of a row."""
    for state, name in enumerate(salient_names):
        action = row[1].removesuffix(f'_{name}')
        if action and action != row[1]:
            return action, state, row[0]
    raise ValueError(
        f"{path}:{line}: field 'pose' is {row[1]!r}, expected an action followed by "
        + ' or '.join(repr(f'_{name}') for name in salient_names)
    )


def _pose_of_original_format(
    path: str, line: int, row: list[str], salient_names: tuple[str, str]
) -> tuple[str, int, str]:
    """Action, state and group of a row."""
    parts = row[0].replace('\\', '/').split('/')  # the original writes the system's separator
    if len(parts) < 4 or parts[-3] not in _SALIENT_FOLDERS or not parts[-2] or not row[1]:
        raise ValueError(
            f'{path}:{line}: begins with {row[0]!r} and {row[1]!r}, expected '
            "'train/<action>/salient1/<video>/<k>.jpg' (or salient2) and the action; or, in the "
            "first line, a header that begins with 'pose_id'"
        )
    return row[1], _SALIENT_FOLDERS.index(parts[-3]), parts[-2]


def _name_bad_number(path: str, rows: list[tuple[int, list[str]]]) -> None:
    """Raise a ValueError that names the first cell which is no number."""
    for line, row in rows:
        for column, cell in enumerate(row[2:], start=3):
            try:
                float(cell)
            except ValueError:
                raise ValueError(
                    f'{path}:{line}: column {column} holds {cell!r}, expected a number'
                ) from None


def _read_rows(path: str | Path, what: str) -> list[tuple[int, list[str]]]:
    """Line numbers and cells of a CSV file, without blank rows and blank cells at rows' ends."""
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file, expected the CSV file of the {what}')
    rows = []
    with open(path, newline='', encoding='utf-8-sig') as file:
        reader = csv.reader(file)
        try:
            for cells in reader:
                row = [cell.strip() for cell in cells]
                while row and not row[-1]:
                    row.pop()
                if row:
                    rows.append((reader.line_num, row))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f'{path}:{reader.line_num + 1}: is no CSV in UTF-8 ({error})'
            ) from error
    if not rows:
        raise ValueError(f'{path}: is empty, expected the CSV file of the {what}')
    return rows


def _columns(
    path: str | Path, line: int, header: list[str], needed: Sequence[str]
) -> dict[str, int]:
    """Where each named column stands."""
    columns = {name: at for at, name in enumerate(header) if name}
    missing = [name for name in needed if name not in columns]
    if missing:
        few = ', '.join(repr(name) for name in header[:8])
        raise ValueError(f'{path}:{line}: has no column {missing}; its columns begin with {few}')
    return columns


def _cell(row: list[str], at: int | None) -> str:
    """A cell's text; empty if the row or the file lacks it, or says nan."""
    cell = row[at] if at is not None and at < len(row) else ''
    return '' if cell.lower() == 'nan' else cell


def _whole_number(path: str | Path, line: int, field: str, cell: str) -> int:
    """A number of 0 or more, which pandas may have written as a float."""
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not (0 <= number < 2**53 and number == int(number)):
        raise ValueError(
            f'{path}:{line}: field {field!r} is {cell!r}, expected a whole number of 0 or more'
        )
    return int(number)


def _normal_form(name: str) -> str:
    """A name by which spellings of an action are compared."""
    form = ''.join(letter for letter in name.lower() if letter.isalnum())
    if form.endswith('s') and not form.endswith('ss'):
        form = form[:-1]
    return _ALIASES.get(form, form)


@lru_cache(maxsize=16)
def _classes_by_form(classes: tuple[str, ...]) -> dict[str, str]:
    forms: dict[str, str] = {}
    for name in classes:
        form = _normal_form(name)
        if form in forms:
            raise ValueError(f'classes {forms[form]!r} and {name!r} are the same action')
        forms[form] = name
    return forms
