"""What a daemon holds: descriptors, memory, rules in its pods. Taken before a test and held against what is there after."""
import os
import pathlib

from .waiting import wait_for


def folder_of_namespaces(prefix):
    return sorted(path.name for path in pathlib.Path("/run/netns").glob(f"{prefix}*"))


def children(pid):
    """Processes the daemon has started and not collected."""
    return [
        child for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def processor_seconds(pid):
    """User and system time of the process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_kib(pid):
    """The most resident memory since `forget_peak`."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM:"))


def forget_peak(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


class Standing:
    """The holdings of one daemon and its pods at one moment."""

    def __init__(self, daemon, pods=()):
        self.daemon, self.pods, self.pid = daemon, list(pods), daemon.pid
        self.descriptors = daemon.descriptors()
        self.memory = daemon.memory_kib()
        self.rules = {pod.name: self.rules_of(pod) for pod in self.pods}
        self.children = len(children(self.pid))
        forget_peak(self.pid)

    @staticmethod
    def rules_of(pod):
        """What capture leaves to be seen: the number of nft rules, and routing rules."""
        # Counters in rules move; what they are attached to does not.
        routes = pod.run("ip", "rule").stdout + pod.run("ip", "-6", "rule").stdout
        return len(pod.rules().splitlines()), routes

    def back(self, memory_kib=8 * 1024, growth_kib=32 * 1024, spare=2, seconds=40):
        """Waits until everything is given back: what the catalogue calls the standard expectation.

        `growth_kib` bounds the peak meanwhile; None where a test has a bound of its own.
        """
        daemon = self.daemon
        assert daemon.alive() and daemon.pid == self.pid, f"{daemon.name} has ended: {daemon.text()[-2000:]}"
        wait_for(
            lambda: daemon.descriptors() <= self.descriptors + spare,
            f"{daemon.name}: descriptors back to {self.descriptors} ({daemon.descriptors()} now)", seconds, 0.2)
        wait_for(
            lambda: daemon.memory_kib() <= self.memory + memory_kib,
            f"{daemon.name}: memory back to {self.memory} KiB ({daemon.memory_kib()} now)", seconds, 0.5)
        assert {pod.name: self.rules_of(pod) for pod in self.pods} == self.rules
        assert len(children(self.pid)) <= self.children
        if growth_kib is not None:
            peak = peak_kib(self.pid)
            assert peak - self.memory < growth_kib, f"{daemon.name}: {self.memory} KiB before, {peak} KiB at most"
