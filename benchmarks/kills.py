"""A training that is killed, again and again, and resumed each time: it ends as one left alone.

`jaxmlp train digits --checkpoint-every 1` gets SIGKILL at a random moment, `--resume` goes on,
until so many kills have hit it. Its model and its history (but the seconds) must be those of a run
that nobody touched, byte for byte; at most one epoch may be trained anew after each kill.

Other commands are killed too: what a later command would take for a result must be whole.

    python -m benchmarks.kills [--kills 20] [--others 40] [--epochs 30] [--seed 0]
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.harness import environment, write_json

RESULTS = Path(__file__).parent / "results" / "kills.json"
_JAXMLP = (sys.executable, "-m", "jaxmlp")
_TRAIN = (*_JAXMLP, "train")


def kill_and_resume(folder: Path, kills: int, epochs: int, seed: int) -> dict[str, object]:
    """Kill a run so often, and compare what it ends as.

    Args:
        folder: to work in.
        kills: how often; a kill counts if the run was alive.
        epochs: of the training.
        seed: of the moments.

    Returns:
        What was found: "kills", "same_model", "same_history".
    """
    call = ["digits", "--epochs", str(epochs), "--checkpoint-every", "1", "--quiet"]
    begin = time.monotonic()
    subprocess.run([*_TRAIN, *call, "--out", folder / "alone"], check=True, capture_output=True)
    longest = time.monotonic() - begin
    rng, hit, moments = np.random.default_rng(seed), 0, []
    out = folder / "killed"
    command = [*_TRAIN, *call, "--out", str(out)]
    while hit < kills:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait = float(rng.uniform(0.3, 1.0) * longest)
        try:
            _, said = process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            hit += 1
            moments.append(round(wait, 2))
            if (out / "run.json").exists():
                break
            if (out / "started.json").exists():
                command = [*_TRAIN, "--resume", str(out), "--quiet"]
            continue
        if process.returncode:
            raise RuntimeError(f"a resumed run failed: {said.decode()}")
        break  # it ended before its moment
    if not (out / "run.json").exists():
        subprocess.run([*_TRAIN, "--resume", out, "--quiet"], check=True, capture_output=True)
    models = [(folder / name / "model.safetensors").read_bytes() for name in ("alone", "killed")]
    histories = [_history(folder / name / "history.csv") for name in ("alone", "killed")]
    return {
        "kills": hit,
        "after_seconds": moments,
        "same_model": models[0] == models[1],
        "same_history": histories[0] == histories[1],
        "epochs": len(histories[1]),
    }


def kill_others(folder: Path, kills: int, seed: int) -> list[dict[str, object]]:
    """Kill predict, export, finetune and sweep in turns, each while it works.

    Args:
        folder: to work in.
        kills: how often in all.
        seed: of the moments.

    Returns:
        What each kill left: "command", "left" ("nothing" or "whole"), "again" (whether the same
        command then ended well, or refused to replace what it found).
    """
    run = folder / "run"
    call = ["digits", "--epochs", "3", "--quiet", "--out", str(run)]
    subprocess.run([*_TRAIN, *call], check=True, capture_output=True)
    commands = {
        "predict": (["predict", str(run), "digits"], "p.csv"),
        "export": (["export", str(run), "--to", "numpy"], "predictor.py"),
        "finetune": (["finetune", str(run), "digits", "--epochs", "3", "--quiet"], "tuned"),
        "sweep": (["sweep", "digits", "--epochs", "3", "--seeds", "1", "--json"], "swept"),
    }
    seconds, found = {}, []
    for name, (command, out) in commands.items():
        begin = time.monotonic()
        (folder / "whole").mkdir(exist_ok=True)
        whole = [*_JAXMLP, *command, "--out", str(folder / "whole" / out)]
        subprocess.run(whole, check=True, capture_output=True)
        seconds[name] = time.monotonic() - begin
    rng = np.random.default_rng(seed)
    for i in range(kills):
        name = list(commands)[i % len(commands)]
        command, out = commands[name]
        path = folder / str(i) / out
        path.parent.mkdir()
        process = subprocess.Popen(
            [*_JAXMLP, *command, "--out", str(path)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process.wait(float(rng.uniform(0.5, 1.0) * seconds[name]))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        left = _left(path, folder / "whole" / out)
        again = subprocess.run([*_JAXMLP, *command, "--out", str(path)], capture_output=True)
        ended = {0: "well", 2: "refused"}.get(again.returncode, "badly")
        found.append({"command": name, "left": left, "again": ended})
    return found


def _left(path: Path, whole: Path) -> str:
    """What a later command would find: nothing, what a run leaves that was left alone, or less."""
    results = ("run.json", "sweep.json", "model.safetensors")
    if not path.exists() or (path.is_dir() and not any((path / r).exists() for r in results)):
        return "nothing"
    if path.is_dir():
        names = [{p.name for p in folder.iterdir()} for folder in (path, whole)]
        return "whole" if names[0] == names[1] else "less"
    return "whole" if path.read_bytes() == whole.read_bytes() else "less"


def _history(path: Path) -> list[dict[str, str]]:
    """The rows, without the time that they took."""
    with path.open(encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def main() -> None:
    """Run the study, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--others", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rounds, hit = [], 0
    while hit < args.kills:
        with tempfile.TemporaryDirectory() as folder:
            left, seed = args.kills - hit, args.seed + len(rounds)
            found = kill_and_resume(Path(folder), left, args.epochs, seed)
        rounds.append(found)
        hit += int(str(found["kills"]))
        print(found)
    with tempfile.TemporaryDirectory() as folder:
        others = kill_others(Path(folder), args.others, args.seed)
    print(Counter((row["command"], row["left"], row["again"]) for row in others))
    write_json(
        args.out, {**environment(), "epochs": args.epochs, "rounds": rounds, "others": others}
    )


if __name__ == "__main__":
    main()
