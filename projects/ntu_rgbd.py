"""What NTU RGB+D 60 and 120 publish: classes, names of samples, benchmarks, names of files.

Names and numbers are those of the data sets' page (github.com/shahroudy/NTURGB-D) and papers:
A. Shahroudy et al., "NTU RGB+D", CVPR 2016, and J. Liu et al., "NTU RGB+D 120", TPAMI 2019.
"""

import re
from pathlib import Path
from typing import NamedTuple

ACTIONS = (
    *('drink water', 'eat meal/snack', 'brushing teeth', 'brushing hair', 'drop', 'pickup'),
    *('throw', 'sitting down', 'standing up (from sitting position)', 'clapping', 'reading'),
    *('writing', 'tear up paper', 'wear jacket', 'take off jacket', 'wear a shoe'),
    *('take off a shoe', 'wear on glasses', 'take off glasses', 'put on a hat/cap'),
    *('take off a hat/cap', 'cheer up', 'hand waving', 'kicking something', 'reach into pocket'),
    *('hopping (one foot jumping)', 'jump up', 'make a phone call/answer phone'),
    *('playing with phone/tablet', 'typing on a keyboard', 'pointing to something with finger'),
    *('taking a selfie', 'check time (from watch)', 'rub two hands together', 'nod head/bow'),
    *('shake head', 'wipe face', 'salute', 'put the palms together'),
    *('cross hands in front (say stop)', 'sneeze/cough', 'staggering', 'falling'),
    *('touch head (headache)', 'touch chest (stomachache/heart pain)', 'touch back (backache)'),
    *('touch neck (neckache)', 'nausea or vomiting condition'),
    *('use a fan (with hand or paper)/feeling warm', 'punching/slapping other person'),
    *('kicking other person', 'pushing other person', 'pat on back of other person'),
    *('point finger at the other person', 'hugging other person'),
    *('giving something to other person', "touch other person's pocket", 'handshaking'),
    *('walking towards each other', 'walking apart from each other'),  # NTU RGB+D 60 ends here
    *('put on headphone', 'take off headphone', 'shoot at the basket', 'bounce ball'),
    *('tennis bat swing', 'juggling table tennis balls', 'hush (quite)', 'flick hair'),
    *('thumb up', 'thumb down', 'make ok sign', 'make victory sign', 'staple book'),
    *('counting money', 'cutting nails', 'cutting paper (using scissors)', 'snapping fingers'),
    *('open bottle', 'sniff (smell)', 'squat down', 'toss a coin', 'fold paper'),
    *('ball up paper', 'play magic cube', 'apply cream on face', 'apply cream on hand back'),
    *('put on bag', 'take off bag', 'put something into a bag', 'take something out of a bag'),
    *('open a box', 'move heavy objects', 'shake fist', 'throw up cap/hat'),
    *('hands up (both hands)', 'cross arms', 'arm circles', 'arm swings', 'running on the spot'),
    *('butt kicks (kick backward)', 'cross toe touch', 'side kick', 'yawn', 'stretch oneself'),
    *('blow nose', 'hit other person with something', 'wield knife towards other person'),
    *('knock over other person (hit with body)', "grab other person's stuff"),
    *('shoot at other person with a gun', 'step on foot', 'high-five', 'cheers and drink'),
    *('carry something with other person', 'take a photo of other person'),
    *('follow other person', "whisper in other person's ear", 'exchange things with other person'),
    *('support somebody with hand', 'finger-guessing game (playing rock-paper-scissors)'),
)
"""Names of the 120 actions as published (67 with its slip), A1 first; the first 60 are NTU 60's."""
MUTUAL = (*range(50, 61), *range(106, 121))
"""Numbers of the actions that two people do."""

TRAIN_SUBJECTS_60 = (*(1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38),)
TRAIN_SUBJECTS_120 = (
    *TRAIN_SUBJECTS_60,
    *(45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86),
    *(89, 91, 92, 93, 94, 95, 97, 98, 100, 103),
)
"""Training subjects of the cross-subject benchmarks XSub."""
TRAIN_CAMERAS = (2, 3)
"""Training cameras of the cross-view benchmark XView; cross-setup, XSet, trains on even setups."""
BENCHMARKS = dict(xsub60=60, xview60=60, xsub120=120, xset120=120)
"""The benchmarks and how many actions each has, A1 and on."""

SKELETONS, VIDEOS = 'nturgb+d_skeletons', 'nturgb+d_rgb'
"""Folders of ``<sample>.skeleton`` and of ``<sample>_rgb.avi``."""
VIDEO_ENDING = '_rgb.avi'
MISSING_60 = 'NTU_RGBD_samples_with_missing_skeletons.txt'
MISSING_120 = 'NTU_RGBD120_samples_with_missing_skeletons.txt'
"""Lists of the samples without skeletons, or with parts of them."""
IMAGE_SHAPE = (1080, 1920)
"""Height and width of the colour pictures, pixels."""

_NAME = re.compile(r'S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})', re.ASCII)


class SampleNumbers(NamedTuple):
    """The numbers in the name of a sample.

    Args:
        setup: Height and distance of the cameras.
        camera: 1, 2 or 3.
        subject: Who performs.
        replication: 1 or 2.
        action: From 1.
    """

    setup: int
    camera: int
    subject: int
    replication: int
    action: int

    @property
    def name(self) -> str:
        """``S<setup>C<camera>P<subject>R<replication>A<action>``, three digits each."""
        return ''.join(f'{key}{number:03d}' for key, number in zip('SCPRA', self, strict=True))


def split_names(name: str) -> SampleNumbers:
    """Setup, camera, subject, replication and action in the name of a sample.

    Args:
        name: ``S001C002P003R002A013``, with or without what follows in a file's name.

    Raises:
        ValueError: If it is no such name.
    """
    match = _NAME.match(name)
    if match is None:
        raise ValueError(f'{name!r} is no name such as S001C002P003R002A013')
    return SampleNumbers(*map(int, match.groups()))


def in_training(numbers: SampleNumbers, benchmark: str) -> bool:
    """Whether a sample belongs to the training half of a benchmark; else it is of the test half.

    Args:
        numbers: The sample's.
        benchmark: One of ``BENCHMARKS``.

    Raises:
        ValueError: If there is no such benchmark.
    """
    check_benchmark(benchmark)
    if benchmark == 'xview60':
        return numbers.camera in TRAIN_CAMERAS
    if benchmark == 'xset120':
        return numbers.setup % 2 == 0
    subjects = TRAIN_SUBJECTS_60 if benchmark == 'xsub60' else TRAIN_SUBJECTS_120
    return numbers.subject in subjects


def check_benchmark(benchmark: str) -> None:
    """Refuse what is no benchmark.

    Args:
        benchmark: One of ``BENCHMARKS``.

    Raises:
        ValueError: If it is not.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f'benchmark is {benchmark!r}, expected one of {tuple(BENCHMARKS)}')


def read_sample_list(path: str | Path) -> list[str]:
    """Names of samples in a list such as ``MISSING_60``, in its order.

    Args:
        path: Text with one name a line; the lists begin with some prose, and what is no name is
            passed over.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    text = Path(path).read_text(encoding='utf-8', errors='replace')
    lines = (line.strip().removesuffix('.skeleton') for line in text.splitlines())
    return [line for line in lines if _NAME.fullmatch(line)]
