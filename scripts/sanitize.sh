#!/bin/bash
# Runs unit tests under a sanitizer, each in a build folder of its own.
#   scripts/sanitize.sh address|thread [TEST-TARGET ...]     without targets: all of them
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
shift
# A report ends the program; Swift's backtracer would hold it for minutes.
export SWIFT_BACKTRACE=enable=no
export LSAN_OPTIONS="suppressions=$PWD/Tests/Sanitizers/leaks.txt:print_suppressions=0"
export TSAN_OPTIONS="suppressions=$PWD/Tests/Sanitizers/races.txt:halt_on_error=1"
export ASAN_OPTIONS="detect_stack_use_after_return=0"
only=$(IFS=,; echo "$*")
[ -z "$only" ] || export ZTUN_ONLY=$only
exec swift test --sanitize="$kind" --scratch-path ".build/sanitize-$kind"
