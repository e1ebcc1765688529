/// How much a log line matters; a scope shows the lines at or below its level.
package enum LogLevel: UInt8, Sendable, CaseIterable, Comparable {
    case off, error, warn, info, debug, trace

    /// The lower-case name that filters and lines use.
    package var name: String {
        switch self {
        case .off: "off"
        case .error: "error"
        case .warn: "warn"
        case .info: "info"
        case .debug: "debug"
        case .trace: "trace"
        }
    }

    /// Reads a level's name in any case; `warning` is `warn`.
    package init?(_ text: some StringProtocol) {
        let lower = text.lowercased()
        guard let level = Self.allCases.first(where: { $0.name == lower || ($0 == .warn && lower == "warning") }) else {
            return nil
        }
        self = level
    }

    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// What part of the program a log line is from. Names that ztunnel has keep its meaning.
package enum LogScope: UInt8, Sendable, CaseIterable {
    case access, proxy, inpod, state, identity, admin, dns, xds, pool, capture, waypoint, program

    /// The name that filters and lines use.
    package var name: String { "\(self)" }

    /// Reads a scope's name.
    package init?(_ text: some StringProtocol) {
        guard let scope = Self.allCases.first(where: { $0.name == text }) else { return nil }
        self = scope
    }
}
