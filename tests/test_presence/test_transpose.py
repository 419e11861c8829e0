import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from projects.presence.transpose import TransPoseEncoder
from tests.test_presence.plain_transpose import PlainTransPose, sine_embedding

SMALL = dict(in_channels=6, embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=12)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def encoder(**changes):
    return TransPoseEncoder(**SMALL | changes).eval()


def feature_map(batch=2, height=5, width=3):
    return torch.randn(batch, SMALL['in_channels'], height, width)


def transpose_r(num_layers):
    init_default_scope('mmpose')
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='ResNet',
                depth=50,
                num_stages=2,
                strides=(1, 2),
                dilations=(1, 1),
                out_indices=(1,),
            ),
            neck=dict(type='TransPoseEncoder', num_layers=num_layers),
            head=dict(
                type='HeatmapHead',
                in_channels=256,
                out_channels=17,
                deconv_out_channels=(256,),
                deconv_kernel_sizes=(4,),
            ),
        )
    ).eval()


def layer_by_equations(layer, tokens, position, heads):
    """One image's tokens (P, C); also the attention, mean over heads."""
    cells, channels = tokens.shape
    one = channels // heads
    weights, biases = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
    parts, attentions = [], []
    for head in range(heads):
        projected = []
        for part, value in enumerate((tokens + position, tokens + position, tokens)):
            rows = slice(part * channels + head * one, part * channels + (head + 1) * one)
            projected.append(value @ weights[rows].T + biases[rows])
        q, k, v = projected
        attention = torch.zeros(cells, cells)
        for i in range(cells):
            exponentials = [math.exp(float(q[i] @ k[j]) / math.sqrt(one)) for j in range(cells)]
            attention[i] = torch.tensor(exponentials) / sum(exponentials)
        parts.append(attention @ v)
        attentions.append(attention)
    out = layer.self_attn.out_proj
    tokens = tokens + torch.cat(parts, dim=1) @ out.weight.T + out.bias
    tokens = normalised(tokens, layer.norm1)
    hidden = (tokens @ layer.linear1.weight.T + layer.linear1.bias).clamp(min=0)
    tokens = normalised(tokens + hidden @ layer.linear2.weight.T + layer.linear2.bias, layer.norm2)
    return tokens, torch.stack(attentions).mean(dim=0)


def normalised(tokens, norm):
    centred = tokens - tokens.mean(dim=1, keepdim=True)
    deviation = (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
    return centred / deviation * norm.weight + norm.bias


@pytest.mark.parametrize(('height', 'width'), [(4, 3), (1, 7), (8, 8)])
def test_sine_position(height, width):
    model = encoder()
    position = model.sine_position(torch.zeros(1, 8, height, width))
    assert torch.allclose(position[0], sine_embedding(height, width, 8), atol=1e-5)


@pytest.mark.parametrize('first_only', [False, True])
def test_forward_follows_equations(first_only):
    model = encoder(position_at_first_only=first_only)
    for parameter in model.layers.parameters():  # biases and norms that do something
        nn.init.normal_(parameter, std=0.5)
    features = feature_map()
    with torch.no_grad():
        (found,) = model((torch.zeros(1), features))
        maps = model.attention_maps((features,))
        reduced = torch.einsum('oi,bihw->bhwo', model.reduce.weight[:, :, 0, 0], features)
        for image in range(2):
            tokens, position = reduced[image].flatten(0, 1), sine_embedding(5, 3, 8)
            for number, layer in enumerate(model.layers):
                tokens, attention = layer_by_equations(layer, tokens, position, heads=2)
                assert torch.allclose(maps[number, image], attention, atol=1e-5)
                position = position * (not first_only)
            assert torch.allclose(found[image].flatten(1).T, tokens, atol=1e-4)


def test_forward_uses_fused_attention_and_maps_do_not(monkeypatch):
    calls = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, 'scaled_dot_product_attention', lambda *a, **k: calls.append(0) or fused(*a, **k)
    )
    model, feats = encoder(), (feature_map(),)
    for mode in (True, False):
        calls.clear()
        model.train(mode)(feats)
        assert len(calls) == SMALL['num_layers']
    maps = model.attention_maps(feats)
    assert len(calls) == SMALL['num_layers']
    assert maps.shape == (2, 2, 15, 15)
    assert torch.allclose(maps.sum(dim=-1), torch.ones(2, 2, 15))


@pytest.mark.parametrize('position', ['sine', 'learnable', 'none'])
def test_every_parameter_learns(position):
    model = encoder(position=position, feature_size=(5, 3)).train()
    (out,) = model((feature_map(),))
    assert out.shape == (2, 8, 5, 3)
    out.square().mul(torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def shuffled(features, order):
    return features.flatten(2)[:, :, order].view_as(features)


@pytest.mark.parametrize('position', ['sine', 'learnable', 'none'])
def test_only_the_position_tells_cells_apart(position):
    model, features, order = (
        encoder(position=position, feature_size=(5, 3)),
        feature_map(),
        torch.randperm(15),
    )
    with torch.no_grad():
        (plain,), (moved,) = model((features,)), model((shuffled(features, order),))
    same = torch.allclose(moved, shuffled(plain, order), atol=1e-5)
    assert same == (position == 'none')


def test_any_size_in_turn():
    model = encoder()
    small, large = feature_map(), feature_map(height=7, width=4)
    with torch.no_grad():
        first, other, again = (model((features,))[0] for features in (small, large, small))
    assert other.shape == (2, 8, 7, 4)
    assert torch.equal(first, again)
    double = model.double()((small.double(),))[0]
    assert double.dtype == torch.float64
    assert torch.allclose(double.float(), first, atol=1e-5)


def test_trains_after_inference_mode():
    model = encoder()
    with torch.inference_mode():
        model((feature_map(),))
    model.train()((feature_map(),))[0].sum().backward()
    assert not model.sine_position(torch.zeros(1, 8, 5, 3)).is_inference()


def test_copies_and_checkpoints():
    model, features = encoder(), feature_map()
    with torch.no_grad():
        (expected,) = model((features,))
        twin = copy.deepcopy(model)
        assert torch.equal(twin((features,))[0], expected)
        assert not [name for name in model.state_dict() if 'sine' in name]
        other = encoder()
        other.load_state_dict(model.state_dict(), strict=True)
        assert torch.equal(other((features,))[0], expected)


def test_initialisation_is_xavier_uniform():
    layer = TransPoseEncoder(num_layers=1).layers[0]
    for weight in (layer.self_attn.in_proj_weight, layer.self_attn.out_proj.weight):
        bound = math.sqrt(6 / sum(weight.shape))
        assert weight.abs().max() <= bound
        assert weight.abs().max() > 0.99 * bound
        assert float(weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(position='cosine'), "position is 'cosine', expected one of"),
        (dict(num_layers=0), 'num_layers is 0'),
        (dict(num_heads=3), 'embed_dims is 8, expected a multiple of num_heads=3'),
        (dict(embed_dims=6), 'embed_dims is 6, expected a multiple of 4'),
        (dict(position='learnable'), 'feature_size is None, expected the height and width'),
    ],
)
def test_refuses_bad_options(changes, message):
    with pytest.raises(ValueError, match=message):
        encoder(**changes)


def test_learnt_position_is_tied_to_its_size():
    model = encoder(position='learnable', feature_size=(3, 5))
    with pytest.raises(ValueError, match=r'size \(5, 3\), expected feature_size=\(3, 5\)'):
        model((feature_map(),))


@pytest.mark.parametrize(
    ('num_layers', 'published_millions', 'published_gflops'),
    [(4, '6.0', '8.9'), (3, '5.2', '8.0')],
)
def test_published_size(num_layers, published_millions, published_gflops):
    model, plain = transpose_r(num_layers), PlainTransPose(num_layers)
    trained = sum(p.numel() for p in model.parameters())
    everything = sum(p.numel() for p in plain.parameters())
    assert trained == everything - plain.pos_embedding.numel()
    # the published number counts the fixed sine embedding among the parameters
    assert f'{everything / 1e6:.1f}' == published_millions

    small = []
    for module in model.modules():
        cost = {nn.BatchNorm2d: 4, nn.ReLU: 1, nn.Dropout: 1}.get(type(module))
        if cost:
            module.register_forward_hook(
                lambda _, __, out, cost=cost: small.append(cost * out.numel())
            )
    counter = FlopCounterMode(display=False)
    # the counter passes over the CPU's fused attention
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        heatmaps = model(torch.zeros(1, 3, 256, 192), None)
    assert heatmaps.shape == (1, 17, 64, 48)
    true, cells = counter.get_total_flops() / 2, 32 * 24  # of convolutions and matrix products
    attention, linear = 2 * cells**2 * 256, cells * (4 * 256**2 + 2 * 256 * 1024)
    layers = num_layers * (attention + linear)
    deconv = cells * 256 * 256 * 4 * 4
    # stem, two stages, reduction, last layer: as the paper draws them
    stage1 = 64 * 48 * (64 * 64 + 2 * 256 * 64 + 3 * (9 * 64 * 64 + 256 * 64) + 256 * 64)
    stage2 = 64 * 48 * 256 * 128 + cells * 256 * 512
    stage2 += cells * (3 * 512 * 128 + 4 * (9 * 128 * 128 + 128 * 512))
    rest = 128 * 96 * 49 * 3 * 64 + cells * 512 * 256 + 64 * 48 * 256 * 17
    assert true == layers + deconv + stage1 + stage2 + rest
    # The published number counts multiply-adds, those of the transposed convolution as if it ran
    # at its output's size, and operations on single numbers: 4 for a norm, 5 for a softmax.
    softmax_and_dropout = num_layers * 8 * cells**2 * (5 + 1)
    published = true + 3 * deconv + sum(small) + softmax_and_dropout
    assert f'{published / 1e9:.1f}' == published_gflops
