import HTTP1
import Testing

/// What a valid request says, and how the connection goes on after it.
@Suite struct RequestFramingTests {
    @Test(arguments: [
        ("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", ["head GET /a?b at x 1.1 none [host=x]", "end ", "idle"]),
        (
            "POST / HTTP/1.1\r\nHost: x:80\r\nContent-Length: 3\r\n\r\nabc",
            ["head POST / at x:80 1.1 length(3) [host=x:80;content-length=3]", "end abc", "idle"]
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            ["head POST / at x 1.1 length(0) [host=x;content-length=0]", "end ", "idle"]
        ),
        (
            "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n3;n=v\r\nabc\r\n00a\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
            ["head PUT / at x 1.1 chunked [host=x;transfer-encoding=Chunked]", "end abc0123456789", "idle"]
        ),
        ("GET / HTTP/1.0\r\n\r\n", ["head GET / at  1.0 none close []", "end ", "idle"]),
        (
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            ["head GET / at  1.0 none [connection=Keep-Alive]", "end ", "idle"]
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, close\r\nFoo: 1\r\n\r\n",
            ["head GET / at x 1.1 none close [host=x;connection=foo, close;foo=1]", "end ", "idle"]
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nz",
            ["head POST / at x 1.1 length(1) expect [host=x;expect=100-Continue;content-length=1]", "end z", "idle"]
        ),
        (
            "GET http://other/p HTTP/1.1\r\nHost: x\r\n\r\n",
            ["head GET /p at other 1.1 none [host=x]", "end ", "idle"]
        ),
        ("GET http://other HTTP/1.1\r\nHost: x\r\n\r\n", ["head GET  at other 1.1 none [host=x]", "end ", "idle"]),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", ["head OPTIONS * at x 1.1 none [host=x]", "end ", "idle"]),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", ["head GET / at x 1.1 none [host=x]", "end ", "idle"]),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            ["head GET / at x 1.1 none upgrade [host=x;connection=Upgrade;upgrade=websocket]", "end ", "idle"]
        ),
        (
            "GET / HTTP/1.1\r\nHost:x\r\nA: \r\nB:\t b \t\r\n\r\n",
            ["head GET / at x 1.1 none [host=x;a=;b=b]", "end ", "idle"]
        ),
    ])
    func accepts(_ input: String, _ events: [String]) {
        #expect(RequestRecorder.events(input) == events)
    }

    /// Row 59 of the catalogue: what follows an Upgrade request is a request, never a tunnel.
    @Test func servesPipelinedRequestsInOrder() {
        let input =
            "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
            + "GET /2 HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\n"
            + "GET /3 HTTP/1.1\r\nHost: y\r\n\r\n"
        let heads = RequestRecorder.events(input).filter { $0.hasPrefix("head") || $0.hasPrefix("end") }
        #expect(
            heads == [
                "head POST /1 at x 1.1 length(2) [host=x;content-length=2]", "end hi",
                "head GET /2 at x 1.1 none upgrade [host=x;connection=upgrade;upgrade=w]", "end ",
                "head GET /3 at y 1.1 none [host=y]", "end ",
            ])
    }

    /// Row 61: a paused or ended request leaves the bytes of the next with the caller.
    @Test func leavesUnreadBytesToTheCaller() {
        let recorder = RequestRecorder()
        let parser = HTTP1RequestParser(delegate: recorder)
        let input = Array("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n".utf8)
        let consumed = input.withUnsafeBytes {
            parser.receive($0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!, count: $0.count)
        }
        #expect(consumed == 28)
        #expect(parser.hasEnded)
        #expect(recorder.events.count == 2)
    }

    @Test func nothingIsLeftOfTheRequestBefore() {
        let recorder = RequestRecorder()
        let parser = HTTP1RequestParser(delegate: recorder)
        func feed(_ text: String) {
            _ = Array(text.utf8).withUnsafeBytes { bytes in
                bytes.baseAddress.map { parser.receive($0, count: bytes.count) }
            }
        }
        feed("POST /a/long/path HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(parser.head.methodText == "POST")
        parser.startNext()
        feed("GE\n")
        #expect(parser.hasFailed)
        #expect(parser.head.methodText.isEmpty)
        #expect(parser.head.targetText.isEmpty)
        #expect(parser.head.value(of: "host") == nil)
    }

    @Test func everySplitGivesTheSameEvents() {
        let inputs = [
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: y\r\n\r\n",
            "\r\nPOST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4;e=\"1\"\r\nwxyz\r\n1\r\n!\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ]
        for input in inputs.map({ Array($0.utf8) }) {
            let whole = RequestRecorder.events(input)
            for first in 1..<input.count {
                #expect(RequestRecorder.events(input, cuts: [first]) == whole)
                for second in stride(from: first + 1, to: input.count, by: 7) {
                    #expect(RequestRecorder.events(input, cuts: [first, second]) == whole)
                }
            }
            #expect(RequestRecorder.events(input, cuts: Array(1..<input.count)) == whole)
        }
    }

    @Test func survivesRandomBytes() {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array(
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0;\0\u{7f}".utf8)
        for _ in 0..<3000 {
            var input = Array(
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".utf8)
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let at = Int.random(in: 0..<input.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: input[at] = alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
                case 1: input.remove(at: at)
                default: input.insert(alphabet[Int.random(in: 0..<alphabet.count, using: &generator)], at: at)
                }
            }
            let cut = Int.random(in: 0...input.count, using: &generator)
            #expect(RequestRecorder.events(input, cuts: [cut]) == RequestRecorder.events(input), "\(input)")
        }
    }
}
