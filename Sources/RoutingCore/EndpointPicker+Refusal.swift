internal import MeshModel

extension EndpointPicker {
    /// Why ``pick(from:random:)`` found none, with the numbers that say what to do next.
    func refusal(_ endpoints: [Endpoint]) -> Refusal {
        let name = service.serviceName
        if purpose == .traffic, service.fields.ports[port] == nil {
            let ports = service.fields.ports.keys.sorted().map(String.init).joined(separator: ", ")
            return Refusal(
                .servicePortUnknown,
                "service \(name) declares no port \(port)" + (ports.isEmpty ? "" : ", only \(ports)"))
        }
        let census = census(of: endpoints)
        guard census.endpoints > 0 else { return Refusal(.noHealthyUpstream, "service \(name) has no endpoints") }
        let counts: [(Int, String)] = [
            (census.unhealthy, "unhealthy"), (census.withoutPort, "without a target for port \(port)"),
            (census.withoutAddress, "without a usable address"),
            (census.withoutGateway, "on networks without a gateway"),
            (census.failed, "failed in this connection"), (census.elsewhere, "outside the required locality"),
        ]
        let causes = counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
        let cutOff = census.withoutGateway == census.endpoints
        return Refusal(
            cutOff ? .gatewayUnknown : .noHealthyUpstream,
            "service \(name) port \(port): none of \(census.endpoints) endpoints is usable"
                + (causes.isEmpty ? ", all have capacity 0" : ": \(causes)"))
    }
}
