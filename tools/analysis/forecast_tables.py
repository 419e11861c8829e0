r"""Fills the document's tables: its runs of appendix A and B, and all models beside the baselines.

    python tools/analysis/forecast_tables.py appendix-a appendix-b
    python tools/analysis/forecast_tables.py models best --data cmu --seeds 0 1 2
    python tools/analysis/forecast_tables.py ablation --data cmu
    python tools/analysis/forecast_tables.py configs/stcformer.py --data generated --epochs 5

Each config is trained with each seed, and the checkpoint that is best on validation data is tested.
Finished runs are kept: the same command goes on where it was interrupted; a config that has changed
is trained again. After every run the tables are written to tables.md in --out.

train is the mean A-MPJPE of the last epoch's steps, validation and test are the checkpoint's.
What is published was measured on Human3.6M, which cannot be handed out, in appendix A by a model
fed the true future: on other --data at most the order compares. Horizons are errors of one frame.
Seconds are of an epoch's training steps with loading. With --data cmu the groups models, best and
ablation take a config's sibling for it, such as stcformer_cmu.py; all else keeps its own schedule.
ablation is best.py with one thing changed in each row.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from experiment import Record, load_config, markdown, set_epochs, spread, test_best, train
from mmengine.config import Config, DictAction
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from projects.files import whole_file
from projects.forecasting.baselines import BASELINES

CONFIGS = Path('configs', 'stcformer')
HORIZONS = (80, 160, 320, 400, 560, 720, 880, 1000)
# Train / validation / test A-MPJPE in mm, or what else the document says of its runs, on Human3.6M.
PUBLISHED = {
    20: '90.3 / 78.0 / 87.9',
    **dict.fromkeys((21, 22), 'diverged'),
    27: '83.8 / 71.1 / 79.8',
    **dict.fromkeys((29, 35, 36, 37, 38, 40), 'no better than 24'),
    32: '2 / 2 / 4 below 24',
    41: 'as 32',
    43: '83.3 / 71.9 / 77.7',
    **dict.fromkeys((107, 108, 109), '113 / 113 / 117'),
    **dict.fromkeys((110, 111), 'as 107'),
    112: '112 / 105 / 110',
    **dict.fromkeys((115, 116), 'no better than 112'),
    **dict.fromkeys((152, 153), 'as 112'),
}
APPENDICES = {'appendix-a': range(16, 44), 'appendix-b': range(106, 154)}  # their runs
MODELS = {  # with the best that the document says of each
    'stcformer': '',
    'stcformer_true-future': PUBLISHED[43],
    'stcformer_autoregressive': PUBLISHED[112],
    'stacformer': '- / 138 / -',
    'convstgat': '- / 140 / -',
    **dict.fromkeys(('sttformer', 'mlp'), ''),
}
_LOSS = dict(type='ForecastMPJPELoss', velocity_weight=1.0)
_TURNED = [dict(type=kind) for kind in ('MirrorMotion', 'ReverseMotion', 'RotateMotion')]
VARIANTS = {  # settings changed, by the config that they are changed in and a name
    # its network gives positions and sees positions alone
    'stcformer': {'as-written': {'model.residual': False, 'model.displacement_input': False}},
    'best': {
        'no-mirror': {'train_dataloader.dataset.pipeline.0.prob': 0.0},
        'no-reversal': {'train_dataloader.dataset.pipeline.1.prob': 0.0},
        'rotation': {
            'train_dataloader.dataset.pipeline': [*_TURNED, dict(type='PackForecastInputs')]
        },
        'no-speed': {'train_dataloader.dataset.speed_range': (1.0, 1.0)},
        'no-balance': {'train_dataloader.dataset.balance': 0.0},
        'no-residual': {'model.residual': False, 'model.displacement_input': False},
        'no-cosine': {'model.cosine': False},
        'velocity-loss': {'model.loss': _LOSS},
        'no-ema': {'custom_hooks': [dict(type='EpochSeedHook')]},
        'c64': {'model.channels': 64},
        'c256': {'model.channels': 256},
    },
}
GROUPS = (*APPENDICES, 'models', 'best', 'ablation')
DATA = {  # type, folder and joints
    'h36m': ('Human36MForecastDataset', 'data/h36m/dataset', 22),
    'cmu': ('CMUForecastDataset', 'data/cmu_mocap', 25),
    'generated': ('Human36MForecastDataset', 'data/synthetic/h36m/dataset', 22),
}


class Row(NamedTuple):
    """A config, what is changed in it, and the run of the document with what that says of it."""

    path: Path
    run: str
    published: str
    variant: str = ''
    options: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """By which it is tabled and kept."""
        return f'{self.path.stem}_{self.variant}' if self.variant else self.path.stem


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', help=f'paths, or groups of {GROUPS}')
    parser.add_argument('--data', choices=DATA, help="the data set [the configs' own]")
    parser.add_argument('--data-root', help='folder of the data set')
    parser.add_argument('--epochs', type=int, help="instead of the configs' numbers of epochs")
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--out', type=Path, default=Path('work_dirs/forecast_tables'))
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args(argv)


def rows_of(name: str, data: str | None) -> list[Row]:
    """The configs of a group, or the one of a path.

    Args:
        name: Group or path.
        data: Name of the data set.

    Raises:
        FileNotFoundError: If there is no such config.
    """
    folder = [CONFIGS.with_suffix('.py'), *sorted(CONFIGS.glob('*.py'))]
    if name in APPENDICES:  # a config's docstring names its run
        runs = {}
        for path in folder:
            text = path.read_text(encoding='utf-8')
            for run in re.findall(r'\bruns? ((?:(?:, | and )?\w+-\w+-\d+)+)', text):
                runs[int(re.search(r'\d+', run)[0])] = path, run
        rows = [Row(*runs[n], PUBLISHED.get(n, '')) for n in APPENDICES[name] if n in runs]
    elif name in GROUPS:
        paths = {path.stem: path for path in folder}
        best = {re.sub('_(cmu|toy)$', '', stem): '' for stem in paths if 'best' in stem}
        groups = {'models': MODELS, 'best': best, 'ablation': {'best': ''}}
        rows = []
        for stem, published in groups[name].items():
            path = paths.get(f'{stem}_{data}', paths.get(stem, CONFIGS / stem))
            rows.append(Row(path, '', published))
            if name != 'best':
                changed = VARIANTS.get(stem, {}).items()
                rows += [Row(path, '', '', variant, options) for variant, options in changed]
    else:
        rows = [Row(Path(name), '', '')]
    lost = [str(row.path) for row in rows if not row.path.is_file()]
    if lost or not rows:
        raise FileNotFoundError(f'{name}: there are no configs {lost}; groups are {GROUPS}')
    return rows


def load(row: Row, seed: int, args: argparse.Namespace) -> Config:
    """The config of a training.

    Args:
        row: Its file, and what is changed in it.
        seed: Of the training.
        args: Command line.
    """
    root, options = args.data_root, {}
    if args.data:
        kind, default, joints = DATA[args.data]
        root = root or default
        options = {f'{split}_dataloader.dataset.type': kind for split in ('train', 'val', 'test')}
        options['model.num_joints'] = joints
    cfg = load_config(row.path, seed, root, {**options, **row.options, **args.cfg_options})
    if args.epochs is not None:
        set_epochs(cfg, args.epochs)
    return cfg


def train_and_score(cfg: Config, work_dir: Path) -> dict[str, float]:
    """Test scores of a config's best checkpoint, without prefix, and what else is tabled.

    Args:
        cfg: The config.
        work_dir: Folder of its logs and checkpoints.
    """
    runner = train(cfg, work_dir)
    steps = len(runner.train_dataloader)
    scalars = runner.message_hub.log_scalars
    # of a model with other losses, the one of positions
    loss = scalars.get('train/loss_position', scalars['train/loss']).mean(steps)
    seconds = steps * scalars['train/time'].mean()
    best = cfg.default_hooks.checkpoint.save_best
    scores = test_best(runner, best).items()
    return {name.split('/', 1)[-1]: score for name, score in scores} | dict(
        train=float(loss),
        seconds=float(seconds),
        parameters=sum(parameter.numel() for parameter in runner.model.parameters()),
        fed_future=float(best.startswith('teacher_forced')),
    )


def score_baseline(name: str, cfg: Config) -> dict[str, float]:
    """Test scores of a baseline, by the config's own metric.

    Args:
        name: Of ``BASELINES``.
        cfg: A config, of which the test data are used.
    """
    init_default_scope(cfg.default_scope)
    MMLogger.get_instance(name, log_level='WARNING')
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = loader.dataset.metainfo
    for batch in loader:
        forecasts = BASELINES[name](batch['observed'], batch['target'].shape[1])
        evaluator.process([dict(forecast=forecast) for forecast in forecasts], batch)
    scores = evaluator.evaluate(len(loader.dataset))
    return {name.split('/', 1)[-1]: float(score) for name, score in scores.items()}


def as_markdown(
    rows: dict[str, Row],
    results: dict[str, list[dict[str, float]]],
    baselines: dict[str, dict[str, float]],
) -> str:
    """Both tables.

    Args:
        rows: By name of the config.
        results: Of each of them that is done, one a seed.
        baselines: Scores by name.
    """
    ahead = ['A-MPJPE', *(f'MPJPE@{horizon}ms' for horizon in HORIZONS)]
    losses, horizons = [], []

    def cells(found: Sequence[dict[str, float]], *names: str) -> list[str]:
        return [spread([one[name] for one in found], digits=1) for name in names]

    for name, scores in baselines.items():
        horizons.append([name, '0', *cells([scores], *ahead), '-'])
    for stem, found in results.items():
        name = f'{stem}, fed the true future' if found[0]['fed_future'] else stem
        size, (seconds,) = f'{found[0]["parameters"] / 1000:.1f} k', cells(found, 'seconds')
        parts = cells(found, 'train', 'validation', 'A-MPJPE')
        losses.append([name, rows[stem].run, size, *parts, rows[stem].published, seconds])
        horizons.append([name, size, *cells(found, *ahead), seconds])
    parts = ['train', 'validation', 'test', 'published', 's / epoch']
    upper = markdown(['config', 'run', 'parameters', *parts], losses)
    times = [f'{horizon} ms' for horizon in HORIZONS]
    lower = markdown(['config', 'parameters', 'A-MPJPE', *times, 's / epoch'], horizons)
    return f'{upper}\n\n{lower}'


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    rows: dict[str, Row] = {}
    for row in (row for name in args.configs for row in rows_of(name, args.data)):
        rows.setdefault(row.name, row)
    settings = {k: getattr(args, k) for k in ('data', 'data_root', 'epochs', 'cfg_options')}
    record = Record(args.out / 'results.json', settings)
    about = shlex.join(['python', 'tools/analysis/forecast_tables.py', *(argv or sys.argv[1:])])
    first = load(next(iter(rows.values())), args.seeds[0], args)
    content = [first.test_dataloader.dataset.to_dict(), first.test_evaluator]
    makers = {name: partial(score_baseline, name, first) for name in BASELINES}
    baselines = {name: record.result(name, content, make) for name, make in makers.items()}
    results: dict[str, list[dict[str, float]]] = {}
    for seed in args.seeds:
        for stem, row in rows.items():
            cfg, name = load(row, seed, args), f'{stem}_seed{seed}'
            run = partial(train_and_score, cfg, args.out / name)
            scores = record.result(name, cfg.to_dict(), run)
            results.setdefault(stem, []).append(scores)
            print(f'{name}: A-MPJPE {scores["A-MPJPE"]:.1f} mm', flush=True)
            text = f'    {about}\n\nIn mm:\n\n{as_markdown(rows, results, baselines)}\n'
            with whole_file(args.out / 'tables.md') as file:
                file.write_text(text, encoding='utf-8')
    print(f'\n{text}')


if __name__ == '__main__':
    main()
