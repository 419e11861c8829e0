"""The generated COCO keypoints: layout, visibility against the picture, reproducibility."""

import json

import cv2
import numpy as np
import pytest
from mmpose.datasets import CocoDataset
from mmpose.datasets.transforms import GetBBoxCenterScale, LoadImage, TopdownAffine
from pycocotools.coco import COCO
from xtcocotools.coco import COCO as XtCOCO

from projects.synthetic.body import LIMB_INDEX, LIMBS
from projects.synthetic.coco import (
    FEWEST_SEEN,
    KEYPOINTS,
    coco_picture,
    count_visibility,
    polygons,
    write_coco,
)
from tools.datasets import make_synthetic

QUICK = {'images': {'train': 12, 'val': 5}}
SIZE = (320, 256)
# What a keypoint with v = 2 shows; written out here, not taken from the code.
LIMBS_OF = {
    'nose': ['face'],
    **{f'{side}_eye': ['face'] for side in ('left', 'right')},
    **{f'{side}_ear': ['face', 'hair'] for side in ('left', 'right')},
    **{
        f'{side}_{joint}': [*(f'{side}_{limb}' for limb in limbs), *shared]
        for side in ('left', 'right')
        for joint, limbs, shared in (
            ('shoulder', ['upper_arm'], ['torso']),
            ('elbow', ['upper_arm', 'forearm'], []),
            ('wrist', ['forearm', 'hand'], []),
            ('hip', ['thigh'], ['torso', 'pelvis']),
            ('knee', ['thigh', 'shin'], []),
            ('ankle', ['shin', 'foot'], []),
        )
    },
}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('coco') / 'coco'
    write_coco(folder, **QUICK)
    return folder


@pytest.fixture(scope='module')
def pictures():
    return [coco_picture('train', number) for number in range(80)]


def notes(root, split):
    return json.loads((root / 'annotations' / f'person_keypoints_{split}2017.json').read_text())


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


def table(annotation):
    return np.array(annotation['keypoints'], dtype=float).reshape(17, 3)


def annotated(pictures):
    for picture in pictures:
        for annotation, person in zip(picture.annotations, picture.people, strict=True):
            yield picture, annotation, person


# --- layout -----------------------------------------------------------------------------------


@pytest.mark.parametrize('reader', [COCO, XtCOCO], ids=['pycocotools', 'xtcocotools'])
def test_the_readers_of_coco_load_it(root, reader):
    for split, number in QUICK['images'].items():
        coco = reader(str(root / 'annotations' / f'person_keypoints_{split}2017.json'))
        assert len(coco.getImgIds()) == number
        (category,) = coco.loadCats(coco.getCatIds())
        assert category['name'] == 'person'
        assert category['keypoints'][:3] == ['nose', 'left_eye', 'right_eye']
        assert category['keypoints'][-1] == 'right_ankle'
        assert len(category['keypoints']) == 17
        assert len(category['skeleton']) == 19
        rows = coco.loadAnns(coco.getAnnIds())
        assert len({row['id'] for row in rows}) == len(rows) >= number
        for row in rows:
            assert row['id'] > 0  # COCOeval takes 0 for no match
            assert (row['category_id'], row['iscrowd']) == (1, 0)
            assert len(row['keypoints']) == 51
            assert row['num_keypoints'] == sum(v > 0 for v in row['keypoints'][2::3])
            assert coco.annToMask(row).shape == (256, 320)
        for image in coco.loadImgs(coco.getImgIds()):
            assert image['file_name'] == f'{image["id"]:012d}.jpg'
            picture = cv2.imread(str(root / f'{split}2017' / image['file_name']))
            assert picture.shape == (image['height'], image['width'], 3) == (256, 320, 3)


def test_no_id_is_in_both_splits(root):
    train, val = notes(root, 'train'), notes(root, 'val')
    for key in ('images', 'annotations'):
        assert not {row['id'] for row in train[key]} & {row['id'] for row in val[key]}


def test_mmpose_loads_it(root):
    dataset = CocoDataset(
        data_root=str(root),
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[LoadImage(), GetBBoxCenterScale(), TopdownAffine(input_size=(192, 256))],
    )
    rows = {row['id']: row for row in notes(root, 'train')['annotations']}
    assert len(dataset) == sum(row['num_keypoints'] > 0 for row in rows.values())
    for sample in (dataset[index] for index in range(len(dataset))):
        assert sample['img'].shape == (256, 192, 3)
        row = rows[sample['id']]
        np.testing.assert_allclose(sample['keypoints'][0], table(row)[:, :2], atol=1e-3)
        seen = sample['keypoints_visible'][0] > 0
        assert seen.sum() == row['num_keypoints']
        # a visible keypoint lies in the enlarged box, so in the crop
        two = table(row)[:, 2] == 2
        warped = sample['transformed_keypoints'][0][two]
        assert ((warped >= 0) & (warped < (192, 256))).all()


def test_pictures_are_those_of_the_annotations(root):
    picture = coco_picture('val', 3)
    stored = cv2.imread(str(root / 'val2017' / picture.file_name)).astype(int)
    assert np.abs(stored - picture.rendering.image).mean() < 6
    rows = notes(root, 'val')['annotations']
    assert [row for row in rows if row['image_id'] == picture.image_id] == list(picture.annotations)


# --- boxes and outlines -----------------------------------------------------------------------


def test_boxes_areas_and_outlines_are_of_what_is_seen(root):
    coco = COCO(str(root / 'annotations' / 'person_keypoints_train2017.json'))
    compared = 0
    for number in range(12):
        picture = coco_picture('train', number)
        for row, person in zip(picture.annotations, picture.people, strict=True):
            first = 1 + person * len(LIMBS)
            owners = picture.rendering.owners
            mask = (owners >= first) & (owners < first + len(LIMBS))
            y, x = np.nonzero(mask)
            expected = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
            assert row['bbox'] == expected
            assert row['area'] == mask.sum()
            outline = coco.annToMask(row).astype(bool)
            filled = mask.astype(np.uint8)
            cv2.drawContours(
                filled,
                cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0],
                -1,
                1,
                cv2.FILLED,
            )
            union = (outline | (filled > 0)).sum()
            assert (outline & (filled > 0)).sum() / union > 0.85
            compared += 1
    assert compared > 12


def test_an_outline_has_three_corners_even_of_one_pixel():
    mask = np.zeros((8, 8), dtype=bool)
    mask[2, 3] = mask[5, 1:7] = True
    found = polygons(mask)
    assert len(found) == 2
    assert all(len(polygon) >= 6 for polygon in found)
    (pixel,) = (polygon for polygon in found if min(polygon[1::2]) < 4)
    assert (min(pixel[::2]), max(pixel[::2])) == (3.25, 3.75)


def test_boxes_hold_visible_keypoints(pictures):
    for _, row, _ in annotated(pictures):
        x, y, width, height = row['bbox']
        points = table(row)
        seen = points[points[:, 2] == 2, :2]
        assert (seen >= (x - 0.5, y - 0.5)).all()
        assert (seen <= (x + width - 0.5, y + height - 0.5)).all()


# --- visibility -------------------------------------------------------------------------------


def test_visibility_is_what_the_picture_shows(pictures):
    found = {0: 0, 1: 0, 2: 0}
    for picture, row, person in annotated(pictures):
        if not row['num_keypoints']:
            continue
        owners, points = picture.rendering.owners, table(row)
        truth, _ = picture.scene.camera.project(
            np.array(
                [
                    picture.scene.motions[person].landmarks([landmark])[0, 0]
                    for landmark in LANDMARKS
                ]
            )
        )
        for name, (x, y, v), exact in zip(KEYPOINTS, points, truth, strict=True):
            own = [picture.rendering.owner(person, LIMB_INDEX[limb]) for limb in LIMBS_OF[name]]
            found[int(v)] += 1
            inside = (np.rint(exact) >= 0).all() and (np.rint(exact) < SIZE).all()
            if v == 0:
                assert (x, y) == (0, 0)
                if inside:  # nobody can tell: little of its limbs is seen
                    limbs = [LIMBS_OF[name]]
                    assert picture.rendering.visible_fractions(limbs)[person, 0] < 0.25
                continue
            np.testing.assert_allclose((x, y), exact, atol=0.006)
            assert inside
            shown = owners[round(y), round(x)]
            if v == 2:
                assert shown in own, name
            else:
                assert np.isin(own, owners).any(), name
                if name.endswith(('elbow', 'wrist', 'knee', 'ankle')):
                    assert shown not in own, name
    total = sum(found.values())
    assert 0.08 < found[0] / total < 0.35
    assert 0.1 < found[1] / total < 0.35
    assert found[2] / total > 0.45


LANDMARKS = [
    'nose',
    *('left_eye', 'right_eye', 'left_ear', 'right_ear'),
    *(
        f'{side}{joint}'
        for joint in ('Arm', 'ForeArm', 'Hand', 'UpLeg', 'Leg', 'Foot')
        for side in ('Left', 'Right')
    ),
]


def test_every_keypoint_has_each_visibility(pictures):
    v = np.array([table(row)[:, 2] for _, row, _ in annotated(pictures) if row['num_keypoints']])
    for value in range(3):
        assert ((v == value).sum(axis=0) > 0).all()


def test_hidden_by_oneself_by_others_and_by_things(pictures):
    hidden_by = set()
    for picture, row, person in annotated(pictures):
        for x, y, v in table(row):
            if v == 1:
                owner = picture.rendering.owners[round(y), round(x)]
                at = (owner - 1) // len(LIMBS)
                hidden_by.add('thing' if owner < 0 else 'oneself' if at == person else 'another')
    assert hidden_by >= {'oneself', 'another', 'thing'}


def test_the_far_shoulder_and_hip_are_behind_the_trunk(pictures):
    seen = hidden = 0
    for picture, row, person in annotated(pictures):
        motion, camera = picture.scene.motions[person], picture.scene.camera
        for name, landmark, middle, limb in (
            ('left_shoulder', 'LeftArm', 'Neck', 'torso'),
            ('right_hip', 'RightUpLeg', 'Hips', 'pelvis'),
        ):
            x, y, v = table(row)[KEYPOINTS.index(name)]
            trunk = picture.rendering.owner(person, LIMB_INDEX[limb])
            if not v or picture.rendering.owners[round(y), round(x)] != trunk:
                continue
            point, center = motion.landmarks([landmark, middle])[0]
            outwards, way = point - center, camera.position - point
            cosine = outwards @ way / np.linalg.norm(outwards) / np.linalg.norm(way)
            assert v == (2 if cosine > -0.7 else 1)
            seen, hidden = seen + (v == 2), hidden + (v == 1)
    assert seen > 5
    assert hidden > 5


def test_faces_seen_from_behind_hide_nose_and_eyes(pictures):
    behind = before = 0
    for picture, row, person in annotated(pictures):
        motion, camera = picture.scene.motions[person], picture.scene.camera
        nose, head = motion.landmarks(['nose', 'head_center'])[0]
        gaze, way = nose - head, camera.position - nose
        cosine = gaze @ way / np.linalg.norm(gaze) / np.linalg.norm(way)
        v = table(row)[:3, 2]
        if cosine < -0.3:
            assert (v < 2).all()
            behind += 1
        elif cosine > 0.9:
            before += (v == 2).any()
    assert behind > 10
    assert before > 10


def test_a_third_of_the_people_is_cut_by_the_border(pictures):
    cut = []
    for picture, _, person in annotated(pictures):
        pixels, _ = picture.scene.camera.project(picture.scene.landmarks[person, 0])
        cut.append(not ((pixels >= 0) & (pixels < SIZE)).all())
    assert 0.2 < np.mean(cut) < 0.5


def test_few_visible_keypoints_are_none_and_unseen_people_are_left_out():
    none = left_out = 0
    for number in range(60):
        picture = coco_picture('val', number, difficulty=1.0)
        left_out += len(picture.scene.motions) - len(picture.people)
        for row in picture.annotations:
            v = table(row)[:, 2]
            assert row['area'] >= 32
            assert (v == 2).sum() >= FEWEST_SEEN or not v.any()
            if not v.any():
                assert not any(row['keypoints'])
                none += 1
    assert none > 0
    assert left_out > 0


def test_counting(root):
    counts = count_visibility(root / 'annotations' / 'person_keypoints_train2017.json')
    assert tuple(counts) == KEYPOINTS
    rows = [row for row in notes(root, 'train')['annotations'] if row['num_keypoints']]
    for index, count in enumerate(counts.values()):
        assert count == [sum(table(row)[index, 2] == v for row in rows) for v in range(3)]


# --- reproducibility --------------------------------------------------------------------------


def test_the_seed_decides(root, tmp_path):
    for name, seed in (('again', 0), ('other', 1)):
        write_coco(tmp_path / name, **QUICK, seed=seed)
    whole, other = files(root), files(tmp_path / 'other')
    assert len(whole) == 19
    assert files(tmp_path / 'again') == whole
    assert set(other) == set(whole)
    assert not {name for name in whole if other[name] == whole[name]}


def test_a_subset_is_the_same_as_all_of_it(root, tmp_path):
    write_coco(tmp_path / 'part', images={'val': 2, 'train': 0})
    whole, part = files(root), files(tmp_path / 'part')
    assert sorted(part) == [
        'annotations/person_keypoints_val2017.json',
        'val2017/000000000002.jpg',
        'val2017/000000000004.jpg',
    ]
    for name in list(part)[1:]:
        if name.endswith('.jpg'):
            assert part[name] == whole[name]
    rows, all_rows = notes(tmp_path / 'part', 'val'), notes(root, 'val')
    assert rows['images'] == all_rows['images'][:2]
    assert rows['annotations'] == all_rows['annotations'][: len(rows['annotations'])]
    assert rows['annotations']


def test_failed_writing_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr('cv2.imwrite', lambda *arguments: False)
    with pytest.raises(OSError, match='cannot write JPEG'):
        write_coco(tmp_path / 'coco', **QUICK)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_content_is_refused(tmp_path):
    (tmp_path / 'mine').write_text('mine')
    with pytest.raises(FileExistsError, match='is not empty'):
        write_coco(tmp_path, **QUICK)
    assert list(files(tmp_path)) == ['mine']


# --- bad requests and the command -------------------------------------------------------------


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'images': {'test': 1}}, "images: 'test' is not one of"),
        ({'images': {'train': -1}}, r"images\['train'\] is -1"),
        ({'images': {'train': 0}}, r"images is \{'train': 0\}"),
        ({'image_size': (16, 16)}, r'image_size is \(16, 16\)'),
        ({'people': (0, 1)}, r'people is \(0, 1\)'),
        ({'people': (3, 2)}, r'people is \(3, 2\)'),
        ({'people': (1, 21)}, r'people is \(1, 21\)'),
        ({'difficulty': 1.1}, r'difficulty is 1\.1'),
        ({'seed': -1}, 'seed is -1'),
    ],
)
def test_bad_requests_write_nothing(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_coco(tmp_path / 'coco', **{**QUICK, **change})
    assert not list(tmp_path.iterdir())


def test_a_picture_has_a_split_and_a_number():
    with pytest.raises(ValueError, match="split: 'test'"):
        coco_picture('test', 0)
    with pytest.raises(ValueError, match='number is -1'):
        coco_picture('val', -1)


def test_command_writes_and_says_what(tmp_path, capsys):
    out = tmp_path / 'coco'
    make_synthetic.main(
        f'coco --out {out} --train-images 3 --val-images 2 --image-size 96 80 --people 1 1 '
        '--visibility'.split()
    )
    assert len(list(out.glob('*2017/*.jpg'))) == 5
    said = capsys.readouterr().out
    assert str(out) in said
    assert 'train: 3 images' in said
    assert 'left_ankle' in said
    # the command's difficulty is the function's
    write_coco(tmp_path / 'same', images=dict(train=3, val=2), image_size=(96, 80), people=(1, 1))
    assert files(tmp_path / 'same') == files(out)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('--train-images -1', '--train-images is -1'),
        ('--train-images 0 --val-images 0', 'both 0'),
        ('--image-size 9 80', '--image-size is [9, 80]'),
        ('--people 2 1', '--people is [2, 1]'),
        ('--difficulty 2', '--difficulty is 2.0'),
        ('--seed -1', '--seed is -1'),
    ],
)
def test_command_refuses_bad_options(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        make_synthetic.main(f'coco --out {tmp_path / "x"} {options}'.split())
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
