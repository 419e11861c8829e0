"""Class and state of single salient poses in five folds: PoseRAC beside scikit-learn.

All rows see the same folds. A row is a config with settings changed. Validation happens once, after
the last epoch, so the held-out fold steers nothing: it chooses no checkpoint, and the plateau
schedule of the document's config never steps (in 20 epochs, with a patience of 6, it hardly would).
The configs' own settings may have been tuned on the configs' folds; --fold-seed deals others.

Finished rows are kept; one whose config has changed since is trained again.

Example:
    python tools/analysis/poserac_salient_poses.py
    python tools/analysis/poserac_salient_poses.py --folds 0 1 --rows linear light
    python tools/analysis/poserac_salient_poses.py --fold-seed 1 --out work_dirs/other_folds
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from experiment import Record, train
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from rich.console import Console
from rich.table import Table
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

CONFIGS = Path('configs', 'poserac')
DOCUMENT = 'poserac_salient-poses.py'
METRIC_LOSSES = {
    'triplet': dict(kind='triplet'),
    'contrastive': dict(kind='contrastive', pos_margin=0, neg_margin=1),
    'circle': dict(kind='circle', m=0.4, gamma=80),
}
LIGHT = 'poserac_salient-poses_light.py'
ROWS: dict[str, tuple[str, dict | None]] = {
    'linear': ('poserac_salient-poses_linear.py', None),
    'linear, 20 epochs': (DOCUMENT, {'num_layers': 0, 'metric_loss': None}),
    'transformer, no metric loss': (DOCUMENT, {'metric_loss': None}),
    **{
        f'transformer, {name}': (DOCUMENT, {'metric_loss': options})
        for name, options in METRIC_LOSSES.items()
    },
    'light': (LIGHT, None),
    **{
        f'light, {name}': (LIGHT, {'metric_loss': options})
        for name, options in METRIC_LOSSES.items()
    },
}
BASELINES = {
    'random forest, 300 trees': lambda: RandomForestClassifier(300, random_state=0),
    'logistic regression': lambda: make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2000)
    ),
    'support vectors, RBF, C 10': lambda: make_pipeline(StandardScaler(), SVC(C=10)),
}
SCORES = ('accuracy', 'class_accuracy', 'state_accuracy')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*BASELINES, *ROWS]
    parser.add_argument('--data-root', default='data/salient_poses')
    parser.add_argument('--folds', type=int, nargs='+', default=[0, 1, 2, 3, 4])
    parser.add_argument(
        '--fold-seed', type=int, help="which poses are in which fold [the configs']"
    )
    parser.add_argument(
        '--rows', nargs='+', choices=names, default=names, metavar='ROW', help=f'of {names}'
    )
    parser.add_argument('--epochs', type=int, help="instead of the configs' numbers of epochs")
    parser.add_argument('--out', type=Path, default=Path('work_dirs/poserac_salient_poses'))
    return parser.parse_args(argv)


def load_config(name: str, fold: int, args: argparse.Namespace) -> Config:
    """A config on a fold.

    Args:
        name: File name.
        fold: The fold held out.
        args: Command line.
    """
    cfg = Config.fromfile(CONFIGS / name)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.num_workers = 0
        loader.dataset.update(data_root=args.data_root, fold=fold)
        if args.fold_seed is not None:
            loader.dataset.fold_seed = args.fold_seed
    if args.epochs is not None:
        cfg.train_cfg.max_epochs = args.epochs
    cfg.train_cfg.val_interval = cfg.train_cfg.max_epochs
    return cfg


def load_row(name: str, fold: int, args: argparse.Namespace) -> Config:
    """The config of a row on a fold.

    Args:
        name: Of ``ROWS``.
        fold: The fold held out.
        args: Command line.
    """
    config, changes = ROWS[name]
    cfg = load_config(config, fold, args)
    for key, value in (changes or {}).items():
        if isinstance(value, dict):
            value = dict(type='PoseRACMetricLoss', **value)
        cfg.model[key] = value  # not merged: options of the loss that stood there would stay
    return cfg


def train_row(cfg: Config, work_dir: Path) -> dict[str, float]:
    """Train a row on a fold.

    Args:
        cfg: The config.
        work_dir: Folder of its logs and checkpoints.
    """
    history = train(cfg, work_dir).message_hub
    return {
        score: float(history.get_scalar(f'val/salient/{score}').data[0][-1]) for score in SCORES
    }


def poses_and_targets(cfg: Config, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Normalised landmarks (N, J * D) and 2 * class + state (N,) of a data set.

    Args:
        cfg: The config.
        split: ``'train'`` or ``'val'``.
    """
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    samples = [dataset[index] for index in range(len(dataset))]
    poses = np.stack([sample['poses'].numpy().ravel() for sample in samples])
    return poses, np.array([2 * sample['label'] + sample['state'] for sample in samples])


def fit_baseline(model: ClassifierMixin, cfg: Config) -> dict[str, float]:
    """Fit one of scikit-learn's classifiers on a fold.

    Args:
        model: The classifier.
        cfg: A config, of which the data sets are used.
    """
    model.fit(*poses_and_targets(cfg, 'train'))
    poses, truth = poses_and_targets(cfg, 'val')
    said = model.predict(poses)
    right = (said == truth, said // 2 == truth // 2, said % 2 == truth % 2)
    return {score: float(which.mean()) for score, which in zip(SCORES, right, strict=True)}


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    settings = dict(data_root=args.data_root, epochs=args.epochs, fold_seed=args.fold_seed)
    record = Record(args.out / 'results.json', settings)
    shown = Table('', 'class and state', 'class', 'state')
    for name in args.rows:
        results = []
        for fold in args.folds:
            if name in BASELINES:
                model, cfg = BASELINES[name](), load_config(DOCUMENT, fold, args)
                datasets = [cfg[f'{split}_dataloader'].dataset for split in ('train', 'val')]
                content = [type(model).__name__, model.get_params(), datasets]
                make = partial(fit_baseline, model, cfg)
            else:
                cfg = load_row(name, fold, args)
                slug = name.replace(', ', '_').replace(' ', '-')
                content = cfg.to_dict()
                make = partial(train_row, cfg, args.out / f'{slug}_fold{fold}')
            scores = record.result(f'{name}, fold {fold}', content, make)
            results.append([scores[score] for score in SCORES])
        mean, std = 100 * np.mean(results, axis=0), 100 * np.std(results, axis=0)
        texts = [f'{m:.1f} ± {s:.1f}' for m, s in zip(mean, std, strict=True)]
        print(f'{name}: {", ".join(texts)}', flush=True)
        shown.add_row(name, *texts)
    shown.title = f'Accuracy in %, mean ± standard deviation over folds {args.folds}'
    Console(width=100).print(shown)


if __name__ == '__main__':
    main()
