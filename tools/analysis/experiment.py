"""What the analyses share: trainings that are repeated with settings changed, and their record."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from projects.files import whole_file


def data_root_options(root: str | None) -> dict[str, str]:
    """Settings that put all three data sets of a config below one folder.

    Args:
        root: The folder; None leaves the config's own.
    """
    if not root:
        return {}
    return {f'{split}_dataloader.dataset.data_root': root for split in ('train', 'val', 'test')}


def train(cfg: Config, work_dir: Path) -> Runner:
    """Train a config in this process.

    Args:
        cfg: The config; its ``work_dir``, log level and experiment name are set here.
        work_dir: Folder of its logs and checkpoints.

    Returns:
        The runner, with the last epoch's weights.
    """
    cfg.work_dir = str(work_dir)
    # the logger and the visualizer of one name are one object: each run has its own name
    cfg.experiment_name = work_dir.name
    cfg.log_level = 'WARNING'
    cfg.default_hooks.logger.interval = 10**6
    init_default_scope(cfg.default_scope)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def load_config(
    path: Path, seed: int, data_root: str | None = None, options: dict[str, Any] | None = None
) -> Config:
    """The config of a training.

    Args:
        path: The config's file.
        seed: Of the training.
        data_root: Of all three data sets; None leaves the config's own.
        options: Further settings, as in ``--cfg-options``.
    """
    cfg = Config.fromfile(path)
    seeded = {'randomness.seed': seed, **data_root_options(data_root)}
    cfg.merge_from_dict({**seeded, **(options or {})})
    return cfg


def set_epochs(cfg: Config, epochs: int) -> None:
    """Make a training shorter or longer; rates that fall by epochs to its end still do.

    Args:
        cfg: The config, changed in place.
        epochs: Of the training.
    """
    before, cfg.train_cfg.max_epochs = cfg.train_cfg.max_epochs, epochs
    cfg.train_cfg.val_interval = min(cfg.train_cfg.get('val_interval', 1), epochs)
    for scheduler in cfg.get('param_scheduler') or []:
        if not scheduler.get('by_epoch', True):
            continue
        if scheduler.get('end') == before:
            scheduler.end = epochs
        if 'T_max' in scheduler:
            scheduler.T_max = max(1, scheduler.T_max + epochs - before)


def train_and_test(cfg: Config, work_dir: Path) -> dict[str, float]:
    """All scores of the last epoch on the test data.

    Args:
        cfg: The config.
        work_dir: Folder of its logs and checkpoints.
    """
    runner = train(cfg, work_dir)
    return {name: float(value) for name, value in runner.test().items()}


def test_best(runner: Runner, score: str) -> dict[str, float]:
    """All scores of the best checkpoint on the test data.

    Args:
        runner: As :func:`train` returns it; it has the best checkpoint's weights afterwards.
        score: By which that checkpoint was chosen.

    Returns:
        The scores, and ``validation``: the checkpoint's validation score. Of a training that
        diverged before its first validation, those of the last weights, and no number.

    Raises:
        ValueError: If no best checkpoint was kept.
    """
    hub = runner.message_hub
    # not looked for in the folder, where an interrupted training may have left another one
    best, validation = hub.get_info('best_ckpt'), hub.get_info('best_score', np.nan)
    if best is not None:
        runner.load_checkpoint(best)
    elif np.isfinite(hub.get_scalar(f'val/{score}').data[0]).any():
        raise ValueError(
            f'{runner.work_dir}: no best checkpoint was kept, expected '
            f'default_hooks.checkpoint.save_best to be {score!r}'
        )
    scores = {name: float(value) for name, value in runner.test().items()}
    return dict(scores, validation=float(validation))


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        head: Names of the columns.
        lines: Cells, line by line.
    """
    return '\n'.join(f'| {" | ".join(line)} |' for line in [head, ['---'] * len(head), *lines])


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean and, of several, the standard deviation; ``-`` where there is none.

    Args:
        values: Of one score.
        digits: Behind the point.
    """
    if not values:
        return '-'
    mean = f'{np.mean(values):.{digits}f}'
    return f'{mean} ± {np.std(values, ddof=1):.{digits}f}' if len(values) > 1 else mean


class Record:
    """Results by name in a JSON file, so that an analysis goes on where it was interrupted.

    A result is kept with a hash of the config it was made from, so that a change of that config is
    noticed. A change of the code or of the data is not.

    Args:
        path: The file; read if it exists.
        settings: What all results hold for. A file of other settings is refused.

    Raises:
        ValueError: If the file is of other settings, or no such record.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.settings = settings
        self.results: dict[str, dict[str, float]] = {}
        self.hashes: dict[str, str] = {}
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding='utf-8'))
                self.results, self.hashes = found['results'], found['hashes']
                other = found['settings']
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f'{path}: is no record of results: {error!r}') from error
            if other != settings:
                raise ValueError(
                    f'{path}: holds results of {other}, expected {settings}; name another folder'
                )

    def result(
        self, name: str, content: Any, make: Callable[[], dict[str, float]]
    ) -> dict[str, float]:
        """The kept result; one that is missing, or of other content, is made and kept.

        Args:
            name: Name of the result.
            content: What it is made from, such as a config as dict.
            make: Makes it.
        """
        text = json.dumps(content, sort_keys=True, default=repr)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        if name in self.results:
            if self.hashes.get(name) == digest:
                return self.results[name]
            print(f'{name}: its config has changed since, so it is made again', flush=True)
        self.results[name], self.hashes[name] = make(), digest
        with whole_file(self.path) as partial:
            kept = dict(settings=self.settings, hashes=self.hashes, results=self.results)
            partial.write_text(json.dumps(kept, indent=1), encoding='utf-8')
        return self.results[name]
