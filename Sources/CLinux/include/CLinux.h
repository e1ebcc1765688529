// Thin C shims over Linux calls and constants that Swift cannot import. Prefix zt_.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

// A socket address of either family, 128-bit host-order form (IPv4 as v4-mapped).
struct zt_address {
    uint64_t high;
    uint64_t low;
    uint16_t port;
};

enum { ZT_EPOLLIN = 1, ZT_EPOLLPRI = 2, ZT_EPOLLOUT = 4, ZT_EPOLLERR = 8, ZT_EPOLLHUP = 16, ZT_EPOLLRDHUP = 0x2000 };

// All functions return a non-negative result or -errno.
int zt_epoll_create(void);
int zt_epoll_add(int epoll, int fd, uint32_t events, uint64_t cookie);
int zt_epoll_modify(int epoll, int fd, uint32_t events, uint64_t cookie);
int zt_epoll_remove(int epoll, int fd);
int zt_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout_ms);
uint64_t zt_epoll_cookie(const struct epoll_event *event);
uint32_t zt_epoll_edge_triggered(void);
uint32_t zt_epoll_exclusive(void);

int zt_eventfd(void);
int zt_eventfd_signal(int fd);
int zt_eventfd_clear(int fd);
uint64_t zt_monotonic_ns(void);
uint64_t zt_realtime_ns(void);

int zt_socket_tcp(int ipv6);
int zt_socket_udp(int ipv6);
int zt_accept(int fd, struct zt_address *peer);
int zt_bind(int fd, const struct zt_address *address, int ipv6);
int zt_listen(int fd, int backlog);
int zt_connect(int fd, const struct zt_address *address, int ipv6);
int zt_local_address(int fd, struct zt_address *address);
int zt_peer_address(int fd, struct zt_address *address);
// SO_ORIGINAL_DST of either family; -ENOENT when conntrack knows nothing of the socket.
int zt_original_destination(int fd, struct zt_address *address);
int zt_socket_error(int fd);
int zt_shutdown_write(int fd);
// What TCP_INFO says of a connection.
struct zt_tcp_figures {
    uint32_t round_trip_us;
    uint32_t round_trip_variance_us;
    uint32_t shortest_round_trip_us;
    uint32_t retransmits;
    // Bytes per second.
    uint64_t delivery_rate;
    // Since data was last sent; where none was, since the connection stood.
    uint32_t last_sent_ms;
};
int zt_tcp_figures(int fd, struct zt_tcp_figures *figures);

int zt_set_nodelay(int fd);
int zt_set_reuseport(int fd);
int zt_set_reuseaddr(int fd);
int zt_set_v6only(int fd, int on);
int zt_set_mark(int fd, uint32_t mark);
int zt_set_transparent(int fd, int ipv6);
int zt_set_freebind(int fd, int ipv6);
int zt_set_device(int fd, const char *name);
int zt_set_keepalive(int fd, int idle_s, int interval_s, int probes);
// Makes close() send RST and drop what is queued.
int zt_set_reset_on_close(int fd);

ssize_t zt_read(int fd, void *buffer, size_t count);
// recv(2) with MSG_PEEK.
ssize_t zt_peek(int fd, void *buffer, size_t count);
// FIONREAD.
ssize_t zt_pending_bytes(int fd);
ssize_t zt_write(int fd, const void *buffer, size_t count);
// vector: an array of struct iovec.
ssize_t zt_writev(int fd, const void *vector, int count);
int zt_close(int fd);

int zt_open_read(const char *path);
// Enters the network namespace behind fd, for the calling thread only.
int zt_setns_net(int fd);
// st_dev and st_ino of an open descriptor.
int zt_identity(int fd, uint64_t *device, uint64_t *inode);
int zt_is_net_namespace(int fd);
int zt_raise_descriptor_limit(void);
// The soft limit of descriptors, at most INT_MAX, or -errno.
int zt_descriptor_limit(void);
// The number that the next descriptor would have; duplicates and closes `fd` to find it. -errno when there is none.
int zt_next_descriptor(int fd);
// Bytes, or -errno.
long zt_resident_memory(void);
// Bytes that malloc has given out in all arenas and not got back.
size_t zt_heap_in_use(void);
void zt_return_free_memory(void);
// Unmaps the pages of code that nobody has needed since; they come back one by one where it runs.
void zt_return_code(void);
void zt_keep_little_free_memory(void);
int zt_block_sigpipe(void);
// Lowers the calling thread's weight by five steps of niceness and asks for slices of 0.1 ms.
void zt_give_way(void);
// Names the calling thread; the kernel keeps 15 bytes.
void zt_set_thread_name(const char *name);

// Unix domain stream sockets.
int zt_unix_listen(const char *path, int backlog, unsigned mode);
int zt_unix_accept(int fd);
int zt_unix_connect(const char *path);
// uid of the peer of a connected Unix socket.
int zt_unix_peer_uid(int fd, uint32_t *uid);

// Unix domain sockets that keep messages apart and carry open descriptors with them (SOCK_SEQPACKET, SCM_RIGHTS).
// Their calls block, for at most the limit where one is set.
int zt_packet_listen(const char *path, unsigned mode);
int zt_packet_accept(int fd);
int zt_packet_connect(const char *path);
int zt_packet_set_limit(int fd, int milliseconds);
int zt_packet_send(int fd, const void *bytes, size_t count, const int *descriptors, int descriptor_count);
// Returns the message's size, 0 at the end; -EMSGSIZE when the message or its descriptors were more than fits, all of
// which are closed then.
ssize_t zt_packet_receive(int fd, void *buffer, size_t capacity, int *descriptors, int descriptor_capacity,
                          int *descriptor_count);
int zt_unix_peer_pid(int fd, int *pid);
// Makes a descriptor number mean nothing any more (/dev/null) without freeing the number.
int zt_blank(int fd);
// 1 when the descriptor is readable or at its end, 0 when the time is over.
int zt_wait_readable(int fd, int milliseconds);
// Waits until any of them is; 1 when the first is, else 0. At most 64 are looked at.
int zt_wait_any(const int *descriptors, int count, int milliseconds);

// Errno names: "ECONNREFUSED".
const char *zt_errno_name(int error);

#include "CLinuxCapture.h"
