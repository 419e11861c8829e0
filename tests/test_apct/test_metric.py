"""KineticsTPSMetric through fake data samples."""

import json

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger, print_log
from mmengine.registry import METRICS
from mmengine.structures import InstanceData

from projects.apct import KineticsTPSMetric
from projects.apct.people import official_people
from projects.apct.scoring.file_score import score_files
from projects.apct.scoring.score import kinetics_tps_score

PARTS = ('head', 'arm')
STATES = ('none', 'nod', 'bend')
META = dict(part_names=PARTS, state_names=STATES, classes=('person',), video_classes=['run'])
BODY, HEAD, ARM = [0.0, 0, 99, 199], [40.0, 0, 59, 19], [0.0, 40, 19, 99]


def true_person(head='nod', arm='bend', shift=0):
    def moved(box):
        return [box[0] + shift, box[1], box[2] + shift, box[3]]

    return dict(
        box=moved(BODY),
        parts=dict(head=dict(box=moved(HEAD), verb=head), arm=dict(box=moved(ARM), verb=arm)),
    )


def instances(people, states=((1, 2),), scores=None, parts=True):
    """``people`` shifted copies of one figure."""
    shift = torch.tensor(people, dtype=torch.float32).reshape(-1, 1) * torch.tensor([1.0, 0, 1, 0])
    count = len(people)
    data = InstanceData(
        bboxes=torch.tensor(BODY) + shift,
        scores=torch.tensor(scores) if scores else torch.linspace(0.9, 0.5, count),
        labels=torch.zeros(count, dtype=torch.long),
    )
    if parts:
        data.part_bboxes = torch.tensor([HEAD, ARM]) + shift[:, None]
        data.part_states = torch.tensor(states).expand(count, 2)
        one_hot = torch.nn.functional.one_hot(data.part_states, 3)
        data.part_state_scores = 0.1 * torch.arange(3) + 0.6 * one_hot  # (n, K, S)
    return data


def sample(prediction, truth, video='v', number=1, video_class='run'):
    metainfo = dict(
        video=video, frame=f'img_{number:05d}.json', frame_number=number, video_class=video_class
    )
    if truth is not None:
        metainfo['truth'] = dict(humans=truth)
    result = DetDataSample(metainfo=metainfo)
    result.pred_instances = prediction
    return result


def evaluate(samples, **options):
    evaluator = Evaluator(dict(type='KineticsTPSMetric', **options))
    evaluator.dataset_meta = META
    for start in range(0, len(samples), 2):
        evaluator.process(samples[start : start + 2])
    return evaluator.evaluate(len(samples))


def test_by_hand():
    samples = [
        sample(instances([0, 300]), [true_person(), true_person(head='none', shift=300)]),  # 3 of 4
        sample(instances([0]), [true_person(arm='none')], number=6),  # 1 of 2
        sample(instances([0]), [true_person(shift=500)], video='w'),  # nobody
        sample(instances([]), [], video='w', number=6),
    ]
    scores = evaluate(samples)
    assert scores['kinetics_tps/mean_psc'] == 0.625 / 2
    assert scores['kinetics_tps/acc_p_true_class'] == pytest.approx(0.625 / 2)
    assert scores['kinetics_tps/state_acc'] == pytest.approx(4 / 6)
    assert scores['kinetics_tps/part_recall'] == 6 / 8
    assert 0.5 < scores['kinetics_tps/part_ap50'] < 0.8
    assert scores['kinetics_tps/person_iou'] == 3 / 4  # three found exactly, one missed
    assert 'kinetics_tps/acc_p' not in scores
    assert evaluate(samples[::-1]) == scores


def test_person_iou_moves_below_the_threshold():
    """Of a box of W pixels moved by W - d, d are shared."""
    x1, _, x2, _ = BODY
    width = x2 - x1 + 1
    shared = width // 4
    scores = evaluate([sample(instances([width - shared]), [true_person()])])
    assert scores['kinetics_tps/mean_psc'] == 0
    expected = shared / (2 * width - shared)
    assert scores['kinetics_tps/person_iou'] == pytest.approx(expected, rel=1e-6)


def test_same_as_scoring_the_written_file(tmp_path):
    classes = tmp_path / 'pred_vid_result.json'
    classes.write_text(json.dumps({'v': 'run', 'w': 'jump', 'x': 'run'}))
    samples = [
        sample(instances([0, 250]), [true_person(), true_person(shift=251, arm='nod')]),
        sample(instances([3]), [true_person(head='bend')], video='w', video_class='run'),
    ]
    scores = evaluate(
        samples, video_results=str(classes), outfile=str(tmp_path / 'pred_part_result.json')
    )
    gt_videos = {'v': 'run', 'w': 'run'}
    gt_people = {s.video: {s.frame: dict(humans=[p for p in s.truth['humans']])} for s in samples}
    (tmp_path / 'gt').mkdir()
    for name, result in (('vid', gt_videos), ('part', gt_people)):
        (tmp_path / 'gt' / f'gt_{name}_result.json').write_text(json.dumps(result))
    expected = score_files(tmp_path / 'gt', tmp_path)
    assert expected['top1'] == 0.5
    for name in ('acc_p', 'mean_psc', 'top1'):
        assert scores[f'kinetics_tps/{name}'] == expected[name]


def test_only_writes_without_truth(tmp_path):
    out = tmp_path / 'out' / 'pred_part_result.json'
    assert evaluate([sample(instances([0]), None)], outfile=str(out)) == {}
    assert json.loads(out.read_text())['v']['img_00001.json']['humans'][0]['score'] == 0.9
    with pytest.raises(ValueError, match=r"'img_00001.json'.*no truth"):
        evaluate([sample(instances([0]), None)])


def test_broken_predictions_are_counted_and_cost_nothing_else(tmp_path, caplog):
    prediction = instances([0, 300])
    prediction.bboxes[0, 0] = float('nan')
    prediction.part_bboxes[1, 0, 2] = float('inf')
    out = tmp_path / 'pred_part_result.json'
    truth = [true_person(), true_person(shift=300)]
    scores = evaluate([sample(prediction, truth)], outfile=str(out))
    assert scores['kinetics_tps/mean_psc'] == 0.25
    humans = json.loads(out.read_text())['v']['img_00001.json']['humans']
    assert [list(human['parts']) for human in humans] == [['arm']]


def test_bad_truth_leaves_out_its_video(tmp_path):
    bad = true_person()
    del bad['box']
    out = tmp_path / 'pred_part_result.json'
    samples = [sample(instances([0]), [bad]), sample(instances([0]), [true_person()], video='w')]
    assert evaluate(samples, outfile=str(out))['kinetics_tps/mean_psc'] == 1
    assert json.loads(out.read_text()).keys() == {'v', 'w'}


def test_model_without_parts():
    scores = evaluate([sample(instances([0], parts=False), [true_person()])])
    assert scores['kinetics_tps/mean_psc'] == scores['kinetics_tps/part_recall'] == 0
    assert np.isnan(scores['kinetics_tps/state_acc'])


def test_selection_of_people_and_proposals():
    prediction = instances(list(range(12)), scores=[0.1 * (k % 4) for k in range(12)]).to_dict()
    people, broken = official_people(prediction, PARTS, STATES, max_people=4)
    assert broken == 0
    assert [human['score'] for human in people] == pytest.approx([0.3, 0.3, 0.3, 0.2])
    assert [human['box'][0] for human in people] == [3, 7, 11, 2]  # the first of equals first
    people, _ = official_people(prediction, PARTS, STATES, score_thr=0.25)
    assert len(people) == 3
    people, _ = official_people(prediction, PARTS, STATES, proposals=3)
    assert people[0]['parts']['head'] == dict(
        box=[people[0]['parts']['head']['box'][0]] * 3, verb=['nod', 'bend', 'none']
    )
    truth = {'v': {'f': dict(humans=[true_person(shift=3)])}}
    results = ({'v': 0}, truth, {'v': 0}, {'v': {'f': dict(humans=people)}})
    assert kinetics_tps_score(*results)['mean_psc'] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    'options', [dict(max_people=11), dict(proposals=0), dict(outfile='x.zip'), dict(max_people=0)]
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        METRICS.build(dict(type='KineticsTPSMetric', **options))


def test_missing_video_results():
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json'):
        KineticsTPSMetric(video_results='nowhere.json')


def test_unreadable_frames_count_as_frames_without_people(tmp_path, caplog):
    print_log('', logger='current')  # makes sure that there is a current logger
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    samples = [sample(instances([0]), [true_person()], number=number) for number in (1, 6, 11)]
    for number in (1, 2):
        samples[number].set_metainfo(dict(unreadable=True))
    out = tmp_path / 'pred_part_result.json'
    scores = evaluate(samples, outfile=str(out))
    logger.removeHandler(caplog.handler)
    assert scores['kinetics_tps/mean_psc'] == pytest.approx(1 / 3)
    frames = json.loads(out.read_text())['v']
    assert [len(frame['humans']) for frame in frames.values()] == [1, 0, 0]
    (warning,) = [r.getMessage() for r in caplog.records if 'could not be read' in r.getMessage()]
    assert '2 of 3 frames could not be read' in warning
    assert "'img_00006.json'" in warning


@pytest.mark.parametrize(
    ('text', 'words'), [('{', 'JSON'), ('["run"]', 'object'), ('{"v": 3}', "video 'v': found 3")]
)
def test_malformed_video_results_are_found_before_the_test(tmp_path, text, words):
    path = tmp_path / 'classes.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        KineticsTPSMetric(video_results=str(path))
    assert str(path) in str(error.value)


def test_videos_without_a_predicted_class_count_as_wrong(tmp_path, caplog):
    print_log('', logger='current')
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    path = tmp_path / 'classes.json'
    path.write_text(json.dumps({'w': 'run', 'z': 'run'}))
    samples = [sample(instances([0]), [true_person()], video=video) for video in 'xwv']
    scores = evaluate(samples, video_results=str(path))
    logger.removeHandler(caplog.handler)
    assert scores['kinetics_tps/mean_psc'] == 1
    assert scores['kinetics_tps/top1'] == pytest.approx(1 / 3)
    assert scores['kinetics_tps/acc_p'] == pytest.approx(1 / 3, abs=1e-4)
    (warning,) = [r.getMessage() for r in caplog.records if 'missing' in r.getMessage()]
    assert "2 of 3 videos are missing; their class counts as wrong. The first: video 'v'" in warning


def test_records_are_compact():
    """Processes send theirs to all others: 932 videos must fit."""
    metric = KineticsTPSMetric()
    metric.dataset_meta = META
    prediction = instances([0, 300]).to_dict()
    truth = dict(humans=[true_person(), true_person(shift=300)])
    metric.process(
        None,
        [dict(video='v', frame='f', video_class='run', truth=truth, pred_instances=prediction)],
    )
    (record,) = metric.results
    assert isinstance(record, bytes)
    assert json.loads(record)['truth'] == truth
