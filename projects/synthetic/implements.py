"""What Penn Action's actions are done with, drawn through joints: bats, balls, barbells, a rope.

The joints do not tell of these things, a picture does. All sizes are in mm and become pixels by
the size at which the person is seen. What is held at a wrist points where the forearm does.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import uniform_filter1d

from projects.penn_labels import CLASS_NAMES
from projects.synthetic.pieces import (
    BEHIND,
    BETWEEN,
    CIRCLE,
    FRONT,
    SHOULDERS,
    SIDES,
    WRISTS,
    Clip,
    Piece,
    median_over_time,
    unit,
)

_TURN = (12.0, 15.0)  # frames of a rope's turn of half a second, at 25 to 30 a second
_SECOND = 28.0  # frames
_VIVID = (
    (40, 40, 205),
    (200, 70, 30),
    (40, 150, 40),
    (150, 30, 140),
    (20, 140, 235),
    (170, 150, 0),
)
_WOOD = ((120, 175, 215), (60, 110, 165), (35, 60, 105))
_DARK = ((35, 35, 35), (60, 50, 45))
_METAL = ((175, 175, 175), (215, 215, 215))


def sample_implements(
    action: str,
    joints: np.ndarray,
    usable: np.ndarray,
    scale: np.ndarray,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> list[Piece]:
    """What a person has in an action of Penn Action, in all frames of a clip.

    Hands hold it where they are usable. The throwing or hitting hand is the wrist that is fastest
    at any time beside the trunk; a ball is released, or hit, then. Jumping jacks, push-ups and
    sit-ups need nothing.

    Args:
        action: One of :data:`projects.penn_labels.CLASS_NAMES`.
        joints: (T, 13, 2) px.
        usable: (T, 13) bool.
        scale: (T,) px a mm; nothing is shown where it is 0.
        size: Width and height of the pictures, px.
        rng: Source of chance: colours, a rope's phase, how a racket is turned.

    Returns:
        The pieces, in the order of drawing.

    Raises:
        ValueError: If there is no such action.
    """
    if action not in CLASS_NAMES:
        raise ValueError(f'action is {action!r}, expected one of {", ".join(CLASS_NAMES)}')
    if action not in _THINGS or not len(joints):
        return []
    return _THINGS[action](Clip(joints, usable, scale, size, rng))


def _pitch(clip: Clip) -> list[Piece]:
    throws, other, release = clip.fastest()
    glove = clip.ball(*clip.hand(other, 80.0), 120.0, clip.colour((35, 65, 120), (30, 45, 75)))
    hand, shown = clip.hand(throws, 80.0)
    return glove + clip.ball(hand, shown & (clip.frames <= release), 37.0, (240, 240, 240))


def _bowl(clip: Clip) -> list[Piece]:
    swings, _, release = clip.fastest()
    hand, shown = clip.hand(swings, 130.0)
    shown = shown & (clip.frames <= release)
    return clip.ball(hand, shown, 108.0, clip.colour(*_VIVID), glossy=True)


def _bat(clip: Clip) -> list[Piece]:
    (hands, held), (axis, known) = clip.mean(*WRISTS), clip.forearm(*SIDES)
    shown = held & known
    return [
        Piece(clip.rod(hands, axis, along, radii), colour, shown)
        for along, radii, colour in (
            ((120.0, 780.0), (12.0, 33.0), clip.colour(*_WOOD, *_METAL, *_DARK)),
            ((-60.0, 200.0), (16.0, 14.0), clip.colour(*_DARK)),
        )
    ]


def _club(clip: Clip) -> list[Piece]:
    (hands, held), (axis, known) = clip.mean(*WRISTS), clip.forearm(*SIDES)
    ankles, stands = clip.mean('left_ankle', 'right_ankle')
    # it leans towards the camera or away from it where it would go into the ground
    depth = (ankles[:, 1] - hands[:, 1]) / clip.scale + 100
    length = np.where(stands & (axis[:, 1] > 0), depth / np.maximum(axis[:, 1], 1e-3), 1000.0)
    length = np.clip(length, 500, 1000)
    side = clip.rng.choice([-1.0, 1.0])
    head = np.array([[-30, 0], [20, 0], [25, 100], [-10, 90]]) * [1.0, side]
    head = head + np.stack([length, 0 * length], axis=-1)[:, None]
    metal, shown = clip.colour(*_METAL), held & known
    return [
        Piece(clip.rod(hands, axis, (0.0, length), (9.0, 7.0)), metal, shown),
        Piece(clip.rod(hands, axis, (-60.0, 200.0), (14.0, 12.0)), clip.colour(*_DARK), shown),
        Piece(clip.place(hands, axis, head), clip.colour(*_METAL, *_DARK), shown),
    ]


def _racket(clip: Clip) -> list[Piece]:
    side = clip.fastest()[0]
    (hand, held), (axis, known) = clip.mean(f'{side}_wrist'), clip.forearm(side)
    shown = held & known
    half = np.array([165.0, 130.0 * clip.rng.uniform(0.5, 1.0)])  # turned, its face is narrower
    middle = np.array([560.0, 0.0])
    rim = clip.place(hand, axis, middle + half * CIRCLE)
    at = np.array([-0.6, -0.2, 0.2, 0.6])
    reach = np.sqrt(1 - at**2)
    long = [np.stack([sign * reach, at], axis=-1) for sign in (-1, 1)]
    strings = np.stack(long, axis=1)  # (4, 2, 2)
    strings = np.concatenate([strings, strings[..., ::-1]]) * half + middle
    strings = clip.place(hand, axis, strings.reshape(-1, 2)).reshape(len(hand), -1, 2, 2)
    colour = clip.colour(*_VIVID, *_DARK)
    return [
        Piece(strings, (215.0, 225.0, 225.0), shown, width=np.ones(len(hand))),
        Piece(clip.rod(hand, axis, (40.0, 400.0), (17.0, 13.0)), clip.colour(*_DARK), shown),
        Piece(rim[:, None], colour, shown, width=26 * clip.scale),
    ]


def _serve(clip: Clip) -> list[Piece]:
    hits, other, hit = clip.fastest()
    hand, shown = clip.hand(other, 80.0)
    # tossed where that hand is highest, the ball flies until it meets the racket
    toss = int(hand[: hit + 1, 1].argmin())
    racket = (clip.hand(hits, 500.0)[0])[hit]
    passed = np.clip((clip.frames - toss) / max(hit - toss, 1), 0, 1)[:, None]
    rise = 9810 / 8 * ((hit - toss) / _SECOND) ** 2
    arc = 4 * passed * (1 - passed) * min(rise, 1200.0) * clip.scale[:, None] * [0.0, 1.0]
    flight = (1 - passed) * hand[toss] + passed * racket - arc
    centre = np.where(clip.frames[:, None] <= toss, hand, flight)
    ball = clip.ball(centre, shown & (clip.frames <= hit), 33.0, (60, 240, 220))
    return _racket(clip) + ball


def _barbell(
    clip: Clip, apart: float, *, hold: tuple[str, str] = WRISTS, layer: int = FRONT
) -> list[Piece]:
    """A bar through two joints, which stand some mm apart where it is seen from its side."""
    (middle, shown), along = clip.mean(*hold), clip.across(*hold)
    # how much of the bar is seen from its side, and of its plates from theirs
    seen = np.clip(np.linalg.norm(along, axis=-1) / (apart * clip.scale), 0, 1)  # (T,)
    seen = median_over_time(seen, 9)
    axis = np.where(seen[:, None] > 0.03, unit(along), [1.0, 0.0])
    face = np.stack([np.sqrt(1 - seen**2), np.ones_like(seen)], axis=-1)[:, None]  # (T, 1, 2)
    bar = clip.rod(middle, axis, (-1050 * seen, 1050 * seen), (17.0, 17.0))
    pieces = [Piece(bar, clip.colour(*_METAL), shown, layer)]
    colour = clip.colour(*_VIVID, *_DARK, *_DARK)
    dark = tuple(0.55 * value for value in colour)
    near = clip.rng.choice([-1.0, 1.0])
    for side, depth in ((-near, BEHIND), (near, FRONT)):
        for radius, shade, ends in ((225.0, dark, (680, 760)), (180.0, colour, (700, 760))):
            discs = [
                radius * face * CIRCLE + (side * end * seen)[:, None, None] * [1.0, 0.0]
                for end in ends
            ]
            discs = clip.place(middle, axis, np.concatenate(discs, axis=1))
            pieces.append(Piece(discs, shade, shown, depth))
    return pieces


def _bench_press(clip: Clip) -> list[Piece]:
    return _barbell(clip, 650.0)


def _clean_and_jerk(clip: Clip) -> list[Piece]:
    return _barbell(clip, 520.0)


def _squat(clip: Clip) -> list[Piece]:
    """The bar lies behind the neck, on the shoulders; of many clips no wrist is known."""
    if clip.mean(*WRISTS)[1].any():
        return _barbell(clip, 430.0, layer=BEHIND)
    return _barbell(clip, 290.0, hold=SHOULDERS, layer=BEHIND)


def _pullup(clip: Clip) -> list[Piece]:
    hands, held = clip.mean(*WRISTS)
    height = median_over_time(hands[:, 1], 31) - 40 * clip.scale
    origin = np.stack([np.zeros_like(height), height], axis=-1)
    axis = np.broadcast_to([1.0, 0.0], origin.shape)
    bar = clip.rod(origin, axis, (-9 / clip.scale, (clip.size[0] + 9) / clip.scale), (19.0, 19.0))
    return [Piece(bar, clip.colour(*_METAL, *_DARK), held, BEHIND)]


def _rope(clip: Clip) -> list[Piece]:
    (left, found), (right, also) = (clip.hand(side, 60.0) for side in SIDES)
    middle, scale = (left + right) / 2, clip.scale
    feet, stands = clip.mean('left_ankle', 'right_ankle')
    head, seen = clip.mean('head')
    below = np.where(stands, (feet - middle)[:, 1] / scale + 110, 1050.0)
    above = np.where(seen, (middle - head)[:, 1] / scale + 230, 1000.0)
    turn = 2 * np.pi * (clip.frames / clip.rng.uniform(*_TURN) + clip.rng.random())
    down, near = np.cos(turn), np.sin(turn)
    fall = down * np.where(down > 0, np.maximum(below, 500), np.maximum(above, 500))
    # from the side, where the hands fall together, the rope swings forwards and back
    apart = np.clip(np.linalg.norm(right - left, axis=-1) / (620 * scale), 0, 1)
    swing = np.stack([900 * near * np.sqrt(1 - apart**2), fall], axis=-1) * scale[:, None]
    share = np.linspace(0, 1, 25)[:, None]
    line = left[:, None] * (1 - share) + right[:, None] * share
    line = line + np.sin(np.pi * share) ** 0.6 * swing[:, None]  # (T, 25, 2)
    colour = clip.colour(*_VIVID, *_DARK, (230, 230, 230))
    layer = np.where(near > 0, FRONT, BEHIND)
    return [Piece(line[:, None], colour, found & also, layer, 16 * scale)]


def _guitar(clip: Clip) -> list[Piece]:
    strums = int(clip.speeds().mean(axis=0).argmax())
    hand, shown = clip.mean(WRISTS[strums])
    along = clip.across(WRISTS[strums], WRISTS[1 - strums])
    if not along.any():  # the other hand is out of the picture
        along = clip.across(SHOULDERS[strums], SHOULDERS[1 - strums])
    hand = median_over_time(hand, 9)  # the hand moves, the guitar rests
    axis = unit(uniform_filter1d(along, 9, axis=0, mode='nearest'))
    shown = shown & axis.any(axis=1)
    wood = clip.colour(*_WOOD, *_VIVID)
    dark, black = tuple(0.5 * value for value in wood), clip.colour(*_DARK)
    neck = clip.colour((40, 60, 90), (30, 35, 45))
    pieces = [
        Piece(clip.place(hand, axis, grown * CIRCLE * half + [at, 0.0]), colour, shown, BETWEEN)
        for grown, colour in ((1.1, dark), (1.0, wood))
        for at, half in ((-130.0, [165, 185]), (90.0, [145, 135]))
    ]
    hole = clip.place(hand, axis, 50 * CIRCLE + [60.0, 0.0])
    pieces.append(Piece(hole, black, shown, BETWEEN))
    for along_neck, radii in (((90.0, 600.0), (28.0, 24.0)), ((600.0, 760.0), (36.0, 42.0))):
        pieces.append(Piece(clip.rod(hand, axis, along_neck, radii), neck, shown, BETWEEN))
    return pieces


_THINGS: dict[str, Callable[[Clip], list[Piece]]] = {
    'baseball_pitch': _pitch,
    'baseball_swing': _bat,
    'bench_press': _bench_press,
    'bowl': _bowl,
    'clean_and_jerk': _clean_and_jerk,
    'golf_swing': _club,
    'jump_rope': _rope,
    'pullup': _pullup,
    'squat': _squat,
    'strum_guitar': _guitar,
    'tennis_forehand': _racket,
    'tennis_serve': _serve,
}
