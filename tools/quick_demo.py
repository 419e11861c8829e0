"""From nothing to a forecast in minutes on two CPU cores: what ``make demo`` runs.

Generates motion in Human3.6M's format, trains ``configs/stcformer/stcformer_toy.py`` on it, tests
the best checkpoint beside the baselines, and draws a forecast. Each step prints the command it
runs, so that it can be run by hand and changed.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

import projects.forecasting  # noqa: F401 - registers the data set

ROOT = Path(__file__).resolve().parents[1]
CONFIG = Path('configs', 'stcformer', 'stcformer_toy.py')
console = Console(highlight=False)


def announce(number: int, what: str, command: Sequence[str]) -> None:
    """Name a step and show its command."""
    console.print(f'\n[bold]\\[{number}/4] {what}[/bold]')
    console.print('      python ' + ' '.join(command), style='dim', soft_wrap=True, markup=False)


def start(command: Sequence[str], log: Path) -> subprocess.Popen:
    """Start a tool of this repository; what it prints goes to a log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'w', encoding='utf-8') as file:
        return subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
        )


def finish(process: subprocess.Popen, log: Path) -> str:
    """Wait for a tool and return what it printed; stop with the end of its log if it failed."""
    code = process.wait()
    text = log.read_text(encoding='utf-8', errors='replace')
    if code:
        console.print('\n'.join(text.splitlines()[-25:]), markup=False)
        sys.exit(f'The step failed (exit code {code}). Its whole output is in {log}.')
    return text


def read_scalars(work_dir: Path) -> list[dict[str, float]]:
    """What training has logged so far, one dict a line; a line half written is left out."""
    rows = []
    for path in work_dir.glob('*/vis_data/scalars.json'):
        for line in path.read_text(encoding='utf-8').splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return rows


def follow_training(process: subprocess.Popen, work_dir: Path, total: int) -> None:
    """Show a bar of the steps done, the loss and the validation score until training ends."""
    columns = (
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TextColumn('loss {task.fields[loss]}, validation {task.fields[score]}'),
        TimeElapsedColumn(),
        TextColumn('left'),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task('', total=total, loss='-', score='-')
        while True:
            running = process.poll() is None
            for row in read_scalars(work_dir):
                if 'loss' in row:
                    bar.update(task, completed=row['step'], loss=f'{row["loss"]:.1f} mm')
                if 'forecast/A-MPJPE' in row:
                    bar.update(task, score=f'{row["forecast/A-MPJPE"]:.1f} mm')
            if not running:
                if process.returncode == 0:
                    bar.update(task, completed=total)
                return
            time.sleep(1)


def main() -> None:
    """Generate, train, test, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out', type=Path, default=Path('outputs', 'demo'), help='folder to write [outputs/demo]'
    )
    parser.add_argument('--epochs', type=int, help="of training [the config's]")
    parser.add_argument(
        '--num-frames', type=int, default=1000, help='of a generated file, at 50 a second [1000]'
    )
    args = parser.parse_args()
    out = args.out.resolve()
    data, work_dir, drawings = out / 'data', out / 'train', out / 'drawings'
    shutil.rmtree(work_dir, ignore_errors=True)  # the bar reads the logs of this run alone
    cfg = Config.fromfile(ROOT / CONFIG)
    started = time.monotonic()

    command = ['tools/datasets/make_synthetic.py', 'human36m', '--out', str(data), '--actions']
    command += [*cfg.dataset.actions, '--num-frames', str(args.num_frames)]
    announce(1, 'Generating motion in the format of Human3.6M', command)
    finish(start(command, out / 'generate.log'), out / 'generate.log')

    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    options = [f'{loader}.dataset.data_root={data / "dataset"}' for loader in loaders]
    command = ['tools/train.py', str(CONFIG), '--work-dir', str(work_dir), '--cfg-options']
    command += [*options, 'default_hooks.logger.interval=5']
    if args.epochs:
        command += [f'train_cfg.max_epochs={args.epochs}', f'param_scheduler.0.T_max={args.epochs}']
    announce(2, 'Training STCFormer', command)
    cfg.train_dataloader.dataset.data_root = str(data / 'dataset')
    windows = len(DATASETS.build(cfg.train_dataloader.dataset))
    epochs = args.epochs or cfg.train_cfg.max_epochs
    process = start(command, out / 'train.log')
    try:
        follow_training(process, work_dir, epochs * -(-windows // cfg.train_dataloader.batch_size))
    finally:
        if process.poll() is None:  # interrupted
            process.terminate()
    finish(process, out / 'train.log')
    (checkpoint,) = work_dir.glob('best_*.pth')

    command = ['tools/test.py', str(CONFIG), str(checkpoint), '--work-dir', str(out / 'test')]
    command += ['--out', str(out / 'forecasts.npz'), '--cfg-options', options[-1]]
    announce(3, 'Testing on a subject not seen in training', command)
    text = finish(start(command, out / 'test.log'), out / 'test.log')
    table = [line for line in text.splitlines() if line[:1] in '┏┃┡│├└' or 'MPJPE in mm' in line]
    console.print('\n'.join(filter(None, table)), markup=False, soft_wrap=True)

    motion = data / 'dataset' / 'S5' / f'{cfg.dataset.actions[0]}_1.txt'
    command = ['tools/demo.py', str(CONFIG), str(checkpoint), str(motion)]
    command += ['--out-dir', str(drawings), '--options', 'start=100']
    announce(4, 'Drawing a forecast', command)
    finish(start(command, out / 'draw.log'), out / 'draw.log')

    console.print(f'\n[bold]Done in {time.monotonic() - started:.0f} s.[/bold] What lies where:')
    (animation,) = drawings.glob('*.gif')
    for path, what in (
        (animation, 'observed, true and forecast motion'),
        (drawings / 'predictions.json', 'the same forecast in numbers'),
        (out / 'forecasts.npz', 'all test forecasts with their true future'),
        (checkpoint, 'the trained model'),
        (work_dir, 'logs and checkpoints of training'),
        (data, 'the generated motion'),
    ):
        console.print(f'  {what + ":":<43} {path}', markup=False, soft_wrap=True)


if __name__ == '__main__':
    main()
