"""What the analyses share: trainings that are repeated with settings changed, and their record."""

import json
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from projects.files import whole_file


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


def best_checkpoint(work_dir: Path) -> Path:
    """The checkpoint with the best validation score, which the checkpoint hook keeps one of.

    Args:
        work_dir: Folder of a finished training.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = sorted(work_dir.glob('best_*.pth'))
    if not found:
        raise FileNotFoundError(f'{work_dir}: holds no best_*.pth, was the training validated?')
    return found[-1]


class Record:
    """Results by name in a JSON file, so that an analysis goes on where it was interrupted.

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
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding='utf-8'))
                self.results = found['results']
                other = found['settings']
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f'{path}: is no record of results: {error}') from error
            if other != settings:
                raise ValueError(
                    f'{path}: holds results of {other}, expected {settings}; name another folder'
                )

    def add(self, name: str, scores: dict[str, float]) -> None:
        """Keep a result.

        Args:
            name: Name of the result.
            scores: Its numbers.
        """
        self.results[name] = scores
        with whole_file(self.path) as partial:
            text = json.dumps(dict(settings=self.settings, results=self.results), indent=1)
            partial.write_text(text, encoding='utf-8')
