"""The document's decoder against three plain steps."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from mmpose.testing import get_packed_inputs
from torch import nn

from projects.presence.bilinear_head import BilinearHeatmapHead

DECODER = dict(type='MSRAHeatmap', input_size=(24, 32), heatmap_size=(24, 32), sigma=2)


@pytest.fixture(autouse=True)
def mmpose_scope():
    init_default_scope('mmpose')
    torch.manual_seed(0)


def make_head(**options):
    options = {'in_channels': 6, 'out_channels': 5, 'scale_factor': 8, **options}
    head = MODELS.build(dict(type='BilinearHeatmapHead', decoder=DECODER, **options))
    for parameter in head.parameters():  # what starts at 0.001 shows nothing
        nn.init.normal_(parameter, std=0.3)
    return head


def plain_decoder(feature, head, scale):
    height, width = (round(side * scale) for side in feature.shape[2:])
    large = F.interpolate(feature, size=(height, width), mode='bilinear', align_corners=False)
    weight, bias = head.final_layer.weight, head.final_layer.bias
    heatmaps = torch.einsum('bchw,kc->bkhw', large.clamp(min=0), weight[:, :, 0, 0])
    return heatmaps + bias[:, None, None]


@pytest.mark.parametrize('scale', [1, 2, 2.5, 8, 16])
def test_is_upsampling_relu_convolution(scale):
    head = make_head(scale_factor=scale)
    feature = torch.randn(2, 6, 4, 2, requires_grad=True)
    before = feature.detach().clone()
    heatmaps, expected = head.forward((feature,)), plain_decoder(feature, head, scale)
    assert heatmaps.shape == (2, 5, round(4 * scale), round(2 * scale))
    torch.testing.assert_close(heatmaps, expected)
    assert torch.equal(feature, before)  # ReLU works in place, on what it made
    upstream = torch.randn_like(expected)
    gradients = [
        torch.autograd.grad(result, [feature, *head.parameters()], upstream)
        for result in (heatmaps, expected)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-3)  # sums of many numbers


def test_features_without_gradient_stay_as_they_are():
    head, feature = make_head(scale_factor=1), torch.randn(1, 6, 4, 3)
    before = feature.clone()
    with torch.no_grad():
        head.forward((feature,))
    assert torch.equal(feature, before)


def test_the_order_is_not_mmposes():
    head = make_head()
    theirs = MODELS.build(dict(type='FeatureMapProcessor', scale_factor=8.0, apply_relu=True))
    feature = torch.randn(1, 6, 4, 3)
    simple = head.final_layer(theirs([feature])[0])
    assert (head.forward((feature,)) - simple).abs().max() > 0.1
    positive = feature.abs()  # where ReLU does nothing the order cannot matter
    torch.testing.assert_close(head.forward((positive,)), head.final_layer(theirs([positive])[0]))


def test_the_last_feature_map_is_used():
    head, first, last = make_head(), torch.randn(1, 6, 9, 9), torch.randn(1, 6, 4, 3)
    assert torch.equal(head.forward((first, last)), head.forward((last,)))


def test_checkpointing_changes_memory_only():
    head = make_head()
    feature = torch.randn(2, 6, 4, 3)
    kept, results = {}, []
    for with_cp in (False, True):
        head.with_cp = with_cp
        leaf = feature.clone().requires_grad_()
        sizes = []

        def keep(tensor, sizes=sizes):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            heatmaps = head.forward((leaf,))
        kept[with_cp] = max(sizes)
        gradients = torch.autograd.grad(heatmaps.square().sum(), [leaf, *head.parameters()])
        results.append((heatmaps, *gradients))
    for plain, again in zip(*results, strict=True):
        assert torch.equal(plain, again)
    assert kept[False] == 2 * 6 * 32 * 24  # the upsampled features
    assert kept[True] <= feature.numel()


def test_heatmaps_leave_mixed_precision():
    head = make_head(with_cp=True)
    feature = torch.randn(1, 6, 4, 3, requires_grad=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        heatmaps = head.forward((feature,))
    assert heatmaps.dtype == torch.float32
    torch.testing.assert_close(heatmaps, head.forward((feature,)), atol=0.1, rtol=0.05)


@pytest.mark.parametrize('scale', [0, -2.0, float('nan')])
def test_scale_factor(scale):
    with pytest.raises(ValueError, match='scale_factor is .*, expected a positive number'):
        BilinearHeatmapHead(6, 5, scale_factor=scale)


@pytest.mark.parametrize('with_cp', [False, True])
def test_inside_of_the_presence_head(with_cp):
    pose_head = dict(
        type='BilinearHeatmapHead',
        in_channels=6,
        out_channels=5,
        scale_factor=8,
        with_cp=with_cp,
        decoder=DECODER,
    )
    head = MODELS.build(dict(type='KeypointPresenceHead', pose_head=pose_head, hidden_channels=8))
    assert head.presence_net.hidden.weight.shape == (5, 6 * 8, 8)  # 24 x 32 pooled by 4
    batch = get_packed_inputs(
        batch_size=2,
        num_keypoints=5,
        img_shape=(32, 24),
        input_size=(24, 32),
        heatmap_size=(24, 32),
        with_simcc_label=False,
    )
    feature = torch.randn(2, 6, 4, 3, requires_grad=True)
    losses = head.loss((feature,), batch['data_samples'], {})
    (losses['loss_kpt'] + losses['loss_presence']).backward()
    assert (feature.grad != 0).any()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
    predictions = head.eval().predict((feature,), batch['data_samples'], {})
    assert [one.keypoints_presence.shape for one in predictions] == [(1, 5)] * 2
