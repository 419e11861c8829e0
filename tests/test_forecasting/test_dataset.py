import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import DATASETS

from projects.forecasting import CMUForecastDataset, Human36MForecastDataset
from projects.forecasting.motion_dataset import MotionSequence, windows_of
from projects.forecasting.motion_files import read_motion
from projects.skeleton import CMU, HUMAN36M
from tests.conftest import smooth_rotations, write_motion

ACTIONS = dict(actions=['walking', 'eating'])


def warnings_of(log):
    return [record.getMessage() for record in log.records if record.levelname == 'WARNING']


def test_samples_are_the_files_frames(h36m_root):
    data = Human36MForecastDataset(h36m_root, 'test', **ACTIONS)
    assert len(data) == 4 * (80 - 35 + 1)
    positions = read_motion(h36m_root / 'S5' / 'walking_2.txt', HUMAN36M)
    positions = positions[::2, list(HUMAN36M.forecast_joints)]
    sample = data[46 + 7]
    assert sample['meta']['action'] == 'walking'
    assert sample['meta']['path'].endswith('S5/walking_2.txt')
    np.testing.assert_array_equal(sample['observed'].numpy(), positions[7:17])
    np.testing.assert_array_equal(sample['target'].numpy(), positions[17:42])


def test_splits_do_not_share_subjects(h36m_root):
    folders = {
        split: {s.path.parent.name for s in Human36MForecastDataset(h36m_root, split).sequences}
        for split in ('train', 'val', 'test')
    }
    assert folders == dict(train={'S1'}, val={'S11'}, test={'S5'})
    assert Human36MForecastDataset.subjects == dict(train=(1, 6, 7, 8, 9), val=(11,), test=(5,))


def test_stride_and_fraction(h36m_root):
    options = dict(data_root=h36m_root, split='test', **ACTIONS)
    starts = [
        info['start']
        for info in map(Human36MForecastDataset(stride=5, **options).get_data_info, range(10))
    ]
    assert starts == [*range(0, 46, 5)]
    full = Human36MForecastDataset(**options)
    part = Human36MForecastDataset(fraction=0.1, **options)
    assert len(part) == round(len(full) / 10)
    assert {info['action'] for info in map(part.get_data_info, range(len(part)))} == {
        'walking',
        'eating',
    }


def slow_human36m_windows(frames_1, frames_2, samples, num_frames):
    """The published rule, draw by draw (Martinez et al. 2017; Mao et al. 2020)."""
    generator = np.random.RandomState(1234567890)
    starts_1, starts_2 = [], []
    for _ in range(samples // 2):
        starts_1.append(generator.randint(16, frames_1 - 150) + 50 - num_frames)
        starts_2.append(generator.randint(16, frames_2 - 150) + 50 - num_frames)
    return starts_1 + starts_2


@pytest.mark.parametrize('samples', [8, 256])
def test_fixed_windows_of_human36m(tmp_path, samples):
    rng = np.random.default_rng(0)
    for trial, frames in ((1, 700), (2, 903)):
        path = tmp_path / 'S5' / f'walking_{trial}.txt'
        write_motion(path, smooth_rotations(rng, frames, 32))
    data = Human36MForecastDataset(
        tmp_path, 'test', actions=['walking'], samples_per_action=samples
    )
    starts = [data.get_data_info(index)['start'] for index in range(len(data))]
    assert starts == slow_human36m_windows(350, 452, samples, 10)


def test_fixed_windows_of_cmu(tmp_path):
    write_motion(
        tmp_path / 'test/walking/walking_1.txt', smooth_rotations(np.random.default_rng(0), 400, 38)
    )
    data = CMUForecastDataset(tmp_path, 'test', samples_per_action=8)
    generator = np.random.RandomState(1234567890)
    expected = [generator.randint(0, 200 - 75) + 40 for _ in range(8)]
    assert [data.get_data_info(index)['start'] for index in range(8)] == expected


def test_fixed_windows_need_long_sequences(h36m_root, cmu_root):
    with pytest.raises(ValueError, match=r'S5/walking_1.txt: has 80 frames.*at least 167'):
        Human36MForecastDataset(h36m_root, 'test', samples_per_action=8, **ACTIONS)
    with pytest.raises(ValueError, match='expected an even number'):
        Human36MForecastDataset(h36m_root, 'test', samples_per_action=7, **ACTIONS)
    short = dict(num_frames_out=30, samples_per_action=8, actions=['walking'])
    with pytest.raises(ValueError, match='num_frames_out is 30.*at most 25'):
        CMUForecastDataset(cmu_root, 'test', **short)
    with pytest.raises(ValueError, match='num_frames is 60.*at most 50'):
        CMUForecastDataset(cmu_root, 'test', num_frames=60, samples_per_action=8)


def test_cmu_validation_is_the_last_training_file(cmu_root):
    def names(split):
        data = CMUForecastDataset(cmu_root, split, actions=['running', 'walking'])
        assert data[0]['observed'].shape == (10, 25, 3)
        return [sequence.path.name for sequence in data.sequences]

    assert names('train') == ['running_1.txt', 'running_2.txt', 'walking_1.txt', 'walking_2.txt']
    assert names('val') == ['running_10.txt', 'walking_10.txt']  # 10 after 2, not after 1
    assert set(names('trainval')) == {*names('train'), *names('val')}
    assert names('test') == ['running_1.txt', 'walking_1.txt']


def test_actions_are_not_taken_for_one_another(tmp_path):
    for action in ('basketball', 'basketball_signal'):
        path = tmp_path / 'test' / action / f'{action}_1.txt'
        write_motion(path, smooth_rotations(np.random.default_rng(0), 100, CMU.num_joints))
    (tmp_path / 'test/basketball/basketball_signal_1.txt').write_text('not of this action')
    data = CMUForecastDataset(tmp_path, 'test')
    assert [sequence.action for sequence in data.sequences] == ['basketball', 'basketball_signal']


def test_missing_files_are_named_once_and_the_rest_is_used(h36m_root, tmp_path, log):
    shutil.copytree(h36m_root / 'S5', tmp_path / 'S5')
    (tmp_path / 'S5' / 'eating_2.txt').unlink()
    data = Human36MForecastDataset(tmp_path, 'test', **ACTIONS)
    assert len(data.sequences) == 3
    (message,) = warnings_of(log)
    assert '1 of 4 files' in message
    assert message.endswith('S5: eating_2.txt')
    Human36MForecastDataset(h36m_root, 'train', **ACTIONS)
    message = warnings_of(log)[-1]
    assert '16 of 20 files' in message
    assert 'S6 (no such folder); ' in message


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none of the 30 files.*S5/walking_1.txt'):
        Human36MForecastDataset(tmp_path, 'test')


def test_no_window_fits(h36m_root):
    with pytest.raises(ValueError, match='window of 135 frames; the longest has 80'):
        Human36MForecastDataset(h36m_root, 'test', num_frames_out=125, **ACTIONS)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='validation'), "split is 'validation', expected one of"),
        (dict(stride=0), 'stride is 0, expected a whole number of 1 or more'),
        (dict(num_frames=2.5), 'num_frames is 2.5'),
        (dict(fraction=0), 'fraction is 0, expected a number above 0'),
        (
            dict(speed_range=(1.5, 0.5)),
            r'speed_range is \(1\.5, 0\.5\), expected least',
        ),
        (dict(balance=2), 'balance is 2, expected a number from 0 to 1'),
        (dict(actions=['walking', 'flying']), r"actions \['flying'\] are not among"),
    ],
)
def test_bad_options(h36m_root, options, message):
    with pytest.raises(ValueError, match=message):
        DATASETS.build(
            dict(
                dict(type='Human36MForecastDataset', data_root=str(h36m_root), split='test'),
                **options,
            )
        )


def test_subset_by_indices(h36m_root):
    full = Human36MForecastDataset(h36m_root, 'test', **ACTIONS)
    for indices, expected in ((5, range(5)), ([50, 3], [50, 3])):
        part = Human36MForecastDataset(h36m_root, 'test', indices=indices, **ACTIONS)
        assert len(part) == len(expected)
        for index, other in enumerate(expected):
            assert torch.equal(part[index]['observed'], full[other]['observed'])


@pytest.mark.parametrize('speed', [0.5, 0.8, 1.0, 1.25, 2.0])
def test_windows_at_another_speed(cmu_root, speed):
    """Of joints that move evenly, each frame is where it would be at that speed."""
    options = dict(num_frames=4, num_frames_out=6, stride=1)
    data = CMUForecastDataset(cmu_root, 'train', speed_range=(speed, speed), **options)
    moving = np.arange(15, dtype=np.float32)[:, None, None] * np.ones((1, 25, 3), np.float32)
    data.sequences = [MotionSequence('', 'running', moving)] * len(data.sequences)
    for start in range(6):
        data.data_list = windows_of([(0, np.array([start]))])
        sample = data.get_data_info(0)['motion']
        assert sample.dtype == np.float32
        played = min(speed, 14 / 9)  # no faster than the frames last
        first = min(start, 14 - 9 * played)
        np.testing.assert_allclose(sample[:, 3, 1], first + played * np.arange(10), atol=1e-5)


def test_speeds_are_drawn_for_each_sample_and_missing_joints_stay_out(cmu_root):
    data = CMUForecastDataset(cmu_root, 'train', num_frames=4, num_frames_out=6)
    moving = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 25, 3), np.float32)
    data.sequences = [MotionSequence('', 'running', moving)]
    data.data_list = windows_of([(0, np.array([10]))])
    assert data.get_data_info(0)['motion'][-1, 0, 0] == 19
    data.speed_range = (0.5, 2.0)
    ends = {float(data.get_data_info(0)['motion'][-1, 0, 0]) for _ in range(30)}
    assert len(ends) > 20
    assert 10 + 4.5 <= min(ends) < max(ends) <= 10 + 18
    moving[20:] = np.nan
    ends = [data.get_data_info(0)['motion'][-1, 0, 0] for _ in range(30)]
    assert np.isfinite(ends).all()
    assert max(ends) == 19


@pytest.mark.parametrize(('balance', 'rare'), [(0.0, 10), (0.5, 20), (1.0, 40)])
def test_windows_of_rare_actions_are_repeated_evenly(cmu_root, balance, rare):
    data = CMUForecastDataset(cmu_root, 'train', lazy_init=True)
    data.sequences = [
        MotionSequence('', action, np.zeros((frames + 34, 25, 3), np.float32))
        for action, frames in (('soccer', 40), ('running', 4), ('running', 6))
    ]
    data.balance = balance
    windows = data._balanced(data.list_windows())
    sequences, counts = np.unique(windows['sequence'], return_counts=True)
    assert sequences.tolist() == [0, 1, 2]
    assert counts[0] == 40
    assert counts[1:].sum() == rare
    _, times = np.unique(windows[windows['sequence'] > 0], return_counts=True)
    assert len(times) == 10
    assert times.min() == times.max() == rare // 10


@settings(max_examples=30, deadline=None)
@given(
    frames=st.lists(st.integers(0, 90), max_size=4),
    stride=st.integers(1, 40),
    observed=st.integers(1, 12),
    forecast=st.integers(1, 30),
)
def test_windows_lie_inside_and_none_is_missed(frames, stride, observed, forecast):
    data = object.__new__(Human36MForecastDataset)
    data.num_frames, data.num_frames_out, data.stride = observed, forecast, stride
    data.samples_per_action = None
    data.sequences = [MotionSequence(None, '', np.zeros((count, 1, 3))) for count in frames]
    expected = [
        (index, start)
        for index, count in enumerate(frames)
        for start in range(count)
        if start % stride == 0 and start + observed + forecast <= count
    ]
    assert [tuple(window) for window in data.list_windows().tolist()] == expected
