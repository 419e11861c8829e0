import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import INFERENCERS
from mmengine.runner import save_checkpoint
from PIL import Image

from projects.forecasting import ForecastInferencer, Human36MForecastDataset, roll_out
from projects.forecasting.motion_files import read_motion
from projects.skeleton import HUMAN36M

ROOT = Path(__file__).resolve().parents[2]
META = Human36MForecastDataset.describe()
JOINTS = list(HUMAN36M.forecast_joints)


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
    positions = read_motion(path, HUMAN36M)[::2, JOINTS]
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
    np.save(tmp_path / 'kept.npy', positions[:, JOINTS])
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
    with pytest.raises(
        ValueError, match=r'other.npy: has 17 joints, expected 22 or 32 of skeleton'
    ):
        inferencer(str(tmp_path / 'other.npy'))
    np.save(tmp_path / 'objects.npy', np.array([{}], dtype=object))
    with pytest.raises(ValueError, match='no array of numbers'):
        inferencer(str(tmp_path / 'objects.npy'))


@pytest.fixture(scope='module')
def motion(h36m_root):
    """80 frames of a person."""
    return np.ascontiguousarray(
        read_motion(h36m_root / 'S5' / 'walking_1.txt', HUMAN36M)[::2, JOINTS]
    )


def small_config(path, **settings):
    """A config file of a small model."""
    lines = [f"_base_ = ['{ROOT / 'configs' / 'stcformer.py'}']"]
    settings = {'model': dict(channels=4, num_blocks=1), **settings}
    lines += [f'{key} = {value!r}' for key, value in settings.items()]
    path.write_text('\n'.join(lines))
    return path


@pytest.fixture(scope='module')
def rival(inferencer, tmp_path_factory):
    """Config and checkpoint of a model that observes 30 frames and forecasts 8."""
    folder = tmp_path_factory.mktemp('rival')
    sizes = dict(num_frames=30, num_frames_out=8)
    model = dict(channels=4, num_blocks=1, **sizes)
    config = small_config(folder / 'rival.py', model=model)
    torch.manual_seed(1)
    other = ForecastInferencer(str(config), device='cpu', show_progress=False)
    save_checkpoint(dict(state_dict=other.model.state_dict()), str(folder / 'rival.pth'))
    return config, folder / 'rival.pth', other.model


def test_several_people_are_each_as_alone(inferencer, motion, tmp_path):
    people = np.stack([motion, motion[::-1], motion + 100], axis=1)
    np.savez(tmp_path / 'people.npz', positions=people)
    together = inferencer(str(tmp_path / 'people.npz'), start=3)['predictions']
    assert [prediction['person'] for prediction in together] == [0, 1, 2]
    for person, prediction in enumerate(together):
        (alone,) = inferencer(people[:, person], start=3)['predictions']
        assert 'person' not in alone
        np.testing.assert_allclose(prediction['forecast'], alone['forecast'], atol=0.02)
        assert prediction['A-MPJPE'] == pytest.approx(alone['A-MPJPE'], abs=0.02)
        assert prediction['start'] == alone['start'] == 3


def test_arrays_and_tensors_are_as_files(inferencer, motion, tmp_path):
    np.save(tmp_path / 'walk.npy', motion)
    inputs = [tmp_path / 'walk.npy', motion, torch.from_numpy(motion)]
    file, array, tensor = inferencer(inputs)['predictions']
    assert file['forecast'] == array['forecast'] == tensor['forecast']
    assert (array['input'], tensor['input']) == ('input 1', 'input 2')


def test_horizon_longer_and_shorter_than_trained(inferencer, motion):
    (plain,) = inferencer(motion)['predictions']
    (long,) = inferencer(motion, num_frames_out=60)['predictions']
    (short,) = inferencer(motion, num_frames_out=5)['predictions']
    assert len(long['forecast']) == 60
    assert long['forecast'][:25] == plain['forecast']
    assert short['forecast'] == plain['forecast'][:5]
    with torch.no_grad():
        expected = roll_out(inferencer.model, torch.from_numpy(motion[None, :10]), 60)[0]
    np.testing.assert_allclose(long['forecast'], expected, atol=0.006)
    error = np.linalg.norm(expected.numpy() - motion[10:70], axis=-1).mean()
    assert long['A-MPJPE'] == pytest.approx(error, abs=0.01)


def test_future_known_in_part_is_scored_in_part(inferencer, motion, tmp_path):
    (part,) = inferencer(motion, start=60)['predictions']
    assert part['scored_frames'] == 10
    forecast = np.array(part['forecast'])[:10]
    error = np.linalg.norm(forecast - motion[70:], axis=-1).mean()
    assert part['A-MPJPE'] == pytest.approx(error, abs=0.01)
    json.dumps(part, allow_nan=False)
    result = inferencer(motion, start=60, num_frames_out=12, out_dir=str(tmp_path))
    assert result['visualization'] == [str(tmp_path / 'input_0_frame60.gif')]


def test_what_comes_after_the_end(inferencer, motion):
    (last,) = inferencer(motion, start='last')['predictions']
    (same,) = inferencer(motion, start=70)['predictions']
    assert last == same
    assert last['start'] == 70
    assert 'A-MPJPE' not in last


def test_short_inputs_stood_still_before(inferencer, motion, log):
    (short,) = inferencer(motion[:4])['predictions']
    still = np.concatenate([motion[:1].repeat(6, axis=0), motion[:4]])
    assert short['forecast'] == inferencer(still)['predictions'][0]['forecast']
    assert 'has 4 frames, but stcformer observes 10: the first pose' in log.text
    (one,) = inferencer(motion[:1], start='last')['predictions']
    assert len(one['forecast']) == 25


def test_models_forecast_the_same_frames(inferencer, motion, rival, tmp_path):
    config, checkpoint, model = rival
    compare = [f'{config}:{checkpoint}', 'repeat-last-pose', (config, checkpoint)]
    result = inferencer(motion, compare=compare, out_dir=str(tmp_path), num_frames_out=9)
    (prediction,) = result['predictions']
    assert list(prediction['models']) == ['stcformer', 'rival', 'repeat-last-pose', 'rival_2']
    # without a start, the first where each has all that it observes
    assert prediction['start'] == 20
    models = prediction['models']
    assert models['stcformer']['forecast'] == prediction['forecast']
    with torch.no_grad():
        expected = roll_out(model, torch.from_numpy(motion[None, :30]), 9)[0]
        own = roll_out(inferencer.model, torch.from_numpy(motion[None, 20:30]), 9)[0]
    np.testing.assert_allclose(models['rival']['forecast'], expected, atol=0.006)
    np.testing.assert_allclose(prediction['forecast'], own, atol=0.006)
    np.testing.assert_allclose(
        models['repeat-last-pose']['forecast'], motion[29:30].repeat(9, axis=0), atol=0.006
    )
    assert models['rival'] == models['rival_2']
    error = np.linalg.norm(expected.numpy() - motion[30:39], axis=-1).mean()
    assert models['rival']['A-MPJPE'] == pytest.approx(error, abs=0.01)
    still = prediction['repeat-last-pose/A-MPJPE']
    assert models['repeat-last-pose']['A-MPJPE'] == still
    (path,) = result['visualization']
    with Image.open(path) as gif:
        assert gif.n_frames == 10 + 9  # of the past the end

    (later,) = inferencer(motion, compare=compare[:1], start=25)['predictions']
    with torch.no_grad():
        expected = roll_out(model, torch.from_numpy(motion[None, 5:35]), 25)[0]
    np.testing.assert_allclose(later['models']['rival']['forecast'], expected, atol=0.006)
    with pytest.raises(
        ValueError, match='rival observes 30 frames before it; start at 20 or later'
    ):
        inferencer(motion, compare=compare[:1], start=19)


def test_wrong_rivals(inferencer, motion, rival, tmp_path):
    config, checkpoint, _ = rival
    with pytest.raises(
        ValueError, match='expected config:checkpoint or one of .*constant-velocity'
    ):
        inferencer(motion, compare='repeat_last_pose')
    with pytest.raises(FileNotFoundError, match=r'compare: none.py: no such config'):
        inferencer(motion, compare=[f'none.py:{checkpoint}'])
    with pytest.raises(FileNotFoundError, match=r'none.pth: no such checkpoint'):
        inferencer(motion, compare=[f'{config}:none.pth'])
    other = small_config(tmp_path / 'other.py')
    with pytest.raises(ValueError, match=r'other.py: the checkpoint is of another model: 2 of'):
        inferencer(motion, compare=[(other, checkpoint)])
    model = dict(channels=4, num_blocks=1, num_frames=30, num_frames_out=8)
    loader = dict(dataset=dict(type='CMUForecastDataset'))
    cmu = small_config(tmp_path / 'cmu.py', model=model, test_dataloader=loader)
    with pytest.raises(ValueError, match=r'cmu.py: joints .*expected'):
        inferencer(motion, compare=[(cmu, checkpoint)])
    fast = small_config(tmp_path / 'fast.py', model=model, test_evaluator=dict(frame_rate=50.0))
    with pytest.raises(ValueError, match=r'fast.py: frame rate 50.0, expected 25.0'):
        inferencer(motion, compare=[(fast, checkpoint)])


def test_people_with_missing_joints_are_left_out(inferencer, motion, log):
    people = np.stack([motion] * 3, axis=1)
    people[4, 1, 3] = np.nan
    people[12, 2, 3] = np.nan  # not observed
    one, two = inferencer(people, start=2)['predictions']
    assert (one['person'], two['person']) == (0, 2)
    assert one['forecast'] == two['forecast']
    assert two['scored_frames'] == 24
    assert 'person 1: frame 4: left out' in log.text
    with pytest.raises(ValueError, match='input 0: joints are .*person 0: frame 4; nobody is left'):
        inferencer(people[:, 1])


def test_own_arrays_in_metres(motion, tmp_path):
    names = [f'joint {number}' for number in range(22)]
    dataset = dict(
        type='ArrayForecastDataset',
        data_root=str(tmp_path),
        joint_names=names,
        parents=[-1, *range(21)],
        unit='m',
        center=0,
        up='z',
    )
    config = small_config(
        tmp_path / 'arrays.py',
        model=dict(num_joints=21, channels=4, num_blocks=1),
        **{f'{split}_dataloader': dict(dataset=dataset) for split in ('train', 'val', 'test')},
    )
    inferencer = ForecastInferencer(str(config), device='cpu', show_progress=False)
    (prediction,) = inferencer(motion / 1000)['predictions']
    assert prediction['joint_names'] == names[1:]
    centred = torch.from_numpy(motion[:, 1:] - motion[:, :1])
    with torch.no_grad():
        forecast = inferencer.model(centred[None, :10])[0]
    np.testing.assert_allclose(prediction['forecast'], forecast, atol=0.02)
    with pytest.raises(ValueError, match='input 0: has 21 joints, expected the 22 of joint_names'):
        inferencer(motion[:, 1:])


def test_model_that_is_fed_the_future(motion):
    cfg = Config.fromfile(ROOT / 'configs' / 'stcformer' / 'stcformer_true-future.py')
    cfg.model.update(channels=4, num_blocks=1)
    inferencer = ForecastInferencer(cfg, device='cpu', show_progress=False)
    (prediction,) = inferencer(motion)['predictions']
    with torch.no_grad():
        observed, target = torch.from_numpy(motion[None, :35]).split([10, 25], dim=1)
        expected = inferencer.model(observed, target)[0]
    np.testing.assert_allclose(prediction['forecast'], expected, atol=0.006)
    with pytest.raises(ValueError, match='true future'):
        inferencer(motion, start=60)
    with pytest.raises(ValueError, match='true future'):
        inferencer(motion, num_frames_out=30)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(start=-1), 'start is -1'),
        (dict(start='end'), "start is 'end', expected a frame of 0 or more, or 'last'"),
        (dict(start=1.5), 'start is 1.5'),
        (dict(num_frames_out=0), 'num_frames_out is 0'),
        (dict(num_frames_out='all'), "num_frames_out is 'all', expected a whole number"),
    ],
)
def test_bad_options(inferencer, motion, options, message):
    with pytest.raises(ValueError, match=message):
        inferencer(motion, **options)


def test_data_set_of_another_kind():
    cfg = Config.fromfile(ROOT / 'configs' / 'stcformer.py')
    cfg.model.update(channels=4, num_blocks=1)
    cfg.test_dataloader.dataset = dict(type='ConcatDataset')
    with pytest.raises(ValueError, match="'ConcatDataset', expected a motion data set"):
        ForecastInferencer(cfg, device='cpu', show_progress=False)
