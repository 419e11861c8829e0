"""Drawing persons, parts and part states on an image, with labels that leave the people visible."""

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from projects.apct.labels import Rect, place_tag, spread, stack_cards
from projects.apct.parses import first_box, first_state, shown_people

Colour = tuple[int, int, int]

BACKGROUND, CARD = (24, 26, 31), (38, 41, 48)
WHITE, SOFT, DIM = (255, 255, 255), (205, 209, 216), (130, 135, 145)
ROW, CHIP, HEADER, GAP = 20, 24, 30, 10  # heights of a card's row, a label and a card's head
UNTOLD = 'none'  # the state of parts about which there is nothing to say; drawn dimmer


class Plan(NamedTuple):
    """Cards that fit every frame of a video, so that none of them moves."""

    people: int
    """Places for people; those of number 1 to ``people`` have one."""
    rows: int
    """Rows of a card."""
    width: int
    """Width of a card."""


class _Part(NamedTuple):
    name: str
    state: str
    box: Rect | None
    colour: Colour

    @property
    def dim(self) -> bool:
        return self.state == UNTOLD


class _Person(NamedTuple):
    number: int
    score: float | None
    box: Rect
    parts: list[_Part]

    @property
    def title(self) -> str:
        return f'person {self.number}'


def draw_parses(
    image: np.ndarray,
    people: Sequence[dict[str, Any]],
    part_names: Sequence[str],
    person_threshold: float = 0.5,
    part_threshold: float = 0.1,
    heading: str = '',
    long_side: tuple[int, int] = (960, 1600),
    plan: Plan | None = None,
) -> np.ndarray:
    """Draw people with their parts and part states.

    Each kind of part has a colour, left and right a light and a strong one of the same hue. One or
    two people get labels beside them, with a line to each part; more get a card each beside the
    picture, numbered as in the picture. What lies below a threshold is left out, and the state
    ``none`` is drawn dimmer.

    Args:
        image: (height, width, 3) uint8, BGR.
        people: True or predicted people in the challenge's form, see ``projects.apct.parses``.
        part_names: All part names, which the colours depend on.
        person_threshold: Least score of a person.
        part_threshold: Least score of a part's state.
        heading: Text above the picture.
        long_side: Smallest and largest long side of the picture, pixels; it is scaled into this
            range, small ones so that labels are readable beside it.
        plan: Cards to draw, as in the other frames of a video, see :func:`plan_cards`.

    Returns:
        (height', width', 3) uint8, BGR.
    """
    height, width = image.shape[:2]
    scale = max(long_side[0] / max(height, width), 1.0)
    scale = min(scale, long_side[1] / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(image, size, interpolation=kind) if scale != 1 else image.copy()
    shown = shown_people(people, person_threshold, part_threshold)
    factors = np.array([size[0] / width, size[1] / height] * 2)
    persons = _persons(shown, part_names, factors, size)
    _draw_boxes(picture, persons)
    drawn = None
    if plan is None and 1 <= len(persons) <= 2:
        drawn = _with_callouts(picture, persons)
    if drawn is None:
        drawn = _with_cards(picture, persons, plan or _plan([persons]))
    if heading:
        drawn = _with_heading(drawn, heading)
    return np.ascontiguousarray(np.asarray(drawn)[..., ::-1])


def draw_beside(
    image: np.ndarray,
    truth: Sequence[dict[str, Any]],
    people: Sequence[dict[str, Any]],
    part_names: Sequence[str],
    **options: Any,
) -> np.ndarray:
    """The truth and the prediction side by side, or one above the other where that is less wide.

    Args:
        image: (height, width, 3) uint8, BGR.
        truth: True people.
        people: Predicted people.
        part_names: All part names.
        options: Of :func:`draw_parses`.
    """
    options.setdefault('long_side', (720, 960))
    limits = {key: value for key, value in options.items() if key.endswith('_threshold')}
    both = [truth, people]
    plans: list[Plan | None] = [None, None]
    if max(len(shown_people(some, **limits)) for some in both) > 2:  # cards for both of them
        plans = [plan_cards([some], part_names, **limits) for some in both]
    headings = ('truth', 'prediction')
    one, two = (
        draw_parses(image, some, part_names, heading=heading, plan=plan, **options)
        for some, heading, plan in zip(both, headings, plans, strict=True)
    )
    axis = 1 if one.shape[1] + two.shape[1] < 2.2 * max(one.shape[0], two.shape[0]) else 0
    other = max(one.shape[1 - axis], two.shape[1 - axis])
    padded = []
    for drawn in (one, two):
        missing = [(0, 0)] * 3
        missing[1 - axis] = (0, other - drawn.shape[1 - axis])
        if drawn is one:
            missing[axis] = (0, GAP)
        planes = zip(np.moveaxis(drawn, -1, 0), BACKGROUND[::-1], strict=True)
        padded.append(np.stack([np.pad(p, missing[:2], constant_values=v) for p, v in planes], -1))
    return np.concatenate(padded, axis=axis)


def plan_cards(
    frames: Sequence[Sequence[dict[str, Any]]],
    part_names: Sequence[str],
    person_threshold: float = 0.5,
    part_threshold: float = 0.1,
) -> Plan:
    """Cards for all frames of a video.

    Args:
        frames: People of each frame, numbered as by ``projects.apct.parses.follow_people``.
        part_names: All part names.
        person_threshold: Least score of a person.
        part_threshold: Least score of a part's state.
    """
    shown = [shown_people(people, person_threshold, part_threshold) for people in frames]
    return _plan([_persons(people, part_names, np.ones(4), None) for people in shown])


@lru_cache(maxsize=16)
def part_colours(part_names: tuple[str, ...]) -> dict[str, Colour]:
    """An RGB colour a part: a hue for each kind, the left one light, the right one strong.

    Args:
        part_names: All part names; ``left_x`` and ``right_x`` are of one kind.
    """
    kinds = list(dict.fromkeys(_kind(name) for name in part_names))
    colours = {}
    for name in part_names:
        hue = (0.145 + kinds.index(_kind(name)) / len(kinds)) % 1  # starts at yellow
        light = 0.8 if name.startswith('left_') else 0.56 if name.startswith('right_') else 0.66
        red, green, blue = colorsys.hls_to_rgb(hue, light, 0.95)
        colours[name] = (round(255 * red), round(255 * green), round(255 * blue))
    return colours


def _kind(name: str) -> str:
    return name.removeprefix('left_').removeprefix('right_')


def _persons(
    people: Sequence[dict[str, Any]],
    part_names: Sequence[str],
    factors: np.ndarray,
    size: tuple[int, int] | None,
) -> list[_Person]:
    """People as they are drawn, boxes scaled and clipped to the picture."""
    colours = part_colours(tuple(part_names))
    persons = []
    for index, person in enumerate(people):
        box = _clipped(person['box'], factors, size)
        if box is None:
            continue
        found = person.get('parts', {})
        parts = []
        for name in [*part_names, *(name for name in found if name not in colours)]:
            if name not in found:
                continue
            values = first_box(found[name])
            part_box = None if values is None else _clipped(values, factors, size)
            state = first_state(found[name])
            if part_box is not None or (values is None and state):
                parts.append(_Part(name, state, part_box, colours.get(name, SOFT)))
        number = person.get('number', index + 1)
        persons.append(_Person(number, person.get('score'), box, parts))
    return persons


def _clipped(
    box: Sequence[float], factors: np.ndarray, size: tuple[int, int] | None
) -> Rect | None:
    """A box in the picture; None if nothing of it is left."""
    values = np.asarray(box, dtype=float) * factors
    if size is not None:
        values = np.clip(values, 0, np.array([size[0] - 1, size[1] - 1] * 2))
    if not np.isfinite(values).all() or values[0] >= values[2] or values[1] >= values[3]:
        return None
    return tuple(float(value) for value in values)


def _draw_boxes(picture: np.ndarray, persons: Sequence[_Person]) -> None:
    """Draw all boxes into the picture, in place, small parts above large ones."""
    thin = 1 if max(picture.shape[:2]) < 1200 else 2
    for person in persons:
        _frame(picture, person.box, WHITE, thin)
    parts = [part for person in persons for part in person.parts if part.box is not None]
    parts.sort(key=lambda part: -(part.box[2] - part.box[0]) * (part.box[3] - part.box[1]))
    for part in parts:
        _fill(picture, part.box, part.colour, 0.06 if part.dim else 0.14)
        _frame(picture, part.box, part.colour, thin if part.dim else thin + 1)


def _corners(box: Rect) -> tuple[tuple[int, int], tuple[int, int]]:
    return (round(box[0]), round(box[1])), (round(box[2]), round(box[3]))


def _frame(picture: np.ndarray, box: Rect, colour: Colour, thickness: int) -> None:
    """A rectangle with a dark edge, to be seen on any background."""
    cv2.rectangle(picture, *_corners(box), (0, 0, 0), thickness + 2, cv2.LINE_AA)
    cv2.rectangle(picture, *_corners(box), colour[::-1], thickness, cv2.LINE_AA)


def _fill(picture: np.ndarray, box: Rect, colour: Colour, alpha: float) -> None:
    (x1, y1), (x2, y2) = _corners(box)
    inside = picture[y1 : y2 + 1, x1 : x2 + 1]
    inside[:] = np.round(inside * (1 - alpha) + np.array(colour[::-1]) * alpha)


def _with_callouts(picture: np.ndarray, persons: Sequence[_Person]) -> Image.Image | None:
    """The picture with labels left and right of the people; None if they do not fit."""
    height, width = picture.shape[:2]
    columns = callout_columns(persons)
    boxes = [box for person in persons for box in (person.box, *_part_boxes(person))]
    edges = (min(box[0] for box in boxes) - 30, max(box[2] for box in boxes) + 30)
    widths = [max((_label_width(item) for item in column), default=0) for column in columns]
    pad_left = max(0, round(widths[0] + GAP - edges[0])) if columns[0] else 0
    pad_right = max(0, round(edges[1] + widths[1] + GAP - width)) if columns[1] else 0
    placed = []
    for side, column in enumerate(columns):
        centres = [(item.box[1] + item.box[3]) / 2 for item in column]
        tops = spread(centres, CHIP + 4, GAP, height - GAP)
        if tops is None:
            return None
        for item, top in zip(column, tops, strict=True):
            x = edges[0] - _label_width(item) if side == 0 else edges[1]
            placed.append((item, side, x + pad_left, top))
    pads = (0, 0, pad_left, pad_right)
    canvas = cv2.copyMakeBorder(picture, *pads, cv2.BORDER_CONSTANT, value=BACKGROUND[::-1])
    for item, side, x, top in placed:
        start = (x + (_label_width(item) if side == 0 else 0), top + CHIP / 2)
        _leader(canvas, start, item, side, pad_left)
    drawn = Image.fromarray(canvas[..., ::-1])
    pen = ImageDraw.Draw(drawn, 'RGBA')
    for item, side, x, top in placed:
        _label(pen, item, side, round(x), round(top))
    return drawn


class _Callout(NamedTuple):
    words: tuple[str, str]
    box: Rect
    colour: Colour
    dim: bool


def callout_columns(persons: Sequence[_Person]) -> tuple[list[_Callout], list[_Callout]]:
    """Labels of one or two people, left and right of them.

    One person's labels go half to each side; two people have a side each.

    Args:
        persons: The people.
    """
    people = []
    for person in persons:
        score = '' if person.score is None else f'{person.score:.2f}'
        x1, y1, x2, _ = person.box
        head = _Callout(('person', score), (x1, y1, x2, y1), WHITE, False)
        boxed = [part for part in person.parts if part.box is not None]
        parts = [_Callout((p.name, p.state), p.box, p.colour, p.dim) for p in boxed]
        parts.sort(key=lambda item: item.box[0] + item.box[2])
        people.append((x1 + x2, head, parts))
    people.sort(key=lambda item: item[0])
    if len(people) == 2:
        left, right = ([head, *parts] for _, head, parts in people)
        return left, right
    _, head, parts = people[0]
    half = len(parts) // 2
    return [head, *parts[:half]], parts[half:]


def _part_boxes(person: _Person) -> list[Rect]:
    return [part.box for part in person.parts if part.box is not None]


def _leader(
    canvas: np.ndarray, start: tuple[float, float], item: _Callout, side: int, shift: int
) -> None:
    """A line from a label to the nearest edge of its box."""
    x1, y1, x2, y2 = item.box
    end = ((x1 if side == 0 else x2) + shift, min(max(start[1], y1), y2))
    ends = [tuple(round(value) for value in point) for point in (start, end)]
    cv2.line(canvas, *ends, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.line(canvas, *ends, item.colour[::-1], 2, cv2.LINE_AA)
    cv2.circle(canvas, ends[1], 5, (0, 0, 0), -1, cv2.LINE_AA)
    cv2.circle(canvas, ends[1], 4, item.colour[::-1], -1, cv2.LINE_AA)


def _label_width(item: _Callout) -> int:
    name, state = (_words(word) for word in item.words)
    return round(14 + _length(name) + (7 + _length(state, bold=True) if state else 0) + 8)


def _label(pen: ImageDraw.ImageDraw, item: _Callout, side: int, x: int, y: int) -> None:
    """A dark label with a stripe in the part's colour, its name and its state."""
    width = _label_width(item)
    pen.rounded_rectangle((x, y, x + width, y + CHIP), 4, fill=(*BACKGROUND, 225))
    stripe = x if side else x + width - 6  # where the line begins
    pen.rounded_rectangle((stripe, y, stripe + 6, y + CHIP), 3, fill=item.colour)
    x += 14 if side else 8
    name, state = (_words(word) for word in item.words)
    middle = y + CHIP / 2
    pen.text((x, middle), name, SOFT, _font(), anchor='lm')
    at = (x + 7 + _length(name), middle)
    pen.text(at, state, DIM if item.dim else WHITE, _font(bold=True), anchor='lm')


def _with_cards(picture: np.ndarray, persons: Sequence[_Person], plan: Plan) -> Image.Image:
    """The picture with numbers on the people and a card for each of them beside it."""
    height, width = picture.shape[:2]
    size = (plan.width, HEADER + plan.rows * ROW + GAP // 2)
    cards, panel = stack_cards(plan.people, size, height, GAP)
    canvas = Image.new('RGB', (width + round(panel[0]), max(height, round(panel[1]))), BACKGROUND)
    canvas.paste(Image.fromarray(np.ascontiguousarray(picture[..., ::-1])))
    pen = ImageDraw.Draw(canvas, 'RGBA')
    if not persons and not plan.people:
        pen.rounded_rectangle((GAP, GAP, GAP + 106, GAP + CHIP), 4, fill=(*BACKGROUND, 225))
        pen.text((GAP + 10, GAP + CHIP / 2), 'no person', SOFT, _font(), anchor='lm')
    heads = [p.box for person in persons for p in person.parts if p.name == 'head' and p.box]
    taken: list[Rect] = []
    for place, person in enumerate(sorted(persons, key=lambda person: person.number)):
        text = str(person.number)
        tag_size = (round(_length(text, bold=True)) + 14, CHIP)
        tag = place_tag(person.box, tag_size, taken, heads, (0, 0, width - 1, height - 1))
        taken.append(tag)
        pen.rounded_rectangle(tag, 4, fill=WHITE, outline=BACKGROUND)
        middle = ((tag[0] + tag[2]) / 2, (tag[1] + tag[3]) / 2)
        pen.text(middle, text, BACKGROUND, _font(bold=True), anchor='mm')
        place = person.number - 1 if _numbered(persons, plan) else place
        x, y = cards[place][:2]
        _card(pen, person, (x + width, y), plan)
    return canvas


def _numbered(persons: Sequence[_Person], plan: Plan) -> bool:
    """Whether the people's numbers are those of cards."""
    numbers = {person.number for person in persons}
    return len(numbers) == len(persons) and all(1 <= n <= plan.people for n in numbers)


def _card(
    pen: ImageDraw.ImageDraw, person: _Person, corner: tuple[float, float], plan: Plan
) -> None:
    """A person's number, score, parts and states."""
    x, y = corner
    bottom = y + HEADER + plan.rows * ROW + GAP // 2
    pen.rounded_rectangle((x, y, x + plan.width, bottom), 6, fill=CARD)
    middle = y + HEADER / 2
    pen.text((x + 12, middle), person.title, WHITE, _font(bold=True), anchor='lm')
    if person.score is not None:
        where = (x + plan.width - 12, middle)
        pen.text(where, f'{person.score:.2f}', SOFT, _font(), anchor='rm')
    names = max((_length(_words(part.name)) for part in person.parts), default=0)
    for row, part in enumerate(person.parts[: plan.rows]):
        middle = y + HEADER + (row + 0.5) * ROW
        pen.rounded_rectangle((x + 12, middle - 6, x + 24, middle + 6), 3, fill=part.colour)
        name_colour = DIM if part.dim else SOFT
        pen.text((x + 34, middle), _words(part.name), name_colour, _font(), anchor='lm')
        state_colour = DIM if part.dim else WHITE
        where = (x + 34 + names + 12, middle)
        pen.text(where, _words(part.state), state_colour, _font(bold=True), anchor='lm')


def _plan(frames: Sequence[Sequence[_Person]]) -> Plan:
    """Cards for people of several frames."""
    persons = [person for frame in frames for person in frame]
    people = max((len(frame) for frame in frames), default=0)
    if len(frames) > 1:
        people = max((person.number for person in persons), default=0)
    parts = [part for person in persons for part in person.parts]
    names = max((_length(_words(part.name)) for part in parts), default=0)
    states = max((_length(_words(part.state), bold=True) for part in parts), default=0)
    rows = max((len(person.parts) for person in persons), default=0)
    return Plan(people, rows, max(170, round(34 + names + 12 + states + 14)))


def _with_heading(drawn: Image.Image, heading: str) -> Image.Image:
    canvas = Image.new('RGB', (drawn.width, drawn.height + HEADER), BACKGROUND)
    canvas.paste(drawn, (0, HEADER))
    pen = ImageDraw.Draw(canvas)
    pen.text((12, HEADER / 2), heading, WHITE, _font(bold=True), anchor='lm')
    return canvas


def _words(name: str) -> str:
    """A name as it is shown."""
    text = name.replace('_', ' ')
    return text if len(text) <= 28 else f'{text[:27]}…'


@lru_cache(maxsize=4)
def _font(bold: bool = False) -> ImageFont.FreeTypeFont:
    """Matplotlib's own font, which is there wherever matplotlib is."""
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(str(Path(mpl.get_data_path(), 'fonts', 'ttf', name)), 15)


def _length(text: str, bold: bool = False) -> float:
    return _font(bold).getlength(text)
