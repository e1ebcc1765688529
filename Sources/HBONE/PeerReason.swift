package import HTTP2
package import MeshModel

/// What a peer of ours says in `Proxy-Status` (RFC 9209) about a CONNECT it refused.
package struct PeerReason: Sendable, Hashable {
    /// The stable token; nil when the field holds none that we know.
    package let reason: Reason?
    /// The `details` text, escaped and at most 200 characters; empty when there is none.
    package let details: String

    /// Reads the answer's header; peers that are not ours say nothing we can use.
    package init(_ head: HeaderBlock) {
        guard let field = head.first("proxy-status"),
            let start = Self.index(after: "details=\"", in: field),
            let end = field[start...].firstIndex(of: UInt8(ascii: "\""))
        else {
            reason = nil
            details = ""
            return
        }
        let text = String(decoding: field[start..<end].prefix(200), as: UTF8.self)
        reason = text.split(separator: " ").first.flatMap { Reason(rawValue: String($0)) }
        details = String(text.debugDescription.dropFirst().dropLast())
    }

    private static func index(after marker: StaticString, in field: ArraySlice<UInt8>) -> Int? {
        let marker = UnsafeBufferPointer(start: marker.utf8Start, count: marker.utf8CodeUnitCount)
        var start = field.startIndex
        while start + marker.count <= field.endIndex {
            if field[start..<(start + marker.count)].elementsEqual(marker) { return start + marker.count }
            start += 1
        }
        return nil
    }
}
