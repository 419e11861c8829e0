"""Every config builds, says in its name what it holds, and stays small."""

import ast
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, INFERENCERS, METRICS, MODELS, init_default_scope

ROOT = Path(__file__).resolve().parents[1]
HEADLINES = sorted((ROOT / 'configs').glob('*.py'))
VARIANTS = sorted((ROOT / 'configs').glob('[!_]*/*.py'))


def name_of(path):
    return str(path.relative_to(ROOT / 'configs'))


@pytest.mark.parametrize('path', [*HEADLINES, *VARIANTS], ids=name_of)
def test_config_builds(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
    for split in ('train', 'val', 'test'):
        assert DATASETS.get(cfg[f'{split}_dataloader'].dataset.type) is not None
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        METRICS.build(evaluator)
    assert INFERENCERS.get(cfg.inferencer.type) is not None
    for hook in [*cfg.custom_hooks, cfg.default_hooks.visualization]:
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
    assert len(path.read_text().splitlines()) <= 40
    depth, current = 0, path
    while (match := re.search(r"_base_ = \['(.*)'\]", current.read_text())) is not None:
        current = (current.parent / match[1]).resolve()
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
