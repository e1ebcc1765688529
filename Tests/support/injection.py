"""System calls of a running daemon that fail as asked, by strace."""
import pathlib
import subprocess

from .waiting import wait_for


class Injection:
    """`rules` as strace's inject has them, `accept4:error=EMFILE:when=2+3` for instance: the second call and then every third.

    The count is each thread's own. A call that fails so is never made.
    """

    def __init__(self, daemon, *rules):
        self.pid, self.rules = daemon.pid, rules
        calls = sorted({call for rule in rules for call in rule.split(":")[0].split(",")})
        self.path = daemon.log.with_suffix(".strace")
        self.path.unlink(missing_ok=True)
        command = ["strace", "-f", "-qq", "-e", "signal=none", "-o", self.path, "-e", "trace=" + ",".join(calls)]
        for rule in rules:
            command += ["-e", f"inject={rule}"]
        self._tracer = subprocess.Popen(
            [*map(str, command), "-p", str(self.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True)

    def _threads(self):
        return [task / "status" for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir()]

    def _is_traced(self):
        if self._tracer.poll() is not None:
            raise AssertionError(f"strace has ended: {self._tracer.stderr.read().decode()}")
        return all(f"TracerPid:\t{self._tracer.pid}\n" in status.read_text() for status in self._threads())

    def count(self):
        """How many calls failed so far."""
        return self.path.read_text(errors="replace").count("(INJECTED)") if self.path.exists() else 0

    def __enter__(self):
        wait_for(self._is_traced, f"strace holds all threads of {self.pid}", 20)
        return self

    def __exit__(self, *_):
        self._tracer.terminate()
        self._tracer.wait(20)
        self._tracer.stderr.close()
