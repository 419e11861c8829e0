"""What modules attend to: shares by hand, and the tool's files for models of all kinds."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope
from PIL import Image
from torch import nn

import projects.star  # noqa: F401 - registers
from projects.star.attended_frames import ALL, CLASSES, by_kind, measure, statistics, thirds
from projects.star.attention import SpatioTemporalAttention
from projects.star.timesformer_attention import STARAttentionWithNorm
from projects.synthetic.penn_action import write_penn_action
from tools.analysis import star_attention as tool

N = 3  # joints
VISIBLE = dict(
    FAttn=lambda query, key, T: True,
    ZAttn=lambda query, key, T: (query - key) % 2 == 1,
    BAttn=lambda query, key, T: (query < (T + 1) // 2) != (key < (T + 1) // 2),
)


def build(num_frames=5, class_tokens=True, layers=1):
    """A model of skeletons alone."""
    init_default_scope('mmaction')
    torch.manual_seed(0)
    backbone = dict(
        type='STARTransformer',
        num_frames=num_frames,
        embed_dims=16,
        num_heads=2,
        feedforward_channels=16,
        joint_tokens=dict(num_joints=N, heatmap_size=(4, 4), hidden_channels=4),
        class_tokens=class_tokens,
        encoder=dict(num_layers=layers),
        decoder=dict(num_layers=layers),
    )
    joints = dict(type='ActionDataPreprocessor')
    model = MODELS.build(
        dict(
            type='MMRecognizer3D',
            backbone=backbone,
            cls_head=dict(type='STARHead', num_classes=4, in_channels=16, average_clips='prob'),
            data_preprocessor=dict(
                type='MultiModalDataPreprocessor', preprocessors=dict(keypoint=joints)
            ),
        )
    )
    return model.eval()


def batches(num_frames=5, sizes=(2, 1), clips=1):
    torch.manual_seed(1)
    return [
        dict(
            inputs=dict(keypoint=[torch.rand(clips, num_frames, N, 3) for _ in range(size)]),
            data_samples=[ActionDataSample().set_gt_label(0) for _ in range(size)],
        )
        for size in sizes
    ]


def without_weights(model):
    """All queries and keys zero: every module weighs all that it sees equally."""
    for module in model.modules():
        if isinstance(module, SpatioTemporalAttention):
            nn.init.zeros_(module.qkv.weight)
            nn.init.zeros_(module.qkv.bias)
    return model


@pytest.mark.parametrize('class_tokens', [True, False])
@pytest.mark.parametrize('num_frames', [4, 5])
def test_equal_weights(num_frames, class_tokens):
    """Zero projections give what equal_shares says, and a plain loop over pairs of tokens."""
    T, K = num_frames, 2 if class_tokens else 0
    found = measure(without_weights(build(T, class_tokens)), batches(T))
    for module in found:
        sees = VISIBLE[module.kind]
        frames = np.zeros((T, T))
        for query in range(T):
            seen = [key for key in range(T) if sees(query, key, T)]
            frames[query, seen] = N / (K + N * len(seen))
        np.testing.assert_allclose(module.frames, np.broadcast_to(frames, (3, T, T)), atol=1e-6)
        total = N * frames.sum(0)
        if class_tokens:
            np.testing.assert_allclose(module.classes, N / (K + N * T), atol=1e-6)
            np.testing.assert_allclose(module.shares(CLASSES), 1 / T, atol=1e-6)
            total += K * N / (K + N * T)
        else:
            assert module.paid(CLASSES) is None
            assert statistics([module], CLASSES) is None
        np.testing.assert_allclose(module.paid(ALL)[0], total / (K + N * T), atol=1e-6)
        np.testing.assert_allclose(module.equal_shares(ALL), total / total.sum(), atol=1e-12)


def test_modules_are_found_in_order_with_their_places():
    found = measure(build(layers=2), batches())
    assert [(module.name, module.place) for module in found] == [
        *(('encoder 1 FAttn', 1), ('encoder 1 ZAttn', 2), ('encoder 2 FAttn', 1)),
        *(('encoder 2 ZAttn', 2), ('decoder 1 FAttn', 1), ('decoder 1 BAttn', 2)),
        *(('decoder 2 FAttn', 1), ('decoder 2 BAttn', 2)),
    ]
    assert {kind: len(some) for kind, some in by_kind(found).items()} == dict(
        FAttn=4, ZAttn=2, BAttn=2
    )


def test_samples_do_not_depend_on_batches_and_clips_are_averaged():
    model = build()
    together = batches(sizes=(3,), clips=2)
    clips = together[0]['inputs']['keypoint']
    one_by_one = batches(sizes=(1,) * 6)
    for batch, clip in zip(one_by_one, torch.cat(clips), strict=True):
        batch['inputs']['keypoint'] = [clip[None]]
    for both, each in zip(measure(model, together), measure(model, one_by_one), strict=True):
        expected = each.frames.reshape(3, 2, 5, 5).mean(1)
        np.testing.assert_allclose(both.frames, expected, atol=1e-6)
        expected = each.classes.reshape(3, 2, 5).mean(1)
        np.testing.assert_allclose(both.classes, expected, atol=1e-6)


def test_measuring_leaves_no_hooks_even_after_an_error():
    model = build()
    with pytest.raises(ValueError, match='frames, expected 5'):
        measure(model, batches(num_frames=4))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_attention_that_is_not_finite_is_refused():
    model = build()
    nn.init.constant_(model.backbone.decoder[0].attentions[1].qkv.weight, torch.nan)
    with pytest.raises(ValueError, match=r'decoder\.0\.attentions\.1: attention is not finite'):
        measure(model, batches())


def test_statistics_of_known_shares():
    """One sample looks at one frame, the other at all; both modules are alike."""
    (first, *_) = measure(build(4), batches(4, sizes=(2,)))
    paid = np.array([[0, 0, 0, 0.5], [0.25, 0.25, 0.25, 0.25]])
    module = first._replace(classes=paid)
    found = statistics([module, module], CLASSES)
    np.testing.assert_allclose(found['shares'], [0.125, 0.125, 0.125, 0.625])
    np.testing.assert_allclose(found['std'], [0.125, 0.125, 0.125, 0.375])
    assert found['entropy_bits'] == pytest.approx(1)  # of 0 and 2
    assert found['entropy_bits_std'] == pytest.approx(1)
    expected = -(3 * 0.125 * np.log2(0.125) + 0.625 * np.log2(0.625))
    assert found['entropy_bits_of_mean'] == pytest.approx(expected)
    assert found['to_class_tokens'] == pytest.approx(0.25)
    # thirds end at a third of the second frame, and two thirds of the third
    np.testing.assert_allclose(found['thirds'], [0.5 / 3, 0.5 / 3, 2 / 3])
    nothing = first._replace(classes=np.zeros((2, 4)))
    np.testing.assert_allclose(statistics([nothing], CLASSES)['shares'], 0.25)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_thirds_sum_to_all_and_are_equal_of_equal_shares(shares):
    shares = np.array(shares)
    assert thirds(shares).sum() == pytest.approx(shares.sum())
    assert (thirds(shares) >= -1e-12).all()
    equal = np.full(len(shares), 1 / len(shares))
    np.testing.assert_allclose(thirds(equal), 1 / 3)
    np.testing.assert_allclose(thirds(shares)[::-1], thirds(shares[::-1]), atol=1e-9)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('penn')
    sizes = dict(num_frames=(16, 16), image_size=(48, 48))
    write_penn_action(root, classes=('squat', 'situp'), videos_per_class=dict(test=2), **sizes)
    return root


def command(config, checkpoint, out, root, **options):
    """Words of the command line, the model made small."""
    options = {
        'test_dataloader.dataset.data_root': root,
        'test_dataloader.num_workers': 0,
        'test_dataloader.batch_size': 2,
        'model.backbone.embed_dims': 16,
        'model.backbone.feedforward_channels': 16,
        'model.cls_head.in_channels': 16,
        **{key.replace('__', '.'): value for key, value in options.items()},
    }
    words = [f'{key}={value}' for key, value in options.items()]
    places = ['--samples', '3', '--out', str(out), '--device', 'cpu']
    return [f'configs/star/{config}', str(checkpoint), *places, '--cfg-options', *words]


@pytest.mark.parametrize(
    ('config', 'options', 'num_frames', 'num_class_tokens'),
    [
        (
            'star_toy.py',
            dict(
                model__backbone__num_frames=5,
                test_dataloader__dataset__pipeline__0__clip_len=5,
                model__backbone__cnn__base_channels=4,
                model__backbone__grid_tokens__in_channels=32,
                model__backbone__joint_tokens__in_channels=8,
            ),
            *(5, 3),
        ),
        ('star_skeleton.py', dict(model__backbone__class_tokens=False), *(16, 0)),
    ],
)
def test_the_tool_writes_picture_and_numbers(
    tmp_path, data_root, capsys, monkeypatch, config, options, num_frames, num_class_tokens
):
    monkeypatch.chdir(tool.Path(tool.__file__).parents[2])
    assert tool.main(command(config, 'none', tmp_path / 'out', data_root, **options)) == 0
    printed = capsys.readouterr().out
    for word in ('FAttn', 'ZAttn', 'BAttn', 'first third', '3 samples'):
        assert word in printed
    with Image.open(tmp_path / 'out' / 'attention.png') as picture:
        assert min(picture.size) > 1000
        assert len(picture.convert('L').getcolors()) > 50  # not blank
    found = json.loads((tmp_path / 'out' / 'attention.json').read_text())
    assert (found['checkpoint'], found['samples']) == ('none', 3)
    assert found['config'] == f'configs/star/{config}'
    assert found['max_entropy_bits'] == pytest.approx(np.log2(num_frames))
    assert list(found['types']) == ['FAttn', 'ZAttn', 'BAttn']
    for module in found['modules']:
        frames, visible = np.array(module['frames']), np.array(module['visible'])
        assert frames.shape == visible.shape == (num_frames, num_frames)
        assert module['num_class_tokens'] == num_class_tokens
        sees = VISIBLE[module['type']]
        for query, key in np.ndindex(frames.shape):
            assert visible[query, key] == sees(query, key, num_frames)
        assert (frames[~visible] == 0).all()
        assert (frames[visible] > 0).all()
        if num_class_tokens:
            assert (frames.sum(axis=1) < 1).all()
        else:
            np.testing.assert_allclose(frames.sum(axis=1), 1, atol=1e-6)
            assert module['from_class_tokens'] is None
        for source in ('from_class_tokens', 'from_all_tokens'):
            numbers = module[source]
            if numbers is not None:
                assert sum(numbers['shares']) == pytest.approx(1)
                assert numbers['entropy_bits'] <= found['max_entropy_bits'] + 1e-9
    fattn = [module for module in found['modules'] if module['type'] == 'FAttn']
    np.testing.assert_allclose(
        found['types']['FAttn']['from_all_tokens']['shares'],
        np.mean([module['from_all_tokens']['shares'] for module in fattn], axis=0),
    )


def test_a_checkpoint_is_loaded_whole_or_refused(tmp_path, data_root, capsys, monkeypatch):
    monkeypatch.chdir(tool.Path(tool.__file__).parents[2])
    line = command('star_skeleton.py', tmp_path / 'a.pth', tmp_path / 'out', data_root)
    cfg = tool.load_config(tool.parse_args(line))
    model = without_weights(tool.load_model(cfg, 'none'))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    assert tool.main(line) == 0
    found = json.loads((tmp_path / 'out' / 'attention.json').read_text())
    assert found['checkpoint'] == 'a.pth'
    for module in found['modules']:
        np.testing.assert_allclose(module['from_class_tokens']['shares'], 1 / 16, atol=1e-6)
    torch.save(dict(state_dict={}), tmp_path / 'a.pth')
    assert tool.main(line) == 1
    assert 'does not fit' in capsys.readouterr().err
    with pytest.raises(ValueError, match='missing keys'):
        tool.load_model(cfg, str(tmp_path / 'a.pth'))
    assert tool.main([line[0], 'nowhere.pth', *line[2:]]) == 1
    assert 'no such checkpoint' in capsys.readouterr().err


def test_samples_are_spread_evenly(data_root, monkeypatch, tmp_path):
    monkeypatch.chdir(tool.Path(tool.__file__).parents[2])
    line = command('star_skeleton.py', 'none', tmp_path, data_root)
    cfg = tool.load_config(tool.parse_args(line))
    for count, expected in ((1, [2]), (2, [1, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])):
        assert tool.sample_loader(cfg, count).dataset.indices == expected
    with pytest.raises(ValueError, match='samples is 0, expected 1 or more'):
        tool.sample_loader(cfg, 0)


def test_a_model_without_such_modules_is_refused():
    with pytest.raises(ValueError, match='Sequential has no FAttn, ZAttn or BAttn'):
        measure(nn.Sequential(nn.Linear(2, 2)), [])


@pytest.mark.parametrize('layers', [1, 4])
def test_figures_of_few_and_many_layers(layers):
    """Each module has a heat map and a curve; beside them the colour bar and two summaries."""
    found = measure(build(layers=layers), batches())
    figure = tool.draw_attention(found, 'title with a $ in it')
    assert len(figure.axes) == 2 * len(found) + 3
    for axes in figure.axes:
        box = axes.get_position()
        assert min(box.x0, box.y0) > 0
        assert max(box.x1, box.y1) < 1


def test_attentions_inside_of_timesformer():
    """Their layers pass the number of class tokens by name, and have no lists of attentions."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            settings = dict(embed_dims=8, num_heads=2, num_frames=4)
            self.layers = nn.ModuleList(
                STARAttentionWithNorm(attention=name, **settings) for name in ('ZAttn', 'BAttn')
            )

        def test_step(self, x):
            for layer in self.layers:
                x = layer(x)
            return list(x)

    found = measure(Model().eval(), [torch.rand(2, 1 + 4 * 3, 8)])
    assert [(module.name, module.place) for module in found] == [
        ('layers 1 ZAttn', 1),
        ('layers 2 BAttn', 1),
    ]
    assert found[0].classes.shape == (2, 4)
    tool.draw_attention(found, 'title')
