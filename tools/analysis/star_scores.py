"""Trains configs with several seeds and tables the accuracies of their last epoch on the test data.

Finished trainings are kept: the same command goes on where it was interrupted. A config that has
changed is noticed and trained again; for changed data name another --out.

Example:
    python tools/analysis/star_scores.py configs/star/star_skeleton_penn.py \
        configs/star/stgcn_penn.py --seeds 0 1 2
"""

import argparse
from functools import partial
from pathlib import Path

from experiment import Record, load_config, spread, train_and_test
from mmengine.config import DictAction
from mmengine.registry import MODELS, init_default_scope

SCORES = ('acc/top1', 'acc/mean1', 'acc/top5', 'acc/cross_entropy')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', type=Path)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--scores', nargs='+', default=list(SCORES))
    parser.add_argument('--data-root', help='root of the data, in all three data sets')
    parser.add_argument('--out', type=Path, default=Path('work_dirs', 'star_scores'))
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    settings = dict(data_root=args.data_root, cfg_options=args.cfg_options)
    record = Record(args.out / 'results.json', settings)
    rows: dict[str, list[dict[str, float]]] = {}
    sizes: dict[str, int] = {}
    for seed in args.seeds:
        for path in args.configs:
            cfg = load_config(path, seed, args.data_root, args.cfg_options)
            init_default_scope(cfg.default_scope)
            sizes[path.stem] = sum(p.numel() for p in MODELS.build(cfg.model).parameters())
            name = f'{path.stem}_seed{seed}'
            run = partial(train_and_test, cfg, args.out / name)
            scores = record.result(name, cfg.to_dict(), run)
            rows.setdefault(path.stem, []).append(scores)
            shown = {score: round(scores[score], 4) for score in args.scores if score in scores}
            print(f'{name}: {shown}', flush=True)
    print('\n| config | parameters | ' + ' | '.join(args.scores) + ' |')
    print('|---' * (len(args.scores) + 2) + '|')
    for stem, results in rows.items():
        cells = [
            spread([row[name] for row in results if name in row], digits=4) for name in args.scores
        ]
        print(f'| {stem} | {sizes[stem] / 1e6:.2f} M | ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
    main()
