"""Layers against the document's equations; the backbone: tokens, modalities, order, errors."""

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.registry import MODELS as ROOT_MODELS
from torch.nn import functional

import projects.star  # noqa: F401 - registers
from projects.star.transformer import STARLayer, STARTransformer

B, T, N, C = 2, 4, 3, 16  # clips, frames, joints, channels
SIZES = dict(num_frames=T, embed_dims=C, num_heads=2, feedforward_channels=24)
CNN = dict(type='MC3', base_channels=4)  # maps of 8 and 32 channels
GRID = dict(in_channels=32, grid_size=(2, 1))  # of pictures of 32 x 16 pixels
JOINT = dict(num_joints=N, in_channels=8, heatmap_size=(4, 4), hidden_channels=4)
ONE_LAYER = dict(encoder=dict(num_layers=1), decoder=dict(num_layers=1))
VARIANTS = {
    'both': dict(cnn=CNN, grid_tokens=GRID, joint_tokens=JOINT),
    'both, pooled': dict(cnn=CNN, grid_tokens=GRID, joint_tokens=dict(JOINT, join='pool')),
    'grid': dict(cnn=dict(CNN, out_stages=('layer4',)), grid_tokens=GRID),
    'joint': dict(cnn=dict(CNN, out_stages=('layer2',)), joint_tokens=JOINT),
    'skeleton': dict(joint_tokens=dict(JOINT, in_channels=0)),
    'skeleton, pooled': dict(joint_tokens=dict(JOINT, in_channels=0, join='pool')),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def build(variant, **settings):
    model = MODELS.build(
        dict(type='STARTransformer', **{**SIZES, **ONE_LAYER, **VARIANTS[variant], **settings})
    )
    # embeddings and tokens start small, and what depends on them would hardly be seen
    for parameter in model.positions.values():
        torch.nn.init.normal_(parameter)
    for token in model.class_tokens.values():
        torch.nn.init.normal_(token)
    if model.joint_tokens is not None:
        for part in (model.joint_tokens.joint_part, model.joint_tokens.local_part):
            if part is not None:
                torch.nn.init.normal_(part[-2].weight)
    return model


def make_inputs(batch=B, frames=T):
    keypoint = torch.rand(batch, frames, N, 3)
    keypoint[0, 1, 2] = 0  # a missing joint
    return dict(imgs=torch.randn(batch, 3, frames, 32, 16), keypoint=keypoint)


def plain_attention(module, query, key):
    """Multi-head attention of queries to keys, head by head."""
    width = module.embed_dims // module.num_heads
    wq, wk, wv = module.qkv.weight.chunk(3)
    bq, bk, bv = module.qkv.bias.chunk(3)
    q, k, v = query @ wq.T + bq, key @ wk.T + bk, key @ wv.T + bv
    heads = []
    for start in range(0, module.embed_dims, width):
        part = slice(start, start + width)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / width**0.5
        heads.append(scores.softmax(-1) @ v[..., part])
    return torch.cat(heads, dim=-1) @ module.proj.weight.T + module.proj.bias


def normalised(norm, x):
    return functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias)


def equations(layer, z, num_frames, num_class_tokens, first):
    """The document's four equations; ``first`` are the frames of z'."""
    K = num_class_tokens
    S = (z.shape[1] - K) // num_frames
    fsta, sta = layer.attentions
    after_fsta = normalised(layer.norms[0], plain_attention(fsta, z, z) + z)
    # decoupling: class tokens stay outside, and are read by both halves
    classes = after_fsta[:, :K]
    frames = [after_fsta[:, K + t * S : K + (t + 1) * S] for t in range(num_frames)]
    one = torch.cat([frames[t] for t in range(num_frames) if t in first], dim=1)
    two = torch.cat([frames[t] for t in range(num_frames) if t not in first], dim=1)
    a_one = plain_attention(sta, one, torch.cat([classes, two], dim=1)) + one
    a_two = plain_attention(sta, two, torch.cat([classes, one], dim=1)) + two
    # joining
    ones, twos = list(a_one.split(S, dim=1)), list(a_two.split(S, dim=1))
    joined = [(ones if t in first else twos).pop(0) for t in range(num_frames)]
    if K:
        joined.insert(0, plain_attention(sta, classes, after_fsta) + classes)
    after_sta = normalised(layer.norms[1], torch.cat(joined, dim=1))
    linear_in, _, _, linear_out, _ = layer.mlp
    hidden = functional.gelu(after_sta @ linear_in.weight.T + linear_in.bias)
    mlp = hidden @ linear_out.weight.T + linear_out.bias
    return normalised(layer.mlp_norm, mlp + after_sta)


def make_layer(attentions, **settings):
    layer = STARLayer(C, 2, 24, attentions, **settings).double()
    for name, parameter in layer.named_parameters():
        if 'norm' in name:  # else 1 and 0: nobody would see if they were confused
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return layer


@pytest.mark.parametrize(
    ('attention', 'num_frames', 'first'),
    [
        ('ZAttn', 4, (0, 2)),
        ('ZAttn', 5, (0, 2, 4)),
        ('BAttn', 4, (0, 1)),
        ('BAttn', 5, (0, 1, 2)),
    ],
)
@pytest.mark.parametrize('K', [0, 3])
def test_a_layer_is_the_four_equations(attention, num_frames, first, K):
    layer = make_layer(('FAttn', attention))
    z = torch.randn(B, K + num_frames * 5, C).double()
    expected = equations(layer, z, num_frames, K, first)
    torch.testing.assert_close(layer(z, num_frames, K), expected)


@pytest.mark.parametrize(
    'attentions', [('FAttn',), ('ZAttn', 'FAttn'), ('BAttn', 'ZAttn', 'FAttn', 'ZAttn')]
)
def test_modules_in_any_order(attentions):
    layer = make_layer(attentions)
    assert [type(module).__name__ for module in layer.attentions] == list(attentions)
    z = x = torch.randn(B, 3 + T * 5, C).double()
    for attention, norm in zip(layer.attentions, layer.norms, strict=True):
        x = normalised(norm, attention(x, T, 3) + x)
    expected = normalised(layer.mlp_norm, layer.mlp(x) + x)
    torch.testing.assert_close(layer(z, T, 3), expected)
    assert not torch.allclose(
        layer(z, T, 3), STARLayer(C, 2, 24, ('FAttn', 'ZAttn')).double()(z, T, 3)
    )


def test_a_layer_stands_in_any_config():
    layer = ROOT_MODELS.build(dict(type='STARLayer', embed_dims=C, num_heads=4))
    assert layer(torch.randn(B, T * 2, C), num_frames=T).shape == (B, T * 2, C)


@pytest.mark.parametrize('kind', ['dropout', 'attention_dropout'])
def test_dropout_works_in_training_only(kind):
    layer = make_layer(('FAttn', 'ZAttn'), **{kind: 0.5})
    z = torch.randn(B, 3 + T * 5, C).double()
    assert not torch.allclose(layer(z, T, 3), layer(z, T, 3))
    layer.eval()
    torch.testing.assert_close(layer(z, T, 3), equations(layer, z, T, 3, (0, 2)))


@pytest.mark.parametrize('attentions', [(), 'FAttn'])
def test_a_layer_needs_names_of_attentions(attentions):
    with pytest.raises(ValueError, match='attentions is .* expected names such as FAttn'):
        STARLayer(C, 2, 24, attentions)


def test_unknown_attention():
    with pytest.raises(KeyError, match='QAttn'):
        STARLayer(C, 2, 24, ('QAttn',))


@pytest.mark.parametrize(
    ('variant', 'names', 'tokens'),
    [
        ('both', ('global', 'joint', 'total'), 2 + N),
        ('grid', ('global', 'total'), 2),
        ('joint', ('joint', 'total'), N),
        ('skeleton', ('joint', 'total'), N),
        ('skeleton, pooled', ('joint', 'total'), N),
    ],
)
@pytest.mark.parametrize('class_tokens', [True, False])
def test_outputs_of_the_modalities(variant, names, tokens, class_tokens):
    model = build(variant, class_tokens=class_tokens)
    inputs = make_inputs()
    K = len(names) if class_tokens else 0
    assert model.class_token_names == (names if class_tokens else ())
    assert tuple(model.class_tokens) == model.class_token_names
    assert tuple(model.positions) == (('joint',) if 'joint' in names else ())  # the document's
    assert model.tokens(**inputs).shape == (B, K + T * tokens, C)
    assert model(**inputs).shape == (B, K or T * tokens, C)


def test_a_model_of_both_takes_all_of_the_skeletons_model():
    skeleton = build('skeleton, pooled')
    both = build('both, pooled')
    found = both.load_state_dict(skeleton.state_dict(), strict=False)
    assert not found.unexpected_keys
    of_video = ('cnn.', 'grid_tokens.', 'joint_tokens.local_part.', 'class_tokens.global')
    assert all(name.startswith(of_video) for name in found.missing_keys)


def test_order_of_the_tokens():
    model = build('both').eval()
    inputs = make_inputs()
    x = model.tokens(**inputs)
    local, last = model.cnn(inputs['imgs'])
    grid = model.grid_tokens(last)
    joint = model.joint_tokens(inputs['keypoint'], local) + model.positions['joint']
    for k, name in enumerate(('global', 'joint', 'total')):
        assert model.class_token_names[k] == name
        torch.testing.assert_close(x[:, k], model.class_tokens[name][:, 0].expand(B, -1))
    start = 3
    for frame in range(T):
        torch.testing.assert_close(x[:, start : start + 2], grid[:, frame])
        torch.testing.assert_close(x[:, start + 2 : start + 2 + N], joint[:, frame])
        start += 2 + N
    assert start == x.shape[1]


@pytest.mark.parametrize('positions', [('joint',), ('grid', 'joint'), ('grid',), ()])
def test_which_tokens_have_positions(positions):
    model = build('both').eval() if positions == ('joint',) else None  # the default
    model = model or build('both', positions=positions).eval()
    inputs = make_inputs()
    before = model.tokens(**inputs)
    assert set(model.positions) == set(positions)
    for parameter in model.positions.values():
        parameter.data += torch.arange(1, 1 + parameter[0, ..., 0].numel()).reshape(
            1, *parameter.shape[1:3], 1
        )
    moved = model.tokens(**inputs) - before
    assert moved[:, :3].abs().max() == 0  # class tokens
    moved = moved[:, 3:].unflatten(1, (T, 2 + N))
    for name, part in (('grid', moved[:, :, :2]), ('joint', moved[:, :, 2:])):
        steps = torch.arange(1.0, 1 + T * part.shape[2]).reshape(1, T, -1, 1)
        expected = steps.expand_as(part) * (name in positions)
        torch.testing.assert_close(part, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('class_tokens', [True, False])
def test_every_parameter_has_a_gradient(variant, class_tokens):
    model = build(variant, class_tokens=class_tokens)
    out = model(**make_inputs())
    (out * torch.randn_like(out)).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize('variant', VARIANTS)
def test_inputs_that_a_model_does_not_need(variant):
    model = build(variant).eval()
    inputs = make_inputs()
    needed = dict(inputs)
    if 'cnn' not in VARIANTS[variant]:
        del needed['imgs']
    if 'joint_tokens' not in VARIANTS[variant]:
        del needed['keypoint']
    torch.testing.assert_close(model(**needed), model(**inputs))
    for name in needed:
        with pytest.raises(ValueError, match=f'{name} is missing'):
            model(**{key: value for key, value in needed.items() if key != name})


@pytest.mark.parametrize('name', ['imgs', 'keypoint'])
def test_another_number_of_frames(name):
    inputs = make_inputs()
    inputs[name] = make_inputs(frames=T + 1)[name]
    with pytest.raises(ValueError, match=f'{name} has 5 frames, expected 4'):
        build('both')(**inputs)


def test_another_number_of_joints():
    inputs = make_inputs()
    inputs['keypoint'] = inputs['keypoint'].repeat(1, 1, 2, 1)
    with pytest.raises(ValueError, match='keypoint is of shape .*, expected .*, 3 joints, 3'):
        build('both')(**inputs)


def test_a_map_that_nothing_is_made_of():
    """Its stage would have parameters without gradients, which stops a run of several processes."""
    with pytest.raises(ValueError, match='cnn gives 2 maps, but without grid_tokens only'):
        build('joint', cnn=CNN)(**make_inputs())


def test_another_size_of_the_grid():
    inputs = make_inputs()
    inputs['imgs'] = torch.randn(B, 3, T, 64, 16)
    assert build('grid')(**inputs).shape == (B, 2, C)  # no position depends on it
    with pytest.raises(ValueError, match='there are 4 grid tokens a frame, expected 2'):
        build('grid', positions=('grid',))(**inputs)


def test_a_network_with_other_channels():
    with pytest.raises(ValueError, match='feature map has 8 channels, expected in_channels, 9'):
        build('joint', joint_tokens=dict(JOINT, in_channels=9))(**make_inputs())


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(), 'grid_tokens and joint_tokens are both None'),
        (dict(cnn=CNN), 'grid_tokens and joint_tokens are both None'),
        (dict(grid_tokens=GRID), 'cnn is None, but there are tokens of the video'),
        (dict(joint_tokens=JOINT), 'cnn is None, but there are tokens of the video'),
        (
            dict(cnn=CNN, joint_tokens=dict(JOINT, in_channels=0)),
            'cnn is given, but no tokens are made of what it sees',
        ),
        (dict(VARIANTS['both'], positions='joint'), "positions is 'joint', expected some of"),
        (dict(VARIANTS['both'], positions=('total',)), r"positions is \('total',\), expected"),
        (
            dict(VARIANTS['grid'], positions=('joint',)),
            r"positions is \('joint',\), expected some of \('grid',\)",
        ),
        (
            dict(VARIANTS['skeleton'], positions=('grid', 'joint')),
            r"positions is \('grid', 'joint'\), expected some of \('joint',\)",
        ),
        (
            dict(VARIANTS['skeleton'], decoder=dict(attentions='BAttn')),
            "attentions is 'BAttn', expected names such as FAttn",
        ),
    ],
)
def test_settings_that_contradict(settings, message):
    with pytest.raises(ValueError, match=message):
        STARTransformer(**SIZES, **settings)


def test_one_frame_has_no_two_halves():
    model = build('skeleton', num_frames=1)
    with pytest.raises(ValueError, match='num_frames is 1, expected at least 2 frames'):
        model(keypoint=torch.rand(B, 1, N, 3))


def test_encoder_and_decoder_of_the_document_and_others():
    model = STARTransformer(**SIZES, **VARIANTS['skeleton'])
    names = [
        [[type(module).__name__ for module in layer.attentions] for layer in layers]
        for layers in (model.encoder, model.decoder)
    ]
    assert names == [[['FAttn', 'ZAttn']] * 3, [['FAttn', 'BAttn']] * 3]

    model = build('skeleton', encoder=dict(num_layers=0), decoder=dict(attentions=('ZAttn',)))
    assert len(model.encoder) == 0
    assert [type(layer.attentions[0]).__name__ for layer in model.decoder] == ['ZAttn'] * 3
    assert model(**make_inputs()).shape == (B, 2, C)


@pytest.mark.parametrize('variant', ['both', 'skeleton'])
def test_the_layers_follow_one_another(variant):
    model = build(variant, encoder=dict(num_layers=2)).eval()
    inputs = make_inputs()
    x = model.tokens(**inputs)
    K = len(model.class_token_names)
    for layer in model.encoder:
        x = equations(layer, x, T, K, (0, 2))
    for layer in model.decoder:
        x = equations(layer, x, T, K, (0, 1))
    torch.testing.assert_close(model(**inputs), x[:, :K], rtol=1e-4, atol=1e-5)


def resnet3d(**settings):
    """A small stock network of mmaction2 that keeps the number of frames."""
    config = dict(
        type='ResNet3d',
        depth=18,
        pretrained=None,
        pretrained2d=False,
        base_channels=4,
        conv1_stride_t=1,
        pool1_stride_t=1,
        temporal_strides=(1, 1, 1, 1),
        with_pool2=False,
        out_indices=(1, 3),
        norm_eval=False,
    )
    return {**config, **settings}


def test_a_stock_network_for_the_video():
    model = build('both', cnn=resnet3d(), grid_tokens=dict(in_channels=32, grid_size=(1, 1)))
    model.init_weights()
    out = model(**make_inputs())
    assert out.shape == (B, 3, C)
    (out * torch.randn_like(out)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_stock_network_of_a_single_map():
    cnn = resnet3d(out_indices=(2,))
    grid = dict(in_channels=16, grid_size=(2, 1))
    model = build('both', cnn=cnn, grid_tokens=grid, joint_tokens=dict(JOINT, in_channels=16))
    model.eval()
    inputs = make_inputs()
    maps = model.cnn(inputs['imgs'])
    x = model.tokens(**inputs)[:, 3:].unflatten(1, (T, 2 + N))
    torch.testing.assert_close(x[:, :, :2], model.grid_tokens(maps))
    joint = model.joint_tokens(inputs['keypoint'], maps) + model.positions['joint']
    torch.testing.assert_close(x[:, :, 2:], joint)


def test_a_network_that_loses_frames():
    cnn = resnet3d(temporal_strides=(1, 1, 2, 1))
    with pytest.raises(ValueError, match='cnn gives 2 frames, expected 4, as many as go in'):
        build('both', cnn=cnn)(**make_inputs())


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_batch_is_its_clips_one_by_one(variant):
    model = build(variant).eval()
    inputs = make_inputs(batch=3)
    alone = [model(**{name: value[i : i + 1] for name, value in inputs.items()}) for i in range(3)]
    torch.testing.assert_close(model(**inputs), torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_a_seed_gives_the_same_model_and_the_same_training_step():
    inputs = make_inputs()

    def gradients():
        torch.manual_seed(3)
        model = build('both', dropout=0.2, attention_dropout=0.1)
        model(**inputs).square().sum().backward()
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    first, second = gradients(), gradients()
    for name, gradient in first.items():
        assert torch.equal(gradient, second[name]), name


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('positions', ['as always', 'none'])
def test_autocast(variant, positions):
    settings = {} if positions == 'as always' else dict(positions=())
    model = build(variant, **settings).eval()
    inputs = make_inputs()
    expected = model(**inputs)
    with torch.autocast('cpu', torch.bfloat16):
        found = model(**inputs)
    found.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    difference = (found.float() - expected).abs()  # of values of about 1: behind a LayerNorm
    assert difference.mean() < 0.05


@pytest.mark.parametrize('num_frames', [3, 5])
@pytest.mark.parametrize('variant', ['both', 'skeleton'])
def test_odd_numbers_of_frames(variant, num_frames):
    model = build(variant, num_frames=num_frames).eval()
    out = model(**make_inputs(frames=num_frames))
    assert out.shape[0] == B
    assert out.isfinite().all()


def flipped(inputs):
    return dict(imgs=inputs['imgs'].flip(2), keypoint=inputs['keypoint'].flip(1))


@pytest.mark.parametrize('variant', ['both', 'joint', 'skeleton'])
def test_time_has_a_direction(variant):
    model = build(variant).eval()
    inputs = make_inputs()
    assert (model(**flipped(inputs)) - model(**inputs)).abs().max() > 1e-2


def test_without_positions_joints_alone_have_no_direction_in_time():
    """Reversed frames change groups as a whole: odd for even, first half for second."""
    model = build('skeleton', positions=()).eval()
    inputs = make_inputs()
    torch.testing.assert_close(model(**flipped(inputs)), model(**inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ('attention', 'order', 'blind'),
    [
        ('FAttn', (2, 1, 0, 3), True),
        ('ZAttn', (2, 1, 0, 3), True),  # odd frames stay odd
        ('ZAttn', (1, 0, 2, 3), False),
        ('BAttn', (1, 0, 2, 3), True),  # the first half stays the first half
        ('BAttn', (2, 1, 0, 3), False),
    ],
)
def test_what_the_groups_know_of_time(attention, order, blind):
    layers = dict(num_layers=2, attentions=(attention,))
    model = build('skeleton', positions=(), encoder=layers, decoder=layers).eval()
    keypoint = make_inputs()['keypoint']
    difference = (model(keypoint=keypoint[:, list(order)]) - model(keypoint=keypoint)).abs().max()
    assert difference < 1e-4 if blind else difference > 1e-3


@pytest.mark.parametrize('variant', ['both', 'joint', 'skeleton', 'skeleton, pooled'])
def test_order_of_joints_is_told_by_positions_only(variant):
    model = build(variant).eval()
    inputs = make_inputs()
    expected = model(**inputs)
    order = [2, 0, 1]
    inputs['keypoint'] = inputs['keypoint'][:, :, order]
    assert (model(**inputs) - expected).abs().max() > 1e-2
    position = model.positions['joint']
    position.data = position.data[:, :, order]
    torch.testing.assert_close(model(**inputs), expected, rtol=1e-4, atol=1e-5)


def test_each_modality_is_looked_at():
    model = build('both').eval()
    inputs = make_inputs()
    expected = model(**inputs)
    for name, value in inputs.items():
        out = model(**{**inputs, name: torch.zeros_like(value)})
        assert (out - expected).abs().amax(dim=(0, 2)).min() > 1e-3, name  # all class tokens
