"""The analyses: a table is filled and goes on where it was interrupted."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(tool, *words, ok=True):
    result = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'analysis' / tool, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (result.returncode == 0) == ok, result.stdout + result.stderr[-3000:]
    return result.stdout + result.stderr


def test_tables_of_layers_and_heads(repcount_root, tmp_path):
    options = [
        *('configs/poserac/poserac_sweep.py', '--data-root', repcount_root, '--out', tmp_path),
        *('--heads', 9, '--cfg-options', 'train_cfg.max_epochs=1'),
        *('model.feedforward_channels=16', 'train_dataloader.num_workers=0'),
        *('val_dataloader.num_workers=0', 'test_dataloader.num_workers=0'),
        *('val_dataloader.dataset.val_fraction=0.5', 'train_dataloader.dataset.val_fraction=0.5'),
    ]
    out = run('poserac_tables.py', *options, '--layers', 1)
    first = json.loads((tmp_path / 'results.json').read_text())['results']['layers1_heads9']
    assert first.keys() >= {'count/oracle/MAE', 'count/predicted/OBO', 'salient/loss'}
    row = f'| 9 | {first["count/oracle/OBO"]:.3f} |'
    assert 'OBO, oracle class\n\n| head/layer | 1 |\n|---|---|\n' + row in out

    out = run('poserac_tables.py', *options, '--layers', 1, 2)
    results = json.loads((tmp_path / 'results.json').read_text())['results']
    assert results['layers1_heads9'] == first  # kept, not trained again
    assert '[2/2] layers2_heads9' in out

    refused = run('poserac_tables.py', *options, 'model.alpha=0.5', '--layers', 1, ok=False)
    assert 'results.json: holds results of' in refused
