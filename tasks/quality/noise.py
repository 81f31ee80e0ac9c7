"""Whether stored noise looks like noise: p-values of what independent N(0, 1) draws would show."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def noise_frame(noise: NDArray[np.float64]) -> pd.DataFrame:
    """One row about ``noise`` (samples, coordinates); p-values are 0 where anything is not finite."""
    return pd.DataFrame([{"values": noise.size, **normality(noise)}])


def normality(noise: NDArray[np.float64]) -> dict[str, float]:
    """p-values of the mean, the variance, the distribution (Kolmogorov–Smirnov) and the correlation of neighbours.

    Under N(0, 1), mean·√n is N(0, 1) and Σx² is χ²(n) exactly; Σ xᵢ·xᵢ₊₁ over m pairs of coordinates has mean 0 and
    variance m, and is normal in the limit.
    """
    from scipy import stats

    names = ("mean_p", "variance_p", "ks_p", "pair_p")
    if not np.isfinite(noise).all():
        return dict.fromkeys(names, 0.0)
    values, n = noise.ravel(), noise.size
    square = stats.chi2(n)
    sum_of_squares = float(np.square(values).sum())
    products = noise[1:] * noise[:-1]
    pair = stats.norm.sf(abs(products.sum()) / np.sqrt(products.size)) if products.size >= 100 else 0.5
    found = (
        2 * stats.norm.sf(abs(values.mean()) * np.sqrt(n)),
        2 * min(square.cdf(sum_of_squares), square.sf(sum_of_squares)),
        stats.kstest(values, "norm").pvalue,
        2 * pair,
    )
    return {name: float(p) for name, p in zip(names, found, strict=True)}
