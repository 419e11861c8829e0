"""Kinetics-TPS frames with persons, body parts and part states."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from projects.apct.annotations import read_annotations, read_truth
from projects.apct.layout import Findings, check_classes, check_split, list_videos, read_names


@DATASETS.register_module()
class KineticsTPSDataset(BaseDataset):
    """Frames of Kinetics-TPS in the published layout, M people a frame, K parts each.

    A sample before its pipeline is ``dict(img_path, video_path, frame_number, video, video_class,
    frame, img_id, part_names, bboxes=(M, 4) float32, part_bboxes=(M, K, 4) float32,
    part_valid=(M, K) bool, part_states=(M, K) int64)``: boxes are xyxy pixels, also beyond the
    image; a state is -1 where the part is missing or its state is in no vocabulary. ``img_path``
    is None where the frame is read out of ``video_path``. In test mode annotated frames also
    carry ``truth``, the people in the official form.

    Part and state names, in the order of their indices, are the data set's meta information
    ``part_names`` and ``state_names``; ``video_classes`` are the class folders.

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'val'``, ``'trainval'`` or ``'test'``, see
            :func:`projects.apct.layout.list_videos`.
        frame_interval: Take every n-th frame from the first on; the challenge evaluates every 5th.
        val_every: How many annotated training videos of a class there are to a validation video.
        classes: Video classes to read; all if None.
        frame_root: Folder of extracted frames, absolute or in ``data_root``, where these lie
            neither beside the videos nor in ``train_frames`` and ``test_frames``.
        filter_empty: Leave frames without people out of training.
        fraction: Share of the frames to use, evenly spread over the data.
        cache_dir: Where parsed annotations are kept, see ``projects.files.default_cache_dir``.
        pipeline: Transforms of a sample.
        kwargs: Further options of mmengine's ``BaseDataset``: ``test_mode``, ``indices``, ...

    Raises:
        FileNotFoundError: If a list or folder is missing, or no frame is left.
        ValueError: If an option is out of range.
    """

    METAINFO = dict(classes=('person',))

    def __init__(
        self,
        data_root: str,
        split: str,
        frame_interval: int = 5,
        val_every: int = 10,
        classes: Sequence[str] | None = None,
        frame_root: str | None = None,
        filter_empty: bool = False,
        fraction: float = 1.0,
        cache_dir: str | None = None,
        pipeline: Sequence[dict | Any] = (),
        **kwargs: Any,
    ) -> None:
        check_split(split, val_every)
        if not isinstance(frame_interval, int) or frame_interval < 1:
            raise ValueError(
                f'frame_interval is {frame_interval!r}, expected a whole number of 1 or more'
            )
        if not 0 < fraction <= 1:
            raise ValueError(f'fraction is {fraction!r}, expected a number above 0 and at most 1')
        lists = Path(data_root, 'list')
        self.part_names = tuple(read_names(lists / 'body_part.txt'))
        self.state_names = tuple(read_names(lists / 'part_stat.txt'))
        self.classes = check_classes(data_root, classes)
        self.split = split
        self.frame_interval = frame_interval
        self.val_every = val_every
        self.frame_root = frame_root
        self.filter_empty = filter_empty
        self.fraction = fraction
        self.cache_dir = Path(cache_dir) if cache_dir else None
        super().__init__(
            data_root=data_root,
            metainfo=dict(
                part_names=list(self.part_names),
                state_names=list(self.state_names),
                video_classes=list(self.classes),
            ),
            pipeline=list(pipeline),
            serialize_data=False,  # the annotations are few arrays already, which workers share
            **kwargs,
        )

    def load_data_list(self) -> np.ndarray:
        """Read the annotations.

        Returns:
            (N,) int64 indices of the frames to use, into ``annotations``.
        """
        findings = Findings()
        self.videos = list_videos(
            self.data_root,
            self.split,
            val_every=self.val_every,
            classes=self.classes,
            frame_root=self.frame_root,
            findings=findings,
        )
        half = 'test' if self.split == 'test' else 'train'
        self.annotations, odd = read_annotations(
            self.videos,
            self.part_names,
            self.state_names,
            self.frame_interval,
            cache_dir=self.cache_dir,
            frame_list=Path(self.data_root, 'list', f'video_{half}_flist.csv'),
        )
        findings.kinds.update(odd.kinds)
        heading = f'{type(self).__name__}: split {self.split!r} of {self.data_root}'
        frames = np.arange(len(self.annotations.number))
        if self.filter_empty and not self.test_mode:
            frames = frames[np.diff(self.annotations.first) > 0]
        if not len(frames):
            hint = ''
            if self.split == 'val':
                hint = f'; a class needs {self.val_every} videos to have one, see val_every'
            raise FileNotFoundError(
                f'{heading}: no frame to read; looked for {half}_videos/<class>/<video>.mp4 or '
                f'<video>/img_00001.jpg and {half}_annotations/<class>/<video>/<video>/'
                f'img_00001.json of the classes {list(self.classes)}{hint}. Found: '
                f'{len(self.videos)} videos. {findings}'
            )
        findings.warn(heading)
        if self.fraction < 1:
            count = max(1, round(self.fraction * len(frames)))
            frames = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
        return frames

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The sample ``idx`` before its pipeline."""
        self.full_init()  # at once where done; needed under lazy_init
        index = int(self.data_list[idx])
        frames = self.annotations
        video = self.videos[frames.video[index]]
        number = int(frames.number[index])
        people = slice(frames.first[index], frames.first[index + 1])
        has_image = frames.has_image[index]
        info = dict(
            img_path=str(video.frame_dir / f'img_{number:05d}.jpg') if has_image else None,
            video_path=str(video.path) if video.path else None,
            frame_number=number,
            video=video.name,
            video_class=video.video_class,
            frame=f'img_{number:05d}.json',
            img_id=index,
            part_names=self.part_names,
            bboxes=frames.boxes[people].copy(),
            part_bboxes=frames.part_boxes[people].copy(),
            part_valid=frames.part_valid[people].copy(),
            part_states=frames.part_states[people].astype(np.int64),
            sample_idx=idx,
        )
        if self.test_mode and video.annotation_dir is not None:
            info['truth'] = read_truth(video.annotation_dir / info['frame'])
        return info
