"""From heatmaps to presence: a small fully connected network for each keypoint."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KeypointLinear(nn.Module):
    """A linear layer of its own for each keypoint, all computed as one batched product.

    Args:
        num_keypoints: K.
        in_channels: Channels in.
        out_channels: Channels out.
    """

    def __init__(self, num_keypoints: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_keypoints, in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(num_keypoints, 1, out_channels))
        bound = 1 / math.sqrt(in_channels)  # as of nn.Linear
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(K, B, in_channels) to (K, B, out_channels)."""
        return torch.baddbmm(self.bias, x, self.weight)


class KeypointPresenceNet(nn.Module):
    """Score every keypoint's presence from its own heatmap.

    Document 002, section 3: the heatmaps are reduced by max pooling, each is flattened and goes
    through a fully connected network of its own, ReLU after the hidden layer; section 4.2: dropout.

    Args:
        num_keypoints: K.
        heatmap_size: Width and height of the heatmaps.
        hidden_channels: Width of the hidden layer.
        pool: Side of the max pooling's windows; at the border they may be smaller.
        dropout: Share of the hidden layer that is dropped in training.
    """

    def __init__(
        self,
        num_keypoints: int,
        heatmap_size: tuple[int, int],
        hidden_channels: int = 128,
        pool: int = 4,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        for name, value in (
            ('num_keypoints', num_keypoints),
            ('hidden_channels', hidden_channels),
            ('pool', pool),
        ):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'{name} is {value!r}, expected a whole number of 1 or more')
        if not 0 <= dropout < 1:
            raise ValueError(f'dropout is {dropout!r}, expected a number in [0, 1)')
        self.num_keypoints = num_keypoints
        self.heatmap_size = tuple(heatmap_size)
        self.pool = pool
        width, height = self.heatmap_size
        cells = math.ceil(width / pool) * math.ceil(height / pool)
        self.hidden = KeypointLinear(num_keypoints, cells, hidden_channels)
        self.dropout = nn.Dropout(dropout)
        self.score = KeypointLinear(num_keypoints, hidden_channels, 1)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Logits of presence.

        Args:
            heatmaps: (B, K, height, width).

        Returns:
            (B, K); the sigmoid of it is the probability that the keypoint is there.

        Raises:
            ValueError: If the heatmaps are of another number or size.
        """
        width, height = self.heatmap_size
        if heatmaps.shape[1:] != (self.num_keypoints, height, width):
            raise ValueError(
                f'heatmaps are of shape {tuple(heatmaps.shape)}, expected (B, '
                f'{self.num_keypoints}, {height}, {width}): keypoints and heatmap_size of the head'
            )
        pooled = F.max_pool2d(heatmaps, self.pool, ceil_mode=True)
        cells = pooled.flatten(2).transpose(0, 1)  # (K, B, cells)
        return self.score(self.dropout(F.relu(self.hidden(cells))))[..., 0].T
