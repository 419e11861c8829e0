"""Writes motions of the synthetic figure as Human3.6M's exponential-map text files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from projects.files import whole_file
from projects.synthetic.curves import PARTS
from projects.synthetic.figure import Motion
from projects.synthetic.sampling import Layer, Style, check_names, sample_mix

FPS = 50.0
SUBJECTS = (1, 5, 6, 7, 8, 9, 11)
TRIALS = (1, 2)

_NOT_ARMS = ('legs', 'torso', 'head')
_NOT_RIGHT_ARM = (*_NOT_ARMS, 'left arm')
_UPPER = tuple(part for part in PARTS if part != 'legs')
RECIPES: dict[str, tuple[Layer, ...]] = {
    'directions': (Layer('idle'), Layer('point'), Layer('talk', 0.4)),
    'discussion': (Layer('idle'), Layer('talk')),
    'eating': (Layer('walking', 0.8, _NOT_RIGHT_ARM), Layer('eat'), Layer('idle', 0.5, ('head',))),
    'greeting': (Layer('idle'), Layer('wave'), Layer('bow', 0.5)),
    'phoning': (
        Layer('walking', 0.7, _NOT_RIGHT_ARM),
        Layer('phone'),
        Layer('talk', 0.5, ('left arm',)),
    ),
    'posing': (Layer('pose'), Layer('idle', 0.4, ('head',))),
    'purchases': (Layer('pick_up'), Layer('idle'), Layer('talk', 0.5, _UPPER)),
    'sitting': (Layer('seated'), Layer('talk', 0.5, _UPPER), Layer('idle', 0.6, _UPPER)),
    'sittingdown': (Layer('sit_down'), Layer('talk', 0.3, _UPPER)),
    'smoking': (Layer('idle'), Layer('smoke')),
    'takingphoto': (
        Layer('photo'),
        Layer('twist', 0.5, ('legs', 'torso')),
        Layer('squat', 0.3, ('legs',)),
        Layer('idle', 0.7, ('legs', 'torso', 'head')),
    ),
    'waiting': (Layer('idle'), Layer('twist', 0.25), Layer('talk', 0.25)),
    'walking': (Layer('walking'),),
    'walkingdog': (Layer('walking', 0.95, _NOT_RIGHT_ARM), Layer('leash'), Layer('pick_up', 0.25)),
    'walkingtogether': (
        Layer('walking', 0.9),
        Layer('idle', 1.0, ('head',)),
        Layer('talk', 0.3, ('right arm',)),
    ),
}
"""What each of the data set's 15 actions is mixed from."""
ACTION_NAMES = tuple(RECIPES)

# Keeps a person's stream apart from the motions': numpy pads short entropy with zeros.
_PERSON, _MOTION = 0, 1


def human36m_motion(
    subject: int,
    action: str,
    trial: int,
    *,
    num_frames: int = 1000,
    seed: int = 0,
    difficulty: float = 0.3,
) -> Motion:
    """The motion that :func:`write_human36m` writes for a subject, an action and a trial.

    Each (seed, subject, action, trial) has a random stream of its own, each (seed, subject) a
    style of its own.

    Args:
        subject: One of ``SUBJECTS``.
        action: One of ``ACTION_NAMES``.
        trial: 1 or 2.
        num_frames: Number of frames at 50 fps.
        seed: Seed of the whole data set, not negative.
        difficulty: See :func:`projects.synthetic.sampling.sample_motion`.

    Returns:
        The motion.

    Raises:
        ValueError: If a name or number is not one of the allowed.
    """
    check_names('subjects', [subject], SUBJECTS)
    check_names('actions', [action], ACTION_NAMES)
    check_names('trials', [trial], TRIALS)
    if seed < 0:
        raise ValueError(f'seed is {seed}, expected 0 or more')
    person = np.random.SeedSequence([seed, subject], spawn_key=(_PERSON,))
    style = Style.sample(np.random.default_rng(person))
    entropy = [seed, subject, ACTION_NAMES.index(action), trial]
    rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(_MOTION,)))
    motion = sample_mix(
        RECIPES[action], num_frames, FPS, rng, difficulty=difficulty, style=style, name=action
    )
    return motion.turned(rng.uniform(-180.0, 180.0))


def motion_text(motion: Motion) -> str:
    """A motion as the data set's text: one frame a line, 99 comma-separated columns.

    Columns are the root's translation (mm), its exponential map and those of the 31 other joints.
    """
    maps = motion.rotations.reshape(motion.num_frames, -1)
    table = np.concatenate([motion.translation, maps], axis=1)  # (T, 99)
    table = np.round(table, 7) + 0.0  # no minus zeros
    line = ','.join(['%.7f'] * table.shape[1]) + '\n'
    return (line * len(table)) % tuple(table.ravel().tolist())


def write_human36m(
    root: str | Path,
    *,
    actions: Sequence[str] = ACTION_NAMES,
    subjects: Sequence[int] = SUBJECTS,
    trials: Sequence[int] = TRIALS,
    num_frames: int = 1000,
    seed: int = 0,
    difficulty: float = 0.3,
    progress: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Writes ``<root>/dataset/S<subject>/<action>_<trial>.txt``.

    A subset of actions, subjects or trials gives the same files as writing all. A file appears
    under its name only when it is complete.

    Args:
        root: Folder to write into, made if missing.
        actions: Actions to write.
        subjects: Subjects to write.
        trials: Trials to write.
        num_frames: Frames a file, at 50 fps.
        seed: Seed of the whole data set, not negative.
        difficulty: See :func:`projects.synthetic.sampling.sample_motion`.
        progress: Called with the path of each finished file.

    Returns:
        The files' paths.

    Raises:
        ValueError: If a name or number is not one of the allowed; nothing is written then.
    """
    check_names('actions', actions, ACTION_NAMES)
    check_names('subjects', subjects, SUBJECTS)
    check_names('trials', trials, TRIALS)
    paths = []
    for subject in subjects:
        folder = Path(root) / 'dataset' / f'S{subject}'
        for action in actions:
            for trial in trials:
                motion = human36m_motion(
                    subject,
                    action,
                    trial,
                    num_frames=num_frames,
                    seed=seed,
                    difficulty=difficulty,
                )
                path = folder / f'{action}_{trial}.txt'
                with whole_file(path) as partial:
                    partial.write_text(motion_text(motion))
                paths.append(path)
                if progress is not None:
                    progress(path)
    return paths
