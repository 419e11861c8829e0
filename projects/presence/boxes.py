"""Where the people of a picture are: given, annotated, or found by a detector."""

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from mmengine.registry import DefaultScope

from projects.files import read_json

Table = dict[str, np.ndarray]
"""(N, 5) x1, y1, x2, y2, score of the people of each picture, by its name."""


def read_boxes(given: Any, number: int) -> Table | np.ndarray:
    """Boxes as a user gives them.

    Args:
        given: Boxes [x1, y1, x2, y2] or [x1, y1, x2, y2, score] of a single picture, or a dict of
            such lists by file name, or a JSON file of such a dict.
        number: How many pictures there are.

    Returns:
        (N, 5) for the single picture, or a table.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of these; the message names what is wrong.
    """
    where = 'boxes'
    if isinstance(given, (str, Path)):
        where, given = str(given), read_json(given)
    if isinstance(given, Mapping):
        return {str(name): _boxes(rows, f'{where}: {name!r}') for name, rows in given.items()}
    if number != 1:
        raise ValueError(
            f'{where}: a list of boxes is for a single picture, but there are {number}; expected '
            'a dict of lists by file name'
        )
    return _boxes(given, where)


def read_annotated_boxes(path: str | Path) -> Table:
    """Boxes of the people in a COCO annotation file, groups (``iscrowd``) left out.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no such file; the message names the field.
    """
    document = read_json(path)
    try:
        people = {row['id'] for row in document.get('categories', []) if row['name'] == 'person'}
        names = {row['id']: row['file_name'] for row in document['images']}
        rows: dict[str, list] = {name: [] for name in names.values()}
        for row in document['annotations']:
            if row.get('iscrowd') or (people and row.get('category_id') not in people):
                continue
            x, y, width, height = row['bbox']
            rows[names[row['image_id']]].append([x, y, x + width, y + height])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: is no COCO annotation file ({type(error).__name__}: {error}), expected '
            'images with id and file_name, annotations with image_id and bbox [x, y, width, height]'
        ) from error
    return {name: _boxes(some, f'{path}: {name!r}') for name, some in rows.items()}


def boxes_of(table: Table, name: str) -> np.ndarray:
    """The boxes of a picture: of its path or the longest end of it that the table has.

    Args:
        table: Boxes by name.
        name: Path of the picture, or what it is called.

    Raises:
        ValueError: If the table has none of it; an empty list is an answer.
    """
    parts = PurePath(name).parts
    for start in range(len(parts)):
        key = str(PurePath(*parts[start:]))
        if key in table:
            return table[key]
    some = sorted(table)[:3]
    raise ValueError(f'{name}: has no boxes, which are of {len(table)} pictures such as {some}')


def cut_off(boxes: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes cut off at the borders of their picture.

    Args:
        boxes: (N, 5).
        size: Width and height of the picture.

    Returns:
        (N, 5), and (N,) whether nothing of a box lies in the picture, or it has no area.
    """
    inside = boxes.copy()
    inside[:, :4] = np.clip(boxes[:, :4], 0, np.tile(size, 2))
    return inside, (inside[:, 2:4] <= inside[:, :2]).any(axis=1)


def check_inside(boxes: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
    """Boxes that a user gave, cut off at the borders of their picture.

    Args:
        boxes: (N, 5).
        size: Width and height of the picture.
        name: Of the picture.

    Raises:
        ValueError: If nothing of a box lies in the picture, or it has no area.
    """
    inside, empty = cut_off(boxes, size)
    if empty.any():
        raise ValueError(
            f'{name}: has a box {boxes[empty][0, :4].tolist()}, expected [x1, y1, x2, y2] with '
            f'x1 < x2, y1 < y2 that lies in the picture of {size[0]} x {size[1]} pixels'
        )
    return inside


class PersonDetector:
    """A detector of mmdet.

    Args:
        model: Name or config of a model, as ``mmdet.apis.DetInferencer`` takes it.
        threshold: Least score of a person.
        device: Where it runs.
    """

    def __init__(self, model: str, threshold: float = 0.3, device: str | None = None) -> None:
        from mmdet.apis import DetInferencer  # only those who detect need mmdet's models

        with DefaultScope.overwrite_default_scope('mmdet'):
            self.inferencer = DetInferencer(model, device=device, show_progress=False)
        classes = self.inferencer.model.dataset_meta.get('classes') or ('person',)
        if 'person' not in classes:
            raise ValueError(
                f'detector is {model!r}, which finds {list(classes)[:5]}, expected one that finds '
                "'person'"
            )
        self.label = list(classes).index('person')
        self.threshold = threshold

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The people of a picture, (N, 5).

        Args:
            image: (height, width, 3) uint8, BGR.
        """
        with DefaultScope.overwrite_default_scope('mmdet'):
            result = self.inferencer(image, return_datasamples=True)['predictions'][0]
        found = result.pred_instances.cpu().numpy()
        kept = (found.labels == self.label) & (found.scores >= self.threshold)
        boxes = np.concatenate([found.bboxes, found.scores[:, None]], axis=1)[kept]
        return boxes.astype(np.float32).reshape(-1, 5)


def _boxes(rows: Any, where: str) -> np.ndarray:
    """(N, 5) of lists of four or five numbers."""
    try:
        boxes = [np.asarray(row, dtype=np.float32) for row in rows]
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where}: {rows!r}, expected a list of boxes') from error
    for box in boxes:
        if box.shape not in ((4,), (5,)) or not np.isfinite(box).all():
            raise ValueError(
                f'{where}: box {box.tolist()}, expected [x1, y1, x2, y2] or [x1, y1, x2, y2, score]'
            )
    scored = [np.append(box, 1.0)[:5] for box in boxes]
    return np.array(scored, dtype=np.float32).reshape(-1, 5)
