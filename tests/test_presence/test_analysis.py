"""The comparison of presence scores: trained for an epoch, its results kept."""

import importlib
import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from PIL import Image
from scipy.io import savemat

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
_base_ = [{base!r}]
model = dict(
    backbone=dict(init_cfg=None, stem_channels=4, base_channels=4, norm_eval=False),
    head={head},
)
split = dict(fractions=(0.4, 0.3, 0.3))
train_dataloader = dict(batch_size=6, num_workers=0, dataset=split)
val_dataloader = dict(num_workers=0, dataset=split)
test_dataloader = dict(num_workers=0, dataset=split)
train_cfg = dict(max_epochs=1, val_interval=1)
"""


@pytest.fixture
def tool(monkeypatch):
    """The analysis; each call of its main has mmengine's globals to itself."""
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'analysis')
    monkeypatch.chdir(ROOT)
    module = importlib.import_module('presence_scores')
    main = module.main

    def alone(*words):
        with monkeypatch.context() as patch:
            for shared in (DefaultScope, MessageHub, MMLogger, Visualizer):
                patch.setattr(shared, '_instance_dict', OrderedDict())
            main([str(word) for word in words])

    monkeypatch.setattr(module, 'main', alone)
    return module


@pytest.fixture
def lsp_root(tmp_path):
    """Thirty people, of each of whom some joints are hidden, in the form of the extended set."""
    rng = np.random.default_rng(0)
    (tmp_path / 'lsp' / 'images').mkdir(parents=True)
    places = rng.uniform((20, 20), (100, 70), (30, 14, 2))
    visible = rng.random((30, 14, 1)) < 0.7
    joints = np.concatenate([np.where(visible, places, -30.5), visible], axis=-1)
    for number in range(1, 31):
        pixels = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / 'lsp' / 'images' / f'im{number:05d}.jpg')
    savemat(tmp_path / 'lsp' / 'joints.mat', dict(joints=joints.transpose(1, 2, 0)))
    return tmp_path / 'lsp'


@pytest.fixture
def configs(tmp_path):
    """With presence and without, by the names that the table is to have."""
    heads = {
        'resnet18_lsp_presence': 'dict(hidden_channels=4, pose_head=dict(in_channels=32))',
        'resnet18_lsp': 'dict(in_channels=32)',
    }
    paths = []
    for name, head in heads.items():
        base = ROOT / 'configs' / 'vitpose_presence' / f'{name}.py'
        paths.append(tmp_path / f'small_{name}.py')
        paths[-1].write_text(SMALL.format(base=str(base), head=head))
    return paths


def table(printed):
    """The cells of the table's rows by config and source, and the names of its columns."""
    lines = [line for line in printed.splitlines() if line.startswith('|')]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    return {(row[0], row[1]): row[2:] for row in rows[2:]}, rows[0][2:]


def spread(values):
    return f'{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}'


def test_table_of_two_configs_and_seeds(tool, lsp_root, configs, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'out'
    words = [*configs, '--seeds', 0, 1, '--data-root', lsp_root, '--out', out]
    words += ['--scores', 'AUROC', 'brier', 'none']
    tool.main(*words)
    results = json.loads((out / 'results.json').read_text())['results']
    ours, plain = (path.stem for path in configs)
    assert sorted(results) == sorted(
        f'{one}_seed{seed}' for one in (ours, plain) for seed in (0, 1)
    )
    rows, columns = table(capsys.readouterr().out)
    assert columns == ['AUROC', 'brier', 'none', 'PCK']
    sources = {
        (ours, 'presence'): 'presence/',
        (ours, 'heatmap_max'): 'presence/heatmap_max/',
        (plain, 'heatmap_max'): 'presence/',
    }
    assert set(rows) == set(sources)
    for (stem, source), prefix in sources.items():
        seeds = [results[f'{stem}_seed{seed}'] for seed in (0, 1)]
        assert seeds[0] != seeds[1]
        for name, cell in zip(columns, rows[stem, source], strict=True):
            key = 'PCK' if name == 'PCK' else prefix + name
            expected = '-' if name == 'none' else spread([scores[key] for scores in seeds])
            assert cell == expected, (stem, source, name)

    with monkeypatch.context() as patch:
        patch.setattr(tool, 'train_and_test', lambda *_: 1 / 0)
        tool.main(*words)  # all kept
        assert table(capsys.readouterr().out)[0] == rows

        configs[1].write_text(configs[1].read_text() + 'optim_wrapper = dict(clip_grad=None)\n')
        with pytest.raises(ZeroDivisionError):
            tool.main(*words)
        assert f'{plain}_seed0: its config has changed since' in capsys.readouterr().out
        with pytest.raises(ValueError, match='name another folder'):
            tool.main(*words, '--cfg-options', 'model.test_cfg.flip_test=False')


def test_one_seed_has_no_deviation(tool):
    assert tool.spread([0.5]) == '0.500'
    assert tool.spread([]) == '-'
    assert tool.spread([0.4, 0.6]) == '0.500 ± 0.141'
