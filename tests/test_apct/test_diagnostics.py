"""The diagnostics of parts: equal to pycocotools, and content with what the score takes."""

import contextlib
import copy
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from projects.apct.scoring import diagnostics
from projects.apct.scoring.diagnostics import (
    mean_person_iou,
    parsing_diagnostics,
    part_average_precision,
)
from projects.apct.scoring.score import kinetics_tps_score
from tests.test_apct.test_score import GUESS, TRUTH, changed, one_frame, random_results, write
from tools import evaluate_kinetics_tps

TRUE_FRAMES, PRED_FRAMES = (1, 'v'), (3, 'v')
OTHER = 'img_00006.json'


def with_other_frame(truth, guess=None):
    """A frame found in full, and one more."""
    results = copy.deepcopy(one_frame(TRUTH, GUESS))
    results[1]['v'][OTHER] = truth
    if guess is not None:
        results[3]['v'][OTHER] = guess
    return results


# What the score never looks at, and how many parts are counted then.
TAKEN = {
    'no parts in an unpredicted frame': (
        with_other_frame(dict(humans=[dict(box=TRUTH[0]['box'])])),
        2,
    ),
    'no person in an unpredicted frame': (with_other_frame(dict(humans=['junk', None])), 2),
    'junk as parts': (
        with_other_frame(dict(humans=[dict(parts='junk'), dict(parts=dict(head=0, arm={}))])),
        2,
    ),
    'no box of a part that was not predicted': (
        changed(*TRUE_FRAMES, 'img_00001.json', 'humans', 0, 'parts', 'leg', to=dict(verb='nod')),
        3,
    ),
    'list where the truth is empty': (with_other_frame(dict(humans=[]), []), 2),
    'junk where the truth is empty': (with_other_frame(dict(humans=[]), dict(humans=[3, {}])), 2),
    'number where the truth is empty': (with_other_frame(dict(humans=[]), 3), 2),
}


@pytest.mark.parametrize('scored', [True, False])
@pytest.mark.parametrize('name', TAKEN)
def test_tables_take_what_the_score_takes(tmp_path, name, scored, capsys):
    results, count = copy.deepcopy(TAKEN[name])
    if scored:
        for human in results[3]['v']['img_00001.json']['humans']:
            human['score'] = 0.5
    scores = kinetics_tps_score(*results)
    with_tables = evaluate_kinetics_tps.evaluate(*write(tmp_path, results), tables=True)
    assert with_tables.items() >= scores.items()
    assert with_tables['part_recall'] == pytest.approx(2 / count)
    assert with_tables['state_acc'] == 1
    assert with_tables['part_ap50'] == (pytest.approx(1) if scored else None)  # of true boxes
    assert 'By part' in capsys.readouterr().err
    assert 0 < mean_person_iou(['v'], results[1], results[3]) <= 1


def test_scores_without_tables_where_they_fail(tmp_path, monkeypatch):
    def failing(*_):
        raise TypeError('what nobody thought of')

    monkeypatch.setattr(diagnostics, 'parsing_diagnostics', failing)
    results = one_frame(TRUTH, GUESS)
    with pytest.warns(UserWarning, match='no tables: TypeError: what nobody thought of'):
        scores = evaluate_kinetics_tps.evaluate(*write(tmp_path, results), tables=True)
    assert scores == dict(
        kinetics_tps_score(*results), part_recall=None, state_acc=None, part_ap50=None
    )


def by_pycocotools(videos, gt_people, pred_people, part_names):
    """All parts at once, all frames as images, as pycocotools' own manual does it."""
    number = {name: index for index, name in enumerate(part_names)}
    images, truths, detections = [], [], []
    for video in videos:
        for frame, content in gt_people[video].items():
            image = len(images)
            images.append(dict(id=image))
            for human in content['humans']:
                for name, part in human['parts'].items():
                    x1, y1, x2, y2 = part['box']
                    box = [x1, y1, x2 - x1, y2 - y1]
                    truths.append(
                        dict(id=len(truths) + 1, image_id=image, category_id=number[name])
                        | dict(bbox=box, area=box[2] * box[3], iscrowd=0)
                    )
            for human in pred_people[video].get(frame, dict(humans=[]))['humans']:
                for name, part in human['parts'].items():
                    if name in number and part['box']:
                        x1, y1, x2, y2 = part['box'][0]
                        detections.append(
                            dict(image_id=image, category_id=number[name], score=human['score'])
                            | dict(bbox=[x1, y1, x2 - x1, y2 - y1])
                        )
    if not detections:
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        categories = [dict(id=index) for index in number.values()]
        truth.dataset = dict(images=images, annotations=truths, categories=categories)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval['precision'][0, :, :, 0, 2]  # IoU 0.5, all sizes, 100 detections
    means = {name: precision[:, index].mean() for name, index in number.items()}
    return {name: mean if mean >= 0 else np.nan for name, mean in means.items()}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_average_precision_is_that_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    videos, truth, _, predicted = random_results(rng)
    for frames in predicted.values():
        for content in frames.values():
            for human in content['humans']:
                human['score'] = float(rng.integers(1, 5)) / 4  # with ties
    names = sorted(parsing_diagnostics(list(videos), truth, predicted)['parts'])
    expected = by_pycocotools(list(videos), truth, predicted, names)
    if expected is not None:
        found = part_average_precision(list(videos), truth, predicted, names)
        assert list(found) == list(expected)
        np.testing.assert_array_equal(list(found.values()), list(expected.values()))
