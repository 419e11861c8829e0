"""The head: mean of the tokens and an MLP, alone and in a stock recognizer of mmaction2."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from torch.nn import functional

import projects.star  # noqa: F401 - registers
from projects.star.head import STARHead

CLASSES, C = 5, 6


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def make_samples(labels):
    return [ActionDataSample().set_gt_label(label) for label in labels]


def plain(head, vector):
    """Linear, GELU, Linear of one vector."""
    first, _, _, second = head.mlp
    hidden = functional.gelu(first.weight @ vector + first.bias)
    return second.weight @ hidden + second.bias


@pytest.mark.parametrize('shape', [(2, C), (2, 1, C), (2, 3, C), (2, C, 4, 2, 3)])
def test_mean_and_mlp(shape):
    head = STARHead(CLASSES, C, hidden_channels=7).eval()
    x = torch.randn(shape)
    found = head(x, fcn_test=True)
    assert found.shape == (2, CLASSES)
    for clip in range(2):
        vector = x[clip]
        if len(shape) == 3:
            vector = sum(vector) / len(vector)
        if len(shape) == 5:
            vector = torch.stack([channel.mean() for channel in vector])
        torch.testing.assert_close(found[clip], plain(head, vector))


def test_hidden_channels():
    assert STARHead(CLASSES, C).mlp[0].out_features == C
    assert STARHead(CLASSES, C, hidden_channels=9).mlp[0].out_features == 9


def test_dropout_works_in_training_only():
    head = STARHead(CLASSES, C, hidden_channels=64, dropout=0.5)
    x = torch.randn(2, 3, C)
    assert not torch.allclose(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))


@pytest.mark.parametrize('shape', [(C,), (2, C, 4, C), (2, 3, C + 1), (2, C + 1), (2, 3, C, 2, 2)])
def test_shapes_that_are_none_of_its(shape):
    with pytest.raises(ValueError, match=r'x has shape \(.* with C = in_channels = 6'):
        STARHead(CLASSES, C)(torch.randn(shape))


def test_loss_is_cross_entropy():
    head = STARHead(CLASSES, C, topk=(1, 2))
    x, labels = torch.randn(4, 3, C), [0, 4, 2, 2]
    losses = head.loss(x, make_samples(labels))
    expected = functional.cross_entropy(head(x), torch.tensor(labels))
    torch.testing.assert_close(losses['loss_cls'], expected)
    right = (head(x).argmax(1) == torch.tensor(labels)).float().mean()
    assert losses['top1_acc'] == pytest.approx(right.item())
    assert {'top1_acc', 'top2_acc', 'loss_cls'} == set(losses)
    losses['loss_cls'].backward()
    assert all(p.grad.any() for p in head.parameters())


def test_label_smoothing_of_mmaction():
    head = STARHead(CLASSES, C, label_smooth_eps=0.1)
    x, labels = torch.randn(4, 3, C), [0, 4, 2, 2]
    expected = functional.cross_entropy(head(x), torch.tensor(labels), label_smoothing=0.1)
    found = head.loss(x, make_samples(labels))['loss_cls']
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('average', ['prob', 'score'])
def test_clips_of_a_video_are_averaged(average):
    head = STARHead(CLASSES, C, average_clips=average).eval()
    x = torch.randn(2 * 3, 4, C) * 5  # three clips each of two videos
    samples = head.predict(x, make_samples([1, 2]))
    scores = head(x)
    scores = (scores.softmax(-1) if average == 'prob' else scores).reshape(2, 3, CLASSES).mean(1)
    for sample, score in zip(samples, scores, strict=True):
        torch.testing.assert_close(sample.pred_score, score)
        assert sample.pred_label.item() == score.argmax()
    assert [sample.gt_label.item() for sample in samples] == [1, 2]


def test_scores_are_in_full_precision():
    head = STARHead(CLASSES, C, average_clips='prob').eval()
    x = torch.randn(1, 3, C)
    with torch.autocast('cpu', torch.bfloat16):
        assert head(x).dtype == torch.bfloat16
        (sample,) = head.predict(x, make_samples([0]))
    assert sample.pred_score.dtype == torch.float32
    assert sample.pred_score.sum().item() == pytest.approx(1, abs=1e-6)  # bfloat16 has 1e-2


def test_the_loss_is_in_full_precision():
    """mmaction2's accuracies go through NumPy, which has no bfloat16."""
    head, samples = STARHead(CLASSES, C), make_samples([3, 1])
    x = torch.randn(2, 3, C)
    expected = head.loss(x, samples)
    with torch.autocast('cpu', torch.bfloat16):
        found = head.loss(x, samples)
    assert found['loss_cls'].dtype == torch.float32
    assert found['loss_cls'].item() == pytest.approx(expected['loss_cls'].item(), abs=0.02)
    found['loss_cls'].backward()
    assert head.mlp[0].weight.grad.any()


def test_in_a_stock_recognizer():
    """mmaction2's Recognizer3D with ResNet3d, its config's scope, and our head by its name."""
    config = dict(
        type='Recognizer3D',
        backbone=dict(
            type='ResNet3d', depth=18, pretrained=None, pretrained2d=False, base_channels=4
        ),
        cls_head=dict(type='STARHead', num_classes=CLASSES, in_channels=32, average_clips='prob'),
        data_preprocessor=dict(
            type='ActionDataPreprocessor', mean=[128.0], std=[64.0], format_shape='NCTHW'
        ),
    )
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = ROOT_MODELS.build(config)
    assert type(model) is MODELS.get('Recognizer3D')
    assert isinstance(model.cls_head, STARHead)
    inputs = [torch.randint(0, 256, (2, 3, 4, 32, 32), dtype=torch.uint8) for _ in range(3)]
    batch = model.data_preprocessor(dict(inputs=inputs, data_samples=make_samples([0, 1, 2])))

    one_clip = dict(batch, inputs=batch['inputs'][:, :1])  # a sample has one in training
    losses = model(**one_clip, mode='loss')
    assert losses['loss_cls'].isfinite()
    losses['loss_cls'].backward()
    assert all(p.grad is not None for p in model.parameters())

    model.eval()
    samples = model(**batch, mode='predict')
    clips = batch['inputs'].flatten(0, 1)
    probabilities = model.cls_head(model.backbone(clips)).softmax(-1).reshape(3, 2, CLASSES)
    for sample, expected in zip(samples, probabilities.mean(1), strict=True):
        torch.testing.assert_close(sample.pred_score, expected)
