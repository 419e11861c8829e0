"""The headline's own pipelines and losses, on generated frames and a network made small."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope

from tests.test_apct.samples import build

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'apct.py'


def frames(cfg: Config, root: Path, split: str) -> list[dict]:
    dataset = cfg[f'{split}_dataloader'].dataset
    dataset.update(data_root=str(root), val_every=2, indices=4)
    with DefaultScope.overwrite_default_scope('mmdet'):
        built = DATASETS.build(dataset)
        return [built[index] for index in range(4)]


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_pipelines(kinetics_tps_root, split):
    for item in frames(Config.fromfile(CONFIG), kinetics_tps_root, split):
        channels, height, width = item['inputs'].shape
        assert channels == 3
        assert min(height, width) >= 384 if split == 'train' else min(height, width) == 800
        truth = item['data_samples'].get('gt_instances')
        if split == 'train':
            assert truth.part_bboxes.shape == (len(truth.bboxes), 10, 4)
            assert (truth.part_bboxes[..., 0::2] <= width).all()


def test_a_training_step_and_a_test(kinetics_tps_root):
    """Images of different sizes in one batch, padded by the data preprocessor."""
    cfg = Config.fromfile(CONFIG)
    cfg.model.backbone.update(depth=18, base_channels=8, stem_channels=8, frozen_stages=-1)
    cfg.model.neck.in_channels = [64]
    cfg.model.bbox_head.refinement.in_channels = 16
    cfg.model.num_queries = 10
    model = build(cfg.model)
    data = model.data_preprocessor(
        pseudo_collate(frames(cfg, kinetics_tps_root, 'train')[:2]), training=True
    )
    losses = model(**data, mode='loss')
    assert all(torch.isfinite(loss).all() for loss in losses.values())
    model.eval()
    data = model.data_preprocessor(pseudo_collate(frames(cfg, kinetics_tps_root, 'test')[:1]))
    with torch.no_grad():
        (result,) = model(**data, mode='predict')
    assert result.pred_instances.part_state_scores.shape == (10, 10, 74)
    assert result.pred_instances.bboxes[:, 2].max() <= 96  # the generated frames are 96 wide
