import importlib.util
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleLR
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint

from projects import upstream


class Foreign:
    """A type that no checkpoint of mmengine holds."""


class Payload:
    """What an attacker would hide in a checkpoint: unpickling it calls a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def mmengine_state():
    history = HistoryBuffer([1.0, 2.0, 4.0], [1, 1, 2])
    numbers = dict(f64=np.float64(0.5), i64=np.int64(3), f32=np.float32(2), flag=np.bool_(True))
    return dict(
        state_dict=dict(weight=torch.ones(2)),
        message_hub=dict(log_scalars={'train/loss': history}, runtime_info=numbers),
        meta=dict(
            classes=('a', 'b'), sigmas=np.array([0.1, 0.2], np.float32), names=np.array(['x'])
        ),
    )


def test_mmengine_checkpoint_loads_whole(tmp_path):
    torch.save(mmengine_state(), tmp_path / 'epoch_1.pth')
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'epoch_1.pth'), 'cpu')
    history = loaded['message_hub']['log_scalars']['train/loss']
    assert history.mean() == pytest.approx((1 + 2 + 4) / (1 + 1 + 2))
    assert history.statistics('max') == 4
    assert loaded['message_hub']['runtime_info']['i64'] == 3
    np.testing.assert_array_equal(loaded['meta']['sigmas'], np.array([0.1, 0.2], np.float32))


@pytest.mark.parametrize('core', ['numpy.core', 'numpy._core'])
def test_arrays_of_either_numpy_load(tmp_path, core):
    """numpy 1 and numpy 2 write their arrays under different module names."""
    path = tmp_path / 'other.pth'
    torch.save(dict(value=np.arange(3.0)), path, pickle_protocol=2)
    written = b'numpy.core' if b'numpy.core.multi' in path.read_bytes() else b'numpy._core'
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content.replace(written + b'.', core.encode() + b'.'))
    loaded = CheckpointLoader.load_checkpoint(str(path), 'cpu')
    np.testing.assert_array_equal(loaded['value'], np.arange(3.0))


@pytest.mark.parametrize(
    'thing',
    [
        Foreign(),
        Payload(print, 'code has run'),
        Payload(getattr, HistoryBuffer, '__init__'),
        Payload(np.save, 'somewhere', 1),
    ],
    ids=['foreign', 'print', 'getattr-init', 'numpy-save'],
)
def test_foreign_objects_are_refused(tmp_path, capsys, thing):
    path = tmp_path / 'foreign.pth'
    torch.save(dict(state_dict={}, extra=thing), path)
    model = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r'foreign\.pth: refused.*more than weights') as caught:
        load_checkpoint(model, str(path))
    assert len(str(caught.value)) < 500  # torch's own explanation fills half a screen
    assert 'code has run' not in capsys.readouterr().out


def test_refusal_names_the_type(tmp_path):
    torch.save(Foreign(), tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='Foreign'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'foreign.pth'))


def test_broken_and_missing_files_are_named(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    with pytest.raises(FileNotFoundError, match=r'epoch_1.pth: no such checkpoint'):
        CheckpointLoader.load_checkpoint(str(path))
    torch.save(mmengine_state(), path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r'epoch_1.pth: cut short or no checkpoint'):
        CheckpointLoader.load_checkpoint(str(path))
    path.write_bytes(b'')
    with pytest.raises(ValueError, match=r'epoch_1.pth: cut short or no checkpoint'):
        CheckpointLoader.load_checkpoint(str(path))
    path.write_text('not a checkpoint')
    with pytest.raises(ValueError, match=r'epoch_1.pth: refused'):
        CheckpointLoader.load_checkpoint(str(path))


def test_checkpoints_by_url_are_read_weights_only(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    (tmp_path / 'hub' / 'hub' / 'checkpoints').mkdir(parents=True)
    for name, content in (('good.pth', mmengine_state()), ('bad.pth', Foreign())):
        # as if downloaded before
        torch.save(content, tmp_path / 'hub' / 'hub' / 'checkpoints' / name)
    good = CheckpointLoader.load_checkpoint('https://models.example/good.pth', 'cpu')
    assert good['state_dict']['weight'].tolist() == [1, 1]
    with pytest.raises(ValueError, match=r'https://models.example/bad.pth: refused'):
        CheckpointLoader.load_checkpoint('https://models.example/bad.pth', 'cpu')


def test_repairs_are_done_once():
    upstream.repair()
    assert not upstream.supply_mmaction_drn()
    assert not upstream.admit_mmengine_checkpoints()
    assert not upstream.refuse_foreign_checkpoints()


def test_one_cycle_schedules_are_resumed(tmp_path):
    def schedule():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        return optimizer, OneCycleLR(optimizer, eta_max=1.0, total_steps=9, by_epoch=False)

    (optimizer, one), (_, other) = schedule(), schedule()
    for _ in range(3):
        optimizer.step()
        one.step()
    torch.save(dict(state_dict={}, param_schedulers=[one.state_dict()]), tmp_path / 'iter_3.pth')
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'iter_3.pth'))
    other.load_state_dict(loaded['param_schedulers'][0])
    assert other.get_last_value() == one.get_last_value()
    assert other.anneal_func(0.0, 1.0, 0.5) == pytest.approx(0.5)


def test_listed_attribute_gives_nothing_else():
    assert upstream._listed_attribute(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for owner, name in (
        (HistoryBuffer, '__init__'),
        (HistoryBuffer, 'update'),
        (object, 'mean'),
        ([], 'mean'),
    ):
        with pytest.raises(pickle.UnpicklingError):
            upstream._listed_attribute(owner, name)


def test_mmaction_imports():
    import mmaction.models

    assert mmaction.models.localizers.BMN is not None
    if f'{upstream._DRN}.drn' in sys.modules and not getattr(
        sys.modules[f'{upstream._DRN}.drn'], '__file__', None
    ):
        with pytest.raises(ImportError, match='mmaction2#2714'):
            mmaction.models.localizers.DRN()


@pytest.mark.parametrize('layout', ['whole', 'fixed', 'absent'])
def test_drn_repair_steps_aside(tmp_path, monkeypatch, layout):
    """A whole wheel, one that no longer asks for drn, or no mmaction2 at all."""
    localizers = tmp_path / 'mmaction' / 'models' / 'localizers'
    localizers.mkdir(parents=True)
    (tmp_path / 'mmaction' / '__init__.py').write_text('')
    (localizers / '__init__.py').write_text('from .drn.drn import DRN' if layout == 'whole' else '')
    if layout == 'whole':
        (localizers / 'drn').mkdir()
    spec = importlib.util.spec_from_file_location(
        'mmaction',
        tmp_path / 'mmaction' / '__init__.py',
        submodule_search_locations=[str(tmp_path / 'mmaction')],
    )
    found = None if layout == 'absent' else spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: found)
    for name in (upstream._DRN, f'{upstream._DRN}.drn'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert not upstream.supply_mmaction_drn()
    assert upstream._DRN not in sys.modules


def test_drn_repair_fills_the_hole(tmp_path, monkeypatch):
    localizers = tmp_path / 'mmaction' / 'models' / 'localizers'
    localizers.mkdir(parents=True)
    (tmp_path / 'mmaction' / '__init__.py').write_text('')
    (localizers / '__init__.py').write_text('from .drn.drn import DRN')
    spec = importlib.util.spec_from_file_location(
        'mmaction',
        tmp_path / 'mmaction' / '__init__.py',
        submodule_search_locations=[str(tmp_path / 'mmaction')],
    )
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)
    for name in (upstream._DRN, f'{upstream._DRN}.drn'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert upstream.supply_mmaction_drn()
    with pytest.raises(ImportError, match='mmaction2#2714'):
        sys.modules[f'{upstream._DRN}.drn'].DRN()
    for name in (upstream._DRN, f'{upstream._DRN}.drn'):
        monkeypatch.delitem(sys.modules, name)
