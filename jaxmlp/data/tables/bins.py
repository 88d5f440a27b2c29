"""Where the bins of a piecewise-linear embedding begin and how wide they are."""

import numpy as np
from jaxtyping import Float


def piecewise_bins(
    x: Float[np.ndarray, "rows d"], n_bins: int
) -> tuple[Float[np.ndarray, "d T"], Float[np.ndarray, "d T"]]:
    """Lay bins by quantiles: half of them of the rows, half of the distinct values.

    Where most rows share a value (92% of capital gains are 0), quantiles of the rows alone leave
    three bins; quantiles of the distinct values tell the others apart.

    Args:
        x: numbers of the training rows, (rows, d).
        n_bins: T, at least 2.

    Returns:
        Where each bin begins and its width, (d, T) each. A column that has fewer bins begins the
        others at the largest float32, where no number falls.

    Raises:
        ValueError: for fewer than two bins, or no rows.

    Example:
        >>> starts, widths = piecewise_bins(np.array([[0.0], [1.0], [4.0]]), 4)
        >>> starts[0, :2].tolist(), widths[0, :2].tolist()
        ([0.0, 1.0], [1.0, 3.0])

    Reference: Gorishniy et al., 2022, arXiv 2203.05556 (quantiles of the rows).
    """
    if n_bins < 2 or not len(x):
        raise ValueError(
            f"there are {len(x)} rows for {n_bins} bins; give rows, and 2 bins or more."
        )
    starts = np.full((x.shape[1], n_bins), np.finfo(np.float32).max, np.float64)
    widths = np.ones((x.shape[1], n_bins))
    shares = np.linspace(0, 1, n_bins // 2 + 1)
    for k, column in enumerate(np.asarray(x, np.float64).T):
        distinct = np.unique(column)
        edges = np.unique(
            np.concatenate([np.quantile(part, shares) for part in (column, distinct)])
        )
        gaps = np.diff(edges)
        edges = edges[
            np.concatenate([[True], gaps > 1e-6 * np.ptp(edges)])
        ]  # wide enough to divide by
        if len(edges) < 2:
            starts[k, 0] = edges[0]
        else:
            starts[k, : len(edges) - 1], widths[k, : len(edges) - 1] = edges[:-1], np.diff(edges)
    return starts, widths
