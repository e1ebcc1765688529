internal import HTTP2
internal import MeshModel
internal import NodeProxy
internal import RoutingCore

extension FuzzEntry {
    static func runAuthority(_ bytes: UnsafeRawBufferPointer) {
        switch Result(catching: { () throws(Refusal) in try TunnelAuthority.parse(bytes) }) {
        case .success(let authority):
            let text = authority.description
            let again = try? TunnelAuthority.parse(text.utf8)
            promise(again == authority, "\(text) reads as something else")
            promise(authority.port != 0, "port 0 was let in")
            promise(bytes.count <= TunnelAuthority.longest, "a long authority was let in")
        case .failure(let refusal):
            promise(refusal.reason == .authorityInvalid, "refused as \(refusal.reason)")
            let isPlain = refusal.detail.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
            promise(isPlain, "control characters reach the log")
            promise(refusal.detail.utf8.count < 2048, "a peer's text fills the log")
        }
        for tunnelled in [false, true] {
            let request = InboundDecision.Request(
                workload: MeshFixture.server, localAddress: SocketAddress(MeshFixture.serverIP, 15008),
                localhostApplicationTunnel: tunnelled)
            let decision = InboundDecision.decide(request, authority: bytes, in: MeshFixture.snapshot)
            let explained = InboundDecision.explain(request, authority: bytes, in: MeshFixture.snapshot).decision
            switch (decision, explained) {
            case (.forward(let target), .forward(let told)):
                promise(target == told, "explained otherwise than decided")
                promise(target.destination.ip == MeshFixture.serverIP, "led away from its pod to \(target)")
                promise(!ProxyPorts.contains(target.dial.port), "led to a port of the proxy: \(target)")
            case (.refused(let status, let refusal), .refused(let told, let why)):
                promise(status == told && refusal.reason == why.reason, "explained otherwise than decided")
                promise([400, 503].contains(status), "refused with \(status)")
            default: promise(false, "explained otherwise than decided")
            }
        }
    }

    static func runSpiffe(_ bytes: UnsafeRawBufferPointer) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let identity = SpiffeID(text) else { return }
        promise(identity.description == text, "\(text) became \(identity)")
        promise(SpiffeID.isTrustDomain(identity.trustDomain), "trust domain \(identity.trustDomain)")
        promise(text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x25 }, "odd bytes in \(identity)")
        promise(text.utf8.count <= SpiffeID.longest, "a long identity was let in")
        promise(identity.namespace != ".." && identity.serviceAccount != "..", "dots in \(identity)")
    }

    static func runHeaders(_ bytes: UnsafeRawBufferPointer) {
        let block = HeaderBlock(lines: bytes)
        var size = 0
        for index in 0..<block.count {
            size += block.name(at: index).count + block.value(at: index).count + 32
            let name = String(decoding: block.name(at: index), as: UTF8.self)
            if name == ":authority" {
                promise(block.first(":authority") != nil, "a field is not found")
                promise(block.occurrences(of: ":authority") >= 1, "a field is not counted")
            }
        }
        promise(size == block.listSize, "list size \(block.listSize), not \(size)")
        if let status = block.status { promise((0...999).contains(status), "status \(status)") }
        promise((block.first("host") == nil) == (block.occurrences(of: "host") == 0), "host found and not counted")
        promise((block.text("host") == nil) == (block.first("host") == nil), "host without text")
    }

    static func runClaims(_ bytes: UnsafeRawBufferPointer) {
        let block = HeaderBlock(lines: bytes)
        if let baggage = Baggage(block) {
            let values = [
                baggage.cluster, baggage.namespace, baggage.workload, baggage.service, baggage.version, baggage.region,
                baggage.zone,
            ]
            for value in values {
                promise(value.utf8.count <= 253, "a long value was kept")
                promise(value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "odd bytes were kept: \(value)")
            }
            promise(values.contains { !$0.isEmpty }, "baggage that says nothing")
        }
        if let field = block.first("forwarded"), let host = ForwardedHost.name(in: field) {
            promise(!host.isEmpty && host.utf8.count <= 3 * field.count, "host \(host)")
        }
        if let text = block.text("x-identity"), let identity = SpiffeID(text) {
            let header = ProxyHeader.version2(
                source: SocketAddress(.loopbackV4, 1), destination: SocketAddress(.loopbackV6, 2), identity: identity)
            let length = Int(header[14]) << 8 | Int(header[15])
            promise(header.count == 16 + length, "the header's length lies")
        }
    }
}

extension HeaderBlock {
    /// Fields from lines of `name: value`; a pseudo-header's name begins with its colon.
    init(lines bytes: UnsafeRawBufferPointer) {
        self.init()
        for line in bytes.split(separator: UInt8(ascii: "\n")).prefix(200) {
            let start = line.first == UInt8(ascii: ":") ? line.startIndex + 1 : line.startIndex
            let colon = line[start...].firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
            let value = line[colon...].dropFirst().drop { $0 == UInt8(ascii: " ") }
            append(name: Array(line[..<colon]), value: Array(value))
        }
    }
}
