import json

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from projects.apct.dataset import KineticsTPSDataset
from tools.datasets import lsp_to_kinetics_tps as lsp

# A person who stands upright with arms down, facing the camera: x, y of the 14 joints in LSP's
# order (right ankle ... head top); the torso from neck to hips is 40 pixels long.
STANDING = np.array(
    [
        *((90, 150), (90, 116), (90, 80), (110, 80), (110, 116), (110, 150)),
        *((78, 82), (80, 62), (86, 42), (114, 42), (120, 62), (122, 82)),
        *((100, 40), (100, 18)),
    ],
    float,
)


def with_marks(points, hidden=()):
    joints = np.column_stack([points, np.ones(14)])
    joints[list(hidden), 2] = 0
    joints[list(hidden), :2] = [-50, 0]  # what stands there is of no use
    return joints


def turned(points, degrees):
    """Turned about the hips."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - [100, 80]) @ turn.T + [100, 80]


def states(points, hidden=()):
    figure = lsp.Figure(with_marks(points, hidden))
    return {name: figure.state(name) for name in figure.part_boxes()}


def test_standing_person():
    found = states(STANDING)
    assert list(found) == list(lsp.PARTS)
    for side in ('left', 'right'):
        assert found[f'{side}_arm'] == 'unbend'
        assert found[f'{side}_hand'] == 'lower'
        assert found[f'{side}_leg'] == 'unbend'
        assert found[f'{side}_foot'] == 'step_on'
    assert (found['head'], found['hip']) == ('straight', 'unbend')


def test_moved_limbs():
    points = STANDING.copy()
    points[[lsp.ELBOW['left'], lsp.WRIST['left']]] = [128, 24], [132, 5]
    points[lsp.WRIST['right']] = 62, 64  # the forearm level
    points[[lsp.KNEE['left'], lsp.ANKLE['left']]] = [142, 82], [142, 112]
    points[lsp.HEAD_TOP] = 116, 24
    found = states(points)
    assert (found['left_arm'], found['left_hand']) == ('raise', 'raise')
    assert (found['right_arm'], found['right_hand']) == ('bend', 'level')
    assert (found['left_leg'], found['left_foot']) == ('lift', 'lift')
    assert (found['right_leg'], found['right_foot']) == ('unbend', 'step_on')
    assert (found['head'], found['hip']) == ('tilt', 'fold')
    points[lsp.ELBOW['right']] = points[lsp.SHOULDER['right']] + 1  # points at the camera
    assert states(points)['right_arm'] == 'others'


def test_states_of_the_body_turn_with_it():
    upright, upside_down = states(STANDING), states(turned(STANDING, 180))
    for name in ('head', 'hip', 'left_arm', 'right_arm', 'left_leg', 'right_leg'):
        assert upside_down[name] == upright[name]
    assert upside_down['left_hand'] == 'raise'  # of the picture
    assert upside_down['left_foot'] == 'lift'


@pytest.mark.parametrize(
    ('degrees', 'name'),
    [
        *((0, 'upright'), (20, 'upright'), (-40, 'leaning'), (40, 'leaning'), (90, 'lying')),
        *((-90, 'lying'), (150, 'upside_down'), (180, 'upside_down')),
    ],
)
def test_class_is_the_torsos_direction(degrees, name):
    assert lsp.Figure(with_marks(turned(STANDING, degrees))).video_class() == name


def test_unmarked_joints():
    found = states(STANDING, hidden=[lsp.WRIST['left'], lsp.HIP['right'], lsp.HEAD_TOP])
    missing = {'left_arm', 'left_hand', 'right_leg', 'hip', 'head'}
    assert set(found) == set(lsp.PARTS) - missing
    nobody = lsp.Figure(with_marks(STANDING, hidden=range(14)))
    assert nobody.video_class() is None
    assert nobody.part_boxes() == {}
    assert lsp.annotate(with_marks(STANDING, hidden=[2, 3]), 200, 200) is None  # no torso


def test_boxes():
    figure = lsp.Figure(with_marks(STANDING))
    boxes, person = figure.part_boxes(), figure.person_box()

    def holds(box, point):
        return (box[:2] < point).all() and (point < box[2:]).all()

    assert figure.unit == pytest.approx(40, rel=0.1)
    for side in ('left', 'right'):
        for part, joints in (('arm', (lsp.SHOULDER, lsp.ELBOW, lsp.WRIST)),
                             ('leg', (lsp.HIP, lsp.KNEE, lsp.ANKLE))):  # fmt: skip
            for joint in joints:
                assert holds(boxes[f'{side}_{part}'], STANDING[joint[side]])
        hand = boxes[f'{side}_hand']
        middle = (hand[:2] + hand[2:]) / 2
        assert middle[1] > STANDING[lsp.WRIST[side]][1] + 3  # beyond the wrist
        assert holds(boxes[f'{side}_foot'], STANDING[lsp.ANKLE[side]])
    assert holds(boxes['hip'], [100, 80])
    head = boxes['head']
    assert head[1] <= 18
    assert head[3] >= 40
    assert 0.5 < (head[2] - head[0]) / (head[3] - head[1]) < 1
    assert all(
        (box[:2] >= person[:2]).all() and (box[2:] <= person[2:]).all() for box in boxes.values()
    )
    twice = lsp.Figure(with_marks(2 * STANDING)).part_boxes()
    for name, box in boxes.items():  # margins grow with the person
        np.testing.assert_allclose(twice[name], 2 * box, err_msg=name)


def test_boxes_end_at_the_border():
    assert lsp.inside(np.array([-5.2, 3.4, 30, 99]), 20, 50) == [0, 3, 19, 49]
    assert lsp.inside(np.array([-5, 3, 1, 9]), 20, 50) is None


@pytest.fixture
def source(tmp_path):
    """Four photographs; of the last the torso is not marked."""
    folder = tmp_path / 'lspet'
    (folder / 'images').mkdir(parents=True)
    figures = [STANDING, turned(STANDING, 90), turned(STANDING, 180), STANDING]
    joints = [with_marks(points) for points in figures]
    joints[3][[2, 3], 2] = 0
    for number in range(1, 5):
        image = np.full((200, 220, 3), 50 * number, np.uint8)
        cv2.imwrite(str(folder / 'images' / f'im{number:05d}.jpg'), image)
    savemat(folder / 'joints.mat', dict(joints=np.stack(joints, axis=-1)))
    return folder


def test_conversion_is_read_back(source, tmp_path, capsys):
    out = tmp_path / 'out'
    lsp.main([str(source), '--out', str(out), '--test-every', '3'])
    printed = capsys.readouterr().out
    assert 'torso not marked 1' in printed
    assert '3 people with 30 parts' in printed
    counts = json.loads((out / 'statistics.json').read_text())
    assert counts['class'] == dict(upright=1, lying=1, upside_down=1)
    dataset = KineticsTPSDataset(
        str(out), 'train', test_mode=True, pipeline=[dict(type='LoadKineticsTPSFrame')]
    )
    assert dataset.metainfo['part_names'] == list(lsp.PARTS)
    assert dataset.metainfo['state_names'] == list(lsp.STATES)
    assert dataset.metainfo['video_classes'] == ['lying', 'upright', 'upside_down']
    samples = {sample['video']: sample for sample in (dataset[i] for i in range(len(dataset)))}
    assert list(samples) == ['im00002', 'im00001']
    sample = samples['im00001']
    assert sample['img'].shape == (200, 220, 3)
    assert abs(int(sample['img'].mean()) - 50) <= 1
    (human,) = sample['truth']['humans']
    for k, name in enumerate(lsp.PARTS):
        assert human['parts'][name]['box'] == sample['part_bboxes'][0, k].tolist()
        assert lsp.STATES[sample['part_states'][0, k]] == human['parts'][name]['verb']
    test = KineticsTPSDataset(str(out), 'test', test_mode=True)
    assert [test.get_data_info(i)['video'] for i in range(len(test))] == ['im00003']


def test_bad_input_is_refused(source, tmp_path, capsys):
    def refused(*options):
        with pytest.raises(SystemExit, match='2'):
            lsp.main([str(option) for option in options])
        return capsys.readouterr().err

    out = tmp_path / 'out'
    assert 'expected 2 or more' in refused(source, '--out', out, '--test-every', '1')
    assert 'not a new or empty folder' in refused(source, '--out', source)
    assert 'joints.mat: no such file' in refused(tmp_path, '--out', out)
    for image in (source / 'images').iterdir():
        image.unlink()
    assert 'im00001.jpg: no such file' in refused(source, '--out', out)
    savemat(source / 'joints.mat', dict(joints=np.zeros((14, 2, 5))))
    assert 'found joints of shape (14, 2, 5)' in refused(source, '--out', out)
    (source / 'joints.mat').write_bytes(b'no MATLAB file' * 20)
    assert 'no MATLAB file that can be read' in refused(source, '--out', out)
    assert not out.exists()


def test_missing_photograph_is_counted(source, tmp_path):
    (source / 'images' / 'im00001.jpg').write_bytes(b'no image')
    (source / 'images' / 'im00002.jpg').unlink()
    lsp.main([str(source), '--out', str(tmp_path / 'out')])
    counts = json.loads((tmp_path / 'out' / 'statistics.json').read_text())
    assert counts['left out'] == {'image missing or unreadable': 2, 'torso not marked': 1}


def test_interrupted_conversion_can_be_repeated(source, tmp_path, monkeypatch, capsys):
    out, copy = tmp_path / 'out', lsp.shutil.copyfile

    def interrupted(path, target):
        if path.stem == 'im00002':
            raise KeyboardInterrupt
        copy(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(lsp.shutil, 'copyfile', interrupted)
        with pytest.raises(KeyboardInterrupt):
            lsp.main([str(source), '--out', str(out)])
    assert list(tmp_path.iterdir()) == [source]
    lsp.main([str(source), '--out', str(out)])
    assert (out / 'statistics.json').is_file()
    with pytest.raises(SystemExit, match='2'):
        lsp.main([str(source), '--out', str(out)])
    assert 'name another one, or delete it first' in capsys.readouterr().err
