internal import FoundationEssentials

/// A line of `ztun observe` as it comes from the program; keys that are absent do not apply.
struct FlowText: Decodable {
    struct Party: Decodable {
        var address: String
        var workload: String?
        var identity: String?

        /// `namespace/name:port`, or the address.
        var name: String {
            guard let workload, !workload.isEmpty else { return address }
            guard let colon = address.lastIndex(of: ":") else { return workload }
            return workload + address[colon...]
        }
    }
    struct Leg: Decodable {
        var roundTripMicroseconds: Int64
        var roundTripVarianceMicroseconds: Int64
        var retransmits: Int64
        var deliveryBytesPerSecond: UInt64

        var text: String {
            var text = "rtt \(FlowText.time(roundTripMicroseconds))±\(FlowText.time(roundTripVarianceMicroseconds))"
            if retransmits > 0 { text += " retransmits \(retransmits)" }
            if deliveryBytesPerSecond > 0 { text += " \(Quantity.bytes(deliveryBytesPerSecond))/s" }
            return text
        }
    }
    struct Legs: Decodable {
        var downstream: Leg?
        var upstream: Leg?
    }

    /// Set in a line that only says how many flows this reader has missed.
    var lost: Int?
    var time: String?
    var unixMicroseconds: Int64?
    var state: String?
    var verdict: String?
    var reason: String?
    var policy: String?
    var detail: String?
    var node: String?
    var `protocol`: String?
    var source: Party?
    var destination: Party?
    var target: String?
    var service: String?
    var waypoint: String?
    var bytesToDestination: UInt64?
    var bytesToSource: UInt64?
    var durationMicroseconds: Int64?
    var stagesMicroseconds: [String: Int64]?
    var legs: Legs?

    /// The stages in the order in which they are passed.
    static let stages = ["capture", "decision", "pool", "connect", "tls", "answer", "request", "firstByte"]

    static let header = [
        "TIME", "VERDICT", "NODE", "PROTOCOL", "FROM", "TO", "SENT", "RECEIVED", "DURATION", "SLOWEST", "REASON",
    ]
    /// Columns do not know what comes later: a cell that is longer pushes its row.
    static let widths = [12, 9, 11, 8, 28, 28, 9, 9, 9, 17]

    /// The cells of a row.
    var cells: [String] {
        let stages = stagesMicroseconds ?? [:]
        let slowest = Self.stages.max { (stages[$0] ?? -1) < (stages[$1] ?? -1) }
        let slowestText = slowest.flatMap { name in stages[name].map { "\(name) \(Self.time($0))" } } ?? ""
        return [
            clock, state == "open" ? "open" : verdict ?? "", node ?? "", self.protocol ?? "", source?.name ?? "",
            destination?.name ?? "", Quantity.bytes(bytesToDestination ?? 0), Quantity.bytes(bytesToSource ?? 0),
            Self.time(durationMicroseconds ?? 0), slowestText, reason ?? "",
        ]
    }

    /// What `-o wide` adds below the row.
    var more: [String] {
        var lines: [String] = []
        let names: [(String, String?)] = [
            ("from", source?.identity), ("to", destination?.identity), ("asked for", target), ("service", service),
            ("waypoint", waypoint), ("policy", policy), ("cause", detail),
        ]
        let told = names.compactMap { name, value in value.flatMap { $0.isEmpty ? nil : "\(name) \($0)" } }
        if !told.isEmpty { lines.append(told.joined(separator: ", ")) }
        let stages = stagesMicroseconds ?? [:]
        let times = Self.stages.compactMap { name in stages[name].map { "\(name) \(Self.time($0))" } }
        if !times.isEmpty { lines.append(times.joined(separator: ", ")) }
        if let leg = legs?.downstream { lines.append("downstream \(leg.text)") }
        if let leg = legs?.upstream { lines.append("upstream \(leg.text)") }
        return lines
    }

    /// The time of day, in milliseconds.
    private var clock: String {
        guard let time, let unixMicroseconds, time.count >= 19 else { return "" }
        let milliseconds = String(1000 + unixMicroseconds / 1000 % 1000).dropFirst()
        return "\(time.dropFirst(11).prefix(8)).\(milliseconds)"
    }

    /// `87µs`, `1.2ms`, `340ms`, `3.1s`, `12m`.
    static func time(_ microseconds: Int64) -> String {
        func tenths(_ unit: Int64, _ name: String) -> String {
            let tenths = (microseconds * 10 + unit / 2) / unit
            return tenths < 100 ? "\(tenths / 10).\(tenths % 10)\(name)" : "\((tenths + 5) / 10)\(name)"
        }
        if microseconds < 1000 { return "\(microseconds)µs" }
        if microseconds < 1_000_000 { return tenths(1000, "ms") }
        if microseconds < 120_000_000 { return tenths(1_000_000, "s") }
        return Quantity.time(microseconds / 1_000_000)
    }
}
