"""What every method has to do through the tools. A new method joins by its entry in METHODS.

Each test runs a tool as a user would, in a process of its own, on data made small. The first
training and the demo of each method, what goes through torchrun, and each host's own script have to
import everything by themselves; the others are forked (see tests/forked_tools.py).
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from mmengine.config import Config

from tests.forked_tools import run_forked

ROOT = Path(__file__).resolve().parents[1]
PROCESS_TIMEOUT = 240
SPLITS = ('train', 'val', 'test')


class Method(NamedTuple):
    """A method under test.

    ``options`` turns the folder of its generated data into settings that make the headline config
    small: 3 epochs of 5 full batches, an odd number of test samples, no worker processes. Where
    settings cannot make it small enough, its toy variant stands in.
    """

    config: str
    data: str  # fixture that generates it
    options: Callable[[Path], dict]
    score: str
    outfile: str  # ending of the file that its metric writes
    demo_input: Callable[[Path], Path]
    hosts: tuple[str, str]  # whose own scripts train it: the one it belongs to, and another
    test_score: str | None = None  # where testing scores something else than validation


def loaders(root: Path, **settings: object) -> dict:
    """Settings of all three data loaders; ``settings`` are the data sets'."""
    common = {
        **{f'dataset.{key}': value for key, value in settings.items()},
        'dataset.data_root': str(root),
        'num_workers': 0,
        'batch_size': 8,
    }
    # even in training, so that two processes share each batch evenly; odd in testing
    numbers = dict(train=40, val=39, test=39)
    return {
        f'{split}_dataloader.{key}': value
        for split, number in numbers.items()
        for key, value in {**common, 'dataset.indices': number}.items()
    }


def stcformer_options(root: Path) -> dict:
    return {
        **loaders(root, actions=['walking', 'eating'], stride=5),
        'train_cfg.max_epochs': 3,
        'model.channels': 8,
        'model.num_blocks': 1,
    }


def apct_options(root: Path) -> dict:
    return {
        **loaders(root, val_every=2),
        'train_dataloader.dataset.pipeline.2.prob': 0.0,  # processes would flip other images
        'train_cfg.max_epochs': 3,
        'train_cfg.val_interval': 1,
    }


def poserac_options(root: Path) -> dict:
    return {
        **loaders(root),
        'val_dataloader.dataset.val_fraction': 0.5,
        'model.num_layers': 1,
        'model.feedforward_channels': 64,
        'model.dropout': 0.0,  # processes would drop other channels
        'train_cfg.max_epochs': 3,
    }


def presence_options(root: Path) -> dict:
    return {
        **loaders(root),
        # processes would augment other people, and drop other channels
        'train_dataloader.dataset.pipeline.2.prob': 0.0,
        'train_dataloader.dataset.pipeline.3.shift_prob': 0.0,
        'train_dataloader.dataset.pipeline.3.scale_prob': 0.0,
        'train_dataloader.dataset.pipeline.3.rotate_prob': 0.0,
        'model.head.dropout': 0.0,
        'test_evaluator.1.ann_file': str(root / 'annotations' / 'person_keypoints_val2017.json'),
        'train_cfg.max_epochs': 3,
    }


def star_options(root: Path) -> dict:
    pipeline, network = 'train_dataloader.dataset.pipeline', 'model.backbone'
    size = [32, 32]  # whose maps are 8 and 2 cells wide
    return {
        **loaders(root),
        # processes would draw other frames, and move and flip other people
        f'{pipeline}.0.test_mode': True,
        f'{pipeline}.3.shift_factor': 0.0,
        f'{pipeline}.3.scale_factor': [1.0, 1.0],
        f'{pipeline}.3.rotate_factor': 0.0,
        f'{pipeline}.4.prob': 0.0,
        **{f'{split}_dataloader.dataset.pipeline.3.input_size': size for split in SPLITS},
        f'{network}.embed_dims': 32,
        f'{network}.feedforward_channels': 64,
        f'{network}.cnn.base_channels': 4,
        f'{network}.grid_tokens.in_channels': 32,
        f'{network}.grid_tokens.grid_size': [2, 2],
        f'{network}.joint_tokens.in_channels': 8,
        f'{network}.joint_tokens.heatmap_size': [8, 8],
        'model.cls_head.in_channels': 32,
        'train_cfg.max_epochs': 3,
        'train_cfg.val_interval': 1,
    }


METHODS = [
    Method(
        'configs/stcformer.py',
        'h36m_root',
        stcformer_options,
        'forecast/A-MPJPE',
        '.npz',
        lambda root: root / 'S5' / 'walking_1.txt',
        ('mmpose', 'mmaction'),
    ),
    Method(
        'configs/apct/apct_toy.py',
        'kinetics_tps_root',
        apct_options,
        'kinetics_tps/person_iou',
        '.json',
        lambda root: next(root.glob('test_videos/squat/*/img_00001.jpg')),
        ('mmdet', 'mmaction'),
    ),
    Method(
        'configs/poserac.py',
        'repcount_root',
        poserac_options,
        'salient/loss',
        '.csv',
        lambda root: next(root.glob('test_poses/squat*.npy')),
        ('mmaction', 'mmdet'),
        'count/oracle/absolute_error',
    ),
    Method(
        'configs/vitpose_presence/vitpose_presence_toy.py',
        'coco_root',
        presence_options,
        'presence/cross_entropy',
        '.json',
        lambda root: next(root.glob('val2017/*.jpg')),
        ('mmpose', 'mmpretrain'),
    ),
    Method(
        'configs/star/star_toy.py',
        'penn_action_root',
        star_options,
        'acc/cross_entropy',
        '.csv',
        lambda root: min(root.glob('frames/*')),
        ('mmaction', 'mmpose'),
    ),
]


def command_options(options: dict) -> list[str]:
    """Settings as the words behind --cfg-options."""
    words = []
    for key, value in options.items():
        text = ','.join(map(str, value)) if isinstance(value, list) else str(value)
        words.append(f'{key}={text}')
    return words


def tool_environment(**environment: object) -> dict[str, str]:
    ours = {'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1'}
    return {**os.environ, **ours, **{key: str(value) for key, value in environment.items()}}


def start(
    *command: object, fresh: bool = True, **environment: object
) -> subprocess.CompletedProcess:
    """Run a command in the repository, to its end; a Python script in a forked process if asked."""
    words = [str(word) for word in command]
    settings = dict(cwd=ROOT, env=tool_environment(**environment), timeout=PROCESS_TIMEOUT)
    # a process forked from one that has asked for CUDA devices cannot use them
    if not fresh and not torch.cuda.is_available():
        return run_forked(words, **settings)
    words = words if fresh else [sys.executable, *words]
    output = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.run(words, **output, **settings)


def output_of(result: subprocess.CompletedProcess, ok: bool = True) -> str:
    assert (result.returncode == 0) == ok, result.stdout[-6000:]
    return result.stdout


def run(*command: object, **environment: object) -> str:
    """Run a command; what it printed."""
    return output_of(start(*command, **environment))


def python(*command: object, ok: bool = True) -> str:
    """Run a Python script in a forked process; what it printed."""
    return output_of(start(*command, fresh=False), ok)


def fresh_python(*command: object) -> str:
    """Run a Python script in a process that has to import everything by itself."""
    return run(sys.executable, *command)


def free_port() -> str:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return str(sock.getsockname()[1])


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)['state_dict']


def validation_scores(work_dir: Path, score: str) -> list[float]:
    """The score after each epoch, from the logs of all runs in a work dir."""
    found = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if score in row:
                found[row['step']] = row[score]
    return [found[step] for step in sorted(found)]


def test_score(output: str, score: str) -> float:
    """The score that tools/test.py printed."""
    return float(re.findall(rf'Epoch\(test\).*?{re.escape(score)}: ([\d.]+)', output)[-1])


test_score.__test__ = False


class Case(NamedTuple):
    method: Method
    root: Path  # of the data
    config: Path  # the headline config made small
    work_dir: Path  # of the uninterrupted run
    log: str


@pytest.fixture(
    scope='module',
    # a method is trained once, so all of its tests run in one process
    params=[
        pytest.param(method, marks=pytest.mark.xdist_group(method.config)) for method in METHODS
    ],
    ids=[Path(method.config).stem for method in METHODS],
)
def case(request, tmp_path_factory) -> Case:
    """The small config, trained once without interruption through tools/train.py."""
    method = request.param
    root = request.getfixturevalue(method.data)
    folder = tmp_path_factory.mktemp('wiring')
    cfg = Config.fromfile(ROOT / method.config)
    cfg.merge_from_dict(method.options(root))
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1  # tests look at every epoch's
    cfg.dump(folder / 'small.py')
    log = fresh_python('tools/train.py', folder / 'small.py', '--work-dir', folder / 'whole')
    return Case(method, root, folder / 'small.py', folder / 'whole', log)


def last_checkpoint(work_dir: Path) -> Path:
    return Path((work_dir / 'last_checkpoint').read_text())


def test_training_leaves_checkpoints_and_scores(case):
    assert last_checkpoint(case.work_dir).name == 'epoch_3.pth'
    scores = validation_scores(case.work_dir, case.method.score)
    assert len(scores) == 3
    assert np.isfinite(scores).all()
    assert list(case.work_dir.glob('best_*.pth'))


def test_same_seed_same_weights(case, tmp_path):
    options = ['--cfg-options', 'train_cfg.max_epochs=1']
    python('tools/train.py', case.config, '--work-dir', tmp_path, *options)
    one, two = (weights(folder / 'epoch_1.pth') for folder in (tmp_path, case.work_dir))
    for name in one:
        assert torch.equal(one[name], two[name]), name


def test_killed_run_resumes_to_the_same_weights(case, tmp_path):
    """SIGKILL in the middle of the second epoch, then --resume auto."""
    cfg = Config.fromfile(case.config)
    cfg.custom_imports.imports.append('tests.sigkill_hook')
    cfg.custom_hooks.append(dict(type='SigkillHook', iteration=7))
    cfg.dump(tmp_path / 'killed.py')
    work_dir = tmp_path / 'run'
    result = start(
        *('tools/train.py', tmp_path / 'killed.py', '--work-dir', work_dir),
        fresh=False,
        PYTHONPATH=ROOT,
    )
    assert result.returncode == -signal.SIGKILL, result.stdout[-3000:]
    assert last_checkpoint(work_dir).name == 'epoch_1.pth'  # 5 batches an epoch, killed in the 2nd

    log = python('tools/train.py', case.config, '--work-dir', work_dir, '--resume', 'auto')
    assert 'resumed epoch: 1' in log
    whole, resumed = (weights(last_checkpoint(folder)) for folder in (case.work_dir, work_dir))
    assert last_checkpoint(work_dir).name == 'epoch_3.pth'
    for name in whole:
        assert torch.equal(whole[name], resumed[name]), name


def test_resume_from_a_named_checkpoint(case, tmp_path):
    source = case.work_dir / 'epoch_2.pth'
    log = python(
        *('tools/train.py', case.config, '--work-dir', tmp_path),
        *('--resume', source),
    )
    assert 'resumed epoch: 2' in log
    whole, resumed = weights(case.work_dir / 'epoch_3.pth'), weights(tmp_path / 'epoch_3.pth')
    for name in whole:
        assert torch.equal(whole[name], resumed[name]), name


def test_two_processes_score_as_one(case, tmp_path):
    """Half the batch in each of two processes is the same training; no sample counts twice.

    39 test samples make the sampler repeat one to fill up.
    """
    half = ['--cfg-options', 'train_dataloader.batch_size=4']
    work_dir = tmp_path / 'two'
    run(
        *('bash', 'tools/dist_train.sh', case.config, 2, '--work-dir', work_dir, *half),
        PORT=free_port(),
    )
    score = case.method.score
    np.testing.assert_allclose(
        validation_scores(work_dir, score),
        validation_scores(case.work_dir, score),
        rtol=1e-3,
    )
    # the same checkpoint, so that nothing but the sharing out differs
    checkpoint = last_checkpoint(case.work_dir)
    one = python('tools/test.py', case.config, checkpoint, '--work-dir', tmp_path / 'test1')
    two = run(
        *('bash', 'tools/dist_test.sh', case.config, checkpoint, 2),
        *('--work-dir', tmp_path / 'test2'),
        PORT=free_port(),
    )
    score = case.method.test_score or score
    assert test_score(two, score) == pytest.approx(test_score(one, score), abs=2e-4)


def test_two_nodes_train(case, tmp_path):
    """Two launchers of one process each find one another over loopback."""
    environment = tool_environment(NNODES=2, MASTER_ADDR='127.0.0.1', PORT=free_port())
    options = ['--cfg-options', 'train_dataloader.batch_size=4', 'train_cfg.max_epochs=1']
    command = ['bash', 'tools/dist_train.sh', case.config, '1', '--work-dir', tmp_path, *options]
    nodes = [
        subprocess.Popen(
            [str(word) for word in command],
            cwd=ROOT,
            env={**environment, 'NODE_RANK': str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [node.communicate(timeout=PROCESS_TIMEOUT)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], '\n'.join(out[-3000:] for out in outputs)
    score = case.method.score
    expected = validation_scores(case.work_dir, score)[:1]
    np.testing.assert_allclose(validation_scores(tmp_path, score), expected, rtol=1e-3)


def test_amp_trains_in_bfloat16_on_cpu(case, tmp_path):
    options = ['--cfg-options', 'train_cfg.max_epochs=1']
    log = python('tools/train.py', case.config, '--work-dir', tmp_path, '--amp', *options)
    assert 'BFloat16OptimWrapper' in log
    (amp,) = validation_scores(tmp_path, case.method.score)
    exact = validation_scores(case.work_dir, case.method.score)[0]
    assert amp == pytest.approx(exact, rel=0.2)
    assert amp != exact


def test_auto_scale_lr(case, tmp_path):
    options = ['--cfg-options', 'train_cfg.max_epochs=1']
    log = python(
        *('tools/train.py', case.config, '--work-dir', tmp_path),
        *('--auto-scale-lr', '--no-validate', *options),
    )
    base = Config.fromfile(case.config).auto_scale_lr.base_batch_size
    batch = Config.fromfile(case.config).train_dataloader.batch_size
    assert f'Scaling the original LR by {batch / base}' in log
    assert not validation_scores(tmp_path, case.method.score)


@pytest.mark.parametrize('place', [0, 1])
def test_headline_runs_under_a_hosts_own_script(case, tmp_path, place):
    host = case.method.hosts[place]
    # every host once without what imports beforehand might hide, such as our repairs
    fresh = place == 0 or host not in {method.hosts[0] for method in METHODS}
    script = Path(find_spec(host).submodule_search_locations[0], '.mim', 'tools', 'train.py')
    options = {**case.method.options(case.root), 'train_cfg.max_epochs': 1}
    (fresh_python if fresh else python)(
        *(script, case.method.config, '--work-dir', tmp_path),
        *('--cfg-options', *command_options(options)),
    )
    ours = validation_scores(case.work_dir, case.method.score)[0]
    assert validation_scores(tmp_path, case.method.score) == [ours]


def test_foreign_checkpoint_is_refused_everywhere(case, tmp_path):
    bad = tmp_path / 'foreign.pth'
    torch.save(dict(state_dict={}, extra=Foreign()), bad)
    common = ('--work-dir', tmp_path / 'work')
    for command in (
        ('tools/train.py', case.config, '--resume', bad, *common),
        ('tools/train.py', case.config, *common, '--cfg-options', f'load_from={bad}'),
        ('tools/test.py', case.config, bad, *common),
        ('tools/demo.py', case.config, bad, case.method.demo_input(case.root)),
    ):
        log = python(*command, ok=False)
        assert 'foreign.pth: refused, because this checkpoint holds more than weights' in log


class Foreign:
    """A type that no checkpoint of mmengine holds."""


def test_test_writes_predictions_and_drawings(case, tmp_path):
    command = ['tools/test.py', case.config, last_checkpoint(case.work_dir)]
    command += ['--work-dir', tmp_path / 'work', '--show-dir', tmp_path / 'drawings']
    python(*command, '--out', tmp_path / 'predictions.pkl')
    assert (tmp_path / 'predictions.pkl').stat().st_size > 1000
    assert list((tmp_path / 'drawings').iterdir())
    log = python(*command, '--out', tmp_path / f'predictions{case.method.outfile}')
    assert f'written to {tmp_path}' in log
    assert (tmp_path / f'predictions{case.method.outfile}').stat().st_size > 1000


def test_demo_draws_and_writes_json(case, tmp_path):
    checkpoint = last_checkpoint(case.work_dir)
    out = fresh_python(
        *('tools/demo.py', case.config, checkpoint, case.method.demo_input(case.root)),
        *('--out-dir', tmp_path),
    )
    drawings = [Path(line) for line in out.splitlines() if line.endswith(('.gif', '.mp4', '.png'))]
    assert drawings
    assert all(drawing.stat().st_size > 1000 for drawing in drawings)
    assert len(json.loads((tmp_path / 'predictions.json').read_text())) == 1


def test_unknown_options_are_refused(case, tmp_path):
    log = python(
        *('tools/train.py', case.config, '--work-dir', tmp_path),
        *('--cfg-options', 'model.no_such_option=1'),
        ok=False,
    )
    assert 'no_such_option' in log


@pytest.mark.xdist_group(METHODS[0].config)  # whose tests start the server of forked processes
@pytest.mark.parametrize(
    ('ending', 'code', 'words'),
    [
        pytest.param('print("all done")', 0, 'all done', id='end'),
        pytest.param('sys.exit(3)', 3, '', id='code'),
        pytest.param('sys.exit("a message")', 1, 'a message', id='message'),
        pytest.param('raise ValueError("a reason")', 1, 'ValueError: a reason', id='exception'),
        pytest.param('os.kill(os.getpid(), 9)', -signal.SIGKILL, '', id='signal'),
    ],
)
def test_forked_process_is_as_a_fresh_one(tmp_path, ending, code, words):
    script = tmp_path / 'script.py'
    script.write_text(
        'import atexit, os, pathlib, sys\n'
        'state = [__name__, __file__, sys.argv[:-1], sys.path, os.getcwd(), dict(os.environ)]\n'
        'pathlib.Path(sys.argv[-1]).write_text(repr(state))\n'
        'atexit.register(print, "at the exit")\n'
        f'{ending}\n'
    )
    environment = dict(PYTHONPATH=ROOT, SOME_VARIABLE='some value')
    for name in ('fresh', 'forked'):
        command = [*([sys.executable] if name == 'fresh' else []), script, tmp_path / name]
        result = start(*command, fresh=name == 'fresh', **environment)
        assert result.returncode == code
        assert words in result.stdout
        assert ('at the exit' in result.stdout) == (code >= 0)
    assert (tmp_path / 'forked').read_text() == (tmp_path / 'fresh').read_text()


@pytest.mark.xdist_group(METHODS[0].config)
def test_forked_process_is_killed_when_it_takes_too_long(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text('import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n')
    with pytest.raises(subprocess.TimeoutExpired) as error:
        run_forked([str(script)], cwd=ROOT, env=tool_environment(), timeout=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int(error.value.output), 0)
