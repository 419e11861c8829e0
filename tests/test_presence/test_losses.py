"""The loss of presence against its formula, one keypoint after the other."""

import math

import pytest
import torch
from mmengine.registry import MODELS

from projects.presence.losses import KeypointPresenceLoss

B, K = 6, 5
WEIGHTS = [0.5, 1.0, 2.0, 3.5, 8.0]


def batch(seed=0):
    """Logits, truth, and which of it is known."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(B, K, generator=generator) * 3
    target = (torch.rand(B, K, generator=generator) < 0.6).float()
    known = (torch.rand(B, K, generator=generator) < 0.7).float()
    return logits.requires_grad_(), target, known


def plain_loss(logits, target, known, pos_weight=None, gamma=0.0, loss_weight=1.0):
    total = 0.0
    for b in range(len(logits)):
        for k in range(logits.shape[1]):
            if known[b, k] == 0:
                continue
            p = 1 / (1 + math.exp(-logits[b, k].item()))
            if target[b, k] == 1:
                weight = 1.0 if pos_weight is None else pos_weight
                weight = weight[k] if isinstance(weight, list) else weight
                total += -weight * (1 - p) ** gamma * math.log(p)
            else:
                total += -(p**gamma) * math.log(1 - p)
    return loss_weight * total / logits.numel()


OPTIONS = [
    {},
    dict(loss_weight=0.25),
    dict(pos_weight=3.0),
    dict(pos_weight=0.2, loss_weight=2.0),
    dict(pos_weight=WEIGHTS),
    dict(gamma=2.0),
    dict(gamma=0.5, pos_weight=2.0),
    dict(gamma=1.0, pos_weight=WEIGHTS, loss_weight=3.0),
]


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_formula(options):
    logits, target, known = batch()
    loss = MODELS.build(dict(type='KeypointPresenceLoss', **options))(logits, target, known)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(plain_loss(logits, target, known, **options), rel=1e-5)


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_gradient(options):
    logits, target, known = (tensor.detach().double() for tensor in batch())
    loss = KeypointPresenceLoss(**options)
    exact = logits.clone().requires_grad_()
    loss(exact, target.float(), known.float()).backward()
    step = 1e-4
    for b, k in ((0, 0), (1, 3), (3, 2), (5, 4)):
        sides = []
        for sign in (1, -1):
            moved = logits.clone()
            moved[b, k] += sign * step
            sides.append(plain_loss(moved, target, known, **options))
        slope = (sides[0] - sides[1]) / (2 * step)
        assert exact.grad[b, k].item() == pytest.approx(slope, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_unknown_keypoints_do_not_matter(options):
    loss = KeypointPresenceLoss(**options)
    logits, target, known = batch()
    value = loss(logits, target, known)
    value.backward()
    assert (logits.grad[known == 0] == 0).all()
    assert (logits.grad[known == 1] != 0).all()
    others = torch.where(known == 0, torch.full_like(logits, 70.0), logits)
    assert loss(others, torch.where(known == 0, 1 - target, target), known) == value
    nothing = loss(logits, target, torch.zeros_like(known))
    assert nothing == 0


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_halves_of_a_batch_average_to_the_whole(options):
    loss = KeypointPresenceLoss(**options)
    logits, target, known = batch()
    known[: B // 2] = 0  # as unequal as can be
    known[0, 0] = 1
    whole = torch.autograd.grad(loss(logits, target, known), logits)[0]
    halves = [
        torch.autograd.grad(loss(logits[half], target[half], known[half]), logits)[0]
        for half in (slice(None, B // 2), slice(B // 2, None))
    ]
    torch.testing.assert_close(whole, sum(halves) / 2)


@pytest.mark.parametrize('gamma', [0.0, 2.0])
def test_large_logits_stay_finite(gamma):
    logits = torch.tensor([[90.0, -90.0, 500.0, -500.0]], requires_grad=True)
    target = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    loss = KeypointPresenceLoss(gamma=gamma)(logits, target, torch.ones(1, 4))
    loss.backward()
    assert loss.item() == pytest.approx(45)
    assert torch.isfinite(logits.grad).all()


def test_low_precision_logits():
    logits, target, known = batch()
    low = logits.detach().bfloat16().requires_grad_()
    for options in OPTIONS:
        loss = KeypointPresenceLoss(**options)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            value = loss(low, target, known)
        assert value.dtype == torch.float32
        assert torch.equal(value, loss(low.detach().float(), target, known))
    value.backward()
    assert low.grad.dtype == torch.bfloat16


def test_focal_of_no_power_is_cross_entropy():
    logits, target, known = batch()
    losses = [KeypointPresenceLoss(gamma=gamma)(logits, target, known) for gamma in (0.0, 1e-7)]
    torch.testing.assert_close(*losses)


def test_weights_are_no_part_of_a_checkpoint():
    assert not KeypointPresenceLoss(pos_weight=WEIGHTS).state_dict()


@pytest.mark.parametrize('value', [0.0, -1.0, [1.0, 0.0], [1.0, math.nan], [[1.0]], math.inf])
def test_bad_pos_weight(value):
    with pytest.raises(ValueError, match='pos_weight is .*expected a positive number, or one'):
        KeypointPresenceLoss(pos_weight=value)


@pytest.mark.parametrize('value', [-0.5, math.nan])
def test_bad_gamma(value):
    with pytest.raises(ValueError, match='gamma is .*expected a number of 0 or more'):
        KeypointPresenceLoss(gamma=value)


def test_pos_weight_of_other_keypoints():
    logits, target, known = batch()
    with pytest.raises(ValueError, match='pos_weight has 4 numbers, expected 1 or .* 5 keypoints'):
        KeypointPresenceLoss(pos_weight=WEIGHTS[:4])(logits, target, known)
