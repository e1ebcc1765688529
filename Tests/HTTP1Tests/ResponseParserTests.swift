import HTTP1
import Testing

/// Responses: where they end (catalogue row 71), and which are refused because two readers could disagree.
@Suite struct ResponseParserTests {
    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", ["head 200 OK length(2)", "end hi"]),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ["head 200 OK length(0)", "end "]),
        ("HTTP/1.1 204\r\nContent-Length: 5\r\n\r\n", ["head 204  none", "end "]),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", ["head 304 Not Modified none", "end "]),
        (
            "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nt: v\r\n\r\n",
            ["head 200  chunked", "end hi"]
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            ["head 100 Continue none", "head 103 Early Hints none", "head 200 OK length(1)", "end x"]
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", ["head 200 OK length(1) close", "end x"]),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
            ["head 200 OK length(1)", "end x"]
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
            ["head 200 OK length(1) close", "end x"]
        ),
    ])
    func accepts(_ input: String, _ events: [String]) {
        #expect(ResponseRecorder.events(input) == events)
        let bytes = Array(input.utf8)
        for cut in 1..<bytes.count { #expect(ResponseRecorder.events(bytes, cuts: [cut]) == events) }
    }

    @Test func headHasNoBody() {
        let input = "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n"
        #expect(ResponseRecorder.events(input, answering: .head) == ["head 200 OK none", "end "])
    }

    @Test func closeEndsOnlyTheBodyThatRunsToIt() {
        let open = "HTTP/1.1 200 OK\r\n\r\nab"
        #expect(ResponseRecorder.events(open, closes: true) == ["head 200 OK untilClose close", "end ab"])
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"
        #expect(ResponseRecorder.events(cut, closes: true) == ["head 200 OK length(3)", "fail http1.truncated"])
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
        #expect(ResponseRecorder.events(chunked, closes: true).last == "fail http1.truncated")
        #expect(ResponseRecorder.events("HTTP/1.1 20", closes: true) == ["fail http1.truncated"])
    }

    @Test func answersInTurn() {
        let input = Array(
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 201 \r\nContent-Length: 1\r\n\r\nz".utf8)
        let events = ResponseRecorder.events(input, answering: [.head, .post])
        #expect(events == ["head 200 OK none", "end ", "head 201  length(1)", "end z"])
    }

    @Test func refusesMoreThanWasAskedFor() {
        let events = ResponseRecorder.events("HTTP/1.1 204 \r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
        #expect(events == ["head 204  none", "end ", "fail http1.response_unexpected"])
    }

    @Test(arguments: [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "content_length_and_chunked_not_allowed"
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "content_length_repeated"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer_encoding_in_http10"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer_encoding_unsupported"),
        ("HTTP/1.1 99 OK\r\n\r\n", "status_invalid"), ("HTTP/1.1 600 OK\r\n\r\n", "status_invalid"),
        ("HTTP/1.1 2000\r\n\r\n", "status_invalid"), ("HTTP/1.1 200OK\r\n\r\n", "status_invalid"),
        ("HTTP/2 200 OK\r\n\r\n", "start_line_invalid"), ("SSH-2.0-OpenSSH_9.2 or so\r\n\r\n", "start_line_invalid"),
        ("HTTP/1.1 200 OK\nA: b\r\n\r\n", "bare_line_feed"), ("HTTP/1.1 101 Up\r\n\r\n", "upgrade_unexpected"),
        ("HTTP/1.1 200 OK\r\nA: \u{1}\r\n\r\n", "field_value_invalid"),
        (String(repeating: "HTTP/1.1 100 \r\n\r\n", count: 17), "too_many_interim_responses"),
    ])
    func refuses(_ input: String, _ detail: String) {
        #expect(ResponseRecorder.events(input).last == "fail http1.\(detail)")
    }
}
