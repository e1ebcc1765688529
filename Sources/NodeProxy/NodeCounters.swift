internal import AdminServer
internal import Synchronization

/// What the workers count of rare events, for the metrics; shared by all threads.
final class NodeCounters: Sendable {
    /// Connections whose endpoint had to be looked up by name.
    let lookups = Atomic<UInt64>(0)
    /// Connections that went to another endpoint after one failed.
    let retries = Atomic<UInt64>(0)
    /// Endpoints set aside after a failure.
    let setAside = Atomic<UInt64>(0)

    /// Times a listener stopped accepting for a moment because descriptors or memory were short.
    let acceptPauses = Atomic<UInt64>(0)

    /// Adds one.
    static func count(_ counter: borrowing Atomic<UInt64>) {
        counter.wrappingAdd(1, ordering: .relaxed)
    }

    /// The page's metrics.
    var metrics: [Metric] {
        [
            Metric(
                "istio_on_demand_dns", .counter,
                help: "Connections whose endpoint was looked up by name (unstable)", value: value(lookups)),
            Metric(
                "ztun_connect_retries", .counter, help: "Connections that went to another endpoint after one failed",
                value: value(retries)),
            Metric(
                "ztun_endpoints_set_aside", .counter,
                help: "Times an endpoint was set aside because a connection to it failed", value: value(setAside)),
            Metric(
                "ztun_accept_pauses", .counter,
                help: "Times a listener stopped accepting for a moment for want of descriptors or memory",
                value: value(acceptPauses)),
        ]
    }

    private func value(_ counter: borrowing Atomic<UInt64>) -> Double {
        Double(counter.load(ordering: .relaxed))
    }
}
