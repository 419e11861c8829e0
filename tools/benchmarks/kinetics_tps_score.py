"""Time and memory of the Kinetics-TPS score, against plain loops over json's objects.

    python tools/benchmarks/kinetics_tps_score.py                # as large as the challenge
    python tools/benchmarks/kinetics_tps_score.py --videos 50    # seconds

Random results are written to a temporary folder and scored by ``tools/evaluate_kinetics_tps.py``
and by ``kinetics_tps_reference``, which does what the organisers' script does in one run: both as
commands of their own, one after the other, for whole time and peak memory. "Scoring" is the time
from parsed results to the score: from arrays here, from Python's objects there. The scores must be
equal.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    *('head', 'left_arm', 'right_arm', 'left_hand', 'right_hand'),
    *('hip', 'left_leg', 'right_leg', 'left_foot', 'right_foot'),
)
STATES = ('none', 'others', *(f'state_{number:02d}' for number in range(72)))

REFERENCE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from kinetics_tps_reference import reference_score
results = []
for name in ('gt/gt_vid', 'gt/gt_part', 'pred/pred_vid', 'pred/pred_part'):
    with open(f'{sys.argv[2]}/{name}_result.json', encoding='utf-8') as file:
        results.append(json.load(file))
start = time.perf_counter()
score = reference_score(*results)
print(json.dumps(dict(acc_p=score, scoring=time.perf_counter() - start)))
"""
OURS = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from evaluate_kinetics_tps import import_alone
import_alone()
from projects.apct.scoring import file_score, result_files
from projects.apct.scoring.result_fields import FILE_NAMES
from projects.apct.scoring.score import summary
truth, pred = sys.argv[2] + '/gt', sys.argv[2] + '/pred'
scene = file_score.FlatScene(result_files.read_result(truth, FILE_NAMES.gt_videos))
with result_files.garbage_collection_off():
    scene.read_truth(result_files.raw_videos(truth, FILE_NAMES.gt_people))
    scene.read_prediction(result_files.raw_videos(pred, FILE_NAMES.pred_people))
start = time.perf_counter()
summary(scene.pscs(), [True] * len(scene.videos))
print(json.dumps(dict(scoring=time.perf_counter() - start)))
"""


def write_results(folder: Path, videos: int, frames: int = 20, seed: int = 0) -> int:
    """Random results: people found with noise, missed and invented, states right 7 times in 10.

    Args:
        folder: Gets ``gt`` and ``pred``.
        videos: How many; the challenge has 932.
        frames: Evaluated frames of each; the challenge has 20 on average.
        seed: Of the random numbers.

    Returns:
        How many true people there are.
    """
    rng = np.random.default_rng(seed)
    gt_videos, pred_videos, gt_people, pred_people = {}, {}, {}, {}
    total = 0
    for number in range(videos):
        video = f'video_{number:05d}'
        gt_videos[video] = f'class_{rng.integers(24):02d}'
        pred_videos[video] = gt_videos[video] if rng.random() < 0.9 else 'class_00'
        gt_people[video], pred_people[video] = {}, {}
        for frame in range(frames):
            people, guesses = [], []
            for person in range(min(10, 1 + rng.poisson(1.91))):
                truth, guess = _person(rng, person + 1)
                people.append(truth)
                if rng.random() < 0.95:
                    guesses.append(guess)
            if rng.random() < 0.2 and len(guesses) < 10:
                guesses.append(_person(rng, 0)[1])
            total += len(people)
            name = f'img_{1 + 5 * frame:05d}.json'
            gt_people[video][name] = dict(humans=people)
            order = rng.permutation(len(guesses))
            pred_people[video][name] = dict(humans=[guesses[index] for index in order])
    for half, kind, result in (
        ('gt', 'vid', gt_videos),
        ('gt', 'part', gt_people),
        ('pred', 'vid', pred_videos),
        ('pred', 'part', pred_people),
    ):
        path = folder / half / f'{half}_{kind}_result.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(result), encoding='utf-8')
    return total


def _person(rng: np.random.Generator, number: int) -> tuple[dict, dict]:
    """A true person with 10 parts, and a prediction of 1 to 5 proposals a part."""
    corner, size = rng.uniform((0, 0), (900, 400)), rng.uniform(60, 300, 2)
    box = np.concatenate([corner, corner + size])
    low = corner + rng.uniform(0, 0.7, (10, 2)) * size
    high = low + 20 + rng.uniform(0, 0.3, (10, 2)) * size
    part_boxes = np.concatenate([low, high], axis=1)  # (10, 4)
    offered = part_boxes[:, None] + rng.normal(0, 4, (10, 5, 4))
    counts, states = rng.integers(1, 6, 10), rng.integers(0, len(STATES), (10, 5))
    truth_states = np.where(rng.random(10) < 0.7, states[:, 0], rng.integers(0, len(STATES), 10))
    part_boxes, offered = part_boxes.round(2).tolist(), offered.round(2).tolist()
    truth, guess = {}, {}
    for k, name in enumerate(PARTS):
        state = STATES[truth_states[k]]
        truth[name] = dict(number=number, box=part_boxes[k], verb=state, name=name)
        guess[name] = dict(
            box=offered[k][: counts[k]], verb=[STATES[s] for s in states[k, : counts[k]]]
        )
    noisy = (box + rng.normal(0, 10, 4)).round(2).tolist()
    return (
        dict(number=number, box=box.round(2).tolist(), parts=truth),
        dict(number=number, box=noisy, score=round(float(rng.random()), 4), parts=guess),
    )


def measured(command: list[str]) -> tuple[dict, float, float, float]:
    """What a command prints as JSON, its seconds, its processor seconds, and its peak MiB.

    Args:
        command: To run. It runs alone, and its memory is what the system counted for it.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f'{command[:3]} failed with status {process.returncode}')
    unit = 1 << 20 if sys.platform == 'darwin' else 1 << 10
    return json.loads(output), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def main() -> None:
    """Write, score both ways, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--videos', type=int, default=932)
    parser.add_argument('--repetitions', type=int, default=3, help='of which the best counts')
    args = parser.parse_args()
    here = str(Path(__file__).resolve().parent)
    with tempfile.TemporaryDirectory() as folder:
        # in a process of its own: a child's peak memory starts from that of its parent
        with ProcessPoolExecutor(1) as pool:
            people = pool.submit(write_results, Path(folder), args.videos).result()
        sizes = [path.stat().st_size / 1e6 for path in sorted(Path(folder).glob('*/*_part_*'))]
        plain = [sys.executable, '-c', REFERENCE, here, folder]
        scoring = [sys.executable, '-c', OURS, str(ROOT / 'tools'), folder]
        tool = [sys.executable, str(ROOT / 'tools' / 'evaluate_kinetics_tps.py')]
        command = [*tool, f'{folder}/gt', f'{folder}/pred']
        runs = []
        for _ in range(args.repetitions):  # in turn, so that a busy machine hits both
            runs.append((measured(plain), measured(command), measured(scoring)))
    for (reference, *_), (ours, *_), _ in runs:
        if abs(reference['acc_p'] - ours['acc_p']) > 1e-9:
            sys.exit(f'the scores differ: {reference["acc_p"]!r} and {ours["acc_p"]!r}')
    rows = {
        'scoring alone, s': [(run[0][0]['scoring'], run[2][0]['scoring']) for run in runs],
        'whole command, s': [(run[0][1], run[1][1]) for run in runs],
        'whole command, processor s': [(run[0][2], run[1][2]) for run in runs],
        'peak memory, MiB': [(run[0][3], run[1][3]) for run in runs],
    }
    table = Table(
        title=f'{args.videos} videos, {people} people, {sizes[0]:.0f} + {sizes[1]:.0f} MB; '
        f'acc_p {runs[0][1][0]["acc_p"]:.6f} from both',
        title_justify='left',
    )
    for column in ('', 'plain loops', 'ours', 'ratio'):
        table.add_column(column, justify='left' if not column else 'right')
    for name, pairs in rows.items():
        slow, fast = (min(column) for column in zip(*pairs, strict=True))
        table.add_row(name, f'{slow:.3f}', f'{fast:.3f}', f'{slow / fast:.1f}')
    Console(width=100).print(table)


if __name__ == '__main__':
    main()
