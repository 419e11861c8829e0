import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import MODELS
from torch.nn import functional as F

from projects.forecasting.convstgat import ConvSTGAT, GraphAttention, skeleton_edges
from projects.skeleton import SKELETONS

from .contract import SMALL, batch, check_contract, check_silent_network_repeats_the_last_pose

NET = dict(channels=8, num_heads=2)
CHAIN = [(0, 1), (1, 2), (2, 3)]


def slow_graph_attention(layer, x, edges):
    """Equations 1 to 5 for one frame (J, C), every head, joint and neighbour, one at a time."""
    J, C = x.shape
    width = C // layer.num_heads
    out = torch.zeros(J, C)
    for head in range(layer.num_heads):
        part = slice(head * width, (head + 1) * width)
        weight = layer.value.weight[part]  # (C / H, C)
        a = torch.cat([layer.score[0, head], layer.score[1, head]])  # (2 C / H,)
        for i in range(J):
            near = [j for j in range(J) if j == i or (i, j) in edges or (j, i) in edges]
            scores = [a @ torch.cat([weight @ x[i], weight @ x[j]]) for j in near]
            shares = F.leaky_relu(torch.stack(scores), layer.negative_slope).softmax(0)
            for share, j in zip(shares, near, strict=True):
                out[i, part] += share * (weight @ x[j])
    return out + layer.bias


@pytest.mark.parametrize('num_heads', [1, 2])
@pytest.mark.parametrize('edges', [[(0, 1), (3, 1), (1, 2)], []])
def test_equals_the_equations(edges, num_heads):
    """Of five joints, one or all have no neighbour but themselves."""
    torch.manual_seed(0)
    layer = MODELS.build(
        dict(type='GraphAttention', channels=8, num_joints=5, edges=edges, num_heads=num_heads)
    )
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 5, 8)
    expected = torch.stack([slow_graph_attention(layer, frame, edges) for frame in x.flatten(0, 1)])
    torch.testing.assert_close(layer(x), expected.view_as(x), rtol=1e-4, atol=1e-5)
    alone = layer.value(x[:, :, 4]) + layer.bias
    torch.testing.assert_close(layer(x)[:, :, 4], alone)


def test_without_edges_given_all_see_all():
    torch.manual_seed(0)
    layer = GraphAttention(8, 4, num_heads=2)
    x = torch.randn(4, 8)
    every = [(i, j) for i in range(4) for j in range(i)]
    torch.testing.assert_close(layer(x), slow_graph_attention(layer, x, every))


@settings(max_examples=20, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_names_of_the_joints_do_not_matter(data, seed):
    pairs = st.tuples(st.integers(0, 5), st.integers(0, 5))
    edges = data.draw(st.lists(pairs, max_size=8))
    order = data.draw(st.permutations(range(6)))
    torch.manual_seed(seed)
    layer = GraphAttention(8, 6, edges)
    renamed = GraphAttention(8, 6, [(order.index(i), order.index(j)) for i, j in edges])
    renamed.load_state_dict(layer.state_dict())
    x = torch.randn(3, 6, 8)
    torch.testing.assert_close(renamed(x[:, order]), layer(x)[:, order])


@pytest.mark.parametrize('name', sorted(SKELETONS))
def test_a_skeleton_is_one_body(name):
    edges = skeleton_edges(name)
    skeleton = SKELETONS[name]
    joints = list(skeleton.forecast_joints)
    assert all(0 <= i < j < len(joints) for i, j in edges)
    reached = np.eye(len(joints), dtype=int)
    for i, j in edges:
        reached[i, j] = reached[j, i] = 1
    assert np.linalg.matrix_power(reached, len(joints)).all()
    bones = {
        (joints.index(parent), joints.index(joint))
        for joint, parent in enumerate(skeleton.parents)
        if joint in joints and parent in joints
    }
    assert bones <= set(edges)
    # the rest are bones of repeated joints, and those over the pelvis
    names = [skeleton.joint_names[joint] for joint in joints]
    knees = names.index('LeftLeg'), names.index('RightLeg')
    assert tuple(sorted(knees)) in edges
    assert tuple(sorted((names.index('LeftFoot'), names.index('RightFoot')))) not in edges


@pytest.mark.parametrize('graph', [None, CHAIN])
def test_contract(graph):
    check_contract(lambda **options: ConvSTGAT(**{**SMALL, **NET, 'graph': graph, **options}))


def test_a_joint_sees_as_far_as_there_are_blocks():
    torch.manual_seed(0)
    model = ConvSTGAT(**SMALL, **NET, num_blocks=2, graph=CHAIN, kernel_size=1).eval()
    observed, _ = batch()
    moved = observed.clone()
    moved[:, :, 0] += 100 * torch.randn(3, 5, 3)
    difference = (model(moved) - model(observed)).abs().amax(dim=(0, 1, 3))
    assert (difference[:3] > 1e-2).all()
    assert difference[3] < 1e-3


@pytest.mark.parametrize(
    ('options', 'frames'),
    [
        (dict(), [10, 15, 20, 25]),
        (dict(num_blocks=2), [10, 18, 25]),
        (dict(time_expansion=[10, 10, 12, 25]), [10, 10, 12, 25]),
        (dict(num_blocks=1, num_frames=30), [30, 25]),
    ],
)
def test_time_grows_block_by_block(options, frames):
    model = ConvSTGAT(4, **NET, **options)
    convolutions = [block.conv for block in model.blocks]
    assert [conv.in_channels for conv in convolutions] == frames[:-1]
    assert [conv.out_channels for conv in convolutions] == frames[1:]


def test_graph_by_name_is_the_list():
    torch.manual_seed(0)
    named = ConvSTGAT(25, **NET, graph='cmu')
    listed = ConvSTGAT(25, **NET, graph=skeleton_edges('cmu'))
    listed.load_state_dict(named.state_dict())
    observed = 300 * torch.randn(2, 10, 25, 3)
    assert torch.equal(named(observed), listed(observed))


def test_silent_network_repeats_the_last_pose():
    model = ConvSTGAT(**SMALL, **NET)
    check_silent_network_repeats_the_last_pose(model, model.head)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(graph='coco'), "skeleton is 'coco', expected one of"),
        (dict(graph='cmu'), "graph 'cmu' has 25 forecast joints, num_joints is 4"),
        (dict(graph=[(0, 4)]), r'edge \(0, 4\) is no pair of joints in 0 to 3'),
        (dict(graph=[(0, 1, 2)]), r'edge \(0, 1, 2\) is no pair of joints'),
        (dict(num_heads=3), 'channels is 8, expected a multiple of num_heads = 3'),
        (dict(num_blocks=0), 'num_blocks is 0, expected 1 or more'),
        (dict(time_expansion=[5, 6]), r'time_expansion is \[5, 6\], expected 4 numbers of frames'),
        (dict(time_expansion=[5, 5, 6, 7]), 'expected 4 numbers of frames from 5 to 6'),
        (dict(time_expansion=[]), r'time_expansion is \[\]'),
        (dict(time_expansion=[5, 0, 6, 6]), 'frames of time_expansion is 0'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ConvSTGAT(**{**SMALL, **NET, **options})
