"""What a cold process does: import one library, read the data, train, end.

python -m peers PEER DATA.npz     or     python -m peers sweep-PEER DATA.npz
"""

import json
import sys

import numpy as np

from . import Problem, make


def read_problem(path: str) -> tuple[Problem, dict]:
    """Read a problem, and what else the job needs, from a .npz file."""
    with np.load(path, allow_pickle=False) as data:
        numbers = json.loads(str(data["numbers"]))
        problem = Problem(
            data["x"], data["y"], tuple(numbers["layer_sizes"]), numbers["batch_size"],
            numbers["epochs"], numbers["learning_rate"],
        )  # fmt: skip
    return problem, numbers.get("sweep", {})


def main() -> None:
    """Run the job that the arguments name."""
    job, path = sys.argv[1:]
    problem, sweep = read_problem(path)
    if job == "sweep-jaxmlp":
        from .own import cross_validation, use_all_cores

        use_all_cores()
        cross_validation(problem, **sweep)
    elif job == "sweep-scikit-learn":
        from .sklearn_mlp import grid_search

        grid_search(problem, **sweep)
    else:
        make(job)(problem)(0)


if __name__ == "__main__":
    main()
