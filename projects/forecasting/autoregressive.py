"""STCFormer-autoregressive: each pose is forecast from the model's forecast of the one before."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor

from projects.forecasting.attention import PastFrames
from projects.forecasting.forecaster import check_sizes
from projects.forecasting.losses import joint_errors
from projects.forecasting.stcformer import STCFormer

START_TOKEN = (0.0, 1.0)
"""Of the first frame; of all others (0, 0). An end, which the document does without, is (1, 0)."""


@MODELS.register_module()
class STCFormerAutoregressive(STCFormer):
    """STCFormer whose decoder reads the pose before the one it forecasts.

    The decoder reads s_0 ... s_(T' - 1): s_0 is the last observed pose with the start token [0, 1]
    appended to the numbers of each joint, s_i the i-th future pose with [0, 0]. From s_0 ... s_i
    it forecasts pose i + 1, and the token of s_i. (Document, STCFormer-autoregressive.)

    - Training feeds the true future, all frames in one pass under the triangular mask: teacher
      forcing. Validation, test and inference feed the model's own forecast with [0, 0], frame by
      frame; the forecast token is not used, for the number of frames is fixed and the document
      needs no end token.
    - The document does not say whose token an output carries. Here it is the token of the frame
      read ("predicting whether a frame is a starting frame", one frame of each entry labelled so):
      [0, 1] of the first output, [0, 0] of the others. Were it that of the frame forecast, all
      would be [0, 0], with nothing to learn.
    - What is fed back is the position. With ``displacement_input``, the decoder is shown, as the
      encoder is, the displacement from the last observed pose beside it: 8 numbers a joint. The
      document's 5, coordinates and token, are without.

    A model that was only ever fed the truth learns to copy the last pose it read, as frames are
    40 ms apart, and errors add up in a rollout. Two options train on the model's own forecasts:
    ``scheduled_sampling`` (Bengio et al., NeurIPS 2015; without a loop over frames as in Mihaylova
    and Martins, ACL SRW 2019, and Duckworth et al., 2019) and ``train_rollout``. The document has
    neither.

    In a rollout each decoder block keeps the keys and values of its frames, so that a step costs
    one frame, not all frames so far; those of the memory are computed once.

    Args:
        num_joints: Joints J.
        token_loss_weight: Factor of the loss of the tokens, the mean L2 distance from the true
            ones. That of the positions' is in ``loss``.
        scheduled_sampling: None, or a dict with ``probability`` of a future frame to be replaced by
            the model's own forecast in training, and optionally ``warmup_steps``, training steps
            over which it grows from 0, 0 by default, and ``num_passes`` through the decoder for
            that forecast, 1 by default: the first reads true frames only, each further one the
            frames mixed so far. With probability 1 and T' - 1 passes it is a rollout.
        train_rollout: Train on the rollout with gradients through all its steps: slower, and
            exactly what is tested.
        kwargs: Further options of :class:`STCFormer`, except ``decoder_query``.

    Raises:
        ValueError: If an option is unknown, out of range, or excludes another.
    """

    def __init__(
        self,
        num_joints: int,
        token_loss_weight: float = 1.0,
        scheduled_sampling: dict[str, Any] | None = None,
        train_rollout: bool = False,
        **kwargs: Any,
    ) -> None:
        if 'decoder_query' in kwargs:
            raise ValueError(
                f'decoder_query is {kwargs["decoder_query"]!r}, but an autoregressive decoder '
                'always reads the frames before'
            )
        super().__init__(num_joints, decoder_query='shifted_future', **kwargs)
        if scheduled_sampling is not None and train_rollout:
            raise ValueError('scheduled_sampling and train_rollout exclude each other')
        self.token_loss_weight = token_loss_weight
        self.train_rollout = train_rollout
        self.sampling = None if scheduled_sampling is None else _sampling(**scheduled_sampling)
        tokens = torch.zeros(self.num_frames_out, 1, 2)
        tokens[0] = torch.tensor(START_TOKEN)
        self.register_buffer('tokens', tokens, persistent=False)  # (T', 1, 2)
        if self.sampling is not None:
            # in checkpoints, so that a resumed training goes on where it was
            self.register_buffer('training_steps', torch.zeros((), dtype=torch.long))

    @property
    def query_channels(self) -> int:
        """Numbers of each joint that the decoder reads: as the encoder, and the token."""
        return self.in_channels + 2

    @property
    def out_channels(self) -> int:
        """Numbers of each joint that the decoder gives: coordinates and token."""
        return 3 + 2

    @property
    def sees_future(self) -> bool:
        """Never when it is tested."""
        return False

    def displacements(self, seen: Tensor, observed: Tensor, target: Tensor | None) -> Tensor:
        """The rollout, see :meth:`PoseForecaster.displacements`; the target is not used."""
        return self.roll_out(self.memory(seen), observed)[..., :3]

    def losses(self, observed: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Losses of positions and tokens; arguments as in :meth:`forward`."""
        poses = self._query(observed, target)  # checks the target's shape
        memory = self.memory(self.seen(observed))
        if self.train_rollout:
            output = self.roll_out(memory, observed)
        else:
            if self.sampling is not None and self.training:
                poses = self._sample(poses, observed, memory)
            output = self.decode(self.decoder_input(poses, observed), memory)
        tokens = self.tokens.expand(*output.shape[:-1], -1)
        return dict(
            loss_position=self.loss(self.positions(output[..., :3], observed), target),
            loss_token=self.token_loss_weight * joint_errors(output[..., 3:], tokens).mean(),
        )

    def decoder_input(self, poses: Tensor, observed: Tensor, first_frame: int = 0) -> Tensor:
        """What the decoder reads.

        Args:
            poses: (B, F, J, 3) millimetres: of F frames, the last observed or future ones.
            observed: (B, T, J, 3) millimetres.
            first_frame: The first one's place, 0 of the last observed.

        Returns:
            (B, F, J, ``query_channels``) in the network's unit, the token last.
        """
        B, F, J, _ = poses.shape
        # the last of what is seen is what displacements are from
        numbers = self.seen(torch.cat([poses, observed[:, -1:]], dim=1))[:, :-1]
        tokens = self.tokens[first_frame : first_frame + F].expand(B, F, J, 2)
        return torch.cat([numbers, tokens], dim=-1)

    def roll_out(self, memory: Tensor, observed: Tensor) -> Tensor:
        """Decode frame by frame, each from the forecast of the one before.

        With gradients enabled it can be differentiated, through what is fed back too.

        Args:
            memory: (B, T', J, C), see :meth:`memory`.
            observed: (B, T, J, 3) millimetres.

        Returns:
            (B, T', J, 5): the network's coordinates and tokens.
        """
        memories = [block.cross_attention.project(memory) for block in self.decoder]
        pasts = [PastFrames(self.num_frames_out) for _ in self.decoder]
        pose = observed[:, -1:]
        outputs = []
        for frame in range(self.num_frames_out):
            x = self.embed(self.decoder_input(pose, observed, frame), frame)  # (B, 1, J, C)
            for block, read, past in zip(self.decoder, memories, pasts, strict=True):
                x = block(x, read.at(frame), past)
            outputs.append(self.head(self.decoder_norm(x)))  # (B, 1, J, 5)
            pose = self.positions(outputs[-1][..., :3], observed)
        return torch.cat(outputs, dim=1)

    @torch.no_grad()
    def _sample(self, poses: Tensor, observed: Tensor, memory: Tensor) -> Tensor:
        """Replace some of the poses that the decoder reads by its own forecasts of them."""
        probability, warmup_steps, num_passes = self.sampling
        if warmup_steps:
            probability = probability * (self.training_steps / warmup_steps).clamp(max=1)
        self.training_steps += 1
        # the last observed pose stays
        own = torch.rand(*poses.shape[:2], 1, 1, device=poses.device) < probability
        own[:, 0] = False
        mixed = poses
        for _ in range(num_passes):
            output = self.decode(self.decoder_input(mixed, observed), memory)
            forecast = self.positions(output[:, :-1, :, :3], observed)
            mixed = torch.where(own, torch.cat([poses[:, :1], forecast], dim=1), poses)
        return mixed


def _sampling(
    probability: float, warmup_steps: int = 0, num_passes: int = 1
) -> tuple[float, int, int]:
    """The options of scheduled sampling, checked."""
    if not 0 <= probability <= 1:
        raise ValueError(f'probability is {probability}, expected 0 to 1')
    if warmup_steps < 0:
        raise ValueError(f'warmup_steps is {warmup_steps}, expected 0 or more')
    check_sizes(num_passes=num_passes)
    return probability, warmup_steps, num_passes
