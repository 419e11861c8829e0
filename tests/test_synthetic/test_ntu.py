"""The generated NTU RGB+D: layout, skeletons against the videos, splits, reproducibility."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from projects.synthetic.figure import NTU_LANDMARKS
from projects.synthetic.ntu import (
    CLASSES,
    CLASSES_60,
    MISSING_60,
    MISSING_120,
    TRAIN_SUBJECTS_60,
    TRAIN_SUBJECTS_120,
    count_samples,
    ntu_performance,
    numbering,
    sensor_positions,
    split_names,
    write_ntu,
)
from tools.datasets import make_synthetic

QUICK = {
    'classes': (23, 51, 80),
    'performances': 2,
    'num_frames': 5,
    'image_size': (128, 72),
    'missing': 0.2,
    'two_people': 0.3,
}
JOINT = {name: index for index, name in enumerate(NTU_LANDMARKS)}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ntu') / 'ntu'
    write_ntu(folder, **QUICK)
    return folder


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


def read(text):
    """Frames of bodies (number, flags, (25, 12) array), read number by number."""
    numbers = iter(text.split())

    def take(count):
        return [float(next(numbers)) for _ in range(count)]

    frames = []
    for _ in range(int(next(numbers))):
        bodies = []
        for _ in range(int(next(numbers))):
            body, flags = next(numbers), take(9)
            joints = int(next(numbers))
            bodies.append((body, flags, np.array(take(12 * joints)).reshape(joints, 12)))
        frames.append(bodies)
    assert next(numbers, None) is None
    return frames


def exact(action, number=0, camera=1, **options):
    """A sample without errors of the joints."""
    options = {'difficulty': 0.0, 'missing': 0.0, 'two_people': 0.0, 'num_frames': 6, **options}
    return ntu_performance(action, number, **options).seen_by(camera)


# --- layout -----------------------------------------------------------------------------------


def test_each_sample_has_a_skeleton_and_a_video(root):
    skeletons = sorted(path.stem for path in (root / 'nturgb+d_skeletons').iterdir())
    videos = sorted(path.name for path in (root / 'nturgb+d_rgb').iterdir())
    assert videos == [f'{name}_rgb.avi' for name in skeletons]
    assert len(skeletons) == 3 * 2 * 3
    for name in videos:
        capture = cv2.VideoCapture(str(root / 'nturgb+d_rgb' / name))
        codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little')
        assert codec == b'MJPG'
        frames = 0
        while True:
            there, image = capture.read()
            if not there:
                break
            assert image.shape == (72, 128, 3)
            frames += 1
        assert frames == 5


def test_lines_of_a_skeleton_file():
    lines = exact(51).draw()[1].splitlines()
    assert lines[0] == '6'
    assert lines[1] == '2'
    widths = [len(line.split()) for line in lines]
    body = [10, 1, *[12] * 25]
    assert widths == [1, *([1, *body, *body] * 6)]
    assert {lines[3], lines[30]} == {'25'}
    assert lines[2].split()[0] != lines[29].split()[0]


def test_numbers_of_the_bodies():
    bodies = [body for frame in read(exact(50).draw()[1]) for body in frame]
    assert len({number for number, _, _ in bodies}) == 2
    for number, flags, joints in bodies:
        assert int(number) > 2**56
        assert flags[-1] == 2
        assert np.abs(flags[6:8]).max() < 1  # lean
        assert set(joints[:, 11]) <= {1, 2}
        norm = np.linalg.norm(joints[:, 7:11], axis=1)
        leaves = [JOINT[name] for name in NTU_LANDMARKS if name.endswith(('tip', 'foot', 'thumb'))]
        leaves.append(JOINT['head'])
        assert sorted(np.flatnonzero(norm == 0)) == sorted(leaves)
        np.testing.assert_allclose(norm[norm > 0], 1, atol=1e-5)


def test_lists_name_samples_without_bodies(root):
    empty = {
        path.stem
        for path in (root / 'nturgb+d_skeletons').iterdir()
        if not any(read(path.read_text()))
    }
    assert 0 < len(empty) < 18
    listed = (root / MISSING_120).read_text().splitlines()
    assert listed[3:] == sorted(empty)
    old = (root / MISSING_60).read_text().splitlines()
    assert old[3:] == sorted(name for name in empty if int(name[-3:]) <= 60)


def test_some_frames_have_no_bodies():
    samples = [exact(27, number, difficulty=1.0) for number in range(12)]
    counts = [[len(frame) for frame in read(sample.draw()[1])] for sample in samples]
    assert any(0 in count for count in counts)
    assert all(any(count) for count in counts)
    for sample, count in zip(samples, counts, strict=True):
        assert [number > 0 for number in count] == sample.found.tolist()


# --- geometry ---------------------------------------------------------------------------------


@pytest.mark.parametrize('camera', [1, 2, 3])
def test_positions_are_metres_before_the_sensor(camera):
    for frame in read(exact(23, 3, camera).draw()[1]):
        ((_, _, joints),) = frame
        x, y, z = joints[:, :3].T
        assert (np.abs(x) < 1.2).all()
        assert ((z > 2) & (z < 5)).all()
        assert y[JOINT['head']] - y[JOINT['left_ankle']] == pytest.approx(1.5, abs=0.35)
        thigh = joints[JOINT['left_hip'], :3] - joints[JOINT['left_knee'], :3]
        assert np.linalg.norm(thigh) == pytest.approx(0.45, abs=0.08)


def test_pixels_are_projections_of_the_positions():
    sample = exact(23, 1, 2, image_size=(320, 180))
    for frame in read(sample.draw()[1]):
        ((_, _, joints),) = frame
        x, y, z = joints[:, :3].T
        focal = 1081 / 1920 * 320
        np.testing.assert_allclose(joints[:, 5], focal * x / z + 159.5, atol=1e-3)
        np.testing.assert_allclose(joints[:, 6], 89.5 - focal * y / z, atol=1e-3)
        np.testing.assert_allclose(joints[:, 3], 365 * x / z + 255.5, atol=1e-3)
        np.testing.assert_allclose(joints[:, 4], 211.5 - 365 * y / z, atol=1e-3)


def test_the_video_shows_the_joints_where_the_file_says():
    # the same room without the person: what differs is the figure
    sample = exact(95, 0, 2, image_size=(320, 180))
    images, text = sample.draw()
    shown = total = 0
    for index, ((_, _, joints),) in enumerate(read(text)):
        room = sample.scene.light.apply(sample.scene.background, index)[:, ::-1]
        differs = np.abs(images[index].astype(int) - room).sum(axis=-1) > 12
        for column, row in joints[joints[:, 11] == 2, 5:7]:
            shown += differs[round(row), round(column)]
            total += 1
    assert total > 100
    assert shown / total > 0.95


def test_pictures_are_mirrored_as_kinects():
    # replication 1 looks at camera 2, replication 2 at camera 3
    for number, camera in ((0, 2), (1, 3)):
        for ((_, _, joints),) in read(exact(23, number, camera).draw()[1]):
            left, right = joints[JOINT['left_shoulder']], joints[JOINT['right_shoulder']]
            assert right[0] > left[0] + 0.2
            assert right[5] > left[5]
            knees = joints[[JOINT['left_knee'], JOINT['right_knee']], 2].mean()
            toes = joints[[JOINT['left_foot'], JOINT['right_foot']], 2].mean()
            assert toes < knees  # towards the camera


def test_axes_of_the_sensor_are_right_handed():
    scene = exact(10, 0, 2).scene
    before = scene.motions[0].landmarks(list(NTU_LANDMARKS.values()))[0] / 1000
    after = sensor_positions(scene)[0, 0]
    # a motion without reflection keeps the sign of the volume that four points span
    names = ['left_shoulder', 'right_hip', 'head', 'left_foot']
    volumes = []
    for points in (before, after):
        corners = points[[JOINT[name] for name in names]]
        volumes.append(np.linalg.det(corners[1:] - corners[0]))
    assert abs(volumes[0]) > 1e-3
    assert volumes[1] == pytest.approx(volumes[0])


def test_cameras_see_one_performance_from_45_degrees_apart():
    bodies = {camera: sensor_positions(exact(24, 5, camera).scene)[0] for camera in (1, 2, 3)}
    sizes = [np.linalg.norm(np.diff(body, axis=1), axis=-1) for body in bodies.values()]
    np.testing.assert_allclose(sizes[1], sizes[0])
    np.testing.assert_allclose(sizes[2], sizes[0])
    angles = {}
    for camera, body in bodies.items():
        hips = (body[:, JOINT['left_hip']] - body[:, JOINT['right_hip']]).mean(axis=0)
        angles[camera] = np.degrees(np.arctan2(hips[2], -hips[0]))
    assert abs(angles[2] - angles[1]) == pytest.approx(45, abs=4)
    assert angles[3] - angles[1] == pytest.approx(angles[1] - angles[2], abs=4)


def test_two_people_face_each_other_in_mutual_classes():
    motions = ntu_performance(51, 0, difficulty=0.0).scene.motions
    assert len(motions) == 2
    points = [motion.landmarks(['Hips', 'nose', 'head_center']).mean(axis=0) for motion in motions]
    gap = points[1][0] - points[0][0]
    assert 600 < np.linalg.norm(gap) < 1100
    for (_, nose, head), way in zip(points, (gap, -gap), strict=True):
        gaze = nose - head
        assert gaze @ way > 0.8 * np.linalg.norm(gaze) * np.linalg.norm(way)


@pytest.mark.parametrize(('share', 'people'), [(0.0, 1), (1.0, 2)])
def test_others_watch_by_option(share, people):
    for number in range(3):
        assert len(ntu_performance(23, number, two_people=share).scene.motions) == people


# --- numbers ----------------------------------------------------------------------------------


def test_published_training_subjects():
    assert len(set(TRAIN_SUBJECTS_60)) == 20
    assert len(set(TRAIN_SUBJECTS_120)) == 53
    assert max(TRAIN_SUBJECTS_60) <= 40
    assert {subject for subject in TRAIN_SUBJECTS_120 if subject <= 40} == set(TRAIN_SUBJECTS_60)


@pytest.mark.parametrize(
    ('action', 'most', 'setups', 'subjects'),
    [(2, 1360, range(1, 18), 40), (99, 3180, range(18, 33), 106)],
)
def test_no_performance_is_numbered_twice(action, most, setups, subjects):
    found = [numbering(action, number) for number in range(most)]
    assert len(set(found)) == most
    assert {setup for setup, _, _ in found} == set(setups)
    assert {subject for _, subject, _ in found} == set(range(1, subjects + 1))
    assert {replication for _, _, replication in found} == {1, 2}
    with pytest.raises(ValueError, match=f'expected from 0 to {most - 1}'):
        numbering(action, most)


def test_eight_performances_have_both_halves_of_every_split(tmp_path):
    root = tmp_path / 'ntu'
    write_ntu(
        root, classes=(23, 99), performances=8, num_frames=1, image_size=(32, 32), missing=0.0
    )
    classes, splits, missing = count_samples(root)
    assert classes == {23: 24, 99: 24}
    assert splits == {'XSub': (24, 24), 'XView': (32, 16), 'XSet': (24, 24)}
    assert missing == 0


def test_names_are_split():
    assert split_names('S001C002P003R002A013_rgb.avi') == (1, 2, 3, 2, 13)
    with pytest.raises(ValueError, match="'photo' is no name"):
        split_names('photo')


def test_classes_of_60_are_those_of_60():
    assert CLASSES_60 == tuple(number for number in CLASSES if number <= 60)
    assert all(CLASSES[number].mutual for number in (50, 51, 54))


def test_subjects_keep_their_looks_and_rooms_theirs():
    first, second = (ntu_performance(action, 0) for action in (23, 24))
    other = ntu_performance(23, 2)
    assert first.subject == second.subject != other.subject
    looks = [performance.scene.appearances[0] for performance in (first, second, other)]
    assert looks[0] == looks[1] != looks[2]
    rooms = [performance.seen_by(2).scene.background for performance in (first, second)]
    np.testing.assert_array_equal(*rooms)
    assert (first.seen_by(1).scene.background != rooms[0]).any()


def test_counting_needs_skeletons(tmp_path):
    with pytest.raises(FileNotFoundError, match='no nturgb'):
        count_samples(tmp_path)


# --- reproducibility --------------------------------------------------------------------------


def test_the_seed_decides(root, tmp_path):
    for name, seed in (('again', 0), ('other', 1)):
        write_ntu(tmp_path / name, **QUICK, seed=seed)
    whole, other = files(root), files(tmp_path / 'other')
    assert files(tmp_path / 'again') == whole
    assert set(other) == set(whole)
    same = {name for name in whole if other[name] == whole[name]}
    assert not [name for name in same if name.endswith('.avi')]


def test_a_subset_is_the_same_as_all_of_it(root, tmp_path):
    part = {**QUICK, 'classes': (51,), 'performances': 1, 'cameras': (3,)}
    paths = write_ntu(tmp_path / 'part', **part)
    whole, some = files(root), files(tmp_path / 'part')
    assert [path.name for path in paths] == ['S001C003P001R001A051.skeleton']
    samples = {name: data for name, data in some.items() if 'ntu' in name}
    assert len(samples) == 2
    assert all(whole[name] == data for name, data in samples.items())


def test_failed_writing_leaves_nothing(tmp_path, monkeypatch):
    closed = SimpleNamespace(isOpened=lambda: False)
    monkeypatch.setattr('cv2.VideoWriter', lambda *arguments: closed)
    with pytest.raises(OSError, match='cannot write Motion JPEG'):
        write_ntu(tmp_path / 'ntu', **QUICK)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_content_is_refused(tmp_path):
    (tmp_path / 'mine').write_text('mine')
    with pytest.raises(FileExistsError, match='is not empty'):
        write_ntu(tmp_path, **QUICK)
    assert list(files(tmp_path)) == ['mine']


# --- bad requests and the command -------------------------------------------------------------


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'classes': (1,)}, 'classes: 1 is not one of'),
        ({'classes': ()}, 'classes is empty'),
        ({'cameras': (4,)}, 'cameras: 4 is not one of'),
        ({'performances': 0}, 'performances is 0'),
        ({'performances': 1361}, 'number is 1360, expected from 0 to 1359'),
        ({'num_frames': 0}, 'num_frames is 0'),
        ({'image_size': (16, 16)}, r'image_size is \(16, 16\)'),
        ({'image_size': (64, 33)}, r'image_size is \(64, 33\)'),
        ({'fps': 0}, 'fps is 0'),
        ({'two_people': 1.5}, r'two_people is 1\.5'),
        ({'missing': -1}, 'missing is -1'),
        ({'difficulty': 1.1}, r'difficulty is 1\.1'),
        ({'seed': -1}, 'seed is -1'),
    ],
)
def test_bad_requests_write_nothing(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_ntu(tmp_path / 'ntu', **{**QUICK, **change})
    assert not list(tmp_path.iterdir())


def test_command_writes_and_says_what(tmp_path, capsys):
    out = tmp_path / 'ntu'
    make_synthetic.main(
        f'ntu --out {out} --classes 27 50 --performances 1 --cameras 2 3 --num-frames 2 '
        '--image-size 64 36'.split()
    )
    said = capsys.readouterr().out
    assert '4 samples, 0 without a skeleton' in said
    assert 'jump up' in said
    assert 'XView: 4 train, 0 test' in said
    # the command's defaults are the function's
    same = dict(classes=(27, 50), performances=1, cameras=(2, 3), num_frames=2)
    write_ntu(tmp_path / 'same', **same, image_size=(64, 36))
    assert files(tmp_path / 'same') == files(out)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('--classes 1', 'invalid choice: 1'),
        ('--performances 0', '--performances is 0'),
        ('--performances 2000', '--performances is 2000: number is 1999'),
        ('--cameras 4', 'invalid choice: 4'),
        ('--num-frames 0', '--num-frames is 0'),
        ('--image-size 9 80', '--image-size is [9, 80]'),
        ('--fps 0', '--fps is 0.0'),
        ('--missing 2', '--missing is 2.0'),
        ('--two-people -1', '--two-people is -1.0'),
        ('--seed -1', '--seed is -1'),
    ],
)
def test_command_refuses_bad_options(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        make_synthetic.main(f'ntu --out {tmp_path / "x"} {options}'.split())
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
