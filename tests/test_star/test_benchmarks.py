"""The benchmark runs, compares and counts; what it times is not tested."""

import re

import pytest
import torch

from tests.test_wiring import ROOT, python

T, S, K, C, B = 4, 3, 2, 16, 2
CPU = dict(device=torch.device('cpu'), dtype=torch.float32)


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'benchmarks')  # as for a script that runs
    import star_attention

    return star_attention


@pytest.fixture
def jobs(benchmark):
    return benchmark.make_jobs((B, K + T * S, C), T, K, 2, CPU)


def test_table():
    options = '--frames 4 --grid 2 --joints 3 5 --channels 16 --heads 2 --batch-size 2'
    options += ' --repeats 2 --threads 1 --device cpu'
    output = python('tools/benchmarks/star_attention.py', *options.split())
    assert '2 x 31 tokens (4 frames, 2x2 grid, 3 joints, 3 class tokens), 16 channels' in output
    assert '2 x 39 tokens (4 frames, 2x2 grid, 5 joints, 3 class tokens), 16 channels' in output
    rows = [line.strip('│ ').split('│') for line in output.splitlines() if line.startswith('│')]
    names = [row[0].strip() for row in rows]
    split = ['plain, masked', 'plain, split']
    assert names == ['FAttn', 'plain', 'ZAttn', *split, 'BAttn', *split] * 2
    assert all(float(cell) > 0 for row in rows for cell in row[1:])
    for name, row in zip(names, rows, strict=True):
        if name.endswith('Attn'):  # over itself
            assert float(row[3]) == float(row[5]) == 1
    # by hand, of 4 frames with 7 tokens and 3 class tokens: 14 queries see 14 + 3 keys
    assert float(rows[2][7]) == pytest.approx((2 * 14 * 17 + 3 * 31) / 31**2, abs=6e-4)
    assert re.search(r'ZAttn 569;\s+the first half of ZAttn and BAttn has 0\.2477', output)


def test_plain_ones_equal_ours(benchmark, jobs):
    for ways in jobs.values():
        for job in ways.values():
            assert benchmark.difference(ways['ours'], job) < 1e-4


def test_a_difference_is_an_error(benchmark, jobs):
    jobs['ZAttn']['plain, split'].K = 0  # takes the class tokens for a frame's
    jobs['ZAttn']['plain, split'].T = 2
    with pytest.raises(RuntimeError, match='ZAttn: plain, split differs by'):
        benchmark.measure(jobs, 1, CPU['device'])


def test_flops(benchmark, jobs):
    """Two products of D multiplications and additions a pair and head; their backward is twice."""
    L = K + T * S
    for kind, ways in jobs.items():
        for way, job in ways.items():
            pairs = L * L
            if way != 'plain, masked':
                pairs = benchmark.query_key_pairs(job.module, T, S, K)
            attention, total = job.flops()
            assert attention == 3 * 4 * B * C * pairs, (kind, way)
            assert total - attention == 3 * 2 * B * L * 4 * C * C


def test_pairs_without_class_tokens(benchmark, jobs):
    """The document's claim: a quarter for each half."""
    pairs = {
        kind: benchmark.query_key_pairs(ways['ours'].module, 16, 62, 0)
        for kind, ways in jobs.items()
    }
    assert pairs == dict(FAttn=992**2, ZAttn=992**2 // 2, BAttn=992**2 // 2)


def test_peak_memory(benchmark):
    """Of a job whose blocks are known: two of a mebibyte live at once, a third after them."""

    def attend(module, x, T, K):
        return Blocks.apply(x)

    x = torch.zeros(1, 1, 4, requires_grad=True)
    job = benchmark.Job(torch.nn.Identity(), attend, x, 1, 0)
    assert job.peak_memory() == pytest.approx(2 * 2**20, abs=200)


class Blocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        first, second = torch.zeros(2**18), torch.zeros(2**18)
        del first, second
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        torch.zeros(2**18)
        return gradient.clone()
