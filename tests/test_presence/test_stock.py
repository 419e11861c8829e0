"""The swap of one head in mmpose's own config, trained by mmpose's own script."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
STOCK = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'
SWAP = """
custom_imports = dict(imports=['projects.presence'], allow_failed_imports=False)
model = dict(head=dict(_delete_=True, type='KeypointPresenceHead', pose_head=_base_.model.head))
val_dataloader = dict(dataset=dict(bbox_file=None))
test_dataloader = val_dataloader
val_evaluator = [_base_.val_evaluator, dict(type='KeypointPresenceMetric')]
test_evaluator = val_evaluator
"""
SIZE, HEATMAP = (64, 96), (16, 24)  # width and height; a ResNet halves the input five times


def small(data_root: Path) -> dict[str, object]:
    """Settings that make the stock config small; the file itself stays as a user writes it."""
    options = {
        'model.backbone.depth': 18,
        'model.backbone.init_cfg': None,
        'model.head.pose_head.in_channels': 512,
        'model.head.pose_head.decoder.input_size': SIZE,
        'model.head.pose_head.decoder.heatmap_size': HEATMAP,
        'train_dataloader.dataset.pipeline.5.input_size': SIZE,
        'train_dataloader.dataset.pipeline.6.encoder.input_size': SIZE,
        'train_dataloader.dataset.pipeline.6.encoder.heatmap_size': HEATMAP,
        'train_cfg.max_epochs': 1,
        'train_cfg.val_interval': 1,
        'train_dataloader.batch_size': 8,
        'train_dataloader.dataset.indices': 24,
    }
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.dataset.data_root'] = data_root
        options[f'{split}_dataloader.num_workers'] = 0
        options[f'{split}_dataloader.persistent_workers'] = False
    annotations = data_root / 'annotations' / 'person_keypoints_val2017.json'
    for split in ('val', 'test'):
        options[f'{split}_dataloader.dataset.pipeline.2.input_size'] = SIZE
        options[f'{split}_evaluator.0.ann_file'] = annotations
    return options


def test_stock_config_with_the_head_swapped(coco_root, tmp_path):
    (tmp_path / 'swapped.py').write_text(f'_base_ = [{STOCK!r}]\n{SWAP}')
    options = [
        f'{key}={",".join(map(str, value)) if isinstance(value, tuple) else value}'
        for key, value in small(coco_root).items()
    ]
    script = Path(find_spec('mmpose').submodule_search_locations[0], '.mim', 'tools', 'train.py')
    result = subprocess.run(
        [sys.executable, script, tmp_path / 'swapped.py', '--work-dir', tmp_path / 'run']
        + ['--cfg-options', *options],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout[-6000:]
    (log,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    scores = json.loads(log.read_text().splitlines()[-1])
    assert 0 <= scores['presence/AUROC'] <= 1
    assert np.isfinite(scores['coco/AP'])
    assert '  presence/AUROC: ' in result.stdout
    assert list((tmp_path / 'run').glob('best_coco_AP_epoch_1.pth'))
    ran = Config.fromfile(tmp_path / 'run' / 'swapped.py')
    assert ran.model.head.pose_head.type == 'HeatmapHead'
    assert ran.test_evaluator[1].type == 'KeypointPresenceMetric'
