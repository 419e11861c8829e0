from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import INFERENCERS
from PIL import Image

from projects.forecasting import ForecastVisualizationHook, Human36MForecastDataset
from projects.forecasting.motion_files import read_motion
from projects.forecasting.visualizer import FORECAST, TRUE, draw_forecast
from projects.skeleton import HUMAN36M

ROOT = Path(__file__).resolve().parents[2]
META = Human36MForecastDataset.describe()


@pytest.fixture
def window(h36m_root):
    positions = read_motion(h36m_root / 'S5' / 'walking_1.txt', HUMAN36M)
    positions = positions[::2, list(HUMAN36M.forecast_joints)]
    return positions[:4], positions[4:9]


def colours(image):
    """Share of the pixels near each of the drawing's colours."""
    pixels = np.asarray(image.convert('RGB')).reshape(-1, 3).astype(int)

    def share(code):
        wanted = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)])
        return (np.abs(pixels - wanted).max(axis=1) < 40).mean()

    return share(TRUE), share(FORECAST)


def test_animation_shows_truth_and_forecast_in_time(window, tmp_path):
    observed, target = window
    path = tmp_path / 'new' / 'walk.gif'
    draw_forecast(str(path), observed, target + 50, META, target=target, title='walking')
    with Image.open(path) as gif:
        assert gif.n_frames >= 9
        true_at_start, _ = colours(gif)
        gif.seek(8)
        true_at_end, forecast_at_end = colours(gif)
    assert true_at_start < 1e-3 < true_at_end
    assert forecast_at_end > 1e-3
    assert [file.name for file in path.parent.iterdir()] == ['walk.gif']


def test_future_need_not_be_known(window, tmp_path):
    observed, target = window
    draw_forecast(str(tmp_path / 'walk.gif'), observed, target, META)
    with Image.open(tmp_path / 'walk.gif') as gif:
        gif.seek(8)
        true, forecast = colours(gif)
    assert true == 0
    assert forecast > 1e-3


def test_only_gif(window, tmp_path):
    observed, target = window
    with pytest.raises(ValueError, match=r"'.*walk.mp4', expected a name that ends in .gif"):
        draw_forecast(str(tmp_path / 'walk.mp4'), observed, target, META)


class Runner:
    """As much of a runner as the hook looks at."""

    class test_dataloader:
        class dataset:
            metainfo = META


def test_hook_draws_every_nth_sample(window, tmp_path):
    observed, target = (torch.from_numpy(part)[None].repeat(3, 1, 1, 1) for part in window)
    hook = ForecastVisualizationHook(enable=True, out_dir=str(tmp_path), interval=4)
    batch = dict(observed=observed, target=target, meta=dict(action=['walk', '../up', 'sit']))
    hook.before_test_epoch(Runner())
    for index in range(2):
        hook.after_test_iter(Runner(), index, batch, [dict(forecast=one) for one in target])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        '000000_walk.gif',
        '000004____up.gif',
    ]


def test_hook_options(tmp_path):
    assert not ForecastVisualizationHook().enable
    with pytest.raises(ValueError, match='out_dir is not set'):
        ForecastVisualizationHook(enable=True)
    with pytest.raises(ValueError, match='interval is 0'):
        ForecastVisualizationHook(interval=0)


@pytest.fixture(scope='module')
def inferencer():
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / 'configs' / 'stcformer.py')
    cfg.model.update(channels=8, num_blocks=1)
    return INFERENCERS.build(
        dict(type='ForecastInferencer', model=cfg, device='cpu', show_progress=False)
    )


def test_inferencer_forecasts_the_window_asked_for(inferencer, h36m_root):
    path = h36m_root / 'S5' / 'walking_1.txt'
    (prediction,) = inferencer(str(path), start=7)['predictions']
    positions = read_motion(path, HUMAN36M)[::2, list(HUMAN36M.forecast_joints)]
    observed = torch.from_numpy(np.ascontiguousarray(positions[7:17]))[None]
    with torch.no_grad():
        forecast = inferencer.model(observed)[0].numpy()
    np.testing.assert_allclose(prediction['forecast'], forecast, atol=0.006)
    error = np.linalg.norm(forecast - positions[17:42], axis=-1).mean()
    assert prediction['A-MPJPE'] == pytest.approx(error, abs=0.01)
    assert prediction['joint_names'] == META['joint_names']


def test_inferencer_reads_arrays(inferencer, h36m_root, tmp_path):
    text = h36m_root / 'S5' / 'walking_1.txt'
    positions = read_motion(text, HUMAN36M)[::2]
    np.save(tmp_path / 'all.npy', positions)
    np.save(tmp_path / 'kept.npy', positions[:, list(HUMAN36M.forecast_joints)])
    inputs = [str(text), str(tmp_path / 'all.npy'), str(tmp_path / 'kept.npy')]
    one, two, three = inferencer(inputs)['predictions']
    assert one['forecast'] == two['forecast'] == three['forecast']


def test_inferencer_without_a_known_future(inferencer, h36m_root, tmp_path):
    path = h36m_root / 'S5' / 'walking_1.txt'
    result = inferencer([str(path)], start=70, out_dir=str(tmp_path))
    assert 'A-MPJPE' not in result['predictions'][0]
    assert result['visualization'] == [str(tmp_path / 'S5_walking_1_frame70.gif')]


def test_inferencer_says_what_is_wrong(inferencer, h36m_root, tmp_path):
    path = str(h36m_root / 'S5' / 'walking_1.txt')
    with pytest.raises(ValueError, match=r'start is 71, but the file has 80 frames.*observes 10'):
        inferencer(path, start=71)
    with pytest.raises(FileNotFoundError, match=r'walking_9.txt: no such motion file'):
        inferencer(path.replace('walking_1', 'walking_9'))
    np.save(tmp_path / 'other.npy', np.zeros((40, 17, 3)))
    with pytest.raises(ValueError, match=r'other.npy: has shape \(40, 17, 3\), expected \(T, 22'):
        inferencer(str(tmp_path / 'other.npy'))
    np.save(tmp_path / 'objects.npy', np.array([{}], dtype=object))
    with pytest.raises(ValueError, match='no array of numbers'):
        inferencer(str(tmp_path / 'objects.npy'))
