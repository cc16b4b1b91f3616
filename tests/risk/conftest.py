"""A headless Chromium for tests of pages, spoken to through pipes; no package is needed for it."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # for `benchmarks.drugs`

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Chromium:
    """One page of a headless Chromium."""

    def __init__(self, program):
        ask, self._to = os.pipe()
        self._back, tell = os.pipe()
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-pipe"
        fds = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (ask, tell)]
        self._process = subprocess.Popen(
            [program, *flags.split(), f"--user-data-dir={self._folder.name}", "about:blank"],
            preexec_fn=lambda: [os.dup2(fd, at) for at, fd in enumerate(fds, 3)],
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in fds:
            os.close(fd)
        os.close(ask)
        os.close(tell)
        self._n, self._rest, self._session, self.events = 0, b"", None, []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method, **params):
        """Ask for something, and wait for its answer."""
        self._n += 1
        message = {"id": self._n, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._n:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _read(self):
        while b"\0" not in self._rest:
            part = os.read(self._back, 1 << 20)
            assert part, "Chromium ended"
            self._rest += part
        one, self._rest = self._rest.split(b"\0", 1)
        return json.loads(one)

    def open(self, path, width, height, scheme="light", scripts=True):
        """Show a file as a window of some size does; afterwards `events` tells what happened."""
        self.events.clear()
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self("Emulation.setDeviceMetricsOverride", **screen)
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self("Emulation.setScriptExecutionDisabled", value=not scripts)
        self("Page.navigate", url=f"file://{path}")
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def tell(self, expression):
        """Value of an expression of JavaScript."""
        return self("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]

    def of(self, *methods):
        """What happened, of some kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def close(self):
        """End it."""
        self._process.terminate()
        self._process.wait()
        os.close(self._to)
        os.close(self._back)
        self._folder.cleanup()


@pytest.fixture(scope="module")
def chromium():
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("No Chromium is installed, so that the page cannot be opened.")
    browser = Chromium(program)
    yield browser
    browser.close()
