"""Network namespaces: two or more nodes joined by a wire, pods behind them, sockets and processes inside."""
import contextlib
import ctypes
import itertools
import os
import pathlib
import re
import signal
import socket
import subprocess

from .waiting import wait_for

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_FOLDER = pathlib.Path("/run/netns")


@contextlib.contextmanager
def inside(namespace):
    """Sockets that this thread makes within the block belong to `namespace`, for their whole life."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(_FOLDER / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(there)
        os.close(home)


def _setns(descriptor):
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def enter(namespace, *command):
    """The command line that runs `command` in `namespace`; the process itself is replaced, so its pid is the command's."""
    return ["nsenter", f"--net={_FOLDER / namespace}", "--", *map(str, command)]


def run(namespace, *command, check=True, timeout=60, **options):
    result = subprocess.run(enter(namespace, *command), capture_output=True, text=True, timeout=timeout, **options)
    if check:
        assert result.returncode == 0, f"{command} in {namespace}: {result.returncode}: {result.stdout}{result.stderr}"
    return result


def _ip(namespace, *lines):
    """Runs `ip` commands in one process."""
    result = subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(lines), capture_output=True, text=True)
    assert result.returncode == 0, f"ip in {namespace}: {result.stderr}\n" + "\n".join(lines)


def _has_link(namespace, name):
    return subprocess.run(["ip", "-n", namespace, "link", "show", name], capture_output=True).returncode == 0


def _sysctl(namespace, settings):
    with inside(namespace):
        for key, value in settings.items():
            path = pathlib.Path("/proc/sys/net") / key
            if path.exists():
                path.write_text(value)


def receive(connection, count):
    """Exactly `count` bytes, or what came before the end. (MSG_WAITALL does not wait on a socket with a timeout.)"""
    data = bytearray()
    while len(data) < count and (part := connection.recv(count - len(data))):
        data += part
    return bytes(data)


class Pod:
    """A namespace with one interface, eth0, that has a /32 and a /128 and a route to its node."""

    def __init__(self, node, name, number, account=None, namespace="default"):
        self.node, self.name, self.namespace = node, name, namespace
        self.account = account or name
        self.ipv4 = f"10.61.{node.number}.{number}"
        self.ipv6 = f"fd61:{node.number}::{number}"
        self.netns = f"{node.network.prefix}{name}"
        self.path = str(_FOLDER / self.netns)
        self.identity = f"spiffe://cluster.local/ns/{namespace}/sa/{self.account}"
        self.interface = f"pod{number}"
        # Where the pod's programs run, when a test needs them in a cgroup of their own.
        self.cgroup = None

    @property
    def ips(self):
        return [self.ipv4, self.ipv6]

    @property
    def enrolment(self):
        """What `ztund --pod` and `ztun pod add` take."""
        return f"{self.namespace}/{self.name}@{self.path}"

    def up(self):
        self.node.network.add(self.netns)
        node = self.node.netns
        # The interface of a pod of the same number that was just removed goes when the kernel comes to clean up after it.
        wait_for(lambda: not _has_link(node, self.interface), f"the old {self.interface} of {node} is gone", seconds=60)
        _ip(node, f"link add {self.interface} type veth peer name eth0 netns {self.netns}")
        _ip(
            node, f"addr add 169.254.1.1/32 dev {self.interface}", f"addr add fe80::1/64 dev {self.interface} nodad",
            f"link set {self.interface} up",
            f"route add {self.ipv4}/32 dev {self.interface} src {self.node.ipv4}",
            f"route add {self.ipv6}/128 dev {self.interface} src {self.node.ipv6}",
        )
        _ip(
            self.netns, f"addr add {self.ipv4}/32 dev eth0", f"addr add {self.ipv6}/128 dev eth0 nodad",
            "link set eth0 up", "route add 169.254.1.1/32 dev eth0", "route add default via 169.254.1.1 dev eth0",
            "route add default via fe80::1 dev eth0",
        )
        return self

    def down(self):
        self.node.network.remove(self.netns)

    def run(self, *command, **options):
        return run(self.netns, *(self.cgroup.enter(*command) if self.cgroup else command), **options)

    def curl(self, url, *arguments, seconds=5, check=False):
        """curl's result; `stdout` is the body."""
        return self.run("curl", "-sS", "-g", "--max-time", seconds, *arguments, url, check=check)

    def connect(self, address, port, seconds=5):
        """A TCP connection opened by a socket of this pod."""
        with inside(self.netns):
            return socket.create_connection((address, port), seconds)

    def rules(self):
        """The nft ruleset of the pod."""
        return self.run("nft", "list", "ruleset").stdout


class Node:
    """A namespace that routes for its pods."""

    def __init__(self, network, name, number):
        self.network, self.name, self.number = network, name, number
        self.netns = f"{network.prefix}{name}"
        self.ipv4 = f"172.31.61.{number}"
        self.ipv6 = f"fd61:ff::{number}"
        self.pods = []

    def pod(self, name, number, **more):
        pod = Pod(self, name, number, **more).up()
        self.pods.append(pod)
        return pod

    def run(self, *command, **options):
        return run(self.netns, *command, **options)


class Wire:
    """Counts the TCP connections that a node forwards, by destination port: what a NetworkPolicy would see."""

    def __init__(self, node, *ports):
        self.node = node
        rules = "".join(
            f"  counter port{port} {{}}\n  chain at{port} {{ type filter hook forward priority 10; "
            f"tcp dport {port} ct state new counter name port{port}; }}\n"
            for port in ports
        )
        node.run("nft", "-f", "-", input="table inet zt_wire {\n" + rules + "}\n")

    def __getitem__(self, port):
        text = self.node.run("nft", "list", "counter", "inet", "zt_wire", f"port{port}").stdout
        return int(re.search(r"packets (\d+)", text)[1])


class Network:
    """Two nodes with a wire between them. Use as a context: everything is removed at the end."""

    _count = itertools.count()

    def __init__(self, label="t"):
        # The process and a number: runs side by side, and two networks of one run, do not meet.
        self.prefix = f"zt-{label}{os.getpid()}-{next(self._count)}-"
        self.nodes = []
        self._names = []

    def __enter__(self):
        remove_leftovers()
        try:
            for number in (1, 2):
                node = Node(self, f"n{number}", number)
                self.add(node.netns)
                self.nodes.append(node)
            first, second = (node.netns for node in self.nodes)
            _ip(first, f"link add up0 type veth peer name up0 netns {second}")
            for node, other in (self.nodes, self.nodes[::-1]):
                _sysctl(node.netns, {"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"})
                _ip(node.netns, f"addr add {node.ipv4}/24 dev up0", f"addr add {node.ipv6}/64 dev up0 nodad", "link set up0 up")
            for node, other in (self.nodes, self.nodes[::-1]):
                _ip(
                    node.netns, f"route add 10.61.{other.number}.0/24 via {other.ipv4}",
                    f"route add fd61:{other.number}::/64 via {other.ipv6}",
                )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in reversed(self._names[:]):
            self.remove(name)

    def add(self, name):
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
        self._names.append(name)
        # Addresses are usable at once, and namespaces do not differ with the host's settings.
        _sysctl(
            name,
            {
                "ipv6/conf/all/accept_dad": "0", "ipv6/conf/default/accept_dad": "0",
                "ipv6/conf/all/disable_ipv6": "0", "ipv6/conf/default/disable_ipv6": "0",
                "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0",
            },
        )
        _ip(name, "link set lo up")

    def remove(self, name):
        _remove(name)
        if name in self._names:
            self._names.remove(name)


def _remove(name):
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
    for pid in pids:
        # Daemons of the tests run inside; the test process itself never stays there.
        if int(pid) != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)


def remove_leftovers():
    """Namespaces of test runs that were killed: their process is gone."""
    for path in _FOLDER.glob("zt-*"):
        match = re.fullmatch(r"zt-[a-z]+(\d+)-.*", path.name)
        if match and not pathlib.Path(f"/proc/{match[1]}").exists():
            _remove(path.name)
