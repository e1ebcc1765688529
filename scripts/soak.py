#!/usr/bin/env python3
"""A mesh under mixed load, disturbances and hostile peers for SOAK_MINUTES (20); a table of what it did at the end.

Two nodes and a waypoint of network namespaces on this machine; needs root and the built programs (ZTUN_BIN). Ends with 1
when a connection failed that nobody had disturbed, when memory or descriptors grew, or when something was left behind.
"""
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import ssl
import statistics
import struct
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests"))

from hyperframe.frame import PingFrame, RstStreamFrame, SettingsFrame  # noqa: E402

from support.identities import PKI, spiffe  # noqa: E402
from support.mesh import Mesh  # noqa: E402
from support.netns import Network, receive  # noqa: E402
from support.servers import ChecksumServer, EchoServer, HTTPServer, SourceServer, blocks, digest_of  # noqa: E402
from support.standing import folder_of_namespaces  # noqa: E402
from support.waiting import wait_for  # noqa: E402
from support.world import WAYPOINT_VIP, World  # noqa: E402

ROUTES = """
routes:
- service: default/through-waypoint.default.svc.cluster.local
  rules:
  - {name: all, matches: [{path: {prefix: /}}]}
"""
LINGER_RESET = struct.pack("ii", 1, 0)
# How much the middle of the last sixth may lie above the middle of the third sixth, for a daemon that is never restarted.
GROWTH_LIMIT_MIB = 8.0


class Soak(Mesh):
    """The stage. Node 1's ztund is replaced and killed again and again; node 2's and the waypoint live to the end."""

    def __init__(self, network, folder):
        super().__init__(network, folder)
        world = self.world = World(network)
        world.other = self.second.pod("other", 13)
        self.state = world.state()
        self.state.workload("other", world.other.ips, "n2")
        self.state.workload("guest", ["10.61.1.99", "fd61:1::99"], "n1", account="client")
        self.state.write(self.state_path)
        for pod in (world.server, world.other, world.plain):
            self.use(HTTPServer(pod, 8080))
            self.use(EchoServer(pod, 7000))
        self.use(ChecksumServer(world.server, 9000))
        self.use(SourceServer(world.server, 9001))
        self.lock = threading.Lock()
        self.windows = []
        self.end = threading.Event()

    def start(self):
        # Every certificate is renewed about twice a minute.
        os.environ["SECRET_TTL"] = "60s"
        self.one = self.start_ztund(self.first, self.world.first_pods)
        self.two = self.start_ztund(self.second, [self.world.server, self.world.other])
        self.waypoint = self.start_waypoint(self.world.waypoint, ROUTES)
        for address in (f"{self.world.server.ipv4}:8080", f"{WAYPOINT_VIP}:80"):
            wait_for(lambda: self.world.client.curl(f"http://{address}/").returncode == 0, f"{address} answers", 30, 0.2)
        (self.folder / "hostile").mkdir()
        self.stranger = PKI.embedded(self.folder / "hostile", self.ca_dir).leaf("stranger", [spiffe("client")])

    def is_disturbed(self, begin, end):
        """Whether node 1 was without a ztund at some time in between."""
        with self.lock:
            return any(begin <= last and end >= first for first, last in self.windows)


class Flow:
    """One kind of use, by threads of its own; each piece of work either succeeds or raises."""

    def __init__(self, soak, name, work, pause, threads=1, through_first=True):
        self.soak, self.name, self.work, self.pause, self.through_first = soak, name, work, pause, through_first
        self.done, self.excused, self.errors, self.bytes, self.times = 0, 0, [], 0, []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def _run(self):
        while not self.soak.end.wait(self.pause * random.uniform(0.5, 1.5)):
            begin = time.monotonic()
            try:
                self.bytes += self.work()
                self.done += 1
                self.times.append(time.monotonic() - begin)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is counted and told
                # A connection outlives the moment that broke it: it is looked at over its whole life.
                if self.through_first and self.soak.is_disturbed(begin - 1, time.monotonic()):
                    self.excused += 1
                else:
                    self.errors.append(f"{time.strftime('%H:%M:%S')} {error!r}")

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), f"{self.name} hangs"

    def row(self):
        times = sorted(self.times) or [0.0]
        p50, p99 = (times[min(len(times) - 1, int(len(times) * share))] * 1000 for share in (0.5, 0.99))
        return [self.name, f"{self.done:,}", f"{self.bytes / 1e6:,.0f}", f"{p50:.1f}", f"{p99:.1f}", self.excused, len(self.errors)]


def requests(pod, address, port, count=30):
    """A keep-alive connection with some requests."""
    def work():
        total = 0
        with pod.connect(address, port, 20) as connection:
            reader = connection.makefile("rb")
            for number in range(count):
                connection.sendall(b"POST /soak/%d HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello" % number)
                assert b" 200 " in (line := reader.readline()), line
                length = 0
                while (field := reader.readline().strip().lower()):
                    if field.startswith(b"content-length:"):
                        length = int(field.split(b":")[1])
                answer = json.loads(reader.read(length))
                assert answer["path"].endswith(f"/{number}") and answer["body"] == "hello", answer
                total += length + 5
        return total

    return work


def bulk(pod, address, size, up):
    def work():
        with pod.connect(address, 9000 if up else 9001, 60) as connection:
            if up:
                for block in blocks(size):
                    connection.sendall(block)
                connection.shutdown(socket.SHUT_WR)
                assert receive(connection, 64).decode() == digest_of(size), "checksum of an upload"
            else:
                connection.sendall(struct.pack(">Q", size))
                for block in blocks(size):
                    assert receive(connection, len(block)) == block, "bytes of a download"
                assert connection.recv(1) == b""
        return size

    return work


def short(pod, address, data=b"some bytes" * 10):
    def work():
        with pod.connect(address, 7000, 20) as connection:
            connection.sendall(data)
            assert receive(connection, len(data)) == data
        return 2 * len(data)

    return work


def reset(pod, address):
    def work():
        connection = pod.connect(address, 7000, 20)
        connection.sendall(b"x" * random.choice([0, 1, 100_000]))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        connection.close()
        return 0

    return work


def half_close(pod, address):
    """Ends its direction at once, and then the whole answer still comes."""
    def work():
        data = os.urandom(200_000)
        with pod.connect(address, 7000, 20) as connection:
            def send():
                # What a kill breaks is told by what comes back.
                with contextlib.suppress(OSError):
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send)
            sender.start()
            assert receive(connection, len(data)) == data and connection.recv(1) == b"", "the answer is whole"
            sender.join()
        return 2 * len(data)

    return work


def hold(pod, address, seconds=20):
    """A connection that says a little now and then."""
    def work():
        with pod.connect(address, 7000, 20) as connection:
            for _ in range(seconds):
                connection.sendall(b"still here")
                assert receive(connection, 10) == b"still here"
                time.sleep(1)
        return 20 * seconds

    return work


class Disturbances:
    """One after the other, in turn; a count of each."""

    def __init__(self, soak):
        self.soak, self.counts, self.failures = soak, {}, []
        self.plan = [
            self.pod_comes_and_goes, self.policies_change, self.workloads_change, self.ztund_is_replaced, self.garbage,
            self.wrong_certificate, self.pod_comes_and_goes, self.http2_flood, self.slow_handshakes, self.ztund_is_killed]
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        number = 0
        while not self.soak.end.wait(2):
            disturbance = self.plan[number % len(self.plan)]
            number += 1
            try:
                disturbance()
                name = disturbance.__name__.replace("_", " ")
                self.counts[name] = self.counts.get(name, 0) + 1
            except Exception as error:  # noqa: BLE001 - a failure of any kind is told at the end
                self.failures.append(f"{time.strftime('%H:%M:%S')} {disturbance.__name__}: {error!r}")

    def pod_comes_and_goes(self):
        soak = self.soak
        guest = soak.first.pod("guest", 99, account="client")
        try:
            soak.one.ztun("pod", "add", guest.enrolment)
            soak.one.wait_for_pod(guest, "captured", seconds=30)
            wait_for(lambda: guest.curl(f"http://{soak.world.server.ipv4}:8080/").returncode == 0, "a guest is served", 30)
            soak.one.ztun("pod", "remove", "default/guest")
        finally:
            guest.down()

    def policies_change(self):
        """A denial comes and goes, and applies as long as it is there."""
        soak, denied = self.soak, self.soak.world.denied
        name = soak.state.policy("soak", [{"principals": [{"Exact": "cluster.local/ns/default/sa/denied"}]}])
        plain = next(entry for entry in soak.state.workloads if entry["name"] == "other")
        address = f"http://{soak.world.other.ipv4}:8080/"
        try:
            plain["authorizationPolicies"] = [name]
            soak.state.write(soak.state_path)
            wait_for(lambda: denied.curl(address).returncode != 0, "the policy applies", 20, 0.1)
        finally:
            soak.state.policies.pop()
            plain.pop("authorizationPolicies")
            soak.state.write(soak.state_path)
        wait_for(lambda: denied.curl(address).returncode == 0, "the policy is gone", 20, 0.1)

    def workloads_change(self):
        soak = self.soak
        kept = len(soak.state.workloads)
        try:
            for number in range(500):
                soak.state.workload(f"crowd-{number}", [f"10.62.{number // 250}.{number % 250}"], "n9")
            soak.state.write(soak.state_path)
            wait_for(lambda: soak.two.status()["state"]["workloads"] >= 500, "the crowd is known", 20, 0.1)
        finally:
            del soak.state.workloads[kept:]
            soak.state.write(soak.state_path)
        wait_for(lambda: soak.two.status()["state"]["workloads"] < 500, "the crowd is gone", 20, 0.1)

    def ztund_is_replaced(self):
        """By a new one that takes over: nothing is refused or reset, so nothing is excused."""
        soak, old = self.soak, self.soak.one
        soak.one = soak.start_ztund(soak.first, soak.world.first_pods, "--replace")
        wait_for(lambda: not old.alive(), "the old one has ended with its last connection", 120, 0.2)
        assert old.process.returncode == 0, old.process.returncode

    def ztund_is_killed(self):
        soak, begin = self.soak, time.monotonic()
        window = [begin, float("inf")]
        with soak.lock:
            soak.windows.append(window)
        os.kill(soak.one.pid, signal.SIGKILL)
        soak.one.process.wait(10)
        soak.one = soak.start_ztund(soak.first, soak.world.first_pods)
        wait_for(lambda: soak.world.client.curl(f"http://{soak.world.server.ipv4}:8080/").returncode == 0, "it serves", 30)
        window[1] = time.monotonic() + 1

    def _to_the_tunnel_port(self):
        return self.soak.world.outsider.connect(self.soak.world.server.ipv4, 15008, 20)

    def garbage(self):
        for data in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"\x16\x03\x01\xff\xff" + bytes(500), b""):
            with self._to_the_tunnel_port() as connection, contextlib.suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

    def _tls(self, files):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        context.load_cert_chain(*files)
        return context.wrap_socket(self._to_the_tunnel_port())

    def wrong_certificate(self):
        foreign = PKI(self.soak.folder / "foreign").leaf("foreign", [spiffe("client")])
        for _ in range(20):
            with contextlib.suppress(OSError, ssl.SSLError), self._tls(foreign) as connection:
                connection.settimeout(20)
                while connection.recv(65536):
                    pass

    def http2_flood(self):
        """From a verified peer: pings and resets until it is cut off."""
        for frame in (PingFrame(0, opaque_data=b"12345678"), RstStreamFrame(1, error_code=8)):
            with contextlib.suppress(OSError, ssl.SSLError), self._tls(self.soak.stranger) as connection:
                connection.settimeout(20)
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())
                for _ in range(50):
                    connection.sendall(frame.serialize() * 200)

    def slow_handshakes(self):
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(self._to_the_tunnel_port()) for _ in range(50)]
            for byte in b"\x16\x03\x01":
                for connection in slow:
                    with contextlib.suppress(OSError):
                        connection.sendall(bytes([byte]))
                time.sleep(0.5)


class Watch:
    """Memory and descriptors of the programs, every two seconds."""

    def __init__(self, soak):
        self.soak, self.samples, self.begin = soak, {"two": [], "waypoint": [], "one": []}, time.monotonic()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.soak.end.wait(2):
            for name, samples in self.samples.items():
                daemon = getattr(self.soak, name)
                with contextlib.suppress(OSError, AssertionError):
                    samples.append((time.monotonic() - self.begin, daemon.memory_kib() / 1024, daemon.descriptors()))

    def growth(self, name):
        """MiB between the middle of the third sixth and the middle of the last, when all kinds of load have come by."""
        values = [mib for _, mib, _ in self.samples[name]]
        sixth = max(1, len(values) // 6)
        return statistics.median(values[-sixth:]) - statistics.median(values[2 * sixth : 3 * sixth])

    def slope(self, name):
        """MiB an hour over the second half, as a straight line; only the noise shows in less than five minutes of that."""
        half = self.samples[name][len(self.samples[name]) // 2 :]
        if len(half) < 3 or half[-1][0] - half[0][0] < 300:
            return None
        return statistics.linear_regression([s for s, _, _ in half], [mib for _, mib, _ in half]).slope * 3600

    def row(self, name, label, before, after):
        values = [mib for _, mib, _ in self.samples[name]]
        slope = self.slope(name)
        return [
            label, f"{before[0]:.1f}", f"{max(values):.1f}", f"{after[0]:.1f}", f"{self.growth(name):+.1f}",
            "-" if slope is None else f"{slope:+.1f}", before[1], max(count for _, _, count in self.samples[name]), after[1]]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def flows(soak):
    world = soak.world
    first, second, server = world.client, world.other, world.server.ipv4
    return [
        Flow(soak, "30 requests on a connection", requests(first, server, 8080), 0.05, 2),
        Flow(soak, "30 requests through the waypoint", requests(first, WAYPOINT_VIP, 80), 0.1, 2),
        Flow(soak, "upload of 16 MB, checksum", bulk(first, server, 16_000_000, True), 0.5),
        Flow(soak, "download of 16 MB, compared", bulk(first, server, 16_000_000, False), 0.5),
        Flow(soak, "new connection with an echo", short(first, server), 0.02, 2),
        Flow(soak, "the same to a pod outside the mesh", short(first, world.plain.ipv4), 0.05),
        Flow(soak, "the same from a pod outside the mesh", short(world.outsider, server), 0.05, through_first=False),
        Flow(soak, "reset by the client", reset(first, server), 0.02),
        Flow(soak, "half-close behind 200 kB", half_close(first, server), 0.1),
        Flow(soak, "connection held for 20 s", hold(first, server), 0.5, 5),
        Flow(soak, "node 2: 30 requests on a connection", requests(second, server, 8080), 0.1, through_first=False),
        Flow(soak, "node 2: new connection with an echo", short(second, server), 0.05, through_first=False),
        Flow(soak, "node 2: upload of 4 MB, checksum", bulk(second, server, 4_000_000, True), 1, through_first=False),
        Flow(soak, "node 2: connection held for 20 s", hold(second, server), 0.5, 3, through_first=False),
    ]


def holdings(daemon):
    return daemon.memory_kib() / 1024, daemon.descriptors()


def run(soak, minutes):
    """Returns the report and what is wrong."""
    soak.start()
    before = {name: holdings(getattr(soak, name)) for name in ("two", "waypoint", "one")}
    work, disturbances, watch = flows(soak), Disturbances(soak), Watch(soak)
    for part in (*work, disturbances.thread, watch.thread):
        part.start()
    begin, wrong = time.monotonic(), []
    while (spent := time.monotonic() - begin) < minutes * 60:
        time.sleep(min(30, max(0.1, minutes * 60 - spent)))
        failed = sum(len(flow.errors) for flow in work)
        print(
            f"soak: {(time.monotonic() - begin) / 60:.1f} of {minutes:g} min, {sum(flow.done for flow in work):,} done, "
            f"{failed} failed, node 2 {soak.two.memory_kib() / 1024:.0f} MiB", file=sys.stderr, flush=True)
        if not soak.two.alive() or not soak.waypoint.alive():
            wrong.append("a program has ended by itself")
            break
    soak.end.set()
    for flow in work:
        flow.join()
    disturbances.thread.join(200)
    watch.thread.join(30)

    def is_back():
        for name in ("two", "waypoint"):
            mib, count = holdings(getattr(soak, name))
            assert count <= before[name][1] + 16, f"{name}: {count} descriptors, {before[name][1]} at first"
        return True

    try:
        wait_for(is_back, "descriptors come back", 90, 1)
    except AssertionError as error:
        wrong.append(str(error))
    after = {name: holdings(getattr(soak, name)) for name in ("two", "waypoint", "one")}
    for name in ("two", "waypoint"):
        if (growth := watch.growth(name)) > GROWTH_LIMIT_MIB:
            wrong.append(f"memory of {name} has grown by {growth:.1f} MiB, more than {GROWTH_LIMIT_MIB}")
    for flow in work:
        if flow.errors:
            wrong.append(f"{flow.name}: {len(flow.errors)} failed, {flow.errors[:3]}")
        if not flow.done:
            wrong.append(f"{flow.name}: nothing was done")
    wrong += disturbances.failures
    labels = {"two": "ztund, node 2", "waypoint": "ztun-waypoint", "one": "ztund, node 1 (the last one)"}
    report = "\n\n".join([
        f"{minutes:g} minutes, {os.cpu_count()} processors, " + time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        table(
            ["load", "done", "MB", "p50 ms", "p99 ms", "ended by a kill", "failed"], [flow.row() for flow in work]),
        table(["disturbance", "times"], sorted(disturbances.counts.items())),
        table(
            ["program", "MiB at first", "most", "at the end", "growth", "MiB/h", "descriptors at first", "most", "at the end"],
            [watch.row(name, label, before[name], after[name]) for name, label in labels.items()]),
    ])
    return report, wrong


def main():
    minutes = float(os.environ.get("SOAK_MINUTES", "20"))
    if os.geteuid() != 0:
        sys.exit("soak: needs root: it makes network namespaces")
    with tempfile.TemporaryDirectory(prefix="ztun-soak-") as folder:
        with Network("s") as network, Soak(network, folder) as soak:
            report, wrong = run(soak, minutes)
            if wrong:
                kept = pathlib.Path(os.environ.get("SOAK_LOGS", ROOT / ".build/soak-logs"))
                kept.mkdir(parents=True, exist_ok=True)
                for daemon in soak.daemons.values():
                    (kept / daemon.log.name).write_text(daemon.text()[-2_000_000:])
                wrong.append(f"the ends of the logs are in {kept}")
    if left := folder_of_namespaces(f"zt-s{os.getpid()}-"):
        wrong.append(f"namespaces are left: {left}")
    print(report)
    for line in wrong:
        print(f"soak: {line}", file=sys.stderr)
    print(f"soak: {'FAILED' if wrong else 'passed'}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
