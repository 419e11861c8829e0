"""From videos to the challenge's score, each step the command that a user would type."""

import json
import zipfile

import pytest

from tests.test_wiring import last_checkpoint, python, test_score


def train_and_test(config, root, folder, out, **options):
    """A toy config trained for a few iterations and tested; what testing printed."""
    data = {
        f'{split}_dataloader.{key}': value
        for split in ('train', 'test')
        for key, value in {'dataset.data_root': root, 'num_workers': 0}.items()
    }
    settings = {**data, 'train_cfg.max_epochs': 1, **options}
    words = ['--cfg-options', *(f'{key}={value}' for key, value in settings.items())]
    words += ['--work-dir', folder]
    python('tools/train.py', config, '--no-validate', *words)
    return python('tools/test.py', config, last_checkpoint(folder), '--out', out, *words)


def test_from_videos_to_the_score(tmp_path):
    root = tmp_path / 'kinetics_tps'
    python(
        *('tools/datasets/make_synthetic.py', 'kinetics-tps', '--out', root),
        *('--classes', 'bow', 'squat', '--train-videos', 3, '--test-videos', 2),
        *('--num-frames', 11, '--image-size', 80, 64),
    )
    pred, gt = tmp_path / 'pred', tmp_path / 'gt'
    people, videos = pred / 'pred_part_result.json', pred / 'pred_vid_result.json'
    parser_log = train_and_test('configs/apct/apct_toy.py', root, tmp_path / 'parser', people)
    classifier_log = train_and_test(
        *('configs/apct/classifier_toy.py', root, tmp_path / 'classifier', videos),
        **{'model.cls_head.num_classes': 2},
    )

    submission = tmp_path / 'submission.zip'
    python(*('tools/make_submission.py', people, videos, '--data-root', root, '--out', submission))
    with zipfile.ZipFile(submission) as archive:
        names = sorted(archive.namelist())
    assert names == ['pred_part_result.json', 'pred_vid_result.json']
    check = ('tools/make_submission.py', '--validate', submission, '--data-root', root)
    assert f'{submission}: valid' in python(*check)

    python('tools/datasets/kinetics_tps_ground_truth.py', root, '--split', 'test', '--out', gt)
    frames = json.loads((gt / 'gt_part_result.json').read_text())
    assert {tuple(video) for video in frames.values()} == {
        tuple(f'img_{number:05d}.json' for number in (1, 6, 11))
    }
    for results in (pred, submission):
        line = python('tools/evaluate_kinetics_tps.py', gt, results).splitlines()[-1]
        score = json.loads(line)
        # what the two tests printed, with four digits
        mean_psc = test_score(parser_log, 'kinetics_tps/mean_psc')
        assert score['mean_psc'] == pytest.approx(mean_psc, abs=1e-4)
        top1 = test_score(classifier_log, 'video/top1')
        assert score['top1'] == pytest.approx(top1, abs=1e-4)
        assert 0 <= score['acc_p'] <= 1
