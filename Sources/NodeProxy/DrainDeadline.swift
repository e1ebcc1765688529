internal import Glibc

/// How long running connections may take to end after SIGTERM, by the environment rules of Istio's node proxy.
package enum DrainDeadline {
    /// `CONNECTION_TERMINATION_DEADLINE` (`5s`, `1m`), else derived from `TERMINATION_GRACE_PERIOD_SECONDS`, else 5.
    package static var seconds: Int {
        if let text = environment("CONNECTION_TERMINATION_DEADLINE"), let value = parse(text) { return value }
        if let text = environment("TERMINATION_GRACE_PERIOD_SECONDS"), let grace = Int(text), grace > 0 {
            return grace > 10 ? grace - 5 : max(grace - 1, 1)
        }
        return 5
    }

    /// Whole seconds of `30`, `30s`, `2m` or `1h`; nil for anything else.
    package static func parse(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let value = Int(digits), value >= 0, value <= 86_400 else { return nil }
        switch text.dropFirst(digits.count) {
        case "", "s": return value
        case "m": return value * 60
        case "h": return value * 3600
        default: return nil
        }
    }

    private static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
