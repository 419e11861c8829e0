"""Reading pickles of arrays without letting the file run code."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_NUMBERS_OR_TEXT = re.compile(r'[<>|=]?(b1|[iu][1248]|f[248]|[SU]\d{1,9})')
_PLAIN = (str, int, float, bool, type(None), bytes, bytearray, np.generic)


class _Refused(pickle.UnpicklingError):
    """A pickle that holds something else than arrays and plain containers."""


def safe_load_pickle(path: str | Path) -> Any:
    """The content of a pickle of numpy arrays and plain containers, of numpy 1 or 2.

    Arrays hold numbers or text; containers are list, tuple, dict, set and frozenset; single values
    None, bool, int, float, str, bytes and numpy's numbers. A file that names anything else is
    refused before that is imported. What the file calls numpy's array, type and functions are
    stand-ins of this module, which check what they are given and then build the array from its
    bytes: nothing from the file reaches numpy's own ``__setstate__``.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no pickle, or holds something else; the message names file and object.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file')
    try:
        with open(path, 'rb') as file:
            # Python 2 wrote arrays as text, which is bytes in this encoding
            content = _Unpickler(file, encoding='latin1').load()
        return _with_arrays(content, {})
    except _Refused as error:
        raise ValueError(f'{path}: refused, {error}') from error
    except Exception as error:  # of a damaged pickle: whatever its opcodes stumble over
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(f'{path}: no pickle that can be read ({reason})') from error


class _Unpickler(pickle.Unpickler):
    """Knows the names in ``_GLOBALS`` and no others; imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _GLOBALS:
            raise _Refused(
                f'it names {module}.{name}; numpy arrays and plain containers are admitted alone, '
                'so that the file cannot run code'
            )
        return _GLOBALS[module, name]


class _Type:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(code, str) or not _NUMBERS_OR_TEXT.fullmatch(code):
            raise _Refused(f'it has an array of type {code!r:.40}, expected numbers or text')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        _, order, *structure = state[:5]  # version; sub-array, names and fields
        if order not in ('<', '>', '|', '=') or structure != [None] * 3:
            raise _Refused('it has a structured array, expected numbers or text')
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for an array until everything is read; pickles fill arrays after making them."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, data = state
        self.value = _array(data, kind, shape, 'F' if fortran else 'C')


def _array(data: Any, kind: Any, shape: tuple[int, ...], order: str) -> np.ndarray:
    """An array of its bytes; a writable one."""
    if isinstance(data, str):
        data = data.encode('latin1')  # of Python 2
    if not isinstance(kind, _Type) or not isinstance(data, bytes | bytearray):
        raise _Refused('it has an array that is not made of bytes')
    array = np.frombuffer(data, dtype=kind.dtype).reshape(shape, order=order)
    return array if array.flags.writeable else array.copy()


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    """Stands for numpy's function of this name: an array that is filled later."""
    if kind is not _Array:
        raise _Refused('it has a special kind of array, expected plain ones')
    return _Array()


def _frombuffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    """Stands for numpy's function of this name, of pickle's protocol 5."""
    array = _Array()
    array.value = _array(data, kind, shape, order)
    return array


def _scalar(kind: Any, data: Any) -> np.generic:
    """Stands for numpy's function of this name."""
    return _array(data, kind, (), 'C')[()]


def _encode(text: Any, encoding: Any) -> bytes:
    """Stands for ``_codecs.encode``, which pickle's protocols 0 to 2 write bytes with."""
    if not isinstance(text, str) or encoding != 'latin1':
        raise _Refused(f'it encodes text as {encoding!r:.40}, expected latin1')
    return text.encode('latin1')


_GLOBALS: dict[tuple[str, str], Callable] = {
    ('numpy', 'ndarray'): _Array,
    ('numpy', 'dtype'): _Type,
    **{(f'numpy.{core}.multiarray', '_reconstruct'): _reconstruct for core in ('core', '_core')},
    **{(f'numpy.{core}.multiarray', 'scalar'): _scalar for core in ('core', '_core')},
    **{(f'numpy.{core}.numeric', '_frombuffer'): _frombuffer for core in ('core', '_core')},
    ('_codecs', 'encode'): _encode,
    **{
        (module, kind.__name__): kind
        for module in ('builtins', '__builtin__')
        for kind in (bytes, bytearray, set, frozenset)
    },
}
"""What stands for a name in a pickle. Protocols 0 to 2 name the types of containers too."""


def _with_arrays(value: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    """The value with its arrays in place; refuses everything that is neither array nor plain.

    Args:
        value: As unpickled. Lists and dicts are changed in place.
        done: Containers by id, each with what became of it: one may occur many times.
    """
    if isinstance(value, _PLAIN):
        return value
    if type(value) is _Array:
        return value.value
    if id(value) in done:
        return done[id(value)][1]
    if type(value) in (list, dict):
        done[id(value)] = value, value  # before its content, which may hold itself
    if type(value) is list:
        value[:] = [_with_arrays(one, done) for one in value]
        return value
    if type(value) is dict:
        items = [(_with_arrays(key, done), _with_arrays(one, done)) for key, one in value.items()]
        value.clear()
        value.update(items)
        return value
    if type(value) not in (tuple, set, frozenset):
        raise _Refused(f'it holds {value!r:.60}, expected arrays and plain values')
    new = type(value)(_with_arrays(one, done) for one in value)
    done[id(value)] = value, new  # the old one too, so that no other can take its id
    return new
