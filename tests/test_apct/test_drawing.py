import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import INFERENCERS
from mmengine.structures import InstanceData
from PIL import Image

from projects.apct.drawing.appearance import Part, Person, part_colours
from projects.apct.drawing.callouts import callout_columns, place_callouts
from projects.apct.drawing.parses import follow_people, shown_people
from projects.apct.drawing.picture import draw_beside, draw_parses, plan_cards
from projects.apct.inferencer import PartParsingInferencer
from projects.apct.people import official_people
from projects.apct.visualizer import PartParsingVisualizationHook
from projects.files import safe_name
from projects.labels import overlap, place_tag, spread, stack_cards
from tests.test_apct.samples import K, S, head_config, model_config, unzero
from tests.test_apct.small_set import PARTS, number_of, write_video

STATES = ('none', 'bend', 'unbend', 'raise', 'lower', 'others')
GREY = np.full((120, 160, 3), 90, np.uint8)


def person(x=50, y=20, number=1, score=0.9, parts=PARTS, state='bend', part_score=0.8):
    boxes = dict(head=(12, 0, 22, 12), left_arm=(22, 14, 34, 40), right_arm=(0, 14, 12, 40))
    found = {}
    for name in parts:
        x1, y1, x2, y2 = boxes.get(name, (8, 36, 26, 50))
        box = [x + x1, y + y1, x + x2, y + y2]
        found[name] = dict(number=1, name=name, box=[box], verb=[state], score=[part_score])
    return dict(number=number, box=[x, y, x + 34, y + 90], score=score, parts=found)


def share(drawn, colour):
    """Share of the pixels near an RGB colour."""
    return (np.abs(drawn[..., ::-1].astype(int) - colour).max(axis=-1) < 12).mean()


# labels


rects = st.tuples(*[st.floats(0, 300)] * 2, *[st.floats(1, 150)] * 2).map(
    lambda r: (r[0], r[1], r[0] + r[2], r[1] + r[3])
)


@given(st.lists(st.floats(-100, 500), max_size=15), st.floats(1, 40))
def test_stacked_labels_never_overlap_nor_leave_the_column(centres, height):
    tops = spread(centres, height, 10, 390)
    assert (tops is None) == (len(centres) * height > 380)
    if tops is None:
        return
    ordered = sorted(tops)
    assert all(b - a > height - 1e-9 for a, b in zip(ordered, ordered[1:], strict=False))
    assert not tops or (ordered[0] > 10 - 1e-9 and ordered[-1] + height < 390 + 1e-9)
    for a in range(len(centres)):
        for b in range(len(centres)):
            assert not (centres[a] < centres[b] and tops[a] > tops[b])


def test_labels_with_room_stay_where_they_belong():
    assert spread([100, 20, 200], 20, 0, 400) == [90, 10, 190]


@given(st.lists(rects, min_size=1, max_size=8), st.lists(rects, max_size=3))
def test_tags_never_overlap_nor_leave_the_picture(boxes, faces):
    bounds = (0, 0, 320, 240)
    taken = []
    for box in boxes:
        tag = place_tag(box, (24, 22), taken, faces, bounds)
        assert all(overlap(tag, other) == 0 for other in taken)
        assert 0 <= tag[0] <= tag[2] <= 320
        assert 0 <= tag[1] <= tag[3] <= 240
        taken.append(tag)


def test_tag_leaves_a_face_free():
    # above the box is no room, so the corner would lie on the face
    tag = place_tag((50, 0, 90, 100), (20, 20), [], [(50, 0, 72, 25)], (0, 0, 200, 200))
    assert overlap(tag, (50, 0, 72, 25)) == 0


@given(st.integers(0, 12), st.floats(20, 300), st.floats(20, 300), st.floats(10, 800))
def test_cards_never_overlap_nor_leave_the_panel(count, width, height, picture):
    cards, panel = stack_cards(count, (width, height), picture, 10)
    assert len(cards) == count
    for index, card in enumerate(cards):
        assert 0 <= card[0] < card[2] <= panel[0]
        assert 0 <= card[1] < card[3] <= panel[1]
        assert all(overlap(card, other) == 0 for other in cards[:index])


boxes_inside = st.tuples(*[st.integers(0, 150)] * 2, *[st.integers(5, 100)] * 2).map(
    lambda r: (r[0], r[1], r[0] + r[2], r[1] + r[3])
)


@settings(max_examples=40)
@given(st.lists(st.lists(boxes_inside, max_size=10), min_size=1, max_size=2))
def test_labels_beside_people_cover_neither_each_other_nor_the_people(boxes):
    persons = [
        Person(
            i + 1, 0.9, (60, 60, 120, 240), [Part('left_arm', 'bend', b, (9, 9, 9)) for b in some]
        )
        for i, some in enumerate(boxes)
    ]
    columns = callout_columns(persons)
    assert sum(map(len, columns)) == sum(len(some) + 1 for some in boxes)
    placed, pads = place_callouts(persons, (250, 340))
    rects = [place.rect for place in placed]
    for index, rect in enumerate(rects):
        assert 0 <= rect[0] < rect[2] <= 250 + sum(pads)
        assert 0 <= rect[1] < rect[3] <= 340
        assert all(overlap(rect, other) == 0 for other in rects[:index])
        for box in [(60, 60, 120, 240), *(box for some in boxes for box in some)]:
            x1, y1, x2, y2 = box
            assert overlap(rect, (x1 + pads[0], y1, x2 + pads[0], y2)) == 0


# pictures


@pytest.mark.parametrize('size', [(128, 160), (720, 1280), (1500, 2400), (40, 900), (60, 30)])
@pytest.mark.parametrize('count', [0, 1, 2, 5])
def test_pictures_of_all_sizes_and_crowds(size, count):
    height, width = size
    rng = np.random.default_rng(0)
    people = []
    for i in range(count):
        one = person(number=i + 1)
        boxes = [one, *one['parts'].values()]
        for thing in boxes:  # anywhere, also far outside, also turned around
            box = (rng.uniform(-0.5, 1.5, 4) * (width, height, width, height)).tolist()
            thing['box'] = box if thing is one else [box]
        one['box'] = [0.1 * width, 0.1 * height, 0.4 * width, 0.9 * height]
        people.append(one)
    image = np.zeros((*size, 3), np.uint8)
    drawn = draw_parses(image, people, PARTS)
    assert drawn.dtype == np.uint8
    assert drawn.ndim == 3
    assert 950 <= max(drawn.shape[:2]) < 3000
    assert drawn.std() > 1
    assert not image.any()  # the frame itself is not drawn on


def test_every_part_has_its_colour_and_left_is_like_right():
    colours = part_colours(PARTS)
    assert len(set(colours.values())) == len(PARTS)
    drawn = draw_parses(GREY, [person()], PARTS)
    assert all(share(drawn, colour) > 3e-4 for colour in colours.values())


def test_missing_and_doubtful_are_left_out():
    colours = part_colours(PARTS)
    drawn = draw_parses(GREY, [person(parts=('head', 'hip'))], PARTS)
    assert share(drawn, colours['head']) > 1e-3
    assert share(drawn, colours['left_arm']) < 1e-5
    doubtful = draw_parses(GREY, [person(part_score=0.05)], PARTS)
    assert max(share(doubtful, colour) for colour in colours.values()) < 1e-5
    nobody = draw_parses(GREY, [], PARTS)
    np.testing.assert_array_equal(draw_parses(GREY, [person(score=0.49)], PARTS), nobody)
    drawn = draw_parses(GREY, [person(score=0.49)], PARTS, person_threshold=0.4)
    assert (drawn.shape != nobody.shape) or (drawn != nobody).any()


def test_none_is_dimmer():
    colour = part_colours(PARTS)['head']
    told, untold = (
        draw_parses(GREY, [person(parts=('head',), state=state)], PARTS)
        for state in ('bend', 'none')
    )
    assert 0 < share(untold, colour) < share(told, colour)


def test_true_people_are_drawn_as_they_are():
    true = person()
    del true['score']
    for part in true['parts'].values():
        part.update(box=part['box'][0], verb=part['verb'][0])
        del part['score']
    drawn = draw_parses(GREY, [true], PARTS, person_threshold=1.0, part_threshold=1.0)
    assert share(drawn, part_colours(PARTS)['hip']) > 1e-3
    beside = draw_beside(GREY, [true] * 3, [person()], PARTS)
    assert all(share(half, part_colours(PARTS)['hip']) > 1e-3 for half in np.array_split(beside, 2))


def test_cards_of_a_video_stay_where_they_are():
    frames = follow_people([[person(10), person(100)], [person(102)], [], [person(90), person(8)]])
    assert [[one['number'] for one in people] for people in frames] == [[1, 2], [2], [], [2, 1]]
    plan = plan_cards(frames, PARTS)
    assert (plan.people, plan.rows) == (2, 4)
    sizes = {draw_parses(GREY, people, PARTS, plan=plan).shape for people in frames}
    assert len(sizes) == 1


def test_followed_people_keep_their_numbers():
    a, b, c = person(0), person(50), person(100)
    frames = follow_people([[b, a], [person(3), person(47), c], [c, person(45)]])
    assert [[one['number'] for one in people] for people in frames] == [[2, 1], [1, 2, 3], [3, 2]]
    assert a['number'] == 1  # not changed


# predictions


def instances(count=2, **without):
    generator = torch.Generator().manual_seed(count)
    corner = torch.rand(count, K + 1, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 20], dim=-1)
    scores = torch.rand(count, K, S, generator=generator)
    fields = dict(
        bboxes=boxes[:, 0],
        scores=torch.linspace(0.9, 0.6, count),
        labels=torch.zeros(count, dtype=torch.int64),
        part_bboxes=boxes[:, 1:],
        part_states=scores.argmax(-1),
        part_state_scores=scores,
    )
    return InstanceData(**{k: v for k, v in fields.items() if k not in without})


def people_of(*arguments):
    people, _ = official_people(*arguments, for_drawing=True)
    return people


def test_people_in_the_challenges_form():
    found = instances()
    people = people_of(found, PARTS, STATES)
    assert json.loads(json.dumps(people)) == people
    assert [one['number'] for one in people] == [1, 2]
    part = people[1]['parts']['right_arm']
    np.testing.assert_allclose(part['box'], [found.part_bboxes[1, 2].tolist()], atol=0.006)
    assert part['verb'] == [STATES[found.part_states[1, 2]]]
    assert part['score'] == [pytest.approx(found.part_state_scores[1, 2].max().item(), abs=1e-4)]


def test_people_of_smaller_models():
    no_states = instances(part_states=0, part_state_scores=0)
    (part, *_) = people_of(no_states, PARTS, STATES)[0]['parts'].values()
    assert part['verb'] == []
    assert len(part['box'][0]) == 4
    no_boxes = instances(part_bboxes=0)
    (part, *_) = people_of(no_boxes, PARTS, STATES)[0]['parts'].values()
    assert part['box'] == []
    assert part['verb']
    only = instances(part_bboxes=0, part_states=0, part_state_scores=0)
    assert people_of(only, [], [])[0]['parts'] == {}
    assert people_of(instances(0), PARTS, STATES) == []
    for found in (no_states, no_boxes, only, instances(0)):
        assert draw_parses(GREY, people_of(found, PARTS, STATES), PARTS).any()


def test_people_need_as_many_names_and_finite_boxes():
    with pytest.raises(ValueError, match=r"predicts 4 parts, but 3 are named: \['head'"):
        people_of(instances(), PARTS[:3], STATES)
    with pytest.raises(ValueError, match='predicts 6 states, but 2 are named'):
        people_of(instances(), PARTS, STATES[:2])
    found = instances(3)
    found.bboxes[0, 1] = torch.nan
    found.part_bboxes[1, 2] = torch.inf
    people = people_of(found, PARTS, STATES)
    assert [len(one['parts']) for one in people] == [3, 4]
    assert [one['number'] for one in people] == [1, 2]


def test_thresholds():
    people = [person(score=0.3), person(score=0.7, part_score=0.2)]
    (one,) = shown_people(people, 0.5, 0.3)
    assert one['parts'] == {}
    assert len(people[1]['parts']) == 4
    assert len(shown_people(people, 0.3, 0.2)[1]['parts']) == 4


# the hook


class Runner:
    """As much of a runner as the hook looks at."""

    class test_dataloader:
        class dataset:
            metainfo = dict(part_names=list(PARTS), state_names=list(STATES))


def frame_tested(number, **meta):
    sample = DetDataSample(
        metainfo=dict(video='../a b', frame_number=number, ori_shape=(60, 80), **meta)
    )
    sample.pred_instances = instances()
    return sample


def test_hook_draws_every_nth_frame_with_its_truth(tmp_path):
    hook = PartParsingVisualizationHook(enable=True, out_dir=str(tmp_path / 'new'), interval=2)
    inputs = [torch.zeros(3, 120, 160, dtype=torch.uint8)] * 3
    outputs = [
        frame_tested(1),
        frame_tested(6, truth=dict(humans=[person(10, 5)])),
        frame_tested(11),
    ]
    hook.before_test_epoch(Runner())
    hook.after_test_iter(Runner(), 0, dict(inputs=inputs), outputs)
    hook.after_test_iter(Runner(), 1, dict(inputs=inputs[:2]), outputs[:2])
    names = sorted(path.name for path in (tmp_path / 'new').iterdir())
    safe = safe_name('../a b')
    assert names == [f'{safe}_{number}.jpg' for number in ('00001', '00006', '00011')]
    alone, beside = (cv2.imread(str(tmp_path / 'new' / name)) for name in names[:2])
    assert beside.shape[0] > alone.shape[0] or beside.shape[1] > 1.5 * alone.shape[1]


def test_a_drawing_that_fails_stops_nothing(tmp_path, caplog):
    hook = PartParsingVisualizationHook(enable=True, out_dir=str(tmp_path), interval=1)
    inputs = [torch.zeros(3, 60, 80, dtype=torch.uint8)] * 2
    outputs = [frame_tested(1, truth=dict(people=[])), frame_tested(2)]
    with caplog.at_level(logging.WARNING):
        hook.after_test_iter(Runner(), 0, dict(inputs=inputs), outputs)
    assert [path.name for path in tmp_path.iterdir()] == [f'{safe_name("../a b")}_00002.jpg']


def test_hook_options(tmp_path):
    assert not PartParsingVisualizationHook().enable
    PartParsingVisualizationHook().after_test_iter(Runner(), 0, {}, [None])
    with pytest.raises(ValueError, match='out_dir is not set'):
        PartParsingVisualizationHook(enable=True)
    with pytest.raises(ValueError, match='interval is 0'):
        PartParsingVisualizationHook(interval=0)
    with pytest.raises(ValueError, match='person_threshold is 2, expected a number in 0..1'):
        PartParsingVisualizationHook(person_threshold=2)


# the inferencer


def build(root='nowhere', head=None, **options):
    pipeline = [
        dict(type='LoadKineticsTPSFrame'),
        dict(type='mmdet.Resize', scale=(96, 64), keep_ratio=True),
        dict(type='PackPartInputs'),
    ]
    dataset = dict(type='KineticsTPSDataset', data_root=str(root), pipeline=pipeline)
    cfg = Config(
        dict(
            default_scope='mmdet',
            model=model_config(head or head_config()),
            test_dataloader=dict(dataset=dataset),
        )
    )
    settings = dict(type='PartParsingInferencer', model=cfg, device='cpu', show_progress=False)
    return INFERENCERS.build({**settings, **options})


@pytest.fixture(scope='module')
def inferencer():
    torch.manual_seed(0)
    built = build(part_names=PARTS, state_names=STATES)
    unzero(built.model)
    return built


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / 'frames'
    folder.mkdir()
    for number in (1, 6):
        cv2.imwrite(str(folder / f'img_{number:05d}.jpg'), GREY)
    (folder / 'notes.txt').write_text('no image')
    write_video(tmp_path / 'clip.mp4', range(1, 12))
    cv2.imwrite(str(tmp_path / 'photo.png'), GREY)
    return tmp_path


EVERYTHING = dict(person_threshold=0.0, part_threshold=0.0)


def test_inferencer_on_image_folder_video_and_array(inferencer, files):
    inputs = [files / 'photo.png', files / 'frames', files / 'clip.mp4', GREY]
    inputs = [item if isinstance(item, np.ndarray) else str(item) for item in inputs]
    result = inferencer(inputs, out_dir=str(files / 'out'), batch_size=3, **EVERYTHING)
    frames = [list(prediction['frames']) for prediction in result['predictions']]
    in_video = ['img_00001.json', 'img_00006.json', 'img_00011.json']
    assert frames == [['photo.json'], in_video[:2], in_video, in_video[:1]]
    assert [
        Path(path).relative_to(files / 'out').as_posix() for path in result['visualization']
    ] == [*('photo.png', 'frames/img_00001.png', 'frames/img_00006.png', 'clip.mp4', 'array_3.png')]
    assert json.loads(json.dumps(result['predictions'])) == result['predictions']
    photo, _, clip, array = result['predictions']
    (one, other) = (item['humans'][0] for p in (photo, array) for item in p['frames'].values())
    assert one['parts'] == other['parts']  # other batches, so the last digits of scores differ
    assert one['score'] == pytest.approx(other['score'], abs=1e-4)
    assert (photo['input'], array['input']) == (inputs[0], None)
    assert set(one) == {'number', 'box', 'score', 'parts'}
    assert tuple(one['parts']) == PARTS
    assert set(one['parts']['hip']) == {'box', 'verb', 'score'}
    video = cv2.VideoCapture(str(files / 'out' / 'clip.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(5)  # 25, every fifth
    assert sorted(path.suffix for path in (files / 'out').iterdir()) == ['', '.mp4', '.png', '.png']


def test_inferencer_reads_the_frames_it_says(inferencer, files, monkeypatch):
    seen, load = [], inferencer.load

    def watch(frame):
        loaded = load(frame)
        seen.append((frame.number, number_of(loaded['img'])))
        return loaded

    monkeypatch.setattr(inferencer, 'load', watch)
    result = inferencer(str(files / 'clip.mp4'), frame_interval=4)
    assert seen == [(1, 1), (5, 5), (9, 9)]
    assert result['visualization'] == []


def test_animation(inferencer, files):
    options = dict(out_dir=str(files), video_format='gif', frame_interval=1, **EVERYTHING)
    (path,) = inferencer(str(files / 'clip.mp4'), **options)['visualization']
    with Image.open(path) as gif:
        assert gif.n_frames == 11
        assert gif.info['duration'] == 40


def test_same_names_and_bad_files_in_folders(inferencer, files):
    (files / 'frames' / 'broken.jpg').write_bytes(b'nothing')
    cv2.imwrite(str(files / 'frames' / 'img_00001.png'), GREY)
    result = inferencer([str(files / 'frames')] * 2, out_dir=str(files / 'out'))
    one, two = result['predictions']
    assert list(one['frames']) == ['img_00001.jpg.json', 'img_00001.png.json', 'img_00006.json']
    assert (one['video'], two['video']) == ('frames', 'frames_2')
    assert len(set(result['visualization'])) == 6


def test_input_without_a_readable_frame_is_not_forgotten(inferencer, files):
    (files / 'bad').mkdir()
    (files / 'bad' / 'broken.jpg').write_bytes(b'nothing')
    inputs = [str(files / 'bad'), str(files / 'photo.png')]
    bad, photo = inferencer(inputs, out_dir=str(files / 'out'))['predictions']
    assert bad == dict(input=inputs[0], video='bad', frames={})
    assert list(photo['frames']) == ['photo.json']
    assert inferencer(inputs[0])['predictions'] == [bad]


def test_batches_change_nothing(inferencer, files):
    one, two = (
        inferencer(str(files / 'clip.mp4'), frame_interval=2, batch_size=size)['predictions'][0]
        for size in (1, 4)
    )
    for name, frame in one['frames'].items():
        for a, b in zip(frame['humans'], two['frames'][name]['humans'], strict=True):
            np.testing.assert_allclose(a['box'], b['box'], atol=0.02)


def test_inferencer_says_what_is_wrong(inferencer, files):
    cases = [
        (str(files / 'gone.jpg'), FileNotFoundError, r'gone.jpg: no such image, folder'),
        (str(files / 'frames/notes.txt'), ValueError, r"ends in '.txt', expected an image"),
        (GREY[..., 0], ValueError, r'input 0: is an array of shape \(120, 160\), uint8'),
        (GREY / 255, ValueError, r'float64; expected \(height, width, 3\), uint8'),
    ]
    (files / 'fake.mp4').write_bytes(b'no video')
    (files / 'fake.png').write_bytes(b'no image')
    (files / 'empty').mkdir()
    cases += [
        (str(files / 'fake.mp4'), ValueError, 'fake.mp4: '),
        (str(files / 'fake.png'), ValueError, 'fake.png: is no image'),
        (str(files / 'empty'), ValueError, 'empty: has no images'),
    ]
    for item, error, text in cases:
        with pytest.raises(error, match=text):
            inferencer(item)
    photo = str(files / 'photo.png')
    for options, text in [
        (dict(no_such_option=1), 'no_such_option'),
        (dict(frame_interval=0), 'frame_interval is 0, expected'),
        (dict(part_threshold='high'), "part_threshold is 'high', expected"),
        (dict(video_format='mov'), "video_format is 'mov', expected 'mp4' or 'gif'"),
    ]:
        with pytest.raises(ValueError, match=text):
            inferencer(photo, **options)


def test_names_come_from_checkpoint_or_lists_or_are_numbers(inferencer, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert build().part_names == [f'part_{k}' for k in range(K)]
    lists = tmp_path / 'list'
    lists.mkdir()
    (lists / 'body_part.txt').write_text('\n'.join(PARTS))
    (lists / 'part_stat.txt').write_text('\n'.join(STATES))
    built = build(tmp_path)
    assert (built.part_names, built.state_names) == (list(PARTS), list(STATES))
    meta = dict(dataset_meta=dict(part_names=['a', 'b', 'c', 'd'], state_names=list('uvwxyz')))
    state_dict = inferencer.model.state_dict()
    torch.save(dict(state_dict=state_dict, meta=meta), tmp_path / 'model.pth')
    built = build(tmp_path, weights=str(tmp_path / 'model.pth'))
    assert (built.part_names, built.state_names) == (list('abcd'), list('uvwxyz'))
    with pytest.raises(ValueError, match='predicts 4 parts, but 2 are named'):
        build(tmp_path, part_names=('head', 'hip'))


def test_inferencer_of_people_only(files):
    built = build(head=head_config(num_parts=0, num_states=0, refinement=None))
    assert isinstance(built, PartParsingInferencer)
    result = built(str(files / 'photo.png'), out_dir=str(files / 'out'), **EVERYTHING)
    assert result['predictions'][0]['frames']['photo.json']['humans'][0]['parts'] == {}
    assert len(result['visualization']) == 1


def test_inferencer_gives_samples_on_demand(inferencer):
    (sample,) = inferencer(GREY, return_datasamples=True)['predictions']
    assert sample.pred_instances.part_bboxes.shape[1:] == (K, 4)
