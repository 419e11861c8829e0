"""The warning of a training that calls everything background."""

import logging
from types import SimpleNamespace

import pytest

from projects.apct.hooks import BackgroundCollapseHook


def run_epoch(hook: BackgroundCollapseHook, epoch: int, shares: list[float]) -> None:
    runner = SimpleNamespace(epoch=epoch, logger=logging.getLogger('collapse'))
    hook.before_train_epoch(runner)
    for index, share in enumerate(shares):
        hook.after_train_iter(runner, index, outputs=dict(loss=1.0, person_queries=share))
    hook.after_train_epoch(runner)


@pytest.mark.parametrize(
    ('epoch', 'shares', 'warns'),
    [
        (1, [0.0, 0.0, 0.0], True),
        (1, [0.0, 0.01, 0.0], False),
    ],
)
def test_warns_after_an_epoch_of_background(caplog, epoch, shares, warns):
    with caplog.at_level(logging.WARNING, 'collapse'):
        run_epoch(BackgroundCollapseHook(), epoch, shares)
    assert bool(caplog.records) == warns
    if warns:
        assert 'epoch 2: every query predicted background' in caplog.text


def test_every_epoch_is_looked_at_anew(caplog):
    hook = BackgroundCollapseHook()
    run_epoch(hook, 1, [0.1, 0.0])
    with caplog.at_level(logging.WARNING, 'collapse'):
        run_epoch(hook, 2, [0.0, 0.0])
    assert 'epoch 3' in caplog.text


def test_a_model_that_does_not_tell_brings_no_warning(caplog):
    hook = BackgroundCollapseHook(patience=1)
    runner = SimpleNamespace(epoch=0, logger=logging.getLogger('collapse'))
    hook.before_train_epoch(runner)
    hook.after_train_iter(runner, 0, outputs=dict(loss=1.0))
    with caplog.at_level(logging.WARNING, 'collapse'):
        hook.after_train_epoch(runner)
    assert not caplog.records
