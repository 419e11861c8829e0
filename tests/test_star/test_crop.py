"""The cropped part of the picture: joints stay where they are in the scene."""

import copy

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.datasets.transforms import FormatShape, OpenCVDecode, OpenCVInit, RawFrameDecode
from mmaction.registry import TRANSFORMS
from mmengine.dataset import Compose
from mmpose.structures.bbox import get_warp_matrix

from projects.matlab import read_mat
from projects.star.crop import CropPeople, warp_pictures
from projects.star.transforms import FlipPeople, FormatJoints, PickJoints, SampleSegments
from projects.synthetic.penn_action import write_penn_action


def make_clip(points, size, scores=None, pictures=True):
    """Joints (M, T, J, 2) and black pictures of (width, height)."""
    points = np.asarray(points, dtype=np.float32)
    clip = {
        'name': 'clip 7',
        'img_shape': size[::-1],
        'keypoint': points,
        'keypoint_score': np.ones(points.shape[:3], dtype=np.float32)
        if scores is None
        else np.asarray(scores, dtype=np.float32),
    }
    if pictures:
        clip['imgs'] = [np.zeros((*size[::-1], 3), dtype=np.uint8) for _ in points[0]]
    return clip


def draw_dot(picture, place, radius):
    """A white disc at a place between pixels."""
    center = tuple(np.rint(np.asarray(place) * 16).astype(int).tolist())
    cv2.circle(picture, center, int(radius * 16), (255, 255, 255), -1, shift=4)


def middle_of(picture):
    """Place of what is bright, weighted by how bright."""
    weights = picture[..., 0].astype(float)
    rows, columns = np.indices(weights.shape)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_dot_at_a_joint_stays_at_the_joint(data):
    scale = data.draw(st.sampled_from([1, 2, 5]))  # of the picture: enlarged, alike, shrunk
    size = (96 * scale, 72 * scale)
    seed = data.draw(st.integers(0, 2**31 - 1))
    rng = np.random.default_rng(seed)
    points = rng.uniform([10 * scale, 10 * scale], np.array(size) - 10 * scale, (2, 3, 4, 2))
    options = {
        'input_size': data.draw(st.sampled_from([(80, 80), (96, 64), (64, 96)])),
        'shift_factor': data.draw(st.sampled_from([0.0, 0.1])),
        'scale_factor': data.draw(st.sampled_from([(1.0, 1.0), (0.8, 1.3)])),
        'rotate_factor': data.draw(st.sampled_from([0.0, 45.0, 180.0])),
        'whole_picture': data.draw(st.booleans()),
    }
    clip = make_clip(points, size)
    shown = rng.integers(0, [2, 4], (3, 2))  # one joint a frame
    for frame, (person, joint) in enumerate(shown):
        draw_dot(clip['imgs'][frame], points[person, frame, joint], radius=3 * scale)
    np.random.seed(seed)  # noqa: NPY002
    clip = CropPeople(**options)(clip)
    assert clip['imgs'].shape == (3, *options['input_size'][::-1], 3)
    assert clip['img_shape'] == options['input_size'][::-1]
    for frame, (person, joint) in enumerate(shown):
        place = clip['keypoint'][person, frame, joint]
        margin = 12
        if (place > margin).all() and (place < np.array(options['input_size']) - margin).all():
            assert np.abs(middle_of(clip['imgs'][frame]) - place).max() < 0.35


@pytest.mark.parametrize('factor', [1, 2, 3, 7])
def test_whole_picture_scaled_by_blocks(factor):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (20 * factor, 30 * factor, 3), dtype=np.uint8)
    step = CropPeople(input_size=(30, 20), whole_picture=True)
    clip = make_clip([[[[0, 0]]]], (30 * factor, 20 * factor))
    clip['imgs'] = [picture]
    clip = step(clip)
    blocks = picture.reshape(20, factor, 30, factor, 3).mean(axis=(1, 3))
    assert np.abs(clip['imgs'][0] - blocks).max() <= 1
    # the first pixel's centre, in blocks
    assert clip['keypoint'][0, 0, 0] == pytest.approx([0.5 / factor - 0.5] * 2, abs=1e-5)


def test_shrinking_a_part_equals_shrinking_all():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (400, 600, 3), dtype=np.uint8)
    picture = cv2.GaussianBlur(noise, None, 12)
    turn = np.deg2rad(20)
    linear = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / 4.3
    matrix = np.concatenate([linear, [[-20], [10]]], axis=1)
    found = warp_pictures([picture], matrix, (60, 50))[0]
    direct = cv2.warpAffine(picture, matrix, (60, 50))
    inside = cv2.warpAffine(np.full((400, 600), 255, np.uint8), matrix, (60, 50)) == 255
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5)), borderValue=0) > 0
    assert inside.sum() > 1000
    assert np.abs(found.astype(float) - direct)[inside].max() < 6


def test_picture_beside_the_result_is_black():
    matrix = np.array([[0.2, 0, 500], [0, 0.2, 0]])
    assert not warp_pictures(np.full((2, 90, 90, 3), 255, np.uint8), matrix, (30, 20)).any()


@pytest.mark.parametrize('turn', [0, 30, -75])
@pytest.mark.parametrize('input_size', [(112, 112), (96, 64)])
def test_map_is_mmposes(turn, input_size, monkeypatch):
    """The same but for half a pixel: mmpose's places are counted from the first pixel's edge."""
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 80, (1, 2, 5, 2)).astype(np.float32)
    monkeypatch.setattr(np.random, 'uniform', lambda low, high, size=None: high)
    step = CropPeople(input_size, 1.5, 0.1, (1.0, 1.2), rotate_factor=abs(turn))
    if turn < 0:
        monkeypatch.setattr(
            np.random, 'uniform', lambda low, high, size=None: low if high == 75 else high
        )
    found = step(make_clip(points, (100, 100), pictures=False))['keypoint']
    low, high = points.min(axis=(0, 1, 2)), points.max(axis=(0, 1, 2))
    width, height = (high - low) * 1.5
    ratio = input_size[0] / input_size[1]
    scale = np.array((width, width / ratio) if width > height * ratio else (height * ratio, height))
    center = (low + high) / 2 + 0.1 * scale
    matrix = get_warp_matrix(center + 0.5, scale * 1.2, turn, input_size)
    expected = (points + 0.5) @ matrix[:, :2].T + matrix[:, 2] - 0.5
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_padding_and_shape_without_chance():
    points = [[[[10, 20], [30, 60]]]]
    found = CropPeople((50, 50), padding=1.25)(make_clip(points, (200, 100), pictures=False))
    # 40 px high and padded to 50: nothing is scaled, and the box's middle becomes the middle
    np.testing.assert_allclose(found['keypoint'], [[[[14.5, 4.5], [34.5, 44.5]]]], atol=1e-5)


def test_one_map_for_all_people_and_frames():
    rng = np.random.default_rng(0)
    points = rng.uniform(10, 90, (2, 4, 3, 2))
    step = CropPeople((64, 64), shift_factor=0.2, scale_factor=(0.5, 2), rotate_factor=90)
    found = step(make_clip(points, (100, 100)))['keypoint'].astype(float)
    old = np.concatenate([points.reshape(-1, 2), np.ones((24, 1))], axis=1)
    matrix, *_ = np.linalg.lstsq(old, found.reshape(-1, 2), rcond=None)
    np.testing.assert_allclose(old @ matrix, found.reshape(-1, 2), atol=1e-3)
    linear = matrix[:2]
    np.testing.assert_allclose(linear @ linear.T, np.eye(2) * (linear[0] ** 2).sum(), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), padding=st.floats(1.0, 2.0))
def test_all_joints_are_shown(seed, padding):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, [199, 99], (2, 3, 5, 2))
    step = CropPeople((48, 32), padding=padding)
    found = step(make_clip(points, (200, 100), pictures=False))['keypoint']
    assert (found > -1).all()
    assert (found < [48, 32]).all()


def test_missing_joints_do_not_span_the_box():
    points = np.array([[[[40, 40], [60, 60], [0, 0], [np.nan, 5], [1, 1]]]])
    scores = [[[1, 0.5, 0, 1, 0.1]]]
    clip = make_clip(points, (100, 100), scores, pictures=False)
    found = CropPeople((40, 40), padding=1.0, min_score=0.2)(clip)['keypoint'][0, 0]
    np.testing.assert_allclose(found[:2], [[-0.5, -0.5], [39.5, 39.5]], atol=1e-5)
    assert (found[2:4] == 0).all()
    assert found[4] == pytest.approx([-78.5, -78.5])  # there, but not trusted


@pytest.mark.parametrize('people', [0, 1])
def test_without_joints_the_whole_picture(people):
    clip = make_clip(np.zeros((people, 2, 3, 2)), (100, 50), np.zeros((people, 2, 3)), False)
    clip['imgs'] = [np.full((50, 100, 3), 200, dtype=np.uint8)] * 2
    clip = CropPeople((40, 40))(clip)
    assert (clip['imgs'][:, 11:29] == 200).all()
    assert (clip['imgs'][:, :9] == 0).all()
    assert (clip['imgs'][:, 31:] == 0).all()
    assert (clip['keypoint'] == 0).all()


def test_a_single_joint_has_a_box():
    clip = CropPeople((40, 40), padding=1.0)(make_clip([[[[30, 20]]]], (100, 50)))
    assert clip['keypoint'][0, 0, 0] == pytest.approx([19.5, 19.5])
    assert clip['imgs'].shape == (1, 40, 40, 3)


def test_a_wild_joint_counts_as_on_the_edge():
    near = CropPeople()(make_clip([[[[30, 20], [99, 40]]]], (100, 50), pictures=False))
    far = CropPeople()(make_clip([[[[30, 20], [9999, 40]]]], (100, 50), pictures=False))
    np.testing.assert_allclose(near['keypoint'][0, 0, 0], far['keypoint'][0, 0, 0])
    assert far['keypoint'][0, 0, 1, 0] > 1000


@pytest.mark.parametrize('whole_picture', [False, True])
def test_pictures_stored_smaller_than_annotated(whole_picture):
    points = np.random.default_rng(0).uniform(40, 200, (1, 2, 4, 2))
    step = CropPeople((64, 64), whole_picture=whole_picture)
    large = step(make_clip(points, (320, 240)))
    clip = make_clip(points, (160, 120))
    clip['keypoint_shape'] = (240, 320)
    small = step(clip)
    np.testing.assert_allclose(small['keypoint'], large['keypoint'], atol=1e-3)
    assert small['keypoint_shape'] == (64, 64)
    again = CropPeople((64, 64), whole_picture=True)(dict(small))
    np.testing.assert_allclose(again['keypoint'], small['keypoint'], atol=1e-4)


def test_joints_alone_go_as_with_pictures():
    points = np.random.default_rng(0).uniform(10, 90, (1, 3, 5, 2))
    step = CropPeople(shift_factor=0.1, scale_factor=(0.8, 1.2), rotate_factor=30)
    found = []
    for pictures in (True, False):
        np.random.seed(3)  # noqa: NPY002
        found.append(step(make_clip(points, (100, 100), pictures=pictures))['keypoint'])
    np.testing.assert_array_equal(*found)
    assert not np.allclose(step(make_clip(points, (100, 100)))['keypoint'], found[0])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'input_size': (112,)}, r'input_size is \(112,\), expected width and height'),
        ({'input_size': (112, 0)}, 'input_size is .*, expected width and height'),
        ({'padding': 0}, 'padding is 0, expected a positive number'),
        ({'shift_factor': -0.1}, 'shift_factor is -0.1, expected at least 0'),
        ({'scale_factor': (1.2, 0.8)}, r'scale_factor is \(1.2, 0.8\), expected'),
        ({'scale_factor': (0, 0.8)}, 'scale_factor is .*, expected'),
        ({'rotate_factor': 270}, 'rotate_factor is 270, expected at least 0 and at most 180'),
        ({'min_score': 2}, 'min_score is 2, expected'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        CropPeople(**options)


def test_refuses_what_does_not_fit():
    clip = make_clip(np.ones((1, 3, 2, 2)), (30, 20))
    clip['imgs'].pop()
    with pytest.raises(ValueError, match='clip 7: 2 pictures and 3 frames of joints'):
        CropPeople()(clip)
    clip['imgs'].append(np.zeros((30, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r'clip 7: pictures of height and width \[\(20, 30\)'):
        CropPeople()(clip)
    with pytest.raises(ValueError, match='clip 7: keypoint has shape'):
        CropPeople()({**clip, 'keypoint': np.ones((3, 2, 2))})


def test_built_by_name():
    step = TRANSFORMS.build(dict(type='CropPeople', input_size=[96, 64], rotate_factor=10))
    assert 'input_size=(96, 64)' in repr(step)
    assert 'rotate_factor=10' in repr(step)


@pytest.fixture(scope='module')
def penn_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('penn') / 'penn'
    counts = {'train': 1}
    options = dict(classes=['squat'], videos_per_class=counts, num_frames=(20, 20), difficulty=0.0)
    return root, write_penn_action(root, image_size=(240, 180), **options)[0]


def penn_sample(root, file):
    """The results dict of one video; the file's pixels count from 1."""
    fields = read_mat(file)
    points = np.stack([fields['x'], fields['y']], axis=-1)[None] - 1
    height, width, frames = np.ravel(fields['dimensions']).tolist()
    return {
        'name': file.stem,
        'label': 0,
        'modality': 'RGB',
        'total_frames': frames,
        'frame_dir': str(root / 'frames' / file.stem),
        'filename_tmpl': '{:06d}.jpg',
        'offset': 1,
        'img_shape': (height, width),
        'keypoint': points.astype(np.float32),
        'keypoint_score': np.asarray(fields['visibility'], dtype=np.float32)[None],
    }


def pipeline(*decode, test_mode=False):
    chance = {}
    if not test_mode:
        chance = dict(shift_factor=0.1, scale_factor=(0.8, 1.2), rotate_factor=20)
    return Compose(
        [
            SampleSegments(8, test_mode=test_mode),
            *decode,
            PickJoints(),
            CropPeople((96, 96), **chance),
            FlipPeople(0.0 if test_mode else 1.0, 'penn'),
            *([FormatShape('NCTHW')] if decode else []),
            FormatJoints(),
        ]
    )


def test_generated_video_has_its_joints_on_the_figure(penn_root):
    """Dots drawn over the decoded pictures at a knee come out of the pipeline at that knee."""
    sample = penn_sample(*penn_root)
    marked = copy.deepcopy(sample)
    decode = RawFrameDecode()

    class Mark:
        """Leaves nothing of the decoded pictures but a dot at the first knee."""

        def __call__(self, results):
            for picture, index in zip(results['imgs'], results['frame_inds'], strict=True):
                picture[:] = 0
                draw_dot(picture, sample['keypoint'][0, index, 9], radius=4)
            return results

    np.random.seed(0)  # noqa: NPY002
    found = pipeline(decode, Mark())(marked)
    assert found['imgs'].shape == (1, 3, 8, 96, 96)
    # left and right are swapped by mirroring
    token = found['keypoint'][0, :, 10]
    seen = token[:, 2] > 0
    assert seen.sum() > 4
    for picture, place in zip(found['imgs'][0, 0][seen], token[seen, :2], strict=True):
        assert np.abs(middle_of(picture[..., None]) - (place * 96 - 0.5)).max() < 0.4


def test_joints_follow_the_moving_figure(penn_root):
    """A patch at a joint looks the same before and after the crop, one 12 px beside it does not."""
    sample = penn_sample(*penn_root)
    step = pipeline(RawFrameDecode(), test_mode=True)
    found = step(copy.deepcopy(sample))
    errors = {0: [], 12: []}
    for t, index in enumerate(found['frame_inds']):
        file = f'{sample["frame_dir"]}/{index + 1:06d}.jpg'
        frame = cv2.imread(file)[..., ::-1].astype(float)
        crop = found['imgs'][0, :, t].transpose(1, 2, 0).astype(float)
        for joint in np.flatnonzero(found['keypoint'][0, t, :, 2]):
            column, row = np.rint(sample['keypoint'][0, index, joint]).astype(int)
            x, y = found['keypoint'][0, t, joint, :2] * 96 - 0.5
            color = frame[row - 1 : row + 2, column - 1 : column + 2].mean(axis=(0, 1))
            for shift, values in errors.items():
                place = np.clip(np.rint([y, x + shift]).astype(int), 1, 94)
                rows, columns = (slice(value - 1, value + 2) for value in place)
                values.append(np.abs(crop[rows, columns].mean(axis=(0, 1)) - color).mean())
    assert np.mean(errors[0]) < 12
    assert np.mean(errors[12]) > 2 * np.mean(errors[0])


def test_whole_pipeline_follows_the_seed(penn_root):
    sample = penn_sample(*penn_root)
    step = pipeline(RawFrameDecode())
    found = []
    for seed in (0, 0, 1):
        np.random.seed(seed)  # noqa: NPY002
        found.append(step(copy.deepcopy(sample)))
    np.testing.assert_array_equal(found[0]['imgs'], found[1]['imgs'])
    np.testing.assert_array_equal(found[0]['keypoint'], found[1]['keypoint'])
    assert not np.array_equal(found[0]['keypoint'], found[2]['keypoint'])
    alone = pipeline()
    np.random.seed(0)  # noqa: NPY002
    np.testing.assert_array_equal(alone(sample)['keypoint'], found[0]['keypoint'])


def test_video_is_decoded_like_frames(penn_root, tmp_path):
    sample = penn_sample(*penn_root)
    file = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*'MJPG'), 15, (240, 180))
    for index in range(sample['total_frames']):
        writer.write(cv2.imread(f'{sample["frame_dir"]}/{index + 1:06d}.jpg'))
    writer.release()
    frames = pipeline(RawFrameDecode(), test_mode=True)(copy.deepcopy(sample))
    for key in ('frame_dir', 'filename_tmpl', 'offset'):
        del sample[key]
    sample['filename'] = str(file)
    video = pipeline(OpenCVInit(), OpenCVDecode(), test_mode=True)(sample)
    np.testing.assert_array_equal(video['keypoint'], frames['keypoint'])
    assert np.abs(video['imgs'].astype(float) - frames['imgs']).mean() < 4
