"""A service asked by 32 clients at once, beside the same network in FastAPI and PyTorch.

    python -m benchmarks.serving [--requests 100_000] [--clients 32] [--out FILE]

Every client has one connection and asks for one row of 64 numbers at a time, each time another one;
every answer is compared with what the network says of that row, so a lost or crossed one is seen.
Both services run in a process of their own on the same machine, as does the one that asks. FastAPI
and PyTorch are left out where they are not installed.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxmlp
from benchmarks import RESULTS
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.models import Model, save

SIZES = (64, 128, 10)
_ROWS = 1_000  # different ones
FASTAPI = """
import json, sys
import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

torch.set_num_threads(1)
with np.load(sys.argv[1]) as found:
    layers = []
    for l in range(2):
        linear = torch.nn.Linear(*found[f"W{l}"].shape)
        linear.weight.data = torch.tensor(found[f"W{l}"].T)
        linear.bias.data = torch.tensor(found[f"b{l}"])
        layers += [linear, torch.nn.ReLU()]
network = torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(dim=1)).eval()
app = FastAPI()

class Rows(BaseModel):
    rows: list[list[float]]

@app.post("/predict")
async def predict(body: Rows):
    with torch.inference_mode():
        shares = network(torch.tensor(body.rows)).numpy()
    return {"predictions": [
        {"label": str(k), "probabilities": dict(zip(map(str, range(10)), row.tolist()))}
        for k, row in zip(shares.argmax(axis=1).tolist(), shares)
    ]}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""


async def _client(
    port: int, bodies: list[bytes], wanted: np.ndarray, start: int, count: int, times: list[float]
) -> int:
    """Ask for rows, one after another; return how many answers were wrong."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wrong = 0
    for k in range(start, start + count):
        row = k % _ROWS
        begin = time.perf_counter()
        writer.write(bodies[row])
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        said = json.loads(await reader.readexactly(length))
        times.append(time.perf_counter() - begin)
        shares = list(said["predictions"][0]["probabilities"].values())
        wrong += not np.allclose(shares, wanted[row], atol=1e-4)
    writer.close()
    return wrong


async def _ask(port: int, rows: np.ndarray, wanted: np.ndarray, n: int, clients: int) -> Any:
    bodies = []
    for row in rows.tolist():
        body = json.dumps({"rows": [row]}).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json"
        bodies.append(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await _client(port, bodies, wanted, 0, 200, [])  # warm
    times: list[float] = []
    begin = time.perf_counter()
    each = n // clients
    wrong = await asyncio.gather(
        *(_client(port, bodies, wanted, k * each, each, times) for k in range(clients))
    )
    seconds = time.perf_counter() - begin
    return {
        "requests": len(times), "wrong or lost": sum(wrong) + n // clients * clients - len(times),
        "requests a second": round(len(times) / seconds),
        "p50, ms": round(1e3 * float(np.quantile(times, 0.5)), 2),
        "p99, ms": round(1e3 * float(np.quantile(times, 0.99)), 2),
    }  # fmt: skip


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    import socket

    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the service ended: {process.communicate()[1]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("the service did not start.")


def measure(command: list[str], port: int, rows: Any, wanted: Any, n: int, clients: int) -> Any:
    """Start a service, ask it, and end it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _wait_for(port, process)
        return asyncio.run(_ask(port, rows, wanted, n, clients))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def main() -> None:
    """Measure both, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--out", type=Path, default=RESULTS / "serving.json")
    options = parser.parse_args()
    config = jaxmlp.MLPConfig(SIZES)
    params = jaxmlp.init(config, jax.random.key(0))
    rows = np.random.default_rng(0).normal(size=(_ROWS, SIZES[0])).round(3)
    model = Model(config, params)
    wanted = model.predict_proba(rows)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path, weights = Path(folder) / "net.safetensors", Path(folder) / "net.npz"
        save(path, model)
        arrays = {
            f"{name}{l}": np.asarray(getattr(layer, name))
            for l, layer in enumerate(params)
            for name in ("W", "b")
        }
        np.savez(weights, **arrays)  # type: ignore[arg-type]
        port = _free_port()
        command = [sys.executable, "-m", "jaxmlp", "serve", str(path), "--port", str(port)]
        asked = (rows, wanted, options.requests, options.clients)
        found["jaxmlp serve"] = measure(command, port, *asked)
        print(found, flush=True)
        if find_spec("fastapi") and find_spec("torch"):
            port = _free_port()
            command = [sys.executable, "-c", FASTAPI, str(weights), str(port)]
            found["FastAPI and PyTorch"] = measure(command, port, *asked)
    write_json(options.out, {"environment": environment(), "services": found})
    print(markdown_table([{"service": name, **row} for name, row in found.items()]))


if __name__ == "__main__":
    main()
