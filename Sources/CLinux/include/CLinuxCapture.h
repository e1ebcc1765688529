// Shims for capture: policy routing over rtnetlink, the nf_tables generation, small files of /proc, child programs.
// All act in the calling thread's network namespace. They return a non-negative result or -errno.
#pragma once
#include <stddef.h>
#include <stdint.h>

// The descriptor of the network namespace that the calling thread stays in for several steps, -1 when none; and a note that it
// begins or ends to. Meanwhile one netlink socket serves all questions about routes.
int zt_inside_net(void);
void zt_set_inside_net(int fd);

// Adds or removes "fwmark MARK lookup TABLE pref PRIORITY"; 1 when that changed something, 0 when it was so already.
int zt_fwmark_rule(int add, int ipv6, uint32_t mark, uint32_t table, uint32_t priority);
// A policy rule of ours. With neither table nor target it does nothing, and is there for others to lead to.
struct zt_policy_rule {
    uint32_t priority;
    // Looks up this table, or goes on behind the rule of this preference.
    uint32_t table, target;
    // Packets with this mark only; 0 for all.
    uint32_t mark;
    // Only TCP that the namespace's own programs send.
    int local_tcp;
    // Destinations of this range only, IPv4 in the last four bytes; length 0 for all.
    uint8_t destination[16];
    uint8_t length;
};
// Adds it; 1 when that changed something, 0 when it was so already.
int zt_add_rule(int ipv6, const struct zt_policy_rule *rule);
// Removes it.
int zt_remove_rule(int ipv6, const struct zt_policy_rule *rule);
// Removes one rule of ours (protocol 90) of a preference, whatever it is; 0 when there was none.
int zt_remove_own_rule(int ipv6, uint32_t priority);
// Adds or removes "local default dev lo table TABLE"; 1 when that changed something, 0 when it was so already.
int zt_local_route(int add, int ipv6, uint32_t table);
// Removes one route of ours (protocol 90) from a table, whatever its type and interface; 0 when there was none.
int zt_remove_own_route(int ipv6, uint32_t table);
// Whether a TCP packet with the mark to an address that is nobody's would be delivered locally.
int zt_marked_route_is_local(int ipv6, uint32_t mark);
// An address of an interface, 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
struct zt_interface_address {
    uint8_t ip[16];
    uint32_t interface;
};

// All addresses of all interfaces but lo; returns how many there are, of which at most capacity are stored.
int zt_interface_addresses(struct zt_interface_address *addresses, int capacity);
// The source address that a connection without a mark to somewhere far away would have; -ENETUNREACH when there is no way.
int zt_usual_source(int ipv6, struct zt_interface_address *source);
// Adds (ZT_ADD), replaces or removes "local default dev INTERFACE src SOURCE metric METRIC table TABLE"; 1 when that changed
// something. A route with another source counts as there when adding, and is replaced without a gap when replacing.
enum { ZT_REMOVE = 0, ZT_ADD = 1, ZT_REPLACE = 2 };
int zt_captured_route(int action, int ipv6, uint32_t table, uint32_t interface, uint32_t metric, const uint8_t source[16]);
// Finds the first bridge or TUN/TAP interface: 1 and its name (16 bytes), or 0.
int zt_forwarding_interface(char *name);
// Removes all routes of ours from a table, at most 64; returns how many.
int zt_flush_table(int ipv6, uint32_t table);
// The generation of the nf_tables ruleset: it changes with every change that anyone makes.
int zt_nft_generation(uint32_t *generation);

// A TCP connection of the network namespace; addresses as above, ports in host order.
struct zt_tcp_connection {
    uint8_t local[16], remote[16];
    uint16_t local_port, remote_port;
    // What the kernel calls the socket, for as long as it lives.
    uint64_t cookie;
};

// The connections that are open or being opened, without those over loopback; returns how many, of which at most capacity
// are stored.
int zt_tcp_connections(struct zt_tcp_connection *connections, int capacity);

// How many TCP sockets listen that have the mark. Takes CAP_NET_ADMIN, without which the kernel tells no marks.
int zt_marked_listeners(uint32_t mark);

// Whether nf_tables has the table of that name in the family inet: 1 or 0.
int zt_nft_has_table(const char *name);

// A socket that hears of every change of links, addresses, routes and routing rules.
int zt_route_notices(void);
// A socket that hears of every change of nf_tables; -EPROTONOSUPPORT where the kernel has none.
int zt_nft_notices(void);
// Takes what a socket of the two above has heard: 1 when that was anything (also when too much came), 0 when nothing.
int zt_take_notices(int fd);

// Reads up to capacity bytes of a small file; returns the count.
int zt_read_file(const char *path, char *buffer, int capacity);
// Writes into an existing file.
int zt_write_file(const char *path, const char *text, int count);
// Opens a file of one line, to be written if that may be, else *obstacle has the error's number; found gets the line, as a string
// without its end. Returns a descriptor, the caller's.
int zt_open_setting(const char *path, char *found, int capacity, int *obstacle);
int zt_write_setting(int fd, const char *value);
// Opens a network namespace by path; -EINVAL when the file is something else. Never blocks, not on a FIFO either.
int zt_open_net_namespace(const char *path);
// The network namespace of the calling thread.
int zt_open_own_net_namespace(void);
// Whether the interface lo is up: 1 or 0.
int zt_loopback_is_up(void);

// Runs a program found on PATH with the given standard input, in the calling thread's network namespace, and waits.
// Standard output and error together go to output (the first capacity bytes; *count says how many). Returns the exit
// status, 256 + signal when a signal ended it, -ETIMEDOUT after it was killed for taking too long.
int zt_run_program(const char *const *arguments, const char *input, int input_count, char *output, int capacity, int *count,
                   int timeout_ms);
