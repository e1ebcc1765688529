#!/bin/bash
# Feeds every entry of Fuzz/ (or those named) with libFuzzer's mutations of its corpus, a minute each.
#   scripts/fuzz.sh [ENTRY ...]      ZTUN_FUZZ_SECONDS=60
# An input that breaks a promise or the sanitizer lands in Fuzz/FailCases/ENTRY: commit it with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${ZTUN_FUZZ_SECONDS:-60}
entries=("$@")
[ ${#entries[@]} -gt 0 ] || entries=(authority spiffe headers claims certificate pem configuration state routes server client http1)
program=$(Fuzz/build.sh)
# The backtracer of Swift would hold a crashed program for minutes.
export SWIFT_BACKTRACE=enable=no
found=0
for entry in "${entries[@]}"; do
    work=.build/fuzz/corpus/$entry
    log=.build/fuzz/$entry.log
    mkdir -p "$work" "Fuzz/FailCases/$entry"
    status=0
    ZTUN_FUZZ_ENTRY=$entry "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=8192 \
        -artifact_prefix="Fuzz/FailCases/$entry/" "$work" "Fuzz/Corpus/$entry" >"$log" 2>&1 || status=$?
    rmdir --ignore-fail-on-non-empty "Fuzz/FailCases/$entry"
    if [ $status = 0 ]; then
        echo "fuzz: $entry: $(grep -a '^Done' "$log")"
    else
        echo "fuzz: $entry: FAILED with $status, see $log: $(grep -aE 'broken promise|^SUMMARY' "$log" | head -2 | tr '\n' ' ')"
        found=1
    fi
done
exit $found
