"""The score of the four result files of Kinetics-TPS, fast.

The files of people are large (150 MB for the challenge), so they are decoded video by video into
flat arrays. A video that is not of the plain published form (people without parts, boxes of five
numbers, more proposals than allowed ...) is left to the literal ``score.video_psc``, which knows
what counts, what is never looked at, and what is an error.
"""

import json
import multiprocessing
import struct
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from itertools import chain, count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from projects.apct.scoring.flat_score import FlatPrediction, FlatTruth, flat_pscs
from projects.apct.scoring.result_fields import FILE_NAMES, MAX_PROPOSALS, ResultNames
from projects.apct.scoring.result_files import (
    garbage_collection_off,
    raw_videos,
    read_result,
    read_results,
    result_names,
)
from projects.apct.scoring.score import (
    MAX_PEOPLE,
    kinetics_tps_score,
    right_classes,
    summary,
    video_pscs,
    warn_of_strange_frames,
)

# Products of whole numbers up to here are exact in double precision, as they are in Python.
_MAX_COORDINATE = float(1 << 25)
# Beyond this many different part names a table of people times names would waste memory.
_MAX_NAMES = 256

Box = tuple[float, float, float, float]


class _TruePart(msgspec.Struct, gc=False):
    box: Box
    verb: str


class _TruePerson(msgspec.Struct, gc=False):
    box: Box
    parts: dict[str, _TruePart]


class _TrueFrame(msgspec.Struct, gc=False):
    humans: list[_TruePerson]


class _PredPart(msgspec.Struct, gc=False):
    box: list[Box]
    verb: list[str]


class _PredPerson(msgspec.Struct, gc=False):
    box: Box
    parts: dict[str, _PredPart]


class _PredFrame(msgspec.Struct, gc=False):
    humans: list[_PredPerson]


class _UnusualError(Exception):
    """A video that the arrays cannot hold."""


def score_files(gt_dir: str | Path, pred_dir: str | Path, processes: int = 1) -> dict[str, float]:
    """The challenge's score of a folder of truth and a folder or zip of predictions.

    Args:
        gt_dir: Folder with ``gt_vid_result.json`` and ``gt_part_result.json``.
        pred_dir: Folder or ``.zip`` with ``pred_vid_result.json`` and ``pred_part_result.json``.
        processes: That share the videos among them, forked from this one where the system can.

    Returns:
        As ``score.kinetics_tps_score``.

    Raises:
        FileNotFoundError: If one of the files is missing.
        ValueError: If one is no JSON, or something that the score looks at is malformed.
        KeyError: If something that the score looks at is missing.
    """
    names = result_names(gt_dir, pred_dir)
    gt_videos = read_result(gt_dir, FILE_NAMES.gt_videos)
    right = right_classes(gt_videos, read_result(pred_dir, FILE_NAMES.pred_videos), names)
    try:
        truth = raw_videos(gt_dir, FILE_NAMES.gt_people)
        predicted = raw_videos(pred_dir, FILE_NAMES.pred_people)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # no JSON, or no objects, or what only Python's parser takes, such as NaN
        return kinetics_tps_score(*read_results(gt_dir, pred_dir), names)
    videos = list(gt_videos)
    size = -(-len(videos) // processes)
    shares = [videos[start : start + size] for start in range(0, len(videos), size)]
    if len(shares) == 1 or 'fork' not in multiprocessing.get_all_start_methods():
        results = [share_pscs(videos, truth, predicted, names)]
    else:
        _inherited.append((truth, predicted, names))
        try:
            with ProcessPoolExecutor(len(shares), multiprocessing.get_context('fork')) as pool:
                results = list(pool.map(_inherited_pscs, shares))
        finally:
            _inherited.clear()
    psc = [value for share, _ in results for value in share]
    warn_of_strange_frames([video for _, strange in results for video in strange], names)
    return summary(psc, right)


def share_pscs(
    videos: list[str],
    truth: dict[str, msgspec.Raw],
    predicted: dict[str, msgspec.Raw],
    names: ResultNames,
) -> tuple[list[float], list[str]]:
    """PSC of some videos, and which of them use strange frame names.

    Args:
        videos: Their names.
        truth: True people, of :func:`raw_videos`.
        predicted: Predicted people.
        names: Of the four results, for messages.
    """
    with garbage_collection_off():
        scene = FlatScene(videos)
        scene.read_truth(truth)
        scene.read_prediction(predicted)
    psc = scene.pscs()
    if scene.unusual:
        unusual_psc = video_pscs(
            scene.unusual,
            _parsed(truth, scene.unusual, names.gt_people),
            _parsed(predicted, scene.unusual, names.pred_people),
            names,
        )
        psc = [unusual_psc.get(video, value) for video, value in zip(videos, psc, strict=True)]
    return psc, scene.strange


# What a forked process finds in its memory, where it need not be sent: 150 MB.
_inherited: list[tuple] = []


def _inherited_pscs(videos: list[str]) -> tuple[list[float], list[str]]:
    return share_pscs(videos, *_inherited[0])


def _parsed(raw: dict[str, msgspec.Raw], videos: list[str], name: str) -> dict[str, Any]:
    """Some videos, by Python's own parser; missing ones are left out."""
    try:
        return {video: json.loads(bytes(raw[video])) for video in videos if video in raw}
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{name}: no valid JSON ({error})') from error


class FlatScene:
    """People of many videos as arrays; the videos that do not fit are named in ``unusual``.

    Args:
        videos: Names of the videos that count.
    """

    def __init__(self, videos: Iterable[str]) -> None:
        self.videos = list(videos)
        self.unusual: list[str] = []
        self.strange: list[str] = []  # no predicted frame has a name of the truth
        self._frames: list[list[str]] = []  # of each video, those with people
        self._all_frames: list[list[str]] = []
        self._names: dict[str, int] = defaultdict(count().__next__)
        self._states: dict[str, int] = defaultdict(count().__next__)
        self._truth: FlatTruth
        self._predicted: FlatPrediction

    def pscs(self) -> list[float]:
        """Part state correctness of each video; of an unusual one it means nothing."""
        return flat_pscs(self._truth, self._predicted, len(self.videos)).tolist()

    def read_truth(self, raw: dict[str, msgspec.Raw]) -> None:
        """Decode the true people.

        Args:
            raw: Of :func:`raw_videos`.
        """
        decoder = msgspec.json.Decoder(dict[str, _TrueFrame])
        columns = _Columns(FlatTruth)
        columns.add(dict(self._true_arrays([]), frame_video=np.arange(0)))
        frames = people = 0
        for index, video in enumerate(self.videos):
            try:
                content = decoder.decode(raw[video])
                kept = {name: frame.humans for name, frame in content.items() if frame.humans}
                arrays = self._true_arrays(list(kept.values()))
            except (KeyError, msgspec.MsgspecError, UnicodeDecodeError, _UnusualError):
                self.unusual.append(video)
                self._frames.append([])
                self._all_frames.append([])
                continue
            self._frames.append(list(kept))
            self._all_frames.append(list(content))
            arrays['frame_video'] = np.full(len(kept), index)
            arrays['person_frame'] += frames
            arrays['part_person'] += people
            frames += len(kept)
            people += len(arrays['person_frame'])
            columns.add(arrays)
        self._truth = columns.joined()

    def read_prediction(self, raw: dict[str, msgspec.Raw]) -> None:
        """Decode the predicted people, after the true ones.

        Args:
            raw: Of :func:`raw_videos`.
        """
        decoder = msgspec.json.Decoder(dict[str, _PredFrame])
        columns = _Columns(FlatPrediction)
        columns.add(self._pred_arrays([]))
        frames = people = 0
        unusual = set(self.unusual)
        for video, names, all_names in zip(
            self.videos, self._frames, self._all_frames, strict=True
        ):
            if not names:
                continue
            try:
                content = decoder.decode(raw[video])
                arrays = self._pred_arrays([content.get(name) for name in names])
            except (KeyError, msgspec.MsgspecError, UnicodeDecodeError, _UnusualError):
                unusual.add(video)
                arrays = self._pred_arrays([None] * len(names))
            else:
                if content and content.keys().isdisjoint(all_names):
                    self.strange.append(video)
            arrays['person_frame'] += frames
            arrays['part_person'] += people
            frames += len(names)
            people += len(arrays['person_frame'])
            columns.add(arrays)
        self.unusual = [video for video in self.videos if video in unusual]
        self._predicted = columns.joined()

    def _true_arrays(self, frames: list[list[_TruePerson]]) -> dict[str, np.ndarray]:
        """Arrays of one video, counting frames and people from 0."""
        people = [person for humans in frames for person in humans]
        parts = [part for person in people for part in person.parts.values()]
        part_names = list(chain.from_iterable(person.parts for person in people))
        states = [part.verb for part in parts]
        return dict(
            person_frame=_owners([len(humans) for humans in frames]),
            person_box=_boxes([person.box for person in people]).astype(np.float32),
            part_person=_owners([len(person.parts) for person in people]),
            part_name=self._numbers(part_names, self._names),
            part_state=self._numbers(states, self._states),
            part_box=_boxes([part.box for part in parts]),
        )

    def _pred_arrays(self, frames: list[_PredFrame | None]) -> dict[str, np.ndarray]:
        """The same of the predictions in the frames of the truth; None was not predicted."""
        humans_of_frames = [frame.humans if frame is not None else [] for frame in frames]
        people = list(chain.from_iterable(humans_of_frames))
        parts = [part for person in people for part in person.parts.values()]
        boxes, states = [part.box for part in parts], [part.verb for part in parts]
        counts = list(map(len, states))
        if counts != list(map(len, boxes)) or max(counts, default=0) > MAX_PROPOSALS:
            raise _UnusualError
        if max(map(len, humans_of_frames), default=0) > MAX_PEOPLE:
            raise _UnusualError
        part_names = list(chain.from_iterable(person.parts for person in people))
        return dict(
            frame_present=np.array([frame is not None for frame in frames], dtype=bool),
            person_frame=_owners(list(map(len, humans_of_frames))),
            person_box=_boxes([person.box for person in people]).astype(np.float32),
            part_person=_owners([len(person.parts) for person in people]),
            part_name=self._numbers(part_names, self._names),
            part_count=np.array(counts, dtype=np.int64),
            proposal_state=self._numbers(list(chain.from_iterable(states)), self._states),
            proposal_box=_boxes(chain.from_iterable(boxes)),
        )

    def _numbers(self, words: list[str], numbers: dict[str, int]) -> np.ndarray:
        """Each word's number; new words get the next."""
        array = np.fromiter(map(numbers.__getitem__, words), np.int32, len(words))
        if numbers is self._names and len(numbers) > _MAX_NAMES:
            raise _UnusualError
        return array


class _Columns:
    """Arrays of a dataclass, gathered piece by piece."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._pieces = {field.name: [] for field in fields(kind)}

    def add(self, arrays: dict[str, np.ndarray]) -> None:
        """Append one piece to every column."""
        for name, pieces in self._pieces.items():
            pieces.append(arrays[name])

    def joined(self) -> Any:
        """The dataclass; the pieces are given up."""
        names = list(self._pieces)
        return self._kind(**{name: np.concatenate(self._pieces.pop(name)) for name in names})


def _owners(counts: list[int]) -> np.ndarray:
    """Which list each item belongs to, items counted through."""
    return np.repeat(np.arange(len(counts)), np.array(counts, dtype=np.int64))


def _boxes(boxes: Iterable[Box]) -> np.ndarray:
    """(M, 4), checked to be in the range where doubles count like Python's numbers."""
    numbers = list(chain.from_iterable(boxes))
    array = np.frombuffer(struct.pack(f'{len(numbers)}d', *numbers))  # faster than np.array
    if np.abs(array).max(initial=0) > _MAX_COORDINATE:
        raise _UnusualError
    return array.reshape(-1, 4)
