import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import MODELS

from projects.forecasting import STCFormer, STCFormerAutoregressive, roll_out
from tests.test_wiring import ROOT

SMALL = dict(num_joints=4, num_frames=5, num_frames_out=6, channels=8)
OPTIONS = [
    dict(),
    dict(num_heads=2, position_embedding=True),
    dict(residual=False),
    dict(displacement_input=False),
]


def batch(size=3, frames=5, frames_out=6, joints=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pose = 300 * torch.randn(size, 1, joints, 3, generator=generator)
    steps = 20 * torch.randn(size, frames + frames_out, joints, 3, generator=generator)
    motion = pose + steps.cumsum(dim=1)
    return motion[:, :frames], motion[:, frames:]


def make(seed=0, scale=0.1, **options):
    """A model whose poses move by decimetres, as people do; torch's weights move them by metres."""
    torch.manual_seed(seed)
    model = STCFormerAutoregressive(**{**SMALL, **options}).eval()
    for weights in model.head.parameters():
        weights.data *= scale
    return model


def precise(model):
    """In float64, also where positions are made."""
    model.double()

    def positions(moves, observed):
        return moves * model.unit + (observed[:, -1:] if model.residual else 0)

    model.positions = positions
    return model


@torch.no_grad()
def slow_rollout(model, observed):
    """The whole decoder for every frame; frames not yet known are noise, as the mask hides them."""
    last, unit = observed[:, -1], model.unit
    shape = len(observed), model.num_frames_out, model.num_joints
    poses = 500 * torch.randn(*shape, 3, dtype=observed.dtype)
    poses[:, 0] = last
    for frame in range(model.num_frames_out):
        numbers = [poses / unit]
        if model.displacement_input:
            numbers.append(10 * (poses - last[:, None]) / unit)
        tokens = poses.new_zeros(*shape, 2)
        tokens[:, 0, :, 1] = 1
        x = model.embed_query(torch.cat([*numbers, tokens], dim=-1))
        if model.position_embedding is not None:
            x += model.position_embedding['query_frame'] + model.position_embedding['query_joint']
        memory = model.memory(model.seen(observed))
        for block in model.decoder:
            x = block(x, memory)
        output = model.head(model.decoder_norm(x))[..., :3] * unit
        forecast = output + last[:, None] if model.residual else output
        if frame + 1 < model.num_frames_out:
            poses[:, frame + 1] = forecast[:, frame]
    return forecast


@pytest.mark.parametrize('options', OPTIONS)
@pytest.mark.parametrize('gradients', [True, False])
def test_rollout_equals_the_slow_one(options, gradients):
    model = precise(make(scale=1.0, **options))
    observed = batch()[0].double()
    with torch.set_grad_enabled(gradients):
        forecast = model(observed)
    torch.testing.assert_close(forecast, slow_rollout(model, observed), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    'sizes',
    [
        dict(num_frames_out=25, channels=64),
        dict(num_frames_out=25, channels=32, position_embedding=True),
        dict(num_frames_out=40, channels=32, num_heads=2),
    ],
)
def test_rollout_of_document_size_in_float32(sizes):
    """Within a thousandth of a millimetre."""
    model = make(num_joints=22, num_frames=10, **{**dict(num_blocks=2), **sizes})
    observed, _ = batch(2, 10, 1, 22)
    with torch.no_grad():
        forecast = model(observed)
    assert (forecast - observed[:, -1:]).norm(dim=-1).mean() > 10  # it moves
    assert (forecast - slow_rollout(model, observed)).abs().max() < 1e-3


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), options=st.sampled_from(OPTIONS))
def test_teacher_forcing_is_the_rollout_where_the_forecast_is_true(seed, options):
    """Fed with its own forecast as truth, one masked pass gives the rollout: a fixed point."""
    model = precise(make(seed, **options))
    observed = batch(2, seed=seed)[0].double()
    with torch.no_grad():
        forecast = model(observed)
        read = model.decoder_input(model._query(observed, forecast), observed)
        output = model.decode(read, model.memory(model.seen(observed)))
    again = model.positions(output[..., :3], observed)
    torch.testing.assert_close(again, forecast, rtol=0, atol=1e-6)
    assert model.losses(observed, forecast)['loss_position'] < 1e-6


@pytest.mark.parametrize('frame', range(6))
def test_teacher_forced_frame_sees_only_what_came_before(frame):
    model = make()
    observed, target = batch()
    changed = target.clone()
    changed[:, frame] += 100
    memory = model.memory(model.seen(observed))

    def output(future):
        return model.decode(model.decoder_input(model._query(observed, future), observed), memory)

    difference = (output(target) - output(changed)).abs().amax(dim=(0, 2, 3))
    assert difference[: frame + 1].max() < 1e-6
    if frame < 5:
        assert difference[frame + 1] > 1e-5


def test_start_token_is_at_position_0_only():
    model = make()
    observed, target = batch()
    read = model.decoder_input(model._query(observed, target), observed)
    assert read.shape == (3, 6, 4, 8)
    assert (read[:, 0, :, 6:] == torch.tensor([0.0, 1.0])).all()
    assert (read[:, 1:, :, 6:] == 0).all()
    torch.testing.assert_close(read[:, 0, :, :3], observed[:, -1] / 1000)
    torch.testing.assert_close(read[:, 1:, :, :3], target[:, :-1] / 1000)
    moved = (target[:, :-1] - observed[:, -1:]) / 100
    torch.testing.assert_close(read[:, 1:, :, 3:6], moved)
    assert (read[:, 0, :, 3:6] == 0).all()
    one = model.decoder_input(target[:, 2:3], observed, first_frame=3)
    torch.testing.assert_close(one, read[:, 3:4])


def test_document_reads_five_numbers_a_joint():
    model = make(displacement_input=False, residual=False)
    observed, target = batch()
    read = model.decoder_input(model._query(observed, target), observed)
    assert read.shape == (3, 6, 4, 5)
    assert (read[:, 0, :, 3:] == torch.tensor([0.0, 1.0])).all()


def test_losses_are_the_documents():
    model = make(loss=dict(type='ForecastMPJPELoss', loss_weight=2.0), token_loss_weight=0.5)
    observed, target = batch(2)
    losses = model(observed, target, mode='loss')
    assert set(losses) == {'loss_position', 'loss_token'}
    poses = torch.cat([observed[:, -1:], target[:, :-1]], dim=1)
    memory = model.memory(model.seen(observed))
    output = model.decode(model.decoder_input(poses, observed), memory)
    position = token = 0.0
    for sample in range(2):
        for frame in range(6):
            for joint in range(4):
                *move, start_0, start_1 = output[sample, frame, joint].tolist()
                found = [
                    observed[sample, -1, joint, axis].item() + 1000 * move[axis]
                    for axis in range(3)
                ]
                position += math.dist(found, target[sample, frame, joint].tolist())
                token += math.dist([start_0, start_1], [0, 1] if frame == 0 else [0, 0])
    assert losses['loss_position'].item() == pytest.approx(2.0 * position / 48, rel=1e-4)
    assert losses['loss_token'].item() == pytest.approx(0.5 * token / 48, rel=1e-4)


@pytest.mark.parametrize(
    'training',
    [
        dict(),
        dict(train_rollout=True),
        dict(scheduled_sampling=dict(probability=0.5)),
        dict(scheduled_sampling=dict(probability=1.0, warmup_steps=2, num_passes=2)),
    ],
)
@pytest.mark.parametrize('position_embedding', [True, False])
def test_gradients_reach_every_parameter(training, position_embedding):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='STCFormerAutoregressive',
            position_embedding=position_embedding,
            **training,
            **SMALL,
        )
    )
    loss, _ = model.parse_losses(model(*batch(), mode='loss'))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_gradient_of_the_rollout_is_right():
    """Along a random direction, against differences: it goes through what is fed back too."""
    model = precise(make(train_rollout=True, channels=4, num_blocks=1, unit=100.0))
    observed, target = (poses.double() for poses in batch(1))
    weights = list(model.parameters())
    gradients = torch.autograd.grad(
        model.losses(observed, target)['loss_position'], weights, allow_unused=True
    )
    steps = [torch.randn_like(weight) for weight in weights]
    slope = sum((g * s).sum() for g, s in zip(gradients, steps, strict=True) if g is not None)
    values = []
    for sign in (1, -2, 1):  # one step ahead, one behind, and back
        for weight, step in zip(weights, steps, strict=True):
            weight.data += sign * 1e-6 * step
        values.append(model.losses(observed, target)['loss_position'].item())
    assert slope.item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)


def test_sampling_in_full_is_the_rollout():
    """All frames replaced, in as many passes as frames are replaced."""
    model = make(scheduled_sampling=dict(probability=1.0, num_passes=5))
    observed, target = batch()
    memory = model.memory(model.seen(observed))
    mixed = model._sample(model._query(observed, target), observed, memory)
    torch.testing.assert_close(mixed[:, 0], observed[:, -1])
    torch.testing.assert_close(mixed[:, 1:], model(observed)[:, :-1], rtol=0, atol=1e-2)


def test_one_pass_of_sampling_replaces_by_what_the_truth_gives():
    model = make(scheduled_sampling=dict(probability=0.5))
    observed, target = batch(64)
    memory = model.memory(model.seen(observed))
    true = model._query(observed, target)
    mixed = model._sample(true, observed, memory)
    output = model.decode(model.decoder_input(true, observed), memory)
    own = model.positions(output[..., :3], observed)
    kept = (mixed == true).all(dim=(2, 3))
    assert kept[:, 0].all()
    assert 0.4 < kept[:, 1:].float().mean() < 0.6
    replaced = ~kept[:, 1:]
    torch.testing.assert_close(mixed[:, 1:][replaced], own[:, :-1][replaced])


def test_sampling_warms_up_counts_and_is_off_in_evaluation():
    model = make(scheduled_sampling=dict(probability=1.0, warmup_steps=2))
    observed, target = batch()
    memory = model.memory(model.seen(observed))
    true = model._query(observed, target)
    shares = [
        (model._sample(true, observed, memory) != true)[:, 1:].float().mean().item()
        for _ in range(3)
    ]
    assert shares[0] == 0
    assert 0 < shares[1] < 1
    assert shares[2] == 1
    assert model.state_dict()['training_steps'] == 3
    plain = make()
    plain.load_state_dict(model.state_dict(), strict=False)
    assert model(observed, target, mode='loss') == plain(observed, target, mode='loss')
    assert model.training_steps == 3
    model.train()(observed, target, mode='loss')
    assert model.training_steps == 4


def test_forecast_does_not_depend_on_the_future_nor_on_the_batch():
    model = make()
    observed, target = batch()
    assert not model.sees_future
    assert torch.equal(model(observed, target), model(observed))
    predictions = model(observed, target, mode='predict')
    assert not predictions[0]['sees_future']
    torch.testing.assert_close(predictions[1]['forecast'], model(observed[1:2])[0])


def test_few_steps_fit_one_batch():
    torch.manual_seed(0)
    model = STCFormerAutoregressive(train_rollout=True, **SMALL)
    observed, _ = batch()
    target = observed[:, -1:] + torch.linspace(10, 60, 6).view(1, 6, 1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        parts = model(observed, target, mode='loss')
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        losses.append({name: part.item() for name, part in parts.items()})
    assert losses[-1]['loss_position'] < 0.2 * losses[0]['loss_position']
    assert losses[-1]['loss_token'] < 0.5 * losses[0]['loss_token']


@pytest.mark.parametrize(
    ('channels', 'num_blocks', 'published'), [(32, 2, 23e3), (64, 2, 86e3), (64, 3, 130e3)]
)
def test_size_is_near_the_document(channels, num_blocks, published):
    model = STCFormerAutoregressive(22, channels=channels, num_blocks=num_blocks)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(published, rel=0.1)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(decoder_query='last_pose'), "decoder_query is 'last_pose', but an autoregressive"),
        (dict(scheduled_sampling=dict(probability=1.5)), 'probability is 1.5, expected 0 to 1'),
        (dict(scheduled_sampling=dict(probability=1, warmup_steps=-1)), 'warmup_steps is -1'),
        (dict(scheduled_sampling=dict(probability=1, num_passes=0)), 'num_passes is 0'),
        (
            dict(scheduled_sampling=dict(probability=1), train_rollout=True),
            'scheduled_sampling and train_rollout exclude each other',
        ),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        STCFormerAutoregressive(**SMALL, **options)


@pytest.mark.parametrize('train_rollout', [True, False])
def test_bad_inputs(train_rollout):
    model = make(train_rollout=train_rollout)
    observed, target = batch()
    with pytest.raises(ValueError, match=r'observed has shape \(3, 4, 4, 3\)'):
        model(observed[:, 1:])
    with pytest.raises(ValueError, match=r'target.* shape .*\(3, 5, 4, 3\)'):
        model(observed, target[:, 1:], mode='loss')


@pytest.mark.parametrize('kind', [STCFormer, STCFormerAutoregressive])
@pytest.mark.parametrize('num_frames', [3, 6, 15])
def test_longer_and_shorter_than_trained(kind, num_frames):
    """Chunk by chunk, each from the last observed or forecast frames."""
    torch.manual_seed(0)
    model = kind(**SMALL).eval()
    observed, _ = batch(frames=8)
    with torch.no_grad():
        forecast = roll_out(model, observed, num_frames)
        motion = observed
        while motion.shape[1] < 8 + num_frames:
            motion = torch.cat([motion, model(motion[:, -5:])], dim=1)
    assert forecast.shape == (3, num_frames, 4, 3)
    torch.testing.assert_close(forecast, motion[:, 8 : 8 + num_frames])


def test_too_few_observed_frames_begin_with_a_still_pose():
    model = make()
    observed, _ = batch(frames=2)
    filled = torch.cat([observed[:, :1]] * 3 + [observed], dim=1)
    torch.testing.assert_close(roll_out(model, observed, 6), model(filled))


def test_bad_rollouts():
    observed, _ = batch()
    with pytest.raises(ValueError, match='num_frames is 0, expected 1 or more'):
        roll_out(make(), observed, 0)
    for poses in (observed[:, :0], observed[:, :, 1:], observed[0]):
        with pytest.raises(ValueError, match=r'observed has shape .*, expected \(B, F, 4, 3\)'):
            roll_out(make(), poses, 3)
    with pytest.raises(ValueError, match='STCFormer is fed with the true future'):
        roll_out(STCFormer(decoder_query='shifted_future', **SMALL), observed, 3)


@pytest.mark.parametrize(
    ('name', 'runs', 'channels', 'blocks', 'rate', 'fraction'),
    [
        ('_c32-lr1e-4-10pct', [106], 32, 2, 1e-4, 0.1),
        ('_c32-lr1e-3-10pct', [107], 32, 2, 1e-3, 0.1),
        ('_c32-lr2e-3-10pct', [108], 32, 2, 2e-3, 0.1),
        ('_c32-lr4e-3-10pct', [109], 32, 2, 4e-3, 0.1),
        ('_c32-lr1e-3-25pct', [110], 32, 2, 1e-3, 0.25),
        ('_c32-lr1e-3', [111], 32, 2, 1e-3, 1.0),
        ('_10pct', [112], 64, 2, 1e-3, 0.1),
        ('_b3-10pct', [115, 116], 64, 3, 1e-3, 0.1),
        ('_25pct', [152], 64, 2, 1e-3, 0.25),
        ('', [153], 64, 2, 1e-3, 1.0),
    ],
)
def test_runs_of_appendix_b(name, runs, channels, blocks, rate, fraction):
    path = ROOT / 'configs' / 'stcformer' / f'stcformer_autoregressive{name}.py'
    docstring = path.read_text().split('"""')[1]
    assert [int(run) for run in re.findall(r'[a-z]+-[a-z]+-(\d{3})\b', docstring)] == runs
    cfg = Config.fromfile(path)
    assert (cfg.model.channels, cfg.model.num_blocks) == (channels, blocks)
    optimizer = dict(type='Adam', lr=rate, weight_decay=1e-5, amsgrad=True)
    assert cfg.optim_wrapper.optimizer == optimizer
    assert cfg.train_dataloader.dataset.get('fraction', 1.0) == fraction
    assert cfg.val_dataloader.dataset.get('fraction', 1.0) == fraction
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (40, 256)
