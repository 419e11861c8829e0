import logging
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projects import visualization
from projects.visualization import (
    BACKGROUND,
    DrawnSample,
    VisualizationHook,
    beside,
    check_thresholds,
    font,
    process_prefix,
    scaled,
    write_image,
)

RUNNER = SimpleNamespace(test_dataloader=SimpleNamespace(dataset='the data set'))


class Recorder(VisualizationHook):
    """Keeps what it should draw."""

    def __init__(self, **options):
        super().__init__(enable=True, out_dir='drawn', **options)
        self.drawn = []

    def draw(self, path, sample):
        if sample.output == 'bad':
            raise KeyError('no keypoints')
        self.drawn.append((path.as_posix(), sample))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 7), st.lists(st.integers(0, 5), max_size=6))
def test_every_nth_sample_whatever_the_batches(interval, sizes):
    hook = Recorder(interval=interval)
    for _ in range(2):  # counts from the start in each epoch
        hook.drawn.clear()
        hook.before_test_epoch(RUNNER)
        first = 0
        for number, size in enumerate(sizes):
            batch = dict(batch=number)
            hook.after_test_iter(RUNNER, number, batch, list(range(first, first + size)))
            first += size
        numbers = list(range(0, sum(sizes), interval))
        assert [sample.output for _, sample in hook.drawn] == numbers
        assert [sample.number for _, sample in hook.drawn] == numbers
        assert [path for path, _ in hook.drawn] == [f'drawn/{n:06d}.png' for n in numbers]
    starts = np.cumsum([0, *sizes])
    for _, sample in hook.drawn:
        assert starts[sample.batch['batch']] + sample.index == sample.number
        assert sample.dataset == 'the data set'


def test_a_failure_is_logged_and_stops_nothing(monkeypatch):
    said = []
    monkeypatch.setattr(visualization, 'print_log', lambda text, **how: said.append((text, how)))
    hook = Recorder(interval=1)
    hook.after_test_iter(RUNNER, 0, {}, ['bad', 'good'])
    assert [sample.output for _, sample in hook.drawn] == ['good']
    ((text, how),) = said
    assert text == "000000.png: not drawn (KeyError: 'no keypoints')"
    assert how['level'] == logging.WARNING


def test_batches_that_cannot_be_drawn_count(monkeypatch):
    hook = Recorder(interval=2)
    monkeypatch.setattr(hook, 'can_draw', lambda batch, first: batch['good'])
    hook.after_test_iter(RUNNER, 0, dict(good=False), ['a'])
    hook.after_test_iter(RUNNER, 1, dict(good=True), ['b', 'c'])
    assert [sample.number for _, sample in hook.drawn] == [2]


def test_files_of_other_processes_have_their_rank(monkeypatch):
    assert process_prefix() == ''
    monkeypatch.setattr(visualization, 'get_rank', lambda: 3)
    assert Recorder().file_name(DrawnSample(7, 0, {}, None, None)) == 'rank3_000007.png'


@pytest.mark.parametrize('interval', [0, -1, 1.5, True, '2'])
def test_interval_is_a_whole_number(interval):
    with pytest.raises(ValueError, match=f'interval is {interval!r}, expected a whole number of 1'):
        Recorder(interval=interval)


def test_a_method_says_how_to_draw():
    with pytest.raises(TypeError, match='abstract'):
        VisualizationHook()


@pytest.mark.parametrize('value', [-0.1, 1.1, True, '0.5', float('nan')])
def test_thresholds(value):
    with pytest.raises(ValueError, match=r'threshold is .*, expected a number in 0..1'):
        check_thresholds(threshold=value)
    check_thresholds(threshold=0, other_threshold=1.0)


@pytest.mark.parametrize(
    ('size', 'long_side'),
    [((50, 100), 400), ((900, 300), 800), ((500, 500), 500), ((1, 4000), 800)],
)
def test_scaled(size, long_side):
    image = np.full((*size, 3), 7, dtype=np.uint8)
    result = scaled(image, (400, 800))
    assert max(result.shape) == long_side
    assert min(result.shape[:2]) == max(1, round(min(size) * long_side / max(size)))
    result[:] = 0
    assert (image == 7).all()  # a copy even where the size stays


def test_beside_is_not_wider_than_it_must():
    tall = np.full((30, 10, 3), 100, dtype=np.uint8)
    other = np.full((20, 12, 3), 200, dtype=np.uint8)
    result = beside(tall, other, gap=5)
    assert result.shape == (30, 27, 3)
    assert (result[:, :10] == 100).all()
    assert (result[:20, 15:] == 200).all()
    assert (result[:, 10:15] == BACKGROUND[::-1]).all()
    assert (result[20:, 15:] == BACKGROUND[::-1]).all()
    wide = np.full((10, 40, 3), 100, dtype=np.uint8)
    result = beside(wide, other, gap=5)
    assert result.shape == (35, 40, 3)
    assert (result[:10] == 100).all()
    assert (result[15:, :12] == 200).all()
    assert (result[15:, 12:] == BACKGROUND[::-1]).all()


def test_font_sizes():
    small, large = (font(size=size).getlength('left knee') for size in (10, 20))
    assert large == pytest.approx(2 * small, rel=0.1)
    assert font(bold=True).getlength('left knee') > font().getlength('left knee')


def test_write_image(tmp_path, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    write_image(tmp_path / 'new' / 'a.png', image)
    assert (cv2.imread(str(tmp_path / 'new' / 'a.png')) == image).all()
    monkeypatch.setattr(cv2, 'imwrite', lambda *given: False)  # as without room on the disk
    with pytest.raises(ValueError, match=r'new/a.png: cannot be written'):
        write_image(tmp_path / 'new' / 'a.png', image)
    assert [path.name for path in tmp_path.rglob('*.png')] == ['a.png']
