internal import HTTP2
internal import MeshModel
internal import NodeProxy
internal import RoutingCore

/// What stands behind a fuzzed engine: keeps count of its streams and checks that events come only to those that are open.
class EnginePeer: HTTP2Delegate {
    /// One stream: echoes what it gets, at the pace of the peer's window.
    final class Stream {
        let id: Int32
        var kept = 0
        var hasEnded = false
        var isAnswered = false

        init(id: Int32) { self.id = id }
    }

    private var storage: HTTP2Engine?
    /// Set by the initialiser, which needs `self` for it.
    var engine: HTTP2Engine { storage.unsafelyUnwrapped }
    private(set) var open: [UnsafeMutableRawPointer: Stream] = [:]
    /// Bytes of our own that the streams were given to send.
    private(set) var given = 0

    init(_ role: HTTP2Engine.Role) {
        storage = HTTP2Engine(role, delegate: self, limits: HTTP2Limits(), now: 0)
    }

    func add(_ stream: Stream) -> UnsafeMutableRawPointer {
        let context = Unmanaged.passUnretained(stream).toOpaque()
        FuzzEntry.promise(open.updateValue(stream, forKey: context) == nil, "a stream is opened twice")
        return context
    }

    func remove(_ context: UnsafeMutableRawPointer) { open[context] = nil }

    private func stream(_ context: UnsafeMutableRawPointer) -> Stream {
        guard let stream = open[context] else { fatalError("broken promise: an event for a stream that is closed") }
        return stream
    }

    func http2Request(_ stream: Int32, head: HeaderBlock, endStream: Bool) {
        FuzzEntry.promise(head.count <= HTTP2Limits().headerFields, "\(head.count) fields")
        FuzzEntry.promise(head.listSize <= HTTP2Limits().headerListSize, "a header list of \(head.listSize)")
    }

    func http2Response(_ context: UnsafeMutableRawPointer, head: HeaderBlock) {
        let stream = stream(context)
        _ = head.status
        _ = Baggage(head)
        stream.isAnswered = true
    }

    func http2Data(_ context: UnsafeMutableRawPointer, bytes: UnsafeRawPointer, count: Int) {
        let stream = stream(context)
        FuzzEntry.promise(!stream.hasEnded, "bytes after the end")
        // The sanitizer sees whether they are there to be read.
        _ = UnsafeRawBufferPointer(start: bytes, count: count).reduce(0, &+)
        stream.kept += count
        given += count
        engine.consumed(stream.id, count: count)
        engine.resume(stream.id)
    }

    func http2End(_ context: UnsafeMutableRawPointer) {
        let stream = stream(context)
        FuzzEntry.promise(!stream.hasEnded, "two ends")
        stream.hasEnded = true
        engine.resume(stream.id)
    }

    func http2Closed(_ context: UnsafeMutableRawPointer, code: UInt32) {
        let stream = stream(context)
        if engine.role == .server, !stream.isAnswered, code != 0 { engine.countEarlyReset() }
        open[context] = nil
    }

    func http2Pull(_ context: UnsafeMutableRawPointer, into: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        let stream = stream(context)
        guard stream.kept > 0 else { return stream.hasEnded ? .end : .later }
        let count = min(stream.kept, capacity)
        into.initializeMemory(as: UInt8.self, repeating: 0x61, count: count)
        stream.kept -= count
        return .bytes(count)
    }

    func http2GoAway(lastStream: Int32, code: UInt32) {}
    func http2Pong() {}
    func http2SettingsChanged() {}
}

/// A server that decides about every CONNECT as the node's inbound side does, and echoes where it lets one in.
final class TunnelServer: EnginePeer {
    init() { super.init(.server) }

    override func http2Request(_ id: Int32, head: HeaderBlock, endStream: Bool) {
        super.http2Request(id, head: head, endStream: endStream)
        let stream = Stream(id: id)
        stream.hasEnded = endStream
        engine.setContext(add(stream), of: id)
        _ = Baggage(head)
        _ = head.first("forwarded").map { ForwardedHost.name(in: $0) }
        let authority = head.first(":authority") ?? []
        var answer = HeaderBlock()
        guard head.text(":method") == "CONNECT", head.first(":protocol") == nil else {
            stream.isAnswered = true
            answer.append(":status", "400")
            return engine.respond(id, answer, end: true)
        }
        let request = InboundDecision.Request(
            workload: MeshFixture.server, localAddress: SocketAddress(MeshFixture.serverIP, 15008))
        stream.isAnswered = true
        switch InboundDecision.decide(request, authority: authority, in: MeshFixture.snapshot) {
        case .refused(let status, _): answer.append(":status", "\(status)")
        case .forward: answer.append(":status", "200")
        }
        engine.respond(id, answer, end: false)
    }
}

/// A client with CONNECT streams under way.
final class TunnelClient: EnginePeer {
    init() { super.init(.client) }

    func open(_ count: Int) {
        var head = HeaderBlock()
        head.append(":method", "CONNECT")
        head.append(":authority", "10.0.0.1:80")
        for number in 0..<count {
            let stream = Stream(id: Int32(2 * number + 1))
            let context = add(stream)
            let id = engine.connect(head, context: context)
            FuzzEntry.promise(id == stream.id, "stream \(String(describing: id))")
            stream.kept = 100
            engine.resume(stream.id)
        }
    }

    override func http2Request(_ stream: Int32, head: HeaderBlock, endStream: Bool) {
        FuzzEntry.promise(false, "a server's request reached us")
    }
}
