"""The presence head around mmpose's heads: nothing of them changes, nothing is computed twice."""

import copy
import re

import numpy as np
import pytest
import torch
from mmengine.hub import get_config
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import MODELS
from mmpose.testing import get_packed_inputs
from torch import nn

import projects.presence  # noqa: F401 - registers
from projects.presence.head import presence_truth

K, SIZE = 5, (12, 16)  # keypoints; width and height of the heatmaps
MSRA = dict(type='MSRAHeatmap', input_size=(48, 64), heatmap_size=SIZE, sigma=1)
UDP = dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=SIZE, sigma=1)
COMBINED = dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=SIZE, heatmap_type='combined')
INTEGRAL = dict(MSRA, type='IntegralRegressionLabel')
PLAIN = dict(
    type='HeatmapHead',
    in_channels=8,
    out_channels=K,
    deconv_out_channels=(6,),
    deconv_kernel_sizes=(4,),
    decoder=MSRA,
)
HEADS = {
    'heatmap': PLAIN,
    'dark': dict(PLAIN, decoder=dict(MSRA, unbiased=True)),
    'udp': dict(PLAIN, decoder=UDP),
    'udp combined': dict(
        PLAIN,
        out_channels=3 * K,
        decoder=COMBINED,
        loss=dict(type='CombinedTargetMSELoss', use_target_weight=True),
    ),
    'vipnas': dict(
        type='ViPNASHead',
        in_channels=8,
        out_channels=K,
        deconv_out_channels=(4,),
        deconv_kernel_sizes=(4,),
        deconv_num_groups=(2,),
        decoder=MSRA,
    ),
    'cpm': dict(
        type='CPMHead',
        in_channels=8,
        out_channels=K,
        num_stages=2,
        deconv_out_channels=None,
        decoder=MSRA,
    ),
    'mspn': dict(
        type='MSPNHead',
        num_stages=2,
        num_units=2,
        out_shape=SIZE[::-1],
        unit_channels=8,
        out_channels=K,
        level_indices=[0, 1, 0, 1],
        decoder=dict(type='MegviiHeatmap', input_size=(48, 64), heatmap_size=SIZE, kernel_size=3),
    ),
    'integral': dict(
        type='IntegralRegressionHead',
        in_channels=8,
        in_featuremap_size=(6, 8),
        num_joints=K,
        deconv_out_channels=(4,),
        deconv_kernel_sizes=(4,),
        decoder=INTEGRAL,
    ),
    'dsnt': dict(
        type='DSNTHead',
        in_channels=8,
        in_featuremap_size=(6, 8),
        num_joints=K,
        deconv_out_channels=(4,),
        deconv_kernel_sizes=(4,),
        decoder=INTEGRAL,
    ),
}
# what makes the heatmaps themselves, and is to run once
FINAL_LAYERS = {
    'cpm': 'multi_final_layers.1',
    'mspn': 'predict_layers.3',
    'integral': 'simplebaseline_head.final_layer',
    'dsnt': 'simplebaseline_head.final_layer',
}
names = pytest.mark.parametrize('name', HEADS)


@pytest.fixture(autouse=True)
def mmpose_scope():
    init_default_scope('mmpose')
    torch.manual_seed(0)


def make_heads(name='heatmap', **options):
    """A presence head, and its pose head alone with the same weights. Both in training mode."""
    if name in ('integral', 'dsnt'):  # their codecs and they themselves do not tell
        options = {'num_keypoints': K, 'heatmap_size': SIZE, **options}
    head = MODELS.build(
        dict(type='KeypointPresenceHead', pose_head=HEADS[name], hidden_channels=16, **options)
    )
    for parameter in head.pose_head.parameters():
        if parameter.requires_grad:  # what starts at 0.001 shows nothing
            nn.init.normal_(parameter, std=0.3)
    alone = MODELS.build(HEADS[name])
    alone.load_state_dict(head.pose_head.state_dict())
    return head, alone


def make_feats(name='heatmap', people=3, seed=0):
    """Feature maps as the head takes them, with gradients."""
    generator = torch.Generator().manual_seed(seed)

    def feature(width, height):
        return torch.randn(people, 8, height, width, generator=generator).requires_grad_()

    if name == 'mspn':
        return [[feature(6, 8), feature(6, 8)] for _ in range(2)]
    if name == 'cpm':
        return [feature(*SIZE) for _ in range(2)]
    return (feature(6, 8),)


def train_cfg(name):
    """mmpose's accuracy knows no combined maps; its configs of them leave it out."""
    return dict(compute_acc=name != 'udp combined')


def leaves(feats):
    return [feats] if isinstance(feats, torch.Tensor) else [x for one in feats for x in leaves(one)]


def make_samples(name='heatmap', people=3):
    """Data samples as a training pipeline packs them, without presence."""
    samples = get_packed_inputs(
        batch_size=people,
        num_keypoints=K,
        num_levels=2 if name == 'mspn' else 1,
        img_shape=(64, 48),
        input_size=(48, 64),
        heatmap_size=SIZE,
        with_simcc_label=False,
    )['data_samples']
    hidden = torch.rand(people, K, generator=torch.Generator().manual_seed(1)) < 0.4
    for sample, row in zip(samples, hidden, strict=True):
        sample.set_metainfo(dict(flip_indices=[0, 2, 1, 4, 3]))
        weights = torch.where(row, 0.0, 1.0)[None]
        if name == 'mspn':  # of several encoders mmpose stacks them
            weights = torch.stack([weights, weights])
            sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
        else:
            sample.gt_instance_labels.keypoint_weights = weights
        if name == 'udp combined':
            heatmaps = sample.gt_fields.heatmaps
            sample.gt_fields = PixelData(heatmaps=heatmaps.repeat(3, 1, 1))
    return samples


def state_presence(samples, target, known):
    for sample, one, weight in zip(samples, target, known, strict=True):
        labels = sample.gt_instance_labels
        labels.keypoint_presence = one[None]
        labels.keypoint_presence_weights = weight[None]
    return samples


def count_calls(module):
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


# ------------------------------------------------------------------ as mmpose's head alone


@names
def test_losses_are_those_of_the_pose_head(name):
    head, alone = make_heads(name)
    samples = make_samples(name)
    losses = head.loss(make_feats(name), samples, train_cfg(name))
    expected = alone.loss(make_feats(name), samples, train_cfg(name))
    assert set(losses) == {*expected, 'loss_presence', 'acc_presence'}
    for key, value in expected.items():
        assert torch.equal(losses[key], value), key


@names
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('output_heatmaps', [False, True])
def test_predictions_are_those_of_the_pose_head(name, flip, output_heatmaps):
    head, alone = (one.eval() for one in make_heads(name))
    mode = 'udp_combined' if name == 'udp combined' else 'heatmap'
    test_cfg = dict(flip_test=flip, flip_mode=mode, output_heatmaps=output_heatmaps)
    samples, results = make_samples(name), []
    with torch.no_grad():
        for one in (head, alone):
            feats = make_feats(name)
            feats = [feats, make_feats(name, seed=1)] if flip else feats
            results.append(one.predict(feats, samples, test_cfg))
    if output_heatmaps:
        for ours, theirs in zip(results[0][1], results[1][1], strict=True):
            assert torch.equal(ours.heatmaps, theirs.heatmaps)
        results = [instances for instances, _ in results]
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)
        np.testing.assert_array_equal(ours.keypoint_scores, theirs.keypoint_scores)
        assert ours.keypoints_presence.shape == (1, K)
        assert ours.keypoints_presence.dtype == np.float32
        np.testing.assert_array_equal(ours.keypoints_visible, ours.keypoints_presence)
        assert 'keypoint_heatmap_scores' not in ours


@names
def test_nothing_is_computed_twice(name):
    head, _ = make_heads(name)
    calls = count_calls(head.pose_head.get_submodule(FINAL_LAYERS.get(name, 'final_layer')))
    samples, feats = make_samples(name), make_feats(name)
    head.loss(feats, samples, train_cfg(name))
    assert len(calls) == 1
    head.eval()
    head.predict(feats, samples, {})
    assert len(calls) == 2
    mode = 'udp_combined' if name == 'udp combined' else 'heatmap'
    flipped = [feats, make_feats(name, seed=1)]
    head.predict(flipped, samples, dict(flip_test=True, flip_mode=mode))
    assert len(calls) == 4


@names
def test_presence_is_of_the_last_heatmaps(name):
    head, alone = (one.eval() for one in make_heads(name))
    outputs = alone.forward(make_feats(name))
    heatmaps = {
        'cpm': lambda: outputs[1],
        'mspn': lambda: outputs[3],
        'integral': lambda: outputs[1],
        'dsnt': lambda: outputs[1],
        'udp combined': lambda: outputs[:, [0, 3, 6, 9, 12]],
    }.get(name, lambda: outputs)()
    expected = head.presence_net(heatmaps)
    assert torch.equal(head.forward(make_feats(name))[1], expected)
    predictions = head.predict(make_feats(name), make_samples(name), {})
    for prediction, logits in zip(predictions, expected, strict=True):
        np.testing.assert_allclose(
            prediction.keypoints_presence[0], logits.sigmoid().detach().numpy(), rtol=1e-6
        )


def test_the_pose_head_stays_as_it_is():
    head, _ = make_heads()
    head.loss(make_feats(), make_samples(), {})
    head.eval().predict(make_feats(), make_samples(), {})
    assert 'forward' not in vars(head.pose_head)
    other = make_feats(seed=7)
    outputs = head.pose_head.forward(other)
    assert torch.equal(outputs, head.pose_head.final_layer(head.pose_head.deconv_layers(other[-1])))


def test_batch_norm_sees_a_batch_once():
    head, alone = make_heads()
    head.loss(make_feats(), make_samples(), {})
    alone.loss(make_feats(), make_samples())
    for ours, theirs in zip(head.pose_head.buffers(), alone.buffers(), strict=True):
        assert torch.equal(ours, theirs)


# ------------------------------------------------------------------ losses and gradients


@names
@pytest.mark.parametrize('detach', [False, True])
def test_gradient_into_heatmaps(name, detach):
    head, _ = make_heads(name, detach_heatmaps=detach)
    feats = make_feats(name)
    losses = head.loss(feats, make_samples(name), train_cfg(name))
    losses['loss_presence'].backward()
    own = [parameter.grad for parameter in head.presence_net.parameters()]
    assert all((gradient != 0).any() for gradient in own)
    pose = [p.grad for p in head.pose_head.parameters() if p.grad is not None]
    below = [feature.grad for feature in leaves(feats) if feature.grad is not None]
    if detach:
        assert not pose
        assert not below
    else:
        assert any((gradient != 0).any() for gradient in pose)
        assert any((gradient != 0).any() for gradient in below)


@names
def test_every_parameter_gets_a_gradient(name):
    head, _ = make_heads(name)
    losses = head.loss(make_feats(name), make_samples(name), train_cfg(name))
    (losses['loss_kpt'] + losses['loss_presence']).backward()
    for key, parameter in head.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None, key


def test_detached_presence_leaves_the_pose_heads_training_as_it_is():
    head, alone = make_heads(detach_heatmaps=True)
    losses = head.loss(make_feats(), make_samples(), {})
    (losses['loss_kpt'] + losses['loss_presence']).backward()
    alone.loss(make_feats(), make_samples())['loss_kpt'].backward()
    for ours, theirs in zip(head.pose_head.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_loss_and_accuracy_of_stated_presence():
    head, _ = make_heads(loss=dict(type='KeypointPresenceLoss', loss_weight=0.5), dropout=0.0)
    generator = torch.Generator().manual_seed(3)
    target, known = ((torch.rand(3, K, generator=generator) < p).float() for p in (0.5, 0.7))
    samples = state_presence(make_samples(), target, known)
    losses = head.loss(make_feats(), samples, {})
    logits = head.forward(make_feats())[1]
    probability = logits.sigmoid()
    truth = torch.where(target == 1, probability, 1 - probability)
    expected = -(truth.log() * known).sum() / (3 * K) * 0.5
    torch.testing.assert_close(losses['loss_presence'], expected)
    right = (truth > 0.5)[known == 1].float().mean()
    torch.testing.assert_close(losses['acc_presence'], right)


def test_nothing_known():
    head, _ = make_heads()
    samples = state_presence(make_samples(), torch.ones(3, K), torch.zeros(3, K))
    losses = head.loss(make_feats(), samples, {})
    assert losses['loss_presence'] == 0
    assert losses['acc_presence'] == 0
    losses['loss_presence'].backward()


# ------------------------------------------------------------------ truth


def test_truth_of_a_stock_pipeline():
    samples = make_samples()
    target, known = presence_truth(samples, K)
    weights = torch.cat([sample.gt_instance_labels.keypoint_weights for sample in samples])
    assert 0 < weights.sum() < weights.numel()
    assert torch.equal(target, (weights > 0).float())
    assert torch.equal(known, torch.ones(3, K))
    assert torch.equal(presence_truth(make_samples('mspn'), K)[0], target)


def test_truth_as_stated():
    target, known = torch.eye(3, K), 1 - torch.eye(3, K)
    found = presence_truth(state_presence(make_samples(), target, known), K)
    assert torch.equal(found[0], target)
    assert torch.equal(found[1], known)


def test_truth_of_some_only():
    samples = make_samples()
    samples[1].set_metainfo(dict(img_path='second.jpg'))
    state_presence([samples[0], samples[2]], torch.ones(2, K), torch.ones(2, K))
    head, _ = make_heads()
    with pytest.raises(ValueError, match='second.jpg: no keypoint_presence, but other samples'):
        head.loss(make_feats(), samples, {})


# ------------------------------------------------------------------ predictions


@pytest.mark.parametrize('scores', ['heatmap', 'presence', 'product'])
def test_keypoint_scores(scores):
    head, alone = (one.eval() for one in make_heads(keypoint_scores=scores))
    predictions = head.predict(make_feats(), make_samples(), {})
    for ours, theirs in zip(predictions, alone.predict(make_feats(), make_samples()), strict=True):
        presence, maxima = ours.keypoints_presence, theirs.keypoint_scores
        expected = {'heatmap': maxima, 'presence': presence, 'product': presence * maxima}[scores]
        np.testing.assert_array_equal(ours.keypoint_scores, expected)
        assert ('keypoint_heatmap_scores' in ours) == (scores != 'heatmap')
        np.testing.assert_array_equal(ours.get('keypoint_heatmap_scores', maxima), maxima)


@pytest.mark.parametrize('scores', ['heatmap', 'presence', 'product'])
def test_every_field_of_a_keypoint_follows_output_keypoint_indices(scores):
    init_default_scope('mmpose')
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor'),
            backbone=dict(
                type='ResNet',
                depth=18,
                num_stages=2,
                strides=(1, 2),
                dilations=(1, 1),
                out_indices=(1,),
                stem_channels=4,
                base_channels=4,
            ),
            head=dict(type='KeypointPresenceHead', pose_head=PLAIN, keypoint_scores=scores),
            test_cfg=dict(output_keypoint_indices=[3, 0, 4]),
        )
    ).eval()
    data = get_packed_inputs(1, num_keypoints=K, img_shape=(64, 48), input_size=(48, 64))
    with torch.no_grad():
        found = model.test_step(data)[0].pred_instances
    of_keypoints = {
        name: value.shape[1] for name, value in found.items() if not name.startswith('bbox')
    }
    assert {'keypoints', 'keypoints_presence', 'keypoint_scores'} <= set(of_keypoints)
    assert set(of_keypoints.values()) == {3}


def test_flip_test_averages_probabilities():
    head, _ = make_heads()
    head.eval()
    feats, samples = [make_feats(), make_feats(seed=1)], make_samples()
    straight, mirrored = (head.forward(one)[1].sigmoid().detach().numpy() for one in feats)
    predictions = head.predict(feats, samples, dict(flip_test=True))
    for row, prediction in enumerate(predictions):
        expected = (straight[row] + mirrored[row][[0, 2, 1, 4, 3]]) / 2
        np.testing.assert_allclose(prediction.keypoints_presence[0], expected, rtol=1e-6)


def test_mixed_precision():
    head, _ = make_heads()
    exact = head.eval().predict(make_feats(), make_samples(), {})
    with torch.autocast('cpu', dtype=torch.bfloat16):
        low = head.predict(make_feats(), make_samples(), {})
        losses = head.train().loss(make_feats(), make_samples(), {})
    for ours, theirs in zip(low, exact, strict=True):
        assert ours.keypoints_presence.dtype == ours.keypoint_scores.dtype == np.float32
        np.testing.assert_allclose(ours.keypoints_presence, theirs.keypoints_presence, atol=0.03)
    assert losses['loss_presence'].dtype == losses['loss_kpt'].dtype == torch.float32


# ------------------------------------------------------------------ weights


@names
def test_state_dict_round_trip(name, tmp_path):
    head, _ = make_heads(name)
    torch.save(head.state_dict(), tmp_path / 'head.pth')
    torch.manual_seed(1)
    other, _ = make_heads(name)
    other.load_state_dict(torch.load(tmp_path / 'head.pth', weights_only=True))
    ours, theirs = (one.eval().forward(make_feats(name))[1] for one in (head, other))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize('name', ['heatmap', 'cpm', 'vipnas', 'mspn'])
def test_weights_of_a_model_without_presence_load(name):
    torch.manual_seed(1)
    _, alone = make_heads(name)
    head, _ = make_heads(name)
    before = {key: value.clone() for key, value in head.presence_net.state_dict().items()}
    holder = nn.ModuleDict({'head': head})
    state = {f'head.{key}': value for key, value in alone.state_dict().items()}
    missing, unexpected = holder.load_state_dict(state, strict=False)
    assert not unexpected
    assert sorted(missing) == sorted(f'head.presence_net.{key}' for key in before)
    for key, value in alone.state_dict().items():
        assert torch.equal(head.pose_head.state_dict()[key], value), key
    for key, value in before.items():
        assert torch.equal(head.presence_net.state_dict()[key], value), key


@pytest.mark.parametrize('convolutions', [False, True])
@pytest.mark.parametrize('layout', ['stock', 'old'])
def test_files_of_models_without_presence_load(tmp_path, convolutions, layout):
    """By mmengine's way, which hands the file's version on; HeatmapHead renames of old files."""
    more = dict(conv_out_channels=(6,), conv_kernel_sizes=(1,)) if convolutions else {}
    alone = MODELS.build(dict(PLAIN, **more))
    for parameter in alone.parameters():
        nn.init.normal_(parameter, std=0.3)
    state = nn.ModuleDict({'head': alone}).state_dict()
    if layout == 'old':  # all layers behind the deconvolutions are one list, and no version is kept
        last = f'head.final_layer.{len(alone.conv_layers) if convolutions else ""}'.rstrip('.')
        renames = {'head.conv_layers': 'head.final_layer', 'head.final_layer': last}
        state = {
            re.sub('|'.join(renames), lambda found: renames[found[0]], name): value
            for name, value in state.items()
        }
        assert ('head.final_layer.3.weight' in state) == convolutions
    torch.save(dict(meta=dict(epoch=1), state_dict=state), tmp_path / 'stock.pth')

    model = nn.ModuleDict(
        {'head': MODELS.build(dict(type='KeypointPresenceHead', pose_head=dict(PLAIN, **more)))}
    )
    net = copy.deepcopy(model['head'].presence_net.state_dict())
    load_checkpoint(model, str(tmp_path / 'stock.pth'))
    model['head'].eval()
    with torch.no_grad():
        heatmaps, presence = model['head'].forward(make_feats())
        assert torch.equal(heatmaps, alone.eval().forward(make_feats()))
    for key, value in model['head'].presence_net.state_dict().items():
        assert torch.equal(value, net[key]), key

    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'presence.pth')
    again = copy.deepcopy(model)
    for tensor in again.state_dict().values():
        tensor.zero_()
    load_checkpoint(again, str(tmp_path / 'presence.pth'), strict=True)
    with torch.no_grad():
        outputs = again['head'].forward(make_feats())
    assert torch.equal(outputs[0], heatmaps)
    assert torch.equal(outputs[1], presence)


def test_copies_are_independent():
    head, _ = make_heads()
    head.loss(make_feats(), make_samples(), {})
    averaged = ExponentialMovingAverage(head, momentum=0.5).module.eval()
    before = averaged.predict(make_feats(), make_samples(), {})
    for parameter in head.parameters():
        parameter.data.add_(1.0)
    after = averaged.predict(make_feats(), make_samples(), {})
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.keypoints_presence, other.keypoints_presence)
        np.testing.assert_array_equal(one.keypoint_scores, other.keypoint_scores)
    changed = head.eval().predict(make_feats(), make_samples(), {})
    assert not np.array_equal(changed[0].keypoints_presence, after[0].keypoints_presence)
    assert not np.array_equal(changed[0].keypoint_scores, after[0].keypoint_scores)


def test_gradients_reach_the_weights_of_the_copy_not_of_the_original():
    head, _ = make_heads()
    twin = copy.deepcopy(head)
    losses = twin.loss(make_feats(), make_samples(), {})
    sum(losses[key] for key in ('loss_kpt', 'loss_presence')).backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())
    assert all(parameter.grad is None for parameter in head.parameters())


# ------------------------------------------------------------------ options


SIMCC = dict(type='SimCCLabel', input_size=(48, 64), simcc_split_ratio=2.0)
NO_HEATMAPS = [
    dict(
        type='SimCCHead',
        in_channels=8,
        out_channels=K,
        input_size=(48, 64),
        in_featuremap_size=(6, 8),
        deconv_out_channels=None,
        decoder=SIMCC,
    ),
    dict(
        type='RTMCCHead',
        in_channels=8,
        out_channels=K,
        input_size=(48, 64),
        in_featuremap_size=(6, 8),
        decoder=SIMCC,
    ),
    dict(
        type='RegressionHead',
        in_channels=8,
        num_joints=K,
        decoder=dict(type='RegressionLabel', input_size=(48, 64)),
    ),
]


@pytest.mark.parametrize('pose_head', NO_HEATMAPS, ids=lambda head: head['type'])
def test_heads_without_heatmaps(pose_head):
    with pytest.raises(ValueError, match=f'is not given, and {pose_head["type"]} with its decoder'):
        MODELS.build(dict(type='KeypointPresenceHead', pose_head=pose_head))


def test_heads_of_hidden_sizes_have_to_be_told():
    with pytest.raises(ValueError, match='num_keypoints is not given, and IntegralRegressionHead'):
        MODELS.build(dict(type='KeypointPresenceHead', pose_head=HEADS['integral']))
    without = {key: value for key, value in PLAIN.items() if key != 'decoder'}
    with pytest.raises(ValueError, match='heatmap_size is not given, and HeatmapHead'):
        MODELS.build(dict(type='KeypointPresenceHead', pose_head=without))
    head = MODELS.build(
        dict(type='KeypointPresenceHead', pose_head=without, heatmap_size=list(SIZE))
    )
    assert head.decoder is None
    assert head.forward(make_feats())[1].shape == (3, K)


def test_heatmaps_of_another_size_than_the_decoders():
    head = MODELS.build(
        dict(type='KeypointPresenceHead', pose_head=dict(PLAIN, deconv_out_channels=None))
    )
    with pytest.raises(ValueError, match=r'shape \(3, 5, 8, 6\), expected \(B, 5, 16, 12\)'):
        head.forward(make_feats())


def test_unknown_keypoint_scores():
    with pytest.raises(ValueError, match="keypoint_scores is 'both', expected one of"):
        make_heads(keypoint_scores='both')


# ------------------------------------------------------------------ mmpose's own configs

STOCK = {
    'hrnet': 'td-hm_hrnet-w32_8xb64-210e_coco-256x192',
    'hrnet udp': 'td-hm_hrnet-w32_udp-regress-8xb64-210e_coco-256x192',
    'simple baseline': 'td-hm_res50_8xb64-210e_coco-256x192',
    'vitpose': 'td-hm_ViTPose-small_8xb64-210e_coco-256x192',
    'vitpose simple': 'td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192',
    'mspn': 'td-hm_mspn50_8xb32-210e_coco-256x192',
    'hourglass': 'td-hm_hourglass52_8xb32-210e_coco-256x256',
}


def stock_model(name):
    """The model of mmpose's own config, without pretrained weights, small where it can be."""
    model = get_config(f'mmpose::body_2d_keypoint/topdown_heatmap/coco/{STOCK[name]}.py').model
    model.backbone.pop('init_cfg', None)
    if name in ('vitpose', 'vitpose simple'):
        model.backbone.arch.num_layers = 1
    return model


@pytest.mark.parametrize('name', STOCK)
def test_stock_configs_with_one_head_swapped(name):
    config = stock_model(name)
    config.head = dict(type='KeypointPresenceHead', pose_head=config.head)
    model = MODELS.build(config)
    net = model.head.presence_net
    assert net.num_keypoints == 17
    width, height = net.heatmap_size
    size = (256, 256) if name == 'hourglass' else (192, 256)
    batch = get_packed_inputs(
        batch_size=2 if name == 'simple baseline' else 1,
        num_levels=4 if name == 'mspn' else 1,
        img_shape=size[::-1],
        input_size=size,
        heatmap_size=(width, height),
    )
    for sample in batch['data_samples']:
        if name == 'mspn':  # of several encoders mmpose stacks the weights, its dummies do not
            weights = sample.gt_instance_labels.keypoint_weights.transpose(0, 1)
            sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
        if name == 'hrnet udp':
            heatmaps = sample.gt_fields.heatmaps.repeat(3, 1, 1)
            sample.gt_fields = PixelData(heatmaps=heatmaps)
    with torch.no_grad():
        data = model.eval().data_preprocessor(batch, training=True)
        losses = model(**data, mode='loss')
        results = model(**model.data_preprocessor(batch), mode='predict')
    assert {'loss_kpt', 'loss_presence', 'acc_presence'} <= set(losses)
    assert torch.isfinite(losses['loss_presence'])
    for result in results:
        presence = result.pred_instances.keypoints_presence
        assert presence.shape == (1, 17)
        assert ((presence > 0) & (presence < 1)).all()
        assert np.ptp(presence) > 0
        assert result.pred_instances.keypoints.shape == (1, 17, 2)


def test_mmposes_own_head_of_visibility_takes_the_same_samples():
    samples = make_samples()
    ours, _ = make_heads()
    baseline = MODELS.build(
        dict(
            type='VisPredictHead',
            loss=dict(type='BCELoss', use_target_weight=True, use_sigmoid=True),
            pose_cfg=PLAIN,
        )
    )
    baseline.pose_head.load_state_dict(ours.pose_head.state_dict())
    losses = [head.loss(make_feats(), samples, {}) for head in (ours, baseline)]
    assert torch.equal(losses[0]['loss_kpt'], losses[1]['loss_kpt'])
    sum(losses[1][key] for key in ('loss_kpt', 'loss_vis')).backward()
    predictions = [head.eval().predict(make_feats(), samples, {}) for head in (ours, baseline)]
    for one, other in zip(predictions[0], predictions[1][0], strict=True):
        assert one.keypoints_visible.shape == other.keypoints_visible.shape == (1, K)
