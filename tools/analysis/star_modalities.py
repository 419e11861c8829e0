"""Tests a model of video and skeleton with both, and again with either of them taken away.

Without joints all of them are missing; without video each picture is the mean colour. The model is
not trained for that: the loss tells how much it leans on each.

Example:
    python tools/analysis/star_modalities.py configs/star/star_toy.py \
        work_dirs/star_toy/epoch_30.pth
"""

import argparse
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

SCORES = ('acc/top1', 'acc/mean1', 'acc/cross_entropy')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--work-dir', default='work_dirs/star_modalities')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args(argv)


def take_away(name: str) -> Any:
    """A forward pre-hook that puts zeros in the place of an input.

    Args:
        name: Of the input, ``imgs`` or ``keypoint``. Both are such that 0 means nothing: pictures
            are normalised, and a joint of score 0 is missing.
    """

    def hook(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
        if kwargs.get(name) is None:
            raise ValueError(f'the model gets no {name}, expected one of video and skeleton')
        return args, {**kwargs, name: torch.zeros_like(kwargs[name])}

    return hook


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir, cfg.load_from, cfg.log_level = args.work_dir, args.checkpoint, 'WARNING'
    init_default_scope(cfg.default_scope)
    runner = Runner.from_cfg(cfg)
    print('| input | ' + ' | '.join(SCORES) + ' |\n' + '|---' * (len(SCORES) + 1) + '|')
    for label, name in (('both', None), ('no joints', 'keypoint'), ('no video', 'imgs')):
        handle = None
        if name is not None:
            hook = take_away(name)
            handle = runner.model.backbone.register_forward_pre_hook(hook, with_kwargs=True)
        scores = runner.test()
        if handle is not None:
            handle.remove()
        print(f'| {label} | ' + ' | '.join(f'{scores[key]:.3f}' for key in SCORES) + ' |')


if __name__ == '__main__':
    main()
