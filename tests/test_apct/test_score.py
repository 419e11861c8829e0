"""The challenge's score: by hand, against plain loops, and what it says of malformed results."""

import copy
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projects.apct.scoring.diagnostics import diagnostic_tables, parsing_diagnostics
from projects.apct.scoring.file_score import FlatScene, score_files
from projects.apct.scoring.result_fields import FILE_NAMES
from projects.apct.scoring.result_files import raw_videos
from projects.apct.scoring.score import (
    curve_area,
    kinetics_tps_score,
    match_people,
    part_iou,
    person_iou,
    video_psc,
)
from tools.benchmarks import kinetics_tps_score as benchmark
from tools.benchmarks.kinetics_tps_reference import reference_psc, reference_score

ROOT = Path(__file__).resolve().parents[2]
FRAME = 'img_00001.json'


def part(box, state):
    return dict(box=box, verb=state)


def person(box, **parts):
    return dict(box=box, parts=parts)


def frames(*humans_of_frames):
    return {
        f'img_{1 + 5 * index:05d}.json': dict(humans=humans)
        for index, humans in enumerate(humans_of_frames)
    }


def write(folder, results):
    for name, result in zip(FILE_NAMES, results, strict=True):
        path = folder / ('gt' if name.startswith('gt') else 'pred') / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(result))
    return folder / 'gt', folder / 'pred'


def one_frame(truth, predicted):
    """Four results of one video with one frame."""
    return [{'v': 'c'}, {'v': frames(truth)}, {'v': 'c'}, {'v': frames(predicted)}]


def psc_both_ways(results, folder):
    """PSC of the only video, literally and from arrays."""
    literal = kinetics_tps_score(*copy.deepcopy(results))
    assert score_files(*write(folder, results)) == literal
    return literal['mean_psc']


BODY = [0, 0, 99, 199]
HEAD = [40, 0, 59, 19]
ARM = [0, 40, 19, 99]


class TestByHand:
    def test_credit_of_proposals(self, tmp_path):
        truth = [person(BODY, head=part(HEAD, 'nod'), arm=part(ARM, 'bend'))]
        # second of three states right: 1/3; the arm's state right, its box too far off: 0
        guess = person(
            BODY,
            head=part([HEAD, HEAD, HEAD], ['shake', 'nod', 'none']),
            arm=part([[80, 40, 99, 99]], ['bend']),
        )
        assert psc_both_ways(one_frame(truth, [guess]), tmp_path) == pytest.approx(1 / 6, abs=1e-15)

    @pytest.mark.parametrize(
        ('boxes', 'states', 'credit'),
        [
            ([HEAD], ['nod'], 1),
            ([HEAD], ['Nod'], 0),
            ([HEAD, HEAD], ['nod', 'nod'], 0.5),  # hits twice, earns once
            ([HEAD], ['nod', 'x', 'y'], 1 / 3),  # N counts states
            ([HEAD, HEAD], ['nod'], 1),  # hit before the missing state is looked for
            ([], ['nod'], 0),
            ([], [], 0),
            (HEAD, 'nod', 1),  # 2022: bare
            (HEAD, 'shake', 0),
            ([HEAD] * 7, ['x', 'nod'], 0.5),
            ([[40, 0, 59, 19, 0.9]], ['nod'], 1),
            ([[float('nan')] * 4, HEAD], ['nod', 'nod'], 0.5),
            ([[40, 20, 59, 39]], ['nod'], 0),  # side by side
        ],
    )
    def test_forms_of_a_part(self, tmp_path, boxes, states, credit):
        truth = [person(BODY, head=part(HEAD, 'nod'))]
        guess = [person(BODY, head=part(boxes, states))]
        assert psc_both_ways(one_frame(truth, guess), tmp_path) == credit

    def test_states_of_2022_as_lists_of_one(self, tmp_path):
        truth = [person(BODY, head=part(HEAD, ['nod']), arm=part(ARM, ['bend']))]
        guess = [person(BODY, head=part(HEAD, ['nod']), arm=part(ARM, ['unbend']))]
        assert psc_both_ways(one_frame(truth, guess), tmp_path) == 0.5

    def test_part_overlap_of_exactly_three_tenths_passes(self):
        # inclusive areas: 60 of 200 shared
        assert part_iou([0, 0, 9, 19], [0, 0, 9, 5]) == 0.3
        assert part_iou([0, 0, 9, 19], [0, 20, 9, 25]) == -1
        assert part_iou([0, 0, 9, 19], [0, 19.5, 9, 30]) > 0  # less than a pixel apart
        assert part_iou([9, 0, 0, 19], [9, 0, 0, 19]) == -1  # swapped corners

    @pytest.mark.parametrize(('height', 'psc'), [(100, 0.0), (101, 1.0)])
    def test_person_overlap_must_exceed_one_half(self, tmp_path, height, psc):
        truth = [person(BODY, head=part(HEAD, 'nod'))]
        guess = [person([0, 0, 99, height - 1], head=part([HEAD], ['nod']))]
        assert psc_both_ways(one_frame(truth, guess), tmp_path) == psc

    def test_person_coordinates_are_rounded_to_single(self):
        box = np.float32([[0, 0, 99, 199], [0, 0, 99, 99.000001]])
        assert person_iou(box[0], box[1]) == 0.5

    def test_sum_of_overlaps_comes_before_the_threshold(self):
        # the second prediction touches the first person alone: left to itself it costs 2, so both
        # are paired across and 0.6 is lost
        iou = np.float32([[0.6, 0.3], [0.2, -1]])
        assert match_people(iou).tolist() == [-1, -1]
        assert match_people(iou[:, :1]).tolist() == [0, -1]
        assert match_people(np.zeros((2, 0), dtype=np.float32)).tolist() == [-1, -1]

    def test_one_prediction_serves_one_person(self, tmp_path):
        truth = [person(BODY, head=part(HEAD, 'nod'))] * 2
        guess = [person(BODY, head=part([HEAD], ['nod']))]
        assert psc_both_ways(one_frame(truth, guess), tmp_path) == 0.5

    @pytest.mark.parametrize(
        ('truth', 'predicted', 'psc'),
        [
            (frames(), {}, 1),  # nothing to find
            (frames([]), frames([person(BODY)]), 1),
            (frames([person(BODY)]), frames([]), 1),  # without parts, predicted: left out
            (frames([person(BODY)]), {}, 0),  # without parts, not predicted: zero
            (frames([person(BODY, head=part(HEAD, 'nod'))]), frames([]), 0),
            (
                frames([person(BODY, head=part(HEAD, 'nod'))], [], [person(BODY)]),
                frames([person(BODY, head=part([HEAD], ['nod']))]),
                0.5,  # one right, one empty and left out, one without parts but not predicted
            ),
            (
                frames([person(BODY, head=part(HEAD, 'nod'))]),
                {'img_00001.jpg': dict(humans=[person(BODY, head=part([HEAD], ['nod']))])},
                0,
            ),
        ],
    )
    @pytest.mark.filterwarnings('ignore:.*no frame under a name')
    def test_odd_frames(self, tmp_path, truth, predicted, psc):
        results = [{'v': 'c'}, {'v': truth}, {'v': 'c'}, {'v': predicted}]
        assert psc_both_ways(results, tmp_path) == psc
        assert reference_psc(truth, predicted) == psc

    def test_people_with_many_parts_weigh_more(self, tmp_path):
        many = {f'p{k}': part(HEAD, 'nod') for k in range(3)}
        truth = [person(BODY, **many), person([500, 0, 599, 199], head=part(HEAD, 'nod'))]
        guess = [person(BODY, **{k: part([HEAD], ['nod']) for k in many})]
        assert psc_both_ways(one_frame(truth, guess), tmp_path) == 0.75

    def test_area(self):
        assert curve_area([1.0], [True]) == pytest.approx(0.9999, abs=1e-12)
        assert curve_area([1.0], [False]) == 0
        assert curve_area([0.3], [True]) == pytest.approx(0.3, abs=1e-12)  # >=: 3000 thresholds
        assert curve_area([0.00009, 0.5], [True, True]) == pytest.approx(0.25, abs=1e-12)

    def test_scores(self):
        truth = [person(BODY, head=part(HEAD, 'nod'), arm=part(ARM, 'bend'))]
        guess = [person(BODY, head=part([HEAD], ['nod']))]
        results = [
            {'a': 'run', 'b': 'jump'},
            {'a': frames(truth), 'b': frames(truth), 'junk': 3},
            {'a': 'run', 'b': 'run', 'c': 1},
            {'a': frames(guess), 'b': frames(guess), 'junk': None},
        ]
        scores = kinetics_tps_score(*results)
        assert scores == dict(acc_p=pytest.approx(0.25), mean_psc=0.5, top1=0.5, videos=2)

    def test_warns_of_strange_frame_names(self):
        results = one_frame([person(BODY, head=part(HEAD, 'nod'))], [person(BODY)])
        results[3]['v'] = {'img_00001.jpg': results[3]['v'][FRAME]}
        with pytest.warns(UserWarning, match='no frame under a name'):
            assert kinetics_tps_score(*results)['mean_psc'] == 0


def random_box(rng, whole, near=None):
    if near is not None and rng.random() < 0.85:
        shift = rng.choice([0, 0, 0, 1, -1, 2, 6, -6], 4)
        return [
            a + int(b) + (0 if whole else float(rng.random()))
            for a, b in zip(near, shift, strict=True)
        ]
    x, y = rng.integers(0, 20, 2)
    box = np.array([x, y, x + rng.integers(0, 14), y + rng.integers(0, 14)])
    if rng.random() < 0.03:
        box = box[[2, 1, 0, 3]]
    return box.tolist() if whole else (box + rng.choice([0, 0.5, rng.random()], 4)).tolist()


def random_results(rng):
    """Small crowded scenes: ties, misses, inventions, half overlaps, missing frames and parts."""
    whole = rng.random() < 0.5
    gt_videos, gt_people, pred_videos, pred_people = {}, {}, {}, {}
    for number in range(rng.integers(1, 4)):
        video = f'v{number}'
        gt_videos[video] = str(rng.choice(['A', 'B']))
        pred_videos[video] = gt_videos[video] if rng.random() < 0.8 else 'A'
        gt_people[video], pred_people[video] = {}, {}
        for frame in range(rng.integers(0, 4)):
            humans = []
            for _ in range(rng.choice([0, 1, 1, 2, 3, 4])):
                names = rng.permutation(list('abcdé'))[: rng.integers(0, 6)]
                parts = {
                    n: part(random_box(rng, whole), str(rng.choice(list('xyz')))) for n in names
                }
                humans.append(person(random_box(rng, whole), **parts))
            guesses = []
            for near in [h for h in humans if rng.random() < 0.85] + humans[: rng.integers(0, 3)]:
                parts = {}
                for name in rng.permutation(list('abcdé'))[: rng.integers(0, 6)]:
                    true = near['parts'].get(name, part(None, 'x'))
                    count = rng.choice([0, 1, 1, 1, 2, 3, 5])
                    parts[name] = part(
                        [random_box(rng, whole, true['box']) for _ in range(count)],
                        [str(rng.choice([true['verb'], *'xyzw'])) for _ in range(count)],
                    )
                guesses.append(person(random_box(rng, whole, near['box']), **parts))
            gt_people[video][f'f{frame}'] = dict(humans=humans)
            if rng.random() < 0.9:
                order = rng.permutation(len(guesses))
                pred_people[video][f'f{frame}'] = dict(humans=[guesses[i] for i in order])
    return [gt_videos, gt_people, pred_videos, pred_people]


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_equals_plain_loops(tmp_path_factory, seed):
    results = random_results(np.random.default_rng(seed))
    expected = reference_score(*results)
    literal = kinetics_tps_score(*results)
    assert literal['acc_p'] == expected
    folders = write(tmp_path_factory.getbasetemp(), results)
    assert score_files(*folders) == literal
    for video, truth in results[1].items():
        psc = video_psc(truth, results[3][video], video)
        assert psc == reference_psc(truth, results[3][video])


def test_files_of_2022_score_as_lists_of_one(tmp_path):
    for seed in range(20):
        results = random_results(np.random.default_rng(seed))
        bare = copy.deepcopy(results)
        for wrapped, unwrapped in zip(results[3].values(), bare[3].values(), strict=True):
            for frame, content in wrapped.items():
                for index, human in enumerate(content['humans']):
                    for name, guess in human['parts'].items():
                        box, state = [*guess['box'], BODY][0], [*guess['verb'], 'x'][0]
                        human['parts'][name] = part([box], [state])
                        unwrapped[frame]['humans'][index]['parts'][name] = part(box, state)
        expected = reference_score(*results)
        assert score_files(*write(tmp_path, results))['acc_p'] == expected
        assert score_files(*write(tmp_path, bare))['acc_p'] == expected


def test_obvious_pairings_are_what_the_solver_finds(tmp_path):
    benchmark.write_results(tmp_path, videos=15)
    results = [
        json.loads((tmp_path / name[: name.index('_')] / name).read_text()) for name in FILE_NAMES
    ]
    scores = score_files(tmp_path / 'gt', tmp_path / 'pred')
    assert scores == kinetics_tps_score(*results)
    assert scores['acc_p'] == reference_score(*results)
    assert 0.1 < scores['acc_p'] < 0.5
    scene = FlatScene(results[0])
    scene.read_truth(raw_videos(tmp_path / 'gt', FILE_NAMES.gt_people))
    scene.read_prediction(raw_videos(tmp_path / 'pred', FILE_NAMES.pred_people))
    assert not scene.unusual


TRUTH = [person(BODY, head=part(HEAD, 'nod'), arm=part(ARM, 'bend')), person([300, 0, 399, 99])]
GUESS = [
    person(BODY, head=part([HEAD], ['nod']), arm=part([ARM], ['bend'])),
    person([300, 0, 390, 99]),
]


def changed(*path, to):
    """The results of one good frame with something replaced, or removed if ``to`` is None."""
    results = copy.deepcopy(one_frame(TRUTH, GUESS))
    thing = results
    for key in path[:-1]:
        thing = thing[key]
    if to is None:
        del thing[path[-1]]
    else:
        thing[path[-1]] = to
    return results


TRUE_PEOPLE = (1, 'v', FRAME, 'humans')
PRED_PEOPLE = (3, 'v', FRAME, 'humans')
PRED_HEAD = (*PRED_PEOPLE, 0, 'parts', 'head')
MALFORMED = {
    'no video': ((0,), {}, ['gt_vid_result', 'no video']),
    'class': ((2, 'v'), None, ['pred_vid_result', "'v'", 'missing']),
    'true video': ((1, 'v'), None, ['gt_part_result', "'v'", 'missing']),
    'predicted video': ((3, 'v'), None, ['pred_part_result', "'v'", 'missing']),
    'humans': (PRED_PEOPLE, None, ['pred_part_result', "frame 'img_00001.json'", 'humans']),
    'humans null': (PRED_PEOPLE, 5, ["frame 'img_00001.json'", 'humans', 'found 5']),
    'person': ((*PRED_PEOPLE, 1), 'x', ['person 1', "found 'x'"]),
    'person box': ((*PRED_PEOPLE, 1, 'box'), None, ['person 1', 'box']),
    'true box': ((*TRUE_PEOPLE, 1, 'box'), None, ['gt_part_result', 'person 1', 'box']),
    'three numbers': ((*PRED_PEOPLE, 1, 'box'), [1, 2, 3], ['person 1, box', '[1, 2, 3]', 'four']),
    'two lengths': ((*PRED_PEOPLE, 1, 'box'), [1, 2, 3, 4, 5], ['person 1, box', '5', '4']),
    'text': ((*PRED_PEOPLE, 0, 'box'), ['0', '0', '99', '199'], ['person 0, box']),
    'NaN': ((*PRED_PEOPLE, 0, 'box'), [0, 0, float('nan'), 9], ['person 0, box', 'nan', 'finite']),
    'eleven': (PRED_PEOPLE, GUESS[:1] * 11, ['humans', '11', 'at most 10']),
    'parts': ((*PRED_PEOPLE, 0, 'parts'), None, ['person 0', 'parts']),
    'true parts': ((*TRUE_PEOPLE, 1, 'parts'), None, ['gt_part_result', 'person 1', 'parts']),
    'true state': (
        (*TRUE_PEOPLE, 0, 'parts', 'head', 'verb'),
        None,
        ['gt_part_result', "part 'head'", 'verb'],
    ),
    'state': ((*PRED_HEAD, 'verb'), None, ['pred_part_result', "person 0, part 'head'", 'verb']),
    'bare state': ((*PRED_HEAD, 'verb'), 'nod', ["part 'head', verb", "'nod'", 'list of states']),
    'bare box': ((*PRED_HEAD, 'box'), HEAD, ["part 'head', box", 'four numbers']),
    'box': ((*PRED_HEAD, 'box'), [[1, 2, 3]], ["part 'head', box", '[1, 2, 3]']),
    'box null': ((*PRED_HEAD, 'box'), [[1, 2, 3, 'x']], ["part 'head', box"]),
    'six proposals': (
        (*PRED_HEAD, 'verb'),
        list('abcdef'),
        ["part 'head', verb", '6', 'at most 5'],
    ),
    'missing state': ((*PRED_HEAD, 'box'), [ARM, HEAD], ['verb', '1 states for 2 boxes']),
}


@pytest.mark.parametrize('name', MALFORMED)
def test_malformed_results_are_named(tmp_path, name):
    path, to, words = MALFORMED[name]
    results = changed(*path, to=to)
    with pytest.raises((ValueError, KeyError)) as literal:
        kinetics_tps_score(*results)
    folders = write(tmp_path, results)
    with pytest.raises((ValueError, KeyError)) as from_files:
        score_files(*folders)
    for word in words:
        assert word in literal.value.args[0]
        assert word in from_files.value.args[0]
    assert str(tmp_path) in from_files.value.args[0]


IGNORED = {
    'true number': changed(*TRUE_PEOPLE, 0, 'number', to=3),
    'frame that is not in the truth': changed(3, 'v', 'img_00006.json', to='junk'),
    'parts of a person without true parts': changed(*PRED_PEOPLE, 1, 'parts', to='junk'),
    'part that the truth lacks': changed(*PRED_PEOPLE, 0, 'parts', 'tail', to='junk'),
    'null in a box of five': changed(*PRED_HEAD, 'box', to=[[*HEAD, 'x']]),
    'infinite box': changed(*PRED_PEOPLE, 1, 'box', to=[0, 0, 0, float('inf')]),
}


@pytest.mark.parametrize('name', IGNORED)
def test_what_is_never_looked_at_may_be_anything(tmp_path, name):
    assert psc_both_ways(IGNORED[name], tmp_path) == 1


def test_too_many_people_in_a_frame_without_truth(tmp_path):
    results = one_frame(TRUTH, GUESS)
    results[1]['v']['img_00006.json'] = dict(humans=[])
    results[3]['v']['img_00006.json'] = dict(humans=GUESS * 7)
    assert psc_both_ways(results, tmp_path) == 1


def test_video_without_people_need_not_be_predicted(tmp_path):
    results = [{'v': 'c'}, {'v': frames([], [])}, {'v': 'c'}, {}]
    assert psc_both_ways(results, tmp_path) == 1


class TestFiles:
    def test_zip_and_processes(self, tmp_path):
        people = benchmark.write_results(tmp_path, videos=3, frames=4)
        assert people > 12
        expected = score_files(tmp_path / 'gt', tmp_path / 'pred')
        with zipfile.ZipFile(tmp_path / 'pred.zip', 'w') as archive:
            for name in FILE_NAMES[2:]:
                archive.write(tmp_path / 'pred' / name, name)
        assert score_files(tmp_path / 'gt', tmp_path / 'pred.zip') == expected
        assert score_files(tmp_path / 'gt', tmp_path / 'pred', processes=2) == expected

    def test_errors_of_other_processes(self, tmp_path):
        benchmark.write_results(tmp_path, videos=3, frames=1)
        path = tmp_path / 'pred' / FILE_NAMES.pred_people
        results = json.loads(path.read_text())
        del results['video_00002'][FRAME]['humans']
        path.write_text(json.dumps(results))
        with pytest.raises(KeyError, match='video_00002.*humans'):
            score_files(tmp_path / 'gt', tmp_path / 'pred', processes=2)

    @pytest.mark.parametrize('text', ['', '{"v": ', '[]', '{"v": {}, }', 'null', '[' * 100000])
    def test_no_json(self, tmp_path, text):
        folders = write(tmp_path, one_frame(TRUTH, GUESS))
        (tmp_path / 'pred' / FILE_NAMES.pred_people).write_text(text)
        with pytest.raises(ValueError, match='pred_part_result.json'):
            score_files(*folders)

    def test_missing_file(self, tmp_path):
        folders = write(tmp_path, one_frame(TRUTH, GUESS))
        (tmp_path / 'gt' / FILE_NAMES.gt_people).unlink()
        with pytest.raises(FileNotFoundError, match='gt_part_result'):
            score_files(*folders)
        (tmp_path / 'no.zip').write_text('no zip')
        with pytest.raises(ValueError, match=r'no\.zip'):
            score_files(tmp_path / 'gt', tmp_path / 'no.zip')

    def test_duplicate_keys_keep_the_last(self, tmp_path):
        folders = write(tmp_path, one_frame(TRUTH, GUESS))
        path = tmp_path / 'pred' / FILE_NAMES.pred_people
        text = path.read_text().replace('"verb": ["nod"]', '"verb": ["x"], "verb": ["nod"]')
        path.write_text('{"v": 3, ' + text[1:])
        assert score_files(*folders)['mean_psc'] == 1

    def test_numbers_are_read_as_python_reads_them(self, tmp_path):
        rng = np.random.default_rng(0)
        numbers = [
            *rng.uniform(0, 2000, 400),
            *(rng.uniform(0, 1, 100) * 10.0 ** -rng.integers(0, 20, 100)),
        ]
        boxes = np.sort(np.array(numbers).reshape(-1, 4), axis=1)[:, [0, 1, 2, 3]].tolist()
        parts = {f'p{k}': part(box, 's') for k, box in enumerate(boxes)}
        guess = {name: part([value['box']], ['s']) for name, value in parts.items()}
        results = one_frame([person(BODY, **parts)], [person(BODY, **guess)])
        gt, _ = write(tmp_path, results)
        scene = FlatScene(['v'])
        scene.read_truth(raw_videos(gt, FILE_NAMES.gt_people))
        assert scene._truth.part_box.tolist() == boxes

    def test_huge_numbers_count_as_in_python(self, tmp_path):
        big = 2**40 + 1
        truth = [person(BODY, head=part([0, 0, big, big], 'nod'))]
        guess = [person(BODY, head=part([[0, 0, big, big // 3]], ['nod']))]
        assert psc_both_ways(one_frame(truth, guess), tmp_path) == 1


class TestCommand:
    def run(self, *arguments):
        tool = ROOT / 'tools' / 'evaluate_kinetics_tps.py'
        return subprocess.run(
            [sys.executable, tool, *arguments], capture_output=True, text=True, check=False
        )

    def test_one_line(self, tmp_path):
        folders = write(tmp_path, one_frame(TRUTH, GUESS))
        result = self.run(*folders)
        assert result.returncode == 0
        assert result.stdout.count('\n') == 1
        assert json.loads(result.stdout) == score_files(*folders)
        assert not result.stderr

    def test_error(self, tmp_path):
        folders = write(tmp_path, changed(*PRED_PEOPLE, 1, 'box', to=None))
        result = self.run(*folders)
        assert result.returncode == 1
        assert not result.stdout
        assert result.stderr.startswith('error: ')
        assert result.stderr.count('\n') == 1
        assert "video 'v', frame 'img_00001.json', person 1" in result.stderr


class TestDiagnostics:
    def test_by_hand(self):
        truth = [
            person(BODY, head=part(HEAD, 'nod'), arm=part(ARM, 'bend')),
            person([300, 0, 399, 99]),
        ]
        guess = [
            dict(person(BODY, head=part([HEAD], ['shake']), leg=part([ARM], ['x'])), score=0.5)
        ]
        results = [{'v': 'c'}, {'v': frames(truth, truth)}, {'v': 'c'}, {'v': frames(guess)}]
        found = parsing_diagnostics(['v'], results[1], results[3])
        assert found['part_recall'] == 0.25
        assert found['state_acc'] == 0
        assert found['parts']['head'] == dict(
            truths=2, found=1, recall=0.5, state_acc=0, ap50=pytest.approx(51 / 101)
        )
        assert found['parts']['arm']['ap50'] == 0
        assert found['part_ap50'] == pytest.approx(51 / 202)
        assert found['states']['bend'] == dict(
            truths=2, found=0, recall=0, state_acc=pytest.approx(float('nan'), nan_ok=True)
        )
        table = diagnostic_tables(found)
        assert 'head' in table
        assert '0.505' in table

    def test_without_scores(self):
        results = one_frame(TRUTH, GUESS)
        found = parsing_diagnostics(['v'], results[1], results[3])
        assert found['part_ap50'] is None
        assert found['state_acc'] == found['part_recall'] == 1

    def test_nothing_to_find(self):
        found = parsing_diagnostics(['v'], {'v': frames([])}, {})
        assert np.isnan(found['state_acc'])
        assert diagnostic_tables(found)
