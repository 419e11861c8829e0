"""Test a checkpoint and report its scores."""

import argparse
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.evaluator import DumpResults

from projects.runtime import add_run_options, leave_processes, load_config, run_config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--out',
        help='write the predictions: .pkl is a dump by mmengine, other endings are what a metric '
        'of the config writes (.npz for forecasts)',
    )
    parser.add_argument('--show-dir', help='draw predictions into this folder')
    add_run_options(parser)
    return parser.parse_args()


def is_dump(out: str | None) -> bool:
    """Whether ``--out`` names a dump by mmengine."""
    return out is not None and out.endswith(('.pkl', '.pickle'))


def build_config(args: argparse.Namespace) -> Config:
    """The config with the command line's settings."""
    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    if args.show_dir is not None:
        hook = cfg.default_hooks.get('visualization')
        if hook is None:
            raise ValueError(f'{args.config}: --show-dir needs a default_hooks.visualization')
        hook.update(enable=True, out_dir=args.show_dir)
    if args.out is not None and not is_dump(args.out):
        metrics = cfg.test_evaluator
        metrics = [metrics] if isinstance(metrics, ConfigDict) else metrics
        metric = next((metric for metric in metrics if 'outfile' in metric), None)
        if metric is None:
            raise ValueError(
                f'{args.config}: no metric of test_evaluator has an outfile; name --out .pkl'
            )
        metric.outfile = args.out
    return cfg


def main() -> None:
    """Test."""
    args = parse_args()
    runner = run_config(build_config(args))
    if is_dump(args.out):
        Path(args.out).resolve().parent.mkdir(parents=True, exist_ok=True)
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    runner.test()


if __name__ == '__main__':
    main()
    leave_processes()
