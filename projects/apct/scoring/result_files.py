"""The four result files of Kinetics-TPS: reading them from folders and zips."""

import gc
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from projects.apct.scoring.result_fields import FILE_NAMES, ResultNames

# Of one file in a zip, unpacked: what ten people with five proposals take in every frame of the
# challenge. A result of one proposal takes a tenth of it.
MAX_MEMBER_BYTES = 512 << 20


def raw_videos(folder: str | Path, name: str) -> dict[str, msgspec.Raw]:
    """The undecoded content of each video of a file of people.

    Args:
        folder: Folder or ``.zip``.
        name: Of the file.

    Raises:
        msgspec.MsgspecError: If it is no JSON object.
    """
    return msgspec.json.decode(result_bytes(folder, name), type=dict[str, msgspec.Raw])


def read_results(gt_dir: str | Path, pred_dir: str | Path) -> tuple[Any, Any, Any, Any]:
    """The four results, parsed: what ``score.kinetics_tps_score`` takes.

    Args:
        gt_dir: As for :func:`score_files`.
        pred_dir: As for :func:`score_files`.
    """
    with garbage_collection_off():
        return (
            read_result(gt_dir, FILE_NAMES.gt_videos),
            read_result(gt_dir, FILE_NAMES.gt_people),
            read_result(pred_dir, FILE_NAMES.pred_videos),
            read_result(pred_dir, FILE_NAMES.pred_people),
        )


def result_names(gt_dir: str | Path, pred_dir: str | Path) -> ResultNames:
    """What to call the four files in messages.

    Args:
        gt_dir: Folder of the truth.
        pred_dir: Folder or zip of the predictions.
    """
    folders = (gt_dir, gt_dir, pred_dir, pred_dir)
    return ResultNames(*(str(Path(d, name)) for d, name in zip(folders, FILE_NAMES, strict=True)))


def read_result(folder: str | Path, name: str) -> Any:
    """One JSON file of a folder or zip, by Python's own parser.

    Args:
        folder: Folder or ``.zip``.
        name: Of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON.
    """
    data = result_bytes(folder, name)
    try:
        return json.loads(data.decode('utf-8'))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{Path(folder, name)}: no valid JSON ({error})') from error


def result_bytes(folder: str | Path, name: str) -> bytes:
    """The content of a file of a folder or zip.

    Args:
        folder: Folder or ``.zip``; nothing of a zip is written to disk.
        name: Of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the zip is damaged, or the file in it unpacks to more than 512 MiB.
    """
    if Path(folder).suffix.lower() != '.zip' or Path(folder).is_dir():
        path = Path(folder, name)
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such file')
        return path.read_bytes()
    if not Path(folder).is_file():
        raise FileNotFoundError(f'{folder}: no such file')
    try:
        with zipfile.ZipFile(folder) as archive:
            if name not in archive.namelist():
                raise FileNotFoundError(f'{folder}: holds no {name}')
            return member_bytes(archive, name)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError) as error:
        raise ValueError(f'{folder}: no sound zip file ({error})') from error


def member_bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of a member, which may lie about its size.

    Args:
        archive: The open zip.
        name: Of the member.

    Raises:
        ValueError: If it unpacks to more than 512 MiB, is encrypted, or packed in an unknown way.
    """
    try:
        with archive.open(name) as member:
            data = member.read(MAX_MEMBER_BYTES + 1)
    except (NotImplementedError, RuntimeError) as error:
        raise ValueError(f'{archive.filename}: {name} cannot be unpacked ({error})') from error
    if len(data) > MAX_MEMBER_BYTES:
        raise ValueError(
            f'{archive.filename}: {name} unpacks to more than {MAX_MEMBER_BYTES >> 20} MiB'
        )
    return data


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """Parse without the search for cycles: JSON has none, and the search takes most of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
