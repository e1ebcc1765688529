#!/bin/bash
# What `make bench` runs: ours beside Envoy, interleaved, on this machine.
#   make bench                 every row, a few minutes
#   make bench BENCH=long      the same with longer windows and more repetitions, about three quarters of an hour
#   make bench BENCH=tiny      does every row come up (figures of a tenth of a second say nothing)
#   make bench BENCH="core direct envoy:hbone@1 ztun:hbone@1 --pin --base envoy:hbone@1"     one table (see bench.sh)
# REPS, SECS and IDLE (idle connections of the memory rows, "0 1000 10000") change the sizes. The last thing printed is one
# table of the figures that have a target; all figures are JSON lines in results/.
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
case ${1:-standard} in
    standard) reps=3 secs=1;;
    long) reps=7 secs=4;;
    tiny) reps=1 secs=0.2; export IDLE=${IDLE:-"0 100"};;
    *) ./bench.sh "$@"; exit;;
esac
reps=${REPS:-$reps} secs=${SECS:-$secs}
results=${PB_RESULTS:-$PWD/results}
mkdir -p "$results"
case ${ZTUN_BIN:-} in *debian13*) where=-debian13;; *) where=;; esac
whole=$results/$(date +%Y%m%d-%H%M%S)-bench-${1:-standard}$where.jsonl
about() { # the conditions, as the first line of the results
    "$python" - "$reps" "$secs" "${1:-standard}$where" <<'PYTHON'
import json, os, platform, re, subprocess, sys
def first(*command):
    try: return subprocess.run(command, capture_output=True, text=True).stdout.strip().split("\n")[0]
    except OSError: return ""
with open("/proc/cpuinfo") as file: model = re.search("model name.*: (.*)", file.read())
print(json.dumps({"about": sys.argv[3], "reps": int(sys.argv[1]), "secs": float(sys.argv[2]), "cpu": model.group(1) if model else platform.machine(),
    "cpus": os.cpu_count(), "kernel": platform.release(), "commit": first("git", "rev-parse", "--short", "HEAD"),
    "openssl": first("openssl", "version") if "debian13" not in sys.argv[3] else "of Debian 13", "envoy": first(os.environ["ENVOY"], "--version"),
    "load": os.getloadavg()[0]}))
PYTHON
}
about "$@" | tee "$whole"
parts=$PB_WORK/parts
mkdir -p "$parts"

row() { # scenario sut... options: one set of interleaved rows
    echo; echo "### $*"
    PB_RESULTS=$parts ./bench.sh "$@" --reps "$reps" --secs "$secs"
    cat "$parts"/*.jsonl >> "$whole"
    rm -f "$parts"/*.jsonl
}

references=(direct)
if ! command -v nginx >/dev/null; then
    echo "bench: nginx is not installed, its row is left out (apt-get install nginx-light libnginx-mod-stream)" >&2
elif ls /usr/lib/nginx/modules/ngx_stream_module.so /usr/lib64/nginx/modules/ngx_stream_module.so >/dev/null 2>&1; then
    references+=(nginx:stream@1)
else
    echo "bench: nginx has no stream module, it proxies HTTP only (apt-get install libnginx-mod-stream)" >&2
    references+=(nginx:http@1)
fi
# "Two nodes of one core each", and everything on all cores with two workers.
row core "${references[@]}" envoy:hbone@1 ztun:hbone@1 envoy:hbone-nopool@1=conn ztun:hbone-nopool@1=conn --pin --base envoy:hbone@1
row core envoy:hbone@2=bulk-up-1,bulk-down-1,rr-64,open,conn-32 ztun:hbone@2=bulk-up-1,bulk-down-1,rr-64,open,conn-32 --base envoy:hbone@2
row rr envoy:waypoint@1 ztun:waypoint@1 --pin --base envoy:waypoint@1
reps=1 row mem envoy:hbone@1 ztun:hbone@1 --base envoy:hbone@1
reps=1 row mem envoy:waypoint@1 ztun:waypoint@1 --base envoy:waypoint@1

echo; "$python" lib/targets.py "$whole"
echo; echo "raw: $whole"
