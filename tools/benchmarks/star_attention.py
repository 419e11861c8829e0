"""FAttn, ZAttn and BAttn against plain attention of the same weights: time, memory, computation.

    python tools/benchmarks/star_attention.py                         # some minutes on a CPU
    python tools/benchmarks/star_attention.py --device cuda --dtype bfloat16 --batch-size 16

All do forward and backward of one batch, in turn, in one run. The plain ones are what one writes
first: all scores by einsum, those not allowed masked, softmax, einsum. 'split' is a plain one that
knows that each half of the frames reads the other half alone, so it computes no more than ours.
'Over ours' is the time, or memory, over that of our module above: of times the median of the
rounds' ratios. Two that differ in outputs or gradients end the run with an error.

Memory is what one forward and backward adds at most to what was there before: activations,
gradients, and what kernels take for themselves. On a GPU torch counts it. On a CPU torch's profiler
reports each block that its allocator gives and takes back, also inside of fused kernels; the
highest sum is the peak. It is the same in each run, where the size of the process depends on what
the C library keeps: in a new process that runs one step it grew by 2 to 6 % more, and by 32 % more
for 'split', as freed blocks were not used again. Buffers inside of MKL are not seen.

GFLOPs are those of torch's counter, on the unfused path, as torch 2.11's counter sees nothing of
the CPU's fused kernel. 'Attention' are its batched products: scores and values, without the
projections. A fused backward computes the scores once more, which is not in it. The document says
that each half needs a quarter of FAttn; the line below a table gives what pairs of query and key a
half has, class tokens as keys included.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from timing import describe, rounds
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from projects.star.attention import BAttn, FAttn, SpatioTemporalAttention, SplitAttention, ZAttn

COLUMNS = (
    'ms',
    'shortest',
    'over ours',
    'peak MiB',
    'over ours',
    'attention GFLOP',
    "over FAttn's",
    'all GFLOP',
)
Attend = Callable[[SpatioTemporalAttention, Tensor, int, int], Tensor]


def ours(module: SpatioTemporalAttention, x: Tensor, T: int, K: int) -> Tensor:
    """The module itself.

    Args:
        module: Attention.
        x: Tokens, (B, K + T * S, C).
        T: Frames.
        K: Class tokens.
    """
    return module(x, T, K)


def plain(module: SpatioTemporalAttention, x: Tensor, T: int, K: int) -> Tensor:
    """All scores, masked where ``visible`` says so, softmax.

    Args:
        module: Attention whose weights to use.
        x: Tokens, (B, K + T * S, C).
        T: Frames.
        K: Class tokens.
    """
    mask = _mask(module, x.shape[1], T, K, x.device)
    out = _softmax_attention(*_qkv(module, x), mask)
    return module.proj(out.transpose(1, 2).reshape(x.shape))


@cache
def _mask(
    module: SpatioTemporalAttention, length: int, T: int, K: int, device: torch.device
) -> Tensor | None:
    """(L, L) bool, True = sees, made once; None if all see all."""
    visible = module.visible(T)
    if visible.all():
        return None
    S = (length - K) // T
    mask = torch.ones(length, length, dtype=torch.bool)
    mask[K:, K:] = visible.repeat_interleave(S, 0).repeat_interleave(S, 1)
    return mask.to(device)


def plain_split(module: SplitAttention, x: Tensor, T: int, K: int) -> Tensor:
    """The scores of each half with the other half and the class tokens, softmax.

    Args:
        module: Attention whose weights to use.
        x: Tokens, (B, K + T * S, C).
        T: Frames.
        K: Class tokens.
    """
    S = (x.shape[1] - K) // T
    first = ~module.visible(T)[0].repeat_interleave(S)  # what the first frame does not see
    tokens = torch.arange(K, x.shape[1])
    groups = [tokens[first].to(x.device), tokens[~first].to(x.device)]
    classes = torch.arange(K, device=x.device)
    query, key, value = _qkv(module, x)
    out = torch.empty_like(query)
    for group, other in (groups, groups[::-1]):
        seen = torch.cat([classes, other])
        out[:, :, group] = _softmax_attention(
            query[:, :, group], key[:, :, seen], value[:, :, seen]
        )
    if K:
        out[:, :, :K] = _softmax_attention(query[:, :, :K], key, value)
    return module.proj(out.transpose(1, 2).reshape(x.shape))


def _qkv(module: SpatioTemporalAttention, x: Tensor) -> Tensor:
    B, L, C = x.shape
    qkv = module.qkv(x).reshape(B, L, 3, module.num_heads, C // module.num_heads)
    return qkv.permute(2, 0, 3, 1, 4)  # (3, B, H, L, D)


def _softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> Tensor:
    scores = torch.einsum('bhqd,bhkd->bhqk', query, key) / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, float('-inf'))
    return torch.einsum('bhqk,bhkd->bhqd', scores.softmax(dim=-1), value)


class Job:
    """Forward and backward of one batch.

    Args:
        module: Attention.
        attend: Which implementation of it.
        x: Tokens that need a gradient.
        T: Frames.
        K: Class tokens.
    """

    def __init__(
        self, module: SpatioTemporalAttention, attend: Attend, x: Tensor, T: int, K: int
    ) -> None:
        self.module = module
        self.attend = attend
        self.x = x
        self.T = T
        self.K = K
        self.gradient = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x)

    def clear(self) -> None:
        """Take away all gradients."""
        self.x.grad = None
        self.module.zero_grad(set_to_none=True)

    def run(self) -> None:
        """Output and all gradients."""
        self.clear()
        self.attend(self.module, self.x, self.T, self.K).backward(self.gradient)

    def results(self) -> list[Tensor]:
        """The output, and the gradients of the tokens and of all weights."""
        self.run()
        gradients = [self.x.grad, *(parameter.grad for parameter in self.module.parameters())]
        with torch.no_grad():
            return [self.attend(self.module, self.x, self.T, self.K), *gradients]

    def peak_memory(self) -> int:
        """Bytes, see the top of the file."""
        self.run()  # what is made once and stays is made here
        self.clear()
        if self.x.is_cuda:
            torch.cuda.reset_peak_memory_stats(self.x.device)
            before = torch.cuda.memory_allocated(self.x.device)
            self.run()
            return torch.cuda.max_memory_allocated(self.x.device) - before
        options = dict(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True)
        with profile(**options) as profiled:
            self.run()
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / 'trace.json'
            profiled.export_chrome_trace(str(trace))
            events = json.loads(trace.read_text())['traceEvents']
        blocks = [event for event in events if event['name'] == '[memory]']
        blocks = [event['args'] for event in sorted(blocks, key=lambda event: event['ts'])]
        before = blocks[0]['Total Allocated'] - blocks[0]['Bytes']
        return max(block['Total Allocated'] for block in blocks) - before

    def flops(self) -> tuple[int, int]:
        """Operations of attention alone, and of all products."""
        self.clear()
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            self.run()
        return counter.get_flop_counts()['Global'][torch.ops.aten.bmm], counter.get_total_flops()


def query_key_pairs(module: SpatioTemporalAttention, T: int, S: int, K: int) -> int:
    """Pairs of query and key which an attention weighs.

    Args:
        module: Attention.
        T: Frames.
        S: Tokens a frame.
        K: Class tokens; they see, and are seen by, all.
    """
    return int(module.visible(T).sum()) * S * S + 2 * K * T * S + K * K


def make_jobs(
    shape: tuple[int, int, int], T: int, K: int, heads: int, x_options: dict
) -> dict[str, dict[str, Job]]:
    """All implementations of all three, of the same tokens.

    Args:
        shape: Batch, tokens, channels.
        T: Frames.
        K: Class tokens.
        heads: Heads.
        x_options: Device and dtype of tokens and weights.

    Returns:
        Jobs by name of the module, and there by name of the implementation, ours first.
    """
    torch.manual_seed(0)
    x = torch.randn(shape).to(**x_options).requires_grad_()
    jobs = {}
    for kind in (FAttn, ZAttn, BAttn):
        module = kind(shape[2], heads).to(**x_options)
        ways = dict(ours=ours, plain=plain)
        if isinstance(module, SplitAttention):
            ways = {'ours': ours, 'plain, masked': plain, 'plain, split': plain_split}
        jobs[kind.__name__] = {name: Job(module, way, x, T, K) for name, way in ways.items()}
    return jobs


def difference(job: Job, other: Job) -> float:
    """The largest difference of outputs and gradients, each over its largest value.

    Args:
        job: One implementation.
        other: Another one of the same module and tokens.
    """
    pairs = zip(job.results(), other.results(), strict=True)
    return max(((one - two).abs().max() / two.abs().max()).item() for one, two in pairs)


def measure(jobs: dict[str, dict[str, Job]], repeats: int, device: torch.device) -> list[list[str]]:
    """The rows of the table.

    Args:
        jobs: See :func:`make_jobs`.
        repeats: Rounds of timing.
        device: Where the jobs are.

    Raises:
        RuntimeError: If two implementations differ.
    """
    times = rounds(
        {f'{kind} {way}': job.run for kind, ways in jobs.items() for way, job in ways.items()},
        repeats,
        device,
    )
    whole = jobs['FAttn']['ours'].flops()[0]
    rows = []
    for kind, ways in jobs.items():
        own = ways['ours']
        limit = 1e-3 if own.x.dtype == torch.float32 else 0.1
        own_times, own_memory = times[f'{kind} ours'], own.peak_memory()
        for way, job in ways.items():
            apart = difference(own, job)
            if not apart < limit:
                raise RuntimeError(f'{kind}: {way} differs by {apart:.2g}, expected < {limit}')
            seconds, memory = times[f'{kind} {way}'], job.peak_memory()
            ratios = [one / two for one, two in zip(seconds, own_times, strict=True)]
            attention, total = job.flops()
            rows.append(
                [
                    kind if job is own else f'  {way}',
                    f'{1e3 * statistics.median(seconds):.2f}',
                    f'{1e3 * min(seconds):.2f}',
                    f'{statistics.median(ratios):.2f}',
                    f'{memory / 2**20:.2f}',
                    f'{memory / own_memory:.2f}',
                    f'{attention / 1e9:.4g}',
                    f'{attention / whole:.3f}',
                    f'{total / 1e9:.4g}',
                ]
            )
    return rows


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--joints', type=int, nargs='+', default=[13, 25], help='N [13 25]')
    parser.add_argument('--grid', type=int, default=7, help='cells along one side [7]')
    parser.add_argument('--frames', type=int, default=16, help='T [16]')
    parser.add_argument('--class-tokens', type=int, default=3, help='K [3]')
    parser.add_argument('--channels', type=int, default=512, help='C [512]')
    parser.add_argument('--heads', type=int, default=8, help='[8]')
    parser.add_argument('--batch-size', type=int, default=4, help="[4, the document's]")
    parser.add_argument('--dtype', choices=['float32', 'bfloat16', 'float16'], default='float32')
    parser.add_argument('--repeats', type=int, default=10)
    parser.add_argument('--threads', type=int, help="of a CPU [torch's choice]")
    parser.add_argument('--device', help='cpu, cuda:0, ... [the GPU if there is one]')
    args = parser.parse_args()
    device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    if args.threads:
        torch.set_num_threads(args.threads)

    T, K = args.frames, args.class_tokens
    for joints in args.joints:
        S = args.grid**2 + joints
        shape = (args.batch_size, K + T * S, args.channels)
        options = dict(device=device, dtype=getattr(torch, args.dtype))
        jobs = make_jobs(shape, T, K, args.heads, options)
        table = Table(
            title=f'Forward and backward of {shape[0]} x {shape[1]} tokens ({T} frames, '
            f'{args.grid}x{args.grid} grid, {joints} joints, {K} class tokens), '
            f'{args.channels} channels, {args.dtype}; {describe(device)}, {args.repeats} rounds',
            title_justify='left',
        )
        table.add_column('')
        for column in COLUMNS:
            table.add_column(column, justify='right')
        for row in measure(jobs, args.repeats, device):
            table.add_row(*row)
        console = Console(width=120)
        console.print(table)
        pairs = {kind: query_key_pairs(ways['ours'].module, T, S, K) for kind, ways in jobs.items()}
        half = (T + 1) // 2 * S * (T // 2 * S + K)
        console.print(
            f'Pairs of query and key: FAttn {pairs["FAttn"]}, ZAttn {pairs["ZAttn"]}; '
            f"the first half of ZAttn and BAttn has {half / pairs['FAttn']:.4f} of FAttn's\n"
        )


if __name__ == '__main__':
    main()
