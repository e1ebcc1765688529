import HTTP1
import Testing

/// What is written is what the other side must read.
@Suite struct MessageWriterTests {
    private final class Forwarder: HTTP1RequestDelegate {
        let writer = HTTP1MessageWriter()
        func parser(_ parser: HTTP1RequestParser, didReadHead head: HTTP1RequestHead) {
            writer.writeRequestLine(of: head)
            writer.writeFields(of: head.block, except: .hopByHop)
            writer.writeFraming(head.framing)
            writer.endHead()
        }
        func parser(_ parser: HTTP1RequestParser, didReadBody bytes: UnsafeRawPointer, count: Int) {
            writer.writeChunkHead(size: count)
            writer.write(UnsafeRawBufferPointer(start: bytes, count: count))
            writer.write("\r\n")
        }
        func parserDidEndRequest(_ parser: HTTP1RequestParser) { writer.writeLastChunk() }
        func parser(_ parser: HTTP1RequestParser, didFail failure: HTTP1Failure) {}
    }

    @Test func dropsWhatConcernsOneConnection() {
        let forwarder = Forwarder()
        let parser = HTTP1RequestParser(delegate: forwarder)
        let input = Array(
            ("POST /p?q HTTP/1.1\r\nHost: X\r\nConnection: X-Foo, content-length, host\r\nX-FOO: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
                + "Upgrade: h2c\r\nProxy-Connection: x\r\nTransfer-Encoding: CHUNKED\r\nAccept: A\r\n\r\n10;x\r\n0123456789abcdef\r\n0\r\n\r\n")
                .utf8)
        _ = input.withUnsafeBytes { bytes in bytes.baseAddress.map { parser.receive($0, count: bytes.count) } }
        let written = forwarder.writer.withBytes { String(decoding: $0, as: UTF8.self) }
        #expect(
            written == "POST /p?q HTTP/1.1\r\nhost: X\r\naccept: A\r\ntransfer-encoding: chunked\r\n\r\n"
                + "10\r\n0123456789abcdef\r\n0\r\n\r\n")
        forwarder.writer.clear()
        #expect(forwarder.writer.count == 0)
    }

    @Test func writesNumbersAndStatus() {
        let writer = HTTP1MessageWriter()
        writer.writeStatusLine(503)
        writer.writeField("content-length", decimal: 0)
        writer.writeField("a", decimal: UInt64.max)
        writer.endHead()
        let written = writer.withBytes { String(decoding: $0, as: UTF8.self) }
        #expect(
            written == "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\na: 18446744073709551615\r\n\r\n")
    }
}
