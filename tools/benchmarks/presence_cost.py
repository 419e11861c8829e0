"""What presence adds to a pose model: time of a prediction, parameters, and computation.

    python tools/benchmarks/presence_cost.py                          # some minutes on a CPU
    python tools/benchmarks/presence_cost.py --models hrnet-w32 --batch-size 8 --flip-test

Each model is built with presence and with its pose head alone, of the same weights. Both predict
the same batch in turn in one run: from uint8 images to keypoints in the picture. The ratio of a
round is time with presence over time without it; the table gives the median and the mean of all
rounds, between which ratios the middle half of them lies, and the ratio of the shortest times.
Where these are far apart the machine was busy, and it takes more repeats. Weights are random, which
changes no time. GMACs are of one image, the matrix products and convolutions; mmengine's count of
them knows neither attention nor sums with batched products, so it is torch's.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from mmpose.testing import get_packed_inputs
from rich.console import Console
from rich.table import Table
from timing import describe, rounds
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import projects.presence  # noqa: F401 - registers

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
STOCK = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
MODELS_TIMED = {
    'vit-b': 'vitpose_presence.py',
    'vit-b-classic': 'vitpose_presence/vit-b-classic_256x192_presence.py',
    'hrnet-w32': 'vitpose_presence/hrnet-w32_256x192_presence.py',
    'resnet-50': STOCK + 'td-hm_res50_8xb64-210e_coco-256x192.py',
    'transpose-r': 'vitpose_presence/transpose-r-a4_256x192_presence.py',
}


def model_configs(name: str) -> tuple[Config, Config]:
    """A model's config with its pose head alone, and with presence.

    Args:
        name: One of ``MODELS_TIMED``, or a config: a file, or ``mmpose::`` and a path in mmpose.
            Where its head is no ``KeypointPresenceHead``, it is put into one.
    """
    path = MODELS_TIMED.get(name, name)
    if '::' in path:
        config = get_config(path).model
    else:
        config = Config.fromfile(CONFIGS / path if name in MODELS_TIMED else path).model
    config.backbone.pop('init_cfg', None)
    if config.head.type != 'KeypointPresenceHead':
        config.head = dict(type='KeypointPresenceHead', pose_head=config.head)
    alone = Config(config.to_dict())
    alone.head = alone.head.pose_head
    return alone, config


class Job:
    """A model with its batch.

    Args:
        model: The model.
        data: Batch for mmengine's ``test_step``: ``inputs`` and ``data_samples``.
    """

    def __init__(self, model: nn.Module, data: dict[str, Any]) -> None:
        self.model = model.eval()
        self.data = data

    @torch.no_grad()
    def predict(self) -> list:
        """One batch from images to keypoints."""
        return self.model.test_step(self.data)

    @torch.no_grad()
    def gmacs(self) -> float:
        """Multiplications with additions of one image, mirror image left out."""
        inputs = self.model.data_preprocessor(self.data)['inputs'][:1]
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # the fused layer is not counted
        try:
            with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
                self.model(inputs, None, mode='tensor')
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
        return counter.get_total_flops() / 2e9

    def parameters(self) -> float:
        """Millions of parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters()) / 1e6


def make_jobs(name: str, batch_size: int, flip_test: bool, device: torch.device) -> dict[str, Job]:
    """The model without and with presence, of the same weights and images.

    Args:
        name: See :func:`model_configs`.
        batch_size: Images, one person each.
        flip_test: Whether each is predicted together with its mirror image.
        device: To run on.
    """
    alone, presence = (MODELS.build(config) for config in model_configs(name))
    presence.load_state_dict(alone.state_dict(), strict=False)  # as a checkpoint of it would
    codec = presence.head.decoder
    width, height = (int(size) for size in codec.input_size)
    data = get_packed_inputs(
        batch_size=batch_size,
        num_keypoints=presence.head.presence_net.num_keypoints,
        img_shape=(height, width),
        input_size=(width, height),
        with_heatmap=False,
        with_reg_label=False,
        with_simcc_label=False,
    )
    for model in (alone, presence):
        model.test_cfg['flip_test'] = flip_test
    return {
        'without': Job(alone.to(device), data),
        'with': Job(presence.to(device), data),
    }


def main() -> None:
    """Build, time, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--models', nargs='+', choices=list(MODELS_TIMED), metavar='MODEL', help='[all]'
    )
    parser.add_argument('--config', nargs='+', default=[], help='other models, mmpose::... too')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=20)
    parser.add_argument('--flip-test', action='store_true', help='mirror images too')
    parser.add_argument('--device', help='cpu, cuda:0, ... [the GPU if there is one]')
    args = parser.parse_args()
    device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    names = [*(args.models or ([] if args.config else MODELS_TIMED)), *args.config]

    torch.manual_seed(0)
    init_default_scope('mmpose')
    table = Table(
        title=f'Prediction of {args.batch_size} people{", flip test" * args.flip_test}; '
        f'{describe(device)}, {args.repeats} rounds',
        title_justify='left',
    )
    table.add_column('')
    for column in ('without, ms', 'with, ms', 'ratio', 'mean', 'middle half', 'shortest'):
        table.add_column(column, justify='right')
    table.add_column('parameters, M', justify='right')
    table.add_column('GMACs', justify='right')
    for name in names:
        jobs = make_jobs(name, args.batch_size, args.flip_test, device)
        times = rounds({key: job.predict for key, job in jobs.items()}, args.repeats, device)
        without, presence = times['without'], times['with']
        ratios = [two / one for one, two in zip(without, presence, strict=True)]
        low, high = np.quantile(ratios, [0.25, 0.75])
        sizes = [
            [getattr(job, size)() for job in jobs.values()] for size in ('parameters', 'gmacs')
        ]
        table.add_row(
            Path(name).stem,
            f'{1e3 * statistics.median(without):.1f}',
            f'{1e3 * statistics.median(presence):.1f}',
            f'{statistics.median(ratios):.3f}',
            f'{statistics.fmean(ratios):.3f}',
            f'{low:.2f} - {high:.2f}',
            f'{min(presence) / min(without):.3f}',
            *(f'{one:.2f} (+{two - one:.4f})' for one, two in sizes),
        )
    Console(width=120).print(table)


if __name__ == '__main__':
    main()
