import HTTP1

/// Writes down what a request parser reports, body bytes joined, so that two ways of feeding it can be compared.
final class RequestRecorder: HTTP1RequestDelegate {
    private(set) var events: [String] = []
    private var body: [UInt8] = []
    /// Feeds the input in pieces that end at `cuts`, keeping what the parser leaves, and starts the next request at once.
    static func events(_ input: [UInt8], cuts: [Int] = [], limits: HTTP1Limits = HTTP1Limits()) -> [String] {
        let recorder = RequestRecorder()
        let parser = HTTP1RequestParser(delegate: recorder, limits: limits)
        var unread: [UInt8] = []
        var start = 0
        for end in cuts + [input.count] {
            unread += input[start..<end]
            start = end
            while !unread.isEmpty, !parser.hasFailed {
                let consumed = unread.withUnsafeBytes { bytes in
                    bytes.baseAddress.map { parser.receive($0, count: bytes.count) } ?? 0
                }
                unread.removeFirst(consumed)
                guard parser.hasEnded else { break }
                parser.startNext()
            }
        }
        if parser.isIdle { recorder.events.append("idle") }
        return recorder.events
    }

    static func events(_ input: String) -> [String] { events(Array(input.utf8)) }

    func parser(_ parser: HTTP1RequestParser, didReadHead head: HTTP1RequestHead) {
        let fields = head.block.fields.map { "\(head.block.text($0.name))=\(head.block.text($0.value))" }
        events.append(
            "head \(head.methodText) \(head.block.text(head.path)) at \(head.block.text(head.authority)) 1.\(head.minorVersion)"
                + " \(head.framing)\(head.keepAlive ? "" : " close")\(head.expectsContinue ? " expect" : "")"
                + "\(head.upgrade ? " upgrade" : "") [\(fields.joined(separator: ";"))]")
    }

    func parser(_ parser: HTTP1RequestParser, didReadBody bytes: UnsafeRawPointer, count: Int) {
        body += UnsafeRawBufferPointer(start: bytes, count: count)
    }

    func parserDidEndRequest(_ parser: HTTP1RequestParser) {
        events.append("end \(String(decoding: body, as: UTF8.self))")
        body = []
    }

    func parser(_ parser: HTTP1RequestParser, didFail failure: HTTP1Failure) {
        events.append("fail \(failure.status) \(failure.rawValue)")
    }
}

/// The same for responses, each answering the method named in turn.
final class ResponseRecorder: HTTP1ResponseDelegate {
    private(set) var events: [String] = []
    private var body: [UInt8] = []

    static func events(
        _ input: [UInt8], answering methods: [HTTP1Method] = [.get], cuts: [Int] = [], closes: Bool = false,
        limits: HTTP1Limits = HTTP1Limits()
    ) -> [String] {
        let recorder = ResponseRecorder()
        let parser = HTTP1ResponseParser(delegate: recorder, limits: limits)
        recorder.due = methods
        recorder.announce(parser)
        var start = 0
        for end in cuts + [input.count] {
            _ = input[start..<end].withUnsafeBytes { bytes in
                bytes.baseAddress.map { parser.receive($0, count: bytes.count) }
            }
            start = end
        }
        if closes { parser.receiveEnd() }
        return recorder.events
    }

    static func events(_ input: String, answering method: HTTP1Method = .get, closes: Bool = false) -> [String] {
        events(Array(input.utf8), answering: [method], closes: closes)
    }

    private var due: [HTTP1Method] = []

    private func announce(_ parser: HTTP1ResponseParser) {
        if !due.isEmpty { parser.expect(answerTo: due.removeFirst()) }
    }

    func parser(_ parser: HTTP1ResponseParser, didReadHead head: HTTP1ResponseHead) {
        events.append(
            "head \(head.status) \(head.block.text(head.reason)) \(head.framing)\(head.keepAlive ? "" : " close")")
    }

    func parser(_ parser: HTTP1ResponseParser, didReadBody bytes: UnsafeRawPointer, count: Int) {
        body += UnsafeRawBufferPointer(start: bytes, count: count)
    }

    func parserDidEndResponse(_ parser: HTTP1ResponseParser) {
        events.append("end \(String(decoding: body, as: UTF8.self))")
        body = []
        announce(parser)
    }

    func parser(_ parser: HTTP1ResponseParser, didFail failure: HTTP1Failure) {
        events.append("fail \(failure.rawValue)")
    }
}
