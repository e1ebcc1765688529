"""What BPF capture needs around the pods: a BPF file system and a cgroup tree of the test's own, and looks at what is left."""
import contextlib
import itertools
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

_count = itertools.count()


@contextlib.contextmanager
def bpf_file_system():
    """A folder that is a BPF file system of its own: whatever is pinned there goes with it, also when the test fails."""
    _unmount_leftovers()
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"zt-bpf-{os.getpid()}-"))
    try:
        subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    except subprocess.CalledProcessError:
        folder.rmdir()
        raise
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


def _unmount_leftovers():
    """File systems of test runs that were killed: their process is gone."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        path = line.split()[1]
        match = re.search(r"/zt-bpf-(\d+)-[^/]*$", path)
        if match and not pathlib.Path(f"/proc/{match[1]}").exists():
            subprocess.run(["umount", "-l", path])
            with contextlib.suppress(OSError):
                os.rmdir(path)


_places = {}
# The mode that ztunds get which are told none; None for their own default.
mode = os.environ.get("ZTUN_CAPTURE")


def node_flags(folder, node, given=()):
    """What keeps a ztund of a mesh to itself: a BPF file system of the mesh's in place of the machine's, a folder there by node.

    `folder` is the mesh's; with `leave_place` everything goes. A kernel that has no BPF file system gets a folder without one.
    """
    flags = ["--capture", mode] if mode and "--capture" not in given else []
    if "--bpf-dir" not in given:
        if folder not in _places:
            stack = contextlib.ExitStack()
            try:
                _places[folder] = stack.enter_context(bpf_file_system()), stack
            except subprocess.CalledProcessError:
                _places[folder] = folder / "no-bpffs", stack
        flags += ["--bpf-dir", _places[folder][0] / node]
    if "--pod-cgroup" not in given:
        # In a container the root of the tree that is seen is not the node's, but all tests are below it.
        with contextlib.suppress(AssertionError):
            if cgroup_root().stat().st_ino != 1:
                flags += ["--pod-cgroup", cgroup_root()]
    return flags


def leave_place(folder):
    """Takes away what the ztunds of a mesh pinned, however they ended."""
    for place in [place for place in _places if place == folder or folder in place.parents]:
        _places.pop(place)[1].close()


def cgroup_root():
    """Where cgroup version 2 is mounted."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return pathlib.Path(fields[1])
    raise AssertionError("no cgroup version 2 tree is mounted")


class Cgroup:
    """A cgroup of the test's own; removed at the end, with its processes put back into the root."""

    def __init__(self, parent=None, name=None):
        parent = parent.path if parent else cgroup_root()
        self.path = parent / (name or f"zt-{os.getpid()}-{next(_count)}")

    def __enter__(self):
        if self.path.parent == cgroup_root():
            for old in self.path.parent.glob("zt-*-*"):
                match = re.fullmatch(r"zt-(\d+)-\d+", old.name)
                if match and not pathlib.Path(f"/proc/{match[1]}").exists():
                    _remove(old)
        self.path.mkdir()
        return self

    def __exit__(self, *_):
        _remove(self.path)

    def enter(self, *command):
        """The command line that runs `command` in this cgroup; the process itself is replaced."""
        return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.path), *map(str, command)]


def _remove(path):
    for inner in path.iterdir():
        if inner.is_dir():
            _remove(inner)
    for pid in (path / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (cgroup_root() / "cgroup.procs").write_text(pid)
    # The kernel lets go of the last process a moment after it has ended.
    for _ in range(500):
        try:
            return path.rmdir()
        except OSError:
            time.sleep(0.01)
    path.rmdir()


def links(pods=(), cgroups=()):
    """The ids of the BPF links that are attached to these pods' namespaces or to these cgroups."""
    inodes = {os.stat(pod.path).st_ino for pod in pods}
    ids = {os.stat(cgroup.path).st_ino for cgroup in cgroups}
    shown = json.loads(subprocess.run(["bpftool", "-j", "link", "show"], capture_output=True, check=True).stdout or b"[]")
    return {
        link["id"] for link in shown
        if link.get("netns_ino") in inodes or link.get("cgroup_id") in ids
    }


def pins(folder):
    """What is pinned in a BPF file system, below the folders that the kernel itself makes there."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix != ".debug")


def capture_of(pod):
    """What captures a pod, by what is to be seen in it: "nft", "bpf" (any of its kinds) or None."""
    if "ztun_capture" in pod.rules():
        return "nft"
    return "bpf" if "fwmark 0x53b" in pod.run("ip", "rule").stdout else None


def pod_traces(pod):
    """Everything that capture could leave in a pod's namespace, as text; compare two moments."""
    commands = (
        "nft list ruleset; ip rule; ip -6 rule; ip route show table all | sort; ip -6 route show table all | sort;"
        "cd /proc/sys/net/ipv4; cat tcp_migrate_req tcp_fwmark_accept fwmark_reflect ../ipv6/fwmark_reflect conf/all/accept_local conf/all/rp_filter; ss -Htln | sort"
    )
    return pod.run("sh", "-c", commands).stdout


def at_the_usual_place(bpffs):
    """Words before a command, which then finds a BPF file system of the test's at /sys/fs/bpf, and nobody else does."""
    return ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", 'mount --bind "$0" /sys/fs/bpf; exec "$@"', str(bpffs)]


def alone_on_the_machine(bpffs, pods):
    """As above, for what looks at a whole node: it finds no process but its own, and no network namespace but the pods'."""
    script = """
        mount --bind "$0" /sys/fs/bpf
        for name in $PODS; do touch /tmp/zt-$$-$name; mount --bind /run/netns/$name /tmp/zt-$$-$name; done
        mount -t tmpfs none /run/netns
        for name in $PODS; do
            touch /run/netns/$name; mount --move /tmp/zt-$$-$name /run/netns/$name; rm /tmp/zt-$$-$name
        done
        exec "$@"
    """
    names = " ".join(pod.netns for pod in pods)
    return ["env", f"PODS={names}", "unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-ec", script, str(bpffs)]
