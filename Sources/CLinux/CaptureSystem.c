// Kernel settings, namespaces and programs that a capture needs beside netlink.
#define _GNU_SOURCE
#include "CLinuxCapture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int zt_read_file(const char *path, char *buffer, int capacity) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t n = read(fd, buffer, (size_t)capacity);
    int result = n < 0 ? -errno : (int)n;
    close(fd);
    return result;
}

int zt_write_file(const char *path, const char *text, int count) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    int result = write(fd, text, (size_t)count) == count ? 0 : -errno;
    close(fd);
    return result;
}

int zt_open_setting(const char *path, char *found, int capacity, int *obstacle) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    *obstacle = fd < 0 ? errno : 0;
    // What cannot be written may be right as it is.
    if (fd < 0) fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t n = pread(fd, found, (size_t)capacity - 1, 0);
    if (n < 0) {
        int result = -errno;
        close(fd);
        return result;
    }
    found[n] = 0;
    found[strcspn(found, "\n")] = 0;
    return fd;
}

int zt_write_setting(int fd, const char *value) {
    size_t size = strlen(value);
    return pwrite(fd, value, size, 0) == (ssize_t)size ? 0 : -errno;
}

int zt_open_net_namespace(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return -errno;
    struct statfs fs;
    if (fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC && ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET) return fd;
    close(fd);
    return -EINVAL;
}

int zt_open_own_net_namespace(void) {
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int zt_loopback_is_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    int result = ioctl(fd, SIOCGIFFLAGS, &request) < 0 ? -errno : (request.ifr_flags & IFF_UP) != 0;
    close(fd);
    return result;
}

static int64_t milliseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

// Waits for the child; kills and reaps it when the time is up.
static int reap(pid_t child, int timeout_ms) {
    int64_t end = milliseconds() + timeout_ms;
    int watched = (int)syscall(SYS_pidfd_open, child, 0);
    int late = 0;
    if (watched >= 0) {
        struct pollfd p = {.fd = watched, .events = POLLIN};
        int ready;
        do {
            int64_t left = end - milliseconds();
            ready = poll(&p, 1, left > 0 ? (int)left : 0);
        } while (ready < 0 && errno == EINTR);
        late = ready == 0;
        if (late) kill(child, SIGKILL);
        close(watched);
    }
    int status;
    pid_t r;
    do
        r = waitpid(child, &status, 0);
    while (r < 0 && errno == EINTR);
    if (r < 0) return -errno;
    if (late) return -ETIMEDOUT;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int zt_run_program(const char *const *arguments, const char *input, int input_count, char *output, int capacity, int *count,
                   int timeout_ms) {
    extern char **environ;
    *count = 0;
    // Memory files rather than pipes: neither side can block the other.
    int in = memfd_create("input", MFD_CLOEXEC), out = memfd_create("output", MFD_CLOEXEC);
    int result = in < 0 || out < 0 ? -errno : 0;
    if (result == 0 && write(in, input, (size_t)input_count) != input_count) result = -EIO;
    if (result == 0) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, defaults;
        pid_t child;
        lseek(in, 0, SEEK_SET);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in, 0);
        posix_spawn_file_actions_adddup2(&actions, out, 1);
        posix_spawn_file_actions_adddup2(&actions, out, 2);
        sigemptyset(&none);
        sigfillset(&defaults);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &defaults);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        int error = posix_spawnp(&child, arguments[0], &actions, &attributes, (char *const *)arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
        result = error ? -error : reap(child, timeout_ms);
        if (!error) {
            ssize_t n = pread(out, output, (size_t)capacity, 0);
            *count = n > 0 ? (int)n : 0;
        }
    }
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    return result;
}
