internal import HTTP1

extension FuzzEntry {
    /// A request and its answer. What the parser lets through is written again and must read the same: two readers that
    /// differ are how requests are smuggled.
    static func runHTTP1(_ bytes: UnsafeRawBufferPointer) {
        let text = Array(bytes)
        let whole = RequestReader()
        whole.read(text, piece: text.count)
        let pieces = RequestReader()
        pieces.read(text, piece: 1)
        promise(whole.seen == pieces.seen, "read in one piece \(whole.seen), byte by byte \(pieces.seen)")
        for rewritten in whole.rewritten {
            let again = RequestReader()
            again.read(rewritten, piece: rewritten.count)
            promise(again.seen.first?.hasPrefix("head") == true, "our own request is refused: \(again.seen)")
            promise(again.heads.count == 1, "our own request reads as \(again.heads.count)")
        }
        let answer = ResponseReader()
        answer.read(text, piece: text.count)
        let slowly = ResponseReader()
        slowly.read(text, piece: 1)
        promise(answer.seen == slowly.seen, "read in one piece \(answer.seen), byte by byte \(slowly.seen)")
    }
}

private final class RequestReader: HTTP1RequestDelegate {
    private(set) var seen: [String] = []
    private(set) var heads: [String] = []
    private(set) var rewritten: [[UInt8]] = []
    private var bodyBytes = 0
    private lazy var parser = HTTP1RequestParser(delegate: self)

    func read(_ text: [UInt8], piece: Int) {
        var at = 0
        // A request needs at least 16 bytes, so the number of turns is bounded by the text.
        while at < text.count, !parser.hasFailed {
            let count = min(max(1, piece), text.count - at)
            var used = 0
            while used < count, !parser.hasFailed {
                let step = text.withUnsafeBytes {
                    parser.receive($0.baseAddress.unsafelyUnwrapped + at + used, count: count - used)
                }
                FuzzEntry.promise(step <= count - used, "consumed more than there was")
                used += step
                if parser.hasEnded { parser.startNext() } else if step == 0 { break }
            }
            at += count
        }
    }

    func parser(_ parser: HTTP1RequestParser, didReadHead head: HTTP1RequestHead) {
        let text = "head \(head.value(of: "host") ?? "-") \(head.framing)"
        seen.append(text)
        heads.append(text)
        bodyBytes = 0
        let writer = HTTP1MessageWriter()
        writer.writeRequestLine(of: head)
        // An absolute target stands for the host, as in HTTP/1.0; the rest of a line goes out as it came.
        if head.value(of: "host") == nil { writer.writeField("host", "a") }
        writer.writeFields(of: head.block, except: HTTP1FieldSet())
        writer.endHead()
        writer.withBytes { rewritten.append(Array($0)) }
    }
    func parser(_ parser: HTTP1RequestParser, didReadBody bytes: UnsafeRawPointer, count: Int) {
        FuzzEntry.promise(count > 0, "an empty piece of a body")
        bodyBytes += count
    }
    func parserDidEndRequest(_ parser: HTTP1RequestParser) { seen.append("end \(bodyBytes)") }
    func parser(_ parser: HTTP1RequestParser, didFail failure: HTTP1Failure) { seen.append("\(failure)") }
}

private final class ResponseReader: HTTP1ResponseDelegate {
    private(set) var seen: [String] = []
    private var bodyBytes = 0
    private lazy var parser = HTTP1ResponseParser(delegate: self)

    func read(_ text: [UInt8], piece: Int) {
        parser.expect(answerTo: .get)
        var at = 0
        while at < text.count {
            let count = min(max(1, piece), text.count - at)
            _ = text.withUnsafeBytes { parser.receive($0.baseAddress.unsafelyUnwrapped + at, count: count) }
            if seen.last.map({ !$0.hasPrefix("head") }) == true { break }
            at += count
        }
        parser.receiveEnd()
    }

    func parser(_ parser: HTTP1ResponseParser, didReadHead head: HTTP1ResponseHead) {
        seen.append("head \(head.status) \(head.framing)")
    }
    func parser(_ parser: HTTP1ResponseParser, didReadBody bytes: UnsafeRawPointer, count: Int) { bodyBytes += count }
    func parserDidEndResponse(_ parser: HTTP1ResponseParser) {
        // One answer was asked for; what follows it is the next one's, and refused.
        if !seen.contains(where: { $0.hasPrefix("end") }) { seen.append("end \(bodyBytes)") }
    }
    func parser(_ parser: HTTP1ResponseParser, didFail failure: HTTP1Failure) {
        if !seen.contains(where: { $0.hasPrefix("end") }) { seen.append("\(failure)") }
    }
}
