"""Figures drawn through given joints: where, which limbs, behind what; the written layout."""

import cv2
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from projects.synthetic.penn_action import JOINTS, count_videos, penn_video
from projects.synthetic.penn_skeletons import (
    person_scale,
    render_skeletons,
    write_skeleton_videos,
)
from tools.datasets import make_synthetic

SIZE = (171, 128)
# A standing person of 100 px, arms level.
POSE = np.array(
    [
        *((85, 15), (75, 32), (95, 32), (55, 32), (115, 32), (38, 32), (132, 32)),
        *((79, 62), (91, 62), (77, 88), (93, 88), (76, 114), (94, 114)),
    ],
    dtype=float,
)
ALL = np.ones(13, dtype=bool)


def at(*names):
    return [JOINTS.index(name) for name in names]


def without(*names):
    mask = ALL.copy()
    mask[at(*names)] = False
    return mask


def draw(poses=POSE, visible=ALL, known=ALL, seed=0, **options):
    poses = np.atleast_3d(poses).reshape(-1, 13, 2)
    masks = [np.broadcast_to(mask, poses.shape[:2]) for mask in (visible, known)]
    rng = np.random.default_rng(seed)
    return list(render_skeletons(poses, *masks, rng, **{'image_size': SIZE, **options}))


def figure(**options):
    """Where a picture differs from the one without anybody."""
    nobody = draw(known=~ALL)[0].astype(int)
    return np.abs(draw(**options)[0] - nobody).sum(axis=-1) > 25


def shown(mask, point):
    return mask[round(point[1]), round(point[0])]


@pytest.fixture
def labels(tmp_path):
    """Two label files as published, their pictures larger than what is drawn."""
    folder = tmp_path / 'labels'
    folder.mkdir()
    for number, action in ((7, 'squat'), (9, 'pullup')):
        video = penn_video('train', action, 0, num_frames=(4, 4), image_size=(480, 270))
        fields = video.draw()[1]
        fields['visibility'][:, 3] = False
        fields['x'][:, 3] = fields['y'][:, 3] = 2 / 3  # (1, 1), scaled as the picture was
        savemat(folder / f'{number:04d}.mat', fields)
    return folder


# --- pictures ---------------------------------------------------------------------------------


def test_joints_and_bones_are_drawn_where_they_are():
    mask = figure()
    for point in POSE:
        assert shown(mask, point)
    for pair in (('left_elbow', 'left_wrist'), ('right_hip', 'right_knee'), ('left_hip', 'head')):
        assert shown(mask, POSE[at(*pair)].mean(axis=0))
    assert not mask[:, :15].any()
    assert not mask[:2].any()
    assert 0.05 < mask.mean() < 0.35


def test_a_limb_without_a_known_joint_is_not_drawn():
    elbow, wrist = POSE[at('left_elbow')][0], POSE[at('left_wrist')][0]
    mask = figure(known=without('left_wrist'))
    assert not shown(mask, wrist)
    assert shown(mask, elbow)  # the upper arm ends there
    mask = figure(known=without('left_elbow'))
    assert not shown(mask, elbow)
    assert shown(mask, POSE[at('right_elbow')][0])


def test_hidden_joints_are_drawn_by_option():
    wrist = POSE[at('left_wrist')][0]
    visible = without('left_wrist')
    assert shown(figure(visible=visible), wrist)
    assert not shown(figure(visible=visible, draw_hidden=False), wrist)


def test_hidden_arms_are_behind_the_trunk():
    folded = POSE.copy()
    folded[at('left_elbow', 'left_wrist')] = (80, 45), (86, 46)
    nobody, arm = without('left_elbow', 'left_wrist'), (slice(42, 49), slice(78, 88))
    before, behind, none = (
        draw(folded, visible=visible, known=known)[0][arm].astype(int)
        for visible, known in ((ALL, ALL), (nobody, ALL), (ALL, nobody))
    )
    assert np.abs(behind - none).max() == 0
    assert np.abs(before - none).mean() > 5


@pytest.mark.parametrize(
    'lost',
    [
        ('left_shoulder',),
        ('left_shoulder', 'left_hip'),
        ('left_shoulder', 'right_shoulder'),
        tuple(f'{side}_{joint}' for side in ('left', 'right') for joint in ('hip', 'knee')),
    ],
)
def test_the_trunk_is_drawn_from_what_is_known(lost):
    side = POSE[at('right_shoulder', 'right_hip')].mean(axis=0)
    assert shown(figure(known=without(*lost)), side)


def test_nobody_is_drawn_without_joints_and_far_points_do_no_harm():
    assert not figure(known=~ALL).any()
    far = POSE.copy()
    far[at('left_wrist')] = (1e9, -1e9)
    assert shown(figure(poses=far), POSE[at('right_knee')][0])


def test_the_seed_decides_clothes_and_room():
    poses = np.stack([POSE, POSE + 3, POSE + 6])
    first, again, other = (draw(poses, seed=seed) for seed in (1, 1, 2))
    assert len(first) == 3
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.subtract(first, other, dtype=int)).mean() > 10
    assert first[0].shape == (128, 171, 3)
    assert first[0].dtype == np.uint8


def test_joints_are_left_as_they_are():
    poses = np.stack([POSE, POSE])
    draw(poses, known=without('left_hip'))
    np.testing.assert_array_equal(poses, [POSE, POSE])


def test_size_of_a_person():
    poses = np.stack([POSE] * 20)
    known = np.broadcast_to(ALL, poses.shape[:2])
    plain = person_scale(poses, known)
    np.testing.assert_allclose(person_scale(2 * poses, known), 2 * plain)
    wild = poses.copy()
    wild[4] *= 7  # a frame of wrong marks
    np.testing.assert_allclose(person_scale(wild, known), plain)
    np.testing.assert_allclose(person_scale(poses[:1], known[:1]), plain[:1])  # short clips too
    assert plain[0] == pytest.approx(0.07, abs=0.01)
    few = np.zeros_like(known)
    few[:, at('head', 'left_shoulder', 'right_shoulder')] = True
    assert (person_scale(poses, few) > 0.5 * plain).all()
    few[:, at('head', 'right_shoulder')] = False
    few[:, at('left_elbow')] = True
    np.testing.assert_allclose(person_scale(poses, few), 20 / 279)
    assert not person_scale(poses, ~known).any()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'joints': np.zeros((2, 12, 2))}, r'joints has shape \(2, 12, 2\), expected \(2, 13, 2\)'),
        ({'visible': np.ones((1, 13))}, r'visible has shape \(1, 13\)'),
        ({'known': np.ones((2, 12))}, r'known has shape \(2, 12\)'),
        ({'image_size': (10, 10)}, r'image_size is \(10, 10\)'),
        ({'difficulty': 2}, 'difficulty is 2'),
    ],
)
def test_bad_arguments_are_named_before_the_first_picture(change, message):
    arguments = {
        'joints': np.zeros((2, 13, 2)),
        'visible': np.ones((2, 13), dtype=bool),
        'known': np.ones((2, 13), dtype=bool),
        'rng': np.random.default_rng(0),
    }
    with pytest.raises(ValueError, match=message):
        render_skeletons(**{**arguments, **change})


# --- files ------------------------------------------------------------------------------------


def test_frames_and_scaled_labels(labels, tmp_path):
    paths = write_skeleton_videos(sorted(labels.iterdir()), tmp_path / 'drawn', short_side=64)
    assert [path.name for path in paths] == ['0007.mat', '0009.mat']
    for path in paths:
        source, drawn = loadmat(labels / path.name), loadmat(path)
        assert drawn['dimensions'].tolist() == [[64, 114, 4]]
        for name, value in source.items():
            if name not in ('x', 'y', 'bbox', 'dimensions') and not name.startswith('__'):
                np.testing.assert_array_equal(drawn[name], value)
                assert drawn[name].dtype == value.dtype
        seen = source['visibility'] > 0
        for name, ratio in (('x', 114 / 480), ('y', 64 / 270)):
            expected = (source[name] - 0.5) * ratio + 0.5
            np.testing.assert_allclose(drawn[name][seen], expected[seen])
            assert (drawn[name][:, 3] == 1).all()
        frames = sorted((tmp_path / 'drawn' / 'frames' / path.stem).iterdir())
        assert [frame.name for frame in frames] == [f'{index:06d}.jpg' for index in range(1, 5)]
        assert all(cv2.imread(str(frame)).shape == (64, 114, 3) for frame in frames)
    assert list(count_videos(tmp_path / 'drawn')) == ['pullup', 'squat']


def test_a_clip_is_the_same_alone(labels, tmp_path):
    files = sorted(labels.iterdir())
    for name, some in (('both', files), ('one', files[1:])):
        write_skeleton_videos(some, tmp_path / name, short_side=64)
    one = [path for path in (tmp_path / 'one').rglob('*') if path.is_file()]
    assert len(one) == 5
    for path in one:
        other = tmp_path / 'both' / path.relative_to(tmp_path / 'one')
        assert other.read_bytes() == path.read_bytes()


def test_things_are_drawn_by_option_and_the_labels_stay(labels, tmp_path):
    fields = {k: v for k, v in loadmat(labels / '0009.mat').items() if not k.startswith('__')}
    savemat(labels / '0010.mat', {**fields, 'action': 'pushup'})
    files = sorted(labels.iterdir())
    for name in ('without', 'with'):
        write_skeleton_videos(files, tmp_path / name, short_side=64, implements=name == 'with')
    same = {}
    for path in sorted((tmp_path / 'with').rglob('*.*')):
        other = tmp_path / 'without' / path.relative_to(tmp_path / 'with')
        key = path.parent.name if path.suffix == '.jpg' else 'labels'
        same.setdefault(key, []).append(other.read_bytes() == path.read_bytes())
    assert same == {
        '0007': [False] * 4,
        '0009': [False] * 4,
        '0010': [True] * 4,
        'labels': [True] * 3,
    }


@pytest.mark.parametrize('action', ['juggle', None])
def test_things_of_an_unknown_action_are_refused(labels, tmp_path, action):
    path = labels / '0009.mat'
    fields = {k: v for k, v in loadmat(path).items() if not k.startswith('__')}
    fields |= {'action': action}
    savemat(path, {name: value for name, value in fields.items() if value is not None})
    with pytest.raises(ValueError, match=r"0009.mat: field 'action' is '(juggle)?', expected one"):
        write_skeleton_videos([path], tmp_path / 'drawn', short_side=48, implements=True)
    assert not (tmp_path / 'drawn').exists()
    assert write_skeleton_videos([path], tmp_path / 'drawn', short_side=48)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'x': np.zeros((4, 12))}, r"field 'x' is float64 of shape \(4, 12\)"),
        ({'y': np.zeros((3, 13))}, r"field 'y' is float64 of shape \(3, 13\)"),
        ({'visibility': 'all'}, "field 'visibility'"),
        ({'dimensions': None}, "field 'dimensions'"),
    ],
)
def test_bad_labels_are_named_and_nothing_is_written(labels, tmp_path, change, message):
    path = labels / '0009.mat'
    fields = {k: v for k, v in loadmat(path).items() if not k.startswith('__')}
    fields |= change
    savemat(path, {name: value for name, value in fields.items() if value is not None})
    with pytest.raises(ValueError, match=message) as error:
        write_skeleton_videos(sorted(labels.iterdir()), tmp_path / 'drawn')
    assert str(path) in str(error.value)
    assert [item.name for item in tmp_path.iterdir()] == ['labels']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'labels': []}, 'labels is empty'),
        ({'short_side': 8}, 'short_side is 8'),
        ({'difficulty': -1}, 'difficulty is -1'),
        ({'seed': -1}, 'seed is -1'),
    ],
)
def test_bad_requests_write_nothing(labels, tmp_path, change, message):
    arguments = {'labels': sorted(labels.iterdir()), 'root': tmp_path / 'drawn', **change}
    with pytest.raises(ValueError, match=message):
        write_skeleton_videos(**arguments)
    assert [item.name for item in tmp_path.iterdir()] == ['labels']


def test_a_folder_with_content_is_refused(labels):
    with pytest.raises(FileExistsError, match='is not empty'):
        write_skeleton_videos(sorted(labels.iterdir()), labels)


def test_command_draws_and_says_what(labels, tmp_path, capsys):
    out = tmp_path / 'drawn'
    make_synthetic.main(
        f'penn-skeletons --labels {labels} --out {out} --every 2 --short-side 48'.split()
    )
    said = capsys.readouterr().out
    assert '1 clips' in said
    assert 'squat' in said
    assert [path.name for path in (out / 'labels').iterdir()] == ['0007.mat']


def test_command_draws_things(labels, tmp_path, capsys):
    frames = []
    for option in ('', '--implements'):
        out = tmp_path / f'drawn{option}'
        make_synthetic.main(
            f'penn-skeletons --labels {labels} --out {out} --short-side 48 {option}'.split()
        )
        frames.append((out / 'frames' / '0009' / '000001.jpg').read_bytes())
    assert frames[0] != frames[1]
    assert '2 clips' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('--labels nowhere', 'nowhere has no *.mat files'),
        ('--short-side 8', '--short-side is 8'),
        ('--every 0', '--every is 0'),
    ],
)
def test_command_refuses_bad_options(labels, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        make_synthetic.main(
            f'penn-skeletons --labels {labels} --out {tmp_path / "x"} {options}'.split()
        )
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
