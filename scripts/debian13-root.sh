#!/bin/bash
# A Debian 13 root with the built programs in it, to run them with libssl 3.5 (post-quantum key exchange) on any host.
#   scripts/debian13-root.sh [PROGRAMS]   prints a folder to use as ZTUN_BIN: its ztund and ztun-waypoint run in the root
# PROGRAMS is where ztund, ztun-waypoint and ztun are (default: ZTUN_BIN, then .build/release). Needs root, and
# debootstrap for the first time; the root is kept in ZTUN_CACHE (default: /var/cache/ztun). Exit status 75: the root
# cannot be had here (no debootstrap, no mirror); the reason is printed.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=$(realpath "${1:-${ZTUN_BIN:-.build/release}}")
cache=${ZTUN_CACHE:-/var/cache/ztun}
# The mirror that this machine's own packages come from.
mirror=${ZTUN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -v security | head -n 1 || true)}
root=$cache/debian13
packages=openssl,libnghttp2-14,libyaml-0-2,libbpf1,libstdc++6,iproute2,nftables

unavailable() { echo "debian13-root: $1" >&2; exit 75; }

[ "$(id -u)" = 0 ] || unavailable "needs root"
mkdir -p "$cache"
exec 9>"$cache/debian13.lock"
flock 9
if [ ! -e "$root/.complete" ]; then
    command -v debootstrap >/dev/null || unavailable "debootstrap is not installed (apt-get install debootstrap)"
    [ -n "$mirror" ] || unavailable "no package mirror is known: set ZTUN_MIRROR"
    rm -rf --one-file-system "$root"
    if ! debootstrap --variant=minbase --include="$packages" trixie "$root" "$mirror" >"$cache/debian13.log" 2>&1; then
        unavailable "debootstrap from $mirror failed: $(tail -n 1 "$cache/debian13.log")"
    fi
    touch "$root/.complete"
fi

# Every set of programs has its own folder, so that two runs do not meet.
name=$(printf '%s' "$programs" | sha256sum | cut -c1-12)
inside=$root/opt/ztun-$name
wrappers=$cache/debian13-bin-$name
mkdir -p "$inside" "$wrappers"
for program in ztund ztun-waypoint; do
    [ -x "$programs/$program" ] || continue
    cp --update --remove-destination "$programs/$program" "$inside/"
    # A debug build brings the Swift runtime along; a release has it inside.
    ldd "$programs/$program" | awk '/libswift|lib_Foundation|libFoundation|libBlocks|libdispatch|lib_Internal/ && $3 { print $3 }' |
        xargs -r cp --update -t "$inside/"
    cat > "$wrappers/$program.new" <<WRAPPER
#!/bin/sh
# Written by scripts/debian13-root.sh: $program in the Debian 13 root, with this host's /proc, /run and /tmp.
exec unshare --mount --propagation private sh -c '
for place in proc sys dev run tmp; do mount --rbind /\$place $root/\$place || exit 1; done
exec chroot $root env LD_LIBRARY_PATH=/opt/ztun-$name /opt/ztun-$name/$program "\$@"' $program "\$@"
WRAPPER
    chmod +x "$wrappers/$program.new"
    mv "$wrappers/$program.new" "$wrappers/$program"
done
[ ! -x "$programs/ztun" ] || ln -sfn "$programs/ztun" "$wrappers/ztun"
echo "$wrappers"
