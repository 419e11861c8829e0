import pytest
import torch
from mmengine.registry import MODELS
from scipy.fft import dct, idct

from projects.forecasting.baselines import repeat_last_pose
from projects.forecasting.dctformer import DCTFormer

from .contract import SMALL, batch, check_contract

NET = dict(channels=8, num_blocks=2, num_heads=2)


def moving(**options):
    """A small model whose forecast is not the last pose, as that of a new one is."""
    model = DCTFormer(**{**SMALL, **NET, **options})
    torch.nn.init.normal_(model.head.weight, std=0.3)
    return model


@pytest.mark.parametrize(
    'options', [dict(), dict(num_coefficients=4, dropout=0.0), dict(cosine=False)]
)
def test_contract(options):
    check_contract(lambda **more: moving(**{**options, **more}))


def plain_attention(layer, x):
    """(J, C): each head's weighted mean of all joints, by hand."""
    size = x.shape[1] // layer.num_heads
    query, key, value = (x @ layer.in_proj_weight.T + layer.in_proj_bias).chunk(3, dim=1)
    heads = []
    for head in range(layer.num_heads):
        part = slice(head * size, (head + 1) * size)
        rows = []
        for q in query[:, part]:
            weights = torch.tensor([float(q @ k) / size**0.5 for k in key[:, part]]).softmax(0)
            rows.append(sum(w * v for w, v in zip(weights, value[:, part], strict=True)))
        heads.append(torch.stack(rows))
    return layer.out_proj(torch.cat(heads, dim=1))


def slow_network(model, observed):
    """One sample (T, J, 3) mm, joint by joint, with scipy's transform."""
    metres = observed / 1000
    tokens = []
    for joint in range(model.num_joints):
        moved = 10 * (metres[:, joint] - metres[-1, joint])
        padded = torch.cat([moved, torch.zeros(model.num_frames_out, 3)])
        coefficients = torch.from_numpy(dct(padded.numpy(), axis=0, norm='ortho'))
        numbers = torch.cat([coefficients[: len(model.dct)].flatten(), metres[-1, joint]])
        tokens.append(model.embed(numbers) + model.joint_embedding[joint])
    x = torch.stack(tokens)
    for block in model.blocks:
        x = x + plain_attention(block.attention, block.attention_norm(x))
        x = x + block.ffn(x)
    frames = []
    for token in model.head(model.norm(x)):
        coefficients = torch.zeros(model.num_frames + model.num_frames_out, 3)
        coefficients[: len(model.dct)] = token.unflatten(0, (-1, 3))
        frames.append(torch.from_numpy(idct(coefficients.numpy(), axis=0, norm='ortho')))
    moved = torch.stack(frames, dim=1)[-model.num_frames_out :]
    return observed[-1] + 100 * moved


@torch.no_grad()
@pytest.mark.parametrize('num_coefficients', [None, 4])
def test_equals_a_plain_computation(num_coefficients):
    torch.manual_seed(0)
    model = moving(num_coefficients=num_coefficients).eval()
    observed, _ = batch()
    expected = torch.stack([slow_network(model, sample) for sample in observed])
    torch.testing.assert_close(model(observed), expected, rtol=1e-4, atol=1e-2)


@torch.no_grad()
def test_frames_as_they_are_are_another_basis():
    """Weights of the one turned into the other's give the same forecast."""
    torch.manual_seed(0)
    model, frames = moving().eval(), moving(cosine=False).eval()
    state = model.state_dict()
    turned = state['embed.weight'][:, :-3].unflatten(1, (-1, 3))
    turned = torch.einsum('ckd,kf->cfd', turned, model.dct).flatten(1)
    state['embed.weight'] = torch.cat([turned, state['embed.weight'][:, -3:]], dim=1)
    for name in ('head.weight', 'head.bias'):
        kept = state[name].unflatten(0, (-1, 3))
        state[name] = torch.einsum('kd...,kf->fd...', kept, model.dct).flatten(0, 1)
    frames.load_state_dict(state)
    observed, _ = batch()
    torch.testing.assert_close(frames(observed), model(observed), rtol=1e-4, atol=1e-2)


def test_training_starts_at_the_last_pose():
    model = MODELS.build(dict(type='DCTFormer', **SMALL, **NET))
    observed, target = batch()
    torch.testing.assert_close(model(observed), repeat_last_pose(observed, 6))
    model(observed, target, mode='loss')['loss'].backward()
    assert model.head.weight.grad.abs().max() > 0


@torch.no_grad()
def test_few_coefficients_make_smooth_motion():
    torch.manual_seed(0)
    rough, smooth = (moving(num_coefficients=count).eval() for count in (11, 2))
    observed, _ = batch()

    def jerk(model):
        steps = model(observed).diff(dim=1)
        return (steps.diff(dim=1).norm(dim=-1) / steps.norm(dim=-1)[:, 1:]).mean()

    assert jerk(smooth) < jerk(rough) / 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_blocks=0), 'num_blocks is 0, expected 1 or more'),
        (dict(num_coefficients=12), 'num_coefficients is 12, expected 1 to num_frames = 11'),
        (dict(num_coefficients=4, cosine=False), 'num_coefficients is 4, expected None without'),
    ],
)
def test_bad_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        moving(**options)
