"""The head that gives any heatmap head of mmpose a presence score for every keypoint."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.utils.tta import flip_visibility
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from projects.presence.presence_net import KeypointPresenceNet

SCORES = ('heatmap', 'presence', 'product')


@MODELS.register_module()
class KeypointPresenceHead(BaseHead):
    """A heatmap head whose heatmaps also tell whether each keypoint is there.

    Document 002, section 3 and Figure 3. The pose head predicts, and is trained, as it is without
    this one; its heatmaps, computed once, go through :class:`KeypointPresenceNet`. The losses of
    both add up; ``loss_weight`` of each weights them.

    The checkpoint of a model whose head is the pose head alone loads as it is.

    A prediction gains ``keypoints_presence``, (1, K) float32, the probability that the keypoint is
    there. mmpose's ``keypoints_visible`` is the same, so that its own visualizer follows.

    The truth is ``gt_instance_labels.keypoint_presence`` with ``keypoint_presence_weights``, as
    :class:`projects.presence.transforms.KeypointPresenceTarget` makes them; in a pipeline without
    that transform a keypoint is present where its weight for the heatmaps is positive, which is:
    labelled and inside of the input.

    Args:
        pose_head: Config of the heatmap head, such as mmpose's ``HeatmapHead``. Of a head of
            several stages the last stage's heatmaps are used.
        hidden_channels: See :class:`KeypointPresenceNet`; so are the next two.
        pool: Side of the max pooling's windows.
        dropout: Share that is dropped in training.
        loss: Config of the loss of presence.
        detach_heatmaps: Whether the loss of presence leaves heatmaps and backbone alone.
        keypoint_scores: What ``keypoint_scores`` of a prediction are: the ``heatmap`` maxima as
            ever, ``presence``, or the ``product`` of both. This changes COCO's AP: with
            ``score_mode='bbox_keypoint'`` mmpose's ``CocoMetric`` ranks people by the score of the
            box times the mean of those ``keypoint_scores`` that are above its
            ``keypoint_score_thr``, 0.2, so other people rank first and other keypoints count.
            Unless they are the maxima, these are kept as ``keypoint_heatmap_scores``.
        num_keypoints: K; if None the pose head's ``out_channels``.
        heatmap_size: Width and height of the heatmaps; if None the ``heatmap_size`` of the pose
            head's decoder.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: If an option is not one of the allowed, or K or the size cannot be found.
    """

    def __init__(
        self,
        pose_head: dict[str, Any],
        hidden_channels: int = 128,
        pool: int = 4,
        dropout: float = 0.4,
        loss: dict[str, Any] | None = None,
        detach_heatmaps: bool = False,
        keypoint_scores: str = 'heatmap',
        num_keypoints: int | None = None,
        heatmap_size: Sequence[int] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if keypoint_scores not in SCORES:
            raise ValueError(f'keypoint_scores is {keypoint_scores!r}, expected one of {SCORES}')
        self.pose_head = MODELS.build(pose_head)
        # of UDP's combined maps every third is a heatmap, those between are offsets
        self.stride = 3 if getattr(self.decoder, 'heatmap_type', None) == 'combined' else 1
        channels = getattr(self.pose_head, 'out_channels', None)
        found = {
            'num_keypoints': num_keypoints or (channels and channels // self.stride),
            'heatmap_size': heatmap_size or getattr(self.decoder, 'heatmap_size', None),
        }
        for name, value in found.items():
            if value is None:
                kind = type(self.pose_head).__name__
                raise ValueError(f'{name} is not given, and {kind} with its decoder has none')
        self.presence_net = KeypointPresenceNet(
            found['num_keypoints'],
            tuple(int(size) for size in found['heatmap_size']),
            hidden_channels=hidden_channels,
            pool=pool,
            dropout=dropout,
        )
        self.loss_module = MODELS.build(loss or dict(type='KeypointPresenceLoss'))
        self.detach_heatmaps = detach_heatmaps
        self.keypoint_scores = keypoint_scores

        self._register_load_state_dict_pre_hook(self._accept_pose_head)

    def _accept_pose_head(self, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        """Take the weights of a model without presence as those of the pose head.

        So mmpose's published checkpoints load as they are; the presence networks stay as they were.
        """
        names = [name for name in state_dict if name.startswith(prefix)]
        own = (f'{prefix}pose_head.', f'{prefix}presence_net.')
        if any(name.startswith(own) for name in names):
            return
        for name in names:
            state_dict[f'{prefix}pose_head.{name.removeprefix(prefix)}'] = state_dict.pop(name)

    @property
    def decoder(self) -> Any:
        """The pose head's codec, None if it has none; what runs a model looks for it here."""
        return getattr(self.pose_head, 'decoder', None)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Any, Tensor]:
        """Heatmaps and presence.

        Args:
            feats: Feature maps of the backbone or neck.

        Returns:
            What the pose head's ``forward`` returns, and logits of presence (B, K).
        """
        outputs = _float(self.pose_head.forward(feats))
        heatmaps = _last(outputs)[:, :: self.stride]
        return outputs, self.presence_net(heatmaps.detach() if self.detach_heatmaps else heatmaps)

    def loss(
        self,
        feats: tuple[Tensor, ...],
        batch_data_samples: list[PoseDataSample],
        train_cfg: dict[str, Any] | None = None,
    ) -> dict[str, Tensor]:
        """The pose head's losses, and ``loss_presence`` with its accuracy at 0.5.

        Args:
            feats: Feature maps.
            batch_data_samples: With ``gt_instance_labels``, see the class.
            train_cfg: The model's.
        """
        outputs, logits = self.forward(feats)
        head = self._given([feats], [outputs])
        losses = head.loss(feats, batch_data_samples, train_cfg or {})
        target, known = presence_truth(batch_data_samples, self.presence_net.num_keypoints)
        target, known = target.to(logits.device), known.to(logits.device)
        losses['loss_presence'] = self.loss_module(logits, target, known)
        right = ((logits > 0) == (target > 0.5)) * (known > 0)
        losses['acc_presence'] = right.sum() / (known > 0).sum().clamp(min=1)
        return losses

    def predict(
        self,
        feats: Any,
        batch_data_samples: list[PoseDataSample],
        test_cfg: dict[str, Any] | None = None,
    ) -> list[InstanceData] | tuple[list[InstanceData], list[PixelData]]:
        """The pose head's predictions with presence.

        Args:
            feats: Feature maps; with ``flip_test`` those of the image and of its mirror image,
                whose probabilities are averaged.
            batch_data_samples: Their samples.
            test_cfg: The model's.

        Returns:
            As the pose head's ``predict``.
        """
        test_cfg = test_cfg or {}
        flips = test_cfg.get('flip_test', False)
        inputs = feats if flips else [feats]
        outputs, logits = zip(*(self.forward(one) for one in inputs), strict=True)
        presence = [one.float().sigmoid() for one in logits]
        if flips:
            flip_indices = batch_data_samples[0].metainfo['flip_indices']
            presence = [(presence[0] + flip_visibility(presence[1], flip_indices)) / 2]
        predictions = self._given(inputs, outputs).predict(feats, batch_data_samples, test_cfg)
        instances = predictions[0] if isinstance(predictions, tuple) else predictions
        rows = presence[0].detach().cpu().numpy()[:, None]
        for instance, row in zip(instances, rows, strict=True):
            instance.keypoints_presence = row
            instance.keypoints_visible = row
            if self.keypoint_scores != 'heatmap':
                maxima = instance.keypoint_scores
                # a name that mmpose's output_keypoint_indices knows as one of keypoints
                instance.keypoint_heatmap_scores = maxima
                instance.keypoint_scores = (
                    row if self.keypoint_scores == 'presence' else row * maxima
                )
        return predictions

    def _given(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> nn.Module:
        """The pose head, whose ``forward`` of these inputs is known.

        The ``loss`` and ``predict`` of mmpose's heads call their own ``forward``. A shallow copy,
        which shares all weights, hands out what is computed instead of computing it again.
        """
        known = {id(one): output for one, output in zip(inputs, outputs, strict=True)}
        head = copy.copy(self.pose_head)
        head.forward = lambda feats: known[id(feats)]
        return head


def _float(outputs: Any) -> Any:
    """All tensors in float32: mmpose's heads hand them to numpy, which has no bfloat16."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    return type(outputs)(_float(one) for one in outputs)


def _last(outputs: Any) -> Tensor:
    """The heatmaps of a head: of several stages the last one's."""
    while not isinstance(outputs, Tensor):
        outputs = outputs[-1]
    return outputs


def presence_truth(samples: Sequence[PoseDataSample], num_keypoints: int) -> tuple[Tensor, Tensor]:
    """Which keypoints are there, and of which it is known.

    Args:
        samples: B samples of one person each.
        num_keypoints: K.

    Returns:
        Target and weight, (B, K) float32 each.

    Raises:
        ValueError: If only some of the samples have ``keypoint_presence``.
    """
    labels = [sample.gt_instance_labels for sample in samples]
    stated = ['keypoint_presence' in label for label in labels]
    if not any(stated):
        weights = [label.keypoint_weights.reshape(-1, num_keypoints)[-1] for label in labels]
        target = (torch.stack(weights) > 0).float()
        return target, torch.ones_like(target)
    if not all(stated):
        path = samples[stated.index(False)].metainfo.get('img_path')
        raise ValueError(
            f'{path}: no keypoint_presence, but other samples of the batch have it; expected '
            'KeypointPresenceTarget in the pipelines of all data sets or of none'
        )
    # of several encoders all labels are repeated, see KeypointPresenceTarget
    target, known = (
        torch.stack([label[name].reshape(-1, num_keypoints)[-1] for label in labels])
        for name in ('keypoint_presence', 'keypoint_presence_weights')
    )
    return target, known
