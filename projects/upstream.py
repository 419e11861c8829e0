"""Repairs of the installed OpenMMLab releases, applied when ``projects`` is imported.

Each repair names its upstream issue and steps aside where upstream no longer needs it:

- mmaction2 1.2.0's wheel lacks ``mmaction.models.localizers.drn``, so ``import mmaction.models``
  fails (open-mmlab/mmaction2#2714).
- mmengine 0.10.7 cannot read its own checkpoints with PyTorch 2.6 or later, whose ``torch.load``
  admits listed types only (open-mmlab/mmengine#1655). The types that a checkpoint of mmengine
  holds are put on that list; a checkpoint stays unable to run code, and one that names any other
  type is refused.
"""

import importlib.machinery
import importlib.util
import pickle
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

_DRN = 'mmaction.models.localizers.drn'


def repair() -> None:
    """Apply every repair that the installed releases need. Calling it twice changes nothing."""
    supply_mmaction_drn()
    admit_mmengine_checkpoints()
    refuse_foreign_checkpoints()


def supply_mmaction_drn() -> bool:
    """Let ``import mmaction.models`` pass in spite of the subpackage its wheel lacks.

    The stand-in holds one class, ``DRN``, that says why it cannot be built; it is not registered.

    Returns:
        Whether the stand-in was needed; False where mmaction2 is absent, whole, or repaired.
    """
    spec = importlib.util.find_spec('mmaction')
    if spec is None or not spec.submodule_search_locations or _DRN in sys.modules:
        return False
    localizers = Path(spec.submodule_search_locations[0], 'models', 'localizers')
    init = localizers / '__init__.py'
    if (localizers / 'drn').is_dir() or not init.is_file() or '.drn' not in init.read_text():
        return False

    class DRN:
        """Stands where mmaction2's wheel has a hole."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise ImportError(
                'DRN is missing from the wheel of mmaction2 (open-mmlab/mmaction2#2714); '
                'install mmaction2 from its source repository to use it'
            )

    for name in (_DRN, f'{_DRN}.drn'):
        module = types.ModuleType(name, 'Stand-in, see projects.upstream.')
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=name == _DRN)
        sys.modules[name] = module
    sys.modules[_DRN].__path__ = []
    sys.modules[f'{_DRN}.drn'].DRN = DRN
    return True


# What mmengine's checkpoints take by name from a class: statistics of the log, and the curves of a
# one-cycle schedule.
_ATTRIBUTES = {
    HistoryBuffer: ('min', 'max', 'mean', 'current'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}


def _listed_attribute(owner: type, name: str) -> Callable:
    """What a checkpoint of mmengine needs of ``getattr``: the functions listed, and nothing else.

    Raises:
        pickle.UnpicklingError: If anything else is asked for.
    """
    for known, names in _ATTRIBUTES.items():
        if owner is known and name in names:
            return getattr(known, name)
    raise pickle.UnpicklingError(f'Unsupported global: attribute {name!r} of {owner!r}')


def admit_mmengine_checkpoints() -> bool:
    """Put the types that mmengine writes into its checkpoints on PyTorch's list of safe types.

    These are its log history, its one-cycle schedule, and numpy's arrays, scalars and number types,
    under the names that numpy 1 and numpy 2 write.

    Returns:
        Whether anything was added; False where the log history is on the list already.
    """
    if HistoryBuffer in torch.serialization.get_safe_globals():
        return False
    try:  # numpy 2 renamed the module that pickled arrays and scalars name
        from numpy._core import multiarray as core
    except ImportError:
        from numpy.core import multiarray as core
    functions = [
        (function, f'numpy.{name}.multiarray.{function.__name__}')
        for function in (core.scalar, core._reconstruct)
        for name in ('core', '_core')
    ]
    number_types = {type(np.dtype(code)) for code in np.typecodes['All'] if code not in 'OV'}
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            OneCycleParamScheduler,
            (_listed_attribute, 'builtins.getattr'),
            np.ndarray,
            np.dtype,
            *functions,
            *sorted(number_types, key=str),
        ]
    )
    return True


def _refused(source: str, error: pickle.UnpicklingError) -> ValueError:
    """The error a user sees, with the offending name out of PyTorch's half a screen of advice."""
    lines = str(error).splitlines() or ['']
    telling = [line.strip() for line in lines if 'nsupported' in line or 'rying to' in line]
    name = re.search(r'GLOBAL (\S+)', str(error))
    reason = f'it names {name[1]}' if name else (telling or lines)[0][:200]
    return ValueError(
        f'{source}: refused, because this checkpoint holds more than weights and training state, '
        f'and loading it could run code ({reason}). Expected: a checkpoint written by mmengine, or '
        'a dict of tensors.'
    )


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a checkpoint file; registered with mmengine for paths without a scheme.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, or holds a type that is not on the safe list.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such checkpoint file')
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(str(path), error) from error
    except (EOFError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and 'PytorchStreamReader' not in str(error):
            raise  # not about the file: out of device memory, say
        raise ValueError(f'{path}: cut short or no checkpoint at all ({error})') from error


def _load_url(url: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """``load_state_dict_from_url`` with weights-only loading, off by default in torch.hub."""
    try:
        return torch.hub.load_state_dict_from_url(url, *args, **{**kwargs, 'weights_only': True})
    except pickle.UnpicklingError as error:
        raise _refused(url, error) from error


def refuse_foreign_checkpoints() -> bool:
    """Make mmengine read every checkpoint, from disk or by URL, weights-only; refuse clearly.

    Returns:
        Whether the readers were replaced; False where they are ours already.
    """
    if mmengine_checkpoint.load_url is _load_url:
        return False
    CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
    mmengine_checkpoint.load_url = _load_url
    return True
