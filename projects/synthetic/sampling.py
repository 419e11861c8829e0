"""Sampling of motions: people's styles, timelines of repetitions, and mixes of actions.

A timeline says when each repetition of an action starts, how long it takes and how far it goes.
The layers' angles add up, and the root follows from the feet
(:func:`projects.synthetic.figure.ground_translation`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import PchipInterpolator

from projects.synthetic.actions import ACTIONS
from projects.synthetic.curves import (
    PARTS,
    SHIFTS,
    SIDE_SIGN,
    Action,
    Angles,
    Pose,
    both_sides,
    mirrored,
    part_of,
)
from projects.synthetic.figure import (
    NEUTRAL,
    Motion,
    ground_translation,
    rotations_from_angles,
)
from projects.synthetic.supports import supported


@dataclass(frozen=True)
class Style:
    """How one person moves, the same in all of that person's motions.

    Args:
        tempo: Factor on the speed.
        amplitude: Factor on all angles of an action.
        asymmetry: Left arm, and left leg in a gait, move ``1 + asymmetry`` times as far, the
            right ones ``1 - asymmetry`` times.
        left_handed: One-sided actions are the mirror image.
        posture: Angles added all the time, degrees.
    """

    tempo: float = 1.0
    amplitude: float = 1.0
    asymmetry: float = 0.0
    left_handed: bool = False
    posture: Pose = field(default_factory=dict)

    @classmethod
    def sample(cls, rng: np.random.Generator) -> 'Style':
        """A random person."""
        spread = {
            'spine flexion': 3.0,
            'neck flexion': 4.0,
            'head flexion': 4.0,
            'shoulder abduction': 3.0,
            'shoulder flexion': 4.0,
            'elbow flexion': 5.0,
            'hip twist': 3.0,
            'clavicle abduction': 3.0,
        }
        return cls(
            tempo=float(np.exp(rng.uniform(-0.15, 0.15))),
            amplitude=float(rng.uniform(0.86, 1.12)),
            asymmetry=float(np.clip(rng.normal(0.0, 0.04), -0.1, 0.1)),
            left_handed=bool(rng.random() < 0.15),
            posture={
                name: float(np.clip(rng.normal(0.0, deg), -2 * deg, 2 * deg))
                for name, deg in spread.items()
            },
        )


@dataclass(frozen=True)
class Timeline:
    """When an action's repetitions happen.

    Args:
        phase: (T,) repetitions since the start, non-decreasing.
        amplitude: (T,) factor on the angles.
        repetitions: (R, 2) int frames of each complete, not aborted repetition.
    """

    phase: np.ndarray
    amplitude: np.ndarray
    repetitions: np.ndarray

    @classmethod
    def sample(
        cls,
        action: Action,
        num_frames: int,
        fps: float,
        rng: np.random.Generator,
        difficulty: float = 0.3,
        tempo: float = 1.0,
        aborts: float | None = None,
    ) -> 'Timeline':
        """A random timeline.

        A stroke that would be cut by the end of the clip is not begun; a gait starts anywhere in
        its cycle and goes on to the end, its cut cycles uncounted.

        Args:
            action: The action.
            num_frames: T.
            fps: Frames per second.
            rng: Source of chance.
            difficulty: In [0, 1]: spread of tempo and amplitude between repetitions, and how
                often there are pauses and aborted repetitions.
            tempo: Factor on the speed.
            aborts: Share of aborted repetitions; None: by the difficulty.
        """
        share = 0.18 * difficulty if aborts is None else aborts
        total, mean = num_frames / fps, action.seconds / tempo
        stroke = action.kind == 'stroke'
        time = 0.0 if stroke else -mean * rng.uniform(0.0, 1.0)
        knots, phases = [time - mean, time], [0.0 if stroke else -1.0, 0.0]
        centres, amplitudes, bounds, drift = [time - mean / 2], [1.0], [], 0.0

        def advance(seconds: float, amount: float, amplitude: float) -> None:
            nonlocal time
            centres.append(time + seconds / 2)
            amplitudes.append(amplitude)
            time += seconds
            knots.append(time)
            phases.append(phases[-1] + amount)

        if stroke and difficulty > 0:
            advance(difficulty * rng.uniform(0.1, 0.8), 0.0, 0.0)
        while time < total:
            drift = 0.7 * drift + 0.35 * difficulty * rng.normal()
            seconds = mean * float(np.clip(np.exp(drift), 0.75, 1.9))
            amplitude = 1.0 + difficulty * float(np.clip(0.22 * rng.normal(), -0.35, 0.2))
            abort = rng.random() < share
            if stroke and abort and time + 0.7 * seconds <= total:
                # a short way there and back, left out of the count
                advance(0.7 * seconds, 1.0, rng.uniform(0.2, 0.4))
                continue
            if stroke and time + seconds > total:
                advance(total - time + 1.0, 0.0, 0.0)
                break
            start = time
            advance(seconds, 1.0, amplitude)
            if action.periodic:
                bounds.append((start, time))
            if action.periodic and rng.random() < 0.25 * difficulty:
                advance(rng.uniform(0.4, 1.8), 0.0, 0.0)
        advance(mean, 0.0 if stroke else 1.0, 1.0)

        frames = np.arange(num_frames) / fps
        if stroke:  # at whole phases its curves vanish and are level: tempo and amplitude may jump
            phase = np.interp(frames, knots, phases)
            segment = np.searchsorted(knots[1:], frames, side='right')
            amplitude = np.array([*amplitudes, 0.0])[np.minimum(segment, len(amplitudes))]
        else:
            phase = PchipInterpolator(knots, phases)(frames)
            amplitude = PchipInterpolator(centres, amplitudes)(frames)
        repetitions = np.rint(np.array(bounds).reshape(-1, 2) * fps).astype(np.int64)
        inside = (repetitions[:, 0] >= 0) & (repetitions[:, 1] <= num_frames)
        repetitions = repetitions[inside & (repetitions[:, 1] > repetitions[:, 0])]
        return cls(phase=phase, amplitude=amplitude, repetitions=repetitions)


@dataclass(frozen=True)
class Layer:
    """One action's share of a mix.

    Args:
        action: Name of the action.
        weight: Factor on its angles.
        parts: Body parts it moves, of ``PARTS`` (for a right-handed person).
    """

    action: str
    weight: float = 1.0
    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        _check_action(self.action)
        unknown = sorted(set(self.parts) - set(PARTS))
        if unknown:
            raise ValueError(f'layer {self.action!r}: parts {unknown} are not of {PARTS}')


def check_names(name: str, values: Sequence, allowed: Sequence) -> None:
    """Refuse values that are not of the allowed ones, or no values at all.

    Args:
        name: Of the option, for the message.
        values: What was given.
        allowed: What may be, in the order of the message.

    Raises:
        ValueError: If there are none, or one is not allowed.
    """
    if not len(values):
        raise ValueError(f'{name} is empty, expected some of {list(allowed)}')
    for value in values:
        if value not in allowed:
            raise ValueError(f'{name}: {value!r} is not one of {list(allowed)}')


def _check_action(name: str) -> None:
    if name not in ACTIONS:
        raise ValueError(f'action {name!r} is not one of {sorted(ACTIONS)}')


def smooth_noise(
    num_frames: int, fps: float, rng: np.random.Generator, *, num_waves: int = 6
) -> np.ndarray:
    """(T,) noise of unit variance: waves of random phase between 0.1 and 1.2 Hz."""
    times = np.arange(num_frames) / fps
    frequency = rng.uniform(0.1, 1.2, size=(num_waves, 1))
    shift = rng.uniform(0.0, 2 * np.pi, size=(num_waves, 1))
    return np.sin(2 * np.pi * frequency * times + shift).sum(axis=0) * np.sqrt(2 / num_waves)


def sample_motion(
    action: str,
    num_frames: int,
    fps: float,
    rng: np.random.Generator,
    *,
    difficulty: float = 0.3,
    style: Style | None = None,
    aborts: float | None = None,
) -> Motion:
    """A random motion of one action.

    Args:
        action: Name in ``ACTIONS``.
        num_frames: Number of frames T.
        fps: Frames per second.
        rng: Source of chance: the same state gives the same motion.
        difficulty: In [0, 1]. 0 is steady and periodic; 1 has strong changes of tempo and
            amplitude, noise, pauses and aborted repetitions.
        style: The person; drawn from ``rng`` if not given.
        aborts: Share of aborted repetitions; None: by the difficulty.

    Returns:
        The motion, facing the world's z axis at the start.

    Raises:
        ValueError: If the action is unknown or a number is out of range.
    """
    return sample_mix(
        (Layer(action),),
        num_frames,
        fps,
        rng,
        difficulty=difficulty,
        style=style,
        name=action,
        aborts=aborts,
    )


def sample_mix(
    layers: Sequence[Layer],
    num_frames: int,
    fps: float,
    rng: np.random.Generator,
    *,
    difficulty: float = 0.3,
    style: Style | None = None,
    name: str = '',
    aborts: float | None = None,
) -> Motion:
    """A random motion of several actions at once, each on its own timeline.

    Args:
        layers: The actions; the repetitions are those of the first periodic one, the support is
            that of the first.
        num_frames: See :func:`sample_motion`.
        fps: See :func:`sample_motion`.
        rng: See :func:`sample_motion`.
        difficulty: See :func:`sample_motion`.
        style: See :func:`sample_motion`.
        name: Name of the whole, for ``Motion.action``.
        aborts: See :func:`sample_motion`.

    Returns:
        The motion.

    Raises:
        ValueError: If there is no layer or a number is out of range.
    """
    if not layers:
        raise ValueError('layers is empty, expected at least one Layer')
    if num_frames < 1:
        raise ValueError(f'num_frames is {num_frames}, expected at least 1')
    if not fps > 0:
        raise ValueError(f'fps is {fps!r}, expected a positive number')
    for number, value in (('difficulty', difficulty), ('aborts', aborts)):
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f'{number} is {value!r}, expected a number in [0, 1]')
    support = ACTIONS[layers[0].action].support
    style = Style.sample(rng) if style is None else style
    total: Angles = {}
    planted: Angles = {}  # what moves the legs of a figure whose soles stay flat
    repetitions: np.ndarray | None = None
    turning = np.zeros(num_frames)
    for layer in layers:
        action = ACTIONS[layer.action]
        timeline = Timeline.sample(action, num_frames, fps, rng, difficulty, style.tempo, aborts)
        if action.periodic and repetitions is None:
            repetitions = timeline.repetitions
        angles = action.angles(timeline.phase, rng)
        angles = {key: value for key, value in angles.items() if part_of(key) in layer.parts}
        gain = timeline.amplitude * layer.weight * style.amplitude
        angles = {key: gain * value for key, value in angles.items()}
        if action.kind == 'gait' and difficulty > 0:
            turning += 40 * difficulty * gain * smooth_noise(num_frames, fps, rng, num_waves=3)
        angles = mirrored(angles) if style.left_handed else angles
        for key, value in angles.items():
            if action.kind == 'gait' or part_of(key) != 'legs':  # who stands, stands on both feet
                value = value * (1 + style.asymmetry * SIDE_SIGN.get(key.split()[0], 0))
            for target in (total, planted) if action.kind != 'gait' else (total,):
                target[key] = target.get(key, 0.0) + value
        rest = both_sides(action.rest)
        for key, value in (mirrored(rest) if style.left_handed else rest).items():
            if part_of(key) in layer.parts:
                total[key] = total.get(key, 0.0) + layer.weight * np.full(num_frames, value)
    if support is None:
        _flatten_soles(total, planted, num_frames)
    steadiness = 1.0 if support is None else _STEADIED
    for key, value in both_sides(style.posture).items():
        total[key] = total.get(key, 0.0) + steadiness * value
    if difficulty > 0:
        for key in _NOISY:
            size = difficulty * _NOISY[key] * steadiness
            total[key] = total.get(key, 0.0) + size * smooth_noise(num_frames, fps, rng)
        total['heading'] = np.cumsum(turning) / fps
    for key in (f'{side} {joint} flexion' for side in SIDE_SIGN for joint in ('elbow', 'knee')):
        if key in total:  # hinges do not bend the other way
            total[key] = np.maximum(total[key], -NEUTRAL[key.partition(' ')[2]])
    lift = np.maximum(total.pop('lift', np.zeros(num_frames)), 0.0)
    shifts = {key: total.pop(key) for key in SHIFTS if key in total}
    rotations = rotations_from_angles(total, num_frames)
    if support is None:
        carry = any(ACTIONS[layer.action].kind == 'gait' for layer in layers)
        translation = ground_translation(rotations, lift, carry=carry)
    else:
        rotations, translation = supported(rotations, support, shifts)
    return Motion(
        rotations=rotations,
        translation=translation,
        fps=fps,
        action=name,
        repetitions=np.zeros((0, 2), dtype=np.int64) if repetitions is None else repetitions,
    )


# So much of posture and noise is left to who holds on with hands or feet: out of reach they slide.
_STEADIED = 0.5
# Size of the noise at difficulty 1, degrees. The legs carry the body and get none: noise there
# would make the standing figure skate.
_NOISY = {
    **dict.fromkeys(('spine flexion', 'spine bend', 'chest twist', 'neck flexion'), 2.5),
    **dict.fromkeys(('head twist', 'head bend', 'head flexion'), 4.0),
    **{
        f'{side} {channel}': size
        for side in ('left', 'right')
        for channel, size in (
            ('clavicle abduction', 2.0),
            ('shoulder flexion', 4.0),
            ('shoulder abduction', 3.0),
            ('shoulder twist', 4.0),
            ('elbow flexion', 4.0),
            ('wrist flexion', 5.0),
        )
    },
}


def _flatten_soles(total: Angles, planted: Angles, num_frames: int) -> None:
    """Adds in place the ankle angles that keep the soles parallel to the ground.

    Counts pelvis, hip and knee only, which is exact for motions in the sagittal plane. An ankle
    bends 35 degrees at most, so a raised leg's foot hangs.
    """
    zeros = np.zeros(num_frames)
    pelvis, bend = planted.get('pelvis flexion', zeros), planted.get('pelvis bend', zeros)
    for side, sign in SIDE_SIGN.items():
        flexion = pelvis - planted.get(f'{side} hip flexion', zeros)
        flexion = flexion + planted.get(f'{side} knee flexion', zeros)
        abduction = sign * bend - planted.get(f'{side} hip abduction', zeros)
        for movement, value in (('flexion', flexion), ('abduction', abduction)):
            key = f'{side} ankle {movement}'
            total[key] = total.get(key, zeros) + np.clip(value, -35.0, 35.0)
