#!/bin/bash
# What BPF capture costs and saves beside nft: the node tunnel's figures, connect() and enrolment, interleaved (needs root).
#   Benchmarks/capture/modes.sh [REPS [SECS [PODS]]]       default 5 2 250; about ten minutes on an idle machine
# ZTUN_BIN is the folder with the programs (.build/release).
set -euo pipefail
cd "$(dirname "$0")/../.."
reps=${1:-5} secs=${2:-2} pods=${3:-250}
export ZTUN_BIN=${ZTUN_BIN:-$PWD/.build/release}
python=${ZTUN_BENCH_PYTHON:-$PWD/.build/venv/bin/python}
for figures in rr bulk conn; do
    ZTUN_BENCH_PYTHON=$python Benchmarks/peer/run.sh "$figures" ztun:hbone-nft@1 ztun:hbone-bpf@1 --pin --base ztun:hbone-nft@1 \
        --reps "$reps" --secs "$secs"
done
"$python" Benchmarks/capture/connect.py 2000 "$reps"
"$python" Benchmarks/capture/enrol.py "$pods"
