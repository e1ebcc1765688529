#!/bin/bash
# Builds the libFuzzer program with all modules under coverage and the address sanitizer; prints its path.
#   Fuzz/build.sh        into .build/fuzz
set -euo pipefail
cd "$(dirname "$0")/.."
export ZTUN_FUZZ=1
scratch=${ZTUN_FUZZ_SCRATCH:-.build/fuzz}
options=(-c debug --product ztun-fuzz --scratch-path "$scratch" -Xswiftc -sanitize=fuzzer,address -Xcc -fsanitize=address
    -Xswiftc -use-ld=lld)
swift build "${options[@]}" >&2
echo "$(swift build "${options[@]}" --show-bin-path)/ztun-fuzz"
