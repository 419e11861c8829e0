import json
import zipfile

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import CocoMetric
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from projects.presence import submission
from projects.presence.submission import (
    best_people,
    check_file,
    read_image_ids,
    result_notes,
    result_violations,
    submission_name,
    write_submission,
)
from tools import coco_submission

STEM = 'person_keypoints_test-dev2017_mine_results'


def person(image=1, score=0.5, first=10.0, **changes):
    keypoints = [first] + [float(number) for number in range(1, 51)]
    made = dict(image_id=image, category_id=1, keypoints=keypoints, score=score)
    return {**made, **changes}


@pytest.fixture
def coco_files(tmp_path):
    """Annotations in COCO's form and noisy predictions that CocoMetric wrote."""
    rng = np.random.default_rng(0)
    images = [dict(id=number, width=640, height=480) for number in (7, 9, 1000012)]
    annotations, samples = [], []
    for index in range(12):
        places = rng.uniform(50, 250, (17, 2))
        image = images[index % 3]['id']
        annotations.append(
            dict(
                id=index + 1,
                image_id=image,
                category_id=1,
                keypoints=np.c_[places, rng.integers(0, 3, 17)].ravel().tolist(),
                num_keypoints=17,
                bbox=[50.0, 50.0, 200.0, 200.0],
                area=20000.0,
                iscrowd=0,
            )
        )
        found = (places + rng.normal(0, 8 + index, (17, 2))).astype(np.float32)
        samples.append(
            dict(
                id=index + 1,
                img_id=image,
                pred_instances=dict(
                    keypoints=found[None],
                    keypoint_scores=rng.random((1, 17), dtype=np.float32),
                    bboxes=np.array([[50, 50, 250, 250]], np.float32),
                ),
                gt_instances=dict(bbox_scores=rng.random(1, dtype=np.float32)),
            )
        )
    truth = dict(
        images=images, annotations=annotations, categories=[dict(id=1, name='person')], info={}
    )
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    metric = CocoMetric(
        ann_file=str(tmp_path / 'truth.json'),
        format_only=True,
        outfile_prefix=str(tmp_path / 'test'),
    )
    metric.dataset_meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
    metric.process(None, samples)
    metric.evaluate(len(samples))
    return tmp_path / 'truth.json', tmp_path / 'test.keypoints.json'


def coco_scores(truth, results):
    truth = COCO(str(truth))
    evaluation = COCOeval(truth, truth.loadRes(str(results)), 'keypoints')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def test_round_trip_of_what_mmpose_writes(coco_files, tmp_path, capsys):
    truth, results = coco_files
    out = tmp_path / 'out'
    arguments = ['--name', 'mine', '--images', str(truth), '--out-dir', str(out)]
    assert coco_submission.main([str(results), *arguments]) == 0
    assert {path.name for path in out.iterdir()} == {f'{STEM}.json', f'{STEM}.zip'}
    written = json.loads((out / f'{STEM}.json').read_text())
    with zipfile.ZipFile(out / f'{STEM}.zip') as archive:
        assert archive.namelist() == [f'{STEM}.json']
        assert json.loads(archive.read(f'{STEM}.json')) == written
    before = json.loads(results.read_text())
    assert [set(one) for one in written] == [{'image_id', 'category_id', 'keypoints', 'score'}] * 12
    assert [one['score'] for one in written] == [one['score'] for one in before]
    assert {number for one in written for number in one['keypoints'][2::3]} == {1}
    places = [np.delete(one['keypoints'], np.s_[2::3]) for one in written]
    expected = [np.delete(one['keypoints'], np.s_[2::3]) for one in before]
    assert np.abs(np.array(places) - np.array(expected)).max() <= 0.005 + 1e-9
    scores = coco_scores(truth, out / f'{STEM}.json')
    assert scores == pytest.approx(coco_scores(truth, results))
    assert 0.1 < scores[0] < 0.95
    for ending in ('json', 'zip'):
        path = str(out / f'{STEM}.{ending}')
        assert coco_submission.main(['--validate', path, '--images', str(truth)]) == 0
    assert f'{STEM}.zip: valid' in capsys.readouterr().out


def test_only_the_best_twenty_of_an_image_count():
    results = [person(score=(7 * k) % 25 / 25, first=float(k)) for k in range(25)]
    results.insert(3, person(image=2))
    kept = best_people(results)
    assert len(kept) == 21
    assert sorted(one['score'] for one in kept if one['image_id'] == 1) == [
        k / 25 for k in range(5, 25)
    ]
    assert [results.index(one) for one in kept] == sorted(results.index(one) for one in kept)
    assert result_notes(results) == [
        '1 images have more than 20 people; 5 of the lowest scores do not count'
    ]
    equal = [person(first=float(k)) for k in range(22)]
    assert best_people(equal) == equal[:20]
    assert result_notes(results, {1, 2, 3})[1] == '1 of 3 images have no people'


def test_cut_results_score_the_same(coco_files, tmp_path):
    truth, results = coco_files
    people = json.loads(results.read_text())
    rng = np.random.default_rng(1)
    for one in list(people):
        for _ in range(6):
            shifted = (np.array(one['keypoints']) + rng.normal(0, 9, 51)).tolist()
            people.append({**one, 'keypoints': shifted, 'score': float(rng.random())})
    crowded = tmp_path / 'crowded.json'
    crowded.write_text(json.dumps(people))
    path, _, notes = write_submission(tmp_path, 'mine', people)
    assert '3 images have more than 20 people' in notes[0]
    assert len(json.loads(path.read_text())) == 60 < len(people)
    assert coco_scores(truth, path) == pytest.approx(coco_scores(truth, crowded))


def test_valid_results():
    assert list(result_violations([person(), person(image=2, score=1)], {1, 2})) == []
    whole = person(keypoints=[1] * 51, score=0)
    assert list(result_violations([whole])) == []


@pytest.mark.parametrize(
    ('results', 'message'),
    [
        (dict(a=1), "found {'a': 1}, expected a list of people"),
        ([], 'the list is empty'),
        (['x'], "person 0: found 'x', expected an object with image_id"),
        ([dict(image_id=1, score=1)], 'person 0: has no category_id, keypoints'),
        ([person('000000000139')], "image_id is '000000000139', expected a whole number"),
        ([person(1.0)], 'image_id is 1.0, expected a whole number'),
        ([person(True)], 'image_id is True'),
        ([person(3)], 'image_id 3 is not of the test set'),
        ([person(category_id=2)], 'category_id is 2, expected 1'),
        ([person(category_id=True)], 'category_id is True'),
        ([person(score=None)], 'score is None, expected a finite number'),
        ([person(score=float('nan'))], 'score is nan'),
        ([person(score=10**400)], 'score is 1000'),
        ([person(keypoints=[1.0] * 50)], 'keypoints are 50, expected a list of 51 numbers'),
        ([person(keypoints='x')], "keypoints are 'x', expected a list"),
        ([person(first=float('inf'))], 'keypoints hold inf, expected finite numbers'),
        ([person(first=None)], 'keypoints hold None'),
        ([person(first='1')], "keypoints hold '1'"),
        ([person(), person(2), person(score=0.1)], 'person 2: has the image and keypoints of pers'),
    ],
)
def test_each_violation(results, message):
    found = list(result_violations(results, {1, 2}))
    assert len(found) == 1
    assert message in found[0]


def test_all_violations_are_listed():
    results = [person(score='a'), person(9, category_id=3), 5]
    assert [line.split(':')[0] for line in result_violations(results, {1})] == [
        *('person 0', 'person 1', 'person 1', 'person 2')
    ]


def test_nothing_is_written_if_a_rule_is_broken(tmp_path):
    with pytest.raises(ValueError, match='nothing is written:\nperson 0: score is nan'):
        write_submission(tmp_path / 'out', 'mine', [person(score=float('nan'))])
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name', ['', 'a_b', 'a b', '../a', 'ä', 'a/b', 'a\n'])
def test_names(name):
    assert submission_name('ViT-B.2') == 'person_keypoints_test-dev2017_ViT-B.2_results'
    with pytest.raises(ValueError, match='expected letters, digits'):
        submission_name(name)
    with pytest.raises(ValueError, match="test set is 'test2017', expected one of"):
        submission_name('a', 'test2017')


def test_files(tmp_path, monkeypatch):
    json_path, zip_path, _ = write_submission(tmp_path, 'mine', [person()])
    assert check_file(json_path, {1}) == ([], [])
    assert check_file(zip_path, {1, 2}) == ([], ['1 of 2 images have no people'])
    assert 'is not of the test set' in check_file(zip_path, {2})[0][0]

    other = tmp_path / 'results.json'
    other.write_bytes(json_path.read_bytes())
    (line,) = check_file(other)[0]
    assert 'results.json: expected a name as person_keypoints_[test-dev2017|' in line
    renamed = tmp_path / STEM.replace('mine', 'other')
    renamed = renamed.with_name(f'{renamed.name}.zip')
    renamed.write_bytes(zip_path.read_bytes())
    (line,) = check_file(renamed)[0]
    assert f"holds 1 members ('{STEM}.json'), expected person_keypoints_test-dev2017_other" in line

    monkeypatch.setattr(submission, 'MAX_BYTES', 10)
    assert 'unpacks to more than' in check_file(zip_path)[0][0]
    zip_path.write_bytes(zip_path.read_bytes()[:50])
    assert 'no sound zip file' in check_file(zip_path)[0][0]
    json_path.write_text('[{')
    assert f'{STEM}.json: no valid JSON' in check_file(json_path)[0][0]
    json_path.write_bytes(b'\xff')
    assert 'no valid JSON' in check_file(json_path)[0][0]
    with pytest.raises(FileNotFoundError, match='no.json: no such file'):
        check_file(tmp_path / 'no.json')


def test_list_of_images(tmp_path):
    path = tmp_path / 'images.json'
    for content, message in (
        ('{}', 'expected an object with images that have an id'),
        ('{"images": [1]}', 'expected an object with images'),
        ('{"images": []}', 'lists no image'),
        ('x', 'no valid JSON'),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_image_ids(path)
    path.write_text('{"images": [{"id": 3}, {"id": 5}]}')
    assert read_image_ids(path) == {3, 5}
    with pytest.raises(FileNotFoundError, match='no such file'):
        read_image_ids(tmp_path / 'none.json')


def test_tool_lists_violations(tmp_path, capsys):
    path = tmp_path / f'{STEM}.json'
    path.write_text(json.dumps([person(score=None, first=float(k)) for k in range(103)]))
    assert coco_submission.main(['--validate', str(path)]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == 'person 0: score is None, expected a finite number'
    assert len(lines) == 102
    assert lines[-2] == 'and 3 more'
    assert lines[-1] == f'{path}: 103 violations'
    assert 'not checked: which images there are' in err
    assert (
        coco_submission.main([str(path), '--name', 'mine', '--out-dir', str(tmp_path / 'o')]) == 1
    )
    assert 'error: nothing is written' in capsys.readouterr().err
    assert coco_submission.main([str(tmp_path / 'none.json'), '--name', 'mine']) == 1
    assert 'none.json: no such file' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'give either RESULTS or --validate FILE'),
        (['a.json', '--validate', 'b.json'], 'give either RESULTS or --validate FILE'),
        (['a.json'], 'give --name NAME'),
    ],
)
def test_options_of_the_tool(arguments, message, capsys):
    with pytest.raises(SystemExit, match='2'):
        coco_submission.main(arguments)
    assert message in capsys.readouterr().err
