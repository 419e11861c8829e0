"""Writing files whole or not at all, reading JSON, names of files, where parsed data is kept."""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A path to write to, which takes the name ``path`` when the block ends without an error.

    Nobody ever sees half a file under the name, and an interrupted write leaves what was there
    before. The temporary name has the same ending and folder; the folder is made if missing.

    Args:
        path: The file to write.

    Yields:
        The temporary path.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f'.{target.stem}.{uuid.uuid4().hex}{target.suffix}')
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A folder to write into, which takes the name ``path`` when the block ends without an error.

    As with :func:`whole_file` nobody ever sees half of it, so what was interrupted can be repeated.

    Args:
        path: The folder to make; an empty one is replaced.

    Yields:
        The temporary folder, beside ``path``.

    Raises:
        FileExistsError: If ``path`` is a file or a folder that is not empty; the block is not run.
    """
    target = Path(path).resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f'{path} is not empty, expected a new folder')
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f'.{target.name}.{uuid.uuid4().hex}')
    partial.mkdir()
    try:
        yield partial
        if target.exists():
            target.rmdir()  # only if it is empty
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file')
    return parsed_json(Path(path).read_bytes(), str(path))


def parsed_json(data: bytes, name: str) -> Any:
    """The content of JSON in memory.

    Args:
        data: UTF-8.
        name: What messages call it.

    Raises:
        ValueError: If it is no JSON.
    """
    try:
        return json.loads(data.decode('utf-8'))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{name}: no valid JSON ({error})') from error


def safe_name(name: str) -> str:
    """A name without what means something to a file system, another one for every name.

    Letters and digits of any script stay. Where something else had to go, a hash of the whole name
    follows, so that ``a b`` and ``a.b`` do not end up in one file.

    Args:
        name: Such as a video's.
    """
    safe = re.sub(r'[^\w-]', '_', name)
    if safe == name:
        return name
    digest = hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()
    return f'{safe}-{digest}'


def default_cache_dir(kind: str) -> Path:
    """Where parsed data is kept: a folder of ``MMKINESIS_CACHE``, or of the user's cache.

    Args:
        kind: Name of the folder, such as ``'motion'``.
    """
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(os.environ.get('MMKINESIS_CACHE') or Path(base, 'mmkinesis'), kind)
