import csv
import os

import numpy as np
import pytest

from projects.keypoints import LAYOUTS
from projects.poserac.annotations import (
    canonical_action,
    distinct_actions,
    pose_file,
    read_action_list,
    read_repcount,
    read_salient_poses,
)

BLAZEPOSE, PENN = LAYOUTS['blazepose'], LAYOUTS['penn']
REPCOUNT_CLASSES = (
    *('front_raise', 'pull_up', 'squat', 'bench_pressing', 'jump_jack', 'situp', 'push_up'),
    'pommelhorse',
)
# what the published file calls joints of which MediaPipe numbers the tips
HEADER_NAMES = [
    name + {'pinky': '_1', 'index': '_1', 'thumb': '_2'}.get(name.split('_', 1)[-1], '')
    for name in BLAZEPOSE.joint_names
]


def random_poses(count, joints=33, dims=3, seed=0):
    return np.random.default_rng(seed).normal(0, 100, (count, joints, dims)).astype(np.float32)


def original_rows(poses, actions, states, videos):
    for k, (pose, action, state, video) in enumerate(
        zip(poses, actions, states, videos, strict=True)
    ):
        path = f'train/{action}/salient{state + 1}/{video}/{k}.jpg'
        yield [path, action, *pose.ravel().astype(str)]


def header_rows(poses, names):
    yield ['pose_id', 'pose', *(f'{axis}_{name}' for name in HEADER_NAMES for axis in 'xyz')]
    for k, (pose, name) in enumerate(zip(poses, names, strict=True)):
        yield [k, name, *pose.ravel().astype(str)]


def write_rows(path, rows, end='\r\n'):
    with open(path, 'w', newline='', encoding='utf-8') as file:
        csv.writer(file, lineterminator=end).writerows(rows)
    return path


def test_original_format(tmp_path):
    poses = random_poses(4)
    videos = ['stu1_2.mp4', 'stu1_2.mp4', 'test 3.mp4', 'a.b.avi']
    actions, states = ['squat', 'squat', 'pull_up', 'squat'], [0, 1, 1, 0]
    path = write_rows(tmp_path / 'train.csv', original_rows(poses, actions, states, videos))
    found = read_salient_poses(path, BLAZEPOSE)
    assert len(found) == 4
    np.testing.assert_array_equal(found.poses, poses)  # text of float32 and back
    assert found.poses.dtype == np.float32
    assert (found.actions, found.states.tolist(), found.groups) == (actions, states, videos)
    assert found.lines.tolist() == [1, 2, 3, 4]
    flat = read_salient_poses(path, BLAZEPOSE, dims=2)
    np.testing.assert_array_equal(flat.poses, poses[..., :2])
    backslashes = path.read_text().replace('/', '\\')
    (tmp_path / 'windows.csv').write_text(backslashes)
    found = read_salient_poses(tmp_path / 'windows.csv', BLAZEPOSE)
    assert (found.states.tolist(), found.groups) == (states, videos)


def test_format_with_header(tmp_path):
    poses = random_poses(4)
    names = ['squats_up', 'squats_down', 'jumping_jacks_down', 'up_up']
    path = write_rows(tmp_path / 'a.csv', header_rows(poses, names))
    found = read_salient_poses(path, BLAZEPOSE)
    np.testing.assert_array_equal(found.poses, poses)
    assert found.actions == ['squats', 'squats', 'jumping_jacks', 'up']
    assert found.states.tolist() == [0, 1, 1, 0]
    assert found.groups == ['0', '1', '2', '3']
    assert found.lines.tolist() == [2, 3, 4, 5]
    found = read_salient_poses(path, BLAZEPOSE, salient_names=('down', 'up'))
    assert found.states.tolist() == [1, 0, 0, 1]
    with pytest.raises(ValueError, match=r"a.csv:2: field 'pose' is 'squats_up'.*'_in' or '_out'"):
        read_salient_poses(path, BLAZEPOSE, salient_names=('in', 'out'))


def test_other_layouts_and_two_coordinates(tmp_path):
    poses = random_poses(2, joints=13, dims=2)
    rows = original_rows(poses, ['a', 'b'], [0, 1], ['v', 'w'])
    path = write_rows(tmp_path / 'a.csv', rows)
    np.testing.assert_array_equal(read_salient_poses(path, PENN, dims=2).poses, poses)
    with pytest.raises(ValueError, match=r'a.csv: has 2 coordinates a joint, expected 3'):
        read_salient_poses(path, PENN, dims=3)
    with pytest.raises(ValueError, match=r"a.csv:1: has 28 cells, expected 101: .*33.*'blazepose'"):
        read_salient_poses(path, BLAZEPOSE)


def test_missing_keypoints_are_nan(tmp_path):
    poses = random_poses(2, joints=13)
    poses[1, 3] = np.nan
    rows = original_rows(poses, ['a', 'a'], [0, 1], ['v', 'v'])
    path = write_rows(tmp_path / 'a.csv', rows)
    np.testing.assert_array_equal(read_salient_poses(path, PENN).poses, poses)


@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_what_spreadsheets_do_to_files(tmp_path, end):
    """A byte order mark, blank lines, and cells that pad the rows."""
    poses = random_poses(2)
    rows = [[*row, '', ''] for row in header_rows(poses, ['squats_up', 'squats_down'])]
    rows = [rows[0], [], rows[1], [''] * 5, rows[2], []]
    path = write_rows(tmp_path / 'a.csv', rows, end)
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    found = read_salient_poses(path, BLAZEPOSE)
    np.testing.assert_array_equal(found.poses, poses)
    assert found.lines.tolist() == [3, 5]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(row=1, cell=50, value='x1'), r"a.csv:2: column 51 holds 'x1', expected a number"),
        (dict(row=1, cell=50, value=''), r"a.csv:2: column 51 holds '', expected a number"),
        (dict(row=2, cell=9, value='inf'), r'a.csv:3: holds no pose'),
        (dict(row=2, cell=9, value='1e200'), r'a.csv:3: holds no pose'),
        (dict(row=1, cell=0, value='0.jpg'), r"a.csv:2: begins with '0.jpg' and 'squat', expected"),
        (dict(row=1, cell=0, value='train/squat/salient3/v/0.jpg'), r'a.csv:2: begins with'),
        (dict(row=1, cell=0, value='salient1/v/0.jpg'), r'a.csv:2: begins with'),
        (dict(row=1, cell=1, value=''), r'a.csv:2: begins with'),
        (dict(row=1, cell=40, value=slice(None)), r'a.csv:2: has 40 cells, expected 101'),
    ],
)
def test_bad_rows_of_the_original_format(tmp_path, change, message):
    rows = list(original_rows(random_poses(3), ['squat'] * 3, [0, 1, 0], ['v.mp4'] * 3))
    if change['value'] == slice(None):
        rows[change['row']] = rows[change['row']][: change['cell']]
    else:
        rows[change['row']][change['cell']] = change['value']
    path = write_rows(tmp_path / 'a.csv', rows)
    with pytest.raises(ValueError, match=message):
        read_salient_poses(path, BLAZEPOSE)


@pytest.mark.parametrize('value', ['0', 'nan'])
def test_a_row_without_a_pose_is_refused(tmp_path, value):
    rows = list(original_rows(random_poses(2), ['squat'] * 2, [0, 1], ['v.mp4'] * 2))
    rows[1][2:] = [value] * 99
    path = write_rows(tmp_path / 'a.csv', rows)
    with pytest.raises(ValueError, match='a.csv:2: holds no pose'):
        read_salient_poses(path, BLAZEPOSE)


def test_bad_headers(tmp_path):
    rows = list(header_rows(random_poses(1), ['squats_up']))
    path = write_rows(tmp_path / 'a.csv', rows)
    with pytest.raises(ValueError, match=r"a.csv:1: has column 'x_nose' .*'penn' has 'x_head'"):
        read_salient_poses(path, PENN)
    rows[0][5:8] = rows[0][8:11]
    path = write_rows(tmp_path / 'b.csv', rows)
    with pytest.raises(ValueError, match=r"b.csv:1: has column 'x_left_eye' .*'x_left_eye_inner'"):
        read_salient_poses(path, BLAZEPOSE)
    path = write_rows(tmp_path / 'd.csv', header_rows([], []))
    with pytest.raises(ValueError, match='d.csv: holds no poses, only a header'):
        read_salient_poses(path, BLAZEPOSE)


def test_bad_files_and_options(tmp_path):
    path = tmp_path / 'a.csv'
    with pytest.raises(FileNotFoundError, match=r'a.csv: no such file.*salient poses'):
        read_salient_poses(path, BLAZEPOSE)
    path.write_bytes(b'\n\r\n ,\n')
    with pytest.raises(ValueError, match=r'a.csv: is empty'):
        read_salient_poses(path, BLAZEPOSE)
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ValueError, match=r'a.csv:1: is no CSV in UTF-8'):
        read_salient_poses(path, BLAZEPOSE)
    with pytest.raises(ValueError, match='dims is 1, expected 2 or 3'):
        read_salient_poses(path, BLAZEPOSE, dims=1)
    for names in (('up',), ('up', 'up'), ('up', '')):
        with pytest.raises(ValueError, match='salient_names is .* expected two different names'):
            read_salient_poses(path, BLAZEPOSE, salient_names=names)


def test_what_was_read_is_shared_and_a_changed_file_read_anew(tmp_path):
    path = write_rows(tmp_path / 'a.csv', header_rows(random_poses(2), ['a_up', 'a_down']))
    first, second = (read_salient_poses(path, BLAZEPOSE) for _ in range(2))
    assert first.poses is second.poses
    with pytest.raises(ValueError, match='read-only'):
        first.poses[0] = 0
    first.actions.clear()  # a list is the caller's own
    assert read_salient_poses(path, BLAZEPOSE).actions == ['a', 'a']
    write_rows(path, header_rows(random_poses(2, seed=1), ['b_up', 'b_down']))
    os.utime(path, ns=(1, 1))
    assert read_salient_poses(path, BLAZEPOSE).actions == ['b', 'b']


def repcount(tmp_path, text, name='test.csv'):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_repcount_as_published(tmp_path):
    path = repcount(
        tmp_path,
        ',Unnamed: 0,type,name,count,L1,L2,L3,L4,L5,L6\n'
        '5,5,bench_pressing,stu9_2.mp4,3,433,482,1020.0,1100.0,1101.0,1181.0\n'
        '8,8,squant,sub/stu8_3.mp4,1,0,95,,,,\n'
        '\n'
        '9,9,others,no.mp4,0,,,,,,\n'
        '10,10,situp,more.mp4,6,1,2,3,4,,\n',
    )
    first, second, third, fourth = read_repcount(path)
    assert first[:3] == ('stu9_2.mp4', 'bench_pressing', 3)
    np.testing.assert_array_equal(first.repetitions, [[433, 482], [1020, 1100], [1101, 1181]])
    assert first.repetitions.dtype == np.int64
    assert (first.person, first.line) == (0, 2)
    assert (second.name, second.action, second.count) == ('sub/stu8_3.mp4', 'squant', 1)
    assert second.repetitions.tolist() == [[0, 95]]
    assert (third.count, third.repetitions.shape, third.line) == (0, (0, 2), 5)
    assert (fourth.count, len(fourth.repetitions)) == (6, 2)  # as in a few published rows


def test_repcount_columns_in_any_order(tmp_path):
    path = repcount(
        tmp_path,
        'name,L2,L10,L1,L9,person,type,remark\r\n'
        'a.mp4,5,9,3,7,1,squat,"two, of them"\r\n'
        'b.mp4,5,nan,3,NaN,,squat\r\n',
    )
    first, second = read_repcount(path)
    assert first.repetitions.tolist() == [[3, 5], [7, 9]]
    assert (first.person, first.count) == (1, 2)  # without a count: the pairs
    assert second.repetitions.tolist() == [[3, 5]]
    assert (second.person, second.count) == (0, 1)


def test_pairs_of_salient_frames_in_either_order(tmp_path):
    path = repcount(tmp_path, 'type,name,count,L1,L2,L3,L4\nsquat,a.mp4,2,9,5,12,17\n')
    assert read_repcount(path)[0].repetitions.tolist() == [[9, 5], [12, 17]]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a,b\n1,2\n', r"x.csv:1: has no column \['type', 'name'\]; its columns .*'a', 'b'"),
        ('type,name\na,b\n', r"x.csv:1: has neither a column 'count' nor 'L1'"),
        ('type,name,count\na,,3\n', r"x.csv:2: field 'name' is empty"),
        ('type,name,count\na,b,-3\n', r"x.csv:2: field 'count' is '-3', expected a whole number"),
        ('type,name,count\na,b,2.5\n', r"x.csv:2: field 'count' is '2.5'"),
        ('type,name,count\na,b,inf\n', r"x.csv:2: field 'count' is 'inf'"),
        ('type,name,count\n\na,b,many\n', r"x.csv:3: field 'count' is 'many'"),
        ('type,name,count,person\na,b,3,x\n', r"x.csv:2: field 'person' is 'x'"),
        ('type,name,count,L1,L2\na,b,1,3,4b\n', r"x.csv:2: field 'L2' is '4b'"),
        ('type,name,count,L1,L2\na,b,1,3,\n', r'x.csv:2: has 1 frames, expected pairs'),
        ('type,name,count,L1,L2\na,b,1,3,4,5\n', r'x.csv:2: has 6 cells, the header has 5'),
        ('\n', r'x.csv: is empty'),
    ],
)
def test_bad_repcount_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_repcount(repcount(tmp_path, text, 'x.csv'))


def test_missing_repcount_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'x\.csv: no such file.*annotation'):
        read_repcount(tmp_path / 'x.csv')


def test_action_list(tmp_path):
    path = repcount(tmp_path, ',action,label\n0,pull_up,1\n1,squat,0\n2,push_up,2.0\n')
    assert read_action_list(path) == ('squat', 'pull_up', 'push_up')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (',action\n0,a\n', r"x.csv:1: has no column \['label'\]"),
        ('action,label\na,0\nb,0\n', r"x.csv:3: action 'b' has label 0, which 'a' has already"),
        ('action,label\na,0\nb,2\n', r'x.csv: has labels \[0, 2\], expected 0, 1, 2'),
        ('action,label\na,first\n', r"x.csv:2: field 'label' is 'first'"),
        ('action,label\n,0\n', r"x.csv:2: action '' has label 0"),
        ('action,label\n', r'x.csv: has labels \[\]'),
    ],
)
def test_bad_action_lists(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_action_list(repcount(tmp_path, text, 'x.csv'))


@pytest.mark.parametrize(
    ('names', 'action'),
    [
        (('front_raise', 'frontraise', 'Front Raises', 'front-raise'), 'front_raise'),
        (('pull_up', 'pullups', 'Pull-Ups', 'pull ups'), 'pull_up'),
        (('squat', 'squats', 'squant', 'Squat'), 'squat'),
        (('bench_pressing', 'benchpressing', 'bench_press'), 'bench_pressing'),
        (('jump_jack', 'jumpjacks', 'jumping_jacks', 'jumping jack'), 'jump_jack'),
        (('situp', 'situps', 'sit_up', 'Sit Ups'), 'situp'),
        (('push_up', 'pushups', 'PUSHUPS'), 'push_up'),
        (('pommelhorse', 'pommel_horse'), 'pommelhorse'),
        (('others', '', 'up', 'squats2'), None),
    ],
)
def test_spellings_of_actions(names, action):
    assert {canonical_action(name, REPCOUNT_CLASSES) for name in names} == {action}


def test_the_classes_decide():
    assert canonical_action('jump_jack', ['squats', 'jumping_jacks']) == 'jumping_jacks'
    assert canonical_action('action_1', ['action_1', 'action_2']) == 'action_1'
    assert canonical_action('action_3', ['action_1', 'action_2']) is None
    assert canonical_action('press', ['pres', 'cross']) is None  # not every s is a plural
    with pytest.raises(ValueError, match="classes 'squat' and 'squats' are the same action"):
        canonical_action('lunge', ['squat', 'squats'])


def test_distinct_actions():
    names = ['squats', 'pull_up', 'squant', 'pullups', 'squat', 'a', '']
    assert distinct_actions(names) == ['a', 'pull_up', 'squant']
    assert distinct_actions(reversed(names)) == distinct_actions(names)


def test_pose_file():
    for name, path in {
        'stu9_2.mp4': 'poses/stu9_2.npy',
        'a.b.AVI': 'poses/a.b.npy',
        'a.b': 'poses/a.b.npy',
        'sub/c.mov': 'poses/sub/c.npy',
        'd': 'poses/d.npy',
    }.items():
        assert pose_file('poses', name).as_posix() == path


@pytest.mark.parametrize(
    'name',
    ['/etc/a.mp4', '../a.mp4', 'a/../../b.mp4', 'C:\\a.mp4', 'C:a.mp4', 'a\\..\\..\\b.mp4', '', '.']
    + ['\\\\host\\share\\a.mp4', '..'],
)
def test_no_name_leads_out_of_the_folder(name):
    with pytest.raises(ValueError, match='is no path inside of poses'):
        pose_file('poses', name)
