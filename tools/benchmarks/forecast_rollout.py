"""Autoregressive rollout against a forecast in one pass, of decoders of the same size.

    OMP_NUM_THREADS=1 python tools/benchmarks/forecast_rollout.py --threads 1     # ten minutes
    python tools/benchmarks/forecast_rollout.py --device cuda

All forecast the same people without gradients, in turn, in one run. 'One pass' is STCFormer, whose
decoder reads the last pose in all frames. 'Rollout' is STCFormerAutoregressive with the keys and
values of earlier frames kept; 'without cache' is what one writes first: the whole decoder on all
frames so far, for each new frame; it is timed at the smaller number of frames. The document reports
6 times the time of one pass for its own. Rollouts that differ by more than 1e-3 mm end the run with
an error; for that the random weights of the output are a tenth of torch's, so that poses move by
decimetres, as people do.

'Whole' is the forecast with the encoder, 'decoder' the part after it and after the map of the
memory's time axis. 'Ratio' is the time over that of one pass, the median of the rounds' ratios. On
a CPU with one thread, time is that of the thread, which does not count what other processes take;
else that of the clock.

Below the tables is how time grows with the number of frames. A cost of a n + b n^2 through both
measured points gives the quadratic part, which is attention along time: frame i reads i frames of
its own and all n of the memory.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from rich.console import Console
from rich.table import Table
from timing import describe, rounds
from torch import Tensor

from projects.forecasting import STCFormer, STCFormerAutoregressive
from projects.forecasting.attention import KeysValues

ROWS = ('one pass', 'rollout', 'without cache')
LIMIT = 1e-3
"""Millimetres that two rollouts may differ by."""


def without_cache(model: STCFormerAutoregressive, memory: Tensor, observed: Tensor) -> Tensor:
    """The rollout with the whole decoder for each frame.

    Args:
        model: Whose weights to use.
        memory: (B, T', J, C), see :meth:`STCFormer.memory`.
        observed: (B, T, J, 3) millimetres.

    Returns:
        (B, T', J, 5), as :meth:`STCFormerAutoregressive.roll_out`.
    """
    poses = observed[:, -1:]
    for frame in range(1, model.num_frames_out + 1):
        x = model.embed(model.decoder_input(poses, observed))  # (B, frame, J, C)
        for block in model.decoder:
            read = block.cross_attention.project(memory)
            joints = read.joint_key[:, :frame], read.joint_value[:, :frame]
            x = block(x, KeysValues(read.time_key, read.time_value, *joints))
        output = model.head(model.decoder_norm(x))
        newest = model.positions(output[:, -1:, :, :3], observed)
        poses = torch.cat([poses, newest], dim=1)
    return output


class Case:
    """Both models at one size, and the people that they forecast.

    Args:
        num_frames_out: T'.
        channels: C.
        options: Further options of both models.
        batch_size: B.
        device: That they run on.
    """

    def __init__(
        self,
        num_frames_out: int,
        channels: int,
        options: dict[str, int],
        batch_size: int,
        device: torch.device,
    ) -> None:
        torch.manual_seed(0)
        options = dict(options, num_frames_out=num_frames_out, channels=channels)
        self.plain = STCFormer(**options).to(device).eval()
        self.model = STCFormerAutoregressive(**options).to(device).eval()
        for weights in self.model.head.parameters():
            weights.data *= 0.1
        T, J = self.model.num_frames, self.model.num_joints
        pose = 300 * torch.randn(batch_size, 1, J, 3)  # millimetres
        steps = 10 * torch.randn(batch_size, T, J, 3)
        self.observed = (pose + steps.cumsum(dim=1)).to(device)
        with torch.no_grad():
            self.memory = self.model.memory(self.model.seen(self.observed))

    def wholes(self) -> dict[str, Callable[[], Tensor]]:
        """Forecasts from observed poses to future ones, by row."""
        return {
            'one pass': lambda: self.plain.forecast(self.observed),
            'rollout': lambda: self.model.forecast(self.observed),
            'without cache': lambda: self._whole_without_cache(self.observed),
        }

    def decoders(self) -> dict[str, Callable[[], Tensor]]:
        """Decoders that read the encoder's memory, by row."""
        query = self.observed[:, -1:].expand(-1, self.model.num_frames_out, -1, -1)
        return {
            'one pass': lambda: self.plain.decode(query / self.plain.unit, self.memory),
            'rollout': lambda: self.model.roll_out(self.memory, self.observed),
            'without cache': lambda: without_cache(self.model, self.memory, self.observed),
        }

    def check(self) -> float:
        """How far both rollouts are apart.

        Returns:
            The largest difference of a coordinate in millimetres.

        Raises:
            RuntimeError: If it is above the limit.
        """
        few = self.observed[:8]
        apart = (self._whole_without_cache(few) - self.model.forecast(few)).abs().max()
        if not apart <= LIMIT:
            raise RuntimeError(f'the rollouts differ by {apart:.2g} mm, expected {LIMIT} at most')
        return apart.item()

    def _whole_without_cache(self, observed: Tensor) -> Tensor:
        memory = self.model.memory(self.model.seen(observed))
        output = without_cache(self.model, memory, observed)
        return self.model.positions(output[..., :3], observed)


def measure(
    case: Case,
    rows: Sequence[str],
    repeats: int,
    device: torch.device,
    clock: Callable[[], float],
) -> tuple[dict[str, float], list[list[str]]]:
    """Time both parts of some rows, at one size.

    Args:
        case: Models and people.
        rows: Their names, 'one pass' among them.
        repeats: Rounds.
        device: That they run on.
        clock: Gives seconds.

    Returns:
        Median seconds of the decoders by row, and the table's cells.
    """
    parts = dict(whole=case.wholes(), decoder=case.decoders())
    jobs = {f'{part} {row}': jobs[row] for part, jobs in parts.items() for row in rows}
    times = rounds(jobs, repeats, device, clock)
    cells = []
    for row in rows:
        cells.append([row])
        for part in parts:
            own, base = times[f'{part} {row}'], times[f'{part} one pass']
            ratios = [one / two for one, two in zip(own, base, strict=True)]
            cells[-1] += [
                f'{1e3 * statistics.median(own):.1f}',
                f'{1e3 * min(own):.1f}',
                f'{statistics.median(ratios):.2f}',
            ]
    return {row: statistics.median(times[f'decoder {row}']) for row in rows}, cells


def growth(few: float, many: float, frames: tuple[int, int]) -> str:
    """How time grew, in words.

    Args:
        few: Seconds for the smaller number of frames.
        many: Seconds for the larger.
        frames: Both numbers.
    """
    short, long = frames
    ratio = long / short
    # many = a * long + b * long ** 2, few likewise
    quadratic = (many - ratio * few) / (long**2 - ratio * short**2)
    share = max(quadratic * long**2 / many, 0)
    return (
        f'{many / few:.1f} x the time for {ratio:g} x the frames (linear {ratio:g}, quadratic '
        f'{ratio**2:g}); quadratic part at {long} frames {100 * share:.0f} %'
    )


@torch.no_grad()
def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--frames', type=int, nargs=2, default=[25, 100], help="T' [25 100]")
    parser.add_argument('--channels', type=int, nargs='+', default=[32, 64], help='C [32 64]')
    parser.add_argument('--joints', type=int, default=22, help='J [22]')
    parser.add_argument('--blocks', type=int, default=2, help='[2]')
    parser.add_argument('--heads', type=int, default=1, help='[1]')
    parser.add_argument('--batch-size', type=int, default=256, help="[256, the document's]")
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, help="of a CPU [torch's choice]")
    parser.add_argument('--device', help='cpu, cuda:0, ... [the GPU if there is one]')
    args = parser.parse_args()
    if args.frames[0] >= args.frames[1]:
        parser.error(f'--frames is {args.frames}, expected a smaller number first')
    device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    if args.threads:
        torch.set_num_threads(args.threads)
    alone = device.type == 'cpu' and torch.get_num_threads() == 1
    clock = time.thread_time if alone else time.perf_counter

    console = Console()
    options = dict(num_joints=args.joints, num_blocks=args.blocks, num_heads=args.heads)
    columns = ('whole, ms', 'min', 'ratio', 'decoder, ms', 'min', 'ratio')
    for channels in args.channels:
        seconds = []
        for frames in args.frames:
            case = Case(frames, channels, options, args.batch_size, device)
            apart = case.check()
            # without cache more frames take minutes
            rows = ROWS if frames == args.frames[0] else ROWS[:2]
            medians, cells = measure(case, rows, args.repeats, device, clock)
            seconds.append(medians)
            table = Table(
                title=f'10 to {frames} frames, {args.batch_size} people, {args.joints} joints, '
                f'{channels} channels; rollouts apart by {apart:.1e} mm; {describe(device)}, '
                f'{args.repeats} rounds'
            )
            table.add_column('', no_wrap=True)
            for column in columns:
                table.add_column(column, justify='right')
            for row in cells:
                table.add_row(*row)
            console.print(table)
        for row in ROWS[:2]:
            grown = growth(seconds[0][row], seconds[1][row], tuple(args.frames))
            console.print(f"{row}'s decoder: {grown}", soft_wrap=True)


if __name__ == '__main__':
    main()
