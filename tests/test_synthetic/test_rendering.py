"""The camera, the figure's flesh and the pictures of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projects.synthetic.body import (
    BALLS,
    BODY_INDEX,
    BODY_LANDMARKS,
    LIMB_INDEX,
    LIMBS,
    limb_extents,
    limb_points,
)
from projects.synthetic.camera import Camera
from projects.synthetic.figure import Motion, ground_translation, rotations_from_angles
from projects.synthetic.rendering import BACKGROUND, OCCLUDER, Rendering, render
from projects.synthetic.sampling import Layer
from projects.synthetic.scene import sample_scene
from projects.synthetic.scenery import Appearance, Occluder, sample_background

SIZE = (160, 128)
ARMS_OUT = {'shoulder abduction': 80.0, 'hip abduction': 12.0, 'elbow flexion': -10.0}


def body(angles=ARMS_OUT, turn=0.0, place=(0.0, 0.0, 0.0)):
    rotations = rotations_from_angles(angles, 1)
    motion = Motion(rotations, ground_translation(rotations), fps=1.0).turned(turn)
    return motion.landmarks(BODY_LANDMARKS)[0] + place


def camera(focal=260.0, size=SIZE):
    return Camera.look_at((0.0, 1000.0, 4500.0), (0.0, 900.0, 0.0), focal, size)


def looks(seed=0):
    return Appearance.sample(np.random.default_rng(seed))


def plain(size=SIZE):
    return np.full((size[1], size[0], 3), 90, dtype=np.uint8)


def pixel(landmarks, name):
    x, y = camera().project(landmarks[BODY_INDEX[name]])[0]
    return round(float(x)), round(float(y))


def seen_limb(picture, x, y):
    owner = picture.owners[y, x]
    return LIMBS[(owner - 1) % len(LIMBS)].name if owner > 0 else owner


# --- camera -----------------------------------------------------------------------------------


def test_a_level_camera_is_the_textbook_pinhole():
    view = Camera.look_at((100.0, 1000.0, 4000.0), (100.0, 1000.0, 0.0), 300.0, (200, 100))
    points = np.array([[350.0, 1400.0, 500.0], [100.0, 1000.0, -7.0], [-900.0, 0.0, 2000.0]])
    pixels, depth = view.project(points)
    for (x, y, z), found, far in zip(points, pixels, depth, strict=True):
        assert far == pytest.approx(4000 - z)
        assert found[0] == pytest.approx(99.5 + 300 * (x - 100) / (4000 - z))
        assert found[1] == pytest.approx(49.5 - 300 * (y - 1000) / (4000 - z))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), roll=st.floats(-180, 180))
def test_any_camera_keeps_angles_and_uprightness(seed, roll):
    rng = np.random.default_rng(seed)
    position, target, point = rng.uniform(-3000, 3000, size=(3, 3))
    view = Camera.look_at(position, target, 250.0, SIZE, roll=roll)
    axis, ray = target - position, point - position
    cosine = axis @ ray / np.linalg.norm(axis) / np.linalg.norm(ray)
    pixels, depth = view.project(np.stack([target, point]))
    np.testing.assert_allclose(pixels[0], (79.5, 63.5), atol=1e-6)
    np.testing.assert_allclose(depth, [np.linalg.norm(axis), np.linalg.norm(ray) * cosine])
    if cosine > 0.05:
        distance = np.linalg.norm(pixels[1] - pixels[0])
        assert distance == pytest.approx(250 * np.tan(np.arccos(cosine)), rel=1e-5, abs=1e-4)
    level = Camera.look_at(position, target, 250.0, SIZE)
    above = level.project(target + (0.0, 1.0, 0.0))[0]
    assert above[1] < 63.5
    assert above[0] == pytest.approx(79.5, abs=1e-6)


def test_zooming_scales_about_the_centre_then_shifts():
    points = np.random.default_rng(0).uniform(-500, 500, size=(5, 3))
    pixels, zoomed = camera().project(points)[0], camera().zoomed(1.5, (7, -3)).project(points)[0]
    np.testing.assert_allclose(zoomed - (79.5 + 7, 63.5 - 3), 1.5 * (pixels - (79.5, 63.5)))


def test_bad_cameras_are_refused():
    with pytest.raises(ValueError, match='straight above or below'):
        Camera.look_at((0, 1000, 0), (0, 0, 0), 100.0, SIZE)
    with pytest.raises(ValueError, match=r'focal is 0\.0'):
        Camera.look_at((0, 0, 10), (0, 0, 0), 0.0, SIZE)
    with pytest.raises(ValueError, match='size is'):
        Camera.look_at((0, 0, 10), (0, 0, 0), 100.0, (0, 10))


# --- flesh ------------------------------------------------------------------------------------


def test_balls_are_circles_of_their_radius_over_their_depth():
    landmarks, view = body(), camera()
    points, _ = limb_points(landmarks, view, girth=1.2)
    knee_ball = BALLS[LIMB_INDEX['left_thigh']].stop - 1
    radius = LIMBS[LIMB_INDEX['left_thigh']].balls[-1][1]
    centre, depth = view.project(landmarks[BODY_INDEX['LeftLeg']])
    distance = np.linalg.norm(points[knee_ball] - centre, axis=1)
    np.testing.assert_allclose(distance, 1.2 * radius * 260 / depth)


def test_many_bodies_at_once_are_as_one_by_one():
    bodies, view = np.stack([body(), body({}, 40.0, (300.0, 0.0, 500.0))]), camera()
    points, depths = limb_points(bodies, view, np.array([1.0, 1.1]))
    for index, girth in enumerate((1.0, 1.1)):
        alone = limb_points(bodies[index], view, girth)
        np.testing.assert_allclose(points[index], alone[0])
        np.testing.assert_allclose(depths[index], alone[1])
        for limb, part in enumerate(BALLS):
            corners = points[index, part].reshape(-1, 2)
            expected = [*corners.min(axis=0), *corners.max(axis=0)]
            np.testing.assert_allclose(limb_extents(points)[index, limb], expected)


def test_no_point_of_the_body_is_made_of_half_landmarks():
    for limb in LIMBS:
        for point, radius in limb.balls:
            assert sum(point.values()) == pytest.approx(1.0)
            assert radius > 0


# --- pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize('turn', [0.0, 30.0, -30.0, 180.0])
def test_limbs_are_drawn_where_landmarks_project(turn):
    landmarks = body(turn=turn)
    picture = render([(landmarks, looks())], camera(), plain())
    for side in ('left', 'right'):
        joint = side.title()
        for name, limbs in (
            (f'{side}_palm', {f'{side}_hand'}),
            (f'{joint}ForeArm', {f'{side}_upper_arm', f'{side}_forearm'}),
            (f'{joint}Leg', {f'{side}_thigh', f'{side}_shin'}),
            (f'{side}_foot_index', {f'{side}_foot'} if turn < 180 else {f'{side}_shin'}),
        ):
            assert seen_limb(picture, *pixel(landmarks, name)) in limbs
    assert seen_limb(picture, *pixel(landmarks, 'Hips')) == 'pelvis'
    drawn = (picture.image != plain()).any(axis=-1)
    assert drawn[picture.owners != BACKGROUND].mean() > 0.99  # a colour may be the wall's


def test_left_is_left_and_front_is_front():
    """Who faces the camera has the left hand on the image's right, and the other way round."""
    for turn, order in ((0.0, 1), (180.0, -1)):
        landmarks = body(turn=turn)
        picture = render([(landmarks, looks())], camera(), plain())
        columns = [
            np.nonzero(picture.owners == Rendering.owner(0, LIMB_INDEX[f'{side}_hand']))[1].mean()
            for side in ('left', 'right')
        ]
        assert order * (columns[0] - columns[1]) > 60
        middle = seen_limb(picture, *pixel(landmarks, 'head_center'))
        assert middle == ('face' if turn == 0 else 'hair')


def test_face_and_print_are_drawn_from_the_front_only():
    look = looks()
    for turn, front in ((0.0, True), (180.0, False)):
        view = camera(focal=900.0, size=(640, 512))
        image = render([(body(turn=turn), look)], view, plain((640, 512))).image
        printed = (image == look.colours['print']).all(axis=-1).sum()
        assert (printed > 100) == front


def test_the_nearer_person_hides_the_farther():
    near, far = body(place=(60.0, 0.0, 400.0)), body(place=(-60.0, 0.0, -400.0))
    alone = render([(near, looks())], camera(), plain()).owners
    for people, index in (([near, far], 0), ([far, near], 1)):
        picture = render([(person, looks()) for person in people], camera(), plain())
        low = Rendering.owner(index, 0)
        own = (picture.owners >= low) & (picture.owners < low + len(LIMBS))
        np.testing.assert_array_equal(own, alone > 0)
        fractions = picture.visible_fractions([[limb.name for limb in LIMBS]])[:, 0]
        assert fractions[index] == 1.0
        assert 0.05 < fractions[1 - index] < 0.6


def test_the_nearer_limb_hides_the_farther():
    reaching = body({'left shoulder flexion': 85.0, 'left shoulder abduction': -25.0})
    picture = render([(reaching, looks())], camera(), plain())
    assert seen_limb(picture, *pixel(reaching, 'left_palm')) == 'left_hand'
    behind = body({'left shoulder flexion': -40.0, 'left shoulder abduction': -25.0})
    picture = render([(behind, looks())], camera(), plain())
    assert seen_limb(picture, *pixel(behind, 'left_palm')) != 'left_hand'


def test_extents_are_those_of_the_drawn_pixels():
    picture = render([(body(), looks())], camera(), plain())
    for name in ('left_hand', 'right_forearm', 'left_shin', 'right_foot'):
        limb = LIMB_INDEX[name]
        rows, columns = np.nonzero(picture.owners == Rendering.owner(0, limb))
        drawn = [columns.min(), rows.min(), columns.max(), rows.max()]
        if name in ('left_hand', 'right_foot'):  # nothing lies over these
            np.testing.assert_allclose(picture.extents()[0, limb], drawn, atol=1.3)
        x1, y1, x2, y2 = picture.extents()[0, limb]
        assert (columns >= x1 - 1).all()
        assert (columns <= x2 + 1).all()
        assert (rows >= y1 - 1).all()
        assert (rows <= y2 + 1).all()


def test_visible_fractions_count_borders_and_things_in_the_way():
    landmarks, groups = body(), [['left_hand'], ['right_hand'], ['left_thigh', 'left_shin']]
    whole = render([(landmarks, looks())], camera(), plain()).visible_fractions(groups)
    assert whole.min() > 0.9
    x, y = pixel(landmarks, 'left_palm')
    box = np.array([[x - 20, y - 20], [x + 20, y - 20], [x + 20, y + 20], [x - 20, y + 20]])
    hidden = render([(landmarks, looks())], camera(), plain(), [Occluder(box, (0, 0, 255))])
    fractions = hidden.visible_fractions(groups)
    assert fractions[0, 0] == 0.0
    assert fractions[0, 1] == whole[0, 1]
    assert (hidden.owners == OCCLUDER).sum() == 41 * 41
    assert (hidden.image[y, x] == (0, 0, 255)).all()
    hip = camera().project(landmarks[BODY_INDEX['left_palm']])[0]
    outside = camera().zoomed(1.0, (SIZE[0] - 1 - hip[0], 0.0))  # the image ends at the palm
    cut = render([(landmarks, looks())], outside, plain()).visible_fractions(groups)
    assert 0.2 < cut[0, 0] < 0.8


def test_nobody_leaves_the_background_and_who_is_behind_the_camera_is_not_drawn():
    wall = plain()
    behind = body(place=(0.0, 0.0, 5000.0))
    for people in ([], [(behind, looks())]):
        picture = render(people, camera(), wall)
        np.testing.assert_array_equal(picture.image, wall)
        assert picture.image is not wall
        assert not picture.owners.any()
        assert not picture.drawn.any()
        assert picture.visible_fractions([['face']]).sum() == 0


def test_bad_pictures_are_refused():
    with pytest.raises(ValueError, match=r'background is uint8 \(64, 64, 3\)'):
        render([], camera(), plain((64, 64)))
    with pytest.raises(ValueError, match='positions of shape'):
        render([(np.zeros((len(BODY_LANDMARKS) + 1, 3)), looks())], camera(), plain())


# --- scenes -----------------------------------------------------------------------------------


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize('people', [1, 3])
def test_easy_scenes_show_everybody_whole(people):
    for seed in range(4):
        scene = sample_scene([[Layer('jumping_jack')]] * people, 12, 10.0, rng(seed), difficulty=0)
        assert scene.present.all()
        assert not scene.occluders
        for index in range(0, 12, 4):
            picture = scene.frame(index)
            low, high = picture.extents()[..., :2], picture.extents()[..., 2:]
            assert low.min() > 0
            assert (high.max(axis=(0, 1)) < np.array(SIZE) - 1).all()


def test_a_person_fills_the_picture_and_faces_it_within_the_angle():
    for seed in range(6):
        scene = sample_scene([[Layer('idle')]], 5, 10.0, rng(seed), difficulty=0)
        extents = scene.frame(0).extents()[0]
        assert 0.5 < (extents[:, 3].max() - extents[:, 1].min()) / SIZE[1] < 0.95
        left, right = (
            scene.landmarks[0, 0, BODY_INDEX[f'{side}UpLeg']] for side in ('Left', 'Right')
        )
        turned = np.degrees(np.arctan2(-(left - right)[2], (left - right)[0]))
        assert abs(turned) < 75  # the yaw and what an idle pelvis adds


def test_hard_scenes_have_what_the_easy_ones_lack():
    scenes = [
        sample_scene([[Layer('squat')]], 8, 10.0, rng(seed), difficulty=1.0) for seed in range(20)
    ]
    assert any(scene.occluders for scene in scenes)
    assert any(not scene.present.all() for scene in scenes)
    assert any((scene.frame(4).extents() < 0).any() for scene in scenes if scene.present[4])
    absent = next(scene for scene in scenes if not scene.present.all())
    picture = absent.frame(int(np.flatnonzero(~absent.present)[0]))
    assert len(picture.points) == 0
    assert (picture.owners <= 0).all()


def test_scenes_are_reproducible_and_their_light_changes():
    first, again, other = (
        sample_scene([[Layer('wave')]], 4, 10.0, rng(seed)).frame(2).image for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


def test_background_ends_at_the_floor():
    image = sample_background(SIZE, rng(3), floor=80.0, clutter=0).astype(float)
    assert image.shape == (128, 160, 3)
    steps = np.abs(np.diff(image.mean(axis=(1, 2))))
    assert steps.argmax() == 79


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'actors': []}, 'actors is empty'),
        ({'image_size': (16, 128)}, 'image_size is'),
        ({'difficulty': 2.0}, r'difficulty is 2\.0'),
    ],
)
def test_bad_scenes_are_refused(change, message):
    arguments = {'actors': [[Layer('wave')]], 'num_frames': 3, 'fps': 5.0, 'rng': rng(), **change}
    with pytest.raises(ValueError, match=message):
        sample_scene(**arguments)
