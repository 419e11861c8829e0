import json
import logging
import os
import re

import numpy as np
import pytest
from mmengine.logging import MMLogger, print_log

from projects.apct import annotations
from projects.apct.annotations import read_truth
from projects.apct.dataset import KineticsTPSDataset
from projects.apct.layout import class_names, list_videos, read_frame_counts, read_names
from tests.test_apct.small_set import (
    PARTS,
    STATES,
    annotation_path,
    number_of,
    part,
    person,
    write_annotation,
    write_frames,
    write_small_set,
)
from tools.datasets import kinetics_tps_ground_truth


@pytest.fixture(autouse=True)
def _mmengine_log_is_captured(caplog):
    print_log('', logger='current')  # makes sure that there is a current logger
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)


def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


@pytest.fixture(scope='module', params=['frames', 'video'])
def small_set(tmp_path_factory, request):
    return write_small_set(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def own_set(tmp_path):
    """A data set that a test may spoil: one video of interest, two classes."""
    return write_small_set(tmp_path / 'set', videos=2, frames=6)


def build(root, split='train', **options):
    return KineticsTPSDataset(str(root), split, **options)


def expected_person(i):
    """Arrays of person i as :func:`small_set.person` wrote it, in the vocabulary's order."""
    x = 12 * i
    boxes = [[22 + x, 4, 30 + x, 12], [30 + x, 12, 38 + x, 24], [14 + x, 12, 22 + x, 24], [0] * 4]
    states = [STATES.index('none'), STATES.index('bend'), STATES.index('unbend'), -1]
    return [12 + x, 2, 40 + x, 44], boxes, [True, True, True, False], states


def same(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)


def test_round_trip(small_set):
    dataset = build(small_set, 'trainval', test_mode=True)
    assert len(dataset) == 2 * 4 * 3  # classes, videos, frames 1, 6 and 11
    seen = set()
    for index in range(len(dataset)):
        sample = dataset.get_data_info(index)
        video, number = sample['video'], sample['frame_number']
        seen.add((video, number))
        assert sample['frame'] == f'img_{number:05d}.json'
        assert video.startswith(f'train_{sample["video_class"]}_')
        assert sample['img_id'] == index
        people = [expected_person(i) for i in range((number + int(video[-1])) % 3)]
        shapes = dict(bboxes=(4,), part_bboxes=(4, 4), part_valid=(4,), part_states=(4,))
        types = dict(zip(shapes, (np.float32, np.float32, bool, np.int64), strict=True))
        for field, (key, shape) in enumerate(shapes.items()):
            expected = np.array([one[field] for one in people]).reshape(-1, *shape)
            np.testing.assert_array_equal(sample[key], expected)
            assert sample[key].dtype == types[key]
        path = annotation_path(small_set, 'train', sample['video_class'], video, number)
        assert json.dumps(sample['truth']) == path.read_text()  # also the order of the parts
    assert len(seen) == len(dataset)
    assert {number for _, number in seen} == {1, 6, 11}


def test_frames_are_those_that_were_asked_for(small_set):
    pipeline = [dict(type='LoadKineticsTPSFrame')]
    dataset = build(small_set, 'trainval', frame_interval=2, pipeline=pipeline)
    order = np.random.default_rng(0).permutation(len(dataset))
    for index in order:
        sample = dataset[int(index)]
        assert number_of(sample['img']) == sample['frame_number']
        assert sample['img'].shape == (48, 64, 3)
        assert sample['img'].dtype == np.uint8
        assert sample['img_shape'] == sample['ori_shape'] == (48, 64)
        assert sample['img'][40, 5, 0] > sample['img'][40, 5, 2] + 80  # blue: BGR


def test_meta_information(small_set):
    metainfo = build(small_set).metainfo
    assert metainfo['part_names'] == list(PARTS)
    assert metainfo['state_names'] == list(STATES)
    assert metainfo['classes'] == ('person',)
    assert metainfo['video_classes'] == ['jump', 'run']


def test_samples_repeat(small_set):
    first, second = (build(small_set, 'trainval', test_mode=True) for _ in range(2))
    for index in range(len(first)):
        sample = first.get_data_info(index)
        sample_before = {key: np.copy(sample[key]) for key in ('bboxes', 'part_states')}
        sample['bboxes'] += 1  # a pipeline that works in place spoils nothing
        sample['part_states'] += 1
        again = first.get_data_info(index)
        same({key: again[key] for key in sample_before}, sample_before)
        same(again, second.get_data_info(index))


@pytest.mark.parametrize(('val_every', 'in_val'), [(2, {1, 3, 5}), (3, {2, 5}), (7, {6})])
def test_split_rule(tmp_path, val_every, in_val):
    root = write_small_set(tmp_path, videos=7, frames=1)
    names = {
        split: [video.name for video in list_videos(root, split, val_every)]
        for split in ('train', 'val', 'trainval', 'test')
    }
    every = {f'train_{name}_{v}' for name in ('jump', 'run') for v in range(7)}
    assert set(names['val']) == {name for name in every if int(name[-1]) in in_val}
    assert set(names['train']) == every - set(names['val'])
    assert set(names['trainval']) == every
    assert names['trainval'] == sorted(names['trainval'])
    assert names['test'] == ['test_jump_0', 'test_run_0']


def test_split_does_not_move_when_a_video_is_missing(tmp_path, caplog):
    root = write_small_set(tmp_path, storage='video', videos=4, frames=1)
    before = [video.name for video in list_videos(root, 'val', 2)]
    (root / 'train_videos' / 'jump' / 'train_jump_0.mp4').unlink()
    assert [video.name for video in list_videos(root, 'val', 2)] == before
    assert len(build(root, 'trainval')) == 7
    assert '1 x annotated video without frames' in warnings_of(caplog)[0]


def test_classes_fraction_indices_and_empty_frames(small_set):
    runs = build(small_set, 'trainval', classes=['run'])
    assert {runs.get_data_info(i)['video_class'] for i in range(len(runs))} == {'run'}
    assert runs.metainfo['video_classes'] == ['run']
    assert len(build(small_set, 'trainval', fraction=0.25)) == 6
    assert len(build(small_set, 'trainval', indices=5)) == 5
    listed = build(small_set, 'trainval', indices=[3, 9])
    assert [listed.get_data_info(i)['img_id'] for i in range(2)] == [3, 9]
    kept = build(small_set, 'trainval', filter_empty=True)
    assert len(kept) == 24 - 8  # every third frame of every video shows nobody
    assert all(len(kept.get_data_info(i)['bboxes']) for i in range(len(kept)))
    assert len(build(small_set, 'trainval', filter_empty=True, test_mode=True)) == 24
    lazy = build(small_set, 'trainval', lazy_init=True)
    assert lazy.get_data_info(3)['img_id'] == 3


def test_truth_only_where_it_is_wanted(small_set):
    assert 'truth' not in build(small_set, 'test').get_data_info(0)
    assert 'truth' in build(small_set, 'test', test_mode=True).get_data_info(0)


@pytest.mark.parametrize('storage', ['frames', 'video'])
def test_test_set_without_annotations(tmp_path, storage, caplog):
    root = write_small_set(tmp_path, storage, videos=1)
    (root / 'test_annotations').rename(tmp_path / 'kept')
    dataset = build(root, 'test', test_mode=True)
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [(s['video'], s['frame_number']) for s in samples] == [
        (f'test_{name}_0', number) for name in ('jump', 'run') for number in (1, 6, 11)
    ]
    assert all(s['bboxes'].shape == (0, 4) and 'truth' not in s for s in samples)
    assert not warnings_of(caplog)
    (root / 'list' / 'video_test_flist.csv').write_text('test_videos/run/test_run_0.mp4, 6\n')
    dataset = build(root, 'test', test_mode=True)
    assert len(dataset) == 5
    assert '1 x video that the frame list lacks' in warnings_of(caplog)[0]
    (root / 'list' / 'video_test_flist.csv').write_text('test_run_0,16\ntest_jump_0,11\n')
    assert len(build(root, 'test', test_mode=True)) == 6
    assert '1 x listed or annotated frame without image' in warnings_of(caplog)[1]
    (root / 'list' / 'video_test_flist.csv').unlink()
    with pytest.raises(FileNotFoundError, match=r'video_test_flist\.csv'):
        build(root, 'test')


def test_frames_beside_the_video_come_first(tmp_path):
    root = write_small_set(tmp_path, 'video', videos=1, frames=11)
    other = write_small_set(tmp_path / 'other', 'frames', videos=1, frames=6)
    folder = root / 'train_frames'
    (other / 'train_videos').rename(folder)
    dataset = build(root, 'trainval', classes=['run'])
    samples = [dataset.get_data_info(index) for index in range(3)]
    assert [s['img_path'] is not None for s in samples] == [True, True, False]
    assert samples[0]['img_path'] == str(folder / 'run' / 'train_run_0' / 'img_00001.jpg')
    assert all(s['video_path'] for s in samples)
    folder.rename(root / 'elsewhere')
    assert build(root, 'trainval').get_data_info(0)['img_path'] is None
    dataset = build(root, 'trainval', frame_root='elsewhere')
    assert dataset.get_data_info(0)['img_path'].startswith(str(root / 'elsewhere'))


# What is written for img_00001 of train_run_0, what the warning says of it, and how many frames
# and people of that video are left
NAN = float('nan')
ODD = {
    'broken JSON': ('{"humans": [', 'annotation file that cannot be read', 1, 0),
    'no JSON at all': ('\x00\x01', 'annotation file that cannot be read', 1, 0),
    'no people field': ({'people': []}, "field 'humans' is None", 1, 0),
    'list for a dict': ([1], "field 'humans' is None", 1, 0),
    'people is text': ({'humans': 'two'}, "field 'humans' is 'two'", 1, 0),
    'NaN box': ({'humans': [{'box': [0, NAN, 9, 9]}]}, r'humans\[0\].box is \[0, nan', 2, 0),
    'infinite box': ({'humans': [{'box': [0, 0, 1e999, 9]}]}, 'four finite box', 2, 0),
    'three numbers': ({'humans': [{'box': [0, 1, 9]}]}, r'humans\[0\].box is \[0, 1, 9\]', 2, 0),
    'no box': ({'humans': [{'parts': {}}]}, r'humans\[0\].box is None', 2, 0),
    'text in a box': ({'humans': [{'box': [0, 0, '9', 9]}]}, 'four finite box', 2, 0),
    'person is a number': ({'humans': [7]}, r'humans\[0\].box is 7', 2, 0),
    'inverted box': ({'humans': [{'box': [9, 0, 3, 9]}]}, 'person box without area', 2, 0),
    'flat box': ({'humans': [{'box': [3, 5, 9, 5]}]}, 'person box without area', 2, 0),
    'parts is a list': ({'humans': [{'box': [0, 0, 9, 9], 'parts': [1]}]}, 'no dict', 2, 1),
}


@pytest.mark.parametrize(('content', 'message', 'frames', 'people'), ODD.values(), ids=ODD)
def test_odd_people(own_set, caplog, content, message, frames, people):
    path = annotation_path(own_set, 'train', 'run', 'train_run_0', 1)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    write_annotation(own_set, 'train', 'run', 'train_run_0', 6, [])
    dataset = build(own_set, 'trainval')
    (warning,) = warnings_of(caplog)
    assert re.search(message, warning)
    assert str(path) in warning
    assert "split 'trainval'" in warning
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    samples = [sample for sample in samples if sample['video'] == 'train_run_0']
    assert len(samples) == frames
    assert sum(len(sample['bboxes']) for sample in samples) == people
    build(own_set, 'trainval')  # from the cache: not silent either
    assert warnings_of(caplog) == [warning, warning]


def test_odd_parts(own_set, caplog):
    parts = dict(
        head=part('head', [1, 1, 5, 5], 'dance'),  # a state in no vocabulary
        left_arm=part('left_arm', [[1, 1, 6, 6]], ['bend']),  # one-element lists
        right_arm=part('right_arm', [7, 1, 3, 5], 'bend'),  # inverted
        hip=part('hip', [NAN, 1, 3, 5], 'bend'),
        tail=part('tail', [1, 1, 8, 8], 'bend'),  # a part in no vocabulary
    )
    second = dict(head=part('head', [1, 1, 5, 5], None), left_arm=3, hip=dict(box=[1, 2, 3, 4]))
    humans = [
        dict(number=4, box=[[-5, 0, 99, 30]], parts=parts),
        dict(number=9, box=[0, 0, 9, 9], parts=second),
        dict(number=10, box=[0, 0, 9, 9]),
    ]
    path = write_annotation(own_set, 'train', 'run', 'train_run_0', 1, humans)
    dataset = build(own_set, 'trainval', test_mode=True)
    (warning,) = warnings_of(caplog)
    for text in (
        f'3 x state not in list/part_stat.txt, the box kept without it (first: {path}: humans[0].'
        "parts['head'].verb is 'dance')",
        f"1 x part box without area, left out (first: {path}: humans[0].parts['right_arm'].box is "
        '[7, 1, 3, 5])',
        '2 x part without four finite box coordinates, left out',
        f"1 x part not in list/body_part.txt, left out (first: {path}: humans[0].parts['tail'])",
    ):
        assert text in warning
    (sample,) = (
        sample
        for sample in map(dataset.get_data_info, range(len(dataset)))
        if (sample['video'], sample['frame_number']) == ('train_run_0', 1)
    )
    np.testing.assert_array_equal(sample['bboxes'][0], [-5, 0, 99, 30])  # kept beyond the image
    valid = [[True, True, False, False], [True, False, False, True], [False] * 4]
    np.testing.assert_array_equal(sample['part_valid'], valid)
    np.testing.assert_array_equal(sample['part_states'], [[-1, 1, -1, -1], [-1] * 4, [-1] * 4])
    truth = sample['truth']['humans']
    assert [human['number'] for human in truth] == [4, 9, 10]
    assert truth[0]['box'] == [-5, 0, 99, 30]
    assert list(truth[0]['parts']) == ['head', 'left_arm', 'right_arm', 'tail']
    assert truth[0]['parts']['head']['verb'] == 'dance'  # the truth keeps the file's text
    assert truth[0]['parts']['left_arm'] == part('left_arm', [1, 1, 6, 6], 'bend')
    assert truth[2]['parts'] == {}


def test_odd_videos(tmp_path, caplog):
    root = write_small_set(tmp_path, 'video', videos=3, frames=6)
    videos = root / 'train_videos' / 'run'
    (videos / 'train_run_0.mp4').write_bytes(b'')  # cannot be opened
    (videos / 'train_run_1.mp4').unlink()
    (videos / 'extra.mp4').write_bytes(b'')  # no annotations
    write_annotation(root, 'train', 'run', 'train_run_2', 11, [person()])  # beyond its end
    (root / 'train_videos' / 'jump' / 'train_jump_0.mp4').unlink()
    (root / 'train_videos' / 'jump' / 'train_jump_0').mkdir()  # a folder without frames
    empty = annotation_path(root, 'train', 'jump', 'train_jump_1', 1).parent
    for path in empty.iterdir():
        path.unlink()
    dataset = build(root, 'trainval')
    found = {dataset.get_data_info(i)['video'] for i in range(len(dataset))}
    assert found == {'train_jump_2', 'train_run_2'}
    (warning,) = warnings_of(caplog)
    for text in (
        f'1 x video file that cannot be opened (first: {videos}/train_run_0.mp4)',
        f'1 x annotated video without frames, left out (first: {videos}/train_run_1.mp4)',
        '1 x video without annotations, left out (first: ',
        f'1 x listed or annotated frame without image, left out (first: {videos}/train_run_2.mp4: '
        'frame 11 of 6)',
        '2 x video without frames, left out',
        f'1 x video without annotated frames, left out (first: {empty}/img_00001.json)',
    ):
        assert text in warning


def test_extracted_frame_that_is_missing(own_set, caplog):
    (own_set / 'train_videos' / 'run' / 'train_run_0' / 'img_00006.jpg').unlink()
    assert len(build(own_set, 'trainval')) == 7
    assert '1 x listed or annotated frame without image' in warnings_of(caplog)[0]


def test_frames_count_from_one(own_set):
    write_annotation(own_set, 'train', 'run', 'train_run_0', 0, [person()])
    write_frames(own_set / 'train_videos' / 'run' / 'train_run_0', range(1))
    dataset = build(own_set, 'trainval', frame_interval=1)
    assert {dataset.get_data_info(i)['frame_number'] for i in range(len(dataset))} == set(
        range(1, 7)
    )


def test_nothing_readable_says_what_was_looked_for(own_set):
    for path in (own_set / 'train_annotations').rglob('*.json'):
        path.write_text('{')
    with pytest.raises(FileNotFoundError, match=r'train_videos/<class>.*8 x annotation file that'):
        build(own_set, 'trainval')
    with pytest.raises(FileNotFoundError, match='a class needs 10 videos to have one'):
        build(own_set, 'val')


@pytest.mark.parametrize(
    ('missing', 'message'),
    [
        ('list/body_part.txt', r'body_part\.txt: no such file'),
        ('list/part_stat.txt', r'part_stat\.txt: no such file'),
        ('train_annotations', r'train_annotations: no such folder'),
        ('train_videos', r"none of the folders \['train_videos', 'train_frames'\]"),
    ],
)
def test_missing_file_or_folder_is_named(own_set, tmp_path, missing, message):
    (own_set / missing).rename(tmp_path / 'away')
    with pytest.raises(FileNotFoundError, match=message):
        build(own_set)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='valid'), "split is 'valid'"),
        (dict(val_every=1), 'val_every is 1'),
        (dict(frame_interval=0), 'frame_interval is 0'),
        (dict(fraction=0), 'fraction is 0'),
        (dict(fraction=1.5), 'fraction is 1.5'),
        (dict(classes=['swim']), r"classes \['swim'\] are not among"),
        (dict(classes='run'), "classes is 'run'"),
        (dict(classes=['run', 'run']), 'expected a list of different class names'),
        (dict(classes=['../set/train_videos/run']), 'are not among'),  # stays within its root
    ],
)
def test_bad_options(own_set, options, message):
    with pytest.raises(ValueError, match=message):
        build(own_set, **options)
    with pytest.raises(TypeError):
        build(own_set, frame_intervall=3)


def test_vocabularies(tmp_path):
    path = tmp_path / 'body_part.txt'
    path.write_text('\ufeffhead\r\n  left arm \n\n', encoding='utf-8')
    assert read_names(path) == ['head', 'left arm']
    path.write_text('head\nhip\nhead\n')
    with pytest.raises(ValueError, match=r"\['head'\] more than once"):
        read_names(path)
    path.write_text('\n')
    with pytest.raises(ValueError, match='no names'):
        read_names(path)


def test_frame_counts(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('name,frames\na,3\nclass/b.mp4, 4 \n\nc.d,5,extra\n')
    assert read_frame_counts(path) == {'a': 3, 'b': 4, 'c.d': 5}
    path.write_text('a,3\nb,many\n')
    with pytest.raises(ValueError, match=r"list.csv:2: found 'b,many'"):
        read_frame_counts(path)


def test_truth_needs_a_readable_file(tmp_path):
    path = tmp_path / 'img_00001.json'
    path.write_bytes(b'\xff\xfe{')
    with pytest.raises(ValueError, match='img_00001.json'):
        read_truth(path)
    path.write_text('[' * 100000)
    with pytest.raises(ValueError, match='img_00001.json'):
        read_truth(path)


def test_second_start_reads_the_cache(own_set, tmp_path, monkeypatch):
    first = build(own_set, 'trainval', cache_dir=str(tmp_path / 'cache'))
    monkeypatch.setattr(annotations, 'read_truth', lambda *_: pytest.fail('read again'))
    second = build(own_set, 'trainval', cache_dir=str(tmp_path / 'cache'))
    for index in range(len(first)):
        same(first.get_data_info(index), second.get_data_info(index))
    (cached,) = (tmp_path / 'cache').iterdir()
    assert not any(array.dtype.hasobject for array in np.load(cached, allow_pickle=False).values())


def test_cache_notices_changes(own_set, tmp_path):
    options = dict(split='trainval', cache_dir=str(tmp_path / 'cache'), classes=['run'])

    def people():
        dataset = build(own_set, **options)
        samples = map(dataset.get_data_info, range(len(dataset)))
        return [len(s['bboxes']) for s in samples if s['video'] == 'train_run_0']

    assert people() == [1, 0]
    path = write_annotation(own_set, 'train', 'run', 'train_run_0', 6, [person()] * 2)
    assert people() == [1, 2]
    status = path.stat()
    path.write_text(path.read_text().replace('40', '41'))  # as long as before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    dataset = build(own_set, **options)
    assert dataset.get_data_info(1)['bboxes'][0, 2] == 41
    (own_set / 'train_videos' / 'run' / 'train_run_0' / 'img_00001.jpg').unlink()
    assert people() == [2]
    path.unlink()
    with open(own_set / 'list' / 'part_stat.txt', 'a') as file:
        file.write('new\n')
    write_annotation(
        own_set, 'train', 'run', 'train_run_1', 1,
        [dict(box=[0, 0, 9, 9], parts=dict(hip=part('hip', [0, 0, 5, 5], 'new')))],
    )  # fmt: skip
    assert build(own_set, **options).get_data_info(0)['part_states'][0, 3] == 4


def test_damaged_or_unwritable_cache_costs_only_time(own_set, tmp_path):
    first = build(own_set, cache_dir=str(tmp_path / 'cache'))
    (cached,) = (tmp_path / 'cache').iterdir()
    for damage in (cached.read_bytes()[:300], b'', b'no archive'):
        cached.write_bytes(damage)
        same(build(own_set, cache_dir=str(cached.parent)).get_data_info(0), first.get_data_info(0))
    (tmp_path / 'file').write_text('')
    blocked = build(own_set, cache_dir=str(tmp_path / 'file' / 'cache'))
    same(blocked.get_data_info(0), first.get_data_info(0))


def test_nothing_is_written_into_the_home(own_set, private_cache, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    build(own_set)
    assert not (tmp_path / 'home').exists()
    assert list((private_cache / 'kinetics_tps').glob('*.npz'))


def test_ground_truth_files(tmp_path, capsys):
    root = write_small_set(tmp_path / 'set', 'video', videos=4)
    command = [str(root), '--split', 'val', '--val-every', '2', '--out', str(tmp_path / 'gt')]
    kinetics_tps_ground_truth.main(command)
    classes = json.loads((tmp_path / 'gt' / 'gt_vid_result.json').read_text())
    people = json.loads((tmp_path / 'gt' / 'gt_part_result.json').read_text())
    names = [f'train_{name}_{v}' for name in ('jump', 'run') for v in (1, 3)]
    assert classes == {name: name.split('_')[1] for name in names}
    assert list(people) == names
    for name, frames in people.items():
        assert list(frames) == ['img_00001.json', 'img_00006.json', 'img_00011.json']
        for frame, truth in frames.items():
            path = annotation_path(root, 'train', classes[name], name, int(frame[4:9]))
            assert truth == json.loads(path.read_text())
    (root / 'test_annotations').rename(tmp_path / 'away')
    for options, message in (
        (['--split', 'test'], 'has no annotations'),
        (['--split', 'val'], 'no frame to read'),
        (['--frame-interval', '0'], 'frame_interval is 0'),
    ):
        with pytest.raises(SystemExit, match='2'):
            kinetics_tps_ground_truth.main([str(root), '--out', str(tmp_path / 'x'), *options])
        assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()


def test_folders_that_are_no_classes_and_upper_case_endings(tmp_path):
    root = write_small_set(tmp_path, 'video', videos=3, frames=2)
    for name in ('__MACOSX', '.thumbnails'):
        (root / 'train_videos' / name).mkdir()
    video = root / 'train_videos' / 'run' / 'train_run_1.mp4'
    video.rename(video.with_suffix('.MP4'))
    assert class_names(root) == ['jump', 'run']
    paths = {video.name: video.path for video in list_videos(root, 'trainval')}
    assert len(paths) == 6
    assert paths['train_run_1'] == video.with_suffix('.MP4')
    (root / 'counts.csv').write_text('v/__a.MP4,3')  # a video's name may begin like this
    assert read_frame_counts(root / 'counts.csv') == {'__a': 3}


def test_links_to_files_that_are_gone(tmp_path, caplog):
    root = write_small_set(tmp_path, 'video', videos=2, frames=6)
    video = root / 'train_videos' / 'run' / 'train_run_0.mp4'
    annotation = annotation_path(root, 'train', 'jump', 'train_jump_0', 6)
    for path in (video, annotation):
        path.unlink()
        path.symlink_to(tmp_path / 'gone')
    for _ in range(2):  # parsed, then out of the cache
        caplog.clear()
        assert len(build(root, 'trainval')) == 8 - 2 - 1
        (warning,) = warnings_of(caplog)
        assert f'1 x annotation file that is not there, left out (first: {annotation} (' in warning
        assert f'1 x video file that is not there (first: {video} (' in warning
