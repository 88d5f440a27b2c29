"""The study of dtypes, on a small task."""

import numpy as np

from benchmarks.precision import Task, shown, study


def test_each_choice_is_compared_with_float32_from_the_same_seeds():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    data = x, x[:, 0] - x[:, 1]
    rows = study([Task("sums", data, data, (8,), "squared_error", "r2", 3)], n_seeds=2)
    assert [row["choice"] for row in rows] == ["float32", "mixed", "bfloat16"]
    assert rows[0]["minus float32"] == 0
    assert rows[1]["scores"] != rows[0]["scores"]
    assert abs(rows[1]["minus float32"]) < 0.05
    assert shown(rows[0])["minus float32"] == ""
