"""How long a pod's enrolment takes in each capture mode, and what it costs in memory (needs root).

    ZTUN_BIN=.build/release .build/venv/bin/python Benchmarks/capture/enrol.py 100

Pods are namespaces of one node, all named at the start of a ztund; the time of a pod is from one line "is enrolled" of its
log to the next. Memory is what the whole machine's kernel took (slab, vmalloc, page tables), so let nothing else run.
"""
import datetime
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tests"))
from support.capture import bpf_file_system  # noqa: E402
from support.mesh import Mesh  # noqa: E402
from support.netns import Network  # noqa: E402
from support.state import State  # noqa: E402
from support.waiting import wait_for  # noqa: E402


def kernel_kib():
    values = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    return sum(int(values[key].split()[0]) for key in ("Slab", "VmallocUsed", "PageTables"))


def main(count):
    with tempfile.TemporaryDirectory() as folder, bpf_file_system() as bpffs, Network("b") as network, \
            Mesh(network, folder) as mesh:
        node, state = network.nodes[0], State()
        pods = [node.pod(f"p{number}", number + 2) for number in range(count)]
        for pod in pods:
            state.workload(pod.name, pod.ips, "n1", account="one")
        state.write(mesh.state_path)
        for run, mode in enumerate(("bpf", "nft") * 3, 1):
            before = kernel_kib()
            daemon = mesh.start_ztund(node, pods, "--capture", mode, "--bpf-dir", bpffs / "ztun", ready=False)
            wait_for(lambda: len(daemon.lines("is enrolled")) == count * run, "all pods are enrolled", 300, every=0.2)
            lines = daemon.lines("is enrolled")[-count:]
            times = [datetime.datetime.fromisoformat(line.split()[0].rstrip("Z")) for line in lines]
            gaps = sorted((after - first).total_seconds() * 1000 for first, after in zip(times, times[1:]))
            print(
                f"{mode}: {count} pods, ms each: median {gaps[len(gaps) // 2]:.2f}, p90 {gaps[len(gaps) * 9 // 10]:.2f}; "
                f"kernel KiB each {(kernel_kib() - before) / count:.0f}; ztund {daemon.memory_kib() / 1024:.0f} MiB", flush=True)
            daemon.stop(60)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
