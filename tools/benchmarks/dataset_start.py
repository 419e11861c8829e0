"""Time the start of a forecasting data set: first, second, and read as published code reads it.

    python tools/benchmarks/dataset_start.py                        # on generated files
    python tools/benchmarks/dataset_start.py --dataset cmu --data-root data/cmu_mocap

All read the same files in the same run; the table gives medians over the repetitions, and each as
a multiple of the second start. The positions are compared before anything is timed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from projects.forecasting import CMUForecastDataset, Human36MForecastDataset
from projects.forecasting.dataset import PublishedMotionDataset
from projects.skeleton import Skeleton
from projects.synthetic.human36m import write_human36m

DATASETS = dict(human36m=Human36MForecastDataset, cmu=CMUForecastDataset)


def read_joint_by_joint(path: Path, skeleton: Skeleton) -> np.ndarray:
    """A file as the field's published code reads it: line by line, then joint by joint."""
    with open(path, encoding='utf-8') as file:
        lines = [[float(value) for value in line.strip().split(',')] for line in file]
    frames = []
    for line in lines:
        rotations = np.array(line[3:]).reshape(-1, 3)
        rotations[0] = 0
        positions, world = [], []
        for joint, parent in enumerate(skeleton.parents):
            angle = np.linalg.norm(rotations[joint])
            x, y, z = rotations[joint] / (angle + np.finfo(np.float32).eps)
            cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            local = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
            offset = np.array(skeleton.offsets[joint])
            if parent < 0:
                positions.append(np.zeros(3))
                world.append(local)
            else:
                positions.append(positions[parent] + offset @ world[parent])
                world.append(local @ world[parent])
        frames.append(positions)
    return np.array(frames)


def seconds(function: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Compare, time, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--dataset', choices=sorted(DATASETS), default='human36m')
    parser.add_argument('--data-root', type=Path, help='of the data set [generated Human3.6M]')
    parser.add_argument('--split', default='train')
    parser.add_argument('--repetitions', type=int, default=5)
    parser.add_argument(
        '--skip-published', action='store_true', help='leave out what takes minutes on all data'
    )
    args = parser.parse_args()
    if args.data_root is None and args.dataset != 'human36m':
        parser.error('--data-root is needed: only Human3.6M is generated')

    with tempfile.TemporaryDirectory() as folder:
        root = args.data_root
        if root is None:
            write_human36m(folder, subjects=(1,))
            root = Path(folder, 'dataset')

        def start(cache: str) -> PublishedMotionDataset:
            options = dict(cache_dir=str(Path(folder, cache)))
            return DATASETS[args.dataset](str(root), args.split, **options)

        dataset = start('warm')
        sequences, skeleton = dataset.sequences, dataset.skeleton
        expected = read_joint_by_joint(sequences[0].path, skeleton)
        expected = expected[:: dataset.frame_step, list(skeleton.forecast_joints)]
        np.testing.assert_allclose(sequences[0].positions, expected, atol=0.01)

        times: dict[str, list[float]] = {}
        if not args.skip_published:
            paths = [sequence.path for sequence in sequences]
            read = seconds(lambda: [read_joint_by_joint(path, skeleton) for path in paths])
            times['published way, reading alone'] = [read]
        for repetition in range(args.repetitions):
            for name, cache in (('first start', f'cold{repetition}'), ('second start', 'warm')):
                times.setdefault(name, []).append(seconds(lambda cache=cache: start(cache)))

    frames = sum(len(sequence.positions) for sequence in sequences)
    title = f'{len(sequences)} files, {frames} frames at 25 a second, {len(dataset)} windows'
    table = Table(title=title)
    table.add_column('')
    table.add_column('median s', justify='right')
    table.add_column('of the second start', justify='right')
    base = statistics.median(times['second start'])
    for name, values in times.items():
        median = statistics.median(values)
        table.add_row(name, f'{median:.3f}', f'{median / base:.0f} x')
    Console(width=100).print(table)


if __name__ == '__main__':
    main()
