"""What stands beside the pictures: a card with the best classes, and a line of time."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from projects.visualization import BACKGROUND, CARD, DIM, SOFT, WHITE, Colour, font

ACCENT, RIGHT, WRONG = (167, 139, 250), (102, 204, 138), (244, 122, 110)
"""Of the first class, of the true one, and of a truth that is another class."""
_TRACK = (60, 64, 73)
# Of classes along the time, by their first appearance; again from the start if there are more.
_SERIES = (
    *(ACCENT, (251, 191, 36), (56, 189, 206), (244, 114, 182), (163, 200, 70)),
    *((96, 150, 250), (251, 146, 90), (160, 170, 185)),
)
_PAD, _ROW = 18, 42
_MARGIN = 14  # of the line of time
_BAND = 24  # height of the coloured stretches


class Verdict(NamedTuple):
    """What a model says of a stretch of a clip."""

    topk: tuple[tuple[str, float], ...]
    """Names of the best classes with their scores 0..1, the best first; at least one."""
    start: int
    """First frame of the stretch."""
    stop: int
    """The frame behind its last one."""
    frames: np.ndarray
    """(T,) the frames that the model saw, rising."""
    truth: str | None = None
    """Name of the true class, if it is known."""


def class_colours(verdicts: Sequence[Verdict]) -> dict[str, Colour]:
    """A colour for each class that is the best one somewhere.

    Args:
        verdicts: In the order of time.
    """
    names = dict.fromkeys(verdict.topk[0][0] for verdict in verdicts)
    return {name: _SERIES[index % len(_SERIES)] for index, name in enumerate(names)}


def verdict_at(verdicts: Sequence[Verdict], frames: np.ndarray) -> np.ndarray:
    """Which verdict is nearest to a frame, by the middle of its stretch.

    Args:
        verdicts: In the order of time, at least one.
        frames: (F,) frames.

    Returns:
        (F,) indices; the earlier of two that are as near.
    """
    middles = np.array([(verdict.start + verdict.stop - 1) / 2 for verdict in verdicts])
    return np.searchsorted((middles[1:] + middles[:-1]) / 2, frames, side='left')


def score_card(
    verdict: Verdict, width: int = 320, height: int = 0, colour: Colour = ACCENT
) -> np.ndarray:
    """A card with the first class, its score, the truth, and bars of the best classes.

    The true class is green. A true class that is not among the best ones has no bar.

    Args:
        verdict: What is told.
        width: Pixels.
        height: Least height, pixels; what is told is never cut.
        colour: Of the first class.

    Returns:
        (at least ``height``, width, 3) uint8, BGR.
    """
    inner = width - 2 * _PAD
    name, score = verdict.topk[0]
    heading, lines = _wrapped(spoken(name), inner, (23, 20, 17), 3)
    leading = round(1.28 * heading.size)
    bars = _PAD + leading * len(lines) + 52
    truth = None if verdict.truth is None else _truth_lines(verdict, inner)
    if truth:
        bars += 22 * len(truth[1]) + 8
    needed = bars + _ROW * len(verdict.topk) + _PAD - 4
    canvas = Image.new('RGB', (width, max(height, needed)), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    pen.rounded_rectangle((0, 0, width - 1, canvas.height - 1), 10, fill=CARD)
    y = _PAD
    for line in lines:
        pen.text((_PAD, y + leading / 2), line, WHITE, heading, anchor='lm')
        y += leading
    pen.text((_PAD, y + 20), percent(score), colour, font(bold=True, size=26), anchor='lm')
    y += 44
    if truth:
        ink, told = truth
        for line in told:
            pen.text((_PAD, y + 11), line, ink, font(size=15), anchor='lm')
            y += 22
        y += 8
    pen.line((_PAD, y + 1, width - _PAD, y + 1), fill=_TRACK, width=1)
    for index, (name, score) in enumerate(verdict.topk):
        paint = colour if index == 0 else tuple((np.array(colour) * 0.45 + 55).astype(int))
        paint = RIGHT if name == verdict.truth else paint
        _bar(pen, (_PAD, bars + index * _ROW, width - _PAD), spoken(name), score, paint, index == 0)
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


def spoken(name: str) -> str:
    """The name of a class as it is read.

    Args:
        name: Such as ``baseball_pitch``.
    """
    return ' '.join(name.replace('_', ' ').split()) or '(no name)'


def percent(score: float) -> str:
    """A score as it is written.

    Args:
        score: 0..1.
    """
    share = 100 * float(score)
    return '< 0.1 %' if 0 < share < 0.1 else f'{share:.1f} %'


def _truth_lines(verdict: Verdict, width: int) -> tuple[Colour, list[str]]:
    """What the card says of the truth."""
    if verdict.truth == verdict.topk[0][0]:
        return RIGHT, ['✓ true class']
    return WRONG, _wrapped(f'✗ truth: {spoken(verdict.truth)}', width, (15,), 3, bold=False)[1]


def _bar(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float, float],
    name: str,
    score: float,
    colour: Colour,
    first: bool,
) -> None:
    """A class with its score, and a bar below them."""
    left, top, right = at
    number = percent(score)
    style = font(bold=first, size=14)
    ink = WHITE if first else SOFT
    room = right - left - style.getlength(number) - 14
    pen.text((left, top + 13), elided(name, style, room), ink, style, anchor='lm')
    pen.text((right, top + 13), number, ink, style, anchor='rm')
    y, share = top + 29, float(np.clip(score, 0, 1))
    pen.rounded_rectangle((left, y - 4, right, y + 4), 4, fill=_TRACK)
    length = share * (right - left)
    if length >= 1:
        pen.rounded_rectangle(
            (left, y - 4, left + length, y + 4), min(4, length / 2), fill=tuple(colour)
        )


@lru_cache(maxsize=512)
def elided(text: str, style: ImageFont.FreeTypeFont, width: float) -> str:
    """A text that is cut to a width, with an ellipsis at its end where it was.

    Args:
        text: One line.
        style: Its font.
        width: Pixels.
    """
    if style.getlength(text) <= width:
        return text
    while text and style.getlength(f'{text}…') > width:
        text = text[:-1].rstrip()
    return f'{text}…' if text else ''


def _wrapped(
    text: str, width: float, sizes: Sequence[int], most: int, bold: bool = True
) -> tuple[ImageFont.FreeTypeFont, list[str]]:
    """Lines of a text, in the largest of some sizes in which there are not too many; else cut."""
    pieces = re.split(r'(?<=[ /])', text)
    for size in sizes:
        style, lines = font(bold=bold, size=size), ['']
        for piece in pieces:
            if lines[-1] and style.getlength((lines[-1] + piece).rstrip()) > width:
                lines.append('')
            lines[-1] += piece
        lines = [line.rstrip() for line in lines]
        if len(lines) <= most and all(style.getlength(line) <= width for line in lines):
            return style, lines
    lines[most - 1 :] = [' '.join(lines[most - 1 :])]
    return style, [elided(line, style, width) for line in lines]


class TimeLine:
    """A line of time below a moving picture.

    Dots are the frames that the model saw, of a video in stretches those of the stretch at hand,
    which are coloured by their class. What does not change is drawn once.

    Args:
        width: Pixels.
        num_frames: Of the clip.
        rate: Frames a second.
        verdicts: One for the whole clip, or one for each stretch of it in the order of time.
        title: Stands below, in the middle.
    """

    def __init__(
        self,
        width: int,
        num_frames: int,
        rate: float,
        verdicts: Sequence[Verdict],
        title: str = '',
    ) -> None:
        self.num_frames, self.rate, self.verdicts = num_frames, rate, list(verdicts)
        self.in_stretches = len(self.verdicts) > 1
        self.left, self.right = _MARGIN, width - _MARGIN
        self.middle = 17 if not self.in_stretches else 8 + _BAND + 15
        self.below = self.middle + 25
        self.base = Image.new('RGB', (width, self.below + 15), BACKGROUND)
        pen = ImageDraw.Draw(self.base)
        if self.in_stretches:
            self._draw_stretches()
        track = (self.left, self.middle - 3, self.right, self.middle + 3)
        pen.rounded_rectangle(track, 3, fill=_TRACK)
        self.digits = 1 if num_frames / rate < 100 else 0
        end = f'{num_frames / rate:.{self.digits}f} s'
        small = font(size=13)
        pen.text((self.right, self.below), end, DIM, small, anchor='rm')
        room = self.right - self.left - 2 * small.getlength(end + ' of ')
        text = elided(title, small, room - 20)
        pen.text(((self.left + self.right) / 2, self.below), text, DIM, small, anchor='mm')

    def draw(self, frame: int, verdict: int = 0) -> np.ndarray:
        """The line when a frame is shown.

        Args:
            frame: From 0.
            verdict: Index of the stretch at hand.

        Returns:
            (height, width, 3) uint8, BGR.
        """
        canvas = self.base.copy()
        pen = ImageDraw.Draw(canvas)
        here = self._at(frame)
        passed = (self.left, self.middle - 3, max(here, self.left + 6), self.middle + 3)
        pen.rounded_rectangle(passed, 3, fill=DIM)
        frames = self.verdicts[verdict].frames
        size = float(np.clip(0.35 * (self.right - self.left) / max(len(frames), 1), 2.0, 4.0))
        for seen in dict.fromkeys(frames.tolist()):
            x = self._at(seen)
            radius = size + (1.5 if seen == frame else 0)
            dot = (x - radius, self.middle - radius, x + radius, self.middle + radius)
            pen.ellipse(dot, fill=ACCENT if seen <= frame else SOFT, outline=BACKGROUND)
        top = 4 if self.in_stretches else self.middle - 11
        pen.line((here, top, here, self.middle + 11), fill=WHITE, width=2)
        time = f'{frame / self.rate:.{self.digits}f} s'
        pen.text((self.left, self.below), time, WHITE, font(bold=True, size=13), anchor='lm')
        return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])

    def _at(self, frame: float) -> float:
        """Where a frame's middle lies, px."""
        return self.left + (frame + 0.5) / self.num_frames * (self.right - self.left)

    def _draw_stretches(self) -> None:
        """Colour the time by the best class, one piece for neighbours of the same one."""
        pen = ImageDraw.Draw(self.base)
        names = [verdict.topk[0][0] for verdict in self.verdicts]
        colours = class_colours(self.verdicts)
        middles = [(verdict.start + verdict.stop - 1) / 2 for verdict in self.verdicts]
        cuts = [
            index for index in range(1, len(names)) if names[index] != names[index - 1]
        ]  # where another class begins
        edges = [(middles[index - 1] + middles[index]) / 2 for index in cuts]
        edges = [-0.5, *edges, self.num_frames - 0.5]
        for number, first in enumerate([0, *cuts]):
            x1, x2 = self._at(edges[number]), self._at(edges[number + 1])
            colour = colours[names[first]]
            area = (x1 + (1 if number else 0), 8, max(x2 - 1, x1 + 1), 8 + _BAND)
            pen.rounded_rectangle(area, min(4, (area[2] - area[0]) / 2), fill=colour)
            style = font(bold=True, size=13)
            text = elided(spoken(names[first]), style, x2 - x1 - 14)
            if len(text) > 2:
                pen.text(((x1 + x2) / 2, 8 + _BAND / 2), text, BACKGROUND, style, anchor='mm')
