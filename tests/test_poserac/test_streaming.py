"""A stream gives what the whole sequence gives, person by person."""

import numpy as np
import pytest
import torch

from projects.poserac import streaming
from projects.poserac.counting import ClassVote, RepetitionCounter
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


UNSEEN = np.full((5, 2), np.nan, dtype='f4')


def test_who_was_never_seen_has_a_count_only_where_named():
    stream = PoseRACStream(make_model())
    assert stream.update({7: UNSEEN}) == {7: (-1, 0, False)}
    assert stream.update({}) == {}
    known = PoseRACStream(make_model(), label=2)
    assert known.update({7: UNSEEN}) == {7: (2, 0, False)}


def run(stream, frames):
    """The counts of all frames; a frame is {track: pose}."""
    return [stream.update(frame) for frame in frames]


@pytest.fixture(scope='module')
def model():
    return make_model()


def test_forgotten_person_is_counted_anew(model):
    poses = motion(0)
    fresh = run(PoseRACStream(model, label=1), [{1: pose} for pose in poses])
    stream = PoseRACStream(model, label=1)
    both = run(stream, [{1: pose, 2: pose} for pose in poses])
    assert both[-1][1].count == fresh[-1][1].count > 2
    stream.forget(1)
    stream.forget(1)  # nobody any more, which is no error
    again = run(stream, [{1: pose, 2: UNSEEN} for pose in poses])
    assert [counts[1] for counts in again] == [counts[1] for counts in fresh]
    assert again[-1][2] == both[-1][2]._replace(counted=False)  # the other's is kept
    stream.forget(1)
    assert list(stream.update({})) == [2]


@pytest.mark.parametrize('hide', [dict, lambda: {1: UNSEEN}])
def test_person_is_forgotten_after_more_than_patience_frames(model, hide):
    poses = motion(0)
    shown = [{1: pose, 2: pose} for pose in poses]
    alone = {2: poses[0], **hide()}
    for unseen, kept in ((3, True), (4, False)):
        stream = PoseRACStream(model, label=1, patience=3)
        before = run(stream, shown)[-1][1]
        assert before.count > 2
        hidden = run(stream, [alone] * unseen)
        assert all(counts[1] == before._replace(counted=False) for counts in hidden[:3])
        if not kept:
            assert hidden[3].get(1, (1, 0, False)) == (1, 0, False)
        back = stream.update({1: poses[0]})[1]
        assert back.count == (before.count if kept else 0)
        assert 2 in stream.update({})


def test_no_patience_and_endless_patience(model):
    poses = motion(0)
    hasty = PoseRACStream(model, patience=0)
    for track in range(50):
        assert list(hasty.update({track: poses[track]})) == [track]
    assert len(hasty._people) == len(hasty._counts) == 1
    endless = PoseRACStream(model)
    for track in range(50):
        assert len(endless.update({track: poses[track]})) == track + 1


@pytest.mark.parametrize('label', [None, 1])
def test_people_come_and_go_as_if_each_were_alone(model, label):
    rng = np.random.default_rng(0)
    motions = {track: motion(track % 3) for track in range(6)}
    visible = {track: np.repeat(rng.random(50) < 0.6, 3) for track in motions}
    frames = [
        {track: motions[track][frame] for track in motions if visible[track][frame]}
        for frame in range(150)
    ]
    together = run(PoseRACStream(model, label, patience=4), frames)
    forgotten = 0
    for track in motions:
        alone = PoseRACStream(model, label, patience=4)
        for frame, counts in zip(frames, together, strict=True):
            own = {track: frame[track]} if track in frame else {}
            assert alone.update(own).get(track) == counts.get(track)
            forgotten += track not in counts
    assert forgotten > 5
    assert (label is None) or any(count.count > 1 for count in together[-1].values())


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (
            np.zeros((4, 2)),
            r"pose of track 'new' has shape \(4, 2\), expected \(5, 2\), num_joints",
        ),
        (np.zeros((5, 3)), r'shape \(5, 3\)'),
        (np.full((1, 5, 2), np.nan), r'shape \(1, 5, 2\)'),
    ],
)
def test_refused_frame_leaves_no_trace(model, bad, message):
    poses = motion(0)
    expected = run(PoseRACStream(model, label=1, patience=2), [{1: pose} for pose in poses])
    stream = PoseRACStream(model, label=1, patience=2)
    counts = []
    for pose in poses:
        counts.append(stream.update({1: pose}))
        for _ in range(3):  # more than the patience, if they counted
            with pytest.raises(ValueError, match=message):
                stream.update({1: pose, 'new': bad})
    assert counts == expected
    assert counts[-1][1].count > 2
    assert list(stream.update({})) == [1]


def test_failure_of_the_model_leaves_no_trace(model, monkeypatch):
    stream = PoseRACStream(model)
    with monkeypatch.context() as patch:
        patch.setattr(model, 'score', lambda poses: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stream.update({1: motion(0)[0]})
    assert stream.update({}) == {}


def test_frame_costs_only_for_whom_it_shows(model, monkeypatch):
    calls = []

    def record(owner, name):
        original = getattr(owner, name)

        def call(*args, **kwargs):
            calls.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    for owner in (RepetitionCounter, ClassVote):
        record(owner, 'update')
    for name in ('RepetitionCounter', 'ClassVote', 'PersonCount'):
        record(streaming, name)
    stream = PoseRACStream(model)
    pose = motion(0)[0]
    stream.update({track: pose for track in range(300)})
    assert calls.count('ClassVote') == 300
    calls.clear()
    assert len(stream.update({7: pose, 9: UNSEEN})) == 300
    # one of the counts is who is not known's
    assert sorted(calls) == ['PersonCount', 'PersonCount', 'update', 'update']


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="attention is 'batch'"):
        PoseRACStream(make_model(attention='batch'))
    with pytest.raises(ValueError, match='label is 3, expected 0 to 2'):
        PoseRACStream(make_model(), label=3)
    with pytest.raises(ValueError, match='patience is -1, expected at least 0 frames or None'):
        PoseRACStream(make_model(), patience=-1)
