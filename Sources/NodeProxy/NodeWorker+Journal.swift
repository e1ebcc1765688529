internal import AdminServer
internal import EventLoop
internal import HBONE
internal import MeshModel
internal import RoutingCore
internal import Telemetry

extension NodeWorker {
    /// Writes a connection that is over, or was refused, into the journal of the last day.
    func note(_ record: ConnectionRecord, _ failure: TunnelFailure?) {
        // What never said which application it wanted is no flow of one.
        let tunnelPort = ProxyPorts.hbone
        guard record.port != 0, record.direction == .outbound || record.isMutualTLS || record.port != tunnelPort else {
            return
        }
        // Cut by an edit: until then it was carried.
        let verdict = FlowVerdict(failure?.reason == .policyChanged ? nil : failure?.reason)
        let isMutual = record.isMutualTLS
        var key = FlowJournal.Key(
            direction: record.direction, port: record.port, verdict: verdict, isMutual: isMutual)
        let far = record.direction == .outbound ? record.dialled.ip : record.destination.ip
        key.source = record.sourceWorkload.map { ObjectIdentifier($0) }
        key.destination = record.destinationWorkload.map { ObjectIdentifier($0) }
        key.service = record.service.map { ObjectIdentifier($0) }
        if key.source == nil { key.sourceAddress = record.source.ip }
        if key.destination == nil { key.destinationAddress = far }
        if isMutual, record.direction == .inbound { key.sourceIdentity = record.sourceIdentity }
        let target =
            record.direction == .outbound ? record.dialled : SocketAddress(record.destination.ip, record.port)
        let sample = FlowSample(
            source: record.source, target: target, sourceWorkload: record.sourceWorkload,
            destinationWorkload: record.destinationWorkload, sourceIdentity: isMutual ? record.sourceIdentity : nil)
        let now = Kernel.realtimeNow() / 1_000_000_000
        if journal.note(key, at: now, sample: sample) { return }
        let flows = FlowClass(
            direction: record.direction,
            source: FlowClass.Party(
                record.sourceWorkload, identity: isMutual ? record.sourceIdentity : nil, address: record.source.ip),
            destination: FlowClass.Party(
                record.destinationWorkload, identity: isMutual ? record.destinationIdentity : nil, address: far),
            service: record.service?.fields.hostname ?? "", port: record.port, verdict: verdict, isMutual: isMutual)
        journal.note(flows, key, at: now, sample: sample)
    }

    /// The journal for who asks.
    var journalAnswer: JournalAnswer {
        JournalAnswer(entries: journal.entries, overflow: journal.overflow)
    }
}
