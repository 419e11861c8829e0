"""The zip of the challenge: round trip, and every rule broken once."""

import copy
import json
import zipfile

import pytest

from projects.apct.scoring import result_files
from projects.apct.scoring.submission import (
    Rules,
    evaluated_frames,
    write_submission,
    zip_violations,
)
from tools import make_submission

PEOPLE, VIDEOS = 'pred_part_result.json', 'pred_vid_result.json'
BOX = [0, 0, 9.5, 9]


def human(**more):
    parts = dict(head=dict(box=[BOX, BOX], verb=['nod', 'none']))
    return dict(dict(number=1, box=BOX, parts=parts), **more)


def good():
    """Two videos of 7 and 5 frames."""
    return {
        'a': {'img_00001.json': dict(humans=[human()]), 'img_00006.json': dict(humans=[])},
        'b': {'img_00001.json': dict(humans=[human()])},
    }, {'a': 'run', 'b': 'jump'}


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'list').mkdir()
    (tmp_path / 'list' / 'body_part.txt').write_text('head\narm\n')
    (tmp_path / 'list' / 'part_stat.txt').write_text('none\nnod\n')
    (tmp_path / 'list' / 'video_test_flist.csv').write_text('video,frames\na,7\nb,5\n')
    for name in ('run', 'jump'):
        (tmp_path / 'train_videos' / name).mkdir(parents=True)
    return tmp_path


def packed(path, people, videos, **more):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, result in {PEOPLE: people, VIDEOS: videos, **more}.items():
            if result is not None:
                archive.writestr(name, result if isinstance(result, str) else json.dumps(result))
    return path


def violations(root, *results, **more):
    return list(zip_violations(packed(root / 'x.zip', *results, **more), Rules.read(root)))


def test_evaluated_frames():
    assert evaluated_frames(11) == ['img_00001.json', 'img_00006.json', 'img_00011.json']
    assert evaluated_frames(5) == ['img_00001.json']
    assert evaluated_frames(0) == []


def test_round_trip(root):
    people, videos = good()
    crowd = [human(score=0.1 * (k % 10), box=[0, 0, k, 9]) for k in range(15)]
    people['a']['img_00001.json']['humans'] = crowd
    people['a']['img_00002.json'] = 'not evaluated'
    people['a']['img_00006.json']['humans'] = [
        human(box=[0, 0, float('nan'), 1]),
        human(
            parts=dict(
                head=dict(box=[[5, 5, 1, 1], *[BOX] * 7], verb=['nod'] * 8),
                arm=dict(box=[], verb=[]),
            )
        ),
    ]
    people['elsewhere'] = {}
    del people['b']
    videos['elsewhere'] = 'run'
    rules = Rules.read(root)
    notes = write_submission(root / 'out.zip', people, videos, rules)
    assert not list(zip_violations(root / 'out.zip', rules))
    written = result_files.read_result(root / 'out.zip', PEOPLE)
    assert list(written) == ['a', 'b']
    assert written['b'] == {'img_00001.json': dict(humans=[])}
    kept = written['a']['img_00001.json']['humans']
    assert [person['box'][2] for person in kept] == [9, 8, 7, 6, 5, 4, 14, 3, 13, 2]
    assert 'score' not in kept[0]
    assert [len(p['parts']['head']['verb']) for p in written['a']['img_00006.json']['humans']] == [
        5
    ]
    assert result_files.read_result(root / 'out.zip', VIDEOS) == {'a': 'run', 'b': 'jump'}
    text = '\n'.join(notes)
    for words in (
        'left out: elsewhere',
        'left empty: b',
        '1 frames that are not',
        '2 boxes',
        '1 frames were cut',
    ):
        assert words in text


def test_nothing_is_written_when_a_rule_would_break(root):
    people, videos = good()
    out = root / 'out.zip'
    out.write_text('what was there')
    del videos['b']
    with pytest.raises(ValueError, match=r"pred_vid_result.json: video 'b': missing"):
        write_submission(out, people, videos, Rules.read(root))
    people['a']['img_00001.json']['humans'][0]['parts']['tail'] = dict(box=[BOX], verb=['wag'])
    with pytest.raises(ValueError, match=r"part 'tail': not one of the 2.*'wag' is not known"):
        write_submission(out, people, good()[1], Rules.read(root))
    people['a']['img_00001.json'] = dict(humans=[dict(box=BOX)])
    with pytest.raises(ValueError, match=r"video 'a', frame 'img_00001.json': malformed"):
        write_submission(out, people, good()[1], Rules.read(root))
    assert out.read_text() == 'what was there'
    assert sorted(path.name for path in root.iterdir()) == ['list', 'out.zip', 'train_videos']


def at(*path):
    return ('a', 'img_00001.json', 'humans', *path)


PERSON = "video 'a', frame 'img_00001.json', person 0"
HEAD = at(0, 'parts', 'head')
BROKEN = {
    'video missing': (('b',), None, ["video 'b': missing"]),
    'video unknown': (('c',), {}, ["video 'c': not on the list"]),
    'video odd': (('b',), [], ["video 'b': found []"]),
    'frame missing': (('a', 'img_00006.json'), None, ["frame 'img_00006.json': missing"]),
    'frame extra': (('a', 'img_00002.json'), dict(humans=[]), ["'img_00002.json': not evaluated"]),
    'frame odd': (('a', 'img_00001.json'), 3, ["frame 'img_00001.json': found 3"]),
    'eleven': (at(), [human()] * 11, ['humans: found 11 people, expected at most 10']),
    'person odd': (at(0), 'x', [f"{PERSON}: found 'x'"]),
    'person box': (at(0, 'box'), None, [f'{PERSON}, box: found None']),
    'person box swapped': (at(0, 'box'), [9, 0, 0, 9], [f'{PERSON}, box: found [9, 0, 0, 9]']),
    'person box NaN': (at(0, 'box'), [0, 0, float('nan'), 9], [f'{PERSON}, box: found']),
    'parts': (at(0, 'parts'), None, [f'{PERSON}, parts: found None']),
    'part unknown': (at(0, 'parts', 'tail'), dict(box=[BOX], verb=['nod']), ["part 'tail': not"]),
    'part odd': (HEAD, [], [f"{PERSON}, part 'head': found []"]),
    'box bare': ((*HEAD, 'box'), BOX, ["part 'head', box: found 0", 'found 2 states for 4']),
    'box text': ((*HEAD, 'box'), 'x', ["part 'head', box: found 'x', expected a list"]),
    'state bare': ((*HEAD, 'verb'), 'nod', ["part 'head', verb: found 'nod', expected a list"]),
    'state unknown': ((*HEAD, 'verb'), ['nod', 'wag'], ["verb: state 'wag' is not known"]),
    'state number': ((*HEAD, 'verb'), ['nod', 3], ['verb: state 3 is not known']),
    'six': (
        HEAD,
        dict(box=[BOX] * 6, verb=['nod'] * 6),
        ['box: found 6 prop', 'verb: found 6 prop'],
    ),
    'none': (HEAD, dict(box=[], verb=[]), ['box: found 0 proposals', 'verb: found 0 proposals']),
    'lengths': ((*HEAD, 'verb'), ['nod'], ['found 1 states for 2 boxes']),
}


@pytest.mark.parametrize('name', BROKEN)
def test_every_violation_is_named(root, name):
    path, to, words = BROKEN[name]
    people, videos = good()
    thing = people
    for key in path[:-1]:
        thing = thing[key]
    if to is None:
        del thing[path[-1]]
    else:
        thing[path[-1]] = copy.deepcopy(to)
    found = violations(root, people, videos)
    text = '\n'.join(found)
    for word in words:
        assert word in text
    assert all(line.startswith(PEOPLE) for line in found)


def test_all_violations_at_once(root):
    people, videos = good()
    people['a']['img_00001.json']['humans'][0]['box'] = [1]
    people['b']['img_00001.json']['humans'][0]['parts']['head']['verb'] = ['x', 'y']
    videos['a'] = 'fly'
    videos['z'] = 'run'
    found = violations(root, people, videos)
    assert len(found) == 5


@pytest.mark.parametrize(
    ('members', 'word'),
    [
        ({VIDEOS: None}, f'{VIDEOS}: found 0 times'),
        ({VIDEOS: '{'}, f'{VIDEOS}: no valid JSON'),
        ({VIDEOS: '[]'}, f'{VIDEOS}: found []'),
        ({VIDEOS: '{"a": "run", "a": "jump", "b": "run"}'}, "'a' occurs 2 times"),
        ({'../evil.json': '{}'}, "'../evil.json': not expected"),
        ({f'result/{PEOPLE}': '{}'}, 'not expected'),
        ({PEOPLE: '[' * 200000}, f'{PEOPLE}: no valid JSON'),
    ],
)
def test_odd_zips(root, members, word):
    people, videos = good()
    results = {PEOPLE: people, VIDEOS: videos, **members}
    found = violations(root, results.pop(PEOPLE), results.pop(VIDEOS), **results)
    assert word in '\n'.join(found)


def test_zip_bomb_and_no_zip(root, monkeypatch):
    monkeypatch.setattr(result_files, 'MAX_MEMBER_BYTES', 1 << 20)
    path = root / 'bomb.zip'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(PEOPLE, b' ' * (1 << 22))
        archive.writestr(VIDEOS, '{}')
    assert path.stat().st_size < 10000
    assert any('unpacks to more than' in line for line in zip_violations(path, Rules()))
    with pytest.raises(ValueError, match='unpacks to more than'):
        result_files.read_result(path, PEOPLE)
    path.write_bytes(path.read_bytes()[:-30])
    assert 'no sound zip' in next(zip_violations(path, Rules()))
    assert 'no sound zip' in next(zip_violations(root / 'none.zip', Rules()))


def test_without_lists_the_rest_is_checked(root):
    people, videos = good()
    people['a']['img_00003.json'] = dict(humans=[])
    videos['a'] = 'anything'
    path = packed(root / 'x.zip', people, videos)
    assert list(zip_violations(path, Rules())) == [
        f"{PEOPLE}: video 'a', frame 'img_00003.json': not evaluated"
    ]


def test_command(root, monkeypatch, capsys):
    people, videos = good()
    people['a']['img_00001.json']['humans'][0]['score'] = 0.5
    for name, result in ((PEOPLE, people), (VIDEOS, videos)):
        (root / name).write_text(json.dumps(result))

    def run(*arguments):
        words = ['make_submission.py', *map(str, arguments), '--data-root', str(root)]
        monkeypatch.setattr('sys.argv', words)
        return make_submission.main(), capsys.readouterr()

    out = root / 'out.zip'
    assert run(root / PEOPLE, root / VIDEOS, '--out', out)[0] == 0
    assert run('--validate', out)[0] == 0
    packed(out, people, {'a': 'fly'})
    status, printed = run('--validate', out)
    assert status == 1
    assert "video 'a': class 'fly' is not known" in printed.out
    assert '2 violations' in printed.out
    status, printed = run(root / PEOPLE, root / 'nowhere.json', '--out', out)
    assert status == 1
    assert printed.err.startswith('error: ')
    (root / 'list' / 'video_test_flist.csv').unlink()
    assert 'video_test_flist.csv' in run('--validate', out)[1].err


def test_thousands_of_violations_are_printed(root, monkeypatch, capsys):
    people, videos = good()
    people['a'].update({f'img_{5 * k + 2:05d}.json': dict(humans=[]) for k in range(1200)})
    path = packed(root / 'x.zip', people, videos)
    monkeypatch.setattr('sys.argv', ['x', '--validate', str(path), '--data-root', str(root)])
    assert make_submission.main() == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{PEOPLE}: video 'a', frame 'img_{5 * k + 2:05d}.json': not evaluated" for k in range(1200)
    ]
    assert last == f'{path}: 1200 violations'
