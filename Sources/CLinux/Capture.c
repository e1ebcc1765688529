#define _GNU_SOURCE
#include "CLinuxCapture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/inet_diag.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// The routing protocol number that marks what is ours, so that `ip rule` and `ip route` show whose it is.
enum { ZT_PROTOCOL = 90, LOOPBACK = 1 };

struct request {
    struct nlmsghdr header;
    char body[256];
};

static void start(struct request *r, uint16_t type, uint16_t flags, const void *fixed, size_t size) {
    memset(r, 0, sizeof *r);
    r->header.nlmsg_type = type;
    r->header.nlmsg_flags = NLM_F_REQUEST | flags;
    r->header.nlmsg_len = NLMSG_LENGTH(size);
    memcpy(NLMSG_DATA(&r->header), fixed, size);
}

static void attribute(struct request *r, uint16_t type, const void *data, uint16_t size) {
    struct rtattr *a = (struct rtattr *)((char *)&r->header + NLMSG_ALIGN(r->header.nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(size);
    memcpy(RTA_DATA(a), data, size);
    r->header.nlmsg_len = NLMSG_ALIGN(r->header.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static void attribute32(struct request *r, uint16_t type, uint32_t value) { attribute(r, type, &value, sizeof value); }

// The network namespace that this thread stays in for several steps (-1: none), and its socket for routes there.
static _Thread_local int inside = -1, held_routes = -1;
static _Thread_local uint32_t last_sequence;

int zt_inside_net(void) { return inside; }

void zt_set_inside_net(int fd) {
    if (held_routes >= 0) close(held_routes);
    held_routes = -1;
    inside = fd;
}

static int netlink(int protocol) {
    if (protocol == NETLINK_ROUTE && held_routes >= 0) return held_routes;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0) return -errno;
    struct timeval limit = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (protocol == NETLINK_ROUTE && inside >= 0) held_routes = fd;
    return fd;
}

// What a request that failed left in the socket is nobody's answer.
static void done_with(int fd, int is_clean) {
    if (fd == held_routes && is_clean) return;
    if (fd == held_routes) held_routes = -1;
    close(fd);
}

// Sends one request and reads its one answer; returns the answer's size, 0 for a bare acknowledgement, or -errno.
static int ask(int protocol, struct request *r, char *answer, size_t capacity) {
    int fd = netlink(protocol);
    if (fd < 0) return fd;
    int result = 0, is_clean = 0;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    r->header.nlmsg_seq = ++last_sequence;
    if (sendto(fd, r, r->header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0) {
        result = -errno;
    } else {
        ssize_t n;
        do
            n = recv(fd, answer, capacity, 0);
        while (n < 0 && errno == EINTR);
        const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
        if (n < 0) result = errno == EAGAIN ? -ETIMEDOUT : -errno;
        else if (!NLMSG_OK(header, (unsigned)n)) result = -EBADMSG;
        else if (header->nlmsg_seq != last_sequence) result = -EBADMSG;
        else if (header->nlmsg_type == NLMSG_ERROR) result = ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
        else result = (int)header->nlmsg_len;
        is_clean = n >= 0 && result != -EBADMSG;
    }
    done_with(fd, is_clean);
    return result;
}

static int change(struct request *r, int add) {
    char answer[1024] __attribute__((aligned(8)));
    int result = ask(NETLINK_ROUTE, r, answer, sizeof answer);
    if (result >= 0) return 1;
    if (add && result == -EEXIST) return 0;
    if (!add && (result == -ENOENT || result == -ESRCH)) return 0;
    return result;
}

int zt_fwmark_rule(int add, int ipv6, uint32_t mark, uint32_t table, uint32_t priority) {
    struct fib_rule_hdr rule = {.family = ipv6 ? AF_INET6 : AF_INET, .table = RT_TABLE_UNSPEC, .action = FR_ACT_TO_TBL};
    struct request r;
    uint8_t protocol = ZT_PROTOCOL;
    uint16_t flags = NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0);
    start(&r, add ? RTM_NEWRULE : RTM_DELRULE, flags, &rule, sizeof rule);
    attribute32(&r, FRA_PRIORITY, priority);
    attribute32(&r, FRA_FWMARK, mark);
    attribute32(&r, FRA_FWMASK, 0xffffffff);
    attribute32(&r, FRA_TABLE, table);
    if (add) attribute(&r, FRA_PROTOCOL, &protocol, sizeof protocol);
    return change(&r, add);
}

static int policy_rule(int add, int ipv6, const struct zt_policy_rule *rule) {
    struct fib_rule_hdr header = {
        .family = ipv6 ? AF_INET6 : AF_INET,
        .dst_len = rule->length,
        .action = rule->table ? FR_ACT_TO_TBL : rule->target ? FR_ACT_GOTO : FR_ACT_NOP,
    };
    struct request r;
    uint8_t protocol = ZT_PROTOCOL, tcp = IPPROTO_TCP;
    uint16_t flags = NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0);
    start(&r, add ? RTM_NEWRULE : RTM_DELRULE, flags, &header, sizeof header);
    attribute32(&r, FRA_PRIORITY, rule->priority);
    attribute(&r, FRA_PROTOCOL, &protocol, sizeof protocol);
    if (rule->table) attribute32(&r, FRA_TABLE, rule->table);
    if (rule->target) attribute32(&r, FRA_GOTO, rule->target);
    if (rule->mark) {
        attribute32(&r, FRA_FWMARK, rule->mark);
        attribute32(&r, FRA_FWMASK, 0xffffffff);
    }
    if (rule->local_tcp) {
        attribute(&r, FRA_IIFNAME, "lo", 3);
        attribute(&r, FRA_IP_PROTO, &tcp, sizeof tcp);
    }
    if (rule->length) attribute(&r, FRA_DST, ipv6 ? rule->destination : rule->destination + 12, ipv6 ? 16 : 4);
    return change(&r, add);
}

int zt_add_rule(int ipv6, const struct zt_policy_rule *rule) { return policy_rule(1, ipv6, rule); }

int zt_remove_rule(int ipv6, const struct zt_policy_rule *rule) { return policy_rule(0, ipv6, rule); }

int zt_remove_own_rule(int ipv6, uint32_t priority) {
    struct fib_rule_hdr header = {.family = ipv6 ? AF_INET6 : AF_INET};
    struct request r;
    uint8_t protocol = ZT_PROTOCOL;
    start(&r, RTM_DELRULE, NLM_F_ACK, &header, sizeof header);
    attribute32(&r, FRA_PRIORITY, priority);
    attribute(&r, FRA_PROTOCOL, &protocol, sizeof protocol);
    return change(&r, 0);
}

int zt_local_route(int add, int ipv6, uint32_t table) {
    struct rtmsg route = {
        .rtm_family = ipv6 ? AF_INET6 : AF_INET,
        .rtm_table = RT_TABLE_UNSPEC,
        .rtm_protocol = ZT_PROTOCOL,
        .rtm_scope = ipv6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_HOST,
        .rtm_type = RTN_LOCAL,
    };
    struct request r;
    uint16_t flags = NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0);
    start(&r, add ? RTM_NEWROUTE : RTM_DELROUTE, flags, &route, sizeof route);
    attribute32(&r, RTA_TABLE, table);
    attribute32(&r, RTA_OIF, LOOPBACK);
    return change(&r, add);
}

int zt_captured_route(int action, int ipv6, uint32_t table, uint32_t interface, uint32_t metric, const uint8_t source[16]) {
    struct rtmsg route = {
        .rtm_family = ipv6 ? AF_INET6 : AF_INET,
        .rtm_table = RT_TABLE_UNSPEC,
        .rtm_protocol = ZT_PROTOCOL,
        .rtm_scope = ipv6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_HOST,
        .rtm_type = RTN_LOCAL,
    };
    struct request r;
    uint16_t flags = NLM_F_ACK;
    if (action == ZT_ADD) flags |= NLM_F_CREATE | NLM_F_EXCL;
    if (action == ZT_REPLACE) flags |= NLM_F_CREATE | NLM_F_REPLACE;
    start(&r, action ? RTM_NEWROUTE : RTM_DELROUTE, flags, &route, sizeof route);
    attribute32(&r, RTA_TABLE, table);
    attribute32(&r, RTA_OIF, interface);
    attribute32(&r, RTA_PRIORITY, metric);
    attribute(&r, RTA_PREFSRC, ipv6 ? source : source + 12, ipv6 ? 16 : 4);
    return change(&r, action);
}

int zt_remove_own_route(int ipv6, uint32_t table) {
    struct rtmsg route = {
        .rtm_family = ipv6 ? AF_INET6 : AF_INET,
        .rtm_table = RT_TABLE_UNSPEC,
        .rtm_protocol = ZT_PROTOCOL,
        .rtm_scope = RT_SCOPE_NOWHERE,
    };
    struct request r;
    start(&r, RTM_DELROUTE, NLM_F_ACK, &route, sizeof route);
    attribute32(&r, RTA_TABLE, table);
    return change(&r, 0);
}

int zt_flush_table(int ipv6, uint32_t table) {
    int count = 0;
    for (; count < 64; count++) {
        int result = zt_remove_own_route(ipv6, table);
        if (result < 0) return result;
        if (result == 0) break;
    }
    return count;
}

// TEST-NET-1 and the documentation prefix: nobody's addresses.
static const uint8_t far4[4] = {192, 0, 2, 1};
static const uint8_t far6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static void store(uint8_t out[16], const void *data, int ipv6) {
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    memcpy(ipv6 ? out : out + 12, data, ipv6 ? 16 : 4);
}

int zt_usual_source(int ipv6, struct zt_interface_address *source) {
    struct rtmsg route = {.rtm_family = ipv6 ? AF_INET6 : AF_INET, .rtm_dst_len = ipv6 ? 128 : 32};
    struct request r;
    start(&r, RTM_GETROUTE, 0, &route, sizeof route);
    attribute(&r, RTA_DST, ipv6 ? far6 : far4, ipv6 ? 16 : 4);
    char answer[4096] __attribute__((aligned(8)));
    int size = ask(NETLINK_ROUTE, &r, answer, sizeof answer);
    if (size < 0) return size;
    const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
    const struct rtmsg *found = NLMSG_DATA(header);
    if (header->nlmsg_type != RTM_NEWROUTE || size < (int)NLMSG_LENGTH(sizeof *found)) return -EBADMSG;
    if (found->rtm_type != RTN_UNICAST) return -ENETUNREACH;
    int left = RTM_PAYLOAD(header), known = 0;
    for (const struct rtattr *a = RTM_RTA(found); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) >= 4) memcpy(&source->interface, RTA_DATA(a), 4);
        if (a->rta_type != RTA_PREFSRC || RTA_PAYLOAD(a) < (ipv6 ? 16u : 4u)) continue;
        store(source->ip, RTA_DATA(a), ipv6);
        known = 1;
    }
    return known ? 0 : -ENETUNREACH;
}

static int take_address(const struct nlmsghdr *header, struct zt_interface_address *out) {
    const struct ifaddrmsg *message = NLMSG_DATA(header);
    if (header->nlmsg_type != RTM_NEWADDR || message->ifa_index == LOOPBACK) return 0;
    int ipv6 = message->ifa_family == AF_INET6, known = 0;
    if (!ipv6 && message->ifa_family != AF_INET) return 0;
    int left = IFA_PAYLOAD(header);
    for (const struct rtattr *a = IFA_RTA(message); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (RTA_PAYLOAD(a) < (ipv6 ? 16u : 4u)) continue;
        // On a point-to-point interface IFA_ADDRESS is the other side's, and IFA_LOCAL ours.
        if (a->rta_type != IFA_LOCAL && (a->rta_type != IFA_ADDRESS || known)) continue;
        store(out->ip, RTA_DATA(a), ipv6);
        known = 1;
    }
    out->interface = message->ifa_index;
    return known;
}

// Asks for a list and gives each of its messages to `take`, until one answers negatively or the list ends.
static int list_of(int protocol, struct request *r, int (*take)(const struct nlmsghdr *, void *), void *context) {
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct timeval limit = {.tv_sec = 2};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), result = 1;
    if (fd < 0) return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (sendto(fd, r, r->header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0) result = -errno;
    char answer[16384] __attribute__((aligned(8)));
    while (result == 1) {
        ssize_t n = recv(fd, answer, sizeof answer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            result = errno == EAGAIN ? -ETIMEDOUT : -errno;
            break;
        }
        unsigned left = (unsigned)n;
        for (const struct nlmsghdr *h = (const struct nlmsghdr *)answer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE) result = 0;
            else if (h->nlmsg_type == NLMSG_ERROR) result = ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
            else if (take(h, context) < 0) result = 0;
        }
    }
    close(fd);
    return result;
}

static int list(struct request *r, int (*take)(const struct nlmsghdr *, void *), void *context) {
    return list_of(NETLINK_ROUTE, r, take, context);
}

struct address_list {
    struct zt_interface_address *addresses;
    int capacity, count;
};

static int keep_address(const struct nlmsghdr *h, void *context) {
    struct address_list *l = context;
    struct zt_interface_address one;
    if (!take_address(h, &one)) return 0;
    if (l->count < l->capacity) l->addresses[l->count] = one;
    l->count++;
    return 0;
}

int zt_interface_addresses(struct zt_interface_address *addresses, int capacity) {
    struct ifaddrmsg all = {.ifa_family = AF_UNSPEC};
    struct address_list found = {.addresses = addresses, .capacity = capacity};
    struct request r;
    start(&r, RTM_GETADDR, NLM_F_DUMP, &all, sizeof all);
    int result = list(&r, keep_address, &found);
    return result < 0 ? result : found.count;
}

static int keep_forwarder(const struct nlmsghdr *h, void *context) {
    char *name = context;
    const char *label = NULL;
    int virtual = 0, left = IFLA_PAYLOAD(h);
    if (h->nlmsg_type != RTM_NEWLINK || name[0]) return 0;
    for (const struct rtattr *a = IFLA_RTA(NLMSG_DATA(h)); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFLA_IFNAME && RTA_PAYLOAD(a) > 0 && RTA_PAYLOAD(a) <= 16) label = RTA_DATA(a);
        if (a->rta_type != IFLA_LINKINFO) continue;
        int inner = (int)RTA_PAYLOAD(a);
        for (const struct rtattr *b = RTA_DATA(a); RTA_OK(b, inner); b = RTA_NEXT(b, inner)) {
            if (b->rta_type != IFLA_INFO_KIND || RTA_PAYLOAD(b) < 3) continue;
            const char *kind = RTA_DATA(b);
            virtual = strncmp(kind, "tun", RTA_PAYLOAD(b)) == 0 || strncmp(kind, "bridge", RTA_PAYLOAD(b)) == 0;
        }
    }
    if (virtual && label) strncpy(name, label, 15);
    return 0;
}

int zt_forwarding_interface(char *name) {
    struct ifinfomsg all = {.ifi_family = AF_UNSPEC};
    struct request r;
    memset(name, 0, 16);
    start(&r, RTM_GETLINK, NLM_F_DUMP, &all, sizeof all);
    int result = list(&r, keep_forwarder, name);
    return result < 0 ? result : name[0] != 0;
}

int zt_marked_route_is_local(int ipv6, uint32_t mark) {
    struct rtmsg route = {.rtm_family = ipv6 ? AF_INET6 : AF_INET, .rtm_dst_len = ipv6 ? 128 : 32};
    struct request r;
    start(&r, RTM_GETROUTE, 0, &route, sizeof route);
    attribute(&r, RTA_DST, ipv6 ? far6 : far4, ipv6 ? 16 : 4);
    attribute32(&r, RTA_MARK, mark);
    uint8_t tcp = IPPROTO_TCP;
    attribute(&r, RTA_IP_PROTO, &tcp, sizeof tcp);
    char answer[4096] __attribute__((aligned(8)));
    int size = ask(NETLINK_ROUTE, &r, answer, sizeof answer);
    if (size == -ENETUNREACH || size == -EHOSTUNREACH || size == -ENETDOWN) return 0;
    if (size < 0) return size;
    const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
    if (header->nlmsg_type != RTM_NEWROUTE || size < (int)NLMSG_LENGTH(sizeof(struct rtmsg))) return -EBADMSG;
    return ((const struct rtmsg *)NLMSG_DATA(header))->rtm_type == RTN_LOCAL;
}

int zt_nft_generation(uint32_t *generation) {
    struct nfgenmsg message = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
    struct request r;
    start(&r, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, &message, sizeof message);
    char answer[4096] __attribute__((aligned(8)));
    int size = ask(NETLINK_NETFILTER, &r, answer, sizeof answer);
    if (size < 0) return size;
    int left = size - (int)NLMSG_LENGTH(sizeof message);
    const struct rtattr *a = (const struct rtattr *)(answer + NLMSG_LENGTH(sizeof message));
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type != NFTA_GEN_ID || RTA_PAYLOAD(a) < 4) continue;
        uint32_t value;
        memcpy(&value, RTA_DATA(a), 4);
        *generation = ntohl(value);
        return 0;
    }
    return -EBADMSG;
}

struct connection_list {
    struct zt_tcp_connection *connections;
    int capacity, count;
};

static int is_loopback(const uint8_t ip[16]) {
    static const uint8_t one[16] = {[15] = 1}, mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip, one, 16) == 0 || (memcmp(ip, mapped, 12) == 0 && ip[12] == 127);
}

static int keep_connection(const struct nlmsghdr *h, void *context) {
    struct connection_list *l = context;
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < NLMSG_LENGTH(sizeof *m)) return 0;
    struct zt_tcp_connection one;
    int ipv6 = m->idiag_family == AF_INET6;
    store(one.local, m->id.idiag_src, ipv6);
    store(one.remote, m->id.idiag_dst, ipv6);
    if (is_loopback(one.local) || is_loopback(one.remote) || memcmp(one.local, one.remote, 16) == 0) return 0;
    one.local_port = ntohs(m->id.idiag_sport);
    one.remote_port = ntohs(m->id.idiag_dport);
    one.cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
    if (l->count < l->capacity) l->connections[l->count] = one;
    l->count++;
    return 0;
}

int zt_tcp_connections(struct zt_tcp_connection *connections, int capacity) {
    // ESTABLISHED, SYN_SENT, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT: the numbers of RFC 793's states in the kernel.
    const uint32_t states = 1u << 1 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 8;
    struct connection_list found = {.connections = connections, .capacity = capacity};
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct inet_diag_req_v2 all = {
            .sdiag_family = ipv6 ? AF_INET6 : AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = states};
        struct request r;
        start(&r, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &all, sizeof all);
        int result = list_of(NETLINK_SOCK_DIAG, &r, keep_connection, &found);
        // A kernel without IPv6 has no list of it.
        if (result < 0 && !(ipv6 && result == -ENOENT)) return result;
    }
    return found.count;
}

struct marked_listeners {
    uint32_t mark;
    int count;
};

static int look_at_listener(const struct nlmsghdr *h, void *context) {
    struct marked_listeners *l = context;
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < NLMSG_LENGTH(sizeof *m)) return 0;
    const struct rtattr *a = (const void *)(m + 1);
    int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof *m));
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        uint32_t mark;
        if (a->rta_type != INET_DIAG_MARK || RTA_PAYLOAD(a) < sizeof mark) continue;
        memcpy(&mark, RTA_DATA(a), sizeof mark);
        if (mark == l->mark) l->count++;
    }
    return 0;
}

int zt_marked_listeners(uint32_t mark) {
    struct marked_listeners wanted = {.mark = mark};
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        // LISTEN, as above.
        struct inet_diag_req_v2 all = {
            .sdiag_family = ipv6 ? AF_INET6 : AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1u << 10};
        struct request r;
        start(&r, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &all, sizeof all);
        int result = list_of(NETLINK_SOCK_DIAG, &r, look_at_listener, &wanted);
        if (result < 0 && !(ipv6 && result == -ENOENT)) return result;
    }
    return wanted.count;
}

int zt_nft_has_table(const char *name) {
    struct nfgenmsg message = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
    struct request r;
    start(&r, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0, &message, sizeof message);
    attribute(&r, NFTA_TABLE_NAME, name, (uint16_t)(strlen(name) + 1));
    char answer[4096] __attribute__((aligned(8)));
    int size = ask(NETLINK_NETFILTER, &r, answer, sizeof answer);
    if (size == -ENOENT) return 0;
    return size < 0 ? size : 1;
}

static int notices(int protocol, uint32_t groups) {
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), size = 32768;
    if (fd < 0) return -errno;
    // What is said does not matter, only that something was: a full buffer says it as well.
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int result = -errno;
    close(fd);
    return result;
}

static uint32_t group(unsigned number) { return 1u << (number - 1); }

int zt_route_notices(void) {
    return notices(
        NETLINK_ROUTE, group(RTNLGRP_LINK) | group(RTNLGRP_IPV4_IFADDR) | group(RTNLGRP_IPV4_ROUTE) |
                           group(RTNLGRP_IPV4_RULE) | group(RTNLGRP_IPV6_IFADDR) | group(RTNLGRP_IPV6_ROUTE) |
                           group(RTNLGRP_IPV6_RULE));
}

int zt_nft_notices(void) { return notices(NETLINK_NETFILTER, group(NFNLGRP_NFTABLES)); }

int zt_take_notices(int fd) {
    char buffer[64];
    int heard = 0;
    // Bounded, since a pod may change its routes without end: what is left is taken next time.
    for (int i = 0; i < 512; i++) {
        ssize_t n = recv(fd, buffer, sizeof buffer, MSG_TRUNC);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != ENOBUFS) return errno == EAGAIN ? heard : -errno;
        heard = 1;
    }
    return heard;
}
