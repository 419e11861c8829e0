from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import HOOKS

from projects import visualization
from projects.keypoints import LAYOUTS
from projects.star.visualizer import STARVisualizationHook, input_clip
from projects.visualization import DrawnSample

T, J = 4, 13
CLASSES = ('squat', 'bowl', 'golf_swing')
META = dict(classes=CLASSES, keypoint_layout='penn')


def runner_of(meta=META):
    return SimpleNamespace(test_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo=meta)))


def batch_of(samples=2, imgs=True, keypoint=True, people=1):
    torch.manual_seed(0)
    inputs = {}
    if imgs:
        inputs['imgs'] = [torch.randint(0, 256, (1, 3, T, 20, 30), dtype=torch.uint8)] * samples
    if keypoint:
        inputs['keypoint'] = [torch.rand(1, T, people * J, 3)] * samples
    return dict(inputs=inputs)


def outputs_of(samples=2, truth=True, first=0):
    found = []
    for number in range(first, first + samples):
        one = ActionDataSample(metainfo=dict(name=f'frames/{number:04}'))
        one.set_pred_score(torch.tensor([0.2, 0.7, 0.1])).set_pred_label(1)
        found.append(one.set_gt_label(0) if truth else one)
    return found


@pytest.mark.parametrize(
    'options', [{}, dict(imgs=False), dict(keypoint=False), dict(people=2, imgs=False)]
)
@pytest.mark.parametrize('truth', [True, False])
def test_clips_are_drawn(tmp_path, options, truth):
    hook = HOOKS.build(
        dict(type='STARVisualizationHook', enable=True, out_dir=str(tmp_path), interval=1)
    )
    hook.before_test_epoch(runner_of())
    hook.after_test_iter(runner_of(), 0, batch_of(**options), outputs_of(truth=truth))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:19] for name in names] == ['000000_frames_0000-', '000001_frames_0001-']
    for name in names:
        assert min(cv2.imread(str(tmp_path / name)).shape[:2]) > 250


def test_every_nth_clip_over_batches_and_names_of_no_folder(tmp_path):
    hook = STARVisualizationHook(True, str(tmp_path), interval=3)
    hook.before_test_epoch(runner_of())
    for batch in range(3):
        hook.after_test_iter(runner_of(), batch, batch_of(), outputs_of(first=2 * batch))
    assert [path.name[:11] for path in sorted(tmp_path.iterdir())] == ['000000_fram', '000003_fram']
    bad = outputs_of(1)
    bad[0].set_metainfo(dict(name='../../out'))
    name = hook.file_name(DrawnSample(0, 0, batch_of(1), bad[0], None))
    assert '/' not in name
    assert '..' not in name


def test_inputs_become_pixels_again():
    inputs = {key: value[0][0] for key, value in batch_of(people=2)['inputs'].items()}
    keypoint = inputs['keypoint']
    keypoint[0, J] = torch.tensor([0.25, 0.5, 1.0])  # the second person's first joint
    keypoint[1, J] = 0
    clip = input_clip(inputs, LAYOUTS['penn'], 'a')
    assert clip.shape == (20, 30)
    assert clip.points.shape == (2, T, J, 2)
    assert clip.points[1, 0, 0].tolist() == [7, 9.5]
    assert clip.scores[1, :2, 0].tolist() == [1, 0]
    pictures = list(clip.pictures(np.array([1, 3])))
    expected = inputs['imgs'].permute(1, 2, 3, 0).numpy()
    assert (pictures[0] == expected[1]).all()
    assert (pictures[1] == expected[3]).all()


def test_what_cannot_be_drawn_is_told():
    inputs = dict(imgs=torch.rand(3, T, 8, 8))
    with pytest.raises(ValueError, match=r'imgs of a is float32 of shape \(3, 4, 8, 8\)'):
        input_clip(inputs, LAYOUTS['penn'], 'a')
    inputs = dict(keypoint=torch.rand(T, 25, 3))
    with pytest.raises(ValueError, match='has 25 joints, expected a multiple of the 13'):
        input_clip(inputs, LAYOUTS['penn'], 'a')


def test_without_layout_nothing_is_drawn_and_testing_goes_on(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(visualization, 'print_log', lambda text, **options: told.append(text))
    hook = STARVisualizationHook(True, str(tmp_path), interval=1)
    hook.before_test_epoch(runner_of())
    hook.after_test_iter(runner_of(dict(classes=CLASSES)), 0, batch_of(), outputs_of())
    assert not list(tmp_path.iterdir())
    assert len(told) == 2
    assert 'has no keypoint_layout' in told[0]


@pytest.mark.parametrize('topk', [0, True, 1.5])
def test_bad_topk(topk):
    with pytest.raises(ValueError, match='topk is'):
        STARVisualizationHook(topk=topk)
