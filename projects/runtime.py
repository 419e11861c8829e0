"""What all runs share: options, seeding that survives a resume, bfloat16, CPU processes."""

import argparse
import gc
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.distributed
from mmengine.config import Config, DictAction
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import FUNCTIONS, HOOKS, OPTIM_WRAPPERS, RUNNERS
from mmengine.runner import Runner, autocast
from torch import nn


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every epoch by run seed, epoch and rank.

    A checkpoint of mmengine holds no state of the random generators, so a resumed run would draw
    other dropout masks and augmentations than the run it continues. With this hook an epoch draws
    the same numbers however the run came to it. Seeding once an epoch is as random as seeding once
    a run; data loading workers follow through :func:`seed_worker`.

    It acts on epoch-based training; resuming a run inside an epoch is not made repeatable by it.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed Python, numpy and torch, and hand the sampler the seed of a resumed run."""
        entropy = [runner.seed, runner.epoch, get_rank()]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - host libraries' transforms draw from it
        torch.manual_seed(seed)
        sampler = runner.train_dataloader.sampler
        if hasattr(sampler, 'seed'):  # built before the checkpoint told the run's seed
            sampler.seed = runner.seed


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seed numpy and Python in a data loading worker from torch's seed of this epoch and worker.

    mmengine's own function gives a worker the same seed in every epoch. Needs workers that are
    started anew each epoch (``persistent_workers=False``) for a resumed run to repeat.
    """
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Mixed precision in bfloat16, which needs no loss scaling and runs on CPU too.

    mmengine's ``AmpOptimWrapper`` refuses to be built without a GPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under bfloat16 autocast."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing have in common.

    Args:
        parser: Of the tool's command line.
    """
    parser.add_argument('--work-dir', help='folder of logs and checkpoints [work_dirs/CONFIG_NAME]')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, as in train_cfg.max_epochs=3',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torch.distributed.launch passes it; torchrun sets the environment variable alone
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """The config file with the options of :func:`add_run_options`.

    Args:
        args: Command line, with ``config`` beside those options.

    Returns:
        The config, its ``work_dir`` and ``launcher`` set.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    return cfg


def run_config(cfg: Config) -> Runner:
    """The runner of a config, its processes joined.

    Args:
        cfg: The config, with ``launcher``.
    """
    join_cpu_processes(cfg)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def leave_processes() -> None:
    """End the process group of a run that has done its work, all processes together.

    To be called when nothing refers to the runner any more. A process that just exits with the
    group's threads alive aborts now and then, and torchrun on the other nodes then waits five
    minutes for it.
    """
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        gc.collect()  # the runner is part of cycles, and its model holds on to the group
        torch.distributed.destroy_process_group()


def enable_amp(cfg: Config) -> None:
    """Switch a config to mixed precision: float16 on a GPU, bfloat16 on a CPU.

    Raises:
        ValueError: If the config's optimiser wrapper is a special one that cannot be replaced.
    """
    plain = ('OptimWrapper', 'AmpOptimWrapper', 'BFloat16OptimWrapper')
    found = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if found not in plain:
        raise ValueError(f'optim_wrapper.type is {found!r}; --amp can replace one of {plain} only')
    if found == 'BFloat16OptimWrapper':
        return
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    else:
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
        for name in ('loss_scale', 'dtype'):  # of an AmpOptimWrapper; bfloat16 has no use for them
            cfg.optim_wrapper.pop(name, None)


def join_cpu_processes(cfg: Config) -> None:
    """Let a run that was started as several processes go on without GPUs, over gloo.

    mmengine picks a CUDA device for every process it joins, and hands one to DDP; both fail on a
    machine without. Here the process group is made first, which mmengine then keeps. A run with
    GPUs, or with one process, is left as it is.

    Raises:
        ValueError: If the launcher is not torchrun's.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'launcher is {cfg.launcher!r}, but there is no GPU: processes on CPUs are started by '
            'tools/dist_train.sh or tools/dist_test.sh (torchrun, launcher "pytorch")'
        )
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR') if name not in os.environ]
    if missing:
        raise ValueError(f'launcher "pytorch" needs {missing} set; start the tool with torchrun')
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
