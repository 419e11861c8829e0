"""What every forecaster has to do, tested of each in the file of its model."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from projects.forecasting.baselines import repeat_last_pose
from projects.forecasting.forecaster import PoseForecaster

SMALL = dict(num_joints=4, num_frames=5, num_frames_out=6)


def batch(size: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    observed = 300 * torch.randn(size, 5, 4, 3, generator=generator)
    target = 300 * torch.randn(size, 6, 4, 3, generator=generator)
    return observed, target


def check_contract(build: Callable[..., PoseForecaster]) -> None:
    """Shapes, gradients, what a forecast depends on, and messages.

    Args:
        build: Makes a model of the sizes ``SMALL``; takes options of ``PoseForecaster``.
    """
    observed, target = batch()
    torch.manual_seed(0)
    model = build()
    model(observed, target, mode='loss')['loss'].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name

    model.eval()
    forecast = model(observed)
    assert forecast.shape == target.shape
    assert forecast.isfinite().all()
    assert not model.sees_future
    torch.testing.assert_close(model(observed, target), forecast)
    single = torch.cat([model(one[None]) for one in observed])
    torch.testing.assert_close(single, forecast, rtol=1e-4, atol=1e-2)
    for frame in range(5):  # each is of use
        other = observed.clone()
        other[:, frame] += 100
        assert (model(other) - forecast).abs().max() > 1e-3

    torch.manual_seed(0)
    assert torch.equal(build().eval()(observed), forecast)
    absolute = build(residual=False).eval()
    absolute.load_state_dict(model.state_dict())
    torch.testing.assert_close(absolute(observed) + observed[:, -1:], forecast)

    with pytest.raises(ValueError, match=r'observed has shape \(3, 4, 4, 3\)'):
        model(observed[:, 1:])
    with pytest.raises(ValueError, match='num_frames_out is 0, expected 1 or more'):
        build(num_frames_out=0)


def check_silent_network_repeats_the_last_pose(model: PoseForecaster, last: nn.Module) -> None:
    """Displacements are from the last pose, so that zeros are the baseline.

    Args:
        model: Of the sizes ``SMALL``.
        last: Its last layer.
    """
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    observed, _ = batch()
    torch.testing.assert_close(model(observed), repeat_last_pose(observed, 6))
