"""Why deep PoseRAC models collapse: signal, training loss and accuracy at growing depth.

For each depth and each kind of encoder it prints

- spread: standard deviation over the poses of what the last layer gives, mean over the channels,
  before and after training. Where it is 0 all poses have become one, and no linear layer can tell
  them apart.
- loss: the last epoch's training loss. What knows nothing but how often each output is 1 has the
  loss in the table's heading.
- accuracy: share of the held-out poses whose salient state is right.

Validation happens once, after the last epoch, so the held-out fold steers nothing. The plateau
schedule of the document's config therefore never steps; in 20 epochs, with a patience of 6, it
hardly would.

Example:
    python tools/analysis/poserac_depth.py configs/poserac/poserac_salient-poses.py
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from experiment import train
from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from projects.poserac.model import PoseRAC

KINDS = {
    'original (attends to the batch)': dict(attention='batch'),
    'each pose on its own': dict(),
    'original, warm-up': dict(attention='batch', warm_up=True),
    'original, a fifth of the rate': dict(attention='batch', rate=0.2),
    'original, normalised first': dict(attention='batch', norm_first=True),
    'each pose on its own, normalised first': dict(norm_first=True),
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config whose data sets hold single salient poses')
    parser.add_argument('--layers', type=int, nargs='+', default=[6, 8, 10, 12])
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=list(KINDS), metavar='KIND')
    parser.add_argument('--epochs', type=int, default=20)
    return parser.parse_args(argv)


@torch.no_grad()
def spread(model: PoseRAC, poses: torch.Tensor) -> float:
    """Standard deviation of embeddings over poses, mean over channels, in batches of training's.

    Args:
        model: The model.
        poses: (B, J, D), normalised.
    """
    model.eval()
    return float(torch.cat([model.embed(part) for part in poses.split(16)]).std(dim=0).mean())


def run(config: str, layers: int, kind: dict, epochs: int) -> tuple[float, float, float, float]:
    """Train a model of the document's outputs and losses.

    Args:
        config: Path of the config.
        layers: Encoder layers.
        kind: Options of the model, and ``warm_up`` and ``rate`` of the training.
        epochs: How long.

    Returns:
        Spread before and after, training loss, accuracy of the salient state.
    """
    cfg = Config.fromfile(config)
    kind = dict(kind)
    if kind.pop('warm_up', False):
        cfg.param_scheduler = [
            dict(
                type='LinearLR',
                start_factor=0.01,
                by_epoch=True,
                end=epochs // 2,
                convert_to_iter_based=True,
            )
        ]
    cfg.optim_wrapper.optimizer.lr *= kind.pop('rate', 1.0)
    cfg.model.update(num_layers=layers, salient_states='shared', **kind)
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    cfg.train_dataloader.num_workers = cfg.val_dataloader.num_workers = 0
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=epochs)
    with tempfile.TemporaryDirectory() as folder:
        before = Runner.build_dataloader(cfg.train_dataloader, seed=0)
        poses = torch.stack([before.dataset[i]['poses'] for i in range(len(before.dataset))])
        runner = train(cfg, Path(folder, Path(folder).name))
        model = runner.model
        after = spread(model, poses)
        torch.manual_seed(0)
        fresh = type(model)(**{k: v for k, v in cfg.model.items() if k != 'type'})
        start = spread(fresh, poses)
        losses = runner.message_hub.get_scalar('train/loss_classify').data[0]
        steps = len(runner.train_dataloader)
        # alpha's share is taken out again, so that losses of other shares compare
        loss = float(np.mean(losses[-steps:])) / (1 - model.alpha if model.metric_loss else 1)
        accuracy = runner.message_hub.get_scalar('val/salient/state_accuracy').data[0][-1]
    return start, after, loss, float(accuracy)


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parse_args(argv)
    cfg = Config.fromfile(args.config)
    share = 0.5 / cfg.model.num_classes  # of the ones, half of the poses being salient pose II
    chance = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    rows = Table('encoder', 'layers', 'spread before', 'after', f'loss ({chance:.2f})', 'accuracy')
    for kind in args.kinds:
        for layers in args.layers:
            start, after, loss, accuracy = run(args.config, layers, KINDS[kind], args.epochs)
            numbers = (f'{start:.2f}', f'{after:.2f}', f'{loss:.3f}', f'{accuracy:.3f}')
            print(kind, layers, *numbers, flush=True)
            rows.add_row(kind, str(layers), *numbers)
    Console(width=110).print(rows)


if __name__ == '__main__':
    main()
