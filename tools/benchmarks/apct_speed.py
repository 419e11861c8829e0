"""Time, parameters and memory of APCT's steps beside the DETR of mmdet they are built on.

    python tools/benchmarks/apct_speed.py                                # a minute on a CPU
    python tools/benchmarks/apct_speed.py --image-size 800 1333 --batch-size 2     # on a GPU

All models are built from the configs with one backbone, get the same images and people, and take
turns in one run. The table gives medians and, in brackets, multiples of mmdet's DETR (times) and
what is more than it has (sizes). Weights are random, which changes no time. A training step is
losses, gradients and AdamW; testing is a batch from images to results. "Kept" is what a training
step keeps for its gradients: the bytes of all tensors that autograd saved, without the parameters,
which is the same on any device. "Peak" is what torch allocated at most in a training step,
parameters, gradients and optimiser included; it is measured on a GPU only.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from timing import describe, interleaved, make_sample
from torch import nn

import projects.apct  # noqa: F401 - registers

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
STOCK = 'DETR of mmdet'
STEPS = {
    '+ parts, states': 'apct/apct_detr.py',
    '+ cascade': 'apct/apct_cascade.py',
    '+ refinement': 'apct.py',
}
MIB = 1 << 20


def model_configs(backbone: str) -> tuple[dict[str, Config], int, int]:
    """Configs of all models by name, and the numbers of parts and states.

    Args:
        backbone: ``'r18'`` or ``'r50'``.
    """
    headline = Config.fromfile(CONFIGS / 'apct.py')
    configs = {STOCK: get_config('mmdet::detr/detr_r50_8xb2-150e_coco.py').model}
    configs[STOCK].bbox_head.num_classes = 1
    configs[STOCK].test_cfg.max_per_img = headline.model.test_cfg.max_per_img
    configs.update({name: Config.fromfile(CONFIGS / path).model for name, path in STEPS.items()})
    for model in configs.values():
        model.backbone.pop('init_cfg', None)
        if backbone == 'r18':  # a quarter of ResNet-50's channels
            model.backbone.depth = 18
            model.neck.in_channels = [512]
            if model.bbox_head.get('refinement'):
                model.bbox_head.refinement.in_channels = 128
    return configs, headline.num_parts, headline.num_states


def kept_bytes(model: nn.Module, step: Callable[[], object]) -> int:
    """Bytes of what autograd saves in a training step, each memory counted once.

    Args:
        model: Whose parameters are not counted.
        step: The training step.
    """
    known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages = {}  # held, so that no address is used twice

    def save(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        step()
    return sum(storage.nbytes() for storage in storages.values())


class Job:
    """A model with its batch.

    Args:
        config: Of the model.
        data: Batch for mmengine's ``test_step``: ``inputs`` and ``data_samples``.
        device: To run on.
    """

    def __init__(self, config: Config, data: dict, device: torch.device) -> None:
        self.model = MODELS.build(config).to(device)
        self.data = data
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=0.0)  # nothing drifts while it is timed

    def losses(self) -> torch.Tensor:
        """Total loss of the batch."""
        self.model.train()
        data = self.model.data_preprocessor(self.data, training=True)
        losses = self.model(**data, mode='loss')
        return self.model.parse_losses(losses)[0]

    def train(self) -> None:
        """One training step."""
        self.optimizer.zero_grad()
        self.losses().backward()
        self.optimizer.step()

    def test(self) -> None:
        """One batch from images to results."""
        self.model.eval()
        with torch.no_grad():
            self.model.test_step(self.data)

    def peak(self, device: torch.device) -> int:
        """Most bytes of the GPU that this job takes in a training step, others' left out."""
        self.optimizer.zero_grad()
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        self.train()
        added = torch.cuda.max_memory_allocated(device) - before
        self.optimizer.zero_grad()
        moments = [value for state in self.optimizer.state.values() for value in state.values()]
        own = [*self.model.parameters(), *self.model.buffers(), *moments]
        return added + sum(tensor.nbytes for tensor in own)


def main() -> None:
    """Build, time, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--image-size', type=int, nargs=2, default=(256, 320), metavar=('HEIGHT', 'WIDTH')
    )
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--people', type=int, default=3, help='in an image')
    parser.add_argument('--backbone', choices=['r18', 'r50'], default='r50')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--device', help='cpu, cuda:0, ... [the GPU if there is one]')
    args = parser.parse_args()
    device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    size = tuple(args.image_size)

    torch.manual_seed(0)
    init_default_scope('mmdet')
    configs, parts, states = model_configs(args.backbone)
    generator = torch.Generator().manual_seed(0)
    data = dict(
        inputs=[
            torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8)
            for _ in range(args.batch_size)
        ],
        data_samples=[
            make_sample(size, args.people, parts, states, generator) for _ in range(args.batch_size)
        ],
    )
    jobs = {name: Job(config, data, device) for name, config in configs.items()}
    train = interleaved({n: job.train for n, job in jobs.items()}, args.repeats, device)
    test = interleaved({n: job.test for n, job in jobs.items()}, args.repeats, device)

    table = Table(
        title=f'ResNet-{args.backbone[1:]}, {args.batch_size} x {size[0]} x {size[1]}, '
        f'{args.people} people an image, {parts} parts x {states} states; {describe(device)}, '
        f'medians of {args.repeats}',
        title_justify='left',
    )
    columns = ['', 'training step, ms', 'testing, ms', 'parameters, M', 'kept, MiB', 'peak, MiB']
    for column in columns if device.type == 'cuda' else columns[:-1]:
        table.add_column(column, justify='right' if column else 'left')
    base: list[float] = []
    for name, job in jobs.items():
        times = [1e3 * train[name], 1e3 * test[name]]
        sizes = [sum(parameter.numel() for parameter in job.model.parameters()) / 1e6]
        sizes.append(kept_bytes(job.model, job.losses) / MIB)
        if device.type == 'cuda':
            sizes.append(job.peak(device) / MIB)
        base = base or [*times, *sizes]
        cells = [f'{t:.1f} ({t / first:.2f} x)' for t, first in zip(times, base[:2], strict=True)]
        cells += [f'{n:.1f} ({n - first:+.1f})' for n, first in zip(sizes, base[2:], strict=True)]
        table.add_row(name, *cells)
    Console(width=120).print(table)


if __name__ == '__main__':
    main()
