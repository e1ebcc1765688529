internal import EventLoop
internal import HBONE
internal import MeshModel
internal import RoutingCore
internal import Telemetry

extension ConnectionRecord {
    /// The connection as who observes sees it.
    ///
    /// - Parameters:
    ///   - now: monotonic nanoseconds.
    ///   - wall: nanoseconds since 1970.
    func flow(now: UInt64, wall: UInt64) -> FlowRecord {
        var flow = FlowRecord(time: wall, direction: direction, source: source, destination: destination)
        flow.pod = pod
        flow.transport = direction == .inbound && isMutualTLS ? .hbone : transport
        flow.target = direction == .outbound ? "\(dialled)" : authority
        flow.port = port
        flow.sourceWorkload = sourceWorkload
        flow.destinationWorkload = destinationWorkload
        if isMutualTLS {
            flow.sourceIdentity = sourceIdentity
            flow.destinationIdentity = destinationIdentity
        }
        flow.service = service
        flow.waypoint = waypoint
        flow.policy = policy
        flow.duration = now > acceptedAt ? now - acceptedAt : 0
        flow.timing = timing
        return flow
    }

    /// The same of one that is over; `outcome` is nil for one that was never carried.
    func flow(_ outcome: RelayOutcome?, _ failure: TunnelFailure?, now: UInt64, wall: UInt64) -> FlowRecord {
        var flow = flow(now: now, wall: wall)
        flow.reason = failure?.reason
        flow.detail = failure?.description ?? ""
        guard let outcome else { return flow }
        let relay = RelayFigures(
            bytes: (outcome.bytesFromSocket, outcome.bytesToSocket),
            first: (outcome.firstFromSocket, outcome.firstToSocket), legs: outcome.legs)
        add(relay, to: &flow)
        return flow
    }

    /// Adds what a relay has moved; the application is at its socket.
    func add(_ relay: RelayFigures, to flow: inout FlowRecord) {
        let isOutbound = direction == .outbound
        flow.bytesSent = isOutbound ? relay.bytes.fromSocket : relay.bytes.toSocket
        flow.bytesReceived = isOutbound ? relay.bytes.toSocket : relay.bytes.fromSocket
        flow.timing.passFirstBytes(
            request: isOutbound ? relay.first.fromSocket : relay.first.toSocket,
            answer: isOutbound ? relay.first.toSocket : relay.first.fromSocket)
        guard let legs = relay.legs else { return }
        flow.legs = FlowLegs(
            downstream: isOutbound ? legs.socket : legs.other, upstream: isOutbound ? legs.other : legs.socket)
    }
}

/// What a relay knows of itself, with the application at its socket.
struct RelayFigures {
    var bytes: (fromSocket: UInt64, toSocket: UInt64)
    var first: (fromSocket: UInt64, toSocket: UInt64)
    var legs: RelayLegs?

    init(
        bytes: (fromSocket: UInt64, toSocket: UInt64), first: (fromSocket: UInt64, toSocket: UInt64), legs: RelayLegs?
    ) {
        self.bytes = bytes
        self.first = first
        self.legs = legs
    }

    init(_ relay: SocketRelay) {
        self.init(
            bytes: relay.bytes, first: (relay.firstFromSocket, relay.firstToSocket), legs: relay.legs)
    }

    /// - Parameter isInbound: downstream is the client then, and the application upstream.
    init(_ relay: PlainRelay, isInbound: Bool) {
        let (bytes, first, legs) = (relay.bytes, (relay.firstFromSocket, relay.firstToSocket), relay.legs)
        guard isInbound else {
            self.init(bytes: bytes, first: first, legs: legs)
            return
        }
        self.init(
            bytes: (bytes.toSocket, bytes.fromSocket), first: (first.1, first.0),
            legs: RelayLegs(socket: legs.other, other: legs.socket))
    }
}

extension OutboundRoute.Transport {
    var flow: FlowRecord.Transport {
        switch self {
        case .tcp: .tcp
        case .hbone: .hbone
        case .doubleHBONE: .doubleHBONE
        }
    }
}
