import MeshModel
import Testing

/// Addresses, ranges and ports as text: what is read, what is written, what is refused.
@Suite struct AddressTextTests {
    @Test(arguments: [
        (0, 0, "0.0.0.0:0"), (0xffff_ffff, 65535, "255.255.255.255:65535"), (0x0a00_0001, 80, "10.0.0.1:80"),
        (0x6409_0a63, 10_000, "100.9.10.99:10000"), (0x0100_6400, 9, "1.0.100.0:9"),
    ])
    func ipv4IsWrittenDigitByDigit(bits: UInt32, port: UInt16, text: String) {
        let address = SocketAddress(IPAddress(v4: bits), port)
        #expect(address.description == text)
        #expect("\(address.ip):\(port)" == text)
        #expect(SocketAddress(text) == address)
    }

    @Test(arguments: [
        ("0.0.0.0", "0.0.0.0"), ("127.0.0.1", "127.0.0.1"), ("255.255.255.255", "255.255.255.255"),
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
        ("::ffff:10.0.0.1", "10.0.0.1"), ("::ffff:a00:1", "10.0.0.1"), ("64:ff9b::10.0.0.1", "64:ff9b::a00:1"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("fe80::1", "fe80::1"),
    ]) func reads(_ text: String, _ written: String) throws {
        let ip = try #require(IPAddress(text))
        #expect(ip.description == written)
        #expect(IPAddress(written) == ip)
    }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.0.0.1", "1.2.3.999", "01.2.3.4", "1.2.3.04",
        "0x1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/32", "1,2,3,4", "-1.2.3.4", "+1.2.3.4", "\u{661}.2.3.4",
        ":", ":::", "1", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "::1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8::", "12345::", "g::", "::1%eth0", "[::1]", "::1 ", "::1.2.3", "::1.2.3.4.5", "1.2.3.4::",
        "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::ffff:010.0.0.1", "::-1", "::+1", "::\u{0}",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    ]) func refuses(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func mappedAndPlainAreOneAddress() throws {
        let mapped = try #require(IPAddress("::ffff:192.0.2.7"))
        #expect(mapped == IPAddress(v4: 0xc000_0207))
        #expect(mapped.isIPv4 && !mapped.isLoopback)
        // The compatible form, without ffff, is a different address.
        #expect(IPAddress("::192.0.2.7") != mapped)
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.255.0.9", true), ("128.0.0.1", false), ("::1", true), ("::2", false),
        ("::ffff:127.0.0.1", true), ("::7f00:1", false),
    ]) func loopback(_ text: String, _ expected: Bool) throws {
        #expect(try #require(IPAddress(text)).isLoopback == expected)
    }

    @Test func everyAddressWrittenIsReadBack() {
        var state: UInt64 = 1
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
        for _ in 0..<5_000 {
            // Zero groups in all places, so that `::` is written in all places.
            let high = next() & (0..<4).reduce(0) { $0 | (next() & 1) * 0xffff << UInt64(16 * $1) }
            let low = next() & (0..<4).reduce(0) { $0 | (next() & 1) * 0xffff << UInt64(16 * $1) }
            let ip = IPAddress(high: high, low: low)
            #expect(IPAddress(ip.description) == ip)
            let address = SocketAddress(ip, UInt16(truncatingIfNeeded: next()))
            #expect(SocketAddress(address.description) == address)
        }
    }

    // MARK: Ranges

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.1.2.3/8", "10.200.0.1", true),
        ("0.0.0.0/0", "255.1.1.1", true), ("0.0.0.0/0", "::1", false), ("::/0", "2001:db8::1", true),
        ("::/0", "10.0.0.1", false), ("10.0.0.1/32", "10.0.0.1", true), ("10.0.0.1/32", "10.0.0.2", false),
        ("10.0.0.1", "10.0.0.1", true), ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("2001:db8::/64", "2001:db8::ffff:0:0:1", true), ("2001:db8::/64", "2001:db8:0:1::1", false),
        ("2001:db8::/65", "2001:db8::7fff:0:0:1", true), ("2001:db8::/65", "2001:db8::8000:0:0:1", false),
        ("2001:db8::1/128", "2001:db8::1", true), ("2001:db8::1/128", "2001:db8::", false),
        ("10.0.0.128/25", "10.0.0.127", false), ("10.0.0.128/25", "10.0.0.255", true),
    ]) func contains(_ range: String, _ address: String, _ expected: Bool) throws {
        let prefix = try #require(IPPrefix(range))
        #expect(prefix.contains(try #require(IPAddress(address))) == expected)
    }

    @Test(arguments: [
        "", "/", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0/8",
        "2001:db8::/129", "10.0.0.0/a", "10.0.0.0/99999999999999999999", "10.0.0.0 /8", "::ffff:10.0.0.0/104",
    ]) func refusesRange(_ text: String) {
        #expect(IPPrefix(text) == nil)
    }

    @Test func hostBitsAreCleared() {
        #expect(IPPrefix("10.1.2.3/8")?.description == "10.0.0.0/8")
        #expect(IPPrefix("10.1.2.3/8") == IPPrefix("10.0.0.0/8"))
        #expect(IPPrefix("10.1.2.3")?.description == "10.1.2.3/32")
    }

    // MARK: Ports

    @Test(arguments: [
        ("1.2.3.4:80", "1.2.3.4:80"), ("1.2.3.4:0", "1.2.3.4:0"), ("[::1]:65535", "[::1]:65535"),
        ("[::ffff:1.2.3.4]:80", "1.2.3.4:80"),
    ]) func readsSocket(_ text: String, _ written: String) {
        #expect(SocketAddress(text)?.description == written)
    }

    @Test(arguments: [
        "", ":", ":80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:080", "1.2.3.4:+80", "1.2.3.4:80x", "::1:80",
        "[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80", "host:80", "1.2.3.4:80:80", "[::1]:", "::ffff:1.2.3.4:80",
    ]) func refusesSocket(_ text: String) {
        #expect(SocketAddress(text) == nil)
    }
}
