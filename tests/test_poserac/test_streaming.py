"""A stream gives what the whole sequence gives, person by person."""

import numpy as np
import pytest
import torch

from projects.poserac.model import PoseRAC
from projects.poserac.poses import min_max_normalize
from projects.poserac.streaming import PoseRACStream


def make_model(**changes):
    torch.manual_seed(0)
    options = dict(num_classes=3, num_joints=5, dims=2, num_layers=1, num_heads=2)
    model = PoseRAC(**{**options, **changes}).eval()
    # scores that swing, so that there is something to count
    frames = torch.from_numpy(min_max_normalize(np.concatenate([motion(s) for s in range(3)])))
    with torch.no_grad():
        logits = model(frames)
        scale = 5 / logits.std(dim=0)
        model.fc1.bias.copy_((model.fc1.bias - logits.mean(dim=0)) * scale)
        model.fc1.weight *= scale[:, None]
    return model


def motion(seed, frames=150):
    rng = np.random.default_rng(seed)
    ends = rng.normal(size=(2, 5, 2)) * 50
    share = (1 - np.cos(np.arange(frames) / (4 + seed)))[:, None, None] / 2
    return (ends[0] * share + ends[1] * (1 - share) + rng.normal(size=(frames, 5, 2))).astype('f4')


@pytest.mark.parametrize('states', ['shared', 'separate'])
@pytest.mark.parametrize('label', [None, 1])
def test_stream_equals_offline_for_every_person(states, label):
    model = make_model(salient_states=states)
    people = {f'track {seed}': motion(seed) for seed in range(3)}
    people['track 1'][40:60] = np.nan  # out of sight
    stream = PoseRACStream(model, label)
    counted = dict.fromkeys(people, 0)
    for frame in range(150):
        poses = {track: array[frame] for track, array in people.items()}
        if 100 <= frame < 110:
            del poses['track 2']  # left out
        result = stream.update(poses)
        for track in people:
            counted[track] += result[track].counted
    people['track 2'][100:110] = np.nan
    total = 0
    for track, array in people.items():
        with torch.no_grad():
            (offline,) = model.count([torch.from_numpy(min_max_normalize(array))])
        expected = offline['predicted_label'] if label is None else label
        assert result[track].label == expected
        assert result[track].count == offline['counts'][expected]
        total += offline['counts'].sum()
        if label is not None:
            assert counted[track] == result[track].count
    assert total > 5


def test_unseen_person_has_no_class_yet():
    stream = PoseRACStream(make_model())
    result = stream.update({7: np.full((5, 2), np.nan, dtype='f4')})
    assert result == {7: (-1, 0, False)}
    assert stream.update({})[7].count == 0


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="attention is 'batch'"):
        PoseRACStream(make_model(attention='batch'))
    with pytest.raises(ValueError, match='label is 3, expected 0 to 2'):
        PoseRACStream(make_model(), label=3)
