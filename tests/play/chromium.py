"""Drives a Chromium through its own pipe, with nothing but the standard library."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# A function between fork and exec could meet a thread's lock: another process gives the pipes.
GIVE_PIPES = """
import os, sys
for number, pipe in enumerate(sys.argv[1:3], 3):
    os.dup2(int(pipe), number)
os.execv(sys.argv[3], sys.argv[3:])
"""
FOUND = next((path for path in map(shutil.which, NAMES) if path), None)


class Chromium:
    """One page of a headless browser."""

    def __init__(self, folder: Path, width: int = 1400, height: int = 1000, dark: bool = False):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            f"--user-data-dir={folder}", "--disable-dev-shm-usage", "--disable-extensions",
            "--disable-background-networking", "--no-first-run", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", GIVE_PIPES, str(to_browser), str(from_browser), FOUND, *options],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._left, self.events = 0, b"", []
        self._session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.size(width, height)
        self.send("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        ])  # fmt: skip

    def send(self, method: str, timeout: float = 60, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            answer = self._next(end)
            if answer is not None and answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
        raise TimeoutError(method)

    def _next(self, end: float):
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            part = os.read(self._read, 1 << 20)
            assert part, "the browser is gone"
            self._left += part
        whole, _, self._left = self._left.partition(b"\0")
        answer = json.loads(whole)
        if "method" in answer:
            self.events.append(answer)
        return answer

    def size(self, width: int, height: int):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip

    def open(self, address: str):
        self.send("Page.navigate", url=address)

    def run(self, script: str):
        """Run a script, which may await, and return its value."""
        found = self.send("Runtime.evaluate", expression=f"(async () => {{ {script} }})()",
                          awaitPromise=True, returnByValue=True)  # fmt: skip
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 30):
        """Wait until an expression is true; returns its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.run(f"return !!({condition});")
            if value:
                return value
            time.sleep(0.1)
        seen = self.run("return document.body.innerText")[:600]
        raise AssertionError(f"not within {seconds} seconds: {condition}; {seen}")

    def picture(self, path: Path, whole: bool = True):
        clip = self.send("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        path.write_bytes(base64.b64decode(clip["data"]))

    def errors(self) -> list:
        """What went wrong on the page: exceptions, and errors of the console."""
        self.run("return 1")
        return [
            event for event in self.events
            if event["method"] == "Runtime.exceptionThrown"
            or (event["method"] == "Runtime.consoleAPICalled"
                and event["params"]["type"] in ("error", "warning"))
            or (event["method"] == "Log.entryAdded"
                and event["params"]["entry"]["level"] in ("error", "warning"))
        ]  # fmt: skip

    def requests(self) -> list[str]:
        """The addresses of all requests."""
        return [event["params"]["request"]["url"] for event in self.events
                if event["method"] == "Network.requestWillBeSent"]  # fmt: skip

    def close(self):
        self._process.terminate()
        self._process.wait(10)
        os.close(self._write)
        os.close(self._read)
