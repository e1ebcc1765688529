internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel
internal import RoutingCore
internal import TLS

/// One tunnel to a service on another network, inside a CONNECT stream to that network's gateway (double HBONE).
///
/// The outer tunnel is pooled like any other. The inner one is an ordinary ``TunnelConnection`` whose transport is one end of
/// a pair of local sockets; the other end is relayed into the outer stream as an application's socket would be. So the
/// engines know nothing of nesting, and back-pressure and half-closes are the kernel's. It costs one copy more per byte,
/// which a path between networks does not feel. The inner tunnel carries one connection and is never shared.
final class GatewayTunnel: EventHandler, TunnelWaiter, RelayOwner, TunnelOwner {
    private let site: PodSite
    private let key: TunnelKey
    private let inner: [SpiffeID]
    private let head: HeaderBlock
    private var waiter: (any TunnelWaiter)?
    private var relay: SocketRelay?
    private var end: HeldDescriptor?
    private var tunnel: TunnelConnection?
    private var repeats = 0
    private var farewell: Deadline?
    /// Seconds that the gateway may take to end the outer stream once the inner tunnel is over.
    private static let farewellLimit = 10.0

    /// - Parameters:
    ///   - key: of the outer tunnel.
    ///   - inner: whom the peer of the inner tunnel must prove to be; nobody passes an empty list.
    ///   - head: the outer CONNECT.
    init(site: PodSite, key: TunnelKey, inner: [SpiffeID], head: HeaderBlock) {
        self.site = site
        self.key = key
        self.inner = inner
        self.head = head
    }

    /// Opens it; the waiter is told the inner connection, or why there is none. The inner connection takes one stream.
    func open(_ waiter: any TunnelWaiter) {
        self.waiter = waiter
        do throws(SystemError) {
            let (near, far) = try Kernel.streamPair()
            guard let socket = near.take() else { return }
            end = far
            relay = try SocketRelay(
                socket: socket, isConnected: true, loop: site.worker.loop, share: site.share, owner: self)
        } catch {
            return fail(TunnelFailure(.overLimit, "\(error)"))
        }
        site.pool.checkout(key, self)
    }

    /// Gives up; the waiter gets no call any more.
    func cancel() {
        waiter = nil
        site.pool.cancel(key, self)
        close()
    }

    private func close() {
        end = nil
        let tunnel = self.tunnel
        self.tunnel = nil
        tunnel?.close()
        let relay = self.relay
        self.relay = nil
        if let relay {
            let failure = TunnelFailure(.reset, "the inner tunnel ended")
            if relay.stream != nil { relay.cut(failure) } else { relay.giveUp() }
        }
    }

    private func fail(_ failure: TunnelFailure) {
        let waiter = self.waiter
        self.waiter = nil
        close()
        waiter?.tunnelUnavailable(failure)
    }

    // MARK: - The outer tunnel

    func tunnelAvailable(_ connection: TunnelConnection) {
        guard waiter != nil, let relay else { return }
        if !relay.open(on: connection, head: head) { site.pool.checkout(key, self) }
    }

    func tunnelUnavailable(_ failure: TunnelFailure) {
        fail(failure)
    }

    func relayRefused(_ failure: TunnelFailure) {
        guard waiter != nil else { return }
        if failure.isUnprocessed, repeats < 2 {
            repeats += 1
            return site.pool.checkout(key, self)
        }
        fail(failure)
    }

    func relayOpened(head: HeaderBlock?) {
        guard waiter != nil, let socket = end?.take() else { return }
        do throws(TunnelFailure) {
            tunnel = try TunnelConnection(
                socket: socket, isConnected: true, role: .client, context: try site.tunnelContext(for: key),
                expectation: .oneOf(inner), local: SocketAddress(key.sourceAddress, 0), remote: key.destination,
                loop: site.worker.loop, buffers: site.worker.buffers, limits: site.worker.settings.http2,
                share: site.share,
                owner: self)
        } catch {
            fail(error)
        }
    }

    func relayEnded(_ outcome: RelayOutcome) {
        relay = nil
        farewell = nil
        if let waiter {
            self.waiter = nil
            let failure =
                outcome.failure ?? TunnelFailure(.tunnelRefused, "the gateway ended the stream before it was used")
            close()
            waiter.tunnelUnavailable(failure)
        }
    }

    // MARK: - The inner tunnel

    func tunnelOpened(_ connection: TunnelConnection) {
        guard let waiter else { return }
        self.waiter = nil
        waiter.tunnelAvailable(connection)
        // It has its one stream, and ends with it.
        connection.drain()
    }

    func tunnelClosed(_ connection: TunnelConnection, failure: TunnelFailure?) {
        tunnel = nil
        if waiter != nil {
            return fail(
                failure
                    ?? TunnelFailure(
                        .tlsFailed, "the inner tunnel was closed during its handshake", isBeforeRequest: true))
        }
        guard relay != nil else { return }
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(site.worker.loop.deadlines(seconds: Self.farewellLimit), now: site.worker.loop.now)
        farewell = deadline
    }

    func tunnelChanged(_ connection: TunnelConnection) {}

    func tunnelRequested(_ connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock, endStream: Bool) {}

    override func expired(_ kind: UInt8) {
        farewell = nil
        relay?.cut(TunnelFailure(.reset, "the gateway did not end the stream"))
    }
}
