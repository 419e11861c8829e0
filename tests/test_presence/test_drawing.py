import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpose.datasets import AP10KDataset, CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from projects.pose_look import (
    CENTRE,
    LEFT,
    RIGHT,
    PosePerson,
    limb_colour,
    mark,
    pose_look,
    stroke,
)
from projects.presence.drawing import (
    Score,
    draw_people,
    draw_presence,
    draw_with_truth,
    place_scores,
)
from projects.presence.scorecards import WRONG, legend, score_cards, score_text
from projects.visualization import CARD

META = dict(
    dataset_name='few',
    keypoint_id2name={0: 'head', 1: 'left_hand', 2: 'right_hand', 3: 'left_foot'},
    skeleton_links=[(0, 1), (0, 2), (1, 3), (1, 2)],
    flip_indices=[0, 2, 1, 3],
)
LOOK = pose_look({**META, 'flip_indices': [0, 2, 1, 2]})
POINTS = np.array([[200.0, 60], [100, 200], [300, 200], [100, 340]])
GREY = np.full((400, 400, 3), 128, dtype=np.uint8)
SAME = dict(long_side=(400, 400))  # nothing is scaled


def person(present=(1, 1, 1, 1), scores=(0.9, 0.8, 0.7, 0.6), **more):
    scores = None if scores is None else np.array(scores)
    return PosePerson(POINTS, np.array(present, bool), scores, **more)


def shows(image, point, colour, reach=1):
    x, y = (round(value) for value in point)
    patch = image[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3)
    return bool((np.abs(patch.astype(int) - np.array(colour[::-1])).max(axis=1) < 12).any())


def count(image, colour):
    return int((np.abs(image.astype(int) - np.array(colour[::-1])).max(axis=-1) < 12).sum())


def test_colours_go_by_side():
    assert LOOK.colours == (CENTRE, LEFT, RIGHT, LEFT)
    assert [limb_colour(LOOK, limb) for limb in LOOK.layout.limbs] == [LEFT, RIGHT, LEFT, CENTRE]
    coco = pose_look(parse_pose_metainfo(CocoDataset.METAINFO))
    assert coco.layout.joint_names[:2] == ('nose', 'left_eye')
    assert coco.colours == (CENTRE, *[LEFT, RIGHT] * 8)
    assert (15, 13) in coco.layout.limbs
    animal = pose_look(parse_pose_metainfo(AP10KDataset.METAINFO))  # L_Eye, R_F_Paw
    assert animal.colours[:4] == (LEFT, RIGHT, CENTRE, CENTRE)
    assert set(animal.colours[5:]) == {LEFT, RIGHT}


def test_metainfo_has_to_be_parsed():
    with pytest.raises(ValueError, match=r"no 'skeleton_links' but \['flip_indices', 'keypoint_id"):
        pose_look(dict(keypoint_id2name={0: 'a'}, flip_indices=[0]))


@pytest.mark.parametrize('ground', [0, 255])
def test_a_disc_is_full_and_a_ring_is_empty(ground):
    canvas = np.full((40, 80, 3), ground, dtype=np.uint8)
    mark(canvas, np.array([20.0, 20]), 8, LEFT, True)
    mark(canvas, np.array([60.0, 20]), 8, LEFT, False)
    assert tuple(canvas[20, 20]) == LEFT[::-1]
    assert (canvas[20, 60] == ground).all()
    assert shows(canvas, (60 + 9, 20), LEFT)
    assert count(canvas, (16, 18, 22)) > 40  # an edge around both


def test_lines_are_dashed_from_end_to_end():
    canvas = np.zeros((20, 120, 3), dtype=np.uint8)
    stroke(canvas, np.array([10.0, 10]), np.array([110.0, 10]), 2, RIGHT, dash=10)
    drawn = np.abs(canvas[10].astype(int) - RIGHT[::-1]).max(axis=1) < 12
    assert drawn[12]
    assert drawn[108]
    assert np.diff(drawn.astype(int), prepend=0).clip(0).sum() == 6  # ten lengths: a gap each
    stroke(canvas, np.array([10.0, 10]), np.array([110.0, 10]), 2, RIGHT)
    assert (np.abs(canvas[10, 12:108].astype(int) - RIGHT[::-1]).max(axis=1) < 12).all()


def test_discs_rings_and_limbs():
    image = GREY.copy()
    drawn = draw_people(image, [person(present=(1, 1, 1, 0))], LOOK, scores='none', **SAME)
    assert (image == 128).all()  # the picture itself is not drawn on
    assert drawn.shape == image.shape
    for point, colour in zip(POINTS[:3], LOOK.colours, strict=False):
        assert shows(drawn, point, colour)
    assert not shows(drawn, POINTS[3], LEFT)
    assert shows(drawn, (200, 200), CENTRE)  # a solid limb, in the middle of it
    along = drawn[210:325, 100].astype(int)  # the limb to the absent one
    assert (np.abs(along - 128).max(axis=1) < 12).any()  # has gaps
    assert not (np.abs(along - LEFT[::-1]).max(axis=1) < 4).any()  # and is dim


def test_numbers_of_absent_or_all_keypoints():
    few, many, none = (
        draw_people(GREY, [person(present=(1, 1, 0, 1))], LOOK, scores=scores, **SAME)
        for scores in ('absent', 'all', 'none')
    )
    changed = np.argwhere((few != none).any(axis=-1))
    assert len(changed) > 20
    assert np.abs(changed - POINTS[2][::-1]).max() < 60  # at the absent one alone
    assert (many != none).any(axis=-1).sum() > 2.5 * len(changed)
    without = draw_people(GREY, [person((1, 1, 0, 1), scores=None)], LOOK, **SAME)
    assert (without == none).all()
    with pytest.raises(ValueError, match="scores is 'some', expected one of"):
        draw_people(GREY, [person()], LOOK, scores='some')


def test_no_numbers_of_keypoints_far_outside():
    shifted = person(present=(0, 0, 0, 0))._replace(points=POINTS + [330, 0])
    drawn = draw_people(GREY, [shifted], LOOK, **SAME)
    bare = draw_people(GREY, [shifted], LOOK, scores='none', **SAME)
    assert (drawn == bare).all()  # all lie right of it


def test_what_has_no_place_is_not_drawn():
    nothing = PosePerson(np.full((4, 2), np.nan), np.zeros(4, bool), np.zeros(4))
    assert (draw_people(GREY, [nothing], LOOK, **SAME) == GREY).all()
    half = person()._replace(points=np.where(np.arange(4)[:, None] < 3, POINTS, np.nan))
    drawn = draw_people(GREY, [half], LOOK, scores='all', **SAME)
    assert (drawn[260:] == 128).all()
    far = person()._replace(points=POINTS + [1e7, -1e7])
    assert draw_people(GREY, [far], LOOK, scores='all', **SAME).shape == GREY.shape


@pytest.mark.parametrize('box', [None, np.array([-50.0, 20, 900, 380])])
def test_small_pictures_are_enlarged_and_large_ones_reduced(box):
    small = draw_people(GREY[:30, :20], [], LOOK)
    assert small.shape == (900, 600, 3)
    one = person(box=box)
    large = draw_people(np.zeros((300, 4000, 3), np.uint8), [one], LOOK)
    assert large.shape == (120, 1600, 3)
    tiny = person(box=np.array([10.0, 10, 50, 90]))
    assert draw_people(GREY, [tiny], LOOK).shape[0] == 1600  # until the person can be seen


def test_people_have_numbers_cards_and_a_legend():
    plain = draw_people(GREY, [person()], LOOK)
    one, two = (draw_presence(GREY, [person()] * number, LOOK) for number in (1, 2))
    assert one.shape[1] > plain.shape[1] + 150
    assert one.shape[0] == plain.shape[0] + 34
    assert count(two, CARD) > 1.5 * count(one, CARD)
    both = draw_people(GREY, [person()] * 2, LOOK)
    assert count(both, (255, 255, 255)) > count(plain, (255, 255, 255)) + 300  # their numbers
    crowd = draw_presence(GREY, [person()] * 7, LOOK)
    assert crowd.shape[1] == plain.shape[1]  # cards would outgrow it
    assert draw_presence(GREY, [person()], LOOK, cards=False).shape[1] == plain.shape[1]
    assert draw_presence(GREY, [], LOOK).shape[1] == plain.shape[1]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 14), st.floats(-20, 420))
def test_scores_lie_in_the_picture_beside_each_other(seed, number, middle):
    rng = np.random.default_rng(seed)
    at = middle + rng.normal(0, 25, (number, 2))
    scores = [Score('.50', point, 6.0, np.zeros(2), LEFT, 14) for point in at]
    sizes = np.tile([30.0, 15.0], (number, 1))
    squares = np.concatenate([at - 6, at + 6], axis=1)
    places = place_scores(
        scores, sizes, squares, np.zeros((0, 4)), np.zeros((0, 2)), (400.0, 400.0)
    )
    assert places.shape == (number, 4)
    assert places.min() >= 0
    assert places.max() <= 400
    np.testing.assert_allclose(places[:, 2:] - places[:, :2], sizes)
    low = np.maximum(places[:, None, :2], places[None, :, :2])
    high = np.minimum(places[:, None, 2:], places[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    np.fill_diagonal(shared, 0)
    if number <= 6 and 60 <= middle <= 340:
        assert shared.max(initial=0) == 0
    near = np.clip(np.clip(at, 0, 400), places[:, :2], places[:, 2:])
    assert np.linalg.norm(near - np.clip(at, 0, 400), axis=1).max() < 6 + 38 + 1


def test_scores_avoid_keypoints_and_labels():
    score = Score('.50', np.array([100.0, 100]), 6.0, np.array([1.0, 0]), LEFT, 14)
    sizes = np.array([[30.0, 15.0]])
    nothing, lines = np.zeros((0, 4)), np.zeros((0, 2))
    (free,) = place_scores([score], sizes, nothing, nothing, lines, (400.0, 400.0))
    assert free[0] > 106  # away from the person
    wall = np.array([[105.0, 0, 200, 400]])
    for squares, tags in ((wall, nothing), (nothing, wall)):
        (place,) = place_scores([score], sizes, squares, tags, lines, (400.0, 400.0))
        assert place[2] <= 105


@pytest.mark.parametrize(
    ('score', 'text'),
    [(0.234, '.23'), (0.0, '.00'), (0.999, '1.0'), (1.2, '1.0'), (-0.1, '.00'), (np.nan, '')],
)
def test_score_text(score, text):
    assert score_text(score) == text


def test_bars_are_as_long_as_scores_are_high():
    lengths = []
    for score in (0.25, 0.5, 1.0):
        card = score_cards([person(scores=(score, 0, 0, 0))], LOOK, 0.1, 300)
        lengths.append(count(card, CENTRE))
    disc = count(score_cards([person(scores=(0, 0, 0, 0))], LOOK, 0.1, 300), CENTRE)
    quarter, half, full = (length - disc for length in lengths)
    assert half == pytest.approx(2 * quarter, rel=0.2)
    assert full == pytest.approx(4 * quarter, rel=0.2)


def test_cards_mark_what_differs_from_the_truth():
    right = person(present=(1, 1, 0, 0), truth=np.array([1, 1, 0, np.nan]))
    wrong = right._replace(truth=np.array([1.0, 0, 0, np.nan]))
    cards = [score_cards([one], LOOK, 0.5, 300) for one in (right, wrong)]
    assert [count(card, WRONG) > 500 for card in cards] == [False, True]
    rows = np.flatnonzero((np.abs(cards[1].astype(int) - WRONG[::-1]).max(-1) < 12).any(1))
    assert np.ptp(rows) < 20  # one row


def test_legend_takes_lines_as_it_needs():
    wide, narrow = (legend(LOOK, width, 0.5, 'probability') for width in (1000, 300))
    assert wide.shape == (34, 1000, 3)
    assert narrow.shape[0] > 34
    assert narrow.shape[1] == 300
    for colour in (LEFT, RIGHT, CENTRE):
        assert count(wide, colour) > 20
    one_sided = pose_look({**META, 'keypoint_id2name': dict(enumerate('abcd'))})
    assert count(legend(one_sided, 1000, 0.5, 'probability'), RIGHT) == 0


def test_truth_stands_beside_the_prediction():
    truth = person(present=(1, 1, 1, 0), scores=None, truth=np.array([1.0, 1, 1, 0]))
    drawn = draw_with_truth(GREY, truth, person(), LOOK)
    alone = draw_with_truth(GREY, truth, truth._replace(scores=np.ones(4)), LOOK)
    assert drawn.shape == alone.shape
    assert count(drawn, WRONG) > 500
    assert count(alone, WRONG) == 0
    assert drawn.shape[0] > 560
    assert drawn.shape[1] > 1120


def test_text_is_readable_on_any_ground():
    for ground in (0, 255):
        image = np.full_like(GREY, ground)
        drawn = draw_people(image, [person(present=(0, 1, 1, 1))], LOOK, **SAME)
        bare = draw_people(image, [person(present=(0, 1, 1, 1))], LOOK, scores='none', **SAME)
        grey = [cv2.cvtColor(one, cv2.COLOR_BGR2GRAY).astype(int) for one in (drawn, bare)]
        text = grey[0][(drawn != bare).any(axis=-1)]
        assert np.ptp(text) > 120
