"""How a drawing looks: colours, sizes, and the people and parts that are in it."""

import colorsys
from functools import lru_cache
from typing import NamedTuple

from projects.labels import Rect
from projects.visualization import Colour, font

ROW, CHIP, HEADER, GAP = 20, 24, 30, 10  # heights of a card's row, a label and a card's head
UNTOLD = 'none'  # the state of parts about which there is nothing to say; drawn dimmer


class Part(NamedTuple):
    """A part as it is drawn."""

    name: str
    state: str
    box: Rect | None
    colour: Colour

    @property
    def dim(self) -> bool:
        """Whether there is nothing to say about it."""
        return self.state == UNTOLD


class Person(NamedTuple):
    """A person as it is drawn."""

    number: int
    score: float | None
    box: Rect
    parts: list[Part]

    @property
    def title(self) -> str:
        """Heading of the card."""
        return f'person {self.number}'


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


def words(name: str) -> str:
    """A name as it is shown.

    Args:
        name: Of a part or state.
    """
    text = name.replace('_', ' ')
    return text if len(text) <= 28 else f'{text[:27]}…'


def text_length(text: str, bold: bool = False) -> float:
    """Width of a text in pixels.

    Args:
        text: The text.
        bold: Whether it is bold.
    """
    return font(bold).getlength(text)
