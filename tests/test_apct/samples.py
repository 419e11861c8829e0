"""A small APCT and batches for it."""

import torch
from mmdet.models.detectors import DETR
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

import projects.apct  # noqa: F401 - registers

K, S = 4, 6
HEIGHT, WIDTH = 64, 96
LAYERS = 3
DIMS = 32

ASSIGNER = dict(
    type='HungarianAssigner',
    match_costs=[
        dict(type='ClassificationCost', weight=1.0),
        dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
        dict(type='IoUCost', iou_mode='giou', weight=2.0),
    ],
)


def head_config(**options) -> dict:
    full = dict(
        type='APCTHead',
        embed_dims=DIMS,
        num_layers=LAYERS,
        num_parts=K,
        num_states=S,
        refinement=dict(num_heads=2, num_layers=1, feedforward_channels=32, dropout=0.0),
    )
    return {**full, **options}


def model_config(head: dict, condition: str | None = 'region', **options) -> ConfigDict:
    attention = dict(embed_dims=DIMS, num_heads=2, dropout=0.0, batch_first=True)
    feedforward = dict(embed_dims=DIMS, feedforward_channels=32, num_fcs=2, ffn_drop=0.0)
    decoder = dict(
        num_layers=LAYERS,
        layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feedforward),
        return_intermediate=True,
    )
    if options.get('type', 'APCT') == 'APCT':
        decoder['condition'] = condition
    config = dict(
        type='APCT',
        num_queries=7,
        data_preprocessor=dict(type='DetDataPreprocessor'),
        backbone=dict(
            type='ResNet',
            depth=18,
            base_channels=8,
            stem_channels=8,
            num_stages=3,
            strides=(1, 2, 2),
            dilations=(1, 1, 1),
            out_indices=(1, 2),
            zero_init_residual=False,
        ),
        neck=dict(
            type='ChannelMapper',
            in_channels=[32],
            kernel_size=1,
            out_channels=DIMS,
            act_cfg=None,
            norm_cfg=None,
            num_outs=1,
        ),
        encoder=dict(
            num_layers=1, layer_cfg=dict(self_attn_cfg=dict(attention), ffn_cfg=dict(feedforward))
        ),
        decoder=decoder,
        positional_encoding=dict(num_feats=DIMS // 2, normalize=True),
        bbox_head=head,
        train_cfg=dict(assigner=ASSIGNER),
        test_cfg=dict(max_per_img=5),
    )
    return ConfigDict({**config, **options})


def build(config: ConfigDict, seed: int = 0) -> DETR:
    """A model with every zero that training would leave made small numbers."""
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config)
    model.init_weights()
    return model


def unzero(model: torch.nn.Module) -> None:
    """Give parameters that start at zero some values, as training would."""
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)


def sample(persons: int, seed: int = 0, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> DetDataSample:
    generator = torch.Generator().manual_seed(seed)

    def boxes(*size: int) -> torch.Tensor:
        corner = torch.rand(*size, 2, generator=generator) * 40
        return torch.cat(
            [corner, corner + 5 + 15 * torch.rand(*size, 2, generator=generator)], dim=-1
        )

    states = torch.randint(S, (persons, K), generator=generator)
    valid = torch.rand(persons, K, generator=generator) < 0.7
    result = DetDataSample(
        metainfo=dict(
            img_shape=shape,
            ori_shape=(shape[0] // 2, shape[1] // 2),
            batch_input_shape=(HEIGHT, WIDTH),
            scale_factor=(2.0, 2.0),
        )
    )
    result.gt_instances = InstanceData(
        bboxes=boxes(persons),
        labels=torch.zeros(persons, dtype=torch.long),
        part_bboxes=torch.where(valid[..., None], boxes(persons, K), 0.0),
        part_valid=valid,
        part_states=torch.where(valid, states, -1),
    )
    return result


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
