"""What criss-cross attention attends to, measured on data (document, figures 4 to 6)."""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.forecasting.attention import KeysValues, STCAttention

HALVES = ('time', 'joints')
"""Where the halves of the channels look along."""


class Attention(NamedTuple):
    """What one module attends to; H heads, T frames, J joints."""

    name: str
    """Where it is in the model, such as ``encoder.0.attention``."""
    causal: bool
    """Whether a frame sees only itself and the frames before it."""
    maps: dict[str, np.ndarray]
    """``time`` (H, T, T) and ``joints`` (H, J, J) mean weights; rows are queries and sum to 1."""
    bits: dict[str, np.ndarray]
    """Mean entropy (H,) of a query's weights in either half."""
    most_bits: dict[str, float]
    """The same of equal weights on all keys that a query sees."""


def attention_weights(
    module: STCAttention,
    query: Tensor,
    memory: Tensor | KeysValues | None = None,
    causal: bool = False,
) -> dict[str, Tensor]:
    """The weights with which a module sums its values.

    Args:
        module: The module.
        query: (B, T, J, C), as to the module.
        memory: As to the module.
        causal: As to the module.

    Returns:
        ``time`` (B, J, H, T, S), S being the frames of the memory, and ``joints`` (B, T, H, J, J);
        rows are queries.
    """
    if not isinstance(memory, KeysValues):
        memory = module.project(query if memory is None else memory)
    time_query, joint_query = module.query(query).chunk(2, dim=-1)  # (B, T, J, C / 2)
    weights = {}
    for half, queries, key in (
        ('time', time_query.transpose(1, 2), memory.time_key),
        ('joints', joint_query, memory.joint_key),
    ):
        queries = queries.unflatten(-1, (module.num_heads, -1)).transpose(2, 3)
        scores = queries @ key.transpose(-1, -2) / key.shape[-1] ** 0.5
        if half == 'time' and causal:
            hidden = scores.new_ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(hidden, -torch.inf)
        weights[half] = scores.softmax(dim=-1)
    return weights


@torch.no_grad()
def measure(model: nn.Module, batch: dict[str, Any], decoder: bool = True) -> list[Attention]:
    """Run a model and see what its modules attend to.

    Args:
        model: In eval mode, on its device.
        batch: Collated windows.
        decoder: Whether to look at the decoder; it is looked at if nothing else is there.

    Returns:
        One entry a module, in the order of the model.

    Raises:
        ValueError: If the model has no such module, or weights are no finite numbers.
    """
    modules = {n: m for n, m in model.named_modules() if isinstance(m, STCAttention)}
    outside = {name: module for name, module in modules.items() if 'decoder' not in name}
    modules = modules if decoder or not outside else outside
    if not modules:
        raise ValueError(f'{type(model).__name__} has no criss-cross attention to look at')
    calls: dict[str, list[dict[str, Tensor]]] = {name: [] for name in modules}
    masked = set()

    def look(name: str, args: tuple, kwargs: dict) -> None:
        given = inspect.signature(modules[name].forward).bind(*args, **kwargs).arguments
        calls[name].append(attention_weights(modules[name], **given))
        if given.get('causal'):
            masked.add(name)

    hooks = [
        module.register_forward_pre_hook(
            lambda _, args, kwargs, name=name: look(name, args, kwargs), with_kwargs=True
        )
        for name, module in modules.items()
    ]
    try:
        model(**model.data_preprocessor(batch), mode='predict')
    finally:
        for hook in hooks:
            hook.remove()
    return [_summary(name, calls[name], name in masked) for name in modules]


def _summary(name: str, calls: Sequence[dict[str, Tensor]], causal: bool) -> Attention:
    """What a module attends to; a rollout calls it frame by frame, with ever more frames."""
    lengths = [call['time'].shape[-1] for call in calls]
    causal = causal or len(set(lengths)) > 1
    padded = [F.pad(call['time'], (0, max(lengths) - call['time'].shape[-1])) for call in calls]
    weights = dict(
        time=torch.cat(padded, dim=3),  # (B, J, H, T, S)
        joints=torch.cat([call['joints'] for call in calls], dim=1),  # (B, T, H, J, J)
    )
    if not all(half.isfinite().all() for half in weights.values()):
        raise ValueError(f'{name}: attention is not finite, has the training diverged?')
    queries, keys = weights['time'].shape[-2:]
    seen = np.minimum(np.arange(queries) + 1 if causal else keys, keys)  # keys a query sees
    most = [np.log2(count).mean().item() for count in (seen, weights['joints'].shape[-1])]
    return Attention(
        name,
        causal,
        {half: w.double().mean(dim=(0, 1)).cpu().numpy() for half, w in weights.items()},
        {half: _bits(w).mean(dim=(0, 1, 3)).cpu().numpy() for half, w in weights.items()},
        dict(zip(HALVES, most, strict=True)),
    )


def _bits(weights: Tensor) -> Tensor:
    """Entropy of the last axis."""
    return torch.special.entr(weights.double()).sum(dim=-1) / np.log(2)


def distances(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """L1 distances between attention matrices of any sizes, as densities on the unit square.

    The cell of query i and key j of an (L, K) matrix A is 1 / L high, 1 / K wide and has the value
    K * A[i, j], so that a query's density integrates to 1. The distance is the integral of the
    absolute difference. It is exact: both densities are constant on the cells that the edges of
    all grids make together.

    Args:
        matrices: (queries, keys) each; rows sum to 1.

    Returns:
        (N, N), 0 for equal densities, 2 for those that nowhere overlap.
    """
    sizes = {size for matrix in matrices for size in matrix.shape}
    edges = np.unique(np.concatenate([np.linspace(0, 1, size + 1) for size in sizes]))
    middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    fields = np.stack(
        [
            matrix.shape[1] * matrix[np.ix_(*((middles * n).astype(int) for n in matrix.shape))]
            for matrix in matrices
        ]
    )
    return np.stack([np.abs(fields - field) @ widths @ widths for field in fields])


def compare(module: Attention) -> dict[str, Any]:
    """Distances between the halves and heads of a module.

    ``in_place`` takes frames and joints in their order. ``sorted`` compares each matrix's weights
    from a query's largest to its smallest, mean over its queries: only how concentrated they are.

    Args:
        module: Of :func:`measure`.

    Returns:
        ``names`` of the N matrices, equal weights last, and ``in_place`` and ``sorted`` (N, N).
    """
    heads = [(half, head) for half in HALVES for head in range(len(module.maps[half]))]
    matrices = [module.maps[half][head] for half, head in heads] + [np.ones((1, 1))]
    profiles = [np.sort(matrix)[:, ::-1].mean(axis=0, keepdims=True) for matrix in matrices]
    names = [*(f'{half} {head}' for half, head in heads), 'equal']
    return dict(names=names, in_place=distances(matrices), sorted=distances(profiles))
