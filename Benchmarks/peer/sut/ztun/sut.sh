#!/bin/bash
# ztund on both nodes and ztun-waypoint, from $ZTUN_BIN. start VARIANT WORKERS
#  hbone         captured -> HBONE -> server (pooled)           hbone-nopool  a tunnel and a full handshake per connection
#  waypoint      captured -> HBONE -> waypoint -> plain server  waypoint-hbone  ... -> HBONE -> node2 -> server
#  hbone-MODE: hbone with --capture MODE (nft, bpf, bpf-rewrite, bpf-route)      hbone-libssl  hbone with --tls-records libssl
#  client-only | server-only | client-wp-only | waypoint-only   one role, for mixed runs through sut/mix
# Capture is ztund's own, as a user has it (its default but where the variant says otherwise); the access log is off, as Envoy's is.
. "$(dirname "$0")/../../lib/sutlib.sh"
here=$(cd "$(dirname "$0")" && pwd)
: "${ZTUN_BIN:=$here/../../../../.build/release}"
ARGS=()
common() { # files and identities; $1: protocol of the server
  local line; ARGS=()
  while read -r line; do ARGS+=("$line"); done < <(python3 "$here/world.py" "$PB_RUN/world.json" "$PB_RUN" --server-protocol "$1")
  if [ -n "${ZTUN_MORE_STATE:-}" ]; then # Benchmarks/scale: the same world in a larger mesh
    mv "$PB_RUN/ztun-state.yaml" "$PB_RUN/ztun-state.base.yaml"
    "$here/merge.py" "$PB_RUN/ztun-state.base.yaml" "$ZTUN_MORE_STATE" "$PB_RUN/ztun-state.yaml"
    cp "$PB_RUN/ztun-state.yaml" "$PB_RUN/ztun-state.node2.yaml" # a change reaches one node at a time
  fi
  ARGS+=(--state "$PB_RUN/ztun-state.yaml" --trust-domain "$PB_TD" --workers "$C" --log-level "${ZTUN_LOG:-info,access=off}")
  for p in ztund ztun-waypoint; do [ -x "$ZTUN_BIN/$p" ] || { echo "ztun: $ZTUN_BIN/$p is missing: run make build" >&2; exit 3; }; done
}
node() { # role node-netns pod pod-netns more...
  local role=$1 netns=$2 pod=$3 podns=$4; shift 4
  [ -z "${ZTUN_MORE_STATE:-}" ] || [ "$role" != node2 ] || set -- "$@" --state "$PB_RUN/ztun-state.node2.yaml"
  launch "$role" "$netns" "$ZTUN_BIN/ztund" run "${ARGS[@]}" --run-dir "$PB_RUN/$role.run" \
    --bpf-dir "$PB_WORK/bpffs/$role" --pod "$PB_NSNAME/$pod@/var/run/netns/$podns" "$@"
}
node1()    { node node1 "$PB_NS_NODE1" client "$PB_NS_CLIENT" "$@"; }
node2()    { node node2 "$PB_NS_NODE2" server "$PB_NS_SERVER" "$@"; }
waypoint() { launch waypoint "$PB_NS_WAYPOINT" "$ZTUN_BIN/ztun-waypoint" run "${ARGS[@]}" --run-dir "$PB_RUN/waypoint.run" \
  --routes "$PB_RUN/ztun-routes.yaml" --workload "$PB_NSNAME/waypoint" --address "[::]:$PB_PORT_HBONE"; }
# The bench takes the first answer for readiness; before the pod is captured that answer would come past us.
bpffs() { # a BPF file system of our own, so that what is pinned there goes with it; without one ztund takes nft and says so
  mountpoint -q "$PB_WORK/bpffs" && return 0 # the other end of a mixed pair made it
  mkdir -p "$PB_WORK/bpffs" && mount -t bpf bpf "$PB_WORK/bpffs" || echo "ztun: no BPF file system: capture with nft" >&2
}
no_bpffs() { umount -l "$PB_WORK/bpffs" 2>/dev/null; rmdir "$PB_WORK/bpffs" 2>/dev/null || true; }
captured() { # node-netns
  for _ in $(seq ${ZTUN_READY_TRIES:-600}); do
    nsenter --net=/var/run/netns/"$1" -- curl -fsS -m 1 http://127.0.0.1:15021/healthz/ready >/dev/null 2>&1 && return 0
    sleep 0.05
  done
  echo "ztun: not ready, see $PB_RUN" >&2; return 1
}
case $1 in
start) V=${2:-hbone} C=${3:-1}; reset_run; world; [ -n "${PB_KEEP:-}" ] || no_bpffs; bpffs
  mode=${V#hbone-}; case $mode in nft|bpf|bpf-*|libssl) V=hbone;; *) mode=;; esac
  case $V in waypoint) common TCP;; waypoint-only) [ "${UPSTREAM:-hbone}" = plain ] && common TCP || common HBONE;; *) common HBONE;; esac
  case $V in
    hbone)
      if [ -z "$mode" ]; then node2; node1
      elif [ "$mode" = libssl ]; then node2 --tls-records libssl; node1 --tls-records libssl; else
        node2 --capture "$mode"; node1 --capture "$mode"
      fi
      real_targets;;
    hbone-nopool)   node2; node1 --pool-max-streams 0; real_targets;;
    waypoint)       waypoint; node1; target http $PB_VIP:$PB_PORT_HTTP;;
    waypoint-hbone) node2; waypoint; node1; target http $PB_VIP:$PB_PORT_HTTP;;
    client-only|client-wp-only) node1;;
    server-only)    node2;;
    waypoint-only)  waypoint;;
    *) echo "unknown variant $V" >&2; exit 2;;
  esac
  case $V in server-only|waypoint-only) ;; *) captured "$PB_NS_NODE1";; esac
  case $V in hbone*|waypoint-hbone|server-only) captured "$PB_NS_NODE2";; esac;;
stop) stop_all; no_bpffs;;
esac
