"""Images a second: APCT beside a pipeline of stock models that does the same in several stages.

    python tools/benchmarks/apct_against_pipeline.py                          # a minute on a CPU
    python tools/benchmarks/apct_against_pipeline.py --image-size 800 1333 --people 1 3 10

The pipeline is that of the entries before APCT: mmdet's Faster R-CNN (R-50, FPN) finds persons;
mmpose's top-down HRNet-W32 (256 x 192) finds the 17 keypoints of each, which give the ten part
boxes; mmpretrain's ResNet-18 names the state of each part from its crop. One image after another,
from pixels to parts and states, the two taking turns in one process; medians.

Weights are random, which changes no time but lets the detector find nothing sensible: the later
stages get a stated number of person boxes instead of its own, so that their work is that of an
image with as many people. Where there is a choice it is the one that favours the pipeline: no
flipped second pass for the keypoints, a small state network on small crops, all crops at once.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS as DETECTORS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmpose.apis import inference_topdown
from mmpose.registry import DATASETS as POSE_DATASETS
from mmpose.registry import MODELS as POSE_MODELS
from mmpretrain.registry import MODELS as CLASSIFIERS
from rich.console import Console
from rich.table import Table
from timing import describe, interleaved, make_sample
from torch import Tensor, nn
from torchvision.ops import nms, roi_align

import projects.apct  # noqa: F401 - registers

HEADLINE = Path(__file__).resolve().parents[2] / 'configs' / 'apct.py'
DETECTOR = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
POSE = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
STATES = {
    'r18': 'mmpretrain::resnet/resnet18_8xb32_in1k.py',
    'r50': 'mmpretrain::resnet/resnet50_8xb32_in1k.py',
}
# the keypoints of COCO whose bounding box, widened, is the part's box
PART_KEYPOINTS = (
    (0, 1, 2, 3, 4),  # head: nose, eyes, ears
    (5, 7, 9),  # left arm
    (6, 8, 10),  # right arm
    (9,),  # left hand
    (10,),  # right hand
    (11, 12),  # hip
    (11, 13, 15),  # left leg
    (12, 14, 16),  # right leg
    (15,),  # left foot
    (16,),  # right foot
)


def torchvision_nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, **options: object
) -> tuple[Tensor, Tensor]:
    """NMS of torchvision in the place of mmcv's, which needs its CUDA kernels on a GPU.

    Args:
        boxes: (n, 4) xyxy.
        scores: (n,).
        iou_threshold: Of boxes that are dropped.
        options: Of mmcv's, that mmdet leaves at their defaults here.

    Returns:
        (m, 5) boxes with scores, and (m,) their indices.
    """
    kept = nms(boxes, scores, iou_threshold)
    return torch.cat([boxes[kept], scores[kept, None]], dim=-1), kept


def part_boxes(keypoints: np.ndarray, heights: np.ndarray, margin: float = 0.08) -> np.ndarray:
    """Boxes of parts around keypoints.

    Args:
        keypoints: (M, 17, 2) pixels.
        heights: (M,) of the persons, pixels.
        margin: Added on each side, of the person's height.

    Returns:
        (M, K, 4) xyxy pixels.
    """
    corners = [
        np.concatenate([keypoints[:, part].min(1), keypoints[:, part].max(1)], axis=-1)
        for part in map(list, PART_KEYPOINTS)
    ]
    widen = margin * heights[:, None, None] * np.array([-1, -1, 1, 1])
    return np.stack(corners, axis=1) + widen


class Pipeline:
    """Detector, keypoints, part crops, states.

    Args:
        num_states: S.
        states: Network that names them, ``'r18'`` or ``'r50'``.
        part_size: Pixels a side of a crop.
        device: To run on.
    """

    def __init__(self, num_states: int, states: str, part_size: int, device: torch.device) -> None:
        detector = get_config(DETECTOR).model
        detector.backbone.init_cfg = None
        detector.roi_head.bbox_roi_extractor.roi_layer.use_torchvision = True
        detector.test_cfg.rpn.nms.type = torchvision_nms
        detector.test_cfg.rcnn.nms.type = torchvision_nms
        self.detector = _ready(DETECTORS, 'mmdet', detector, device)

        pose = get_config(POSE)
        pose.model.backbone.init_cfg = None
        pose.model.test_cfg.flip_test = False
        self.pose = _ready(POSE_MODELS, 'mmpose', pose.model, device)
        self.pose.cfg = pose  # where mmpose's inference looks for the test pipeline
        self.pose.dataset_meta = POSE_DATASETS.get('CocoDataset').METAINFO

        classifier = get_config(STATES[states]).model
        classifier.head.update(num_classes=num_states, topk=(1,))
        self.states = _ready(CLASSIFIERS, 'mmpretrain', classifier, device)
        self.part_size = part_size
        self.device = device

    @torch.no_grad()
    def run(self, image: np.ndarray, data: dict, boxes: np.ndarray) -> Tensor:
        """Parts and states of an image.

        Args:
            image: (H, W, 3) BGR, uint8.
            data: The same for the detector's ``test_step``.
            boxes: (M, 4) person boxes that take the place of the detector's, xyxy pixels.

        Returns:
            (M, K) indices of states.
        """
        self.detector.test_step(data)
        poses = inference_topdown(self.pose, image, boxes)
        keypoints = np.concatenate([pose.pred_instances.keypoints for pose in poses])  # (M, 17, 2)
        parts = part_boxes(keypoints, boxes[:, 3] - boxes[:, 1])  # (M, K, 4)
        pixels = torch.from_numpy(image).to(self.device).permute(2, 0, 1)[None].float()
        where = torch.from_numpy(parts).to(pixels).flatten(0, 1)  # (M * K, 4)
        crops = roi_align(pixels, [where], self.part_size, sampling_ratio=2, aligned=True)
        inputs = self.states.data_preprocessor(dict(inputs=crops))['inputs']
        return self.states(inputs).argmax(-1).unflatten(0, parts.shape[:2])


def _ready(registry: object, scope: str, config: Config, device: torch.device) -> nn.Module:
    with DefaultScope.overwrite_default_scope(scope):
        return registry.build(config).to(device).eval()


def main() -> None:
    """Build, time, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--image-size', type=int, nargs=2, default=(480, 640), metavar=('HEIGHT', 'WIDTH')
    )
    parser.add_argument('--people', type=int, nargs='+', default=[3], help='in an image')
    parser.add_argument('--states', choices=sorted(STATES), default='r18', help='state network')
    parser.add_argument('--part-size', type=int, default=112, help='pixels a side of a part crop')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--device', help='cpu, cuda:0, ... [the GPU if there is one]')
    args = parser.parse_args()
    device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    size = tuple(args.image_size)

    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    headline = Config.fromfile(HEADLINE)
    headline.model.backbone.pop('init_cfg', None)
    parser_model = _ready(DETECTORS, 'mmdet', headline.model, device)
    pipeline = Pipeline(headline.num_states, args.states, args.part_size, device)

    pixels = torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8)
    image = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    jobs = {}
    for people in args.people:
        sample = make_sample(size, people, headline.num_parts, headline.num_states, generator)
        data = dict(inputs=[pixels], data_samples=[sample])
        boxes = sample.gt_instances.bboxes.numpy()
        jobs[f'APCT {people}'] = lambda data=data: parser_model.test_step(data)
        jobs[f'pipeline {people}'] = lambda data=data, boxes=boxes: pipeline.run(image, data, boxes)
    with torch.no_grad(), DefaultScope.overwrite_default_scope('mmdet'):
        seconds = interleaved(jobs, args.repeats, device)

    table = Table(
        title=f'{size[0]} x {size[1]}, one image at a time; states by ResNet-{args.states[1:]} on '
        f'{args.part_size} x {args.part_size}; {describe(device)}, medians of {args.repeats}',
        title_justify='left',
    )
    for column in ('people', 'APCT, images/s', 'pipeline, images/s', 'ratio'):
        table.add_column(column, justify='right')
    for people in args.people:
        ours, theirs = seconds[f'APCT {people}'], seconds[f'pipeline {people}']
        table.add_row(str(people), f'{1 / ours:.2f}', f'{1 / theirs:.2f}', f'{theirs / ours:.2f} x')
    Console(width=100).print(table)


if __name__ == '__main__':
    main()
