"""Several processes on this machine, which meet at 127.0.0.1 and end by themselves."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest


class Processes:
    """Processes 0 .. n - 1 of a script, each with a log of its own."""

    def __init__(self, folder, script, n, *arguments):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.logs = [folder / f"log-{time.monotonic_ns()}-{rank}" for rank in range(n)]
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "JAX_PLATFORMS": "cpu"}
        self.processes = []
        for rank, log in enumerate(self.logs):
            with log.open("wb") as file:
                command = [sys.executable, script, f"127.0.0.1:{port}", n, rank, *arguments]
                self.processes.append(
                    subprocess.Popen(
                        list(map(str, command)), stdout=file, stderr=subprocess.STDOUT,
                        env=environment, cwd=folder,
                    )
                )  # fmt: skip

    def wait(self, seconds=120):
        """The exit codes, once all have ended."""
        end = time.monotonic() + seconds
        for process in self.processes:
            process.wait(max(0.1, end - time.monotonic()))
        return [process.returncode for process in self.processes]

    def said(self, rank=0):
        return self.logs[rank].read_text(errors="replace")

    def until(self, text, rank=0, seconds=90):
        """Wait until a process has said something."""
        end = time.monotonic() + seconds
        while text not in self.said(rank):
            assert time.monotonic() < end, self.said(rank)
            assert self.processes[rank].poll() is None, self.said(rank)
            time.sleep(0.05)

    def send(self, rank, number):
        self.processes[rank].send_signal(number)

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait(10)


@pytest.fixture
def run_processes(tmp_path):
    """Start (script, n, *arguments): each gets address, n, rank and the arguments."""
    started = []

    def run(script, n, *arguments):
        path = tmp_path / "script.py"
        path.write_text(script)
        started.append(Processes(tmp_path, path, n, *arguments))
        return started[-1]

    yield run
    for processes in started:
        processes.end()
