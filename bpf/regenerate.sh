#!/bin/bash
# Compiles bpf/ into the bytes that Sources/CaptureBPF embeds; with --check only compares them with the committed ones.
# Needs the clang of the Swift toolchain (it knows the BPF target) and libbpf-dev; the stripper is LLVM's.
set -euo pipefail
cd "$(dirname "$0")"
bytes=../Sources/CaptureBPF/CaptureObject.c
clang=${CLANG:-$(dirname "$(readlink -f "$(command -v swift)")")/clang}
[ -x "$clang" ] || clang=clang
strip=$(command -v llvm-strip || command -v llvm-strip-14 || true)
[ -n "$strip" ] || { echo "regenerate: no llvm-strip: apt-get install llvm" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$clang" --target=bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -fdebug-prefix-map="$PWD=." \
    -idirafter "/usr/include/$(uname -m)-linux-gnu" -c capture.bpf.c -o "$folder/capture.o"
"$strip" -g "$folder/capture.o"
{
    echo "// Made by bpf/regenerate.sh from bpf/capture.bpf.c; do not edit."
    echo '#include "CaptureObject.h"'
    echo
    echo "const unsigned char zt_capture_object[] __attribute__((aligned(8))) = {"
    od -An -v -tu1 -w32 "$folder/capture.o" | sed 's/  */,/g; s/^,/    /; s/$/,/'
    echo "};"
    echo "const unsigned long zt_capture_object_size = sizeof zt_capture_object;"
} > "$folder/bytes.c"
if [ "${1:-}" = --check ]; then
    cmp "$folder/bytes.c" "$bytes" || { echo "regenerate: $bytes is not what bpf/ compiles to; run bpf/regenerate.sh" >&2; exit 1; }
else
    mv "$folder/bytes.c" "$bytes"
fi
