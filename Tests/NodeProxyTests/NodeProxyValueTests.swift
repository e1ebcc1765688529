import HTTP2
import MeshModel
import RoutingCore
import Testing

@testable import NodeProxy

@Suite struct NodeProxyValueTests {
    @Test(arguments: [
        (#"for="10.0.0.1:1";host=server.default.svc.cluster.local"#, "server.default.svc.cluster.local"),
        (#"host="quoted.name";proto=tcp"#, "quoted.name"),
        (#"for=x, host=second"#, "second"),
        ("for=x", nil), ("host", nil), ("host=", nil), ("", nil), ("ghost=x", nil), (#"host="""#, nil),
    ])
    func readsTheForwardedHost(field: String, expected: String?) {
        #expect(ForwardedHost.name(in: Array(field.utf8)[...]) == expected)
    }

    @Test(arguments: [
        ("5s", 5), ("1m", 60), ("2h", 7200), ("30", 30), ("0", 0), ("", nil), ("s", nil), ("-1s", nil), ("5x", nil),
        ("999999999999999999999s", nil),
    ])
    func readsDurations(text: String, expected: Int?) {
        #expect(DrainDeadline.parse(text) == expected)
    }

    /// Nothing a peer sends can break out of the quoted details.
    @Test func proxyStatusKeepsItsQuotes() throws {
        let head = TunnelHeaders.refused(status: 401, reason: .policyDenied, policy: "ns/a\"b\\c\r\nd")
        #expect(head.status == 401)
        #expect(
            head.text("proxy-status") == #"ztund; error=http_request_denied; details="policy_denied ns/abcd""#)
    }

    @Test func aRequestIsAPlainConnect() throws {
        var random = RandomDraws(seed: 1)
        let head = TunnelHeaders.request(
            authority: "[fd00::1]:80", baggage: "",
            source: try #require(SocketAddress("10.0.0.1:1234")), service: nil, random: &random)
        let names = (0..<head.count).map { String(decoding: head.name(at: $0), as: UTF8.self) }
        #expect(names == [":method", ":authority", "forwarded", "traceparent"])
        #expect(head.text(":authority") == "[fd00::1]:80")
        #expect(head.text("forwarded") == #"for="10.0.0.1:1234""#)
        let parts = try #require(head.text("traceparent")).split(separator: "-")
        #expect(parts.map(\.count) == [2, 32, 16, 2])
        let digits = parts.joined()
        #expect(digits.allSatisfy { $0.isHexDigit })
    }
}
