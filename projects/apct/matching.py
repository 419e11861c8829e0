"""Which query answers for which person, and what it is to predict."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.models.task_modules.assigners import BaseAssigner
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_xyxy_to_cxcywh
from mmengine.structures import InstanceData
from torch import Tensor


class Matches(NamedTuple):
    """Matched queries of a batch and what they are to predict, P of them, image by image."""

    images: Tensor
    """(P,) index of the image."""
    queries: Tensor
    """(P,) index of the query."""
    labels: Tensor
    """(P,) class."""
    boxes: Tensor
    """(P, 4) true person boxes, (cx, cy, w, h) in 0..1."""
    part_boxes: Tensor | None
    """(P, K, 4) true part boxes, (cx, cy, w, h) in 0..1; anything where missing."""
    part_valid: Tensor | None
    """(P, K) True where there is a part box."""
    part_states: Tensor | None
    """(P, K) true states, -1 where missing."""


@torch.no_grad()
def match_persons(
    assigner: BaseAssigner,
    cls_scores: Tensor,
    bbox_preds: Tensor,
    batch_gt_instances: Sequence[InstanceData],
    batch_img_metas: Sequence[dict],
) -> Matches:
    """Bipartite matching of queries and persons, as in DETR: by score and box of the person.

    Args:
        assigner: mmdet's ``HungarianAssigner``.
        cls_scores: (B, N, 2).
        bbox_preds: (B, N, 4), (cx, cy, w, h) in 0..1.
        batch_gt_instances: B times ``bboxes`` and ``labels``, with parts or without.
        batch_img_metas: B times ``img_shape``.

    Returns:
        The matches; their parts are None where the truth has none.
    """
    with_parts = all('part_valid' in instances for instances in batch_gt_instances)
    found: list[tuple[Tensor, ...]] = []
    for image, (truth, meta) in enumerate(zip(batch_gt_instances, batch_img_metas, strict=True)):
        height, width = meta['img_shape'][:2]
        factor = bbox_preds.new_tensor([width, height, width, height])
        corners = bbox_cxcywh_to_xyxy(bbox_preds[image]) * factor  # (N, 4)
        assigned = assigner.assign(
            # an overflow in half precision is for the loss scaler to see, not for the matching
            pred_instances=InstanceData(
                scores=cls_scores[image].nan_to_num(), bboxes=corners.nan_to_num()
            ),
            gt_instances=InstanceData(bboxes=truth.bboxes, labels=truth.labels),
            img_meta=meta,
        ).gt_inds  # (N,): 0 background, i + 1 for person i
        queries = assigned.nonzero().squeeze(1)
        persons = assigned[queries] - 1
        item = (
            torch.full_like(queries, image),
            queries,
            truth.labels[persons],
            bbox_xyxy_to_cxcywh(truth.bboxes[persons] / factor),
        )
        if with_parts:
            item += (
                bbox_xyxy_to_cxcywh(truth.part_bboxes[persons] / factor),
                truth.part_valid[persons],
                truth.part_states[persons],
            )
        found.append(item)
    columns = [torch.cat(column) for column in zip(*found, strict=True)]
    return Matches(*columns, *[None] * (len(Matches._fields) - len(columns)))


def check_truth(
    batch_gt_instances: Sequence[InstanceData], num_parts: int, num_states: int | None
) -> None:
    """Stop where the data has other parts or states than the model, before an index fails.

    Args:
        batch_gt_instances: Truth with parts.
        num_parts: K of the model.
        num_states: S of the model; None if it predicts no states.

    Raises:
        ValueError: Saying which option to set to what.
    """
    for instances in batch_gt_instances:
        parts = instances.part_valid.shape[1]
        if parts != num_parts:
            raise ValueError(
                f'the data has {parts} parts, but bbox_head.num_parts is {num_parts}: set it to '
                'the number of lines of list/body_part.txt'
            )
    states = torch.cat([instances.part_states.flatten() for instances in batch_gt_instances])
    if num_states is not None and len(states):
        highest = int(states.max())  # the one wait for the device
        if highest >= num_states:
            raise ValueError(
                f'the data has a state of index {highest}, but bbox_head.num_states is '
                f'{num_states}: set it to the number of lines of list/part_stat.txt'
            )


def boxes_of_images(boxes: Tensor, matches: Matches, metas: Sequence[dict]) -> list[Tensor]:
    """Boxes of chosen queries, image by image, cut off from the graph.

    Args:
        boxes: (B, N, ..., 4), (cx, cy, w, h) in 0..1.
        matches: Which queries.
        metas: B times ``img_shape``.

    Returns:
        B tensors (P_b, ..., 4), xyxy in input pixels.
    """
    boxes = boxes.detach()
    return [
        boxes_in_pixels(boxes[image, matches.queries[matches.images == image]], meta['img_shape'])
        for image, meta in enumerate(metas)
    ]


def boxes_in_pixels(boxes: Tensor, image_shape: Sequence[int]) -> Tensor:
    """Boxes (..., 4) from (cx, cy, w, h) in 0..1 to xyxy in pixels, within the image.

    Args:
        boxes: Normalised boxes.
        image_shape: Height and width in pixels.

    Returns:
        (..., 4) pixels.
    """
    height, width = image_shape
    corners = bbox_cxcywh_to_xyxy(boxes).clamp(0, 1)
    return corners * corners.new_tensor([width, height, width, height])
