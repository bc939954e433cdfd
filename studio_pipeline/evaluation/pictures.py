"""How alike two pictures are: SSIM, PSNR, FLIP, and LPIPS where its weights are given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio_pipeline.evaluation.rays import require

__all__ = ["MARGIN_PX", "PSNR_CAP", "compare", "flip_error", "psnr", "ssim", "union_box"]

MARGIN_PX = 8  # around both silhouettes
PSNR_CAP = 99.0  # what equal pictures get [dB]


def union_box(first: np.ndarray, second: np.ndarray, margin: int = MARGIN_PX) -> tuple[slice, slice]:
    """Rows and columns that hold both silhouettes [H, W] bool and ``margin`` [px] around; all of an empty picture."""
    both = first | second
    found = []
    for axis, size in ((1, both.shape[0]), (0, both.shape[1])):
        inside = np.flatnonzero(both.any(axis))
        found.append(
            slice(max(int(inside[0]) - margin, 0), min(int(inside[-1]) + margin + 1, size))
            if len(inside)
            else slice(0, size)
        )
    return found[0], found[1]


def ssim(truth: np.ndarray, guess: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004: Gaussian window, sigma 1.5) of sRGB pictures [H, W, 3] uint8."""
    from skimage.metrics import structural_similarity

    value = structural_similarity(
        truth, guess, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(value)  # pyright: ignore[reportArgumentType]


def psnr(truth: np.ndarray, guess: np.ndarray) -> float:
    """Peak signal to noise ratio [dB] of pictures [H, W, 3] uint8, at most `PSNR_CAP`."""
    error = float(np.square(truth.astype(np.float64) - guess).mean())
    return min(PSNR_CAP, 10.0 * float(np.log10(255.0**2 / error))) if error > 0.0 else PSNR_CAP


def flip_error(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean LDR-FLIP of sRGB pictures [H, W, 3] uint8 at its default viewing distance (67 pixels a degree), 0..1."""
    require("flip_evaluator")
    import flip_evaluator

    first, second = (np.ascontiguousarray(picture, dtype=np.float32) / 255.0 for picture in (truth, guess))
    return float(flip_evaluator.evaluate(first, second, "LDR", applyMagma=False)[1])


def compare(
    truth: np.ndarray,
    guess: np.ndarray,
    masks: tuple[np.ndarray, np.ndarray],
    lpips: Callable[[np.ndarray, np.ndarray], float] | None = None,
) -> dict[str, float]:
    """All measures of one view.

    Args:
        truth: [T, H, W, 3] uint8 sRGB
        guess: The same.
        masks: Silhouettes of both. [T, H, W] bool each
        lpips: Distance of two pictures [h, w, 3] uint8; None: LPIPS is not measured.

    Returns:
        Means over the frames: ``ssim``, ``psnr``, ``flip`` (and ``lpips``) on the crop, ``ssim_full`` on all of it.
    """
    measures: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"ssim": ssim, "psnr": psnr, "flip": flip_error}
    if lpips is not None:
        measures["lpips"] = lpips
    rows: dict[str, list[float]] = {name: [] for name in (*measures, "ssim_full")}
    for a, b, first, second in zip(truth, guess, *masks, strict=True):
        box = union_box(first, second)
        for name, measure in measures.items():
            rows[name].append(measure(a[box], b[box]))
        rows["ssim_full"].append(ssim(a, b))
    return {name: float(np.mean(values)) for name, values in rows.items()}
