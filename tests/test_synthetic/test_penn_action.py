"""The generated Penn Action: layout, joints against the pictures, reproducibility."""

import cv2
import numpy as np
import pytest
from scipy.io import loadmat, whosmat

from projects.penn_labels import CLASS_NAMES
from projects.synthetic.body import LIMB_INDEX
from projects.synthetic.penn_action import (
    CLASSES,
    JOINTS,
    VIEWS,
    count_videos,
    matlab_file,
    penn_video,
    write_penn_action,
)
from tools.datasets import make_synthetic
from tools.datasets.penn_to_repcount import read_clip

QUICK = {
    'classes': ('squat', 'pullup', 'bowl'),
    'videos_per_class': {'train': 2, 'test': 1},
    'num_frames': (3, 6),
}
# As scipy loads most of the published files: type and shape, T the number of frames.
PUBLISHED = {
    'action': ('U', (1,)),
    'pose': ('U', (1,)),
    'x': ('f8', ('T', 13)),
    'y': ('f8', ('T', 13)),
    'visibility': ('u1', ('T', 13)),
    'train': ('i4', (1, 1)),
    'bbox': ('f8', ('T', 4)),
    'dimensions': ('u2', (1, 3)),
    'nframes': ('u1', (1, 1)),
}
# The limb on which a column's joint is drawn; the columns' sides are not the person's.
OTHER = {'left': 'right', 'right': 'left'}
LIMBS_OF = {'elbow': ('upper_arm', 'forearm'), 'knee': ('thigh', 'shin'), 'ankle': ('shin', 'foot')}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('penn') / 'penn_action'
    write_penn_action(folder, **QUICK)
    return folder


@pytest.fixture(scope='module')
def videos():
    return [
        penn_video('train', action, number, num_frames=(4, 4))
        for action in CLASSES
        for number in range(4)
    ]


@pytest.fixture(scope='module')
def drawn(videos):
    return [video.draw()[1] for video in videos]


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


# --- layout -----------------------------------------------------------------------------------


def test_fields_have_the_published_types_and_shapes(root):
    labels = sorted((root / 'labels').glob('*.mat'))
    assert len(labels) == 9
    for path in labels:
        fields = {name: value for name, value in loadmat(path).items() if name[0] != '_'}
        frames = len(list((root / 'frames' / path.stem).iterdir()))
        assert list(fields) == list(PUBLISHED)
        for name, (kind, shape) in PUBLISHED.items():
            found = fields[name]
            expected = tuple(frames if side == 'T' else side for side in shape)
            assert found.shape == expected, name
            assert found.dtype.kind == 'U' if kind == 'U' else found.dtype == kind, name
        assert ('visibility', (frames, 13), 'logical') in whosmat(path)
        assert fields['action'][0] in QUICK['classes']
        assert fields['pose'][0] in VIEWS
        assert fields['train'].item() in (1, -1)
        assert fields['dimensions'].tolist() == [[120, 160, frames]]
        assert fields['nframes'].item() == frames


def test_frames_are_numbered_from_one_and_fit(root):
    for folder in (root / 'frames').iterdir():
        names = sorted(path.name for path in folder.iterdir())
        assert names == [f'{index + 1:06d}.jpg' for index in range(len(names))]
        for name in names:
            assert cv2.imread(str(folder / name)).shape == (120, 160, 3)


def test_a_reader_of_the_published_files_reads_them(root):
    clips = [read_clip(path) for path in sorted((root / 'labels').glob('*.mat'))]
    clips = [clip for clip in clips if clip is not None]  # it takes no bowls
    assert sorted((clip.action, clip.train) for clip in clips) == [
        ('pull_up', False),
        ('pull_up', True),
        ('pull_up', True),
        ('squat', False),
        ('squat', True),
        ('squat', True),
    ]
    assert all(np.isfinite(clip.poses).any() for clip in clips)


def test_names_are_the_published_classes():
    assert len(CLASS_NAMES) == 15
    assert sorted(CLASS_NAMES) == list(CLASS_NAMES)
    assert set(CLASSES) <= set(CLASS_NAMES)


def test_long_videos_have_wider_counts():
    video = penn_video('train', 'squat', 0, num_frames=(256, 256), image_size=(32, 32))
    assert video.draw()[1]['nframes'].dtype == np.uint16


# --- joints -----------------------------------------------------------------------------------


def test_joints_and_boxes_lie_in_the_picture_counted_from_one(videos, drawn):
    for video, fields in zip(videos, drawn, strict=True):
        width, height = video.scene.camera.size
        x, y, box = fields['x'], fields['y'], fields['bbox']
        for values, limit in ((x, width), (y, height)):
            assert values.min() >= 1
            assert values.max() <= limit
        assert (box[:, :2] >= 1).all()
        assert (box[:, 2:] <= (width, height)).all()
        assert (box[:, 2:] > box[:, :2]).all()
        seen = fields['visibility']
        inside = (x >= box[:, :1]) & (x <= box[:, 2:3]) & (y >= box[:, 1:2]) & (y <= box[:, 3:])
        assert inside[seen].all()


def test_visible_joints_are_where_the_picture_shows_the_persons_other_side(videos, drawn):
    hidden = shown = 0
    for video, fields in zip(videos, drawn, strict=True):
        for frame in range(video.scene.num_frames):
            owners = video.scene.frame(frame).owners
            for column, name in enumerate(JOINTS):
                side, _, joint = name.partition('_')
                if joint not in LIMBS_OF:
                    continue
                x, y = fields['x'][frame, column], fields['y'][frame, column]
                owner = owners[round(y - 1), round(x - 1)] - 1
                own = [LIMB_INDEX[f'{OTHER[side]}_{limb}'] for limb in LIMBS_OF[joint]]
                if fields['visibility'][frame, column]:
                    assert owner in own, name
                    shown += 1
                else:
                    hidden += 1
    assert shown > 500
    assert hidden > 50


def test_sides_are_swapped_as_published(videos, drawn):
    left, right = JOINTS.index('left_shoulder'), JOINTS.index('right_shoulder')
    counted = dict.fromkeys(VIEWS, 0)
    for video, fields in zip(videos, drawn, strict=True):
        x, seen = fields['x'], fields['visibility']
        usable = seen[:, left] & seen[:, right] & (video.action in ('squat', 'pullup', 'bowl'))
        sign = np.sign(x[:, left] - x[:, right])[usable]
        if video.view in ('front', 'back'):
            assert (sign == (-1 if video.view == 'front' else 1)).all()
        if video.action in ('squat', 'pushup', 'situp', 'bowl'):
            near = seen[:, 1::2].mean() - seen[:, 2::2].mean()
            if video.view in ('left', 'right'):
                assert near * (1 if video.view == 'right' else -1) > -0.2
        counted[video.view] += 1
    assert min(counted.values()) > 0


def test_the_person_faces_where_the_pose_says(videos):
    for video in videos:
        if video.action not in ('squat', 'pullup', 'bowl', 'jumping_jacks'):
            continue
        motion, camera = video.scene.motions[0], video.scene.camera
        nose, head = np.moveaxis(motion.landmarks(['nose', 'head_center']), 1, 0)
        gaze = ((nose - head) @ camera.rotation.T).mean(axis=0)  # right, down, forward
        axis = {'left': -gaze[0], 'right': gaze[0], 'front': -gaze[2], 'back': gaze[2]}
        assert axis[video.view] > 0.5 * np.hypot(gaze[0], gaze[2]), video.view


def test_never_visible_joints_stand_at_the_first_pixel(drawn):
    found = 0
    for fields in drawn:
        never = ~fields['visibility'].any(axis=0)
        assert (fields['x'][:, never] == 1).all()
        assert (fields['y'][:, never] == 1).all()
        found += never.sum()
    assert found > 0


def test_labels_are_those_of_the_frames(root):
    video = penn_video('test', 'pullup', 0, num_frames=QUICK['num_frames'])
    images, fields = video.draw()
    stored = loadmat(root / 'labels' / f'{video.number:04d}.mat')
    for name in ('x', 'y', 'bbox', 'visibility'):
        np.testing.assert_array_equal(stored[name], fields[name])
    assert stored['train'].item() == -1
    for index, image in enumerate(images):
        path = root / 'frames' / f'{video.number:04d}' / f'{index + 1:06d}.jpg'
        assert np.abs(cv2.imread(str(path)).astype(int) - image).mean() < 6


def test_the_only_person_is_in_all_frames():
    for number in range(8):
        video = penn_video('train', 'squat', number, num_frames=(6, 6), difficulty=1.0)
        assert video.scene.present.all()


def test_counting(root):
    counts = count_videos(root)
    assert list(counts) == ['bowl', 'pullup', 'squat']
    assert all((row['train'], row['test']) == (2, 1) for row in counts.values())
    assert sum(row['frames'] for row in counts.values()) == len(list(root.rglob('*.jpg')))
    assert all(0.4 < row['visible'] < 1 for row in counts.values())
    with pytest.raises(FileNotFoundError, match='no labels'):
        count_videos(root / 'frames')


# --- reproducibility --------------------------------------------------------------------------


def test_matlab_files_say_no_date():
    data = matlab_file({'x': np.arange(3.0)})
    assert data.startswith(b'MATLAB 5.0 MAT-file')
    assert b'Created on' not in data[:128]


def test_the_seed_decides(root, tmp_path):
    for name, seed in (('again', 0), ('other', 1)):
        write_penn_action(tmp_path / name, **QUICK, seed=seed)
    whole, other = files(root), files(tmp_path / 'other')
    assert files(tmp_path / 'again') == whole
    assert not [name for name in set(whole) & set(other) if other[name] == whole[name]]


def test_a_subset_is_the_same_as_all_of_it(root, tmp_path):
    part = {**QUICK, 'classes': ('pullup',), 'videos_per_class': {'test': 1, 'train': 1}}
    paths = write_penn_action(tmp_path / 'part', **part)
    whole, some = files(root), files(tmp_path / 'part')
    assert len(paths) == 2
    assert set(some) < set(whole)
    assert all(whole[name] == data for name, data in some.items())


def test_no_two_videos_have_one_number():
    numbers = [
        penn_video(split, action, number, num_frames=(1, 1), image_size=(32, 32)).number
        for split in ('train', 'test')
        for action in CLASSES
        for number in range(3)
    ]
    assert len(set(numbers)) == len(numbers) == 54
    assert min(numbers) >= 1


def test_failed_writing_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr('cv2.imwrite', lambda *arguments: False)
    with pytest.raises(OSError, match='cannot write JPEG'):
        write_penn_action(tmp_path / 'penn', **QUICK)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_content_is_refused(tmp_path):
    (tmp_path / 'mine').write_text('mine')
    with pytest.raises(FileExistsError, match='is not empty'):
        write_penn_action(tmp_path, **QUICK)
    assert list(files(tmp_path)) == ['mine']


# --- bad requests and the command -------------------------------------------------------------


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'classes': ('tennis_serve',)}, "classes: 'tennis_serve' is not one of"),
        ({'classes': ()}, 'classes is empty'),
        ({'videos_per_class': {'val': 1}}, "videos_per_class: 'val' is not one of"),
        ({'videos_per_class': {'train': -1}}, r"videos_per_class\['train'\] is -1"),
        ({'videos_per_class': {'train': 0}}, r"videos_per_class is \{'train': 0\}"),
        ({'videos_per_class': {'test': 400}}, 'number is 399, expected so few'),
        ({'num_frames': (5, 4)}, r'num_frames is \(5, 4\)'),
        ({'num_frames': (0, 4)}, r'num_frames is \(0, 4\)'),
        ({'image_size': (16, 16)}, r'image_size is \(16, 16\)'),
        ({'fps': 0}, 'fps is 0'),
        ({'difficulty': -0.1}, r'difficulty is -0\.1'),
        ({'seed': -1}, 'seed is -1'),
    ],
)
def test_bad_requests_write_nothing(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_penn_action(tmp_path / 'penn', **{**QUICK, **change})
    assert not list(tmp_path.iterdir())


def test_command_writes_and_says_what(tmp_path, capsys):
    out = tmp_path / 'penn'
    make_synthetic.main(
        f'penn-action --out {out} --classes squat --train-videos 2 --test-videos 1 '
        '--num-frames 3 6 --image-size 64 48'.split()
    )
    said = capsys.readouterr().out
    assert '3 videos' in said
    assert 'squat' in said
    assert str(out) in said
    # the command's defaults are the function's
    same = {**QUICK, 'classes': ('squat',), 'image_size': (64, 48)}
    write_penn_action(tmp_path / 'same', **same)
    assert files(tmp_path / 'same') == files(out)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('--classes bowling', "invalid choice: 'bowling'"),
        ('--train-videos -1', '--train-videos is -1'),
        ('--train-videos 0 --test-videos 0', 'both 0'),
        ('--num-frames 4 3', '--num-frames is [4, 3]'),
        ('--image-size 9 80', '--image-size is [9, 80]'),
        ('--fps 0', '--fps is 0.0'),
        ('--difficulty 2', '--difficulty is 2.0'),
        ('--seed -1', '--seed is -1'),
    ],
)
def test_command_refuses_bad_options(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        make_synthetic.main(f'penn-action --out {tmp_path / "x"} {options}'.split())
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
