"""mmaction2's own TimeSformer takes STAR's attentions by name."""

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope

import projects.star.timesformer_attention  # noqa: F401 - registers

T, C = 4, 16
NAME = 'STARAttentionWithNorm'


def attention(name, **options):
    return dict(
        type=NAME, attention=name, embed_dims=C, num_heads=2, num_frames=T, **options
    )  # as in attn_cfgs


def timesformer(*names, order=('self_attn', 'self_attn', 'ffn'), layers=2, **options):
    init_default_scope('mmaction')
    config = dict(
        type='TimeSformer',
        num_frames=T,
        img_size=16,
        patch_size=8,
        embed_dims=C,
        transformer_layers=dict(
            type='TransformerLayerSequence',
            num_layers=layers,
            transformerlayers=dict(
                type='BaseTransformerLayer',
                attn_cfgs=[attention(name, **options) for name in names],
                ffn_cfgs=dict(type='FFNWithNorm', embed_dims=C, feedforward_channels=2 * C),
                operation_order=order,
            ),
        ),
    )
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    return model


@pytest.mark.parametrize('names', [('FAttn', 'ZAttn'), ('FAttn', 'BAttn')])
def test_timesformer_trains(names):
    model = timesformer(*names)
    out = model(torch.randn(2, 3, T, 16, 16))
    assert out.shape == (2, C)
    out.square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    seen = [type(part.attn).__name__ for part in model.transformer_layers.layers[0].attentions]
    assert tuple(seen) == names


@pytest.mark.parametrize('name', ['FAttn', 'ZAttn', 'BAttn'])
def test_equals_the_attention_on_tokens_frame_by_frame(name):
    torch.manual_seed(0)
    module = MODELS.build(attention(name)).eval()
    P = 3
    query = torch.randn(2, 1 + P * T, C)  # 'b (p t) c' after the class token
    order = [0] + [1 + place * T + frame for frame in range(T) for place in range(P)]
    expected = torch.empty_like(query)
    expected[:, order] = module.attn(module.norm(query)[:, order], T, 1)
    torch.testing.assert_close(module(query), query + expected)


def test_drop_path_drops_a_sample():
    torch.manual_seed(0)
    module = MODELS.build(attention('FAttn', dropout_layer=dict(type='DropPath', drop_prob=0.5)))
    query = torch.randn(32, 1 + T, C)
    kept = (module(query) != query).flatten(1)
    assert 0 < kept.any(1).sum() < 32
    assert (module.eval()(query) != query).flatten(1).any(1).all()
    plain = MODELS.build(attention('FAttn'))
    plain.load_state_dict(module.state_dict())
    torch.testing.assert_close(plain(query), module(query))


def test_unknown_attention():
    for name in ('XAttn', 'MultiheadAttention'):
        with pytest.raises(ValueError, match=f"'{name}', expected 'FAttn', 'ZAttn' or 'BAttn'"):
            MODELS.build(attention(name))


def test_pre_norm_layer_is_refused():
    model = timesformer('ZAttn', order=('norm', 'self_attn', 'ffn'), layers=1)
    with pytest.raises(ValueError, match=r'got residual, expected None.*self_attn'):
        model(torch.randn(1, 3, T, 16, 16))


def test_what_it_does_not_do_is_refused():
    module = MODELS.build(attention('ZAttn'))
    query = torch.randn(1, 1 + T, C)
    with pytest.raises(ValueError, match='got attn_mask, key, expected None'):
        module(query, query.clone(), query, attn_mask=torch.zeros(5, 5))
    with pytest.raises(ValueError, match='6 tokens, expected 1 class token and a multiple of .* 4'):
        module(torch.randn(1, 2 + T, C))
