"""Which frames the attention modules of a model attend to, measured on data.

This is the document's qualitative study of spatio-temporal cross attention (document 004, Results).
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import entr
from torch import Tensor, nn

from projects.star.attention import SpatioTemporalAttention

CLASSES, ALL = 'class tokens', 'all tokens'
"""Whose attention is meant."""
_KINDS = ('FAttn', 'ZAttn', 'BAttn')
_TINY = np.finfo(float).tiny


class ModuleAttention(NamedTuple):
    """The attention of one module; N samples, T frames, S tokens a frame, K class tokens."""

    part: str
    """Where the module is, such as ``encoder``."""
    layer: int
    """Of that part, from 1."""
    place: int
    """Among the layer's attentions, from 1."""
    kind: str
    """Such as ``FAttn``."""
    visible: np.ndarray
    """(T, T) bool, rows are queries and columns keys, True = sees."""
    frames: np.ndarray
    """(N, T, T) attention between frames, rows are queries; a row sums to 1 less what goes to
    class tokens."""
    classes: np.ndarray | None
    """(N, T) attention of the class tokens to frames, likewise; None without class tokens."""
    num_class_tokens: int
    """K."""
    tokens_per_frame: int
    """S."""

    @property
    def name(self) -> str:
        """Such as ``encoder 1 FAttn``."""
        return f'{self.part} {self.layer} {self.kind}'

    def paid(self, source: str) -> np.ndarray | None:
        """(N, T) attention that class tokens or all tokens pay to each frame, mean over queries.

        Args:
            source: ``CLASSES`` or ``ALL``.

        Returns:
            The attention, None if there are no class tokens and theirs is asked for.
        """
        if source == CLASSES:
            return self.classes
        K, S = self.num_class_tokens, self.tokens_per_frame
        total = S * self.frames.sum(axis=1)
        if self.classes is not None:
            total = total + K * self.classes
        return total / (K + S * len(self.visible))

    def shares(self, source: str) -> np.ndarray | None:
        """(N, T) as :meth:`paid`, of what goes to frames at all: rows sum to 1.

        Args:
            source: As in :meth:`paid`.
        """
        paid = self.paid(source)
        if paid is None:
            return None
        paid = paid + _TINY  # equal shares where class tokens get all
        return paid / paid.sum(axis=1, keepdims=True)

    def equal_shares(self, source: str) -> np.ndarray:
        """(T,) the shares if all weights were equal.

        They are 1 / T, but where T is odd, of all tokens of ZAttn and BAttn: frames of the smaller
        group then get more.

        Args:
            source: As in :meth:`paid`.
        """
        K, S, T = self.num_class_tokens, self.tokens_per_frame, len(self.visible)
        if source == CLASSES:
            return np.full(T, 1 / T)
        weights = self.visible / (K + S * self.visible.sum(axis=1, keepdims=True))  # (T, T)
        paid = S * weights.sum(axis=0) + K / (K + S * T)
        return paid / paid.sum()


@torch.no_grad()
def measure(model: nn.Module, loader: Iterable[dict]) -> list[ModuleAttention]:
    """Run a model and see what its attention modules attend to.

    Args:
        model: In eval mode, on its device.
        loader: Of the samples.

    Returns:
        One entry a module, in the order of the model.

    Raises:
        ValueError: If the model has no such modules, they differ in the number of frames, or a
            weight is no finite number.
    """
    modules = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, SpatioTemporalAttention)
    }
    if not modules:
        raise ValueError(
            f'{type(model).__name__} has no FAttn, ZAttn or BAttn, there is nothing to measure'
        )
    rows: dict[str, list[Tensor]] = {name: [] for name in modules}
    sizes: dict[str, tuple[int, int, int]] = {}  # T, S and K
    batch: dict[str, Tensor] = {}

    def look(name: str, x: Tensor, num_frames: int, num_class_tokens: int = 0) -> None:
        K = num_class_tokens
        batch[name] = modules[name].frame_attention(x, num_frames, K).mean(dim=1)  # over heads
        sizes[name] = (num_frames, (x.shape[1] - K) // num_frames, K)

    hooks = [
        module.register_forward_pre_hook(
            lambda _, args, kwargs, name=name: look(name, *args, **kwargs), with_kwargs=True
        )
        for name, module in modules.items()
    ]
    try:
        for data in loader:
            count = len(model.test_step(data))
            for name, found in batch.items():  # (samples * clips, T or 1 + T, T)
                rows[name].append(found.unflatten(0, (count, -1)).mean(dim=1).double().cpu())
    finally:
        for hook in hooks:
            hook.remove()
    lengths = sorted({length for length, _, _ in sizes.values()})
    if len(lengths) > 1:
        raise ValueError(f'modules see {lengths} frames, expected the same number in all')
    found = []
    for name, module in modules.items():
        T, S, K = sizes[name]
        part, layer, place = _position(name)
        paid = torch.cat(rows[name]).numpy()
        if not np.isfinite(paid).all():
            raise ValueError(f'{name}: attention is not finite, has the training diverged?')
        found.append(
            ModuleAttention(
                *(part, layer, place, type(module).__name__, module.visible(T).numpy()),
                frames=paid[:, 1:] if K else paid,
                classes=paid[:, 0] if K else None,
                num_class_tokens=K,
                tokens_per_frame=S,
            )
        )
    return found


def _position(path: str) -> tuple[str, int, int]:
    """Part, layer and place in it of a module such as ``backbone.encoder.0.attentions.1``."""
    steps = path.split('.')
    numbers = [index for index, step in enumerate(steps) if step.isdigit()]
    if not numbers:
        return path, 1, 1
    place = int(steps[numbers[1]]) + 1 if len(numbers) > 1 else 1
    return steps[numbers[0] - 1], int(steps[numbers[0]]) + 1, place


def entropy(shares: np.ndarray) -> np.ndarray:
    """Entropy, bits.

    Args:
        shares: (..., T), sums are 1.
    """
    return entr(shares).sum(axis=-1) / np.log(2)


def thirds(shares: np.ndarray) -> np.ndarray:
    """Shares of the first, middle and last third of the time; frames are cut where a third ends.

    Args:
        shares: (T,) of the frames.

    Returns:
        (3,), each 1/3 of equal shares, whatever T is.
    """
    until = np.concatenate([[0], np.cumsum(shares)])
    return np.diff(np.interp(np.linspace(0, len(shares), 4), np.arange(len(until)), until))


def by_kind(modules: Sequence[ModuleAttention]) -> dict[str, list[ModuleAttention]]:
    """The modules of each type; FAttn, ZAttn and BAttn in this order, as far as there are any.

    Args:
        modules: Of :func:`measure`.
    """
    kinds = dict.fromkeys([*_KINDS, *(module.kind for module in modules)])
    groups = {kind: [module for module in modules if module.kind == kind] for kind in kinds}
    return {kind: group for kind, group in groups.items() if group}


def statistics(modules: Sequence[ModuleAttention], source: str) -> dict[str, Any] | None:
    """Numbers on the attention paid to frames, by one module or as the mean over several.

    Args:
        modules: Of one model.
        source: ``CLASSES`` or ``ALL``.

    Returns:
        ``shares`` of the frames and ``std``, theirs over samples; ``thirds``; ``entropy_bits``,
        ``entropy_bits_std`` over samples, and ``entropy_bits_of_mean``, that of ``shares``;
        ``to_class_tokens``, which part of all attention does not go to frames. None if there are
        no class tokens, and theirs is asked for.
    """
    if any(module.paid(source) is None for module in modules):
        return None
    shares = np.stack([module.shares(source) for module in modules])  # (modules, N, T)
    bits = entropy(shares).mean(axis=0)  # (N,)
    shares = shares.mean(axis=0)
    mean = shares.mean(axis=0)
    return dict(
        shares=mean.tolist(),
        std=shares.std(axis=0).tolist(),
        thirds=thirds(mean).tolist(),
        entropy_bits=float(bits.mean()),
        entropy_bits_std=float(bits.std()),
        entropy_bits_of_mean=float(entropy(mean)),
        to_class_tokens=float(1 - np.mean([module.paid(source).sum(1) for module in modules])),
    )
