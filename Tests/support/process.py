"""A process that a test started, with its output in a file, ended when the test ends."""
import os
import pathlib
import signal
import subprocess

from .waiting import wait_for


class Daemon:
    """Starts `command`, keeps stdout and stderr in `log`, ends it on `stop`."""

    def __init__(self, name, command, log, env=None, stdin=subprocess.DEVNULL):
        self.name = name
        self.log = pathlib.Path(log)
        self._output = open(self.log, "ab")
        # A crash must end the process at once: Swift's backtracer would hold it for minutes.
        environment = {**os.environ, "SWIFT_BACKTRACE": "enable=no", **(env or {})}
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=self._output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )

    @property
    def pid(self):
        return self.process.pid

    def text(self):
        """The log; of a program that runs, whole lines: what has no end yet is still being written."""
        text = self.log.read_text(errors="replace")
        return text[: text.rfind("\n") + 1] if self.alive() else text

    def lines(self, *parts):
        """Log lines that contain all of `parts`."""
        return [line for line in self.text().splitlines() if all(part in line for part in parts)]

    def wait_for_line(self, *parts, seconds=10.0):
        def found():
            assert self.alive(), f"{self.name} ended with {self.process.returncode}: {self.text()[-2000:]}"
            return self.lines(*parts)

        return wait_for(found, f"{self.name} logs {parts}", seconds)[-1]

    def alive(self):
        return self.process.poll() is None

    def stop(self, seconds=10.0):
        """SIGTERM, then SIGKILL after `seconds`; returns the exit status (negative: a signal)."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._output.close()
        return self.process.returncode

    def kill(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def memory_kib(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError(f"{self.name} has no resident memory: it has ended")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
