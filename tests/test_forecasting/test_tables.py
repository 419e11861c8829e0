"""The document's tables: trained for an epoch on tiny data, kept, and filled."""

import importlib
import json
from collections import OrderedDict
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from mmengine.visualization import Visualizer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_run(monkeypatch):
    """The tools find their shared module as scripts do; no runner meets another one's instances."""
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'analysis')
    monkeypatch.chdir(ROOT)
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        monkeypatch.setattr(kind, '_instance_dict', OrderedDict())


@pytest.fixture
def tool():
    return importlib.import_module('forecast_tables')


def row_of(tool, path):
    (row,) = tool.rows_of(path, None)
    return row


def options_of(out, root, *words):
    loaders = [
        f'{split}_dataloader.{key}'
        for split in ('train', 'val', 'test')
        for key in ('num_workers=0', 'batch_size=16', 'dataset.stride=20', 'dataset.fraction=1.0')
    ]
    return [
        *('--out', str(out), '--data-root', str(root), '--epochs', '2'),
        *words,
        '--cfg-options',
        *loaders,
        'model.channels=8',
    ]


def tables_of(text):
    """Both tables' rows by name of the config; the first cells are left out."""
    first, second = text.strip().split('\n\n')[-2:]
    found = []
    for table in (first, second):
        lines = [
            [cell.strip() for cell in line.strip('|').split('|')] for line in table.split('\n')
        ]
        assert len({len(line) for line in lines}) == 1
        found.append({name: cells for name, *cells in lines[2:]})
    return found


def test_runs_and_baselines_on_other_data(tool, cmu_root, tmp_path, monkeypatch, capsys):
    """A run of the appendix on CMU data: trained once a seed, printed and written."""
    config = 'configs/stcformer/stcformer_lr8e-3-10pct.py'
    command = [config, *options_of(tmp_path, cmu_root, '--data', 'cmu', '--seeds', '0', '1')]
    tool.main(command)
    printed = capsys.readouterr().out
    assert (tmp_path / 'tables.md').read_text() in printed
    kept = json.loads((tmp_path / 'results.json').read_text())['results']
    runs = [kept[f'stcformer_lr8e-3-10pct_seed{seed}'] for seed in (0, 1)]
    losses, horizons = tables_of(printed)
    ((name, cells),) = losses.items()
    assert name == 'stcformer_lr8e-3-10pct'
    assert cells[1].endswith(' k')
    mean = sum(run['A-MPJPE'] for run in runs) / 2
    assert cells[4].startswith(f'{mean:.1f} ± ')
    assert list(horizons) == ['repeat-last-pose', 'constant-velocity', name]
    # the metric's own scores of the baselines are these
    for baseline in ('repeat-last-pose', 'constant-velocity'):
        expected = runs[0][f'{baseline}/A-MPJPE']
        assert kept[baseline]['A-MPJPE'] == pytest.approx(expected)
        assert horizons[baseline][1] == f'{expected:.1f}'
    assert horizons['repeat-last-pose'][2] != horizons['constant-velocity'][2]
    assert len(horizons[name]) == 1 + 1 + 8 + 1
    for run in runs:
        assert run['validation'] > 0
        assert run['train'] > 0
        assert run['seconds'] > 0
    # kept: nothing is trained again
    monkeypatch.setattr(tool, 'train', lambda *_: 1 / 0)
    monkeypatch.setattr(tool, 'score_baseline', lambda *_: 1 / 0)
    tool.main(command)
    assert tables_of(capsys.readouterr().out) == [losses, horizons]
    with pytest.raises(ValueError, match='name another folder'):
        tool.main([*command, 'model.num_blocks=1'])


def test_fed_with_the_future_is_said(tool, h36m_root, tmp_path, capsys):
    config = 'configs/stcformer/stcformer_true-future.py'
    actions = ["train_dataloader.dataset.actions=['walking','eating']"]
    tool.main([config, *options_of(tmp_path, h36m_root), *actions])
    for table in tables_of(capsys.readouterr().out):
        assert 'stcformer_true-future, fed the true future' in table


def test_what_is_measured_is_that_of_the_best_checkpoint(tool, h36m_root, tmp_path):
    line = options_of(tmp_path, h36m_root)
    cfg = tool.load(row_of(tool, 'configs/stcformer.py'), 0, tool.parse_args(['x', *line]))
    cfg.optim_wrapper.optimizer.lr = 0.0  # all checkpoints are alike: what is measured is known
    cfg.train_dataloader.batch_size = 4096  # one step of all windows
    cfg.train_dataloader.dataset.split = cfg.val_dataloader.dataset.split
    cfg.test_dataloader.dataset.split = cfg.val_dataloader.dataset.split
    scores = tool.train_and_score(cfg, tmp_path / 'run')
    assert scores['validation'] == pytest.approx(scores['A-MPJPE'], rel=1e-5)
    assert scores['train'] == pytest.approx(scores['A-MPJPE'], rel=1e-4)
    assert scores['parameters'] < 24_000
    assert scores['fed_future'] == 0


def test_training_loss_is_that_of_positions(tool, h36m_root, tmp_path):
    """A model with other losses is compared by what its forecasts are wrong."""
    path = 'configs/stcformer/stcformer_autoregressive.py'
    line = [path, *options_of(tmp_path, h36m_root), 'model.token_loss_weight=1e9']
    scores = tool.train_and_score(
        tool.load(row_of(tool, path), 0, tool.parse_args(line)), tmp_path / 'run'
    )
    assert 1 < scores['train'] < 1e5


def test_a_run_that_diverged_has_a_row(tool, h36m_root, tmp_path, capsys):
    rate = 'optim_wrapper.optimizer.lr=1e30'
    tool.main(['configs/stcformer.py', *options_of(tmp_path, h36m_root), rate])
    losses, horizons = tables_of(capsys.readouterr().out)
    assert losses['stcformer'][2:5] == ['nan'] * 3
    assert set(horizons['stcformer'][1:-1]) == {'nan'}


def test_groups_name_configs_that_exist(tool):
    appendix = tool.rows_of('appendix-a', None)
    assert [row.run.rpartition('-')[2] for row in appendix] == [
        *map(str, range(16, 28)),
        *('29', '32', '35', '36', '37', '38', '40', '41', '43'),
    ]
    assert [row.run for row in tool.rows_of('appendix-b', None)] == [
        *('flowing-totem-106', 'chocolate-pine-107', 'celestial-shadow-108', 'absurd-grass-109'),
        *('giddy-frost-110', 'scarlet-fire-111', 'kind-silence-112'),
        'fragrant-rain-115 and dry-sunset-116',
        *('quiet-tree-152', 'generous-frog-153'),
    ]
    models = {data: [row.name for row in tool.rows_of('models', data)] for data in (None, 'cmu')}
    stems = list(tool.MODELS)
    assert models[None] == ['stcformer', 'stcformer_as-written', *stems[1:]]
    assert models['cmu'] == ['stcformer_cmu', 'stcformer_cmu_as-written'] + [
        f'{stem}_cmu' for stem in stems[1:]
    ]
    by_run = {row.run: row for row in appendix}
    assert by_run['icon-sponge-27'].path == Path('configs/stcformer.py')
    assert by_run['resilient-fire-20'].path.stem == 'stcformer_lr8e-3-10pct'
    assert by_run['faithful-glade-43'].published == '83.3 / 71.9 / 77.7'
    assert by_run['gentle-plant-24'].published == ''
    assert tool.rows_of('appendix-a', 'cmu') == appendix  # a sweep keeps its settings
    assert [row.path for row in tool.rows_of('configs/stcformer.py', 'cmu')] == [
        Path('configs/stcformer.py')
    ]
    with pytest.raises(FileNotFoundError, match=r"no configs \['appendix-c'\]; groups are"):
        tool.rows_of('appendix-c', None)


def test_data_sets_and_epochs_of_any_config(tool, tmp_path):
    words = ['x', '--data', 'cmu', '--epochs', '4', '--cfg-options', 'model.num_heads=2']
    for name in ('stcformer_b4-30pct', 'stcformer_cmu'):
        cfg = tool.load(row_of(tool, f'configs/stcformer/{name}.py'), 3, tool.parse_args(words))
        assert cfg.randomness.seed == 3
        assert (cfg.model.num_joints, cfg.model.num_heads) == (25, 2)
        for split in ('train', 'val', 'test'):
            dataset = cfg[f'{split}_dataloader'].dataset
            assert (dataset.type, dataset.data_root) == ('CMUForecastDataset', 'data/cmu_mocap')
        assert cfg.train_cfg.max_epochs == 4
        assert [scheduler.T_max for scheduler in cfg.param_scheduler] == [4] * (name[-3:] == 'cmu')
    elsewhere = tool.parse_args([*words[:3], '--data-root', str(tmp_path)])
    cfg = tool.load(row_of(tool, 'configs/stcformer.py'), 0, elsewhere)
    assert cfg.val_dataloader.dataset.data_root == str(tmp_path)
    assert cfg.train_cfg.max_epochs == 50


def test_epochs_of_schedules():
    experiment = importlib.import_module('experiment')
    schedule = [
        dict(type='LinearLR', begin=0, end=5),
        dict(type='CosineAnnealingLR', begin=5, end=30, T_max=25),
        dict(type='LinearLR', by_epoch=False, end=30),
    ]
    cfg = Config(dict(train_cfg=dict(max_epochs=30, val_interval=20), param_scheduler=schedule))
    experiment.set_epochs(cfg, 10)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (10, 10)
    assert [s.end for s in cfg.param_scheduler] == [5, 10, 30]
    assert cfg.param_scheduler[1].T_max == 5


@pytest.mark.parametrize('data', [None, 'cmu'])
def test_variants_change_what_they_name(tool, data):
    """Each row of the ablation differs from the first in its own settings and can be built."""
    rows = tool.rows_of('ablation', data)
    words = ['x', *(('--data', data) if data else ())]
    cfgs = [tool.load(row, 0, tool.parse_args(words)) for row in rows]
    assert [row.variant for row in rows] == ['', *tool.VARIANTS['best']]
    texts = [json.dumps(cfg.to_dict(), sort_keys=True) for cfg in cfgs]
    assert len(set(texts)) == len(texts)
    importlib.import_module('projects.forecasting')
    for cfg in cfgs:
        assert MODELS.build(cfg.model).loss is not None
        for transform in cfg.train_dataloader.dataset.pipeline:
            TRANSFORMS.build(transform)
