"""ztund and ztun-waypoint started on the nodes and pods of a test network."""
import contextlib
import http.client
import json
import pathlib
import subprocess

from . import netns
from .capture import leave_place, node_flags
from .process import Daemon
from .programs import program
from .waiting import wait_for


class Program(Daemon):
    """One of ours, in a network namespace, with its own addresses there."""

    def __init__(self, name, namespace, folder, label, program_name, *arguments, ready=True, under=(), env=None):
        self.namespace = namespace
        self.run_dir = pathlib.Path(folder) / f"run-{label}"
        command = netns.enter(namespace, *under, program(program_name), "run", "--run-dir", self.run_dir, *arguments)
        super().__init__(name, command, pathlib.Path(folder) / f"{program_name}-{label}.log", env)
        if ready:
            try:
                wait_for(self.is_ready, f"{self.name} is ready", 15)
            except AssertionError as error:
                self.kill()
                raise AssertionError(f"{error}\n{self.text()[-3000:]}") from None

    def get(self, port, path, host="127.0.0.1", headers=None):
        """(status, body) of a GET to one of the program's own addresses."""
        with netns.inside(self.namespace):
            connection = http.client.HTTPConnection(host, port, timeout=3)
            connection.connect()
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def is_ready(self):
        assert self.alive(), f"ended with {self.process.returncode}: {self.text()[-2000:]}"
        return self.get(15021, "/healthz/ready")[0] == 200

    def metric(self, name, **labels):
        """The sum of all samples of one metric whose labels include `labels`."""
        total = 0.0
        for line in self.get(15020, "/metrics")[1].splitlines():
            if line.startswith(name) and line[len(name) : len(name) + 1] in "{ ":
                if all(f'{key}="{value}"' in line for key, value in labels.items()):
                    total += float(line.rsplit(" ", 1)[1])
        return total

    def ztun(self, *arguments, check=True):
        """Runs the command-line program against this daemon."""
        result = subprocess.run(
            [program("ztun"), *map(str, arguments), "--run-dir", str(self.run_dir)],
            capture_output=True, text=True, timeout=30,
        )
        if check:
            assert result.returncode == 0, f"ztun {arguments}: {result.returncode}: {result.stdout}{result.stderr}"
        return result

    def status(self):
        # The exit status tells how well the daemon does; here the document is wanted whatever it says.
        result = self.ztun("status", "-o", "json", check=False)
        return json.loads(result.stdout)


class NodeDaemon(Program):
    """`ztund run` in a node's namespace."""

    def __init__(self, node, folder, arguments, ready=True, own_place=True, **more):
        self.node = node
        if own_place:
            arguments = [*node_flags(folder, node.name, arguments), *arguments]
        super().__init__(
            f"ztund on {node.name}", node.netns, folder, node.name, "ztund", *arguments, ready=ready, **more)

    def pod_status(self, pod):
        """The status entry of one pod, or None."""
        key = (pod.namespace, pod.name)
        return next((entry for entry in self.status()["pods"] if (entry["namespace"], entry["name"]) == key), None)

    def wait_for_pod(self, pod, *states, seconds=10):
        """Waits until the pod is in one of `states` and returns its entry."""
        def reached():
            entry = self.pod_status(pod)
            assert entry and entry["state"] in states, entry
            return entry

        return wait_for(reached, f"{pod.name} is {' or '.join(states)} on {self.node.name}", seconds)


class WaypointDaemon(Program):
    """`ztun-waypoint run` in its pod's namespace."""

    def __init__(self, pod, folder, arguments):
        self.pod = pod
        super().__init__(
            f"ztun-waypoint in {pod.name}", pod.netns, folder, pod.name, "ztun-waypoint",
            "--workload", f"{pod.namespace}/{pod.name}", *arguments)


class Mesh:
    """A network with what runs on it. Daemons and servers end with it, the network comes down after them."""

    def __init__(self, network, folder):
        self.network, self.folder = network, pathlib.Path(folder)
        self.first, self.second = network.nodes
        self.ca_dir = self.folder / "ca"
        self.state_path = self.folder / "state.yaml"
        self.daemons = {}
        self.stack = contextlib.ExitStack()

    def use(self, context):
        """Keeps a server or daemon until the mesh ends."""
        return self.stack.enter_context(context)

    def identity_arguments(self, pods):
        """Where the certificates of `pods` come from: here the embedded authority, shared by all daemons."""
        return ["--ca-dir", self.ca_dir]

    def start_ztund(self, node, pods, *more, ready=True, state=None, under=(), env=None, own_place=True):
        """`under` is a program that replaces itself by ours, such as prlimit; `env` adds to the environment.

        Without `own_place` what is pinned goes where a ztund puts it that nobody told.
        """
        arguments = ["--state", state or self.state_path, *self.identity_arguments(pods)]
        for pod in pods:
            arguments += ["--pod", pod.enrolment]
        daemon = NodeDaemon(node, self.folder, [*arguments, *more], ready, own_place, under=under, env=env)
        self.daemons[node.name] = daemon
        self.stack.callback(daemon.stop)
        return daemon

    def start_waypoint(self, pod, routes, *more):
        path = self.folder / f"routes-{pod.name}.yaml"
        path.write_text(routes)
        arguments = ["--state", self.state_path, "--routes", path, *self.identity_arguments([pod]), *more]
        daemon = WaypointDaemon(pod, self.folder, arguments)
        self.daemons[pod.name] = daemon
        self.stack.callback(daemon.stop)
        return daemon

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stack.close()
        finally:
            leave_place(self.folder)
