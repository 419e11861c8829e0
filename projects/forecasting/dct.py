"""The discrete cosine transform along time, as a matrix."""

import math

import torch
from torch import Tensor


def dct_matrix(num_frames: int, num_coefficients: int | None = None) -> Tensor:
    """Rows of the orthonormal discrete cosine transform (DCT-II).

    ``D[k, f] = s_k cos(pi k (2 f + 1) / (2 F))``, ``s_0 = sqrt(1 / F)`` and else ``sqrt(2 / F)``,
    as ``scipy.fft.dct(..., norm='ortho')`` computes it (Guo et al., WACV 2023, section 3.2). ``D @
    x`` gives the coefficients of x along time, slow ones first, and ``D.T @ coefficients`` the
    frames again: exactly with all coefficients, and the closest smooth motion with the first few.

    Args:
        num_frames: Frames F.
        num_coefficients: Rows K to keep, the slowest first; all F if None.

    Returns:
        (K, F), float32.

    Raises:
        ValueError: If there is no frame, or K is not in 1 to F.
    """
    if num_frames < 1:
        raise ValueError(f'num_frames is {num_frames}, expected 1 or more')
    num_coefficients = num_frames if num_coefficients is None else num_coefficients
    if not 1 <= num_coefficients <= num_frames:
        raise ValueError(
            f'num_coefficients is {num_coefficients}, expected 1 to num_frames = {num_frames}'
        )
    frame = torch.arange(num_frames, dtype=torch.float64)
    order = torch.arange(num_coefficients, dtype=torch.float64)[:, None]
    matrix = torch.cos(math.pi * order * (2 * frame + 1) / (2 * num_frames))  # (K, F)
    matrix *= math.sqrt(2 / num_frames)
    matrix[0] /= math.sqrt(2)
    return matrix.float()
