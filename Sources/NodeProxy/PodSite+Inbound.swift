internal import Capture
internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel
internal import RoutingCore
internal import TLS
internal import Telemetry

extension PodSite: TunnelOwner {
    /// A peer opened a connection to the tunnel port.
    func acceptTunnel(_ socket: consuming Descriptor, _ peer: SocketAddress) {
        guard !worker.isDraining else {
            let local = Kernel.localAddress(socket.number) ?? SocketAddress(.anyV6, 0)
            let record = ConnectionRecord(
                direction: .inbound, acceptedAt: worker.loop.now, source: peer, destination: local)
            return refuse(socket, record, Self.draining)
        }
        guard hasCertificate else { return hold(.tunnel(from: peer), socket) }
        serveTunnel(socket, peer)
    }

    /// Serves a tunnel of a pod whose workload and certificate are known.
    func serveTunnel(_ socket: consuming Descriptor, _ peer: SocketAddress) {
        guard let workload, let contexts = worker.contexts[workload.identity] else { return }
        do throws(TunnelFailure) {
            let connection = try TunnelConnection.serve(
                socket, from: peer, context: contexts.server, trustDomain: workload.identity.trustDomain,
                loop: worker.loop, buffers: worker.buffers, limits: worker.settings.http2, share: share, owner: self)
            tunnels[ObjectIdentifier(connection)] = connection
        } catch {
            worker.report(.warn, "tunnel from \(peer.ip) refused: \(error)")
        }
    }

    func tunnelOpened(_ connection: TunnelConnection) {
        if worker.isDraining {
            connection.announceDrain()
            worker.startDrainClock()
        }
        guard worker.log.isEnabled(.debug, .pool) else { return }
        worker.log.write(.debug, .pool, "tunnel accepted", now: Kernel.realtimeNow()) { line in
            line.field("src.addr", string: connection.remote.description)
            line.field("src.identity", string: connection.peer?.identity.description ?? "")
            line.field("tls.group", string: connection.keyExchange)
        }
    }

    func tunnelChanged(_ connection: TunnelConnection) {}

    func tunnelClosed(_ connection: TunnelConnection, failure: TunnelFailure?) {
        tunnels[ObjectIdentifier(connection)] = nil
        guard let failure else { return }
        if connection.peer == nil {
            // Refused before anybody was verified: counted, but remembered and logged once a second for each cause and
            // address only, so that strangers cannot push other refusals out of the ring.
            guard worker.repeats.admits("\(failure.reason)\(connection.remote.ip)", now: worker.loop.now) != nil else {
                return worker.traffic.refused(failure.reason, .inbound)
            }
            var record = ConnectionRecord(
                direction: .inbound, acceptedAt: worker.loop.now, source: connection.remote,
                destination: connection.local)
            record.destinationWorkload = workload
            worker.refused(record, failure)
        } else if failure.reason == .http2Failed || failure.reason == .peerMisbehaved {
            // The peer itself is at fault, with or without a connection of an application in its tunnel.
            var record = ConnectionRecord(
                direction: .inbound, acceptedAt: worker.loop.now, source: connection.remote,
                destination: connection.local)
            record.sourceIdentity = connection.peer?.identity
            record.destinationWorkload = workload
            worker.refused(record, failure)
        } else {
            worker.report(.info, "tunnel from \(connection.remote.ip) ended: \(failure)")
        }
    }

    func tunnelRequested(_ connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock, endStream: Bool) {
        if let failure = lackOfMemory() {
            return InboundConnection.refuse(
                site: self, connection: connection, stream: stream, head: head, status: 503, failure)
        }
        guard workload != nil else { return hold(.request(connection, WaitingStream(stream), head)) }
        InboundConnection.start(site: self, connection: connection, stream: stream, head: head)
    }

    /// Somebody reached the pod outside a tunnel.
    func acceptPlaintext(_ socket: consuming Descriptor, _ peer: SocketAddress) {
        guard let destination = sockets.originalDestination(of: socket.number) else { return }
        guard !sockets.canaries.takes(.inbound, from: peer, to: destination) else {
            return Kernel.resetOnClose(socket.number)
        }
        guard !worker.isDraining else {
            let record = ConnectionRecord(
                direction: .inbound, acceptedAt: worker.loop.now, source: peer, destination: destination)
            return refuse(socket, record, Self.draining)
        }
        if let failure = lackOfMemory() {
            let record = ConnectionRecord(
                direction: .inbound, acceptedAt: worker.loop.now, source: peer, destination: destination)
            return refuse(socket, record, failure)
        }
        guard workload != nil else { return hold(.plaintext(from: peer, to: destination), socket) }
        InboundConnection.start(site: self, socket: socket, peer: peer, destination: destination)
    }
}
