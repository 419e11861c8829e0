import logging
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import HOOKS
from mmengine.structures import InstanceData
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures import PoseDataSample

from projects.files import safe_name
from projects.presence import visualizer
from projects.presence.hooks import PresenceThresholdHook
from projects.presence.people import predicted_person, predicted_presence, true_person
from projects.presence.visualizer import KeypointPresenceVisualizationHook

K = 17
RUNNER = SimpleNamespace(
    hooks=[],
    test_dataloader=SimpleNamespace(
        dataset=SimpleNamespace(metainfo=parse_pose_metainfo(CocoDataset.METAINFO))
    ),
)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / 'a photo.png'
    cv2.imwrite(str(path), np.full((200, 300, 3), 90, np.uint8))
    return path


def sample_of(path, truth=True, presence=True):
    rng = np.random.default_rng(0)
    points = rng.uniform(60, 140, (1, K, 2))
    box = np.array([[50.0, 50, 150, 150]])
    sample = PoseDataSample(
        metainfo=dict(
            img_path=str(path),
            input_center=np.array([100.0, 100]),
            input_scale=np.array([125, 125]),
        )
    )
    scores = rng.uniform(0, 1, (1, K)).astype(np.float32)
    sample.pred_instances = InstanceData(
        keypoints=points, keypoint_scores=scores, keypoints_visible=scores, bboxes=box
    )
    if presence:
        sample.pred_instances.keypoints_presence = 1 - scores
    sample.gt_instances = InstanceData(bboxes=box)
    if truth:
        sample.gt_instances.keypoints = np.where(np.arange(K)[:, None] < 12, points, 0)
        sample.gt_instances.keypoints_visible = (np.arange(K)[None] < 12).astype(np.float32)
    return sample


def test_every_nth_person_is_drawn(tmp_path, photo):
    hook = KeypointPresenceVisualizationHook(enable=True, out_dir=str(tmp_path / 'out'), interval=2)
    hook.before_test_epoch(RUNNER)
    for index in range(2):
        hook.after_test_iter(RUNNER, index, {}, [sample_of(photo)] * 3)
    stem = safe_name('a photo')
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == [f'{number:06d}_{stem}.png' for number in (0, 2, 4)]


def test_truth_stands_beside_where_it_is_known(tmp_path, photo):
    hook = KeypointPresenceVisualizationHook(enable=True, out_dir=str(tmp_path / 'out'), interval=1)
    hook.after_test_iter(RUNNER, 0, {}, [sample_of(photo), sample_of(photo, truth=False)])
    beside, alone = (cv2.imread(str(path)) for path in sorted((tmp_path / 'out').iterdir()))
    assert beside.shape[1] > 1120  # two pictures and a card
    assert alone.shape[1] < 1600


def test_what_is_drawn_is_moved_with_the_picture(tmp_path, photo, monkeypatch):
    seen = []

    def watch(image, truth, person, look, **options):
        seen.append((image, truth, person, options))
        return image

    monkeypatch.setattr(visualizer, 'draw_with_truth', watch)
    options = dict(enable=True, out_dir=str(tmp_path / 'out'), interval=1, threshold=0.3)
    hook = KeypointPresenceVisualizationHook(scores='all', **options)
    sample = sample_of(photo)
    hook.after_test_iter(RUNNER, 0, {}, [sample])
    ((image, truth, person, options),) = seen
    assert image.shape == (150, 150, 3)  # what the model saw and a tenth on each side
    np.testing.assert_allclose(person.points, sample.pred_instances.keypoints[0] - 25)
    np.testing.assert_allclose(truth.points[:12], sample.pred_instances.keypoints[0, :12] - 25)
    assert np.isnan(truth.points[12:]).all()
    np.testing.assert_allclose(person.box, [25, 25, 125, 125])
    assert options == dict(threshold=0.3, scores='all', measure='probability')
    assert (person.present == (sample.pred_instances.keypoints_presence[0] >= 0.3)).all()


def test_threshold_is_that_of_the_checkpoint(tmp_path, photo, monkeypatch):
    seen = []

    def watch(image, truth, person, look, **options):
        seen.append((options['threshold'], person.present))
        return image

    monkeypatch.setattr(visualizer, 'draw_with_truth', watch)
    remembers = PresenceThresholdHook()
    run = SimpleNamespace(hooks=[remembers], test_dataloader=RUNNER.test_dataloader)
    options = dict(enable=True, out_dir=str(tmp_path / 'out'), interval=1)
    follows, fixed = (
        KeypointPresenceVisualizationHook(threshold=threshold, **options)
        for threshold in (None, 0.9)
    )
    sample = sample_of(photo)
    for threshold in (0.25, None):
        meta = {} if threshold is None else dict(presence_threshold=threshold)
        remembers.after_load_checkpoint(run, dict(meta=meta))
        for hook in (follows, fixed):
            hook.before_test_epoch(run)
            hook.after_test_iter(run, 0, {}, [sample])
    assert [threshold for threshold, _ in seen] == [0.25, 0.9, 0.5, 0.9]
    for threshold, present in seen:
        assert (present == (sample.pred_instances.keypoints_presence[0] >= threshold)).all()


def test_a_picture_that_is_gone_stops_nothing(tmp_path, photo, caplog):
    hook = KeypointPresenceVisualizationHook(enable=True, out_dir=str(tmp_path / 'out'), interval=1)
    with caplog.at_level(logging.WARNING):
        hook.after_test_iter(RUNNER, 0, {}, [sample_of(tmp_path / 'no.png'), sample_of(photo)])
    assert len(list((tmp_path / 'out').iterdir())) == 1


def test_options():
    assert not KeypointPresenceVisualizationHook().enable
    KeypointPresenceVisualizationHook().after_test_iter(None, 0)
    with pytest.raises(ValueError, match='out_dir is not set'):
        KeypointPresenceVisualizationHook(enable=True)
    with pytest.raises(ValueError, match='threshold is 2, expected a number in 0..1'):
        KeypointPresenceVisualizationHook(threshold=2)
    with pytest.raises(ValueError, match="scores is 'some', expected one of"):
        KeypointPresenceVisualizationHook(scores='some')
    assert HOOKS.get('KeypointPresenceVisualizationHook') is KeypointPresenceVisualizationHook


def test_presence_is_the_best_that_there_is():
    instances = sample_of('a.png').pred_instances
    presence = predicted_presence(instances)
    assert presence.source == 'keypoints_presence'
    np.testing.assert_allclose(presence.scores, instances.keypoints_presence[0])
    del instances.keypoints_presence
    assert predicted_presence(instances).source == 'keypoint_scores'
    instances.keypoints_visible = torch.full((1, K), 0.25)  # of VisPredictHead
    presence = predicted_presence(instances)
    assert presence.source == 'keypoints_visible'
    assert presence.scores.tolist() == [0.25] * K
    del instances.keypoints_visible
    assert predicted_presence(instances).source == 'keypoint_scores'


def test_present_is_what_reaches_the_threshold():
    sample = sample_of('a.png')
    sample.pred_instances.keypoints_presence = np.array([[0.5] * 8 + [0.4999] * 9])
    person = predicted_person(sample, 0.5)
    assert person.present.tolist() == [True] * 8 + [False] * 9


def test_truth_goes_by_the_label():
    sample = sample_of('a.png')
    assert true_person(sample).truth.tolist() == [1] * 12 + [0] * 5
    pairs = np.stack([sample.gt_instances.keypoints_visible, np.ones((1, K))], axis=-1)
    sample.gt_instances.keypoints_visible = pairs  # as mmpose's converters leave it
    assert true_person(sample).truth.tolist() == [1] * 12 + [0] * 5
    sample.gt_instance_labels = InstanceData(
        keypoint_presence=torch.tensor([[0.0, 1, 0] + [1] * 14]),
        keypoint_presence_weights=torch.tensor([[1.0, 1, 0] + [1] * 14]),
    )
    truth = true_person(sample)
    assert truth.truth[:2].tolist() == [0, 1]
    assert np.isnan(truth.truth[2])
    assert truth.present[:3].tolist() == [False, True, False]
    assert np.isfinite(sample.gt_instances.keypoints[0, 2]).all()
    # neither a ring nor a disc says that nobody knows
    assert (
        np.isfinite(truth.points).all(axis=1).tolist()
        == [True, True, False] + [True] * 9 + [False] * 5
    )
    labels = sample.gt_instance_labels  # as mmpose stacks them behind several encoders
    for stacked in (torch.stack([label] * 3) for label in (torch.zeros(1, K), torch.ones(1, K))):
        sample.gt_instance_labels = InstanceData(
            keypoint_presence=stacked, keypoint_presence_weights=torch.ones(3, 1, K)
        )
        assert true_person(sample).truth.tolist() == stacked[0, 0].tolist()
    sample.gt_instance_labels = InstanceData(
        **{name: torch.stack([label] * 3) for name, label in labels.items()}
    )
    again = true_person(sample)
    np.testing.assert_array_equal(again.truth, truth.truth)
    np.testing.assert_array_equal(again.points, truth.points)
    assert true_person(sample_of('a.png', truth=False)) is None
    sample.gt_instances.keypoints = np.zeros((1, K, 2))  # mmpose's, of a detected box
    assert true_person(sample) is None
