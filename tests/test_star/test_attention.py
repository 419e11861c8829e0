import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import MODELS
from torch.nn import functional as F

from projects.star.attention import BAttn, FAttn, SpatioTemporalAttention, ZAttn

KINDS = [FAttn, ZAttn, BAttn]
SPLIT = [ZAttn, BAttn]


def make(kind, channels=8, heads=2, **options):
    torch.manual_seed(0)
    return kind(channels, heads, **options).double()


def tokens(T, S, K, channels=8, batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, K + T * S, channels, dtype=torch.float64)


def group(kind, frame, T):
    """Of a frame counted from 1, by the document's words; FAttn has one group only."""
    if kind is ZAttn:
        return 'odd' if frame % 2 else 'even'
    if kind is BAttn:
        return 'first' if frame <= (T + 1) // 2 else 'second'
    return frame  # in no other frame's group, and below it may see itself too


def sees(kind, query, key, T):
    """Whether a query frame, counted from 1 (0 = class token), attends to a key frame."""
    if kind is FAttn or query == 0 or key == 0:
        return True
    return group(kind, query, T) != group(kind, key, T)


def reference_weights(module, x, T, K):
    """The softmax of the document's formulas, (B, H, L, L), 0 where nothing is seen."""
    B, L, C = x.shape
    S = (L - K) // T
    query, key, _ = (
        part.reshape(B, L, module.num_heads, -1) for part in module.qkv(x).chunk(3, -1)
    )
    scores = torch.einsum('bqhd,bkhd->bhqk', query, key) / (C / module.num_heads) ** 0.5
    frame = [0] * K + [t for t in range(1, T + 1) for _ in range(S)]
    mask = torch.tensor([[sees(type(module), q, k, T) for k in frame] for q in frame])
    weights = scores.exp() * mask
    return weights / weights.sum(-1, keepdim=True)


def reference(module, x, T, K):
    B, L, C = x.shape
    value = module.qkv(x).chunk(3, -1)[2].reshape(B, L, module.num_heads, -1)
    out = torch.einsum('bhqk,bkhd->bqhd', reference_weights(module, x, T, K), value)
    return F.linear(out.reshape(B, L, C), module.proj.weight, module.proj.bias)


def gradients(module, x, out):
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return torch.autograd.grad((out * weight).sum(), [x, *module.parameters()])


@pytest.mark.parametrize('kind', KINDS)
@settings(max_examples=25, deadline=None)
@given(
    T=st.integers(2, 6),
    S=st.integers(1, 4),
    K=st.sampled_from([0, 1, 3]),
    heads=st.sampled_from([1, 2, 4]),
    bias=st.booleans(),
)
def test_equals_the_formulas(kind, T, S, K, heads, bias):
    """Even and odd numbers of frames, with and without class tokens: output and all gradients."""
    module = make(kind, heads=heads, bias=bias)
    x = tokens(T, S, K).requires_grad_()
    out, expected = module(x, T, K), reference(module, x, T, K)
    assert out.shape == x.shape
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(gradients(module, x, out), gradients(module, x, expected))


@pytest.mark.parametrize('K', [0, 3])
@pytest.mark.parametrize('T', [4, 5])
@pytest.mark.parametrize('kind', KINDS)
def test_is_one_full_attention_with_a_mask(kind, T, K):
    """ZAttn and BAttn as masked FAttn, the mask made of ``visible``."""
    S = 3
    module = make(kind)
    x = tokens(T, S, K).requires_grad_()
    mask = torch.ones(K + T * S, K + T * S, dtype=torch.bool)
    mask[K:, K:] = module.visible(T).repeat_interleave(S, 0).repeat_interleave(S, 1)
    qkv = module.qkv(x).view(2, K + T * S, 3, 2, 4).permute(2, 0, 3, 1, 4)
    masked = F.scaled_dot_product_attention(*qkv, attn_mask=mask)
    masked = module.proj(masked.transpose(1, 2).reshape(x.shape))
    out = module(x, T, K)
    torch.testing.assert_close(out, masked)
    torch.testing.assert_close(gradients(module, x, out), gradients(module, x, masked))


@pytest.mark.parametrize('T', [2, 5, 16])
@pytest.mark.parametrize('kind', KINDS)
def test_visible(kind, T):
    frames = range(1, T + 1)
    expected = [[sees(kind, query, key, T) for key in frames] for query in frames]
    assert kind(8, 2).visible(T).tolist() == expected


def test_pairs_of_the_split():
    """Each half has a quarter of the pairs."""
    assert FAttn(8, 2).visible(16).sum() == 256
    for kind in SPLIT:
        visible = kind(8, 2).visible(16)
        half = visible[kind(8, 2).first_group(16)]
        assert visible.sum() == 128
        assert half.sum() == 64


@pytest.mark.parametrize('K', [0, 2])
@pytest.mark.parametrize('kind', KINDS)
def test_gradients_reach_all_parameters(kind, K):
    module = make(kind)
    module(tokens(4, 2, K), 4, K).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize('kind', KINDS)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), T=st.integers(2, 7), K=st.sampled_from([0, 2]))
def test_order_inside_a_group_does_not_matter(kind, data, T, K):
    """Permuted frames of each group give the output permuted alike, and the same class tokens."""
    S = 2
    module = make(kind)
    new = list(range(T))
    groups = [new] if kind is FAttn else module._groups(T)
    for frames in groups:
        for place, frame in zip(frames, data.draw(st.permutations(frames)), strict=True):
            new[place] = frame
    order = [*range(K), *(K + frame * S + place for frame in new for place in range(S))]
    x = tokens(T, S, K)
    torch.testing.assert_close(module(x[:, order], T, K), module(x, T, K)[:, order])


@pytest.mark.parametrize('kind', SPLIT)
def test_order_across_groups_matters(kind):
    module = make(kind)
    x = tokens(4, 1, 0)
    order = [3, 1, 2, 0]  # exchanges frames of two groups, under ZAttn and under BAttn
    assert not torch.allclose(module(x[:, order], 4), module(x, 4)[:, order])


@pytest.mark.parametrize('kind', SPLIT)
def test_class_tokens_read_and_tell_the_whole_clip(kind):
    module = make(kind)
    x = tokens(4, 2, 1, batch=1).requires_grad_()
    out = module(x, 4, 1)
    (read,) = torch.autograd.grad(out[0, 0].sum(), x, retain_graph=True)
    assert (read[0].abs().sum(-1) > 0).all()
    for token in range(1, 9):
        (read,) = torch.autograd.grad(out[0, token].sum(), x, retain_graph=True)
        assert read[0, 0].abs().sum() > 0


@pytest.mark.parametrize('kind', KINDS)
def test_is_deterministic_and_drops_only_in_training(kind):
    module, x = make(kind, dropout=0.5), tokens(4, 3, 1)
    module.eval()
    assert torch.equal(module(x, 4, 1), module(x, 4, 1))
    plain = make(kind)
    torch.testing.assert_close(module(x, 4, 1), plain(x, 4, 1))
    assert torch.equal(plain(x, 4, 1), plain.train()(x, 4, 1))
    module.train()
    dropped = module(x, 4, 1)
    assert not torch.allclose(dropped, plain(x, 4, 1))
    assert not torch.allclose(dropped, module(x, 4, 1))


@pytest.mark.parametrize('kind', KINDS)
def test_dropout_keeps_the_mean(kind):
    module, x = make(kind, dropout=0.3), tokens(2, 1, 1, batch=1)
    mean = module.train()(x.expand(20000, -1, -1), 2, 1).mean(0)
    torch.testing.assert_close(mean, module.eval()(x, 2, 1)[0], atol=0.01, rtol=0)


@pytest.mark.parametrize('K', [0, 3])
@pytest.mark.parametrize(('T', 'S'), [(2, 1), (5, 2), (4, 150)])  # the last in several chunks
@pytest.mark.parametrize('kind', KINDS)
def test_frame_attention(kind, T, S, K):
    module, x = make(kind, dropout=0.5), tokens(T, S, K, batch=1)
    weights = reference_weights(module, x, T, K)[..., K:].unflatten(-1, (T, S)).sum(-1)
    expected = weights[:, :, K:].unflatten(2, (T, S)).mean(3)  # (B, H, T, T)
    if K:
        classes = weights[:, :, :K].mean(2, keepdim=True)
        expected = torch.cat([classes, expected], dim=2)
    rows = module.frame_attention(x, T, K)
    assert rows.shape == (1, 2, T + (K > 0), T)
    assert not rows.requires_grad
    torch.testing.assert_close(rows, expected)
    if K:
        assert (rows.sum(-1) < 1).all()
    else:
        torch.testing.assert_close(rows.sum(-1), torch.ones(1, 2, T, dtype=torch.float64))
    assert (rows[:, :, -T:][..., ~module.visible(T)] == 0).all()


@pytest.mark.parametrize('kind', KINDS)
def test_autocast(kind):
    module, x = make(kind).float(), tokens(4, 3, 2).float().requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        out = module(x, 4, 2)
        rows = module.frame_attention(x, 4, 2)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), module(x, 4, 2), atol=0.03, rtol=0.03)
    torch.testing.assert_close(rows.float(), module.frame_attention(x, 4, 2), atol=0.03, rtol=0.03)
    out.float().sum().backward()
    assert all(
        p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in module.parameters()
    )


@pytest.mark.parametrize('kind', KINDS)
def test_is_built_by_name(kind):
    module = MODELS.build(dict(type=kind.__name__, embed_dims=8, num_heads=2, bias=False))
    assert type(module) is kind
    assert module.qkv.bias is None
    assert module.proj.bias is None


def test_bases_are_abstract():
    with pytest.raises(TypeError, match='abstract'):
        SpatioTemporalAttention(8, 2)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((8, 3), 'embed_dims is 8 and num_heads 3, expected a positive multiple'),
        ((8, 0), 'embed_dims is 8 and num_heads 0'),
        ((0, 2), 'embed_dims is 0 and num_heads 2'),
        ((8, 2, 1.0), 'dropout is 1.0, expected 0 or more and less than 1'),
        ((8, 2, -0.1), 'dropout is -0.1'),
    ],
)
def test_bad_options(arguments, message):
    for kind in KINDS:
        with pytest.raises(ValueError, match=message):
            kind(*arguments)


@pytest.mark.parametrize(
    ('shape', 'arguments', 'message'),
    [
        ((2, 8, 6), (4,), r'shape \(2, 8, 6\), expected \(batch, tokens, embed_dims = 8\)'),
        ((8, 8), (4,), r'shape \(8, 8\)'),
        ((2, 10, 8), (4,), '10 tokens, expected 0 class tokens and then 4 frames'),
        ((2, 8, 8), (4, 1), '8 tokens, expected 1 class tokens and then 4 frames'),
        ((2, 3, 8), (4, 3), '3 tokens, expected 3 class tokens and then 4 frames'),
        ((2, 2, 8), (2, 4), '2 tokens, expected 4 class tokens'),  # (2 - 4) / 2 is whole, too
        ((2, 8, 8), (0,), 'num_frames is 0'),
        ((2, 8, 8), (4, -4), 'num_class_tokens -4'),
    ],
)
def test_bad_tokens(shape, arguments, message):
    for kind in KINDS:
        module, x = kind(8, 2), torch.randn(shape)
        for method in (module.forward, module.frame_attention):
            with pytest.raises(ValueError, match=message):
                method(x, *arguments)


def test_one_frame():
    """Nothing to attend to in the other half; only FAttn takes it."""
    x = torch.randn(1, 4, 8)
    assert FAttn(8, 2)(x, 1, 1).shape == x.shape
    for kind in SPLIT:
        module = kind(8, 2)
        for method in (module.forward, module.frame_attention):
            with pytest.raises(ValueError, match=f'num_frames is 1, .*{kind.__name__}'):
                method(x, 1, 1)
