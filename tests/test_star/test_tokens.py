"""Heat maps, grid tokens and joint map tokens, against slow loops in double precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from projects.star.tokens import GridTokens, JointMapTokens, joint_heatmaps

B, T, N = 2, 3, 4
SIZE = (6, 8)  # height and width of a heat map


def slow_heatmap(x, y, score, size, sigma):
    """The formula of one joint, cell by cell."""
    height, width = size
    heatmap = torch.zeros(size, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            squared = (x * width - (column + 0.5)) ** 2 + (y * height - (row + 0.5)) ** 2
            heatmap[row, column] = score * math.exp(-squared / (2 * sigma**2))
    return heatmap


def slow_heatmaps(keypoint, size, sigma):
    rows = [
        slow_heatmap(*joint, size, sigma) for joint in keypoint.detach().reshape(-1, 3).tolist()
    ]
    return torch.stack(rows).reshape(*keypoint.shape[:-1], *size)


def make_keypoint(dtype=torch.float64):
    """Some joints outside of the picture, and joint 2 of frame 1 missing."""
    keypoint = torch.rand(B, T, N, 3, dtype=dtype) * torch.tensor([1.4, 1.4, 1]).to(dtype)
    keypoint[..., :2] -= 0.2
    keypoint[:, 1, 2] = 0
    return keypoint


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(('size', 'sigma'), [((6, 8), 1.0), ((5, 3), 0.4), ((1, 7), 2.5)])
def test_heatmaps_are_the_formula(size, sigma):
    keypoint = make_keypoint()
    found = joint_heatmaps(keypoint, size, sigma)
    assert found.shape == (B, T, N, *size)
    torch.testing.assert_close(found, slow_heatmaps(keypoint, size, sigma), rtol=1e-12, atol=1e-15)
    assert not found[:, 1, 2].any()  # the missing joint
    assert found[:, 0, 2].any()


@pytest.mark.parametrize(('row', 'column'), [(0, 0), (5, 7), (2, 6)])
def test_the_peak_is_where_the_joint_is(row, column):
    height, width = SIZE
    joint = torch.tensor([(column + 0.5) / width, (row + 0.5) / height, 0.7])
    heatmap = joint_heatmaps(joint, SIZE, 1.0)
    assert divmod(int(heatmap.argmax()), width) == (row, column)
    assert heatmap.max().item() == pytest.approx(0.7)


@settings(deadline=None, max_examples=60)
@given(
    x=st.floats(-1e4, 1e4),
    y=st.floats(-2, 3),
    score=st.floats(0, 1),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    sigma=st.floats(0.1, 20),
)
def test_product_of_two_gaussians_is_the_gaussian(x, y, score, height, width, sigma):
    joint = torch.tensor([x, y, score], dtype=torch.float64)
    found = joint_heatmaps(joint, (height, width), sigma)
    expected = slow_heatmap(x, y, score, (height, width), sigma)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-30)
    assert found.min() >= 0
    assert found.max() <= score


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16])
def test_joints_far_outside_and_precision(dtype):
    keypoint = torch.tensor([[1e6, -1e6, 1], [-30, 0.5, 1], [0.5, 0.5, 1]], dtype=dtype)
    heatmaps = joint_heatmaps(keypoint, SIZE, 0.3)
    assert heatmaps.dtype == dtype
    assert heatmaps.device == keypoint.device
    assert heatmaps.isfinite().all()
    assert not heatmaps[:2].any()
    assert heatmaps[2].any()


def test_heatmaps_are_made_where_the_joints_are():
    heatmaps = joint_heatmaps(torch.empty(2, 5, 3, device='meta'), SIZE, 1.0)
    assert heatmaps.device.type == 'meta'
    assert heatmaps.shape == (2, 5, *SIZE)


def test_grid_tokens_are_the_cells_of_each_frame():
    maps = torch.randn(B, 5, T, 2, 3)
    same = GridTokens(5, 5)(maps)
    module = GridTokens(5, 7)
    found = module(maps)
    assert same.shape == (B, T, 6, 5)
    assert found.shape == (B, T, 6, 7)
    assert not list(GridTokens(5, 5).parameters())
    for frame in range(T):
        for row in range(2):
            for column in range(3):
                cell = maps[:, :, frame, row, column]
                assert torch.equal(same[:, frame, row * 3 + column], cell)
                torch.testing.assert_close(
                    found[:, frame, row * 3 + column], module.projection(cell)
                )


def slow_part(part, values):
    """Conv2d -> GELU -> flatten -> Linear -> LayerNorm of maps, Linear -> LayerNorm of numbers."""
    *head, linear, norm = part
    if head:
        values = functional.gelu(head[0](values[None])).flatten()
    x = linear.weight @ values + linear.bias
    centred = x - x.mean()
    return norm.weight * centred / (centred.square().mean() + norm.eps).sqrt() + norm.bias


def slow_concatenated(module, keypoint, maps):
    """The part of the heat map, plus that of F, joint by joint."""
    heatmaps = slow_heatmaps(keypoint, module.heatmap_size, module.sigma)
    tokens = []
    for clip in range(keypoint.shape[0]):
        for frame in range(keypoint.shape[1]):
            for joint in range(keypoint.shape[2]):
                token = slow_part(module.joint_part, heatmaps[clip, frame, joint][None])
                if maps is not None:
                    token = token + slow_part(module.local_part, maps[clip, :, frame])
                tokens.append(token)
    return torch.stack(tokens).reshape(*keypoint.shape[:-1], -1)


def slow_place(joint):
    """Centred coordinates; None of a missing joint."""
    x, y, score = joint.tolist()
    return (4 * (x - 0.5), 4 * (y - 0.5)) if score else None


def slow_motion(clip, frame, joint):
    """Twice the way from the frame before and to the next, and the place seen from the mean."""
    here, numbers = slow_place(clip[frame, joint]), []
    for start, end in ((frame - 1, frame), (frame, frame + 1)):
        inside = start >= 0 and end < len(clip)
        pair = [slow_place(clip[at, joint]) for at in (start, end)] if inside else [None]
        for axis in (0, 1):
            numbers.append(0 if None in pair else 2 * (pair[1][axis] - pair[0][axis]))
    known = [place for place in map(slow_place, clip[frame]) if place]
    for axis in (0, 1):
        mean = sum(place[axis] for place in known) / max(len(known), 1)
        numbers.append(here[axis] - mean if here else 0)
    return numbers


def slow_pooled(module, keypoint, maps):
    """The part of a joint's numbers, plus that of F's weighted mean times the score."""
    heatmaps = slow_heatmaps(keypoint, module.heatmap_size, module.sigma)
    tokens = []
    for clip in range(keypoint.shape[0]):
        for frame in range(keypoint.shape[1]):
            for joint in range(keypoint.shape[2]):
                score = keypoint[clip, frame, joint, 2].item()
                numbers = [*(slow_place(keypoint[clip, frame, joint]) or (0, 0)), score]
                if module.motion:
                    numbers += slow_motion(keypoint[clip], frame, joint)
                token = slow_part(module.joint_part, torch.tensor(numbers, dtype=torch.float64))
                if maps is not None:
                    weights = heatmaps[clip, frame, joint]
                    total = max(weights.sum().item(), 1e-6)
                    F = maps[clip, :, frame]
                    mean = sum(
                        F[:, row, column] * weights[row, column] / total
                        for row in range(F.shape[1])
                        for column in range(F.shape[2])
                    )
                    token = token + slow_part(module.local_part, score * mean)
                tokens.append(token)
    return torch.stack(tokens).reshape(*keypoint.shape[:-1], -1)


def make_module(*args, **settings):
    """In double precision, with normalisations that do something."""
    module = JointMapTokens(*args, **settings).double()
    for part in (module.joint_part, module.local_part):
        if part is not None:
            nn.init.uniform_(part[-1].weight, 0.5, 1.5)
            nn.init.uniform_(part[-1].bias, -0.5, 0.5)
    return module


SLOW = dict(concatenate=slow_concatenated, pool=slow_pooled)
KINDS = [dict(join='concatenate'), dict(join='pool'), dict(join='pool', motion=True)]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('in_channels', [0, 5])
@pytest.mark.parametrize('stride', [1, 2, 3])
def test_joint_map_tokens_are_the_slow_ones(kind, in_channels, stride):
    module = make_module(
        N, 7, in_channels, SIZE, sigma=0.8, **kind, hidden_channels=3, stride=stride
    )
    keypoint = make_keypoint()
    maps = torch.randn(B, in_channels, T, *SIZE).double() if in_channels else None
    found = module(keypoint, maps)
    assert found.shape == (B, T, N, 7)
    torch.testing.assert_close(found, SLOW[kind['join']](module, keypoint, maps))


@pytest.mark.parametrize('kind', KINDS)
def test_dropped_clips_see_the_picture_alone(kind):
    module = make_module(N, 7, 5, SIZE, **kind, hidden_channels=3, drop_joints=0.5)
    keypoint = make_keypoint().repeat(30, 1, 1, 1)
    maps = torch.randn(B, 5, T, *SIZE).double().repeat(30, 1, 1, 1, 1)
    found = module(keypoint, maps)
    whole = module.eval()(keypoint, maps)
    with torch.no_grad():  # a norm that gives 0 leaves its part out
        for parameter in module.joint_part[-1].parameters():
            parameter.zero_()
    video = module(keypoint, maps)
    dropped = [torch.allclose(*pair) for pair in zip(found, video, strict=True)]
    kept = [torch.allclose(*pair) for pair in zip(found, whole, strict=True)]
    assert all(one != other for one, other in zip(dropped, kept, strict=True))
    assert 0.3 < sum(dropped) / len(dropped) < 0.7


@pytest.mark.parametrize('join', SLOW)
def test_another_size_of_the_feature_map_is_interpolated(join):
    module = make_module(N, 7, 5, SIZE, join=join, hidden_channels=3)
    keypoint, maps = make_keypoint(), torch.randn(B, 5, T, 3, 5).double()
    frames = [functional.interpolate(maps[:, :, t], SIZE, mode='bilinear') for t in range(T)]
    expected = SLOW[join](module, keypoint, torch.stack(frames, dim=2))
    torch.testing.assert_close(module(keypoint, maps), expected)


def test_the_sum_is_a_linear_map_of_the_concatenation():
    """Before normalising: convolutions side by side, then W [a; b] = W_a a + W_b b."""
    module = make_module(N, 7, 5, SIZE, hidden_channels=3)
    keypoint, maps = make_keypoint(), torch.randn(B, 5, T, *SIZE).double()
    parts = module.local_part, module.joint_part
    convolution = nn.Conv2d(6, 6, 3, stride=2, padding=1, bias=False).double()
    nn.init.zeros_(convolution.weight)
    convolution.weight.data[:3, :5] = parts[0][0].weight
    convolution.weight.data[3:, 5:] = parts[1][0].weight
    weight = torch.cat([part[3].weight for part in parts], dim=1)  # W
    bias = sum(part[3].bias for part in parts)
    heatmaps = slow_heatmaps(keypoint, SIZE, module.sigma)  # (B, T, N, h, w)
    local = maps.transpose(1, 2)[:, :, None].expand(-1, -1, N, -1, -1, -1)
    joined = torch.cat([local, heatmaps[:, :, :, None]], dim=3)  # (B, T, N, 6, h, w)
    hidden = functional.gelu(convolution(joined.flatten(0, 2))).flatten(1)
    expected = (hidden @ weight.T + bias).unflatten(0, (B, T, N))
    for part in parts:
        part[-1] = nn.Identity()
    torch.testing.assert_close(module(keypoint, maps), expected)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('in_channels', [0, 128])
def test_joints_of_a_frame_differ_before_training(kind, in_channels):
    """F, which all joints of a frame share, must not drown them: the sizes of the headline."""
    module = JointMapTokens(13, 512, in_channels, **kind)
    keypoint = torch.rand(1, 2, 13, 3) * 0.7 + 0.15
    keypoint[..., 2] = 1
    maps = torch.randn(1, in_channels, 2, 28, 28).relu() if in_channels else None
    with torch.no_grad():
        tokens = module(keypoint, maps)
    differences = tokens - tokens.mean(dim=2, keepdim=True)
    assert differences.norm(dim=-1).mean() > 0.3 * tokens.norm(dim=-1).mean()


@pytest.mark.parametrize('join', SLOW)
def test_where_a_missing_joint_is_said_to_be_does_not_count(join):
    module = JointMapTokens(N, 7, 5, SIZE, join=join)
    keypoint, maps = make_keypoint(torch.float32), torch.randn(B, 5, T, *SIZE)
    elsewhere = keypoint.clone()
    elsewhere[:, 1, 2, :2] = 0.6
    found = module(elsewhere, maps)
    torch.testing.assert_close(found, module(keypoint, maps))
    elsewhere[:, 1, 2, 2] = 1
    moved = (module(elsewhere, maps) - found).abs().amax(dim=(0, 3))  # (T, N)
    assert moved[1, 2] > 1e-4
    moved[1, 2] = 0
    assert moved.max() < 1e-5


def test_motion_of_a_missing_joint_is_none():
    """Where a joint is said to be that is missing in one frame changes no token."""
    module = JointMapTokens(N, 7, join='pool', motion=True)
    keypoint = make_keypoint(torch.float32)
    elsewhere = keypoint.clone()
    elsewhere[:, 1, 2, :2] = 0.6
    assert torch.equal(module(elsewhere), module(keypoint))


def test_a_shift_of_all_joints_changes_only_their_places():
    module = JointMapTokens(N, 7, join='pool', motion=True)
    with torch.no_grad():
        module.joint_part[0].weight[:, :2] = 0  # blind to places
    keypoint = torch.rand(B, T, N, 3) / 2 + 0.25
    moved = keypoint + torch.tensor([0.1, -0.2, 0.0])
    torch.testing.assert_close(module(moved), module(keypoint))
    assert (module(keypoint.flip(1)) - module(keypoint).flip(1)).abs().max() > 1e-3


def test_a_pooled_token_sees_the_picture_at_its_joint_only():
    module = JointMapTokens(1, 7, 5, SIZE, sigma=0.3, join='pool')
    keypoint = torch.tensor([(2 + 0.5) / 8, (1 + 0.5) / 6, 1]).reshape(1, 1, 1, 3)
    maps = torch.randn(1, 5, 1, *SIZE)
    far, near = maps.clone(), maps.clone()
    far[..., 4:, :] += 1
    near[..., 1, 2] += 1
    token = module(keypoint, maps)
    torch.testing.assert_close(module(keypoint, far), token)
    assert (module(keypoint, near) - token).abs().max() > 1e-2


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('in_channels', [0, 5])
def test_gradients_reach_everything(kind, in_channels):
    module = JointMapTokens(N, 7, in_channels, SIZE, **kind, hidden_channels=3)
    keypoint = make_keypoint(torch.float32).requires_grad_()
    maps = torch.randn(B, in_channels, T, *SIZE, requires_grad=True) if in_channels else None
    tokens = module(keypoint, maps)
    (tokens * torch.randn_like(tokens)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    assert keypoint.grad.isfinite().all()
    assert keypoint.grad.any()
    if in_channels:
        assert maps.grad.flatten(2).any(dim=-1).all()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('in_channels', [0, 5])
@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_models_of_another_precision(kind, in_channels, dtype):
    """mmengine gives joints as float32 whatever the model's parameters are."""
    module = JointMapTokens(N, 7, in_channels, SIZE, **kind, hidden_channels=3)
    keypoint = make_keypoint(torch.float32)
    maps = torch.randn(B, in_channels, T, *SIZE) if in_channels else None
    expected = module(keypoint, maps)
    found = module.to(dtype)(keypoint, None if maps is None else maps.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(join='add'), "join is 'add', expected one of"),
        (dict(num_joints=0), 'num_joints is 0, expected a positive number'),
        (dict(embed_dims=0), 'embed_dims is 0, expected a positive number'),
        (dict(in_channels=-1), r'in_channels is -1, expected 0 \(no video\) or more'),
        (dict(heatmap_size=(0, 8)), 'heatmap_height is 0, expected a positive number'),
        (dict(heatmap_size=(8, -2)), 'heatmap_width is -2, expected a positive number'),
        (dict(sigma=0.0), 'sigma is 0.0, expected a positive number'),
        (dict(hidden_channels=0), 'hidden_channels is 0, expected a positive number'),
        (dict(stride=0), 'stride is 0, expected a positive number'),
        (dict(motion=True), "motion is True, expected False unless join is 'pool'"),
        (dict(drop_joints=1.5, in_channels=5), r'drop_joints is 1\.5, expected 0 to 1'),
        (dict(drop_joints=0.5), r'0 without a video \(in_channels is 0\)'),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        JointMapTokens(**{**dict(num_joints=N, embed_dims=7), **change})


@pytest.mark.parametrize('join', SLOW)
@pytest.mark.parametrize(
    ('in_channels', 'joints', 'channels', 'message'),
    [
        (0, 5, 0, r'keypoint is of shape \(2, 3, 5, 3\), expected \(batch, frames, 4 joints, 3\)'),
        (5, N, 0, 'the local feature map has 0 channels, expected in_channels, 5'),
        (5, N, 6, 'the local feature map has 6 channels, expected in_channels, 5'),
        (0, N, 5, 'the local feature map has 5 channels, expected in_channels, 0'),
    ],
)
def test_bad_input(join, in_channels, joints, channels, message):
    module = JointMapTokens(N, 7, in_channels, SIZE, join=join)
    maps = torch.randn(B, channels, T, *SIZE) if channels else None
    with pytest.raises(ValueError, match=message):
        module(torch.rand(B, T, joints, 3), maps)


def test_joints_without_scores():
    module = JointMapTokens(N, 7, heatmap_size=SIZE)
    with pytest.raises(ValueError, match=r'keypoint is of shape \(2, 3, 4, 2\), expected'):
        module(torch.rand(B, T, N, 2))


def test_settings_of_a_config_file():
    """A list for the size, as configs have it."""
    module = JointMapTokens(N, 7, 5, [6, 8], hidden_channels=3)
    assert module(torch.rand(B, T, N, 3), torch.randn(B, 5, T, *SIZE)).shape == (B, T, N, 7)
    assert module.heatmap_size == SIZE
