"""The emulator and the gateway as real processes, and what the emulator saw."""

import json
import os
import re
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

SCENARIO = Path(__file__).parent.parent / "scenario.toml"
CONFIGURATION = Path(__file__).parent.parent / "gateway.toml"
START_SECONDS = 30
STOP_SECONDS = 40
ADDRESS = re.compile(r"http://(127\.0\.0\.1:\d+)")


class Program:
    """A process that says on which address it listens."""

    def __init__(self, command, environment=None):
        self.folder = tempfile.TemporaryDirectory(prefix="ripcord-sdk-")
        self.output = []
        self.process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "HOME": self.folder.name, **self.own(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.address = None
        self.listening = threading.Event()
        self.reader = threading.Thread(target=self.read_output, daemon=True)
        self.reader.start()
        self.listening.wait(START_SECONDS)
        if self.address is None:
            self.stop()
            raise AssertionError(f"{command[0]} names no address:\n{''.join(self.output)}")

    def own(self, environment):
        """Nothing of the person who runs the tests: no settings, no keys, no state."""
        folders = {f"XDG_{name}_HOME": f"{self.folder.name}/{name}" for name in ("CONFIG", "STATE", "CACHE", "DATA")}
        return folders | environment

    def read_output(self):
        for line in self.process.stdout:
            self.output.append(line)
            found = ADDRESS.search(line)
            if found and self.address is None:
                self.address = found.group(1)
                self.listening.set()
        self.listening.set()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.folder.cleanup()


class Emulator(Program):
    def __init__(self):
        super().__init__([os.environ["EMULATOR_BINARY"], "--listen", "127.0.0.1:0", "--scenario", str(SCENARIO)])
        self.url = f"http://{self.address}"

    def control(self, path, body=None):
        request = urllib.request.Request(f"{self.url}/__emulator/{path}")
        if body is not None:
            request.method = "POST"
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def keys(self, account):
        return self.control(f"accounts/{account}")["keys"]

    def fail_next(self, model, kind, **details):
        """Makes the next inference call of a model go wrong."""
        fault = {"kind": kind, "count": 1, **details}
        self.control(f"models/{urllib.parse.quote(model)}", {"faults": [fault]})

    def calls(self, since=0):
        """The inference calls from a number on, oldest first."""
        return [
            entry
            for entry in self.control("log")
            if entry["id"] >= since and entry["method"] == "POST" and entry["path"].startswith("/v1/")
        ]

    def reset(self):
        """Forgets all calls, those too that run on after their client left, as they do at Chutes."""
        self.control("reset", {})

    def mark(self):
        """The number that the next call will have."""
        entries = self.control("log")
        return entries[-1]["id"] + 1 if entries else 0


class Gateway(Program):
    def __init__(self, emulator, keys):
        environment = {
            "CHUTES_API_KEY": ",".join(keys),
            "RIPCORD_CONFIG": str(CONFIGURATION),
            "CHUTES_API_URL": emulator.url,
            "CHUTES_LLM_URL": f"{emulator.url}/v1",
        }
        super().__init__([os.environ["RIPCORD_BINARY"], "serve", "--listen", "127.0.0.1:0"], environment)
        self.url = f"http://{self.address}/v1"


def eventually(question, seconds):
    """Asks until the answer is true, or fails after so many seconds."""
    until = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < until, f"not so within {seconds} s"
        time.sleep(0.02)
    return answer
