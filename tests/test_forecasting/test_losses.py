import pytest
import torch
from mmengine.registry import MODELS

import projects.forecasting  # noqa: F401  registers the loss
from projects.forecasting.losses import joint_errors


def moving(seed, *shape):
    return 100 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('velocity_weight', [0.0, 0.5])
def test_loss_joint_by_joint(velocity_weight):
    forecast, target = moving(0, 2, 4, 3, 3), moving(1, 2, 4, 3, 3)
    loss = MODELS.build(
        dict(type='ForecastMPJPELoss', loss_weight=2.0, velocity_weight=velocity_weight)
    )
    places, steps = [], []
    for sample in range(2):
        for frame in range(4):
            for joint in range(3):
                here = forecast[sample, frame, joint] - target[sample, frame, joint]
                places.append(float((here**2).sum()) ** 0.5)
                if frame:
                    before = forecast[sample, frame - 1, joint] - target[sample, frame - 1, joint]
                    steps.append(float(((here - before) ** 2).sum()) ** 0.5)
    expected = sum(places) / len(places) + velocity_weight * sum(steps) / len(steps)
    assert float(loss(forecast, target)) == pytest.approx(2 * expected, rel=1e-5)


def test_velocity_is_blind_to_a_shift_and_sees_a_jitter():
    target = moving(0, 2, 6, 3, 3)
    parts = {
        weight: MODELS.build(dict(type='ForecastMPJPELoss', velocity_weight=weight))
        for weight in (0.0, 1.0)
    }

    def of_steps(forecast):
        return float(parts[1.0](forecast, target) - parts[0.0](forecast, target))

    assert of_steps(target + 50) == pytest.approx(0, abs=1e-3)
    jitter = torch.tensor([1.0, -1.0] * 3)[:, None, None]
    assert of_steps(target + 50 * jitter) == pytest.approx(100 * 3**0.5, rel=1e-4)


def test_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match=r'forecast has shape \(4, 3\), target \(1, 3\)'):
        joint_errors(torch.zeros(4, 3), torch.zeros(1, 3))
