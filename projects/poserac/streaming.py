"""Counting people's repetitions while the frames come in."""

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np
import torch

from projects.poserac.counting import ClassVote, RepetitionCounter
from projects.poserac.model import PoseRAC
from projects.poserac.poses import min_max_normalize


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

    Args:
        model: The model; switched to evaluation. Its poses must not attend to the batch.
        label: The class, if it is known; else it is found from the frames.

    Raises:
        ValueError: If poses attend to the batch, of which a stream has no whole, or the class is
            none of the model's.
    """

    def __init__(self, model: PoseRAC, label: int | None = None) -> None:
        if model.attention != 'pose':
            raise ValueError(
                f"attention is {model.attention!r}, expected 'pose': a stream has no batch to "
                'attend to'
            )
        if label is not None and not 0 <= label < model.num_classes:
            raise ValueError(f'label is {label}, expected 0 to {model.num_classes - 1}')
        self.model = model.eval()
        self.label = label
        self.people: dict[Hashable, tuple[RepetitionCounter, ClassVote]] = {}

    def update(self, poses: Mapping[Hashable, np.ndarray]) -> dict[Hashable, PersonCount]:
        """Take the next frame.

        Args:
            poses: (J, D) pose of each person whom the frame shows, by the person's track. Who is
                left out, or has NaN for every keypoint, is not seen: that changes no count.

        Returns:
            The count of every person seen so far, also of those whom this frame does not show.
        """
        tracks = list(poses)
        for track in tracks:
            if track not in self.people:
                classes = self.model.num_classes
                counter = RepetitionCounter(classes, **self.model.thresholds)
                vote = ClassVote(classes, self.model.thresholds['enter_threshold'])
                self.people[track] = (counter, vote)
        completed: dict[Hashable, np.ndarray] = {}
        if tracks:
            frame = min_max_normalize(np.stack([poses[track] for track in tracks]))  # (P, J, D)
            device = next(self.model.parameters()).device
            with torch.inference_mode():
                scores, *both = self.model.score(torch.from_numpy(frame).to(device))
            scores = scores.cpu().numpy()  # (P, C)
            # of shared salient states the class is voted for by salient pose I
            both = [scores] if None in both else [values.cpu().numpy() for values in both]
            for index, track in enumerate(tracks):
                counter, vote = self.people[track]
                completed[track] = counter.update(scores[index])
                vote.update(*(values[index] for values in both))
        result = {}
        for track, (counter, vote) in self.people.items():
            label = vote.label if self.label is None else self.label
            known = label >= 0
            result[track] = PersonCount(
                label=label,
                count=int(counter.counts[label]) if known else 0,
                counted=bool(known and track in completed and completed[track][label]),
            )
        return result
