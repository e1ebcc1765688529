import MeshModel
import RoutingCore
import Testing

/// What the bytes of `:authority` may be.
@Suite struct TunnelAuthorityTests {
    @Test(arguments: [
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("10.0.0.1:1", "10.0.0.1:1"),
        ("10.0.0.1:65535", "10.0.0.1:65535"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443"),
        ("[2001:DB8:0::1]:443", "[2001:db8::1]:443"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("server.default.svc.cluster.local:80", "server.default.svc.cluster.local:80"),
        ("Server.Default.SVC:80", "server.default.svc:80"),
        ("localhost:80", "localhost:80"),
        ("my_app-1.ns:8080", "my_app-1.ns:8080"),
        ("1.2.3.4.example:80", "1.2.3.4.example:80"),
        ("0xyz:80", "0xyz:80"),
        ("3scale.ns:80", "3scale.ns:80"),
    ]) func accepts(_ text: String, _ expected: String) throws {
        #expect(try TunnelAuthority.parse(Array(text.utf8)).description == expected)
    }

    @Test(arguments: [
        "", ":", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:00080", "10.0.0.1:99999", "10.0.0.1:65536",
        "10.0.0.1:+80", "10.0.0.1:-1", "10.0.0.1:0x50", "10.0.0.1:80 ", " 10.0.0.1:80", "10.0.0.1: 80",
        "10.0.0.1:80:80",
        "10.0.0.1:80,10.0.0.2:80", "10.0.0.1,10.0.0.2:80", "user@10.0.0.1:80", "user:pass@10.0.0.1:80",
        "http://10.0.0.1:80", "10.0.0.1:80/", "10.0.0.1:80/path", "10.0.0.1:80?x", "10.0.0.1:80#x",
        "0x7f000001:80", "0x7f.0.0.1:80", "0x0a.0x0.0x0.0x1:80", "0x:80", "0177.0.0.1:80", "010.0.0.1:80",
        "2130706433:80", "127.1:80", "10.0.1:80", "1.2.3.4.5:80", "256.0.0.1:80", "10.0.0.01:80", "a.b.1:80",
        "2001:db8::1:80", "[2001:db8::1:80", "2001:db8::1]:80", "[2001:db8::1%eth0]:80", "[2001:db8::1]80", "[]:80",
        "[10.0.0.1]:80", "[::ffff:10.0.0.1]:80", "[::ffff:7f00:1]:80", "::ffff:10.0.0.1:80", "[2001:db8::1]]:80",
        "[[2001:db8::1]]:80", "[server]:80", "[v1.x]:80", "server.default.:80", ".server:80", "a..b:80", "-a:80",
        "a-:80",
        "a.-b:80", "*.example.com:80", "*:80", "a b:80", "a%2eb:80", "serv\u{e9}r:80", "server\u{0}:80",
        "server\r\n:80",
        "\u{ff11}0.0.0.1:80", "10\u{3002}0.0.1:80", "server:https", "server", "server:",
    ]) func refuses(_ text: String) {
        #expect {
            try TunnelAuthority.parse(Array(text.utf8))
        } throws: { error in
            (error as? Refusal)?.reason == .authorityInvalid
        }
    }

    @Test func refusesWhatIsTooLong() {
        let label = String(repeating: "a", count: 63)
        let longest = "\(label).\(label).\(label).\(String(repeating: "a", count: 61))"
        #expect(longest.utf8.count == 253)
        #expect(throws: Never.self) { try TunnelAuthority.parse(Array("\(longest):65535".utf8)) }
        #expect(throws: Refusal.self) { try TunnelAuthority.parse(Array("\(longest)a:65535".utf8)) }
        #expect(throws: Refusal.self) { try TunnelAuthority.parse(Array("a\(label):80".utf8)) }
        #expect(throws: Refusal.self) { try TunnelAuthority.parse([UInt8](repeating: 97, count: 1_000_000)) }
    }

    @Test func everyByteInsideANameIsEitherKeptOrRefused() {
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.".utf8)
        for byte in UInt8.min...UInt8.max {
            let accepted = (try? TunnelAuthority.parse([97, byte, 98, 58, 56, 48])) != nil
            #expect(accepted == allowed.contains(byte), "byte \(byte)")
        }
    }

    @Test func theRefusalQuotesThePeerEscapedAndCut() throws {
        let bytes = Array("a\"\u{1b}[31m\n".utf8) + [UInt8](repeating: 120, count: 200)
        let refusal = #expect(throws: Refusal.self) { try TunnelAuthority.parse(bytes) }
        let detail = try #require(refusal?.detail)
        #expect(detail.utf8.allSatisfy { (0x20...0x7e).contains($0) })
        #expect(detail.contains(#"\"\x1b[31m\x0a"#))
        #expect(detail.utf8.count < 250)
    }

    @Test func parsingNeverCrashes() {
        var random = RandomDraws(seed: 42)
        let alphabet = Array("[]:.0129afx%@,-_ \u{0}".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<Int(random.next(below: 24))).map { _ in
                alphabet[Int(random.next(below: UInt64(alphabet.count)))]
            }
            guard let authority = try? TunnelAuthority.parse(bytes) else { continue }
            // What was accepted is written back to something that means the same.
            #expect((try? TunnelAuthority.parse(Array(authority.description.utf8))) == authority)
        }
    }
}
