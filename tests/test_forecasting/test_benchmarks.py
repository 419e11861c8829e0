"""The benchmark runs, compares and says how time grows; what it times is not tested."""

import re

import pytest
import torch

from tests.test_wiring import ROOT, python


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'benchmarks')  # as for a script that runs
    import forecast_rollout

    return forecast_rollout


@pytest.fixture
def case(benchmark):
    options = dict(num_joints=3, num_blocks=1, num_heads=2)
    return benchmark.Case(6, 8, options, 4, torch.device('cpu'))


def test_table():
    options = '--frames 3 6 --channels 8 16 --joints 3 --blocks 1 --batch-size 2'
    options += ' --repeats 2 --threads 1 --device cpu'
    output = python('tools/benchmarks/forecast_rollout.py', *options.split())
    titles = ' '.join(output.split())
    for channels in (8, 16):
        for frames in (3, 6):
            assert f'10 to {frames} frames, 2 people, 3 joints, {channels} channels' in titles
    rows = [line.strip('│ ').split('│') for line in output.splitlines() if line.startswith('│')]
    names = [row[0].strip() for row in rows]
    assert names == ['one pass', 'rollout', 'without cache', 'one pass', 'rollout'] * 2
    assert all(float(cell) > 0 for row in rows for cell in row[1:])
    for name, row in zip(names, rows, strict=True):
        if name == 'one pass':  # over itself
            assert float(row[3]) == float(row[6]) == 1
    assert len(re.findall(r"rollout's decoder: .* x the time for 2 x the frames", output)) == 2


@torch.no_grad()
def test_parts_of_a_case(case):
    """What is timed as one is one: the whole is the decoder on the encoder's memory."""
    wholes, decoders = case.wholes(), case.decoders()
    for row, model in (('one pass', case.plain), ('rollout', case.model)):
        forecast = wholes[row]()
        assert torch.equal(forecast, model(case.observed))
        assert forecast.shape[:3] == decoders[row]().shape[:3]
    torch.testing.assert_close(decoders['without cache'](), decoders['rollout']())
    torch.testing.assert_close(wholes['without cache'](), wholes['rollout'](), rtol=0, atol=1e-3)
    assert case.check() < 1e-3


@torch.no_grad()
def test_a_difference_is_an_error(benchmark, case, monkeypatch):
    first_token = case.model.tokens[:1]
    case.check()
    monkeypatch.setattr(
        benchmark,
        'without_cache',
        lambda model, memory, observed: model.roll_out(memory, observed) + first_token.sum(),
    )
    with pytest.raises(RuntimeError, match='rollouts differ by 1e.03 mm, expected 0.001 at most'):
        case.check()


def test_growth(benchmark):
    """Of costs whose parts are known."""
    linear = benchmark.growth(2.0, 8.0, (25, 100))
    assert linear.startswith('4.0 x the time for 4 x the frames (linear 4, quadratic 16)')
    assert linear.endswith('quadratic part at 100 frames 0 %')
    half = benchmark.growth(25 + 25**2 / 100, 100 + 100**2 / 100, (25, 100))
    assert half.endswith('quadratic part at 100 frames 50 %')


def test_frames_in_the_wrong_order(benchmark, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['forecast_rollout.py', '--frames', '9', '4'])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert '--frames is [9, 4], expected a smaller number first' in capsys.readouterr().err
