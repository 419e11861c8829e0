"""Turns a published TransPose-R checkpoint into one of this project's model.

    python tools/convert_transpose.py tp_r_256x192_enc4_d256_h1024_mh8.pth transpose-r-a4.pth

The published files (https://github.com/yangsenius/TransPose, MIT licence) are plain dicts of
tensors. Names change, weights do not. A fixed sine position is left out, as it is computed; a
learnt one is kept. With --presence the heatmap head's weights get the names that they have inside
of a KeypointPresenceHead, whose own networks stay to be trained. Nothing is written unless every
weight of the model is there with its shape, and no other.
"""

import argparse
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import Tensor

from projects.files import whole_file
from projects.presence.transpose import TransPoseEncoder
from projects.upstream import load_from_local

# Beginnings of names, the original's and ours.
_RENAMED = {
    'conv1.': 'backbone.conv1.',
    'bn1.': 'backbone.bn1.',
    'layer1.': 'backbone.layer1.',
    'layer2.': 'backbone.layer2.',
    'reduce.': 'neck.reduce.',
    'global_encoder.layers.': 'neck.layers.',
    'deconv_layers.': 'head.deconv_layers.',
    'final_layer.': 'head.final_layer.',
}
_POSITION = 'pos_embedding'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', metavar='IN', type=Path, help='published .pth file')
    parser.add_argument('target', metavar='OUT', type=Path, help='.pth file to write')
    parser.add_argument(
        '--presence', action='store_true', help='for a model with a KeypointPresenceHead'
    )
    return parser.parse_args(argv)


def convert(weights: Mapping[str, Tensor], presence: bool = False) -> dict[str, Tensor]:
    """The weights of TransPose-R by the names of a ``TopdownPoseEstimator``.

    Args:
        weights: By the original's names.
        presence: Whether the heatmap head is inside of a ``KeypointPresenceHead``.

    Returns:
        The same tensors, and a learnt position as (1, P, C).

    Raises:
        ValueError: If a weight is missing, is none of the model's or has another shape; all such
            names are listed.
    """
    foreign = [str(name) for name, value in weights.items() if not isinstance(value, Tensor)]
    if foreign:
        raise ValueError(f'not tensors: {_listed(foreign)}; expected a plain dict of weights')
    renamed, unknown = {}, []
    position = weights.get(_POSITION)
    for name, value in weights.items():
        begin = next((begin for begin in _RENAMED if name.startswith(begin)), None)
        if begin is not None:
            renamed[_RENAMED[begin] + name.removeprefix(begin)] = value
        elif name != _POSITION:
            unknown.append(name)
    learnt = position is not None and not is_sine(position)
    if learnt:
        renamed['neck.position_embedding'] = position.transpose(0, 1).contiguous()
    expected = _expected_shapes(renamed)
    originals = {ours: begin for begin, ours in _RENAMED.items()}
    unknown += [_original(name, originals) for name in renamed if name not in expected]
    missing = [_original(name, originals) for name in expected if name not in renamed]
    if unknown or missing:
        raise ValueError(
            f'no checkpoint of TransPose-R; missing: {_listed(missing)}; unknown: '
            f'{_listed(unknown)}'
        )
    wrong = [
        f'{_original(name, originals)} {tuple(value.shape)}, expected {tuple(expected[name])}'
        for name, value in renamed.items()
        if value.shape != expected[name]
    ]
    if wrong:
        raise ValueError(f'weights of another shape: {_listed(wrong)}')
    if presence:
        renamed = {re.sub(r'^head\.', 'head.pose_head.', name): renamed[name] for name in renamed}
    return renamed


def is_sine(position: Tensor) -> bool:
    """Whether a position embedding is the fixed one, of any height and width.

    Args:
        position: (P, 1, C), as the original keeps it.

    Raises:
        ValueError: If it has another shape.
    """
    if position.dim() != 3 or position.shape[1] != 1:
        raise ValueError(f'{_POSITION} has shape {tuple(position.shape)}, expected (P, 1, C)')
    cells, _, channels = position.shape
    if channels % 4:
        return False
    encoder = TransPoseEncoder(4, channels, num_layers=1, num_heads=1, feedforward_channels=1)
    heights = [height for height in range(1, cells + 1) if cells % height == 0]
    return any(
        torch.allclose(
            encoder.sine_position(torch.empty(0, 0, height, cells // height))[0],
            position[:, 0].float(),
            atol=1e-4,
        )
        for height in heights
    )


def _expected_shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Shapes of the model's weights; of what varies, the checkpoint tells the sizes."""

    def size(name: str, axis: int, default: int) -> int:
        shape = weights[name].shape if name in weights else ()
        return shape[axis] if len(shape) > axis else default

    found = [re.match(r'neck\.layers\.(\d+)\.', name) for name in weights]
    num_layers = len({match[1] for match in found if match}) or 4
    embed_dims = size('neck.reduce.weight', 0, 256)
    learnt = 'neck.position_embedding' in weights
    config = dict(
        type='TopdownPoseEstimator',
        backbone=dict(
            type='ResNet',
            depth=50,
            num_stages=2,
            strides=(1, 2),
            dilations=(1, 1),
            out_indices=(1,),
        ),
        neck=dict(
            type='TransPoseEncoder',
            in_channels=512,
            embed_dims=embed_dims,
            num_layers=num_layers,
            num_heads=1,  # no shape depends on it
            feedforward_channels=size('neck.layers.0.linear1.weight', 0, 1024),
            position='learnable' if learnt else 'none',
            feature_size=(size('neck.position_embedding', 1, 1), 1),
        ),
        head=dict(
            type='HeatmapHead',
            in_channels=embed_dims,
            out_channels=size('head.final_layer.weight', 0, 17),
            deconv_out_channels=(size('head.deconv_layers.0.weight', 1, 256),),
            deconv_kernel_sizes=(4,),
        ),
    )
    with torch.device('meta'):
        model = MODELS.build(config)
    return {name: value.shape for name, value in model.state_dict().items()}


def _original(name: str, originals: Mapping[str, str]) -> str:
    """The original's name of a weight."""
    if name == 'neck.position_embedding':
        return _POSITION
    begin = next(begin for begin in originals if name.startswith(begin))
    return originals[begin] + name.removeprefix(begin)


def _listed(names: list[str], most: int = 20) -> str:
    """Names for a message, of a wholly different model's weights only the first."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return (', '.join(sorted(names)[:most]) or 'none') + more


def main(argv: list[str] | None = None) -> int:
    """Convert, check, write."""
    args = parse_args(argv)
    init_default_scope('mmpose')
    try:
        weights = load_from_local(str(args.source), map_location='cpu')
        if not isinstance(weights, Mapping):
            raise ValueError(f'holds a {type(weights).__name__}, expected a plain dict of weights')
        converted = convert(weights, args.presence)
    except FileNotFoundError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except ValueError as error:
        where = '' if str(args.source) in str(error) else f'{args.source}: '
        print(f'error: {where}{error}', file=sys.stderr)
        return 1
    try:
        with whole_file(args.target) as partial:
            torch.save(dict(state_dict=converted), partial)
    except (OSError, RuntimeError) as error:  # torch tells of a file as of its own errors
        reason = str(error).splitlines()[0]
        print(f'error: {args.target}: cannot be written ({reason})', file=sys.stderr)
        return 1
    learnt = 'neck.position_embedding' in converted
    position = 'learnable' if learnt else 'sine' if _POSITION in weights else 'none'
    count = sum(math.prod(value.shape) for value in converted.values())
    print(f'{args.target}: {len(converted)} tensors, {count:,} numbers, position={position!r}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
