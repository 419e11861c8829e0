"""Files that COCO's evaluation server of keypoints takes: writing them, and checking any.

cocodataset.org, "Results Format" and "Upload Results to Evaluation Server": a JSON list of people,
``person_keypoints_[testset]_[name]_results.json``, alone in a zip of the same name. The evaluation
("Keypoint Evaluation") takes the 20 people of the highest scores of an image and does not read
the third number of a keypoint, v, for which the format recommends 1. mmpose's ``CocoMetric`` writes
``keypoint_scores`` there.
"""

import json
import re
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from projects.files import parsed_json, read_json, whole_file

TEST_SETS = ('test-dev2017', 'test-challenge2017', 'val2017')
NUM_KEYPOINTS = 17
MAX_PEOPLE = 20  # of an image; the evaluation does not look at more
DECIMALS = 2  # of coordinates; COCO recommends whole pixels, to make files smaller
LIMIT = 1e9  # no number of a result is larger, and JSON's may be too large for a float
# Of the file unpacked. 20 people in each of test-dev's 20,288 images take some 160 MiB.
MAX_BYTES = 1 << 30
FILE_NAME = re.compile(
    rf'person_keypoints_({"|".join(TEST_SETS)})_[A-Za-z0-9.-]+_results\.(json|zip)'
)
FIELDS = ('image_id', 'category_id', 'keypoints', 'score')


def submission_name(name: str, test_set: str = 'test-dev2017') -> str:
    """Name of a submission's files without the ending.

    Args:
        name: Of the method: letters, digits, ``-`` and ``.``; ``_`` separates the name's parts.
        test_set: One of ``TEST_SETS``.

    Raises:
        ValueError: If either is not allowed.
    """
    if test_set not in TEST_SETS:
        raise ValueError(f'test set is {test_set!r}, expected one of {TEST_SETS}')
    stem = f'person_keypoints_{test_set}_{name}_results'
    if not FILE_NAME.fullmatch(f'{stem}.json'):
        raise ValueError(f'name is {name!r}, expected letters, digits, "-" and "." alone')
    return stem


def read_image_ids(path: str | Path) -> frozenset[int]:
    """Ids of the images of a test set.

    Args:
        path: COCO's ``image_info_test-dev2017.json``, or any file with ``images``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not list images.
    """
    content = read_json(path)
    try:
        ids = frozenset(image['id'] for image in content['images'])
    except (KeyError, TypeError) as error:
        raise ValueError(f'{path}: expected an object with images that have an id') from error
    if not ids:
        raise ValueError(f'{path}: lists no image')
    return ids


def write_submission(
    folder: str | Path,
    name: str,
    results: Any,
    image_ids: Collection[int] | None = None,
    test_set: str = 'test-dev2017',
) -> tuple[Path, Path, list[str]]:
    """Write the JSON and the zip that holds it, each whole or not at all.

    Of every image the 20 people of the highest scores are kept, of these the fields that COCO asks
    for. Coordinates are rounded to 0.01 pixels, v becomes 1; scores stay as they are.

    Args:
        folder: To write into.
        name: Of the method.
        results: Of ``CocoMetric(format_only=True)``.
        image_ids: Of the test set; None is not checked.
        test_set: One of ``TEST_SETS``.

    Returns:
        Both files, and notes of what is unusual or was left out.

    Raises:
        ValueError: If the results break a rule; nothing is written then.
    """
    stem = submission_name(name, test_set)
    problems = list(islice(result_violations(results, image_ids), 100))
    if problems:
        raise ValueError('nothing is written:\n' + '\n'.join(problems))
    notes = result_notes(results, image_ids)
    people = [
        dict(
            image_id=person['image_id'],
            category_id=1,
            keypoints=[
                1 if index % 3 == 2 else round(number, DECIMALS)
                for index, number in enumerate(person['keypoints'])
            ],
            score=person['score'],
        )
        for person in best_people(results)
    ]
    text = json.dumps(people, separators=(',', ':'), allow_nan=False)
    json_path, zip_path = (Path(folder, f'{stem}.{ending}') for ending in ('json', 'zip'))
    with whole_file(json_path) as partial:
        partial.write_text(text, encoding='utf-8')
    with whole_file(zip_path) as partial:
        with zipfile.ZipFile(partial, 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(json_path.name, text)
    return json_path, zip_path, notes


def best_people(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The people that the evaluation looks at: of every image the 20 of the highest scores.

    Args:
        results: Valid results; their order is kept, and decides between equal scores as COCO's own
            stable sorting does.
    """
    of_image = defaultdict(list)
    for index, person in enumerate(results):
        of_image[person['image_id']].append(index)
    kept = {
        index
        for indices in of_image.values()
        for index in sorted(indices, key=lambda index: -results[index]['score'])[:MAX_PEOPLE]
    }
    return [person for index, person in enumerate(results) if index in kept]


def result_notes(results: list[Any], image_ids: Collection[int] | None = None) -> list[str]:
    """What is allowed and yet worth knowing, a line each.

    Args:
        results: Valid results.
        image_ids: Of the test set, if known.
    """
    counts = Counter(person['image_id'] for person in results)
    notes = []
    crowded = [count - MAX_PEOPLE for count in counts.values() if count > MAX_PEOPLE]
    if crowded:
        notes.append(
            f'{len(crowded)} images have more than {MAX_PEOPLE} people; {sum(crowded)} of the '
            'lowest scores do not count'
        )
    empty = len(image_ids) - len(counts) if image_ids is not None else 0
    if empty:
        notes.append(f'{empty} of {len(image_ids)} images have no people')
    return notes


def check_file(
    path: str | Path, image_ids: Collection[int] | None = None
) -> tuple[list[str], list[str]]:
    """Every rule that a file breaks, a line each, and notes. Nothing of a zip is written to disk.

    Args:
        path: JSON or zip.
        image_ids: Of the test set; None is not checked.

    Returns:
        The violations, and if there is none what :func:`result_notes` says.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = Path(path)
    violations = []
    if not FILE_NAME.fullmatch(path.name):
        violations.append(
            f'{path.name}: expected a name as person_keypoints_[{"|".join(TEST_SETS)}]_[name]'
            '_results.json or .zip, [name] of letters, digits, "-" and "."'
        )
    try:
        results = read_zip(path) if path.suffix.lower() == '.zip' else read_json(path)
    except ValueError as error:
        return [*violations, str(error)], []
    violations += result_violations(results, image_ids)
    return violations, [] if violations else result_notes(results, image_ids)


def read_zip(path: Path) -> Any:
    """The content of the JSON file that a zip holds.

    Args:
        path: The zip.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds anything else, or more than 1 GiB.
    """
    wanted = f'{path.stem}.json'
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            if members != [wanted]:
                found = ', '.join(repr(name[:200]) for name in members[:5])
                raise ValueError(
                    f'{path.name}: holds {len(members)} members ({found}), expected {wanted} alone'
                )
            with archive.open(wanted) as member:  # whose size may be a lie
                data = member.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f'{path.name}: no sound zip file ({error})') from error
    if len(data) > MAX_BYTES:
        raise ValueError(f'{path.name}: {wanted} unpacks to more than {MAX_BYTES >> 20} MiB')
    return parsed_json(data, wanted)


def result_violations(results: Any, image_ids: Collection[int] | None = None) -> Iterator[str]:
    """Every rule that results break, a line each.

    Args:
        results: The content of the JSON file.
        image_ids: Of the test set; None is not checked.
    """
    if not isinstance(results, list):
        yield f'found {_short(results)}, expected a list of people'
        return
    if not results:
        yield 'the list is empty, expected people'
    seen: dict[int, int] = {}  # by hash: the numbers themselves would take 1 GB
    for index, person in enumerate(results):
        where = f'person {index}'
        if not isinstance(person, dict):
            yield f'{where}: found {_short(person)}, expected an object with {", ".join(FIELDS)}'
            continue
        missing = [field for field in FIELDS if field not in person]
        if missing:
            yield f'{where}: has no {", ".join(missing)}'
            continue
        image, keypoints, score = person['image_id'], person['keypoints'], person['score']
        if type(image) is not int:
            yield f'{where}: image_id is {_short(image)}, expected a whole number'
        elif image_ids is not None and image not in image_ids:
            yield f'{where}: image_id {image} is not of the test set'
        if type(person['category_id']) is not int or person['category_id'] != 1:
            yield f'{where}: category_id is {_short(person["category_id"])}, expected 1'
        if not _is_number(score):
            yield f'{where}: score is {_short(score)}, expected a finite number'
        if not isinstance(keypoints, list) or len(keypoints) != 3 * NUM_KEYPOINTS:
            found = len(keypoints) if isinstance(keypoints, list) else _short(keypoints)
            yield f'{where}: keypoints are {found}, expected a list of {3 * NUM_KEYPOINTS} numbers'
            continue
        bad = next((number for number in keypoints if not _is_number(number)), None)
        if bad is not None or None in keypoints:
            yield f'{where}: keypoints hold {_short(bad)}, expected finite numbers'
            continue
        twin = seen.setdefault(hash((repr(image), *keypoints)), index)
        if twin != index and all(results[twin][key] == person[key] for key in FIELDS[::2]):
            yield f'{where}: has the image and keypoints of person {twin}'


def _is_number(value: Any) -> bool:
    """Whether it is a number that is finite; booleans are none."""
    return type(value) in (int, float) and -LIMIT < value < LIMIT


def _short(thing: Any) -> str:
    """The beginning of what was found."""
    text = repr(thing)
    return text if len(text) <= 80 else f'{text[:77]}...'
