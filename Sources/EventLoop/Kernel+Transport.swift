internal import CLinux
package import Telemetry

extension Kernel {
    /// What the kernel has measured of a TCP connection; nil when the descriptor is none.
    package static func legFigures(_ fd: Int32) -> LegFigures? {
        var raw = zt_tcp_figures()
        guard zt_tcp_figures(fd, &raw) == 0 else { return nil }
        return LegFigures(
            roundTripMicroseconds: raw.round_trip_us, roundTripVarianceMicroseconds: raw.round_trip_variance_us,
            shortestRoundTripMicroseconds: raw.shortest_round_trip_us, retransmits: raw.retransmits,
            deliveryRate: raw.delivery_rate)
    }

    /// How long an accepted connection has stood whose side nothing was sent from, nanoseconds in steps of the kernel's
    /// tick (1 to 10 ms); 0 when the kernel does not say.
    package static func acceptedAge(_ fd: Int32) -> UInt64 {
        var raw = zt_tcp_figures()
        guard zt_tcp_figures(fd, &raw) == 0 else { return 0 }
        return UInt64(raw.last_sent_ms) * 1_000_000
    }
}
