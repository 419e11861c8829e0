"""The benchmark runs and counts; what it times is not tested."""

import re

import pytest
import torch
from mmengine.registry import init_default_scope

from tests.test_wiring import ROOT, python

SMALL = """
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(type='PoseDataPreprocessor', mean=[90.0] * 3, std=[60.0] * 3),
    backbone=dict(
        type='ResNet',
        depth=18,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'),
    ),
    head=dict(
        type='HeatmapHead',
        in_channels=512,
        out_channels=5,
        deconv_out_channels=(8,),
        deconv_kernel_sizes=(4,),
        decoder=dict(type='MSRAHeatmap', input_size=(96, 128), heatmap_size=(6, 8), sigma=1),
    ),
    test_cfg=dict(flip_test=True, flip_mode='heatmap'),
)
"""
SMALL_WITH = """
_base_ = ['small.py']
model = dict(
    head=dict(
        _delete_=True,
        type='KeypointPresenceHead',
        pose_head=_base_.model.head,
        hidden_channels=16,
        pool=2,
    )
)
"""


@pytest.fixture
def configs(tmp_path):
    (tmp_path / 'small.py').write_text(SMALL)
    (tmp_path / 'small_with.py').write_text(SMALL_WITH)
    return tmp_path


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'benchmarks')  # as for a script that runs
    import presence_cost

    init_default_scope('mmpose')
    return presence_cost


def test_table(configs):
    files = [configs / 'small.py', configs / 'small_with.py']
    options = ('--batch-size', 2, '--repeats', 2, '--device', 'cpu', '--flip-test')
    output = python('tools/benchmarks/presence_cost.py', '--config', *files, *options)
    assert 'Prediction of 2 people, flip test; CPU' in output
    rows = [line.strip('│ ').split('│') for line in output.splitlines() if line.startswith('│')]
    rows = {row[0].strip(): [re.findall(r'[-+]?[\d.]+', cell) for cell in row[1:]] for row in rows}
    assert list(rows) == ['small', 'small_with']
    for row in rows.values():
        assert all(float(number) > 0 for cell in row[:6] for number in cell if number != '-')
    # by hand: 4 or 12 cells, hidden layer, score, of 5 keypoints
    parameters = [5 * ((4 + 1) * 128 + 129) / 1e6, 5 * ((12 + 1) * 16 + 17) / 1e6]
    for row, expected in zip(rows.values(), parameters, strict=True):
        assert float(row[6][1]) == pytest.approx(expected, abs=6e-4)


def test_counts(benchmark, configs):
    jobs = benchmark.make_jobs(str(configs / 'small_with.py'), 3, False, torch.device('cpu'))
    added = {
        size: getattr(jobs['with'], size)() - getattr(jobs['without'], size)()
        for size in ('parameters', 'gmacs')
    }
    assert added['parameters'] * 1e6 == pytest.approx(5 * (13 * 16 + 17), abs=0.5)
    assert added['gmacs'] * 1e9 == pytest.approx(5 * (12 * 16 + 16), abs=0.5)


def test_attention_is_counted(benchmark):
    class Attention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
            self.layers = torch.nn.TransformerEncoder(layer, 1)

        def data_preprocessor(self, data):
            return data

        def forward(self, inputs, data_samples, mode):
            return self.layers(inputs)

    job = benchmark.Job(Attention(), dict(inputs=torch.randn(2, 10, 8)))
    projections, attention, feedforward = 10 * 4 * 8 * 8, 2 * 10 * 10 * 8, 2 * 10 * 8 * 16
    assert job.gmacs() * 1e9 == pytest.approx(projections + attention + feedforward)
    assert torch.backends.mha.get_fastpath_enabled()


def test_both_models_predict_the_same(benchmark, configs):
    jobs = benchmark.make_jobs(str(configs / 'small.py'), 2, True, torch.device('cpu'))
    shown = {}
    for name, job in jobs.items():
        shown[name] = [
            (sample.pred_instances.keypoints, 'keypoints_presence' in sample.pred_instances)
            for sample in job.predict()
        ]
    for (place, no), (other, yes) in zip(*shown.values(), strict=True):
        assert (place == other).all()
        assert (no, yes) == (False, True)


def test_stock_models_gain_presence(benchmark):
    for name in benchmark.MODELS_TIMED:
        alone, presence = benchmark.model_configs(name)
        assert presence.head.type == 'KeypointPresenceHead'
        assert presence.head.pose_head == alone.head
        assert 'init_cfg' not in presence.backbone
        assert alone.backbone == presence.backbone
