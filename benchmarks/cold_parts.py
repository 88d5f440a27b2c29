"""One cold start, taken apart: prints seconds by part as JSON. `where_time_goes` runs it.

    python -m benchmarks.cold_parts fit|sweep DATA.npz

DATA.npz is what `benchmarks.harness.cold.write_problem` writes.
"""

import time

BEGIN = time.perf_counter()

import json  # noqa: E402  # the clock starts before anything is imported
import sys  # noqa: E402
from collections import Counter  # noqa: E402
from typing import Any  # noqa: E402

KINDS = {
    "jaxpr_trace_duration": "tracing",
    "jaxpr_to_mlir_module_duration": "lowering",
    "backend_compile_duration": "compiling",
}


def main() -> None:
    """Import, read, compile, train; then say how long each took."""
    job, path = sys.argv[1:]
    import jax

    parts = {"importing jax": time.perf_counter() - BEGIN}
    mark = time.perf_counter()
    from benchmarks.harness.peers import __main__ as cold
    from benchmarks.harness.peers import own

    parts["importing jaxmlp"] = time.perf_counter() - mark
    kinds: Counter[str] = Counter()
    programs: Counter[str] = Counter()

    def listen(event: str, seconds: float, **details: Any) -> None:
        kind = KINDS.get(event.split("/")[-1])
        if kind is not None:
            kinds[kind] += seconds
            if kind == "compiling":
                programs[str(details.get("fun_name", "?"))] += seconds

    jax.monitoring.register_event_duration_secs_listener(listen)
    mark = time.perf_counter()
    problem, sweep = cold.read_problem(path)
    if job == "sweep":
        own.use_all_cores()
        own.cross_validation(problem, **sweep)
    else:
        own.by_hand(problem)(0)
    parts |= kinds
    parts["data, calls and training"] = time.perf_counter() - mark - sum(kinds.values())
    longest = dict(programs.most_common(5))
    print(json.dumps({"parts": parts, "programs": longest, "n_programs": len(programs)}))


if __name__ == "__main__":
    main()
