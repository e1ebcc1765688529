import MeshModel
import Testing

@testable import NodeProxy

struct ProxyHeaderTests {
    private let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]

    private func address(_ text: String) throws -> SocketAddress { try #require(SocketAddress(text)) }

    @Test func ipv4WithIdentity() throws {
        let identity = SpiffeID(trustDomain: "td", namespace: "n", serviceAccount: "s")
        let header = try ProxyHeader.version2(
            source: address("1.2.3.4:258"), destination: address("5.6.7.8:80"), identity: identity)
        let text = Array("spiffe://td/ns/n/sa/s".utf8)
        #expect(
            header == signature + [0x21, 0x11, 0, UInt8(12 + 3 + text.count), 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 0, 80]
                + [0xd0, 0, UInt8(text.count)] + text)
    }

    @Test func ipv6WithoutIdentity() throws {
        let header = try ProxyHeader.version2(
            source: address("[2001:db8::1]:1"), destination: address("[2001:db8::2]:65535"), identity: nil)
        let prefix: [UInt8] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        #expect(header == signature + [0x21, 0x21, 0, 36] + prefix + [1] + prefix + [2] + [0, 1, 255, 255])
    }

    @Test(arguments: [("1.2.3.4:1", "[2001:db8::2]:2"), ("[2001:db8::2]:2", "1.2.3.4:1")])
    func mixedFamiliesAreMapped(source: String, destination: String) throws {
        let header = try ProxyHeader.version2(source: address(source), destination: address(destination), identity: nil)
        #expect(header.count == 16 + 36)
        #expect(header[13] == 0x21)
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4]
        #expect(Array(source.hasPrefix("1") ? header[16..<32] : header[32..<48]) == mapped)
    }

    @Test func theLongestIdentityFits() throws {
        let identity = SpiffeID(
            trustDomain: "td", namespace: String(repeating: "n", count: 1000),
            serviceAccount: String(repeating: "s", count: 1000))
        let header = try ProxyHeader.version2(
            source: address("1.2.3.4:1"), destination: address("1.2.3.4:2"), identity: identity)
        #expect(Int(header[14]) << 8 | Int(header[15]) == header.count - 16)
    }
}
