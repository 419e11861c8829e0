"""Sampling, mirroring, perturbing and formatting of joints, against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.datasets.transforms import FormatShape, PackActionInputs, PoseDecode
from mmaction.registry import TRANSFORMS

from projects.keypoints import LAYOUTS, keypoint_layout
from projects.star.transforms import (
    FlipPeople,
    FormatJoints,
    PerturbJoints,
    PickJoints,
    SampleSegments,
)

HEIGHT, WIDTH = 48, 64


def make_sample(people=1, frames=10, joints=13, seed=0, missing=0.2):
    """A sample as a data set gives it."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, [WIDTH - 1, HEIGHT - 1], (people, frames, joints, 2))
    scores = rng.uniform(0.1, 1, points.shape[:3])
    scores[rng.random(scores.shape) < missing] = 0
    points[scores == 0] = 0
    return {
        'name': 'clip 7',
        'label': 3,
        'modality': 'RGB',
        'total_frames': frames,
        'img_shape': (HEIGHT, WIDTH),
        'keypoint': points.astype(np.float32),
        'keypoint_score': scores.astype(np.float32),
    }


def copy_of(sample):
    return {
        key: value.copy() if isinstance(value, np.ndarray) else value
        for key, value in sample.items()
    }


@pytest.mark.parametrize(
    ('total', 'clip_len', 'num_clips', 'expected'),
    [
        (16, 4, 1, [2, 6, 10, 14]),
        (4, 4, 1, [0, 1, 2, 3]),
        (2, 4, 1, [0, 0, 1, 1]),
        (1, 3, 1, [0, 0, 0]),
        (10, 4, 1, [1, 3, 6, 8]),
        (16, 4, 2, [1, 5, 9, 13, 3, 7, 11, 15]),
    ],
)
def test_frames_in_test(total, clip_len, num_clips, expected):
    step = SampleSegments(clip_len, num_clips, test_mode=True, temporal_crop=(0.1, 0.2))
    found = step({'total_frames': total})
    assert found['frame_inds'].tolist() == expected
    assert (found['clip_len'], found['num_clips']) == (clip_len, num_clips)
    assert found['frame_interval'] is None


@settings(max_examples=60, deadline=None)
@given(
    total=st.integers(1, 200),
    clip_len=st.integers(1, 40),
    num_clips=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_each_frame_is_of_its_segment(total, clip_len, num_clips, seed):
    np.random.seed(seed)  # noqa: NPY002
    inds = SampleSegments(clip_len, num_clips)({'total_frames': total})['frame_inds']
    assert inds.shape == (num_clips * clip_len,)
    assert np.issubdtype(inds.dtype, np.integer)
    for clip in inds.reshape(num_clips, clip_len):
        for k, frame in enumerate(clip):
            # the frame and its segment, stretches of time, have a point in common
            assert frame <= (k + 1) * total / clip_len + 1e-9
            assert frame + 1 >= k * total / clip_len - 1e-9
            assert 0 <= frame < total


def test_training_reaches_every_frame_alike():
    np.random.seed(0)  # noqa: NPY002
    step = SampleSegments(clip_len=4, num_clips=4000)
    counts = np.bincount(step({'total_frames': 10})['frame_inds'], minlength=10)
    assert np.abs(counts / 4000 - 0.4).max() < 0.04


@settings(max_examples=40, deadline=None)
@given(total=st.integers(1, 120), low=st.floats(0.05, 1), seed=st.integers(0, 1000))
def test_temporal_crop_keeps_to_a_stretch(total, low, seed):
    np.random.seed(seed)  # noqa: NPY002
    step = SampleSegments(clip_len=8, num_clips=5, temporal_crop=(low, low))
    clips = step({'total_frames': total})['frame_inds'].reshape(5, 8)
    assert (np.diff(clips) >= 0).all()
    assert clips.min() >= 0
    assert clips.max() < total
    assert (clips[:, -1] - clips[:, 0]).max() <= low * total + 1


def test_temporal_crop_moves():
    np.random.seed(0)  # noqa: NPY002
    step = SampleSegments(clip_len=8, num_clips=50, temporal_crop=(0.5, 0.5))
    clips = step({'total_frames': 100})['frame_inds'].reshape(50, 8)
    assert clips[:, 0].min() < 10
    assert clips[:, 0].max() > 40
    assert clips[:, -1].max() > 90


def test_sampling_follows_the_seed():
    step = SampleSegments(temporal_crop=(0.5, 1.0))
    drawn = []
    for seed in (0, 0, 1):
        np.random.seed(seed)  # noqa: NPY002
        drawn.append(step({'total_frames': 100})['frame_inds'].tolist())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize('name', ['name', 'frame_dir', 'filename'])
def test_empty_sample_is_named(name):
    with pytest.raises(ValueError, match='bowl_3: total_frames is 0, expected at least 1'):
        SampleSegments()({name: 'bowl_3', 'total_frames': 0})


@pytest.mark.parametrize(
    ('kind', 'options', 'message'),
    [
        (SampleSegments, {'clip_len': 0}, 'clip_len is 0, expected'),
        (SampleSegments, {'num_clips': 1.5}, 'num_clips is 1.5, expected'),
        (SampleSegments, {'temporal_crop': (0, 1)}, r'temporal_crop is \(0, 1\), expected'),
        (SampleSegments, {'temporal_crop': (0.9, 0.8)}, 'temporal_crop is .*, expected'),
        (SampleSegments, {'temporal_crop': (0.9, 1.2)}, 'temporal_crop is .*, expected'),
        (FlipPeople, {'prob': 1.1}, 'prob is 1.1, expected at least 0 and at most 1'),
        (FlipPeople, {'layout': 'pen'}, "layout 'pen' is not one of"),
        (PerturbJoints, {'noise': -0.1}, 'noise is -0.1, expected at least 0'),
        (PerturbJoints, {'drop_in_frame': 2}, 'drop_in_frame is 2, expected'),
        (PerturbJoints, {'drop_in_sample': float('nan')}, 'drop_in_sample is nan, expected'),
        (FormatJoints, {'num_people': 0}, 'num_people is 0, expected'),
    ],
)
def test_bad_options(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_joints_are_cut_like_pictures_whatever_the_files_are_called():
    sample = make_sample(people=2, frames=12)
    sample['offset'] = 1  # files count from 1
    picked = PickJoints()(SampleSegments(4, test_mode=True)(copy_of(sample)))
    inds = [1, 4, 7, 10]
    np.testing.assert_array_equal(picked['keypoint'], sample['keypoint'][:, inds])
    np.testing.assert_array_equal(picked['keypoint_score'], sample['keypoint_score'][:, inds])
    # what this is for: the host takes the joints of the frames behind
    host = PoseDecode()(SampleSegments(4, test_mode=True)(copy_of(sample)))
    np.testing.assert_array_equal(host['keypoint'], sample['keypoint'][:, [2, 5, 8, 11]])


def test_picked_joints_are_clean_copies():
    sample = make_sample(missing=0)
    points, scores = sample['keypoint'].astype(np.float64), sample['keypoint_score']
    points[0, 0, 0] = np.nan
    points[0, 0, 1, 1] = np.inf
    scores[0, 0, 2] = np.nan
    scores[0, 0, 3] = -1
    scores[0, 0, 4] = 0
    sample.update(keypoint=points, frame_inds=np.arange(10))
    before = points.copy(), scores.copy()
    picked = PickJoints()(dict(sample))
    assert picked['keypoint'].dtype == picked['keypoint_score'].dtype == np.float32
    assert (picked['keypoint'][0, 0, :5] == 0).all()
    assert (picked['keypoint_score'][0, 0, :5] == 0).all()
    assert (picked['keypoint_score'][0, 0, 5:] > 0).all()
    np.testing.assert_array_equal(picked['keypoint'][0, 1], points[0, 1].astype(np.float32))
    for array, old in zip((points, scores), before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_scores_left_out_are_one():
    sample = make_sample(missing=0)
    del sample['keypoint_score']
    sample['frame_inds'] = np.array([3, 3])
    assert (PickJoints()(sample)['keypoint_score'] == np.ones((1, 2, 13))).all()


def test_picking_refuses_other_lengths_and_shapes():
    sample = make_sample(frames=10)
    sample.update(total_frames=12, frame_inds=np.arange(4))
    with pytest.raises(ValueError, match='clip 7: keypoint has 10 frames, expected the 12 of'):
        PickJoints()(sample)
    del sample['total_frames']
    sample['frame_inds'] = np.array([2, 10])
    with pytest.raises(ValueError, match='clip 7: keypoint has 10 frames, expected the 11 of'):
        PickJoints()(sample)
    sample['keypoint_score'] = sample['keypoint_score'][:, :3]
    with pytest.raises(ValueError, match=r'clip 7: keypoint has shape .* and keypoint_score'):
        PickJoints()(sample)


@pytest.mark.parametrize('layout', ['penn', 'ntu', 'coco'])
def test_mirrored_joints(layout):
    names = LAYOUTS[layout].joint_names
    sample = make_sample(people=2, joints=len(names))
    sample['imgs'] = np.random.default_rng(1).integers(0, 255, (10, HEIGHT, WIDTH, 3), np.uint8)
    sample['keypoint'][0, 0, 0], sample['keypoint_score'][0, 0, 0] = (0, 5), 0.5  # on the edge
    old = copy_of(sample)
    new = FlipPeople(1.0, layout)(sample)
    assert new['flip'] is True
    for m, t, j in np.ndindex(2, 10, len(names)):
        side = {'left': 'right', 'right': 'left'}
        name = '_'.join(side.get(word, word) for word in names[j].split('_'))
        x, y = old['keypoint'][m, t, names.index(name)]
        score = old['keypoint_score'][m, t, names.index(name)]
        assert new['keypoint_score'][m, t, j] == score
        expected = (WIDTH - 1 - x, y) if score > 0 else (0, 0)
        assert new['keypoint'][m, t, j] == pytest.approx(expected)
    np.testing.assert_array_equal(np.stack(new['imgs']), old['imgs'][:, :, ::-1])


def test_mirrored_twice_is_the_same():
    sample = make_sample(people=2)
    step = FlipPeople(1.0, 'penn')
    twice = step(step(copy_of(sample)))
    np.testing.assert_allclose(twice['keypoint'], sample['keypoint'], atol=1e-4)
    np.testing.assert_array_equal(twice['keypoint_score'], sample['keypoint_score'])


def test_a_share_of_samples_is_mirrored():
    np.random.seed(0)  # noqa: NPY002
    sample = make_sample()
    step = FlipPeople(0.3, 'penn')
    flips = []
    for _ in range(400):
        found = step(dict(sample))
        flips.append(found['flip'])
        assert (found['keypoint'] is sample['keypoint']) != found['flip']
    assert np.mean(flips) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize('pictures', [True, False])
def test_clips_and_their_mirrored_ones(pictures):
    sample = make_sample(people=2) | dict(num_clips=2)
    if pictures:
        random = np.random.default_rng(1)
        sample['imgs'] = random.integers(0, 255, (10, HEIGHT, WIDTH, 3), np.uint8)
    mirrored = FlipPeople(1.0)(copy_of(sample))
    both = FlipPeople(both=True)(copy_of(sample))
    assert both['num_clips'] == 4
    for key, axis in (('keypoint', 1), ('keypoint_score', 1), ('imgs', 0)):
        if key in sample:
            expected = np.concatenate([sample[key], np.stack(mirrored[key])], axis=axis)
            np.testing.assert_array_equal(np.stack(both[key]), expected)
    tokens = FormatJoints(2)(both)['keypoint']
    assert tokens.shape == (4, 5, 26, 3)  # the first two clips, then the mirrored two
    np.testing.assert_allclose(tokens[2:, ..., 2], FormatJoints(2)(mirrored)['keypoint'][..., 2])


def test_mirroring_refuses_another_layout():
    with pytest.raises(ValueError, match="clip 7: keypoint has 13 .* the 25 of layout 'ntu'"):
        FlipPeople(0.0, 'ntu')(make_sample())


def test_noise_is_a_share_of_the_picture():
    np.random.seed(0)  # noqa: NPY002
    sample = make_sample(people=2, frames=200)
    new = PerturbJoints(noise=0.05)(copy_of(sample))
    known = sample['keypoint_score'] > 0
    moved = (new['keypoint'] - sample['keypoint'])[known]
    assert moved.std(axis=0) == pytest.approx([0.05 * WIDTH, 0.05 * HEIGHT], rel=0.05)
    assert np.abs(moved.mean(axis=0)).max() < 0.2
    assert (new['keypoint'][~known] == 0).all()
    np.testing.assert_array_equal(new['keypoint_score'], sample['keypoint_score'])


def test_dropped_joints():
    np.random.seed(0)  # noqa: NPY002
    sample = make_sample(people=50, frames=40, missing=0)
    frames = PerturbJoints(drop_in_frame=0.2)(copy_of(sample))
    gone = frames['keypoint_score'] == 0
    assert gone.mean() == pytest.approx(0.2, abs=0.02)
    assert (frames['keypoint'][gone] == 0).all()
    np.testing.assert_array_equal(frames['keypoint'][~gone], sample['keypoint'][~gone])
    assert not gone.all(axis=1).any()
    whole = PerturbJoints(drop_in_sample=0.2)(copy_of(sample))
    gone = whole['keypoint_score'] == 0
    assert gone.any(axis=1).mean() == pytest.approx(0.2, abs=0.06)
    np.testing.assert_array_equal(gone.any(axis=1), gone.all(axis=1))


def test_perturbing_nothing_changes_nothing():
    sample = make_sample()
    new = PerturbJoints()(copy_of(sample))
    for key in ('keypoint', 'keypoint_score'):
        np.testing.assert_array_equal(new[key], sample[key])


@pytest.mark.parametrize('people', [0, 1, 2, 3])
@pytest.mark.parametrize('num_clips', [1, 2])
def test_tokens_against_a_plain_loop(people, num_clips):
    sample = make_sample(people=people, frames=6, joints=5)
    sample['num_clips'] = num_clips
    if people:
        sample['keypoint'][0, 0, 0, 1], sample['keypoint_score'][0, 0, 0] = np.nan, 0.5
        sample['keypoint'][0, 0, 1], sample['keypoint_score'][0, 0, 1] = (-8, 100), 1.5
    points, scores = sample['keypoint'], sample['keypoint_score']
    expected = np.zeros((num_clips, 6 // num_clips, 10, 3))
    for m, t, j in np.ndindex(min(people, 2), 6, 5):
        x, y = points[m, t, j]
        if scores[m, t, j] > 0 and np.isfinite(x) and np.isfinite(y):
            token = (x + 0.5) / WIDTH, (y + 0.5) / HEIGHT, min(scores[m, t, j], 1)
            expected[t // (6 // num_clips), t % (6 // num_clips), m * 5 + j] = token
    found = FormatJoints(num_people=2)(sample)['keypoint']
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_mirrored_tokens_are_one_minus_x():
    sample = make_sample(missing=0)
    plain = FormatJoints()(copy_of(sample))['keypoint']
    mirrored = FormatJoints()(FlipPeople(1.0, 'penn')(sample))['keypoint']
    order = list(keypoint_layout('penn').flip_indices)
    np.testing.assert_allclose(mirrored[..., 0], 1 - plain[..., order, 0], atol=1e-6)
    np.testing.assert_array_equal(mirrored[..., 1:], plain[..., order, 1:])


def test_tokens_of_uneven_clips():
    sample = make_sample(frames=7)
    sample['num_clips'] = 2
    with pytest.raises(ValueError, match='clip 7: keypoint has 7 frames, expected a multiple of'):
        FormatJoints()(sample)


def test_host_packs_what_comes_out():
    sample = make_sample()
    sample['imgs'] = [np.full((HEIGHT, WIDTH, 3), t, dtype=np.uint8) for t in range(10)]
    SampleSegments(5, num_clips=2, test_mode=True)(sample)
    sample['imgs'] = [sample['imgs'][index] for index in sample['frame_inds']]
    for step in (
        PickJoints(),
        FlipPeople(1.0),
        FormatShape('NCTHW'),
        FormatJoints(2),
        PackActionInputs(('imgs', 'keypoint'), meta_keys=('name', 'flip')),
    ):
        sample = step(sample)
    inputs, data_sample = sample['inputs'], sample['data_samples']
    assert inputs['imgs'].shape == (2, 3, 5, HEIGHT, WIDTH)
    assert inputs['keypoint'].shape == (2, 5, 26, 3)
    assert inputs['imgs'][0, 0, :, 0, 0].tolist() == [0, 2, 4, 6, 8]
    assert (data_sample.name, data_sample.flip, data_sample.gt_label.item()) == ('clip 7', True, 3)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='SampleSegments', clip_len=4, test_mode=True),
        dict(type='PickJoints'),
        dict(type='FlipPeople', prob=0.2, layout='ntu'),
        dict(type='PerturbJoints', noise=0.2),
        dict(type='FormatJoints', num_people=2),
    ],
    ids=lambda config: config['type'],
)
def test_built_by_name(config):
    shown = repr(TRANSFORMS.build(config))
    assert shown.startswith(config['type'])
    for name, value in config.items():
        assert name == 'type' or f'{name}={value!r}' in shown
