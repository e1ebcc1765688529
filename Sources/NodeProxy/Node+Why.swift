package import AdminServer
internal import ControlPlane
internal import MeshModel
internal import RoutingCore
package import StatusModel
internal import Telemetry

extension Node {
    /// Explains a connection by the code that decides about live ones, in the state in force or with manifests on top.
    package func why(_ request: WhyRequest) throws(WhyFailure) -> WhyReport {
        var (snapshot, routes) = shared.withLock { ($0.snapshot, $0.routes) }
        var notes: [String] = []
        if let text = request.manifests {
            let candidate = self.candidate(
                Array(text.utf8), name: request.manifestsName ?? "the file", over: snapshot)
            snapshot = candidate.snapshot
            routes = candidate.routes ?? routes
            notes = candidate.notes
        }
        let network = settings.network
        let from = PartyName(request.source)
        guard let source = from.party(in: snapshot, network: network) else {
            throw WhyFailure("the state knows no pod, workload, service or host \(request.source.debugDescription)")
        }
        let workload: Workload?
        switch source {
        case .workload(let found): workload = found
        case .service(let service): workload = snapshot.endpoints(of: service.serviceName).first?.workload
        case .address: workload = nil
        }
        let to = PartyName(request.destination)
        let namespace = workload?.fields.namespace ?? "default"
        guard let party = to.party(in: snapshot, network: network, namespace: namespace) else {
            throw WhyFailure("the state knows no pod, workload, service or host \(to.name.debugDescription)")
        }
        let destination = try address(of: party, to)
        let explanation: ConnectionExplanation
        var question = ConnectionExplanation.Question()
        question.routes = routes
        question.request = request.http.map { L7Question($0) }
        if let workload {
            var bits = RandomDraws(seed: UInt64.random(in: .min ... .max))
            explanation = ConnectionExplanation(
                from: workload, to: destination, random: bits.next(), in: snapshot, asking: question)
        } else if case .address(let ip) = source {
            explanation = ConnectionExplanation(from: ip, network: network, to: destination, in: snapshot)
        } else {
            throw WhyFailure("\(request.source) has no endpoint that could open a connection")
        }
        var report = WhyReport(
            source: workload.map { "\($0)" } ?? source.text, destination: "\(party.text) at \(destination)")
        report.allowed = explanation.refusal == nil
        report.reason = explanation.refusal?.reason.rawValue ?? ""
        report.policy = explanation.refusal.map { $0.policy ?? "" } ?? explanation.policy ?? ""
        report.refusedAt = explanation.refusal?.place.rawValue ?? ""
        report.steps = explanation.steps.map { .init(stage: $0.stage, place: $0.place.rawValue, text: $0.text) }
        report.notes = notes + explanation.notes
        if request.allEndpoints == true {
            guard let workload else { throw WhyFailure("--all-endpoints is for callers within the mesh") }
            tellAll(
                &report, .init(source: workload, destination: destination, snapshot: snapshot, question: question),
                explanation)
        }
        return report
    }

    private func address(of party: PartyName.Party, _ name: PartyName) throws(WhyFailure) -> SocketAddress {
        // An address that was written is the one that is dialled.
        let written = IPAddress(name.name)
        switch party {
        case .address(let ip):
            guard let port = name.port else { throw WhyFailure("say which port: \(name.name):PORT") }
            return SocketAddress(ip, port)
        case .workload(let workload):
            guard let port = name.port else { throw WhyFailure("say which port: \(name.name):PORT") }
            guard let ip = written ?? workload.fields.addresses.first else {
                throw WhyFailure("\(workload) has no address")
            }
            return SocketAddress(ip, port)
        case .service(let service):
            let ports = service.fields.ports.keys.sorted()
            guard let port = name.port ?? (ports.count == 1 ? ports.first : nil) else {
                let list = ports.map(String.init).joined(separator: ", ")
                throw WhyFailure("say which port: \(name.name):PORT; the service has \(list)")
            }
            if let ip = written ?? service.fields.vips.first?.ip { return SocketAddress(ip, port) }
            // Headless: clients dial an endpoint.
            let snapshot = shared.withLock { $0.snapshot }
            let endpoint = snapshot.endpoints(of: service.serviceName).first
            guard let endpoint, let ip = endpoint.workload.fields.addresses.first else {
                throw WhyFailure("service \(service.serviceName) has neither an address nor an endpoint")
            }
            return SocketAddress(ip, endpoint.ports[port] ?? port)
        }
    }

    /// The state with manifests on top, and what is to be told of them.
    private func candidate(
        _ bytes: [UInt8], name: String, over snapshot: MeshSnapshot
    ) -> (snapshot: MeshSnapshot, routes: HTTPRouteTable?, notes: [String]) {
        guard let mesh = source.withLock({ $0 })?.candidate([(name, bytes)]) else {
            return (
                snapshot, nil,
                [
                    "--policy was not applied: this ztund runs from a state file, and manifests go on top of Kubernetes objects"
                ]
            )
        }
        let next = snapshot.replacingAll(
            workloads: mesh.workloads, services: mesh.services, policies: mesh.policies,
            networkPolicies: mesh.networkPolicies, settings: settings(over: mesh.settings))
        return (
            next, HTTPRouteTable(mesh.routes), mesh.diagnostics.filter { $0.place?.file == name }.map(\.description)
        )
    }
}
