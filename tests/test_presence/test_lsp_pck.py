import numpy as np
import pytest
from mmpose.registry import METRICS
from mmpose.utils import register_all_modules

from projects.presence.lsp_pck import LSPPCKAccuracy

register_all_modules()
LEFT_HIP, RIGHT_HIP, RIGHT_SHOULDER, LEFT_SHOULDER = 3, 2, 8, 9


def sample(places, predicted, visible=None):
    visible = np.ones(14) if visible is None else visible
    return dict(
        gt_instances=dict(keypoints=places[None], keypoints_visible=visible[None]),
        pred_instances=dict(keypoints=predicted[None]),
    )


def evaluate(samples, **options):
    metric = METRICS.build(dict(type='LSPPCKAccuracy', **options))
    for one in samples:
        metric.process(None, [one])
    return metric.evaluate(len(samples))


def slow_pck(samples, thr):
    right = [[] for _ in range(14)]
    for one in samples:
        places, visible = one['gt_instances']['keypoints'][0], one['gt_instances']
        visible = visible['keypoints_visible'][0]
        if visible[LEFT_HIP] and visible[RIGHT_SHOULDER]:
            torso = places[LEFT_HIP] - places[RIGHT_SHOULDER]
        elif visible[RIGHT_HIP] and visible[LEFT_SHOULDER]:
            torso = places[RIGHT_HIP] - places[LEFT_SHOULDER]
        else:
            continue
        for joint in range(14):
            if visible[joint]:
                error = one['pred_instances']['keypoints'][0, joint] - places[joint]
                right[joint].append(np.hypot(*error) < thr * np.hypot(*torso))
    return [np.mean(joint) for joint in right if joint]


@pytest.mark.parametrize('thr', [0.2, 0.1])
def test_equals_a_plain_loop(thr):
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(60):
        places = rng.uniform(0, 100, (14, 2))
        noise = rng.normal(0, 6, (14, 2))
        samples.append(sample(places, places + noise, (rng.random(14) < 0.6).astype(float)))
    scores = evaluate(samples, thr=thr)
    expected = slow_pck(samples, thr)
    assert scores['PCK'] == pytest.approx(np.mean(expected))
    assert scores['PCK/Wrist'] == pytest.approx((expected[6] + expected[11]) / 2)
    assert scores['PCK/Head'] == pytest.approx(expected[13])
    assert 0.2 < scores['PCK'] < 0.98


def test_unseen_joints_and_people_without_a_torso_do_not_count():
    places = np.zeros((14, 2))
    places[RIGHT_SHOULDER] = (0, 100)
    wrong = places.copy()
    wrong[[6, 7]] += 50
    visible = np.ones(14)
    assert evaluate([sample(places, wrong)])['PCK'] == pytest.approx(12 / 14)
    visible[[6, 7]] = 0
    scores = evaluate([sample(places, wrong, visible)])
    assert scores['PCK'] == 1
    assert scores['PCK/Wrist'] == 1  # of the left one
    none = np.ones(14)
    none[[RIGHT_SHOULDER, LEFT_SHOULDER]] = 0
    assert evaluate([sample(places, wrong, visible), sample(places, wrong, none)])['PCK'] == 1


def test_last_axis_of_packed_visibility():
    places = np.arange(28.0).reshape(14, 2)
    packed = np.stack([np.ones(14), np.zeros(14)], axis=-1)  # v, loss weight
    assert evaluate([sample(places, places, packed)])['PCK'] == 1


def test_bad_input():
    with pytest.raises(ValueError, match=r'shape \(1, 17, 2\), expected \(1, 14, 2\)'):
        LSPPCKAccuracy().process(None, [sample(np.zeros((17, 2)), np.zeros((17, 2)))])
    with pytest.raises(ValueError, match='thr is 0, expected more than 0'):
        LSPPCKAccuracy(thr=0)
