"""The generated Kinetics-TPS: layout, boxes, states, reproducibility."""

import json
import math
import re
from collections import Counter

import cv2
import numpy as np
import pytest

from projects.synthetic.body import BODY_INDEX, LIMB_INDEX
from projects.synthetic.kinetics_tps import (
    CLASSES,
    count_states,
    kinetics_tps_video,
    majority_accuracy,
    write_kinetics_tps,
)
from projects.synthetic.parts import PART_LIMBS, PARTS, STATES
from tools.datasets import make_synthetic

QUICK = {
    'classes': ('running', 'bow'),
    'videos_per_class': {'train': 2, 'test': 1},
    'num_frames': 7,
}
SIZE = (160, 128)
# Where each part's landmarks are; all lie within what is drawn of it.
LANDMARKS = {
    'head': ('nose', 'head_center', 'left_eye', 'right_eye'),
    'hip': ('Hips', 'LeftUpLeg', 'RightUpLeg'),
    **{
        f'{side}_{part}': names
        for side in ('left', 'right')
        for part, names in (
            ('arm', (f'{side.title()}Arm', f'{side.title()}ForeArm', f'{side.title()}Hand')),
            ('hand', (f'{side.title()}Hand', f'{side}_palm')),
            ('leg', (f'{side.title()}UpLeg', f'{side.title()}Leg', f'{side.title()}Foot')),
            ('foot', (f'{side}_foot_index', f'{side}_heel')),
        )
    },
}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kinetics_tps')
    write_kinetics_tps(folder, **QUICK)
    return folder


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


# --- files ------------------------------------------------------------------------------------


def test_layout(root):
    found = sorted(files(root))
    expected = [
        f'list/{name}'
        for name in (
            'body_part.txt',
            'part_stat.txt',
            'video_train_flist.csv',
            'video_test_flist.csv',
        )
    ]
    for split, number in QUICK['videos_per_class'].items():
        listed = (root / 'list' / f'video_{split}_flist.csv').read_text().splitlines()
        for action in QUICK['classes']:
            videos = [video.name for video in (root / f'{split}_videos' / action).iterdir()]
            assert len(videos) == number
            for video in videos:
                assert re.fullmatch(r'[A-Za-z0-9][\w-]{10}_000000_000010\.mp4', video)
                name = video.removesuffix('.mp4')
                assert f'{name},7' in listed
                listed.remove(f'{name},7')
                expected.append(f'{split}_videos/{action}/{video}')
                expected += [
                    f'{split}_annotations/{action}/{name}/{name}/img_{frame:05d}.json'
                    for frame in range(1, 8)
                ]
        assert listed == []
    assert found == sorted(expected)


def test_lists(root):
    assert (root / 'list' / 'body_part.txt').read_text().split('\n') == [*PARTS, '']
    states = (root / 'list' / 'part_stat.txt').read_text().split('\n')
    assert states == [*STATES, '']
    assert len(set(states)) == len(states)
    assert {'none', 'others'} <= set(states)


def test_annotations_have_the_published_form(root):
    people = 0
    for path in root.glob('*_annotations/*/*/*/*.json'):
        content = json.loads(path.read_text())
        assert list(content) == ['humans']
        for number, human in enumerate(content['humans'], start=1):
            people += 1
            assert set(human) == {'number', 'box', 'parts'}
            assert human['number'] == number
            assert [part['number'] for part in human['parts'].values()] == list(
                range(1, len(human['parts']) + 1)
            )
            for name, part in human['parts'].items():
                assert name in PARTS
                assert set(part) == {'number', 'box', 'verb', 'name'}
                assert part['name'] == name
                assert part['verb'] in STATES
            for box in (human['box'], *(part['box'] for part in human['parts'].values())):
                assert all(type(value) is int for value in box)
                x1, y1, x2, y2 = box
                assert 0 <= x1 <= x2 < SIZE[0]
                assert 0 <= y1 <= y2 < SIZE[1]
                outer = human['box']
                assert outer[0] <= x1 <= x2 <= outer[2]
                assert outer[1] <= y1 <= y2 <= outer[3]
    assert people > 30


def test_videos_hold_the_frames_that_were_drawn(root):
    video = kinetics_tps_video('train', 'running', 1, num_frames=7)
    capture = cv2.VideoCapture(str(root / 'train_videos' / 'running' / f'{video.name}.mp4'))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    errors = np.zeros((7, 7))
    drawn = [video.frame(index)[0].astype(int) for index in range(7)]
    for index in range(7):
        read, image = capture.read()
        assert read
        assert image.shape == (128, 160, 3)
        errors[index] = [np.abs(image - other).mean() for other in drawn]
    assert not capture.read()[0]
    assert np.diag(errors).max() < 8  # the codec's
    assert (errors.argmin(axis=1) == range(7)).all()


def test_frames_can_be_stored_as_pictures(tmp_path):
    (path,) = write_kinetics_tps(
        tmp_path,
        classes=['bow'],
        videos_per_class={'test': 1},
        num_frames=6,
        storage='frames',
        annotate_every=5,
    )
    assert path.parent == tmp_path / 'test_videos' / 'bow'
    names = [picture.name for picture in sorted(path.iterdir())]
    assert names == [f'img_{index:05d}.jpg' for index in range(1, 7)]
    video = kinetics_tps_video('test', 'bow', 0, num_frames=6)
    assert path.name == video.name
    image = cv2.imread(str(path / 'img_00004.jpg')).astype(int)
    assert np.abs(image - video.frame(3)[0]).mean() < 6
    notes = tmp_path / 'test_annotations' / 'bow' / video.name / video.name
    assert sorted(note.name for note in notes.iterdir()) == ['img_00001.json', 'img_00006.json']
    assert json.loads((notes / 'img_00006.json').read_text()) == video.frame(5)[1]
    assert not (tmp_path / 'list' / 'video_train_flist.csv').exists()


def test_a_subset_is_the_same_as_all_of_it(root, tmp_path):
    write_kinetics_tps(
        tmp_path, classes=['bow'], videos_per_class={'test': 1, 'train': 1}, num_frames=7
    )
    whole, part = files(root), files(tmp_path)
    assert len(part) == 2 * 8 + 4
    for name, content in part.items():
        if not name.endswith('.csv'):
            assert whole[name] == content


def test_the_seed_decides(tmp_path):
    one = {**QUICK, 'videos_per_class': {'train': 1}, 'num_frames': 2}
    for run, seed in enumerate((0, 0, 1)):
        write_kinetics_tps(tmp_path / str(run), seed=seed, **one)
    first, again, other = (files(tmp_path / str(run)) for run in range(3))
    assert first == again
    assert not {name for name in first if 'list/' not in name} & set(other)


def test_every_video_is_another_one():
    """Nobody meets in the test split whom the training has seen."""
    videos = [
        kinetics_tps_video(split, action, number, num_frames=1, seed=seed)
        for split in ('train', 'test')
        for action in ('bow', 'squat')
        for number in (0, 1)
        for seed in (0, 1)
    ]
    assert len({video.name for video in videos}) == 16
    assert len({video.frame(0)[0].tobytes() for video in videos}) == 16


def test_failed_writing_leaves_no_half_file(tmp_path, monkeypatch):
    def fails(source, target):
        raise OSError('disk full')

    monkeypatch.setattr('os.replace', fails)
    with pytest.raises(OSError, match='disk full'):
        write_kinetics_tps(tmp_path, **QUICK)
    assert not files(tmp_path)


# --- boxes ------------------------------------------------------------------------------------


@pytest.mark.parametrize('action', CLASSES)
def test_boxes_hold_their_landmarks_and_sides_are_not_swapped(action):
    found = 0
    for number in range(2):
        video = kinetics_tps_video('train', action, number, people=(1, 1), difficulty=0.5)
        for index in range(0, 20, 4):
            pixels, _ = video.scene.camera.project(video.scene.landmarks[0, index])
            for human in video.frame(index)[1]['humans']:
                for name, part in human['parts'].items():
                    x1, y1, x2, y2 = part['box']
                    points = pixels[[BODY_INDEX[landmark] for landmark in LANDMARKS[name]]]
                    inside = (points > 0).all(axis=1) & (points < np.subtract(SIZE, 1)).all(axis=1)
                    found += inside.sum()
                    assert (points[inside] >= (x1 - 1, y1 - 1)).all(), (name, index)
                    assert (points[inside] <= (x2 + 1, y2 + 1)).all(), (name, index)
    assert found > 200


def test_boxes_are_tight():
    """The box of a part that nothing hides has drawn pixels of the part at all four edges."""
    video = kinetics_tps_video('train', 'jumping_jack', 0, people=(1, 1), difficulty=0.0)
    scene = video.scene
    compared = 0
    for index in range(0, 20, 3):
        picture = scene.frame(index)
        (human,) = video.frame(index)[1]['humans']
        rows, columns = np.nonzero(picture.owners > 0)
        drawn = [columns.min(), rows.min(), columns.max(), rows.max()]
        np.testing.assert_allclose(human['box'], drawn, atol=1)
        for side in ('left', 'right'):
            if picture.visible_fractions([[f'{side}_hand']])[0, 0] == 1:
                limb = picture.owner(0, LIMB_INDEX[f'{side}_hand'])
                rows, columns = np.nonzero(picture.owners == limb)
                drawn = [columns.min(), rows.min(), columns.max(), rows.max()]
                np.testing.assert_allclose(human['parts'][f'{side}_hand']['box'], drawn, atol=1)
                compared += 1
    assert compared > 3


def test_hidden_parts_are_left_out():
    left_out = 0
    for number in range(8):
        video = kinetics_tps_video('train', 'squat', number, people=(1, 1), difficulty=1.0)
        for index in range(0, 20, 3):
            picture = video.scene.frame(index)
            humans = video.frame(index)[1]['humans']
            if not len(picture.points):
                assert humans == []
                continue
            parts = humans[0]['parts'] if humans else {}
            for part, limbs in PART_LIMBS.items():
                owners = [picture.owner(0, LIMB_INDEX[limb]) for limb in limbs]
                seen = np.isin(picture.owners, owners).sum()
                (fraction,) = picture.visible_fractions([limbs])[0]
                assert (part in parts) == (fraction >= (0.1 if part == 'hip' else 0.35))
                assert seen > 0 or part not in parts
                left_out += part not in parts
    assert left_out > 20


def test_frames_without_people_are_annotated_as_such():
    videos = [kinetics_tps_video('train', 'bow', n, difficulty=1.0) for n in range(12)]
    empty = [(v, int(at)) for v in videos for at in np.flatnonzero(~v.scene.present)]
    assert empty
    for video, index in empty:
        assert video.frame(index)[1] == {'humans': []}


# --- states -----------------------------------------------------------------------------------


def slow_states(at, camera):
    """The states of one person in one frame, in plain arithmetic."""

    def sub(a, b):
        return [p - q for p, q in zip(a, b, strict=True)]

    def angle(a, b):
        dot = sum(p * q for p, q in zip(a, b, strict=True))
        return math.degrees(
            math.acos(dot / math.dist(a, [0] * len(a)) / math.dist(b, [0] * len(b)))
        )

    def level(a):
        return [a[0], a[2]]

    eyes = [(p + q) / 2 for p, q in zip(at['left_eye'], at['right_eye'], strict=True)]
    gaze = sub(eyes, at['head_center'])
    pitch = math.degrees(math.asin(-gaze[1] / math.dist(gaze, [0] * 3)))
    states = {'head': 'none'}
    if pitch > 24 + math.degrees(math.atan(0.2)):
        states['head'] = 'look_down'
    elif angle(level(gaze), level(sub(camera, at['head_center']))) > 30:
        states['head'] = 'turn'
    knees = {}
    for side in ('left', 'right'):
        joint, other = side.title(), 'Right' if side == 'left' else 'Left'
        upper = sub(at[f'{joint}ForeArm'], at[f'{joint}Arm'])
        lower = sub(at[f'{joint}Hand'], at[f'{joint}ForeArm'])
        up_trunk = sub(at['Neck'], at['Hips'])
        if angle(upper, [0, 1, 0]) < 132 and angle(upper, up_trunk) < 132:
            states[f'{side}_arm'] = 'raise'
        else:
            states[f'{side}_arm'] = 'bend' if angle(upper, lower) > 45 else 'unbend'
        palm = at[f'{side}_palm'][1]
        if palm > at[f'{joint}Arm'][1]:
            states[f'{side}_hand'] = 'raise'
        else:
            states[f'{side}_hand'] = 'lower' if palm < at[f'{joint}UpLeg'][1] else 'none'
        thigh = sub(at[f'{joint}Leg'], at[f'{joint}UpLeg'])
        shin = sub(at[f'{joint}Foot'], at[f'{joint}Leg'])
        whole = sub(at[f'{joint}Foot'], at[f'{joint}UpLeg'])
        outwards = sub(at[f'{joint}UpLeg'], at['Hips'])
        knees[side] = angle(thigh, shin)
        rise = at[f'{joint}Foot'][1] - at[f'{other}Foot'][1]
        if angle(thigh, [0, -1, 0]) > 38 and rise > 80:
            states[f'{side}_leg'] = 'lift'
        elif knees[side] > 32:
            states[f'{side}_leg'] = 'bend'
        else:
            states[f'{side}_leg'] = 'spread' if angle(whole, outwards) < 78 else 'unbend'
        heel, ball, tip = (
            at[name][1] for name in (f'{side}_heel', f'{joint}ToeBase', f'{side}_foot_index')
        )
        if min(heel, ball, tip) > 45:
            states[f'{side}_foot'] = 'lift'
        else:
            states[f'{side}_foot'] = 'others' if heel - ball > 50 else 'step_on'
    left_to_right = sub(at['RightUpLeg'], at['LeftUpLeg'])
    front = [left_to_right[2], -left_to_right[0]]  # level, x and z
    if min(knees.values()) > 45:
        states['hip'] = 'squat'
    elif angle(up_trunk, [0, 1, 0]) > 20:
        states['hip'] = 'lean'
    else:
        turned = angle(front, level(sub(camera, at['Hips']))) > 30
        states['hip'] = 'turn' if turned else 'stand'
    return states


@pytest.mark.parametrize('action', [*CLASSES, 'marching'])
def test_states_agree_with_plain_arithmetic(action):
    video = kinetics_tps_video('train', action, 0, people=(1, 1))
    for index in range(0, 20, 2):
        points = video.scene.landmarks[0, index].tolist()
        at = {name: points[place] for name, place in BODY_INDEX.items()}
        expected = slow_states(at, video.scene.camera.position.tolist())
        found = dict(zip(PARTS, (STATES[state] for state in video.states[0, index]), strict=True))
        assert found == expected
        for human in video.frame(index)[1]['humans']:
            for name, part in human['parts'].items():
                assert part['verb'] == expected[name]


def test_states_are_those_of_the_action():
    """What everybody sees: arms go up in a jumping jack, a bow leans, and so on."""

    def seen(action, part):
        videos = [kinetics_tps_video('train', action, n, people=(1, 1)) for n in range(3)]
        states = np.concatenate([video.states[0, :, PARTS.index(part)] for video in videos])
        return {STATES[state] for state in states}

    assert {'raise', 'unbend'} <= seen('jumping_jack', 'left_arm')
    assert {'raise', 'lower'} <= seen('jumping_jack', 'right_hand')
    assert 'spread' in seen('jumping_jack', 'left_leg')
    assert 'lean' in seen('bow', 'hip')
    assert 'look_down' in seen('bow', 'head')
    assert 'squat' in seen('squat', 'hip')
    assert {'bend', 'unbend'} <= seen('squat', 'right_leg')
    assert {'lift', 'step_on'} <= seen('running', 'left_foot')
    assert 'bend' in seen('running', 'right_arm')
    assert 'lift' in seen('marching', 'left_leg')


def test_states_are_spread():
    counts = {part: Counter() for part in PARTS}
    for action in CLASSES:
        for number in range(4):
            video = kinetics_tps_video('train', action, number)
            for index, part in enumerate(PARTS):
                counts[part].update(video.states[..., index].ravel().tolist())
    assert majority_accuracy(counts) < 0.62
    for count in counts.values():
        assert 2 <= len(count) <= 4
        assert max(count.values()) < 0.85 * count.total()


def test_counting_states(root, tmp_path):
    counts = count_states(root, 'test')
    assert list(counts) == list(PARTS)
    total = 0
    for path in root.glob('test_annotations/*/*/*/*.json'):
        for human in json.loads(path.read_text())['humans']:
            total += len(human['parts'])
    assert sum(count.total() for count in counts.values()) == total > 0
    assert majority_accuracy({'a': Counter(x=3, y=1), 'b': Counter(z=2), 'c': Counter()}) == 0.875
    with pytest.raises(FileNotFoundError, match='no train_annotations'):
        count_states(tmp_path)


# --- bad requests and the command -------------------------------------------------------------


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'classes': ('swimming',)}, "classes: 'swimming' is not one of .*'walking'"),
        ({'classes': ()}, 'classes is empty'),
        ({'videos_per_class': {'val': 1}}, "videos_per_class: 'val' is not one of"),
        ({'videos_per_class': {'train': -1}}, r"videos_per_class\['train'\] is -1"),
        ({'videos_per_class': {}}, 'videos_per_class is empty'),
        ({'num_frames': 0}, 'num_frames is 0'),
        ({'annotate_every': 0}, 'annotate_every is 0'),
        ({'image_size': (161, 128)}, 'expected even numbers'),
        ({'image_size': (16, 16)}, r'image_size is \(16, 16\)'),
        ({'fps': 0.0}, r'fps is 0\.0'),
        ({'people': (0, 1)}, r'people is \(0, 1\)'),
        ({'people': (3, 2)}, r'people is \(3, 2\)'),
        ({'difficulty': 1.1}, r'difficulty is 1\.1'),
        ({'seed': -1}, 'seed is -1'),
        ({'storage': 'avi'}, "storage: 'avi' is not one of"),
    ],
)
def test_bad_requests_write_nothing(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_kinetics_tps(tmp_path, **{**QUICK, **change})
    assert not list(tmp_path.iterdir())


def test_command_writes_and_says_where(tmp_path, capsys):
    make_synthetic.main(
        f'kinetics-tps --out {tmp_path} --classes squat running --train-videos 1 --test-videos 0 '
        '--num-frames 3 --image-size 96 80 --people 1 1 --difficulty 0 --states'.split()
    )
    assert len(list(tmp_path.glob('train_videos/*/*.mp4'))) == 2
    assert len(list(tmp_path.glob('train_annotations/*/*/*/*.json'))) == 6
    out = capsys.readouterr().out
    assert str(tmp_path) in out
    assert 'left_foot' in out
    assert 'always the most frequent state' in out


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('--classes swimming', 'jumping_jack'),
        ('--train-videos -1', '--train-videos is -1'),
        ('--train-videos 0 --test-videos 0', 'both 0'),
        ('--num-frames 0', '--num-frames is 0'),
        ('--fps 0', '--fps is 0.0'),
        ('--image-size 99 80', '--image-size is [99, 80]'),
        ('--people 2 1', '--people is [2, 1]'),
        ('--storage gif', 'frames'),
        ('--annotate-every 0', '--annotate-every is 0'),
        ('--difficulty 2', '--difficulty is 2.0'),
        ('--seed -1', '--seed is -1'),
    ],
)
def test_command_refuses_bad_options(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        make_synthetic.main(f'kinetics-tps --out {tmp_path / "x"} {options}'.split())
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
