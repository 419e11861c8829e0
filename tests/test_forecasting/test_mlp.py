import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import MODELS
from scipy.fft import dct, idct

from projects.forecasting.baselines import repeat_last_pose
from projects.forecasting.mlp import NORM_AXES, MotionMLP

from .contract import SMALL, batch, check_contract, check_silent_network_repeats_the_last_pose

NET = dict(num_blocks=3)


def trained(**options):
    """A small model whose forecast is not the last pose, as that of a new one is."""
    model = MotionMLP(**{**SMALL, **NET, **options})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize('norm_axis', NORM_AXES)
@pytest.mark.parametrize('options', [dict(), dict(dct=False, channels=7)])
def test_contract(norm_axis, options):
    check_contract(lambda **more: trained(**{'norm_axis': norm_axis, **options, **more}))


def slow_network(model, seen):
    """One sample (T, J, 3), frame by frame and channel by channel, with scipy's transform."""
    padded = torch.stack([*seen, *([seen[-1]] * model.num_frames_out)]).flatten(1)  # (F, J * 3)
    x = torch.from_numpy(dct(padded.numpy(), axis=0, norm='ortho'))
    x = torch.stack([model.joints_in(coefficients) for coefficients in x])  # (F, C)
    for block in model.blocks:
        mixed = torch.stack([block.mix(channel) for channel in x.T])  # (C, F)
        axis = 1 if block.norm_axis == 'time' else 0
        if block.norm_axis != 'none':
            mean = mixed.mean(axis, keepdim=True)
            spread = mixed.var(axis, keepdim=True, unbiased=False)
            mixed = (mixed - mean) / (spread + block.norm.eps).sqrt()
            scale, shift = block.norm.weight, block.norm.bias
            if axis == 0:
                scale, shift = scale[:, None], shift[:, None]
            mixed = mixed * scale + shift
        x = x + mixed.T
    x = torch.stack([model.joints_out(coefficients) for coefficients in x])
    frames = torch.from_numpy(idct(x.numpy(), axis=0, norm='ortho'))
    return frames[-model.num_frames_out :].reshape(-1, model.num_joints, 3)


@torch.no_grad()
@pytest.mark.parametrize('norm_axis', NORM_AXES)
def test_equals_the_paper(norm_axis):
    torch.manual_seed(0)
    model = trained(norm_axis=norm_axis, displacement_input=False)
    observed, _ = batch()
    expected = torch.stack([slow_network(model, sample / model.unit) for sample in observed])
    torch.testing.assert_close(
        model(observed), observed[:, -1:] + model.unit * expected, rtol=1e-4, atol=1e-2
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1))
def test_only_the_norms_are_not_linear(seed, share):
    torch.manual_seed(seed)
    one, other = 300 * torch.randn(2, 1, 5, 4, 3)
    mixed = share * one + (1 - share) * other
    model = trained(norm_axis='none')
    expected = share * model(one) + (1 - share) * model(other)
    torch.testing.assert_close(model(mixed), expected, rtol=1e-4, atol=1e-2)
    curved = trained()
    middle = (one + other) / 2
    assert (curved(middle) - (curved(one) + curved(other)) / 2).abs().max() > 1e-2


def test_training_starts_at_the_last_pose():
    torch.manual_seed(0)
    model = MODELS.build(dict(type='MotionMLP', **SMALL))
    observed, target = batch()
    start = repeat_last_pose(observed, 6)
    torch.testing.assert_close(model(observed), start, rtol=0, atol=1e-2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(30):
        loss = model(observed, target, mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_sizes_of_the_paper():
    """Of 66 coordinates, 50 frames and 48 blocks: 0.14 million parameters."""
    model = MotionMLP(22, num_frames=25, num_frames_out=25, displacement_input=False)
    assert len(model.blocks) == 48
    assert model.joints_in.weight.shape == model.joints_out.weight.shape == (66, 66)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters == 2 * (66 * 66 + 66) + 48 * (50 * 50 + 50 + 2 * 66)
    assert parameters == pytest.approx(0.14e6, rel=0.03)


def test_transform_is_no_weight():
    state = MotionMLP(**SMALL, **NET).state_dict()
    assert not [name for name in state if 'dct' in name]


def test_silent_network_repeats_the_last_pose():
    model = trained()
    check_silent_network_repeats_the_last_pose(model, model.joints_out)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(norm_axis='joints'), "norm_axis is 'joints', expected one of"),
        (dict(num_blocks=0), 'num_blocks is 0, expected 1 or more'),
        (dict(channels=0), 'channels is 0, expected 1 or more'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        MotionMLP(**{**SMALL, **NET, **options})
