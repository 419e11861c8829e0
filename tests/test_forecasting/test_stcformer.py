import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import MODELS

from projects.forecasting import STCFormer
from projects.forecasting.stcformer import DECODER_QUERIES

SMALL = dict(num_joints=4, num_frames=5, num_frames_out=6, channels=8)


def batch(size=3):
    generator = torch.Generator().manual_seed(0)
    observed = 300 * torch.randn(size, 5, 4, 3, generator=generator)
    target = 300 * torch.randn(size, 6, 4, 3, generator=generator)
    return observed, target


@pytest.mark.parametrize('query', DECODER_QUERIES)
@pytest.mark.parametrize('position_embedding', [True, False])
def test_shapes_and_gradients(query, position_embedding):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='STCFormer', decoder_query=query, position_embedding=position_embedding, **SMALL)
    )
    observed, target = batch()
    forecast = model(observed, target)
    assert forecast.shape == target.shape
    assert forecast.isfinite().all()
    model(observed, target, mode='loss')['loss'].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_loss_is_the_mean_distance():
    model = STCFormer(**SMALL)
    observed, target = batch(2)
    forecast = model(observed)
    total = 0.0
    for sample in range(2):
        for frame in range(6):
            for joint in range(4):
                difference = (forecast - target)[sample, frame, joint].tolist()
                total += math.sqrt(sum(value**2 for value in difference))
    loss = model(observed, target, mode='loss')['loss']
    assert loss.item() == pytest.approx(total / (2 * 6 * 4), rel=1e-5)


def test_forecast_does_not_depend_on_the_future_nor_on_the_batch():
    model = STCFormer(**SMALL).eval()
    observed, target = batch()
    assert not model.sees_future
    torch.testing.assert_close(model(observed, target), model(observed))
    single = torch.cat([model(one[None]) for one in observed])
    torch.testing.assert_close(single, model(observed), rtol=1e-4, atol=1e-2)


@settings(max_examples=10, deadline=None)
@given(frame=st.integers(0, 5), seed=st.integers(0, 100))
def test_what_the_teacher_forced_queries_see(frame, seed):
    """'true_future' lets frame t see t, 'shifted_future' only what came before it."""
    torch.manual_seed(seed)
    observed, target = batch(1)
    changed = target.clone()
    changed[:, frame] += 200 * torch.randn(4, 3)
    for query, first in (('true_future', frame), ('shifted_future', frame + 1)):
        model = STCFormer(decoder_query=query, **SMALL).eval()
        assert model.sees_future
        difference = (model(observed, target) - model(observed, changed)).abs().amax(dim=(0, 2, 3))
        assert difference[:first].max() < 1e-3 if first else True
        if first < 6:
            assert difference[first] > 1e-3


def test_teacher_forced_model_says_what_it_needs():
    model = STCFormer(decoder_query='true_future', **SMALL)
    observed, target = batch()
    with pytest.raises(ValueError, match=r"'true_future' needs the true future.*found none"):
        model(observed)
    with pytest.raises(ValueError, match=r'shape \(3, 6, 4, 3\), found shape \(3, 5, 4, 3\)'):
        model(observed, target[:, 1:])


def test_a_still_body_stays_where_it_is_seen_from():
    """Without displacements the input of all frames is one pose, whatever its place in time."""
    model = STCFormer(**SMALL).eval()
    pose = 300 * torch.randn(1, 1, 4, 3)
    forecast = model(pose.expand(-1, 5, -1, -1))
    untrained_residual = (forecast - pose).norm(dim=-1).mean()
    assert untrained_residual < 2 * model.unit


def test_predictions_are_marked():
    observed, target = batch()
    for query in DECODER_QUERIES:
        model = STCFormer(decoder_query=query, **SMALL)
        predictions = model(observed, target, mode='predict')
        assert len(predictions) == 3
        assert predictions[0]['forecast'].shape == (6, 4, 3)
        assert predictions[0]['sees_future'] == (query != 'last_pose')


def test_few_steps_fit_one_batch():
    torch.manual_seed(0)
    model = STCFormer(**SMALL)
    observed, _ = batch()
    target = observed[:, -1:] + torch.linspace(10, 60, 6).view(1, 6, 1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = model(observed, target, mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    ('channels', 'num_blocks', 'published'), [(32, 2, 23e3), (32, 4, 45e3), (64, 2, 86e3)]
)
def test_size_is_near_the_document(channels, num_blocks, published):
    model = STCFormer(22, channels=channels, num_blocks=num_blocks)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(published, rel=0.1)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(decoder_query='oracle'), "decoder_query is 'oracle', expected one of"),
        (dict(num_frames_out=0), 'num_frames_out is 0, expected 1 or more'),
        (dict(channels=7), 'channels is 7'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        STCFormer(**{**SMALL, **options})


def test_bad_inputs():
    model = STCFormer(**SMALL)
    observed, target = batch()
    with pytest.raises(ValueError, match=r'observed has shape \(3, 4, 4, 3\)'):
        model(observed[:, 1:])
    with pytest.raises(ValueError, match="mode is 'test'"):
        model(observed, mode='test')
    with pytest.raises(ValueError, match='needs the target'):
        model(observed, mode='loss')
