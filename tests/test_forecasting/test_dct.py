import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct, idct

from projects.forecasting.dct import dct_matrix


@pytest.mark.parametrize(('frames', 'kept'), [(1, 1), (2, 1), (10, 10), (35, 12), (50, 50)])
def test_equals_scipy(frames, kept):
    signal = np.random.default_rng(0).standard_normal((frames, 3))
    matrix = dct_matrix(frames, kept)
    assert matrix.shape == (kept, frames)
    coefficients = dct(signal, axis=0, norm='ortho')[:kept]
    np.testing.assert_allclose(matrix.double().numpy() @ signal, coefficients, atol=1e-5)
    smooth = idct(coefficients, n=frames, axis=0, norm='ortho')
    np.testing.assert_allclose(matrix.T.double().numpy() @ coefficients, smooth, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 60), data=st.data())
def test_rows_are_orthonormal(frames, data):
    kept = data.draw(st.integers(1, frames))
    matrix = dct_matrix(frames, kept)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(kept), atol=1e-5, rtol=0)
    torch.testing.assert_close(matrix, dct_matrix(frames)[:kept])


def test_a_still_body_has_one_coefficient():
    coefficients = dct_matrix(16) @ torch.full((16, 1), 3.0)
    torch.testing.assert_close(coefficients[0, 0], torch.tensor(12.0))  # 3 sqrt(16)
    assert coefficients[1:].abs().max() < 1e-5


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ((0,), 'num_frames is 0, expected 1 or more'),
        ((5, 0), 'num_coefficients is 0, expected 1 to num_frames = 5'),
        ((5, 6), 'num_coefficients is 6'),
    ],
)
def test_bad_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        dct_matrix(*options)
