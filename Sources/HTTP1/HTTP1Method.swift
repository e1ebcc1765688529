/// The methods that framing or routing treats in a way of its own; any other token is ``other`` and passes through.
package enum HTTP1Method: UInt8, Sendable {
    case get, head, post, put, delete, options, patch, connect, trace, other

    static func of(_ bytes: borrowing Span<UInt8>, _ end: Int) -> HTTP1Method {
        switch end {
        case 3: bytes.hold("GET", at: 0, end: end) ? .get : bytes.hold("PUT", at: 0, end: end) ? .put : .other
        case 4: bytes.hold("POST", at: 0, end: end) ? .post : bytes.hold("HEAD", at: 0, end: end) ? .head : .other
        case 5: bytes.hold("PATCH", at: 0, end: end) ? .patch : bytes.hold("TRACE", at: 0, end: end) ? .trace : .other
        case 6: bytes.hold("DELETE", at: 0, end: end) ? .delete : .other
        case 7:
            bytes.hold("OPTIONS", at: 0, end: end)
                ? .options : bytes.hold("CONNECT", at: 0, end: end) ? .connect : .other
        default: .other
        }
    }
}
