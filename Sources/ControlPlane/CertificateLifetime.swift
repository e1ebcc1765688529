/// How long certificates are asked to live, as Istio's `SECRET_TTL` says it.
package enum CertificateLifetime {
    /// What it looks like, for errors.
    package static let form = "a duration from 2s to 2160h, as 24h, 90m or 1h30m"

    /// Shortest and longest, in seconds: below, renewal at half life cannot keep up; above, Istio's authority refuses.
    package static let range: ClosedRange<Int64> = 2...2160 * 3600

    /// Reads a duration of whole hours, minutes and seconds in Go's form; nil for anything else or out of range.
    package static func seconds(_ text: some StringProtocol) -> Int64? {
        var total: Int64 = 0
        var number: Int64?
        var last: Int64 = .max
        for byte in text.utf8 {
            let unit: Int64
            switch byte {
            case 48...57:
                let digit = Int64(byte - 48)
                guard (number ?? 0) <= range.upperBound else { return nil }
                number = (number ?? 0) * 10 + digit
                continue
            case UInt8(ascii: "h"): unit = 3600
            case UInt8(ascii: "m"): unit = 60
            case UInt8(ascii: "s"): unit = 1
            default: return nil
            }
            guard let value = number, unit < last else { return nil }
            total += value * unit
            (number, last) = (nil, unit)
        }
        return number == nil && range.contains(total) ? total : nil
    }
}
