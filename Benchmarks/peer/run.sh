#!/bin/bash
# What `make bench` runs: ours beside Envoy, interleaved, on this machine. Arguments go to bench.sh instead.
#   make bench                                  the quick set, about five minutes
#   make bench BENCH="core direct envoy:hbone@1 ztun:hbone@1 --pin --base envoy:hbone@1"
set -euo pipefail
cd "$(dirname "$0")"
[ "$(id -u)" = 0 ] || { echo "bench: network namespaces need root: sudo make bench" >&2; exit 1; }
python=${ZTUN_BENCH_PYTHON:-python3}
export ENVOY=${ENVOY:-$("$python" -c 'import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy"))')}
# Names and files of this run only, so that two runs do not meet.
export PB_P=${PB_P:-zt-b$$}
if [ -z "${PB_WORK:-}" ]; then PB_WORK=$(mktemp -d -t ztun-bench.XXXXXX); made=$PB_WORK; fi
export PB_WORK
trap './bench.sh down >/dev/null 2>&1 || true; [ -z "${made:-}" ] || rm -rf "$made"' EXIT
trap 'exit 130' INT TERM
if [ $# -gt 0 ]; then ./bench.sh "$@"; exit; fi
base=(--pin --reps "${REPS:-3}" --secs "${SECS:-1.5}")
./bench.sh core direct envoy:hbone@1 ztun:hbone@1 "${base[@]}" --base envoy:hbone@1
./bench.sh rr envoy:waypoint@1 ztun:waypoint@1 "${base[@]}" --base envoy:waypoint@1
./bench.sh mem envoy:hbone@1 ztun:hbone@1 --reps 1
