import json
import logging

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DATASETS

from projects.apct.dataset import KineticsTPSDataset
from projects.apct.video_dataset import KineticsTPSVideoDataset
from projects.apct.video_metric import KineticsTPSVideoMetric
from tests.test_apct.small_set import damage_middle, number_of, write_small_set

SAMPLE = [dict(type='mmaction.SampleFrames', clip_len=4, frame_interval=2, num_clips=1)]
PACK = [
    dict(type='mmaction.FormatShape', input_format='NCTHW'),
    dict(type='mmaction.PackActionInputs', meta_keys=('img_shape', 'video')),
]
PIPELINES = dict(
    video=[
        dict(type='mmaction.DecordInit'),
        *SAMPLE,
        dict(type='mmaction.DecordDecode'),
        *PACK,
    ],
    frames=[*SAMPLE, dict(type='mmaction.RawFrameDecode'), *PACK],
)


@pytest.fixture(autouse=True)
def _mmengine_log_is_captured(caplog):
    print_log('', logger='current')  # makes sure that there is a current logger
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)


def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


@pytest.mark.parametrize('storage', ['video', 'frames'])
def test_clips_come_out_of_either_storage(tmp_path, storage):
    root = write_small_set(tmp_path, storage)
    config = dict(type='mmaction.KineticsTPSVideoDataset', data_root=str(root), split='trainval')
    dataset = DATASETS.build(dict(config, storage=storage, pipeline=PIPELINES[storage]))
    assert len(dataset) == 8
    assert dataset.metainfo['video_classes'] == dataset.metainfo['classes'] == ['jump', 'run']
    for index in range(8):
        packed = dataset[index]
        sample = packed['data_samples']
        assert packed['inputs'].shape == (1, 3, 4, 48, 64)
        video_class = ['jump', 'run'][int(sample.gt_label)]
        assert sample.video == f'train_{video_class}_{index % 4}'
        numbers = [number_of(frame) for frame in packed['inputs'][0].numpy().transpose(1, 2, 3, 0)]
        assert np.diff(numbers).tolist() == [2, 2, 2]  # frames 1 to 11, each where it belongs
        assert numbers[0] >= 1
        assert numbers[-1] <= 11


@pytest.mark.parametrize('split', ['train', 'val', 'trainval', 'test'])
def test_splits_are_those_of_the_parser(tmp_path, split):
    root = str(write_small_set(tmp_path, 'video', videos=5, frames=1))
    videos = KineticsTPSVideoDataset(root, split, val_every=2)
    frames = KineticsTPSDataset(root, split, val_every=2)
    listed = [videos.get_data_info(i)['video'] for i in range(len(videos))]
    assert listed == [frames.get_data_info(i)['video'] for i in range(len(frames))]
    assert len(listed) == dict(train=6, val=4, trainval=10, test=2)[split]


def test_labels_follow_the_given_classes(tmp_path):
    root = str(write_small_set(tmp_path, 'video', frames=1))
    dataset = KineticsTPSVideoDataset(root, 'test', classes=['run', 'jump'])
    labels = {info['video_class']: info['label'] for info in map(dataset.get_data_info, range(2))}
    assert labels == dict(run=0, jump=1)


def test_other_storage_is_explained(tmp_path):
    for storage, other, advice in (
        ('frames', 'video', "set storage='frames' and decode with RawFrameDecode"),
        ('video', 'frames', "set storage='video' and decode with DecordInit"),
    ):
        root = str(write_small_set(tmp_path / storage, storage, frames=2))
        with pytest.raises(ValueError, match=f"none of 8 videos is stored as '{other}': {advice}"):
            KineticsTPSVideoDataset(root, 'trainval', storage=other)


def test_videos_without_all_frames_are_left_out(tmp_path, caplog):
    root = write_small_set(tmp_path, 'frames')
    (root / 'train_videos' / 'run' / 'train_run_1' / 'img_00003.jpg').unlink()
    assert len(KineticsTPSVideoDataset(str(root), 'trainval', storage='frames')) == 7
    (warning,) = warnings_of(caplog)
    assert '1 x video without a folder of all of its frames, left out (first: run/train_run_1)' in (
        warning
    )


def test_bad_options(tmp_path):
    root = str(write_small_set(tmp_path, 'video', videos=2, frames=1))
    with pytest.raises(ValueError, match="storage is 'mp4', expected one of"):
        KineticsTPSVideoDataset(root, 'train', storage='mp4')
    with pytest.raises(ValueError, match="split is 'all'"):
        KineticsTPSVideoDataset(root, 'all')
    with pytest.raises(FileNotFoundError, match='a class needs 10 videos to have one'):
        KineticsTPSVideoDataset(root, 'val')
    with pytest.raises(FileNotFoundError, match='train_annotations: no such folder'):
        KineticsTPSVideoDataset(str(tmp_path / 'nowhere'), 'train')


def evaluate(scores, labels, names=6, **options):
    """The metric on hand-made results, as the runner calls it."""
    metric = KineticsTPSVideoMetric(**options)
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dict(video_classes=[f'class {i}' for i in range(names)])
    for index, (score, label) in enumerate(zip(scores, labels, strict=True)):
        sample = ActionDataSample(metainfo=dict(video=f'v{index}')).set_gt_label(label)
        evaluator.process([sample.set_pred_score(torch.tensor(score))])
    return evaluator.evaluate(len(scores))


SCORES = [
    [0.9, 0.1, 0.2, 0.3, 0.4, 0.5],  # label 0: first
    [0.9, 0.1, 0.2, 0.3, 0.4, 0.5],  # label 5: second
    [0.9, 0.1, 0.2, 0.3, 0.4, 0.5],  # label 1: last
    [0.0, 0.1, 0.7, 0.3, 0.4, 0.5],  # label 2: first
]


def test_accuracy_by_hand(tmp_path):
    outfile = tmp_path / 'results' / 'pred_vid_result.json'
    metrics = evaluate(SCORES, [0, 5, 1, 2], outfile=str(outfile))
    assert metrics['video/top1'] == pytest.approx(0.5)
    assert metrics['video/top5'] == pytest.approx(0.75)
    assert metrics['video/mean_class'] == pytest.approx(0.5)
    assert json.loads(outfile.read_text()) == {
        'v0': 'class 0',
        'v1': 'class 0',
        'v2': 'class 0',
        'v3': 'class 2',
    }


def test_accuracy_of_few_classes():
    metrics = evaluate([[0.2, 0.8], [0.6, 0.4]], [1, 1], names=2)
    assert metrics == {'video/top1': 0.5, 'video/mean_class': 0.5}


def test_metric_names_what_is_wrong(caplog):
    with pytest.raises(ValueError, match=r"'v0': got scores of shape \(2,\), .* of the 6 classes"):
        evaluate([[0.2, 0.8]], [1])
    with pytest.raises(ValueError, match='topk is'):
        KineticsTPSVideoMetric(topk=(0,))
    metric = KineticsTPSVideoMetric(outfile='x.json')
    nameless = ActionDataSample().set_gt_label(0).set_pred_score(torch.zeros(2)).to_dict()
    with pytest.raises(ValueError, match=r"meta_keys=\('img_shape', 'video'\)"):
        metric.process(None, [nameless])
    metrics = evaluate([[float('nan')] * 6, SCORES[0]], [3, 0])
    assert metrics['video/top1'] == 0.5
    assert "1 of 2 videos are not finite, first of 'v0'" in warnings_of(caplog)[0]


@pytest.mark.parametrize('storage', ['video', 'frames'])
def test_video_that_cannot_be_decoded(tmp_path, storage, caplog):
    root = write_small_set(tmp_path, storage, videos=2, frames=61)
    folder = root / 'train_videos' / 'run' / 'train_run_0'
    if storage == 'video':
        damage_middle(folder.with_suffix('.mp4'))
    else:
        for path in folder.iterdir():
            path.write_bytes(b'no image')
    options = dict(storage=storage, pipeline=PIPELINES[storage])
    tested = KineticsTPSVideoDataset(str(root), 'trainval', test_mode=True, **options)
    samples = [tested[index]['data_samples'] for index in range(4)]
    assert [sample.video for sample in samples] == [
        *('train_jump_0', 'train_jump_1', 'train_run_0', 'train_run_1')
    ]
    assert [int(sample.gt_label) for sample in samples] == [0, 0, 1, 1]
    assert [sample.get('unreadable', False) for sample in samples] == [False, False, True, False]
    # mmaction2's decoders warn of their own use of mmengine as well
    (warning,) = [text for text in warnings_of(caplog) if str(folder) in text]
    assert 'taken as a video of class 0' in warning
    if storage == 'video':  # the frames that training draws may all lie before the damaged place
        folder.with_suffix('.mp4').write_bytes(b'no video')
    trained = KineticsTPSVideoDataset(str(root), 'trainval', **options)
    sample = trained[2]['data_samples']
    assert (sample.video, int(sample.gt_label)) == ('train_run_1', 1)
    assert 'unreadable' not in sample
    assert 'left out' in warnings_of(caplog)[-1]


def test_fault_of_the_pipeline_is_no_unreadable_video(tmp_path):
    root = write_small_set(tmp_path, 'video', videos=2, frames=3)
    pipeline = [dict(type='mmaction.DecordDecode')]  # without its DecordInit
    dataset = KineticsTPSVideoDataset(str(root), 'trainval', test_mode=True, pipeline=pipeline)
    with pytest.raises(ValueError, match=r'cannot be loaded, nor can the 3 videos after it: '):
        dataset[0]


def test_unreadable_video_counts_as_class_0(tmp_path, caplog):
    outfile = tmp_path / 'pred_vid_result.json'
    metric = KineticsTPSVideoMetric(outfile=str(outfile))
    assert metric.collect_device == 'gpu'  # needs no folder that nodes share
    metric.dataset_meta = dict(video_classes=['jump', 'run'])
    for name in ('v', 'w'):
        sample = ActionDataSample(metainfo=dict(video=name)).set_gt_label(1)
        sample.set_pred_score(torch.tensor([0.1, 0.9]))
        if name == 'w':
            sample.set_metainfo(dict(unreadable=True))
        metric.process(None, [sample.to_dict()])
    assert metric.evaluate(2)['video/top1'] == 0.5
    assert json.loads(outfile.read_text()) == dict(v='run', w='jump')
    assert "1 of 2 videos could not be read, first 'w'" in warnings_of(caplog)[0]
