"""The analyses: trained for an epoch, their results kept for as long as they hold."""

import importlib
import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from projects.keypoints import LAYOUTS

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('jumping_jacks', 'pullups', 'pushups', 'situp', 'squats')


@pytest.fixture
def tool(monkeypatch):
    """Imports an analysis; each call of its main has mmengine's globals to itself."""
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'analysis')
    monkeypatch.chdir(ROOT)

    def load(name):
        module = importlib.import_module(name)
        main = getattr(module, 'main', None)

        def alone(words):
            with monkeypatch.context() as patch:
                for shared in (DefaultScope, MessageHub, MMLogger, Visualizer):
                    patch.setattr(shared, '_instance_dict', OrderedDict())
                main([str(word) for word in words])

        if main:
            monkeypatch.setattr(module, 'main', alone)
        return module

    return load


@pytest.fixture
def poses_root(tmp_path):
    """Five poses of each class and state, in the format with a header."""
    generator = np.random.default_rng(0)
    header = [f'{axis}_{joint}' for joint in LAYOUTS['blazepose'].joint_names for axis in 'xyz']
    lines = [','.join(['pose_id', 'pose', *header])]
    for action in CLASSES:
        for state in ('up', 'down'):
            centre = generator.normal(0, 50, 99)
            for pose in centre + generator.normal(0, 1, (5, 99)):
                numbers = [f'{number:.3f}' for number in pose]
                lines.append(','.join([str(len(lines) - 1), f'{action}_{state}', *numbers]))
    root = tmp_path / 'poses'
    root.mkdir()
    (root / 'salient_poses.csv').write_text('\n'.join(lines) + '\n')
    return root


def read(folder):
    return json.loads((folder / 'results.json').read_text())['results']


def test_tables_of_layers_and_heads(tool, repcount_root, tmp_path, capsys):
    config, out = tmp_path / 'sweep.py', tmp_path / 'out'
    text = f"""
_base_ = [{str(ROOT / 'configs/poserac/poserac_sweep.py')!r}]
model = dict(feedforward_channels=16)
train_dataloader = dict(num_workers=0, dataset=dict(val_fraction=0.5))
val_dataloader = dict(num_workers=0, dataset=dict(val_fraction=0.5))
test_dataloader = dict(num_workers=0)
"""
    config.write_text(text)
    tables = tool('poserac_tables')
    options = [config, '--data-root', repcount_root, '--out', out, '--heads', 9]
    options += ['--cfg-options', 'train_cfg.max_epochs=1']

    # what an interrupted training left is not what is tested
    stale = out / 'layers1_heads9' / 'best_salient_loss_epoch_9.pth'
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b'no checkpoint')
    tables.main([*options, '--layers', 1])
    first = read(out)['layers1_heads9']
    assert first.keys() >= {'count/oracle/MAE', 'count/predicted/OBO', 'salient/loss'}
    row = f'| 9 | {first["count/oracle/OBO"]:.3f} |'
    printed = capsys.readouterr().out
    assert 'OBO, oracle class\n\n| head/layer | 1 |\n|---|---|\n' + row in printed
    assert 'made again' not in printed

    tables.main([*options, '--layers', 1, 2])
    assert read(out)['layers1_heads9'] == first  # kept, not trained again
    printed = capsys.readouterr().out
    assert '[2/2] layers2_heads9' in printed
    assert 'made again' not in printed

    config.write_text(text + 'optim_wrapper = dict(optimizer=dict(lr=1e-2))\n')
    tables.main([*options, '--layers', 1])
    assert read(out)['layers1_heads9']['salient/loss'] != first['salient/loss']
    assert 'layers1_heads9: its config has changed since' in capsys.readouterr().out

    with pytest.raises(ValueError, match=r'results\.json: holds results of'):
        tables.main([*options, 'model.alpha=0.5', '--layers', 1])


def test_tables_need_a_best_checkpoint(tool, repcount_root, tmp_path):
    tables = tool('poserac_tables')
    with pytest.raises(ValueError, match='no best checkpoint was kept'):
        tables.main(
            [
                *('configs/poserac/poserac_sweep.py', '--data-root', repcount_root),
                *('--out', tmp_path, '--layers', 1, '--heads', 9, '--cfg-options'),
                *('train_cfg.max_epochs=1', 'default_hooks.checkpoint.save_best=None'),
                *('train_dataloader.num_workers=0', 'val_dataloader.num_workers=0'),
            ]
        )


def test_record_keeps_a_result_for_as_long_as_its_content(tool, tmp_path, capsys):
    record_type, path = tool('experiment').Record, tmp_path / 'results.json'
    record = record_type(path, dict(epochs=1))
    assert record.result('one', dict(a=1, b=2), lambda: dict(score=0.1)) == dict(score=0.1)
    record.result('two', [3], lambda: dict(score=0.2))

    record = record_type(path, dict(epochs=1))
    assert record.result('one', dict(b=2, a=1), lambda: 1 / 0) == dict(score=0.1)
    assert capsys.readouterr().out == ''
    with pytest.raises(ZeroDivisionError):
        record.result('one', dict(a=1, b=3), lambda: 1 / 0)
    assert capsys.readouterr().out == 'one: its config has changed since, so it is made again\n'
    assert record.result('one', dict(a=1, b=3), lambda: dict(score=0.3)) == dict(score=0.3)
    assert read(tmp_path) == dict(one=dict(score=0.3), two=dict(score=0.2))

    with pytest.raises(ValueError, match='name another folder'):
        record_type(path, dict(epochs=2))
    path.write_text('{"settings": {"epochs": 1}, "results": {}}')  # what it holds for is unknown
    with pytest.raises(ValueError, match='is no record of results'):
        record_type(path, dict(epochs=1))


def test_salient_poses_in_folds(tool, poses_root, tmp_path, monkeypatch, capsys):
    analysis = tool('poserac_salient_poses')
    out = tmp_path / 'out'
    rows = ['--rows', 'linear', 'logistic regression', 'light, triplet']
    options = ['--data-root', poses_root, '--folds', 0, '--epochs', 1, '--out', out, *rows]
    analysis.main(options)
    results = read(out)
    assert sorted(results) == [
        'light, triplet, fold 0',
        'linear, fold 0',
        'logistic regression, fold 0',
    ]
    # clusters far apart: whoever sees the right poses, with the right labels, finds them
    assert results['logistic regression, fold 0'] == dict.fromkeys(analysis.SCORES, 1.0)
    assert 'logistic regression: 100.0 ± 0.0' in capsys.readouterr().out

    with monkeypatch.context() as patch:
        patch.setattr(analysis, 'train', lambda *_: 1 / 0)
        patch.setattr(analysis, 'fit_baseline', lambda *_: 1 / 0)
        analysis.main(options)  # all kept
    assert 'made again' not in capsys.readouterr().out

    changed = dict(analysis.ROWS, linear=(analysis.ROWS['linear'][0], {'alpha': 0.5}))
    monkeypatch.setattr(analysis, 'ROWS', changed)
    svc = {'logistic regression': analysis.BASELINES['support vectors, RBF, C 10']}
    monkeypatch.setattr(analysis, 'BASELINES', svc)
    analysis.main(options)
    printed = capsys.readouterr().out
    assert 'linear, fold 0: its config has changed' in printed
    assert 'logistic regression, fold 0: its config has changed' in printed
    assert 'light, triplet, fold 0: its config' not in printed

    with pytest.raises(ValueError, match='name another folder'):
        analysis.main([*options, '--fold-seed', 1])


def test_fold_seed_deals_other_folds(tool, poses_root):
    analysis = tool('poserac_salient_poses')

    def held_out(*words):
        args = analysis.parse_args(['--data-root', str(poses_root), *words])
        poses, targets = analysis.poses_and_targets(
            analysis.load_config(analysis.DOCUMENT, 0, args), 'val'
        )
        assert sorted(targets) == list(range(10))  # one of each class and state
        return {pose.tobytes() for pose in poses}

    seeded = held_out('--fold-seed', '3')
    assert held_out() == held_out('--fold-seed', '0')  # as the config
    assert seeded == held_out('--fold-seed', '3')
    assert seeded != held_out()


def test_depth(tool, poses_root, tmp_path, capsys):
    config = tmp_path / 'tiny.py'
    config.write_text(f"""
_base_ = [{str(ROOT / 'configs/poserac/poserac_salient-poses.py')!r}]
model = dict(feedforward_channels=16)
train_dataloader = dict(dataset=dict(data_root={str(poses_root)!r}))
val_dataloader = dict(dataset=dict(data_root={str(poses_root)!r}))
""")
    kind = 'original, warm-up'
    depth = tool('poserac_depth')
    depth.main([config, '--layers', 1, 2, '--kinds', kind, '--epochs', 2])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(kind)]
    layers, *numbers = np.array([row[len(kind) :].split() for row in rows], float).T
    before, after, loss, accuracy = numbers
    assert layers.tolist() == [1, 2]
    assert (before > 0.1).all()
    assert (after > 0.1).all()
    assert (before != after).all()  # of a fresh model, and of the trained one
    assert ((loss > 0.1) & (loss < 1)).all()
    assert ((accuracy >= 0) & (accuracy <= 1)).all()
