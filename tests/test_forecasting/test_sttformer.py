import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import MODELS

from projects.forecasting.sttformer import STABlock, STTFormer

from .contract import SMALL, batch, check_contract, check_silent_network_repeats_the_last_pose

NET = dict(channels=8, num_blocks=2, num_heads=2)


def slow_attention(layer, tokens):
    """Tokens (L, C) of one row, every head and pair, one at a time."""
    L, C = tokens.shape
    width = C // layer.num_heads
    queries, keys, values = (tokens @ layer.in_proj_weight.T + layer.in_proj_bias).chunk(3, dim=-1)
    joined = torch.zeros(L, C)
    for head in range(layer.num_heads):
        part = slice(head * width, (head + 1) * width)
        for i in range(L):
            scores = torch.stack([queries[i, part] @ keys[j, part] for j in range(L)])
            weights = (scores / width**0.5).softmax(0)
            for j in range(L):
                joined[i, part] += weights[j] * values[j, part]
    return joined @ layer.out_proj.weight.T + layer.out_proj.bias


@pytest.mark.parametrize('num_heads', [1, 2])
def test_block_equals_the_equations(num_heads):
    torch.manual_seed(0)
    block = MODELS.build(dict(type='STABlock', channels=8, num_heads=num_heads, ffn_ratio=2.0))
    for parameter in block.parameters():  # biases of zero would hide a wrong one
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 5, 4, 8)
    expected = x.clone()
    for b in range(2):
        normal = block.joint_norm(expected[b])
        for t in range(5):
            expected[b, t] += slow_attention(block.joint_attention, normal[t])
        normal = block.time_norm(expected[b])
        for j in range(4):
            expected[b, :, j] += slow_attention(block.time_attention, normal[:, j])
    expected = expected + block.ffn(block.ffn_norm(expected))
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_block_knows_no_order(seed):
    torch.manual_seed(seed)
    block = STABlock(8, 2)
    x = torch.randn(2, 5, 4, 8)
    frames, joints = torch.randperm(5), torch.randperm(4)
    torch.testing.assert_close(
        block(x[:, frames][:, :, joints]), block(x)[:, frames][:, :, joints], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize('position_embedding', [True, False])
def test_contract(position_embedding):
    check_contract(
        lambda **options: STTFormer(
            **{**SMALL, **NET, 'position_embedding': position_embedding, **options}
        )
    )


def test_without_positions_joints_are_alike():
    """But for the convolution's kernel, which runs over neighbouring joints."""
    torch.manual_seed(0)
    observed, _ = batch()
    order = torch.tensor([2, 0, 3, 1])
    model = STTFormer(**SMALL, **NET, position_embedding=False, kernel_size=1).eval()
    torch.testing.assert_close(
        model(observed[:, :, order]), model(observed)[:, :, order], rtol=1e-4, atol=1e-2
    )
    told = STTFormer(**SMALL, **NET, kernel_size=1).eval()
    assert (told(observed[:, :, order]) - told(observed)[:, :, order]).abs().max() > 1e-1


def test_silent_network_repeats_the_last_pose():
    model = STTFormer(**SMALL, **NET)
    check_silent_network_repeats_the_last_pose(model, model.time_map)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_heads=3), 'channels is 8, expected a multiple of num_heads = 3'),
        (dict(num_blocks=0), 'num_blocks is 0, expected 1 or more'),
        (dict(num_heads=0), 'num_heads is 0, expected 1 or more'),
        (dict(kernel_size=2), 'kernel_size is 2, expected an odd number'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        STTFormer(**{**SMALL, **NET, **options})
