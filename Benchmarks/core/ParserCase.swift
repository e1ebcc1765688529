import ControlPlane
import HTTP1
import MeshModel
import RoutingCore

/// Readers of what peers and people write.
final class ParserCase: BenchCase {
    static let entries = [
        BenchEntry(name: "parse-authority", operation: ":authority of a CONNECT", counted: 5000, nativeLimit: 5000) {
            ParserCase(.authority)
        },
        BenchEntry(name: "parse-spiffe", operation: "SPIFFE identity", counted: 5000, nativeLimit: 5000) {
            ParserCase(.spiffe)
        },
        BenchEntry(
            name: "parse-request", operation: "HTTP/1.1 request head of 9 fields", counted: 2000, nativeLimit: 20_000
        ) { ParserCase(.request) },
        BenchEntry(
            name: "parse-state", operation: "one workload of a state file", counted: 200, nativeLimit: 100_000
        ) { ParserCase(.state) },
    ]

    private enum Kind { case authority, spiffe, request, state }

    private let kind: Kind
    private let sink = RequestSink()

    private init(_ kind: Kind) { self.kind = kind }

    func run(_ operations: Int) {
        switch kind {
        case .authority:
            let texts = ["10.0.1.7:8080", "[2001:db8::17]:443", "svc17.ns3.svc.cluster.local:80"].map { Array($0.utf8) }
            for index in 0..<operations { consume(try? TunnelAuthority.parse(texts[index % 3])) }
        case .spiffe:
            let text = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
            for _ in 0..<operations { consume(SpiffeID(text)) }
        case .request:
            for _ in 0..<operations { sink.read(Self.requestText) }
        case .state:
            let bytes = MeshFixture.stateFile(workloads: operations)
            consume(try? LocalState(parsing: bytes, file: "bench", trustDomain: "cluster.local"))
        }
    }

    private static let requestText = Array(
        """
        GET /api/v1/products/17/reviews?page=2&order=desc HTTP/1.1\r
        Host: productpage.default.svc.cluster.local:9080\r
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) bench/1.0\r
        Accept: text/html,application/json;q=0.9,*/*;q=0.8\r
        Accept-Encoding: gzip, deflate\r
        Accept-Language: en-GB,en;q=0.5\r
        X-Request-ID: 5b1c2f0a-7f67-4a4e-9b3b-2a9f0a7f6f10\r
        traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r
        Cookie: session=0123456789abcdef0123456789abcdef\r
        Connection: keep-alive\r
        \r

        """.utf8)
}

/// Takes what the request parser reports.
private final class RequestSink: HTTP1RequestDelegate {
    private var parser: HTTP1RequestParser?

    func read(_ bytes: [UInt8]) {
        let parser = self.parser ?? HTTP1RequestParser(delegate: self)
        self.parser = parser
        bytes.withUnsafeBytes { buffer in
            if let base = buffer.baseAddress { consume(parser.receive(base, count: buffer.count)) }
        }
        guard parser.hasEnded else { fatalError("ztun-bench: the request was not understood") }
        parser.startNext()
    }

    func parser(_ parser: HTTP1RequestParser, didReadHead head: HTTP1RequestHead) {}
    func parser(_ parser: HTTP1RequestParser, didReadBody bytes: UnsafeRawPointer, count: Int) {}
    func parserDidEndRequest(_ parser: HTTP1RequestParser) {}
    func parser(_ parser: HTTP1RequestParser, didFail failure: HTTP1Failure) {}
}
