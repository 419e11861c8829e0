"""PoseRAC beside counting without learning: errors of the counts, and frames a second.

    OMP_NUM_THREADS=1 python tools/benchmarks/poserac_against_peaks.py \
        configs/poserac/poserac_toy.py work_dirs/poserac_toy/epoch_60.pth

All ways count the same poses, those of the config's test data set, normalised as its pipeline does.
Those without learning read one signal: the first principal component of a video's poses, bridged
where poses are missing, and smoothed.

- "peaks": scipy's ``find_peaks`` with a least prominence, as a share of the signal's range, and a
  least distance. The signal has a top or a bottom at each repetition, depending on a sign that
  means nothing; the side with more of them is counted, or the one with fewer.
- "autocorrelation": the frames in which the signal moves, without longer pauses, divided by its
  dominant period.

Their settings are those of a small grid that count the training videos best: by OBO, and among
equals by absolute error. They are printed, and then hold for all test videos. It takes training
videos of as many repetitions as the test videos have; the line printed says how many there are.
Test videos that play one clip over and over are no contest: what is exactly periodic is what the
autocorrelation counts without fail.
PoseRAC counts the class that it finds (protocol ``predicted``); the others know no classes. So none
of the ways uses anything of the truth of a test video.

Frames a second are from normalised poses in memory to counts, all ways in turns in one run: PoseRAC
in the config's batches, with its choice of the class, the others video by video.
"""

import argparse
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import load_checkpoint
from rich.console import Console
from rich.table import Table
from scipy.signal import correlate, find_peaks, savgol_filter
from sklearn.decomposition import PCA
from timing import describe, interleaved

from projects.poserac.metric import counting_errors

SMOOTHING = 15  # frames, half a second at 30 frames/s; longer than jitter, shorter than repetitions
LEAST_PERIOD = 10  # frames
STILL = 0.02  # range of a signal in which nobody moves, in extents of a pose
SAME_PERIOD = 0.7  # of the highest autocorrelation: multiples of a period are periods, too


def motion_signal(poses: np.ndarray) -> np.ndarray:
    """What changes most in a sequence of poses, as one number a frame.

    Args:
        poses: (T, J, D) normalised, NaN where a pose is missing.

    Returns:
        (T,) float64 smoothed first principal component, the root mean square over the coordinates:
        in extents of a pose, of either sign. Zeros if less than three frames have a pose.
    """
    vectors = poses.reshape(len(poses), -1)  # (T, J * D)
    seen = np.isfinite(vectors).all(axis=1)
    if seen.sum() < 3:
        return np.zeros(len(poses))
    first = PCA(1, svd_solver='covariance_eigh').fit_transform(vectors[seen])[:, 0]
    # a projection is linear: to interpolate it is to interpolate the poses
    signal = np.interp(np.arange(len(poses)), np.flatnonzero(seen), first.astype(np.float64))
    signal /= math.sqrt(vectors.shape[1])
    window = min(SMOOTHING, len(signal) - 1 + len(signal) % 2)  # odd
    return savgol_filter(signal, window, 2)


def count_peaks(signal: np.ndarray, prominence: float, distance: int, side: str) -> int:
    """Repetitions as extremes of a signal.

    Args:
        signal: (T,) of :func:`motion_signal`.
        prominence: Least prominence of an extreme, as a share of the signal's range.
        distance: Least frames between two extremes.
        side: ``'more'`` or ``'fewer'``: which of the tops and the bottoms to count.
    """
    extent = _extent(signal)
    if extent < STILL:
        return 0
    sides = (
        len(find_peaks(values, prominence=prominence * extent, distance=distance)[0])
        for values in (signal, -signal)
    )
    return max(sides) if side == 'more' else min(sides)


def count_periods(signal: np.ndarray, activity: float, pause: int) -> int:
    """Repetitions as periods of a signal's active stretch.

    Args:
        signal: (T,) of :func:`motion_signal`.
        activity: Least speed of a frame in which the signal moves, as a share of the 95th
            percentile.
        pause: Most frames without motion that are part of a repetition.
    """
    if _extent(signal) < STILL:
        return 0
    speed = np.abs(np.gradient(signal))
    moving = np.flatnonzero(speed > activity * np.percentile(speed, 95))
    if not len(moving):
        return 0
    steps = np.diff(moving)
    active = np.append(np.repeat(steps <= pause, steps), True)  # from the first to the last moving
    stretch = signal[moving[0] : moving[-1] + 1][active]
    period = dominant_period(stretch)
    return 1 if period is None else max(1, round(len(stretch) / period))


def dominant_period(signal: np.ndarray) -> int | None:
    """Frames after which a signal is most like itself, None if it never is again.

    Args:
        signal: (T,), T at least 1.
    """
    signal = signal - signal.mean()
    likeness = correlate(signal, signal, method='fft')[len(signal) - 1 :]  # (T,) by lag
    lags = find_peaks(likeness)[0]
    lags = lags[(lags >= LEAST_PERIOD) & (likeness[lags] > 0)]
    if not len(lags):
        return None
    return int(lags[np.argmax(likeness[lags] >= SAME_PERIOD * likeness[lags].max())])


def _extent(signal: np.ndarray) -> float:
    """Range of a signal but for its outliers."""
    low, high = np.percentile(signal, [5, 95])
    return float(high - low)


@dataclass(frozen=True)
class Baseline:
    """A way to count that is not learned but for its settings.

    Args:
        count: From a signal and settings to a count.
        grid: Values to choose from, by setting.
    """

    count: Callable[..., int]
    grid: dict[str, tuple]

    def tune(
        self, signals: Sequence[np.ndarray], counts: Sequence[int]
    ) -> tuple[dict[str, Any], dict[str, float]]:
        """The settings that count best: by OBO, among equals by absolute error, then the first.

        Args:
            signals: N signals of :func:`motion_signal`.
            counts: N true counts.

        Returns:
            The settings, and their errors on these signals.
        """
        tried = []
        for values in itertools.product(*self.grid.values()):
            settings = dict(zip(self.grid, values, strict=True))
            found = [self.count(signal, **settings) for signal in signals]
            tried.append((settings, counting_errors(found, counts)))
        return min(tried, key=lambda one: (-one[1]['OBO'], one[1]['absolute_error']))


BASELINES = {
    'peaks': Baseline(
        count_peaks,
        dict(
            prominence=(0.02, 0.05, 0.1, 0.2, 0.3, 0.4),
            distance=(10, 20, 30, 40, 50),
            side=('more', 'fewer'),
        ),
    ),
    'autocorrelation': Baseline(
        count_periods, dict(activity=(0.1, 0.2, 0.3, 0.4, 0.5), pause=(10, 20, 30, 45, 60, 90))
    ),
}


def load_data(dataset: BaseDataset) -> tuple[list[torch.Tensor], list[dict[str, Any]]]:
    """All sequences of a data set in memory.

    Args:
        dataset: Of samples with ``poses`` and ``meta``.

    Returns:
        N sequences (T, J, D), NaN where a pose is missing, and their N ``meta``.
    """
    samples = [dataset[index] for index in range(len(dataset))]
    return [sample['poses'] for sample in samples], [sample['meta'] for sample in samples]


def load_model(cfg: Config, checkpoint: str, device: torch.device) -> BaseModel:
    """The config's model with the weights of a checkpoint.

    Args:
        cfg: The config.
        checkpoint: Path or URL.
        device: To count on.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it holds more than weights, or its weights are not the model's.
    """
    model = MODELS.build(cfg.model)
    try:
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except RuntimeError as error:
        raise ValueError(f'{checkpoint}: does not fit the model of the config: {error}') from error
    return model.to(device).eval()


def model_counts(model: BaseModel, sequences: Sequence[torch.Tensor], batch_size: int) -> list[int]:
    """Repetitions of the class that the model finds, 0 where it finds none.

    Args:
        model: PoseRAC.
        sequences: N sequences (T, J, D).
        batch_size: Sequences at once.
    """
    counts = []
    for start in range(0, len(sequences), batch_size):
        for output in model.test_step(dict(poses=sequences[start : start + batch_size])):
            label = output['predicted_label']
            counts.append(int(output['counts'][label]) if label >= 0 else 0)
    return counts


def training_data(cfg: Config, ann_file: str, pose_dir: str) -> BaseDataset:
    """The videos to tune on: read as the config's test data set is.

    Args:
        cfg: The config.
        ann_file: Annotation in the data root.
        pose_dir: Folder of poses in the data root.
    """
    options = dict(cfg.test_dataloader.dataset, ann_file=ann_file, pose_dir=pose_dir)
    options.pop('indices', None)  # of the test videos
    return DATASETS.build(options)


def results_table(
    counts: dict[str, list[int]], true: Sequence[int], speeds: dict[str, float], title: str
) -> Table:
    """Errors and speed of each way.

    Args:
        counts: N counts by way.
        true: N true counts.
        speeds: Frames a second by way.
        title: Of the table.
    """
    table = Table(title=title, title_justify='left', caption_justify='left')
    table.add_column('')
    for column in ('MAE', 'OBO', 'absolute error', 'zero: mean count', 'zero: OBO', 'frames/s'):
        table.add_column(column, justify='right')
    for name, found in counts.items():
        errors = counting_errors(found, true)
        shown = ('MAE', 'OBO', 'absolute_error', 'zero/mean_count', 'zero/OBO')
        cells = ['-' if math.isnan(errors[key]) else f'{errors[key]:.3f}' for key in shown]
        table.add_row(name, *cells, f'{speeds[name]:.0f}')
    zero = sum(count == 0 for count in true)
    table.caption = (
        'MAE: abs(counted - true) / true. PoseRAC counts the class that it finds, the others know '
        'none.'
    )
    if zero:
        table.caption += f' MAE is without the samples of true count 0; zero: these alone ({zero}).'
    return table


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of PoseRAC')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--tune-ann-file',
        default='annotation/train.csv',
        help='of the videos that the other ways are tuned on, in the data root [%(default)s]',
    )
    parser.add_argument(
        '--tune-pose-dir', default='train_poses', help='of their poses [%(default)s]'
    )
    parser.add_argument('--repeats', type=int, default=5, help='of the timing [%(default)s]')
    parser.add_argument(
        '--device', default='cpu', help='of PoseRAC: cpu (one thread), cuda:0 ... [%(default)s]'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE'
    )
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error(f'--repeats is {args.repeats}, expected at least 1')
    return args


def main(argv: list[str] | None = None) -> None:
    """Tune, count, time, print."""
    args = parse_args(argv)
    torch.set_num_threads(1)
    device = torch.device(args.device)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    model = load_model(cfg, args.checkpoint, device)

    console = Console(width=110, soft_wrap=True, highlight=False)
    test = DATASETS.build(cfg.test_dataloader.dataset)
    train = training_data(cfg, args.tune_ann_file, args.tune_pose_dir)
    sequences, metas = load_data(test)
    tuning, tuning_metas = load_data(train)
    shared = {meta['name'] for meta in metas} & {meta['name'] for meta in tuning_metas}
    if shared:
        raise ValueError(
            f'{train.ann_file}: {len(shared)} of its videos are also in {test.ann_file}, such as '
            f'{min(shared)!r}; expected others to tune on'
        )
    readable = ['error' not in meta for meta in tuning_metas]
    tuning_counts = [meta['count'] for meta in itertools.compress(tuning_metas, readable)]
    signals = [motion_signal(poses.numpy()) for poses in itertools.compress(tuning, readable)]
    settings = {}
    for name, baseline in BASELINES.items():
        settings[name], errors = baseline.tune(signals, tuning_counts)
        console.print(
            f'{name}, tuned on {len(signals)} samples of {train.ann_file}, '
            f'{min(tuning_counts)} to {max(tuning_counts)} repetitions: '
            + ', '.join(f'{key} {value}' for key, value in settings[name].items())
            + f'; there OBO {errors["OBO"]:.3f}, absolute error {errors["absolute_error"]:.3f}'
        )

    arrays = [poses.numpy() for poses in sequences]
    jobs: dict[str, Callable[[], list[int]]] = {
        'PoseRAC': lambda: model_counts(model, sequences, cfg.test_dataloader.batch_size)
    }
    for name, baseline in BASELINES.items():
        jobs[name] = lambda baseline=baseline, options=settings[name]: [
            baseline.count(motion_signal(poses), **options) for poses in arrays
        ]
    counts: dict[str, list[int]] = {}
    seconds = interleaved(
        {
            name: lambda name=name, job=job: counts.update({name: job()})
            for name, job in jobs.items()
        },
        args.repeats,
        device,
    )
    frames = sum(map(len, arrays))
    unread = sum('error' in meta for meta in metas)
    title = (
        f'{Path(args.config).name} on {test.ann_file}: {len(metas)} samples, {frames} frames'
        + (f', {unread} unreadable (0 counted)' if unread else '')
        + f'; {describe(device)}, median of {args.repeats}'
    )
    speeds = {name: frames / seconds[name] for name in jobs}
    true = [meta['count'] for meta in metas]
    console.print(results_table(counts, true, speeds, title))


if __name__ == '__main__':
    main()
