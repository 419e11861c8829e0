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

    The document concatenates F and the heat map (``concatenate``) and does not say how a token
    comes of the joined map. A linear map of two things concatenated is the sum of a linear map of
    each, and so it is computed here, F's part once a frame and not once a joint: each of the two
    goes through a 3 x 3 convolution with a GELU and a linear map of all cells. Both parts are
    normalised before they are added. Otherwise F, of which all cells and channels are full, drowns
    the heat map, which is empty but for a few cells, and the joints are never learned.

    In this join all joints of a frame see the same of F. In ``pool`` a joint's part of F is F's
    mean weighted by its heat map, so that it looks at the picture where the joint is, and what is
    known of the joint are its coordinates and its score instead of the map of them. It costs less.

    Attention compares tokens, it does not subtract them, and what tells actions apart is how joints
    move. With ``motion`` the coordinates come with their differences.

    Without a video, ``in_channels=0``, there is no part of F.

    Args:
        num_joints: N, joints of all people of a frame.
        embed_dims: Channels C of a token.
        in_channels: Channels of F; 0 for no video.
        heatmap_size: Height and width of the heat maps, cells; F is interpolated to it if it has
            another size.
        sigma: Standard deviation of the Gaussians, cells.
        join: ``concatenate`` or ``pool``.
        hidden_channels: Of the convolutions of ``concatenate``.
        stride: Likewise.
        motion: In ``pool``, whether a token also has the joint's displacements from the frame
            before and to the next one, and its place as seen from the mean of its frame's joints.
        drop_joints: Share of the clips in training of which the joints' part is left out and F's
            alone is seen. Joints soon tell all labels of the training data apart, and from then on
            the video has nothing to learn from.

    Raises:
        ValueError: If ``join`` is unknown, a size is not positive (``in_channels``: negative),
            ``motion`` is asked for in another join than ``pool``, or ``drop_joints`` is no share or
            leaves nothing to see.
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
        motion: bool = False,
        drop_joints: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= drop_joints <= 1 or (drop_joints and not in_channels):
            raise ValueError(
                f'drop_joints is {drop_joints}, expected 0 to 1, and 0 without a video '
                f'(in_channels is {in_channels})'
            )
        if join not in JOINS:
            raise ValueError(f'join is {join!r}, expected one of {JOINS}')
        if motion and join != 'pool':
            raise ValueError(f"motion is {motion}, expected False unless join is 'pool'")
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
        self.motion = motion
        self.drop_joints = drop_joints

        def of_maps(channels: int) -> nn.Sequential:
            height, width = ((length - 1) // stride + 1 for length in heatmap_size)
            return nn.Sequential(
                # no bias: empty cells stay empty
                nn.Conv2d(channels, hidden_channels, 3, stride=stride, padding=1, bias=False),
                nn.GELU(),
                nn.Flatten(),
                nn.Linear(hidden_channels * height * width, embed_dims),
                nn.LayerNorm(embed_dims),
            )

        def of_numbers(channels: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(channels, embed_dims), nn.LayerNorm(embed_dims))

        embedding = of_maps if join == 'concatenate' else of_numbers
        of_joint = 9 if motion else 3
        self.joint_part = embedding(1 if join == 'concatenate' else of_joint)
        self.local_part = embedding(in_channels) if in_channels else None

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
        if keypoint.shape[2:] != (self.num_joints, 3):
            raise ValueError(
                f'keypoint is of shape {tuple(keypoint.shape)}, expected '
                f'(batch, frames, {self.num_joints} joints, 3)'
            )
        channels = 0 if maps is None else maps.shape[1]
        if channels != self.in_channels:
            raise ValueError(
                f'the local feature map has {channels} channels, expected in_channels, '
                f'{self.in_channels} (0: no map)'
            )
        B, T = keypoint.shape[:2]  # batch, frames
        tokens = self._joints(keypoint)  # (B, T, N, C)
        if self.drop_joints and self.training:
            seen = torch.rand(B, device=tokens.device) >= self.drop_joints
            tokens = tokens * seen[:, None, None, None]
        if maps is None:
            return tokens
        maps = maps.transpose(1, 2).flatten(0, 1)  # (B*T, C', h', w')
        if maps.shape[-2:] != self.heatmap_size:
            maps = functional.interpolate(maps, self.heatmap_size, mode='bilinear')
        return tokens + self._local(keypoint.flatten(0, 1), maps).unflatten(0, (B, T))

    def _heatmaps(self, keypoint: Tensor) -> Tensor:
        """(..., N, h, w), of distances in full precision, whatever precision the model has."""
        precise = keypoint.to(torch.promote_types(keypoint.dtype, torch.float32))
        return joint_heatmaps(precise, self.heatmap_size, self.sigma)

    def _joints(self, keypoint: Tensor) -> Tensor:
        """A part of each joint's heat map, or of its numbers: (B, T, N, C)."""
        dtype = self.joint_part[0].weight.dtype
        if self.join == 'concatenate':
            heatmaps = self._heatmaps(keypoint).to(dtype)
            return self.joint_part(heatmaps.flatten(0, 2)[:, None]).unflatten(0, keypoint.shape[:3])
        score = keypoint[..., 2:]
        known = score > 0
        # from -2 to 2 in the picture: about the size of normalised features
        place = (keypoint[..., :2] - 0.5) * 4 * known
        numbers = [place, score]
        if self.motion:
            moved = 2 * place.diff(dim=1) * (known[:, 1:] & known[:, :-1])
            still = torch.zeros_like(place[:, :1])
            numbers += [torch.cat([still, moved], dim=1), torch.cat([moved, still], dim=1)]
            mean = place.sum(dim=2, keepdim=True) / known.sum(dim=2, keepdim=True).clamp(min=1)
            numbers.append((place - mean) * known)
        return self.joint_part(torch.cat(numbers, dim=-1).to(dtype))

    def _local(self, keypoint: Tensor, maps: Tensor) -> Tensor:
        """A part of F for all joints of a frame, or of F at each joint: (B*T, 1 or N, C)."""
        if self.join == 'concatenate':
            return self.local_part(maps)[:, None]
        weights = self._heatmaps(keypoint).flatten(2)
        weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-6) * keypoint[..., 2:]
        return self.local_part(weights.to(maps.dtype) @ maps.flatten(2).transpose(1, 2))
