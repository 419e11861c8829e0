import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.logging import MessageHub, MMLogger
from mmengine.structures import InstanceData
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS
from mmpose.utils import register_all_modules
from PIL import Image
from scipy.io import savemat

from projects.keypoints import keypoint_layout
from projects.lsp import picture_path, read_joints
from projects.presence.dataset import LSPDataset, split_numbers
from projects.presence.transforms import KeypointPresenceTarget

register_all_modules()
SIZE = (120, 90)  # of every picture, width and height
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(64, 64)),
    KeypointPresenceTarget(),
    dict(type='PackPoseInputs'),
]


def people(count, seed=0):
    """(count, 14, 3) joints inside of the pictures; the first person's wrist is hidden."""
    rng = np.random.default_rng(seed)
    places = rng.uniform((20, 20), (100, 70), (count, 14, 2))
    flags = np.ones((count, 14, 1))
    flags[0, 6] = 0
    return np.concatenate([places, flags], axis=-1)


def save(folder, joints, extended=True, digits=5):
    """A data set folder of these people."""
    (folder / 'images').mkdir(exist_ok=True)
    for number in range(1, len(joints) + 1):
        Image.new('RGB', SIZE, (number, 0, 0)).save(
            folder / 'images' / f'im{number:0{digits}d}.jpg'
        )
    joints = joints.copy()
    if extended:
        joints[joints[..., 2] == 0, :2] = -30.5
    else:
        joints[..., 2] = 1 - joints[..., 2]
    savemat(
        folder / 'joints.mat', dict(joints=joints.transpose((1, 2, 0) if extended else (2, 1, 0)))
    )
    return folder


@pytest.fixture
def folder(tmp_path):
    return save(tmp_path, people(20))


def test_metainfo():
    meta = LSPDataset(lazy_init=True).metainfo
    layout = keypoint_layout('lsp')
    assert tuple(meta['keypoint_id2name'].values()) == layout.joint_names
    assert tuple(meta['flip_indices']) == layout.flip_indices
    assert tuple(meta['skeleton_links']) == layout.limbs
    assert len(meta['flip_pairs']) == 12
    assert set(meta['lower_body_ids']) == set(range(6))
    assert set(meta['upper_body_ids']) == set(range(6, 14))
    by_name = dict(zip(layout.joint_names, meta['sigmas'], strict=True))
    assert by_name['left_wrist'] == pytest.approx(0.062)
    assert by_name['right_hip'] == pytest.approx(0.107)
    assert by_name['neck'] == by_name['head_top'] == pytest.approx(0.079)
    assert meta['dataset_keypoint_weights'][6] == 1.5
    colors = meta['keypoint_colors']
    assert {tuple(colors[joint]) for joint in (3, 4, 5, 9, 10, 11)} == {(0, 255, 0)}
    assert {tuple(colors[joint]) for joint in (0, 1, 2, 6, 7, 8)} == {(255, 128, 0)}


def test_extended_set(folder):
    joints = people(20)
    dataset = DATASETS.build(dict(type='LSPDataset', data_root=str(folder)))
    assert len(dataset) == 20
    info = dataset.get_data_info(0)
    assert info['img_path'].endswith('im00001.jpg')
    assert info['img_id'] == info['id'] == 1
    assert info['keypoints'].shape == (1, 14, 2)
    assert info['bbox'].dtype == info['keypoints'].dtype == np.float32
    expected = np.where(joints[0, :, 2:] > 0, joints[0, :, :2], 0)
    assert info['keypoints'][0] == pytest.approx(expected, rel=1e-6)
    assert info['keypoints_visible'][0].tolist() == joints[0, :, 2].tolist()
    raw = info['raw_ann_info']
    assert raw['keypoints'][2::3] == [0.0 if joint == 6 else 2.0 for joint in range(14)]
    assert raw['num_keypoints'] == info['num_keypoints'] == 13
    assert info['bbox_score'].tolist() == [1]


def test_first_set_keeps_the_places_of_hidden_joints(tmp_path):
    joints = people(3)
    info = LSPDataset(data_root=str(save(tmp_path, joints, extended=False, digits=4)))[0]
    assert info['img_path'].endswith('im0001.jpg')
    assert info['keypoints'][0] == pytest.approx(joints[0, :, :2], rel=1e-6)
    assert info['keypoints_visible'].all()
    assert info['raw_ann_info']['keypoints'][2::3] == [
        1 if joint == 6 else 2 for joint in range(14)
    ]
    assert info['num_keypoints'] == 14


def test_boxes(tmp_path):
    joints = people(2)
    joints[1, :, :2] = np.linspace((30, 40), (60, 50), 14)
    save(tmp_path, joints)
    arguments = dict(data_root=str(tmp_path), min_visible=1)
    tight = LSPDataset(margin=0, **arguments).get_data_info(1)
    assert tight['bbox'][0].tolist() == [30, 40, 60, 50]
    wide = LSPDataset(margin=0.1, **arguments).get_data_info(1)
    assert wide['bbox'][0].tolist() == [27, 37, 63, 53]
    assert wide['area'] == pytest.approx(36 * 16 * 0.53)
    cut = LSPDataset(margin=2, **arguments).get_data_info(1)
    assert cut['bbox'][0].tolist() == [0, 0, 119, 89]
    whole = LSPDataset(box='image', **arguments).get_data_info(1)
    assert whole['bbox'][0].tolist() == [0, 0, 119, 89]
    assert whole['area'] == wide['area']


def test_people_at_the_border(tmp_path):
    """What the margin adds out of the picture belongs to neither box nor area."""
    joints = people(2)
    joints[0, :, :2] = np.linspace((2, 3), (42, 23), 14)  # the margin is 4 px
    joints[1, :, :2] = np.linspace((80, 60), (118, 88), 14)
    dataset = LSPDataset(data_root=str(save(tmp_path, joints)), margin=0.1)
    for index, (x, y, width, height) in enumerate(
        [(0, 0, 46, 27), (76.2, 56.2, 119 - 76.2, 89 - 56.2)]
    ):
        info = dataset.get_data_info(index)
        raw = info['raw_ann_info']
        assert raw['bbox'] == pytest.approx((x, y, width, height))
        assert raw['area'] == pytest.approx(width * height * 0.53)
        assert info['area'] == pytest.approx(raw['area'])
        assert info['bbox'][0] == pytest.approx((x, y, x + width, y + height))


@given(
    count=st.integers(1, 300),
    seed=st.integers(0, 1000),
    fractions=st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (1, 0, 0), (0.3, 0.3, 0.2)]),
)
def test_splits_share_nobody(count, seed, fractions):
    parts = [split_numbers(count, split, fractions, seed) for split in ('train', 'val', 'test')]
    together = [number for part in parts for number in part]
    assert len(set(together)) == len(together)
    assert set(together) <= set(range(1, count + 1))
    if sum(fractions) == 1:
        assert len(together) == count
    assert all(
        abs(len(part) - share * count) <= 1 for part, share in zip(parts, fractions, strict=True)
    )
    assert split_numbers(count, None, fractions, seed) == list(range(1, count + 1))


def test_splits_stay(folder):
    # written out, so that no later version deals the pictures anew
    assert split_numbers(20, 'val', (0.8, 0.1, 0.1), 0) == [1, 4]
    before = [LSPDataset(data_root=str(folder), split=split) for split in ('train', 'test')]
    numbers = [[dataset.get_data_info(i)['id'] for i in range(len(dataset))] for dataset in before]
    assert [len(part) for part in numbers] == [16, 2]
    gone = numbers[0][3]
    (folder / 'images' / f'im{gone:05d}.jpg').unlink()
    after = [LSPDataset(data_root=str(folder), split=split) for split in ('train', 'test')]
    again = [[dataset.get_data_info(i)['id'] for i in range(len(dataset))] for dataset in after]
    assert again == [[number for number in numbers[0] if number != gone], numbers[1]]
    assert split_numbers(20, 'val', (0.8, 0.1, 0.1), 1) != [1, 4]


def test_missing_pictures_are_counted_once(folder, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING):
            for number in (2, 5):
                (folder / 'images' / f'im{number:05d}.jpg').unlink()
            assert len(LSPDataset(data_root=str(folder))) == 18
    finally:
        logger.removeHandler(caplog.handler)
    warnings = [record.getMessage() for record in caplog.records if 'missing' in record.message]
    assert len(warnings) == 1
    assert '2 of 20 pictures are missing and left out, the first is ' in warnings[0]
    assert 'im00002.jpg' in warnings[0]


def test_few_joints(tmp_path):
    joints = people(3)
    joints[2, 4:, 2] = 0
    save(tmp_path, joints)
    assert len(LSPDataset(data_root=str(tmp_path))) == 3
    assert len(LSPDataset(data_root=str(tmp_path), min_visible=5)) == 2
    assert len(LSPDataset(data_root=str(tmp_path), min_visible=14)) == 1
    with pytest.raises(ValueError, match=r"none of 3 people is left for split 'test'"):
        LSPDataset(data_root=str(tmp_path), split='test')


def test_bottom_up_samples(folder):
    dataset = LSPDataset(data_root=str(folder), data_mode='bottomup')
    info = dataset.get_data_info(2)
    assert info['keypoints'].shape == (1, 14, 2)
    assert info['img_id'] == 3
    assert len(dataset) == 20


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='all'), "split is 'all', expected one of"),
        (dict(box='head'), "box is 'head', expected one of"),
        (dict(fractions=(0.9, 0.1)), r'fractions are \(0.9, 0.1\)'),
        (dict(fractions=(0.9, 0.1, 0.1)), '1 at most in total'),
        (dict(margin=-1), 'margin is -1'),
        (dict(min_visible=0), 'min_visible is 0, expected 1 to 14'),
        (dict(bbox_file='a.json', test_mode=True), 'bbox_file is not supported'),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        LSPDataset(lazy_init=True, **options)


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('joints', np.zeros((14, 2, 5)), r'joints.mat: found joints of shape \(14, 2, 5\), expect'),
        ('joints', np.zeros((14, 3)), r'found joints of shape \(14, 3\)'),
        ('points', np.zeros((14, 3, 5)), 'found no variable joints'),
        ('joints', np.full((14, 3, 2), 0.5), r'joint 0 of photograph 1 is \[0.5, 0.5, 0.5\]'),
        (
            'joints',
            np.concatenate([np.full((14, 2, 2), np.nan), np.ones((14, 1, 2))], 1),
            'expected finite numbers',
        ),
    ],
)
def test_malformed_joints(tmp_path, name, value, message):
    savemat(tmp_path / 'joints.mat', {name: value})
    with pytest.raises(ValueError, match=message):
        read_joints(tmp_path / 'joints.mat')


def test_missing_and_unreadable_files(folder):
    with pytest.raises(FileNotFoundError, match='other.mat: no such file'):
        LSPDataset(data_root=str(folder), ann_file='other.mat')
    (folder / 'images' / 'im00003.jpg').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r'im00003.jpg: no picture that can be read'):
        LSPDataset(data_root=str(folder))
    for path in (folder / 'images').iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match='and none of the 19 others'):
        LSPDataset(data_root=str(folder))
    (folder / 'joints.mat').write_bytes(b'no MATLAB file' * 20)
    with pytest.raises(ValueError, match='no MATLAB file that can be read'):
        LSPDataset(data_root=str(folder))


def test_places_of_joints_without_one_are_not_read(tmp_path):
    joints = people(2)
    joints[0, 6, :2] = np.nan
    joints[1, 3] = (7, 8, 0)
    savemat(tmp_path / 'joints.mat', dict(joints=joints.transpose(1, 2, 0)))
    read = read_joints(tmp_path / 'joints.mat')
    assert read[0, 6].tolist() == read[1, 3].tolist() == [0, 0, 0]
    assert set(read[..., 2].ravel()) == {0, 2}


def test_name_of_picture(tmp_path):
    assert picture_path(tmp_path, 7).name == 'im00007.jpg'
    (tmp_path / 'im0007.jpg').touch()
    assert picture_path(tmp_path, 7).name == 'im0007.jpg'
    (tmp_path / 'im00007.jpg').touch()
    assert picture_path(tmp_path, 7).name == 'im00007.jpg'
    assert picture_path(tmp_path, 12345).name == 'im12345.jpg'


@pytest.mark.parametrize('extended', [True, False])
def test_mmposes_coco_metric_scores_it_without_a_file(tmp_path, extended):
    save(tmp_path, people(6), extended=extended)
    # a data set in COCO's form that stood here before must not be taken for this one's
    MessageHub.get_current_instance().update_info('lsp_ann_file', 'old.json')
    dataset = LSPDataset(data_root=str(tmp_path), test_mode=True, pipeline=PIPELINE)

    def score(shift):
        metric = CocoMetric()
        metric.dataset_meta = dataset.metainfo
        for index in range(len(dataset)):
            sample = dataset[index]['data_samples']
            truth = sample.gt_instances
            sample.pred_instances = InstanceData(
                keypoints=truth.keypoints + shift,
                keypoint_scores=np.ones((1, 14), np.float32),
                bbox_scores=truth.bbox_scores,
            )
            metric.process(None, [sample.to_dict()])
        return metric.evaluate(len(dataset))

    assert score(0)['coco/AP'] == pytest.approx(1)
    assert score(60)['coco/AP'] < 0.1


def test_pipeline_gives_presence(folder):
    sample = LSPDataset(data_root=str(folder), pipeline=PIPELINE)[0]['data_samples']
    presence = sample.gt_instance_labels.keypoint_presence
    assert presence[0].tolist() == [0.0 if joint == 6 else 1.0 for joint in range(14)]
    assert sample.gt_instance_labels.keypoint_presence_weights.min() == 1
