internal import HBONE
internal import MeshModel
internal import Telemetry

/// What is known of one application connection for the access log and the metrics; written once, at its end.
struct ConnectionRecord {
    let direction: Direction
    let acceptedAt: UInt64
    var source: SocketAddress
    var destination: SocketAddress
    var authority = ""
    var sourceWorkload: Workload?
    var destinationWorkload: Workload?
    var service: Service?
    /// What mutual TLS proved; nil for plaintext.
    var sourceIdentity: SpiffeID?
    var destinationIdentity: SpiffeID?
    var isMutualTLS = false
    var series: TrafficTable.SeriesIndex?
    var policy = ""
    /// What the peers say of themselves, for telemetry only, where the state does not know them.
    var sourceBaggage: Baggage?
    var destinationBaggage: Baggage?
    /// What was asked for, for who observes: an address outbound.
    let dialled: SocketAddress
    /// The application's port, where it is known.
    var port: UInt16
    var transport = FlowRecord.Transport.tcp
    var waypoint: Workload?
    /// Where its time goes; stands still unless somebody observes.
    var timing = FlowTiming()
    /// What the metrics have of it so far.
    var countedFromSocket: UInt64 = 0
    var countedToSocket: UInt64 = 0

    init(direction: Direction, acceptedAt: UInt64, source: SocketAddress, destination: SocketAddress) {
        self.direction = direction
        self.acceptedAt = acceptedAt
        self.source = source
        self.destination = destination
        dialled = destination
        port = destination.port
    }

    var labels: TrafficLabels {
        var labels = TrafficLabels(reporter: direction == .outbound ? .source : .destination)
        labels.source =
            sourceWorkload.map { PartyLabels($0, principal: sourceIdentity) }
            ?? PartyLabels(sourceBaggage, principal: sourceIdentity)
        if let destinationWorkload {
            labels.destination = PartyLabels(destinationWorkload, principal: destinationWorkload.identity)
        } else if let destinationBaggage {
            labels.destination = PartyLabels(destinationBaggage, principal: destinationIdentity)
        }
        if let service {
            labels.destinationService = service.fields.hostname
            labels.destinationServiceNamespace = service.fields.namespace
            labels.destinationServiceName = service.fields.name
        }
        labels.securityPolicy = isMutualTLS ? .mutualTLS : .unknown
        return labels
    }

    /// The pod of this node it is about, `namespace/name`.
    var pod: String {
        (direction == .outbound ? sourceWorkload : destinationWorkload).map { "\($0)" } ?? ""
    }

    /// What mutual TLS proved of the other side.
    var peer: SpiffeID? { direction == .outbound ? destinationIdentity : sourceIdentity }

    /// The access-log record.
    func access(_ outcome: RelayOutcome?, failure: TunnelFailure?, now: UInt64) -> AccessRecord {
        var record = AccessRecord(direction: direction, source: source, destination: destination)
        if let sourceWorkload {
            record.source = AccessRecord.Party(sourceWorkload, identity: isMutualTLS ? sourceIdentity : nil)
        } else {
            record.source = AccessRecord.Party(sourceBaggage, identity: isMutualTLS ? sourceIdentity : nil)
        }
        if let destinationWorkload {
            record.destination = AccessRecord.Party(
                destinationWorkload, identity: isMutualTLS ? destinationIdentity : nil)
        } else {
            record.destination = AccessRecord.Party(
                destinationBaggage, identity: isMutualTLS ? destinationIdentity : nil)
        }
        record.hboneAddress = authority
        record.service = service?.fields.hostname ?? ""
        if let outcome {
            // This proxy's own view: from the application's socket goes out, to it comes in.
            record.bytesSent = outcome.bytesFromSocket
            record.bytesReceived = outcome.bytesToSocket
        }
        record.duration = now &- acceptedAt
        if let failure {
            record.error = failure.description
            record.reason = failure.reason
        }
        record.policy = policy
        return record
    }
}

extension PartyLabels {
    /// A party of which only the certificate is known, and perhaps what it says of itself.
    init(_ baggage: Baggage?, principal: SpiffeID?) {
        self.init()
        self.principal = principal.map { "\($0)" } ?? ""
        workload = baggage?.workload ?? ""
        canonicalService = baggage?.service ?? ""
        canonicalRevision = baggage?.version ?? ""
        cluster = baggage?.cluster ?? ""
        region = baggage?.region ?? ""
        zone = baggage?.zone ?? ""
        // What is proved comes before what is said.
        namespace = principal?.namespace ?? baggage?.namespace ?? ""
    }
}

extension AccessRecord.Party {
    /// The same for the access log.
    init(_ baggage: Baggage?, identity: SpiffeID?) {
        self.init()
        workload = baggage?.workload ?? ""
        namespace = baggage.map { identity?.namespace ?? $0.namespace } ?? ""
        cluster = baggage?.cluster ?? ""
        self.identity = identity
    }
}
