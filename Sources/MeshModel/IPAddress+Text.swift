extension IPAddress: CustomStringConvertible {
    /// Reads dotted-quad or RFC 4291 text, without zone, port or brackets; nil for anything else.
    ///
    /// Numbers of a dotted quad must be decimal without leading zeros, so that `010.0.0.1` cannot mean two addresses.
    package init?(_ text: some StringProtocol) {
        self.init(utf8: Array(text.utf8)[...])
    }

    /// Reads an address from ASCII bytes; nil when any byte is left over.
    package init?(utf8 text: ArraySlice<UInt8>) {
        guard text.count >= 2, text.count <= 45 else { return nil }
        if !text.contains(UInt8(ascii: ":")) {
            guard let bits = Self.dottedQuad(text) else { return nil }
            self.init(v4: bits)
            return
        }
        guard let groups = Self.groups(of: text) else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for i in 0..<4 { high = high << 16 | UInt64(groups[i]) }
        for i in 4..<8 { low = low << 16 | UInt64(groups[i]) }
        self.init(high: high, low: low)
    }

    private static func dottedQuad(_ text: ArraySlice<UInt8>) -> UInt32? {
        var bits: UInt32 = 0
        var value: UInt32 = 0
        var digits = 0
        var dots = 0
        for byte in text {
            if byte == UInt8(ascii: ".") {
                guard digits > 0, dots < 3 else { return nil }
                bits = bits << 8 | value
                (value, digits, dots) = (0, 0, dots + 1)
                continue
            }
            guard byte >= 48, byte <= 57, digits < 3, !(digits > 0 && value == 0) else { return nil }
            value = value * 10 + UInt32(byte - 48)
            guard value <= 255 else { return nil }
            digits += 1
        }
        guard dots == 3, digits > 0 else { return nil }
        return bits << 8 | value
    }

    /// The eight 16-bit groups of an RFC 4291 address, with `::` filled in and a trailing dotted quad folded.
    private static func groups(of text: ArraySlice<UInt8>) -> [UInt16]? {
        let colon = UInt8(ascii: ":")
        var head: [UInt16] = []
        var tail: [UInt16] = []
        var gap = false
        var rest = text
        if rest.first == colon {
            guard rest.dropFirst().first == colon else { return nil }
            gap = true
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            let part = rest.prefix { $0 != colon }
            rest = rest[part.endIndex...]
            if rest.isEmpty, part.contains(UInt8(ascii: ".")) {
                guard let quad = dottedQuad(part) else { return nil }
                let pair = [UInt16(quad >> 16), UInt16(quad & 0xffff)]
                if gap { tail += pair } else { head += pair }
                break
            }
            guard let group = hexGroup(part) else { return nil }
            if gap { tail.append(group) } else { head.append(group) }
            guard let separator = rest.first else { break }
            guard separator == colon else { return nil }
            rest = rest.dropFirst()
            if rest.first == colon {
                guard !gap else { return nil }
                gap = true
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        let count = head.count + tail.count
        guard gap ? count < 8 : count == 8 else { return nil }
        return head + Array(repeating: 0, count: 8 - count) + tail
    }

    private static func hexGroup(_ part: ArraySlice<UInt8>) -> UInt16? {
        guard !part.isEmpty, part.count <= 4 else { return nil }
        var value: UInt16 = 0
        for byte in part {
            let digit: UInt8
            switch byte {
            case 48...57: digit = byte - 48
            case 97...102: digit = byte - 87
            case 65...70: digit = byte - 55
            default: return nil
            }
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    /// RFC 5952 text; dotted quad for IPv4.
    package var description: String {
        // Written by hand: every connection needs it several times, and interpolation costs thousands of instructions.
        if isIPv4 { return String(unsafeUninitializedCapacity: 15) { writeV4(into: $0) } }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> (48 - 16 * ($0 % 4))) }
        var best = (start: 0, length: 0)
        var i = 0
        while i < 8 {
            var j = i
            while j < 8, groups[j] == 0 { j += 1 }
            if j - i > best.length { best = (i, j - i) }
            i = max(j, i + 1)
        }
        let hex = groups.map { String($0, radix: 16) }
        guard best.length >= 2 else { return hex.joined(separator: ":") }
        return hex[..<best.start].joined(separator: ":") + "::"
            + hex[(best.start + best.length)...].joined(separator: ":")
    }
}

extension IPAddress {
    /// Writes the dotted quad of an IPv4 address; returns its length, 7 to 15.
    func writeV4(into buffer: UnsafeMutableBufferPointer<UInt8>) -> Int {
        let bits = v4Bits
        var end = 0
        var shift: UInt32 = 24
        while true {
            Self.write(bits >> shift & 255, into: buffer, at: &end)
            if shift == 0 { return end }
            Self.put(46, into: buffer, &end)
            shift -= 8
        }
    }

    /// Writes decimal digits; the buffer has room for them.
    static func write(_ number: UInt32, into buffer: UnsafeMutableBufferPointer<UInt8>, at end: inout Int) {
        var divisor: UInt32 = 1
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            put(UInt8(truncatingIfNeeded: 48 + number / divisor % 10), into: buffer, &end)
            divisor /= 10
        }
    }

    static func put(_ byte: UInt8, into buffer: UnsafeMutableBufferPointer<UInt8>, _ end: inout Int) {
        buffer[end] = byte
        end += 1
    }
}
