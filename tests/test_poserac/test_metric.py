import math

import numpy as np
import pytest
from mmengine.logging import MMLogger, print_log
from mmengine.registry import METRICS

from projects.poserac.metric import (
    CountRecord,
    PoseRACMetric,
    counting_errors,
    counts_table,
    counts_under_protocols,
    read_counts,
    score_counts,
    write_counts,
)

CLASSES = ['push_up', 'squat', 'pull_up']
# name, true action, true count, counts of the three classes, predicted label
SAMPLES = [
    ('a', 'squat', 4, (9, 5, 0), 1),  # predicted 5, given 5, oracle 5
    ('b', 'squat', 10, (4, 7, 10), 0),  # predicted 4, given 7, oracle 10 of a wrong class
    ('c', 'push_up', 2, (3, 1, 0), 0),  # oracle: 3 and 1 are as near, the first class is taken
    ('d', 'pull_up', 0, (0, 2, 3), 2),  # predicted 3, given 3, oracle 0
    ('e', 'rowing', 5, (8, 0, 1), 0),  # none of the classes: predicted 8, oracle 8
]


@pytest.fixture
def log(caplog):
    """What mmengine's logger says, which does not hand it on."""
    print_log('', logger='current')  # makes sure that there is a current logger
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def batch(samples, **changes):
    metas, predictions = [], []
    for name, action, count, counts, label in samples:
        known = CLASSES.index(action) if action in CLASSES else -1
        meta = dict(name=name, person=0, action=action, label=known, count=count)
        metas.append({**meta, **changes})
        predictions.append(dict(counts=np.array(counts, dtype=np.int64), predicted_label=label))
    return dict(poses=[None] * len(metas), meta=metas), predictions


def metric(**options):
    built = METRICS.build(dict(type='PoseRACMetric', **options))
    built.dataset_meta = dict(classes=CLASSES)
    return built


def evaluate(samples=SAMPLES, **options):
    built = metric(**options)
    for start in range(0, len(samples), 2):
        built.process(*batch(samples[start : start + 2]))
    return built.evaluate(size=len(samples))


def test_scores_worked_out_by_hand():
    scores = evaluate()
    # a 1/4, b 6/10, c 1/2, e 3/5; d has no true repetition and is told apart
    assert scores['count/MAE'] == pytest.approx((0.25 + 0.6 + 0.5 + 0.6) / 4)
    expected = (1 / 4.1 + 6 / 10.1 + 1 / 2.1 + 3 / 5.1) / 4
    assert scores['count/MAE-TransRAC'] == pytest.approx(expected)
    assert scores['count/OBO'] == pytest.approx(2 / 5)  # a and c
    assert scores['count/absolute_error'] == pytest.approx((1 + 6 + 1 + 3 + 3) / 5)
    assert scores['count/zero/videos'] == 1
    assert scores['count/zero/mean_count'] == 3
    assert scores['count/zero/OBO'] == 0
    assert scores['count/class_accuracy'] == pytest.approx(3 / 4)  # b is wrong, e has no class


def test_protocols_stand_beside():
    scores = evaluate()
    for name in ('MAE', 'MAE-TransRAC', 'OBO', 'absolute_error'):
        assert scores[f'count/predicted/{name}'] == scores[f'count/{name}']
    assert scores['count/given/MAE'] == pytest.approx((0.25 + 0.3 + 0.5) / 3)
    assert scores['count/given/OBO'] == pytest.approx(2 / 4)
    assert scores['count/given/left_out'] == 1
    assert scores['count/oracle/MAE'] == pytest.approx((0.25 + 0 + 0.5 + 0.6) / 4)
    assert scores['count/oracle/OBO'] == pytest.approx(4 / 5)


@pytest.mark.parametrize('protocol', ['given', 'oracle'])
def test_main_protocol_can_be_chosen(protocol):
    scores = evaluate(protocol=protocol, per_class=True)
    for name in ('MAE', 'MAE-TransRAC', 'OBO', 'absolute_error'):
        assert scores[f'count/{name}'] == scores[f'count/{protocol}/{name}']
    assert scores['count/OBO/squat'] == (0.5 if protocol == 'given' else 1)


def test_per_class():
    scores = evaluate(per_class=True)
    assert scores['count/MAE/squat'] == pytest.approx((0.25 + 0.6) / 2)
    assert scores['count/OBO/squat'] == 0.5
    assert scores['count/OBO/pull_up'] == 0
    assert 'count/MAE/pull_up' not in scores  # its only video has no repetition
    assert scores['count/MAE/rowing'] == pytest.approx(0.6)
    assert 'count/MAE/squat' not in evaluate()


def test_samples_without_known_class_or_repetition():
    scores = evaluate([SAMPLES[4]])
    assert 'count/given/MAE' not in scores
    assert 'count/class_accuracy' not in scores
    assert scores['count/given/left_out'] == 1
    scores = evaluate([SAMPLES[3]])
    assert 'count/MAE' not in scores
    assert scores['count/zero/mean_count'] == 3
    assert all(math.isfinite(score) for score in scores.values())


def test_repeated_samples_of_a_distributed_sampler_are_dropped():
    built = metric()
    built.process(*batch(SAMPLES))
    built.process(*batch(SAMPLES[:1]))
    assert built.evaluate(size=5) == evaluate()


def test_unreadable_sample_counts_as_zero_and_is_named(log):
    built = metric()
    built.process(*batch(SAMPLES[:1]))
    built.process(*batch(SAMPLES[1:2], error='broken.npy: no array'))
    scores = built.evaluate(size=2)
    assert scores['count/absolute_error'] == (1 + 10) / 2
    assert scores['count/oracle/absolute_error'] == (1 + 10) / 2
    assert scores['count/class_accuracy'] == 0.5
    assert '1 of 2 samples could not be read' in log.text
    assert 'b: broken.npy: no array' in log.text


def test_sequence_without_a_pose_has_no_class():
    scores = evaluate([('f', 'squat', 3, (0, 0, 0), -1)])
    assert scores['count/absolute_error'] == 3
    assert scores['count/class_accuracy'] == 0


@pytest.mark.parametrize('counts', [(0, 4), (0, 4, 1, 2), 4])
def test_counts_of_other_classes_are_refused(counts):
    built = metric()
    with pytest.raises(ValueError, match=r'counts of a are .* 3 classes: set model.num_classes to'):
        built.process(*batch([('a', 'squat', 4, counts, 1)]))
    built.process(*batch(SAMPLES[:1]))
    assert len(built.results) == 1
    unnamed = PoseRACMetric()  # nothing is known of the data set
    unnamed.process(*batch([('a', 'squat', 4, (0, 4, 1, 2), 3)]))
    assert unnamed.results[0][0].predicted_type == '3'


@pytest.mark.parametrize(
    ('predicted', 'label', 'true', 'expected'),
    [
        (0, 1, 10, dict(predicted=4, given=7, oracle=12)),
        (1, 0, 2, dict(predicted=7, given=4, oracle=4)),
        (2, -1, 6, dict(predicted=12, given=None, oracle=7)),
        (-1, None, 0, dict(predicted=0, given=None, oracle=4)),
    ],
)
def test_protocols(predicted, label, true, expected):
    found = counts_under_protocols(np.array([4, 7, 12]), predicted, label, true)
    assert found == expected
    assert all(type(count) is int for count in found.values() if count is not None)


def test_oracle_takes_the_first_of_those_as_near():
    assert counts_under_protocols([3, 7, 5, 5], 0, 0, 5)['oracle'] == 5
    assert counts_under_protocols([7, 3], 0, 0, 5)['oracle'] == 7


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (([], -1, -1, 3), r'counts have shape \(0,\), expected \(C,\)'),
        (([[1, 2]], 0, 0, 3), r'counts have shape \(1, 2\)'),
        (([1, 2], 2, 0, 3), 'predicted_label is 2, expected -1 to 1'),
        (([1, 2], 0, -2, 3), 'label is -2, expected -1 to 1'),
    ],
)
def test_bad_input_of_protocols(arguments, message):
    with pytest.raises(ValueError, match=message):
        counts_under_protocols(*arguments)


def slow_errors(predicted, true):
    rows = dict(MAE=[], transrac=[], obo=[], absolute=[])
    for p, g in zip(predicted, true, strict=True):
        rows['obo'].append(1 if abs(p - g) <= 1 else 0)
        rows['absolute'].append(abs(p - g))
        if g > 0:
            rows['MAE'].append(abs(p - g) / (g + 1e-9))
            rows['transrac'].append(abs(p - g) / (g + 1e-1))
    return [sum(row) / len(row) for row in rows.values()]


def test_errors_equal_a_plain_loop():
    rng = np.random.default_rng(0)
    predicted, true = rng.integers(0, 12, (2, 200))
    errors = counting_errors(predicted, true)
    names = ('MAE', 'MAE-TransRAC', 'OBO', 'absolute_error')
    assert [errors[name] for name in names] == pytest.approx(slow_errors(predicted, true))
    assert errors['videos'] == 200
    assert errors['zero/videos'] == (true == 0).sum()
    assert errors['MAE'] < 100  # not blown up by videos without repetitions


def test_no_videos_have_no_errors():
    errors = counting_errors([], [])
    assert errors['videos'] == 0
    assert math.isnan(errors['MAE'])


@pytest.mark.parametrize(
    ('predicted', 'true', 'message'),
    [
        ([1, 2], [1], r'shape \(2,\) and true \(1,\)'),
        ([1, -2], [1, 1], r'predicted holds -2.0, expected counts of 0 or more'),
        ([1, 2], [1, math.nan], r'true holds nan'),
    ],
)
def test_errors_of_what_is_no_count(predicted, true, message):
    with pytest.raises(ValueError, match=message):
        counting_errors(predicted, true)


def test_table_says_what_a_protocol_uses():
    records = [CountRecord('a', 0, 'squat', 0, 'squat', 1, None, 0)]
    text = counts_table(records)
    oracle = next(line for line in text.splitlines() if 'oracle' in line)
    assert 'the true count: upper bound' in oracle
    given = next(line for line in text.splitlines() if 'given' in line)
    assert given.count('-') >= 4  # nothing to average over
    assert 'whose true count is 0 (1)' in text


def test_outfile_is_read_back_and_scores_the_same(tmp_path, log):
    path = tmp_path / 'new' / 'counts.csv'
    scores = evaluate(outfile=str(path))
    assert f'5 counts are written to {path}' in log.text
    header, *rows = path.read_text().splitlines()
    assert header == (
        'name,person,type,count,predicted_type,predicted_count,given_count,oracle_count'
    )
    assert rows[1] == 'b,0,squat,10,push_up,4,7,10'
    assert rows[4] == 'e,0,rowing,5,push_up,8,,8'
    again = score_counts(read_counts(path))
    assert {f'count/{name}': score for name, score in again.items()} == scores
    assert [file.name for file in path.parent.iterdir()] == ['counts.csv']


def test_any_name_survives_the_file(tmp_path):
    records = [CountRecord('a, "b"', 1, 'größe', 2, '', 0, 0, 0)]
    write_counts(tmp_path / 'counts.csv', records)
    assert read_counts(tmp_path / 'counts.csv') == records


HEADER = ','.join(CountRecord.__dataclass_fields__)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', r'counts.csv:1: has columns \[\], expected'),
        ('name,count\n', r'counts.csv:1: has columns'),
        (f'{HEADER}\na,0,squat,4\n', r'counts.csv:2: has 4 cells, expected 8'),
        (
            f'{HEADER}\na,0,squat,4,squat,5,5,5\nb,0,squat,4,squat,5.5,5,5\n',
            r"counts.csv:3: predicted_count is '5.5', expected a whole number",
        ),
        (f'{HEADER}\na,0,squat,-4,squat,5,5,5\n', r"counts.csv:2: count is '-4'"),
        (f'{HEADER}\na,0,squat,4,squat,5,5,\n', r"counts.csv:2: oracle_count is ''"),
        (f'{HEADER}\n"a,0\n', r'counts.csv: is no CSV in UTF-8'),
    ],
)
def test_malformed_files_of_counts(tmp_path, text, message):
    (tmp_path / 'counts.csv').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_counts(tmp_path / 'counts.csv')


def test_no_file_of_counts(tmp_path):
    with pytest.raises(FileNotFoundError, match='counts.csv: no such file'):
        read_counts(tmp_path / 'counts.csv')
    (tmp_path / 'counts.csv').write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match='counts.csv: is no CSV'):
        read_counts(tmp_path / 'counts.csv')


def test_options_are_checked():
    with pytest.raises(ValueError, match="protocol is 'best', expected one of"):
        PoseRACMetric(protocol='best')
    with pytest.raises(ValueError, match=r"'counts.json', expected a name that ends in .csv"):
        PoseRACMetric(outfile='counts.json')
