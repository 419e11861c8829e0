import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import DATASETS

from projects.forecasting import ArrayForecastDataset, ForecastMPJPE
from projects.forecasting.motion_dataset import MotionSequence

NAMES = ['hip', 'left_foot', 'right_foot', 'head']
SKELETON = dict(joint_names=NAMES, parents=[-1, 0, 0, 0], left_joints=['left_foot'])
SIZES = dict(num_frames=4, num_frames_out=6)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.npz':
        np.savez(path, positions=array)
    else:
        np.save(path, array)


def build(root, split='train', **options):
    return ArrayForecastDataset(str(root), split, **{**SKELETON, **SIZES, **options})


def test_samples_are_the_files_frames(rng, tmp_path):
    walk, run = rng.normal(0, 500, (15, 4, 3)), rng.normal(0, 500, (12, 4, 3))
    save(tmp_path / 'train/walk/a.npy', walk)
    save(tmp_path / 'train/run/b.npz', run)
    save(tmp_path / 'test/sit/c.npy', walk)
    data = build(tmp_path)
    assert len(data) == 3 + 6
    sample = data[3 + 2]
    assert sample['meta'] == dict(action='walk', path=str(tmp_path / 'train/walk/a.npy'), start=2)
    np.testing.assert_allclose(sample['observed'], walk[2:6], rtol=1e-6)
    np.testing.assert_allclose(sample['target'], walk[6:12], rtol=1e-6)
    assert sample['observed'].dtype == torch.float32
    assert len(build(tmp_path, actions=['run'])) == 3
    assert len(build(tmp_path, stride=2)) == 2 + 3
    assert len(build(tmp_path, fraction=0.5)) == 4
    assert len(build(tmp_path, indices=5)) == 5


def test_every_person_is_a_sequence(rng, tmp_path):
    people = rng.normal(0, 500, (11, 3, 4, 3))
    save(tmp_path / 'train/meet/a.npy', people)
    data = build(tmp_path)
    assert [sequence.person for sequence in data.sequences] == [0, 1, 2]
    assert len(data) == 3 * 2
    np.testing.assert_allclose(data[3]['observed'], people[1:5, 1], rtol=1e-6)


def test_metres_become_millimetres_and_frames_are_stepped_over(rng, tmp_path):
    metres = rng.normal(0, 1, (31, 4, 3))
    save(tmp_path / 'train/walk/a.npy', metres)
    data = build(tmp_path, unit='m', frame_step=3)
    (sequence,) = data.sequences
    np.testing.assert_allclose(sequence.positions, 1000 * metres[::3], rtol=1e-6)


def test_whole_numbers_are_positions(tmp_path):
    save(tmp_path / 'train/walk/a.npy', np.arange(11 * 4 * 3).reshape(11, 4, 3))
    assert build(tmp_path)[1]['observed'][0, 0].tolist() == [12, 13, 14]


def test_centred_joint_is_drawn_and_not_forecast(rng, tmp_path):
    steps = rng.normal(0, 500, (10, 4, 3))
    save(tmp_path / 'train/walk/a.npy', steps + 1e7)
    data = build(tmp_path, center='head')
    np.testing.assert_allclose(
        data.sequences[0].positions, (steps - steps[:, 3:])[:, :3], atol=1e-2
    )
    meta = data.metainfo
    assert meta['joint_names'] == NAMES[:3]
    assert meta['static_positions'] == [[0, 0, 0]]
    # as before, with the head behind the others
    assert meta['limbs'] == [(0, 1), (0, 2), (0, 3)]
    assert sum(meta['all_joint_weights']) == pytest.approx(3 / 4)
    meta = build(tmp_path, center='hip', limbs=[('hip', 'head'), (1, 2)], parents=None).metainfo
    assert meta['limbs'] == [(3, 2), (0, 1)]
    assert meta['left_joints'] == [0]


def test_metainfo_is_what_metric_and_drawing_need(rng, tmp_path):
    save(tmp_path / 'train/walk/a.npy', rng.normal(0, 500, (10, 4, 3)))
    data = build(tmp_path, up='-z')
    meta = data.metainfo
    assert meta['joint_names'] == NAMES
    assert meta['left_joints'] == [1]
    assert meta['static_positions'] == []
    assert np.array_equal(meta['up'], [0, 0, -1])
    metric = ForecastMPJPE(horizons=[40, 240], all_joints=True)
    metric.dataset_meta = meta
    batch = torch.utils.data.default_collate([data[0]])
    metric.process(batch, [dict(forecast=batch['target'][0] + torch.tensor([3.0, 4, 0]))])
    scores = metric.evaluate(1)
    assert scores['forecast/A-MPJPE'] == pytest.approx(5, abs=1e-3)
    assert scores['forecast/A-MPJPE-all-joints'] == pytest.approx(5, abs=1e-3)


def test_windows_with_missing_joints_are_left_out_with_one_warning(rng, tmp_path, log):
    motion = rng.normal(0, 500, (30, 4, 3))
    save(tmp_path / 'train/walk/a.npy', motion)
    people = np.stack([motion, motion], axis=1)
    people[12, 1, 2, 0] = np.nan
    people[13, 1, 3] = np.nan
    save(tmp_path / 'train/walk/b.npy', people)
    data = build(tmp_path)
    (record,) = [record for record in log.records if record.levelname == 'WARNING']
    assert '11 windows' in record.getMessage()
    assert 'b.npy (person 1, 2 frames, the first is 12)' in record.getMessage()
    assert len(data) == 2 * 21 + 10
    assert [data.get_data_info(42 + i)['start'] for i in range(10)] == [0, 1, 2, *range(14, 21)]
    assert all(torch.isfinite(data[index]['target']).all() for index in range(len(data)))


@settings(max_examples=30, deadline=None)
@given(
    broken=st.lists(st.lists(st.booleans(), max_size=25), max_size=3),
    stride=st.integers(1, 9),
    window=st.integers(2, 9),
)
def test_windows_are_the_whole_ones(broken, stride, window):
    data = object.__new__(ArrayForecastDataset)
    data.split, data.num_frames, data.num_frames_out, data.stride = 'train', 1, window - 1, stride
    data.sequences = []
    for frames in broken:
        positions = np.zeros((len(frames), 2, 3))
        positions[np.array(frames, dtype=bool), 1] = np.nan
        data.sequences.append(MotionSequence('x', '', positions))
    expected = [
        (index, start)
        for index, frames in enumerate(broken)
        for start in range(0, len(frames) - window + 1, stride)
        if not any(frames[start : start + window])
    ]
    assert [tuple(found) for found in data.list_windows().tolist()] == expected


def test_split_by_lists_of_files(rng, tmp_path):
    for name in ('walk/a.npy', 'walk/b.npy', 'run/c.npy'):
        save(tmp_path / 'motion' / name, rng.normal(0, 500, (10, 4, 3)))
    (tmp_path / 'train.txt').write_text('motion/walk/b.npy\n\nmotion/run/c.npy\n')
    data = build(tmp_path, file_list='train.txt')
    assert [(s.action, s.path.name) for s in data.sequences] == [
        ('walk', 'b.npy'),
        ('run', 'c.npy'),
    ]
    for line in ('../other/a.npy', '/etc/a.npy', 'motion/walk/a.txt'):
        (tmp_path / 'train.txt').write_text(f'motion/walk/b.npy\n{line}\n')
        with pytest.raises(ValueError, match=rf'train.txt:2: found .{line}., expected the path'):
            build(tmp_path, file_list='train.txt')
    with pytest.raises(FileNotFoundError, match=r'val.txt: no such file_list'):
        build(tmp_path, file_list='val.txt')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(unit='cm'), r"unit is 'cm', expected one of \['mm', 'm'\]"),
        (dict(up='up'), "up is 'up', expected one of"),
        (dict(joint_names=['a', 'a']), 'expected one or more, all different'),
        (dict(parents=[-1, 0]), 'parents has 2 entries, expected one for each of the 4'),
        (dict(parents=[-1, 0, 0, 4]), 'parents: 4 is no joint'),
        (dict(parents=None), 'give either parents or limbs'),
        (dict(limbs=[(0, 1)]), 'give either parents or limbs'),
        (dict(parents=None, limbs=['ab']), "limbs: 'ab' is no pair"),
        (dict(parents=None, limbs=[('hip', 'tail')]), "limbs: 'tail' is no joint"),
        (dict(center='tail'), "center: 'tail' is no joint, expected one of joint_names"),
        (dict(left_joints=[True]), 'left_joints: True is no joint'),
        (dict(actions=['fly']), r"actions \['fly'\] are not among \['walk'\] of 'train'"),
        (dict(stride=0), 'stride is 0'),
        (dict(num_frames=9), 'window of 15 frames; the longest has 10'),
        (dict(samples_per_action=8), 'samples_per_action'),
    ],
)
def test_bad_options(rng, tmp_path, options, message):
    save(tmp_path / 'train/walk/a.npy', rng.normal(0, 500, (10, 4, 3)))
    config = dict(type='ArrayForecastDataset', data_root=str(tmp_path), split='train')
    with pytest.raises((ValueError, TypeError), match=message):
        DATASETS.build({**config, **SKELETON, **SIZES, **options})


@pytest.mark.parametrize(
    ('array', 'message'),
    [
        (np.zeros((10, 5, 3)), 'has 5 joints, expected the 4 of joint_names'),
        (np.zeros((10, 4, 2)), r'has shape \(10, 4, 2\), expected \(frames, joints, 3\) or'),
        (np.zeros((0, 4, 3)), r'has shape \(0, 4, 3\)'),
        (np.zeros((10, 0, 4, 3)), r'has shape \(10, 0, 4, 3\)'),
        (np.full((10, 4, 3), 'x'), 'holds values of type <U1, expected numbers'),
        (np.zeros((10, 4, 3), complex), 'holds values of type complex128'),
        (np.array([{}], dtype=object), 'no array of numbers'),
        (np.where(np.arange(120).reshape(10, 4, 3) < 50, 0, -np.inf), 'frame 4 holds an infinite'),
    ],
)
def test_malformed_arrays_are_named(tmp_path, array, message):
    save(tmp_path / 'train/walk/bad.npy', array)
    with pytest.raises(ValueError, match=r'train/walk/bad.npy: ' + f'.*{message}'):
        build(tmp_path)


def test_files_that_are_no_arrays_are_named(tmp_path):
    folder = tmp_path / 'train' / 'walk'
    folder.mkdir(parents=True)
    np.savez(folder / 'a.npz', poses=np.zeros((10, 4, 3)))
    with pytest.raises(ValueError, match=r"a.npz: holds arrays \['poses'\], expected one named"):
        build(tmp_path)
    assert len(build(tmp_path, key='poses')) == 1
    (folder / 'a.npz').write_bytes((folder / 'a.npz').read_bytes()[:100])
    with pytest.raises(ValueError, match=r'a.npz: '):
        build(tmp_path)
    (folder / 'a.npz').unlink()
    for content in (b'', b'12,3\n', b'\x93NUMPY\x01\x00'):
        (folder / 'a.npy').write_bytes(content)
        with pytest.raises(ValueError, match=r'a.npy: .'):
            build(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'val: no such folder, expected val/<action>'):
        build(tmp_path, 'val')
