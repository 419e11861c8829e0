"""Looking into parsed Kinetics-TPS results, with errors that say where and what was found."""

from collections.abc import Sequence
from typing import Any, NamedTuple

MAX_PROPOSALS = 5

ABSENT = object()


class ResultNames(NamedTuple):
    """What the four results are called in messages: their file names, or paths."""

    gt_videos: str = 'gt_vid_result.json'
    gt_people: str = 'gt_part_result.json'
    pred_videos: str = 'pred_vid_result.json'
    pred_people: str = 'pred_part_result.json'


FILE_NAMES = ResultNames()


def proposals(part: Any, true_state: Any, name: str, place: dict) -> tuple[Sequence, Sequence]:
    """Boxes and states of a predicted part; one bare box and state (2022) count as one proposal.

    Args:
        part: The predicted part.
        true_state: State of the true part: 2022 files may hold states as lists of one.
        name: Of the result, for messages.
        place: ``video``, ``frame``, ``person`` and ``part``, for messages.
    """
    states = field(part, 'verb', name, **place)
    boxes = field(part, 'box', name, **place)
    if not is_list(boxes):
        raise ValueError(
            f'{where(name, **place)}, box: found {short(boxes)}, expected a list of boxes'
        )
    bare_box = len(boxes) > 0 and isinstance(boxes[0], int | float)
    bare_state = not is_list(states)
    if bare_box and (bare_state or is_list(true_state)):
        return [boxes], [states]
    if bare_state:
        raise ValueError(
            f'{where(name, **place)}, verb: found {short(states)}, expected a list of states'
        )
    if len(states) > MAX_PROPOSALS:
        raise ValueError(
            f'{where(name, **place)}, verb: found {len(states)} proposals, expected at most '
            f'{MAX_PROPOSALS}'
        )
    return boxes, states


def check_box(box: Any, name: str, place: dict, read: int = 4) -> None:
    """Refuse what is no list of at least four values whose first ``read`` are numbers."""
    if (
        not is_list(box)
        or len(box) < 4
        or not all(isinstance(number, int | float) for number in box[:read])
    ):
        raise ValueError(
            f'{where(name, **place)}, box: found {short(box)}, expected four numbers x1, y1, x2, y2'
        )


def frame_people(content: Any, name: str, place: dict) -> list:
    """The people of a frame.

    Args:
        content: ``{'humans': [...]}``.
        name: Of the result, for messages.
        place: ``video`` and ``frame``, for messages.
    """
    humans = field(content, 'humans', name, **place)
    if not is_list(humans):
        raise ValueError(
            f'{where(name, **place)}, humans: found {short(humans)}, expected a list of people'
        )
    return humans


def json_object(thing: Any, name: str, **place: Any) -> dict:
    """``thing`` if it is an object with named members."""
    if not isinstance(thing, dict):
        raise ValueError(
            f'{where(name, **place)}: found {short(thing)}, expected an object with named members'
        )
    return thing


def of_video(results: dict[str, Any], video: str, name: str) -> Any:
    """What a result holds for a video."""
    if video not in results:
        raise KeyError(f'{name}: video {video!r} is missing')
    return results[video]


def field(thing: Any, key: str, name: str, **place: Any) -> Any:
    """A member that must be there."""
    if key not in json_object(thing, name, **place):
        raise KeyError(f'{where(name, **place)}: {key!r} is missing; found {short(list(thing))}')
    return thing[key]


def member(thing: Any, key: str, name: str, **place: Any) -> Any:
    """A member that may be absent, also from an empty list: some writers mean no members by it."""
    if is_list(thing) and len(thing) == 0:
        return ABSENT
    return json_object(thing, name, **place).get(key, ABSENT)


def is_list(thing: Any) -> bool:
    """Whether it is what JSON calls an array."""
    return isinstance(thing, list | tuple)


def where(name: str, **place: Any) -> str:
    """A place in a result: ``name: video 'a', frame 'b', person 0``."""
    return ': '.join([name, *filter(None, [', '.join(f'{k} {v!r}' for k, v in place.items())])])


def short(thing: Any) -> str:
    """The beginning of what was found."""
    text = repr(thing)
    return text if len(text) <= 80 else f'{text[:77]}...'
