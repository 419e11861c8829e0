"""The things that actions are done with: where they are, when, before what, and of what chance."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projects.penn_labels import CLASS_NAMES
from projects.synthetic.implements import sample_implements
from projects.synthetic.penn_action import JOINTS
from projects.synthetic.penn_skeletons import person_scale, render_skeletons
from projects.synthetic.pieces import BEHIND, BETWEEN, FRONT, Piece, median_over_time

SIZE = (200, 160)
SCALE = 0.06  # px a mm
T = 20
NOTHING = ('jumping_jacks', 'pushup', 'situp')
WITH = tuple(name for name in CLASS_NAMES if name not in NOTHING)
# A standing person of 1.7 m from the front, arms level.
POSE = np.array(
    [
        *((100, 40), (90, 57), (110, 57), (74, 57), (126, 57), (59, 57), (141, 57)),
        *((94, 88), (106, 88), (94, 114), (106, 114), (94, 141), (106, 141)),
    ],
    dtype=float,
)


def at(*names):
    return [JOINTS.index(name) for name in names]


def still(**moved):
    """T frames of the same pose, some joints elsewhere."""
    pose = POSE.copy()
    for name, place in moved.items():
        pose[at(name)] = place
    return np.tile(pose, (T, 1, 1))


def swing(side='right', fastest=12):
    """The forearm of a side turns round the elbow, at no time as fast as around a frame."""
    joints = still()
    speed = np.where(np.abs(np.arange(T) - fastest) < 2, 0.5, 0.05)  # radians a frame
    angle = np.cumsum(speed) - 1
    turned = 15 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    joints[:, at(f'{side}_wrist')[0]] = joints[:, at(f'{side}_elbow')[0]] + turned
    return joints


def without(*names):
    usable = np.ones((T, 13), dtype=bool)
    usable[:, at(*names)] = False
    return usable


def things(action, joints=None, usable=None, seed=0, scale=SCALE):
    joints = swing() if joints is None else joints
    usable = np.ones(joints.shape[:2], dtype=bool) if usable is None else usable
    scales = np.full(len(joints), scale)
    return sample_implements(action, joints, usable, scales, SIZE, np.random.default_rng(seed))


def pictures(joints, known=None, visible=None, seed=0, **options):
    every = np.ones(joints.shape[:2], dtype=bool)
    known, visible = (every if mask is None else mask for mask in (known, visible))
    rng = np.random.default_rng(seed)
    return np.array(
        list(render_skeletons(joints, visible, known, rng, image_size=SIZE, **options)), dtype=int
    )


def changed(joints, action, **options):
    """Where pictures differ from those without the action's things, (T, H, W) bool."""
    plain = pictures(joints, **options)
    return (pictures(joints, implements=action, **options) != plain).any(axis=-1)


def middle(piece):
    return piece.points.reshape(len(piece.points), -1, 2).mean(axis=1)


def extent(piece):
    return np.ptp(piece.points.reshape(len(piece.points), -1, 2), axis=1)


# --- pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize('action', WITH)
def test_things_are_in_the_pictures_and_change_nothing_else(action):
    joints = swing()
    mask = changed(joints, action)
    scale = person_scale(joints, np.ones((T, 13), dtype=bool))
    chance = np.random.default_rng(0).spawn(1)[0]
    pieces = sample_implements(action, joints, np.ones((T, 13), bool), scale, SIZE, chance)
    for frame in range(T):
        near = np.zeros(SIZE[::-1], dtype=np.uint8)
        for piece in pieces:
            if piece.shown[frame]:
                corners = np.rint(piece.points[frame].reshape(-1, 2)).astype(np.int32)
                cv2.fillConvexPoly(near, cv2.convexHull(corners), 1)
        near = cv2.dilate(near, np.ones((7, 7), dtype=np.uint8)) > 0
        assert not mask[frame][~near].any()
        assert mask[frame].sum() > 3 or not any(piece.shown[frame] for piece in pieces)
    assert mask[: T // 2].any(axis=(1, 2)).all()


@pytest.mark.parametrize('action', NOTHING)
def test_actions_without_things(action):
    assert things(action) == []
    assert not changed(swing(), action).any()


@pytest.mark.parametrize('action', WITH)
def test_chance_decides_looks_only(action):
    first, again, other = (things(action, seed=seed) for seed in (3, 3, 4))
    assert len(first) == len(other)
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.points, same.points)
        assert one.colour == same.colour
    assert [piece.colour for piece in first] != [piece.colour for piece in other]
    np.testing.assert_array_equal(
        pictures(swing(), implements=action), pictures(swing(), implements=action)
    )


@pytest.mark.parametrize('action', WITH)
def test_nothing_is_drawn_without_hands(action):
    joints, known = swing(), without('left_wrist', 'right_wrist', 'left_shoulder', 'right_shoulder')
    assert not changed(joints, action, known=known).any()
    assert not changed(joints, action, visible=known, draw_hidden=False).any()
    assert changed(joints, action, visible=known).any()
    assert not any(piece.shown.any() for piece in things(action, joints, scale=0.0))
    joints[:, at('left_wrist', 'right_wrist', 'left_shoulder', 'right_shoulder')] = 1e9
    assert not changed(joints, action).any()


def test_a_hand_that_is_known_at_times_holds_at_times():
    usable = np.ones((T, 13), dtype=bool)
    usable[5:9, at('left_wrist', 'right_wrist')] = False
    for action in ('bench_press', 'baseball_swing', 'jump_rope', 'pullup'):
        for piece in things(action, still(left_wrist=(74, 45), right_wrist=(126, 45)), usable):
            np.testing.assert_array_equal(piece.shown[[0, 4, 6, 7, 9]], [1, 1, 0, 0, 1])


@pytest.mark.parametrize('frames', [0, 1, 2])
@pytest.mark.parametrize('action', CLASS_NAMES)
def test_short_clips(action, frames):
    assert len(pictures(swing()[:frames], implements=action)) == frames
    short, whole = things(action, still()[:frames]), things(action, still())
    assert len(short) == (len(whole) if frames else 0)
    for piece, longer in zip(short, whole, strict=False):
        np.testing.assert_allclose(piece.points, longer.points[:frames])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), action=st.sampled_from(WITH), share=st.floats(0, 1))
def test_whatever_the_joints_shown_pieces_are_finite(seed, action, share):
    rng = np.random.default_rng(seed)
    joints = rng.uniform(-50, 250, size=(6, 13, 2))
    usable = rng.random((6, 13)) < share
    scale = rng.uniform(0, 0.3, size=6) * (rng.random(6) < 0.8)
    image = np.zeros((160, 200, 3), dtype=np.uint8)
    for piece in sample_implements(action, joints, usable, scale, SIZE, rng):
        assert np.isfinite(piece.points).all()
        assert not piece.shown[~usable.any(axis=1) | (scale == 0)].any()
        assert set(np.unique(piece.layer)) <= {BEHIND, BETWEEN, FRONT}
        piece.draw(image, 3)


@pytest.mark.parametrize('frames', [1, 3, 40])
def test_running_median(frames):
    values = np.random.default_rng(0).normal(size=(frames, 2))
    for frame, row in enumerate(median_over_time(values, 7)):
        around = np.clip(np.arange(frame - 3, frame + 4), 0, frames - 1)
        np.testing.assert_allclose(row, np.sort(values[around], axis=0)[3])


def test_unknown_actions_are_named():
    with pytest.raises(ValueError, match="action is 'juggle', expected one of baseball_pitch"):
        things('juggle')
    with pytest.raises(ValueError, match="implements is 'juggle', expected an action"):
        render_skeletons(
            still(), *[np.ones((T, 13), bool)] * 2, np.random.default_rng(0), implements='juggle'
        )


def test_a_thin_line_is_seen():
    line = np.array([[[[10.0, 30.3], [90.0, 30.3]]]])
    image = np.zeros((60, 100, 3), dtype=np.uint8)
    Piece(line, (255, 255, 255), np.ones(1, bool), width=np.full(1, 0.2)).draw(image, 0)
    assert image[:, 50, 0].sum() / 255 > 1.3


# --- held things ------------------------------------------------------------------------------


def test_bats_and_clubs_lengthen_the_forearms():
    up = {'left_wrist': (74, 42), 'right_wrist': (126, 42)}  # forearms straight up
    for action, end in (('baseball_swing', 780), ('golf_swing', 1000)):
        piece = things(action, still(**up))[0]
        tip = np.array([100, 42 - end * SCALE])
        np.testing.assert_allclose(piece.points[5, 2:].mean(axis=0), tip, atol=1e-6)
        mask = changed(still(**up), action)[5]
        assert mask[25, 98:103].any()
        assert not mask[25, :90].any()
    bat = things('baseball_swing', still(**up))[0].points[0, :, 0]
    np.testing.assert_allclose([np.ptp(bat[:2]), np.ptp(bat[2:])], [24 * SCALE, 66 * SCALE])


def test_a_club_does_not_go_into_the_ground():
    down = {'left_wrist': (99, 88), 'right_wrist': (101, 88)}
    down |= {'left_elbow': (99, 73), 'right_elbow': (101, 73)}
    shaft, _, head = things('golf_swing', still(**down))
    assert 141 < shaft.points[..., 1].max() < 149
    np.testing.assert_allclose(head.points[0, :, 1].mean(), shaft.points[0, :, 1].max(), atol=2)


@pytest.mark.parametrize('side', ['left', 'right'])
@pytest.mark.parametrize('action', ['baseball_pitch', 'bowl'])
def test_a_ball_leaves_the_fastest_hand_when_it_is_fastest(action, side):
    joints = swing(side, fastest=9)
    ball = things(action, joints)[-1]
    last = np.flatnonzero(ball.shown).max()
    assert 8 <= last <= 10
    assert ball.shown[: last + 1].all()
    wrist = joints[:, at(f'{side}_wrist')[0]]
    assert np.linalg.norm(middle(ball) - wrist, axis=-1).max() < 190 * SCALE
    if action == 'bowl':
        mask = changed(joints, action)
        assert mask[: last + 1].any(axis=(1, 2)).all()
        assert not mask[last + 1 :].any()


def test_a_single_wrong_mark_is_no_throw():
    joints = swing('right', fastest=9)
    joints[15, at('left_wrist')] += 60
    assert np.flatnonzero(things('bowl', joints)[0].shown).max() < 11


def test_the_glove_is_on_the_other_hand_all_the_time():
    joints = swing('right')
    glove = things('baseball_pitch', joints)[0]
    assert glove.shown.all()
    wrist = joints[:, at('left_wrist')[0]]
    np.testing.assert_allclose(middle(glove), wrist - [80 * SCALE, 0], atol=1)
    np.testing.assert_allclose(extent(glove), 240 * SCALE)


@pytest.mark.parametrize('side', ['left', 'right'])
def test_a_racket_is_in_the_hand_that_hits(side):
    joints = swing(side)
    elbow, wrist = (joints[:, at(f'{side}_{joint}')[0]] for joint in ('elbow', 'wrist'))
    handle, rim = things('tennis_forehand', joints)[1:]
    steady = [3, 4, 5, 6, 7]  # far from the hit, where smoothing cuts the corner
    along = (wrist - elbow) / 15
    ends = handle.points[:, 2:].mean(axis=1)
    np.testing.assert_allclose(ends[steady], (wrist + 400 * SCALE * along)[steady], atol=1)
    head = rim.points[:, 0, :-1].mean(axis=1)
    np.testing.assert_allclose(head[steady], (wrist + 560 * SCALE * along)[steady], atol=1)
    assert rim.width is not None


def test_a_served_ball_rises_from_the_other_hand_and_is_hit():
    joints = swing('right', fastest=14)
    lift = np.minimum(np.arange(T), 6) * 3.0  # the left hand rises, then falls
    joints[:, at('left_wrist')[0], 1] -= lift - np.maximum(np.arange(T) - 6, 0) * 4.0
    ball = things('tennis_serve', joints)[-1]
    hand = joints[:, at('left_wrist')[0]]
    centre = middle(ball)
    assert np.linalg.norm(centre - hand, axis=-1)[:6].max() < 100 * SCALE + 1
    assert (centre[8:12, 1] < hand[8:12, 1] - 5).all()
    last = np.flatnonzero(ball.shown).max()
    assert 12 <= last <= 15
    reach = np.linalg.norm(centre[last] - joints[last, at('right_wrist')[0]])
    assert reach == pytest.approx(500 * SCALE, abs=1)


# --- bars -------------------------------------------------------------------------------------


@pytest.mark.parametrize('action', ['bench_press', 'clean_and_jerk', 'squat'])
def test_a_barbell_runs_through_both_wrists(action):
    joints = still(left_wrist=(80, 50), right_wrist=(120, 58))
    bar, *plates = things(action, joints)
    assert (bar.layer == BEHIND) == (action == 'squat')
    wrists = joints[0, at('left_wrist', 'right_wrist')]
    ends = bar.points[0].reshape(2, 2, 2).mean(axis=1)
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    for wrist in wrists:
        offset = wrist - ends[0]
        assert abs(along[0] * offset[1] - along[1] * offset[0]) < 1e-6
        assert 0 < along @ offset < np.linalg.norm(ends[1] - ends[0])
    places = sorted(middle(plate)[0] @ along for plate in plates)
    assert places[0] < (wrists @ along).min()
    assert places[-1] > (wrists @ along).max()
    across = [-along[1], along[0]]
    assert np.ptp(plates[0].points[0] @ across) == pytest.approx(450 * SCALE)
    mask = changed(joints, action)[5]
    assert all(mask[round(y), round(x)] for x, y in (middle(plate)[5] for plate in plates))


def test_plates_are_discs_from_the_side():
    joints = still(left_wrist=(90, 50), right_wrist=(90, 50))
    bar, *plates = things('clean_and_jerk', joints)
    for plate, radius in zip(plates, (225, 180, 225, 180), strict=True):
        np.testing.assert_allclose(extent(plate)[0], 2 * radius * SCALE)
        np.testing.assert_allclose(middle(plate)[0], (90, 50), atol=1)
    assert {plate.layer for plate in plates} == {BEHIND, FRONT}
    assert extent(bar)[0].max() < 4
    one = things('clean_and_jerk', joints, without('right_wrist'))
    assert all(piece.shown.all() for piece in one)
    np.testing.assert_allclose(extent(one[-1])[0], 360 * SCALE)


def test_a_bar_lies_on_the_shoulders_where_no_wrist_is_known():
    bar = things('squat', still(), without('left_wrist', 'right_wrist'))[0]
    assert bar.shown.all()
    np.testing.assert_allclose(middle(bar), np.tile([100, 57], (T, 1)))
    lifted = things('clean_and_jerk', still(), without('left_wrist', 'right_wrist'))
    assert not any(piece.shown.any() for piece in lifted)


def test_a_pull_up_bar_is_level_across_the_picture_and_steady():
    joints = still(left_wrist=(85, 20), right_wrist=(115, 24))
    joints[7, :, 1] += 30  # wrong marks
    (bar,) = things('pullup', joints)
    assert bar.layer == BEHIND
    assert bar.points[..., 0].min() < 0
    assert bar.points[..., 0].max() > SIZE[0]
    np.testing.assert_allclose(middle(bar)[:, 1], 22 - 40 * SCALE)
    mask = changed(joints, 'pullup')
    row = round(22 - 40 * SCALE)
    share = mask[:, row - 1 : row + 2].any(axis=1).mean(axis=1)
    assert (share > 0.8).all()  # the figure hides the rest


# --- rope and guitar --------------------------------------------------------------------------


def test_a_rope_swings_from_hand_to_hand_under_the_feet_and_over_the_head():
    joints = np.tile(still(left_wrist=(75, 88), right_wrist=(125, 88))[:1], (60, 1, 1))
    (rope,) = things('jump_rope', joints)
    line = rope.points[:, 0]
    ends = np.stack([line[0, 0], line[0, -1]])
    assert np.linalg.norm(ends - joints[0, at('left_wrist', 'right_wrist')], axis=1).max() < 5
    heights = line[:, 12, 1]
    assert 141 < heights.max() < 155
    assert 20 < heights.min() < 35
    falls = np.flatnonzero(np.diff((heights > 88).astype(int)) == 1)
    assert set(np.diff(falls)) <= {12, 13, 14, 15}
    assert set(np.unique(rope.layer)) == {BEHIND, FRONT}
    first, other = (things('jump_rope', joints, seed=seed)[0].points[0] for seed in (1, 2))
    assert np.abs(first - other).max() > 5


def test_a_rope_is_seen_from_the_side_too():
    joints = still(left_wrist=(100, 88), right_wrist=(100, 88), left_elbow=(100, 73))
    joints[:, at('right_elbow')] = (100, 73)
    (rope,) = things('jump_rope', joints)
    assert np.ptp(rope.points[:, 0, 12, 0]) > 1500 * SCALE


@pytest.mark.parametrize('side', ['left', 'right'])
def test_a_guitar_is_between_trunk_and_arm(side):
    other = {'left': 'right', 'right': 'left'}[side]
    joints = still(**{f'{side}_elbow': (85, 75), f'{other}_elbow': (130, 72)})
    joints[:, at(f'{other}_wrist')] = (140, 70)
    joints[:, at(f'{side}_wrist')[0]] = np.stack(
        [np.full(T, 100.0), 75 + 3 * np.sin(np.arange(T))], axis=-1
    )
    pieces = things('strum_guitar', joints)
    assert {piece.layer for piece in pieces} == {BETWEEN}
    assert all(piece.shown.all() for piece in pieces)
    neck, body = pieces[-1].points.mean(axis=(0, 1)), pieces[0].points.mean(axis=(0, 1))
    assert neck[0] > 130
    assert body[0] < 100
    assert np.ptp(pieces[0].points, axis=0).max() < 4  # it rests while the hand moves
    alone = things('strum_guitar', joints, without(f'{other}_wrist'))
    assert all(piece.shown.all() for piece in alone)
