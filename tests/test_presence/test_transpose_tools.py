import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmpose.registry import MODELS
from PIL import Image
from torch import nn

from tests.test_presence.plain_transpose import PlainTransPose
from tools import convert_transpose
from tools.analysis import transpose_dependencies

SMALL = dict(num_layers=2, channels=16, heads=2, hidden=24, keypoints=3, size=(4, 3))


def plain_model():
    """Small, with norms that do something and sums that do not explode."""
    torch.manual_seed(0)
    model = PlainTransPose(**SMALL).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model


def pose_head(keypoints=3):
    return dict(
        type='HeatmapHead',
        in_channels=16,
        out_channels=keypoints,
        deconv_out_channels=(16,),
        deconv_kernel_sizes=(4,),
        decoder=dict(type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=1),
    )


def our_config(head, depth=50, in_channels=512, **neck):
    return dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(type='PoseDataPreprocessor', mean=[90.0] * 3, std=[60.0] * 3),
        backbone=dict(
            type='ResNet',
            depth=depth,
            num_stages=2,
            strides=(1, 2),
            dilations=(1, 1),
            out_indices=(1,),
        ),
        neck=dict(
            type='TransPoseEncoder',
            in_channels=in_channels,
            embed_dims=16,
            num_layers=2,
            num_heads=2,
            feedforward_channels=24,
            **neck,
        ),
        head=head,
    )


def build(config):
    init_default_scope('mmpose')
    return MODELS.build(config).eval()


def convert(tmp_path, weights, *options):
    torch.save(weights, tmp_path / 'in.pth')
    arguments = [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), *options]
    return convert_transpose.main(arguments), tmp_path / 'out.pth'


@pytest.mark.parametrize('position', ['sine', 'learnable', 'none'])
def test_converted_model_computes_the_same(tmp_path, capsys, position):
    plain = plain_model()
    weights = plain.state_dict()
    if position == 'learnable':
        nn.init.normal_(plain.pos_embedding)
    elif position == 'none':
        nn.init.zeros_(plain.pos_embedding)
        weights.pop('pos_embedding')
    code, out = convert(tmp_path, weights)
    assert code == 0
    assert f'position={position!r}' in capsys.readouterr().out
    ours = build(our_config(pose_head(), position=position, feature_size=(4, 3)))
    load_checkpoint(ours, str(out), strict=True)
    images = torch.randn(2, 3, 32, 24)
    with torch.no_grad():
        expected = plain(images)
        assert expected.std() > 1e-2
        assert torch.allclose(ours(images, None), expected, atol=1e-5)


def test_converted_for_presence(tmp_path):
    plain = plain_model()
    code, out = convert(tmp_path, plain.state_dict(), '--presence')
    assert code == 0
    head = dict(type='KeypointPresenceHead', pose_head=pose_head())
    ours = build(our_config(head))
    wanted = ours.load_state_dict(torch.load(out)['state_dict'], strict=False)
    assert not wanted.unexpected_keys
    assert {name.split('.')[1] for name in wanted.missing_keys} == {'presence_net'}
    images = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        plain.pos_embedding = nn.Parameter(
            ours.neck.sine_position(torch.zeros(1, 1, 8, 6))[0, :, None]
        )
        heatmaps, _ = ours(images, None)
        assert torch.allclose(heatmaps, plain(images), atol=1e-5)


def changed(**changes):
    weights = plain_model().state_dict()
    for name, value in changes.items():
        name = name.replace('__', '.')
        if value is None:
            weights.pop(name)
        else:
            weights[name] = value
    return weights


@pytest.mark.parametrize(
    ('weights', 'messages'),
    [
        (
            changed(bn1__bias=None, global_encoder__layers__1__norm2__weight=None),
            ['missing: bn1.bias, global_encoder.layers.1.norm2.weight; unknown: none'],
        ),
        (
            changed(stage2__weight=torch.zeros(1), layer2__9__conv1__weight=torch.zeros(1)),
            ['missing: none; unknown: layer2.9.conv1.weight, stage2.weight'],
        ),
        (
            changed(conv1__weight=torch.zeros(64, 1, 7, 7)),
            ['another shape: conv1.weight (64, 1, 7, 7), expected (64, 3, 7, 7)'],
        ),
        (
            changed(pos_embedding=torch.zeros(12, 16)),
            ['pos_embedding has shape (12, 16), expected'],
        ),
        (changed(epoch=3), ['not tensors: epoch']),
        ([torch.zeros(1)], ['holds a list, expected a plain dict']),
        ({}, ['missing: bn1.bias', 'more; unknown: none']),
    ],
)
def test_refuses_what_is_not_the_model(tmp_path, capsys, weights, messages):
    code, out = convert(tmp_path, weights)
    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith(f'error: {tmp_path / "in.pth"}: ')
    for message in messages:
        assert message in said
    assert not out.exists()


class Foreign:
    """What a checkpoint must not hold."""


def test_refuses_foreign_objects_and_missing_files(tmp_path, capsys):
    code, out = convert(tmp_path, dict(model=Foreign()))
    assert code == 1
    assert 'refused' in capsys.readouterr().err
    assert convert_transpose.main([str(tmp_path / 'no.pth'), str(out)]) == 1
    assert 'no.pth: no such checkpoint file' in capsys.readouterr().err
    assert not out.exists()


def test_refuses_a_target_that_cannot_be_written(tmp_path, capsys):
    torch.save(plain_model().state_dict(), tmp_path / 'in.pth')
    (tmp_path / 'file').write_text('no folder')
    (tmp_path / 'folder').mkdir()
    for target in (tmp_path / 'file' / 'out.pth', tmp_path / 'folder'):
        assert convert_transpose.main([str(tmp_path / 'in.pth'), str(target)]) == 1
        said = capsys.readouterr()
        assert said.err.startswith(f'error: {target}: cannot be written (')
        assert said.err.count('\n') == 1
        assert not said.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'folder', 'in.pth']


def test_a_disk_without_space_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise RuntimeError('PytorchStreamWriter failed writing file\nmore lines')

    torch.save(plain_model().state_dict(), tmp_path / 'in.pth')
    monkeypatch.setattr(torch, 'save', full)
    assert convert_transpose.main([str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')]) == 1
    said = capsys.readouterr().err
    assert said.endswith('cannot be written (PytorchStreamWriter failed writing file)\n')
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize(('height', 'width'), [(32, 24), (48, 36), (5, 5), (1, 7)])
def test_sine_is_recognised_at_any_size(height, width):
    layer = PlainTransPose(1, 8, 2, 4, 1, (height, width))
    assert convert_transpose.is_sine(layer.pos_embedding)
    assert not convert_transpose.is_sine(layer.pos_embedding.flip(0))
    assert not convert_transpose.is_sine(layer.pos_embedding[..., :6])


NAMES = ['nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear']


@pytest.fixture
def files(tmp_path):
    """A photograph, and where configs go."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (90, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    return tmp_path


def write_config(folder, presence=False, neck=True, name='config.py', truth=()):
    head = pose_head(17)
    if presence:
        head = dict(type='KeypointPresenceHead', pose_head=head)
    model = our_config(head, depth=18, in_channels=128)
    if not neck:
        del model['neck']
        head.update(in_channels=128)
    dataset = dict(
        type='CocoDataset',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=(48, 64)),
            *truth,
            dict(type='PackPoseInputs'),
        ],
    )
    config = Config(
        dict(
            default_scope='mmpose',
            custom_imports=dict(imports=['projects.presence'], allow_failed_imports=False),
            model={**model, 'test_cfg': dict(flip_test=True)},
            train_dataloader=dict(dataset=dataset),
            test_dataloader=dict(dataset=dataset),
        )
    )
    config.dump(folder / name)
    return str(folder / name)


def found_in(files, presence=False, **options):
    torch.manual_seed(0)
    model = transpose_dependencies.load_model(write_config(files, presence), 'none')
    image = np.asarray(Image.open(files / 'photo.png'))[..., ::-1]
    return model, transpose_dependencies.find_dependencies(model, image, **options)


@pytest.mark.parametrize('presence', [False, True])
def test_dependencies_are_rows_of_attention(files, presence):
    model, found = found_in(files, presence, names=['left_ear', 'nose'], layer=1)
    assert found.crop.shape == (64, 48, 3)
    assert found.heatmaps.shape == (2, 16, 12)
    assert found.areas.shape == (2, 8, 6)
    assert (found.heatmaps.max(axis=(1, 2)) > 0).all()
    assert np.allclose(found.areas.sum(axis=(1, 2)), 1, atol=1e-5)
    assert (found.presence is not None) == presence
    images = torch.tensor(found.crop[..., ::-1].copy()).permute(2, 0, 1)[None]
    attention = model.neck.attention_maps(model.backbone((images.float() - 90) / 60))[0, 0]
    for index, (x, y) in enumerate(found.keypoints):
        row, column = min(max(int(y // 8), 0), 7), min(max(int(x // 8), 0), 5)
        expected = attention[row * 6 + column].reshape(8, 6)
        assert np.allclose(found.areas[index], expected, atol=1e-5)
        peak = np.unravel_index(found.heatmaps[index].argmax(), (16, 12))
        assert np.allclose(found.keypoints[index], (peak[1] * 4, peak[0] * 4), atol=1.1)


def test_steps_of_the_pipeline_that_need_the_truth_are_left_out(files):
    steps = [
        dict(type='GenerateTarget', encoder=pose_head()['decoder']),
        dict(type='KeypointPresenceTarget'),
    ]
    torch.manual_seed(0)
    model = transpose_dependencies.load_model(write_config(files, True, truth=steps), 'none')
    image = np.asarray(Image.open(files / 'photo.png'))[..., ::-1]
    found = transpose_dependencies.find_dependencies(model, image)
    _, plain = found_in(files, presence=True)
    np.testing.assert_array_equal(found.areas, plain.areas)


def test_box_chooses_the_person(files):
    _, whole = found_in(files)
    _, part = found_in(files, box=(30.0, 40.0, 60.0, 80.0))
    assert len(whole.names) == 17
    assert not np.array_equal(whole.crop, part.crop)


@pytest.mark.parametrize('presence', [False, True])
def test_picture(files, presence, capsys, monkeypatch):
    config = write_config(files, presence)
    model = transpose_dependencies.load_model(config, 'none')
    torch.save(dict(state_dict=model.state_dict()), files / 'weights.pth')
    out = files / 'out' / 'picture.png'
    arguments = [config, str(files / 'weights.pth'), str(files / 'photo.png'), '--box', '5,5,60,80']
    options = ['--keypoints', *NAMES, '--threshold', '0.02', '--layer', '1', '--out', str(out)]
    assert transpose_dependencies.main([*arguments, *options]) == 0
    assert capsys.readouterr().out.strip().endswith('picture.png')
    with Image.open(out) as picture:
        assert picture.format == 'PNG'
        assert picture.width > 800
        assert np.asarray(picture).std() > 20
    monkeypatch.chdir(files)
    assert transpose_dependencies.main(arguments[:3] + ['--keypoints', 'nose']) == 0
    assert (files / 'photo_dependencies.png').exists()


def test_threshold_and_labels(files):
    _, found = found_in(files, presence=True)
    found = found._replace(heatmaps=np.abs(found.heatmaps))
    found.heatmaps[4] = -1
    drawn = transpose_dependencies.draw_dependencies(found, 'title', 0.5)
    panels = [axes for axes in drawn.get_axes() if axes.axison]
    assert len(panels) == 2 * 17
    titles = [axes.get_title() for axes in panels if axes.get_title()]
    assert len(titles) == 17
    assert titles[9] == f'left wrist\n{found.scores[9]:.2f} · present {found.presence[9]:.2f}'
    labels = [axes.get_xlabel() for axes in panels if axes.get_xlabel()]
    assert labels[4] == 'no keypoint'
    assert set(labels[:4] + labels[5:]) == {'all smaller'}
    drawn = transpose_dependencies.draw_dependencies(found, 'title')
    labels = [axes.get_xlabel() for axes in drawn.get_axes() if axes.get_xlabel()]
    assert f'up to {100 * found.areas[9].max():.2g} %' in labels


def test_without_a_positive_heatmap_there_is_no_keypoint(files):
    torch.manual_seed(0)
    model = transpose_dependencies.load_model(write_config(files), 'none')
    nn.init.constant_(model.head.final_layer.bias[:1], -100)
    nn.init.constant_(model.head.final_layer.bias[1:], 100)
    image = np.zeros((64, 48, 3), dtype=np.uint8)
    found = transpose_dependencies.find_dependencies(model, image, names=['nose', 'left_eye'])
    assert not found.areas[0].any()
    assert found.areas[1].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--keypoints', 'nose', 'tail'], "no keypoints ['tail'], expected some of ['nose'"),
        (['--layer', '3'], 'layer is 3, expected 1 to 2'),
    ],
)
def test_refuses_bad_choices(files, capsys, options, message):
    arguments = [write_config(files), 'none', str(files / 'photo.png'), *options]
    assert transpose_dependencies.main(arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('box', ['1,2,3', 'a,b,c,d', '5,5,5,9', '0,0,nan,4'])
def test_refuses_bad_boxes(files, capsys, box):
    with pytest.raises(SystemExit):
        transpose_dependencies.main(['c.py', 'none', 'i.png', f'--box={box}'])
    assert f'{box!r} is not x1,y1,x2,y2' in capsys.readouterr().err


def test_refuses_bad_files(files, capsys):
    photo, config = str(files / 'photo.png'), write_config(files)
    other = write_config(files, neck=False, name='other.py')
    (files / 'text.png').write_text('no image')
    torch.save(dict(state_dict=dict(a=torch.zeros(1))), files / 'other.pth')
    for arguments, message in (
        ([config, 'none', str(files / 'text.png')], 'text.png: no image that can be read'),
        ([config, 'none', str(files / 'gone.png')], 'gone.png'),
        ([config, str(files / 'other.pth'), photo], 'other.pth: does not fit'),
        ([config, str(files / 'gone.pth'), photo], 'gone.pth: no such checkpoint'),
        ([other, 'none', photo], 'other.py: model.neck is no TransPoseEncoder'),
    ):
        assert transpose_dependencies.main(arguments) == 1
        assert message in capsys.readouterr().err
