r"""Draws what the criss-cross attention of a forecasting model attends to (document, figures 4-6).

    python tools/analysis/forecast_attention.py CONFIG CHECKPOINT --out FOLDER
    python tools/analysis/forecast_attention.py CONFIG CHECKPOINT --out FOLDER --decoder \
        --split val --samples 256 --cfg-options test_dataloader.dataset.data_root=FOLDER

Windows spread evenly over a split go through the model as it is tested; the decoder of an
autoregressive model reads its own forecasts. In --out are then

- temporal.png (figure 4): of every block and head the softmaxed attention from frame to frame, mean
  over windows and joints.
- spatial.png (figure 5): the attention from joint to joint, mean over windows and frames.
- distance.png (figure 6): the L1 distances between these matrices, halves and heads of a block.
- attention.json: all numbers, with the entropies of both halves.

--decoder adds the decoder's self- and cross-attention; a model whose encoder has no criss-cross
attention is drawn with them anyway. --window I takes the one window I instead of an average.

Distance. The document applies "an L1 distance formula to the two attention matrices" and does not
say how matrices of frames and of joints meet. Here each is a density on the unit square: of an
(L, L) matrix A the cell of query i and key j is 1/L wide and high and has the value L * A[i, j].
The distance is the integral of the absolute difference, exact, 0 for equal densities and 2 for
those that nowhere overlap. Joints have no natural order, so a second distance compares the weights
from a query's largest to its smallest, mean over queries: are both equally concentrated? 'equal'
stands for equal weights without a mask: matrices may be alike because none has a preference.

Entropy is that of a query's weights, mean over queries, as a share of what equal weights on the
keys it sees would have.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import load_checkpoint
from rich.console import Console
from rich.table import Table
from torch.utils.data import default_collate

from projects.files import whole_file
from projects.forecasting.attended import HALVES, Attention, compare, measure


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a model with criss-cross attention')
    parser.add_argument('checkpoint', help="its weights, or 'none' for random ones")
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    parser.add_argument('--samples', type=int, default=64, help='windows, at most [64]')
    parser.add_argument('--window', type=int, help='the one window to look at instead')
    parser.add_argument('--split', default='test', choices=('train', 'val', 'test'))
    parser.add_argument('--decoder', action='store_true', help="draw the decoder's attention too")
    parser.add_argument('--device', default=get_device(), help='[%(default)s]')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE'
    )
    return parser.parse_args(argv)


def draw_maps(modules: Sequence[Attention], half: str, labels: Sequence[Sequence]) -> Figure:
    """Heat maps of one half: a row a module, a column a head.

    Args:
        modules: Of :func:`measure`.
        half: ``'time'`` or ``'joints'``.
        labels: Of each module two: of its queries, and of its keys.
    """
    heads = max(len(module.maps[half]) for module in modules)
    figure = Figure((1.2 + 3.9 * heads, 0.6 + 3.7 * len(modules)), layout='constrained')
    kind = 'Temporal' if half == 'time' else 'Spatial'
    figure.suptitle(f'{kind} attention, rows attend to columns', fontsize=10)
    grid = figure.subplots(len(modules), heads, squeeze=False)
    for row, module, (queries, keys) in zip(grid, modules, labels, strict=True):
        maps = module.maps[half]
        step = max(1, len(keys) // 12) if half == 'time' else 1
        masked = module.causal and half == 'time'
        # the first frames have few keys to share their weight, and would bleach the rest
        top = np.quantile(maps[maps > 0], 0.95) if masked else maps.max()
        for head, axes in enumerate(row):
            if head >= len(maps):
                axes.set_axis_off()
                continue
            hidden = masked & np.triu(np.ones_like(maps[head], bool), 1)
            shown = np.ma.masked_array(maps[head], hidden)
            image = axes.imshow(shown, cmap='viridis', vmin=0, vmax=top)
            axes.set_title(f'{module.name}, head {head}', fontsize=8)
            axes.set_xticks(range(len(keys))[::step], keys[::step], rotation=90, fontsize=6)
            axes.set_yticks(range(len(queries))[::step], queries[::step], fontsize=6)
            if half == 'time':
                axes.set_xlabel('key frame, ms', fontsize=7)
                axes.set_ylabel('query frame, ms', fontsize=7)
        bar = figure.colorbar(image, ax=row[: len(maps)], extend='max' if masked else 'neither')
        bar.ax.axhline(1 / len(keys), color='white', lw=1.5)
        bar.set_label('weight; white line: 1 / keys', fontsize=7)
        bar.ax.tick_params(labelsize=6)
    return figure


def draw_distances(modules: Sequence[Attention]) -> Figure:
    """Distances of every module: above weights in their places, below sorted ones.

    Args:
        modules: Of :func:`measure`.
    """
    found = [compare(module) for module in modules]
    side = 0.9 + 0.42 * max(len(one['names']) for one in found)
    figure = Figure((0.8 + side * len(modules), 0.5 + 2 * side), layout='constrained')
    figure.suptitle('L1 distance between attention densities, 0 to 2', fontsize=10)
    top = max(one['in_place'].max() for one in found)
    grid = figure.subplots(2, len(modules), squeeze=False)
    for row, key in zip(grid, ('in_place', 'sorted'), strict=True):
        for axes, module, one in zip(row, modules, found, strict=True):
            axes.imshow(one[key], cmap='magma', vmin=0, vmax=top)
            for (query, other), value in np.ndenumerate(one[key]):
                colour = 'white' if value < 0.6 * top else 'black'
                text = dict(ha='center', va='center', fontsize=6, color=colour)
                axes.text(other, query, f'{value:.2f}', **text)
            ticks = range(len(one['names']))
            axes.set_xticks(ticks, one['names'], rotation=90, fontsize=6)
            axes.set_yticks(ticks, one['names'], fontsize=6)
            axes.set_title(f'{module.name}\n{key.replace("_", " ")}', fontsize=7)
    return figure


def as_table(modules: Sequence[Attention]) -> Table:
    """Entropies of both halves and their distance, by module and head.

    Args:
        modules: Of :func:`measure`.
    """
    columns = ('head', 'time', 'joints', 'L1 in place', 'L1 sorted')
    table = Table(title='Entropy as a share of that of equal weights, and distance')
    table.add_column('module', no_wrap=True)
    for column in columns:
        table.add_column(column, justify='right')
    for module in modules:
        found, heads = compare(module), len(module.bits['time'])
        shares = [module.bits[half] / module.most_bits[half] for half in HALVES]
        for head, pair in enumerate(zip(*shares, strict=True)):
            parts = [f'{100 * share:.1f} %' for share in pair]
            far = (f'{found[key][head, heads + head]:.3f}' for key in ('in_place', 'sorted'))
            table.add_row(module.name, str(head), *parts, *far)
    return table


def milliseconds(module: Attention, rate: float) -> list[list[int]]:
    """Times of queries and keys after the last observed frame.

    The decoder's frames are those it forecasts; its memory is mapped to as many.

    Args:
        module: Of :func:`measure`.
        rate: Frames a second.
    """
    lengths = module.maps['time'].shape[1:]
    firsts = [1 if 'decoder' in module.name else 1 - length for length in lengths]
    return [
        [round(1000 * (first + frame) / rate) for frame in range(length)]
        for first, length in zip(firsts, lengths, strict=True)
    ]


def load_windows(
    cfg: Config, split: str, samples: int, window: int | None
) -> tuple[dict[str, Any], list[str]]:
    """Windows that are spread evenly over a split, as one batch, and the joints' names.

    Args:
        cfg: The config.
        split: ``'train'``, ``'val'`` or ``'test'``.
        samples: How many; of less data all are taken.
        window: The one to take instead.

    Raises:
        ValueError: If ``samples`` or ``window`` is out of range.
    """
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    if samples < 1:
        raise ValueError(f'samples is {samples}, expected 1 or more')
    if window is not None and not 0 <= window < len(dataset):
        raise ValueError(f'window is {window}, expected 0 to {len(dataset) - 1} of split {split!r}')
    count = min(samples, len(dataset))
    places = ((np.arange(count) + 0.5) * len(dataset) / count).astype(int)  # middles of stretches
    chosen = places.tolist() if window is None else [window]
    return default_collate([dataset[place] for place in chosen]), dataset.metainfo['joint_names']


def main(argv: list[str] | None = None) -> int:
    """Measure, draw, write."""
    args = parse_args(argv)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.default_scope)
    try:
        batch, joint_names = load_windows(cfg, args.split, args.samples, args.window)
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        if args.checkpoint != 'none':
            load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True)
        modules = measure(model.to(args.device).eval(), batch, args.decoder)
    except (ValueError, FileNotFoundError, RuntimeError) as error:  # the last of other weights
        print(f'error: {error}', file=sys.stderr)
        return 1
    rate = cfg.test_evaluator.frame_rate
    times = [milliseconds(module, rate) for module in modules]
    figures = dict(
        temporal=draw_maps(modules, 'time', times),
        spatial=draw_maps(modules, 'joints', [[joint_names] * 2] * len(modules)),
        distance=draw_distances(modules),
    )
    for name, figure in figures.items():
        with whole_file(args.out / f'{name}.png') as partial:
            figure.savefig(partial, dpi=150, format='png')
    content = dict(
        config=args.config,
        cfg_options=args.cfg_options,
        checkpoint=args.checkpoint,
        split=args.split,
        samples=len(batch['observed']),
        joint_names=joint_names,
        modules=[
            dict(module._asdict(), milliseconds=time, distance=compare(module))
            for module, time in zip(modules, times, strict=True)
        ],
    )
    with whole_file(args.out / 'attention.json') as partial:
        partial.write_text(json.dumps(content, indent=1, default=np.ndarray.tolist), 'utf-8')
    Console().print(as_table(modules))
    print(args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
