import HTTP1
import Testing

/// Requests that two readers could understand differently are refused (catalogue rows 58 and 60), and limits hold.
@Suite struct RequestRefusalTests {
    @Test(arguments: [
        // framing: which of two lengths is meant
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
            "content_length_and_chunked_not_allowed"
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
            "content_length_and_chunked_not_allowed"
        ),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n", "content_length_repeated"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\n", "content_length_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\n", "content_length_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "content_length_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x4\r\n\r\n", "content_length_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", "content_length_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "content_length_invalid"),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "transfer_encoding_repeated"
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            "transfer_encoding_repeated"
        ),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "transfer_encoding_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "transfer_encoding_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", "transfer_encoding_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", "transfer_encoding_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", "transfer_encoding_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\u{b}\r\n\r\n", "field_value_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n", "field_name_invalid"),
        ("POST / HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n", "folded_field"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", "folded_field"),
        ("POST / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", "folded_field"),
        ("POST / HTTP/1.1\r\nHost: x\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n", "lone_carriage_return"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer_encoding_in_http10"),
        // line ends
        ("GET / HTTP/1.1\nHost: x\r\n\r\n", "bare_line_feed"),
        ("GET / HTTP/1.1\r\nHost: x\n\r\n", "bare_line_feed"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\n", "bare_line_feed"),
        ("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "bare_line_feed"),
        ("GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", "start_line_invalid"),
        ("GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", "lone_carriage_return"),
        ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", "too_many_empty_lines"),
        // start line
        ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", "method_invalid"),
        (" GET / HTTP/1.1\r\nHost: x\r\n\r\n", "method_invalid"),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "target_invalid"),
        ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "start_line_invalid"),
        ("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "target_invalid"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n", "target_invalid"),
        ("GET a HTTP/1.1\r\nHost: x\r\n\r\n", "target_invalid"),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", "target_invalid"),
        ("GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n", "target_invalid"),
        ("GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", "target_invalid"),
        ("GET /\r\n\r\n", "target_invalid"),
        ("GET / http/1.1\r\nHost: x\r\n\r\n", "start_line_invalid"),
        ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "start_line_invalid"),
        ("GET / HTTP/1.10\r\nHost: x\r\n\r\n", "start_line_invalid"),
        // host
        ("GET / HTTP/1.1\r\n\r\n", "host_missing"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "host_repeated"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "host_repeated"),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "host_invalid"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "host_invalid"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "host_invalid"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "host_invalid"),
        // fields
        ("GET / HTTP/1.1\r\nHost: x\r\n: v\r\n\r\n", "field_name_invalid"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA B: v\r\n\r\n", "field_name_invalid"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA\t: v\r\n\r\n", "field_name_invalid"),
        ("GET / HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n", "field_name_invalid"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: a\0b\r\n\r\n", "field_value_invalid"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: a\u{1}\r\n\r\n", "field_value_invalid"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: a\u{7f}\r\n\r\n", "field_value_invalid"),
    ])
    func refusesWith400(_ input: String, _ detail: String) {
        #expect(RequestRecorder.events(input) == ["fail 400 http1.\(detail)"])
    }

    @Test(arguments: [
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505 http1.version_unsupported"),
        ("GET / HTTP/1.2\r\nHost: x\r\n\r\n", "505 http1.version_unsupported"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "501 http1.transfer_encoding_unsupported"),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
            "501 http1.transfer_encoding_unsupported"
        ),
    ])
    func refusesWithItsOwnStatus(_ input: String, _ failure: String) {
        #expect(RequestRecorder.events(input) == ["fail \(failure)"])
    }

    @Test(arguments: [
        ("\r\n", "chunk_size_invalid"), ("g\r\n", "chunk_size_invalid"), (" 3\r\n", "chunk_size_invalid"),
        ("3 \r\n", "chunk_size_invalid"), ("0x3\r\n", "chunk_size_invalid"), ("-1\r\n", "chunk_size_invalid"),
        ("00000000000000003\r\n", "chunk_size_invalid"), ("ffffffffffffffff\r\n", "chunk_size_invalid"),
        ("3\n", "bare_line_feed"), ("3\rabc", "lone_carriage_return"), ("3\r\nabcd\r\n", "chunk_invalid"),
        ("3\r\nabc\n", "chunk_invalid"), ("3\r\nabc\rx", "chunk_invalid"), ("3;a\u{1}\r\n", "chunk_extension_invalid"),
        ("3;a\n", "chunk_extension_invalid"), ("0\r\n: v\r\n\r\n", "trailer_invalid"),
        ("0\r\nA b: v\r\n\r\n", "trailer_invalid"),
        ("0\r\n a: v\r\n\r\n", "trailer_invalid"), ("0\r\na: v\n\r\n", "trailer_invalid"),
        ("0\r\na: v\r\r\n", "lone_carriage_return"),
    ])
    func refusesChunk(_ body: String, _ detail: String) {
        let events = RequestRecorder.events("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        #expect(events.count == 2)
        #expect(events.last == "fail 400 http1.\(detail)")
    }

    @Test func limitsHold() {
        func events(_ fields: String) -> String? {
            RequestRecorder.events("GET / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n").last
        }
        let many = (1...99).map { "h\($0): v\r\n" }.joined()
        #expect(events(many) == "idle")
        #expect(events(many + "one: more\r\n") == "fail 431 http1.too_many_headers")
        let line = "a: " + String(repeating: "v", count: 60 * 1024 - 32) + "\r\n"
        #expect(events(line) == "idle")
        #expect(events("b" + line) == "fail 431 http1.headers_too_large")
        #expect(RequestRecorder.events(String(repeating: "a", count: 61_441)) == ["fail 431 http1.headers_too_large"])
        let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        let filling = String(repeating: "e", count: 4095)
        #expect(RequestRecorder.events(chunked + "1;\(filling)\r\na\r\n0\r\n\r\n").last == "idle")
        #expect(
            RequestRecorder.events(chunked + "1;\(filling)ee\r\n").last == "fail 400 http1.chunk_extension_too_large")
        let trailers = String(repeating: "a: b\r\n", count: 101)
        #expect(RequestRecorder.events(chunked + "0\r\n\(trailers)\r\n").last == "fail 431 http1.trailer_too_large")
    }

    @Test func failsOnceAndIgnoresTheRest() {
        let events = RequestRecorder.events(
            Array("GET /\n / GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), cuts: [6, 10, 20])
        #expect(events == ["fail 400 http1.bare_line_feed"])
    }
}
