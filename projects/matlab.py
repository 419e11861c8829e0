"""Reading MATLAB files, which are data from elsewhere and may be damaged."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy.io import loadmat
from scipy.io.matlab import MatReadError

# What scipy raises for other and newer formats, and for damaged files.
_UNREADABLE = (
    *(MatReadError, ValueError, TypeError, NotImplementedError, OSError, IndexError),
    zlib.error,
)


def read_mat(path: str | Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The variables of a MATLAB file, of version 7.2 or older.

    Args:
        path: The file.
        names: Of the variables to read; one that is not there is left out. None reads all.

    Raises:
        ValueError: If it cannot be read; the message names it.
    """
    try:
        return loadmat(path, variable_names=names)
    except _UNREADABLE as error:
        raise ValueError(f'{path}: no MATLAB file that can be read ({error})') from error
