"""What criss-cross attention attends to: weights, distances by hand, and the tool's files."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import DefaultScope
from PIL import Image
from torch import nn

from projects.forecasting import STCAttention, STCFormer, STCFormerAutoregressive
from projects.forecasting.attended import attention_weights, compare, distances, measure

ROOT = Path(__file__).resolve().parents[2]
SMALL = dict(num_joints=4, num_frames=5, num_frames_out=6, channels=8)


def batch(size=3):
    generator = torch.Generator().manual_seed(0)
    shapes = dict(observed=(size, 5, 4, 3), target=(size, 6, 4, 3))
    return {name: 300 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def random_maps(rng, *shape):
    weights = rng.uniform(0.01, 1, shape)
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize('num_heads', [1, 2, 4])
@pytest.mark.parametrize('causal', [True, False])
@pytest.mark.parametrize('memory', ['itself', 'another', 'projected'])
def test_weights_times_values_are_the_output(num_heads, causal, memory):
    torch.manual_seed(0)
    module = STCAttention(16, num_heads)
    query, other = torch.randn(2, 3, 6, 5, 16)
    read = dict(itself=None, another=other, projected=module.project(other))[memory]
    weights = attention_weights(module, query, read, causal)
    assert weights['time'].shape == (3, 5, num_heads, 6, 6)
    assert weights['joints'].shape == (3, 6, num_heads, 5, 5)
    values = module.key_value(query if read is None else other)[..., 16:]
    for half, frames_last, (first, last) in (('time', True, (0, 8)), ('joints', False, (8, 16))):
        value = values[..., first:last].unflatten(-1, (num_heads, -1))  # (B, T, J, H, c)
        equation = 'bjhts,bsjhc->btjhc' if frames_last else 'bthjk,btkhc->btjhc'
        expected = torch.einsum(equation, weights[half], value).flatten(3)
        output = module(query, read, causal)[..., first:last]
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_means_and_entropies_are_those_of_the_weights():
    torch.manual_seed(0)
    model = STCFormer(num_heads=2, **SMALL).eval()
    data = batch()
    (first, second) = measure(model, data, decoder=False)
    assert [first.name, second.name] == ['encoder.0.attention', 'encoder.1.attention']
    block = model.encoder[0]
    x = block.attention_norm(model.embed_observed(model.seen(data['observed'])))
    for half, weights in attention_weights(block.attention, x).items():
        np.testing.assert_allclose(first.maps[half], weights.mean(dim=(0, 1)).detach(), atol=1e-6)
        bits = -(weights * weights.log2()).sum(-1)
        np.testing.assert_allclose(first.bits[half], bits.mean(dim=(0, 1, 3)).detach(), rtol=1e-4)
    assert first.most_bits == dict(time=np.log2(5), joints=2)


def test_a_rollout_is_seen_as_if_it_were_one_pass():
    """The frames of a rollout, shown at once under the mask, are attended to alike."""
    torch.manual_seed(0)
    model = STCFormerAutoregressive(num_heads=2, **SMALL).eval()
    data = batch()
    found = {module.name: module for module in measure(model, data)}
    assert len(found) == 6
    own = model(data['observed'])
    poses = torch.cat([data['observed'][:, -1:], own[:, :-1]], dim=1)
    module = found['decoder.0.attention']
    assert module.causal
    assert not found['decoder.0.cross_attention'].causal
    block = model.decoder[0]
    x = block.attention_norm(model.embed(model.decoder_input(poses, data['observed']), 0))
    for half, weights in attention_weights(block.attention, x, causal=True).items():
        expected = weights.mean(dim=(0, 1)).detach()
        np.testing.assert_allclose(module.maps[half], expected, atol=1e-5)
    assert (np.triu(module.maps['time'], 1) == 0).all()
    assert module.most_bits['time'] == pytest.approx(np.log2(range(1, 7)).mean())


def test_models_that_cannot_be_looked_at():
    with pytest.raises(ValueError, match='Linear has no criss-cross attention'):
        measure(nn.Linear(2, 2), {})
    model = STCFormer(**SMALL).eval()
    nn.init.constant_(model.encoder[1].attention.query.weight, torch.nan)
    with pytest.raises(ValueError, match=r'encoder\.1\.attention: attention is not finite'):
        measure(model, batch())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_distances_by_hand():
    equal, diagonal = np.full((2, 2), 0.5), np.eye(2)
    first = np.array([[1.0, 0], [1, 0]])
    thirds = np.tile([1.0, 0, 0], (3, 1))
    found = distances([equal, diagonal, first, thirds])
    # columns of width 1/2 with density 2, of width 1/3 with density 3: apart by 1 on [0, 1/3] and
    # by 2 on [1/3, 1/2]
    expected = [[0, 1, 1, 4 / 3], [1, 0, 1, 4 / 3], [1, 1, 0, 2 / 3], [4 / 3, 4 / 3, 2 / 3, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=4), st.integers(0, 99))
def test_distances_are_a_metric_of_matrices_of_any_size(sizes, seed):
    rng = np.random.default_rng(seed)
    found = distances([random_maps(rng, size, size) for size in sizes])
    np.testing.assert_allclose(np.diag(found), 0, atol=1e-9)
    np.testing.assert_allclose(found, found.T, atol=1e-9)
    assert found.max() <= 2 + 1e-9
    assert (found[:, None] <= found[:, :, None] + found[None] + 1e-9).all()


def test_finer_copies_are_the_same_and_the_order_of_joints_does_not_count_when_sorted():
    rng = np.random.default_rng(0)
    coarse = random_maps(rng, 3, 3)
    fine = np.kron(coarse, np.full((2, 4), 1 / 4))  # each query twice, each key in four parts
    assert distances([coarse, fine])[0, 1] == pytest.approx(0, abs=1e-12)
    torch.manual_seed(0)
    (module, *_) = measure(STCFormer(num_heads=2, **SMALL).eval(), batch())
    mixed = {half: maps[:, :, rng.permutation(maps.shape[2])] for half, maps in module.maps.items()}
    one, other = compare(module), compare(module._replace(maps=mixed))
    assert one['names'] == ['time 0', 'time 1', 'joints 0', 'joints 1', 'equal']
    np.testing.assert_allclose(one['sorted'], other['sorted'], atol=1e-12)
    assert np.abs(one['in_place'] - other['in_place']).max() > 1e-3


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'analysis')
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(DefaultScope, '_instance_dict', type(DefaultScope._instance_dict)())
    return importlib.import_module('forecast_attention')


def options_of(**settings):
    return ['--device', 'cpu', '--cfg-options', *(f'{k}={v}' for k, v in settings.items())]


def test_the_tool_writes_pictures_and_numbers(tool, cmu_root, tmp_path, capsys):
    words = ['configs/stcformer/stcformer_cmu.py', 'none', '--samples', '5']
    settings = {'test_dataloader.dataset.data_root': cmu_root, 'model.num_heads': 2}
    out = ['--out', str(tmp_path / 'out')]
    assert tool.main([*words, *out, '--decoder', *options_of(**settings)]) == 0
    assert 'decoder.1.cross_attention' in capsys.readouterr().out
    for name in ('temporal', 'spatial', 'distance'):
        with Image.open(tmp_path / 'out' / f'{name}.png') as picture:
            assert min(picture.size) > 400
            assert len(picture.convert('L').getcolors()) > 50  # not blank
    found = json.loads((tmp_path / 'out' / 'attention.json').read_text())
    assert (found['samples'], len(found['joint_names'])) == (5, 25)
    assert len(found['modules']) == 6
    encoder, decoder = found['modules'][0], found['modules'][2]
    assert encoder['milliseconds'][0] == list(range(-360, 1, 40))
    assert decoder['milliseconds'] == [list(range(40, 1001, 40))] * 2
    for module, length in ((encoder, 10), (decoder, 25)):
        assert np.shape(module['maps']['time']) == (2, length, length)
        assert np.shape(module['maps']['joints']) == (2, 25, 25)
        np.testing.assert_allclose(np.sum(module['maps']['time'], axis=-1), 1, atol=1e-5)
        assert np.shape(module['distance']['in_place']) == (5, 5)
        assert max(module['bits']['time']) <= module['most_bits']['time'] + 1e-6


def test_one_window_and_what_is_refused(tool, cmu_root, tmp_path, capsys):
    config, out = 'configs/stcformer/stcformer_cmu.py', ['--out', str(tmp_path / 'out')]
    rest = options_of(**{'val_dataloader.dataset.data_root': cmu_root})
    line = [*out, '--split', 'val', '--window']
    assert tool.main([config, 'none', *line, '2', *rest]) == 0
    found = json.loads((tmp_path / 'out' / 'attention.json').read_text())
    assert (found['samples'], found['split']) == (1, 'val')
    assert [module['name'] for module in found['modules']] == [
        'encoder.0.attention',
        'encoder.1.attention',
    ]
    capsys.readouterr()
    assert tool.main([config, 'none', *line, '9999', *rest]) == 1
    assert 'window is 9999, expected 0 to' in capsys.readouterr().err
    assert tool.main([config, 'none', *out, '--split', 'val', '--samples', '0', *rest]) == 1
    assert 'samples is 0, expected 1 or more' in capsys.readouterr().err
    assert tool.main([config, str(tmp_path / 'no.pth'), *line, '2', *rest]) == 1
    assert 'no.pth' in capsys.readouterr().err
    torch.save(dict(state_dict=nn.Linear(2, 2).state_dict()), tmp_path / 'other.pth')
    assert tool.main([config, str(tmp_path / 'other.pth'), *line, '2', *rest]) == 1
    assert 'do not match' in capsys.readouterr().err
