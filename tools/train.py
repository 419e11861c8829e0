"""Train a model from a config file."""

import argparse

from mmengine.config import Config

from projects.runtime import add_run_options, enable_amp, leave_processes, load_config, run_config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='auto|CHECKPOINT',
        help='go on from this checkpoint, or from the last of the work dir (also without value)',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (bfloat16 on a CPU)')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate while training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by actual over base batch size (auto_scale_lr)',
    )
    add_run_options(parser)
    return parser.parse_args()


def build_config(args: argparse.Namespace) -> Config:
    """The config with the command line's settings."""
    cfg = load_config(args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        if cfg.get('auto_scale_lr', {}).get('base_batch_size') is None:
            raise ValueError(f'{args.config}: --auto-scale-lr needs auto_scale_lr.base_batch_size')
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    return cfg


if __name__ == '__main__':
    run_config(build_config(parse_args())).train()
    leave_processes()
