"""What the benchmarks of models share: fair timing of several jobs, and generated people."""

import statistics
import time
from collections.abc import Callable

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData


def interleaved(
    jobs: dict[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, float]:
    """Median seconds of each job, see :func:`rounds`.

    Args:
        jobs: What to time, by name.
        repeats: How often.
        device: That the jobs run on.

    Returns:
        Seconds by name.
    """
    times = rounds(jobs, repeats, device)
    return {name: statistics.median(values) for name, values in times.items()}


def rounds(
    jobs: dict[str, Callable[[], object]],
    repeats: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each job, the jobs run in turn so that a busy machine hits all of them.

    Args:
        jobs: What to time, by name. Each is run once before anything is timed.
        repeats: How often.
        device: That the jobs run on.
        clock: Gives seconds; ``time.thread_time`` does not count what other processes take from a
            job of one thread.

    Returns:
        Seconds of every repeat by name; those of one place were measured right after each other.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for repeat in range(repeats + 1):
        for name, job in jobs.items():
            _wait(device)
            start = clock()
            job()
            _wait(device)
            if repeat:
                times[name].append(clock() - start)
    return times


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'CPU, {torch.get_num_threads()} threads'


def make_sample(
    size: tuple[int, int], people: int, parts: int, states: int, generator: torch.Generator
) -> DetDataSample:
    """An image's metainfo, and people of random boxes with all parts.

    Args:
        size: Height and width of the image.
        people: How many.
        parts: K.
        states: S.
        generator: Of the random numbers.
    """
    sample = DetDataSample(
        metainfo=dict(
            img_id=0,
            ori_shape=size,
            img_shape=size,
            batch_input_shape=size,
            scale_factor=(1.0, 1.0),
        )
    )
    extent = torch.tensor(size[::-1]).repeat(2)  # width, height, width, height

    def boxes(*shape: int) -> torch.Tensor:
        corner = torch.rand(*shape, 2, generator=generator) * 0.6
        extents = 0.1 + torch.rand(*shape, 2, generator=generator) * 0.3
        return torch.cat([corner, corner + extents], dim=-1) * extent  # (..., 4)

    sample.gt_instances = InstanceData(
        bboxes=boxes(people),
        labels=torch.zeros(people, dtype=torch.long),
        part_bboxes=boxes(people, parts),
        part_valid=torch.ones(people, parts, dtype=torch.bool),
        part_states=torch.randint(states, (people, parts), generator=generator),
    )
    return sample
