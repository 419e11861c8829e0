"""Accuracies of action recognition, their file of scores, and late fusion of such files."""

import csv

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.evaluation import mean_class_accuracy, top_k_accuracy
from mmaction.structures import ActionDataSample
from mmengine.logging import MMLogger, print_log
from mmengine.registry import METRICS

from projects.star.metric import (
    ActionAccuracy,
    ActionScores,
    action_accuracies,
    read_scores,
    write_scores,
)
from tools.analysis import star_fusion as tool

CLASSES = tuple('abcdefgh')


def probabilities(count=40, seed=0, classes=8):
    """Scores (N, C) float32, and labels that they often find."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    logits = rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return scores.astype(np.float32), labels


def samples(scores, labels, names=None):
    """As mmaction2's recognizers predict them, and mmengine's evaluator hands them on."""
    made = []
    for index, (score, label) in enumerate(zip(scores, labels, strict=True)):
        sample = ActionDataSample()
        sample.set_gt_label(int(label))
        sample.set_pred_score(torch.from_numpy(np.asarray(score)))
        sample.set_metainfo(dict(name=names[index] if names else f'clip{index}'))
        made.append(sample.to_dict())
    return made


def evaluate(made, classes=CLASSES, size=None, **options):
    metric = METRICS.build(dict(type='ActionAccuracy', **options))
    metric.dataset_meta = dict(classes=classes) if classes else {}
    for start in range(0, len(made), 7):
        metric.process(None, made[start : start + 7])
    return metric.evaluate(size or len(made))


def scores_of(scores, labels, names=None, classes=None):
    scores = np.asarray(scores)
    return ActionScores(
        tuple(names or map(str, range(len(scores)))),
        tuple(classes or CLASSES[: scores.shape[1]]),
        np.asarray(labels),
        scores,
    )


@pytest.fixture
def log(caplog):
    """What mmengine's logger says, which does not hand it on."""
    print_log('', logger='current')  # makes sure that there is a current logger
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


# --- accuracies -------------------------------------------------------------------------------


def test_accuracies_are_those_of_mmaction2():
    scores, labels = probabilities()
    found = evaluate(samples(scores, labels))
    top1, top5 = top_k_accuracy(list(scores), list(labels), (1, 5))
    assert found == pytest.approx(
        {
            'acc/top1': top1,
            'acc/top5': top5,
            'acc/mean1': mean_class_accuracy(list(scores), list(labels)),
            'acc/cross_entropy': np.mean(
                [-np.log(row[label]) for row, label in zip(scores, labels, strict=True)]
            ),
        }
    )
    assert 0.3 < found['acc/top1'] < found['acc/top5'] < 1


def test_samples_that_fill_the_last_batch_do_not_count():
    """Of two processes, the shorter share is filled up."""
    scores, labels = probabilities(10)
    made = samples(scores, labels)
    assert evaluate([*made, *made[:3]], size=10) == evaluate(made)


def test_samples_that_could_not_be_read_are_named(log):
    scores, labels = probabilities(6)
    made = samples(scores, labels)
    expected = evaluate(made)
    assert 'could not be read' not in log.text
    made[2]['unreadable'] = made[5]['unreadable'] = True
    assert evaluate(made) == expected
    assert "2 of 6 samples could not be read, first 'clip2'" in log.text


def test_classes_of_the_same_score_are_taken_in_their_order():
    """A model that tells nothing apart is not right by luck."""
    scores, labels = np.full((8, 8), 1 / 8, np.float32), np.arange(8)
    found = action_accuracies(scores_of(scores, labels))
    assert found['top1'] == 1 / 8
    assert found['top5'] == 5 / 8
    assert found['mean1'] == 1 / 8
    assert found['cross_entropy'] == pytest.approx(np.log(8))


def test_mean_is_over_classes_that_occur():
    scores = np.eye(8)[[0, 0, 1, 7]]  # predictions; 7 is nobody's class
    found = action_accuracies(scores_of(scores, [0, 0, 1, 1]))
    assert found['top1'] == 0.75
    assert found['mean1'] == pytest.approx((1 + 0.5) / 2)


def test_few_classes_and_large_k():
    scores, labels = probabilities(classes=3)
    found = evaluate(samples(scores, labels), classes=('x', 'y', 'z'), topk=(1, 2, 3, 5))
    assert set(found) == {'acc/top1', 'acc/top2', 'acc/mean1', 'acc/cross_entropy'}
    only = action_accuracies(scores_of([[1.0]], [0]))
    assert only['top1'] == 1


def test_a_sure_mistake_is_not_infinite():
    found = action_accuracies(scores_of([[1.0, 0.0]], [1]))
    assert found['cross_entropy'] == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize('change', [lambda p: 5 * p, np.log, lambda p: p - 1 / 8])
def test_scores_that_are_no_probabilities(change, log):
    scores, labels = probabilities()
    found = evaluate(samples(change(scores), labels))
    expected = evaluate(samples(scores, labels))
    assert found == {k: v for k, v in expected.items() if k != 'acc/cross_entropy'}
    assert "average_clips='prob'" in log.text


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(1, 30))
def test_order_of_samples_and_names_of_classes_do_not_matter(seed, classes, count):
    scores, labels = probabilities(count, seed, classes)
    names = CLASSES + ('i',)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(count), rng.permutation(classes)
    one = action_accuracies(scores_of(scores, labels, classes=names[:classes]), (1, 2, 3))
    moved = scores[rows][:, columns]
    other = action_accuracies(
        scores_of(moved, np.argsort(columns)[labels[rows]], classes=names[:classes]), (1, 2, 3)
    )
    assert one == pytest.approx(other)
    assert one['top1'] <= one.get('top2', 1) <= one.get('top3', 1)


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'topk': ()}, r'topk is \(\), expected whole numbers'),
        ({'topk': (0,)}, r'topk is \(0,\)'),
        ({'topk': (1.5,)}, r'topk is \(1\.5,\)'),
        ({'outfile': 'scores.json'}, r"outfile is 'scores\.json', expected .*\.csv"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ActionAccuracy(**options)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'pred_score': torch.full((8,), torch.nan)}, r"'clip1': scores are \[nan, .*num_classes"),
        (
            {'pred_score': torch.ones(7)},
            r"'clip1': scores are of shape \(7,\), .* of the 8 classes",
        ),
        ({'pred_score': dict(rgb=1)}, "'clip1': pred_score is {'rgb': 1}, expected a tensor"),
        ({'pred_score': torch.ones(2, 8)}, r"'clip1': pred_score is \(2, 8\)"),
        ({'gt_label': torch.tensor([8])}, "'clip1': label is 8, expected 0 to 7"),
        ({'gt_label': torch.tensor([0, 1])}, r"'clip1': gt_label is \[0, 1\], expected one"),
        ({'gt_label': None}, "'clip1': gt_label is None"),
    ],
)
def test_bad_samples_are_named(change, message):
    made = samples(*probabilities(4))
    made[1].update(change)
    with pytest.raises(ValueError, match=message):
        evaluate(made)


def test_no_sample():
    with pytest.raises(ValueError, match='no sample to score'):
        ActionAccuracy().compute_metrics([])


# --- the file of scores -----------------------------------------------------------------------


def test_file_of_scores(tmp_path):
    scores, labels = probabilities(12)
    names = [f'a "{index}", b\n' for index in range(12)]
    classes = ('name', 'läßt', 'c,d', *CLASSES[3:])
    path = tmp_path / 'new' / 'scores.csv'
    found = evaluate(samples(scores, labels, names), classes, outfile=str(path))
    read = read_scores(path)
    assert read.names == tuple(names)
    assert read.classes == classes
    np.testing.assert_array_equal(read.labels, labels)
    np.testing.assert_array_equal(read.scores.astype(np.float32), scores)
    assert action_accuracies(read) == pytest.approx({k[4:]: v for k, v in found.items()})
    with open(path, newline='', encoding='utf-8') as file:
        header, *rows = csv.reader(file)
    assert header == ['name', 'label', 'prediction', *classes]
    assert [row[1] for row in rows] == [classes[label] for label in labels]
    assert [row[2] for row in rows] == [classes[best] for best in scores.argmax(axis=1)]
    assert [item.name for item in path.parent.iterdir()] == ['scores.csv']


def test_classes_without_names_are_numbers(tmp_path):
    path = tmp_path / 'scores.csv'
    evaluate(samples(*probabilities(5)), classes=None, outfile=str(path))
    assert read_scores(path).classes == tuple('01234567')


def test_the_file_needs_names_each_once(tmp_path):
    made = samples(*probabilities(3))
    path = tmp_path / 'scores.csv'
    nameless = [{k: v for k, v in one.items() if k != 'name'} for one in made]
    assert set(evaluate(nameless)) == set(evaluate(made))
    with pytest.raises(ValueError, match="PackActionInputs meta_keys=.*'name'"):
        evaluate(nameless, outfile=str(path))
    made[2]['name'] = made[0]['name']
    with pytest.raises(ValueError, match="sample name 'clip0' occurs twice"):
        evaluate(made, outfile=str(path))
    with pytest.raises(ValueError, match="class name 'a' occurs twice"):
        write_scores(path, scores_of([[0.5, 0.5]], [0], classes=('a', 'a')))
    assert not path.exists()


HEADER = 'name,label,prediction,x,y\n'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', r':1: has columns \[\], expected name, label, prediction'),
        ('name,label,x,y\n', r":1: has columns \['name', 'label', 'x', 'y'\]"),
        ('name,label,prediction\n', ':1: has columns'),
        ('name,label,prediction,x,x\n', ":1: class 'x' has two columns"),
        (HEADER, ': has no sample'),
        (HEADER + 'a,x,x,1,0\nb,x,x,1\n', ':3: has 4 cells, expected 5'),
        (HEADER + 'a,z,x,1,0\n', r":2: label is 'z', expected one of \['x', 'y'\]"),
        (HEADER + 'a,x,z,1,0\n', ":2: prediction is 'z'"),
        (HEADER + 'a,x,x,1,nan\n', ":2: y is 'nan', expected a finite number"),
        (HEADER + 'a,x,x,,0\n', ":2: x is '', expected a finite number"),
        (HEADER + 'a,x,x,1,0\nb,x,x,1,0\na,y,x,1,0\n', ":4: name 'a' is that of line 2 too"),
        (HEADER + 'a,x,x,1,"0\n', ': is no CSV in UTF-8'),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / 'scores.csv'
    path.write_text(text)
    with pytest.raises(ValueError, match=rf'scores\.csv{message}'):
        read_scores(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.csv: no such file of scores'):
        read_scores(tmp_path / 'none.csv')
    (tmp_path / 'latin.csv').write_bytes(b'n\xe4me,label')
    with pytest.raises(ValueError, match='is no CSV in UTF-8'):
        read_scores(tmp_path / 'latin.csv')


# --- late fusion ------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path):
    """Two files of the same samples, the second in another order of samples and classes."""
    (one, labels), (two, _) = probabilities(30), probabilities(30, seed=1)
    two = (two + 0.5 * np.eye(8)[labels]) / 1.5
    names = [f'clip{index}' for index in range(30)]
    write_scores(tmp_path / 'one.csv', scores_of(one, labels, names))
    rows, columns = np.random.default_rng(0).permutation(30), np.arange(8)[::-1]
    moved = scores_of(
        two[rows][:, columns],
        7 - labels[rows],
        [names[row] for row in rows],
        [CLASSES[column] for column in columns],
    )
    write_scores(tmp_path / 'two.csv', moved)
    return tmp_path / 'one.csv', tmp_path / 'two.csv', one, two, labels


def test_fusion_is_the_weighted_mean_of_each_sample(pair):
    *paths, one, two, labels = pair
    files, fused = tool.fuse(paths, [1, 3])
    np.testing.assert_allclose(fused.scores, (one + 3 * two) / 4, rtol=1e-6)
    np.testing.assert_array_equal(fused.labels, labels)
    for found, scores in zip(files, (one, two), strict=True):
        assert action_accuracies(found) == pytest.approx(
            action_accuracies(scores_of(scores, labels))
        )
    np.testing.assert_allclose(tool.fuse(paths, [1, 0])[1].scores, one, rtol=1e-6)


def test_command_tables_every_file_and_the_mean(pair, capsys):
    *paths, one, two, labels = pair
    tool.main([*map(str, paths), '--weights', '1', '2'])
    said = capsys.readouterr().out
    assert '30 samples' in said
    for scores in (one, two, (one + 2 * two) / 3):
        assert f'{action_accuracies(scores_of(scores, labels))["top1"]:.4f}' in said


def one_less(rows):
    rows.pop()


def one_more(rows):
    rows.append(['new', 'a', 'a', *8 * '0'])


def other_label(rows):
    rows[-1][1] = 'b' if rows[-1][1] == 'a' else 'a'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (one_less, r"differ in 1 names of a sample: 'clip\d+' is in .*one\.csv, not in .*two\.csv"),
        (one_more, r"of a sample: 'new' is in .*two\.csv, not in .*one\.csv"),
        (other_label, r"two\.csv: sample 'clip\d+' is of class '[ab]', but '.' in .*one\.csv"),
    ],
)
def test_files_that_do_not_belong_together(pair, capsys, change, message):
    one, two, *_ = pair
    with open(two, newline='') as file:
        rows = list(csv.reader(file))
    change(rows)
    with open(two, 'w', newline='') as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(ValueError, match=message):
        tool.fuse([one, two], [1, 1])
    with pytest.raises(SystemExit):
        tool.main([str(one), str(two)])
    assert 'two.csv' in capsys.readouterr().err


def test_files_of_other_classes(tmp_path):
    paths = tmp_path / 'a.csv', tmp_path / 'b.csv'
    for path, classes in zip(paths, ('xy', 'xz'), strict=True):
        write_scores(path, scores_of([[0.5, 0.5]], [0], classes=tuple(classes)))
    with pytest.raises(ValueError, match="2 names of a class: 'y' is in .*a.csv, not in .*b.csv"):
        tool.fuse(paths, [1, 1])


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['a.csv'], '1 file of scores, expected two or more'),
        (['a.csv', 'b.csv', '--weights', '1'], '--weights has 1 numbers for 2 files'),
        (['a.csv', 'b.csv', '--weights', '0', '0'], '--weights is [0.0, 0.0], expected'),
        (['a.csv', 'b.csv', '--weights', '1', 'nan'], '--weights is'),
        (['a.csv', 'b.csv'], 'a.csv: no such file'),
    ],
)
def test_command_refuses_bad_options(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        tool.main(words)
    assert message in capsys.readouterr().err
