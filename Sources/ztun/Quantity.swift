/// Numbers as people read them.
enum Quantity {
    /// `532 B`, `1.5 KiB`, `12 MiB`.
    static func bytes(_ count: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = Double(count)
        var unit = 0
        while value >= 1023.5, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        if unit == 0 || value >= 9.95 { return "\(Int(value.rounded())) \(units[unit])" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }

    /// `1,204,311`.
    static func count(_ value: UInt64) -> String {
        var text = ""
        for (index, digit) in String(value).reversed().enumerated() {
            if index > 0, index % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed())
    }

    /// `45s`, `12m`, `3h12m`, `4d2h`.
    static func time(_ seconds: Int64) -> String {
        let value = seconds.magnitude
        let sign = seconds < 0 ? "-" : ""
        switch value {
        case ..<120: return "\(sign)\(value)s"
        case ..<7_200: return "\(sign)\(value / 60)m"
        case ..<172_800: return "\(sign)\(value / 3_600)h\(value / 60 % 60)m"
        default: return "\(sign)\(value / 86_400)d\(value / 3_600 % 24)h"
        }
    }

    /// `1 pod`, `2 pods`, `1 policy`, `2 policies`.
    static func items(_ count: Int, _ one: String, _ many: String) -> String {
        "\(Self.count(UInt64(max(0, count)))) \(count == 1 ? one : many)"
    }
}
