import math
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import projects.upstream  # noqa: F401 - lets PyTorch's safe loading read mmengine's checkpoints
from projects.presence.hooks import PresenceThresholdHook
from projects.presence.metric import KeypointPresenceMetric

TRUTH = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
SOURCES = dict(presence='keypoints_presence', half='keypoint_halves')
INPUTS = torch.tensor([[0.9, 0.8], [0.7, 0.3], [0.2, 0.6], [0.4, 0.1]])


class FourPeople(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=INPUTS[index], index=index)


class Scaled(BaseModel):
    """Presence of a keypoint is the input times a number that training lowers by 0.1 an epoch."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))  # cross_entropy is least at 1.3

    def forward(self, inputs, index, mode='tensor'):
        if mode == 'loss':
            return dict(loss=self.scale)
        scores = (torch.stack(inputs) * self.scale).detach().numpy()
        return [
            dict(
                gt_instance_labels=dict(keypoint_presence=TRUTH[i][None]),
                pred_instances=dict(keypoints_presence=row[None], keypoint_halves=row[None] / 2),
            )
            for i, row in zip(index, scores, strict=True)
        ]


def runner(work_dir, epochs=1, metric=None, hook=True, **options):
    loader = dict(
        batch_size=4,
        num_workers=0,
        dataset=FourPeople(),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    metric = metric or KeypointPresenceMetric(sources=SOURCES)
    made = Runner(
        model=Scaled(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_cfg={},
        test_cfg={},
        val_evaluator=[KeypointPresenceMetric(sources=SOURCES)],
        test_evaluator=[metric],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', save_best='presence/cross_entropy', rule='less', interval=1
            )
        ),
        custom_hooks=[dict(type='PresenceThresholdHook')] if hook else [],
        experiment_name=work_dir.name + str(len(list(work_dir.iterdir()))),
        default_scope='mmengine',
        **options,
    )
    return made


def hook_of(made):
    return next(hook for hook in made.hooks if isinstance(hook, PresenceThresholdHook))


def meta_of(path):
    return torch.load(path, weights_only=True)['meta']


@pytest.fixture
def trained(tmp_path):
    made = runner(tmp_path, epochs=3)
    made.train()
    return made, tmp_path


def test_checkpoints_hold_the_threshold(trained):
    made, folder = trained
    best = folder / 'best_presence_cross_entropy_epoch_2.pth'
    # all present keypoints, and no others, have 0.6 of the scale or more
    thresholds = [0.6 * scale for scale in (1.4, 1.3, 1.2)]
    assert meta_of(best)['presence_threshold'] == pytest.approx(thresholds[1])
    assert type(meta_of(best)['presence_threshold']) is float
    of_sources = meta_of(best)['presence_thresholds']
    assert type(of_sources) is dict
    assert of_sources == pytest.approx(dict(presence=thresholds[1], half=thresholds[1] / 2))
    assert {type(value) for value in of_sources.values()} == {float}
    assert hook_of(made).threshold == pytest.approx(thresholds[2])
    # the first two were written again as the best so far, the last one is of before validation
    found = [meta_of(folder / f'epoch_{epoch}.pth')['presence_threshold'] for epoch in (1, 2, 3)]
    assert found == pytest.approx([thresholds[0], thresholds[1], thresholds[1]])


def test_testing_is_at_the_threshold_of_validation(trained, tmp_path):
    _, folder = trained
    best = next(folder.glob('best_*.pth'))
    made = runner(tmp_path, load_from=str(best))
    scores = made.test()
    assert scores['presence/F1_val'] == 1
    assert scores['presence/half/F1_val'] == scores['presence/half/F1_macro_val'] == 1
    assert made.test_evaluator.metrics[0].threshold is None  # given back
    own = KeypointPresenceMetric(sources=SOURCES, threshold=0.85)
    scores = runner(tmp_path, load_from=str(best), metric=own).test()
    assert scores['presence/F1_val'] < 1
    assert own.threshold == 0.85


def test_resumed_run_remembers(trained, tmp_path):
    _, folder = trained
    made = runner(tmp_path, epochs=3, load_from=str(folder / 'epoch_3.pth'), resume=True)
    made.load_or_resume()
    assert hook_of(made).threshold == meta_of(folder / 'epoch_3.pth')['presence_threshold']


def test_thresholds_go_by_name(trained, tmp_path):
    _, folder = trained
    best = next(folder.glob('best_*.pth'))
    turned = dict(other='keypoint_halves', half='keypoint_halves')
    metric = KeypointPresenceMetric(sources=turned)
    scores = runner(tmp_path, load_from=str(best), metric=metric).test()
    assert scores['presence/half/F1_val'] == 1
    assert 'presence/F1_val' not in scores  # the threshold of another kind of score


def test_checkpoint_with_the_first_threshold_alone(trained, tmp_path):
    _, folder = trained
    content = torch.load(next(folder.glob('best_*.pth')), weights_only=True)
    del content['meta']['presence_thresholds']
    torch.save(content, tmp_path / 'old.pth')
    scores = runner(tmp_path, load_from=str(tmp_path / 'old.pth')).test()
    assert scores['presence/F1_val'] == 1
    assert 'presence/half/F1_val' not in scores


def test_checkpoint_without_a_threshold(tmp_path):
    made = runner(tmp_path, hook=False)
    made.train()
    best = next(tmp_path.glob('best_*.pth'))
    assert not {'presence_threshold', 'presence_thresholds'} & set(meta_of(best))
    again = runner(tmp_path, load_from=str(best))
    hook_of(again).threshold = 0.9  # of other weights
    scores = again.test()
    assert hook_of(again).threshold is None
    assert 'presence/F1_val' not in scores


@pytest.mark.parametrize('value', ['0.5', True, -0.1, 1.5, math.nan, [0.5]])
def test_bad_threshold_in_a_checkpoint(value):
    end = rf"in the checkpoint's meta is {re.escape(repr(value))}, expected a number in 0..1"
    for meta, name in (
        (dict(presence_threshold=value), 'presence_threshold'),
        (dict(presence_thresholds=dict(a=0.5, b=value)), r"presence_thresholds\['b'\]"),
    ):
        with pytest.raises(ValueError, match=f'{name} {end}'):
            PresenceThresholdHook().after_load_checkpoint(None, dict(meta=meta))


def test_thresholds_that_are_no_dict():
    checkpoint = dict(meta=dict(presence_thresholds=[0.5]))
    with pytest.raises(ValueError, match=r'meta is \[0.5\], expected a dict by source'):
        PresenceThresholdHook().after_load_checkpoint(None, checkpoint)


def test_weights_alone_and_scores_without_a_threshold():
    hook = HOOKS.build(dict(type='PresenceThresholdHook', key='a/best_threshold'))
    val = SimpleNamespace(
        val_evaluator=SimpleNamespace(
            metrics=[KeypointPresenceMetric(), KeypointPresenceMetric(sources=SOURCES, prefix='a')]
        )
    )
    hook.after_val_epoch(val, {'a/best_threshold': 0.25, 'a/half/best_threshold': 0.125})
    hook.after_val_epoch(val, {'a/best_threshold': math.nan})
    hook.after_val_epoch(val, {'b/best_threshold': 0.5, 'b/half/best_threshold': 0.5})
    hook.after_val_epoch(val, None)
    assert hook.threshold == 0.25
    found = dict(presence_threshold=0.25, presence_thresholds=dict(presence=0.25, half=0.125))
    checkpoint = dict(meta={})
    hook.before_save_checkpoint(None, checkpoint)
    assert checkpoint == dict(meta=found)
    hook.after_load_checkpoint(None, dict(weight=torch.ones(1)))
    assert hook.threshold is None
    assert hook.thresholds == {}
    hook.before_save_checkpoint(None, checkpoint := dict(meta={}))
    assert checkpoint == dict(meta={})
