import EventLoop
import Glibc
import HTTP2
import MeshModel
import TLS

@testable import HBONE

/// A pool and a server on one loop over the loopback address, with certificates of one authority.
final class TunnelBench: TunnelDialer {
    let loop: EventLoop
    let buffers = TunnelBuffers()
    let server = ServerSide()
    private(set) var pool: TunnelPool?
    let share: FairShare
    let clientIdentity = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "client")
    let serverIdentity = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "server")
    var dials = 0
    private let clientContext: TLSContext
    private let listener: Descriptor
    private var accepting: ConnectionListener?
    let address: SocketAddress
    private let folder: String

    init(streamsPerConnection: Int = 100) throws {
        loop = try EventLoop()
        share = FairShare(loop: loop, memory: .unlimited)
        var template = Array("/tmp/zt-hbone-XXXXXX".utf8CString)
        folder = String(cString: mkdtemp(&template))
        let now = Int64(time(nil))
        let authority = try CertificateAuthority.open(directory: folder, trustDomain: "cluster.local", now: now)
        clientContext = try TLSContext(authority.issue(clientIdentity, now: now), role: .client)
        let serverContext = try TLSContext(authority.issue(serverIdentity, now: now), role: .server)
        listener = Descriptor(owning: Kernel.tcpSocket(ipv6: false))
        _ = Kernel.bind(listener.number, SocketAddress(.loopbackV4, 0), ipv6Socket: false)
        _ = Kernel.listen(listener.number, backlog: 64)
        guard let address = Kernel.localAddress(listener.number) else { throw SystemError("getsockname", 0) }
        self.address = address
        pool = TunnelPool(
            loop: loop, buffers: buffers, dialer: self, streamsPerConnection: streamsPerConnection, share: share)
        server.bench = self
        accepting = try ConnectionListener(
            descriptor: listener.number, loop: loop,
            accept: { [unowned self] socket, peer in
                let connection = try? TunnelConnection.serve(
                    socket, from: peer, context: serverContext, trustDomain: "cluster.local", loop: loop,
                    buffers: buffers, owner: server)
                if let connection { server.connections.append(connection) }
            }, refused: { _ in })
    }

    deinit {
        // Open connections and their streams hold each other; what is left over is a leak to the sanitizer.
        let failure = TunnelFailure(.draining, "the test is over")
        pool?.closeAll(failure)
        for connection in server.connections { connection.close(failure) }
        accepting?.close()
        loop.turn(wait: false)
        for name in ["ca.crt", "ca.key", "lock", "ca.lock"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    func key(expected: SpiffeID? = nil, port: UInt16? = nil) -> TunnelKey {
        TunnelKey(
            source: clientIdentity, expected: [expected ?? serverIdentity], sourceAddress: .loopbackV4,
            destination: SocketAddress(.loopbackV4, port ?? address.port))
    }

    /// Turns the loop until the condition holds; false after five seconds.
    func run(until condition: () -> Bool) -> Bool {
        let end = Kernel.monotonicNow() + 5_000_000_000
        // Something always becomes due, so that a turn never waits for ever.
        let tick = EventHandler()
        let deadline = Deadline(owner: tick, kind: 0)
        while !condition() {
            if Kernel.monotonicNow() > end { return false }
            deadline.arm(loop.deadlines(seconds: 0.01), now: loop.now)
            loop.turn(wait: true)
        }
        return true
    }

    func tunnelSocket(for key: TunnelKey) throws(TunnelFailure) -> Descriptor {
        dials += 1
        return Descriptor(owning: Kernel.tcpSocket(ipv6: false))
    }

    func tunnelContext(for key: TunnelKey) throws(TunnelFailure) -> TLSContext { clientContext }
}

/// The server's owner: answers requests by its table.
final class ServerSide: TunnelOwner {
    unowned(unsafe) var bench: TunnelBench?
    var connections: [TunnelConnection] = []
    var statuses: [String: Int] = [:]
    var requests: [String] = []
    var echoes: [EchoSink] = []
    var failures: [TunnelFailure] = []

    func tunnelOpened(_ connection: TunnelConnection) {}
    func tunnelChanged(_ connection: TunnelConnection) {}
    func tunnelClosed(_ connection: TunnelConnection, failure: TunnelFailure?) {
        connections.removeAll { $0 === connection }
        if let failure { failures.append(failure) }
    }

    func tunnelRequested(_ connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock, endStream: Bool) {
        let authority = head.text(":authority") ?? ""
        requests.append(authority)
        var answer = HeaderBlock()
        let status = statuses[authority] ?? 200
        answer.append(":status", "\(status)")
        if authority.hasPrefix("discard") {
            stream.attach(DiscardSink(stream))
        } else if status == 200 {
            let echo = EchoSink(stream)
            echoes.append(echo)
            stream.attach(echo)
        } else {
            answer.append("proxy-status", "test; details=\"because\"")
        }
        stream.respond(answer, end: status != 200)
    }
}

/// Takes what arrives and drops it.
final class DiscardSink: TunnelSink {
    private let stream: TunnelStream

    init(_ stream: TunnelStream) { self.stream = stream }

    func tunnelAnswered(status: Int, head: HeaderBlock) {}
    func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int) { stream.consumed(count) }
    func tunnelFlush() {}
    func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull { .later }
    func tunnelEnded() {}
    func tunnelClosed(code: UInt32, failure: TunnelFailure?) {}
}

/// A client that never runs out of bytes.
final class EndlessSink: TunnelSink, TunnelWaiter {
    private let authority: String
    private var stream: TunnelStream?
    private(set) var pulled = 0

    init(_ authority: String) { self.authority = authority }

    func tunnelAvailable(_ connection: TunnelConnection) {
        var head = HeaderBlock()
        head.append(":method", "CONNECT")
        head.append(":authority", authority)
        stream = connection.open(head, sink: self)
    }
    func tunnelUnavailable(_ failure: TunnelFailure) {}
    func tunnelAnswered(status: Int, head: HeaderBlock) { stream?.resume() }
    func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int) { stream?.consumed(count) }
    func tunnelFlush() {}
    func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        buffer.initializeMemory(as: UInt8.self, repeating: 7, count: capacity)
        pulled += capacity
        return .bytes(capacity)
    }
    func tunnelEnded() {}
    func tunnelClosed(code: UInt32, failure: TunnelFailure?) {}
}

/// Sends back what arrives.
final class EchoSink: TunnelSink {
    private let stream: TunnelStream
    private var kept: [UInt8] = []
    private var ended = false
    private(set) var closed: UInt32?

    init(_ stream: TunnelStream) { self.stream = stream }

    func tunnelAnswered(status: Int, head: HeaderBlock) {}
    func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int) {
        kept += UnsafeRawBufferPointer(start: bytes, count: count)
        stream.consumed(count)
    }
    func tunnelFlush() { stream.resume() }
    func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        if kept.isEmpty { return ended ? .end : .later }
        let count = min(capacity, kept.count)
        kept.withUnsafeBytes { buffer.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: count) }
        kept.removeFirst(count)
        return .bytes(count)
    }
    func tunnelEnded() {
        ended = true
        stream.resume()
    }
    func tunnelClosed(code: UInt32, failure: TunnelFailure?) { closed = code }
}

/// The client's end: opens a stream, sends bytes, collects what comes.
final class ClientSink: TunnelSink, TunnelWaiter {
    let authority: String
    var toSend: [UInt8]
    private var stream: TunnelStream?
    private(set) var connection: TunnelConnection?
    private(set) var failure: TunnelFailure?
    private(set) var status: Int?
    private(set) var received: [UInt8] = []
    private(set) var ended = false
    private(set) var closed: UInt32?

    init(_ authority: String, sending bytes: [UInt8] = []) {
        self.authority = authority
        toSend = bytes
    }

    func tunnelAvailable(_ connection: TunnelConnection) {
        self.connection = connection
        var head = HeaderBlock()
        head.append(":method", "CONNECT")
        head.append(":authority", authority)
        stream = connection.open(head, sink: self)
    }
    func tunnelUnavailable(_ failure: TunnelFailure) { self.failure = failure }
    func tunnelAnswered(status: Int, head: HeaderBlock) {
        self.status = status
        stream?.resume()
    }
    func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int) {
        received += UnsafeRawBufferPointer(start: bytes, count: count)
        stream?.consumed(count)
    }
    func tunnelFlush() {}
    func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        guard status == 200 else { return .later }
        if toSend.isEmpty { return .end }
        let count = min(capacity, toSend.count)
        toSend.withUnsafeBytes { buffer.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: count) }
        toSend.removeFirst(count)
        return .bytes(count)
    }
    func tunnelEnded() { ended = true }
    func tunnelClosed(code: UInt32, failure: TunnelFailure?) {
        closed = code
        if let failure { self.failure = failure }
    }
}
