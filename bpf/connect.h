// cgroup/connect4 and cgroup/connect6, on the cgroup above all pods: marks what an enrolled pod opens, so that the pod's policy
// route brings it back to itself, where the lookup program hands it to ztund. Nothing is rewritten, but for pods that ask for
// it (rewrite.h).
#pragma once
#include "maps.h"
#include "rewrite.h"

#ifndef SOL_SOCKET
#define SOL_SOCKET 1
#endif
#ifndef SO_MARK
#define SO_MARK 36
#endif
#define ZT_TCP 6
enum { ZT_DENY = 0, ZT_ALLOW = 1 };

static __always_inline int zt_set_mark(struct bpf_sock_addr *ctx, __u32 mark) {
    return bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
}

// Sets *rewrite when the connection is to go to another address.
static __always_inline int zt_connect(
    struct bpf_sock_addr *ctx, struct zt_ip server, __u16 port, struct zt_rewrite **rewrite) {
    __u64 cookie = bpf_get_netns_cookie(ctx);
    struct zt_pod *pod = bpf_map_lookup_elem(&pods, &cookie);
    if (!pod) return ZT_ALLOW;
    struct bpf_sock *socket = ctx->sk;
    if (!socket) return ZT_DENY;
    __u32 mark = socket->mark, flags = pod->flags;
    // ztund's own dials. A pod can forge this only with NET_ADMIN (docs/capture.md).
    if (mark == ZT_MARK_PEER || mark == ZT_MARK_APPLICATION) return ZT_ALLOW;
    // The socket's connect before this one may have gone elsewhere.
    zt_forget_rewrite(socket);
    if (mark == ZT_MARK_CAPTURED && zt_set_mark(ctx, 0)) return ZT_DENY;
    if (zt_is_near(&server) || zt_is_own(cookie, &server)) return ZT_ALLOW;
    struct zt_slot slot = {.pod = cookie, .listener = ZT_OUTBOUND};
    struct bpf_sock *listener = bpf_map_lookup_elem(&listeners, &slot);
    // EPERM at once, instead of a connection past the mesh or one that waits for nobody.
    if (!listener) return flags & ZT_POD_FAIL_OPEN ? ZT_ALLOW : ZT_DENY;
    __u32 listener_port = listener->src_port;
    bpf_sk_release(listener);
    if (!(flags & ZT_POD_REWRITE)) return zt_set_mark(ctx, ZT_MARK_CAPTURED) ? ZT_DENY : ZT_ALLOW;
    *rewrite = zt_rewrite_to(socket, cookie, &server, port, listener_port);
    return *rewrite ? ZT_ALLOW : ZT_DENY;
}

SEC("cgroup/connect4")
int ztun_connect4(struct bpf_sock_addr *ctx) {
    __u32 protocol = ctx->protocol, ip = ctx->user_ip4, port = ctx->user_port;
    struct zt_rewrite *rewrite = 0;
    if (protocol != ZT_TCP) return ZT_ALLOW;
    int result = zt_connect(ctx, zt_mapped(ip), bpf_ntohs(port), &rewrite);
    if (!rewrite) return result;
    ctx->user_ip4 = rewrite->target.ip.word[3];
    ctx->user_port = bpf_htons(rewrite->target.port);
    return result;
}

SEC("cgroup/connect6")
int ztun_connect6(struct bpf_sock_addr *ctx) {
    __u32 protocol = ctx->protocol, port = ctx->user_port;
    struct zt_ip ip = {{ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};
    struct zt_rewrite *rewrite = 0;
    if (protocol != ZT_TCP) return ZT_ALLOW;
    int result = zt_connect(ctx, ip, bpf_ntohs(port), &rewrite);
    if (!rewrite) return result;
    ctx->user_ip6[0] = rewrite->target.ip.word[0];
    ctx->user_ip6[1] = rewrite->target.ip.word[1];
    ctx->user_ip6[2] = rewrite->target.ip.word[2];
    ctx->user_ip6[3] = rewrite->target.ip.word[3];
    ctx->user_port = bpf_htons(rewrite->target.port);
    return result;
}
