"""NTU RGB+D: skeleton files, the people in them, splits, samples, damaged files."""

import logging
import os
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.registry import DATASETS

from projects.ntu_rgbd import (
    ACTIONS,
    MISSING_60,
    SKELETONS,
    VIDEOS,
    SampleNumbers,
    read_sample_list,
)
from projects.star import ntu_skeletons
from projects.star.ntu import NTURGBDDataset
from projects.star.ntu_skeletons import joints_of_people, read_people, read_skeleton, split_people
from projects.synthetic.ntu import ntu_performance, write_ntu

FIRST_BODY = 72057594037927936
DECORD = [dict(type='mmaction.DecordInit'), dict(type='mmaction.DecordDecode')]
OPENCV = [dict(type='mmaction.OpenCVInit'), dict(type='mmaction.OpenCVDecode')]
PACK = [
    dict(type='mmaction.FormatShape', input_format='NCTHW'),
    dict(type='mmaction.PackActionInputs', meta_keys=('name',)),
]


def first_four(results):
    """A clip of the first four frames."""
    return {**results, 'frame_inds': np.arange(4), 'num_clips': 1, 'clip_len': 4}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Two classes, 4 performances before 3 cameras, two of them of each half of XSub."""
    folder = tmp_path_factory.mktemp('ntu') / 'ntu'
    options = dict(num_frames=8, image_size=(128, 72), missing=0.2, two_people=0.0)
    write_ntu(folder, classes=(23, 51), performances=4, **options)
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / 'cache'


@pytest.fixture
def lines(monkeypatch):
    """What is logged, as (level, text)."""
    found = []

    def log(message, logger, level=logging.INFO):
        assert logger == 'current'
        found.append((logging.getLevelName(level), message))

    monkeypatch.setattr('projects.star.ntu.print_log', log)
    return found


def dataset(folder, cache, **options):
    options = {'videos': None, 'cache_dir': str(cache), **options}
    return NTURGBDDataset(str(folder), **options)


def listed(folder, **options):
    """Names of the samples."""
    data = NTURGBDDataset(str(folder), **{'videos': None, 'lazy_init': True, **options})
    return [info['name'] for info in data.load_data_list()]


def text(frames):
    """A skeleton file of frames of bodies (number, 9 numbers, (25, 12) numbers)."""
    written = [str(len(frames))]
    for bodies in frames:
        written.append(str(len(bodies)))
        for number, info, joints in bodies:
            written.append(' '.join([str(number), *(repr(float(value)) for value in info)]))
            written.append(str(len(joints)))
            written += [' '.join(repr(float(value)) for value in joint) for joint in joints]
    return '\n'.join(written) + '\n'


def line_by_line(path):
    """The slow reading, one line after the other, as in the published MATLAB code."""
    lines = iter(Path(path).read_text().splitlines())
    frames, ids, infos, joints = [], [], [], []
    total = int(next(lines))
    for frame in range(total):
        for _ in range(int(next(lines))):
            words = next(lines).split()
            frames.append(frame)
            ids.append(int(words[0]))
            infos.append([float(word) for word in words[1:]])
            rows = range(int(next(lines)))
            joints.append([[float(word) for word in next(lines).split()] for _ in rows])
    assert next(lines, None) is None
    return total, frames, ids, infos, joints


def body(number=FIRST_BODY, *, motion=0.1, wide=False, seed=0, column=100.0, state=2):
    """A body whose joints spread over 1.6 m of height, or of width."""
    rng = np.random.default_rng(seed)
    joints = np.zeros((25, 12))
    joints[:, 0 if wide else 1] = np.linspace(-0.8, 0.8, 25)
    joints[:, 2] = 3.0 + motion * rng.standard_normal()
    joints[:, 5] = column + np.arange(25)
    joints[:, 6] = 500.0
    joints[:, 11] = state
    return number, np.zeros(9), joints


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


# --- the parser -------------------------------------------------------------------------------


def test_parser_reads_what_line_by_line_reading_does(root):
    paths = sorted((root / SKELETONS).iterdir())
    assert len(paths) == 2 * 4 * 3
    seen = 0
    for path in paths:
        found = read_skeleton(path)
        total, frames, ids, infos, joints = line_by_line(path)
        assert found.num_frames == total == 8
        np.testing.assert_array_equal(found.frames, frames)
        assert found.ids.tolist() == ids
        np.testing.assert_array_equal(found.info, np.reshape(infos, (-1, 9)).astype(np.float32))
        np.testing.assert_array_equal(
            found.joints, np.reshape(joints, (-1, 25, 12)).astype(np.float32)
        )
        seen += len(ids)
    assert seen > 24


FLOATS = st.floats(width=32, allow_subnormal=False)  # also infinity and NaN
BODIES = st.tuples(
    st.integers(0, 2**63 - 1),
    st.lists(FLOATS, min_size=9, max_size=9),
    st.lists(FLOATS, min_size=12, max_size=12).map(lambda row: np.tile(row, (25, 1))),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(BODIES, max_size=3), min_size=1, max_size=4))
def test_what_is_written_is_read(tmp_path_factory, frames):
    path = save(tmp_path_factory.getbasetemp() / 'round' / 'trip.skeleton', text(frames))
    found = read_skeleton(path)
    bodies = [one for frame in frames for one in frame]
    assert found.num_frames == len(frames)
    assert found.frames.tolist() == [t for t, frame in enumerate(frames) for _ in frame]
    assert found.ids.tolist() == [number for number, _, _ in bodies]
    expected = np.array([info for _, info, _ in bodies], np.float32).reshape(-1, 9)
    np.testing.assert_array_equal(found.info, expected)
    expected = np.array([joints for _, _, joints in bodies], np.float32).reshape(-1, 25, 12)
    np.testing.assert_array_equal(found.joints, expected)


def test_neighbouring_numbers_of_bodies_stay_apart(tmp_path):
    # as float64 both would be the same
    numbers = [FIRST_BODY + 1, FIRST_BODY + 2]
    path = save(tmp_path / 'a.skeleton', text([[body(number) for number in numbers]]))
    assert read_skeleton(path).ids.tolist() == numbers


WHOLE = text([[], [body(), body(FIRST_BODY + 1)], [body()]]).split()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ([], 'number of frames: the file ends'),
        (['0'], 'holds 0 frames'),
        (['<html>'], "number of frames is '<html>', expected a whole number"),
        (['-1'], "number of frames is '-1'"),
        (['2', '0'], 'frame 1: number of bodies: the file ends'),
        (['1', '1.5'], "frame 0: number of bodies is '1.5'"),
        (WHOLE[:100], 'ends in frame 1 of 3|frame 1, body 1: number of joints: the file ends'),
        (WHOLE[:-1], 'ends in frame 2 of 3, 1 numbers too early'),
        ([*WHOLE, '7', '8'], "2 words after the last of 3 frames, from '7' on"),
        ([*WHOLE[:13], '20', *WHOLE[14:]], 'frame 1, body 0: 20 joints, expected 25'),
        ([*WHOLE[:20], 'what', *WHOLE[21:]], "frame 1: 'what' is no number"),
        ([*WHOLE[:-3], 'x' * 99, *WHOLE[-2:]], f"frame 2: '{'x' * 20}' is no number"),
        ([*WHOLE[:3], '1.5', *WHOLE[4:]], "frame 1: number of a body is '1.5'"),
        ([*WHOLE[:3], str(2**63), *WHOLE[4:]], "frame 1: number of a body is '9223372036854775808"),
    ],
)
def test_bad_files_are_named(tmp_path, words, message):
    path = save(tmp_path / 'bad.skeleton', ' '.join(words))
    with pytest.raises(ValueError, match=message) as caught:
        read_skeleton(path)
    assert str(caught.value).startswith(f'{path}: ')


def test_binary_rubbish_is_refused(tmp_path):
    path = tmp_path / 'bad.skeleton'
    path.write_bytes(b'\xff\xfe\x00\x01 \x80')
    with pytest.raises(ValueError, match=r"number of frames is '\\\\xff"):
        read_skeleton(path)


# --- the people -------------------------------------------------------------------------------


def people(tmp_path, frames):
    """Numbers of the bodies of each person, frame by frame."""
    skeletons = read_skeleton(save(tmp_path / 'people.skeleton', text(frames)))
    return [
        {int(skeletons.frames[d]): int(skeletons.ids[d]) - FIRST_BODY for d in detections}
        for detections in split_people(skeletons)
    ]


def test_who_moves_most_is_first_whatever_the_order_in_the_file(tmp_path):
    moves = {0: 0.01, 1: 0.5, 2: 0.2}
    for order in ((0, 1, 2), (2, 1, 0)):
        frames = [
            [body(FIRST_BODY + k, motion=moves[k], seed=10 * t + k) for k in order]
            for t in range(20)
        ]
        found = people(tmp_path, frames)
        assert found == [dict.fromkeys(range(20), 1), dict.fromkeys(range(20), 2)]


def test_motion_is_the_sum_of_the_variances(tmp_path):
    frames = [[body(FIRST_BODY + k, motion=0.3 + k, seed=9 * t + k) for k in (0, 1)] for t in
              range(12)]  # fmt: skip
    skeletons = read_skeleton(save(tmp_path / 'a.skeleton', text(frames)))
    for number in (0, 1):
        points = skeletons.joints[skeletons.ids == FIRST_BODY + number, :, :3].astype(float)
        expected = sum(np.var(points[..., axis]) for axis in range(3))
        found = ntu_skeletons._motion(points, np.zeros(12, bool))
        assert found == pytest.approx(expected)


def test_equal_motions_keep_the_order_of_appearance(tmp_path):
    frames = [[body(FIRST_BODY + 5, seed=t), body(FIRST_BODY + 3, seed=t)] for t in range(12)]
    assert [set(one.values()) for one in people(tmp_path, frames)] == [{5}, {3}]


def test_a_lost_person_goes_on_under_another_number(tmp_path):
    # the first person is number 0, lost at frame 15, found again as 2; number 1 is always there
    frames = [
        [
            body(FIRST_BODY + (0 if t < 15 else 2), motion=0.6, seed=2 * t),
            body(FIRST_BODY + 1, motion=0.01, seed=2 * t + 1),
        ]
        for t in range(30)
    ]
    first, second = people(tmp_path, frames)
    assert first == {t: 0 if t < 15 else 2 for t in range(30)}
    assert second == dict.fromkeys(range(30), 1)


def test_short_bodies_are_noise_unless_all_are_short(tmp_path):
    long = [[body(motion=0.01, seed=t)] for t in range(30)]
    for t in range(11):
        long[t].append(body(FIRST_BODY + 1, motion=0.9, seed=100 + t))
    assert people(tmp_path, long) == [dict.fromkeys(range(30), 0)]
    short = people(tmp_path, long[:11])
    assert [set(one.values()) for one in short] == [{1}, {0}]


def test_wide_bodies_are_noise_unless_all_are_wide(tmp_path):
    frames = [
        [body(motion=0.01, seed=t), body(FIRST_BODY + 1, motion=0.9, wide=True, seed=100 + t)]
        for t in range(20)
    ]
    assert people(tmp_path, frames) == [dict.fromkeys(range(20), 0)]
    lying = [[body(wide=True, seed=t)] for t in range(20)]
    assert people(tmp_path, lying) == [dict.fromkeys(range(20), 0)]


def test_scores_and_places(tmp_path):
    # frame 0 all three states and a place that is none; nobody in frame 1; another number later
    number, info, joints = body()
    joints[:3, 11] = 0, 1, 2
    joints[3, 5] = -np.inf
    joints[4, 6] = np.nan
    joints[5, 11] = 7
    joints[6, 5] = 1e300
    path = save(tmp_path / 'a.skeleton', text([[(number, info, joints)], [], [body(column=9.0)]]))
    places, scores = joints_of_people(read_skeleton(path))
    assert places.shape == (1, 3, 25, 2)
    assert places.dtype == scores.dtype == np.float32
    assert scores[0, 0].tolist() == [0, 0.5, 1, 0, 0, 0, 0, *[1] * 18]
    assert not scores[0, 1].any()
    assert scores[0, 2].all()
    np.testing.assert_array_equal(places[scores == 0], 0)
    assert places[0, 0, 1].tolist() == [101, 500]
    assert places[0, 2, :, 0].tolist() == (9 + np.arange(25)).tolist()


def test_nobody_is_a_person_without_joints(tmp_path):
    places, scores = joints_of_people(read_skeleton(save(tmp_path / 'a.skeleton', '2\n0\n0\n')))
    assert places.shape == (1, 2, 25, 2)
    assert not places.any()
    assert not scores.any()


def test_two_people_of_the_writer(root):
    kicks = sorted((root / SKELETONS).glob('*A051.skeleton'))
    listed = read_sample_list(root / MISSING_60)
    counts = {path.stem: len(joints_of_people(read_skeleton(path))[0]) for path in kicks}
    assert {count for name, count in counts.items() if name not in listed} == {2}


# --- the cache --------------------------------------------------------------------------------


@pytest.fixture
def parsed(monkeypatch):
    """Names of the files that are parsed."""
    found = []

    def parse(path):
        found.append(path.name)
        return read_skeleton(path)

    monkeypatch.setattr(ntu_skeletons, 'read_skeleton', parse)
    return found


def test_a_file_is_parsed_once(tmp_path, cache, parsed):
    path = save(tmp_path / 'a.skeleton', text([[body()], [body(column=7.0)]]))
    first, again = read_people(path, cache), read_people(path, cache)
    assert parsed == ['a.skeleton']
    for one, other in zip(first, again, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_a_changed_file_is_parsed_again(tmp_path, cache, parsed):
    path = save(tmp_path / 'a.skeleton', text([[body(column=100.0)]]))
    read_people(path, cache)
    save(path, text([[body(column=200.0)]]))
    os.utime(path, ns=(1, 1))
    assert read_people(path, cache)[0][0, 0, 0, 0] == 200
    assert len(parsed) == 2


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 broken', None])
def test_a_damaged_cache_is_repaired(tmp_path, cache, parsed, content):
    path = save(tmp_path / 'a.skeleton', text([[body()]]))
    expected = read_people(path, cache)
    (cached,) = cache.iterdir()
    if content is None:  # other arrays
        np.savez(cached, places=np.zeros((1, 1, 25, 2)), scores=np.zeros((1, 2, 25)))
    else:
        cached.write_bytes(content)
    for _ in range(2):
        np.testing.assert_array_equal(read_people(path, cache)[0], expected[0])
    assert len(parsed) == 2


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path, parsed):
    path = save(tmp_path / 'a.skeleton', text([[body()]]))
    for _ in range(2):
        assert read_people(path, path / 'no_folder')[1].all()
    assert len(parsed) == 2


# --- the splits -------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def names(tmp_path_factory):
    """Empty files: setups 1, 2, 18; cameras 1 to 3; subjects 1 to 4 of 40; actions 1, 60, 61."""
    folder = tmp_path_factory.mktemp('names')
    (folder / SKELETONS).mkdir()
    subjects = (1, 2, 3, 4, 5, 6)  # of which 1, 2, 4 and 5 are training subjects
    for s, c, p, a in product((1, 2, 18), (1, 2, 3), subjects, (1, 60, 61)):
        name = SampleNumbers(s, c, p, 1, a).name
        (folder / SKELETONS / f'{name}.skeleton').touch()
    for other in ('notes.txt', 'photo.skeleton', 'S001C001P001R001A001 (1).skeleton'):
        (folder / SKELETONS / other).touch()
    return folder


@pytest.mark.parametrize(
    ('benchmark', 'train', 'test'),
    [  # setups * cameras * subjects * actions
        ('xsub60', 3 * 3 * 4 * 2, 3 * 3 * 2 * 2),
        ('xview60', 3 * 2 * 6 * 2, 3 * 1 * 6 * 2),
        ('xsub120', 3 * 3 * 4 * 3, 3 * 3 * 2 * 3),
        ('xset120', 2 * 3 * 6 * 3, 1 * 3 * 6 * 3),
    ],
)
def test_halves_of_the_benchmarks(names, benchmark, train, test):
    splits = {
        split: set(listed(names, benchmark=benchmark, split=split, val_every=2))
        for split in ('train', 'val', 'trainval', 'test')
    }
    assert len(splits['trainval']) == train
    assert len(splits['test']) == test
    assert len(splits['train']) == len(splits['val']) == train // 2
    assert splits['train'] | splits['val'] == splits['trainval']
    assert not splits['trainval'] & splits['test']
    subjects = [{name[8:12] for name in splits[split]} for split in ('train', 'val')]
    assert not subjects[0] & subjects[1]


def test_validation_subjects_do_not_move(names):
    assert {name[8:12] for name in listed(names, split='val', val_every=2)} == {'P002', 'P005'}
    assert {name[8:12] for name in listed(names, split='val', val_every=3)} == {'P004'}
    # nor with the actions that are read
    assert {name[8:12] for name in listed(names, split='val', val_every=3, actions=[60])} == {
        'P004'
    }


def test_actions_are_labels_in_their_order(names):
    options = dict(data_root=str(names), videos=None, benchmark='xset120', lazy_init=True)
    data = NTURGBDDataset(**options, actions=[61, 1])
    found = {(info['name'][-3:], info['label']) for info in data.load_data_list()}
    assert found == {('061', 0), ('001', 1)}
    assert data.metainfo['classes'] == ('put on headphone', 'drink water')
    assert data.metainfo['keypoint_layout'] == 'ntu'
    data = NTURGBDDataset(**options)
    assert data.metainfo['classes'] == ACTIONS
    assert {info['label'] for info in data.load_data_list()} == {0, 59, 60}
    data = NTURGBDDataset(**{**options, 'benchmark': 'xview60'})
    assert data.metainfo['classes'] == ACTIONS[:60]
    assert {info['label'] for info in data.load_data_list()} == {0, 59}


def test_listed_samples_are_left_out(names, tmp_path, lines):
    folder = tmp_path / 'root'
    folder.mkdir()
    (folder / SKELETONS).symlink_to(names / SKELETONS)
    everything = listed(folder)
    gone = ['S001C001P001R001A001', 'S002C003P004R001A060']
    other = 'S018C001P002R001A001'
    (folder / MISSING_60).write_text('2 samples.\nLeave them out.\n\n' + '\n'.join(gone))
    (folder / 'mine.txt').write_text(f'{other}\n')
    assert set(everything) - set(listed(folder)) == set(gone)
    said = [line for level, line in lines if level == 'INFO' and 'left out' in line]
    assert len(said) == 1
    assert f'2 of {len(everything)} samples are left out' in said[0]
    assert set(everything) - set(listed(folder, missing=['mine.txt'])) == {other}
    assert listed(folder, missing=[]) == everything
    with pytest.raises(FileNotFoundError, match='other.txt'):
        listed(folder, missing=['other.txt'])


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        ({'benchmark': 'xsub'}, ValueError, "benchmark is 'xsub', expected one of"),
        ({'split': 'valid'}, ValueError, "split is 'valid', expected one of"),
        ({'val_every': 1}, ValueError, 'val_every is 1, expected a whole number of 2 or more'),
        ({'actions': []}, ValueError, r'actions is \[\], expected different numbers from 1 to 60'),
        ({'actions': [1, 1]}, ValueError, r'actions is \[1, 1\]'),
        ({'actions': [61]}, ValueError, 'from 1 to 60 for benchmark'),
        ({'missing': 'a.txt'}, ValueError, "missing is 'a.txt', expected a list"),
        ({'img_shape': (0, 5)}, ValueError, r'img_shape is \(0, 5\)'),
        ({'skeletons': 'none'}, FileNotFoundError, 'none: no such folder'),
        ({'videos': VIDEOS}, FileNotFoundError, 'videos=None reads the joints alone'),
        ({'actions': [2]}, FileNotFoundError, "no sample of benchmark 'xsub60'. Found: 162"),
        ({'split': 'val'}, FileNotFoundError, 'it needs 10 training subjects, see val_every'),
    ],
)
def test_bad_options(names, cache, change, error, message):
    with pytest.raises(error, match=message):
        dataset(names, cache, **change)


# --- samples ----------------------------------------------------------------------------------


def test_samples_of_joints(root, cache):
    data = dataset(root, cache, split='trainval', actions=[51, 23], img_shape=(72, 128))
    missing = set(read_sample_list(root / MISSING_60))
    assert len(data) == 12 - len([name for name in missing if name[9:12] == '001'])
    for index in range(len(data)):
        info = data.get_data_info(index)
        path = root / SKELETONS / f'{info["name"]}.skeleton'
        places, scores = joints_of_people(read_skeleton(path))
        np.testing.assert_array_equal(info['keypoint'], places)
        np.testing.assert_array_equal(info['keypoint_score'], scores)
        assert info['label'] == ('A051', 'A023').index(info['name'][-4:])
        assert info['total_frames'] == 8
        assert info['img_shape'] == info['original_shape'] == (72, 128)
        assert info['modality'] == 'RGB'
        assert 'filename' not in info


def test_joints_lie_on_the_people_of_the_decoded_frames(tmp_path, cache):
    # the same room without the person: what differs is the figure
    sample = ntu_performance(
        24, 0, num_frames=12, image_size=(256, 144), difficulty=0.0, two_people=0.0, missing=0.0
    ).seen_by(2)
    options = dict(num_frames=12, image_size=(256, 144), difficulty=0.0, two_people=0.0)
    write_ntu(tmp_path / 'ntu', classes=(24,), performances=1, cameras=(2,), missing=0.0, **options)
    order = np.array([7, 0, 11, 3, 3])
    pictures = []
    for decoder in (DECORD, OPENCV):
        pick = [lambda results: {**results, 'frame_inds': order.copy()}]
        data = dataset(tmp_path / 'ntu', cache, videos=VIDEOS, pipeline=[*pick, *decoder])
        results = data[0]
        assert results['img_shape'] == (144, 256)
        pictures.append(np.stack(results['imgs']).astype(int))
    shown = total = 0
    for index, image in zip(order, pictures[0], strict=True):
        room = sample.scene.light.apply(sample.scene.background, index)[:, ::-1, ::-1]
        differs = np.abs(image - room).sum(axis=-1) > 60
        known = results['keypoint_score'][0, index] == 1
        columns, rows = np.rint(results['keypoint'][0, index, known]).astype(int).T
        shown += differs[rows, columns].sum()
        total += known.sum()
    assert total > 60
    assert shown / total > 0.9
    # both decoders give these frames, and not their neighbours
    assert np.abs(pictures[0] - pictures[1]).mean() < 3


@pytest.mark.parametrize('decoder', [DECORD, OPENCV], ids=['decord', 'opencv'])
def test_any_frames_of_the_video_are_decoded_exactly(root, cache, decoder):
    data = dataset(root, cache, videos=VIDEOS)
    capture = cv2.VideoCapture(data.get_data_info(0)['filename'])
    frames = [capture.read()[1][..., ::-1].astype(int) for _ in range(8)]
    order = np.array([5, 1, 6, 1, 0, 7])
    pick = [lambda results: {**results, 'frame_inds': order.copy()}]
    data = dataset(root, cache, videos=VIDEOS, pipeline=[*pick, *decoder])
    for frame, image in zip(order, data[0]['imgs'], strict=True):
        errors = [np.abs(image.astype(int) - other).mean() for other in frames]
        assert np.argmin(errors) == frame
        assert errors[frame] < 2


def test_of_different_lengths_the_smaller_counts(root, tmp_path, cache):
    folder = tmp_path / 'ntu'
    name = 'S001C001P001R001A023'
    (folder / VIDEOS).mkdir(parents=True)
    (folder / VIDEOS / f'{name}_rgb.avi').write_bytes(
        (root / VIDEOS / f'{name}_rgb.avi').read_bytes()
    )
    for length, expected in ((5, 5), (11, 8)):
        save(folder / SKELETONS / f'{name}.skeleton', text([[body()]] * length))
        info = dataset(folder, cache, videos=VIDEOS).get_data_info(0)
        assert info['total_frames'] == expected
        assert info['keypoint'].shape == (1, expected, 25, 2)
        assert info['img_shape'] == (72, 128)  # of the video


def test_samples_without_a_video_are_left_out(root, tmp_path, cache, lines):
    folder = tmp_path / 'ntu'
    (folder / VIDEOS).mkdir(parents=True)
    (folder / SKELETONS).symlink_to(root / SKELETONS)
    options = dict(videos=VIDEOS, split='trainval')
    with pytest.raises(FileNotFoundError, match="no sample of benchmark 'xsub60'"):
        dataset(folder, cache, **options)
    for path in (root / VIDEOS).glob('*P001R001A023*'):
        (folder / VIDEOS / path.name).symlink_to(path)
    del lines[:]
    assert len(dataset(folder, cache, **options)) == 3
    (said,) = [line for level, line in lines if level == 'WARNING']
    assert '9 samples have no video and are left out, the first is S001C001P001R001A051' in said


def test_registered_and_in_batches(root, cache):
    pipeline = [first_four, *DECORD, *PACK]
    data = DATASETS.build(
        dict(
            type='NTURGBDDataset',
            data_root=str(root),
            cache_dir=str(cache),
            pipeline=pipeline,
            test_mode=True,
            split='test',
        )
    )
    packed = data[0]
    assert packed['inputs'].shape == (1, 3, 4, 72, 128)
    assert packed['data_samples'].gt_label.item() == int(data.get_data_info(0)['name'][-3:]) - 1


# --- damaged files ----------------------------------------------------------------------------


@pytest.fixture
def three(root, tmp_path):
    """Three samples, one before each camera."""
    folder = tmp_path / 'three'
    for source, ending in ((SKELETONS, '.skeleton'), (VIDEOS, '_rgb.avi')):
        (folder / source).mkdir(parents=True)
        for camera in (1, 2, 3):
            name = f'S001C{camera:03d}P001R001A023{ending}'
            (folder / source / name).write_bytes((root / source / name).read_bytes())
    return folder


@pytest.mark.parametrize('videos', [None, VIDEOS])
def test_a_damaged_skeleton_is_a_person_without_joints(three, cache, lines, videos):
    path = three / SKELETONS / 'S001C002P001R001A023.skeleton'
    path.write_bytes(path.read_bytes()[:1000])
    save(three / SKELETONS / 'S001C001P001R001A023.skeleton', text([[body()]] * 8))
    data = dataset(three, cache, videos=videos)
    for _ in range(2):
        info = data[1]
        frames = 1 if videos is None else 8
        assert info['total_frames'] == frames
        assert info['keypoint'].shape == (1, frames, 25, 2)
        assert not info['keypoint'].any()
        assert not info['keypoint_score'].any()
        assert data[0]['keypoint'].any()
    (said,) = [line for level, line in lines if level == 'WARNING']
    assert str(path) in said
    assert 'taken as a person without joints (1 damaged so far): ValueError' in said
    assert 'ends in frame' in said or 'the file ends' in said


def cut(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (cut, 'is cut off'),
        (lambda content: b'', 'no video that can be opened'),
        (lambda content: b'<html>Not found</html>', 'no video that can be opened'),
    ],
)
@pytest.mark.parametrize('test_mode', [False, True])
def test_another_sample_takes_the_place_of_an_unreadable_video(
    three, cache, lines, damage, reason, test_mode
):
    path = three / VIDEOS / 'S001C002P001R001A023_rgb.avi'
    path.write_bytes(damage(path.read_bytes()))
    pipeline = [first_four, *DECORD, *PACK]
    data = dataset(three, cache, videos=VIDEOS, pipeline=pipeline, test_mode=test_mode)
    for _ in range(2):
        packed = data[1]
    assert (packed['inputs'] == data[2]['inputs']).all()
    meta = packed['data_samples'].metainfo
    assert meta['name'] == f'S001C00{2 if test_mode else 3}P001R001A023'
    assert meta.get('unreadable', False) == test_mode
    assert 'unreadable' not in data[0]['data_samples'].metainfo
    (said,) = [line for level, line in lines if level == 'WARNING' and str(path) in line]
    assert 'another sample takes its place (1 damaged so far)' in said
    assert reason in said


def test_a_pipeline_that_always_fails_stops(three, cache):
    def fail(results):
        raise KeyError('no such thing')

    data = dataset(three, cache, videos=VIDEOS, pipeline=[fail])
    with pytest.raises(ValueError, match="cannot be loaded, nor can the 2 samples after it: 'no"):
        data[0]
