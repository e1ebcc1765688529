"""How long connect() takes in a captured pod, by mode of capture (needs root).

    ZTUN_BIN=.build/release .build/venv/bin/python Benchmarks/capture/connect.py 2000 3

Each mode in turn, as often as the second number says: that many connects of one program to a pod of another node, one after
the other. What a program waits for is the handshake with ztund in its own pod; the tunnel is opened behind its back.
"""
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tests"))
from Capture.conftest import MODES, stage, start_both  # noqa: E402
from Capture.test_without_daemon import wait_until_served  # noqa: E402

PROGRAM = """
import socket, sys, time
times = []
for _ in range(int(sys.argv[2])):
    sock = socket.socket()
    begin = time.perf_counter_ns()
    sock.connect((sys.argv[1], 8080))
    times.append(time.perf_counter_ns() - begin)
    sock.close()
times.sort()
print(*(times[len(times) * part // 100] / 1000 for part in (50, 90, 99)))
"""


def main(count, rounds):
    seen = {mode: [] for mode in MODES}
    for _ in range(rounds):
        for mode in MODES:
            with tempfile.TemporaryDirectory() as folder, stage(pathlib.Path(folder), mode) as mesh:
                start_both(mesh)
                wait_until_served(mesh)
                out = mesh.world.client.run(sys.executable, "-c", PROGRAM, mesh.world.server.ipv4, str(count)).stdout
                seen[mode].append([float(word) for word in out.split()])
    for mode, rows in seen.items():
        p50, p90, p99 = (statistics.median(row[index] for row in rows) for index in range(3))
        every = ", ".join(f"{row[0]:.1f}" for row in rows)
        print(f"{mode:12s} connect() of {count}, microseconds: p50 {p50:.1f} (each round: {every}), p90 {p90:.1f}, p99 {p99:.1f}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3])) if len(sys.argv) > 2 else main(2000, 3)
