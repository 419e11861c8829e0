import numpy as np
import pytest
import torch
from mmengine.registry import METRICS

from projects.forecasting import ForecastMPJPE, Human36MForecastDataset
from projects.forecasting.baselines import constant_velocity, repeat_last_pose
from projects.forecasting.losses import joint_errors

J = 22


def batches(sees_future=False):
    """Two batches of 3 and 1 samples, as loader and model would give them."""
    generator = torch.Generator().manual_seed(0)
    for size, actions in ((3, ['walking', 'eating', 'walking']), (1, ['eating'])):
        observed, target = 200 * torch.randn(2, size, 25, J, 3, generator=generator)
        forecast = target + 30 * torch.randn(size, 25, J, 3, generator=generator)
        data = dict(observed=observed[:, :10], target=target, meta=dict(action=actions))
        yield data, [dict(forecast=one, sees_future=sees_future) for one in forecast]


def evaluate(sees_future=False, **options):
    metric = METRICS.build(dict(type='ForecastMPJPE', **options))
    metric.dataset_meta = Human36MForecastDataset.describe()
    for data, predictions in batches(sees_future):
        metric.process(data, predictions)
    return metric.evaluate(size=4)


def slow_errors():
    """Distances of all samples, frames and joints in plain loops, (N, 25, J)."""
    rows = []
    for data, predictions in batches():
        for target, prediction in zip(data['target'], predictions, strict=True):
            difference = (prediction['forecast'] - target).double().numpy()
            rows.append([[np.sqrt((j**2).sum()) for j in frame] for frame in difference])
    return np.array(rows)


def test_scores_equal_plain_loops():
    scores = evaluate(per_action=True, all_joints=True)
    errors = slow_errors()
    assert scores['forecast/A-MPJPE'] == pytest.approx(errors.mean(), rel=1e-5)
    for horizon, frame in ((80, 2), (160, 4), (320, 8), (400, 10), (560, 14), (1000, 25)):
        at_frame = errors[:, frame - 1].mean()
        assert scores[f'forecast/MPJPE@{horizon}ms'] == pytest.approx(at_frame, rel=1e-5)
        up_to = errors[:, :frame].mean()
        assert scores[f'forecast/avg-MPJPE@{horizon}ms'] == pytest.approx(up_to, rel=1e-5)
    assert scores['forecast/A-MPJPE/eating'] == pytest.approx(errors[[1, 3]].mean(), rel=1e-5)
    weights = Human36MForecastDataset.skeleton.all_joint_weights()
    expected = (errors @ weights).mean()
    assert scores['forecast/A-MPJPE-all-joints'] == pytest.approx(expected, rel=1e-5)
    assert scores['forecast/A-MPJPE-all-joints'] < scores['forecast/A-MPJPE']


def test_baselines_stand_beside():
    scores = evaluate()
    still, moving = [], []
    for data, _ in batches():
        for observed, target in zip(data['observed'], data['target'], strict=True):
            for frame in range(25):
                last, before = observed[-1], observed[-2]
                still.append((target[frame] - last).norm(dim=-1).mean())
                guess = last + (frame + 1) * (last - before)
                moving.append((target[frame] - guess).norm(dim=-1).mean())
    expected = torch.stack(still).mean().item()
    assert scores['forecast/repeat-last-pose/A-MPJPE'] == pytest.approx(expected, rel=1e-5)
    expected = torch.stack(moving).mean().item()
    assert scores['forecast/constant-velocity/A-MPJPE'] == pytest.approx(expected, rel=1e-5)


def test_default_horizons_are_the_fields():
    names = [f'forecast/MPJPE@{t}ms' for t in (80, 160, 320, 400, 560, 720, 880, 1000)]
    scores = evaluate()
    assert set(names) <= set(scores)
    assert 'forecast/A-MPJPE-all-joints' not in scores  # only when asked for


def test_teacher_forced_scores_go_by_another_name():
    scores = evaluate(sees_future=True)
    assert 'teacher_forced/A-MPJPE' in scores
    assert not any(name.startswith('forecast/') for name in scores)


def test_padded_samples_are_dropped():
    """A distributed sampler repeats samples to fill up; ``size`` cuts them off again."""
    metric = ForecastMPJPE()
    for data, predictions in batches():
        metric.process(data, predictions)
    data, _ = next(batches())
    far = [dict(forecast=one + 1e6) for one in data['target']]
    metric.process(data, far)
    assert metric.evaluate(size=4)['forecast/A-MPJPE'] == pytest.approx(slow_errors().mean())


def test_outfile_round_trip(tmp_path):
    path = tmp_path / 'deep' / 'forecasts.npz'
    scores = evaluate(outfile=str(path))
    with np.load(path, allow_pickle=False) as file:
        assert file['forecast'].shape == file['target'].shape == (4, 25, J, 3)
        assert file['action'].tolist() == ['walking', 'eating', 'walking', 'eating']
        error = np.linalg.norm(file['forecast'] - file['target'], axis=-1).mean()
    assert error == pytest.approx(scores['forecast/A-MPJPE'], rel=1e-5)
    assert [file.name for file in path.parent.iterdir()] == ['forecasts.npz']


def test_other_frame_rates():
    metric = ForecastMPJPE(horizons=[100, 500], frame_rate=50)
    assert metric.frames == {100: 5, 500: 25}
    with pytest.raises(ValueError, match='horizon 90 ms is no whole number of frames at 25'):
        ForecastMPJPE(horizons=[90])


def test_bad_use():
    with pytest.raises(ValueError, match=r"outfile is 'out.json', expected a name that ends in"):
        ForecastMPJPE(outfile='out.json')
    metric = ForecastMPJPE(horizons=[1040])
    with pytest.raises(ValueError, match=r'horizons \[1040\] ms lie beyond the 25'):
        metric.process(*next(batches()))
    data, predictions = next(batches())
    short = [dict(forecast=one['forecast'][1:]) for one in predictions]
    with pytest.raises(ValueError, match=r'forecast has shape .*24.*target'):
        ForecastMPJPE().process(data, short)


def test_a_forecast_gone_wrong_shows():
    metric = ForecastMPJPE()
    data, predictions = next(batches())
    predictions[1]['forecast'][3, 2, 1] = float('nan')
    metric.process(data, predictions)
    assert np.isnan(metric.evaluate(size=3)['forecast/A-MPJPE'])


def test_baselines_by_hand():
    observed = torch.tensor([0.0, 1.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 1, 3)
    assert repeat_last_pose(observed, 2)[0, :, 0, 0].tolist() == [3, 3]
    assert constant_velocity(observed, 2)[0, :, 0, 0].tolist() == [5, 7]
    with pytest.raises(ValueError, match='needs 2 observed frames'):
        constant_velocity(observed[:, :1], 2)
    with pytest.raises(ValueError, match=r'forecast has shape \(2, 3\), target \(1, 3\)'):
        joint_errors(torch.zeros(2, 3), torch.zeros(1, 3))
