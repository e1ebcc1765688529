"""How long a pod's enrolment takes in each capture mode, and what it costs in memory (needs root).

    ZTUN_BIN=.build/release .build/venv/bin/python Benchmarks/capture/enrol.py 250 3

Pods are namespaces of one node, all named at the start of a ztund; the time of a pod is from one line "is enrolled" of its
log to the next. Canaries fly between the turns of the control thread, after a pod counts as enrolled; runs without them are
beside those with. CPU is that of all of ztund until the last canary is back, by pod. Memory is what the whole machine's kernel took
(slab, vmalloc, page tables), so let nothing else run.
"""
import datetime
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tests"))
from support.capture import bpf_file_system  # noqa: E402
from support.mesh import Mesh  # noqa: E402
from support.netns import Network  # noqa: E402
from support.standing import processor_seconds  # noqa: E402
from support.state import State  # noqa: E402
from support.waiting import wait_for  # noqa: E402


def kernel_kib():
    values = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    return sum(int(values[key].split()[0]) for key in ("Slab", "VmallocUsed", "PageTables"))


def main(count, rounds):
    with tempfile.TemporaryDirectory() as folder, bpf_file_system() as bpffs, Network("b") as network, \
            Mesh(network, folder) as mesh:
        node, state = network.nodes[0], State()
        pods = [node.pod(f"p{number}", number + 2) for number in range(count)]
        for pod in pods:
            state.workload(pod.name, pod.ips, "n1", account="one")
        state.write(mesh.state_path)
        runs = (("bpf", ()), ("bpf", ("--no-canary",)), ("nft", ())) * rounds
        for run, (mode, more) in enumerate(runs, 1):
            before = kernel_kib()
            daemon = mesh.start_ztund(node, pods, "--capture", mode, "--bpf-dir", bpffs / "ztun", *more, ready=False)
            wait_for(lambda: len(daemon.lines("is enrolled")) == count * run, "all pods are enrolled", 300, every=0.2)
            if not more:
                wait_for(lambda: all((pod["canary"] or {}).get("passed") for pod in daemon.status()["pods"]), "canaries are back", 120)
            seconds = processor_seconds(daemon.pid)
            lines = daemon.lines("is enrolled")[-count:]
            times = [datetime.datetime.fromisoformat(line.split()[0].rstrip("Z")) for line in lines]
            gaps = sorted((after - first).total_seconds() * 1000 for first, after in zip(times, times[1:]))
            at = {part: gaps[len(gaps) * part // 100] for part in (50, 90, 99)}
            print(
                f"{' '.join((mode, *more))}: {count} pods, ms each: median {at[50]:.2f}, p90 {at[90]:.2f}, p99 {at[99]:.2f}; "
                f"CPU ms each {seconds * 1000 / count:.1f}; kernel KiB each {(kernel_kib() - before) / count:.0f}; "
                f"ztund {daemon.memory_kib() / 1024:.0f} MiB", flush=True)
            daemon.stop(60)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
