"""The benchmarks run and say how their models compare; what they time is not tested."""

import re

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from tests.test_wiring import ROOT, python


def run_benchmark(name, *options):
    small = ('--image-size', 64, 96, '--repeats', 1, '--device', 'cpu')
    return python(f'tools/benchmarks/{name}.py', *small, *options)


def rows_of(output):
    """Numbers of each row of the table, those in brackets included, by its first cell."""
    rows = [line.strip('│ ').split('│') for line in output.splitlines() if line.startswith('│')]
    return {row[0].strip(): [re.findall(r'[-+]?[\d.]+', cell) for cell in row[1:]] for row in rows}


def test_apct_beside_mmdets_detr():
    rows = rows_of(run_benchmark('apct_speed', '--backbone', 'r18', '--people', 2))
    assert list(rows) == ['DETR of mmdet', '+ parts, states', '+ cascade', '+ refinement']
    parameters, kept = ([float(cells[column][1]) for cells in rows.values()] for column in (2, 3))
    assert parameters[0] == kept[0] == 0
    assert parameters == sorted(parameters)  # each step adds to the one before
    assert kept == sorted(kept)
    states = 10 * 74 * (256 + 1)  # of the last layer alone
    assert parameters[1] > states / 1e6
    assert all(
        float(number) > 0 for cells in rows.values() for cell in cells[:2] for number in cell
    )
    assert [float(cell[1]) for cell in rows['DETR of mmdet'][:2]] == [1, 1]


def test_apct_beside_a_pipeline():
    output = run_benchmark('apct_against_pipeline', '--people', 1, 2, '--part-size', 32)
    rows = rows_of(output)
    rows.pop('people', None)
    assert list(rows) == ['1', '2']
    for (ours,), (theirs,), (ratio,) in rows.values():
        assert float(ratio) == pytest.approx(float(ours) / float(theirs), rel=0.02)


@pytest.fixture
def pipeline(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'benchmarks')  # as for a script that runs
    import apct_against_pipeline

    return apct_against_pipeline


def test_part_boxes_hold_their_keypoints(pipeline):
    keypoints = np.random.default_rng(0).uniform(50, 150, (3, 17, 2))
    heights = np.array([100.0, 50.0, 200.0])
    boxes = pipeline.part_boxes(keypoints, heights)
    assert boxes.shape == (3, 10, 4)
    for person in range(3):
        for part, box in zip(pipeline.PART_KEYPOINTS, boxes[person], strict=True):
            points, margin = keypoints[person, list(part)], 0.08 * heights[person]
            np.testing.assert_allclose(points.min(0) - box[:2], margin)
            np.testing.assert_allclose(box[2:] - points.max(0), margin)


def test_nms_drops_overlaps_and_keeps_the_best(pipeline):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(60, 2, generator=generator) * 40
    boxes = torch.cat([corners, corners + 20], dim=1)
    scores = torch.rand(60, generator=generator)
    found, kept = pipeline.torchvision_nms(boxes, scores, iou_threshold=0.5)
    assert torch.equal(found, torch.cat([boxes, scores[:, None]], dim=1)[kept])
    assert torch.equal(found[:, 4], found[:, 4].sort(descending=True).values)
    assert scores.argmax() == kept[0]
    overlaps = box_iou(found[:, :4], found[:, :4]).fill_diagonal_(0)
    assert overlaps.max() <= 0.5
    assert len(kept) < 60
