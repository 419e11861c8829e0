"""Every config builds, says in its name what it holds, and stays small."""

import ast
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, INFERENCERS, METRICS, MODELS, init_default_scope
from mmengine.utils import get_installed_path
from torch.nn.modules.batchnorm import _BatchNorm

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
    if 'presence' in name_of(path) and any(isinstance(m, _BatchNorm) for m in model.modules()):
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
    return [path for path in VARIANTS if path.parent.name == 'stcformer']


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
