#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4.h>
#include <malloc.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define CHECK(call)            \
    do {                       \
        long zt_r;             \
        do                     \
            zt_r = (call);     \
        while (zt_r < 0 && errno == EINTR); \
        return zt_r < 0 ? -errno : zt_r;    \
    } while (0)

int zt_epoll_create(void) { CHECK(epoll_create1(EPOLL_CLOEXEC)); }
static int control(int epoll, int op, int fd, uint32_t events, uint64_t cookie) {
    struct epoll_event event = {.events = events, .data = {.u64 = cookie}};
    CHECK(epoll_ctl(epoll, op, fd, &event));
}
int zt_epoll_add(int epoll, int fd, uint32_t events, uint64_t cookie) { return control(epoll, EPOLL_CTL_ADD, fd, events, cookie); }
int zt_epoll_modify(int epoll, int fd, uint32_t events, uint64_t cookie) { return control(epoll, EPOLL_CTL_MOD, fd, events, cookie); }
int zt_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }
int zt_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout_ms) {
    int n = epoll_wait(epoll, events, capacity, timeout_ms);
    return n < 0 ? (errno == EINTR ? 0 : -errno) : n;
}
uint64_t zt_epoll_cookie(const struct epoll_event *event) { return event->data.u64; }
uint32_t zt_epoll_edge_triggered(void) { return 1u << 31; }
uint32_t zt_epoll_exclusive(void) { return 1u << 28; }

int zt_eventfd(void) { CHECK(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
int zt_eventfd_signal(int fd) {
    uint64_t one = 1;
    CHECK(write(fd, &one, sizeof one));
}
int zt_eventfd_clear(int fd) {
    uint64_t value;
    CHECK(read(fd, &value, sizeof value));
}
static uint64_t nanoseconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}
uint64_t zt_monotonic_ns(void) { return nanoseconds(CLOCK_MONOTONIC); }
uint64_t zt_realtime_ns(void) { return nanoseconds(CLOCK_REALTIME); }

static int is_v4(const struct zt_address *a) { return a->high == 0 && a->low >> 32 == 0xffff; }

// Writes the address for a socket of the given family; an IPv4 address on an IPv6 socket stays v4-mapped.
static socklen_t pack(const struct zt_address *a, int ipv6, struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (!ipv6) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        in->sin_addr.s_addr = htonl((uint32_t)a->low);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    uint64_t words[2] = {__builtin_bswap64(a->high), __builtin_bswap64(a->low)};
    memcpy(&in6->sin6_addr, words, 16);
    return sizeof *in6;
}

static int unpack(const struct sockaddr_storage *in, struct zt_address *out) {
    if (in->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)in;
        out->high = 0;
        out->low = 0xffff00000000ull | ntohl(v4->sin_addr.s_addr);
        out->port = ntohs(v4->sin_port);
        return 0;
    }
    if (in->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)in;
        uint64_t words[2];
        memcpy(words, &v6->sin6_addr, 16);
        out->high = __builtin_bswap64(words[0]);
        out->low = __builtin_bswap64(words[1]);
        out->port = ntohs(v6->sin6_port);
        return 0;
    }
    return -EAFNOSUPPORT;
}

int zt_socket_tcp(int ipv6) { CHECK(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP)); }
int zt_socket_udp(int ipv6) { CHECK(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }
int zt_accept(int fd, struct zt_address *peer) {
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    int s;
    do
        s = accept4(fd, (struct sockaddr *)&storage, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (s < 0 && errno == EINTR);
    if (s < 0) return -errno;
    if (unpack(&storage, peer) < 0) memset(peer, 0, sizeof *peer);
    return s;
}
int zt_bind(int fd, const struct zt_address *address, int ipv6) {
    struct sockaddr_storage storage;
    socklen_t size = pack(address, ipv6, &storage);
    CHECK(bind(fd, (struct sockaddr *)&storage, size));
}
int zt_listen(int fd, int backlog) { CHECK(listen(fd, backlog)); }
int zt_connect(int fd, const struct zt_address *address, int ipv6) {
    struct sockaddr_storage storage;
    if (!ipv6 && !is_v4(address)) return -EAFNOSUPPORT;
    socklen_t size = pack(address, ipv6, &storage);
    int r = connect(fd, (struct sockaddr *)&storage, size);
    return r < 0 ? (errno == EINTR ? -EINPROGRESS : -errno) : 0;
}
int zt_local_address(int fd, struct zt_address *address) {
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &size) < 0) return -errno;
    return unpack(&storage, address);
}
int zt_peer_address(int fd, struct zt_address *address) {
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    if (getpeername(fd, (struct sockaddr *)&storage, &size) < 0) return -errno;
    return unpack(&storage, address);
}
int zt_original_destination(int fd, struct zt_address *address) {
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    // IP6T_SO_ORIGINAL_DST is 80 as well.
    if (getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &storage, &size) == 0) return unpack(&storage, address);
    size = sizeof storage;
    if (getsockopt(fd, SOL_IPV6, SO_ORIGINAL_DST, &storage, &size) == 0) return unpack(&storage, address);
    return -errno;
}
int zt_socket_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return -errno;
    return error;
}
int zt_shutdown_write(int fd) { CHECK(shutdown(fd, SHUT_WR)); }

static int set_int(int fd, int level, int option, int value) { CHECK(setsockopt(fd, level, option, &value, sizeof value)); }
int zt_set_nodelay(int fd) { return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); }
int zt_set_reuseport(int fd) { return set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1); }
int zt_set_reuseaddr(int fd) { return set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1); }
int zt_set_v6only(int fd, int on) { return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, on); }
int zt_set_mark(int fd, uint32_t mark) { return set_int(fd, SOL_SOCKET, SO_MARK, (int)mark); }
int zt_set_transparent(int fd, int ipv6) {
    // SOL_IP works on AF_INET6 sockets too and sets both (measured on Linux 6.18).
    return ipv6 ? set_int(fd, SOL_IPV6, IPV6_TRANSPARENT, 1) : set_int(fd, SOL_IP, IP_TRANSPARENT, 1);
}
int zt_set_freebind(int fd, int ipv6) { return ipv6 ? set_int(fd, SOL_IPV6, 78, 1) : set_int(fd, SOL_IP, IP_FREEBIND, 1); }
int zt_set_device(int fd, const char *name) { CHECK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name))); }
int zt_set_keepalive(int fd, int idle_s, int interval_s, int probes) {
    int r = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (r == 0) r = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
    if (r == 0) r = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
    if (r == 0) r = set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
    return r;
}
int zt_set_reset_on_close(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

ssize_t zt_read(int fd, void *buffer, size_t count) { CHECK(read(fd, buffer, count)); }
ssize_t zt_peek(int fd, void *buffer, size_t count) { CHECK(recv(fd, buffer, count, MSG_PEEK | MSG_DONTWAIT)); }
ssize_t zt_pending_bytes(int fd) {
    int count = 0;
    return ioctl(fd, FIONREAD, &count) < 0 ? -errno : count;
}
ssize_t zt_write(int fd, const void *buffer, size_t count) { CHECK(send(fd, buffer, count, MSG_NOSIGNAL)); }
ssize_t zt_writev(int fd, const void *vector, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)vector, .msg_iovlen = (size_t)count};
    CHECK(sendmsg(fd, &message, MSG_NOSIGNAL));
}
int zt_close(int fd) { return close(fd) < 0 ? -errno : 0; }

int zt_open_read(const char *path) { CHECK(open(path, O_RDONLY | O_CLOEXEC)); }
int zt_setns_net(int fd) { CHECK(setns(fd, CLONE_NEWNET)); }
int zt_identity(int fd, uint64_t *device, uint64_t *inode) {
    struct stat st;
    if (fstat(fd, &st) < 0) return -errno;
    *device = st.st_dev;
    *inode = st.st_ino;
    return 0;
}
int zt_is_net_namespace(int fd) {
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0) return -errno;
    return fs.f_type == 0x6e736673;  // NSFS_MAGIC
}
int zt_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    return limit.rlim_cur > 0x7fffffff ? 0x7fffffff : (int)limit.rlim_cur;
}
int zt_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    return limit.rlim_cur > 0x7fffffff ? 0x7fffffff : (int)limit.rlim_cur;
}
int zt_next_descriptor(int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return -errno;
    close(copy);
    return copy;
}
long zt_resident_memory(void) {
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return -EIO;
    text[n] = 0;
    long pages = 0;
    if (sscanf(text, "%*s %ld", &pages) != 1) return -EIO;
    return pages * sysconf(_SC_PAGESIZE);
}
size_t zt_heap_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
void zt_return_free_memory(void) { malloc_trim(0); }
void zt_return_code(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) return;
    char line[512];
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end, inode;
        char rights[5];
        // Never written to, so that nothing is lost: what is executed next is mapped again, from the page cache.
        if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, rights, &inode) != 4) continue;
        if (inode && strcmp(rights, "r-xp") == 0) madvise((void *)start, end - start, MADV_DONTNEED);
    }
    fclose(maps);
}
void zt_keep_little_free_memory(void) {
    // Left alone, glibc raises both with the largest block ever freed, and every arena keeps up to 64 MiB of free top.
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
}
void zt_set_thread_name(const char *name) { prctl(PR_SET_NAME, (unsigned long)name, 0, 0, 0); }
void zt_give_way(void) {
    // struct sched_attr as of Linux 3.14; glibc 2.41 is the first to have it.
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = 48, .policy = SCHED_OTHER, .runtime = 100000};
    int nice = getpriority(PRIO_PROCESS, 0) + 5;
    attributes.nice = nice > 19 ? 19 : nice;
    // Refused by a kernel or a sandbox: then without the short slice, and if need be without either.
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) setpriority(PRIO_PROCESS, 0, attributes.nice);
}
int zt_block_sigpipe(void) { return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -errno : 0; }

static int unix_address(const char *path, struct sockaddr_un *out) {
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof out->sun_path) return -ENAMETOOLONG;
    strcpy(out->sun_path, path);
    return 0;
}
int zt_unix_listen(const char *path, int backlog, unsigned mode) {
    struct sockaddr_un address;
    int r = unix_address(path, &address);
    if (r < 0) return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, mode) < 0 || listen(fd, backlog) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}
int zt_unix_accept(int fd) { CHECK(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)); }
int zt_unix_connect(const char *path) {
    struct sockaddr_un address;
    int r = unix_address(path, &address);
    if (r < 0) return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}
int zt_unix_peer_uid(int fd, uint32_t *uid) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return -errno;
    *uid = credentials.uid;
    return 0;
}

int zt_unix_peer_pid(int fd, int *pid) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return -errno;
    *pid = credentials.pid;
    return 0;
}

int zt_packet_listen(const char *path, unsigned mode) {
    struct sockaddr_un address;
    int r = unix_address(path, &address);
    if (r < 0) return r;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, mode) < 0 || listen(fd, 4) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}
int zt_packet_accept(int fd) { CHECK(accept4(fd, NULL, NULL, SOCK_CLOEXEC)); }
int zt_packet_connect(const char *path) {
    struct sockaddr_un address;
    int r = unix_address(path, &address);
    if (r < 0) return r;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}
int zt_packet_set_limit(int fd, int milliseconds) {
    struct timeval limit = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0) return -errno;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
}

enum { DESCRIPTORS_MAX = 64 };
union descriptor_control {
    char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    struct cmsghdr header;
};

int zt_packet_send(int fd, const void *bytes, size_t count, const int *descriptors, int descriptor_count) {
    if (descriptor_count > DESCRIPTORS_MAX) return -EMSGSIZE;
    union descriptor_control control;
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (descriptor_count > 0) {
        size_t size = (size_t)descriptor_count * sizeof(int);
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(header), descriptors, size);
    }
    ssize_t r;
    do
        r = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

ssize_t zt_packet_receive(int fd, void *buffer, size_t capacity, int *descriptors, int descriptor_capacity,
                          int *descriptor_count) {
    union descriptor_control control;
    struct iovec vector = {.iov_base = buffer, .iov_len = capacity};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t r;
    *descriptor_count = 0;
    do
        r = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r < 0) return -errno;
    int excess = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < count; i++) {
            int received;
            memcpy(&received, CMSG_DATA(header) + (size_t)i * sizeof(int), sizeof received);
            if (*descriptor_count < descriptor_capacity) {
                descriptors[(*descriptor_count)++] = received;
            } else {
                close(received);
                excess = 1;
            }
        }
    }
    if (!excess) return r;
    for (int i = 0; i < *descriptor_count; i++) close(descriptors[i]);
    *descriptor_count = 0;
    return -EMSGSIZE;
}

int zt_blank(int fd) {
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0) return -errno;
    int r = dup3(nothing, fd, O_CLOEXEC) < 0 ? -errno : 0;
    close(nothing);
    return r;
}

int zt_wait_readable(int fd, int milliseconds) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int r = poll(&entry, 1, milliseconds);
    return r < 0 && errno != EINTR ? -errno : r > 0;
}

int zt_wait_any(const int *descriptors, int count, int milliseconds) {
    struct pollfd entries[64];
    int n = count < 64 ? count : 64;
    for (int i = 0; i < n; i++) entries[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
    int r = poll(entries, (nfds_t)n, milliseconds);
    return r > 0 && n > 0 && entries[0].revents != 0;
}

const char *zt_errno_name(int error) {
    const char *name = strerrorname_np(error);
    return name ? name : "EUNKNOWN";
}
