import numpy as np
import pytest

from projects.apct.video_transforms import SubtractMeanFrame


@pytest.mark.parametrize('clips', [1, 3])
def test_each_clip_loses_its_own_mean(clips):
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 256, (clips * 4, 5, 6, 3), dtype=np.uint8))
    result = SubtractMeanFrame()(dict(imgs=list(frames), clip_len=4, num_clips=clips))
    for clip in range(clips):
        own = slice(4 * clip, 4 * clip + 4)
        mean = sum(frame.astype(float) for frame in frames[own]) / 4
        for before, after in zip(frames[own], result['imgs'][own], strict=True):
            assert after.dtype == np.float32
            np.testing.assert_allclose(after, before - mean, atol=1e-4)


def test_what_stands_still_is_gone():
    still = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    frames = [still.copy() for _ in range(4)]
    frames[2][1:3, 2:4] = 255 - frames[2][1:3, 2:4]  # something passes
    moved = np.stack(SubtractMeanFrame()(dict(imgs=frames, clip_len=4))['imgs'])
    assert (moved[:, 1:3, 2:4] != 0).all()
    moved[:, 1:3, 2:4] = 0
    assert not moved.any()
