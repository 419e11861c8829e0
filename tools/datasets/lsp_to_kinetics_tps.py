"""Turns Leeds Sports Pose (Extended) photographs into a data set in Kinetics-TPS's layout.

Every photograph becomes a video of one frame. Boxes and states of the ten body parts come from
the 14 joints, the video's class from the direction of the torso. What is learnt on it is real
parsing of real people, but its labels are computed, not drawn by hand.

Example:
    python tools/datasets/lsp_to_kinetics_tps.py ~/lspet --out data/lsp_tps
"""

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from projects.files import whole_folder
from projects.lsp import picture_path, read_joints

PARTS = (
    *('head', 'left_arm', 'right_arm', 'left_hand', 'right_hand', 'hip'),
    *('left_leg', 'right_leg', 'left_foot', 'right_foot'),
)
# 'none': what the state is measured against is not marked. 'others': the limb points at the
# camera, so that its angles in the picture say nothing.
STATES = (
    *('none', 'others', 'bend', 'unbend', 'raise', 'level', 'lower', 'lift', 'step_on'),
    *('fold', 'straight', 'tilt'),
)
CLASSES = ('leaning', 'lying', 'upright', 'upside_down')

# Joint numbers of LSP; left and right are the person's own.
ANKLE, KNEE, HIP = dict(right=0, left=5), dict(right=1, left=4), dict(right=2, left=3)
WRIST, ELBOW, SHOULDER = dict(right=6, left=11), dict(right=7, left=10), dict(right=8, left=9)
NECK, HEAD_TOP = 12, 13

# Lengths in torsos (neck to the middle of the hips), of an adult of average build.
BONES = (
    *((NECK, HEAD_TOP, 0.55), (SHOULDER['left'], SHOULDER['right'], 0.7)),
    *(
        (joints[0][side], joints[1][side], length)
        for side in ('left', 'right')
        for joints, length in (
            ((SHOULDER, ELBOW), 0.58),
            ((ELBOW, WRIST), 0.5),
            ((HIP, KNEE), 0.85),
            ((KNEE, ANKLE), 0.85),
        )
    ),
)


class Figure:
    """One person's joints, and what is measured on them.

    Args:
        joints: (14, 3): x and y in pixels, and whether the joint is marked.
    """

    def __init__(self, joints: np.ndarray) -> None:
        self.marked = (joints[:, 2] > 0) & np.isfinite(joints).all(1)
        self.points = joints[:, :2].astype(float)
        hips = [self.points[joint] for joint in HIP.values() if self.marked[joint]]
        shoulders = [self.points[joint] for joint in SHOULDER.values() if self.marked[joint]]
        self.pelvis = np.mean(hips, axis=0) if hips else None
        self.neck = self.points[NECK] if self.marked[NECK] else None
        if self.neck is None and len(shoulders) == 2:
            self.neck = np.mean(shoulders, axis=0)
        self.torso = None  # from pelvis to neck
        lengths = [
            np.linalg.norm(self.points[a] - self.points[b]) / length
            for a, b, length in BONES
            if self.marked[a] and self.marked[b]
        ]
        if self.pelvis is not None and self.neck is not None:
            self.torso = self.neck - self.pelvis
            lengths.append(np.linalg.norm(self.torso))
        # A bone that points at the camera looks shorter and none looks longer, so of the torso's
        # lengths that they suggest one near the top is right, short of a misplaced joint.
        self.unit = float(np.quantile(lengths, 0.8)) if lengths else 0.0
        self.up = np.array([0.0, -1.0])
        if self.torso is not None and np.linalg.norm(self.torso) > 0.3 * self.unit:
            self.up = self.torso / np.linalg.norm(self.torso)

    def has(self, *joints: int) -> bool:
        """Whether all of these joints are marked."""
        return bool(self.marked[list(joints)].all())

    def video_class(self) -> str | None:
        """The torso's direction in the picture; None if it is not marked.

        Mirroring a picture keeps its class, so training may flip.
        """
        if self.torso is None or np.linalg.norm(self.torso) <= 0.3 * self.unit:
            return None
        tilt = angle(self.torso, np.array([0.0, -1.0]))
        for limit, name in ((25, 'upright'), (60, 'leaning'), (120, 'lying')):
            if tilt <= limit:
                return name
        return 'upside_down'

    def part_boxes(self) -> dict[str, np.ndarray]:
        """Boxes (xyxy) of the parts whose joints are marked, not clipped to the image."""
        p, unit = self.points, self.unit
        boxes = {}
        if self.has(NECK, HEAD_TOP):
            # a head is nearly as wide as it is high, so half of its height goes to each side
            middle = (p[NECK] + p[HEAD_TOP]) / 2
            reach = np.abs(p[HEAD_TOP] - p[NECK]) / 2
            boxes['head'] = around([middle - reach, middle + reach], 0.0, at_least=0.2 * unit)
        for side in ('left', 'right'):
            shoulder, elbow, wrist = SHOULDER[side], ELBOW[side], WRIST[side]
            hip, knee, ankle = HIP[side], KNEE[side], ANKLE[side]
            if self.has(shoulder, elbow, wrist):
                boxes[f'{side}_arm'] = around(p[[shoulder, elbow, wrist]], 0.11 * unit)
            if self.has(elbow, wrist):
                # a hand is 0.35 torsos long and goes on where the 0.5 torsos of the forearm end
                tip = p[wrist] + 0.35 / 0.5 * clip_length(p[wrist] - p[elbow], 0.5 * unit)
                middle = (p[wrist] + tip) / 2
                boxes[f'{side}_hand'] = around([middle], 0.2 * unit)
            if self.has(hip, knee, ankle):
                boxes[f'{side}_leg'] = around(p[[hip, knee, ankle]], 0.14 * unit)
            if self.has(ankle):
                middle = p[ankle]
                if self.has(knee):  # the foot lies below the ankle
                    middle = middle + 0.1 * clip_length(p[ankle] - p[knee], unit)
                boxes[f'{side}_foot'] = around([middle], 0.24 * unit)
        if self.has(*HIP.values()):
            boxes['hip'] = around(p[list(HIP.values())], 0.2 * unit)
        return {name: boxes[name] for name in PARTS if name in boxes}

    def person_box(self) -> np.ndarray:
        """Box (xyxy) around all marked joints and parts, not clipped to the image."""
        boxes = [around(self.points[self.marked], 0.1 * self.unit), *self.part_boxes().values()]
        boxes = np.array(boxes)
        return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])

    def state(self, part: str) -> str:
        """State of a part that has a box.

        Args:
            part: One of ``PARTS``.
        """
        side, _, kind = part.partition('_')
        return getattr(self, f'_state_of_{kind or part}')(side)

    def _state_of_head(self, _: str) -> str:
        """Whether the head goes on where the torso points."""
        head = self.points[HEAD_TOP] - self.points[NECK]
        if self.torso is None:
            return 'none'
        if np.linalg.norm(head) < 0.25 * self.unit or np.linalg.norm(self.torso) < 0.4 * self.unit:
            return 'others'
        return 'tilt' if angle(head, self.torso) > 25 else 'straight'

    def _state_of_arm(self, side: str) -> str:
        """Raised above the shoulder as the body stands, or else how the elbow is bent."""
        shoulder, elbow, wrist = (self.points[j[side]] for j in (SHOULDER, ELBOW, WRIST))
        if (wrist - shoulder) @ self.up > 0.25 * self.unit:
            return 'raise'
        return self._bent(shoulder, elbow, wrist, (0.58, 0.5), 135)

    def _state_of_hand(self, side: str) -> str:
        """Where the hand is in the picture, seen from the elbow."""
        rise = self.points[ELBOW[side]][1] - self.points[WRIST[side]][1]
        if abs(rise) < 0.15 * self.unit:
            return 'level'
        return 'raise' if rise > 0 else 'lower'

    def _state_of_hip(self, _: str) -> str:
        """Whether the body is folded at the hip: the smaller angle of torso and thighs."""
        thighs = [
            self.points[KNEE[side]] - self.pelvis
            for side in KNEE
            if self.has(KNEE[side], HIP[side])
        ]
        if self.torso is None or not thighs:
            return 'none'
        if np.linalg.norm(self.torso) < 0.4 * self.unit:
            return 'others'
        return 'fold' if min(angle(thigh, self.torso) for thigh in thighs) < 110 else 'unbend'

    def _state_of_leg(self, side: str) -> str:
        """Lifted far from the line of the torso, or else how the knee is bent."""
        hip, knee, ankle = (self.points[j[side]] for j in (HIP, KNEE, ANKLE))
        thigh = knee - hip
        if np.linalg.norm(thigh) > 0.4 * self.unit and angle(thigh, -self.up) > 60:
            return 'lift'
        return self._bent(hip, knee, ankle, (0.85, 0.85), 140)

    def _state_of_foot(self, side: str) -> str:
        """Whether the body may stand on it: nothing marked is much lower in the picture."""
        lowest = self.points[self.marked, 1].max()
        on_ground = lowest - self.points[ANKLE[side]][1] < 0.25 * self.unit
        return 'step_on' if on_ground else 'lift'

    def _bent(
        self, a: np.ndarray, b: np.ndarray, c: np.ndarray, bones: Sequence[float], limit: float
    ) -> str:
        lengths = np.linalg.norm(a - b), np.linalg.norm(c - b)
        if any(seen < 0.4 * bone * self.unit for seen, bone in zip(lengths, bones, strict=True)):
            return 'others'
        return 'bend' if angle(a - b, c - b) < limit else 'unbend'


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Angle of two vectors of the plane, 0 to 180 degrees."""
    return float(np.degrees(abs(np.arctan2(a[0] * b[1] - a[1] * b[0], a @ b))))


def clip_length(vector: np.ndarray, longest: float) -> np.ndarray:
    """The vector, shortened where it is longer than that."""
    length = np.linalg.norm(vector)
    return vector * (longest / length) if length > longest else vector


def around(points: Sequence[np.ndarray], margin: float, at_least: float = 0.0) -> np.ndarray:
    """Box (xyxy) around points.

    Args:
        points: (n, 2) pixels.
        margin: Pixels to every side.
        at_least: Least distance from the middle to every side, pixels.
    """
    points = np.asarray(points)
    low, high = points.min(0) - margin, points.max(0) + margin
    middle, reach = (low + high) / 2, np.maximum((high - low) / 2, at_least)
    return np.concatenate([middle - reach, middle + reach])


def annotate(joints: np.ndarray, width: int, height: int) -> tuple[str, dict] | None:
    """Class and annotation of a photograph.

    Args:
        joints: (14, 3): x and y in pixels, and whether the joint is marked.
        width: Of the photograph, pixels.
        height: Of the photograph, pixels.

    Returns:
        The video class, and the person in Kinetics-TPS's form with boxes in whole pixels inside
        of the photograph; None if the torso is not marked.
    """
    figure = Figure(joints)
    video_class = figure.video_class()
    if video_class is None:
        return None
    parts = {}
    for name, box in figure.part_boxes().items():
        box = inside(box, width, height)
        if box is not None:
            parts[name] = dict(number=1, box=box, verb=figure.state(name), name=name)
    box = inside(figure.person_box(), width, height)
    return None if box is None else (video_class, dict(number=1, box=box, parts=parts))


def inside(box: np.ndarray, width: int, height: int) -> list[int] | None:
    """The box in whole pixels, cut at the image's borders; None if less than 2 pixels are left."""
    limits = np.array([width, height, width, height]) - 1
    x1, y1, x2, y2 = (int(value) for value in np.rint(np.clip(box, 0, limits)))
    return [x1, y1, x2, y2] if x2 - x1 >= 2 and y2 - y1 >= 2 else None


def convert(source: Path, out: Path, test_every: int, console: Console) -> dict[str, Counter]:
    """Write the data set.

    Args:
        source: Folder of ``images`` and ``joints.mat``.
        out: Folder to write into.
        test_every: Every n-th photograph is for testing.
        console: Where progress is shown.

    Returns:
        How often each class, part state and reason for leaving out occurred.
    """
    joints = read_joints(source / 'joints.mat')
    images = [picture_path(source / 'images', number) for number in range(1, len(joints) + 1)]
    if not any(path.is_file() for path in images):
        raise FileNotFoundError(f'{images[0]}: no such file, and none of the {len(images)} others')
    counts = {name: Counter() for name in ('class', 'left out', *PARTS)}
    lists = dict(train=[], test=[])
    for index, path in enumerate(track(images, 'photographs', console=console)):
        image = cv2.imread(str(path)) if path.is_file() else None
        if image is None:
            counts['left out']['image missing or unreadable'] += 1
            continue
        annotation = annotate(joints[index], image.shape[1], image.shape[0])
        if annotation is None:
            counts['left out']['torso not marked'] += 1
            continue
        video_class, person = annotation
        half = 'test' if index % test_every == test_every - 1 else 'train'
        video = path.stem
        frame_dir = out / f'{half}_videos' / video_class / video
        json_dir = out / f'{half}_annotations' / video_class / video / video
        for folder in (frame_dir, json_dir):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, frame_dir / 'img_00001.jpg')
        (json_dir / 'img_00001.json').write_text(json.dumps(dict(humans=[person])))
        lists[half].append(f'{video},1')
        counts['class'][video_class] += 1
        for name in PARTS:
            counts[name][person['parts'].get(name, {}).get('verb', 'missing')] += 1
    folder = out / 'list'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'body_part.txt').write_text('\n'.join(PARTS) + '\n')
    (folder / 'part_stat.txt').write_text('\n'.join(STATES) + '\n')
    for half, lines in lists.items():
        (folder / f'video_{half}_flist.csv').write_text('\n'.join(lines) + '\n')
    (out / 'statistics.json').write_text(json.dumps(counts, indent=1) + '\n')
    return counts


def report(counts: dict[str, Counter], console: Console) -> None:
    """Print how classes and states are distributed.

    Args:
        counts: As :func:`convert` returns them.
        console: Where to print.
    """
    table = Table('', 'photographs', title='Distribution')
    for name, counter in counts.items():
        text = ', '.join(f'{key} {count}' for key, count in counter.most_common() if count)
        table.add_row(name, text or 'none')
    console.print(table)
    states = [
        [count for state, count in counts[name].items() if state != 'missing'] for name in PARTS
    ]
    total, most = sum(map(sum, states)), sum(max(part, default=0) for part in states)
    console.print(
        f'{sum(counts["class"].values())} people with {total} parts; always naming the most '
        f'frequent state of each part is right for {most / max(total, 1):.1%}'
    )


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description="Turn Leeds Sports Pose photographs into Kinetics-TPS's layout.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('source', type=Path, metavar='LSPET_DIR', help='has images/ and joints.mat')
    parser.add_argument(
        '--out', type=Path, required=True, help='folder to write into, new or empty'
    )
    parser.add_argument('--test-every', type=int, default=10, help='every n-th photograph is test')
    args = parser.parse_args(argv)
    if args.test_every < 2:
        parser.error(f'--test-every is {args.test_every}, expected 2 or more')
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        parser.error(
            f'--out {args.out} is not a new or empty folder: nothing is written over; name another '
            'one, or delete it first'
        )
    console = Console()
    try:
        with whole_folder(args.out) as partial:
            counts = convert(args.source, partial, args.test_every, console)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    report(counts, console)
    console.print(f'written: {args.out}', soft_wrap=True)


if __name__ == '__main__':
    main()
