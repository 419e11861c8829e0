"""Run a model on files, draw the results and write them as JSON."""

import argparse
import json
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.registry import INFERENCERS, init_default_scope

from projects.files import whole_file


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument('inputs', nargs='+', help="files to run on; the method's README says which")
    parser.add_argument('--out-dir', default='outputs', help='folder to write into [outputs]')
    parser.add_argument('--device', help='cpu, cuda:0, ... [the GPU if there is one]')
    parser.add_argument(
        '--options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help="options of the method's inferencer, as in start=50",
    )
    return parser.parse_args()


def run(
    cfg: Config,
    checkpoint: str,
    inputs: list[str],
    out_dir: str,
    device: str = None,
    **options: Any,
) -> dict[str, Any]:
    """Run the config's inferencer and write ``predictions.json`` into ``out_dir``.

    Returns:
        The inferencer's result: ``predictions`` and ``visualization``.

    Raises:
        ValueError: If the config names no inferencer.
    """
    if 'inferencer' not in cfg:
        raise ValueError(f'{cfg.filename}: names no inferencer, as in inferencer = dict(type=...)')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    settings = dict(cfg.inferencer, model=cfg, weights=checkpoint, device=device)
    inferencer = INFERENCERS.build(dict(settings, show_progress=False))
    result = inferencer(list(inputs), out_dir=out_dir, **options)

    with whole_file(Path(out_dir, 'predictions.json')) as partial:
        partial.write_text(json.dumps(result['predictions']), encoding='utf-8')
    return result


def main() -> None:
    """Run, and say what was written."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    result = run(cfg, args.checkpoint, args.inputs, args.out_dir, args.device, **args.options)
    for path in [*result['visualization'], Path(args.out_dir, 'predictions.json')]:
        print(path)


if __name__ == '__main__':
    main()
