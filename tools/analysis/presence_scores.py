"""Trains configs with several seeds and tables how well each tells present from absent keypoints.

Every config is trained once a seed and its last epoch tested. Each source of a presence score that
its KeypointPresenceMetric has is a row: the presence head, mmpose's VisPredictHead, the heatmaps'
maximum. The other scores of the test, such as PCK, tell what presence does to localisation.
Finished trainings are kept: the same command goes on where it was interrupted. A config that has
changed is noticed and trained again. What it only names is not: for changed data, or a checkpoint
trained anew that a backbone starts from, name another --out.

The example's configs start from work_dirs/resnet18_synthetic/epoch_10.pth, so that
configs/vitpose_presence/resnet18_synthetic.py, which names its data, is to be trained first.

Example:
    python tools/train.py configs/vitpose_presence/resnet18_synthetic.py
    python tools/analysis/presence_scores.py configs/vitpose_presence/resnet18_lsp*.py \
        --seeds 0 1 2 --data-root ~/lspet
"""

import argparse
from functools import partial
from pathlib import Path

from experiment import Record, load_config, spread, train_and_test
from mmengine.config import Config, DictAction

SCORES = (
    'AUROC',
    'AUROC_pooled',
    'AP',
    'AP_absent',
    'F1',
    'F1_absent',
    'brier',
    'ECE',
    'cross_entropy',
)
PREFIX = 'presence/'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', type=Path)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--scores', nargs='+', default=list(SCORES), help='of presence')
    parser.add_argument('--others', nargs='+', default=['PCK'], help='other scores of the test')
    parser.add_argument('--data-root', help='root of the data, in all three data sets')
    parser.add_argument('--out', type=Path, default=Path('work_dirs', 'presence_scores'))
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args(argv)


def sources(cfg: Config, scores: dict[str, float]) -> dict[str, dict[str, float]]:
    """The scores of presence by source; the metric's first source has no name in its scores.

    Args:
        cfg: The config.
        scores: Of its test.
    """
    metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    metric = next(one for one in metrics if one.type.endswith('KeypointPresenceMetric'))
    first = next(iter(metric.get('sources') or {'presence': None}))
    found: dict[str, dict[str, float]] = {}
    for name, value in scores.items():
        if name.startswith(PREFIX):
            *source, score = name.removeprefix(PREFIX).split('/')
            found.setdefault(source[0] if source else first, {})[score] = value
    return found


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    settings = dict(data_root=args.data_root, cfg_options=args.cfg_options)
    record = Record(args.out / 'results.json', settings)
    rows: dict[tuple[str, str], list[dict[str, float]]] = {}
    for seed in args.seeds:
        for path in args.configs:
            cfg = load_config(path, seed, args.data_root, args.cfg_options)
            name = f'{path.stem}_seed{seed}'
            run = partial(train_and_test, cfg, args.out / name)
            scores = record.result(name, cfg.to_dict(), run)
            others = {other: scores[other] for other in args.others if other in scores}
            for source, values in sources(cfg, scores).items():
                rows.setdefault((path.stem, source), []).append({**values, **others})
                print(f'{name}, {source}: AUROC {values["AUROC"]:.3f} {others}', flush=True)
    columns = [*args.scores, *args.others]
    print('\n| config | score from | ' + ' | '.join(columns) + ' |')
    print('|---' * (len(columns) + 2) + '|')
    for (stem, source), results in rows.items():
        cells = [spread([row[name] for row in results if name in row]) for name in columns]
        print(f'| {stem} | {source} | ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
    main()
