// TCP_INFO as the kernel of today has it: <netinet/tcp.h> of the C library ends before the delivery rate.
#include "CLinux.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int zt_tcp_figures(int fd, struct zt_tcp_figures *figures) {
    struct tcp_info info;
    memset(&info, 0, sizeof info);
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return -errno;
    figures->round_trip_us = info.tcpi_rtt;
    figures->round_trip_variance_us = info.tcpi_rttvar;
    // An older kernel writes less; what it does not write is 0.
    figures->shortest_round_trip_us = info.tcpi_min_rtt == ~0u ? 0 : info.tcpi_min_rtt;
    figures->retransmits = info.tcpi_total_retrans;
    figures->delivery_rate = info.tcpi_delivery_rate;
    figures->last_sent_ms = info.tcpi_last_data_sent;
    return 0;
}
