#!/bin/bash
# Compiles bpf/ into the bytes that Sources/CaptureBPF embeds; with --check only compares them with the committed ones.
# Needs the clang of the Swift toolchain (it knows the BPF target) and libbpf-dev; the stripper is LLVM's.
set -euo pipefail
cd "$(dirname "$0")"
clang=${CLANG:-$(dirname "$(readlink -f "$(command -v swift)")")/clang}
[ -x "$clang" ] || clang=clang
strip=$(command -v llvm-strip || command -v llvm-strip-14 || true)
[ -n "$strip" ] || { echo "regenerate: no llvm-strip: apt-get install llvm" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# One object: its source's stem, and the name of the files with its bytes.
object() {
    local source=$1.bpf.c bytes=../Sources/CaptureBPF/$2Object.c symbol=zt_$1_object
    "$clang" --target=bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -fdebug-prefix-map="$PWD=." \
        -idirafter "/usr/include/$(uname -m)-linux-gnu" -c "$source" -o "$folder/$1.o"
    "$strip" -g "$folder/$1.o"
    {
        echo "// Made by bpf/regenerate.sh from bpf/$source; do not edit."
        echo "#include \"$2Object.h\""
        echo
        echo "const unsigned char ${symbol}[] __attribute__((aligned(8))) = {"
        od -An -v -tu1 -w32 "$folder/$1.o" | sed 's/  */,/g; s/^,/    /; s/$/,/'
        echo "};"
        echo "const unsigned long ${symbol}_size = sizeof $symbol;"
    } > "$folder/$1.c"
    if [ "$check" ]; then
        cmp "$folder/$1.c" "$bytes" || { echo "regenerate: $bytes is not what bpf/ compiles to; run bpf/regenerate.sh" >&2; exit 1; }
    else
        mv "$folder/$1.c" "$bytes"
    fi
}

check=
[ "${1:-}" != --check ] || check=yes
object capture Capture
object gate Gate
