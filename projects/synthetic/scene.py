"""Scenes: people placed before a camera, and the frames of a video of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from projects.synthetic.actions import ACTIONS
from projects.synthetic.body import BODY_LANDMARKS, limb_extents, limb_points
from projects.synthetic.camera import Camera
from projects.synthetic.figure import Motion
from projects.synthetic.rendering import Rendering, render
from projects.synthetic.sampling import Layer, sample_mix
from projects.synthetic.scenery import Appearance, Light, Occluder, sample_background


@dataclass(frozen=True)
class Scene:
    """What a video shows.

    Args:
        motions: P motions of T frames each, in the world.
        appearances: P looks.
        camera: The camera, which stands still.
        background: (H, W, 3) uint8, BGR.
        occluders: Things before the people.
        light: Brightness and grain of each frame.
        present: (T,) bool, False where nobody is there.
    """

    motions: tuple[Motion, ...]
    appearances: tuple[Appearance, ...]
    camera: Camera
    background: np.ndarray
    occluders: tuple[Occluder, ...]
    light: Light
    present: np.ndarray

    @cached_property
    def landmarks(self) -> np.ndarray:
        """(P, T, len(BODY_LANDMARKS), 3) positions, mm."""
        return np.stack([motion.landmarks(BODY_LANDMARKS) for motion in self.motions])

    @property
    def num_frames(self) -> int:
        """Number of frames T."""
        return len(self.present)

    def frame(self, index: int) -> Rendering:
        """The picture of a frame, from 0, with light and grain; nobody where nobody is present."""
        people = []
        if self.present[index]:
            people = list(zip(self.landmarks[:, index], self.appearances, strict=True))
        picture = render(people, self.camera, self.background, self.occluders)
        return replace(picture, image=self.light.apply(picture.image, index))


def sample_scene(
    actors: Sequence[Sequence[Layer]],
    num_frames: int,
    fps: float,
    rng: np.random.Generator,
    *,
    image_size: tuple[int, int] = (160, 128),
    difficulty: float = 0.3,
    yaws: Sequence[tuple[float, float]] = ((-60.0, 60.0),),
) -> Scene:
    """A random scene.

    Args:
        actors: What each person does, the first one's action being the scene's.
        num_frames: Number of frames T.
        fps: Frames per second.
        rng: Source of chance: the same state gives the same scene.
        image_size: Width and height, px.
        difficulty: In [0, 1]: irregular motion, clutter, people closer to each other, things in
            the way, people cut by the image's border, frames without anybody.
        yaws: Ranges of the angle between where a person faces and the camera's side, degrees to
            the left; each person's is drawn from one of them, all equally likely.

    Returns:
        The scene.

    Raises:
        ValueError: If there are no actors or a number is out of range.
    """
    if not actors:
        raise ValueError('actors is empty, expected the layers of at least one person')
    if len(image_size) != 2 or min(image_size) < 32:
        raise ValueError(f'image_size is {image_size!r}, expected width and height of at least 32')
    motions, spacing = [], rng.uniform(900, 1150) - 450 * difficulty
    for index, layers in enumerate(actors):
        motion = _on_the_spot(_clip(layers, num_frames, fps, rng, difficulty))
        motion = motion.scaled(rng.uniform(0.9, 1.08))
        motion = motion.turned(rng.uniform(*yaws[rng.integers(len(yaws))]))
        place = ((index - (len(actors) - 1) / 2) * spacing, 0.0, rng.uniform(-450, 450))
        motions.append(replace(motion, translation=motion.translation + place))
    appearances = tuple(Appearance.sample(rng) for _ in actors)
    camera = Camera.look_at(
        position=(0.0, rng.uniform(700, 1700), rng.uniform(3800, 6200)),
        target=(0.0, 900.0, 0.0),
        focal=1000.0,
        size=image_size,
        roll=2.0 * difficulty * rng.normal(),
    )
    camera = _framed(camera, motions, appearances, rng, cut=rng.random() < 0.35 * difficulty)
    floor = camera.project(np.array([0.0, 0.0, -rng.uniform(900, 4000)]))[0][1]
    background = sample_background(
        image_size, rng, floor=floor, clutter=int(rng.integers(2, 6 + round(16 * difficulty)))
    )
    things = rng.binomial(2, 0.35 * difficulty)
    present = np.ones(num_frames, dtype=bool)
    if rng.random() < 0.3 * difficulty:  # somebody comes late or leaves early
        gap = int(rng.integers(1, max(num_frames // 4, 1) + 1))
        present[slice(0, gap) if rng.random() < 0.5 else slice(num_frames - gap, None)] = False
    return Scene(
        motions=tuple(motions),
        appearances=appearances,
        camera=camera,
        background=background,
        occluders=tuple(Occluder.sample(image_size, rng) for _ in range(things)),
        light=Light.sample(num_frames, image_size, rng, noise=2.0 + 4.0 * difficulty),
        present=present,
    )


def _clip(
    layers: Sequence[Layer],
    num_frames: int,
    fps: float,
    rng: np.random.Generator,
    difficulty: float,
) -> Motion:
    """A clip from the middle of a longer motion, so that it begins anywhere in a repetition."""
    margin = int(np.ceil(ACTIONS[layers[0].action].seconds * fps))
    whole = sample_mix(layers, num_frames + 2 * margin, fps, rng, difficulty=difficulty)
    start = int(rng.integers(0, margin + 1))
    repetitions = whole.repetitions - start
    inside = (repetitions[:, 0] >= 0) & (repetitions[:, 1] <= num_frames)
    return replace(
        whole,
        rotations=whole.rotations[start : start + num_frames],
        translation=whole.translation[start : start + num_frames],
        repetitions=repetitions[inside],
    )


def _on_the_spot(motion: Motion) -> Motion:
    """The motion as on a treadmill, its mean place above the origin."""
    times = np.arange(motion.num_frames) - (motion.num_frames - 1) / 2
    translation = motion.translation.copy()
    ground = translation[:, (0, 2)] - translation[:, (0, 2)].mean(axis=0)
    slope = times @ ground / max(times @ times, 1.0)
    translation[:, (0, 2)] = ground - times[:, None] * slope
    return replace(motion, translation=translation)


def _framed(
    camera: Camera,
    motions: Sequence[Motion],
    appearances: Sequence[Appearance],
    rng: np.random.Generator,
    *,
    cut: bool,
) -> Camera:
    """The camera zoomed and shifted so that the people fill the picture.

    A single person's median height becomes 55 to 90 % of the image's, less where the whole
    motion would not fit; with ``cut`` it need not fit.
    """
    landmarks = np.stack([motion.landmarks(BODY_LANDMARKS) for motion in motions])
    girth = np.array([appearance.girth for appearance in appearances])[:, None]
    extents = limb_extents(limb_points(landmarks, camera, girth)[0])  # (P, T, limbs, 4)
    low, high = extents[..., :2].min(axis=-2), extents[..., 2:].max(axis=-2)  # (P, T, 2)
    tallest = np.median(high[..., 1] - low[..., 1], axis=1).max()
    size, border = np.array(camera.size), 2.0
    fraction = rng.uniform(0.55, 0.9) if len(motions) == 1 else rng.uniform(0.5, 0.85)
    factor = fraction * size[1] / tallest
    low, high = low.min(axis=(0, 1)), high.max(axis=(0, 1))
    if cut:
        factor *= rng.uniform(1.15, 1.6)
    else:
        factor = min(factor, *((size - 2 * border) / (high - low)))
    center = np.array(camera.center)
    low, high = (low - center) * factor + center, (high - center) * factor + center
    first, last = border - low, size - 1 - border - high  # shifts that touch either edge
    shift = first + rng.uniform(0.0, 1.0, size=2) * (last - first)
    return camera.zoomed(factor, shift)
