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

SEC("sk_lookup")
int ztun_lookup(struct bpf_sk_lookup *ctx) {
    __u64 cookie;
    asm volatile("%0 = %1 ll" : "=r"(cookie) : "i"(ZT_COOKIE_PLACE));
    __u32 protocol = ctx->protocol, family = ctx->family, interface = ctx->ingress_ifindex;
    __u32 port = ctx->local_port, client_port = ctx->remote_port;
    __u32 local4 = ctx->local_ip4, remote4 = ctx->remote_ip4;
    struct zt_ip server = {{ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[2], ctx->local_ip6[3]}};
    struct zt_ip client = {{ctx->remote_ip6[0], ctx->remote_ip6[1], ctx->remote_ip6[2], ctx->remote_ip6[3]}};
    if (protocol != IPPROTO_TCP) return SK_PASS;
    if (family == 2) {
        server = zt_mapped(local4);
        client = zt_mapped(remote4);
    }
    if (zt_is_loopback(&server)) return SK_PASS;
    if (!zt_is_own(cookie, &server)) {
        // An address the pod got a moment ago: by itself it is not reached through ztund, by others it is refused below.
        if (server.word[0] == client.word[0] && server.word[1] == client.word[1] && server.word[2] == client.word[2] &&
            server.word[3] == client.word[3])
            return SK_PASS;
        if (!zt_is_near(&server)) return zt_steer(ctx, cookie, ZT_OUTBOUND);
    }
    if (port == ZT_TUNNEL_PORT) return zt_steer(ctx, cookie, ZT_TUNNEL);
    // ztund's own connection to the application is bound to lo; nothing from outside comes in there.
    if (interface == ZT_LOOPBACK) return SK_PASS;
    if (zt_is_own(cookie, &client)) return SK_PASS;
    struct zt_flow flow = {
        .client = client, .server = server, .client_port = bpf_ntohs(client_port), .server_port = port};
    if (bpf_map_lookup_elem(&probes, &flow)) return SK_PASS;
    struct zt_prefix source = {.length = 128, .ip = client};
    if (bpf_map_lookup_elem(&sources, &source)) return SK_PASS;
    return zt_steer(ctx, cookie, ZT_INBOUND);
}
