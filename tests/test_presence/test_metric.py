import json

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger, print_log
from mmengine.registry import METRICS
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from projects.presence.metric import KeypointPresenceMetric
from projects.presence.presence_scores import presence_scores

NAMES = {0: 'wrist', 1: 'ankle', 2: 'neck'}


@pytest.fixture
def log(caplog):
    """What mmengine's logger says, which does not hand it on."""
    print_log('', logger='current')  # makes sure that there is a current logger
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def samples(count=30, seed=0, labels=True, **fields):
    """Data samples as a pipeline and KeypointPresenceHead make them, and their arrays."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((count, 3)) < 0.7).astype(np.float32)
    weights = (rng.random((count, 3)) < 0.8).astype(np.float32)
    presence = np.clip(rng.normal(0.3 + 0.4 * truth, 0.2), 0, 1).astype(np.float32)
    maxima = np.clip(rng.normal(0.4 + 0.1 * truth, 0.2), 0, 1.2).astype(np.float32)
    made = []
    for person in range(count):
        sample = PoseDataSample(metainfo=dict(img_path=f'{person}.jpg', raw_ann_info=dict(id=1)))
        sample.gt_instances = InstanceData(
            keypoints=np.ones((1, 3, 2)), keypoints_visible=truth[None, person]
        )
        if labels:
            sample.gt_instance_labels = InstanceData(
                keypoint_presence=torch.from_numpy(truth[None, person]),
                keypoint_presence_weights=torch.from_numpy(weights[None, person]),
            )
        sample.pred_instances = InstanceData(
            keypoints_presence=presence[None, person],
            keypoint_scores=maxima[None, person],
            **{name: value[None, person] for name, value in fields.items()},
        )
        made.append(sample.to_dict())
    return made, truth > 0, weights > 0, presence, maxima


def evaluate(made, batch=7, **options):
    metric = METRICS.build(dict(type='KeypointPresenceMetric', **options))
    metric.dataset_meta = dict(keypoint_id2name=NAMES)
    for start in range(0, len(made), batch):
        metric.process(None, made[start : start + batch])
    return metric.evaluate(len(made))


def test_scores_of_presence_and_heatmap_maxima():
    made, truth, known, presence, maxima = samples()
    scores = evaluate(made)
    expected = presence_scores(truth, known, presence).summary
    beside = presence_scores(truth, known, maxima).summary
    assert scores == {
        **{f'presence/{name}': value for name, value in expected.items()},
        **{f'presence/heatmap_max/{name}': value for name, value in beside.items()},
    }
    assert all(type(value) is float for value in scores.values())
    assert scores['presence/AUROC'] > scores['presence/heatmap_max/AUROC']


def test_heatmap_maxima_that_the_head_kept_are_taken():
    made, truth, known, presence, maxima = samples()
    kept, *_ = samples(keypoint_heatmap_scores=maxima[:, ::-1])
    expected = presence_scores(truth, known, maxima[:, ::-1]).summary
    assert (
        evaluate(kept)['presence/heatmap_max/AP']
        == expected['AP']
        != evaluate(made)['presence/heatmap_max/AP']
    )


def test_other_sources():
    made, truth, known, presence, maxima = samples()
    made, *_ = samples(keypoints_visible=1 - presence)
    scores = evaluate(made, sources=dict(vis='keypoints_visible', max=['keypoint_scores']))
    assert scores['presence/AUROC'] == presence_scores(truth, known, 1 - presence).summary['AUROC']
    assert scores['presence/max/AP'] == presence_scores(truth, known, maxima).summary['AP']
    assert not any('vis/' in name for name in scores)


def test_truth_of_a_pipeline_without_the_target():
    made, truth, _, presence, _ = samples(labels=False)
    expected = presence_scores(truth, np.ones_like(truth), presence).summary
    assert evaluate(made)['presence/AP'] == expected['AP']
    for sample in made:  # as mmpose packs v and its weights
        visible = sample['gt_instances']['keypoints_visible']
        sample['gt_instances']['keypoints_visible'] = np.stack([visible, 0 * visible], axis=-1)
    assert evaluate(made)['presence/AP'] == expected['AP']


def test_labels_behind_several_encoders():
    made, *_ = samples()
    expected = evaluate(made)
    for sample in made:  # repeated and stacked by mmpose
        for name, label in sample['gt_instance_labels'].items():
            sample['gt_instance_labels'][name] = torch.stack([label] * 2)
    assert evaluate(made) == expected


def test_repeated_samples_of_a_distributed_sampler_are_dropped():
    made, *_ = samples()
    metric = KeypointPresenceMetric()
    metric.process(None, made)
    metric.process(None, made[:3])
    assert metric.evaluate(len(made)) == evaluate(made)


def test_threshold_of_validation():
    made, truth, known, presence, _ = samples()
    assert 'presence/F1_val' not in evaluate(made)
    scores = evaluate(made, threshold=0.3)
    expected = presence_scores(truth, known, presence, threshold=0.3).summary
    assert scores['presence/F1_val'] == expected['F1_val'] != scores['presence/F1']
    assert 'presence/heatmap_max/F1_val' not in scores


def test_thresholds_of_several_sources():
    made, truth, known, presence, maxima = samples()
    scores = evaluate(made, threshold=dict(heatmap_max=0.45, presence=0.3))
    for prefix, values, threshold in (('', presence, 0.3), ('heatmap_max/', maxima, 0.45)):
        expected = presence_scores(truth, known, values, threshold=threshold).summary
        for name in ('F1_val', 'F1_absent_val', 'F1_macro_val'):
            assert scores[f'presence/{prefix}{name}'] == expected[name]
    scores = evaluate(made, threshold=dict(heatmap_max=0.45))
    assert 'presence/F1_val' not in scores
    assert 'presence/heatmap_max/F1_val' in scores


def test_detected_boxes_are_refused():
    made, *_ = samples(2, labels=False)
    for sample in made:  # what mmpose fills in for them
        del sample['raw_ann_info']
        sample['gt_instances'] = dict(
            keypoints=np.zeros((1, 3, 2)), keypoints_visible=np.ones((1, 3))
        )
    with pytest.raises(ValueError, match=r'0.jpg: .* needs annotated boxes: leave out bbox_file'):
        evaluate(made)
    for sample in made:
        del sample['gt_instances']
    with pytest.raises(ValueError, match='needs annotated boxes'):
        evaluate(made)


@pytest.mark.parametrize(
    ('field', 'hint'),
    [
        ('keypoints_presence', 'KeypointPresenceHead predicts it'),
        ('keypoints_visible', "mmpose's VisPredictHead predicts it"),
    ],
)
def test_missing_field_is_named(field, hint):
    made, *_ = samples(1)
    made[0]['pred_instances'].pop('keypoints_presence')
    message = (
        rf"0.jpg: source 'a' needs pred_instances.{field}, found \['keypoint_scores'\]; {hint}"
    )
    with pytest.raises(ValueError, match=message):
        evaluate(made, sources=dict(a=field))
    with pytest.raises(ValueError, match='needs pred_instances.one or two, found'):
        evaluate(made, sources=dict(a=('one', 'two')))


def test_other_bad_predictions():
    made, *_ = samples(2)
    made[1]['pred_instances']['keypoints_presence'] = np.ones((2, 3), np.float32)
    with pytest.raises(
        ValueError, match=r'1.jpg: .*presence is of shape \(2, 3\), expected \(1, 3'
    ):
        evaluate(made)
    made[1]['pred_instances']['keypoints_presence'] = np.full((1, 3), np.nan)
    made[1]['gt_instance_labels']['keypoint_presence_weights'] = torch.ones(1, 3)
    with pytest.raises(ValueError, match=r"source 'presence': the score of keypoint 0 of person 1"):
        evaluate(made)
    with pytest.raises(ValueError, match='no sample to score'):
        KeypointPresenceMetric().evaluate(0)


def test_keypoints_of_one_state_are_logged(log):
    made, *_ = samples()
    for sample in made:
        sample['gt_instance_labels']['keypoint_presence'][0, 1] = 1
    scores = evaluate(made)
    assert 'AP and AUROC are over 2 of 3 keypoints' in log.text
    assert '(ankle)' in log.text
    assert 0 < scores['presence/AUROC'] < 1
    for sample in made:
        sample['gt_instance_labels']['keypoint_presence'][:] = 1
    scores = evaluate(made)
    assert 'over 0 of 3 keypoints' in log.text
    assert '; they are NaN' in log.text
    assert np.isnan(scores['presence/AP'])
    assert np.isfinite(scores['presence/cross_entropy'])


def test_tables(log):
    made, *_ = samples()
    scores = evaluate(made, per_keypoint=True)
    row = next(line for line in log.text.splitlines() if '│ presence ' in line)
    assert f'{scores["presence/AP"]:.4f}' in row
    assert f'{scores["presence/cross_entropy"]:.4f}' in row
    assert 'Presence by keypoint' in log.text
    assert {'wrist', 'ankle', 'neck'} <= set(log.text.split())
    log.clear()
    evaluate(made)
    assert 'Presence by keypoint' not in log.text


def test_outfile(tmp_path, log):
    made, *_ = samples()
    for sample in made:
        sample['gt_instance_labels']['keypoint_presence'][0, 1] = 1
    path = tmp_path / 'new' / 'presence.json'
    thresholds = dict(presence=0.25, heatmap_max=0.5)
    scores = evaluate(made, outfile=str(path), threshold=thresholds, num_bins=4)
    assert f'scores of 30 people are written to {path}' in log.text
    written = json.loads(path.read_text())
    assert {name: one['threshold'] for name, one in written['sources'].items()} == thresholds
    presence = written['sources']['presence']
    assert presence['scores']['AP'] == scores['presence/AP']
    assert presence['keypoints']['ankle']['AUROC'] is None
    assert 0 < presence['keypoints']['neck']['AUROC'] <= 1
    assert len(presence['bins']) == 4
    assert sum(one['n'] for one in presence['bins']) == presence['keypoints']['wrist']['n'] + sum(
        presence['keypoints'][name]['n'] for name in ('ankle', 'neck')
    )
    assert set(written['sources']) == {'presence', 'heatmap_max'}
    assert [file.name for file in path.parent.iterdir()] == ['presence.json']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(sources={}), 'sources are {}, expected names and fields'),
        (dict(sources='keypoints_presence'), "sources are 'keypoints_presence'"),
        (dict(threshold=1.5), "threshold of source 'presence' is 1.5, expected a number in 0..1"),
        (dict(threshold=dict(presence=0.5, heatmap_max='a')), "source 'heatmap_max' is 'a', expec"),
        (dict(threshold=dict(max=0.5)), r"source 'max', expected some of \['presence', 'heatmap_m"),
        (dict(criterion='best'), "criterion is 'best', expected one of"),
        (dict(num_bins=0), 'num_bins is 0'),
        (dict(outfile='a.csv'), "'a.csv', expected a name that ends in .json"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        KeypointPresenceMetric(**options)
