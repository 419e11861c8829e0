from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from projects.keypoints import LAYOUTS
from projects.pose_look import EDGE, LEFT
from projects.star import panels
from projects.star.drawing import Clip, draw_people, draw_strip, draw_video, people_box, write_strip
from projects.star.panels import TimeLine, Verdict, elided, percent, score_card, verdict_at
from projects.visualization import font

PENN, NTU = LAYOUTS['penn'], LAYOUTS['ntu']
LONG = 'use a fan (with hand or paper)/feeling warm and then very much more than that of all'
NAMES = ('golf_swing', LONG, 'bowl')


def clip_of(frames=6, size=(60, 80), people=1, layout=PENN, pictures=True, rate=10.0):
    rng = np.random.default_rng(0)
    height, width = size
    points = rng.uniform(0.3, 0.7, (people, frames, layout.num_joints, 2)) * (width, height)
    grey = np.full((*size, 3), 120, np.uint8)
    shown = (lambda numbers: (grey for _ in numbers)) if pictures else None
    return Clip('a clip', points, np.ones(points.shape[:3]), size, layout, shown, rate)


def verdict_of(clip, names=NAMES, truth=None, start=0, stop=None):
    scores = np.array([0.7, 0.2, 0.05, 0.03, 0.02])[: len(names)]
    stop = stop or clip.points.shape[1]
    return Verdict(
        tuple(zip(names, scores, strict=True)), start, stop, np.arange(start, stop), truth
    )


def has(picture, colour):
    """Whether a BGR picture has an RGB colour."""
    return bool((picture == np.array(colour)[::-1]).all(axis=-1).any())


@pytest.mark.parametrize('size', [(72, 96), (1080, 1920), (1920, 1080), (40, 400)])
@pytest.mark.parametrize('pictures', [True, False])
def test_strips_of_any_size(size, pictures):
    clip = clip_of(frames=16, size=size, people=2, pictures=pictures)
    for whole in (False, True):
        drawn = draw_strip(clip, verdict_of(clip), whole_picture=whole)
        assert drawn.dtype == np.uint8
        assert 350 <= drawn.shape[0] <= 560
        assert 500 <= drawn.shape[1] <= 1480


def frames_of(path):
    if path.suffix == '.gif':
        with Image.open(path) as animation:
            return animation.n_frames, animation.size
    capture = cv2.VideoCapture(str(path))
    number = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    _, picture = capture.read()
    capture.release()
    return number, picture.shape[1::-1]


@pytest.mark.parametrize(
    ('ending', 'options', 'expected'),
    [
        ('mp4', {}, 6),
        ('gif', {}, 6),
        ('mp4', dict(max_frames=2), 2),
        ('mp4', dict(max_frames=4), 3),
    ],
)
def test_video_has_the_frames(tmp_path, ending, options, expected):
    clip = clip_of()
    draw_video(tmp_path / f'a.{ending}', clip, [verdict_of(clip)], **options)
    number, size = frames_of(tmp_path / f'a.{ending}')
    assert number == expected
    assert min(size) > 400


def test_video_of_another_kind_or_without_a_picture(tmp_path):
    clip = clip_of()
    with pytest.raises(ValueError, match=r"a.avi', expected a name that ends in"):
        draw_video(tmp_path / 'a.avi', clip, [verdict_of(clip)])

    def broken(numbers):
        raise ValueError('1.jpg: cannot be read')

    with pytest.raises(ValueError, match='cannot be read'):
        draw_video(tmp_path / 'a.mp4', clip._replace(pictures=broken), [verdict_of(clip)])
    assert not list(tmp_path.iterdir())


def test_pictures_that_end_early_stay(tmp_path):
    clip = clip_of()
    grey = np.full((60, 80, 3), 120, np.uint8)
    draw_video(
        tmp_path / 'a.mp4', clip._replace(pictures=lambda numbers: iter([grey])), [verdict_of(clip)]
    )
    assert frames_of(tmp_path / 'a.mp4')[0] == 6


def test_missing_joints_and_their_limbs_are_not_drawn():
    points = np.stack([np.linspace(20, 380, 13), np.linspace(380, 20, 13)], axis=-1)[None]
    scores = np.zeros((1, 13))
    canvas = np.zeros((400, 400, 3), np.uint8)
    draw_people(canvas, points, scores, PENN, np.array([100.0]))
    assert not canvas.any()
    joint = PENN.joint_names.index('left_wrist')
    scores[0, joint] = 1
    draw_people(canvas, points, scores, PENN, np.array([100.0]))
    rows, columns = np.nonzero(canvas.any(axis=-1))
    assert np.abs(np.stack([columns, rows], -1) - points[0, joint]).max() < 10
    assert has(canvas, LEFT)
    assert has(canvas, EDGE)


def test_unsure_joints_are_darker_and_the_second_person_has_other_colours():
    points = np.full((2, 13, 2), 50.0)
    wrist = PENN.joint_names.index('left_wrist')

    def middle(scores):
        canvas = np.zeros((100, 100, 3), np.uint8)
        of_joints = np.zeros((2, 13))
        of_joints[:, wrist] = scores
        draw_people(canvas, points, of_joints, PENN, np.array([300.0, 300.0]))
        return canvas[50, 50].astype(int)

    sure, unsure, second = middle([1, 0]), middle([0.5, 0]), middle([0, 1])
    assert (unsure < sure).all()
    assert sure.tolist() == list(LEFT[::-1])
    assert np.abs(second - sure).max() > 60
    assert middle([1, 1]).tolist() == sure.tolist()  # the first is in front


def test_box_of_people():
    clip = clip_of(size=(100, 200))
    clip.points[:] = np.array([150.0, 50.0])
    clip.points[0, 0, 0] = (170, 90)
    clip.points[0, 1, 0] = (-500, 50)  # wild, and missing
    clip.scores[0, 1, 0] = 0
    low, high = people_box(clip, np.arange(2))
    assert (low >= 0).all() and (high <= (200, 100)).all()  # noqa: PT018
    assert (low <= (150.5, 50.5)).all()
    assert (high >= (170.5, 90.5)).all()
    assert high[0] - low[0] < 60
    nobody = clip._replace(scores=np.zeros_like(clip.scores))
    assert people_box(nobody, np.arange(2)).tolist() == [[0, 0], [200, 100]]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec='utf-8'), max_size=90), st.booleans())
def test_cards_hold_any_name(name, known):
    card = score_card(Verdict(((name, 1.5), ('b', -0.1)), 0, 1, np.zeros(1, int), 'b' * known))
    assert card.shape[1] == 320
    assert card.shape[0] < 420


def test_lines_of_a_card_are_not_wider_than_it():
    for sizes, most in (((23, 20, 17), 3), ((15,), 1)):
        for name in (LONG, 'x' * 90, 'a b ' * 60, ''):
            style, lines = panels._wrapped(name, 284, sizes, most)
            assert len(lines) <= most
            assert all(style.getlength(line) <= 284 for line in lines)
    style, lines = panels._wrapped('punching/slapping other person', 284, (23,), 3)
    assert lines == ['punching/slapping', 'other person']
    assert elided('short', font(), 200) == 'short'
    assert elided('x' * 90, font(), 100).endswith('…')
    assert elided('x' * 90, font(), 1) == ''


def test_truth_is_told_by_its_colour():
    clip = clip_of()
    right, wrong, unknown = (
        score_card(verdict_of(clip, truth=truth)) for truth in ('golf_swing', 'bowl', None)
    )
    assert [has(one, panels.RIGHT) for one in (right, wrong, unknown)] == [True, True, False]
    assert [has(one, panels.WRONG) for one in (right, wrong, unknown)] == [False, True, False]
    elsewhere = score_card(verdict_of(clip, truth='squat'))
    assert has(elsewhere, panels.WRONG)
    assert not has(elsewhere, panels.RIGHT)


def test_scores_as_text():
    assert [percent(score) for score in (0, 0.0004, 0.001, 0.5, 1)] == [
        *('0.0 %', '< 0.1 %', '0.1 %', '50.0 %', '100.0 %'),
    ]


def test_nearest_verdict():
    clip = clip_of(frames=12)
    verdicts = [verdict_of(clip, start=start, stop=start + 6) for start in (0, 3, 6)]
    assert verdict_at(verdicts, np.arange(12)).tolist() == [0] * 5 + [1] * 3 + [2] * 4
    assert verdict_at(verdicts[:1], np.arange(3)).tolist() == [0, 0, 0]


def test_line_of_time_marks_frames_and_stretches():
    clip = clip_of(frames=20)
    one = verdict_of(clip)._replace(frames=np.array([5, 15]))
    line = TimeLine(400, 20, 10.0, [one], LONG)
    begin, end = line.draw(0), line.draw(19)
    assert not has(begin, panels.ACCENT)  # no frame was seen yet
    assert has(end, panels.ACCENT)
    columns = np.nonzero((end == np.array(panels.ACCENT)[::-1]).all(axis=-1).any(axis=0))[0]
    for frame in (5, 15):
        assert np.abs(columns - (14 + (frame + 0.5) / 20 * 372)).min() < 1
    names = [NAMES, NAMES[1:], NAMES[1:], NAMES]
    parts = [verdict_of(clip, n, start=5 * k, stop=5 * k + 5) for k, n in enumerate(names)]
    line = TimeLine(400, 20, 10.0, parts)
    colours = list(panels.class_colours(parts).values())
    row = line.base.load()
    places = [14 + (frame + 0.5) / 20 * 372 for frame in (0.5, 7, 12, 19)]
    assert [row[round(x), 10] for x in places] == [*colours, colours[1], colours[0]]


def test_windows_are_drawn(tmp_path):
    clip = clip_of(frames=8, people=2, layout=NTU)
    parts = [verdict_of(clip, NAMES[k:], start=4 * k, stop=4 * k + 4) for k in (0, 1)]
    draw_video(tmp_path / 'a.mp4', clip, parts)
    assert frames_of(tmp_path / 'a.mp4')[0] == 8


def test_strip_is_written_whole_and_without_a_rate(tmp_path):
    clip = clip_of(rate=None, people=0)
    write_strip(tmp_path / 'a.png', clip, verdict_of(clip))
    assert cv2.imread(str(tmp_path / 'a.png')).shape[2] == 3
    assert [path.name for path in Path(tmp_path).iterdir()] == ['a.png']


def test_bars_end_at_the_card():
    canvas = Image.new('RGB', (120, 42))
    for score in (0.0, 0.001, 0.5, 1.0, 7.0):
        panels._bar(ImageDraw.Draw(canvas), (10, 0, 110), 'name', score, (255, 0, 0), True)
    red = np.nonzero((np.asarray(canvas) == (255, 0, 0)).all(axis=-1))
    assert (red[1].min(), red[1].max()) == (10, 110)
