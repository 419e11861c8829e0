"""PoseRAC: a pose goes through a transformer encoder and a linear layer to per-class scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn

from projects.poserac.counting import count_repetitions, predict_class

ATTENTION = ('pose', 'batch')
SALIENT_STATES = ('shared', 'separate')


@MODELS.register_module()
class PoseRAC(BaseModel):
    """Per-class saliency of a pose (document "PoseRAC", section 1).

    The coordinates of a pose, min-max normalised, are one vector of J * D numbers. A transformer
    encoder maps it to an embedding of the same length and a linear layer to the classes' scores: 1
    is the class's salient pose I (arms up, bottom of the squat), 0 its salient pose II. With no
    layers the linear layer reads the coordinates themselves (section 2).

    ``state_dict`` has the layout of the published checkpoint (``transformer_encoder.layers.0...``,
    ``fc1``).

    Args:
        num_classes: Number of action classes C.
        num_joints: Joints of a pose J.
        dims: Coordinates of a joint D.
        num_layers: Encoder layers; 0 for the linear layer alone.
        num_heads: Attention heads, a divisor of J * D. They share out what a pose attends to: with
            ``attention='pose'`` there is one thing, and their number only changes the dropout.
        feedforward_channels: Width of the layers' feed-forward part.
        dropout: Dropout in the layers.
        attention: What a pose attends to. ``'pose'``: itself alone, so that a frame scores the
            same whatever else is in the batch, in training as in a stream. ``'batch'``: all poses
            of the batch, which is what the original code does: it hands the encoder the batch as
            if it were a sequence, so that 16 shuffled poses in training and the whole video in
            testing attend to one another, and a frame's score depends on its company.
        norm_first: Normalise before attention and feed-forward instead of after, and once behind
            the last layer. What keeps encoders of 10 and more layers trainable.
        salient_states: ``'shared'``: C outputs; salient pose II of every class is the same vector
            of zeros, as in the original, and the class is read from the poses I alone.
            ``'separate'``: 2C outputs, the poses I of all classes and then their poses II; the
            class can be read from every frame, and the score within a class is the share of I.
        loss: Classification loss: ``'bce'``, as in the document, or ``'softmax'``, cross entropy
            over the 2C salient poses, for ``salient_states='separate'`` alone.
        label_smoothing: Of ``loss='softmax'``.
        metric_loss: Config of the metric-learning loss on the embeddings, or None.
        alpha: Share of the metric loss: ``alpha * metric + (1 - alpha) * classification``.
        enter_threshold: See :func:`projects.poserac.counting.count_repetitions`.
        exit_threshold: See :func:`projects.poserac.counting.count_repetitions`.
        momentum: See :func:`projects.poserac.counting.count_repetitions`.
        max_poses: Poses scored at once in testing, which bounds the memory of long videos.
        data_preprocessor: Config of the data preprocessor.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: If an option is not one of the allowed, or the heads do not divide the input.
    """

    def __init__(
        self,
        num_classes: int,
        num_joints: int = 33,
        dims: int = 3,
        num_layers: int = 6,
        num_heads: int = 9,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        attention: str = 'pose',
        norm_first: bool = False,
        salient_states: str = 'shared',
        loss: str = 'bce',
        label_smoothing: float = 0.0,
        metric_loss: dict | None = None,
        alpha: float = 0.01,
        enter_threshold: float = 0.78,
        exit_threshold: float = 0.4,
        momentum: float = 0.4,
        max_poses: int = 16384,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        channels = num_joints * dims
        losses = ('bce', 'softmax') if salient_states == 'separate' else ('bce',)
        for name, value, allowed in (
            ('attention', attention, ATTENTION),
            ('salient_states', salient_states, SALIENT_STATES),
            ('loss', loss, losses),
        ):
            if value not in allowed:
                raise ValueError(
                    f'{name} is {value!r}, expected one of {allowed}'
                    + (f' with salient_states={salient_states!r}' if name == 'loss' else '')
                )
        for name, value, least in (
            ('num_classes', num_classes, 1),
            ('num_joints', num_joints, 1),
            ('dims', dims, 1),
            ('num_layers', num_layers, 0),
            ('num_heads', num_heads, 1),
            ('feedforward_channels', feedforward_channels, 1),
            ('max_poses', max_poses, 1),
        ):
            if value < least:
                raise ValueError(f'{name} is {value}, expected at least {least}')
        if num_layers and channels % num_heads:
            heads = [heads for heads in range(1, channels + 1) if channels % heads == 0]
            raise ValueError(
                f'num_heads is {num_heads}, but {num_joints} joints of {dims} numbers can be '
                f'shared by {heads} heads only'
            )
        for name, value in (
            ('alpha', alpha),
            ('dropout', dropout),
            ('label_smoothing', label_smoothing),
        ):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} is {value}, expected a number from 0 to 1')
        if label_smoothing and loss != 'softmax':
            raise ValueError(
                f"label_smoothing is {label_smoothing}, but only loss='softmax' has it"
            )
        self.num_classes = num_classes
        self.num_joints = num_joints
        self.dims = dims
        self.attention = attention
        self.salient_states = salient_states
        self.loss_type = loss
        self.label_smoothing = label_smoothing
        self.alpha = alpha
        self.thresholds = dict(
            enter_threshold=enter_threshold, exit_threshold=exit_threshold, momentum=momentum
        )
        count_repetitions(np.zeros((0, 1)), **self.thresholds)  # refuses bad ones before training
        self.max_poses = max_poses
        if num_layers:
            layer = nn.TransformerEncoderLayer(
                channels,
                num_heads,
                feedforward_channels,
                dropout,
                batch_first=True,
                norm_first=norm_first,
            )
            self.transformer_encoder = nn.TransformerEncoder(
                layer,
                num_layers,
                norm=nn.LayerNorm(channels) if norm_first else None,
                enable_nested_tensor=False,  # there is no padding to nest away
            )
        else:
            self.transformer_encoder = nn.Identity()
        self.fc1 = nn.Linear(channels, num_classes * (2 if salient_states == 'separate' else 1))
        self.metric_loss = None if metric_loss is None else MODELS.build(metric_loss)

    def embed(self, poses: Tensor) -> Tensor:
        """Embeddings of poses.

        Args:
            poses: (B, J, D) normalised, without missing values.

        Returns:
            (B, J * D).

        Raises:
            ValueError: If the poses are not of J joints and D numbers.
        """
        if poses.ndim != 3 or poses.shape[1:] != (self.num_joints, self.dims):
            raise ValueError(
                f'poses have shape {tuple(poses.shape)}, expected (B, {self.num_joints}, '
                f'{self.dims}): does num_joints of the model fit the layout of the data?'
            )
        vectors = poses.flatten(1)  # (B, J * D)
        if self.attention == 'batch':
            return self.transformer_encoder(vectors[None])[0]
        return self.transformer_encoder(vectors[:, None])[:, 0]

    def forward(
        self,
        poses: Tensor | Sequence[Tensor],
        mode: str = 'tensor',
        label: Tensor | None = None,
        state: Tensor | None = None,
        meta: Any = None,
    ) -> Any:
        """Run the model as mmengine's loops do.

        Args:
            poses: (B, J, D) normalised poses; or, to predict, a list of sequences (T, J, D), NaN
                where the pose is missing.
            mode: ``'loss'``: the losses; ``'predict'``: for sequences what :meth:`count` gives,
                for single poses what :meth:`classify` gives; ``'tensor'``: the logits (B, C), or
                (B, 2C) for separate salient states.
            label: (B,) class indices.
            state: (B,) 0 for salient pose I and 1 for II.
            meta: Passed over.

        Raises:
            ValueError: If the mode is unknown.
        """
        if mode == 'loss':
            return self.loss(poses, label, state)
        if mode == 'tensor':
            return self.fc1(self.embed(poses))
        if mode != 'predict':
            raise ValueError(f"mode is {mode!r}, expected 'loss', 'predict' or 'tensor'")
        if isinstance(poses, Tensor):
            return self.classify(poses, label, state)
        return self.count(poses)

    def targets(self, label: Tensor, state: Tensor) -> Tensor:
        """Targets of the outputs.

        Args:
            label: (B,) class indices.
            state: (B,) 0 for salient pose I and 1 for II.

        Returns:
            (B, C) one-hot for salient pose I and zeros for II; (B, 2C) one-hot for separate
            salient states.
        """
        if self.salient_states == 'separate':
            return F.one_hot(label + self.num_classes * state, 2 * self.num_classes).float()
        return F.one_hot(label, self.num_classes).float() * (state == 0)[:, None]

    def classification_loss(self, logits: Tensor, label: Tensor, state: Tensor) -> Tensor:
        """The classification loss of each pose.

        Args:
            logits: (B, C) or (B, 2C).
            label: (B,) class indices.
            state: (B,) 0 for salient pose I and 1 for II.

        Returns:
            (B,) binary cross entropy, mean over the outputs; or cross entropy.
        """
        logits = logits.float()
        if self.loss_type == 'softmax':
            target = label + self.num_classes * state
            smoothing = self.label_smoothing if self.training else 0.0
            return F.cross_entropy(logits, target, label_smoothing=smoothing, reduction='none')
        target = self.targets(label, state)
        return F.binary_cross_entropy_with_logits(logits, target, reduction='none').mean(dim=1)

    def loss(self, poses: Tensor, label: Tensor, state: Tensor) -> dict[str, Tensor]:
        """Losses of a batch of salient poses; see :meth:`forward` for the arguments.

        For the metric loss the salient poses II of each class are a class of their own.

        Returns:
            ``loss_classify`` and, if there is one, ``loss_metric``, weighted by alpha.

        Raises:
            ValueError: If a label is none of the model's classes.
        """
        if int(label.max()) >= self.num_classes:
            raise ValueError(
                f'the batch holds class {int(label.max())}, but num_classes of the model is '
                f'{self.num_classes}: set it to the number of classes of the data'
            )
        embeddings = self.embed(poses)  # (B, J * D)
        classify = self.classification_loss(self.fc1(embeddings), label, state).mean()
        if self.metric_loss is None:
            return dict(loss_classify=classify)
        metric = self.metric_loss(embeddings, 2 * label + state)
        return dict(
            loss_classify=(1 - self.alpha) * classify,
            loss_metric=self.alpha * metric,
        )

    @torch.no_grad()
    def classify(
        self, poses: Tensor, label: Tensor | None = None, state: Tensor | None = None
    ) -> list[dict[str, Any]]:
        """Class and state of single poses; see :meth:`forward` for the arguments.

        Returns:
            B dicts: ``logits`` (C,) or (2C,), ``label`` and ``state`` as predicted (of shared
            states the label of a salient pose II is -1: it cannot be known) and, where the truth
            is given, ``loss``.
        """
        logits = self.fc1(self.embed(poses)).float()
        if self.salient_states == 'separate':
            best = logits.argmax(dim=1)
            labels, states = best % self.num_classes, best // self.num_classes
        else:
            highest, best = logits.max(dim=1)
            states = (highest <= 0).long()  # no class's salient pose I
            labels = torch.where(states == 0, best, -1)
        results = [
            dict(logits=logit, label=label, state=state)
            for logit, label, state in zip(
                logits.cpu(), labels.tolist(), states.tolist(), strict=True
            )
        ]
        if label is not None and state is not None:
            losses = self.classification_loss(logits, label, state).tolist()
            for result, loss in zip(results, losses, strict=True):
                result['loss'] = loss
        return results

    def score(self, poses: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Scores of poses, each on its own unless poses attend to the batch.

        Args:
            poses: (B, J, D) normalised, NaN where a pose is missing.

        Returns:
            (B, C) in [0, 1], how much a pose is salient pose I rather than II of each class; and
            for separate salient states (B, C) each, how much it is salient pose I, and II, of each
            class rather than of any other, else None. Float32, NaN where the pose is missing.
        """
        present = torch.isfinite(poses).flatten(1).all(dim=1)  # (B,)

        def spread(values: Tensor) -> Tensor:
            """Values of the poses present, (B, C) with the others NaN."""
            result = values.new_full((len(poses), values.shape[1]), torch.nan)
            result[present] = values
            return result

        seen = poses[present]
        whole = len(seen) if self.attention == 'batch' else self.max_poses
        parts = [self.fc1(self.embed(part)) for part in seen.split(max(whole, 1)) if len(part)]
        logits = torch.cat([*parts, self.fc1.weight.new_zeros(0, len(self.fc1.weight))]).float()
        if self.salient_states == 'shared':
            return spread(logits.sigmoid()), None, None
        softmax = self.loss_type == 'softmax'
        log_shares = logits.log_softmax(dim=1) if softmax else F.logsigmoid(logits)
        first, second = log_shares.chunk(2, dim=1)  # (B', C) each
        share = (first - second).sigmoid()  # p(I) / (p(I) + p(II)), without 0 / 0
        return spread(share), spread(first.exp()), spread(second.exp())

    @torch.no_grad()
    def count(self, sequences: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Count the repetitions in sequences of poses.

        The model should be in evaluation mode: in training mode dropout changes the scores.

        Args:
            sequences: (T, J, D) normalised poses each, NaN where the pose is missing.

        Returns:
            A dict a sequence: ``scores`` (T, C) float32 array, salient pose I rather than II;
            ``class_scores``, of separate salient states, (T, C) how much a frame is either pose of
            a class, else None; ``counts`` (C,) int64, of every class; ``predicted_label``, the
            class that the sequence shows, -1 if no frame has a pose; ``thresholds``.
        """
        if not sequences:
            return []
        lengths = [len(sequence) for sequence in sequences]
        if self.attention == 'batch':
            parts = [self.score(sequence) for sequence in sequences]
        else:
            together = self.score(torch.cat(list(sequences)))
            split = [
                [None] * len(lengths) if values is None else values.split(lengths)
                for values in together
            ]
            parts = list(zip(*split, strict=True))
        results = []
        for part in parts:
            scores, first, second = (
                None if values is None else values.cpu().numpy() for values in part
            )
            if first is None:
                label = predict_class(scores, enter_threshold=self.thresholds['enter_threshold'])
            else:
                label = predict_class(first, second)
            results.append(
                dict(
                    scores=scores,
                    class_scores=None if first is None else first + second,
                    counts=count_repetitions(scores, **self.thresholds),
                    predicted_label=label,
                    thresholds=dict(self.thresholds),
                )
            )
        return results
