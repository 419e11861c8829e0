"""Pictures of a recognised action: skeletons over the frames, the best classes, the time."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from projects.keypoints import KeypointLayout
from projects.pose_look import CENTRE, LEFT, RIGHT, PoseLook, limb_colour, mark, pose_look, stroke
from projects.star.panels import TimeLine, Verdict, class_colours, elided, score_card, verdict_at
from projects.video import write_video
from projects.visualization import BACKGROUND, DIM, WHITE, Colour, font, write_image

MAX_FRAMES = {'.gif': 200, '.mp4': 1200}
_BLANK = (33, 36, 43)  # of a picture that is not there
_GAP, _MARGIN, _CARD = 12, 14, 320
_FINER = 2  # small discs of OpenCV are diamonds, so all is drawn larger than it is shown
_PICTURE, _LEAST = (960, 720), 640  # pixels: most width and height, least long side of a picture
_STRIP, _FEWEST = (1120, 470), 4  # pixels: most width and height of a strip's frames
# The first person's colours are those of all drawings, the second one's others.
_OTHERS = {LEFT: (128, 230, 150), RIGHT: (240, 96, 190), CENTRE: (205, 209, 216)}


class Clip(NamedTuple):
    """People of a clip, and where its pictures come from."""

    name: str
    points: np.ndarray
    """(M, T, J, 2) pixels, 0 at the middle of the first one."""
    scores: np.ndarray
    """(M, T, J) in 0..1, 0 of a missing joint."""
    shape: tuple[int, int]
    """Height and width of the pictures, pixels."""
    layout: KeypointLayout
    pictures: Callable[[np.ndarray], Iterator[np.ndarray]] | None = None
    """Gives the pictures (height, width, 3) uint8 RGB of rising frames; None without any."""
    rate: float | None = None
    """Frames a second; None if it is not known."""


def draw_video(
    path: Path, clip: Clip, verdicts: Sequence[Verdict], max_frames: int | None = None
) -> None:
    """Write a video: skeletons over the frames, the card beside them, a line of time below.

    Of a long clip every n-th frame is shown, at its true speed as far as that is 12 frames a second
    or more; a speed that is not known is taken for 30. Without pictures the skeletons move on a
    plain ground.

    Args:
        path: File to write, ending in ``.mp4`` or ``.gif``.
        clip: What is shown.
        verdicts: One of the whole clip, or one for each stretch of it in the order of time.
        max_frames: At most so many frames are drawn; if None 200 of a GIF and 1200 of an MP4.

    Raises:
        ValueError: If the file's ending is another, or a picture cannot be read.
    """
    ending = Path(path).suffix.lower()
    if ending not in MAX_FRAMES:
        raise ValueError(f'path is {str(path)!r}, expected a name that ends in {[*MAX_FRAMES]}')
    total = clip.points.shape[1]
    stride = -(-total // (max_frames or MAX_FRAMES[ending]))
    shown = np.arange(0, total, stride)
    clip = clip._replace(rate=clip.rate or 30.0)
    rate = max(clip.rate / stride, min(clip.rate, 12.0))
    write_video(Path(path), _scenes(clip, verdicts, shown), rate)


def draw_strip(
    clip: Clip, verdict: Verdict, cells: int = 8, whole_picture: bool = False
) -> np.ndarray:
    """Some of the frames that the model saw, the people enlarged, and the card beside them.

    Args:
        clip: What is shown.
        verdict: What the model says, and which frames it saw.
        cells: How many frames at most.
        whole_picture: Whether the whole pictures are shown instead of the people enlarged.

    Returns:
        (height, width, 3) uint8, BGR.

    Raises:
        ValueError: If a picture cannot be read.
    """
    card = score_card(verdict, _CARD)
    seen = np.unique(verdict.frames)
    box = np.array([[0.0, 0.0], clip.shape[::-1]])
    if not whole_picture:
        box = people_box(clip, seen)
    room = (_STRIP[0], max(card.shape[0], _STRIP[1]))
    number, size, columns = _grid(min(cells, len(seen)), box[1] - box[0], room)
    frames = seen[np.linspace(0, len(seen) - 1, number).round().astype(int)]
    rows, bodies = [[]], people_sizes(clip)
    for frame, picture in _with_pictures(clip, frames):
        cell = _scene(clip, frame, picture, box, size, bodies)
        told = f'{frame + 1} of {clip.points.shape[1]}'
        _stamp(cell, told if clip.rate is None else f'{frame / clip.rate:.2f} s')
        if len(rows[-1]) == columns:
            rows.append([])
        rows[-1].append(cell)
    width = columns * size[0] + (columns - 1) * _GAP // 2
    height = len(rows) * size[1] + (len(rows) - 1) * _GAP // 2
    grid = _ground(height, width)
    for row, line in enumerate(rows):
        for column, cell in enumerate(line):
            y, x = row * (size[1] + _GAP // 2), column * (size[0] + _GAP // 2)
            grid[y : y + size[1], x : x + size[0]] = cell
    if height > card.shape[0]:
        card = score_card(verdict, _CARD, height)
    body = _ground(max(height, card.shape[0]), width + _GAP + _CARD)
    top = (body.shape[0] - height) // 2
    body[top : top + height, :width] = grid
    body[: card.shape[0], width + _GAP :] = card
    edges = (0, _MARGIN, _MARGIN, _MARGIN)
    canvas = cv2.copyMakeBorder(body, *edges, cv2.BORDER_CONSTANT, value=BACKGROUND[::-1])
    heading = Image.new('RGB', (canvas.shape[1], 32), BACKGROUND)
    text = elided(clip.name, font(size=13), canvas.shape[1] - 2 * _MARGIN)
    ImageDraw.Draw(heading).text((_MARGIN, 17), text, DIM, font(size=13), anchor='lm')
    return np.concatenate([np.asarray(heading)[..., ::-1], canvas])


def people_box(clip: Clip, frames: np.ndarray, padding: float = 1.3) -> np.ndarray:
    """The part of the picture around all people in some frames, not thinner than half its length.

    Args:
        clip: Its joints.
        frames: (F,) which frames.
        padding: How much larger than the box around the joints it is.

    Returns:
        (2, 2) left and top, right and bottom edge, pixels; inside of the picture where there are
        pictures. The whole picture where there is no joint.
    """
    whole = np.array([[0.0, 0.0], clip.shape[::-1]])
    points = clip.points[:, frames][clip.scores[:, frames] > 0] + 0.5  # (N, 2)
    if clip.pictures is not None:
        points = np.clip(points, 0, whole[1])
    if not len(points):
        return whole
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.maximum((high - low) * padding, 0.08 * whole[1].max())
    size = np.maximum(size, size.max() / 2)
    if clip.pictures is None:
        return np.stack([low + high - size, low + high + size]) / 2
    size = np.minimum(size, whole[1])
    low = np.clip((low + high - size) / 2, 0, whole[1] - size)
    return np.stack([low, low + size])


def draw_people(
    canvas: np.ndarray,
    points: np.ndarray,
    scores: np.ndarray,
    layout: KeypointLayout,
    sizes: np.ndarray,
) -> None:
    """Draw skeletons in place: limbs and joints by side, the less sure the darker.

    Missing joints and their limbs are left out. The second person has other colours than the first.

    Args:
        canvas: (height, width, 3) uint8, BGR.
        points: (M, J, 2) pixels of the canvas, 0 at the middle of the first one.
        scores: (M, J) in 0..1, 0 of a missing joint.
        layout: Of the joints.
        sizes: (M,) how large the people are, pixels of the canvas, see :func:`people_sizes`.
    """
    look = _look(layout)
    thin = min(1.0, np.sqrt(13 / layout.num_joints))  # many joints lie close
    for person in reversed(range(len(points))):  # the first one in front
        known = scores[person] > 0
        paint = _OTHERS.get if person % 2 else lambda colour: colour
        places, radius = points[person], float(np.clip(0.02 * sizes[person] * thin, 4.0, 12.0))
        for limb in layout.limbs:
            pair = list(limb)
            if known[pair].all():
                colour = _dimmed(paint(limb_colour(look, limb)), scores[person][pair].min())
                stroke(canvas, *places[pair], max(2, round(0.8 * radius)), colour)
        for joint in np.flatnonzero(known):
            colour = _dimmed(paint(look.colours[joint]), scores[person][joint])
            mark(canvas, places[joint], radius, colour, True)


def people_sizes(clip: Clip) -> np.ndarray:
    """How large people are: the root of the area around their joints, the median over the frames.

    Args:
        clip: Its joints.

    Returns:
        (M,) pixels, 0 of somebody without joints.
    """
    known = (clip.scores > 0)[..., None]
    low = np.where(known, clip.points, np.inf).min(axis=2)  # (M, T, 2)
    high = np.where(known, clip.points, -np.inf).max(axis=2)
    spread = np.sqrt(np.maximum(high - low, 1).prod(axis=-1))  # (M, T)
    seen = known.any(axis=(2, 3))
    rows = zip(spread, seen, strict=True)
    return np.array([np.median(row[there]) if there.any() else 0.0 for row, there in rows])


def _look(layout: KeypointLayout) -> PoseLook:
    """Colours of a layout's joints."""
    names = dict(enumerate(layout.joint_names))
    meta = dict(keypoint_id2name=names, skeleton_links=layout.limbs, dataset_name=layout.name)
    return pose_look(dict(meta, flip_indices=layout.flip_indices))


def _dimmed(colour: Colour, score: float) -> Colour:
    share = 0.4 + 0.6 * float(np.clip(score, 0, 1))
    red, green, blue = (round(part * share) for part in colour)
    return red, green, blue


def _with_pictures(clip: Clip, frames: np.ndarray) -> Iterator[tuple[int, np.ndarray | None]]:
    """Frames with their pictures, BGR; the last picture stays where they end before the joints."""
    pictures = None if clip.pictures is None else clip.pictures(frames)
    picture = None
    for frame in frames.tolist():
        if pictures is not None:
            picture = next(pictures, picture)
        yield frame, None if picture is None else picture[..., ::-1]


def _scene(
    clip: Clip,
    frame: int,
    picture: np.ndarray | None,
    box: np.ndarray,
    size: tuple[int, int],
    bodies: np.ndarray,
) -> np.ndarray:
    """A part of a frame with its people of some sizes (M,), scaled to (width, height) pixels."""
    low, high = box
    fine = (_FINER * size[0], _FINER * size[1])
    if picture is None:
        drawn = np.empty((fine[1], fine[0], 3), dtype=np.uint8)
        drawn[:] = _BLANK[::-1]
    else:
        low = np.maximum(np.floor(low), 0).astype(int)
        high = np.maximum(np.minimum(np.ceil(high).astype(int), picture.shape[1::-1]), low + 1)
        part = np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0]])
        how = cv2.INTER_AREA if fine[0] < part.shape[1] else cv2.INTER_CUBIC
        drawn = cv2.resize(part, fine, interpolation=how)
    points = (clip.points[:, frame] + 0.5 - low) * np.array(fine) / (high - low) - 0.5
    bodies = bodies * fine[0] / (high[0] - low[0])
    draw_people(drawn, points, clip.scores[:, frame], clip.layout, bodies)
    return cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)


def _scenes(clip: Clip, verdicts: Sequence[Verdict], shown: np.ndarray) -> Iterator[np.ndarray]:
    """The frames of a video."""
    at = verdict_at(verdicts, shown)
    colours = class_colours(verdicts)
    cards = [score_card(one, _CARD, colour=colours[one.topk[0][0]]) for one in verdicts]
    everything = np.arange(clip.points.shape[1])
    box = np.array([[0.0, 0.0], clip.shape[::-1]])
    if clip.pictures is None:  # nothing but people to look at
        box = people_box(clip, everything, padding=1.2)
    extent = box[1] - box[0]
    least = max(card.shape[0] for card in cards)
    scale = max(1.0, _LEAST / extent.max(), least / extent[1])
    scale = min(scale, *(np.array(_PICTURE) / extent))
    size = tuple(np.maximum(np.round(scale * extent), 1).astype(int).tolist())
    height = max(size[1], least)
    cards = [score_card(one, _CARD, height, colours[one.topk[0][0]]) for one in verdicts]
    width = size[0] + _GAP + _CARD
    line = TimeLine(width, len(everything), clip.rate, verdicts, clip.name)
    top, bodies = (height - size[1]) // 2, people_sizes(clip)
    for index, (frame, picture) in enumerate(_with_pictures(clip, shown)):
        body = _ground(height, width)
        body[top : top + size[1], : size[0]] = _scene(clip, frame, picture, box, size, bodies)
        body[:, size[0] + _GAP :] = cards[at[index]]
        below = line.draw(frame, int(at[index]))
        edges = (_MARGIN, _GAP, _MARGIN, _MARGIN)
        body = cv2.copyMakeBorder(body, *edges, cv2.BORDER_CONSTANT, value=BACKGROUND[::-1])
        sides = (0, 0, _MARGIN, _MARGIN)
        below = cv2.copyMakeBorder(below, *sides, cv2.BORDER_CONSTANT, value=BACKGROUND[::-1])
        yield np.concatenate([body, below])


def _grid(most: int, extent: np.ndarray, room: tuple[int, int]) -> tuple[int, tuple[int, int], int]:
    """How many cells, their width and height, and the number of columns, that use a room well.

    Large cells are good, and many are: what counts is the area of a cell times their number
    squared.
    """
    best = (0.0, 1, (1, 1), 1)
    for number in range(min(_FEWEST, most), most + 1):
        for columns in range(1, number + 1):
            rows = -(-number // columns)
            if number % columns:
                continue
            scale = float(((np.array(room) / (columns, rows) - _GAP // 2) / extent).min())
            size = tuple(np.maximum(np.round(scale * extent), 1).astype(int).tolist())
            worth = scale**2 * number**2
            if worth > best[0]:
                best = (worth, number, size, columns)
    return best[1:]


def _ground(height: int, width: int) -> np.ndarray:
    canvas = np.empty((height, width, 3), dtype=np.uint8)
    canvas[:] = BACKGROUND[::-1]
    return canvas


def _stamp(cell: np.ndarray, text: str) -> None:
    """Write a time into a corner of a cell that has room for it."""
    style = font(size=12)
    width = round(style.getlength(text)) + 10
    if width > cell.shape[1] - 8 or cell.shape[0] < 60:
        return
    tag = Image.new('RGB', (width, 18), BACKGROUND)
    ImageDraw.Draw(tag).text((5, 9), text, WHITE, style, anchor='lm')
    corner = cell[-24:-6, 6 : 6 + width]
    corner[:] = cv2.addWeighted(np.asarray(tag)[..., ::-1], 0.85, corner, 0.15, 0)


def write_strip(
    path: Path, clip: Clip, verdict: Verdict, cells: int = 8, whole_picture: bool = False
) -> None:
    """Write :func:`draw_strip` as a PNG.

    Args:
        path: File to write.
        clip: See there.
        verdict: See there.
        cells: See there.
        whole_picture: See there.

    Raises:
        ValueError: If a picture cannot be read, or the file not be written.
    """
    write_image(path, draw_strip(clip, verdict, cells, whole_picture))
