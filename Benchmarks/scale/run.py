#!/usr/bin/env python3
"""ztund at the sizes of a large cluster: run.py [pods] [state] [api] [tunnels], all of them by default (make bench-scale).

    pods      PODS (1000) network namespaces enrolled by one ztund, each with a certificate of its own
    state     WORKLOADS (100000) and POLICIES (10000) in the state file; then one change, under load
    api       WORKLOADS pods behind SERVICES (5000) services from an API server (a made-up one); then CHANGES (300) of one
              endpoint each
    tunnels   TUNNELS (10000) idle connections on pooled tunnels, and OWN_TUNNELS (1000) with a tunnel each

Prints a JSON line for each figure (also into Benchmarks/scale/results/), then a table with the targets. Needs root; makes its own
namespaces and removes them. ZTUN_BIN says which programs (default: .build/release); ztun-bench must be among them.
"""
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PEER = os.path.join(ROOT, "Benchmarks/peer")
BIN = os.path.abspath(os.environ.get("ZTUN_BIN", os.path.join(ROOT, ".build/release")))
BENCH = os.path.join(ROOT, ".build/release/ztun-bench")
PODS = int(os.environ.get("PODS", "1000"))
WORKLOADS = int(os.environ.get("WORKLOADS", "100000"))
POLICIES = int(os.environ.get("POLICIES", "10000"))
SERVICES = int(os.environ.get("SERVICES", "5000"))
CHANGES = int(os.environ.get("CHANGES", "300"))
TUNNELS = int(os.environ.get("TUNNELS", "10000"))
# All are dialled at once, and a handshake may take ten seconds: more than the machine makes in that time would fail.
OWN_TUNNELS = int(os.environ.get("OWN_TUNNELS", "1000"))
SECS = float(os.environ.get("SECS", "10"))
RATE = os.environ.get("RATE", "1000")
# figure: (how to say it, most that is wanted)
TARGETS = {
    "pods.resident_mib": ("resident MiB with all pods enrolled", None),
    "pods.ms_per_pod": ("ms until enrolled, per pod", None),
    "pods.kib_per_pod": ("KiB per pod", None),
    "state.idle_mib": ("resident MiB without a state to speak of", 20),
    "state.resident_mib": ("resident MiB with the whole state", 250),
    "state.peak_mib": ("MiB at the peak of loading", 250),
    "state.change_peak_mib": ("MiB at the peak of a reload", 250),
    "state.start_s": ("seconds from start to ready", None),
    "state.change_s": ("seconds from the changed file to the new state", None),
    "state.change_control_ms": ("ms of CPU of the control thread around it, its usual rounds included", None),
    "state.p99_ratio": ("p99 while a change is taken, to idle", 2),
    "api.resident_mib": ("resident MiB with the whole cluster from the API", 250),
    "api.peak_mib": ("MiB at the peak of listing it", None),
    "api.start_s": ("seconds from start to ready, all pages listed", None),
    "api.change_ms": ("ms of CPU for one changed endpoint, parsing and compiling too", 1),
    "tunnels.pooled_kib": ("KiB per idle connection on pooled tunnels, the larger side", 4),
    "tunnels.own_kib": ("KiB per idle tunnel of its own, the larger side", None),
}
FIGURES = []


def emit(figure, value, **more):
    row = {"figure": figure, "value": round(value, 3), **more}
    FIGURES.append(row)
    print(json.dumps(row), flush=True)


def run(*command, check=True, **more):
    return subprocess.run(command, check=check, capture_output=True, text=True, **more)


def wait(condition, what, seconds=300):
    end = time.time() + seconds
    while time.time() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.25)
    raise SystemExit(f"scale: timed out: {what}")


def memory(pid, name="VmRSS"):
    """MiB, of /proc/PID/status."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name + ":"))


def forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")


def cpu(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def thread_ms(pid, name):
    """CPU time of a thread, ms."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as file:
            if file.read().strip() != name:
                continue
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            return int(file.read().split()[0]) / 1e6
    raise SystemExit(f"scale: {pid} has no thread {name}")


def status(run_dir):
    answer = run(f"{BIN}/ztun", "status", "--run-dir", run_dir, "-o", "json", check=False)
    with contextlib.suppress(ValueError):
        return json.loads(answer.stdout)
    return None


def raise_descriptor_limit():
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def stop(process):
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def share_of_our_own():
    """What starts inside comes before builds and other work on the machine, as in Benchmarks/peer; where that is allowed."""
    made = None
    for root, knob, weight in (("/sys/fs/cgroup/cpu", "cpu.shares", "262144"), ("/sys/fs/cgroup", "cpu.weight", "10000")):
        with contextlib.suppress(OSError):
            folder = f"{root}/ztun-scale-{os.getpid()}"
            os.makedirs(folder)
            made = folder
            with open(f"{folder}/{knob}", "w") as file:
                file.write(weight)
            with open(f"{folder}/cgroup.procs", "w") as file:
                file.write(str(os.getpid()))
            break
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    try:
        yield
    finally:
        if made:
            with contextlib.suppress(OSError):
                with open(os.path.join(os.path.dirname(made), "cgroup.procs"), "w") as file:
                    file.write(str(os.getpid()))
                os.rmdir(made)


def pods(scratch):
    prefix = f"zt-sc{os.getpid()}"
    names = [f"{prefix}-p{index}" for index in range(PODS)]
    node = f"{prefix}-node"
    state = os.path.join(scratch, "pods.yaml")
    with open(state, "w") as file:
        file.write("workloads:\n")
        for index, name in enumerate(names):
            file.write(f"- {{name: pod{index}, namespace: app, serviceAccount: sa{index}, node: n1, protocol: HBONE, "
                       f"workloadIps: [10.90.{index // 250}.{index % 250 + 1}], services: {{}}}}\n")
    try:
        for name in [node, *names]:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run_dir = os.path.join(scratch, "pods.run")
        # Not `ip netns exec`, which hides the mounts below /sys.
        arguments = ["nsenter", f"--net=/run/netns/{node}", "--", f"{BIN}/ztund", "run", "--state", state, "--ca-dir", f"{scratch}/ca",
                     "--run-dir", run_dir, "--bpf-dir", bpf_folder(scratch), "--workers", "1", "--log-level", "warn"]
        idle = resident_without_pods(list(arguments), run_dir, scratch)
        for index, name in enumerate(names):
            arguments += ["--pod", f"app/pod{index}@/run/netns/{name}"]
        with open(os.path.join(scratch, "pods.log"), "w") as log:
            start = time.time()
            daemon = subprocess.Popen(arguments, stdout=log, stderr=log)
            try:
                def enrolled():
                    if daemon.poll() is not None:
                        raise SystemExit(f"scale: ztund ended: {open(log.name).read()[-2000:]}")
                    report = status(run_dir)
                    if not report:
                        return False
                    captured = sum(pod["state"] == "captured" for pod in report.get("pods", []))
                    ready = sum(held["state"] == "Available" for held in report.get("certificates", []))
                    return captured == PODS and ready == PODS

                wait(enrolled, f"{PODS} pods enrolled", 900)
                seconds = time.time() - start
                resident = memory(daemon.pid)
                modes = sorted({pod["capture"] for pod in status(run_dir)["pods"]})
                emit("pods.resident_mib", resident, pods=PODS, capture=" ".join(modes))
                emit("pods.ms_per_pod", seconds / PODS * 1000, pods=PODS, seconds=round(seconds, 1),
                     cpu_s=round(cpu(daemon.pid), 2))
                emit("pods.kib_per_pod", (resident - idle) * 1024 / PODS, idle_mib=round(idle, 1),
                     descriptors=len(os.listdir(f"/proc/{daemon.pid}/fd")))
                before = cpu(daemon.pid)
                time.sleep(5)
                emit("pods.idle_cpu_percent", (cpu(daemon.pid) - before) / 5 * 100)
                start = time.time()
            finally:
                stop(daemon)
            emit("pods.stop_s", time.time() - start)
    finally:
        for name in [node, *names]:
            run("ip", "netns", "del", name, check=False)
        run("umount", "-l", f"{scratch}/bpffs", check=False)


def bpf_folder(scratch):
    """In a BPF file system of this run's own, where the kernel has one: what is pinned there goes with it."""
    os.makedirs(f"{scratch}/bpffs")
    run("mount", "-t", "bpf", "bpf", f"{scratch}/bpffs", check=False)
    return f"{scratch}/bpffs/ztun"


def resident_without_pods(arguments, run_dir, scratch):
    """MiB of the same ztund before any pod."""
    with open(os.path.join(scratch, "idle.log"), "w") as log:
        daemon = subprocess.Popen(arguments, stdout=log, stderr=log)
        try:
            wait(lambda: (status(run_dir) or {}).get("ready"), "a ztund without pods", 60)
            return memory(daemon.pid)
        finally:
            stop(daemon)


def peer_environment(scratch):
    """The two nodes of Benchmarks/peer, with names and files of this run only."""
    environment = dict(os.environ, PB_P=f"zt-s{os.getpid()}", PB_WORK=os.path.join(scratch, "peer"), ZTUN_BIN=BIN)
    os.makedirs(environment["PB_WORK"], exist_ok=True)
    listing = run("bash", "-c", f". {PEER}/lib/env.sh; env -0", env=environment).stdout
    environment.update(pair.split("=", 1) for pair in listing.split("\0") if pair.startswith("PB_"))
    return environment


@contextlib.contextmanager
def peers(environment):
    """The topology and the servers; the caller starts the proxies."""
    run(f"{PEER}/bench.sh", "up", env=environment)
    server = subprocess.Popen(
        ["nsenter", f"--net=/var/run/netns/{environment['PB_NS_SERVER']}", "--", environment["PB_LOAD"], "http",
         "-p", environment["PB_PORT_HTTP"]], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        stop(server)
        run(f"{PEER}/bench.sh", "down", env=environment, check=False)


@contextlib.contextmanager
def proxies(environment, variant="hbone"):
    adapter = f"{PEER}/sut/ztun/sut.sh"
    started = subprocess.run([adapter, "start", variant, "1"], env=environment, stdin=subprocess.DEVNULL)
    try:
        if started.returncode:
            raise SystemExit("scale: the proxies did not start: see the lines above")
        with open(os.path.join(environment["PB_WORK"], "run/pids")) as file:
            yield {role: int(pid) for role, pid in (line.split() for line in file if line.strip())}
    finally:
        run(adapter, "stop", env=environment, check=False)


def load(environment, *arguments):
    target = f"{environment['PB_IP_SERVER']}:{environment['PB_PORT_HTTP']}"
    return subprocess.Popen(
        ["nsenter", f"--net=/var/run/netns/{environment['PB_NS_CLIENT']}", "--", environment["PB_LOAD"], *arguments, target],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def first_answer(process, what, seconds=120):
    """The line that a generator prints once it is where it should be, while it goes on."""
    if not select.select([process.stdout], [], [], seconds)[0]:
        raise SystemExit(f"scale: timed out: {what}")
    return json.loads(process.stdout.readline())


def answer(process):
    output = process.communicate(timeout=SECS + 120)[0]
    return json.loads(output.strip().splitlines()[-1])


def state(scratch):
    environment = peer_environment(scratch)
    more = os.path.join(scratch, "more.yaml")
    with peers(environment):
        with proxies(environment) as pids:
            emit("state.idle_mib", memory(pids["node1"]))
        run(BENCH, "state", str(WORKLOADS), str(POLICIES), "none", more)
        environment["ZTUN_MORE_STATE"] = more
        start = time.time()
        with proxies(environment) as pids:
            emit("state.start_s", time.time() - start, note="both nodes")
            node1 = pids["node1"]
            run_dir = os.path.join(environment["PB_WORK"], "run/node1.run")
            emit("state.peak_mib", memory(node1, "VmHWM"), workloads=WORKLOADS, policies=POLICIES)
            emit("state.resident_mib", memory(node1), workloads=WORKLOADS, policies=POLICIES)
            idle = answer(load(environment, "open", "-c", "16", "-R", RATE, "-t", str(SECS), "-w", "1"))
            emit("state.idle_p99_us", idle["p99_us"], p50_us=idle["p50_us"])
            generation = status(run_dir)["state"]["generation"]
            forget_peak(node1)
            run(BENCH, "state", str(WORKLOADS), str(POLICIES), str(WORKLOADS // 2), more)
            file = os.path.join(environment["PB_WORK"], "run/ztun-state.yaml")
            prepared = file + ".new"
            run(f"{PEER}/sut/ztun/merge.py", os.path.join(environment["PB_WORK"], "run/ztun-state.base.yaml"), more, prepared)
            before, control = cpu(node1), thread_ms(node1, "ztun-control")
            # The window is as long as the reload: its p99 is of requests that met it.
            process = load(environment, "open", "-c", "16", "-R", RATE, "-t", str(SECS), "-w", "1")
            time.sleep(1.2)
            os.rename(prepared, file)
            changed = time.time()
            # Asked seldom: the answer is work for the same processors.
            while status(run_dir)["state"]["generation"] == generation:
                if time.time() - changed > 120:
                    raise SystemExit("scale: the change did not arrive")
                time.sleep(0.5)
            seconds = time.time() - changed
            busy = answer(process)
            emit("state.change_s", seconds, cpu_s=round(cpu(node1) - before, 2))
            emit("state.change_control_ms", thread_ms(node1, "ztun-control") - control, window_s=SECS)
            emit("state.change_peak_mib", memory(node1, "VmHWM"))
            time.sleep(2)
            emit("state.after_change_mib", memory(node1))
            emit("state.busy_p99_us", busy["p99_us"], p50_us=busy["p50_us"], window_s=SECS)
            emit("state.p99_ratio", busy["p99_us"] / idle["p99_us"])


def tunnels(scratch):
    environment = peer_environment(scratch)
    with peers(environment):
        for name, variant, count in (("pooled", "hbone", TUNNELS), ("own", "hbone-nopool", OWN_TUNNELS)):
            with proxies(environment, variant) as pids:
                before = {role: memory(pid) for role, pid in pids.items()}
                process = load(environment, "idle", "-n", str(count))
                try:
                    info = first_answer(process, f"{count} idle connections ({variant})")
                    time.sleep(1)
                    after = {role: memory(pid) for role, pid in pids.items()}
                finally:
                    stop(process)
                each = {role: (after[role] - before[role]) * 1024 / max(1, info["idle"]) for role in pids}
                emit(f"tunnels.{name}_kib", max(each.values()), connections=info["idle"], failed=info.get("failed", 0),
                     **{f"{role}_mib": round(value, 1) for role, value in after.items()})


def fill(server):
    """A cluster with what real objects carry beside what is read."""
    each = max(1, WORKLOADS // SERVICES)

    def put(plural, kind, api, name, namespace, version=[1000], **rest):
        version[0] += 1
        metadata = {"name": name, "uid": f"00000000-0000-0000-0000-{version[0]:012}", "resourceVersion": str(version[0]),
                    "creationTimestamp": "2026-11-21T00:00:00Z", "managedFields": [{"manager": "kubelet"}], **rest.pop("metadata", {})}
        if namespace:
            metadata["namespace"] = namespace
        server.objects[plural][(namespace, name)] = {"kind": kind, "apiVersion": api, "metadata": metadata, **rest}
        server.version = version[0]

    for number in range(50):
        put("namespaces", "Namespace", "v1", f"team-{number}", "", metadata={"labels": {"istio.io/dataplane-mode": "ambient"}})
    for number in range(1000):
        put("nodes", "Node", "v1", f"node-{number}", "",
            metadata={"labels": {"topology.kubernetes.io/zone": f"zone-{number % 3}", "topology.kubernetes.io/region": "r"}})
    for service in range(SERVICES):
        namespace, name = f"team-{service % 50}", f"application-{service}"
        labels = {"app": name, "pod-template-hash": f"{service:09x}", "version": "v1"}
        put("services", "Service", "v1", name, namespace, spec={
            "clusterIPs": [f"10.{96 + service // 60000}.{service // 250 % 250}.{service % 250 + 1}"], "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]})
        endpoints = []
        for pod in range(each):
            number = service * each + pod
            address = f"172.{16 + number // 65536}.{number // 256 % 256}.{number % 256}"
            pod_name = f"{name}-{service:09x}-{pod:05x}"
            put("pods", "Pod", "v1", pod_name, namespace, metadata={
                    "labels": labels, "annotations": {"kubectl.kubernetes.io/restartedAt": "2026", "ambient.istio.io/redirection": "enabled"},
                    "ownerReferences": [{"kind": "ReplicaSet", "name": f"{name}-{service:09x}", "controller": True}]},
                spec={"nodeName": f"node-{number % 1000}", "serviceAccountName": name,
                      "containers": [{"name": "main", "image": "registry/application:1", "env": [{"name": "A", "value": "B"}] * 5,
                                      "ports": [{"name": "http", "containerPort": 8080}]}]},
                status={"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                        "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}]})
            endpoints.append({"addresses": [address], "conditions": {"ready": True}, "nodeName": f"node-{number % 1000}",
                              "targetRef": {"kind": "Pod", "name": pod_name, "namespace": namespace}})
        put("endpointslices", "EndpointSlice", "discovery.k8s.io/v1", f"{name}-x", namespace,
            metadata={"labels": {"kubernetes.io/service-name": name}}, addressType="IPv4", endpoints=endpoints,
            ports=[{"name": "http", "port": 8080, "protocol": "TCP"}])


def api(scratch):
    sys.path.insert(0, os.path.join(ROOT, "Tests"))
    from support.kubeapi import KubeAPI
    with KubeAPI(os.path.join(scratch, "api")) as server:
        server.bookmark_seconds = 5
        fill(server)
        config = server.kubeconfig(server.listen(port=0))
        run_dir = os.path.join(scratch, "api.run")
        arguments = [f"{BIN}/ztund", "run", "--kubeconfig", config, "--ca-dir", f"{scratch}/ca", "--run-dir", run_dir, "--workers", "1",
                     "--log-level", "warn", "--admin-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0",
                     "--readiness-address", "127.0.0.1:0"]
        with open(os.path.join(scratch, "api.log"), "w") as log:
            start = time.time()
            daemon = subprocess.Popen(arguments, stdout=log, stderr=log)
            try:
                def listed():
                    if daemon.poll() is not None:
                        raise SystemExit(f"scale: ztund ended: {open(log.name).read()[-2000:]}")
                    found = (status(run_dir) or {}).get("state", {})
                    return found if found.get("generation") else None

                found = wait(listed, "the cluster is listed", 900)
                emit("api.start_s", time.time() - start, pods=found["workloads"], services=found["services"], cpu_s=round(cpu(daemon.pid), 2))
                time.sleep(2)
                emit("api.peak_mib", memory(daemon.pid, "VmHWM"))
                emit("api.resident_mib", memory(daemon.pid))
                before, generation = cpu(daemon.pid), found["generation"]
                time.sleep(5)
                idle = (cpu(daemon.pid) - before) / 5
                before, start = cpu(daemon.pid), time.time()
                for number in range(CHANGES):
                    service = number * 7919 % SERVICES
                    document = json.loads(json.dumps(
                        server.objects["endpointslices"][(f"team-{service % 50}", f"application-{service}-x")]))
                    ready = document["endpoints"][0]["conditions"]
                    ready["ready"] = not ready["ready"]
                    server.put(document)
                    time.sleep(0.02)

                def applied():
                    return (status(run_dir) or {}).get("state", {}).get("generation", 0) > generation

                wait(applied, "the changes are taken", 60)
                time.sleep(1)
                used = cpu(daemon.pid) - before - idle * (time.time() - start)
                rounds = (status(run_dir) or {}).get("state", {}).get("generation", 0) - generation
                emit("api.change_ms", used / CHANGES * 1000, changes=CHANGES, rounds=rounds,
                     endpoints_each=max(1, WORKLOADS // SERVICES), idle_percent=round(idle * 100, 2))
                emit("api.after_mib", memory(daemon.pid))
            finally:
                stop(daemon)


def main():
    if os.geteuid():
        sys.exit("scale: network namespaces need root")
    parts = sys.argv[1:] or ["pods", "state", "api", "tunnels"]
    known = {"pods": pods, "state": state, "api": api, "tunnels": tunnels}
    if set(parts) - set(known):
        sys.exit(__doc__)
    raise_descriptor_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scratch = tempfile.mkdtemp(prefix="ztun-scale-")
    try:
        for part in parts:
            # Only where latency is measured: the rest does not mind, and others on the machine do.
            with share_of_our_own() if part in ("state", "api") else contextlib.nullcontext():
                known[part](scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    results = os.path.join(HERE, "results")
    os.makedirs(results, exist_ok=True)
    path = os.path.join(results, time.strftime("%Y%m%d-%H%M%S.jsonl"))
    with open(path, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in FIGURES)
    print(f"\n{'figure':58}{'value':>10}  target")
    for row in FIGURES:
        if row["figure"] in TARGETS:
            text, most = TARGETS[row["figure"]]
            wanted = "" if most is None else f"≤ {most}" + ("" if row["value"] <= most else "  MISSED")
            print(f"{text:58}{row['value']:10,.1f}  {wanted}")
    print(f"\nraw: {path}")


main()
