// sk_lookup, once in each enrolled pod's network namespace: which socket gets a connection that reaches the pod, or that the
// pod opened and its policy route brought back. The destination is untouched: getsockname() tells ztund what it was.
#pragma once
#include "maps.h"

#ifndef IPPROTO_TCP
#define IPPROTO_TCP 6
#endif
#define ZT_LOOPBACK 1

static __always_inline int zt_steer(struct bpf_sk_lookup *ctx, __u64 cookie, __u32 kind) {
    struct zt_slot slot = {.pod = cookie, .listener = kind};
    struct bpf_sock *listener = bpf_map_lookup_elem(&listeners, &slot);
    if (!listener) {
        // Nobody serves the pod: refused at once.
        struct zt_pod *pod = bpf_map_lookup_elem(&pods, &cookie);
        return pod && pod->flags & ZT_POD_FAIL_OPEN ? SK_PASS : SK_DROP;
    }
    long failed = bpf_sk_assign(ctx, listener, BPF_SK_LOOKUP_F_NO_REUSEPORT);
    bpf_sk_release(listener);
    return failed ? SK_DROP : SK_PASS;
}

// 1 for zero, 0 for anything else, without a branch; the compiler is kept from making one of it.
static __always_inline __u64 zt_is_zero(__u32 value) {
    __u64 wide = value;
    asm volatile("" : "+r"(wide));
    return (wide - 1) >> 63;
}

// Each pod has a copy of its own, which the kernel checks anew when the pod is enrolled. That takes a time for each branch, so
// both families go one way, addresses are compared without branches, and there is one place where a socket is chosen.
SEC("sk_lookup")
int ztun_lookup(struct bpf_sk_lookup *ctx) {
    __u64 cookie;
    asm volatile("%0 = %1 ll" : "=r"(cookie) : "i"(ZT_COOKIE_PLACE));
    if (ctx->protocol != IPPROTO_TCP) return SK_PASS;
    // AF_INET is 2, AF_INET6 is 10: all ones, or none. The fields of the other family read as zero.
    __u32 is4 = (ctx->family >> 3 & 1) - 1, prefix = is4 & bpf_htonl(0xffff);
    __u32 s0 = ctx->local_ip6[0], s1 = ctx->local_ip6[1], s2 = ctx->local_ip6[2], s3 = ctx->local_ip6[3];
    __u32 c0 = ctx->remote_ip6[0], c1 = ctx->remote_ip6[1], c2 = ctx->remote_ip6[2], c3 = ctx->remote_ip6[3];
    s3 |= ctx->local_ip4 & is4;
    c3 |= ctx->remote_ip4 & is4;
    struct zt_flow flow = {
        .client = {{c0, c1, c2 | prefix, c3}},
        .server = {{s0, s1, s2 | prefix, s3}},
        .client_port = bpf_ntohs(ctx->remote_port),
        .server_port = ctx->local_port};
    struct zt_pod_address own = {.pod = cookie, .ip = flow.server};
    __u32 kind = ZT_OUTBOUND;
    if (!bpf_map_lookup_elem(&addresses, &own)) {
        // As zt_is_loopback and zt_is_near.
        __u32 first = bpf_ntohl(s0), last = bpf_ntohl(s3), high = s0 | s1 | s2;
        __u64 loopback4 = zt_is_zero(last >> 24 ^ 127), loopback6 = zt_is_zero(high | (s3 ^ bpf_htonl(1)));
        __u64 near4 = loopback4 | zt_is_zero(last >> 24) | zt_is_zero(last >> 16 ^ 0xa9fe) | ((last >> 28) + 2) >> 4;
        __u64 near6 = zt_is_zero(first >> 22 ^ 0x3fa) | zt_is_zero(first >> 24 ^ 0xff) | zt_is_zero(high | last >> 1);
        // An address the pod got a moment ago: by itself it is not reached through ztund, by others it is refused below.
        __u64 same = zt_is_zero((s0 ^ c0) | (s1 ^ c1) | (s2 ^ c2) | (s3 ^ c3));
        if (same | (loopback4 & is4) | (loopback6 & ~is4)) return SK_PASS;
        if (!((near4 & is4) | (near6 & ~is4))) goto steer;
    }
    kind = ZT_TUNNEL;
    if (flow.server_port == ZT_TUNNEL_PORT) goto steer;
    // ztund's own connection to the application is bound to lo; nothing from outside comes in there, nor from a loopback
    // address: that is the pod talking to itself, or a rewritten connection of a program that is bound to one.
    __u64 inside = zt_is_zero(ctx->ingress_ifindex ^ ZT_LOOPBACK) | (zt_is_zero(bpf_ntohl(c3) >> 24 ^ 127) & is4) |
        (zt_is_zero(c0 | c1 | c2 | (c3 ^ bpf_htonl(1))) & ~is4);
    if (inside) return SK_PASS;
    own.ip = flow.client;
    if (bpf_map_lookup_elem(&addresses, &own)) return SK_PASS;
    if (bpf_map_lookup_elem(&probes, &flow)) return SK_PASS;
    struct zt_prefix source = {.length = 128, .ip = flow.client};
    if (bpf_map_lookup_elem(&sources, &source)) return SK_PASS;
    kind = ZT_INBOUND;
steer:
    return zt_steer(ctx, cookie, kind);
}
