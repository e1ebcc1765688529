internal import MeshModel
internal import RoutingCore
internal import StatusModel

/// A connection that is asked about at each endpoint it may come to.
struct EndpointsQuestion {
    let source: Workload
    let destination: SocketAddress
    let snapshot: MeshSnapshot
    let question: ConnectionExplanation.Question
}

extension Node {
    /// Endpoints that one answer tells of.
    private static let mostEndpoints = 200

    /// Tells of every endpoint of the service that was called, or of the services that its rule leads to.
    func tellAll(_ report: inout WhyReport, _ asked: EndpointsQuestion, _ first: ConnectionExplanation) {
        let snapshot = asked.snapshot
        let place = NetworkAddress(network: asked.source.fields.network, ip: asked.destination.ip)
        let called =
            snapshot.workload(at: place) == nil
            ? snapshot.service(at: place, visibleTo: asked.source.fields.namespace) : nil
        var rows: [WhyReport.Endpoint] = []
        let destinations: [HTTPRoute.Backend.Destination?] =
            first.backends.isEmpty ? [nil] : first.backends.map(\.destination)
        for destination in destinations {
            var question = asked.question
            question.backend = destination
            let name: ServiceName?
            switch destination {
            case .service(let service, _): name = service
            case .workload: name = nil
            case .called, nil: name = called?.serviceName
            }
            let uids = name.map { snapshot.endpoints(of: $0).map(\.workload.fields.uid) } ?? []
            guard !uids.isEmpty else {
                rows.append(Self.row(asked, question, destination, "-"))
                continue
            }
            for uid in uids.prefix(Self.mostEndpoints - min(rows.count, Self.mostEndpoints)) {
                question.excluding = uids.filter { $0 != uid }
                let workload = snapshot.workload(uid: uid)
                rows.append(Self.row(asked, question, destination, workload.map { "\($0)" } ?? uid))
            }
            if rows.count >= Self.mostEndpoints {
                report.notes.append("only the first \(Self.mostEndpoints) endpoints are told")
                break
            }
        }
        report.endpoints = rows
        guard report.allowed, let refused = rows.first(where: { !$0.allowed }) else { return }
        (report.allowed, report.reason, report.policy, report.refusedAt) = (
            false, refused.reason, refused.policy, refused.refusedAt
        )
    }

    private static func row(
        _ asked: EndpointsQuestion, _ question: ConnectionExplanation.Question,
        _ destination: HTTPRoute.Backend.Destination?, _ name: String
    ) -> WhyReport.Endpoint {
        let explanation = ConnectionExplanation(
            from: asked.source, to: asked.destination, random: 0, in: asked.snapshot, asking: question)
        var row = WhyReport.Endpoint(
            name: explanation.endpoint?.workload ?? name, address: explanation.endpoint.map { "\($0.address)" } ?? "",
            backend: destination.map { "\($0)" } ?? "")
        row.allowed = explanation.refusal == nil
        row.reason = explanation.refusal?.reason.rawValue ?? ""
        row.policy = explanation.refusal.map { $0.policy ?? "" } ?? explanation.policy ?? ""
        row.refusedAt = explanation.refusal?.place.rawValue ?? ""
        return row
    }
}

extension L7Question {
    init(_ request: WhyRequest.HTTP) {
        self.init(
            method: request.method, path: request.path, host: request.host,
            headers: request.headers.map { .init(name: $0.name.lowercased(), value: $0.value) })
    }
}
