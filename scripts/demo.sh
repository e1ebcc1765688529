#!/bin/bash
# The whole of ztun on one machine: two nodes, seven pods, two ztund, one waypoint, from the Kubernetes manifests in
# deploy/demo. Needs root; takes about ten seconds.
# Everything it makes (network namespaces named zt-demo-*, processes, a temporary folder with a BPF file system mounted in it) is
# removed at the end, also after Ctrl-C or a failed step.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${ZTUN_BIN:-$PWD/.build/release}
prefix=zt-demo-
work=$(mktemp -d -t ztun-demo.XXXXXX)
pids=()

[ "$(id -u)" = 0 ] || { echo "demo: network namespaces need root: sudo make demo" >&2; exit 1; }
python=$PWD/.build/venv/bin/python
[ -x "$python" ] || python=${ZTUN_PYTHON:-python3}
"$python" -c 'import yaml' 2>/dev/null || { echo "demo: $python has no module yaml (PyYAML): run make setup" >&2; exit 1; }
for program in ztund ztun-waypoint ztun; do
    [ -x "$bin/$program" ] || { echo "demo: $bin/$program is missing: run make build" >&2; exit 1; }
done

# Two demos at a time would take each other's namespaces for their own.
exec 9>/run/ztun-demo.lock
flock -w 120 9 || { echo "demo: another demo runs on this machine: wait for it to end" >&2; exit 1; }

# --- small tools ------------------------------------------------------------------------------------------------------

bold=$'\e[1m'; dim=$'\e[2m'; plain=$'\e[0m'
[ -t 1 ] || { bold=; dim=; plain=; }

say() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; shift; [ $# = 0 ] || printf '%s\n' "$@"; }
show() { printf '%s  %s%s\n' "$dim" "$1" "$plain"; }

inside() { local name=$1; shift; nsenter --net="/run/netns/$prefix$name" -- "$@"; }

# background NAME NAMESPACE COMMAND...: output goes to $work/NAME.log
background() {
    local name=$1 namespace=$2; shift 2
    nsenter --net="/run/netns/$prefix$namespace" -- "$@" >"$work/$name.log" 2>&1 </dev/null 9>&- &
    pids+=($!)
}

# eventually WHAT COMMAND...: runs it until it succeeds, ten seconds at most
eventually() {
    local what=$1 deadline=$((SECONDS + 10)); shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || { echo "demo: not in ten seconds: $what" >&2; return 1; }
        sleep 0.1
    done
}

# from POD URL [CURL ARGUMENTS]: prints the command and what came back
from() {
    local pod=$1 url=$2; shift 2
    show "$pod\$ curl${*:+ ${*@Q}} $url"
    inside "$pod" curl -gsS --max-time 5 "$@" "$url" | sed 's/^/    /'
}

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    set +e
    if [ $status != 0 ] && [ $status != 130 ]; then
        for log in "$work"/*.log; do [ -s "$log" ] && { echo "--- $log"; tail -n 20 "$log"; } >&2; done
    fi
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do
        for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    for path in /run/netns/"$prefix"*; do [ -e "$path" ] && ip netns del "${path##*/}"; done
    umount -l "$work/bpf" 2>/dev/null
    rm -rf "$work"
    [ $status = 0 ] || [ $status = 130 ] || echo "demo: failed (the lines above say where); everything is removed again" >&2
    exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- the stage --------------------------------------------------------------------------------------------------------

node() { # NAME NUMBER
    ip netns add "$prefix$1"
    inside "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
        for all in all default; do echo 0 >/proc/sys/net/ipv6/conf/$all/accept_dad; done'
    ip -n "$prefix$1" link set lo up
}

pod() { # NAME NODE-NUMBER NUMBER
    local name=$1 node=$2 number=$3
    ip netns add "$prefix$name"
    inside "$name" sh -c 'for all in all default; do echo 0 >/proc/sys/net/ipv6/conf/$all/accept_dad; done'
    ip -n "$prefix$name" link set lo up
    ip -n "${prefix}node$node" link add "pod$number" type veth peer name eth0 netns "$prefix$name"
    ip -n "${prefix}node$node" -batch - <<IP
addr add 169.254.1.1/32 dev pod$number
addr add fe80::1/64 dev pod$number nodad
link set pod$number up
route add 10.62.$node.$number/32 dev pod$number src 172.31.62.$node
route add fd62:$node::$number/128 dev pod$number src fd62:ff::$node
IP
    ip -n "$prefix$name" -batch - <<IP
addr add 10.62.$node.$number/32 dev eth0
addr add fd62:$node::$number/128 dev eth0 nodad
link set eth0 up
route add 169.254.1.1/32 dev eth0
route add default via 169.254.1.1 dev eth0
route add default via fe80::1 dev eth0
IP
}

application() { # POD: HTTP servers on 8080 and 9090 that say who they are and whom they see
    background "app-$1" "$1" python3 -c '
import http.server, socket, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        peer = self.client_address[0].removeprefix("::ffff:")
        what = "" if self.server.server_port == 8080 else " on its admin port"
        body = f"{sys.argv[1]} answers{what}; it sees the caller as {peer}\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
servers = [Server(("::", port), Handler) for port in (8080, 9090)]
for server in servers[1:]: threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()' "$1"
}

# What a wire tap between the nodes would see, by destination port.
count_connections() {
    inside node1 nft -f - <<'NFT'
table inet wire {
  counter tunnel {}
  counter application {}
  chain forward {
    type filter hook forward priority 10
    tcp dport 15008 ct state new counter name tunnel
    tcp dport 8080 ct state new counter name application
  }
}
NFT
}
counted() { inside node1 nft list counter inet wire "$1" | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
wire() { show "seen between the nodes so far: $(counted tunnel) connections to port 15008 (HBONE), $(counted application) to port 8080 in the clear"; }

for path in /run/netns/"$prefix"*; do [ -e "$path" ] && ip netns del "${path##*/}"; done
say "1. Two nodes and seven pods, each a network namespace of this machine" \
    "   node1: client, operator, intruder          node2: server-v1, server-v2, plain, waypoint"
node node1; node node2
ip -n ${prefix}node1 link add up0 type veth peer name up0 netns ${prefix}node2
for number in 1 2; do
    other=$((3 - number))
    ip -n "${prefix}node$number" -batch - <<IP
addr add 172.31.62.$number/24 dev up0
addr add fd62:ff::$number/64 dev up0 nodad
link set up0 up
IP
done
for number in 1 2; do
    other=$((3 - number))
    ip -n "${prefix}node$number" -batch - <<IP
route add 10.62.$other.0/24 via 172.31.62.$other
route add fd62:$other::/64 via fd62:ff::$other
IP
done
pod client 1 10; pod intruder 1 11; pod operator 1 12
pod server-v1 2 10; pod server-v2 2 11; pod plain 2 12; pod waypoint 2 20
for name in server-v1 server-v2 plain; do application "$name"; done
for name in server-v1 server-v2 plain; do
    eventually "$name listens" inside "$name" curl -fsS --max-time 1 http://127.0.0.1:8080/
done
count_connections

# --- what the mesh is told --------------------------------------------------------------------------------------------

manifests=$work/manifests
mkdir "$manifests"
cp deploy/demo/*.yaml "$manifests"
mv "$manifests/network-policy.yaml" "$work"

say "2. One ztund per node, one waypoint" \
    "   They read the manifests of deploy/demo; certificates come from an embedded authority in a folder they share." \
    "   The pods' programs know nothing of it: ztund opens its sockets inside the pods' namespaces, and takes the best way to" \
    "   bring their connections there that the machine has: BPF programs, or nft rules."
show "$(cd "$manifests" && echo *.yaml)"
# On a node programs are pinned in /sys/fs/bpf; here in a BPF file system of the demo's own, so that nothing can be left. Where there
# cannot be one, ztund captures with nft and says so in its status.
mkdir "$work/bpf"
mount -t bpf bpf "$work/bpf" 2>/dev/null || true
enrol() { printf -- '--pod demo/%s@/run/netns/%s%s ' "$1" "$prefix" "$1"; }
# shellcheck disable=SC2046 # one word for each flag
background ztund-1 node1 "$bin/ztund" run --manifests "$manifests" --ca-dir "$work/ca" --run-dir "$work/run1" --bpf-dir "$work/bpf/n1" \
    $(enrol client; enrol operator; enrol intruder)
# shellcheck disable=SC2046
background ztund-2 node2 "$bin/ztund" run --manifests "$manifests" --ca-dir "$work/ca" --run-dir "$work/run2" --bpf-dir "$work/bpf/n2" \
    $(enrol server-v1; enrol server-v2)
background waypoint waypoint "$bin/ztun-waypoint" run --manifests "$manifests" --workload demo/waypoint \
    --ca-dir "$work/ca" --run-dir "$work/run3"
for node in node1 node2 waypoint; do
    eventually "$node is ready" inside "$node" curl -fsS --max-time 1 http://127.0.0.1:15021/healthz/ready
done
show "all three say that they are ready"
show "node1\$ ztun status"
"$bin/ztun" status --run-dir "$work/run1" | grep -E 'capture|^demo/' | sed 's/^/    /'

say "3. Pod to pod by address" \
    "   The server sees the client's own address, although its bytes crossed the nodes inside mutual TLS."
from client http://10.62.2.10:8080/
from client "http://[fd62:2::10]:8080/"
wire

say "4. Pod to pod by service" "   10.96.62.1 is nobody's address: ztund picks one of the two servers."
for _ in 1 2 3; do from client http://10.96.62.1/; done

say "5. A pod outside the mesh is reached in the clear"
from client http://10.62.2.12:8080/
wire

say "6. Through a waypoint" \
    "   The service 'shop' has one: it splits 80:20 between the versions, and sends x-user: tester to v2."
show "client\$ for i in \$(seq 40); do curl http://10.96.62.2/; done | sort | uniq -c"
for _ in $(seq 40); do inside client curl -gsS --max-time 5 http://10.96.62.2/; done | sort | uniq -c | sed 's/^/    /'
from client http://10.96.62.2/ -H "x-user: tester"

say "7. A refused call, and why" \
    "   The AuthorizationPolicy 'no-intruders' denies the identity of the pod 'intruder'; its label is the client's."
show "intruder\$ curl http://10.62.2.10:8080/"
refused() { # POD URL: the call must fail
    if inside "$1" curl -gsS --max-time 5 "$2" 2>&1 | sed 's/^/    /'; then
        echo "demo: $1 got through to $2" >&2; exit 1
    fi
}
refused intruder http://10.62.2.10:8080/
eventually "node2 logs the refusal" grep -q 'no-intruders' "$work/ztund-2.log"
show "node2's access log:"
grep 'no-intruders' "$work/ztund-2.log" | tail -n 1 \
    | grep -oE '(src\.addr|src\.identity|dst\.addr|dst\.identity|error|reason|policy)=("[^"]*"|[^[:space:]]+)' | sed 's/^/    /'
why() { # ARGUMENTS: asks node1's ztund; exit status 1 is the answer "refused"
    show "node1\$ ztun why $*"
    { "$bin/ztun" why --run-dir "$work/run1" "$@" || [ $? = 1 ]; } | sed 's/^/    /'
}
why demo/intruder demo/server-v1:8080

# --- a NetworkPolicy --------------------------------------------------------------------------------------------------

# The CNI's part: what it makes of the NetworkPolicies, on the forward path of both nodes.
enforce() {
    for node in node1 node2; do "$python" scripts/demo-cni.py "$manifests" "$node" | inside "$node" nft -f -; done
}
cni() { inside node2 nft list chain inet cni to-server-v1 | grep -E 'accept|drop' | sed -E 's/^[[:space:]]*(.*[^[:space:]])[[:space:]]*$/    \1/'; }
# denies NODE ARGUMENTS: whether that node's ztund has the policy by now
denies() { local run=$1; shift; grep -q network_policy_denied <<<"$("$bin/ztun" why --run-dir "$work/$run" "$@" || true)"; }

say "8. A NetworkPolicy that knows nothing of a mesh" \
    "   Clients may reach the server's port 8080, operators its port 9090. What a simple CNI enforces of it in the node's" \
    "   forward path, for server-v1:"
cp "$work/network-policy.yaml" "$manifests"
enforce
cni
for run in run1 run2; do eventually "$run has the policy" denies "$run" demo/client demo/server-v1:9090; done
printf '%s\n' "   But between the nodes there is only port 15008: the operator's first tunnel is cut. (Those that stand are let be.)"
show "operator\$ curl http://10.62.2.10:9090/"
if inside operator curl -gsS --max-time 2 http://10.62.2.10:9090/ 2>&1 | sed 's/^/    /'; then
    echo "demo: the CNI let the operator's tunnel through" >&2; exit 1
fi
cni | grep drop

say "9. The same policy after 'ztun netpol lint --fix'" \
    "   It opens 15008 to each rule's own peers and to the waypoint, to nobody else:"
show "\$ ztun netpol lint --fix manifests/"
"$bin/ztun" netpol lint --fix "$manifests" >"$work/fix.log" 2>&1 || { cat "$work/fix.log" >&2; exit 1; }
show "\$ diff network-policy.yaml manifests/network-policy.yaml"
{ diff "$work/network-policy.yaml" "$manifests/network-policy.yaml" || true; } | grep '^>' | sed 's/^/    /'
"$bin/ztun" netpol lint "$manifests" >"$work/fix.log" 2>&1 || { echo "demo: the fixed policy still has findings" >&2; exit 1; }
enforce
show "what the CNI enforces now"
cni
eventually "the operator gets through" inside operator curl -fgsS --max-time 2 http://10.62.2.10:9090/
from operator http://10.62.2.10:9090/
from client http://10.62.2.10:8080/

say "10. Open is only the tunnel" \
    "   The CNI lets both tunnels through. Inside, ztund asks for the real port and the verified peer:"
for call in "client 9090" "operator 8080"; do
    read -r name port <<<"$call"
    show "$name\$ curl http://10.62.2.10:$port/"
    refused "$name" "http://10.62.2.10:$port/"
done
eventually "node2 logs the refusal" grep -q 'sa/operator.*network_policy_denied' "$work/ztund-2.log"
why demo/operator demo/server-v1:8080

say "11. What the programs say of themselves"
for node in 1 2; do show "node$node\$ ztun status"; "$bin/ztun" status --run-dir "$work/run$node" | sed 's/^/    /'; done
show "waypoint\$ ztun status"
"$bin/ztun" status --run-dir "$work/run3" | sed 's/^/    /'

say "That was all. Everything is being removed." "   README.md has the next steps."
