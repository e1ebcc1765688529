internal import AdminServer
internal import Capture
internal import EventLoop
internal import MeshModel
internal import RoutingCore
internal import Telemetry

extension NodeWorker {
    /// The connections that are open now, at most as many as asked for.
    func liveConnections(_ question: WorkerQuestion) -> [LiveConnection] {
        var live: [LiveConnection] = []
        for site in pods.values {
            if let pod = question.pod, pod != site.location.pod { continue }
            site.connections.forEach { connection in
                guard live.count < question.connections, let one = connection.live(now: loop.now) else { return }
                live.append(one)
            }
        }
        return live
    }
}

extension ConnectionRecord {
    /// What is known of it while it is open.
    func live(pod: String, transport: LiveConnection.Transport, to destination: SocketAddress, now: UInt64)
        -> LiveConnection
    {
        var live = LiveConnection(
            pod: pod, direction: direction, transport: transport, source: source, destination: destination)
        live.service = service?.fields.hostname ?? ""
        if isMutualTLS { live.peer = direction == .inbound ? sourceIdentity : destinationIdentity }
        live.ageNanoseconds = now > acceptedAt ? now - acceptedAt : 0
        live.bytesSent = countedFromSocket
        live.bytesReceived = countedToSocket
        return live
    }
}

extension OutboundRoute.Transport {
    var live: LiveConnection.Transport {
        switch self {
        case .tcp: .tcp
        case .hbone: .hbone
        case .doubleHBONE: .doubleHBONE
        }
    }
}
