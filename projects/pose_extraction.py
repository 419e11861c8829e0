"""Poses out of videos by pose estimators of MMPose or MediaPipe."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.logging import print_log

from projects.inference import images_in
from projects.keypoints import LAYOUTS, KeypointLayout, keypoint_layout
from projects.tracking import Pose, PoseTracker

BACKENDS = ('mmpose', 'mediapipe')
MEDIAPIPE_MODEL_URL = (
    'https://storage.googleapis.com/mediapipe-models/pose_landmarker/'
    'pose_landmarker_full/float16/latest/pose_landmarker_full.task'
)
"""Where MediaPipe publishes the model that its present versions need."""

# COCO's spread of annotated keypoints around the true ones, for each name. Joints that COCO lacks
# get that of the nearest one it has.
_SIGMAS = {
    **dict(nose=0.026, eye=0.025, ear=0.035, mouth=0.026, head=0.035, neck=0.079, spine=0.107),
    **dict(shoulder=0.079, elbow=0.072, wrist=0.062, hip=0.107, knee=0.087, ankle=0.089),
    **dict(hand=0.062, pinky=0.062, index=0.062, thumb=0.062, heel=0.089, foot=0.089),
}


class PoseExtractor(ABC):
    """Finds the poses of single frames; closed when it is not needed any more.

    Attributes of every extractor: ``joint_names`` (J names in the order of the keypoints), ``dims``
    (D, 2 or 3), ``layout`` (the :class:`KeypointLayout` of these joints, None if it is none of the
    known ones), ``sigmas`` ((J,) how far annotated keypoints spread, as in COCO) and
    ``follows_one`` (whether it looks for a single person and follows it by itself).

    Args:
        joint_names: What the estimator finds.
        dims: D.
        layout: Name of the layout whose joints to pick from these by name; all of them if None.
        sigmas: Spread of each of the joints that the estimator finds; by their names if None.

    Raises:
        ValueError: If the estimator does not find one of the joints of the layout.
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        dims: int,
        layout: str | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        found = tuple(joint_names)
        self.layout = _layout_of(found)
        self.dims = dims
        self.follows_one = False
        self.joint_names = found
        if layout is not None:
            self.layout = keypoint_layout(layout)
            self.joint_names = self.layout.joint_names
            missing = [name for name in self.joint_names if name not in found]
            if missing:
                raise ValueError(
                    f'layout {layout!r} has the joints {missing}, which the pose estimator does '
                    f'not find; it finds {list(found)}'
                )
        self._picked = [found.index(name) for name in self.joint_names]
        if sigmas is None or len(sigmas) != len(found):
            sigmas = [_sigma(name) for name in found]
        self.sigmas = np.array([sigmas[joint] for joint in self._picked])  # (J,)

    def start(self) -> None:  # noqa: B027 - estimators of single frames have nothing to forget
        """Forget earlier frames: the next one begins another video."""

    @abstractmethod
    def __call__(self, frame: np.ndarray, seconds: float) -> list[Pose]:
        """Poses of a frame.

        Args:
            frame: (height, width, 3) uint8 BGR.
            seconds: Time since the start of the video.
        """

    def close(self) -> None:  # noqa: B027 - most hold nothing that Python would not give back
        """Give back what the estimator holds."""

    def _pose(self, keypoints: np.ndarray, scores: np.ndarray, box: np.ndarray) -> Pose:
        """A pose of the joints to be kept, out of all that the estimator finds."""
        picked = np.asarray(keypoints, np.float32)[self._picked]  # (J, D)
        return Pose(picked, np.asarray(scores, np.float32)[self._picked], np.asarray(box))


class MMPoseExtractor(PoseExtractor):
    """A 2D pose estimator of MMPose, top-down with a detector of MMDetection, or bottom-up.

    Args:
        pose_model: A config file, or a name or alias that MMPose publishes weights of, such as
            ``human``.
        pose_checkpoint: Its weights; None for those published, or none for a config file.
        det_model: Likewise the detector of a top-down model. None for the one that MMPose publishes
            for people, ``whole_image`` for a single person who fills the frame.
        det_checkpoint: Likewise.
        det_class: Number of the detector's class of people.
        det_threshold: Least score of a box.
        layout: As in :class:`PoseExtractor`.
        device: Such as ``cuda:0`` or ``cpu``; the best there is if None.

    Raises:
        ValueError: As :class:`PoseExtractor`; or if the model says nothing of its keypoints.
    """

    def __init__(
        self,
        pose_model: str = 'human',
        pose_checkpoint: str | None = None,
        det_model: str | None = None,
        det_checkpoint: str | None = None,
        det_class: int = 0,
        det_threshold: float = 0.3,
        layout: str | None = None,
        device: str | None = None,
    ) -> None:
        from mmpose.apis import MMPoseInferencer  # loads all of MMPose and MMDetection

        # It knows the published models and their addresses, and builds from files as well.
        inferencer = MMPoseInferencer(
            pose2d=pose_model,
            pose2d_weights=pose_checkpoint,
            det_model=det_model,
            det_weights=det_checkpoint,
            det_cat_ids=[det_class],
            device=device,
        ).inferencer
        self.model = inferencer.model
        self.detector = getattr(inferencer, 'detector', None)
        self.top_down = inferencer.cfg.data_mode == 'topdown'
        self.det_classes = list(getattr(inferencer, 'det_cat_ids', []))
        self.det_threshold = det_threshold
        meta = self.model.dataset_meta or {}
        names = meta.get('keypoint_id2name')
        if not names:
            raise ValueError(
                f'{pose_checkpoint or pose_model}: neither the checkpoint nor the training data '
                'set of the config names the keypoints'
            )
        names = [names[number] for number in range(len(names))]
        super().__init__(names, 2, layout, meta.get('sigmas'))

    def __call__(self, frame: np.ndarray, seconds: float = 0.0) -> list[Pose]:
        """Poses of a frame, each on its own.

        Args:
            frame: (height, width, 3) uint8 BGR.
            seconds: Of no effect.
        """
        from mmpose.apis import inference_bottomup, inference_topdown

        if self.top_down:
            # Of a frame without a box MMPose takes the whole picture for a person.
            boxes = self._boxes(frame)
            samples = inference_topdown(self.model, frame, boxes) if len(boxes) else []
        else:
            samples = inference_bottomup(self.model, frame)
        poses = []
        for sample in samples:
            found = sample.pred_instances.cpu().numpy()
            keypoints, scores = np.asarray(found.keypoints), np.asarray(found.keypoint_scores)
            boxes = np.asarray(found.bboxes) if 'bboxes' in found else map(_box_around, keypoints)
            poses += map(self._pose, keypoints[..., :2], scores, boxes)
        return poses

    def _boxes(self, frame: np.ndarray) -> np.ndarray:
        """(N, 4) people in a frame, xyxy pixels."""
        if self.detector is None:
            height, width = frame.shape[:2]
            return np.array([[0, 0, width, height]], dtype=np.float32)
        from mmpose.evaluation.functional import nms

        found = self.detector(frame, return_datasamples=True)['predictions'][0].pred_instances
        found = found.cpu().numpy()
        found = found[np.isin(found.labels, self.det_classes) & (found.scores > self.det_threshold)]
        boxes = np.column_stack([found.bboxes, found.scores])  # (N, 5)
        return boxes[nms(boxes, 0.3), :4] if len(boxes) else boxes[:, :4]  # as MMPose's own demo


class MediaPipeExtractor(PoseExtractor):
    """MediaPipe's BlazePose: 33 keypoints, x and z times the width and y times the height.

    These are the numbers that the original PoseRAC reads. Frames have to come in their order, as
    the estimator follows a person from frame to frame.

    Args:
        model_path: A ``.task`` model for MediaPipe's present interface, see
            ``MEDIAPIPE_MODEL_URL``. None for the model that older MediaPipe versions bring along,
            which finds a single person; the original used it.
        people: How many people to look for, at most.
        min_confidence: Least confidence of finding and of following a person.
        layout: As in :class:`PoseExtractor`.

    Raises:
        ImportError: If MediaPipe is not installed.
        FileNotFoundError: If there is no such model.
        ValueError: If the installed version needs a model, or finds one person only; or as
            :class:`PoseExtractor`.
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        people: int = 1,
        min_confidence: float = 0.5,
        layout: str | None = None,
    ) -> None:
        super().__init__(LAYOUTS['blazepose'].joint_names, 3, layout)
        try:
            import mediapipe
        except ImportError as error:
            raise ImportError(
                "MediaPipe is not installed; in the checkout, pip install -e '.[mediapipe]' does it"
            ) from error
        if model_path is None:
            if not hasattr(mediapipe, 'solutions'):
                raise ValueError(
                    f'MediaPipe {mediapipe.__version__} brings no model along: download '
                    f'{MEDIAPIPE_MODEL_URL} and name the file as model_path (--model-path)'
                )
            if people != 1:
                raise ValueError(
                    f"people is {people}, but MediaPipe's own model finds one: name a "
                    f'downloaded one as model_path (--model-path), {MEDIAPIPE_MODEL_URL}'
                )
        elif not Path(model_path).is_file():
            raise FileNotFoundError(f'{model_path}: no such model; there is {MEDIAPIPE_MODEL_URL}')
        self.mediapipe = mediapipe
        self.model_path, self.people = model_path, people
        self.follows_one = people == 1
        self.min_confidence = min_confidence
        self._estimator: Any = None
        self._used = False
        self.start()

    def start(self) -> None:
        """Forget earlier frames: the next one begins another video."""
        if self._estimator is not None and not self._used:
            return
        self.close()
        self._used = False
        confidence = dict.fromkeys(
            ('min_pose_detection_confidence', 'min_pose_presence_confidence'), self.min_confidence
        )
        confidence['min_tracking_confidence'] = self.min_confidence
        if self.model_path is None:
            self._estimator = self.mediapipe.solutions.pose.Pose(
                min_detection_confidence=self.min_confidence,
                min_tracking_confidence=self.min_confidence,
            )
            return
        tasks = self.mediapipe.tasks
        self._estimator = tasks.vision.PoseLandmarker.create_from_options(
            tasks.vision.PoseLandmarkerOptions(
                base_options=tasks.BaseOptions(model_asset_path=str(self.model_path)),
                running_mode=tasks.vision.RunningMode.VIDEO,
                num_poses=self.people,
                **confidence,
            )
        )
        self._last_time = -1

    def __call__(self, frame: np.ndarray, seconds: float) -> list[Pose]:
        """Poses of the next frame of a video.

        Args:
            frame: (height, width, 3) uint8 BGR.
            seconds: Time since the start of the video.
        """
        rgb = np.ascontiguousarray(frame[..., ::-1])
        self._used = True
        if self.model_path is None:
            found = self._estimator.process(rgb).pose_landmarks
            people = [] if found is None else [found.landmark]
        else:
            # whole milliseconds that have to rise
            self._last_time = max(self._last_time + 1, round(seconds * 1000))
            image = self.mediapipe.Image(image_format=self.mediapipe.ImageFormat.SRGB, data=rgb)
            people = self._estimator.detect_for_video(image, self._last_time).pose_landmarks
        height, width = frame.shape[:2]
        poses = []
        for landmarks in people:
            numbers = np.array([(m.x, m.y, m.z, m.visibility) for m in landmarks], np.float32)
            keypoints = numbers[:, :3] * np.array([width, height, width], np.float32)  # (33, 3)
            poses.append(self._pose(keypoints, numbers[:, 3], _box_around(keypoints)))
        return poses

    def close(self) -> None:
        """Give back what the estimator holds."""
        if self._estimator is not None:
            self._estimator.close()
            self._estimator = None


def build_extractor(backend: str, people: int = 1, **options: Any) -> PoseExtractor:
    """An extractor by the name of its backend.

    Args:
        backend: ``mmpose`` or ``mediapipe``.
        people: How many people to look for.
        options: Of :class:`MMPoseExtractor` or :class:`MediaPipeExtractor`.

    Raises:
        ValueError: If there is no such backend; or as the extractor.
    """
    if backend == 'mmpose':
        return MMPoseExtractor(**options)
    if backend == 'mediapipe':
        return MediaPipeExtractor(people=people, **options)
    raise ValueError(f'backend is {backend!r}, expected one of {BACKENDS}')


def iterate_video(path: str | Path) -> Iterator[tuple[np.ndarray, float]]:
    """Frames of a video, or the images of a folder by name.

    Args:
        path: The video, or the folder.

    Yields:
        Frame (height, width, 3) uint8 BGR, and the seconds since the start; 25 images a second.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If not one frame can be read, or an image cannot.
    """
    if Path(path).is_dir():
        for number, image in enumerate(images_in(Path(path))):
            frame = cv2.imread(str(image), cv2.IMREAD_COLOR)
            if frame is None:
                raise ValueError(f'{image}: cannot be read as an image')
            yield frame, number / 25.0
        return
    for number, frame in enumerate(reader := _reader(path)):
        yield frame, number / (reader.fps or 25.0)


def extract_video(
    path: str | Path,
    extractor: PoseExtractor | None = None,
    people: int = 1,
    progress: Callable[[int, int], None] | None = None,
    backend: str | None = None,
    pose_threshold: float = 0.2,
    keypoint_threshold: float | None = None,
    track_by: str = 'oks',
    track_threshold: float = 0.3,
    patience: int = 30,
    **options: Any,
) -> np.ndarray:
    """Poses of the people of a video.

    Who is who is told by :class:`PoseTracker`; the people that are kept are those seen in most
    frames. An extractor made for one person, MediaPipe's, says itself who that is.

    Args:
        path: The video, or a folder of its frames as images.
        extractor: Finds the poses of a frame; if None it is built, and closed in the end.
        people: P, how many people to keep.
        progress: Called after each frame with how many are done and how many the video claims to
            have, 0 if it does not tell.
        backend: What to build an extractor of, if none is given.
        pose_threshold: Least mean score of the keypoints of a pose.
        keypoint_threshold: Least score of a keypoint; all are kept if None.
        track_by: ``oks``, similarity of poses, or ``iou``, overlap of boxes.
        track_threshold: Least similarity or overlap of the same person in two frames.
        patience: For how many frames someone who is not seen is remembered.
        options: Of the extractor, if it is built: see :func:`build_extractor`.

    Returns:
        (T, P, J, D) float32 pixels, people in the falling order of the frames they are seen in. NaN
        where somebody is not seen, where there are less than P people, and where a keypoint's score
        is too low.

    Raises:
        FileNotFoundError: If there is no such video.
        ValueError: If it cannot be read, or an option is out of range.
    """
    if people < 1:
        raise ValueError(f'people is {people}, expected 1 or more')
    if track_by not in ('oks', 'iou'):
        raise ValueError(f"track_by is {track_by!r}, expected 'oks' or 'iou'")
    if extractor is None:
        if backend is None:
            raise ValueError(f'neither an extractor is given nor a backend, one of {BACKENDS}')
        _claimed_frames(path)  # before the models are loaded
        with closing(build_extractor(backend, people, **options)) as built:
            return extract_video(
                path,
                built,
                people,
                progress,
                pose_threshold=pose_threshold,
                keypoint_threshold=keypoint_threshold,
                track_by=track_by,
                track_threshold=track_threshold,
                patience=patience,
            )
    if options:
        raise ValueError(f'options {sorted(options)} are given beside an extractor')
    claimed = _claimed_frames(path)
    tracker = PoseTracker(
        extractor.sigmas if track_by == 'oks' else None, track_threshold, patience
    )
    tracks: dict[int, dict[int, np.ndarray]] = {}  # of each person by frame
    frames = 0
    extractor.start()
    for frame, seconds in iterate_video(path):
        poses = [pose for pose in extractor(frame, seconds) if pose.scores.mean() >= pose_threshold]
        numbers = [0] * len(poses) if extractor.follows_one else tracker(poses)
        for number, pose in zip(numbers, poses, strict=True):
            keypoints = pose.keypoints
            if keypoint_threshold is not None:
                sure = (pose.scores >= keypoint_threshold)[:, None]  # (J, 1)
                keypoints = np.where(sure, keypoints, np.nan)
            tracks.setdefault(number, {})[frames] = keypoints
        frames += 1
        if progress is not None:
            progress(frames, claimed)
    if frames < 0.95 * claimed:
        text = f'{path}: ends after {frames} frames, though it claims to have {claimed}'
        print_log(text, logger='current', level=logging.WARNING)
    shape = frames, people, len(extractor.joint_names), extractor.dims
    result = np.full(shape, np.nan, dtype=np.float32)
    longest = sorted(tracks.values(), key=len, reverse=True)[:people]
    for person, track in enumerate(longest):
        result[list(track), person] = list(track.values())
    return result


def _layout_of(joint_names: tuple[str, ...]) -> KeypointLayout | None:
    found = (layout for layout in LAYOUTS.values() if layout.joint_names == joint_names)
    return next(found, None)


def _sigma(name: str) -> float:
    """Spread of a joint by its name, a middling one if the name says nothing."""
    return next((value for part, value in _SIGMAS.items() if part in name), 0.079)


def _box_around(keypoints: np.ndarray) -> np.ndarray:
    """(4,) xyxy pixels around (J, D) keypoints."""
    return np.concatenate([keypoints[:, :2].min(axis=0), keypoints[:, :2].max(axis=0)])


def _claimed_frames(path: str | Path) -> int:
    """How many frames there should be, 0 if a video does not tell."""
    if Path(path).is_dir():
        return len(images_in(Path(path)))
    return max(0, _reader(path).frame_cnt)


def _reader(path: str | Path) -> Any:
    """A reader at the start of a video that can be read."""
    from mmcv import VideoReader

    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such video')
    reader = VideoReader(str(path))
    if not reader.opened or reader.read() is None:
        raise ValueError(f'{path}: cannot be read as a video')
    return VideoReader(str(path))
