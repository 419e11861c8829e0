"""The whole recognizer, built from a dict: mmaction2's MMRecognizer3D, our backbone and head."""

import copy

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope

import projects.star  # noqa: F401 - registers

CLASSES, T, N = 6, 4, 3
HEIGHT, WIDTH = 32, 16
PICTURES = dict(
    type='ActionDataPreprocessor', mean=[110.0, 100.0, 96.0], std=[58.0, 57.0, 57.0],
    format_shape='NCTHW',
)  # fmt: skip
CONFIG = dict(
    type='MMRecognizer3D',
    backbone=dict(
        type='STARTransformer',
        num_frames=T,
        embed_dims=16,
        num_heads=2,
        feedforward_channels=32,
        cnn=dict(type='MC3', base_channels=4, norm_cfg=dict(type='GN', num_groups=2)),
        grid_tokens=dict(in_channels=32, grid_size=(2, 1)),
        joint_tokens=dict(num_joints=N, in_channels=8, heatmap_size=(4, 4), hidden_channels=4),
        encoder=dict(num_layers=1),
        decoder=dict(num_layers=1),
    ),
    cls_head=dict(type='STARHead', num_classes=CLASSES, in_channels=16, average_clips='prob'),
    data_preprocessor=dict(
        type='MultiModalDataPreprocessor',
        preprocessors=dict(imgs=PICTURES, keypoint=dict(type='ActionDataPreprocessor')),
    ),
)


def without(modality):
    """The config of the other modality alone."""
    config = copy.deepcopy(CONFIG)
    backbone = config['backbone']
    if modality == 'imgs':
        del backbone['cnn'], backbone['grid_tokens']
        backbone['joint_tokens']['in_channels'] = 0
    else:
        del backbone['joint_tokens']
        backbone['cnn']['out_stages'] = ('layer4',)
    del config['data_preprocessor']['preprocessors'][modality]
    return config


CONFIGS = dict(both=CONFIG, grid=without('keypoint'), skeleton=without('imgs'))


def build(name='both'):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmaction'):
        return MODELS.build(copy.deepcopy(CONFIGS[name]))


def make_batch(model, samples=4, clips=1):
    """What mmengine's collation gives: lists of uint8 pictures, joints and data samples."""
    torch.manual_seed(1)
    inputs = dict(
        imgs=[
            # noise of some colour
            torch.randint(0, 128, (clips, 3, T, HEIGHT, WIDTH), dtype=torch.uint8)
            + torch.randint(0, 128, (clips, 3, 1, 1, 1), dtype=torch.uint8)
            for _ in range(samples)
        ],
        # a pose and its jitter
        keypoint=[
            (torch.rand(1, 1, N, 3) + torch.rand(clips, T, N, 3)) / 2 for _ in range(samples)
        ],
    )
    known = model.data_preprocessor.preprocessors
    return dict(
        inputs={name: value for name, value in inputs.items() if name in known},
        data_samples=[
            ActionDataSample(metainfo=dict(name=f'clip {i}')).set_gt_label(i % CLASSES)
            for i in range(samples)
        ],
    )


def scores_of(model, batch):
    """Predictions without changing the batch: mmaction2 writes into it."""
    samples = model.eval().test_step(copy.deepcopy(batch))
    return torch.stack([sample.pred_score for sample in samples])


@pytest.mark.parametrize('name', CONFIGS)
def test_the_loss_falls(name):
    model = build(name).train()
    model.init_weights()
    batch = make_batch(model)
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=0.005))
    losses = [model.train_step(copy.deepcopy(batch), optimizer)['loss_cls'] for _ in range(40)]
    assert losses[0].item() == pytest.approx(torch.tensor(CLASSES).log().item(), abs=0.5)
    assert losses[-1] < losses[0] / 2
    of_the_labels = scores_of(model, batch).diagonal()  # clip i has label i
    assert of_the_labels.mean() > 2 / CLASSES


@pytest.mark.parametrize('name', CONFIGS)
def test_every_parameter_is_trained(name):
    model = build(name).train()
    data = model.data_preprocessor(make_batch(model), training=True)
    model(**data, mode='loss')['loss_cls'].backward()
    untrained = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert untrained == []


def test_prediction_is_the_mean_of_the_clips_probabilities():
    model = build()
    batch = make_batch(model, samples=3, clips=2)
    samples, scores = model.eval().test_step(copy.deepcopy(batch)), scores_of(model, batch)
    clips = []
    for clip in range(2):
        inputs = {
            key: [x[clip : clip + 1] for x in value] for key, value in batch['inputs'].items()
        }
        clips.append(scores_of(model, dict(batch, inputs=inputs)))
    assert not torch.allclose(clips[0], clips[1], atol=1e-4)
    torch.testing.assert_close(scores, torch.stack(clips).mean(0))
    torch.testing.assert_close(scores.sum(1), torch.ones(3))
    for i, sample in enumerate(samples):
        assert sample.name == f'clip {i}'
        assert sample.gt_label.item() == i
        assert sample.pred_label.item() == scores[i].argmax()


def test_pictures_are_normalised_and_joints_are_not():
    model = build()
    batch = make_batch(model)
    data = model.data_preprocessor(copy.deepcopy(batch))
    mean = torch.tensor(PICTURES['mean']).reshape(3, 1, 1, 1)
    std = torch.tensor(PICTURES['std']).reshape(3, 1, 1, 1)
    imgs = torch.stack(batch['inputs']['imgs'])
    torch.testing.assert_close(data['inputs']['imgs'], (imgs - mean) / std)
    assert torch.equal(data['inputs']['keypoint'], torch.stack(batch['inputs']['keypoint']))


@pytest.mark.parametrize('name', CONFIGS)
def test_saving_and_loading(name, tmp_path):
    model = build(name)
    batch = make_batch(model)
    path = tmp_path / 'model.pth'
    torch.save(model.state_dict(), path)
    other = build(name)
    for parameter in other.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    expected = scores_of(model, batch)
    assert not torch.allclose(scores_of(other, batch), expected, atol=1e-4)
    other.load_state_dict(torch.load(path, weights_only=True), strict=True)
    assert torch.equal(scores_of(other, batch), expected)


@pytest.mark.parametrize('removed', ['imgs', 'keypoint'])
def test_removing_a_modality_changes_the_prediction(removed):
    model = build()
    batch = make_batch(model)
    expected = scores_of(model, batch)
    changed = copy.deepcopy(batch)
    for value in changed['inputs'][removed]:
        if removed == 'imgs':
            value.zero_()  # black pictures
        else:
            value[..., 2] = 0  # all joints missing
    scores = scores_of(model, changed)
    assert (scores - expected).abs().max() > 1e-4
    torch.testing.assert_close(scores.sum(1), torch.ones(4))


def test_scores_under_autocast():
    model = build()
    batch = make_batch(model)
    expected = scores_of(model, batch)
    with torch.autocast('cpu', torch.bfloat16):
        found = scores_of(model, batch)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.02)


def test_a_clip_of_another_length():
    model = build()
    batch = make_batch(model)
    batch['inputs']['keypoint'] = [x[:, :3] for x in batch['inputs']['keypoint']]
    with pytest.raises(ValueError, match='keypoint has 3 frames, expected 4'):
        model.test_step(batch)
