/// The one form of a path that routing, authorization and the upstream see.
package enum L7Path {
    /// The path with dot segments removed, percent-encoded unreserved bytes decoded and `\` turned into `/` (RFC 3986, 6.2.2);
    /// the query stays as it is. Nil when the path has that form already, which is the rule: then nothing is copied.
    ///
    /// `//` and `%2F` are kept: what they mean is the application's business. The path never rises above its root.
    package static func normalized(_ target: UnsafeRawBufferPointer) -> [UInt8]? {
        guard needsWork(target) else { return nil }
        let end = target.firstIndex(of: UInt8(ascii: "?")) ?? target.count
        var decoded: [UInt8] = []
        decoded.reserveCapacity(target.count)
        var at = 0
        while at < end {
            let byte = target[at]
            if byte == UInt8(ascii: "\\") {
                decoded.append(UInt8(ascii: "/"))
            } else if byte == UInt8(ascii: "%"), at + 2 < end, let value = hexPair(target[at + 1], target[at + 2]),
                isUnreserved(value)
            {
                decoded.append(value)
                at += 2
            } else {
                decoded.append(byte)
            }
            at += 1
        }
        var path = removingDotSegments(decoded[...])
        path.append(contentsOf: target[end...])
        return path
    }

    private static func needsWork(_ target: UnsafeRawBufferPointer) -> Bool {
        var previous: UInt8 = 0
        for byte in target {
            switch byte {
            case UInt8(ascii: "?"): return false
            case UInt8(ascii: "%"), UInt8(ascii: "\\"): return true
            case UInt8(ascii: ".") where previous == UInt8(ascii: "/"): return true
            default: previous = byte
            }
        }
        return false
    }

    private static func removingDotSegments(_ path: ArraySlice<UInt8>) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        let dot = UInt8(ascii: ".")
        var output: [UInt8] = []
        output.reserveCapacity(path.count)
        var rest = path
        while let first = rest.first {
            guard first == slash else { return Array(path) }
            let segment = rest.dropFirst().prefix { $0 != slash }
            let isLast = segment.endIndex == rest.endIndex
            rest = rest[segment.endIndex...]
            if segment.elementsEqual([dot]) {
                if isLast { output.append(slash) }
            } else if segment.elementsEqual([dot, dot]) {
                if let parent = output.lastIndex(of: slash) { output.removeSubrange(parent...) }
                if isLast { output.append(slash) }
            } else {
                output.append(slash)
                output.append(contentsOf: segment)
            }
        }
        return output
    }

    private static func hexPair(_ high: UInt8, _ low: UInt8) -> UInt8? {
        guard let a = hex(high), let b = hex(low) else { return nil }
        return a << 4 | b
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
