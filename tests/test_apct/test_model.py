"""The parser: equal to mmdet's DETR with everything off, and to the document with everything on."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.nn import functional
from torchvision.ops import generalized_box_iou

from projects.apct.decoder import Cascade
from projects.apct.losses import PartStateFocalLoss
from projects.apct.matching import Matches, match_persons
from tests.test_apct.samples import (
    ASSIGNER,
    DIMS,
    HEIGHT,
    LAYERS,
    WIDTH,
    K,
    S,
    build,
    head_config,
    images,
    model_config,
    sample,
    unzero,
)

OFF = dict(cascade=False, refinement=None, part_boxes=False, part_states=False)
DETR_LOSSES = dict(
    loss_bbox=dict(type='L1Loss', loss_weight=5.0), loss_iou=dict(type='GIoULoss', loss_weight=2.0)
)


def total(losses: dict) -> torch.Tensor:
    return sum(value for name, value in losses.items() if 'loss' in name)


def stock_detr(num_classes: int = 1):
    loss = dict(type='CrossEntropyLoss', bg_cls_weight=0.1, class_weight=1.0)  # its default wears
    head = dict(type='DETRHead', num_classes=num_classes, embed_dims=DIMS, loss_cls=loss)
    config = model_config(head, type='DETR')
    config.backbone.out_indices = (2,)
    return build(config)


# --- mmdet's DETR -----------------------------------------------------------------------------


def test_all_off_is_mmdets_detr():
    stock = stock_detr()
    ours = build(model_config(head_config(**OFF, **DETR_LOSSES), condition=None), seed=1)
    assert ours.state_dict().keys() == stock.state_dict().keys()
    ours.load_state_dict(stock.state_dict())
    batch = images(3)
    samples = [sample(2, 0), sample(0, 1), sample(4, 2, (48, 80))]  # the last one is padded
    expected, found = stock.loss(batch, samples), ours.loss(batch, samples)
    assert set(found) - set(expected) == {'person_queries'}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)

    gradients = {}
    for model, losses in ((stock, expected), (ours, found)):
        total(losses).backward()
        gradients[model] = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    for name, value in gradients[stock].items():
        torch.testing.assert_close(gradients[ours][name], value, rtol=1e-4, atol=1e-6, msg=name)

    stock.eval(), ours.eval()
    with torch.no_grad():
        ours_boxes = [item.pred_instances for item in ours.predict(batch, samples)]
        for item, boxes in zip(stock.predict(batch, samples), ours_boxes, strict=True):
            torch.testing.assert_close(boxes.scores, item.pred_instances.scores)
            torch.testing.assert_close(boxes.bboxes, item.pred_instances.bboxes)
            assert 'part_bboxes' not in boxes
            assert 'part_states' not in boxes


def test_coco_weights_fill_backbone_encoder_decoder_and_person():
    coco = stock_detr(num_classes=80).state_dict()
    model = build(model_config(head_config()), seed=1)
    result = model.load_state_dict(dict(coco), strict=False)
    assert not result.unexpected_keys
    new = ('box_offsets', 'part_box_branches', 'part_state_branch', 'refinement')
    for name in result.missing_keys:
        assert name.startswith(
            (
                *(f'bbox_head.{part}' for part in new),
                'decoder.box_encoding',
                'decoder.region_encoding',
            )
        ), name
    loaded = model.state_dict()
    for name, value in coco.items():
        expected = value[[0, -1]] if 'fc_cls' in name else value  # person and background
        assert torch.equal(loaded[name], expected), name


def test_a_detr_becomes_a_cascade_without_a_jump():
    """With a trained DETR's weights the whole cascade starts at the first layer's boxes.

    Its hidden states are the DETR's, because the conditioning starts at zero.
    """
    stock = stock_detr().eval()
    model = build(model_config(head_config(refinement=None)), seed=1).eval()
    model.load_state_dict(stock.state_dict(), strict=False)
    batch, samples = images(1), [sample(1)]
    hidden = [
        each.forward_transformer(each.extract_feat(batch), samples)['hidden_states']
        for each in (stock, model)
    ]
    torch.testing.assert_close(hidden[1], hidden[0])
    boxes = model.bbox_head(hidden[1]).bbox_preds
    first = stock.bbox_head(hidden[0][:1])[1]
    torch.testing.assert_close(boxes, first.expand_as(boxes))


def test_stock_detr_takes_the_head_by_name():
    with DefaultScope.overwrite_default_scope('mmdet'):
        from importlib.resources import files

        config = Config.fromfile(
            str(files('mmdet') / '.mim' / 'configs' / 'detr' / 'detr_r50_8xb2-150e_coco.py')
        )
    config.model.backbone.init_cfg = None
    config.model.bbox_head = dict(type='APCTHead', num_parts=K, num_states=S)
    model = build(config.model)
    assert type(model).__name__ == 'DETR'
    losses = model.loss(images(1), [sample(2)])
    assert {'loss_part_bbox', 'd0.loss_part_state'} <= losses.keys()
    assert torch.isfinite(total(losses))
    model.eval()
    (result,) = model.predict(images(1), [sample(2)])
    assert result.pred_instances.part_bboxes.shape == (100, K, 4)


# --- cascade ----------------------------------------------------------------------------------


def test_cascade_adds_offsets_to_the_layer_before():
    head = build(model_config(head_config())).bbox_head
    unzero(head)
    hidden = torch.randn(LAYERS, 2, 7, DIMS)
    outputs = head(hidden)
    for image in range(2):
        for query in range(7):
            box = torch.zeros(4)  # "initialized by zero values at first decoder layer"
            parts = torch.zeros(K * 4)
            for number in range(LAYERS):
                embedding = hidden[number, image, query]
                if number == 0:
                    box = box + head.fc_reg(torch.relu(head.reg_ffn(embedding)))
                else:
                    box = box + head.box_offsets[number - 1](embedding)
                parts = parts + head.part_box_branches[number](embedding)
                where = (number, image, query)
                torch.testing.assert_close(outputs.bbox_preds[where], box.sigmoid())
                torch.testing.assert_close(outputs.part_preds[where], parts.sigmoid().reshape(K, 4))
    assert outputs.state_logits.shape == (LAYERS, 2, 7, K, S)
    assert outputs.cls_scores.shape == (LAYERS, 2, 7, 2)


@pytest.mark.parametrize('detach', [True, False])
def test_detached_references_keep_losses_in_their_layer(detach):
    head = build(model_config(head_config(detach_references=detach))).bbox_head
    unzero(head)
    hidden = torch.randn(LAYERS, 1, 7, DIMS)
    outputs = head(hidden)
    (outputs.bbox_preds[-1].sum() + outputs.part_preds[-1].sum()).backward()
    # part of the graph either way, for DDP
    assert bool(head.fc_reg.weight.grad.any()) != detach
    assert bool(head.part_box_branches[0].fc.weight.grad.any()) != detach
    assert head.box_offsets[-1].fc.weight.grad.any()


@pytest.mark.parametrize('condition', ['box', 'region'])
def test_next_layer_starts_from_the_box_of_the_layer_before(condition):
    model = build(model_config(head_config(refinement=None), condition=condition)).eval()
    unzero(model)
    decoder = model.decoder
    arguments = dict(
        query=torch.zeros(1, 7, DIMS),
        key=torch.randn(1, 12, DIMS),
        value=torch.randn(1, 12, DIMS),
        query_pos=torch.randn(1, 7, DIMS),
        key_pos=torch.randn(1, 12, DIMS),
        key_padding_mask=None,
    )
    boxes = torch.randn(LAYERS, 1, 7, 4)
    moved = boxes.clone()
    moved[1] += 0.5  # what layer 1 predicts reaches layer 2 and no layer before
    one, two = (
        decoder(
            **arguments,
            cascade=Cascade(lambda number, *_, b=b: b[number], (3, 4), torch.ones(1, 2)),
        )
        for b in (boxes, moved)
    )
    torch.testing.assert_close(one[:2], two[:2])
    assert not torch.allclose(one[2], two[2])


def test_regions_are_cut_where_the_boxes_are():
    """On a map that holds its own columns and rows, in an image padded below and to the right."""
    decoder = build(model_config(head_config())).decoder
    rows, columns = 8, 12
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing='ij')
    memory = torch.zeros(1, rows * columns, DIMS)
    memory[0, :, 0], memory[0, :, 1] = x.flatten(), y.flatten()
    cascade = Cascade(None, (rows, columns), torch.tensor([[0.75, 0.75]]))  # 9 of 12 x 6 of 8 cells
    box = torch.tensor([[[0.5, 0.5, 0.6, 0.4]]])
    cut = decoder.cut(memory, box, cascade).reshape(DIMS, 7, 7)
    bins = (torch.arange(7) + 0.5) / 7
    torch.testing.assert_close(cut[0], ((0.2 + 0.6 * bins) * 9).expand(7, 7))
    torch.testing.assert_close(cut[1].T, ((0.3 + 0.4 * bins) * 6).expand(7, 7))


def test_padding_does_not_move_the_regions():
    model = build(model_config(head_config()))
    samples = [sample(1, shape=(48, 80)), sample(1)]
    cascade = model.cascade(torch.zeros(2, DIMS, 4, 6), samples)
    assert cascade.map_size == (4, 6)
    torch.testing.assert_close(cascade.image_share, torch.tensor([[80 / 96, 48 / 64], [1.0, 1.0]]))


def test_cascade_needs_a_layer_each():
    head = build(model_config(head_config())).bbox_head
    with pytest.raises(ValueError, match='the decoder has 2 layers, but bbox_head.num_layers is 3'):
        head(torch.randn(2, 1, 7, DIMS))


def test_conditioned_decoder_needs_a_cascade():
    with pytest.raises(ValueError, match="condition is 'region', but the head has no cascade"):
        build(model_config(head_config(cascade=False)))
    with pytest.raises(
        ValueError, match=r'decoder\.num_layers is 3, but bbox_head\.num_layers is 2'
    ):
        build(model_config(head_config(num_layers=2)))


# --- losses of equation 1 ---------------------------------------------------------------------


def smooth_l1(prediction: float, target: float, beta: float) -> float:
    distance = abs(prediction - target)
    return distance**2 / (2 * beta) if distance < beta else distance - beta / 2


def focal(logit: float, target: float, alpha: float = 0.25, gamma: float = 2.0) -> float:
    p = 1 / (1 + math.exp(-logit))
    if target:
        return -alpha * (1 - p) ** gamma * math.log(p)
    return -(1 - alpha) * p**gamma * math.log(1 - p)


def test_losses_are_equation_1():
    """Against loops over images, queries, parts and states."""
    model = build(model_config(head_config(loss_iou=dict(type='GIoULoss', loss_weight=2.0))))
    unzero(model)
    head = model.bbox_head
    hidden = torch.randn(LAYERS, 2, 7, DIMS)
    features = torch.randn(2, DIMS, 8, 12)
    samples = [sample(2, 3), sample(3, 4)]
    losses = head.loss(hidden, samples, features=features)
    outputs = head(hidden)
    cls, iou, person_box, part_box, state = (0.0,) * 5
    weight = matched = parts = labelled = 0
    truths = [each.gt_instances for each in samples]
    metas = [each.metainfo for each in samples]
    match = match_persons(
        head.assigner, outputs.cls_scores[-1], outputs.bbox_preds[-1], truths, metas
    )
    for image in range(2):
        truth = truths[image]
        owner = {
            int(query): min(
                range(len(truth)),
                key=lambda i: float((truth.bboxes[i] - to_pixels(box)).abs().sum()),
            )
            for found, query, box in zip(match.images, match.queries, match.boxes, strict=True)
            if found == image
        }
        for query in range(7):
            score = outputs.cls_scores[-1, image, query].log_softmax(-1)
            cls -= float(score[0] if query in owner else 0.1 * score[1])
            weight += 1 if query in owner else 0.1
            if query not in owner:
                continue
            matched += 1
            person = owner[query]
            prediction = outputs.bbox_preds[-1, image, query]
            for a, b in zip(prediction, normalised(truth.bboxes[person]), strict=True):
                person_box += smooth_l1(float(a), float(b), 0.05)
            iou += 1 - float(
                generalized_box_iou(to_pixels(prediction)[None], truth.bboxes[person][None])
            )
            for part in range(K):
                if truth.part_valid[person, part]:
                    parts += 1
                    prediction = outputs.part_preds[-1, image, query, part]
                    target = normalised(truth.part_bboxes[person, part])
                    for a, b in zip(prediction, target, strict=True):
                        part_box += smooth_l1(float(a), float(b), 0.05)
                if truth.part_states[person, part] >= 0:
                    labelled += 1
                    for s in range(S):
                        logit = float(outputs.state_logits[-1, image, query, part, s])
                        state += focal(logit, s == truth.part_states[person, part])
    assert matched == 5
    assert float(losses['loss_cls']) == pytest.approx(cls / weight, rel=1e-4)
    assert float(losses['loss_bbox']) == pytest.approx(5 * person_box / matched, rel=1e-4)
    assert float(losses['loss_iou']) == pytest.approx(2 * iou / matched, rel=1e-4)
    assert float(losses['loss_part_bbox']) == pytest.approx(5 * part_box / parts, rel=1e-4)
    assert float(losses['loss_part_state']) == pytest.approx(state / labelled, rel=1e-4)
    names = {name.split('.')[-1] for name in losses}
    for number in range(LAYERS - 1):  # every layer is supervised
        for name in names - {'loss_refine', 'person_queries'}:
            assert f'd{number}.{name}' in losses


def normalised(box: torch.Tensor) -> torch.Tensor:
    x1, y1, x2, y2 = box.tolist()
    return torch.tensor(
        [(x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT]
    )


def to_pixels(box: torch.Tensor) -> torch.Tensor:
    cx, cy, w, h = box.tolist()
    return torch.tensor(
        [
            (cx - w / 2) * WIDTH,
            (cy - h / 2) * HEIGHT,
            (cx + w / 2) * WIDTH,
            (cy + h / 2) * HEIGHT,
        ]
    )


def test_missing_parts_carry_no_loss():
    head = build(model_config(head_config())).bbox_head
    unzero(head)
    hidden = torch.randn(LAYERS, 1, 7, DIMS)
    features = torch.randn(1, DIMS, 8, 12)
    first = sample(3)
    second = sample(3)
    missing = ~second.gt_instances.part_valid
    assert missing.any()
    second.gt_instances.part_bboxes[missing] = torch.tensor([7.0, 9.0, 30.0, 50.0])
    one, two = (head.loss(hidden, [each], features=features) for each in (first, second))
    for name in one:
        torch.testing.assert_close(one[name], two[name], msg=name)


def test_focal_loss_leaves_unlabelled_parts_out():
    loss = PartStateFocalLoss()
    logits = torch.tensor([[0.3, -1.2, 2.0], [float('inf'), 0.0, 0.0]], requires_grad=True)
    value = loss(logits, torch.tensor([1, -1]), avg_factor=1.0)
    expected = focal(0.3, 0) + focal(-1.2, 1) + focal(2.0, 0)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_refined_states_have_their_own_focal_loss():
    head = build(model_config(head_config())).bbox_head
    unzero(head)
    logits = torch.randn(2, K, S)
    states = torch.tensor([[0, -1, 2, 5], [1, 1, -1, 3]])
    matches = Matches(*[None] * 6, states)
    value = head.state_loss(head.loss_refine, logits, matches)
    expected = sum(
        focal(float(logits[p, k, s]), s == states[p, k])
        for p in range(2)
        for k in range(K)
        for s in range(S)
        if states[p, k] >= 0
    )
    assert float(value) == pytest.approx(expected / 6, rel=1e-4)


# --- refinement -------------------------------------------------------------------------------


@pytest.mark.parametrize('residual', [True, False])
def test_refinement_attends_from_parts_to_person(residual):
    """Person by person, against torch's own attention and a plain sampling of the regions."""
    options = dict(num_heads=2, num_layers=1, feedforward_channels=32, dropout=0.0)
    head = build(model_config(head_config(refinement=dict(options, residual=residual)))).bbox_head
    unzero(head)
    module = head.refinement.eval()
    features = torch.randn(2, DIMS, 8, 12)
    counts = (1, 2)
    person_boxes = [torch.tensor([[8.0, 8.0, 64.0, 56.0]]).repeat(n, 1) for n in counts]
    part_boxes = [torch.rand(n, K, 4) * 20 + torch.tensor([0.0, 0, 24, 24]) for n in counts]
    instances, before = torch.randn(3, DIMS), torch.randn(3, K, S)
    found = module(features, person_boxes, part_boxes, instances, before, (8.0, 8.0))

    def cut(image: int, box: torch.Tensor, cells: int) -> torch.Tensor:
        """RoIAlign with one sample a bin would need; many samples here, bilinear."""
        from torchvision.ops import roi_align

        box = torch.cat([torch.tensor([float(image)]), box])[None]
        return roi_align(features, box, cells, spatial_scale=1 / 8, aligned=True)[0]

    person = 0
    layer = module.transformer.layers[0]
    for image, count in enumerate(counts):
        for index in range(count):
            query = torch.stack(
                [
                    module.part_encoding(cut(image, part_boxes[image][index, k], 3).flatten())
                    + module.instance_encoding(instances[person])
                    for k in range(K)
                ]
            )  # (K, C)
            keys = cut(image, person_boxes[image][index], 7).flatten(1).T  # (49, C)
            position = module.part_embedding.weight
            attention = layer.self_attn.attn
            query = layer.norms[0](query + attention(query + position, query + position, query)[0])
            attention = layer.cross_attn.attn
            where = module.cell_embedding.weight
            query = layer.norms[1](query + attention(query + position, keys + where, keys)[0])
            query = layer.norms[2](layer.ffn(query))
            logits = module.fc_state(module.transformer.post_norm(query))
            expected = logits + before[person] if residual else logits
            torch.testing.assert_close(found[person], expected, rtol=1e-4, atol=1e-5)
            person += 1


def test_refinement_starts_from_the_decoders_states():
    model = build(model_config(head_config()))
    model.train()
    torch.manual_seed(0)
    losses = model.loss(images(2), [sample(2), sample(1, 1)])
    torch.testing.assert_close(losses['loss_refine'], losses['loss_part_state'])


def test_roi_level_takes_the_finer_map():
    refinement = dict(num_heads=2, num_layers=1, in_channels=16)
    model = build(model_config(head_config(refinement=refinement), roi_level=0))
    batch = images(1)
    maps = model.extract_feat(batch)
    inputs = model.forward_transformer(maps, [sample(1)])
    assert inputs['features'].shape == (1, 16, HEIGHT // 8, WIDTH // 8)
    assert torch.isfinite(total(model.loss(batch, [sample(1)])))


# --- training and inference -------------------------------------------------------------------

VARIANTS = {
    'baseline': (dict(cascade=False, refinement=None), None),
    'cascade': (dict(refinement=None), 'region'),
    'refinement': (dict(), 'region'),
    'boxes only': (dict(refinement=None, part_states=False), 'region'),
    'states only': (dict(refinement=None, part_boxes=False), 'region'),
    'box condition': (dict(refinement=None), 'box'),
    'unconditioned': (dict(refinement=None), None),
    'undetached': (dict(detach_references=False), 'region'),
}


@pytest.mark.parametrize('name', VARIANTS)
@pytest.mark.parametrize('persons', [(2, 1), (0, 2), (0, 0)])
def test_gradients_reach_every_parameter(name, persons):
    """All of them take part in the graph even without persons, as DDP demands."""
    options, condition = VARIANTS[name]
    model = build(model_config(head_config(**options), condition=condition))
    unzero(model)
    samples = [sample(count, seed) for seed, count in enumerate(persons)]
    losses = model.loss(images(2), samples)
    assert all(torch.isfinite(value) for value in losses.values())
    total(losses).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None or not parameter.requires_grad, parameter_name
        if all(persons) and parameter.requires_grad:
            assert parameter.grad.any(), parameter_name


def test_a_batch_is_its_images_one_by_one():
    model = build(model_config(head_config())).eval()
    unzero(model)
    batch, samples = images(3), [sample(1, seed) for seed in range(3)]
    together = model.predict(batch, samples)
    for index in range(3):
        (alone,) = model.predict(batch[index : index + 1], [sample(1, index)])
        for field in ('bboxes', 'scores', 'part_bboxes', 'part_state_scores'):
            torch.testing.assert_close(
                together[index].pred_instances[field],
                alone.pred_instances[field],
                rtol=1e-4,
                atol=1e-4,
            )


def test_predictions_are_in_original_pixels_by_falling_score():
    model = build(model_config(head_config())).eval()
    unzero(model)
    (result,) = model.predict(images(1), [sample(1)])
    found = result.pred_instances
    assert found.bboxes.shape == (5, 4)
    assert found.part_bboxes.shape == (5, K, 4)
    assert found.part_state_scores.shape == (5, K, S)
    assert torch.equal(found.part_states, found.part_state_scores.argmax(-1))
    assert (found.scores.diff() <= 0).all()
    for boxes in (found.bboxes, found.part_bboxes):  # the original is half as big
        assert (boxes >= 0).all()
        assert (boxes[..., 0::2] <= WIDTH / 2).all()
        assert (boxes[..., 1::2] <= HEIGHT / 2).all()
    (scaled,) = model.predict(images(1), [sample(1)], rescale=False)
    torch.testing.assert_close(scaled.pred_instances.part_bboxes, 2 * found.part_bboxes)


def test_a_few_steps_lower_the_loss():
    model = build(model_config(head_config()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    batch, samples = images(2), [sample(1), sample(2, 1)]
    history = []
    for _ in range(25):
        loss = total(model.loss(batch, samples))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.6 * history[0]


@pytest.mark.parametrize(('parts', 'states'), [(1, 1), (3, 2), (17, 90)])
def test_any_number_of_parts_and_states(parts, states):
    head = head_config(num_parts=parts, num_states=states)
    model = build(model_config(head)).eval()
    (result,) = model.predict(images(1), [sample(1)])
    assert result.pred_instances.part_state_scores.shape == (5, parts, states)


def test_errors_name_option_and_value():
    with pytest.raises(ValueError, match='num_parts is -1'):
        build(model_config(head_config(num_parts=-1)))
    with pytest.raises(ValueError, match='refinement needs part boxes and part states'):
        build(model_config(head_config(part_states=False)))
    with pytest.raises(ValueError, match=r'loss_cls\.use_sigmoid is True'):
        build(model_config(head_config(loss_cls=dict(type='FocalLoss', use_sigmoid=True))))
    with pytest.raises(TypeError, match='no_such_option'):
        build(model_config(head_config(no_such_option=1)))
    model = build(model_config(head_config(num_parts=K + 1)))
    with pytest.raises(ValueError, match=f'the data has {K} parts'):
        model.loss(images(1), [sample(1)])
    model = build(model_config(head_config(num_states=1)))
    with pytest.raises(ValueError, match='the data has a state of index'):
        model.loss(images(1), [sample(3)])
    head = build(model_config(head_config())).bbox_head
    with pytest.raises(ValueError, match='needs a feature map'):
        head.loss(torch.randn(LAYERS, 1, 7, DIMS), [sample(1)])


def test_configs_are_not_changed_by_building():
    loss = dict(type='CrossEntropyLoss', bg_cls_weight=0.1)
    for _ in range(2):
        head = build(model_config(head_config(loss_cls=loss))).bbox_head
        assert head.bg_cls_weight == 0.1
    assert loss == dict(type='CrossEntropyLoss', bg_cls_weight=0.1)
    assert ASSIGNER['type'] == 'HungarianAssigner'


def test_tensor_mode():
    model = build(model_config(head_config()))
    outputs = model(images(1), [sample(1)], mode='tensor')
    assert outputs.part_preds.shape == (LAYERS, 1, 7, K, 4)


def test_an_overflow_reaches_the_loss_instead_of_stopping_the_matching():
    head = build(model_config(head_config(refinement=None))).bbox_head
    hidden = torch.randn(LAYERS, 1, 7, DIMS)
    hidden[0, 0, 0] = torch.inf
    assert not torch.isfinite(total(head.loss(hidden, [sample(2)])))


def test_half_precision_is_matched_in_single():
    """bfloat16 predictions are matched and compared in single precision."""
    model = build(model_config(head_config()))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(images(2), [sample(2), sample(1, 1)])
    assert all(torch.isfinite(value) for value in losses.values())
    total(losses).backward()
    assert functional.relu(losses['loss_bbox']) > 0
