"""The per-frame JSON of Kinetics-TPS as flat arrays, cached for the next start."""

import hashlib
import json
import zipfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.logging import print_log
from rich.progress import track

from projects.apct.layout import Findings, Video, numbered_files, read_frame_counts
from projects.files import default_cache_dir, whole_file

# Raised whenever the same files would yield other arrays than before.
_CACHE_VERSION = 1
_FAR = 1e7  # pixels; a coordinate beyond it is no coordinate
_ANNOUNCED = 2000  # files; reading fewer takes no time worth a message


@dataclass
class FrameAnnotations:
    """Frames of several videos and the people in them.

    F frames, H people of all frames one after the other, K parts.
    """

    video: np.ndarray
    """(F,) int32, index into the list of videos."""
    number: np.ndarray
    """(F,) int32, number of the frame in its video, from 1."""
    has_image: np.ndarray
    """(F,) bool, True = the frame was extracted, False = it is read from the video."""
    first: np.ndarray
    """(F + 1,) int64, a frame's people are ``first[f]`` to ``first[f + 1]``."""
    boxes: np.ndarray
    """(H, 4) float32, xyxy pixels."""
    part_boxes: np.ndarray
    """(H, K, 4) float32, xyxy pixels, zeros where there is no box."""
    part_valid: np.ndarray
    """(H, K) bool, True = the part has a box."""
    part_states: np.ndarray
    """(H, K) int16, -1 = no box, or a state that is not in the vocabulary."""


def read_annotations(
    videos: Sequence[Video],
    part_names: Sequence[str],
    state_names: Sequence[str],
    frame_interval: int,
    cache_dir: Path | None = None,
    frame_list: Path | None = None,
) -> tuple[FrameAnnotations, Findings]:
    """Every ``frame_interval``-th frame of the videos, beginning with the first.

    What was read is cached under the names, sizes and dates of all files involved, so a file
    that changed, came or went is noticed.

    Args:
        videos: The videos; one without an annotation folder has all of its frames listed, with
            no people.
        part_names: The K parts.
        state_names: The states.
        frame_interval: 5 takes frames 1, 6, 11 ...
        cache_dir: Folder of the cache, :func:`projects.files.default_cache_dir` if None.
        frame_list: CSV file with the number of frames of videos without annotations.

    Returns:
        The frames in order, and the odd data met.

    Raises:
        FileNotFoundError: If ``frame_list`` is needed and missing.
    """
    missing = Findings()  # noted at every start, for the cache's name does not know of them
    listings = [_list_files(video, frame_interval, missing) for video in videos]
    key = hashlib.blake2b(digest_size=20)
    key.update(repr((_CACHE_VERSION, list(part_names), list(state_names), frame_interval)).encode())
    for video, (images, jsons, stamp) in zip(videos, listings, strict=True):
        stamps = [(n, e.stat().st_size, e.stat().st_mtime_ns) for n, e in jsons.items()]
        # the paths, because findings name them
        key.update(repr((video, list(images), stamps, stamp)).encode())
    counts = None
    if any(video.annotation_dir is None for video in videos):
        counts = read_frame_counts(frame_list)
        key.update(repr(sorted(counts.items())).encode())
    cached = Path(cache_dir or default_cache_dir('kinetics_tps'), f'{key.hexdigest()}.npz')
    try:
        with np.load(cached, allow_pickle=False) as file:
            arrays = FrameAnnotations(**{f.name: file[f.name] for f in fields(FrameAnnotations)})
            findings = Findings.from_json(str(file['findings']))
        findings.kinds.update(missing.kinds)
        return arrays, findings
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not cached yet, or damaged: read (again) below
    total = sum(len(jsons) for _, jsons, _ in listings)
    if total > _ANNOUNCED:
        print_log(f'reading {total} annotation files, once: {cached} keeps them', logger='current')
    findings = Findings()
    arrays = _parse(videos, listings, counts, part_names, state_names, frame_interval, findings)
    try:
        with whole_file(cached) as partial:
            np.savez(partial, findings=findings.to_json(), **vars(arrays))
    except OSError:
        pass  # a full or read-only disk costs time, never the run
    findings.kinds.update(missing.kinds)
    return arrays, findings


def read_truth(path: Path, findings: Findings | None = None) -> dict[str, list]:
    """One frame's annotation in the official form.

    People and parts keep the file's order, values and texts, also of parts and states that are in
    no vocabulary. One-element lists around a box or a state are unwrapped; what has no four
    finite coordinates is left out.

    Args:
        path: ``img_%05d.json``.
        findings: Gets what is left out.

    Returns:
        ``{'humans': [{'number', 'box', 'parts': {name: {'number', 'box', 'verb', 'name'}}}]}``.

    Raises:
        ValueError: If the file is no JSON, or has no list of people.
    """
    findings = Findings() if findings is None else findings
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except (ValueError, RecursionError) as error:  # broken JSON or broken UTF-8
        raise ValueError(f'{path}: {error}') from error
    people = content.get('humans') if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise ValueError(f"{path}: field 'humans' is {people!r:.60}, expected a list of people")
    humans = []
    for i, person in enumerate(people):
        box = _flat_box(person.get('box')) if isinstance(person, dict) else None
        if box is None:
            found = person.get('box') if isinstance(person, dict) else person
            example = f'{path}: humans[{i}].box is {found!r:.60}'
            findings.add('person without four finite box coordinates, left out', example)
            continue
        parts = person.get('parts')
        if not isinstance(parts, dict):
            if parts is not None:
                example = f'{path}: humans[{i}].parts is {parts!r:.60}'
                findings.add('person whose parts are no dict, taken as none', example)
            parts = {}
        kept = {}
        for name, part in parts.items():
            part_box = _flat_box(part.get('box')) if isinstance(part, dict) else None
            if part_box is None:
                found = part.get('box') if isinstance(part, dict) else part
                example = f'{path}: humans[{i}].parts[{name!r}].box is {found!r:.60}'
                findings.add('part without four finite box coordinates, left out', example)
                continue
            state = part.get('verb')
            if isinstance(state, list) and len(state) == 1:
                state = state[0]
            number = part.get('number', len(kept) + 1)
            kept[name] = dict(number=number, box=part_box, verb=state, name=name)
        humans.append(dict(number=person.get('number', i + 1), box=box, parts=kept))
    return dict(humans=humans)


def _flat_box(value: Any) -> list[float] | None:
    """Four finite numbers as they are, out of one list around them if need be; else None."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, list) or len(value) != 4:
        return None
    for number in value:  # NaN fails the comparison
        if type(number) not in (int, float) or not -_FAR < number < _FAR:
            return None
    return value


def _list_files(
    video: Video, interval: int, missing: Findings
) -> tuple[dict, dict, tuple[int, int] | None]:
    """Images and annotations of the frames that count, and the video file's size and date.

    Links to files that are gone go to ``missing``.
    """
    images, jsons = (
        {number: entry for number, entry in files.items() if (number - 1) % interval == 0}
        for files in (
            numbered_files(video.frame_dir, 'jpg') if video.frame_dir else {},
            numbered_files(video.annotation_dir, 'json') if video.annotation_dir else {},
        )
    )
    for number, entry in list(jsons.items()):
        try:
            entry.stat()  # kept by the entry, so it costs nothing the second time
        except OSError as error:
            missing.add('annotation file that is not there, left out', f'{entry.path} ({error})')
            del jsons[number]
    if video.path is None:
        return images, jsons, None
    try:
        status = video.path.stat()
    except OSError as error:
        missing.add('video file that is not there', f'{video.path} ({error})')
        return images, jsons, None
    return images, jsons, (status.st_size, status.st_mtime_ns)


def _count_frames(path: Path) -> int:
    """Frames of a video file as its header says; 0 if it cannot be opened."""
    capture = cv2.VideoCapture(str(path))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return max(count, 0)


def _parse(
    videos: Sequence[Video],
    listings: Sequence[tuple[dict, dict, Any]],
    counts: dict[str, int] | None,
    part_names: Sequence[str],
    state_names: Sequence[str],
    interval: int,
    findings: Findings,
) -> FrameAnnotations:
    builder = _Builder(part_names, state_names, findings)
    many = sum(len(jsons) for _, jsons, _ in listings) > _ANNOUNCED
    for index in track(range(len(videos)), 'reading annotations', disable=not many):
        video, (images, jsons, _) = videos[index], listings[index]
        wanted = jsons.keys()
        if video.annotation_dir is None:
            wanted = set(range(1, counts.get(video.name, 0) + 1, interval))
        length = 0  # of the video file, as far as it matters
        if video.path is not None and not (images and images.keys() >= wanted):
            length = _count_frames(video.path)
            if not length:
                findings.add('video file that cannot be opened', f'{video.path}')
        where = video.frame_dir if video.path is None else video.path
        if not images and not length:
            findings.add('video without frames, left out', f'{where}')
            continue
        if not wanted and video.annotation_dir is None:
            wanted = range(1, (length or max(images)) + 1, interval)
            example = f'{video.name}: {len(wanted)} frames to evaluate'
            findings.add('video that the frame list lacks, frames counted instead', example)
        elif not wanted:
            example = f'{video.annotation_dir}/img_00001.json'
            findings.add('video without annotated frames, left out', example)
        for number in sorted(wanted):
            if number not in images and number > length:
                example = f'{where}: frame {number}' + f' of {length}' * (length > 0)
                findings.add('listed or annotated frame without image, left out', example)
                continue
            people, path = [], None
            if video.annotation_dir is not None:
                path = jsons[number].path
                try:
                    people = read_truth(path, findings)['humans']
                except (OSError, ValueError) as error:
                    findings.add('annotation file that cannot be read, left out', f'{error}')
                    continue
            builder.add_frame(index, number, number in images)
            builder.add_people(people, path)
    return builder.build()


class _Builder:
    """Collects frames and people in growing plain arrays; a list of lists would take gigabytes."""

    def __init__(
        self, part_names: Sequence[str], state_names: Sequence[str], findings: Findings
    ) -> None:
        self.part_index = {name: index for index, name in enumerate(part_names)}
        self.state_index = {name: index for index, name in enumerate(state_names)}
        self.findings = findings
        self.frames = array('q')  # video, number, has_image, first person: four a frame
        self.boxes = array('f')
        self.parts = array('q')  # person, part, state: three a part
        self.part_boxes = array('f')

    def add_frame(self, video: int, number: int, has_image: bool) -> None:
        self.frames.extend((video, number, has_image, len(self.boxes) // 4))

    def add_people(self, humans: list[dict], path: str | None) -> None:
        for i, human in enumerate(humans):
            box = human['box']
            if box[2] <= box[0] or box[3] <= box[1]:
                example = f'{path}: humans[{i}].box is {box}'
                self.findings.add('person box without area, left out', example)
                continue
            person = len(self.boxes) // 4
            self.boxes.extend(box)
            for name, part in human['parts'].items():
                box, state = part['box'], part['verb']
                index = self.part_index.get(name)
                if index is None:
                    example = f'{path}: humans[{i}].parts[{name!r}]'
                    self.findings.add('part not in list/body_part.txt, left out', example)
                    continue
                if box[2] <= box[0] or box[3] <= box[1]:
                    example = f'{path}: humans[{i}].parts[{name!r}].box is {box}'
                    self.findings.add('part box without area, left out', example)
                    continue
                known = self.state_index.get(state, -1) if isinstance(state, str) else -1
                if known < 0:
                    example = f'{path}: humans[{i}].parts[{name!r}].verb is {state!r:.60}'
                    kind = 'state not in list/part_stat.txt, the box kept without it'
                    self.findings.add(kind, example)
                self.parts.extend((person, index, known))
                self.part_boxes.extend(box)

    def build(self) -> FrameAnnotations:
        frames = np.array(self.frames, np.int64).reshape(-1, 4)  # (F, 4)
        boxes = np.array(self.boxes, np.float32).reshape(-1, 4)  # (H, 4)
        person, part, state = np.array(self.parts, np.int64).reshape(-1, 3).T
        shape = (len(boxes), len(self.part_index))
        part_boxes = np.zeros((*shape, 4), np.float32)
        part_valid = np.zeros(shape, bool)
        part_states = np.full(shape, -1, np.int16)
        part_boxes[person, part] = np.array(self.part_boxes, np.float32).reshape(-1, 4)
        part_valid[person, part] = True
        part_states[person, part] = state
        return FrameAnnotations(
            video=frames[:, 0].astype(np.int32),
            number=frames[:, 1].astype(np.int32),
            has_image=frames[:, 2].astype(bool),
            first=np.append(frames[:, 3], len(boxes)),
            boxes=boxes,
            part_boxes=part_boxes,
            part_valid=part_valid,
            part_states=part_states,
        )
