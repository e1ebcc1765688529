internal import HTTP1

/// The answer to one request, as it comes in.
final class APIResponse: HTTP1ResponseDelegate {
    /// 0 until the head has come.
    private(set) var status = 0
    /// Seconds of the Retry-After field; nil without one.
    private(set) var retryAfter: Int?
    /// What has come of the body and was not taken yet.
    private(set) var body: [UInt8] = []
    /// Bytes of body and heads that have come in all: it grows with every piece.
    private(set) var received = 0
    private(set) var isComplete = false
    /// Whether the connection may carry another request after this answer.
    private(set) var keepsConnection = false
    /// Why it is no answer.
    private(set) var failure: String?
    private var parser: HTTP1ResponseParser?
    /// Most bytes of a body that wait to be taken.
    static let limit = 64 << 20

    init(answerTo method: HTTP1Method) {
        let parser = HTTP1ResponseParser(delegate: self)
        parser.expect(answerTo: method)
        self.parser = parser
    }

    /// Plaintext of the connection.
    func take(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        _ = parser?.receive(base, count: bytes.count)
    }

    /// Nothing more will come.
    func end() { parser?.receiveEnd() }

    /// The next line of the body without its end; nil while none is whole.
    /// - Parameter start: where the caller is in the body; 0 again when everything before it is dropped.
    func takeLine(_ start: inout Int) -> ArraySlice<UInt8>? {
        if let end = body[start...].firstIndex(of: 10) {
            defer { start = end + 1 }
            return body[start..<end]
        }
        defer {
            body.removeFirst(start)
            start = 0
        }
        return nil
    }

    /// The whole body, which is then gone.
    func takeBody() -> [UInt8] {
        defer { body = [] }
        return body
    }

    func parser(_ parser: HTTP1ResponseParser, didReadHead head: HTTP1ResponseHead) {
        guard !head.isInterim else { return }
        received += 1
        status = Int(head.status)
        keepsConnection = head.keepAlive
        retryAfter = head.value(of: "retry-after").flatMap { Int($0) }
    }

    func parser(_ parser: HTTP1ResponseParser, didReadBody bytes: UnsafeRawPointer, count: Int) {
        received += count
        guard body.count + count <= Self.limit else {
            failure = "an answer of more than \(Self.limit) bytes"
            return parser.stop()
        }
        body.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
    }

    func parserDidEndResponse(_ parser: HTTP1ResponseParser) { isComplete = true }

    func parser(_ parser: HTTP1ResponseParser, didFail failure: HTTP1Failure) {
        self.failure = "not an HTTP answer: \(failure.rawValue)"
    }
}
