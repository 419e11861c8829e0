"""The zip that the Kinetics-TPS challenge takes: writing it, and checking any against the rules.

A submission is a zip with ``pred_part_result.json`` and ``pred_vid_result.json`` at its top. The
rules: every video of the frame list and no other; of each, exactly the frames that are evaluated,
every fifth from ``img_00001.json``; at most 10 people a frame and 5 proposals a part; parts, states
and classes from the vocabularies of the data set.
"""

import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projects.apct.layout import class_names, read_frame_counts, read_names
from projects.apct.scoring.result_fields import FILE_NAMES, MAX_PROPOSALS, short
from projects.apct.scoring.result_files import member_bytes
from projects.apct.scoring.score import MAX_PEOPLE
from projects.files import whole_file

FRAME_STRIDE = 5
# A challenge's zip has two; a million names would only fill memory.
MAX_MEMBERS = 1000


@dataclass
class Rules:
    """What a submission may name. None: not known, not checked.

    Attributes:
        frame_counts: Number of frames of each video of the test set.
        part_names: K body parts.
        state_names: S states.
        video_classes: Classes of videos.
    """

    frame_counts: dict[str, int] | None = None
    part_names: Collection[str] | None = None
    state_names: Collection[str] | None = None
    video_classes: Collection[str] | None = None

    @classmethod
    def read(cls, data_root: str | Path | None, frame_list: str | Path | None = None) -> 'Rules':
        """The rules of a data set.

        Args:
            data_root: Its folder, with ``list/`` and the class folders.
            frame_list: CSV of videos and their numbers of frames [``list/video_test_flist.csv``
                of ``data_root``].

        Raises:
            FileNotFoundError: If ``frame_list`` or a vocabulary is missing.
            ValueError: If one is malformed, or ``data_root`` has no class folders.
        """
        rules = cls()
        if data_root is not None:
            root = Path(data_root)
            rules.part_names = frozenset(read_names(root / 'list' / 'body_part.txt'))
            rules.state_names = frozenset(read_names(root / 'list' / 'part_stat.txt'))
            rules.video_classes = frozenset(class_names(root))
            if not rules.video_classes:
                raise ValueError(f'{root}: has no class folders as in train_videos/<class>')
            if frame_list is None:
                frame_list = root / 'list' / 'video_test_flist.csv'
        if frame_list is not None:
            rules.frame_counts = read_frame_counts(Path(frame_list))
            if not rules.frame_counts:
                raise ValueError(f'{frame_list}: lists no video')
        return rules

    def frames(self, video: str) -> list[str]:
        """The frames of a video that are evaluated.

        Args:
            video: One of ``frame_counts``.
        """
        return evaluated_frames(self.frame_counts[video])


def evaluated_frames(count: int) -> list[str]:
    """Names of the evaluated frames of a video.

    Args:
        count: How many frames it has.
    """
    return [f'img_{number:05d}.json' for number in range(1, count + 1, FRAME_STRIDE)]


def is_evaluated(frame: str) -> bool:
    """Whether a frame's name is one that the challenge evaluates.

    Args:
        frame: As in ``img_00001.json``.
    """
    digits = frame.removeprefix('img_').removesuffix('.json')
    return (
        digits.isdecimal()
        and digits.isascii()
        and int(digits) % FRAME_STRIDE == 1
        and frame == f'img_{int(digits):05d}.json'
    )


def write_submission(path: str | Path, people: Any, videos: Any, rules: Rules) -> list[str]:
    """Join the results of a parser and of a classifier into a zip, whole or not at all.

    Frames that are not evaluated are left out, videos and frames that are missing get an empty
    list of people, people beyond the tenth by score and proposals beyond the fifth go, and so do
    boxes that are none and everything that the challenge does not ask for. What cannot be repaired
    is an error.

    Args:
        path: The zip to write.
        people: ``pred_part_result.json`` of the parser.
        videos: ``pred_vid_result.json`` of the classifier.
        rules: What to keep.

    Returns:
        What was left out or filled in, a line each.

    Raises:
        ValueError: If the result would still break a rule; nothing is written then.
    """
    for name, result in ((FILE_NAMES.pred_people, people), (FILE_NAMES.pred_videos, videos)):
        if not isinstance(result, dict):
            raise ValueError(f'{name}: found {short(result)}, expected an object of videos')
    kept, notes = submitted_people(people, rules)
    wanted = rules.frame_counts if rules.frame_counts is not None else kept
    classes = {video: videos[video] for video in wanted if video in videos}
    if len(classes) < len(videos):
        notes.append(f'{len(videos) - len(classes)} classified videos are not asked for, left out')
    problems = list(people_violations(kept, rules)) + list(class_violations(classes, kept, rules))
    if problems:
        raise ValueError(f'{len(problems)} violations, nothing is written: {_few(problems)}')
    with whole_file(path) as partial:
        with zipfile.ZipFile(partial, 'w', zipfile.ZIP_DEFLATED) as archive:
            for name, result in (
                (FILE_NAMES.pred_people, kept),
                (FILE_NAMES.pred_videos, classes),
            ):
                text = json.dumps(result, separators=(',', ':'), allow_nan=False)
                archive.writestr(name, text)
        problems = list(zip_violations(partial, rules))
        if problems:
            raise ValueError(f'what was written breaks the rules: {_few(problems)}')
    return notes


def submitted_people(people: dict[str, Any], rules: Rules) -> tuple[dict[str, dict], list[str]]:
    """A parser's result cut down to what the challenge takes.

    Args:
        people: ``pred_part_result.json`` of a parser; people may carry a ``score``.
        rules: Its frame list says which videos and frames there must be; without, those of the
            result that are evaluated.

    Returns:
        The result, and notes of what was left out or filled in.
    """
    kept, notes = {}, []
    skipped = filled = cut = broken = 0
    wanted = rules.frame_counts if rules.frame_counts is not None else people
    unknown = [video for video in people if video not in wanted]
    if unknown:
        notes.append(f'{len(unknown)} parsed videos are not on the list, left out: {_few(unknown)}')
    missing = [video for video in wanted if video not in people]
    if missing:
        notes.append(f'{len(missing)} videos were not parsed, left empty: {_few(missing)}')
    for video in wanted:
        found = people.get(video, {})
        if not isinstance(found, dict):
            raise ValueError(f'video {video!r}: found {short(found)}, expected an object of frames')
        names = (
            [frame for frame in found if is_evaluated(frame)]
            if rules.frame_counts is None
            else rules.frames(video)
        )
        skipped += len(found.keys() - set(names))
        filled += len(set(names) - found.keys()) if found else 0
        kept[video] = {}
        for frame in names:
            humans = found.get(frame, dict(humans=[]))
            try:
                kept[video][frame] = {}
                kept[video][frame]['humans'], unusable = _submitted(humans['humans'])
                broken += unusable
                cut += len(humans['humans']) > MAX_PEOPLE
            except (AttributeError, IndexError, KeyError, TypeError) as error:
                raise ValueError(
                    f'video {video!r}, frame {frame!r}: malformed ({type(error).__name__}: {error})'
                ) from error
    if skipped:
        notes.append(f'{skipped} frames that are not evaluated were left out')
    if filled:
        notes.append(f'{filled} frames were not parsed and are left empty')
    if broken:
        notes.append(f'{broken} boxes that are no boxes (x1 <= x2, y1 <= y2, finite) were left out')
    if cut:
        notes.append(f'{cut} frames were cut to {MAX_PEOPLE} people')
    return kept, notes


def _submitted(humans: list[dict]) -> tuple[list[dict], int]:
    """The best people of a frame with the fields asked for, and how many boxes were no boxes."""
    usable = [human for human in humans if _is_box(human['box'])]
    unusable = len(humans) - len(usable)
    if len(usable) > MAX_PEOPLE:
        usable = sorted(usable, key=lambda human: -human['score'])[:MAX_PEOPLE]
    people = []
    for human in usable:
        parts = {}
        for name, part in human['parts'].items():
            if len(part['box']) != len(part['verb']) or isinstance(part['verb'], str):
                raise TypeError(f'part {name!r} does not hold lists of as many boxes as states')
            offers = list(zip(part['box'], part['verb'], strict=True))
            kept = [(box, state) for box, state in offers if _is_box(box)]
            unusable += len(offers) - len(kept)
            if kept:
                boxes, states = (list(column) for column in zip(*kept[:MAX_PROPOSALS], strict=True))
                parts[name] = dict(number=len(parts) + 1, box=boxes, verb=states, name=name)
        people.append(dict(number=len(people) + 1, box=human['box'], parts=parts))
    return people, unusable


def zip_violations(path: str | Path, rules: Rules) -> Iterator[str]:
    """Every rule that a zip breaks, a line each. Nothing of it is written to disk.

    Args:
        path: The zip.
        rules: What it may name.
    """
    results = {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) > MAX_MEMBERS:
                yield f'{len(names)} members, expected {FILE_NAMES.pred_people} and ' + (
                    f'{FILE_NAMES.pred_videos} alone'
                )
                names = []
            wanted = (FILE_NAMES.pred_people, FILE_NAMES.pred_videos)
            for name in names:
                if name not in wanted:
                    yield f'member {name[:200]!r}: not expected; only {wanted}, at the top'
            for name in wanted:
                if names.count(name) != 1:
                    yield f'{name}: found {names.count(name)} times in the zip, expected once'
                    continue
                try:
                    text = member_bytes(archive, name).decode('utf-8')
                    results[name] = json.loads(text, object_pairs_hook=_unique)
                except (ValueError, RecursionError) as error:
                    yield f'{name}: no valid JSON ({error})'
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        yield f'{path}: no sound zip file ({error})'
        return
    people = results.get(FILE_NAMES.pred_people)
    if people is not None:
        yield from people_violations(people, rules)
    if FILE_NAMES.pred_videos in results:
        yield from class_violations(results[FILE_NAMES.pred_videos], people, rules)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, which must not name a member twice: the first would be lost."""
    thing = dict(pairs)
    if len(thing) < len(pairs):
        name, times = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f'{name!r} occurs {times} times in an object')
    return thing


def class_violations(videos: Any, people: Any, rules: Rules) -> Iterator[str]:
    """The rules that a result of classes breaks.

    Args:
        videos: ``pred_vid_result.json``.
        people: ``pred_part_result.json``, whose videos must be the same.
        rules: What it may name.
    """
    file = FILE_NAMES.pred_videos
    if not isinstance(videos, dict):
        yield f'{file}: found {short(videos)}, expected an object of videos and classes'
        return
    expected = rules.frame_counts
    if expected is None:
        expected = people if isinstance(people, dict) else videos
    yield from _video_violations(file, videos, expected)
    for video, video_class in videos.items():
        known = rules.video_classes
        if not isinstance(video_class, str) or (known is not None and video_class not in known):
            yield f'{file}: video {video!r}: class {short(video_class)} is not known'


def people_violations(people: Any, rules: Rules) -> Iterator[str]:
    """The rules that a result of people breaks.

    Args:
        people: ``pred_part_result.json``.
        rules: What it may name.
    """
    file = FILE_NAMES.pred_people
    if not isinstance(people, dict):
        yield f'{file}: found {short(people)}, expected an object of videos'
        return
    if rules.frame_counts is not None:
        yield from _video_violations(file, people, rules.frame_counts)
    elif not people:
        yield f'{file}: holds no video'
    for video, frames in people.items():
        place = f'{file}: video {video!r}'
        if not isinstance(frames, dict):
            yield f'{place}: found {short(frames)}, expected an object of frames'
            continue
        if rules.frame_counts is None:
            unknown = [frame for frame in frames if not is_evaluated(frame)]
        elif video in rules.frame_counts:
            expected = dict.fromkeys(rules.frames(video))
            unknown = [frame for frame in frames if frame not in expected]
            for frame in expected:
                if frame not in frames:
                    yield f'{place}, frame {frame!r}: missing'
        else:
            continue  # said above
        for frame in unknown:
            yield f'{place}, frame {frame!r}: not evaluated'
        for frame, content in frames.items():
            yield from _frame_violations(content, f'{place}, frame {frame!r}', rules)


def _video_violations(file: str, found: dict, expected: dict) -> Iterator[str]:
    for video in expected:
        if video not in found:
            yield f'{file}: video {video!r}: missing'
    for video in found:
        if video not in expected:
            yield f'{file}: video {video!r}: not on the list'


def _frame_violations(content: Any, place: str, rules: Rules) -> Iterator[str]:
    if not isinstance(content, dict):
        yield f'{place}: found {short(content)}, expected an object with humans'
        return
    humans = content.get('humans')
    if not isinstance(humans, list):
        yield f'{place}, humans: found {short(humans)}, expected a list of people'
        return
    if len(humans) > MAX_PEOPLE:
        yield f'{place}, humans: found {len(humans)} people, expected at most {MAX_PEOPLE}'
    for index, human in enumerate(humans):
        where = f'{place}, person {index}'
        if not isinstance(human, dict):
            yield f'{where}: found {short(human)}, expected an object with box and parts'
            continue
        if not _is_box(human.get('box')):
            yield f'{where}, box: found {short(human.get("box"))}, {_BOX}'
        parts = human.get('parts')
        if not isinstance(parts, dict):
            yield f'{where}, parts: found {short(parts)}, expected an object of parts'
            continue
        for name, part in parts.items():
            yield from _part_violations(name, part, f'{where}, part {name!r}', rules)


def _part_violations(name: str, part: Any, where: str, rules: Rules) -> Iterator[str]:
    if rules.part_names is not None and name not in rules.part_names:
        yield f'{where}: not one of the {len(rules.part_names)} body parts'
    if not isinstance(part, dict):
        yield f'{where}: found {short(part)}, expected an object with box and verb'
        return
    boxes, states = part.get('box'), part.get('verb')
    for field, values in (('box', boxes), ('verb', states)):
        if not isinstance(values, list):
            yield f'{where}, {field}: found {short(values)}, expected a list'
        elif not 1 <= len(values) <= MAX_PROPOSALS:
            yield f'{where}, {field}: found {len(values)} proposals, expected 1 to {MAX_PROPOSALS}'
    if isinstance(boxes, list):
        for box in boxes:
            if not _is_box(box):
                yield f'{where}, box: found {short(box)}, {_BOX}'
    if isinstance(states, list):
        known = rules.state_names
        for state in states:
            if not isinstance(state, str) or (known is not None and state not in known):
                yield f'{where}, verb: state {short(state)} is not known'
        if isinstance(boxes, list) and len(boxes) != len(states):
            yield f'{where}, verb: found {len(states)} states for {len(boxes)} boxes'


_BOX = 'expected x1, y1, x2, y2, finite, x1 <= x2 and y1 <= y2'


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in box)
        and all(abs(number) < 1e9 for number in box)  # so neither NaN nor infinite
        and box[0] <= box[2]
        and box[1] <= box[3]
    )


def _few(lines: Sequence[str]) -> str:
    """The first of many."""
    more = f', and {len(lines) - 3} more' if len(lines) > 3 else ''
    return '; '.join(map(str, lines[:3])) + more
