import numpy as np
import pytest
import torch
from PIL import Image

from projects.forecasting import ForecastVisualizationHook, Human36MForecastDataset
from projects.forecasting.motion_files import read_motion
from projects.forecasting.visualizer import (
    FORECAST,
    TRUE,
    _Motion,
    _seen_from_the_side,
    _shade,
    draw_forecast,
    mean_errors,
)
from projects.skeleton import HUMAN36M

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


def test_several_forecasts_of_several_people(window, tmp_path):
    observed, target = (np.stack([part, part[::-1]]) for part in window)
    forecasts = {'one': target + 30, 'repeat-last-pose': 0 * target}
    draw_forecast(str(tmp_path / 'two.gif'), observed, forecasts, META, target=target)
    draw_forecast(str(tmp_path / 'one.gif'), observed, forecasts, META)
    sizes = []
    for name in ('two', 'one'):
        with Image.open(tmp_path / f'{name}.gif') as gif:
            gif.seek(8)
            sizes.append(gif.size)
            true, forecast = colours(gif)
        assert (true > 0) == (name == 'two')
        assert forecast > 1e-4
    assert sizes[0][0] == pytest.approx(3 / 2 * sizes[1][0], rel=0.01)  # a panel for the truth


@pytest.mark.parametrize(
    'forecast',
    [dict(one=np.zeros((5, 22, 3)), two=np.zeros((4, 22, 3))), np.zeros((2, 5, 22, 3))],
)
def test_shapes_that_do_not_belong_together(window, tmp_path, forecast):
    with pytest.raises(ValueError, match=r'has shape \(.*, expected \(1, 5, 22, 3\)'):
        draw_forecast(str(tmp_path / 'walk.gif'), window[0], forecast, META)


@pytest.mark.parametrize('up', [(0, 1, 0), (0, 0, 1), (1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_up_is_up_and_nobody_is_mirrored(up):
    axes = _seen_from_the_side(np.eye(3), up).T  # of the data's axes, in columns
    assert np.linalg.det(axes) == pytest.approx(1)
    np.testing.assert_array_equal(axes @ up, [0, 0, 1])


def test_centred_people_stand_apart_and_others_where_they_are(window):
    people = np.stack([window[0]] * 3)
    motion = _Motion(people, dict(one=people), people, META)
    sides = motion.observed[..., 1]
    assert (sides[1:].min(axis=(1, 2)) > sides[:-1].max(axis=(1, 2))).all()
    shift = motion.static[1] - motion.static[0]
    np.testing.assert_allclose(
        motion.forecasts['one'][1] - motion.observed[0],
        shift[0][None, None].repeat(22, 1).repeat(4, 0),
    )
    assert people[0, 0, 0, 1] == window[0][0, 0, 1]
    motion = _Motion(people, {}, None, dict(META, static_positions=[]))
    np.testing.assert_array_equal(motion.observed[0], motion.observed[2])


def test_errors_of_what_is_known():
    target = np.zeros((2, 4, 3, 3), dtype=np.float32)
    target[0, 2:] = np.nan
    target[1, 3] = np.nan
    forecast = np.zeros_like(target)
    forecast[0, ..., 0], forecast[1, ..., 1] = 10, 20
    np.testing.assert_array_equal(mean_errors(forecast, target), [15, 15, 20, np.nan])


def test_people_differ_in_shade():
    shades = [_shade(TRUE, person) for person in range(5)]
    assert min(np.abs(a - b).max() for a in shades for b in shades if a is not b) > 0.04
    assert all(((shade >= 0) & (shade <= 1)).all() for shade in shades)


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
