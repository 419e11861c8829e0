"""An action as a curve from phase to body-axis angles, and the naming of the body's parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import PchipInterpolator

from projects.synthetic.figure import CHANNELS
from projects.synthetic.supports import Support

Pose = Mapping[str, float]
Angles = dict[str, np.ndarray]
KINDS = ('stroke', 'gait', 'wander', 'hold')
PARTS = ('legs', 'torso', 'head', 'left arm', 'right arm')
SIDE_SIGN = {'left': 1.0, 'right': -1.0}
_LEG_JOINTS = ('pelvis', 'hip', 'knee', 'ankle', 'ball', 'lift', 'heading', 'root')
_HAND_SHIFTS = ('hand x', 'hand y', 'hand z')
SHIFTS = (
    *('root x', 'root y', 'root z'),
    *(f'{side} {name}' for side in ('left', 'right') for name in _HAND_SHIFTS),
)
"""Movements of a supported action from its support's places, mm; a hand's x is outwards."""


def part_of(channel: str) -> str:
    """Body part, one of ``PARTS``, that a one-sided or central angle belongs to."""
    side, _, rest = channel.partition(' ')
    joint = (rest if side in ('left', 'right') else channel).split()[0]
    if joint in _LEG_JOINTS:
        return 'legs'
    if joint in ('spine', 'chest'):
        return 'torso'
    return 'head' if joint in ('neck', 'head') else f'{side} arm'


def mirrored(pose: Mapping) -> dict:
    """The pose or the angle curves of the mirror image."""
    result = {}
    for name, value in pose.items():
        side, _, rest = name.partition(' ')
        if side in ('left', 'right'):
            result[f'{"right" if side == "left" else "left"} {rest}'] = value
        else:
            central = name.startswith(('pelvis', 'spine', 'chest', 'neck', 'head'))
            flips = (central and not name.endswith('flexion')) or name == 'root x'
            result[name] = -value if flips else value
    return result


def both_sides(pose: Pose) -> dict[str, float]:
    """The pose with each angle that drives both sides written out as left and right."""
    result: dict[str, float] = {}
    for name, value in pose.items():
        names = [name]
        if name in _HAND_SHIFTS:
            names = [f'left {name}', f'right {name}']
        elif name not in ('lift', 'heading', *SHIFTS):
            if name not in CHANNELS:
                raise ValueError(f'angle {name!r} is not one of {sorted(CHANNELS)}')
            if len(CHANNELS[name]) == 2:
                names = [f'left {name}', f'right {name}']
        for key in names:
            result[key] = result.get(key, 0.0) + value
    return result


@dataclass(frozen=True)
class Action:
    """A parametric action.

    Args:
        name: Its name.
        kind: ``stroke``: from the rest pose and back to it, ``keys`` say how; ``gait``: a
            cycle without rest, ``curves`` gives it; ``wander``: from one randomly chosen key pose
            to the next; ``hold``: the one key pose all the time.
        seconds: Mean time of a repetition.
        keys: Key poses ``(phase, pose)``, angles in degrees counted from neutral; ``lift`` is the
            height of a jump in mm, and ``SHIFTS`` move who has a ``support``. Between them the
            curve is monotone and smooth.
        curves: Of a gait: (T,) phase in repetitions to angles of the full swing, (T,) each.
        alternate: Every second repetition is the mirror image.
        rest: Pose that all angles are counted from instead of neutral, however far the action
            goes.
        support: What carries the body; None: its feet, wherever they are.
    """

    name: str
    kind: str
    seconds: float
    keys: tuple[tuple[float, Pose], ...] = ()
    curves: Callable[[np.ndarray], Angles] | None = None
    alternate: bool = False
    rest: Pose = field(default_factory=dict)
    support: Support | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f'action {self.name!r}: kind {self.kind!r} is not one of {KINDS}')
        if (self.curves is not None) != (self.kind == 'gait') or (
            bool(self.keys) == (self.kind == 'gait')
        ):
            raise ValueError(
                f'action {self.name!r}: a gait takes curves, any other kind takes keys'
            )

    @property
    def periodic(self) -> bool:
        """Whether the action has repetitions to count."""
        return self.kind in ('stroke', 'gait')

    def angles(self, phase: np.ndarray, rng: np.random.Generator) -> Angles:
        """Angles at full amplitude.

        Args:
            phase: (T,) phase since the start, in repetitions, not wrapped.
            rng: Draws the poses of a ``wander``; unused by other kinds.

        Returns:
            ``{name: (T,)}``, degrees (``lift`` mm).
        """
        if self.kind == 'gait':
            return self.curves(phase)
        poses = [both_sides(pose) for _, pose in self.keys]
        names = sorted({name for pose in poses for name in pose})
        values = np.array([[pose.get(name, 0.0) for name in names] for pose in poses])
        if self.kind == 'hold':
            curve = np.repeat(values[:1], len(phase), axis=0)
        elif self.kind == 'wander':
            first, last = int(np.floor(phase.min())) - 1, int(np.ceil(phase.max())) + 2
            chosen = values[rng.integers(len(values), size=last - first)]
            chosen = chosen * rng.uniform(0.7, 1.2, size=(len(chosen), 1))
            knots, chosen = _held(np.arange(first, last, dtype=float), chosen, hold=0.3)
            curve = PchipInterpolator(knots, chosen)(phase)
        else:
            curve = _stroke_curve([at for at, _ in self.keys], values, phase % 1.0)
        result = dict(zip(names, curve.T, strict=True))
        if not self.alternate:
            return result
        odd = np.floor(phase) % 2 == 1
        other = mirrored(result)
        zeros = np.zeros(len(phase))
        return {
            name: np.where(odd, other.get(name, zeros), result.get(name, zeros))
            for name in sorted({*result, *other})
        }


def _held(knots: np.ndarray, values: np.ndarray, hold: float) -> tuple[np.ndarray, np.ndarray]:
    """Each knot written twice, ``hold`` apart, so that its pose is kept for that long."""
    both = np.stack([knots - hold / 2, knots + hold / 2], axis=1).reshape(-1)
    return both, np.repeat(values, 2, axis=0)


def _stroke_curve(at: Sequence[float], values: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Key poses joined smoothly, neutral at phase 0 and 1 and level there."""
    rest = np.zeros((1, values.shape[1]))
    knots = np.array([-0.1, 0.0, *at, 1.0, 1.1])
    return PchipInterpolator(knots, np.concatenate([rest, rest, values, rest, rest]))(phase)


def cycle(phase: np.ndarray, *keys: tuple[float, float]) -> np.ndarray:
    """A smooth periodic curve through (phase, value) keys, phases ascending in [0, 1)."""
    at = np.array([phase for phase, _ in keys])
    values = np.array([value for _, value in keys])
    knots = np.concatenate([at - 1, at, at + 1])
    return PchipInterpolator(knots, np.tile(values, 3))(phase % 1.0)
