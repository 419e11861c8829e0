"""The benchmark runs and compares what it says; what it times is not tested."""

import sys

import numpy as np
import pytest
import torch

from tests.test_wiring import ROOT, python


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'benchmarks')  # as for a script that runs
    import poserac_counting

    return poserac_counting


def test_counting_beside_plain_loops():
    small = ('--classes', 6, '--frames', 300, '--loop-classes', 3, '--tensor-classes', 2)
    output = python('tools/benchmarks/poserac_counting.py', *small, '--repeats', 2)
    rows = [line.strip('│ ').split('│') for line in output.splitlines() if line.startswith('│')]
    rows = {row[0].strip(): [float(cell) for cell in row[1:]] for row in rows}
    assert [row[0] for row in rows.values()] == [6, 6, 3, 3, 3, 2]
    ours = rows['count_repetitions']
    assert ours[3] == 1
    for _, seconds, speed, ratio in rows.values():
        assert speed == pytest.approx(300 / seconds, rel=0.01)
        assert ratio == pytest.approx(ours[2] / speed, rel=0.02, abs=0.06)


def test_different_counts_are_no_result(benchmark, monkeypatch):
    options = '--classes 3 --frames 300 --loop-classes 2 --tensor-classes 1 --repeats 1'
    monkeypatch.setattr(sys, 'argv', ['poserac_counting.py', *options.split()])
    monkeypatch.setattr(benchmark, 'plain_count', lambda scores: 0)
    with pytest.raises(SystemExit, match='the counts differ: count_repetitions and loop: array'):
        benchmark.main()


def test_loops_count(benchmark):
    scores = np.tile(np.repeat([0.02, 0.97], 5), 4).astype(np.float32)  # II is the start
    tensor = torch.from_numpy(scores)[:, None]
    assert benchmark.plain_count(scores.tolist()) == 3
    assert benchmark.plain_count(benchmark._OneByOne(tensor, 0)) == 3
    assert benchmark.plain_count((1 - scores).tolist()) == 3


def test_scores_are_curves_of_many_periods(benchmark):
    scores = benchmark.make_scores(40, 1000)
    assert scores.shape == (1000, 40)
    assert scores.dtype == np.float32
    assert scores.min() >= 0
    assert scores.max() <= 1
    counts = [benchmark.plain_count(scores[:, index].tolist()) for index in range(40)]
    assert min(counts) >= 6  # 1000 frames of at most 120 each
    assert max(counts) > 25
    np.testing.assert_array_equal(scores, benchmark.make_scores(40, 1000))
