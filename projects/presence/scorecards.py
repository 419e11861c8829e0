"""Beside a picture: a card for each person with a bar for each keypoint; below it what is what."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from projects.labels import Rect, stack_cards
from projects.pose_look import CENTRE, LEFT, RIGHT, PoseLook, PosePerson, mark
from projects.visualization import BACKGROUND, CARD, DIM, SOFT, WHITE, font

HEADER, ROW, GAP, BAR = 30, 20, 10, 84
TRACK, WRONG = (60, 64, 73), (112, 43, 48)
_MARK = 5.0  # radius


def score_text(score: float) -> str:
    """A score as it is drawn: ``.23``, ``1.0``, nothing where it is not known.

    Args:
        score: 0..1.
    """
    if not np.isfinite(score):
        return ''
    text = f'{min(max(score, 0.0), 1.0):.2f}'
    return '1.0' if text == '1.00' else text[1:]


def score_cards(
    people: Sequence[PosePerson], look: PoseLook, threshold: float, height: int
) -> np.ndarray:
    """A card for each person: every keypoint with its mark, its score as a bar, and the truth.

    Where the truth is known and another, the row is red.

    Args:
        people: At least one person.
        look: Of the keypoints.
        threshold: Score from which a keypoint counts as present; a line in the bars.
        height: Of the picture that the cards lie beside.

    Returns:
        (at least ``height``, width, 3) uint8, BGR.
    """
    names = [name.replace('_', ' ') for name in look.layout.joint_names]
    longest = max(font().getlength(name) for name in names)
    with_truth = any(person.truth is not None for person in people)
    scored = any(person.scores is not None for person in people)
    width = round(36 + longest + (BAR + 58 if scored else 4) + (30 if with_truth else 0))
    rows = len(names) + with_truth
    size = (max(width, 200), HEADER + rows * ROW + GAP // 2)
    cards, panel = stack_cards(len(people), size, height, GAP)
    canvas = Image.new('RGB', (round(panel[0]), max(height, round(panel[1]))), BACKGROUND)
    pen = ImageDraw.Draw(canvas, 'RGBA')
    marks: list[tuple[tuple[float, float], int, bool]] = []
    for number, (person, card) in enumerate(zip(people, cards, strict=True), start=1):
        title = f'person {number}' if len(people) > 1 else 'person'
        _head(pen, card, title, person, with_truth)
        left = card[0] + 36 + longest + 12  # where the bars begin
        for joint, name in enumerate(names):
            middle = card[1] + HEADER + (joint + with_truth + 0.5) * ROW
            present = bool(person.present[joint])
            true = np.nan if person.truth is None else person.truth[joint]
            if np.isfinite(true) and bool(true) != present:
                row = (card[0] + 5, middle - ROW / 2 + 1, card[2] - 5, middle + ROW / 2 - 1)
                pen.rounded_rectangle(row, 4, fill=WRONG)
            marks.append(((card[0] + 20, middle), joint, present))
            ink = SOFT if present else DIM
            pen.text((card[0] + 36, middle), name, WHITE if present else ink, font(), anchor='lm')
            if person.scores is not None:
                _bar(pen, (left, middle), look.colours[joint], person.scores[joint], threshold)
                text = score_text(person.scores[joint])
                style = dict(font=font(bold=present), anchor='rm')
                pen.text((left + BAR + 40, middle), text, WHITE if present else SOFT, **style)
            if person.truth is not None:
                at = (card[2] - 18, middle)
                if np.isfinite(true):
                    marks.append((at, joint, bool(true)))
                else:
                    pen.text(at, '–', DIM, font(), anchor='mm')
    drawn = np.ascontiguousarray(np.asarray(canvas)[..., ::-1])
    for at, joint, present in marks:
        mark(drawn, np.array(at), _MARK, look.colours[joint], present)
    return drawn


def _head(
    pen: ImageDraw.ImageDraw, card: Rect, title: str, person: PosePerson, with_truth: bool
) -> None:
    """The card itself, whose it is, and how many keypoints are there."""
    pen.rounded_rectangle(card, 6, fill=CARD)
    middle = card[1] + HEADER / 2
    pen.text((card[0] + 12, middle), title, WHITE, font(bold=True), anchor='lm')
    count = f'{int(np.sum(person.present))} of {len(person.present)} present'
    pen.text((card[2] - 12, middle), count, SOFT, font(), anchor='rm')
    if with_truth:
        middle = card[1] + HEADER + ROW / 2
        small = font(size=12)
        pen.text((card[0] + 12, middle), 'predicted', DIM, small, anchor='lm')
        pen.text((card[2] - 8, middle), 'true', DIM, small, anchor='rm')


def _bar(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    colour: tuple[int, int, int],
    score: float,
    threshold: float,
) -> None:
    """A score as a bar, with a line at the threshold; dim below it."""
    x, y = at
    pen.rounded_rectangle((x, y - 4, x + BAR, y + 4), 3, fill=TRACK)
    if np.isfinite(score):
        share = min(max(float(score), 0.0), 1.0)
        paint = colour if score >= threshold else tuple(round(0.55 * part) for part in colour)
        if share * BAR >= 1:
            pen.rounded_rectangle(
                (x, y - 4, x + share * BAR, y + 4), min(3, share * BAR / 2), paint
            )
    pen.line((x + threshold * BAR, y - 7, x + threshold * BAR, y + 7), fill=WHITE, width=1)


def legend(
    look: PoseLook, width: int, threshold: float, measure: str, scores: bool = True
) -> np.ndarray:
    """A strip that says what discs, rings, numbers and colours are.

    Args:
        look: Of the keypoints; only colours that it has are explained.
        width: Of the strip.
        threshold: Score from which a keypoint counts as present.
        measure: What the numbers are.
        scores: Whether there are numbers.

    Returns:
        (height, width, 3) uint8, BGR; high enough for all.
    """
    told = f'present ({measure} ≥ {threshold:.2f})'.replace('0.', '.')
    items: list[tuple[str, tuple[int, int, int] | None, bool]] = [(told, WHITE, True)]
    items.append(('absent', WHITE, False))
    if scores:
        items.append((f'.23  {measure}', None, True))
    for name, colour in (('left', LEFT), ('right', RIGHT), ('centre', CENTRE)):
        if colour in look.colours:
            items.append((name, colour, True))
    places, x, line = [], GAP + 4.0, 0
    for text, colour, _ in items:
        taken = (20 if colour else 0) + font(size=14).getlength(text)
        if x > GAP + 4 and x + taken > width - GAP:
            x, line = GAP + 4.0, line + 1
        places.append((x, 17.0 + 24 * line))
        x += taken + 22
    canvas = Image.new('RGB', (width, 34 + 24 * line), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for (text, colour, _), (x, y) in zip(items, places, strict=True):
        if colour is None:
            pen.text((x, y), text[:3], WHITE, font(bold=True, size=14), anchor='lm')
            number = font(bold=True, size=14).getlength(text[:3])
            pen.text((x + number + 6, y), text[5:], SOFT, font(size=14), anchor='lm')
        else:
            pen.text((x + 20, y), text, SOFT, font(size=14), anchor='lm')
    drawn = np.ascontiguousarray(np.asarray(canvas)[..., ::-1])
    for (_, colour, solid), place in zip(items, places, strict=True):
        if colour is not None:
            mark(drawn, np.array(place) + (6, 0), 5.5, colour, solid)
    return drawn
