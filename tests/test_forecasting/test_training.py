"""Every model of the folder trains, resumes, tests and uses mixed precision in the real runner."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'stcformer'

VARIANTS = {  # what makes a model small
    'convstgat': {'model.channels': 8},
    'mlp': {'model.num_blocks': 2},
    'stacformer': {'model.channels': 8},
    'stcformer_autoregressive': {'model.channels': 8},
    'stcformer_autoregressive_toy': {'model.channels': 8},
    'sttformer': {'model.channels': 8, 'model.num_blocks': 1},
    'best': {'model.channels': 8, 'model.num_blocks': 1},
    'best-50': {'model.channels': 8, 'model.num_blocks': 1},
}


@pytest.fixture(autouse=True)
def _own_run(monkeypatch):
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        monkeypatch.setattr(kind, '_instance_dict', OrderedDict())


def runner_of(name, root, work_dir, **options):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    if name == 'best-50':  # the files have 80 frames
        options['model.num_frames'] = 40
    settings = {
        f'{split}_dataloader.{key}': value
        for split in ('train', 'val', 'test')
        for key, value in {
            'num_workers': 0,
            'batch_size': 8,
            'dataset.data_root': str(root),
            'dataset.actions': ['walking', 'eating'],
            'dataset.stride': 1,
            'dataset.indices': 24,
            'dataset.num_frames': options.get('model.num_frames', 10),
        }.items()
    }
    cfg.merge_from_dict({**settings, **VARIANTS[name], **options})
    cfg.work_dir, cfg.experiment_name = str(work_dir), work_dir.name
    cfg.train_cfg.max_epochs = 2
    return Runner.from_cfg(cfg)


def weights(runner):
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


@pytest.mark.parametrize('name', VARIANTS)
def test_train_resume_test(name, h36m_root, tmp_path):
    whole = runner_of(name, h36m_root, tmp_path / 'whole')
    before = weights(whole)
    whole.train()
    after = weights(whole)
    changed = [key for key, value in after.items() if not torch.equal(value, before[key])]
    assert set(dict(whole.model.named_parameters())) <= set(changed)

    first = str(tmp_path / 'whole' / 'epoch_1.pth')
    resumed = runner_of(name, h36m_root, tmp_path / 'resumed', load_from=first, resume=True)
    resumed.train()
    assert resumed.iter == whole.iter == 6
    for key, value in weights(resumed).items():
        assert torch.equal(value, after[key]), key

    outfile = tmp_path / 'forecasts.npz'
    last = str(tmp_path / 'whole' / 'epoch_2.pth')
    options = {'load_from': last, 'test_evaluator.outfile': str(outfile)}
    tested = runner_of(name, h36m_root, tmp_path / 'tested', **options)
    scores = tested.test()
    with np.load(outfile, allow_pickle=False) as found:
        assert found['forecast'].shape == found['target'].shape == (24, 25, 22, 3)
        errors = np.linalg.norm(found['forecast'] - found['target'], axis=-1)
    assert scores['forecast/A-MPJPE'] == pytest.approx(errors.mean(), rel=1e-5)


@pytest.mark.parametrize('name', VARIANTS)
def test_mixed_precision(name, h36m_root, tmp_path):
    """bfloat16 on a CPU: near what full precision gives, and not equal to it."""
    losses = []
    for kind in ('OptimWrapper', 'BFloat16OptimWrapper'):
        runner = runner_of(name, h36m_root, tmp_path / kind, **{'optim_wrapper.type': kind})
        for module in runner.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        runner.train()
        losses.append(runner.message_hub.get_scalar('train/loss').data[0])
        assert all(value.isfinite().all() for value in weights(runner).values())
    full, half = (np.asarray(loss) for loss in losses)
    np.testing.assert_allclose(half, full, rtol=0.1)
