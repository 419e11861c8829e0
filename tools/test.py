"""Test a checkpoint and report its scores."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.evaluator import DumpResults
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from projects.runtime import join_cpu_processes


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument('--work-dir', help='folder of logs [work_dirs/CONFIG_NAME]')
    parser.add_argument(
        '--out',
        help='write what the model predicts: the format of the metric for the endings it knows '
        "(.npz for forecasts), mmengine's dump for .pkl",
    )
    parser.add_argument('--show-dir', help='draw predictions into this folder')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, as in test_dataloader.dataset.stride=1',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def build_config(args: argparse.Namespace) -> Config:
    """The config with the command line's settings."""
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    if args.show_dir is not None:
        hook = cfg.default_hooks.get('visualization')
        if hook is None:
            raise ValueError(f'{args.config}: --show-dir needs a default_hooks.visualization')
        hook.update(enable=True, out_dir=args.show_dir)
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        write_with_metric(cfg, args)
    return cfg


def write_with_metric(cfg: Config, args: argparse.Namespace) -> None:
    """Hand ``--out`` to the first metric of the config that writes a file of its own."""
    evaluator = cfg.test_evaluator
    metrics = [evaluator] if isinstance(evaluator, ConfigDict) else evaluator
    for metric in metrics:
        if 'outfile' in metric:
            metric.outfile = args.out
            return
    raise ValueError(
        f'{args.config}: no metric of test_evaluator has an outfile; give --out a name in .pkl'
    )


def main() -> None:
    """Test."""
    args = parse_args()
    cfg = build_config(args)
    join_cpu_processes(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if args.out is not None and args.out.endswith(('.pkl', '.pickle')):
        os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    runner.test()


if __name__ == '__main__':
    main()
