r"""Measures and draws which frames a STAR-Transformer's attention modules attend to.

    python tools/analysis/star_attention.py CONFIG CHECKPOINT
    python tools/analysis/star_attention.py CONFIG CHECKPOINT --samples 256 --out FOLDER \
        --cfg-options test_dataloader.dataset.data_root=FOLDER

This is the document's qualitative study of spatio-temporal cross attention: samples spread evenly
over the config's test data go through the model, and the weights of every FAttn, ZAttn and BAttn
are averaged over heads, clips of a sample, and samples. In the folder --out there are then

- attention.png: of each module the attention between frames, as a multiple of what equal weights
  would give, and below it the shares of the frames in what the class tokens pay (all tokens, if
  there are none); at the bottom the means over all modules of a type.
- attention.json: the numbers. A frame's share is of the attention that goes to frames at all, so
  shares sum to 1; what goes to class tokens is told apart. Standard deviations are over samples.

Entropy is that of a sample's shares, mean over samples: log2 T bits if all T frames get the same,
0 if one gets all. The checkpoint 'none' stands for random weights.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner, load_checkpoint
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, Subset

from projects.files import whole_file
from projects.runtime import load_config
from projects.star.attended_frames import (
    ALL,
    CLASSES,
    ModuleAttention,
    by_kind,
    measure,
    statistics,
)

_INK, _DIM, _BLOCKED = (
    '#2b2f36',
    '#6f7782',
    dict(facecolor='#e3e3e3', edgecolor='#c8c8c8', hatch='//////', linewidth=0),
)
_COLOURS = dict(FAttn='#2171b5', ZAttn='#d95f02', BAttn='#1b7837')
_MAP = 'RdBu_r'
_EQUAL = dict(color=_DIM, lw=0.7, ls=(0, (4, 3)))
_LABEL = dict(fontsize=7, color=_DIM, labelpad=2)
_HEADING = dict(fontsize=9, fontweight='bold')
_LEGEND = dict(frameon=False, borderaxespad=0, borderpad=0, handlelength=1.5, columnspacing=1.3)
_COLUMNS = 6  # layers beside one another
# Inches.
_LEFT, _RIGHT, _GAP, _CURVE = 0.62, 0.3, 0.17, 0.5
_HEAD, _ROW, _SUMMARY, _FOOT = 1.12, 0.52, 1.35, 0.5


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a model with FAttn, ZAttn or BAttn')
    parser.add_argument('checkpoint', help="its weights, or 'none'")
    parser.add_argument('--samples', type=int, default=64, help='of the test data, at most [64]')
    parser.add_argument('--out', type=Path, help="folder to write to [the config's work_dir]")
    parser.add_argument('--device', default=get_device(), help='[%(default)s]')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='as in test.py'
    )
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)  # what load_config reads
    return parser.parse_args(argv)


def load_model(cfg: Config, checkpoint: str) -> nn.Module:
    """A model on the CPU, ready to predict.

    Args:
        cfg: Its config.
        checkpoint: Path or URL of its weights, all of them and no others; ``'none'`` for random
            ones.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the file is no checkpoint that can be trusted, or another model's.
    """
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if checkpoint != 'none':
        try:
            load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
        except RuntimeError as error:
            raise ValueError(f'{checkpoint}: does not fit {cfg.filename}: {error}') from error
    return model.eval()


def sample_loader(cfg: Config, samples: int) -> DataLoader:
    """The loader of samples that are spread evenly over the test data.

    Args:
        cfg: The config.
        samples: How many; of less data all is taken.

    Raises:
        ValueError: If it is less than 1.
    """
    if samples < 1:
        raise ValueError(f'samples is {samples}, expected 1 or more')
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    settings = dict(cfg.test_dataloader)
    data = DATASETS.build(settings.pop('dataset'))
    count = min(samples, len(data))
    places = (np.arange(count) + 0.5) * len(data) / count  # middles of equal stretches
    return Runner.build_dataloader(
        {**settings, 'dataset': Subset(data, places.astype(int).tolist())}, seed=0
    )


def as_json(modules: Sequence[ModuleAttention], about: dict[str, Any]) -> dict[str, Any]:
    """Content of ``attention.json``.

    Args:
        modules: Of :func:`measure`.
        about: What stands before the numbers.
    """
    T = len(modules[0].visible)

    def numbers(some: Sequence[ModuleAttention]) -> dict[str, Any]:
        sources = dict(from_class_tokens=CLASSES, from_all_tokens=ALL)
        return {name: statistics(some, source) for name, source in sources.items()}

    return {
        **about,
        'samples': len(modules[0].frames),
        'num_frames': T,
        'max_entropy_bits': float(np.log2(T)),
        'types': {
            kind: dict(modules=len(some), **numbers(some))
            for kind, some in by_kind(modules).items()
        },
        'modules': [
            dict(
                name=module.name,
                part=module.part,
                layer=module.layer,
                place=module.place,
                type=module.kind,
                num_class_tokens=module.num_class_tokens,
                tokens_per_frame=module.tokens_per_frame,
                **numbers([module]),
                frames=module.frames.mean(axis=0).tolist(),
                visible=module.visible.tolist(),
            )
            for module in modules
        ],
    }


def as_table(modules: Sequence[ModuleAttention]) -> Table:
    """Thirds of the time and entropy by type of module.

    Args:
        modules: Of :func:`measure`.
    """
    T = len(modules[0].visible)
    table = Table('module', 'number', 'paid by', title=f'{len(modules[0].frames)} samples')
    for name in ('first third', 'middle', 'last', f'bits of {np.log2(T):.2f}'):
        table.add_column(name, justify='right', no_wrap=True)
    for kind, some in by_kind(modules).items():
        for source in (CLASSES, ALL):
            found = statistics(some, source)
            if found is not None:
                parts = (f'{100 * share:.1f} %' for share in found['thirds'])
                bits = f'{found["entropy_bits"]:.2f}'
                table.add_row(kind, str(len(some)), source, *parts, bits)
    return table


class _Page:
    """A figure that is laid out in inches, from its upper left corner.

    Args:
        width: Inches.
        height: Inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height))

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        axes = self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )
        axes.tick_params(labelsize=7, length=2, color=_DIM, labelcolor=_DIM)
        for spine in axes.spines.values():
            spine.set(linewidth=0.6, color=_DIM)
        return axes

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        style = dict(color=_INK, fontsize=8, va='top', parse_math=False) | style
        self.figure.text(left / self.width, 1 - top / self.height, text, **style)


def draw_attention(modules: Sequence[ModuleAttention], title: str, subtitle: str = '') -> Figure:
    """Heat maps and curves of all modules, and below them the means by type.

    Args:
        modules: Of :func:`measure`.
        title: Heading.
        subtitle: Stands below it.
    """
    bands = _bands(modules)
    columns = max(len(band) for band in bands)
    sides = _LEFT + _RIGHT - _GAP
    width = float(np.clip(sides + columns * (1.75 + _GAP), 6.2, 8.4))
    cell = min((width - sides) / columns - _GAP, 2.6)
    row = _ROW + cell + _CURVE
    heights = [0.3 + row * max(m.place for layer in band for m in layer) for band in bands]
    page = _Page(width, _HEAD + sum(heights) + 0.55 + _SUMMARY + _FOOT)
    colours = _colours(modules)
    sources = [source for source in (CLASSES, ALL) if statistics(modules, source) is not None]
    _draw_head(page, (title, subtitle), colours, sources[0], len(modules[0].visible))
    found = [statistics([module], sources[0]) for module in modules]
    highest = max(max(np.add(one['shares'], one['std'])) for one in found)
    highest = np.ceil(20 * highest) / 20
    top = _HEAD
    for band, height in zip(bands, heights, strict=True):
        for column, layer in enumerate(band):
            left = _LEFT + column * (cell + _GAP)
            page.text(left, top, f'{layer[0].part.capitalize()} {layer[0].layer}', **_HEADING)
            for module in layer:
                upper = top + 0.38 + (module.place - 1) * row
                grid = page.axes(left, upper, cell, cell)
                curve = page.axes(left, upper + cell + 0.07, cell, _CURVE - 0.07)
                _draw_module(grid, curve, module, sources[0], colours)
                curve.set(ylim=(0, highest), yticks=[0, highest])
                if column == 0:
                    curve.set_yticklabels(['0', f'{100 * highest:.0f} %'])
                    grid.set_ylabel('query frame', **_LABEL)
                    curve.set_ylabel('share', **_LABEL)
                else:
                    grid.set_yticks([])
                    curve.set_yticklabels([])
        top += height
    page.text(_LEFT, top, 'Mean over the modules of a type', **_HEADING)
    _draw_summary(page, top + 0.46, modules, sources)
    return page.figure


def _bands(modules: Sequence[ModuleAttention]) -> list[list[list[ModuleAttention]]]:
    """Rows of layers: all in one if there is room, else each part in rows of its own."""
    layers: dict[tuple[str, int], list[ModuleAttention]] = {}
    for module in modules:
        layers.setdefault((module.part, module.layer), []).append(module)
    if len(layers) <= _COLUMNS:
        return [list(layers.values())]
    bands = []
    for part in dict.fromkeys(part for part, _ in layers):
        some = [layer for key, layer in layers.items() if key[0] == part]
        bands += [some[first : first + _COLUMNS] for first in range(0, len(some), _COLUMNS)]
    return bands


def _ratios(module: ModuleAttention) -> np.ndarray:
    """(T, T) doublings of the share that equal weights would give; NaN of blocked pairs."""
    frames = np.maximum(module.frames.mean(axis=0), 1e-12 * module.visible)
    shares = frames / frames.sum(axis=1, keepdims=True)
    equal = module.visible / module.visible.sum(axis=1, keepdims=True)
    with np.errstate(invalid='ignore'):  # 0 / 0 of blocked pairs
        return np.log2(np.where(module.visible, shares / equal, np.nan))


def _colours(modules: Sequence[ModuleAttention]) -> ScalarMappable:
    """Colours of doublings, the same for all modules, white where weights are equal."""
    doublings = np.concatenate([_ratios(module).ravel() for module in modules])
    reach = np.nanpercentile(np.abs(doublings), 99)  # a few extremes do not bleach the rest
    reach = float(np.clip(reach, 0.25, 3))
    return ScalarMappable(Normalize(-reach, reach), _MAP)


def _draw_head(
    page: _Page, titles: tuple[str, str], colours: ScalarMappable, source: str, num_frames: int
) -> None:
    """Title, and what colours, hatches and lines mean."""
    page.text(0.2, 0.16, titles[0], fontsize=11, fontweight='bold')
    page.text(0.2, 0.41, titles[1], color=_DIM)
    left = page.width - _RIGHT - 1.75
    axes = page.axes(left, 0.37, 1.75, 0.09)
    bar = page.figure.colorbar(colours, cax=axes, orientation='horizontal', extend='both')
    bar.outline.set(linewidth=0.4, color=_DIM)
    most = next(most for most in (8, 4, 2, 1.5, 1.25, 1.1) if np.log2(most) <= colours.norm.vmax)
    bar.set_ticks(np.log2([1 / most, 1, most]), labels=[f'{1 / most:.2g}×', '1×', f'{most:g}×'])
    page.text(left, 0.16, 'attention over equal weights', fontsize=7, color=_DIM)
    handles = {
        'not seen': Patch(**_BLOCKED),
        f'paid by {source}, ± std over samples; its entropy, at most {np.log2(num_frames):.3g} '
        'bits': (Patch(color=_INK, alpha=0.18, lw=0), Line2D([], [], color=_INK, lw=1.3)),
        'equal weights': Line2D([], [], **_EQUAL),
    }
    page.figure.legend(
        handles.values(),
        handles.keys(),
        loc='upper left',
        bbox_to_anchor=(0.2 / page.width, 1 - 0.68 / page.height),
        ncols=3,
        fontsize=7,
        labelcolor=_DIM,
        **_LEGEND,
    )


def _draw_module(
    grid: Axes,
    curve: Axes,
    module: ModuleAttention,
    source: str,
    colours: ScalarMappable,
) -> None:
    """A module's heat map, and the curve below it on the same axis of frames."""
    T = len(module.visible)
    edges = np.arange(T + 1) + 0.5
    grid.pcolormesh(edges, edges, _ratios(module), cmap=colours.cmap, norm=colours.norm)
    query, key = np.nonzero(~module.visible)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) + 0.5
    squares = np.stack([key, query], axis=-1)[:, None] + corners  # (pairs, 4, 2)
    blocked = dict(_BLOCKED, antialiased=False)
    if not (~module.visible[:, 1:] & ~module.visible[:, :-1]).any():
        blocked['hatch'] = None  # lines across a chess board are hard to look at
    grid.add_collection(PolyCollection(squares, **blocked))
    colour = _COLOURS.get(module.kind, _INK)
    grid.set_title(module.kind, loc='left', fontsize=8, color=colour, fontweight='bold', pad=3)
    found = statistics([module], source)
    grid.set_title(f'{found["entropy_bits"]:.2f} bits', loc='right', fontsize=7, color=_DIM, pad=3)
    _draw_curve(curve, found, module.equal_shares(source), colour)
    ticks = sorted({1, (T + 1) // 2, T})
    grid.set(xlim=(0.5, T + 0.5), ylim=(T + 0.5, 0.5), xticks=[], yticks=ticks)
    curve.set(xlim=(0.5, T + 0.5), xticks=ticks)


def _draw_curve(
    axes: Axes, found: dict[str, Any], equal: np.ndarray, colour: str, label: str = ''
) -> None:
    """Shares of the frames, plus and minus their standard deviation, over the equal ones."""
    shares, std = np.array(found['shares']), np.array(found['std'])
    frames = np.arange(1, len(shares) + 1)
    axes.fill_between(frames, shares - std, shares + std, color=colour, alpha=0.18, lw=0)
    axes.plot(frames, equal, **_EQUAL)
    axes.plot(frames, shares, color=colour, lw=1.3, label=label)
    axes.spines[['top', 'right']].set_visible(False)


def _draw_summary(
    page: _Page, top: float, modules: Sequence[ModuleAttention], sources: Sequence[str]
) -> None:
    """The mean share of each frame by type of module, one panel for each source."""
    T = len(modules[0].visible)
    wide = (page.width - _LEFT - _RIGHT + 0.3) / len(sources) - 0.3
    panels = []
    for column, source in enumerate(sources):
        panels.append(axes := page.axes(_LEFT + column * (wide + 0.3), top, wide, _SUMMARY))
        for kind, some in by_kind(modules).items():
            colour = _COLOURS.get(kind, _INK)
            equal = some[0].equal_shares(source)
            _draw_curve(axes, statistics(some, source), equal, colour, kind)
        axes.set_title(f'paid by {source}', loc='left', fontsize=8, color=_DIM)
        axes.set(xlim=(0.5, T + 0.5), xticks=range(1, T + 1, max(1, T // 8)))
        axes.set_xlabel('key frame', **_LABEL)
        axes.yaxis.set_major_formatter(lambda value, _: f'{100 * value:.3g} %')
        axes.tick_params(labelleft=column == 0)
    limits = np.array([axes.get_ylim() for axes in panels])
    for axes in panels:
        axes.set_ylim(max(limits.min(), 0), limits.max())
    panels[0].set_ylabel('share', **_LABEL)
    panels[-1].legend(loc='lower right', bbox_to_anchor=(1, 1.05), ncols=3, fontsize=8, **_LEGEND)


def main(argv: list[str] | None = None) -> int:
    """Measure, draw, write."""
    args = parse_args(argv)
    try:
        cfg = load_config(args)
        loader = sample_loader(cfg, args.samples)
        modules = measure(load_model(cfg, args.checkpoint).to(args.device), loader)
    except (ValueError, FileNotFoundError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    checkpoint = args.checkpoint if args.checkpoint == 'none' else Path(args.checkpoint).name
    about = dict(config=args.config, cfg_options=args.cfg_options, checkpoint=checkpoint)
    content = as_json(modules, about)
    weights = 'random weights' if checkpoint == 'none' else checkpoint
    subtitle = f'{weights}, {content["samples"]} samples of {content["num_frames"]} frames'
    figure = draw_attention(modules, f'{Path(args.config).stem}: attention to frames', subtitle)
    out = args.out or Path(cfg.work_dir)
    with whole_file(out / 'attention.json') as partial:
        partial.write_text(json.dumps(content, indent=1), encoding='utf-8')
    with whole_file(out / 'attention.png') as partial:
        figure.savefig(partial, dpi=200, format='png')
    Console().print(as_table(modules))
    print(out / 'attention.png')
    return 0


if __name__ == '__main__':
    sys.exit(main())
