"""Penn Action's layout on disk, read as samples."""

import logging
import shutil

import cv2
import numpy as np
import pytest
from mmaction.registry import DATASETS
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from scipy.io import loadmat, savemat

from projects.keypoints import LAYOUTS
from projects.penn_labels import CLASS_NAMES, known_joints
from projects.star.penn_action import PennActionDataset, read_clip
from projects.synthetic.penn_action import write_penn_action

PENN = LAYOUTS['penn']


def fields(frames=6, seed=0, **changes):
    """As published: pixels from 1, a hidden joint at the scaled corner."""
    rng = np.random.default_rng(seed)
    seen = np.ones((frames, 13), np.uint8)
    x, y = rng.uniform(5, 100, (2, frames, 13)).round(2)
    return {
        'action': 'squat',
        'pose': 'front',
        'x': x,
        'y': y,
        'visibility': seen,
        'train': np.array([[1]], np.int32),
        'bbox': np.ones((frames, 4)),
        'dimensions': np.array([[90, 120, frames]], np.uint16),
        'nframes': np.array([[frames]], np.uint8),
        **changes,
    }


def write(root, number, **changes):
    path = root / 'labels' / f'{number:04d}.mat'
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, fields(seed=number, **changes))
    return path


def without_fields(root, number, *names):
    path = root / 'labels' / f'{number:04d}.mat'
    savemat(path, {name: value for name, value in fields().items() if name not in names})


def joints_alone(root, **options):
    return PennActionDataset(str(root), **{'frames': None, 'split': 'trainval', **options})


def names_of(dataset):
    return [dataset.get_data_info(index)['name'] for index in range(len(dataset))]


@pytest.fixture
def warnings():
    """What is logged as a warning."""
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture(scope='module')
def drawn_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('penn') / 'penn'
    write_penn_action(
        root,
        classes=('squat', 'jumping_jacks'),
        videos_per_class=dict(train=3, test=1),
        num_frames=(8, 10),
        image_size=(96, 72),
    )
    return root


def test_a_sample_of_generated_data(drawn_root):
    init_default_scope('mmaction')
    dataset = DATASETS.build(
        dict(type='PennActionDataset', data_root=str(drawn_root), split='trainval')
    )
    assert len(dataset) == 6
    assert dataset.metainfo['classes'] == CLASS_NAMES
    assert dataset.metainfo['keypoint_layout'] == 'penn'
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        labels = loadmat(drawn_root / 'labels' / f'{info["name"]}.mat')
        frames = int(labels['nframes'].item())
        assert CLASS_NAMES[info['label']] == labels['action'].item()
        assert info['total_frames'] == frames
        assert info['img_shape'] == info['original_shape'] == (72, 96)
        assert info['modality'] == 'RGB'
        assert (info['keypoint'].shape, info['keypoint'].dtype) == ((1, frames, 13, 2), np.float32)
        assert info['keypoint_score'].shape == (1, frames, 13)
        known = known_joints(labels['x'], labels['y'], labels['visibility'] > 0)
        for joint, name in enumerate(PENN.joint_names):
            other = dict(left='right', right='left').get(name.split('_')[0])
            column = PENN.joint_names.index(name.replace(name.split('_')[0], other or 'head'))
            here = known[:, column]
            np.testing.assert_array_equal(info['keypoint_score'][0, :, joint], here)
            for axis, field in enumerate('xy'):
                np.testing.assert_allclose(
                    info['keypoint'][0, here, joint, axis],
                    labels[field][here, column] - 1,
                    atol=1e-4,
                )


def test_pictures_and_joints_are_of_the_same_frames(drawn_root):
    """Through mmaction2's own decoding step: file number = index + offset."""
    pipeline = [dict(type='RawFrameDecode')]
    dataset = PennActionDataset(str(drawn_root), pipeline, split='test')
    info = dataset.get_data_info(0)
    last = info['total_frames'] - 1
    info['frame_inds'] = np.array([0, last])
    images = dataset.pipeline(info)['imgs']
    for image, number in zip(images, (1, last + 1), strict=True):
        path = drawn_root / 'frames' / info['name'] / f'{number:06d}.jpg'
        np.testing.assert_array_equal(image, cv2.imread(str(path))[..., ::-1])


def test_splits(tmp_path):
    for number in range(1, 23):
        write(tmp_path, number, action='squat' if number % 2 else 'bowl')
    write(tmp_path, 30, train=np.array([[-1]]))
    splits = {
        split: names_of(joints_alone(tmp_path, split=split, val_every=4))
        for split in ('train', 'val', 'trainval', 'test')
    }
    # every fourth clip of each class: the 4th and 8th odd number, the 4th and 8th even one
    assert splits['val'] == ['0007', '0008', '0015', '0016']
    assert splits['test'] == ['0030']
    assert sorted(splits['train'] + splits['val']) == splits['trainval']
    assert len(splits['trainval']) == 22
    with pytest.raises(ValueError, match="split 'val' .* no clip; a class needs 20 training clips"):
        joints_alone(tmp_path, split='val', val_every=20)


@pytest.mark.parametrize(
    ('options', 'hidden', 'corner'),
    [({}, 1.0, 0.0), ({'hidden_score': 0.3}, 0.3, 0.0), ({'hidden': 'missing'}, 0.0, 0.0)],
)
def test_joints_marked_invisible(tmp_path, options, hidden, corner):
    found = fields()
    found['visibility'][:, [1, 3]] = 0  # columns left_shoulder, with a place, and left_elbow
    found['x'][:, 3] = found['y'][:, 3] = 2 / 3
    write(tmp_path, 1, **{name: found[name] for name in ('x', 'y', 'visibility')})
    info = joints_alone(tmp_path, **options).get_data_info(0)
    joints, scores = info['keypoint'][0], info['keypoint_score'][0]
    placed, cornered = (PENN.joint_names.index(f'right_{name}') for name in ('shoulder', 'elbow'))
    np.testing.assert_allclose(scores[:, placed], hidden)
    np.testing.assert_array_equal(scores[:, cornered], corner)
    np.testing.assert_array_equal(joints[:, cornered], 0)
    expected = (found['x'][:, 1] - 1) * (hidden > 0)
    np.testing.assert_allclose(joints[:, placed, 0], expected, rtol=1e-6)
    assert (np.delete(scores, [placed, cornered], axis=1) == 1).all()


def test_published_oddities(tmp_path, warnings):
    """Whole numbers as uint8 and uint16, a box too few, nobody visible."""
    whole = np.arange(6 * 13).reshape(6, 13) + 3
    path = write(tmp_path, 1, x=whole.astype(np.uint8), y=whole.astype(np.uint16))
    write(tmp_path, 2, bbox=np.ones((5, 4)))
    write(tmp_path, 3, visibility=np.zeros((6, 13), np.uint8))
    (tmp_path / 'labels' / '._0001.mat').write_bytes(b'of a Mac')
    train, sample = read_clip(path)
    assert train
    np.testing.assert_array_equal(sample['keypoint'][0, :, 0, 0], whole[:, 0] - 1)
    assert names_of(joints_alone(tmp_path)) == ['0001', '0002', '0003']
    assert warnings == []
    assert names_of(joints_alone(tmp_path, hidden='missing')) == ['0001', '0002', '0003']
    (line,) = warnings
    assert line.endswith('1 of 3 clips without a joint in any frame, kept: 0003')


def test_labels_may_lie_in_the_root(tmp_path):
    write(tmp_path, 1)
    assert len(joints_alone(tmp_path / 'labels', labels='')) == 1
    with pytest.raises(FileNotFoundError, match="no label files.*labels=''"):
        joints_alone(tmp_path / 'labels')


def test_damaged_files_are_named_in_one_line(tmp_path, warnings):
    write(tmp_path, 1)
    (tmp_path / 'labels' / '0002.mat').write_bytes(b'not a MATLAB file' * 20)
    write(tmp_path, 3, x=np.ones((6, 12)))
    assert names_of(joints_alone(tmp_path)) == ['0001']
    (line,) = warnings
    assert '2 of 3 clips left out' in line
    assert '0002.mat: no MATLAB file' in line
    assert "0003.mat: field 'x'" in line


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'action': 'squats'}, r"field 'action' is \['squats'\], expected one of .*squat"),
        ({'train': np.array([[0]])}, r"field 'train' is \[\[0\]\], expected 1 or -1"),
        ({'dimensions': np.array([[0, 5, 6]])}, r"field 'dimensions' is \[0, 5, 6\]"),
        ({'y': np.ones((5, 13))}, r"field 'y' is float64 of shape \(5, 13\)"),
    ],
)
def test_bad_fields_are_named(tmp_path, change, message):
    path = write(tmp_path, 7, **change)
    with pytest.raises(ValueError, match=rf'0007\.mat: {message}'):
        read_clip(path)
    with pytest.raises(ValueError, match=rf'no clip; 1 clips are left out, .*{message}'):
        joints_alone(tmp_path)


@pytest.mark.parametrize('name', ['action', 'train', 'dimensions'])
def test_missing_fields_are_named(tmp_path, name):
    path = write(tmp_path, 7)
    without_fields(tmp_path, 7, name)
    with pytest.raises(ValueError, match=rf"0007\.mat: field '{name}'"):
        read_clip(path)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'split': 'valid'}, "split is 'valid', expected one of"),
        ({'hidden': 'gone'}, "hidden is 'gone', expected one of"),
        ({'val_every': 1}, 'val_every is 1, expected a whole number of 2 or more'),
        ({'hidden_score': 0}, "hidden_score is 0, .*hidden='missing'"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        joints_alone(tmp_path, **options)


# --- pictures ---------------------------------------------------------------------------------


def test_no_folder_of_pictures(tmp_path):
    write(tmp_path, 1)
    with pytest.raises(FileNotFoundError, match=r'frames: no such folder.*frames=None'):
        joints_alone(tmp_path, frames='frames')
    (tmp_path / 'frames').mkdir()
    with pytest.raises(ValueError, match=r'no clip; .*frames/0001: no such folder of pictures'):
        joints_alone(tmp_path, frames='frames')


def test_pictures_and_rows_of_different_number(drawn_root, tmp_path, warnings):
    root = tmp_path / 'penn'
    shutil.copytree(drawn_root, root)
    before = PennActionDataset(str(root), split='trainval')
    full = {info['name']: info for info in map(before.get_data_info, range(len(before)))}
    names = sorted(full)
    gap, longer, size, empty, lost = names[:5]
    (root / 'frames' / gap / '000005.jpg').unlink()
    last = root / 'frames' / longer / f'{full[longer]["total_frames"]:06d}.jpg'
    shutil.copy(last, last.with_name(f'{full[longer]["total_frames"] + 1:06d}.jpg'))
    first = root / 'frames' / size / '000001.jpg'
    cv2.imwrite(str(first), np.zeros((36, 48, 3), np.uint8))
    (root / 'frames' / empty / '000001.jpg').write_bytes(b'')
    shutil.rmtree(root / 'frames' / lost)

    dataset = PennActionDataset(str(root), split='trainval')
    found = {info['name']: info for info in map(dataset.get_data_info, range(len(dataset)))}
    assert sorted(found) == sorted({*names} - {size, empty, lost})
    assert found[gap]['total_frames'] == 4
    assert found[gap]['keypoint'].shape == (1, 4, 13, 2)
    np.testing.assert_array_equal(found[gap]['keypoint'], full[gap]['keypoint'][:, :4])
    assert found[gap]['keypoint_score'].shape == (1, 4, 13)
    assert found[longer]['total_frames'] == full[longer]['total_frames']
    left_out, odd = warnings
    assert '3 of 6 clips left out' in left_out
    assert f'{size}/000001.jpg: has height and width (36, 48), but' in left_out
    assert f'{empty}/000001.jpg: no picture that can be read' in left_out
    assert f'{lost}: no such folder of pictures' in left_out
    assert '2 of 6 clips with another number of pictures' in odd
    assert f'{gap} (4 for {full[gap]["total_frames"]} rows)' in odd
    # joints alone do not care
    assert len(PennActionDataset(str(root), split='trainval', frames=None)) == 6


def test_missing_pictures_move_no_clip_to_another_split(drawn_root, tmp_path):
    root = tmp_path / 'penn'
    shutil.copytree(drawn_root, root)
    options = dict(split='val', val_every=2)
    whole = names_of(PennActionDataset(str(root), **options))
    assert len(whole) == 2
    first = names_of(PennActionDataset(str(root), split='train', val_every=2))[0]
    shutil.rmtree(root / 'frames' / first)
    assert names_of(PennActionDataset(str(root), **options)) == whole
