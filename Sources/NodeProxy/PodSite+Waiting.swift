internal import Capture
internal import EventLoop
internal import HBONE
internal import MeshModel
internal import RoutingCore
internal import Telemetry

extension PodSite {
    /// Why an arrival waits, as the refusal that it gets when the wait is over.
    private var lack: TunnelFailure {
        guard let workload else {
            return TunnelFailure(
                .workloadUnknown,
                "failed to fetch information about local workload: pod \(location.pod) is not in the state")
        }
        return TunnelFailure(.certificateUnavailable, "no valid certificate for \(workload.identity)")
    }

    /// Keeps an arrival until the state and the certificate are there; refuses it at once when too many wait.
    func hold(_ kind: WaitingArrival.Kind, _ socket: consuming Descriptor? = nil) {
        hold(WaitingArrival(kind, socket: socket, site: self))
    }

    private func hold(_ arrival: WaitingArrival) {
        guard waiting.count < WaitingArrival.countLimit else {
            let failure = lack
            return refuse(
                arrival,
                TunnelFailure(
                    failure.reason, "\(failure.description), and \(WaitingArrival.countLimit) arrivals wait for it"))
        }
        waiting.append(arrival)
    }

    /// The state or a certificate came: whoever now can, goes on. Those that still cannot keep their place and deadline.
    func admitWaiting() {
        guard !waiting.isEmpty, workload != nil else { return }
        let arrivals = waiting
        waiting = []
        for arrival in arrivals {
            guard !isClosed else { return refuse(arrival, TunnelFailure(.podRemoved, "the pod left")) }
            switch arrival.kind {
            case .outbound(let source, let destination):
                guard let socket = arrival.socket.take() else { continue }
                decideOutbound(socket, from: source, to: destination, acceptedAt: arrival.since, waited: arrival)
            case .handedOver(let handover):
                guard handover.route.transport == .tcp || hasCertificate else {
                    waiting.append(arrival)
                    continue
                }
                guard let socket = arrival.socket.take() else { continue }
                carry(socket, handover)
            case .plaintext(let source, let destination):
                guard let socket = arrival.socket.take() else { continue }
                InboundConnection.start(site: self, socket: socket, peer: source, destination: destination)
            case .tunnel(let source):
                guard hasCertificate else {
                    waiting.append(arrival)
                    continue
                }
                guard let socket = arrival.socket.take() else { continue }
                serveTunnel(socket, source)
            case .request(let connection, let stream, let head):
                stream.end { InboundConnection.start(site: self, connection: connection, stream: $0, head: head) }
            }
        }
    }

    /// Puts back an outbound arrival that has its workload but not yet its certificate.
    func holdAgain(_ arrival: WaitingArrival, _ socket: consuming Descriptor) {
        arrival.socket = consume socket
        waiting.append(arrival)
    }

    /// Whether tunnels can be opened and served with the pod's identity.
    var hasCertificate: Bool {
        guard let workload else { return false }
        return worker.contexts[workload.identity] != nil
    }

    func waitExpired(_ arrival: WaitingArrival) {
        waiting.removeAll { $0 === arrival }
        let failure = lack
        refuse(
            arrival, TunnelFailure(failure.reason, "\(failure.description) after \(Int(WaitingArrival.limit)) s"))
    }

    /// Refuses all that wait.
    func refuseWaiting(_ failure: TunnelFailure) {
        let arrivals = waiting
        waiting = []
        for arrival in arrivals { refuse(arrival, failure) }
    }

    private func refuse(_ arrival: WaitingArrival, _ failure: TunnelFailure) {
        switch arrival.kind {
        case .outbound(let source, let destination):
            guard let socket = arrival.socket.take() else { return }
            refuse(socket, record(source, destination, arrival.since), failure)
        case .handedOver(let handover):
            guard let socket = arrival.socket.take() else { return }
            refuse(socket, record(handover.source, handover.destination, handover.acceptedAt), failure)
        case .plaintext(let source, let destination):
            guard let socket = arrival.socket.take() else { return }
            let record = ConnectionRecord(
                direction: .inbound, acceptedAt: arrival.since, source: source, destination: destination)
            refuse(socket, record, failure)
        case .tunnel(let source):
            guard let socket = arrival.socket.take() else { return }
            let local = Kernel.localAddress(socket.number) ?? SocketAddress(.anyV6, 0)
            let record = ConnectionRecord(
                direction: .inbound, acceptedAt: arrival.since, source: source, destination: local)
            refuse(socket, record, failure)
        case .request(let connection, let stream, let head):
            stream.end {
                InboundConnection.refuse(
                    site: self, connection: connection, stream: $0, head: head, status: 503, failure)
            }
        }
    }
}
