"""Cards beside a picture: a person each, with all parts and their states."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from projects.apct.drawing.appearance import CHIP, GAP, HEADER, ROW, Person, text_length, words
from projects.labels import Rect, place_tag, stack_cards
from projects.visualization import BACKGROUND, CARD, DIM, SOFT, WHITE, font


class Plan(NamedTuple):
    """Cards that fit every frame of a video, so that none of them moves."""

    people: int
    """Places for people; those of number 1 to ``people`` have one."""
    rows: int
    """Rows of a card."""
    width: int
    """Width of a card."""


def with_cards(picture: np.ndarray, persons: Sequence[Person], plan: Plan) -> Image.Image:
    """Put numbers on the people and a card for each of them beside the picture.

    Args:
        picture: (height, width, 3) uint8, BGR, with its boxes.
        persons: The people.
        plan: Cards; at least as many as people.
    """
    height, width = picture.shape[:2]
    size = (plan.width, HEADER + plan.rows * ROW + GAP // 2)
    cards, panel = stack_cards(plan.people, size, height, GAP)
    canvas = Image.new('RGB', (width + round(panel[0]), max(height, round(panel[1]))), BACKGROUND)
    canvas.paste(Image.fromarray(np.ascontiguousarray(picture[..., ::-1])))
    pen = ImageDraw.Draw(canvas, 'RGBA')
    if not persons and not plan.people:
        pen.rounded_rectangle((GAP, GAP, GAP + 106, GAP + CHIP), 4, fill=(*BACKGROUND, 225))
        pen.text((GAP + 10, GAP + CHIP / 2), 'no person', SOFT, font(), anchor='lm')
    heads = [p.box for person in persons for p in person.parts if p.name == 'head' and p.box]
    taken: list[Rect] = []
    for place, person in enumerate(sorted(persons, key=lambda person: person.number)):
        text = str(person.number)
        tag_size = (round(text_length(text, bold=True)) + 14, CHIP)
        tag = place_tag(person.box, tag_size, taken, heads, (0, 0, width - 1, height - 1))
        taken.append(tag)
        pen.rounded_rectangle(tag, 4, fill=WHITE, outline=BACKGROUND)
        middle = ((tag[0] + tag[2]) / 2, (tag[1] + tag[3]) / 2)
        pen.text(middle, text, BACKGROUND, font(bold=True), anchor='mm')
        place = person.number - 1 if _numbered(persons, plan) else place
        x, y = cards[place][:2]
        _card(pen, person, (x + width, y), plan)
    return canvas


def _numbered(persons: Sequence[Person], plan: Plan) -> bool:
    """Whether the people's numbers are those of cards."""
    numbers = {person.number for person in persons}
    return len(numbers) == len(persons) and all(1 <= n <= plan.people for n in numbers)


def _card(
    pen: ImageDraw.ImageDraw, person: Person, corner: tuple[float, float], plan: Plan
) -> None:
    """A person's number, score, parts and states."""
    x, y = corner
    bottom = y + HEADER + plan.rows * ROW + GAP // 2
    pen.rounded_rectangle((x, y, x + plan.width, bottom), 6, fill=CARD)
    middle = y + HEADER / 2
    pen.text((x + 12, middle), person.title, WHITE, font(bold=True), anchor='lm')
    if person.score is not None:
        where = (x + plan.width - 12, middle)
        pen.text(where, f'{person.score:.2f}', SOFT, font(), anchor='rm')
    names = max((text_length(words(part.name)) for part in person.parts), default=0)
    for row, part in enumerate(person.parts[: plan.rows]):
        middle = y + HEADER + (row + 0.5) * ROW
        pen.rounded_rectangle((x + 12, middle - 6, x + 24, middle + 6), 3, fill=part.colour)
        name_colour = DIM if part.dim else SOFT
        pen.text((x + 34, middle), words(part.name), name_colour, font(), anchor='lm')
        state_colour = DIM if part.dim else WHITE
        where = (x + 34 + names + 12, middle)
        pen.text(where, words(part.state), state_colour, font(bold=True), anchor='lm')


def plan_people(frames: Sequence[Sequence[Person]]) -> Plan:
    """Cards for people of one or several frames.

    Args:
        frames: People of each frame.
    """
    persons = [person for frame in frames for person in frame]
    people = max((len(frame) for frame in frames), default=0)
    if len(frames) > 1:
        people = max((person.number for person in persons), default=0)
    parts = [part for person in persons for part in person.parts]
    names = max((text_length(words(part.name)) for part in parts), default=0)
    states = max((text_length(words(part.state), bold=True) for part in parts), default=0)
    rows = max((len(person.parts) for person in persons), default=0)
    return Plan(people, rows, max(170, round(34 + names + 12 + states + 14)))
