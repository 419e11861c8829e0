import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from projects.forecasting import STCAttention, STCTimeMap
from projects.forecasting.attention import PastFrames


def slow_criss_cross(module, query, memory, causal):
    """The equations for every head, position and pair, one at a time."""
    B, T, J, C = query.shape
    queries = module.query(query)
    keys, values = module.key_value(memory).split(C, dim=-1)
    width = C // 2 // module.num_heads
    out = torch.zeros(B, T, J, C)
    for b in range(B):
        for head in range(2 * module.num_heads):  # the first half of the heads looks along time
            part = slice(head * width, (head + 1) * width)
            for t in range(T):
                for j in range(J):
                    if head < module.num_heads:
                        others = [(s, j) for s in range(T) if s <= t or not causal]
                    else:
                        others = [(t, k) for k in range(J)]
                    scores = torch.stack(
                        [queries[b, t, j, part] @ keys[b, s, k, part] for s, k in others]
                    )
                    weights = (scores / width**0.5).softmax(0)
                    for weight, (s, k) in zip(weights, others, strict=True):
                        out[b, t, j, part] += weight * values[b, s, k, part]
    return out


@pytest.mark.parametrize('num_heads', [1, 2])
@pytest.mark.parametrize('causal', [False, True])
def test_equals_the_equations(num_heads, causal):
    torch.manual_seed(0)
    module = STCAttention(8, num_heads)
    query, memory = torch.randn(2, 2, 4, 3, 8)
    for tokens in (query, memory):
        expected = slow_criss_cross(module, query, tokens, causal)
        torch.testing.assert_close(module(query, tokens, causal), expected)
    torch.testing.assert_close(module(query), slow_criss_cross(module, query, query, False))


def test_time_map_is_a_weighted_sum_of_frames():
    """With a kernel of 1 each output frame is its own mix of the memory's frames."""
    torch.manual_seed(0)
    memory = torch.randn(2, 4, 3, 8)
    time_map = STCTimeMap(4, 6, kernel_size=1)
    expected = torch.einsum('ot,btjc->bojc', time_map.weight[:, :, 0, 0], memory)
    torch.testing.assert_close(time_map(memory), expected + time_map.bias.view(1, 6, 1, 1))
    assert STCTimeMap(4, 6)(memory).shape == (2, 6, 3, 8)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), frame=st.integers(1, 5))
def test_mask_hides_the_future(seed, frame):
    torch.manual_seed(seed)
    module = STCAttention(8)
    x = torch.randn(1, 6, 3, 8)
    y = x.clone()
    y[:, frame:] = torch.randn(1, 6 - frame, 3, 8)
    before, after = module(x, causal=True), module(y, causal=True)
    torch.testing.assert_close(before[:, :frame], after[:, :frame])
    assert not torch.allclose(before[:, frame:], after[:, frame:])
    assert not torch.allclose(module(x)[:, :frame], module(y)[:, :frame])


def test_half_of_the_channels_ignores_other_joints_and_half_other_frames():
    module = STCAttention(8)
    x = torch.randn(1, 5, 4, 8)
    other_joint, other_frame = x.clone(), x.clone()
    other_joint[:, :, 2] += 1
    other_frame[:, 3] += 1
    time_half = module(x)[..., :4] - module(other_joint)[..., :4]
    assert time_half[:, :, [0, 1, 3]].abs().max() < 1e-6
    joint_half = module(x)[..., 4:] - module(other_frame)[..., 4:]
    assert joint_half[:, [0, 1, 2, 4]].abs().max() < 1e-6


@pytest.mark.parametrize('num_heads', [1, 2])
@pytest.mark.parametrize('gradients', [True, False])
def test_frame_by_frame_equals_one_pass(num_heads, gradients):
    """Masked self-attention over past frames, and attention to a memory of all frames."""
    torch.manual_seed(0)
    module = STCAttention(8, num_heads)
    x, memory = torch.randn(2, 2, 5, 3, 8)
    past, read = PastFrames(5), module.project(memory)
    with torch.set_grad_enabled(gradients):
        itself, cross = [], []
        for frame in range(5):
            new = x[:, frame : frame + 1]
            itself.append(module(new, past.append(module.project(new))))
            cross.append(module(new, read.at(frame)))
    torch.testing.assert_close(torch.cat(itself, dim=1), module(x, causal=True))
    torch.testing.assert_close(torch.cat(cross, dim=1), module(x, memory))
    assert past.length == 5


def test_gradients_frame_by_frame_equal_those_of_one_pass():
    torch.manual_seed(0)
    module = STCAttention(8)
    x = torch.randn(2, 5, 3, 8)
    weight = torch.randn(2, 5, 3, 8)
    expected = torch.autograd.grad((module(x, causal=True) * weight).sum(), module.parameters())
    past = PastFrames(5)
    out = [module(new, past.append(module.project(new))) for new in x.split(1, dim=1)]
    found = torch.autograd.grad((torch.cat(out, dim=1) * weight).sum(), module.parameters())
    torch.testing.assert_close(found, expected)


def test_a_memory_is_laid_out_for_many_reads():
    """Of each joint and head all frames in a row, so that no read copies them."""
    read = STCAttention(8, 2).project(torch.randn(2, 5, 3, 8))
    assert read.time_key.shape == read.time_value.shape == (2, 3, 2, 5, 2)
    assert read.joint_key.shape == read.joint_value.shape == (2, 5, 2, 3, 2)
    assert read.time_key.is_contiguous()
    assert read.time_value.is_contiguous()
    one = read.at(3)
    assert one.time_key is read.time_key
    assert torch.equal(one.joint_key[:, 0], read.joint_key[:, 3])
    assert torch.equal(one.joint_value[:, 0], read.joint_value[:, 3])


def test_more_frames_than_said():
    module, past = STCAttention(8), PastFrames(1)
    with torch.no_grad():
        past.append(module.project(torch.randn(1, 1, 3, 8)))
        with pytest.raises(ValueError, match='2 frames, expected 1 at most'):
            past.append(module.project(torch.randn(1, 1, 3, 8)))
    with pytest.raises(ValueError, match='2 frames at once, expected 1'):
        PastFrames(3).append(module.project(torch.randn(1, 2, 3, 8)))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(channels=9), 'channels is 9, expected a multiple of 2'),
        (dict(channels=8, num_heads=3), 'multiple of 2 \\* num_heads = 6'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        STCAttention(**arguments)


def test_time_map_of_even_kernel():
    with pytest.raises(ValueError, match='kernel_size is 2, expected an odd number'):
        STCTimeMap(4, 6, kernel_size=2)
