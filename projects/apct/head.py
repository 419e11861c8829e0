"""The parsing head: person score, person box, part boxes and states of all queries and layers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmcv.cnn.bricks.transformer import FFN
from mmdet.models.dense_heads import DETRHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmdet.utils import reduce_mean
from mmengine.model import ModuleList, bias_init_with_prob, constant_init
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional

from projects.apct.matching import Matches, boxes_of_images, check_truth, match_persons


class APCTOutputs(NamedTuple):
    """What the L layers predict for the N queries of B images."""

    cls_scores: Tensor
    """(L, B, N, 2) logits: person, background."""
    bbox_preds: Tensor
    """(L, B, N, 4) person boxes, (cx, cy, w, h) in 0..1."""
    part_preds: Tensor | None
    """(L, B, N, K, 4) part boxes, (cx, cy, w, h) in 0..1."""
    state_logits: Tensor | None
    """(L, B, N, K, S)."""
    embeddings: Tensor
    """(B, N, C) instance embeddings of the last layer."""


class Branch(nn.Module):
    """Numbers from instance embeddings, with the layers of ``DETRHead``'s regression.

    Args:
        embed_dims: C.
        out_dims: Numbers an instance.
        num_fcs: Layers of the feed-forward network.
    """

    def __init__(self, embed_dims: int, out_dims: int, num_fcs: int) -> None:
        super().__init__()
        self.ffn = FFN(embed_dims, embed_dims, num_fcs, ffn_drop=0.0, add_identity=False)
        self.fc = nn.Linear(embed_dims, out_dims)

    def forward(self, embeddings: Tensor) -> Tensor:
        """(..., C) to (..., out_dims)."""
        return self.fc(functional.relu(self.ffn(embeddings)))


@MODELS.register_module()
class APCTHead(DETRHead):
    """DETR's head with a cascade, part boxes, part states and their refinement (section 2.1).

    Each of the four can be switched off; with all off it is mmdet's ``DETRHead``, weights by the
    same names included. It works in any DETR of mmdet; the refinement, which needs a feature map,
    and a decoder that is conditioned on the cascade come with the detector ``APCT``.

    In a cascade a layer predicts offsets to the boxes of the layer before, in the logits of
    (cx, cy, w, h) relative to the image: zero before the first layer. The first layer's regression
    is ``DETRHead``'s own; the others have one each, which starts at zero offset.

    Args:
        num_classes: Classes of instances, 1 for persons.
        num_parts: K, 0 for none.
        num_states: S, 0 for none.
        num_layers: L, layers of the decoder.
        cascade: Layers predict offsets to the boxes of the layer before.
        detach_references: A layer's box losses do not reach the layers before through the boxes
            that its offsets are added to. Then every layer learns to correct what it is given.
            Without, the first layers' boxes get the gradients of all layers' losses at once, which
            pull them towards the last layer's needs and away from a good start for the next. (What
            a conditioned decoder makes of a box as the query's position stays differentiable.)
        part_boxes: Predict part boxes.
        part_states: Predict part states.
        refinement: Config of the ``PartStateRefinement``; its ``num_parts``, ``num_states`` and
            ``embed_dims`` are the head's.
        pretrained_class: Row of the classifier in a checkpoint with more classes that starts the
            person's, 0 in COCO; the last row is background in both.
        loss_cls: Loss of the person score. ``bg_cls_weight`` is the weight of background.
        loss_bbox: Loss of person boxes, relative to the image.
        loss_iou: Loss of person boxes in pixels; None for none, as in equation 1.
        loss_part_bbox: Loss of part boxes, relative to the image; summed over the four numbers and
            averaged over the parts.
        loss_part_state: Loss of part states.
        loss_refine: Loss of refined part states.
        kwargs: Of ``DETRHead``.

    Raises:
        ValueError: If options contradict one another.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1,
        num_parts: int = 0,
        num_states: int = 0,
        num_layers: int = 6,
        cascade: bool = True,
        detach_references: bool = True,
        part_boxes: bool = True,
        part_states: bool = True,
        refinement: dict | None = None,
        pretrained_class: int = 0,
        loss_cls: dict | None = None,
        loss_bbox: dict | None = None,
        loss_iou: dict | None = None,
        loss_part_bbox: dict | None = None,
        loss_part_state: dict | None = None,
        loss_refine: dict | None = None,
        **kwargs: Any,
    ) -> None:
        for name, value in dict(num_parts=num_parts, num_states=num_states).items():
            if not isinstance(value, int) or value < 0:
                raise ValueError(f'{name} is {value!r}, expected a whole number of 0 or more')
        self.num_parts = num_parts
        self.num_states = num_states
        self.num_layers = num_layers
        self.cascade = cascade
        self.detach_references = detach_references
        self.with_part_boxes = part_boxes and num_parts > 0
        self.with_part_states = part_states and num_parts > 0 and num_states > 0
        if refinement and not (self.with_part_boxes and self.with_part_states):
            raise ValueError(
                f'refinement needs part boxes and part states, but num_parts is {num_parts}, '
                f'num_states {num_states}, part_boxes {part_boxes}, part_states {part_states}'
            )
        self.pretrained_class = pretrained_class
        loss_cls = dict(loss_cls or dict(type='CrossEntropyLoss', bg_cls_weight=0.1))
        if loss_cls.get('use_sigmoid', False):
            raise ValueError('loss_cls.use_sigmoid is True, but background is a class here')
        background = float(loss_cls.pop('bg_cls_weight', 1.0))
        person = float(loss_cls.pop('class_weight', 1.0))
        loss_cls['class_weight'] = [person] * num_classes + [background]
        super().__init__(
            num_classes=num_classes,
            loss_cls=loss_cls,
            loss_bbox=loss_bbox or dict(type='SmoothL1Loss', beta=0.05, loss_weight=5.0),
            loss_iou=loss_iou or dict(type='GIoULoss', loss_weight=0.0),
            **kwargs,
        )
        self.bg_cls_weight = background
        self.use_iou_loss = loss_iou is not None
        self.refinement = None
        if self.with_part_boxes:
            self.loss_part_bbox = MODELS.build(
                loss_part_bbox or dict(type='SmoothL1Loss', beta=0.05, loss_weight=5.0)
            )
        if self.with_part_states:
            self.loss_part_state = MODELS.build(loss_part_state or dict(type='PartStateFocalLoss'))
        if refinement:
            shared = dict(num_parts=num_parts, num_states=num_states, embed_dims=self.embed_dims)
            self.refinement = MODELS.build({'type': 'PartStateRefinement', **shared, **refinement})
            self.loss_refine = MODELS.build(loss_refine or dict(type='PartStateFocalLoss'))

    def _init_layers(self) -> None:
        """DETR's layers by their names, and what the parts and the cascade add."""
        super()._init_layers()
        later = self.num_layers - 1 if self.cascade else 0

        def branches(out_dims: int, count: int) -> ModuleList:
            return ModuleList(
                Branch(self.embed_dims, out_dims, self.num_reg_fcs) for _ in range(count)
            )

        self.box_offsets = branches(4, later)
        if self.with_part_boxes:
            self.part_box_branches = branches(self.num_parts * 4, 1 + later)
        if self.with_part_states:
            self.part_state_branch = Branch(
                self.embed_dims, self.num_parts * self.num_states, self.num_reg_fcs
            )

    def init_weights(self) -> None:
        """Offsets of later layers start at zero, states at a probability of 0.01."""
        super().init_weights()
        for branch in self.box_offsets:
            constant_init(branch.fc, 0)
        if self.with_part_boxes:
            for branch in self.part_box_branches[1:]:
                constant_init(branch.fc, 0)
        if self.with_part_states:
            nn.init.constant_(self.part_state_branch.fc.bias, bias_init_with_prob(0.01))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Take person and background out of a classifier for more classes, such as COCO's."""
        for name in ('weight', 'bias'):
            key = f'{prefix}fc_cls.{name}'
            rows = state_dict.get(key)
            if rows is not None and len(rows) > self.cls_out_channels == 2:
                state_dict[key] = rows[[self.pretrained_class, -1]]
        super()._load_from_state_dict(state_dict, prefix, *args)

    # --- forward ------------------------------------------------------------------------------

    def layer_boxes(self, number: int, embeddings: Tensor, references: Tensor) -> Tensor:
        """Person boxes of one layer.

        Args:
            number: Of the layer, from 0.
            embeddings: (B, N, C) its instance embeddings.
            references: (B, N, 4) logits of the boxes of the layer before; zeros before the first.

        Returns:
            (B, N, 4) logits of (cx, cy, w, h), in single precision: half is too coarse to add up.
        """
        if number == 0 or not self.cascade:  # by DETRHead's names
            return self.fc_reg(self.activate(self.reg_ffn(embeddings))).float()
        return self.reference(references) + self.box_offsets[number - 1](embeddings).float()

    def layer_parts(self, number: int, embeddings: Tensor, references: Tensor) -> Tensor:
        """Part boxes of one layer, (B, N, K * 4) logits; see :meth:`layer_boxes`."""
        if not self.cascade:
            return self.part_box_branches[0](embeddings).float()
        return self.reference(references) + self.part_box_branches[number](embeddings).float()

    def reference(self, boxes: Tensor) -> Tensor:
        """Boxes as the reference of the next layer."""
        return boxes.detach() if self.detach_references else boxes

    def forward(self, hidden_states: Tensor, features: Tensor | None = None) -> APCTOutputs:
        """Predictions of all layers, before the refinement, which takes chosen persons only.

        Args:
            hidden_states: (L, B, N, C) outputs of the decoder's layers.
            features: Not used here; :meth:`loss` and :meth:`predict` do.

        Returns:
            The predictions.

        Raises:
            ValueError: If a cascade gets another number of layers than it was built for.
        """
        if self.cascade and len(hidden_states) != self.num_layers:
            raise ValueError(
                f'the decoder has {len(hidden_states)} layers, but bbox_head.num_layers is '
                f'{self.num_layers}: the cascade has a regression for each (the decoder needs '
                'return_intermediate=True)'
            )
        box = hidden_states.new_zeros(*hidden_states.shape[1:3], 4)
        part = hidden_states.new_zeros(*hidden_states.shape[1:3], self.num_parts * 4)
        boxes: list[Tensor] = []
        parts: list[Tensor] = []
        for number, embeddings in enumerate(hidden_states):
            box = self.layer_boxes(number, embeddings, box)
            boxes.append(box)
            if self.with_part_boxes:
                part = self.layer_parts(number, embeddings, part)
                parts.append(part)
        part_preds = state_logits = None
        if self.with_part_boxes:
            part_preds = torch.stack(parts).unflatten(-1, (self.num_parts, 4)).sigmoid()
        if self.with_part_states:
            shape = (self.num_parts, self.num_states)
            state_logits = self.part_state_branch(hidden_states).unflatten(-1, shape)
        return APCTOutputs(
            self.fc_cls(hidden_states),
            torch.stack(boxes).sigmoid(),
            part_preds,
            state_logits,
            hidden_states[-1],
        )

    # --- training -----------------------------------------------------------------------------

    def loss(
        self,
        hidden_states: Tensor,
        batch_data_samples: Sequence,
        features: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses of equation 1, of every layer.

        Args:
            hidden_states: (L, B, N, C).
            batch_data_samples: B samples with ``gt_instances``.
            features: (B, C', H, W) map that the refinement cuts regions from.

        Returns:
            Losses by name, those of layer i before the last as ``d<i>.<name>``, and
            ``person_queries``, the share of queries of the last layer that say "person".
        """
        return self.loss_by_feat(
            *self(hidden_states),
            batch_gt_instances=[sample.gt_instances for sample in batch_data_samples],
            batch_img_metas=[sample.metainfo for sample in batch_data_samples],
            features=features,
        )

    def loss_by_feat(
        self,
        cls_scores: Tensor,
        bbox_preds: Tensor,
        part_preds: Tensor | None,
        state_logits: Tensor | None,
        embeddings: Tensor,
        batch_gt_instances: Sequence[InstanceData],
        batch_img_metas: Sequence[dict],
        features: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses from predictions; see :class:`APCTOutputs` and :meth:`loss`.

        Args:
            cls_scores: (L, B, N, 2).
            bbox_preds: (L, B, N, 4).
            part_preds: (L, B, N, K, 4) or None.
            state_logits: (L, B, N, K, S) or None.
            embeddings: (B, N, C).
            batch_gt_instances: B times ``bboxes``, ``labels``, and for a head with parts
                ``part_bboxes``, ``part_valid``, ``part_states``.
            batch_img_metas: B times ``img_shape``.
            features: (B, C', H, W).

        Returns:
            Losses by name.
        """
        if self.with_part_boxes or self.with_part_states:
            states = self.num_states if self.with_part_states else None
            check_truth(batch_gt_instances, self.num_parts, states)
        losses: dict[str, Tensor] = {}
        last = len(cls_scores) - 1
        for number in range(last + 1):
            # half precision is too coarse for matching and for box losses
            scores, boxes = cls_scores[number].float(), bbox_preds[number].float()
            matches = match_persons(
                self.assigner, scores, boxes, batch_gt_instances, batch_img_metas
            )
            where = (matches.images, matches.queries)
            layer = self.person_losses(scores, boxes, matches, batch_img_metas)
            if part_preds is not None:
                layer['loss_part_bbox'] = self.part_box_loss(part_preds[number][where], matches)
            if state_logits is not None:
                layer['loss_part_state'] = self.state_loss(
                    self.loss_part_state, state_logits[number][where], matches
                )
            prefix = '' if number == last else f'd{number}.'
            losses.update({f'{prefix}{name}': value for name, value in layer.items()})
        if self.refinement is not None:
            refined = self.refine(
                features,
                boxes_of_images(bbox_preds[-1], matches, batch_img_metas),
                boxes_of_images(part_preds[-1], matches, batch_img_metas),
                embeddings[where],
                state_logits[-1][where],
                batch_img_metas,
            )
            losses['loss_refine'] = self.state_loss(self.loss_refine, refined, matches)
        said_person = cls_scores[-1].detach().argmax(-1) < self.num_classes
        losses['person_queries'] = reduce_mean(said_person.float().mean())
        return losses

    def person_losses(
        self, cls_scores: Tensor, bbox_preds: Tensor, matches: Matches, metas: Sequence[dict]
    ) -> dict[str, Tensor]:
        """l_det of equation 1: cross-entropy of all queries, box losses of the matched ones.

        Args:
            cls_scores: (B, N, 2).
            bbox_preds: (B, N, 4), (cx, cy, w, h) in 0..1.
            matches: P matches.
            metas: B times ``img_shape``.

        Returns:
            ``loss_cls``, ``loss_bbox`` and, if the head has it, ``loss_iou``.
        """
        where = (matches.images, matches.queries)
        labels = torch.full_like(cls_scores[..., 0], self.num_classes, dtype=torch.long)  # (B, N)
        labels[where] = matches.labels
        positive = len(matches.labels)
        total = positive + (labels.numel() - positive) * self.bg_cls_weight
        if self.sync_cls_avg_factor:
            total = reduce_mean(cls_scores.new_tensor([total])).item()
        losses = dict(
            loss_cls=self.loss_cls(
                cls_scores.flatten(0, 1),
                labels.flatten(),
                torch.ones_like(labels, dtype=cls_scores.dtype).flatten(),
                avg_factor=max(total, 1),
            )
        )
        count = self.shared_count(cls_scores.new_tensor([positive]))
        predicted = bbox_preds[where]  # (P, 4)
        losses['loss_bbox'] = self.loss_bbox(predicted, matches.boxes, avg_factor=count)
        if self.use_iou_loss:
            sizes = torch.tensor([meta['img_shape'][:2] for meta in metas]).to(predicted)
            factor = sizes[matches.images].flip(-1).repeat(1, 2)  # (P, 4) width, height, ...
            boxes = torch.stack([predicted, matches.boxes])  # (2, P, 4)
            corners = bbox_cxcywh_to_xyxy(boxes) * factor
            losses['loss_iou'] = self.loss_iou(corners[0], corners[1], avg_factor=count)
        return losses

    def part_box_loss(self, part_preds: Tensor, matches: Matches) -> Tensor:
        """SmoothL1(p_l, p_l*) of equation 1, over the parts that are there.

        Args:
            part_preds: (P, K, 4), (cx, cy, w, h) in 0..1.
            matches: P matches.

        Returns:
            Scalar.
        """
        valid = matches.part_valid
        count = self.shared_count(valid.sum()[None].float())
        return self.loss_part_bbox(
            part_preds[valid].float(), matches.part_boxes[valid], avg_factor=count
        )

    def state_loss(self, loss: nn.Module, logits: Tensor, matches: Matches) -> Tensor:
        """FocalLoss(p_s, p_s*) of equation 1, over the parts that have a state.

        Args:
            loss: The focal loss.
            logits: (P, K, S).
            matches: P matches.

        Returns:
            Scalar.
        """
        states = matches.part_states.flatten()
        count = self.shared_count((states >= 0).sum()[None].float())
        return loss(logits.flatten(0, 1).float(), states, avg_factor=count)

    @staticmethod
    def shared_count(count: Tensor) -> Tensor:
        """(1,) number averaged over all processes, at least 1: what a loss is divided by."""
        return reduce_mean(count).clamp(min=1).squeeze(0)

    # --- inference ----------------------------------------------------------------------------

    def refine(
        self,
        features: Tensor | None,
        person_boxes: Sequence[Tensor],
        part_boxes: Sequence[Tensor],
        embeddings: Tensor,
        state_logits: Tensor,
        metas: Sequence[dict],
    ) -> Tensor:
        """Refined states of P persons; see ``PartStateRefinement``.

        Args:
            features: (B, C', H, W).
            person_boxes: B tensors (P_b, 4), xyxy in input pixels.
            part_boxes: B tensors (P_b, K, 4), xyxy in input pixels.
            embeddings: (P, C).
            state_logits: (P, K, S).
            metas: B times ``batch_input_shape``.

        Returns:
            (P, K, S) logits.

        Raises:
            ValueError: If there are no features.
        """
        if features is None:
            raise ValueError(
                "bbox_head.refinement needs a feature map, which the detector 'APCT' hands over"
            )
        stride = [
            size / cells
            for size, cells in zip(metas[0]['batch_input_shape'], features.shape[-2:], strict=True)
        ]
        return self.refinement(features, person_boxes, part_boxes, embeddings, state_logits, stride)

    def predict(
        self,
        hidden_states: Tensor,
        batch_data_samples: Sequence,
        rescale: bool = True,
        features: Tensor | None = None,
    ) -> list[InstanceData]:
        """Persons, parts and states of every image.

        Args:
            hidden_states: (L, B, N, C).
            batch_data_samples: B samples.
            rescale: Give boxes in pixels of the original image instead of the input.
            features: (B, C', H, W).

        Returns:
            B results, see :meth:`predict_by_feat`.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_feat(*self(hidden_states), metas, rescale, features)

    def predict_by_feat(
        self,
        cls_scores: Tensor,
        bbox_preds: Tensor,
        part_preds: Tensor | None,
        state_logits: Tensor | None,
        embeddings: Tensor,
        batch_img_metas: Sequence[dict],
        rescale: bool = True,
        features: Tensor | None = None,
    ) -> list[InstanceData]:
        """The best ``test_cfg.max_per_img`` persons of the last layer.

        Args:
            cls_scores: (L, B, N, 2).
            bbox_preds: (L, B, N, 4).
            part_preds: (L, B, N, K, 4) or None.
            state_logits: (L, B, N, K, S) or None.
            embeddings: (B, N, C).
            batch_img_metas: B times ``img_shape``, ``batch_input_shape``, ``scale_factor``.
            rescale: Give boxes in pixels of the original image instead of the input.
            features: (B, C', H, W).

        Returns:
            B times, by falling score, ``bboxes`` (n, 4) xyxy, ``scores`` (n,), ``labels`` (n,) and,
            where the head has them, ``part_bboxes`` (n, K, 4), ``part_states`` (n, K), the best
            state, and ``part_state_scores`` (n, K, S) in 0..1.
        """
        scores, labels = cls_scores[-1].float().softmax(-1)[..., :-1].max(-1)  # (B, N)
        count = min(self.test_cfg.get('max_per_img', scores.shape[1]), scores.shape[1])
        scores, queries = scores.topk(count)  # (B, n)
        images = torch.arange(len(queries), device=queries.device)[:, None].expand_as(queries)
        where = (images.flatten(), queries.flatten())
        found = Matches(*where, *[None] * 5)
        persons = boxes_of_images(bbox_preds[-1].float(), found, batch_img_metas)
        results = [
            InstanceData(bboxes=boxes, scores=score, labels=label[query])
            for boxes, score, label, query in zip(persons, scores, labels, queries, strict=True)
        ]
        if part_preds is not None:
            parts = boxes_of_images(part_preds[-1].float(), found, batch_img_metas)
            for result, boxes in zip(results, parts, strict=True):
                result.part_bboxes = boxes
        if state_logits is not None:
            logits = state_logits[-1][where]  # (B * n, K, S)
            if self.refinement is not None:
                logits = self.refine(
                    features, persons, parts, embeddings[where], logits, batch_img_metas
                )
            for result, probability in zip(
                results, logits.float().sigmoid().split(count), strict=True
            ):
                result.part_states = probability.argmax(-1)
                result.part_state_scores = probability
        if rescale:
            for result, meta in zip(results, batch_img_metas, strict=True):
                factor = result.bboxes.new_tensor(meta['scale_factor']).repeat(2)
                result.bboxes = result.bboxes / factor
                if part_preds is not None:
                    result.part_bboxes = result.part_bboxes / factor
        return results
