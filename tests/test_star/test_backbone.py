"""The video network against torchvision's, and what can be set on it."""

import pytest
import torch
from mmaction.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.video import mc3_18

from projects.star.backbone import MC3, STAGES


@pytest.fixture(scope='module')
def published():
    """torchvision's network; its normalisations have statistics that do something."""
    torch.manual_seed(0)
    network = mc3_18()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network


def maps_of(network, imgs):
    """What torchvision's stages give, read by hooks."""
    maps = {}
    hooks = [
        getattr(network, stage).register_forward_hook(
            lambda module, inputs, output, stage=stage: maps.update({stage: output})
        )
        for stage in STAGES
    ]
    network(imgs)
    for hook in hooks:
        hook.remove()
    return maps


@pytest.mark.parametrize('training', [False, True])
def test_maps_are_torchvisions(published, training):
    imgs = torch.randn(2, 3, 3, 32, 48)
    weights = {name: value.clone() for name, value in published.state_dict().items()}
    network = MC3(out_stages=STAGES)
    missing, unexpected = network.load_state_dict(weights, strict=False)
    assert not missing
    assert unexpected == ['fc.weight', 'fc.bias']

    network.train(training)
    with torch.no_grad():
        expected = maps_of(published.train(training), imgs)
        found = network(imgs)

    published.load_state_dict(weights)  # training moved the statistics
    for stage, channels, stride, maps in zip(
        STAGES, (64, 128, 256, 512), (2, 4, 8, 16), found, strict=True
    ):
        assert maps.shape == (2, channels, 3, 32 // stride, 48 // stride)
        torch.testing.assert_close(maps, expected[stage], rtol=0, atol=0)


def test_stages_come_in_the_order_asked_for():
    network = MC3(base_channels=4, out_stages=('layer3', 'layer1')).eval()
    last, first = network(torch.randn(1, 3, 2, 16, 16))
    assert (last.shape[1], first.shape[1]) == (16, 4)
    assert not hasattr(network, 'layer4')


@pytest.mark.parametrize('base_channels', [1, 6, 80])
def test_widths_scale(base_channels):
    network = MODELS.build(dict(type='MC3', base_channels=base_channels, out_stages=STAGES))
    maps = network(torch.randn(1, 3, 5, 20, 20))  # no multiple of the strides
    assert [tuple(x.shape) for x in maps] == [
        (1, base_channels * 2**i, 5, size, size) for i, size in enumerate((10, 5, 3, 2))
    ]


def test_only_the_stem_and_the_first_stage_look_at_neighbouring_frames():
    network = MC3(base_channels=4).eval()
    temporal = {
        name.split('.')[0]
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv3d) and module.kernel_size[0] > 1
    }
    assert temporal == {'stem', 'layer1'}

    imgs = torch.randn(1, 3, 16, 16, 16)
    changed = imgs.clone()
    changed[:, :, 8] += 1
    with torch.no_grad():
        moved = (network(changed)[1] - network(imgs)[1]).abs().amax(dim=(0, 1, 3, 4))
    reach = 1 + 2 * 2  # the stem, and two blocks of two convolutions
    assert moved[: 8 - reach].max() == 0
    assert moved[8 + reach + 1 :].max() == 0
    assert moved[8] > 0
    assert moved[7] > 0
    assert moved[9] > 0


@pytest.mark.parametrize('out_stages', [('layer2', 'layer4'), ('layer2',), ('layer4', 'layer2')])
def test_every_parameter_has_a_gradient(out_stages):
    network = MC3(base_channels=4, out_stages=out_stages)
    maps = network(torch.randn(2, 3, 2, 32, 32))
    sum((x * torch.randn_like(x)).sum() for x in maps).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_group_normalisation_takes_every_place():
    plain = MC3(base_channels=4)
    places = [name for name, module in plain.named_modules() if isinstance(module, _BatchNorm)]
    network = MC3(base_channels=4, norm_cfg=dict(type='GN', num_groups=2))
    modules = dict(network.named_modules())
    assert places
    for name in places:
        assert isinstance(modules[name], nn.GroupNorm)
        assert modules[name].num_channels == plain.get_submodule(name).num_features
    assert not any(isinstance(module, _BatchNorm) for module in modules.values())

    imgs = torch.randn(2, 3, 2, 32, 32)
    alone = torch.cat([network(clip[None])[1] for clip in imgs])
    torch.testing.assert_close(network(imgs)[1], alone)  # clips do not see each other


@pytest.mark.parametrize('norm_eval', [False, True])
def test_norm_eval_keeps_the_statistics(norm_eval):
    network = MC3(base_channels=4, norm_eval=norm_eval).eval().train()
    assert network.training
    assert network.layer1.training
    before = {name: value.clone() for name, value in network.named_buffers()}
    network(torch.randn(2, 3, 2, 32, 32) + 3)
    same = [torch.equal(value, before[name]) for name, value in network.named_buffers()]
    assert all(same) if norm_eval else not any(same)
    assert not any(module.training for module in network.eval().modules())


@pytest.mark.parametrize('out_stages', [('layer2', 'layer4'), ('layer2',)])
def test_pretrained_weights_of_torchvision(published, tmp_path, out_stages):
    path = tmp_path / 'mc3_18.pth'
    torch.save(published.state_dict(), path)
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    network = MC3(out_stages=out_stages, init_cfg=init_cfg)
    name, weights = 'layer2.1.conv2.0.weight', published.state_dict()
    assert not torch.equal(network.state_dict()[name], weights[name])
    network.init_weights()
    assert name in network.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name]), name


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(base_channels=0), 'base_channels is 0, expected 1 or more'),
        (dict(out_stages=()), r"out_stages is \(\), expected some of \('layer1', "),
        (dict(out_stages=('layer2', 'layer5')), r"out_stages is \('layer2', 'layer5'\), expected"),
        (dict(out_stages='layer2'), "out_stages is 'layer2', expected some of"),
        (dict(out_stages=('stem',)), r"out_stages is \('stem',\), expected some of"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        MC3(**settings)
