internal import MeshModel
package import Telemetry

/// A metrics page while it is written: the Prometheus text format, or OpenMetrics.
package struct MetricsPage {
    private let openMetrics: Bool
    private var bytes: [UInt8] = []

    package init(openMetrics: Bool) {
        self.openMetrics = openMetrics
    }

    package var contentType: String {
        openMetrics
            ? "application/openmetrics-text;charset=utf-8;version=1.0.0" : "text/plain; version=0.0.4; charset=utf-8"
    }

    /// Writes one metric; nothing when it has no sample.
    package mutating func write(_ metric: Metric) {
        guard !metric.samples.isEmpty else { return }
        begin(metric.name, metric.kind, metric.help)
        for sample in metric.samples {
            var labels: [UInt8] = []
            for label in sample.labels { Self.append(label.name, label.value, to: &labels) }
            write(sample: metric.name, metric.kind, labels: labels, number: sample.value)
        }
    }

    /// Writes Istio's TCP metrics, and our refusals.
    package mutating func write(_ traffic: TrafficSnapshot) {
        let isWaypoint = traffic.labels.contains { $0.reporter == .waypoint }
        if !traffic.labels.isEmpty { writeSeries(traffic) }
        write(
            Metric(
                "istio_tcp_sockets_open", .gauge, help: "TCP connections open now",
                samples: Reporter.allCases.filter { ($0 == .waypoint) == isWaypoint }.map {
                    .init(Double(traffic.open($0)), labels: [.init("reporter", $0.rawValue)])
                }))
        let refusals = traffic.refusals.sorted {
            ($0.key.reason.rawValue, $0.key.direction.rawValue) < ($1.key.reason.rawValue, $1.key.direction.rawValue)
        }
        writeRevocations(traffic)
        write(
            Metric(
                "ztun_refusals", .counter, help: "Connections refused or failed, by reason",
                samples: refusals.map { key, count in
                    .init(
                        Double(count),
                        labels: [.init("reason", key.reason.rawValue), .init("direction", key.direction.rawValue)])
                }))
    }

    /// Writes ztunnel's count of peers refused or cut because a revocation list names them.
    package mutating func writeRevocations(_ traffic: TrafficSnapshot) {
        let sides: [(Reporter, Direction)] = [(.destination, .inbound), (.source, .outbound)]
        write(
            Metric(
                "istio_crl_policy_rejections", .counter,
                help: "Connections refused or cut by a certificate revocation list",
                samples: sides.compactMap { reporter, direction in
                    let key = TrafficSnapshot.RefusalKey(reason: .certificateRevoked, direction: direction)
                    guard let count = traffic.refusals[key] else { return nil }
                    return .init(Double(count), labels: [.init("reporter", reporter.rawValue)])
                }))
    }

    private mutating func writeSeries(_ traffic: TrafficSnapshot) {
        let counted: [(name: String, help: String, value: (TrafficCounters) -> UInt64)] = [
            ("istio_tcp_connections_opened", "TCP connections opened", { $0.opened }),
            ("istio_tcp_received_bytes", "Bytes received from clients in requests", { $0.receivedBytes }),
            ("istio_tcp_sent_bytes", "Bytes sent to clients in responses", { $0.sentBytes }),
        ]
        let open = traffic.labels.map { Self.labels($0, .none) }
        for (name, help, value) in counted {
            begin(name, .counter, help)
            for (index, counters) in traffic.counters.enumerated()
            where counters.opened > 0 && !traffic.labels[index].isHTTP {
                let labels = open[index]
                write(sample: name, .counter, labels: labels, number: Double(value(counters)))
            }
        }
        begin("istio_tcp_connections_closed", .counter, "TCP connections closed")
        writeClosed("istio_tcp_connections_closed", traffic, ResponseFlag.allCases)
        begin("istio_tcp_connections_failed", .counter, "TCP connections that failed")
        writeClosed("istio_tcp_connections_failed", traffic, ResponseFlag.allCases.filter { $0 != .none })
    }

    private mutating func writeClosed(_ name: String, _ traffic: TrafficSnapshot, _ flags: [ResponseFlag]) {
        for (labels, counters) in zip(traffic.labels, traffic.counters) where !labels.isHTTP {
            for flag in flags where counters.closed(flag) > 0 {
                write(
                    sample: name, .counter, labels: Self.labels(labels, flag), number: Double(counters.closed(flag)))
            }
        }
    }

    /// The page with its end.
    package consuming func finished() -> [UInt8] {
        if openMetrics { bytes.append(text: "# EOF\n") }
        return bytes
    }

    private mutating func begin(_ name: String, _ kind: Metric.Kind, _ help: String) {
        // The older format names the sample in HELP and TYPE, OpenMetrics the family.
        let family = kind == .counter && !openMetrics ? "\(name)_total" : name
        bytes.append(text: "# HELP \(family) ")
        for byte in help.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes.append(text: "\\\\")
            case 10: bytes.append(text: "\\n")
            default: bytes.append(byte)
            }
        }
        bytes.append(text: "\n# TYPE \(family) \(kind.rawValue)\n")
    }

    private mutating func write(sample name: String, _ kind: Metric.Kind, labels: [UInt8], number: Double) {
        bytes.append(text: name)
        if kind == .counter { bytes.append(text: "_total") }
        if !labels.isEmpty {
            bytes.append(UInt8(ascii: "{"))
            bytes.append(contentsOf: labels)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(32)
        if let whole = Int64(exactly: number) {
            bytes.append(decimal: whole)
        } else {
            bytes.append(text: number.isNaN ? "NaN" : number.isInfinite ? (number < 0 ? "-Inf" : "+Inf") : "\(number)")
        }
        bytes.append(10)
    }

    private static func labels(_ labels: TrafficLabels, _ flag: ResponseFlag) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(1024)
        labels.forEach(flag: flag) { append($0, $1, to: &bytes) }
        return bytes
    }

    /// Appends one label; a control character of the value, which no name has, becomes a replacement character.
    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
        bytes.append(text: name)
        bytes.append(text: "=\"")
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": bytes.append(text: "\\\\")
            case "\"": bytes.append(text: "\\\"")
            case "\n": bytes.append(text: "\\n")
            case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}"..."\u{202e}": bytes.append(text: "\u{fffd}")
            default: bytes.append(contentsOf: String(scalar).utf8)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
