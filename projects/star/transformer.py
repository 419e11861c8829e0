"""STAR-Transformer: tokens of video and skeleton through encoder and decoder (document 004)."""

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule, ModuleList
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from projects.star.tokens import GridTokens, JointMapTokens

TOKENS = ('grid', 'joint')


@ROOT_MODELS.register_module()
class STARLayer(BaseModule):
    """A layer of the encoder or the decoder (document 004, Encoder & Decoder).

    With attentions A_1, A_2, ... in the order given::

        z <- LN(A_i(z) + z)    for each of them
        z <- LN(MLP(z) + z)

    For FAttn and a split attention these are the document's four equations: its decoupling into
    ``z'`` and ``z''`` and their joining happen inside of ZAttn and BAttn, and adding and
    normalising work on each token by itself.

    Args:
        embed_dims: Channels C.
        num_heads: Heads of each attention.
        feedforward_channels: Hidden channels of the MLP.
        attentions: Types of the attentions, in this order.
        dropout: After each attention and in the MLP.
        attention_dropout: On the attention weights.

    Raises:
        ValueError: If there is no attention.
    """

    def __init__(
        self,
        embed_dims: int = 512,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        attentions: Sequence[str] = ('FAttn', 'ZAttn'),
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if isinstance(attentions, str) or not attentions:
            raise ValueError(f'attentions is {attentions!r}, expected names such as FAttn')
        settings = dict(embed_dims=embed_dims, num_heads=num_heads, dropout=attention_dropout)
        self.attentions = ModuleList(
            [ROOT_MODELS.build(dict(type=name, **settings)) for name in attentions]
        )
        self.norms = ModuleList([nn.LayerNorm(embed_dims) for _ in attentions])
        self.mlp = nn.Sequential(
            nn.Linear(embed_dims, feedforward_channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward_channels, embed_dims),
            nn.Dropout(dropout),
        )
        self.mlp_norm = nn.LayerNorm(embed_dims)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, num_frames: int, num_class_tokens: int = 0) -> Tensor:
        """One layer.

        Args:
            x: (B, K + T * S, C): class tokens, then the frames one after another.
            num_frames: T.
            num_class_tokens: K.

        Returns:
            As ``x``.
        """
        for attention, norm in zip(self.attentions, self.norms, strict=True):
            x = norm(x + self.dropout(attention(x, num_frames, num_class_tokens)))
        return self.mlp_norm(x + self.mlp(x))


@MODELS.register_module()
class STARTransformer(BaseModule):
    """Video and skeleton to class tokens: a backbone for mmaction2's ``MMRecognizer3D``.

    The tokens are (document 004, Multi-class token)::

        T_g = CLS_global + grid tokens
        T_j = CLS_joint + (joint map tokens + pos)
        Z   = T_g + T_j + CLS_total

    with + for joining but in ``tokens + pos``. Attention does not see the order of its tokens, so
    the class tokens stand first here. There is one of each for a whole clip. Z goes through the
    layers of the encoder and then of the decoder, which go on with what the encoder gives: the
    document's equations know no attention from one to the other.

    Without ``joint_tokens`` it is a model of video alone, without ``cnn`` one of skeletons alone.

    Args:
        num_frames: T.
        embed_dims: Channels C.
        num_heads: Heads of each attention.
        feedforward_channels: Hidden channels of the layers' MLPs.
        cnn: Config of the video network, such as ``MC3``, or any of mmaction2 that keeps the number
            of frames. Of the tuple that it returns the last map gives the grid tokens, and the
            first is the local feature map F of the joint map tokens; a single map is both.
        grid_tokens: Settings of :class:`GridTokens` but ``embed_dims``, and ``grid_size``, height
            and width of the map. None for no grid tokens.
        joint_tokens: Settings of :class:`JointMapTokens` but ``embed_dims``. None for none.
        class_tokens: Whether there are class tokens. Without them the output is all tokens.
        positions: Which tokens have a learned position embedding, of ``joint`` and ``grid``. None
            for the document's: joint map tokens, if there are any.
        encoder: ``num_layers`` and ``attentions`` of the encoder.
        decoder: Likewise.
        dropout: As in :class:`STARLayer`.
        attention_dropout: As in :class:`STARLayer`.
        init_cfg: mmengine's initialisation.

    Raises:
        ValueError: If there are no tokens, tokens of a video but no network for it, or positions of
            tokens that are not there.
    """

    def __init__(
        self,
        num_frames: int = 16,
        embed_dims: int = 512,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        cnn: dict | None = None,
        grid_tokens: dict | None = None,
        joint_tokens: dict | None = None,
        class_tokens: bool = True,
        positions: Sequence[str] | None = None,
        encoder: dict | None = None,
        decoder: dict | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_frames = num_frames
        if positions is None:
            positions = () if joint_tokens is None else ('joint',)
        self._check(cnn, grid_tokens, joint_tokens, positions)
        self.cnn = None if cnn is None else MODELS.build(cnn)
        self.grid_tokens = self.joint_tokens = None
        lengths, names = {}, []
        if grid_tokens is not None:
            settings = dict(grid_tokens)
            self.grid_size = tuple(settings.pop('grid_size', (7, 7)))
            self.grid_tokens = GridTokens(embed_dims=embed_dims, **settings)
            lengths['grid'] = self.grid_size[0] * self.grid_size[1]
            names.append('global')
        if joint_tokens is not None:
            self.joint_tokens = JointMapTokens(embed_dims=embed_dims, **joint_tokens)
            lengths['joint'] = self.joint_tokens.num_joints
            names.append('joint')
        self.class_token_names = (*names, 'total') if class_tokens else ()
        # one parameter each, so that a model of both takes those of a model of one
        self.class_tokens = nn.ParameterDict(
            {name: _parameter(1, 1, embed_dims) for name in self.class_token_names}
        )
        self.positions = nn.ParameterDict(
            {name: _parameter(1, num_frames, lengths[name], embed_dims) for name in positions}
        )

        def layers(num_layers: int = 3, attentions: Sequence[str] = ('FAttn',)) -> ModuleList:
            settings = dict(dropout=dropout, attention_dropout=attention_dropout)
            sizes = (embed_dims, num_heads, feedforward_channels, attentions)
            return ModuleList([STARLayer(*sizes, **settings) for _ in range(num_layers)])

        self.encoder = layers(**{'attentions': ('FAttn', 'ZAttn'), **(encoder or {})})
        self.decoder = layers(**{'attentions': ('FAttn', 'BAttn'), **(decoder or {})})

    @staticmethod
    def _check(
        cnn: dict | None,
        grid_tokens: dict | None,
        joint_tokens: dict | None,
        positions: Sequence[str],
    ) -> None:
        """Stop on settings that contradict one another."""
        there = dict(grid=grid_tokens is not None, joint=joint_tokens is not None)
        if not any(there.values()):
            raise ValueError('grid_tokens and joint_tokens are both None, expected one or both')
        of_video = there['grid'] or bool((joint_tokens or {}).get('in_channels', 0))
        if of_video != (cnn is not None):
            raise ValueError(
                'cnn is None, but there are tokens of the video'
                if of_video
                else 'cnn is given, but no tokens are made of what it sees: grid_tokens is None '
                'and joint_tokens.in_channels is 0'
            )
        for name in positions:
            if isinstance(positions, str) or name not in TOKENS or not there[name]:
                raise ValueError(
                    f'positions is {positions!r}, expected some of '
                    f'{tuple(name for name in TOKENS if there[name])}'
                )

    def forward(self, imgs: Tensor | None = None, keypoint: Tensor | None = None) -> Tensor:
        """Class tokens of clips.

        Args:
            imgs: (B, 3, T, H, W), normalised; not needed by a model of skeletons alone.
            keypoint: (B, T, N, 3): x, y in 0..1 of the picture, score, 0 of a missing joint; not
                needed by a model of video alone.

        Returns:
            (B, K, C): CLS_global, CLS_joint and CLS_total, as far as there are; without class
            tokens all tokens, (B, T * S, C).

        Raises:
            ValueError: If an input is missing or has another number of frames.
        """
        x = self.tokens(imgs, keypoint)
        for layer in (*self.encoder, *self.decoder):
            x = layer(x, self.num_frames, len(self.class_token_names))
        return x[:, : len(self.class_token_names)] if self.class_token_names else x

    def tokens(self, imgs: Tensor | None = None, keypoint: Tensor | None = None) -> Tensor:
        """Z, what goes into the first layer.

        Args:
            imgs: As in :meth:`forward`.
            keypoint: As in :meth:`forward`.

        Returns:
            (B, K + T * S, C): class tokens, then the frames, each with its grid tokens first.

        Raises:
            ValueError: As :meth:`forward`.
        """
        tokens, local = [], None
        if self.cnn is not None:
            maps = self.cnn(self._checked(imgs, 'imgs', 2))
            if isinstance(maps, Tensor):  # what mmaction2's networks give for one stage
                maps = (maps,)
            if self.grid_tokens is None and len(maps) > 1:
                raise ValueError(
                    f'cnn gives {len(maps)} maps, but without grid_tokens only the first is used: '
                    'let it give that alone'
                )
            if maps[-1].shape[2] != self.num_frames:
                raise ValueError(
                    f'cnn gives {maps[-1].shape[2]} frames, expected {self.num_frames}, as many as '
                    'go in: its strides in time have to be 1'
                )
            if self.grid_tokens is not None:
                tokens.append(self._placed(self.grid_tokens(maps[-1]), 'grid'))
            local = maps[0]
        if self.joint_tokens is not None:
            keypoint = self._checked(keypoint, 'keypoint', 1)
            if not self.joint_tokens.in_channels:
                local = None
            tokens.append(self._placed(self.joint_tokens(keypoint, local), 'joint'))
        x = torch.cat(tokens, dim=2).flatten(1, 2)  # (B, T*S, C)
        if not self.class_token_names:
            return x
        classes = torch.cat([self.class_tokens[name] for name in self.class_token_names], dim=1)
        return torch.cat([classes.to(x.dtype).expand(len(x), -1, -1), x], dim=1)

    def _checked(self, value: Tensor | None, name: str, axis: int) -> Tensor:
        """The input, of which the axis counts the frames."""
        if value is None:
            raise ValueError(f'{name} is missing: this model needs it')
        if value.shape[axis] != self.num_frames:
            raise ValueError(f'{name} has {value.shape[axis]} frames, expected {self.num_frames}')
        return value

    def _placed(self, tokens: Tensor, name: str) -> Tensor:
        """With the position embedding, if these tokens have one."""
        if name not in self.positions:
            return tokens
        position = self.positions[name]
        if position.shape[2] != tokens.shape[2]:
            raise ValueError(
                f'there are {tokens.shape[2]} {name} tokens a frame, expected {position.shape[2]}'
            )
        return tokens + position


def _parameter(*shape: int) -> nn.Parameter:
    """A learned embedding that is not drowned by normalised tokens, of standard deviation 1."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.5))
