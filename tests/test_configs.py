"""Every config builds, says in its name what it holds, and stays small."""

import ast
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, HOOKS, INFERENCERS, METRICS, MODELS, init_default_scope
from mmengine.utils import get_installed_path
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.video import MC3_18_Weights

from projects.keypoints import keypoint_layout

ROOT = Path(__file__).resolve().parents[1]
CLASSIFIER = ROOT / 'configs' / 'apct' / 'classifier.py'  # APCT's second model
HEADLINES = [*sorted((ROOT / 'configs').glob('*.py')), CLASSIFIER]
VARIANTS = sorted({*(ROOT / 'configs').glob('[!_]*/*.py')} - {CLASSIFIER})


def name_of(path):
    return str(path.relative_to(ROOT / 'configs'))


@pytest.mark.parametrize('path', [*HEADLINES, *VARIANTS], ids=name_of)
def test_config_builds(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
    ours = 'presence' in name_of(path) or name_of(path).startswith('star')
    if ours and any(isinstance(m, _BatchNorm) and m.training for m in model.train().modules()):
        # mmengine's DDP broadcasts no buffers: each process would validate with its own
        assert 'SyncBuffersHook' in [hook.type for hook in cfg.custom_hooks]
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as datasets:
        for split in ('train', 'val', 'test'):
            assert datasets.get(cfg[f'{split}_dataloader'].dataset.type) is not None
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        for metric in evaluator if isinstance(evaluator, list) else [evaluator]:
            # COCO's annotations, which are not here, are read at once
            METRICS.build({key: value for key, value in metric.items() if key != 'ann_file'})
    hooks = list(cfg.custom_hooks)
    if not path.stem.startswith('classifier'):  # half a method: mmaction2 has what draws videos
        assert INFERENCERS.get(cfg.inferencer.type) is not None
        hooks.append(cfg.default_hooks.visualization)
    for hook in hooks:
        HOOKS.build(hook)


@pytest.mark.parametrize('path', HEADLINES, ids=name_of)
def test_headline_plugs_itself_in(path):
    imports = Config.fromfile(path).custom_imports
    assert not imports.allow_failed_imports
    assert all(name.startswith('projects.') for name in imports.imports)


@pytest.mark.parametrize('path', VARIANTS, ids=name_of)
def test_variant_holds_only_the_difference(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    most = 80 if path.stem.endswith('toy') else 40  # a toy has every size of the network anew
    assert len(path.read_text().splitlines()) <= most
    depth, current = 0, path
    while (match := re.search(r"_base_ = \[\s*'(.*)'", current.read_text())) is not None:
        package, _, name = match[1].rpartition('::')
        folder = Path(get_installed_path(package), '.mim/configs') if package else current.parent
        current = (folder / name).resolve()
        depth += '_base_' not in current.parts
    assert depth <= 2


def stcformer_variants():
    """Of appendix A's model; the folder has those of other models too."""
    variants = (path for path in VARIANTS if path.stem.startswith('stcformer'))
    return [path for path in variants if Config.fromfile(path).model.type == 'STCFormer']


@pytest.mark.parametrize('path', stcformer_variants(), ids=name_of)
def test_stcformer_name_equals_content(path):
    cfg = Config.fromfile(path)
    parts = re.split('[-_]', re.sub(r'(?<=\de)-', '~', path.stem))
    stated = {
        'channels': next((int(p[1:]) for p in parts if re.fullmatch(r'c\d+', p)), 32),
        'num_heads': next((int(p[1:]) for p in parts if re.fullmatch(r'h\d', p)), 1),
        'num_blocks': next((int(p[1:]) for p in parts if re.fullmatch(r'b\d', p)), 2),
    }
    assert {key: cfg.model[key] for key in stated} == stated
    if 'toy' not in parts and 'cmu' not in parts:
        rate = next((p[2:].replace('~', '-') for p in parts if p.startswith('lr')), '8e-3')
        assert cfg.optim_wrapper.optimizer.lr == float(rate)
        percent = next((int(p[:-3]) for p in parts if p.endswith('pct')), 100)
        assert cfg.train_dataloader.dataset.get('fraction', 1.0) == percent / 100
        assert cfg.train_cfg.max_epochs == 50
        assert cfg.train_dataloader.batch_size == 256
    assert ('future' in parts) == (cfg.model.decoder_query != 'last_pose')
    best = cfg.default_hooks.checkpoint.save_best
    assert best.startswith('teacher_forced' if 'future' in parts else 'forecast')


def test_document_runs_are_all_there():
    """Appendix A of the document, run by run; 28 repeats 27, which is the headline."""
    text = '\n'.join(path.read_text() for path in [*HEADLINES, *stcformer_variants()])
    found = {int(number) for number in re.findall(r'[a-z]+-[a-z]+-(\d\d)\b', text)}
    assert found == {*range(16, 28), 29, 32, 35, 36, 37, 38, 40, 41, 43}


def apct_configs():
    return [path for path in (*HEADLINES, *VARIANTS) if name_of(path).startswith('apct')]


# cascade, refinement, backbone and its channels, epochs, row by row
TABLE_2 = {
    'apct/apct_detr.py': (False, False, 'ResNet', 2048, 12),
    'apct/apct_cascade.py': (True, False, 'ResNet', 2048, 12),
    'apct.py': (True, True, 'ResNet', 2048, 12),
    'apct/apct_swin-b.py': (True, True, 'SwinTransformer', 1024, 12),
    'apct/apct_swin-b-24e.py': (True, True, 'SwinTransformer', 1024, 24),
}


@pytest.mark.parametrize('name', TABLE_2)
def test_rows_of_apcts_table_2(name):
    cascade, refinement, backbone, channels, epochs = TABLE_2[name]
    cfg = Config.fromfile(ROOT / 'configs' / name)
    head = cfg.model.bbox_head
    assert (head.cascade, head.refinement is not None) == (cascade, refinement)
    assert (cfg.model.decoder.condition is not None) == cascade
    assert cfg.model.backbone.type == backbone
    assert cfg.model.neck.in_channels == [channels]
    if backbone == 'ResNet':
        assert cfg.model.backbone.depth == 50
    else:
        assert (cfg.model.backbone.embed_dims, cfg.model.backbone.depths) == (128, [2, 2, 18, 2])
    assert cfg.train_cfg.max_epochs == epochs
    (schedule,) = cfg.param_scheduler
    assert schedule.milestones == [epochs * 2 // 3]
    # what all rows share
    assert (head.num_parts, head.num_states, head.num_layers) == (10, 74, 6)
    assert cfg.load_from.startswith('https://download.openmmlab.com/mmdetection/v3.0/detr/')
    assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size


def strings_of(value):
    """All strings in a config's values."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, dict | list | tuple):
        return []
    items = value.values() if isinstance(value, dict) else value
    return [text for item in items for text in strings_of(item)]


@pytest.mark.parametrize('path', apct_configs(), ids=name_of)
def test_no_weights_from_kinetics(path):
    """The challenge forbids weights trained on Kinetics-400, -600 or -700."""
    cfg = Config.fromfile(path)
    weights = [text for text in strings_of(cfg.to_dict()) if re.search(r'://|\.pth\b', text)]
    assert weights or path.stem.endswith(('toy', 'lsp'))
    for text in weights:
        assert not re.search(r'k[-_]?[467]00|kinetics', text, re.IGNORECASE), text


def test_classifier_is_the_documents():
    cfg = Config.fromfile(CLASSIFIER)
    backbone = cfg.model.backbone
    assert (backbone.type, backbone.depth, backbone.bottleneck_mode) == ('ResNet3dCSN', 152, 'ir')
    assert 'ircsn_from_scratch_r152_ig65m' in backbone.pretrained
    assert cfg.model.cls_head.num_classes == 24
    for split in ('train', 'val', 'test'):
        (frames,) = (
            step
            for step in cfg[f'{split}_dataloader'].dataset.pipeline
            if step.type == 'SampleFrames'
        )
        assert (frames.clip_len, frames.frame_interval, frames.num_clips) == (32, 2, 1)


def poserac_config(name):
    return Config.fromfile(ROOT / 'configs' / name)


# layers and metric loss, row by row of Tables 1 and 4
POSERAC_ROWS = {
    'poserac.py': (6, dict(kind='triplet')),
    'poserac/poserac_linear.py': (0, None),
    'poserac/poserac_contrastive.py': (6, dict(kind='contrastive', pos_margin=0, neg_margin=1)),
    'poserac/poserac_circle.py': (6, dict(kind='circle', m=0.4, gamma=80)),
}


@pytest.mark.parametrize('name', POSERAC_ROWS)
def test_rows_of_poseracs_tables(name):
    layers, loss = POSERAC_ROWS[name]
    cfg = poserac_config(name)
    assert cfg.model.num_layers == layers
    found = cfg.model.metric_loss
    assert found == (loss and dict(type='PoseRACMetricLoss', **loss))
    # what all rows share: the document's settings and the original's thresholds
    assert (cfg.model.num_heads, cfg.model.num_joints * cfg.model.dims) == (9, 99)
    assert cfg.model.alpha == 0.01
    assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=2.5e-4)
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (20, 16)
    thresholds = (cfg.model.enter_threshold, cfg.model.exit_threshold, cfg.model.momentum)
    assert thresholds == (0.78, 0.4, 0.4)


def test_cells_of_poseracs_sweep_train_longer():
    cfg = poserac_config('poserac/poserac_sweep.py')
    assert cfg.train_cfg.max_epochs == 50
    assert cfg.model.attention == 'batch'
    assert cfg.default_hooks.checkpoint.save_best == 'salient/loss'


def presence_config(name):
    return Config.fromfile(ROOT / 'configs' / name)


def test_presence_headline_is_the_documents():
    cfg = presence_config('vitpose_presence.py')
    model, head = cfg.model, cfg.model.head
    assert (model.backbone.arch, model.backbone.patch_size, model.backbone.img_size) == (
        'base',
        16,
        224,
    )
    pose_head = head.pose_head
    assert (pose_head.type, pose_head.scale_factor) == ('BilinearHeatmapHead', 16)
    assert (pose_head.in_channels, pose_head.out_channels) == (768, 17)
    assert pose_head.decoder.input_size == pose_head.decoder.heatmap_size == (224, 224)
    assert (head.pool, head.dropout, head.detach_heatmaps) == (4, 0.4, False)
    assert head.loss.loss_weight == pose_head.loss.loss_weight == 1.0
    assert cfg.train_dataloader.dataset.indices == 6000
    assert cfg.val_dataloader.dataset.indices == 500
    assert 'indices' not in cfg.test_dataloader.dataset
    assert (cfg.train_cfg.max_epochs, cfg.optim_wrapper.optimizer.lr) == (8, 5e-4)
    assert 'EarlyStoppingHook' in [hook.type for hook in cfg.custom_hooks]


# every row of the document and of ViTPose, with presence and without
PRESENCE_PAIRS = [
    ('vitpose_presence.py', 'vitpose_presence/vit-b_224x224.py'),
    *(
        (f'vitpose_presence/{name}_presence.py', f'vitpose_presence/{name}.py')
        for name in (
            'vit-b-classic_256x192',
            'vit-b-simple_256x192',
            'hrnet-w32_256x192',
            'transpose-r-a4_256x192',
            'resnet18_lsp',
        )
    ),
]


@pytest.mark.parametrize('pair', PRESENCE_PAIRS, ids=lambda pair: Path(pair[1]).stem)
def test_presence_is_the_only_difference(pair):
    with_presence, without = map(presence_config, pair)
    head = with_presence.model.pop('head')
    assert head.type == 'KeypointPresenceHead'
    assert head.pose_head == without.model.pop('head')
    assert with_presence.model == without.model
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'auto_scale_lr'):
        assert with_presence[key] == without[key], key
    assert with_presence.train_dataloader == without.train_dataloader
    sources = without.val_evaluator[0].sources
    assert sources == dict(heatmap_max='keypoint_scores')


def presence_configs():
    return [path for path in (*HEADLINES, *VARIANTS) if 'presence' in name_of(path)]


@pytest.mark.parametrize('path', presence_configs(), ids=name_of)
def test_presence_target_stands_last(path):
    """Before GenerateTarget its labels would be lost without a word."""
    cfg = Config.fromfile(path)
    for split in ('train', 'val', 'test'):
        steps = [step.type for step in cfg[f'{split}_dataloader'].dataset.pipeline]
        if 'KeypointPresenceTarget' in steps:
            assert steps[-2:] == ['KeypointPresenceTarget', 'PackPoseInputs']


@pytest.mark.parametrize('name', ['vit-b', 'resnet18_lsp'])
def test_vis_predict_head_stands_on_the_same_pose_head(name):
    ours = presence_config(
        'vitpose_presence.py' if name == 'vit-b' else f'vitpose_presence/{name}_presence.py'
    )
    other = presence_config(f'vitpose_presence/{name}_vis-predict.py')
    assert other.model.head.type == 'VisPredictHead'
    assert other.model.head.pose_cfg == ours.model.head.pose_head
    assert other.model.backbone == ours.model.backbone


def star_config(name):
    return Config.fromfile(ROOT / 'configs' / ('star.py' if name == 'star' else f'star/{name}.py'))


def star_variants():
    return [path for path in VARIANTS if path.parent.name == 'star']


def steps_of(cfg, split):
    return [step.type for step in cfg[f'{split}_dataloader'].dataset.pipeline]


def differences(one, other, key=''):
    """What another config has in the place of this one's values, by dotted keys."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = {}
        for name in one.keys() | other.keys():
            pair = one.get(name, 'nothing'), other.get(name, 'nothing')
            found |= differences(*pair, f'{key}.{name}'.lstrip('.'))
        return found
    return {} if one == other else {key: other}


def on_meta(cfg):
    """The model without memory for its parameters, for what is of interest is their shapes."""
    with torch.device('meta'):
        return MODELS.build(dict(cfg.model, _scope_='mmaction'))


@pytest.fixture(scope='module')
def star():
    return star_config('star')


def test_star_headline_is_the_documents(star):
    assert star.optim_wrapper.optimizer == dict(type='SGD', lr=2e-4, momentum=0.9)
    assert 'param_scheduler' not in star  # the document names no schedule
    assert star.train_cfg.max_epochs == 300
    assert star.train_dataloader.batch_size == 4
    assert star.auto_scale_lr.base_batch_size == 4 * 4  # on 4 GPUs
    backbone = star.model.backbone
    assert backbone.cnn.type == 'MC3'
    assert backbone.cnn.init_cfg.checkpoint == (
        'https://download.pytorch.org/models/mc3_18-a90a0ba3.pth'  # torchvision's, of Kinetics-400
    )
    assert backbone.cnn.out_stages == ('layer2', 'layer4')  # of the middle, and the last
    assert backbone.encoder.attentions == ('FAttn', 'ZAttn')
    assert backbone.decoder.attentions == ('FAttn', 'BAttn')
    assert backbone.joint_tokens.join == 'concatenate'
    assert (backbone.joint_tokens.num_joints, star.model.cls_head.num_classes) == (13, 15)
    model = on_meta(star).backbone
    assert model.class_token_names == ('global', 'joint', 'total')
    assert tuple(model.positions) == ('joint',)
    assert backbone.num_frames == 16
    for split in ('train', 'val', 'test'):
        dataset = star[f'{split}_dataloader'].dataset
        assert (dataset.type, dataset.split) == ('PennActionDataset', split)
        assert dataset.pipeline[0].clip_len == 16
        assert steps_of(star, split)[:4] == [
            *('SampleSegments', 'RawFrameDecode', 'PickJoints', 'CropPeople'),
        ]
        # nothing is random but in training
        assert dataset.pipeline[0].get('test_mode', False) == (split != 'train')
        assert ('FlipPeople' in steps_of(star, split)) == (split == 'train')


def test_torchvision_publishes_the_weights_there(star):
    url = star.model.backbone.cnn.init_cfg.checkpoint
    assert url == MC3_18_Weights.KINETICS400_V1.url
    preset = MC3_18_Weights.KINETICS400_V1.transforms()
    assert star.input_size == tuple(preset.crop_size)
    imgs = star.model.data_preprocessor.preprocessors.imgs
    assert imgs.mean == pytest.approx([255 * value for value in preset.mean], abs=0.01)
    assert imgs.std == pytest.approx([255 * value for value in preset.std], abs=0.01)


NETWORK = 'model.backbone'
# what each ablation has that the headline has not, where the name does not spell it
STAR_ABLATIONS = {
    'star_grid': {f'{NETWORK}.joint_tokens': None, f'{NETWORK}.cnn.out_stages': ('layer4',)},
    'star_joint': {f'{NETWORK}.grid_tokens': None, f'{NETWORK}.cnn.out_stages': ('layer2',)},
    'star_no-class-tokens': {f'{NETWORK}.class_tokens': False},
    'star_pool': {f'{NETWORK}.joint_tokens.join': 'pool'},
    'star_positions-both': {f'{NETWORK}.positions': ('grid', 'joint')},
    'star_positions-none': {f'{NETWORK}.positions': ()},
    'star_trainval': {
        'train_dataloader.dataset.split': 'trainval',
        'val_dataloader.dataset.split': 'test',
        'default_hooks.checkpoint.save_best': None,
    },
}


def stated_in_star_name(stem, headline):
    """What a name such as star_l4 or star_fz-fb says, where the headline has something else."""
    attentions = dict(f='FAttn', z='ZAttn', b='BAttn')
    stated = {}
    for part, name in (('encoder', 1), ('decoder', 2)):
        if match := re.fullmatch(r'star_([fzb]+)-([fzb]+)', stem):
            key, value = 'attentions', tuple(attentions[letter] for letter in match[name])
        elif match := re.fullmatch(r'star_l(\d+)', stem):
            key, value = 'num_layers', int(match[1])
        else:
            return None
        if headline.model.backbone[part][key] != value:
            stated[f'{NETWORK}.{part}.{key}'] = value
    return stated


def star_ablations():
    headline, names = star_config('star'), [path.stem for path in star_variants()]
    return [n for n in names if n in STAR_ABLATIONS or stated_in_star_name(n, headline)]


@pytest.mark.parametrize('name', star_ablations())
def test_star_ablation_is_the_headline_but_for_its_name(name, star):
    expected = STAR_ABLATIONS.get(name) or stated_in_star_name(name, star)
    assert differences(star.to_dict(), star_config(name).to_dict()) == expected


def test_rows_of_stars_ablations_are_all_there():
    """Layers and modules of the document's tables; 3 layers and fz-fb are the headline."""
    layers = {f'star_l{number}' for number in (1, 2, 4, 6)}
    modules = {'star_f-f', 'star_z-z', 'star_b-b', 'star_z-b'}
    modules |= {'star_fz-fz', 'star_fb-fb', 'star_fb-fz'}
    assert set(star_ablations()) == {*layers, *modules, *STAR_ABLATIONS}


# classes and benchmark
STAR_ON_NTU = {
    'star_ntu60-xsub': (60, 'xsub60'),
    'star_ntu60-xview': (60, 'xview60'),
    'star_ntu120-xsub': (120, 'xsub120'),
    'star_ntu120-xset': (120, 'xset120'),
}


@pytest.mark.parametrize('name', STAR_ON_NTU)
def test_star_on_ntu(name, star):
    classes, benchmark = STAR_ON_NTU[name]
    cfg = star_config(name)
    assert differences(star.model.to_dict(), cfg.model.to_dict()) == {
        'backbone.joint_tokens.num_joints': 2 * 25,
        'cls_head.num_classes': classes,
    }
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert {key: dataset[key] for key in dataset if key != 'pipeline'} == dict(
            type='NTURGBDDataset',
            data_root='data/ntu_rgbd/',
            benchmark=benchmark,
            split=split,
            **({} if split == 'train' else dict(test_mode=True)),
        )
        # as on Penn Action, but for the videos
        expected = [
            step
            for name in steps_of(star, split)
            for step in (['DecordInit', 'DecordDecode'] if name == 'RawFrameDecode' else [name])
        ]
        assert steps_of(cfg, split) == expected
        steps = {step.type: step for step in dataset.pipeline}
        assert steps['FormatJoints'].num_people == 2
        if split == 'train':
            assert steps['FlipPeople'].layout == 'ntu'
    for key in ('optim_wrapper', 'train_cfg', 'auto_scale_lr', 'val_evaluator'):
        assert cfg[key] == star[key], key


def test_star_of_skeletons_has_no_video(star):
    cfg = star_config('star_skeleton')
    assert differences(star.model.to_dict(), cfg.model.to_dict()) == {
        'backbone.cnn': None,
        'backbone.grid_tokens': None,
        'backbone.joint_tokens.in_channels': 0,
    }
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.frames is None
        of_pictures = ('RawFrameDecode', 'FormatShape')
        assert steps_of(cfg, split) == [
            name for name in steps_of(star, split) if name not in of_pictures
        ]
        assert dataset.pipeline[-1].collect_keys == ('keypoint',)


@pytest.mark.parametrize('path', [ROOT / 'configs/star.py', *star_variants()], ids=name_of)
def test_star_network_takes_what_its_pipelines_give(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    model = on_meta(cfg)
    if cfg.train_dataloader.dataset.split == 'trainval':  # it has the validation clips in it
        assert cfg.val_dataloader.dataset.split == 'test'
        assert cfg.default_hooks.checkpoint.save_best is None or path.stem == 'star_toy'
    (flip,) = (s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'FlipPeople')
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        Compose(dataset.pipeline)
        kind = DATASETS.get(f'mmaction.{dataset.type}')
        layout = getattr(kind, 'METAINFO', {}).get('keypoint_layout', 'coco')  # a pickle's default
        assert flip.layout == layout  # else left and right joints are not the ones exchanged
        if cfg.model.type != 'MMRecognizer3D':  # mmaction2's, to compare with
            continue
        steps = {step.type: step for step in dataset.pipeline}
        frames, keys = steps['SampleSegments'].clip_len, steps['PackActionInputs'].collect_keys
        assert ('imgs' in keys) == bool({'RawFrameDecode', 'DecordDecode'} & set(steps))
        inputs = {}
        if 'imgs' in keys:
            width, height = steps['CropPeople'].input_size
            inputs['imgs'] = torch.empty(2, 3, frames, height, width, device='meta')
        joints = steps['FormatJoints'].num_people * keypoint_layout(layout).num_joints
        inputs['keypoint'] = torch.empty(2, frames, joints, 3, device='meta')
        assert set(inputs) <= set(cfg.model.data_preprocessor.preprocessors)
        scores = model.cls_head(model.backbone(**inputs))
        assert scores.shape == (2, cfg.model.cls_head.num_classes)
        if model.backbone.grid_tokens is not None:
            assert model.backbone.grid_size == (height // 16, width // 16)
