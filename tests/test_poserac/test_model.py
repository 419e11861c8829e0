"""The network, its scores and its losses, against the original's equations written plainly."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

import projects.poserac  # noqa: F401
from projects.poserac.losses import PoseRACMetricLoss
from projects.poserac.model import PoseRAC

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [ROOT / 'configs' / 'poserac.py', *sorted((ROOT / 'configs/poserac').glob('*.py'))]
SMALL = dict(num_classes=3, num_joints=4, dims=3, num_layers=2, num_heads=3)


def small(**changes):
    torch.manual_seed(0)
    return PoseRAC(**{**SMALL, 'feedforward_channels': 32, **changes}).eval()


def random_poses(num, joints=4, dims=3, seed=0):
    return torch.rand(num, joints, dims, generator=torch.Generator().manual_seed(seed))


class Original(nn.Module):
    """The network that the published checkpoint belongs to: the encoder's sequence is the batch."""

    def __init__(self, channels, heads, layers, classes):
        super().__init__()
        layer = nn.TransformerEncoderLayer(d_model=channels, nhead=heads)
        self.transformer_encoder = nn.TransformerEncoder(layer, num_layers=layers)
        self.fc1 = nn.Linear(channels, classes)

    def forward(self, poses):
        sequence = poses.reshape(len(poses), 1, -1)  # length, batch of one, channels
        return self.fc1(self.transformer_encoder(sequence).squeeze(1))


@pytest.fixture(scope='module')
def original():
    torch.manual_seed(1)
    return Original(99, 9, 6, 8).eval()


def published_size(**changes):
    return MODELS.build({**Config.fromfile(CONFIGS[0]).model, **changes}).eval()


def test_published_checkpoint_fits(original, tmp_path):
    """Names and shapes of the published file, a bare dict of tensors, through mmengine's loader."""
    from mmengine.runner import load_checkpoint

    names = list(original.state_dict())
    assert names[0] == 'transformer_encoder.layers.0.self_attn.in_proj_weight'
    assert names[-2:] == ['fc1.weight', 'fc1.bias']
    torch.save(original.state_dict(), tmp_path / 'best_weights_PoseRAC.pth')
    model = published_size(attention='batch')
    load_checkpoint(model, str(tmp_path / 'best_weights_PoseRAC.pth'), strict=True)
    poses = random_poses(40, 33)
    torch.testing.assert_close(model(poses), original(poses), rtol=1e-4, atol=1e-5)


def test_headline_is_the_original_for_one_pose_at_a_time(original):
    model = published_size()
    model.load_state_dict(original.state_dict())
    poses = random_poses(7, 33)
    alone = torch.cat([original(pose[None]) for pose in poses])
    torch.testing.assert_close(model(poses), alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(original(poses), alone, atol=1e-2)  # it depends on the company


@pytest.mark.parametrize('norm_first', [False, True])
def test_score_depends_on_company_only_with_batch_attention(norm_first):
    poses, others = random_poses(5), random_poses(9, seed=1)
    for attention in ('pose', 'batch'):
        model = small(attention=attention, norm_first=norm_first)
        with torch.no_grad():
            alone, *_ = model.score(poses)
            together, *_ = model.score(torch.cat([others, poses]))
        same = torch.allclose(alone, together[9:], atol=1e-6)
        assert same == (attention == 'pose')


def test_without_layers_it_is_linear():
    model = small(num_layers=0)
    poses = random_poses(6)
    expected = poses.reshape(6, 12) @ model.fc1.weight.T + model.fc1.bias
    torch.testing.assert_close(model(poses), expected)


def test_shared_targets_and_binary_cross_entropy_by_hand():
    model = small()
    label, state = torch.tensor([2, 0, 2]), torch.tensor([0, 0, 1])
    assert model.targets(label, state).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    poses = random_poses(3)
    probabilities = model(poses).sigmoid().detach().double().numpy()
    target = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0]])
    by_hand = -(target * np.log(probabilities) + (1 - target) * np.log(1 - probabilities)).mean()
    losses = model.loss(poses, label, state)
    assert losses.keys() == {'loss_classify'}
    assert losses['loss_classify'].item() == pytest.approx(by_hand, rel=1e-5)


def test_separate_targets_are_one_of_2c():
    model = small(salient_states='separate')
    target = model.targets(torch.tensor([2, 0, 2]), torch.tensor([0, 0, 1]))
    assert target.argmax(dim=1).tolist() == [2, 0, 5]
    assert target.sum() == 3
    assert target.shape == (3, 6)


@pytest.mark.parametrize('loss', ['bce', 'softmax'])
def test_separate_scores_are_the_share_of_salient_pose_1(loss):
    model = small(salient_states='separate', loss=loss)
    poses = random_poses(6)
    with torch.no_grad():
        scores, first, second = model.score(poses)
        logits = model(poses).double()
    p = logits.softmax(dim=1) if loss == 'softmax' else logits.sigmoid()
    np.testing.assert_allclose(first, p[:, :3], rtol=1e-5)
    np.testing.assert_allclose(second, p[:, 3:], rtol=1e-5)
    np.testing.assert_allclose(scores, p[:, :3] / (p[:, :3] + p[:, 3:]), rtol=1e-5)


def test_alpha_weighs_the_losses_and_the_metric_loss_is_not_negated():
    poses = random_poses(16)
    label, state = torch.arange(16) % 2, torch.arange(16) // 2 % 2
    model = small(metric_loss=dict(type='PoseRACMetricLoss', kind='contrastive'), alpha=0.25)
    plain = model.classification_loss(model(poses), label, state).mean()
    metric = model.metric_loss(model.embed(poses), 2 * label + state)
    losses = model.loss(poses, label, state)
    assert losses['loss_classify'].item() == pytest.approx(0.75 * plain.item(), rel=1e-5)
    assert losses['loss_metric'].item() == pytest.approx(0.25 * metric.item(), rel=1e-5)
    assert metric > 0


def test_salient_2_of_each_class_is_a_class_of_its_own_for_the_metric_loss(monkeypatch):
    model = small(metric_loss=dict(type='PoseRACMetricLoss'))
    seen = []
    monkeypatch.setattr(
        model.metric_loss, 'forward', lambda e, labels: seen.append(labels) or e.sum() * 0
    )
    model.loss(random_poses(4), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))
    assert len(seen[0].unique()) == 4


def slow_metric_loss(kind, x, y):
    """The three losses over all pairs and triplets, as their papers write them.

    Triplet on unit vectors (Schroff 2015), contrastive on unit vectors (Hadsell 2006), circle on
    cosines (Sun 2020); each averaged over its terms that are above zero, as
    pytorch-metric-learning does, and circle over the anchors.
    """
    x = F.normalize(x.double())
    n = len(x)
    distance = lambda i, j: (x[i] - x[j]).norm()  # noqa: E731
    mean = lambda terms: sum(terms) / max(len(terms), 1)  # noqa: E731
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    if kind == 'triplet':
        terms = [
            distance(a, p) - distance(a, q) + 0.05
            for a, p in pairs
            for q in range(n)
            if y[a] == y[p] and y[a] != y[q]
        ]
        return mean([term for term in terms if term > 0])
    if kind == 'contrastive':
        near = [distance(i, j) for i, j in pairs if y[i] == y[j]]
        far = [1 - distance(i, j) for i, j in pairs if y[i] != y[j]]
        return mean([t for t in near if t > 0]) + mean([t for t in far if t > 0])
    m, gamma = 0.4, 80
    terms = []
    for a in range(n):
        cosine = x @ x[a]
        s_p = [cosine[j] for j in range(n) if j != a and y[j] == y[a]]
        s_n = [cosine[j] for j in range(n) if y[j] != y[a]]
        positive = sum(torch.exp(-gamma * max(1 + m - s, 0) * (s - (1 - m))) for s in s_p)
        negative = sum(torch.exp(gamma * max(s + m, 0) * (s - m)) for s in s_n)
        terms.append(torch.log(1 + positive * negative))
    return mean(terms)


@pytest.mark.parametrize(
    ('kind', 'options'),
    [
        ('triplet', {}),
        ('contrastive', dict(pos_margin=0, neg_margin=1)),
        ('circle', dict(m=0.4, gamma=80)),
    ],
)
def test_metric_losses_are_the_papers(kind, options):
    torch.manual_seed(3)
    embeddings, labels = torch.randn(10, 6), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    loss = PoseRACMetricLoss(kind, miner=False, **options)(embeddings, labels)
    expected = slow_metric_loss(kind, embeddings, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_no_pairs_is_no_loss_but_still_a_gradient():
    embeddings = torch.randn(4, 6, requires_grad=True)
    loss = PoseRACMetricLoss('circle', m=0.4, gamma=80)(embeddings, torch.arange(4))
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad is not None


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_parameter_of_every_config_learns(path):
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(path).model).train()
    poses = random_poses(12, model.num_joints, model.dims)
    label = torch.arange(12) % min(model.num_classes, 3)
    state = torch.arange(12) // 3 % 2
    losses = model.loss(poses, label, state)
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        if 'in_proj' in name and model.attention == 'pose':
            continue  # below
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name
    if model.attention == 'pose':
        for name, parameter in model.named_parameters():
            if 'in_proj' in name:
                # what attends to itself alone has no use for its query and key, only for the value
                query_key, value = parameter.grad.split(
                    [2 * len(parameter) // 3, len(parameter) // 3]
                )
                assert query_key.abs().max() < 1e-6
                assert value.abs().sum() > 0


def test_missing_frames_are_nan_and_bridged():
    model = small()
    poses = random_poses(30)
    whole = model.count([poses])[0]
    gaps = torch.full((60, 4, 3), torch.nan)
    gaps[::2] = poses
    result = model.count([gaps])[0]
    assert np.isnan(result['scores'][1::2]).all()
    np.testing.assert_allclose(result['scores'][::2], whole['scores'], atol=1e-6)
    assert result['counts'].tolist() == whole['counts'].tolist()
    nothing = model.count([torch.full((5, 4, 3), torch.nan)])[0]
    assert nothing['predicted_label'] == -1
    assert nothing['counts'].tolist() == [0, 0, 0]


def test_sequences_of_a_batch_are_counted_as_alone():
    for attention in ('pose', 'batch'):
        model = small(attention=attention)
        sequences = [random_poses(length, seed=length) for length in (7, 1, 20)]
        with torch.no_grad():
            together = model.count(sequences)
            for sequence, result in zip(sequences, together, strict=True):
                alone = model.count([sequence])[0]
                np.testing.assert_allclose(result['scores'], alone['scores'], atol=1e-6)
                assert result['counts'].dtype == np.int64


def test_long_videos_are_scored_in_parts():
    poses = random_poses(50)
    with torch.no_grad():
        whole, *_ = small().score(poses)
        parts, *_ = small(max_poses=7).score(poses)
    torch.testing.assert_close(whole, parts, atol=1e-6, rtol=0)


def test_counts_a_motion_between_two_learned_poses():
    """Two poses alternating, after a few steps of learning which is which."""
    torch.manual_seed(0)
    model = small(salient_states='separate', loss='softmax', dropout=0.0).train()
    ends = random_poses(6).reshape(3, 2, 4, 3)  # class, state
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    label, state = torch.arange(6) // 2, torch.arange(6) % 2
    first = None
    for _ in range(200):
        loss = model.loss(ends.reshape(6, 4, 3), label, state)['loss_classify']
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * first
    model.eval()
    for action in range(3):
        phase = torch.linspace(0, 5 * 2 * np.pi, 200)
        share = (1 - torch.cos(phase))[:, None, None] / 2  # rest, pose I, rest, ... five times
        poses = ends[action, 1] * (1 - share) + ends[action, 0] * share
        with torch.no_grad():
            result = model.count([poses])[0]
        assert result['predicted_label'] == action
        assert abs(int(result['counts'][action]) - 5) <= 1


def test_single_poses_are_classified():
    shared, separate = small(), small(salient_states='separate')
    poses, label, state = (
        random_poses(5),
        torch.tensor([0, 1, 2, 0, 1]),
        torch.tensor([0, 0, 1, 1, 0]),
    )
    for model in (shared, separate):
        results = model(poses, mode='predict', label=label, state=state)
        logits = model(poses)
        losses = model.classification_loss(logits, label, state)
        for index, result in enumerate(results):
            assert result['loss'] == pytest.approx(losses[index].item())
            if model is shared:
                is_1 = bool((logits[index] > 0).any())
                assert result['state'] == (0 if is_1 else 1)
                assert result['label'] == (int(logits[index].argmax()) if is_1 else -1)
            else:
                best = int(logits[index].argmax())
                assert (result['label'], result['state']) == (best % 3, best // 3)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(attention='all'), "attention is 'all'"),
        (dict(salient_states='both'), "salient_states is 'both'"),
        (dict(loss='softmax'), "loss is 'softmax'.*salient_states='shared'"),
        (dict(num_heads=0), 'num_heads is 0, expected at least 1'),
        (dict(feedforward_channels=0), 'feedforward_channels is 0'),
        (dict(label_smoothing=0.1), "label_smoothing is 0.1, but only loss='softmax'"),
        (dict(dropout=1.2), 'dropout is 1.2'),
        (dict(num_heads=5), 'num_heads is 5.*4 joints of 3 numbers'),
        (dict(alpha=1.5), 'alpha is 1.5'),
        (dict(num_layers=-1), 'num_layers is -1'),
        (dict(exit_threshold=0.9), 'exit_threshold'),
        (dict(metric_loss=dict(type='PoseRACMetricLoss', kind='quadruplet')), 'quadruplet'),
    ],
)
def test_bad_options_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


@pytest.mark.parametrize('states', ['shared', 'separate'])
def test_label_beyond_the_classes_is_named(states):
    model = small(salient_states=states)
    with pytest.raises(ValueError, match='holds class 3, but num_classes of the model is 3'):
        model.loss(random_poses(2), torch.tensor([0, 3]), torch.tensor([0, 0]))


def test_no_sequences():
    assert small().count([]) == []


def test_heads_share_out_nothing_of_a_pose_alone():
    """What the README says of Table 3: the number of heads cannot matter but by dropout."""
    for attention in ('pose', 'batch'):
        models = [small(num_heads=heads, attention=attention) for heads in (1, 3)]
        models[1].load_state_dict(models[0].state_dict())
        one, three = (model(random_poses(5)) for model in models)
        assert torch.allclose(one, three, atol=1e-6) == (attention == 'pose')


def test_wrong_number_of_joints_is_named():
    with pytest.raises(ValueError, match=r'\(2, 5, 3\), expected \(B, 4, 3\)'):
        small()(random_poses(2, joints=5))


def _gathered_gradient(rank, port, folder):
    """Gradient of half the batch, as DDP averages it: run in each of two processes."""
    import os

    import torch.distributed as dist

    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=2)
    weight, embeddings, labels = _metric_problem()
    half = slice(4 * rank, 4 * rank + 4)
    loss = PoseRACMetricLoss('contrastive', neg_margin=2.0)(embeddings[half] @ weight, labels[half])
    loss.backward()
    dist.all_reduce(weight.grad)
    if rank == 0:
        torch.save(dict(loss=loss.detach(), grad=weight.grad / 2), folder / 'two.pth')
    dist.barrier()
    dist.destroy_process_group()


def _metric_problem():
    torch.manual_seed(5)
    weight = torch.randn(6, 3, requires_grad=True)
    return weight, torch.randn(8, 6), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])


def test_two_processes_compare_all_embeddings(tmp_path):
    """Halves with no pair between them would give another loss; the gradient is the whole one's."""
    import socket

    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    torch.multiprocessing.start_processes(
        _gathered_gradient, (port, tmp_path), nprocs=2, start_method='spawn'
    )
    two = torch.load(tmp_path / 'two.pth', weights_only=True)
    weight, embeddings, labels = _metric_problem()
    loss = PoseRACMetricLoss('contrastive', neg_margin=2.0)(embeddings @ weight, labels)
    loss.backward()
    torch.testing.assert_close(two['loss'], loss.detach())
    torch.testing.assert_close(two['grad'], weight.grad)
