"""The networks of presence against one plain network for each keypoint."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from projects.presence.presence_net import KeypointLinear, KeypointPresenceNet


def plain_networks(net, pool):
    """What ``net`` is: for each keypoint max pooling and two linear layers with its weights."""
    networks = []
    for k in range(net.num_keypoints):
        hidden = nn.Linear(*net.hidden.weight.shape[1:])
        score = nn.Linear(*net.score.weight.shape[1:])
        for plain, ours in ((hidden, net.hidden), (score, net.score)):
            plain.weight.data = ours.weight[k].T.detach().clone()
            plain.bias.data = ours.bias[k, 0].detach().clone()
        pooling = nn.MaxPool2d(pool, ceil_mode=True)
        networks.append(nn.Sequential(pooling, nn.Flatten(), hidden, nn.ReLU(), score))
    return networks


@pytest.mark.parametrize('keypoints', [1, 3, 17])
@pytest.mark.parametrize('size', [(12, 16), (13, 7), (3, 2), (1, 1)])  # width, height
@pytest.mark.parametrize('pool', [1, 4, 5])
def test_is_a_plain_network_for_each_keypoint(keypoints, size, pool):
    torch.manual_seed(0)
    net = KeypointPresenceNet(keypoints, size, hidden_channels=6, pool=pool).eval()
    heatmaps = torch.randn(5, keypoints, size[1], size[0], requires_grad=True)
    networks = plain_networks(net, pool)
    expected = torch.cat(
        [network(heatmaps[:, k : k + 1]) for k, network in enumerate(networks)], dim=1
    )
    logits = net(heatmaps)
    assert logits.shape == (5, keypoints)
    torch.testing.assert_close(logits, expected)
    upstream = torch.randn_like(expected)
    gradients = [
        torch.autograd.grad(result, heatmaps, upstream, retain_graph=True)[0]
        for result in (logits, expected)
    ]
    torch.testing.assert_close(*gradients)
    for plain, ours in zip(
        torch.autograd.grad(expected, [n[2].weight for n in networks], upstream),
        torch.autograd.grad(logits, net.hidden.weight, upstream)[0],
        strict=True,
    ):
        torch.testing.assert_close(ours, plain.T)


def test_windows_at_the_border_are_smaller():
    net = KeypointPresenceNet(1, (5, 4), hidden_channels=1, pool=4)
    assert net.hidden.weight.shape[1] == 2
    nn.init.constant_(net.hidden.weight, 1.0)
    nn.init.constant_(net.score.weight, 1.0)
    nn.init.zeros_(net.hidden.bias)
    nn.init.zeros_(net.score.bias)
    heatmaps = torch.zeros(1, 1, 4, 5)
    heatmaps[0, 0, 1, 4] = 3.0  # in the column that a whole window would leave out
    assert net.eval()(heatmaps).item() == 3.0


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_each_score_is_of_its_own_heatmap(data):
    keypoints, width, height = (data.draw(st.integers(1, top)) for top in (6, 9, 9))
    pool = data.draw(st.integers(1, 5))
    changed = data.draw(st.integers(0, keypoints - 1))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    net = KeypointPresenceNet(keypoints, (width, height), hidden_channels=16, pool=pool).eval()
    heatmaps = torch.randn(2, keypoints, height, width)
    others = heatmaps.clone()
    others[:, changed] = torch.randn(2, height, width) + 5
    same = (net(heatmaps) == net(others)).all(dim=0)
    assert not same[changed]
    assert same.sum() == keypoints - 1


def test_each_score_is_of_its_own_image():
    net = KeypointPresenceNet(3, (9, 5), hidden_channels=4).eval()
    heatmaps = torch.randn(4, 3, 5, 9)
    expected = torch.cat([net(one[None]) for one in heatmaps])
    torch.testing.assert_close(net(heatmaps), expected)


def test_dropout_only_in_training():
    torch.manual_seed(0)
    net = KeypointPresenceNet(2, (8, 8), hidden_channels=64, dropout=0.4)
    heatmaps = torch.randn(1, 2, 8, 8)
    assert not torch.equal(net(heatmaps), net(heatmaps))
    net.eval()
    without = copy.deepcopy(net)
    without.dropout = nn.Identity()
    assert torch.equal(net(heatmaps), without(heatmaps))


def test_dropout_drops_its_share_of_the_hidden_layer():
    torch.manual_seed(0)
    net = KeypointPresenceNet(1, (1, 1), hidden_channels=20_000, pool=1, dropout=0.4)
    nn.init.zeros_(net.hidden.weight)
    nn.init.ones_(net.hidden.bias)
    nn.init.constant_(net.score.weight, 1 / 20_000)
    nn.init.zeros_(net.score.bias)
    kept = net(torch.zeros(1, 1, 1, 1)).item() * 0.6  # dropout makes the others greater
    assert kept == pytest.approx(0.6, abs=0.02)


def test_every_parameter_learns():
    torch.manual_seed(0)
    net = KeypointPresenceNet(5, (13, 9), hidden_channels=7, dropout=0.0)
    heatmaps = torch.rand(64, 5, 9, 13, requires_grad=True)
    net(heatmaps).sum().backward()
    for name, parameter in net.named_parameters():
        touched = parameter.grad.flatten(1).abs().sum(dim=1)  # of each keypoint
        assert (touched > 0).all(), name
    assert (heatmaps.grad.abs().sum(dim=(2, 3)) > 0).all()


def test_starts_as_linear_layers_do():
    torch.manual_seed(0)
    layer, plain = KeypointLinear(40, 25, 60), nn.Linear(25, 60 * 40)
    for ours, theirs in ((layer.weight, plain.weight), (layer.bias, plain.bias)):
        assert ours.abs().max() <= 1 / 5
        assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.03)


def test_mixed_precision():
    torch.manual_seed(0)
    net = KeypointPresenceNet(17, (48, 64)).eval()
    heatmaps = torch.rand(2, 17, 64, 48)
    exact = net(heatmaps)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        logits = net(heatmaps)
    torch.testing.assert_close(logits.float(), exact, atol=0.03, rtol=0.03)


@pytest.mark.parametrize('shape', [(2, 3, 16, 13), (2, 4, 16, 12), (3, 16, 12), (2, 3, 12, 16)])
def test_heatmaps_of_another_size(shape):
    net = KeypointPresenceNet(3, (12, 16))
    with pytest.raises(ValueError, match=r'heatmaps are of shape .*expected \(B, 3, 16, 12\)'):
        net(torch.zeros(shape))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_keypoints=0), 'num_keypoints is 0, expected a whole number of 1 or more'),
        (dict(hidden_channels=2.5), 'hidden_channels is 2.5, expected a whole number'),
        (dict(pool=0), 'pool is 0, expected a whole number'),
        (dict(dropout=1.0), r'dropout is 1.0, expected a number in \[0, 1\)'),
        (dict(dropout=-0.1), 'dropout is -0.1'),
    ],
)
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        KeypointPresenceNet(**{'num_keypoints': 2, 'heatmap_size': (8, 8), **options})
