#!/bin/bash
# bench.sh SCENARIO [SUT...] [--reps N] [--secs S] [--rate R] [--base SUT] [--pin]
#   SCENARIO: smoke | quick | core | main | bulk | rr | open | conn | mem | all (= main + mem) | report FILE.jsonl... | up | down
#   SUT: DIR[:VARIANT][@CONCURRENCY][=figure-prefix,...], e.g. direct  envoy:hbone@2  envoy:waypoint@1  ztun:hbone@2
# See README.md for what each figure means and for the SUT interface.
set -eu
cd "$(dirname "$0")"; . lib/env.sh
[ "$(id -u)" = 0 ] || { echo "needs root (network namespaces)" >&2; exit 1; }
mkdir -p "$PB_WORK"; ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -Hn)"
case "${1:-}" in
  "") sed -n '2,6p' "$0"; exit 2;;
  report) exec python3 lib/measure.py "$@";;
  down) for s in sut/*/sut.sh; do "$s" stop >/dev/null 2>&1 || true; done; rmdir /sys/fs/cgroup/cpu/peerbench-$PB_P /sys/fs/cgroup/peerbench-$PB_P 2>/dev/null || true; exec lib/topo.sh down;;
esac
for t in ip nft nsenter openssl python3; do command -v $t >/dev/null || { echo "missing: $t" >&2; exit 1; }; done
[ "$PB_LOAD" -nt src/pbload.c ] || "${CC:-cc}" -O2 -o "$PB_LOAD" src/pbload.c
lib/certs.sh
[ -e /var/run/netns/$PB_NS_SERVER ] || lib/topo.sh up
[ "$1" = up ] && exit 0
exec python3 lib/measure.py "$@"
