"""Published facts of NTU RGB+D."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projects.ntu_rgbd import (
    ACTIONS,
    BENCHMARKS,
    MUTUAL,
    TRAIN_CAMERAS,
    TRAIN_SUBJECTS_60,
    TRAIN_SUBJECTS_120,
    SampleNumbers,
    in_training,
    read_sample_list,
    split_names,
)

THREE_DIGITS = st.integers(0, 999)


def test_actions():
    assert len(ACTIONS) == len(set(ACTIONS)) == 120
    published = {
        1: 'drink water',
        8: 'sitting down',
        25: 'reach into pocket',
        43: 'falling',
        50: 'punching/slapping other person',
        58: 'handshaking',
        60: 'walking apart from each other',
        61: 'put on headphone',
        80: 'squat down',
        99: 'running on the spot',
        106: 'hit other person with something',
        112: 'high-five',
        120: 'finger-guessing game (playing rock-paper-scissors)',
    }
    assert {number: ACTIONS[number - 1] for number in published} == published


def test_mutual_actions():
    assert len(MUTUAL) == 26
    # every name that speaks of another person is one of them
    others = {number for number, name in enumerate(ACTIONS, 1) if 'other person' in name}
    assert {50, 51, 57, 106, 117} < others < set(MUTUAL)
    assert 49 not in MUTUAL
    assert 105 not in MUTUAL


def test_training_halves_have_the_published_sizes():
    assert len(set(TRAIN_SUBJECTS_60)) == 20
    assert len(set(TRAIN_SUBJECTS_120)) == 53
    assert TRAIN_CAMERAS == (2, 3)
    # 40 subjects before 3 cameras; 106 subjects in 32 setups
    names = [SampleNumbers(1, c, p, 1, 1) for c, p in product((1, 2, 3), range(1, 41))]
    assert sum(in_training(name, 'xsub60') for name in names) == 3 * 20
    assert sum(in_training(name, 'xview60') for name in names) == 2 * 40
    names = [SampleNumbers(s, 1, p, 1, 1) for s, p in product(range(1, 33), range(1, 107))]
    assert sum(in_training(name, 'xsub120') for name in names) == 32 * 53
    assert sum(in_training(name, 'xset120') for name in names) == 16 * 106


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('S001C001P001R001A001', {'xsub60', 'xsub120'}),
        ('S002C002P003R002A060', {'xview60', 'xset120'}),
        ('S018C003P103R001A120', {'xview60', 'xset120', 'xsub120'}),
        ('S017C001P106R001A061', set()),
    ],
)
def test_benchmarks(name, expected):
    found = {benchmark for benchmark in BENCHMARKS if in_training(split_names(name), benchmark)}
    assert found == expected


def test_unknown_benchmark_is_refused():
    with pytest.raises(ValueError, match="benchmark is 'xsub', expected one of"):
        in_training(split_names('S001C001P001R001A001'), 'xsub')


@given(st.builds(SampleNumbers, *[THREE_DIGITS] * 5))
def test_names_and_numbers(numbers):
    assert len(numbers.name) == 20
    assert split_names(numbers.name) == numbers
    assert split_names(f'{numbers.name}_rgb.avi') == numbers


@pytest.mark.parametrize('name', ['', 'S1C1P1R1A1', ' S001C002P003R002A013', 'S001C002P003R002A'])
def test_what_is_no_name(name):
    with pytest.raises(ValueError, match='is no name such as S001C002P003R002A013'):
        split_names(name)


def test_lists_of_samples(tmp_path):
    path = tmp_path / 'missing.txt'
    path.write_text(
        '302 samples have missing skeletons, such as S001C001P001R001A001.\r\nIgnore them.\r\n\r\n'
        'S001C002P005R002A008\r\n  S001C002P006R001A008.skeleton\r\nS001C002P006R001A0080\r\n'
    )
    assert read_sample_list(path) == ['S001C002P005R002A008', 'S001C002P006R001A008']
