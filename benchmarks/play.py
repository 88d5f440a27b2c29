"""What the page's engine does at once: steps, pictures and memory; and when the first one is there.

    python -m benchmarks.play [--seconds 20] [--minutes 0] [--out FILE]

Spirals are learnt by 8-8 units in batches of 16, as fast as it goes, while one client asks the
application for picture after picture over HTTP. The first picture is measured from the start of
`jaxmlp play`, a second time, when its programs are kept.

With --minutes, its memory is watched for so long instead, while settings change every five seconds:
numbers, data, rules, one network or two, and shapes that compile anew.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks import RESULTS
from benchmarks.harness import environment, markdown_table, write_json

_SETTINGS = {
    "data": {"name": "spirals", "size": 400},
    "networks": [{"layers": [[8, "tanh"], [8, "tanh"]], "batch_size": 16}],
}
_CHANGE_SECONDS, _SAMPLE_SECONDS = 5.0, 10.0


class _Page:
    """The command in a process of its own, and one client of it."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jaxmlp", "play", "--no-browser"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        found = re.search(r"(http://\S+)/\?token=([\w-]+)", self.process.stdout.readline())
        assert found
        self.address, self.token = found.groups()

    def ask(self, path: str, body: Any = None) -> bytes:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.address}/{path}", content, {"X-Play-Token": self.token}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: bytes = answer.read()
        return found

    def picture(self, after: int) -> dict[str, Any]:
        while not (packed := self.ask(f"picture?after={after}")):
            pass  # there was none for a while
        head: dict[str, Any] = json.loads(packed[4 : 4 + int.from_bytes(packed[:4], "little")])
        return {**head, "bytes": len(packed)}

    def memory(self) -> float:
        """MiB that the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found
        return int(found[1]) / 1024

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def first_picture() -> float:
    """Seconds from the start of the command to its first picture."""
    page = _Page()
    try:
        head = page.picture(0)
        while not head["networks"]:
            head = page.picture(head["version"])
        return time.perf_counter() - page.begin
    finally:
        page.close()


def play(seconds: float) -> dict[str, float]:
    """Train and look for a while."""
    page = _Page()
    try:
        page.ask("message", {"kind": "set", "settings": _SETTINGS})
        page.ask("message", {"kind": "step", "n": 1000})
        page.ask("message", {"kind": "play"})
        head = page.picture(0)
        for _ in range(50):
            head = page.picture(head["version"])
        first, begin, memory = head, time.perf_counter(), page.memory()
        n_pictures = 0
        while time.perf_counter() < begin + seconds:
            head = page.picture(head["version"])
            n_pictures += bool(head["networks"])
        took = time.perf_counter() - begin
        steps = head["networks"][0]["step"] - first["networks"][0]["step"]
        return {
            "pictures a second": n_pictures / took, "steps a second": steps / took,
            "KiB a picture": head["bytes"] / 1024, "MiB at the start": memory,
            "MiB at the end": page.memory(),
        }  # fmt: skip
    finally:
        page.close()


def _changed(n: int, rng: random.Random) -> dict[str, Any]:
    """The settings after n changes; every second change is one of shape, and compiles."""
    networks = []
    for _ in range(1 + n % 8 // 4):  # four changes long one network, then two side by side
        layers = [[8, "tanh"], [8, "tanh"]]
        if n % 2:
            layers = [[rng.randint(1, 16), rng.choice(("tanh", "relu"))] for _ in layers]
        numbers = {"learning_rate": rng.choice((0.003, 0.01, 0.03))}
        networks.append(
            {"layers": layers, "batch_size": 16, "rule": rng.choice(("adam", "rmsprop")),
             "numbers": numbers, "seed": rng.randrange(100)}
        )  # fmt: skip
    return {"data": {**_SETTINGS["data"], "noise": rng.choice((0.0, 0.1))}, "networks": networks}


def watch(minutes: float) -> dict[str, Any]:
    """Follow the memory of a page that is used all the time."""
    page, rng = _Page(), random.Random(0)
    try:
        begin, found, n_pictures, n_changes = time.perf_counter(), [], 0, 0
        head = page.picture(0)
        while (now := time.perf_counter() - begin) < 60 * minutes:
            if now >= n_changes * _CHANGE_SECONDS:
                page.ask("message", {"kind": "set", "settings": _changed(n_changes, rng)})
                page.ask("message", {"kind": "play"})
                n_changes += 1
            if now >= len(found) * _SAMPLE_SECONDS:
                found.append(round(page.memory(), 1))
            head = page.picture(head["version"])
            n_pictures += bool(head["networks"])
        return {
            "minutes": minutes, "pictures": n_pictures, "changes of settings": n_changes,
            "MiB every 10 s": found,
        }  # fmt: skip
    finally:
        page.close()


def _summary(found: dict[str, Any]) -> dict[str, Any]:
    """The watch in few numbers: the largest memory in each third."""
    memory, third = found["MiB every 10 s"], max(len(found["MiB every 10 s"]) // 3, 1)
    parts = {"first": memory[:third], "middle": memory[third:-third], "last": memory[-third:]}
    largest = {f"most MiB in the {name} third": max(part) for name, part in parts.items() if part}
    return {name: found[name] for name in found if name != "MiB every 10 s"} | largest


def main() -> None:
    """Measure, print a table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--note", default="", help="what to say of the machine meanwhile")
    parser.add_argument("--out", type=Path, default=RESULTS / "play.json")
    options = parser.parse_args()
    kept = json.loads(options.out.read_text()) if options.out.exists() else {}
    if options.minutes:
        found = watch(options.minutes)
        shown = _summary(found)
        kept["watch"] = {"environment": environment(), "note": options.note, **shown, **found}
    else:
        first_picture()
        shown = {"seconds to the first picture": first_picture(), **play(options.seconds)}
        kept |= {"environment": environment(), "play": shown}
    print(markdown_table([{"what": name, "measured": value} for name, value in shown.items()]))
    write_json(options.out, kept)


if __name__ == "__main__":
    main()
