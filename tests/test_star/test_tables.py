"""The tools that table accuracies: over seeds, and with a modality taken away."""

import importlib
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from mmengine.visualization import Visualizer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_run(monkeypatch):
    """The tools find their shared module as scripts do; no runner meets another one's instances."""
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'analysis')
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        monkeypatch.setattr(kind, '_instance_dict', type(kind._instance_dict)())


@pytest.fixture(scope='module')
def small(tmp_path_factory, penn_action_root):
    """The toy made tiny, on few clips."""
    cfg = Config.fromfile(ROOT / 'configs/star/star_toy.py')
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, batch_size=8)
        loader.dataset.update(data_root=str(penn_action_root), indices=8)
        loader.dataset.pipeline[3].input_size = (32, 32)
    cfg.model.backbone.grid_tokens.grid_size = (2, 2)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    path = tmp_path_factory.mktemp('config') / 'small.py'
    cfg.dump(path)
    return path


def rows(text):
    """Cells of a table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith('| ')]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[1:]]


def test_seeds_are_trained_once(small, tmp_path, capsys):
    tool = importlib.import_module('star_scores')
    command = [str(small), '--seeds', '0', '1', '--out', str(tmp_path)]
    tool.main(command)
    ((name, size, *cells),) = rows(capsys.readouterr().out)
    assert name == 'small'
    assert size.endswith(' M')
    assert len(cells) == len(tool.SCORES)
    assert all('±' in cell for cell in cells)
    made = sorted(tmp_path.glob('small_seed*/epoch_1.pth'))
    assert len(made) == 2
    tool.main(command)
    assert rows(capsys.readouterr().out) == [[name, size, *cells]]
    assert [path.stat().st_mtime for path in made] == [
        path.stat().st_mtime for path in sorted(tmp_path.glob('small_seed*/epoch_1.pth'))
    ]


def test_modalities_taken_away(small, tmp_path, capsys):
    tool = importlib.import_module('star_modalities')
    cfg = Config.fromfile(small)
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    with torch.no_grad():  # predictions that are far apart
        model.cls_head.mlp[-1].weight.mul_(30)
    checkpoint = tmp_path / 'random.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
    tool.main([str(small), str(checkpoint), '--work-dir', str(tmp_path)])
    found = {name: cells for name, *cells in rows(capsys.readouterr().out)}
    assert list(found) == ['both', 'no joints', 'no video']
    assert len({cells[-1] for cells in found.values()}) == 3  # the cross-entropies


def test_a_modality_that_is_not_there():
    tool = importlib.import_module('star_modalities')
    with pytest.raises(ValueError, match='the model gets no imgs, expected one of video'):
        tool.take_away('imgs')(None, (), dict(keypoint=torch.ones(1)))
    _, kwargs = tool.take_away('keypoint')(None, (), dict(keypoint=torch.ones(1), imgs=1))
    assert (kwargs['keypoint'].item(), kwargs['imgs']) == (0, 1)
