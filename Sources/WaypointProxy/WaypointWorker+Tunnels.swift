internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel
internal import RoutingCore
internal import TLS
internal import Telemetry

extension WaypointWorker: TunnelOwner {
    /// Serves a connection of the tunnel port.
    func accept(_ socket: consuming Descriptor, _ peer: SocketAddress) {
        guard !isDraining else { return }
        guard let identity else {
            // It had one, else nobody would listen: closed without a word, like everything before the peer is verified.
            return refused(
                .certificateUnavailable, "this waypoint has no valid certificate", from: peer,
                to: Kernel.localAddress(socket.number) ?? settings.address, peer: nil)
        }
        do throws(TunnelFailure) {
            let tunnel = try TunnelConnection.serve(
                socket, from: peer, context: identity.server, trustDomain: settings.trustDomain, loop: loop,
                buffers: buffers, limits: settings.http2, owner: self)
            tunnels[ObjectIdentifier(tunnel)] = tunnel
        } catch {
            report(.warn, "a connection from \(peer) cannot be served: \(error)")
        }
    }

    func tunnelOpened(_ connection: TunnelConnection) {}

    func tunnelChanged(_ connection: TunnelConnection) {}

    func tunnelClosed(_ connection: TunnelConnection, failure: TunnelFailure?) {
        tunnels[ObjectIdentifier(connection)] = nil
        guard let failure else { return }
        // Nobody has proved to be anybody yet, or the peer itself is at fault: one line, and no session to tell.
        let peer = connection.peer?.identity
        guard peer == nil || failure.reason == .http2Failed || failure.reason == .peerMisbehaved else { return }
        refused(failure.reason, failure.description, from: connection.remote, to: connection.local, peer: peer)
    }

    func tunnelRequested(
        _ connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock, endStream: Bool
    ) {
        // The engine tells of streams only after the handshake, so there is a peer.
        guard let peer = connection.peer?.identity else { return stream.reset() }
        let source = TunnelSource(identity: peer, address: connection.remote)
        func refuse(_ status: Int, _ reason: Reason, _ detail: String, text: StaticString = "") {
            var reply = HeaderBlock()
            reply.append(":status", "\(status)")
            reply.append("proxy-status", ProxyStatus.value(reason))
            stream.respond(reply, end: true, text: text)
            refused(reason, detail, from: source.address, to: connection.local, peer: peer)
        }
        guard let method = head.first(":method"), method.elementsEqual("CONNECT".utf8), !endStream else {
            return refuse(
                400, .methodNotConnect, "the request on the tunnel port is no CONNECT",
                text: TunnelStream.notConnect(head))
        }
        guard !isDraining else { return refuse(503, .draining, "the waypoint is draining") }
        guard let waypoint else {
            return refuse(503, .workloadUnknown, "the state does not know \(settings.namespace)/\(settings.name)")
        }
        do throws(RoutingCore.Refusal) {
            let destination = try L7Destination.decide(
                authority: head.first(":authority") ?? [], waypoint: waypoint, peer: peer, in: snapshot)
            if let lack = lackOfMemory() { return refuse(503, .overLimit, lack) }
            let channel = TunnelChannel(accepting: stream, loop: loop)
            channel.share = share
            serve(destination, source, channel)
        } catch {
            refuse(Self.status(of: error.reason), error.reason, error.detail)
        }
    }

    private static func status(of reason: Reason) -> Int {
        switch reason {
        case .authorityInvalid: 400
        case .recursiveCall: 502
        default: 404
        }
    }

    private func serve(_ destination: L7Destination, _ source: TunnelSource, _ channel: Channel) {
        let found = routes.routes(at: destination.address, service: destination.service?.serviceName)
        if let found, found.inner == .tcp {
            let backend = found.entries.first.map { HTTPRouteMatcher.backend(of: $0, random: &random) } ?? .called
            _ = RelaySession(
                channel: channel, source: source, destination: destination, backend: backend ?? .called, worker: self)
            return
        }
        _ = HTTPSession(channel: channel, source: source, destination: destination, worker: self)
    }
}
