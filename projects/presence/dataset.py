"""Leeds Sports Pose and its extended training set, whose labels say which joints are there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MessageHub, MMLogger
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS
from PIL import Image, UnidentifiedImageError

from projects.keypoints import keypoint_layout
from projects.lsp import picture_path, read_joints

SPLITS = ('train', 'val', 'test')
BOXES = ('joints', 'image')
AREA_OF_BOX = 0.53  # of a person's box; mmpose's, for annotations without a segmentation

LAYOUT = keypoint_layout('lsp')
COLORS = dict(left=[0, 255, 0], right=[255, 128, 0], central=[51, 153, 255])
# weights and sigmas are COCO's; neck and head top, which it lacks, as CrowdPose has the sigmas
WEIGHTS = dict(elbow=1.2, wrist=1.5, knee=1.2, ankle=1.5)
SIGMAS = dict(
    ankle=0.089, knee=0.087, hip=0.107, wrist=0.062, elbow=0.072, shoulder=0.079,
    neck=0.079, head_top=0.079,
)  # fmt: skip


def _part(index: int) -> str:
    """Name of a joint without its side."""
    return LAYOUT.joint_names[index].removeprefix('left_').removeprefix('right_')


def _color(*joints: int) -> list[int]:
    """Colour of what connects these joints: that of their side if they have the same."""
    sides = {LAYOUT.joint_names[joint].split('_')[0] for joint in joints} - {'neck'}
    return COLORS.get(sides.pop() if len(sides) == 1 else 'central', COLORS['central'])


def _keypoint(index: int) -> dict[str, Any]:
    """What mmpose wants to know of a joint."""
    mirrored = LAYOUT.flip_indices[index]
    return dict(
        name=LAYOUT.joint_names[index],
        id=index,
        color=_color(index),
        type='lower' if _part(index) in ('ankle', 'knee', 'hip') else 'upper',
        swap='' if mirrored == index else LAYOUT.joint_names[mirrored],
    )


@DATASETS.register_module()
class LSPDataset(BaseCocoStyleDataset):
    """People of Leeds Sports Pose or of its extended training set, one a photograph.

    In the extended set a joint without a place is one that the annotator could not see; in the
    first set all joints have a place and hidden ones are marked. Both become COCO's v in
    ``raw_ann_info``, which presence targets and mmpose's ``CocoMetric`` read.

    The pictures of a split follow from ``split_seed``, ``fractions`` and the number of people in
    the file alone, so that a missing picture moves none to another split.

    Args:
        ann_file: The file of joints.
        data_prefix: ``img`` is the folder of photographs, im00001.jpg or im0001.jpg and on.
        split: ``'train'``, ``'val'``, ``'test'``, or None for all people.
        fractions: Shares of the three splits, in this order; 1 at most in total.
        split_seed: Of the permutation that the splits are consecutive pieces of.
        box: ``'joints'`` is the box around the joints that have a place, ``'image'`` the whole
            picture, as if nothing was known of where the person is.
        margin: What ``'joints'`` adds to every side, in longer sides of the joints' box: joints lie
            inside of a body. The box is cut at the picture's borders.
        min_visible: People with fewer joints that have a place are left out.
        kwargs: As in mmpose's ``BaseCocoStyleDataset``; ``bbox_file`` is not supported.

    Raises:
        ValueError: If an option is not one of these, a file is malformed, or nobody is left.
        FileNotFoundError: If the file of joints or all pictures are missing.
    """

    METAINFO: dict = dict(
        dataset_name='lsp',
        paper_info=dict(
            author='Johnson, Sam and Everingham, Mark',
            title='Learning Effective Human Pose Estimation from Inaccurate Annotation',
            container='Proceedings of IEEE Conference on Computer Vision and Pattern Recognition',
            year='2011',
        ),
        keypoint_info={index: _keypoint(index) for index in range(LAYOUT.num_joints)},
        skeleton_info={
            index: dict(
                link=tuple(LAYOUT.joint_names[joint] for joint in limb),
                id=index,
                color=_color(*limb),
            )
            for index, limb in enumerate(LAYOUT.limbs)
        },
        joint_weights=[WEIGHTS.get(_part(joint), 1.0) for joint in range(LAYOUT.num_joints)],
        sigmas=[SIGMAS[_part(joint)] for joint in range(LAYOUT.num_joints)],
    )

    def __init__(
        self,
        ann_file: str = 'joints.mat',
        data_prefix: dict = dict(img='images'),  # noqa: B006 (mmengine copies it)
        split: str | None = None,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        split_seed: int = 0,
        box: str = 'joints',
        margin: float = 0.1,
        min_visible: int = 4,
        **kwargs: Any,
    ) -> None:
        for name, value, choices in (('split', split, (*SPLITS, None)), ('box', box, BOXES)):
            if value not in choices:
                raise ValueError(f'{name} is {value!r}, expected one of {choices}')
        shares = np.asarray(fractions, dtype=float)
        if shares.shape != (3,) or not (shares >= 0).all() or shares.sum() > 1 + 1e-9:
            raise ValueError(
                f'fractions are {fractions!r}, expected three numbers of 0 or more that are 1 at '
                'most in total'
            )
        if not margin >= 0:
            raise ValueError(f'margin is {margin!r}, expected 0 or more')
        if not 1 <= min_visible <= LAYOUT.num_joints:
            raise ValueError(f'min_visible is {min_visible!r}, expected 1 to {LAYOUT.num_joints}')
        if kwargs.get('bbox_file'):
            raise ValueError('bbox_file is not supported by LSPDataset, which has no detections')
        self.split = split
        self.fractions = shares
        self.split_seed = split_seed
        self.box = box
        self.margin = margin
        self.min_visible = min_visible
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)
        # where CocoMetric would look for annotations in COCO's form; without, it uses raw_ann_info
        MessageHub.get_current_instance().pop_info(f'{self.metainfo["dataset_name"]}_ann_file')

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        """People and pictures of the split, as the base class builds samples from them."""
        joints = read_joints(Path(self.ann_file))
        if joints.shape[1] != self.metainfo['num_keypoints']:
            raise ValueError(
                f'{self.ann_file}: {joints.shape[1]} joints, but metainfo has '
                f'{self.metainfo["num_keypoints"]}'
            )
        self._metainfo['CLASSES'] = [dict(id=1, name='person')]  # as COCO's categories
        folder, left_out, missing = self.data_prefix['img'], 0, []
        instances, images = [], []
        for number in split_numbers(len(joints), self.split, self.fractions, self.split_seed):
            if number % self.sample_interval:
                continue
            person = joints[number - 1]
            if np.count_nonzero(person[:, 2]) < self.min_visible:
                left_out += 1
                continue
            path = picture_path(folder, number)
            if not path.is_file():
                missing.append(path)
                continue
            width, height = _picture_size(path)
            image = dict(img_id=number, img_path=str(path), width=width, height=height)
            annotation = self._annotation(number, person, width, height)
            images.append(image)
            instances.append(
                self.parse_data_info(dict(raw_ann_info=annotation, raw_img_info=image))
            )
        logger = MMLogger.get_current_instance()
        if missing:
            if not images:
                raise FileNotFoundError(
                    f'{missing[0]}: no such file, and none of the {len(missing) - 1} others that '
                    f'{self.ann_file} has joints for'
                )
            logger.warning(
                f'{self.ann_file}: {len(missing)} of {len(missing) + len(images)} pictures are '
                f'missing and left out, the first is {missing[0]}'
            )
        if left_out:
            logger.info(
                f'{self.ann_file}: {left_out} people with fewer than {self.min_visible} joints are '
                'left out'
            )
        if not images:
            raise ValueError(
                f'{self.ann_file}: none of {len(joints)} people is left for split {self.split!r} '
                f'with min_visible={self.min_visible}'
            )
        return instances, images

    def _annotation(self, number: int, joints: np.ndarray, width: int, height: int) -> dict:
        """A person in COCO's form.

        Args:
            number: Of the picture; also the person's.
            joints: (14, 3), x and y in pixels and v.
            width: Of the picture, pixels.
            height: Of the picture, pixels.
        """
        labelled = joints[joints[:, 2] > 0, :2]
        low, high = labelled.min(0), labelled.max(0)
        reach = self.margin * (high - low).max()
        last = np.array([width, height]) - 1
        low, high = np.clip(low - reach, 0, last), np.clip(high + reach, 0, last)
        size = high - low
        # the body's size in OKS does not change with the box that a network is given
        area = max(float(size.prod()) * AREA_OF_BOX, 1.0)
        if self.box == 'image':
            low, size = np.zeros(2), last
        return dict(
            id=number,
            image_id=number,
            category_id=1,
            keypoints=joints.ravel().tolist(),
            num_keypoints=len(labelled),
            bbox=[float(value) for value in (*low, *size)],
            area=area,
            iscrowd=0,
        )


def split_numbers(
    count: int, split: str | None, fractions: Sequence[float], seed: int
) -> list[int]:
    """Numbers of the pictures of a split, from 1, in rising order.

    Args:
        count: Number of all pictures.
        split: One of ``SPLITS``, None for all.
        fractions: Shares of the three splits.
        seed: Of the permutation.
    """
    # of numpy's generators the only one whose numbers never change with numpy's version
    order = np.random.RandomState(seed).permutation(count) + 1
    if split is None:
        return sorted(order.tolist())
    ends = np.rint(np.cumsum([0.0, *fractions]) * count).astype(int)
    index = SPLITS.index(split)
    return sorted(order[ends[index] : ends[index + 1]].tolist())


def _picture_size(path: Path) -> tuple[int, int]:
    """Width and height out of a picture's header."""
    try:
        with Image.open(path) as image:
            return image.size
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f'{path}: no picture that can be read ({error})') from error
