r"""Draws what TransPose's keypoints depend on: where the cell of a predicted keypoint looks.

    python tools/analysis/transpose_dependencies.py CONFIG CHECKPOINT IMAGE
    python tools/analysis/transpose_dependencies.py CONFIG CHECKPOINT IMAGE --box 40,20,180,250 \
        --keypoints left_wrist right_ankle --threshold 0.01 --out wrist.png

For each keypoint the picture shows its heatmap, and below it the row of an attention layer at the
cell in which the keypoint is predicted, mean over the heads: the shares, which sum to one, with
which the cells of the feature map contribute (the dependency area of TransPose, arXiv 2012.14214,
section 3.4). Colours reach from zero to the highest value of each map, which is written below it.
One pass, without flipping. The checkpoint 'none' stands for random weights.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import mmcv
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmpose.apis import init_model
from torch import nn

from projects.files import whole_file
from projects.inference import tested_dataset
from projects.presence.inferencer import without_truth
from projects.presence.transpose import TransPoseEncoder

_COLUMNS = 6
_PANEL = 1.6  # width of a panel, inches
_MARK = dict(marker='o', markersize=6, markeredgewidth=1.2, markerfacecolor='none')


class Dependencies(NamedTuple):
    """What a model says of one person; K chosen keypoints."""

    crop: np.ndarray
    """(H, W, 3) uint8, RGB: what the model sees."""
    names: list[str]
    """K."""
    keypoints: np.ndarray
    """(K, 2) predicted x and y, pixels of the crop."""
    scores: np.ndarray
    """(K,)."""
    presence: np.ndarray | None
    """(K,) probability that the keypoint is there, if the model tells."""
    heatmaps: np.ndarray
    """(K, h, w)."""
    areas: np.ndarray
    """(K, h', w') shares of the feature map's cells. Each map sums to 1, or is 0 where the heatmap
    is nowhere positive: mmpose's codecs then say that there is no keypoint."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a top-down model with a TransPoseEncoder')
    parser.add_argument('checkpoint', help="its weights, or 'none'")
    parser.add_argument('image', type=Path)
    parser.add_argument('--box', type=_box, help='x1,y1,x2,y2 of the person [the whole image]')
    parser.add_argument('--keypoints', nargs='+', metavar='NAME', help='[all]')
    parser.add_argument('--layer', type=int, help='attention layer, from 1 [the last]')
    parser.add_argument(
        '--threshold', type=float, default=0.0, help='do not draw smaller shares of a cell [0]'
    )
    parser.add_argument('--out', type=Path, help='PNG to write [IMAGE_dependencies.png, here]')
    return parser.parse_args(argv)


def _box(text: str) -> tuple[float, ...]:
    try:
        x1, y1, x2, y2 = box = tuple(float(number) for number in text.split(','))
    except ValueError:
        box = None
    if box is None or not np.isfinite(box).all() or not (x1 < x2 and y1 < y2):
        raise argparse.ArgumentTypeError(f'{text!r} is not x1,y1,x2,y2 with x1 < x2 and y1 < y2')
    return box


def load_model(config: str, checkpoint: str) -> nn.Module:
    """A top-down model on the CPU, ready to predict.

    Args:
        config: Path of its config.
        checkpoint: Path of its weights, all of them and no others; ``'none'`` for random ones.

    Raises:
        ValueError: If the model has no TransPoseEncoder, or the weights are another model's.
    """
    cfg = Config.fromfile(config)
    model = init_model(cfg, device='cpu')
    if not isinstance(getattr(model, 'neck', None), TransPoseEncoder):
        raise ValueError(f'{config}: model.neck is no TransPoseEncoder, there is nothing to draw')
    if checkpoint != 'none':
        try:
            load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
        except RuntimeError as error:
            raise ValueError(f'{checkpoint}: does not fit {config}: {error}') from error
    return model


@torch.no_grad()
def find_dependencies(
    model: nn.Module,
    image: np.ndarray,
    box: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    layer: int | None = None,
) -> Dependencies:
    """Predict one person's keypoints, and where each of their cells looks.

    Args:
        model: Of :func:`load_model`.
        image: (H, W, 3) uint8, BGR.
        box: x1, y1, x2, y2 of the person, pixels; None for the whole image.
        names: Which keypoints; None for all.
        layer: Attention layer, from 1; None for the last.

    Raises:
        ValueError: If there is no such keypoint or layer.
    """
    ids = model.dataset_meta['keypoint_name2id']
    names = list(ids) if names is None else list(names)
    unknown = [name for name in names if name not in ids]
    if unknown:
        raise ValueError(f'no keypoints {unknown}, expected some of {list(ids)}')
    layers = len(model.neck.layers)
    layer = layers if layer is None else layer
    if not 1 <= layer <= layers:
        raise ValueError(f'layer is {layer}, expected 1 to {layers}')

    init_default_scope(model.cfg.get('default_scope', 'mmpose'))
    height, width = image.shape[:2]
    data = Compose(without_truth(tested_dataset(model.cfg).pipeline))(
        {
            'img': image,
            'bbox': np.array([box or (0, 0, width, height)], dtype=np.float32),
            'bbox_score': np.ones(1, dtype=np.float32),
            **model.dataset_meta,
        }
    )
    batch = model.data_preprocessor(pseudo_collate([data]), False)
    feats = model.backbone(batch['inputs'])
    encoded = model.neck(feats)
    instances, fields = model.head.predict(
        encoded, batch['data_samples'], dict(output_heatmaps=True)
    )
    chosen = [ids[name] for name in names]
    keypoints = instances[0].keypoints[0, chosen]  # (K, 2), pixels of the crop
    rows, columns = encoded[-1].shape[-2:]
    crop = data['inputs'].numpy()[::-1].transpose(1, 2, 0)  # (H, W, 3), RGB
    cells = np.floor(keypoints * (columns, rows) / (crop.shape[1], crop.shape[0])).astype(int)
    x, y = np.clip(cells, 0, (columns - 1, rows - 1)).T  # a refined keypoint may lie outside
    attention = model.neck.attention_maps(feats)[layer - 1, 0].numpy()  # (P, P)
    presence = instances[0].get('keypoints_presence')
    heatmaps = fields[0].heatmaps.numpy()[chosen]
    areas = attention[y * columns + x].reshape(-1, rows, columns)
    return Dependencies(
        crop,
        names,
        keypoints,
        instances[0].keypoint_scores[0, chosen],
        None if presence is None else presence[0, chosen],
        heatmaps,
        np.where(heatmaps.max(axis=(1, 2), keepdims=True) > 0, areas, 0),
    )


def draw_dependencies(found: Dependencies, title: str, threshold: float = 0.0) -> Figure:
    """Heatmaps, and below each of them the area on which the keypoint depends.

    Args:
        found: Of :func:`find_dependencies`.
        title: Heading.
        threshold: Smaller shares are not drawn.
    """
    height, width = found.crop.shape[:2]
    across = min(_COLUMNS, len(found.names))
    blocks = -(-len(found.names) // across)
    panel = _PANEL * height / width
    size = max(_PANEL * across + 0.3, 2.4), blocks * (2 * panel + 0.65) + 0.4  # inches
    figure = Figure(figsize=size, layout='constrained')
    figure.suptitle(textwrap.fill(title, int(13 * size[0])), fontsize=9)  # 13 letters an inch
    for block, part in enumerate(np.atleast_1d(figure.subfigures(blocks, 1))):
        grid = part.subplots(2, across, squeeze=False)
        for column, (above, below) in enumerate(grid.T):
            index = block * across + column
            if index >= len(found.names):
                above.set_axis_off()
                below.set_axis_off()
                continue
            heatmap = found.heatmaps[index]
            area = np.where(found.areas[index] < threshold, 0, found.areas[index])
            name = found.names[index].replace('_', ' ')
            told = '' if found.presence is None else f' · present {found.presence[index]:.2f}'
            above.set_title(f'{name}\n{found.scores[index]:.2f}{told}', fontsize=8)
            _overlay(above, found.crop, heatmap, found.keypoints[index])
            _overlay(below, found.crop, area, found.keypoints[index])
            said = f'up to {100 * area.max():.2g} %' if area.any() else 'all smaller'
            below.set_xlabel(said if heatmap.max() > 0 else 'no keypoint', fontsize=8)
            if column == 0:
                above.set_ylabel('heatmap', fontsize=9)
                below.set_ylabel('dependency area', fontsize=9)
    return figure


def _overlay(axes: Axes, crop: np.ndarray, values: np.ndarray, keypoint: np.ndarray) -> None:
    """Show a map over the darkened, grey crop, and mark the keypoint."""
    height, width = crop.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(crop.mean(axis=-1), cmap='gray', vmin=0, vmax=400, extent=extent)
    highest = float(values.max())
    axes.imshow(
        np.maximum(values, 0),
        cmap=_colours(),
        vmin=0,
        vmax=highest if highest > 0 else 1,
        extent=extent,
        interpolation='bilinear',
    )
    axes.plot(*keypoint, color='black', **(_MARK | dict(markeredgewidth=2.6)))
    axes.plot(*keypoint, color='cyan', **_MARK)
    axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])


def _colours() -> ListedColormap:
    """Warm colours that let the crop through where values are low."""
    colours = mpl.colormaps['inferno'](np.linspace(0.35, 1, 256))
    colours[:, 3] = np.linspace(0, 1, 256) ** 0.8 * 0.9
    return ListedColormap(colours)


def main(argv: list[str] | None = None) -> int:
    """Predict, draw, write."""
    args = parse_args(argv)
    try:
        image = mmcv.imread(args.image)
        if image is None:
            raise ValueError(f'{args.image}: no image that can be read')
        model = load_model(args.config, args.checkpoint)
        found = find_dependencies(model, image, args.box, args.keypoints, args.layer)
    except (ValueError, FileNotFoundError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    layers = len(model.neck.layers)
    title = f'{args.image.name}, attention layer {args.layer or layers} of {layers}'
    if args.threshold > 0:
        title += f', shares from {100 * args.threshold:g} %'
    out = args.out or Path(f'{args.image.stem}_dependencies.png')
    with whole_file(out) as partial:
        draw_dependencies(found, title, args.threshold).savefig(partial, dpi=150, format='png')
    print(out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
