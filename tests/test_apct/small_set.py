"""A tiny hand-written data set in Kinetics-TPS's layout."""

import json
from pathlib import Path

import cv2
import numpy as np

PARTS = ('head', 'left_arm', 'right_arm', 'hip')
STATES = ('none', 'bend', 'unbend', 'others')
SIZE = (48, 64)  # height, width


def frame_image(number: int) -> np.ndarray:
    """A frame that tells its number: white squares for the bits of it."""
    image = np.full((*SIZE, 3), 60, np.uint8)
    for bit in range(6):
        if number >> bit & 1:
            image[8:16, 8 * bit + 8 : 8 * bit + 16] = 255
    image[30:, :, 0] = 200  # blue below, so that BGR and RGB differ
    return image


def number_of(image: np.ndarray) -> int:
    """The number that :func:`frame_image` drew."""
    centres = [image[10:14, 8 * bit + 10 : 8 * bit + 14].mean() > 150 for bit in range(6)]
    return sum(int(centre) << bit for bit, centre in enumerate(centres))


def part(name: str, box: list, state: str, number: int = 1) -> dict:
    return dict(number=number, box=box, verb=state, name=name)


def person(number: int = 1, shift: int = 0) -> dict:
    """A person with three of four parts, listed in another order than the vocabulary's."""
    parts = {
        'left_arm': part('left_arm', [30 + shift, 12, 38 + shift, 24], 'bend'),
        'head': part('head', [22 + shift, 4, 30 + shift, 12], 'none'),
        'right_arm': part('right_arm', [14 + shift, 12, 22 + shift, 24], 'unbend'),
    }
    return dict(number=number, box=[12 + shift, 2, 40 + shift, 44], parts=parts)


def write_lists(root: Path, counts: dict[str, dict[str, int]]) -> None:
    folder = root / 'list'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'body_part.txt').write_text('\n'.join(PARTS) + '\n')
    (folder / 'part_stat.txt').write_text('\n'.join(STATES) + '\n')
    for half, videos in counts.items():
        lines = ['video,frames', *(f'{name},{frames}' for name, frames in videos.items())]
        (folder / f'video_{half}_flist.csv').write_text('\n'.join(lines))


def write_frames(folder: Path, numbers: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / f'img_{number:05d}.jpg'), frame_image(number))


def write_video(path: Path, numbers: range) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 25, SIZE[::-1])
    for number in numbers:
        writer.write(frame_image(number))
    writer.release()


def annotation_path(root: Path, half: str, video_class: str, video: str, number: int) -> Path:
    folder = root / f'{half}_annotations' / video_class / video / video
    return folder / f'img_{number:05d}.json'


def write_annotation(root, half, video_class, video, number, humans) -> Path:
    path = annotation_path(root, half, video_class, video, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(humans=humans)))
    return path


def write_small_set(root: Path, storage: str = 'frames', videos: int = 4, frames: int = 11) -> Path:
    """Two classes of a few videos; frame n of video v shows n and (n + v) % 3 people."""
    counts = dict(train={}, test={})
    for half in ('train', 'test'):
        for video_class in ('jump', 'run'):
            for v in range(videos if half == 'train' else 1):
                name = f'{half}_{video_class}_{v}'
                counts[half][name] = frames
                folder = root / f'{half}_videos' / video_class
                if storage == 'frames':
                    write_frames(folder / name, range(1, frames + 1))
                else:
                    write_video(folder / f'{name}.mp4', range(1, frames + 1))
                for number in range(1, frames + 1):
                    humans = [person(i + 1, 12 * i) for i in range((number + v) % 3)]
                    write_annotation(root, half, video_class, name, number, humans)
    write_lists(root, counts)
    return root


def damage_middle(path: Path) -> None:
    """Zero the middle of a video's frames; the index and the first frames stay."""
    content = bytearray(path.read_bytes())
    start = content.index(b'mdat')
    stop = content.index(b'moov', start)
    first, last = start + (stop - start) // 4, stop - 8
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
