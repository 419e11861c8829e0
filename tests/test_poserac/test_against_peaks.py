"""The ways to count without learning do count, and the benchmark scores them beside the model."""

import csv
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from tests.test_wiring import ROOT, Foreign, python

CONFIG = 'configs/poserac/poserac_toy.py'


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'benchmarks')  # as for a script that runs
    import poserac_against_peaks

    return poserac_against_peaks


def swinging(repetitions, period=40, rest=0, noise=0.005, seed=0):
    """(T, 33, 3) normalised poses, of which some joints swing as often; rest before and after."""
    rng = np.random.default_rng(seed)
    time = np.arange(repetitions * period)
    phase = np.pad(0.5 - 0.5 * np.cos(math.tau * time / period), rest)  # from rest to rest
    poses = np.repeat(rng.uniform(0.3, 0.7, (1, 33, 3)), len(phase), axis=0)
    poses[:, 11:23, 1] += 0.3 * phase[:, None] * rng.choice([-1, 1], 12)
    return (poses + rng.normal(0, noise, poses.shape)).astype(np.float32)


def by_peaks(benchmark, poses, side='more'):
    return benchmark.count_peaks(benchmark.motion_signal(poses), 0.3, 10, side)


def by_periods(benchmark, poses, pause=20):
    return benchmark.count_periods(benchmark.motion_signal(poses), 0.2, pause)


@pytest.mark.parametrize('period', [24, 40, 90])
@pytest.mark.parametrize('repetitions', [2, 3, 7])
def test_swings_are_counted(benchmark, repetitions, period):
    poses = swinging(repetitions, period, seed=repetitions)
    assert by_peaks(benchmark, poses) == repetitions
    assert by_peaks(benchmark, poses, 'fewer') == repetitions - 1  # the rests between them
    assert by_periods(benchmark, poses, pause=period // 2) == repetitions


def test_one_swing_has_no_period_and_is_one(benchmark):
    poses = swinging(1, 60, rest=20)
    assert by_peaks(benchmark, poses) == 1
    assert by_periods(benchmark, poses) == 1


def test_nothing_is_counted_where_nobody_moves(benchmark):
    still = swinging(0, rest=60)
    assert len(still) == 120
    for poses in (still, np.repeat(still[:1], 50, axis=0), np.full_like(still, np.nan), still[:1]):
        assert by_peaks(benchmark, poses) == by_periods(benchmark, poses) == 0


def test_missing_frames_are_bridged(benchmark):
    poses = swinging(6, 40)
    whole = benchmark.motion_signal(poses)
    missing = np.zeros(len(poses), dtype=bool)
    missing[[0, 1, 2, 237, 238, 239]] = True
    missing[50:56] = missing[118:124] = missing[160:163] = True
    poses[missing] = np.nan
    bridged = benchmark.motion_signal(poses)
    assert np.isfinite(bridged).all()
    difference = min(np.abs(bridged - whole).max(), np.abs(bridged + whole).max())
    assert difference < 0.15 * np.ptp(whole)
    assert by_peaks(benchmark, poses) == by_periods(benchmark, poses) == 6


def test_rest_and_long_pauses_are_no_periods(benchmark):
    parts = [swinging(3, 40, rest=100, seed=1), swinging(2, 40, rest=100, seed=1)]
    poses = np.concatenate(parts)  # 300 of 600 frames are rest, 200 of them in the middle
    assert by_peaks(benchmark, poses) == 5
    assert by_periods(benchmark, poses) == 5
    assert by_periods(benchmark, poses, pause=300) > 5  # the pause counted as motion


def test_signal_is_in_extents_of_a_pose(benchmark):
    poses = np.zeros((100, 2, 2))
    swing = np.sin(math.tau * np.arange(100) / 50)
    poses[:] = 0.5 + 0.1 * swing[:, None, None]  # each coordinate by 0.1: so does their mean square
    signal = benchmark.motion_signal(poses)
    np.testing.assert_allclose(np.abs(signal), 0.1 * np.abs(swing), atol=0.003)
    assert benchmark.motion_signal(poses[:4]).shape == (4,)  # shorter than the smoothing


@pytest.mark.parametrize('period', [12, 25, 60])
def test_dominant_period_is_the_first_of_its_multiples(benchmark, period):
    time = np.arange(6 * period)
    # a harmonic beside it, whose own period is half as long
    signal = np.sin(math.tau * time / period) + 0.3 * np.sin(2 * math.tau * time / period)
    assert benchmark.dominant_period(signal) == pytest.approx(period, abs=1)
    assert benchmark.dominant_period(np.linspace(0, 1, 50)) is None
    assert benchmark.dominant_period(np.zeros(1)) is None


def test_tuning_takes_the_settings_that_count_best(benchmark):
    tried = benchmark.Baseline(lambda signal, plus, times: times * len(signal) + plus, {})
    baseline = benchmark.Baseline(tried.count, dict(plus=(0, 2, 1), times=(1, 2)))
    signals = [np.zeros(length) for length in (3, 4, 6)]
    settings, errors = baseline.tune(signals, [4, 5, 7])
    assert settings == dict(plus=1, times=1)
    assert (errors['OBO'], errors['absolute_error']) == (1, 0)
    # off by one is as good by OBO, and not by absolute error
    settings, errors = baseline.tune(signals, [3, 4, 7])
    assert settings == dict(plus=0, times=1)
    assert (errors['OBO'], errors['absolute_error']) == (1, pytest.approx(1 / 3))


def write_data(root, split, counts, prefix=''):
    (root / 'annotation').mkdir(exist_ok=True)
    (root / f'{split}_poses').mkdir()
    with open(root / 'annotation' / f'{split}.csv', 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(('type', 'name', 'count'))
        for number, count in enumerate(counts):
            name = f'{prefix or split}{number}'
            writer.writerow(('squat', f'{name}.mp4', count))
            poses = swinging(count, 40, rest=30, noise=0.001, seed=number)
            np.save(root / f'{split}_poses' / f'{name}.npy', poses)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / CONFIG)
    path = tmp_path / 'untrained.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
    return path


def table_rows(output):
    rows = [line.strip('│ ').split('│') for line in output.splitlines() if line.startswith('│')]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_table_of_all_ways(tmp_path, checkpoint):
    write_data(tmp_path, 'train', [2, 5, 3])
    write_data(tmp_path, 'test', [4, 0, 3, 6])
    np.save(tmp_path / 'test_poses' / 'test3.npy', np.zeros(3))  # unreadable: 0 of 6 are counted
    output = python(
        *('tools/benchmarks/poserac_against_peaks.py', CONFIG, checkpoint, '--repeats', 1),
        *('--cfg-options', f'test_dataloader.dataset.data_root={tmp_path}'),
    )
    assert f'tuned on 3 samples of {tmp_path}/annotation/train.csv, 2 to 5 repetitions' in output
    assert 'there OBO 1.000, absolute error 0.000' in output
    frames = (4 * 40 + 60) + 60 + (3 * 40 + 60) + 1
    assert f'4 samples, {frames} frames, 1 unreadable (0 counted)' in ' '.join(output.split())
    rows = table_rows(output)
    assert list(rows)[-3:] == ['PoseRAC', 'peaks', 'autocorrelation']
    for name in ('peaks', 'autocorrelation'):
        assert rows[name][:5] == ['0.333', '0.750', '1.500', '0.000', '1.000']
    # the untrained model: what it counts is not known, that it is scored and timed is
    assert all(float(cell) >= 0 for cell in rows['PoseRAC'])
    assert all(float(row[5]) > 0 for row in list(rows.values())[-3:])


def test_model_counts_the_class_it_finds(benchmark):
    class Model:
        def test_step(self, data):
            given = [int(poses[0, 0, 0]) for poses in data['poses']]
            return [
                dict(counts=np.array([10, 20, 30]) + one, predicted_label=one - 1) for one in given
            ]

    sequences = [torch.full((2, 1, 1), float(number)) for number in (0, 1, 2, 3, 1)]
    assert benchmark.model_counts(Model(), sequences, 2) == [0, 11, 22, 33, 11]


def test_test_videos_tune_nothing(benchmark, tmp_path, checkpoint):
    write_data(tmp_path, 'train', [2], prefix='same')
    write_data(tmp_path, 'test', [2], prefix='same')
    options = '--cfg-options', f'test_dataloader.dataset.data_root={tmp_path}'
    with pytest.raises(ValueError, match=r"1 of its videos are also in .*, such as 'same0.mp4'"):
        benchmark.main([str(ROOT / CONFIG), str(checkpoint), *options])


def test_other_checkpoints_are_refused(benchmark, tmp_path, checkpoint):
    cfg = Config.fromfile(ROOT / CONFIG)
    foreign = tmp_path / 'foreign.pth'
    torch.save(dict(state_dict={}, extra=Foreign()), foreign)
    with pytest.raises(ValueError, match='foreign.pth: refused'):
        benchmark.load_model(cfg, str(foreign), torch.device('cpu'))
    weights = torch.load(checkpoint, weights_only=True)
    weights['state_dict'].pop('fc1.bias')
    torch.save(weights, checkpoint)
    with pytest.raises(ValueError, match=r'untrained.pth: does not fit .*(.|\n)*fc1.bias'):
        benchmark.load_model(cfg, str(checkpoint), torch.device('cpu'))
