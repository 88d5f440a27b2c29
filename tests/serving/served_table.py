"""The table that models of these tests were fitted to."""

import numpy as np
import pandas as pd

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({
    "age": RNG.integers(18, 90, 80), "town": RNG.choice(["Bonn", "Köln", "Ulm"], 80),
    "size": RNG.normal(170, 9, 80).round(1),
})  # fmt: skip
