"""Class and state of single salient poses in five folds: PoseRAC beside scikit-learn.

All rows see the same folds. A row is a config with settings changed; its number is that of the last
epoch, so the held-out fold chooses nothing.

Example:
    python tools/analysis/poserac_salient_poses.py
    python tools/analysis/poserac_salient_poses.py --folds 0 1 --rows linear light
"""

import argparse
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
    if args.epochs is not None:
        cfg.train_cfg.max_epochs = args.epochs
    cfg.train_cfg.val_interval = cfg.train_cfg.max_epochs
    return cfg


def train_row(name: str, fold: int, args: argparse.Namespace) -> dict[str, float]:
    """Train a row on a fold.

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
    slug = name.replace(', ', '_').replace(' ', '-')
    runner = train(cfg, args.out / f'{slug}_fold{fold}')
    history = runner.message_hub
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


def fit_baseline(model: ClassifierMixin, fold: int, args: argparse.Namespace) -> dict[str, float]:
    """Fit one of scikit-learn's classifiers on a fold.

    Args:
        model: The classifier.
        fold: The fold held out.
        args: Command line.
    """
    cfg = load_config(DOCUMENT, fold, args)
    model.fit(*poses_and_targets(cfg, 'train'))
    poses, truth = poses_and_targets(cfg, 'val')
    said = model.predict(poses)
    right = (said == truth, said // 2 == truth // 2, said % 2 == truth % 2)
    return {score: float(which.mean()) for score, which in zip(SCORES, right, strict=True)}


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    settings = dict(data_root=args.data_root, epochs=args.epochs)
    record = Record(args.out / 'results.json', settings)
    shown = Table('', 'class and state', 'class', 'state')
    for name in args.rows:
        results = []
        for fold in args.folds:
            key = f'{name}, fold {fold}'
            if key not in record.results:
                if name in BASELINES:
                    record.add(key, fit_baseline(BASELINES[name](), fold, args))
                else:
                    record.add(key, train_row(name, fold, args))
            results.append([record.results[key][score] for score in SCORES])
        mean, std = 100 * np.mean(results, axis=0), 100 * np.std(results, axis=0)
        texts = [f'{m:.1f} ± {s:.1f}' for m, s in zip(mean, std, strict=True)]
        print(f'{name}: {", ".join(texts)}', flush=True)
        shown.add_row(name, *texts)
    shown.title = f'Accuracy in %, mean ± standard deviation over folds {args.folds}'
    Console(width=100).print(shown)


if __name__ == '__main__':
    main()
