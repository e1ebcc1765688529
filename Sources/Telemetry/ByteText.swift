/// Writing text into a byte buffer, so that a log line or a metrics page is made without intermediate strings.
extension [UInt8] {
    /// Appends text that is known to be harmless: our own names, tokens and numbers.
    package mutating func append(text: String) {
        append(contentsOf: text.utf8)
    }

    /// Appends a decimal number.
    package mutating func append(decimal value: some BinaryInteger) {
        guard value != 0 else {
            append(48)
            return
        }
        if value < 0 { append(UInt8(ascii: "-")) }
        var rest = UInt64(value.magnitude)
        let start = count
        while rest > 0 {
            append(48 + UInt8(rest % 10))
            rest /= 10
        }
        self[start...].reverse()
    }

    /// Appends text in double quotes with everything escaped that could end the quote, the line or a terminal's mood.
    ///
    /// At most `longest` bytes of the text are taken; `…` marks a cut.
    package mutating func append(quoted text: String, longest: Int = 1024) {
        append(UInt8(ascii: "\""))
        append(escaped: text, longest: longest, json: false)
        append(UInt8(ascii: "\""))
    }

    /// Appends a JSON string; everything a terminal could act on is written as `\u`.
    package mutating func append(jsonString text: String, longest: Int = 1024) {
        append(UInt8(ascii: "\""))
        append(escaped: text, longest: longest, json: true)
        append(UInt8(ascii: "\""))
    }

    /// Appends an address or authority bare, or quoted when it holds anything an address does not.
    package mutating func append(bare text: String) {
        let harmless = text.utf8.allSatisfy { byte in
            switch byte {
            case 48...58, 65...91, 93, 97...122, UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "/"), UInt8(ascii: "%"):
                true
            default: false
            }
        }
        if harmless, !text.isEmpty, text.utf8.count <= 300 {
            append(text: text)
        } else {
            append(quoted: text)
        }
    }

    private mutating func append(escaped text: String, longest: Int, json: Bool) {
        let utf8 = text.utf8
        if utf8.count <= longest, utf8.allSatisfy({ (0x20...0x7e).contains($0) && $0 != 0x22 && $0 != 0x5c }) {
            append(contentsOf: utf8)
            return
        }
        var taken = 0
        for scalar in text.unicodeScalars {
            taken += UTF8.width(scalar)
            if taken > longest {
                append(text: "…")
                return
            }
            switch scalar {
            case "\"": append(text: "\\\"")
            case "\\": append(text: "\\\\")
            case "\n": append(text: "\\n")
            case "\r": append(text: "\\r")
            case "\t": append(text: "\\t")
            default:
                if Self.isHarmless(scalar) {
                    append(contentsOf: String(scalar).utf8)
                } else if json {
                    append(jsonEscape: scalar)
                } else {
                    append(text: "\\u{\(String(scalar.value, radix: 16))}")
                }
            }
        }
    }

    private mutating func append(jsonEscape scalar: Unicode.Scalar) {
        for unit in String(scalar).utf16 {
            append(text: "\\u")
            let hex = String(unit, radix: 16)
            for _ in hex.utf8.count..<4 { append(48) }
            append(text: hex)
        }
    }

    /// False for control characters (C0, DEL, C1), line separators, and the marks that reverse or hide text.
    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x20...0x7e: true
        case 0..<0x20, 0x7f...0x9f, 0xad, 0x061c, 0x180e, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff,
            0xfff9...0xfffb, 0xe0000...0xe007f:
            false
        default: true
        }
    }
}
