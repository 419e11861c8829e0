import csv

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DATASETS, FUNCTIONS
from sklearn.model_selection import StratifiedKFold

from projects.keypoints import LAYOUTS
from projects.poserac.dataset import RepCountDataset, SalientPoseDataset, poserac_collate
from projects.poserac.poses import min_max_normalize
from tests.test_poserac.test_annotations import header_rows, original_rows, write_rows

PENN = LAYOUTS['penn']
CLASSES = ('squat', 'pull_up', 'situp')


@pytest.fixture
def log(caplog):
    """What mmengine's logger says, which does not hand it on."""
    print_log('', logger='current')  # makes sure that there is a current logger
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level('INFO')
    yield caplog
    logger.removeHandler(caplog.handler)


def messages(log, name):
    return [r.getMessage() for r in log.records if r.getMessage().startswith(name)]


# --- single poses


def random_poses(*shape, seed=0):
    return np.random.default_rng(seed).normal(200, 100, shape).astype(np.float32)


@pytest.fixture
def root(tmp_path):
    """Poses of three actions: 12 videos of squats, 5 of pull-ups, one of sit-ups; 4 poses each."""
    actions = ['squat'] * 48 + ['pullups'] * 20 + ['situp'] * 4
    videos = [f'{action}{k // 4}.mp4' for k, action in enumerate(actions)]
    states = [k % 2 for k in range(72)]
    order = np.random.default_rng(0).permutation(72)
    actions, videos, states = ([part[k] for k in order] for part in (actions, videos, states))
    (tmp_path / 'annotation_pose').mkdir()
    rows = original_rows(random_poses(72, 33, 3), actions, states, videos)
    write_rows(tmp_path / 'annotation_pose' / 'train.csv', rows)
    (tmp_path / 'all_action.csv').write_text(',action,label\n0,pull_up,1\n1,squat,0\n2,situp,2\n')
    return tmp_path


def salient(root, **options):
    return SalientPoseDataset('annotation_pose/train.csv', str(root), **options)


def rows_of(root):
    with open(root / 'annotation_pose' / 'train.csv', newline='') as file:
        return list(csv.reader(file))


def taken(data):
    """Indices of the poses in the file."""
    return data.data_list['row'].tolist()


def test_samples_of_single_poses(root):
    data = DATASETS.build(
        dict(
            type='SalientPoseDataset',
            ann_file='annotation_pose/train.csv',
            data_root=str(root),
            classes=list(CLASSES),
        )
    )
    assert len(data) == 72
    for index, row in enumerate(rows_of(root)):
        sample = data[index]
        assert set(sample) == {'poses', 'label', 'state'}
        pose = np.array(row[2:], np.float32).reshape(33, 3)
        np.testing.assert_array_equal(sample['poses'].numpy(), min_max_normalize(pose))
        assert CLASSES[sample['label']][:4] == row[1][:4]
        assert f'salient{sample["state"] + 1}' in row[0]
    batch = default_collate([data[0], data[1]])
    assert batch['poses'].shape == (2, 33, 3)
    assert batch['label'].dtype == batch['state'].dtype == torch.int64
    info = data.get_data_info(-1)
    assert info['sample_idx'] == 71
    info['poses'][:] = 0  # a sample is its own copy
    assert data.get_data_info(-1)['poses'].any()


def test_metainfo(root):
    data = salient(root, classes='all_action.csv', dims=2, metainfo=dict(source='made up'))
    meta = data.metainfo
    assert meta['classes'] == CLASSES
    assert meta['layout'] == 'blazepose'
    assert meta['joint_names'] == list(LAYOUTS['blazepose'].joint_names)
    assert meta['limbs'] == list(LAYOUTS['blazepose'].limbs)
    assert meta['source'] == 'made up'
    assert data[0]['poses'].shape == (33, 2)
    assert salient(root).metainfo['classes'] == ('pullups', 'situp', 'squat')


def test_the_other_format(tmp_path):
    names = ['squats_up', 'squats_down', 'jumping_jacks_up']
    write_rows(tmp_path / 'a.csv', header_rows(random_poses(3, 33, 3), names))
    data = SalientPoseDataset('a.csv', str(tmp_path), classes=['jump_jack', 'squat'])
    assert [(data[k]['label'], data[k]['state']) for k in range(3)] == [(1, 0), (1, 1), (0, 0)]
    data = SalientPoseDataset('a.csv', str(tmp_path), salient_names=('down', 'up'))
    assert [data[k]['state'] for k in range(3)] == [1, 0, 1]


def test_whole_videos_are_held_out(root, log):
    rows = rows_of(root)
    sizes = set()
    for seed in range(5):
        train, val = (taken(salient(root, split=s, split_seed=seed)) for s in ('train', 'val'))
        assert sorted(train + val) == list(range(72))
        videos = [{rows[k][0].split('/')[3] for k in part} for part in (train, val)]
        assert not videos[0] & videos[1]
        kinds = sorted(name[:4] for name in videos[1])
        assert kinds == ['pull', 'squa']  # a tenth of 12 and 5 is 1 each; sit-ups have one video
        sizes.add(frozenset(videos[1]))
        assert taken(salient(root, split='val', split_seed=seed)) == val
    assert len(sizes) > 1  # the seed decides
    val = salient(root, split='val', val_fraction=0.5)
    videos = sorted({rows[k][0].split('/')[3][:4] for k in taken(val)})
    assert videos == ['pull', 'squa']
    assert len(val) == (6 + 2) * 4
    (message, *_) = messages(log, 'SalientPoseDataset')
    assert "none is held out: ['situp']" in message


def test_training_always_keeps_a_video(root):
    rows = rows_of(root)
    train = taken(salient(root, split='train', val_fraction=0.999))
    assert len({rows[k][0].split('/')[3] for k in train}) == 3  # one of each class


def test_no_class_with_two_videos_leaves_nothing_to_validate(tmp_path):
    rows = original_rows(random_poses(4, 33, 3), ['squat'] * 4, [0, 1, 0, 1], ['a.mp4'] * 4)
    write_rows(tmp_path / 'a.csv', rows)
    assert len(SalientPoseDataset('a.csv', str(tmp_path), split='train')) == 4
    with pytest.raises(ValueError, match=r"a.csv: no pose of .* is left for split 'val'"):
        SalientPoseDataset('a.csv', str(tmp_path), split='val')


@pytest.mark.parametrize('seed', [0, 7])
def test_folds_are_those_of_scikit_learn(tmp_path, seed):
    names = [f'{("a", "b")[k % 3 == 0]}_{("up", "down")[k % 2]}' for k in range(60)]
    write_rows(tmp_path / 'a.csv', header_rows(random_poses(60, 33, 3), names))
    strata = [2 * (name[0] == 'b') + name.endswith('down') for name in names]
    folds = StratifiedKFold(4, shuffle=True, random_state=seed)
    for fold, (train, val) in enumerate(folds.split(np.zeros(60), strata)):
        options = dict(fold=fold, num_folds=4, fold_seed=seed)
        for split, rows in (('train', train), ('val', val)):
            data = SalientPoseDataset('a.csv', str(tmp_path), split=split, **options)
            assert taken(data) == rows.tolist()
    data = SalientPoseDataset('a.csv', str(tmp_path), split='val', fold=0, num_folds=4, indices=3)
    assert len(data) == 3
    with pytest.raises(ValueError, match=r'a.csv: 60 poses make no 50 folds'):
        SalientPoseDataset('a.csv', str(tmp_path), split='val', fold=0, num_folds=50)


def test_subsets(root):
    assert taken(salient(root, split='val', indices=3)) == taken(salient(root, split='val'))[:3]
    data = salient(root, indices=[5, 2])
    expected = salient(root)
    assert len(data) == 2
    np.testing.assert_array_equal(data[0]['poses'], expected[5]['poses'])
    np.testing.assert_array_equal(data.get_subset([1])[0]['poses'], expected[2]['poses'])


def test_actions_that_are_no_class(root, log):
    line = next(k for k, row in enumerate(rows_of(root), start=1) if row[1] == 'pullups')
    classes = ['squat', 'situp']
    with pytest.raises(ValueError, match=rf"train.csv:{line}: action 'pullups' is none .*'situp'"):
        salient(root, classes=classes)
    data = salient(root, classes=classes, skip_unknown=True)
    assert len(data) == 52
    (message,) = messages(log, 'SalientPoseDataset')
    assert "left out 20 poses of actions that are no class: {'pullups': 20}" in message
    with pytest.raises(ValueError, match=r"no pose of the classes \['lunge'\] is left"):
        salient(root, classes=['lunge'], skip_unknown=True)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='test'), "split is 'test', expected 'train', 'val' or None"),
        (dict(val_fraction=0), 'val_fraction is 0'),
        (dict(val_fraction=1.0), 'val_fraction is 1.0'),
        (dict(num_folds=1), 'num_folds is 1'),
        (dict(fold=0), "fold is 0, so split must be 'train' or 'val'"),
        (dict(fold=5, split='val'), 'fold is 5, expected one of 0 to 4'),
        (dict(fold=-1, split='val'), 'fold is -1'),
        (dict(layout='h36m'), "layout 'h36m' is not one of"),
        (dict(dims=4), 'dims is 4'),
        (dict(classes=[]), 'there are no classes'),
        (dict(classes=['squat', 'squats']), 'are the same action'),
        (dict(salient_names=('up',)), 'salient_names is'),
    ],
)
def test_bad_options_of_single_poses(root, options, message):
    with pytest.raises(ValueError, match=message):
        salient(root, **options)


def test_missing_files_of_single_poses(root):
    with pytest.raises(FileNotFoundError, match=r'nothing\.csv: no such file'):
        SalientPoseDataset('nothing.csv', str(root))
    with pytest.raises(FileNotFoundError, match=r'classes\.csv: no such file.*list of actions'):
        salient(root, classes='classes.csv')


# --- sequences


@pytest.fixture
def videos(tmp_path):
    """Four videos in RepCount's layout, of 13 joints; one of them of two people."""
    (tmp_path / 'annotation').mkdir()
    (tmp_path / 'annotation' / 'test.csv').write_text(
        ',type,name,count,L1,L2,L3,L4,person\n'
        '0,squant,a.mp4,2,1,20,21,49.0,\n'
        '1,pullups,sub/b.mp4,1,3,19,,,1\n'
        '2,rowing,c.mp4,4,,,,,\n'
        '3,squat,d.mp4,0,,,,,\n'
    )
    folder = tmp_path / 'test_poses'
    (folder / 'sub').mkdir(parents=True)
    a = random_poses(50, 39)
    a[7] = 0
    np.save(folder / 'a.npy', a)
    np.save(folder / 'sub' / 'b.npy', random_poses(20, 2, 13, 3, seed=1))
    np.save(folder / 'c.npy', random_poses(5, 13, 3, seed=2))
    np.save(folder / 'd.npy', random_poses(9, 13, 3, seed=3))
    return tmp_path


def repcount(root, **options):
    options = dict(classes=['squat', 'pull_up'], layout='penn', **options)
    return RepCountDataset('annotation/test.csv', str(root), **options)


def test_samples_of_sequences(videos, log):
    data = repcount(videos, frame_rate=30)
    assert len(data) == 4
    samples = [data[k] for k in range(4)]
    a, b = np.load(videos / 'test_poses/a.npy'), np.load(videos / 'test_poses/sub/b.npy')
    a = a.reshape(50, 13, 3)
    a[7] = np.nan
    np.testing.assert_array_equal(samples[0]['poses'].numpy(), min_max_normalize(a))
    np.testing.assert_array_equal(samples[1]['poses'].numpy(), min_max_normalize(b[:, 1]))
    assert samples[0]['poses'].dtype == torch.float32
    meta = [sample['meta'] for sample in samples]
    assert [m['name'] for m in meta] == ['a.mp4', 'sub/b.mp4', 'c.mp4', 'd.mp4']
    assert [m['action'] for m in meta] == ['squat', 'pull_up', 'rowing', 'squat']
    assert [m['label'] for m in meta] == [0, 1, -1, 0]
    assert [m['count'] for m in meta] == [2, 1, 4, 0]
    assert [m['person'] for m in meta] == [0, 1, 0, 0]
    assert meta[0]['repetitions'].tolist() == [[1, 20], [21, 49]]
    assert meta[2]['repetitions'].shape == (0, 2)
    assert {m['frame_rate'] for m in meta} == {30.0}
    assert not any('error' in m for m in meta)
    assert 'frame_rate' not in repcount(videos)[0]['meta']
    (message, *_) = messages(log, 'RepCountDataset')
    assert "1 videos kept as of no class: {'rowing': 1}" in message


def test_metainfo_and_classes_of_sequences(videos):
    data = repcount(videos, dims=2)
    assert data.metainfo['classes'] == ('squat', 'pull_up')
    assert data.metainfo['layout'] == 'penn'
    assert data.metainfo['joint_names'] == list(PENN.joint_names)
    assert data[0]['poses'].shape == (50, 13, 2)
    data = RepCountDataset('annotation/test.csv', str(videos), layout='penn')
    assert data.metainfo['classes'] == ('pullups', 'rowing', 'squant')  # squat and squant are one
    assert [data[k]['meta']['label'] for k in range(4)] == [2, 0, 1, 2]


def test_unknown_actions_can_be_dropped(videos, log):
    data = repcount(videos, unknown_actions='drop', test_mode=True)
    assert [data[k]['meta']['name'] for k in range(len(data))] == ['a.mp4', 'sub/b.mp4', 'd.mp4']
    (message,) = messages(log, 'RepCountDataset')
    assert "1 videos left out, being of no class: {'rowing': 1}" in message
    with pytest.raises(ValueError, match="unknown_actions is 'skip', expected 'keep' or 'drop'"):
        repcount(videos, unknown_actions='skip')
    with pytest.raises(ValueError, match=r"no video of the classes \['lunge'\] is left"):
        RepCountDataset(
            'annotation/test.csv', str(videos), classes=['lunge'], unknown_actions='drop'
        )


def test_collate_keeps_meta_whole(videos):
    (videos / 'test_poses' / 'c.npy').unlink()
    data = repcount(videos, test_mode=True)
    assert FUNCTIONS.get('poserac_collate') is poserac_collate
    samples = [data[k] for k in range(4)]
    batch = poserac_collate(samples)
    assert set(batch) == {'poses', 'meta'}
    assert [len(poses) for poses in batch['poses']] == [50, 20, 1, 9]
    assert batch['meta'] == [sample['meta'] for sample in samples]
    assert 'error' in batch['meta'][2]
    assert isinstance(pseudo_collate(samples)['meta'], dict)  # why there is a function of our own


@pytest.mark.parametrize(
    ('break_it', 'index', 'message'),
    [
        (lambda f: (f / 'a.npy').unlink(), 0, r'a\.npy: no such file'),
        (lambda f: (f / 'a.npy').write_bytes(b'junk'), 0, r'a\.npy: is no array'),
        (lambda f: np.save(f / 'd.npy', np.zeros((5, 17, 3))), 3, r'd\.npy: has shape \(5, 17, 3'),
        (lambda f: np.save(f / 'd.npy', np.zeros((0, 13, 3))), 3, r'd\.npy: '),
        (
            lambda f: np.save(f / 'sub' / 'b.npy', random_poses(20, 13, 3)),
            1,
            r"b\.npy: holds 1 people, but the annotation has person 1 \(from 0\) of 'sub/b.mp4'",
        ),
    ],
)
def test_unreadable_poses(videos, log, break_it, index, message):
    break_it(videos / 'test_poses')
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        repcount(videos)[index]
    log.clear()
    data = repcount(videos, test_mode=True)
    for _ in range(2):  # epochs
        samples = [data[k] for k in range(4)]
    (_, warning) = messages(log, 'RepCountDataset')
    assert 'the poses of 1 of 4 samples cannot be read' in warning
    assert samples[index]['poses'].shape == (1, 13, 3)
    assert samples[index]['poses'].isnan().all()
    assert [k for k in range(4) if 'error' in samples[k]['meta']] == [index]
    assert samples[index]['meta']['error'] in warning
    assert samples[index]['meta']['count'] == [2, 1, 4, 0][index]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        repcount(videos, test_mode=True, skip_unreadable=False)[index]


def test_a_file_that_goes_bad_later_costs_no_epoch(videos):
    data = repcount(videos, test_mode=True)
    (videos / 'test_poses' / 'a.npy').unlink()
    assert 'no such file' in data[0]['meta']['error']
    assert data[0]['poses'].isnan().all()


def test_repetitions_beyond_the_frames(videos, log):
    np.save(videos / 'test_poses' / 'a.npy', random_poses(49, 13, 3))
    with pytest.raises(
        ValueError, match=r"a\.npy: holds 49 frames.*frame 49 \(from 0\) of 'a.mp4'"
    ):
        repcount(videos)[0]
    sample = repcount(videos, test_mode=True)[0]  # what is counted does not depend on them
    assert sample['poses'].shape == (49, 13, 3)
    assert sample['meta']['repetitions'].tolist() == [[1, 20]]
    assert sample['meta']['count'] == 2
    assert 'error' not in sample['meta']
    warning = messages(log, 'RepCountDataset')[-1]
    assert '1 of 4 samples have repetitions beyond their frames' in warning
    assert 'a.mp4' in warning


@pytest.mark.parametrize('test_mode', [True, False])
def test_repetitions_that_end_before_they_start(videos, log, test_mode):
    path = videos / 'annotation' / 'test.csv'
    path.write_text(path.read_text().replace('1,20,21,49.0', '9,5,21,21').replace('3,19', '19,3'))
    data = repcount(videos, test_mode=test_mode)
    for _ in range(2):  # epochs
        first, second = data[0]['meta'], data[1]['meta']
    assert first['repetitions'].tolist() == [[21, 21]]
    assert second['repetitions'].shape == (0, 2)
    assert (first['count'], second['count']) == (2, 1)  # what is counted does not depend on them
    (_, warning) = messages(log, 'RepCountDataset')
    assert '2 of 4 samples have repetitions that end before they start' in warning
    assert warning.endswith('a.mp4; sub/b.mp4')


def test_no_poses_at_all(videos):
    with pytest.raises(FileNotFoundError, match=r'poses of none of the 4 .*elsewhere/a.npy'):
        repcount(videos, pose_dir='elsewhere', test_mode=True)


@pytest.mark.parametrize('name', ['../a.mp4', '/a.mp4', 'sub/../../a.mp4', 'C:\\\\a.mp4'])
@pytest.mark.parametrize('test_mode', [True, False])
def test_names_that_lead_elsewhere_are_refused(videos, name, test_mode):
    path = videos / 'annotation' / 'test.csv'
    path.write_text(path.read_text().replace('c.mp4', name))
    with pytest.raises(ValueError, match=r'test.csv:4: video name .* is no path inside of'):
        repcount(videos, test_mode=test_mode)


def test_bad_options_of_sequences(videos):
    with pytest.raises(ValueError, match='frame_rate is 0, expected a number above 0'):
        repcount(videos, frame_rate=0)
    with pytest.raises(ValueError, match='dims is 1'):
        repcount(videos, dims=1)
    with pytest.raises(FileNotFoundError, match=r'other\.csv: no such file'):
        RepCountDataset('other.csv', str(videos))
