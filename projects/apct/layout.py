"""Kinetics-TPS on disk: its folders, lists, videos, and which of them belong to a split."""

import csv
import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.logging import print_log

SPLITS = ('train', 'val', 'trainval', 'test')
_VIDEO_ENDINGS = ('.mp4', '.avi', '.mkv', '.webm')
# What f'img_{number:05d}' writes, and nothing that it would not write back.
_NUMBERED = re.compile(r'img_(\d{5}|[1-9]\d{5,})\.(jpg|json)')


class Video(NamedTuple):
    """One video of a split: its names, and where its frames and annotations lie."""

    name: str
    video_class: str
    path: Path | None
    """The video file, if there is one."""
    frame_dir: Path | None
    """Folder of extracted frames ``img_%05d.jpg``, numbered from 1, if there is one."""
    annotation_dir: Path | None
    """Folder of ``img_%05d.json``; None where the split has no annotations."""


class Findings:
    """Odd data met while reading: how often each kind occurred, and its first example."""

    def __init__(self) -> None:
        self.kinds: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """Count one more of a kind.

        Args:
            kind: What is odd, and what becomes of it.
            example: File and field with the value found; kept for the first of its kind.
            count: How many there are.
        """
        before, first = self.kinds.get(kind, (0, example))
        self.kinds[kind] = (before + count, first)

    def warn(self, heading: str) -> None:
        """Log everything found as one warning; nothing if nothing was.

        Args:
            heading: What was read.
        """
        if self.kinds:
            print_log(f'{heading}: {self}', logger='current', level=logging.WARNING)

    def __str__(self) -> str:
        return '; '.join(
            f'{count} x {kind} (first: {example})' for kind, (count, example) in self.kinds.items()
        )

    def to_json(self) -> str:
        """The findings as text, for the cache."""
        return json.dumps(self.kinds)

    @classmethod
    def from_json(cls, text: str) -> 'Findings':
        """The findings out of :meth:`to_json`'s text."""
        findings = cls()
        findings.kinds = {kind: tuple(value) for kind, value in json.loads(text).items()}
        return findings


def read_names(path: Path) -> list[str]:
    """A vocabulary: one name a line, in the order of their indices.

    Args:
        path: ``list/body_part.txt`` or ``list/part_stat.txt``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds no names, or one twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such file; Kinetics-TPS names its body parts in list/body_part.txt and '
            'their states in list/part_stat.txt, one name a line'
        )
    names = [line.strip() for line in path.read_text(encoding='utf-8-sig').splitlines()]
    names = [name for name in names if name]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        found = f'{twice} more than once' if twice else 'no names'
        raise ValueError(f'{path}: found {found}, expected one name a line')
    return names


def class_names(data_root: Path) -> list[str]:
    """The video classes: the names of the class folders, sorted.

    Those of both halves count, so that a class has the same index in training and in test.

    Args:
        data_root: Folder of the data set.
    """
    kinds = ('annotations', 'videos', 'frames')
    folders = [Path(data_root, f'{half}_{kind}') for half in ('train', 'test') for kind in kinds]
    names = {name for folder in folders for name in _subfolders(folder)}
    return sorted(name for name in names if not name.startswith('__'))  # __MACOSX of an archive


def list_videos(
    data_root: Path,
    split: str,
    val_every: int = 10,
    classes: Sequence[str] | None = None,
    frame_root: Path | None = None,
    findings: Findings | None = None,
) -> list[Video]:
    """The videos of a split, class by class, in sorted order.

    The published data has no validation part: ``'val'`` is every ``val_every``-th annotated
    training video of each class, ``'train'`` the others, ``'trainval'`` both.

    Args:
        data_root: Folder of the data set.
        split: One of ``SPLITS``. ``'test'`` has annotations if ``test_annotations`` exists.
        val_every: How many annotated training videos of a class there are to a validation video.
        classes: Classes to list; all if None.
        frame_root: Folder of extracted frames, ``<class>/<video>/img_%05d.jpg``, looked at before
            the folders beside the videos and ``train_frames`` or ``test_frames``.
        findings: Gets the videos that are left out.

    Raises:
        FileNotFoundError: If the folder of the split is missing.
        ValueError: If an option is out of range, or a class is not in the data set.
    """
    check_split(split, val_every)
    findings = Findings() if findings is None else findings
    root = Path(data_root)
    half = 'test' if split == 'test' else 'train'
    annotation_root = root / f'{half}_annotations'
    annotated = annotation_root.is_dir()
    if half == 'train' and not annotated:
        raise FileNotFoundError(
            f'{annotation_root}: no such folder; split {split!r} is made of the annotated training '
            'videos, train_annotations/<class>/<video>/<video>/img_00001.json'
        )
    storages = [root / f'{half}_videos', root / f'{half}_frames']
    if frame_root is not None:
        storages.insert(0, root / frame_root)
        if not storages[0].is_dir():
            raise FileNotFoundError(f'frame_root {storages[0]}: no such folder')
    if not any(storage.is_dir() for storage in storages):
        raise FileNotFoundError(
            f'{root}: has none of the folders {[storage.name for storage in storages]}; split '
            f'{split!r} looks for {half}_videos/<class>/<video>.mp4 or <video>/img_00001.jpg'
        )
    videos: dict[str, Video] = {}
    for video_class in check_classes(root, classes):
        files, frame_dirs = _stored(storages, video_class)
        names = sorted(files.keys() | frame_dirs.keys())
        if annotated:
            with_annotations = _subfolders(annotation_root / video_class)
            for name in names:
                if name not in with_annotations:
                    missing = f'{annotation_root / video_class / name}'
                    findings.add('video without annotations, left out', missing)
            names = with_annotations
        for index, name in enumerate(names):
            in_val = index % val_every == val_every - 1
            if split in ('train', 'val') and in_val != (split == 'val'):
                continue
            if name in videos:
                example = f'{name} in {videos[name].video_class} and {video_class}'
                findings.add('video name of two classes, the second left out', example)
                continue
            if name not in files and name not in frame_dirs:
                looked = storages[0] / video_class / name
                findings.add('annotated video without frames, left out', f'{looked}.mp4')
                continue
            folder = annotation_root / video_class / name
            if (folder / name).is_dir():
                folder = folder / name  # published as <video>/<video>
            videos[name] = Video(
                name,
                video_class,
                files.get(name),
                frame_dirs.get(name),
                folder if annotated else None,
            )
    return list(videos.values())


def check_split(split: str, val_every: int) -> None:
    """Refuse options of the split that are out of range.

    Args:
        split: One of ``SPLITS``.
        val_every: A whole number of 2 or more.

    Raises:
        ValueError: If one of them is not.
    """
    if split not in SPLITS:
        raise ValueError(f'split is {split!r}, expected one of {SPLITS}')
    if not isinstance(val_every, int) or val_every < 2:
        raise ValueError(f'val_every is {val_every!r}, expected a whole number of 2 or more')


def check_classes(data_root: Path, classes: Sequence[str] | None) -> list[str]:
    """The classes to read, in the order of their labels.

    Args:
        data_root: Folder of the data set.
        classes: Some of its classes; all if None.

    Raises:
        ValueError: If a class has no folder, or is named twice.
    """
    found = class_names(data_root)
    if classes is None:
        return found
    if isinstance(classes, str) or not classes or len(set(classes)) < len(classes):
        raise ValueError(f'classes is {classes!r}, expected a list of different class names')
    unknown = sorted(set(classes) - set(found))
    if unknown:
        raise ValueError(f'{data_root}: classes {unknown} are not among its folders {found}')
    return list(classes)


def numbered_files(folder: Path, ending: str) -> dict[int, os.DirEntry]:
    """Files ``img_%05d`` of a folder by their number from 1, in rising order.

    Args:
        folder: The folder; a missing one holds no files.
        ending: ``'jpg'`` or ``'json'``.
    """
    found = {}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                match = _NUMBERED.fullmatch(entry.name)
                if match and match[2] == ending and int(match[1]):
                    found[int(match[1])] = entry
    return dict(sorted(found.items()))


def read_frame_counts(path: Path) -> dict[str, int]:
    """Number of frames of each video.

    Args:
        path: ``list/video_train_flist.csv`` or ``list/video_test_flist.csv``: a video's name, with
            or without folder and ending, and its number of frames; a header is skipped.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is malformed.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such file; without annotations it says how many frames each video has, '
            'a line of "<video>,<frames>" each'
        )
    counts = {}
    with open(path, newline='', encoding='utf-8-sig') as file:
        for row, line in enumerate(csv.reader(file), 1):
            fields = [field.strip() for field in line if field.strip()]
            if not fields:
                continue
            if len(fields) >= 2 and fields[1].isdecimal():
                name = fields[0].replace('\\', '/').rsplit('/', 1)[-1]
                stem, dot, ending = name.rpartition('.')
                counts[stem if (dot + ending).lower() in _VIDEO_ENDINGS else name] = int(fields[1])
            elif row > 1:
                raise ValueError(f'{path}:{row}: found {",".join(line)!r}, expected video,frames')
    return counts


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith('.'))


def _stored(storages: Sequence[Path], video_class: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Video files and frame folders of a class by video name; the first storage wins."""
    files: dict[str, Path] = {}
    frame_dirs: dict[str, Path] = {}
    for storage in storages:
        folder = storage / video_class
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                stem, ending = os.path.splitext(entry.name)
                if entry.name.startswith('.'):
                    continue
                if entry.is_dir():
                    frame_dirs.setdefault(entry.name, Path(entry.path))
                elif ending.lower() in _VIDEO_ENDINGS:
                    files.setdefault(stem, Path(entry.path))
    return files, frame_dirs
