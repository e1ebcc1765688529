import EventLoop
import Glibc
import HBONE
import HTTP2
import MeshModel
import TLS

/// Both ends of HBONE in one thread: a client pool and a server on one loop over the loopback address, with relays to
/// application sockets on either side, as the daemon joins them.
final class TunnelEnds: TunnelDialer, TunnelOwner {
    let loop: EventLoop
    let buffers = TunnelBuffers()
    let key: TunnelKey
    private(set) var pool: TunnelPool?
    private let clientContext: TLSContext
    private let listener: Descriptor
    private var accepting: ConnectionListener?
    private var served: [TunnelConnection] = []
    /// Streams that came to the server and whose application has not been given to anybody yet.
    private(set) var arrived: [ServerSide] = []

    init(streamsPerConnection: Int = 100, records: TLSRecords = .libssl) throws {
        loop = try EventLoop()
        var template = Array("/tmp/ztun-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw BenchFailure("mkdtemp: \(String(cString: strerror(errno)))") }
        let folder = template.withUnsafeBufferPointer { String(decoding: $0.dropLast().map(UInt8.init), as: UTF8.self) }
        let now = Int64(time(nil))
        let client = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "client")
        let server = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "server")
        let authority = try CertificateAuthority.open(directory: folder, trustDomain: "cluster.local", now: now)
        clientContext = try TLSContext(authority.issue(client, now: now), role: .client, records: records)
        let serverContext = try TLSContext(authority.issue(server, now: now), role: .server, records: records)
        // Both contexts have what they need; connections and their owner hold each other, so there is no deinit to wait for.
        for name in ["ca.crt", "ca.key", "ca.lock"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
        listener = Descriptor(owning: Kernel.tcpSocket(ipv6: false))
        _ = Kernel.bind(listener.number, SocketAddress(.loopbackV4, 0), ipv6Socket: false)
        _ = Kernel.listen(listener.number, backlog: 64)
        guard let address = Kernel.localAddress(listener.number) else { throw BenchFailure("no listening address") }
        key = TunnelKey(source: client, expected: [server], sourceAddress: .loopbackV4, destination: address)
        pool = TunnelPool(loop: loop, buffers: buffers, dialer: self, streamsPerConnection: streamsPerConnection)
        accepting = try ConnectionListener(
            descriptor: listener.number, loop: loop,
            accept: { [unowned self] socket, peer in
                let connection = try? TunnelConnection.serve(
                    socket, from: peer, context: serverContext, trustDomain: "cluster.local", loop: loop,
                    buffers: buffers, owner: self)
                if let connection { served.append(connection) }
            }, refused: { _ in })
    }

    /// Tunnel connections open at the server.
    var servedCount: Int { served.count }

    /// The application socket of the stream that came last; nil before one came.
    func takeArrived() -> ServerSide? { arrived.popLast() }

    // MARK: - Client

    func tunnelSocket(for key: TunnelKey) throws(TunnelFailure) -> Descriptor {
        Descriptor(owning: Kernel.tcpSocket(ipv6: false))
    }

    func tunnelContext(for key: TunnelKey) throws(TunnelFailure) -> TLSContext { clientContext }

    // MARK: - Server

    func tunnelOpened(_ connection: TunnelConnection) {}
    func tunnelChanged(_ connection: TunnelConnection) {}
    func tunnelClosed(_ connection: TunnelConnection, failure: TunnelFailure?) {
        served.removeAll { $0 === connection }
    }

    func tunnelRequested(_ connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock, endStream: Bool) {
        guard let side = try? ServerSide(stream, loop: loop, share: connection.share) else { return stream.reset() }
        arrived.append(side)
    }
}

/// The server's end of one stream: the application behind it, and the relay between them.
final class ServerSide: RelayOwner {
    private(set) var application: ApplicationSocket?
    private var relay: SocketRelay?
    private(set) var isOver = false

    init(_ stream: TunnelStream, loop: EventLoop, share: FairShare) throws {
        application = try ApplicationSocket { other in
            let relay = try SocketRelay(
                socket: other, isConnected: false, loop: loop, share: share, owner: self)
            self.relay = relay
            relay.attach(stream)
        }
    }

    func relayOpened(head: HeaderBlock?) {
        var head = HeaderBlock()
        head.append(":status", "200")
        head.append("baggage", BenchHeaders.baggage)
        relay?.accept(head)
    }
    func relayEnded(_ outcome: RelayOutcome) { end() }
    func relayRefused(_ failure: TunnelFailure) { end() }

    private func end() {
        isOver = true
        relay = nil
        application = nil
    }
}

/// The client's end of one stream: an application that has connected, and its relay into the pool.
final class ClientSide: RelayOwner, TunnelWaiter {
    private(set) var application: ApplicationSocket?
    private var relay: SocketRelay?
    private(set) var isOver = false
    private(set) var isOpen = false
    private(set) var failure: TunnelFailure?

    init(_ ends: TunnelEnds) throws {
        application = try ApplicationSocket { other in
            relay = try SocketRelay(
                socket: other, isConnected: true, loop: ends.loop, share: ends.buffers.commonShare(ends.loop),
                owner: self)
        }
        ends.pool?.checkout(ends.key, self)
    }

    func tunnelAvailable(_ connection: TunnelConnection) {
        var head = HeaderBlock()
        head.append(":method", "CONNECT")
        head.append(":authority", "10.0.0.1:80")
        head.append("baggage", BenchHeaders.baggage)
        head.append("forwarded", "for=\"10.0.0.2:40000\"")
        head.append("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
        _ = relay?.open(on: connection, head: head)
    }
    func tunnelUnavailable(_ failure: TunnelFailure) {
        self.failure = failure
        isOver = true
    }
    func relayOpened(head: HeaderBlock?) { isOpen = true }
    func relayEnded(_ outcome: RelayOutcome) {
        failure = outcome.failure
        isOver = true
        relay = nil
        application = nil
    }
    func relayRefused(_ failure: TunnelFailure) {
        self.failure = failure
        isOver = true
    }
}

/// Headers as long as real ones.
enum BenchHeaders {
    static let baggage =
        "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.deployment.name=client,service.name=client,"
        + "service.version=v1"
}
