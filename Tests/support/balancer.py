"""A socket load balancer as CNIs have one: a BPF program on connect that replaces a service's address by a pod's."""
import contextlib
import ipaddress
import os
import struct
import subprocess

SOURCE = """
#include <linux/bpf.h>
#define SEC(n) __attribute__((section(n), used))
static unsigned short swap(unsigned short v) { return v << 8 | v >> 8; }
SEC("cgroup/connect4") int other_lb4(struct bpf_sock_addr *c) {
    unsigned ip = c->user_ip4, port = c->user_port;
    if (ip != %(vip4)sU || port != swap(%(port)d)) return 1;
    c->user_ip4 = %(pod4)sU;
    c->user_port = swap(%(pod_port)d);
    return 1;
}
SEC("cgroup/connect6") int other_lb6(struct bpf_sock_addr *c) {
    unsigned a = c->user_ip6[0], b = c->user_ip6[1], d = c->user_ip6[2], e = c->user_ip6[3], port = c->user_port;
    if (a != %(vip6_0)sU || b != %(vip6_1)sU || d != %(vip6_2)sU || e != %(vip6_3)sU || port != swap(%(port)d)) return 1;
    c->user_ip6[0] = %(pod6_0)sU;
    c->user_ip6[1] = %(pod6_1)sU;
    c->user_ip6[2] = %(pod6_2)sU;
    c->user_ip6[3] = %(pod6_3)sU;
    c->user_port = swap(%(pod_port)d);
    return 1;
}
char _license[] SEC("license") = "GPL";
"""


def clang():
    """The toolchain's clang, which knows the BPF target."""
    swift = subprocess.run(["sh", "-c", "readlink -f $(command -v swift)"], capture_output=True, text=True).stdout
    return os.path.join(os.path.dirname(swift), "clang")


def _words(address):
    packed = ipaddress.ip_address(address).packed
    return struct.unpack(f"={len(packed) // 4}I", packed)


@contextlib.contextmanager
def load_balancer(cgroup, folder, bpffs, vips, port, pods, pod_port, flags=("multi",)):
    """Balances (IPv4, IPv6) addresses and a port to those of a pod, for programs in `cgroup` and below."""
    values = {"port": port, "pod_port": pod_port, "vip4": _words(vips[0])[0], "pod4": _words(pods[0])[0]}
    for index in range(4):
        values[f"vip6_{index}"], values[f"pod6_{index}"] = _words(vips[1])[index], _words(pods[1])[index]
    source, compiled = folder / "balancer.bpf.c", folder / "balancer.o"
    source.write_text(SOURCE % values)
    subprocess.run([clang(), "--target=bpf", "-O2", "-idirafter", f"/usr/include/{os.uname().machine}-linux-gnu", "-c",
                    source, "-o", compiled], check=True)
    pins = bpffs / "balancer"
    subprocess.run(["bpftool", "prog", "loadall", compiled, pins], check=True)
    programs = [("connect4", pins / "cgroup_connect4"), ("connect6", pins / "cgroup_connect6")]
    if not programs[0][1].exists():
        programs = [("connect4", pins / "other_lb4"), ("connect6", pins / "other_lb6")]
    attached = []
    try:
        for hook, pin in programs:
            subprocess.run(["bpftool", "cgroup", "attach", cgroup.path, hook, "pinned", pin, *flags], check=True)
            attached.append((hook, pin))
        yield
    finally:
        for hook, pin in attached:
            subprocess.run(["bpftool", "cgroup", "detach", cgroup.path, hook, "pinned", pin], check=True)
        for _, pin in programs:
            pin.unlink()
        pins.rmdir()


@contextlib.contextmanager
def only_program(cgroup, bpffs):
    """A program on the connects of `cgroup` and below that allows no other one beside or below it."""
    source, compiled, pin = bpffs.parent / f"{bpffs.name}.c", bpffs.parent / f"{bpffs.name}.o", bpffs / "only"
    try:
        source.write_text(
            '#define SEC(n) __attribute__((section(n), used))\n'
            'SEC("cgroup/connect4") int only(void *c) { return 1; }\nchar _license[] SEC("license") = "GPL";\n')
        subprocess.run([clang(), "--target=bpf", "-O2", "-c", source, "-o", compiled], check=True)
        subprocess.run(["bpftool", "prog", "load", compiled, pin], check=True)
        subprocess.run(["bpftool", "cgroup", "attach", cgroup.path, "connect4", "pinned", pin], check=True)
        try:
            yield
        finally:
            subprocess.run(["bpftool", "cgroup", "detach", cgroup.path, "connect4", "pinned", pin], check=True)
            pin.unlink()
    finally:
        for path in (source, compiled):
            path.unlink(missing_ok=True)
