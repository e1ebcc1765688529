internal import AdminServer
internal import EventLoop
internal import MeshModel
internal import RoutingCore
internal import Telemetry

extension WaypointWorker {
    /// What clients have open to services through this waypoint, at most as many as asked for.
    func liveConnections(_ question: WorkerQuestion) -> [LiveConnection] {
        guard question.connections > 0, let pod = waypoint.map({ "\($0)" }), question.pod ?? pod == pod else {
            return []
        }
        var live: [LiveConnection] = []
        for session in sessions.values.prefix(question.connections) {
            let exchange = session.exchange
            var one = LiveConnection(
                pod: pod, direction: .inbound, transport: .hbone, source: session.source.address,
                destination: exchange.choice?.address ?? session.destination.address)
            describe(&one, session.source, session.destination)
            // What is known is the request under way, or the last one.
            if exchange.start > 0, loop.now > exchange.start { one.ageNanoseconds = loop.now - exchange.start }
            one.bytesSent = exchange.requestBytes
            one.bytesReceived = exchange.responseBytes
            live.append(one)
        }
        for relay in relays.values.prefix(question.connections - live.count) {
            var one = LiveConnection(
                pod: pod, direction: .inbound, transport: .hbone, source: relay.source.address,
                destination: relay.choice?.address ?? relay.destination.address)
            describe(&one, relay.source, relay.destination)
            if loop.now > relay.start { one.ageNanoseconds = loop.now - relay.start }
            one.bytesSent = relay.bytesReceived
            one.bytesReceived = relay.bytesSent
            live.append(one)
        }
        return live
    }

    private func describe(_ one: inout LiveConnection, _ source: TunnelSource, _ destination: L7Destination) {
        one.peer = source.identity
        one.service = destination.service?.fields.hostname ?? ""
        one.target = one.service.isEmpty ? "\(destination.address)" : one.service
    }
}
