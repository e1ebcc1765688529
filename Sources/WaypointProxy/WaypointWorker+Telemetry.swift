internal import EventLoop
internal import HBONE
internal import HTTP1
internal import MeshModel
internal import RoutingCore
internal import Telemetry

extension WaypointWorker {
    // MARK: - Sessions

    func opened(_ session: HTTPSession) {
        sessions[ObjectIdentifier(session)] = session
        traffic.opened(session.series)
    }

    func closed(_ session: HTTPSession) {
        guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
        traffic.closed(session.series, flag: .none)
    }

    func opened(_ relay: RelaySession) {
        relays[ObjectIdentifier(relay)] = relay
    }

    /// A relay ended: metrics and access log.
    func closed(_ relay: RelaySession) {
        guard relays.removeValue(forKey: ObjectIdentifier(relay)) != nil else { return }
        let series = traffic.series(
            for: labels(relay.source, relay.destination, relay.choice?.workload, isHTTP: false))
        traffic.opened(series)
        traffic.received(Int(relay.bytesReceived), series)
        traffic.sent(Int(relay.bytesSent), series)
        traffic.closed(series, flag: relay.failure.map { ResponseFlag($0.reason) } ?? .none)
        if let failure = relay.failure {
            remember(failure.reason, failure.description, relay.source, relay.destination.address)
        }
        var record = AccessRecord(
            direction: .inbound, source: relay.source.address,
            destination: relay.choice?.address ?? relay.destination.address)
        if let workload = workload(of: relay.source) {
            record.source = AccessRecord.Party(workload, identity: relay.source.identity)
        } else {
            record.source.identity = relay.source.identity
            record.source.namespace = relay.source.identity.namespace
        }
        record.hboneAddress = relay.destination.address.description
        record.service = relay.destination.service?.fields.hostname ?? ""
        if let workload = relay.choice?.workload {
            record.destination = AccessRecord.Party(workload, identity: workload.identity)
        }
        record.bytesSent = relay.bytesReceived
        record.bytesReceived = relay.bytesSent
        record.duration = loop.now &- relay.start
        record.error = relay.failure?.description ?? ""
        record.reason = relay.failure?.reason
        log.complete(record, now: Kernel.realtimeNow())
    }

    /// The client's workload, where the address it comes from and the identity it proved belong together.
    private func workload(of source: TunnelSource) -> Workload? {
        let network = waypoint?.fields.network ?? ""
        guard let found = snapshot.workload(at: NetworkAddress(network: network, ip: source.address.ip)) else {
            return nil
        }
        return found.identity == source.identity ? found : nil
    }

    /// The metric labels of what a client has with a workload of what it called.
    func labels(
        _ source: TunnelSource, _ destination: L7Destination, _ workload: Workload?, isHTTP: Bool
    ) -> TrafficLabels {
        var labels = TrafficLabels(reporter: .waypoint)
        if let known = self.workload(of: source) { labels.source = PartyLabels(known, principal: source.identity) }
        labels.source.principal = source.identity.description
        labels.source.namespace = source.identity.namespace
        if let workload { labels.destination = PartyLabels(workload, principal: workload.identity) }
        if let service = destination.service {
            labels.destinationService = service.fields.hostname
            labels.destinationServiceNamespace = service.fields.namespace
            labels.destinationServiceName = service.fields.name
        }
        labels.securityPolicy = .mutualTLS
        labels.isHTTP = isHTTP
        return labels
    }

    // MARK: - Requests

    /// A request has its answer, or will get none: count it, and write its line.
    func completed(_ session: HTTPSession) {
        let reason = session.exchange.reason
        requests.count(session.exchange.status, session.flag, row: session.row)
        traffic.received(Int(clamping: session.exchange.requestBytes), session.series)
        traffic.sent(Int(clamping: session.exchange.responseBytes), session.series)
        if let reason {
            remember(reason, session.exchange.detail, session.source, session.destination.address)
        }
        let level: LogLevel = reason == nil ? .info : .warn
        guard log.isEnabled(level, .access) else { return }
        // Copied only for the log: it holds a dozen references.
        let exchange = session.exchange
        log.write(level, .access, "request complete", now: Kernel.realtimeNow()) { line in
            let head = session.parser.head
            line.field("src.addr", address: session.source.address)
            line.field("src.identity", string: session.source.identity.description)
            if let service = session.destination.service { line.field("dst.service", string: service.fields.hostname) }
            line.field("dst.hbone_addr", address: session.destination.address)
            line.field("method", string: head.methodText)
            line.field("path", string: head.targetText)
            line.field("authority", string: head.block.text(head.authority))
            line.field("status", number: exchange.status)
            line.field("route", string: exchange.route?.name ?? "")
            if let choice = exchange.choice {
                line.field("upstream", address: choice.address)
                line.field("upstream.workload", string: choice.workload.fields.name)
            }
            line.field("bytes_recv", number: exchange.requestBytes)
            line.field("bytes_sent", number: exchange.responseBytes)
            line.field("duration", string: "\((self.loop.now &- exchange.start) / 1_000_000)ms")
            line.field("attempts", number: exchange.attempts)
            line.field("request_id", string: exchange.requestID?.text ?? head.value(of: "x-request-id") ?? "")
            line.field("error", string: exchange.detail)
            if let reason = exchange.reason { line.field("reason", string: reason.rawValue) }
        }
    }

    // MARK: - Refusals

    /// A tunnel or a CONNECT was refused: counted, remembered, and one line a second per cause.
    func refused(
        _ reason: Reason, _ detail: String, from source: SocketAddress, to destination: SocketAddress, peer: SpiffeID?
    ) {
        traffic.refused(reason, .inbound)
        let now = Kernel.realtimeNow()
        refusals.append(
            Telemetry.Refusal(
                time: now, reason: reason, direction: .inbound, source: source, destination: destination, peer: peer,
                detail: detail))
        guard repeats.admits("\(reason.rawValue) \(source.ip)", now: loop.now) != nil else { return }
        var record = AccessRecord(direction: .inbound, source: source, destination: destination)
        record.source.identity = peer
        record.error = detail
        record.reason = reason
        log.failed(record, now: now)
    }

    private func remember(_ reason: Reason, _ detail: String, _ source: TunnelSource, _ destination: SocketAddress) {
        traffic.refused(reason, .inbound)
        refusals.append(
            Telemetry.Refusal(
                time: Kernel.realtimeNow(), reason: reason, direction: .inbound, source: source.address,
                destination: destination, peer: source.identity, detail: detail))
    }

    /// One line for the operator; the same text at most once a second.
    func report(_ level: LogLevel, _ text: String) {
        guard let held = repeats.admits(text, now: loop.now) else { return }
        log.write(level, .waypoint, text, now: Kernel.realtimeNow()) { line in
            if held > 0 { line.field("repeated", number: held) }
        }
    }
}
