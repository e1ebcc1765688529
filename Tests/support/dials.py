"""Proof that a daemon dialled nobody: its `connect` calls as strace sees them."""
import re
import subprocess

from .waiting import wait_for


class Dials:
    """Follows the `connect` calls of a process from `wait_until_seen` on; `close` lets it go."""

    def __init__(self, process, path):
        self.path = path
        self._tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-e", "trace=connect", "-e", "signal=none", "-o", str(path), "-p", str(process)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def ports(self):
        """Every call in order: the port where there is one, else the line."""
        text = self.path.read_text() if self.path.exists() else ""
        lines = [line for line in text.splitlines() if "connect(" in line]
        return [int(match[1]) if (match := re.search(r"htons\((\d+)\)", line)) else line for line in lines]

    def wait_for_port(self, port, count, what="the dial is traced"):
        """Waits until `port` has been dialled `count` times."""
        def traced():
            assert self._tracer.poll() is None, "strace has ended"
            return self.ports().count(port) >= count

        wait_for(traced, what)

    def close(self):
        self._tracer.terminate()
        self._tracer.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
