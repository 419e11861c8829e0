"""What STAR-Transformer looks at: global grid tokens and joint map tokens (document 004)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

JOINS = ('concatenate', 'pool')


def joint_heatmaps(keypoint: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """A Gaussian around each joint: ``score * exp(-distance^2 / (2 sigma^2))``.

    Distances are between the joint and the centres of the map's cells. A missing joint, of score 0,
    has an empty map. The Gaussian is the product of one along x and one along y, so a map costs
    h + w exponentials instead of h * w.

    Args:
        keypoint: (..., 3): x and y in 0..1 of the picture's width and height, score.
        size: Height h and width w of a map, cells.
        sigma: Standard deviation, cells.

    Returns:
        (..., h, w) in the precision of ``keypoint``, on its device.
    """
    height, width = size
    x, y, score = keypoint.unbind(-1)

    def along(position: Tensor, cells: int) -> Tensor:
        centre = torch.arange(cells, device=keypoint.device, dtype=keypoint.dtype) + 0.5
        return torch.exp((position[..., None] * cells - centre).square() / (-2 * sigma**2))

    rows = along(y, height) * score[..., None]  # (..., h)
    return rows[..., :, None] * along(x, width)[..., None, :]


class GridTokens(nn.Module):
    """Global grid tokens: each cell of the last feature map is one (document 004, GG-token).

    Args:
        in_channels: Channels of the map.
        embed_dims: Channels C of a token.
    """

    def __init__(self, in_channels: int, embed_dims: int) -> None:
        super().__init__()
        same = in_channels == embed_dims
        self.projection = nn.Identity() if same else nn.Linear(in_channels, embed_dims)

    def forward(self, maps: Tensor) -> Tensor:
        """Tokens of all frames.

        Args:
            maps: (B, in_channels, T, h, w).

        Returns:
            (B, T, P, C), P = h * w.
        """
        return self.projection(maps.flatten(3).permute(0, 2, 3, 1))


class JointMapTokens(nn.Module):
    """Joint map tokens: the local feature map F joined with each joint's heat map (JM-token).

    The document concatenates the two and does not say how a token comes of the joined map. Here
    (``concatenate``) a 3 x 3 convolution with a GELU reads the joined map and a linear map of all
    of its cells, normalised, gives the token. As a convolution of concatenated maps is the sum of
    two convolutions, F's is computed once a frame and not once a joint.

    ``pool`` is another way: the mean of F weighted by the heat map, with the joint's coordinates
    and its score, mapped linearly and normalised. It looks at the picture nowhere but at the
    joint, and costs less.

    Without a video, ``in_channels=0``, both work on what is known of the joint alone.

    Args:
        num_joints: N, joints of all people of a frame.
        embed_dims: Channels C of a token.
        in_channels: Channels of F; 0 for no video.
        heatmap_size: Height and width of the heat maps, cells; F is interpolated to it if it has
            another size.
        sigma: Standard deviation of the Gaussians, cells.
        join: ``concatenate`` or ``pool``.
        hidden_channels: Of the convolution of ``concatenate``.
        stride: Likewise.

    Raises:
        ValueError: If ``join`` is unknown, or a size is not positive (``in_channels``: negative).
    """

    def __init__(
        self,
        num_joints: int,
        embed_dims: int,
        in_channels: int = 0,
        heatmap_size: tuple[int, int] = (28, 28),
        sigma: float = 1.0,
        join: str = 'concatenate',
        hidden_channels: int = 32,
        stride: int = 2,
    ) -> None:
        super().__init__()
        if join not in JOINS:
            raise ValueError(f'join is {join!r}, expected one of {JOINS}')
        if in_channels < 0:
            raise ValueError(f'in_channels is {in_channels}, expected 0 (no video) or more')
        positive = dict(num_joints=num_joints, embed_dims=embed_dims, sigma=sigma, stride=stride)
        positive |= dict(heatmap_height=heatmap_size[0], heatmap_width=heatmap_size[1])
        positive |= dict(hidden_channels=hidden_channels)
        for name, value in positive.items():
            if value <= 0:
                raise ValueError(f'{name} is {value}, expected a positive number')
        self.num_joints = num_joints
        self.in_channels = in_channels
        self.heatmap_size = tuple(heatmap_size)
        self.sigma = sigma
        self.join = join
        if join == 'concatenate':
            # no bias: where there is neither F nor a joint there is nothing
            self.conv = nn.Conv2d(
                in_channels + 1, hidden_channels, 3, stride=stride, padding=1, bias=False
            )
            height, width = ((length - 1) // stride + 1 for length in heatmap_size)
            self.projection = nn.Linear(hidden_channels * height * width, embed_dims)
        else:
            self.projection = nn.Linear(in_channels + 3, embed_dims)
        # few cells of a heat map are not 0: without it the position embedding drowns the joint
        self.norm = nn.LayerNorm(embed_dims)

    def forward(self, keypoint: Tensor, maps: Tensor | None = None) -> Tensor:
        """Tokens of all frames.

        Args:
            keypoint: (B, T, N, 3): x, y in 0..1, score.
            maps: F, (B, in_channels, T, h, w); None without a video.

        Returns:
            (B, T, N, C).

        Raises:
            ValueError: If there is another number of joints, or of channels of F, than configured.
        """
        B, T, N, _ = keypoint.shape  # batch, frames, joints
        if N != self.num_joints:
            raise ValueError(f'keypoint has {N} joints a frame, expected {self.num_joints}')
        channels = 0 if maps is None else maps.shape[1]
        if channels != self.in_channels:
            raise ValueError(
                f'the local feature map has {channels} channels, expected in_channels, '
                f'{self.in_channels} (0: no map)'
            )
        heatmaps = None
        if self.join == 'concatenate' or maps is not None:
            # distances in full precision, whatever precision the model has
            precise = keypoint.to(torch.promote_types(keypoint.dtype, torch.float32))
            heatmaps = joint_heatmaps(precise, self.heatmap_size, self.sigma)
            heatmaps = heatmaps.flatten(0, 1)  # (B*T, N, h, w)
        if maps is not None:
            maps = maps.transpose(1, 2).flatten(0, 1)  # (B*T, C', h', w')
            if maps.shape[-2:] != self.heatmap_size:
                maps = functional.interpolate(maps, self.heatmap_size, mode='bilinear')
        if self.join == 'concatenate':
            joined = self._concatenated(heatmaps, maps).flatten(2)  # (B*T, N, cells)
        else:
            joined = self._pooled(keypoint.flatten(0, 1), heatmaps, maps)  # (B*T, N, C'+3)
        return self.norm(self.projection(joined)).unflatten(0, (B, T))

    def _concatenated(self, heatmaps: Tensor, maps: Tensor | None) -> Tensor:
        """GELU of the convolution of [F, heat map], for each joint: (B*T, N, hidden, h, w)."""
        kernel = self.conv.weight
        settings = dict(stride=self.conv.stride, padding=self.conv.padding)
        heatmaps = heatmaps.to(kernel.dtype)
        of_joint = functional.conv2d(
            heatmaps.flatten(0, 1)[:, None], kernel[:, -1:], **settings
        ).unflatten(0, heatmaps.shape[:2])
        if maps is None:
            return functional.gelu(of_joint)
        of_frame = functional.conv2d(maps, kernel[:, :-1], **settings)
        return functional.gelu(of_joint + of_frame[:, None])

    def _pooled(self, keypoint: Tensor, heatmaps: Tensor | None, maps: Tensor | None) -> Tensor:
        """Mean of F by the heat map; centred coordinates, 0 of a missing joint; score."""
        score = keypoint[..., 2:]
        # from -2 to 2 in the picture: about the size of normalised features
        place = (keypoint[..., :2] - 0.5) * 4 * (score > 0)
        known = torch.cat([place, score], dim=-1).to(self.projection.weight.dtype)  # (B*T, N, 3)
        if maps is None:
            return known
        weights = heatmaps.flatten(2)
        weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)
        pooled = weights.to(maps.dtype) @ maps.flatten(2).transpose(1, 2)  # (B*T, N, C')
        return torch.cat([pooled, known.to(pooled.dtype)], dim=-1)
