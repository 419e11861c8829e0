"""Fills Tables 2 and 3 of PoseRAC's document: MAE and OBO by layers and heads.

Trains one model a cell, tests the checkpoint of the lowest validation loss, and prints both tables
under every protocol. Finished cells are kept: the same command goes on where it was interrupted.
A cell whose config has changed since is trained again.

Example:
    python tools/analysis/poserac_tables.py configs/poserac/poserac_sweep.py
    python tools/analysis/poserac_tables.py configs/poserac/poserac_sweep.py \
        --data-root data/synthetic/repcount --layers 1 6 12 --heads 9 --out work_dirs/tables
"""

import argparse
from functools import partial
from pathlib import Path

from experiment import Record, data_root_options, test_best, train
from mmengine.config import Config, DictAction

from projects.poserac.metric import PROTOCOLS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of one cell')
    parser.add_argument('--layers', type=int, nargs='+', default=[1, 2, 4, 6, 8, 10, 12])
    parser.add_argument('--heads', type=int, nargs='+', default=[1, 3, 9, 11, 33])
    parser.add_argument('--out', type=Path, help='folder to write into [work_dirs/CONFIG_NAME]')
    parser.add_argument('--data-root', help='root of the data, in all three data sets')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args(argv)
    args.out = args.out or Path('work_dirs', Path(args.config).stem)
    return args


def load_config(args: argparse.Namespace, layers: int, heads: int) -> Config:
    """The config of a cell.

    Args:
        args: Command line.
        layers: Encoder layers.
        heads: Attention heads.
    """
    cfg = Config.fromfile(args.config)
    options = {'model.num_layers': layers, 'model.num_heads': heads}
    cfg.merge_from_dict({**options, **data_root_options(args.data_root), **args.cfg_options})
    return cfg


def train_cell(cfg: Config, work_dir: Path) -> dict[str, float]:
    """Train and test the model of a cell.

    Args:
        cfg: The config.
        work_dir: Folder of its logs and checkpoints.

    Returns:
        All numbers that the test metric gives, and the best validation loss.

    Raises:
        ValueError: If the config keeps no best checkpoint.
    """
    scores = test_best(train(cfg, work_dir), 'salient/loss')
    scores['salient/loss'] = scores.pop('validation')
    return scores


def table(results: dict[str, dict], score: str, layers: list[int], heads: list[int]) -> str:
    """A Markdown table, heads down and layers across as in the document; ``-`` where none is.

    Args:
        results: Scores by ``layers<n>_heads<n>``.
        score: Name of the number shown.
        layers: Columns.
        heads: Rows.
    """
    lines = ['| head/layer | ' + ' | '.join(map(str, layers)) + ' |']
    lines.append('|---' * (len(layers) + 1) + '|')
    for head in heads:
        cells = [results.get(f'layers{layer}_heads{head}', {}).get(score) for layer in layers]
        texts = ['-' if value is None else f'{value:.3f}' for value in cells]
        lines.append(f'| {head} | ' + ' | '.join(texts) + ' |')
    return '\n'.join(lines)


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    settings = dict(config=args.config, data_root=args.data_root, cfg_options=args.cfg_options)
    record = Record(args.out / 'results.json', settings)
    cells = [(layers, heads) for layers in args.layers for heads in args.heads]
    for number, (layers, heads) in enumerate(cells, 1):
        name = f'layers{layers}_heads{heads}'
        cfg = load_config(args, layers, heads)
        scores = record.result(name, cfg.to_dict(), partial(train_cell, cfg, args.out / name))
        texts = (f'{p} OBO {scores[f"count/{p}/OBO"]:.3f}' for p in PROTOCOLS)
        print(f'[{number}/{len(cells)}] {name}: {", ".join(texts)}', flush=True)
    for title, score in (
        *((f'MAE, {protocol} class', f'count/{protocol}/MAE') for protocol in PROTOCOLS),
        *((f'OBO, {protocol} class', f'count/{protocol}/OBO') for protocol in PROTOCOLS),
        ('Validation loss', 'salient/loss'),
    ):
        print(f'\n{title}\n\n{table(record.results, score, args.layers, args.heads)}')


if __name__ == '__main__':
    main()
