import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.dataset import Compose
from torch.utils.data import DataLoader

from projects.apct.dataset import KineticsTPSDataset
from projects.apct.transforms import (
    LoadKineticsTPSFrame,
    LoadPartAnnotations,
    PackPartInputs,
    VideoFrameReader,
    is_mirrored,
)
from tests.test_apct.small_set import damage_middle, number_of, write_small_set, write_video

NAMES = ('head', 'left_arm', 'right_arm', 'hip', 'left_leg', 'right_leg')
MIRRORED = [0, 2, 1, 3, 5, 4]
HEIGHT, WIDTH = 60, 90
CONFIGS = Path(__file__).parents[2] / 'configs'


def make_sample(rng, people=3, image=True):
    """A frame with people and parts anywhere, also beyond the image."""
    shape = (people, len(NAMES))
    corners = rng.uniform(-10, 80, (*shape, 2))
    part_bboxes = np.concatenate([corners, corners + rng.uniform(1, 40, (*shape, 2))], -1)
    corners = rng.uniform(-10, 50, (people, 2))
    valid = rng.random(shape) < 0.7
    part_bboxes = np.where(valid[..., None], part_bboxes, 0)
    return dict(
        img=rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH),
        img_id=3,
        video='v',
        part_names=NAMES,
        bboxes=np.concatenate([corners, corners + rng.uniform(5, 60, (people, 2))], -1).astype(
            'f4'
        ),
        part_bboxes=part_bboxes.astype('f4'),
        part_valid=valid,
        part_states=np.where(valid, rng.integers(0, 7, shape), -1),
    )


def plain_people(sample, moved, height, width, mirrored):
    """The people that are to come out, one box after the other.

    Args:
        moved: Takes a box to where the transforms put it.
    """

    def clip(box):
        x1, y1, x2, y2 = moved(box)
        box = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
        return box if box[2] > box[0] and box[3] > box[1] else None

    people = []
    for person, box in enumerate(sample['bboxes']):
        if clip(box) is None:
            continue
        parts = {}
        for k, name in enumerate(NAMES):
            part = clip(sample['part_bboxes'][person, k])
            if sample['part_valid'][person, k] and part is not None:
                if mirrored and name.startswith('left_'):
                    name = name.replace('left_', 'right_')
                elif mirrored:
                    name = name.replace('right_', 'left_')
                parts[name] = part, sample['part_states'][person, k]
        people.append((clip(box), parts))
    return people


def assert_equal(instances, people, atol=1e-3):
    assert len(instances.bboxes) == len(people)
    for i, (box, parts) in enumerate(people):
        np.testing.assert_allclose(instances.bboxes[i], box, atol=atol)
        for k, name in enumerate(NAMES):
            part, state = parts.get(name, ([0] * 4, -1))
            assert bool(instances.part_valid[i, k]) == (name in parts)
            np.testing.assert_allclose(instances.part_bboxes[i, k], part, atol=atol)
            assert int(instances.part_states[i, k]) == state
    assert instances.labels.tolist() == [0] * len(people)


def pack(sample, *steps):
    return Compose([LoadPartAnnotations(), *steps, PackPartInputs()])(dict(sample))


def test_packed_form():
    sample = make_sample(np.random.default_rng(0))
    sample.update(frame='img_00001.json', truth=dict(humans=[]), video_class='run')
    packed = pack(sample, dict(type='mmdet.Resize', scale=(180, 120), keep_ratio=True))
    instances = packed['data_samples'].gt_instances
    assert packed['inputs'].shape == (3, 120, 180)
    assert packed['inputs'].dtype == torch.uint8
    assert packed['inputs'].is_contiguous()
    m, k = len(instances), len(NAMES)
    for name, shape, kind in (
        ('bboxes', (m, 4), torch.float32),
        ('labels', (m,), torch.int64),
        ('part_bboxes', (m, k, 4), torch.float32),
        ('part_valid', (m, k), torch.bool),
        ('part_states', (m, k), torch.int64),
    ):
        assert instances[name].shape == shape
        assert instances[name].dtype == kind
    metainfo = packed['data_samples'].metainfo
    assert metainfo['scale_factor'] == (2.0, 2.0)
    assert metainfo['ori_shape'] == (60, 90)
    assert metainfo['img_shape'] == (120, 180)
    assert (metainfo['img_id'], metainfo['video'], metainfo['video_class']) == (3, 'v', 'run')
    assert metainfo['truth'] == dict(humans=[])


def test_nothing_happens_without_transforms():
    sample = make_sample(np.random.default_rng(1))
    packed = pack(sample)
    expected = plain_people(sample, lambda box: box, HEIGHT, WIDTH, mirrored=False)
    assert_equal(packed['data_samples'].gt_instances, expected)
    image = packed['inputs'].numpy().transpose(1, 2, 0)
    np.testing.assert_array_equal(image, sample['img'])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    people=st.integers(0, 4),
    scale=st.tuples(st.integers(30, 200), st.integers(30, 200)),
    keep_ratio=st.booleans(),
    flips=st.lists(st.sampled_from(['horizontal', 'vertical', 'diagonal']), max_size=3),
    crop=st.one_of(st.none(), st.tuples(st.integers(10, 100), st.integers(10, 100))),
)
def test_parts_move_with_their_person(seed, people, scale, keep_ratio, flips, crop):
    rng = np.random.default_rng(seed)
    np.random.seed(seed)  # noqa: NPY002 - mmdet draws from it
    sample = make_sample(rng, people)
    steps = [dict(type='mmdet.Resize', scale=scale, keep_ratio=keep_ratio)]
    steps += [dict(type='mmdet.RandomFlip', prob=1.0, direction=flip) for flip in flips]
    if crop is not None:
        steps.append(dict(type='mmdet.RandomCrop', crop_size=crop, allow_negative_crop=True))
    kept = {}

    def keep(results):  # the image's own way, recorded apart from the boxes
        kept['homography'] = results['homography_matrix']
        return results

    packed = Compose([LoadPartAnnotations(), *steps, keep, PackPartInputs()])(dict(sample))
    height, width = packed['inputs'].shape[1:]

    def moved(box):
        corners = np.array([[box[0], box[1], 1], [box[2], box[3], 1]]) @ kept['homography'].T
        xs, ys = corners[:, 0], corners[:, 1]
        return min(xs), min(ys), max(xs), max(ys)

    mirrored = sum(flip != 'diagonal' for flip in flips) % 2 == 1
    expected = plain_people(sample, moved, height, width, mirrored)
    # cropping and clipping at different moments differ in the last digits: not in what is left,
    # unless a box ends within a thousandth of a pixel of the border
    assert_equal(packed['data_samples'].gt_instances, expected, atol=1e-2)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), direction=st.sampled_from(['horizontal', 'vertical']))
def test_two_flips_change_nothing(seed, direction):
    sample = make_sample(np.random.default_rng(seed))
    flip = dict(type='mmdet.RandomFlip', prob=1.0, direction=direction)
    once, twice, never = pack(sample, flip), pack(sample, flip, flip), pack(sample)
    assert torch.equal(twice['inputs'], never['inputs'])
    assert not torch.equal(once['inputs'], never['inputs'])
    a, b = twice['data_samples'].gt_instances, never['data_samples'].gt_instances
    for key in ('bboxes', 'part_bboxes'):
        torch.testing.assert_close(a[key], b[key], atol=1e-3, rtol=0)
    for key in ('labels', 'part_valid', 'part_states'):
        assert torch.equal(a[key], b[key])
    assert once['data_samples'].gt_instances.part_states.tolist() == [
        [states[k] for k in MIRRORED] for states in b.part_states.tolist()
    ]


def test_boxes_stay_on_what_they_show():
    """Paints each part in a colour of its own and looks for it under the box that comes out."""
    sample = make_sample(np.random.default_rng(0), people=1)
    boxes = [[5 + 13 * k, 10 + 5 * (k % 3), 15 + 13 * k, 30 + 5 * (k % 3)] for k in range(6)]
    sample['img'][:] = 0
    for k, (x1, y1, x2, y2) in enumerate(boxes):
        sample['img'][y1:y2, x1:x2] = 40 * (k + 1)
    sample['bboxes'] = np.array([[2, 5, 88, 50]], np.float32)
    sample['part_bboxes'] = np.array([boxes], np.float32)
    sample['part_valid'] = np.ones((1, 6), bool)
    sample['part_states'] = np.arange(6)[None]
    np.random.seed(0)  # noqa: NPY002 - mmdet draws from it
    seen, mirrored = 0, 0
    for _ in range(30):
        packed = pack(
            sample,
            dict(
                type='RandomChoiceResize',
                scales=[(180, 120), (270, 200), (135, 90)],
                resize_type='mmdet.Resize',
            ),
            dict(type='mmdet.RandomFlip', prob=0.5),
            dict(type='mmdet.RandomCrop', crop_size=(70, 100), allow_negative_crop=True),
        )
        instances = packed['data_samples'].gt_instances
        flipped = packed['data_samples'].flip
        mirrored += flipped
        for k in torch.nonzero(instances.part_valid[0])[:, 0].tolist() if len(instances) else []:
            x1, y1, x2, y2 = instances.part_bboxes[0, k].tolist()
            if x2 - x1 < 6 or y2 - y1 < 6:
                continue  # interpolation blurs the edges
            inner = packed['inputs'][
                0, round(y1) + 2 : round(y2) - 2, round(x1) + 2 : round(x2) - 2
            ]
            source = MIRRORED[k] if flipped else k
            assert inner.float().mean() == pytest.approx(40 * (source + 1), abs=1)
            assert int(instances.part_states[0, k]) == source
            seen += 1
    assert seen > 50
    assert 5 < mirrored < 25


def test_photometric_and_affine_transforms_pass():
    sample = make_sample(np.random.default_rng(0))
    packed = pack(
        sample,
        dict(type='mmdet.PhotoMetricDistortion'),
        dict(type='mmdet.RandomAffine'),
        dict(type='mmdet.Expand', prob=1.0),
        dict(type='mmdet.MinIoURandomCrop'),
    )
    assert packed['data_samples'].gt_instances.part_bboxes.shape[1:] == (6, 4)


def test_person_beyond_the_image_is_dropped_with_its_parts():
    sample = make_sample(np.random.default_rng(0), people=2)
    sample['bboxes'] = np.array([[-30, 5, 0, 50], [10, 10, 50, 50]], np.float32)
    sample['part_bboxes'][:] = [20, 20, 40, 40]  # also in the image where the person is not
    sample['part_bboxes'][1, 1] = [90, 10, 120, 20]  # touches the border from outside
    sample['part_bboxes'][1, 2] = [80, 50, 120, 70]
    sample['part_valid'][:] = True
    sample['part_states'][:] = 5
    instances = pack(sample)['data_samples'].gt_instances
    assert instances.bboxes.tolist() == [[10, 10, 50, 50]]
    assert instances.part_valid[0].tolist() == [True, False, True, True, True, True]
    assert instances.part_bboxes[0, 1].tolist() == [0, 0, 0, 0]
    assert instances.part_bboxes[0, 2].tolist() == [80, 50, 90, 60]
    assert instances.part_states[0].tolist() == [5, -1, 5, 5, 5, 5]


def test_explicit_flip_pairs():
    sample = make_sample(np.random.default_rng(0))
    pack_inputs = PackPartInputs(flip_pairs=[['head', 'hip']])
    assert pack_inputs.mirror_order(sample) == [3, 1, 2, 0, 4, 5]
    assert PackPartInputs(flip_pairs=[]).mirror_order(sample) == [0, 1, 2, 3, 4, 5]
    assert PackPartInputs().mirror_order(sample) == MIRRORED
    assert PackPartInputs().mirror_order(dict(part_names=('left_arm', 'head'))) == [0, 1]
    for pair in (('head', 'tail'), ('head', 'head')):
        with pytest.raises(ValueError, match=f"flip_pairs holds \\('head', '{pair[1]}'\\)"):
            PackPartInputs(flip_pairs=[pair]).mirror_order(sample)


def test_mirror_without_a_homography():
    assert is_mirrored(dict(flip=True, flip_direction='horizontal'))
    assert is_mirrored(dict(flip=True, flip_direction='vertical'))
    assert not is_mirrored(dict(flip=True, flip_direction='diagonal'))
    assert not is_mirrored(dict(flip=False, flip_direction=None))
    assert not is_mirrored({})


def test_joined_images_are_refused():
    sample = make_sample(np.random.default_rng(0))
    loaded = LoadPartAnnotations()(dict(sample))
    other = LoadPartAnnotations()(make_sample(np.random.default_rng(1), people=5))
    joined = Compose([dict(type='mmdet.Mosaic', img_scale=(120, 120), prob=1.0)])(
        dict(loaded, mix_results=[dict(other) for _ in range(3)])
    )
    with pytest.raises(ValueError, match=r'\(Mosaic, MixUp, CopyPaste\) cannot be used'):
        PackPartInputs()(joined)
    with pytest.raises(ValueError, match='a box belongs to two people'):
        PackPartInputs()(dict(other, part_states=sample['part_states']))  # of a frame with 5


def test_inference_without_annotations(tmp_path):
    write_video(tmp_path / 'v.mp4', range(1, 4))
    pipeline = Compose(
        [
            dict(type='LoadKineticsTPSFrame'),
            dict(type='mmdet.Resize', scale=(128, 96), keep_ratio=True),
            dict(type='PackPartInputs'),
        ]
    )
    packed = pipeline(dict(img_path=None, video_path=str(tmp_path / 'v.mp4'), frame_number=2))
    assert packed['inputs'].shape == (3, 96, 128)
    assert len(packed['data_samples'].gt_instances) == 0
    assert packed['data_samples'].metainfo['frame_number'] == 2


def test_any_frame_in_any_order(tmp_path):
    paths = [str(tmp_path / f'{index}.mp4') for index in range(3)]
    for path in paths:
        write_video(tmp_path / path, range(1, 41))
    reader = VideoFrameReader(max_open=2)
    rng = np.random.default_rng(0)
    for path, number in zip(rng.choice(paths, 60), rng.integers(1, 41, 60), strict=True):
        assert number_of(reader.read(path, int(number))) == number
    for number in range(1, 41, 5):
        assert number_of(reader.read(paths[0], number)) == number


@pytest.mark.parametrize('number', [0, -1, 4, 10**6])
def test_frame_that_the_video_lacks(tmp_path, number):
    path = tmp_path / 'v.mp4'
    write_video(path, range(1, 4))
    with pytest.raises(ValueError, match=rf'v\.mp4: frame {number} cannot be read.*frames 3'):
        VideoFrameReader().read(str(path), number)


def test_files_that_cannot_be_read(tmp_path):
    video, image = tmp_path / 'v.mp4', tmp_path / 'img_00001.jpg'
    video.write_bytes(b'\x00' * 100)
    image.write_bytes(b'\xff\xd8 no image')
    load = LoadKineticsTPSFrame()
    broken_video = dict(img_path=None, video_path=str(video), frame_number=7)
    with pytest.raises(ValueError, match=r'v\.mp4: frame 7 cannot be read'):
        load(dict(broken_video))
    with pytest.raises(ValueError, match=r'img_00001\.jpg: is no image'):
        load(dict(img_path=str(image)))
    with pytest.raises(ValueError, match=r'gone\.jpg: cannot be read'):
        load(dict(img_path=str(tmp_path / 'gone.jpg')))
    with pytest.raises(ValueError, match='neither img_path nor video_path'):
        load(dict(img_path=None))
    lenient = LoadKineticsTPSFrame(skip_unreadable=True)
    assert lenient(dict(broken_video)) is None
    with pytest.raises(ValueError, match='frame 7 cannot be read'):
        lenient(dict(broken_video, truth=dict(humans=[])))
    with pytest.raises(ValueError, match='max_open is 0'):
        LoadKineticsTPSFrame(max_open=0)


def test_workers_do_not_share_open_videos(tmp_path):
    """A decoder's threads do not survive a fork: a worker that used its parent's would hang."""
    root = write_small_set(tmp_path, 'video', videos=2)
    pipeline = [
        dict(type='LoadKineticsTPSFrame'),
        dict(type='LoadPartAnnotations'),
        dict(type='PackPartInputs'),
    ]
    dataset = KineticsTPSDataset(str(root), 'trainval', pipeline=pipeline)
    expected = [dataset[index] for index in range(len(dataset))]  # opens the videos here
    loader = DataLoader(
        dataset, batch_size=4, num_workers=2, collate_fn=list, timeout=20,
        multiprocessing_context='fork',
    )  # fmt: skip
    for one, other in zip(expected, (x for batch in loader for x in batch), strict=True):
        assert torch.equal(one['inputs'], other['inputs'])
        first, second = (x['data_samples'].gt_instances for x in (one, other))
        assert torch.equal(first.part_bboxes, second.part_bboxes)
    again = pickle.loads(pickle.dumps(dataset))  # what a spawned worker gets
    assert torch.equal(again[3]['inputs'], expected[3]['inputs'])


def test_video_that_is_damaged_in_the_middle(tmp_path):
    path, other = tmp_path / 'v.mp4', tmp_path / 'w.mp4'
    for video in (path, other):
        write_video(video, range(1, 61))
    damage_middle(path)
    reader = VideoFrameReader()
    assert number_of(reader.read(str(other), 1)) == 1
    with pytest.raises(ValueError, match=r'v\.mp4: frame 41 cannot be read, number of frames 60'):
        reader.read(str(path), 41)
    assert list(reader._open) == [str(other)]  # the decoder stays broken: it is not used again
    assert number_of(reader.read(str(other), 41)) == 41


def test_training_goes_on_after_an_unreadable_frame(tmp_path):
    root = write_small_set(tmp_path, 'frames', videos=2, frames=6)
    broken = root / 'train_videos' / 'run' / 'train_run_0' / 'img_00006.jpg'
    broken.write_bytes(b'no image')
    pipeline = [
        dict(type='LoadKineticsTPSFrame', skip_unreadable=True),
        dict(type='LoadPartAnnotations'),
        dict(type='PackPartInputs'),
    ]
    dataset = KineticsTPSDataset(str(root), 'trainval', pipeline=pipeline)
    assert len(dataset) == 8
    np.random.seed(0)  # noqa: NPY002 - mmengine draws from it
    assert all('inputs' in dataset[index] for index in range(8))


@pytest.mark.parametrize('storage', ['frames', 'video'])
def test_unreadable_frame_of_a_test_is_black_and_marked(tmp_path, storage):
    root = write_small_set(tmp_path, storage, videos=2, frames=61)
    folder = root / 'test_videos' / 'run'
    if storage == 'frames':
        (folder / 'test_run_0' / 'img_00041.jpg').write_bytes(b'no image')
    else:
        damage_middle(folder / 'test_run_0.mp4')
    pipeline = [
        dict(type='LoadKineticsTPSFrame', skip_unreadable='blank'),
        dict(type='LoadPartAnnotations'),
        dict(type='PackPartInputs'),
    ]
    dataset = KineticsTPSDataset(str(root), 'test', test_mode=True, pipeline=pipeline)
    samples = [dataset[index] for index in range(len(dataset))]
    marked = {}
    for packed in samples:
        meta = packed['data_samples'].metainfo
        marked[meta['video'], meta['frame_number']] = meta.get('unreadable', False)
        assert bool(packed['inputs'].any()) != marked[meta['video'], meta['frame_number']]
        assert packed['inputs'].shape == (3, 48, 64)
        assert meta['truth']['humans'] is not None
    assert len(marked) == 2 * 13
    assert marked['test_run_0', 41]
    assert not any(bad for (video, _), bad in marked.items() if video == 'test_jump_0')
    if storage == 'frames':
        assert sum(marked.values()) == 1


def test_black_frame_before_any_other(tmp_path):
    sample = dict(img_path=str(tmp_path / 'gone.jpg'))
    blank = LoadKineticsTPSFrame(skip_unreadable='blank')(sample)
    assert blank['img'].shape == (128, 128, 3)
    assert blank['ori_shape'] == (128, 128)
    with pytest.raises(ValueError, match="skip_unreadable is 'black', expected False, True or"):
        LoadKineticsTPSFrame(skip_unreadable='black')


@pytest.mark.parametrize(
    'path',
    [CONFIGS / 'apct.py', *sorted((CONFIGS / 'apct').glob('apct*.py'))],
    ids=lambda p: p.stem,
)
def test_configs_survive_an_unreadable_frame(path):
    config = Config.fromfile(path)
    for kind, expected in (('train', True), ('val', 'blank'), ('test', 'blank')):
        dataset = config[f'{kind}_dataloader'].dataset
        assert dataset.pipeline[0] == dict(type='LoadKineticsTPSFrame', skip_unreadable=expected)
