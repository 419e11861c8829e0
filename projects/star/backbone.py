"""The video network below STAR-Transformer: maps of two stages of torchvision's ResNet-MC18."""

from collections.abc import Sequence
from functools import partial

from mmaction.registry import MODELS
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.video.resnet import (
    BasicBlock,
    Conv3DNoTemporal,
    Conv3DSimple,
    VideoResNet,
)

STAGES = ('layer1', 'layer2', 'layer3', 'layer4')
_PUBLISHED_CHANNELS = 64  # of torchvision's stem and first stage


@MODELS.register_module()
class MC3(BaseModule):
    """ResNet-MC18: 3D convolutions in the stem and the first stage, 2D ones behind (document 004).

    It keeps the number of frames. Of 112 x 112 pixels the stages' maps are 56, 28, 14 and 7 wide,
    with 1, 2, 4 and 8 times ``base_channels`` channels. Parameters have torchvision's names, so
    ``init_cfg=dict(type='Pretrained', checkpoint=...)`` takes its ``mc3_18`` weights.

    Args:
        base_channels: Channels of the stem; torchvision's network has 64.
        out_stages: Stages whose maps to return, in this order.
        norm_cfg: mmcv's config of another normalisation than batch normalisation, whose statistics
            are not shared by processes.
        norm_eval: Whether batch normalisation keeps its statistics in training, as it should where
            batches are small and the weights pretrained.
        init_cfg: mmengine's initialisation.

    Raises:
        ValueError: If a stage is unknown or ``base_channels`` is not positive.
    """

    def __init__(
        self,
        base_channels: int = 64,
        out_stages: Sequence[str] = ('layer2', 'layer4'),
        norm_cfg: dict | None = None,
        norm_eval: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if base_channels < 1:
            raise ValueError(f'base_channels is {base_channels}, expected 1 or more')
        unknown = [stage for stage in out_stages if stage not in STAGES]
        if unknown or not out_stages or isinstance(out_stages, str):
            raise ValueError(f'out_stages is {out_stages!r}, expected some of {STAGES}')
        network = _ScaledResNet(base_channels)
        self.out_stages = tuple(out_stages)
        self.norm_eval = norm_eval
        self.stem = network.stem
        # stages behind the last one that is asked for would have parameters without gradients
        self._stages = STAGES[: max(map(STAGES.index, out_stages)) + 1]
        for stage in self._stages:
            self.add_module(stage, getattr(network, stage))
        if norm_cfg is not None:
            _replace_norms(self, norm_cfg)

    def forward(self, imgs: Tensor) -> tuple[Tensor, ...]:
        """The maps of ``out_stages``.

        Args:
            imgs: (B, 3, T, H, W), normalised.

        Returns:
            For each stage (B, C, T, h, w).
        """
        x, maps = self.stem(imgs), {}
        for stage in self._stages:
            x = maps[stage] = getattr(self, stage)(x)
        return tuple(maps[stage] for stage in self.out_stages)

    def train(self, mode: bool = True) -> 'MC3':
        """Switch between training and evaluation; with ``norm_eval`` statistics stay as they are.

        Args:
            mode: Whether to train.
        """
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


class _ScaledResNet(VideoResNet):
    """torchvision's MC18 with any number of channels."""

    def __init__(self, base_channels: int) -> None:
        self.base_channels = base_channels
        super().__init__(
            BasicBlock,
            [Conv3DSimple, *[Conv3DNoTemporal] * 3],
            [2, 2, 2, 2],
            partial(_stem, base_channels),
        )

    def _make_layer(
        self, block: type, conv_builder: type, planes: int, blocks: int, stride: int = 1
    ) -> nn.Sequential:
        if planes == _PUBLISHED_CHANNELS:  # the first stage: what comes in is the stem's
            self.inplanes = self.base_channels
        planes = planes * self.base_channels // _PUBLISHED_CHANNELS
        return super()._make_layer(block, conv_builder, planes, blocks, stride)


def _stem(channels: int) -> nn.Sequential:
    """Stem of torchvision, BasicStem, with any number of channels."""
    conv = nn.Conv3d(3, channels, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(channels), nn.ReLU(inplace=True))


def _replace_norms(network: nn.Module, norm_cfg: dict) -> None:
    """Put another normalisation in the place of each batch normalisation."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, build_norm_layer(norm_cfg, child.num_features)[1])
