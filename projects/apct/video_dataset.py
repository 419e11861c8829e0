"""Kinetics-TPS as a list of videos with their classes, for mmaction2's recognizers."""

import logging
from collections.abc import Sequence
from typing import Any

from mmaction.datasets import BaseActionDataset
from mmaction.registry import DATASETS
from mmengine.logging import print_log

from projects.apct.layout import (
    Findings,
    Video,
    check_classes,
    check_split,
    list_videos,
    numbered_files,
)

_MAX_TRIES = 10
_ADVICE = dict(
    video="set storage='frames' and decode with RawFrameDecode, or put the video files there",
    frames="set storage='video' and decode with DecordInit and DecordDecode, or extract the frames",
)


@DATASETS.register_module()
class KineticsTPSVideoDataset(BaseActionDataset):
    """Videos of Kinetics-TPS in the published layout, one sample a video.

    The splits are those of ``KineticsTPSDataset``, so that parser and classifier are trained and
    chosen on the same videos. A sample is ``dict(label, video, video_class, modality,
    start_index)`` with what mmaction2's decoding steps read: ``filename`` for ``DecordInit``; or
    ``frame_dir``, ``total_frames`` and ``filename_tmpl`` for ``RawFrameDecode``. To have results
    named by video, give ``video`` to ``PackActionInputs`` as one of its ``meta_keys``.

    A video that cannot be decoded is logged, and the next one that can takes its place. While
    testing, when every video needs a result, that one bears the name and label of the first, and
    ``unreadable=True`` in its meta information: ``KineticsTPSVideoMetric`` counts it as class 0.

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'val'``, ``'trainval'`` or ``'test'``, see
            :func:`projects.apct.layout.list_videos`.
        pipeline: Transforms of a sample.
        storage: ``'video'`` reads video files, ``'frames'`` folders of all frames ``img_%05d.jpg``.
        val_every: How many annotated training videos of a class there are to a validation video.
        classes: Video classes to read, in the order of their labels; all, sorted, if None.
        frame_root: Folder of extracted frames, where these lie neither beside the videos nor in
            ``train_frames`` and ``test_frames``.
        kwargs: Further options of mmengine's ``BaseDataset``: ``test_mode``, ``indices``, ...

    Raises:
        FileNotFoundError: If a folder is missing, or no video is left.
        ValueError: If an option is out of range, or no video is stored as ``storage`` says.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        pipeline: Sequence[dict | Any] = (),
        storage: str = 'video',
        val_every: int = 10,
        classes: Sequence[str] | None = None,
        frame_root: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_split(split, val_every)
        if storage not in _ADVICE:
            raise ValueError(f'storage is {storage!r}, expected one of {sorted(_ADVICE)}')
        self.split = split
        self.storage = storage
        self.val_every = val_every
        self.classes = check_classes(data_root, classes)
        self.frame_root = frame_root
        super().__init__(
            ann_file='',
            data_root=data_root,
            # mmaction2's drawing looks for 'classes'
            metainfo=dict(classes=list(self.classes), video_classes=list(self.classes)),
            pipeline=list(pipeline),
            start_index=0 if storage == 'video' else 1,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """List the videos of the split."""
        findings = Findings()
        videos = list_videos(
            self.data_root,
            self.split,
            val_every=self.val_every,
            classes=self.classes,
            frame_root=self.frame_root,
            findings=findings,
        )
        heading = f'{type(self).__name__}: split {self.split!r} of {self.data_root}'
        samples = [self._sample(video, findings) for video in videos]
        samples = [sample for sample in samples if sample is not None]
        if videos and not samples:
            raise ValueError(
                f'{heading}: none of {len(videos)} videos is stored as {self.storage!r}: '
                f'{_ADVICE[self.storage]}. {findings}'
            )
        if not samples:
            hint = ''
            if self.split == 'val':
                hint = f': a class needs {self.val_every} videos to have one, see val_every'
            raise FileNotFoundError(f'{heading}: no videos{hint}. {findings}')
        findings.warn(heading)
        return samples

    def prepare_data(self, idx: int) -> Any:
        """The sample ``idx`` through the pipeline, or one in its place; see the class.

        Args:
            idx: Its index.

        Raises:
            ValueError: If neither it nor the videos after it can be loaded, which has other reasons
                than a damaged video.
        """
        try:
            return super().prepare_data(idx)
        except Exception as error:  # every decoder has errors of its own
            failure = error
        info = self.get_data_info(idx)
        where = info.get('filename') or info.get('frame_dir')
        reason = f'{type(failure).__name__}: {failure}'.strip().splitlines()[0]
        others = [(idx + step) % len(self) for step in range(1, min(len(self), _MAX_TRIES))]
        for other in others:
            instead = self.get_data_info(other)
            if self.test_mode:
                same = {key: info[key] for key in ('video', 'video_class', 'label')}
                instead.update(same, unreadable=True)
            try:
                packed = self.pipeline(instead)
            except Exception as error:
                print_log(f'{instead["video"]}: {error}', logger='current', level=logging.DEBUG)
                continue
            if self.test_mode and 'data_samples' in packed:
                packed['data_samples'].set_metainfo(dict(unreadable=True))
            fate = 'taken as a video of class 0' if self.test_mode else 'left out'
            print_log(f'{where}: {fate}: {reason}', logger='current', level=logging.WARNING)
            return packed
        raise ValueError(
            f'{where}: cannot be loaded, nor can the {len(others)} videos after it: {reason}'
        ) from failure

    def _sample(self, video: Video, findings: Findings) -> dict[str, Any] | None:
        sample = dict(
            label=self.classes.index(video.video_class),
            video=video.name,
            video_class=video.video_class,
        )
        where = f'{video.video_class}/{video.name}'
        if self.storage == 'video':
            if video.path is None:
                findings.add('video without a video file, left out', where)
                return None
            return dict(sample, filename=str(video.path))
        numbers = list(numbered_files(video.frame_dir, 'jpg')) if video.frame_dir else []
        if not numbers or numbers != list(range(1, len(numbers) + 1)):
            # recognizers sample any frame, so every 5th frame is not enough
            findings.add('video without a folder of all of its frames, left out', where)
            return None
        return dict(
            sample,
            frame_dir=str(video.frame_dir),
            total_frames=len(numbers),
            filename_tmpl='img_{:05}.jpg',
        )
