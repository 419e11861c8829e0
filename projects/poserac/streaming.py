"""Counting people's repetitions while the frames come in."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from projects.poserac.counting import ClassVote, RepetitionCounter
from projects.poserac.model import PoseRAC
from projects.poserac.poses import min_max_normalize, missing_poses


class PersonCount(NamedTuple):
    """What a person has done so far.

    Args:
        label: Class that the person's frames show so far, or the class given; -1 for none yet.
        count: Repetitions of that class so far.
        counted: Whether this frame completed a repetition of it.
    """

    label: int
    count: int
    counted: bool


class PoseRACStream:
    """Counts the repetitions of every tracked person frame by frame.

    After each frame the counts are those that :meth:`PoseRAC.count` gives for the frames so far.
    All classes are counted from the first frame on, so nothing is lost when the class that the
    frames show becomes another.

    A frame takes the time of scoring whom it shows, however many were seen before. They are
    remembered, which takes memory: where a tracker hands out new tracks all day, set ``patience``.

    Args:
        model: The model; switched to evaluation. Its poses must not attend to the batch.
        label: The class, if it is known; else it is found from the frames.
        patience: For how many frames in a row a person may be unseen; after more, the person is
            forgotten, and counted anew if the track comes back. None: nobody is forgotten.

    Raises:
        ValueError: If poses attend to the batch, of which a stream has no whole, the class is
            none of the model's, or ``patience`` is negative.
    """

    def __init__(
        self, model: PoseRAC, label: int | None = None, patience: int | None = None
    ) -> None:
        if model.attention != 'pose':
            raise ValueError(
                f"attention is {model.attention!r}, expected 'pose': a stream has no batch to "
                'attend to'
            )
        if label is not None and not 0 <= label < model.num_classes:
            raise ValueError(f'label is {label}, expected 0 to {model.num_classes - 1}')
        if patience is not None and patience < 0:
            raise ValueError(f'patience is {patience}, expected at least 0 frames or None')
        self.model = model.eval()
        self.label = label
        self.patience = patience
        self._frame = 0
        self._people: dict[Hashable, _Person] = {}  # the one unseen for longest comes first
        self._counts: dict[Hashable, PersonCount] = {}  # theirs, when they are not seen

    def update(self, poses: Mapping[Hashable, np.ndarray]) -> dict[Hashable, PersonCount]:
        """Take the next frame.

        Args:
            poses: (J, D) pose of each person whom the frame shows, by the person's track. Who is
                left out, or has NaN for every keypoint, is not seen: that changes no count.

        Returns:
            The count of every person seen so far and not forgotten, also of those whom this frame
            does not show. Who is named in ``poses`` but not known has a count of 0.

        Raises:
            ValueError: If a pose is not of the model's shape. Nothing has changed then.
        """
        shape = (self.model.num_joints, self.model.dims)
        for track, pose in poses.items():
            if np.shape(pose) != shape:
                raise ValueError(
                    f'the pose of track {track!r} has shape {np.shape(pose)}, expected {shape}, '
                    'num_joints and dims of the model'
                )
        seen = [track for track, pose in poses.items() if not missing_poses(np.asarray(pose))]
        scores, votes = self._score([poses[track] for track in seen])
        self._frame += 1
        completed = {}
        for index, track in enumerate(seen):
            person = self._people.pop(track, None) or _Person.of(self.model)
            self._people[track] = person  # last
            person.last_seen = self._frame
            fired = person.counter.update(scores[index])
            person.vote.update(*(values[index] for values in votes))
            label = person.vote.label if self.label is None else self.label
            count = PersonCount(label, int(person.counter.counts[label]), counted=False)
            self._counts[track] = count
            if fired[label]:
                completed[track] = count._replace(counted=True)
        self._forget_the_unseen()
        unknown = PersonCount(-1 if self.label is None else self.label, 0, counted=False)
        return {**dict.fromkeys(poses, unknown), **self._counts, **completed}

    def forget(self, track: Hashable) -> None:
        """Forget a person; the track's next pose is a new person's first.

        Args:
            track: The person's track. Nothing happens if nobody is remembered by it.
        """
        self._people.pop(track, None)
        self._counts.pop(track, None)

    def _forget_the_unseen(self) -> None:
        while self._people and self.patience is not None:
            track = next(iter(self._people))
            if self._frame - self._people[track].last_seen <= self.patience:
                break
            self.forget(track)

    def _score(self, poses: list[np.ndarray]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Scores to count by, (P, C), and those to find the class by: one or two of (P, C)."""
        if not poses:
            return np.zeros((0, self.model.num_classes)), ()
        frame = torch.from_numpy(min_max_normalize(np.stack(poses)))  # (P, J, D)
        with torch.inference_mode():
            parts = self.model.score(frame.to(next(self.model.parameters()).device))
        scores, *both = (None if part is None else part.cpu().numpy() for part in parts)
        # of shared salient states the class is voted for by salient pose I
        return scores, (scores,) if both[0] is None else tuple(both)


@dataclass
class _Person:
    """What is known of a person."""

    counter: RepetitionCounter
    vote: ClassVote
    last_seen: int = 0  # number of the frame

    @classmethod
    def of(cls, model: PoseRAC) -> '_Person':
        """A person of whom nothing was seen yet."""
        thresholds = model.thresholds
        return cls(
            RepetitionCounter(model.num_classes, **thresholds),
            ClassVote(model.num_classes, thresholds['enter_threshold']),
        )
