internal import MeshModel

extension MeshCompiler {
    /// Where a second waypoint is named, and how much of the connections it gets: in Istio's way, or in one annotation.
    enum CanaryKey {
        static let name = "istio.io/use-waypoint-canary"
        static let namespace = "istio.io/use-waypoint-canary-namespace"
        static let weight = "istio.io/use-waypoint-canary-weight"
        /// `NAME=PERCENT` or `NAMESPACE/NAME=PERCENT`.
        static let both = "ztun.io/use-waypoint-canary"
    }

    private struct Canary {
        let gateway: ObjectName
        let percent: UInt32
    }

    /// A service's waypoints by weight where it has a canary; empty where it has none, or one that cannot be used.
    /// - Parameter primary: the service's waypoint.
    mutating func weightedWaypoints(
        of service: Kubernetes.Service, beside primary: GatewayAddress?
    ) -> [MeshModel.Service.WeightedWaypoint] {
        guard let primary, let canary = canary(of: service) else { return [] }
        // What looks up and checks a waypoint looks at labels.
        var asked = service.metadata
        asked.labels = LabelSet([
            "istio.io/use-waypoint": canary.gateway.name, "istio.io/use-waypoint-namespace": canary.gateway.namespace,
        ])
        guard let second = waypoint("Service", asked, where: { $0.servesServices }) else {
            tell(
                .warning, .dangling, "Service", service.metadata,
                "its canary waypoint \("\(canary.gateway.namespace)/\(canary.gateway.name)".quoted) cannot be used: everything goes to "
                    + "the first one")
            return []
        }
        guard second != primary else {
            tell(
                .warning, .ignored, "Service", service.metadata,
                "its canary waypoint is its waypoint: it gets everything")
            return []
        }
        return [
            .init(waypoint: primary, weight: 100 - canary.percent), .init(waypoint: second, weight: canary.percent),
        ]
    }

    /// The service's own, else that of the namespace, which goes with the namespace's waypoint.
    private mutating func canary(of service: Kubernetes.Service) -> Canary? {
        let own = service.metadata
        if own.labels[CanaryKey.name] != nil || own.annotations[CanaryKey.both] != nil { return read(own, of: own) }
        guard own.labels["istio.io/use-waypoint"] == nil, let space = objects.namespaces[own.namespace]?.metadata else {
            return nil
        }
        return read(space, of: own)
    }

    private mutating func read(_ source: Kubernetes.Metadata, of service: Kubernetes.Metadata) -> Canary? {
        if let text = source.annotations[CanaryKey.both] {
            let parts = text.split(separator: "=", omittingEmptySubsequences: false)
            let path = parts.first?.split(separator: "/", omittingEmptySubsequences: false) ?? []
            guard parts.count == 2, path.count <= 2, !path.contains(""), let name = path.last,
                let percent = Self.percent(parts[1])
            else {
                tell(
                    .error, .invalid, "Service", service,
                    "\(CanaryKey.both) \(text.quoted) is not NAME=PERCENT (0 to 100): everything goes to the first waypoint"
                )
                return nil
            }
            let namespace = path.count == 2 ? String(path[0]) : service.namespace
            return Canary(gateway: ObjectName(namespace, String(name)), percent: percent)
        }
        guard let name = source.labels[CanaryKey.name], !name.isEmpty, name != "none" else { return nil }
        let weight = source.annotations[CanaryKey.weight] ?? ""
        guard let percent = Self.percent(weight[...]) else {
            tell(
                .error, .invalid, "Service", service,
                "\(CanaryKey.weight) \(weight.quoted) is not a number from 0 to 100: everything goes to the first waypoint"
            )
            return nil
        }
        return Canary(
            gateway: ObjectName(source.labels[CanaryKey.namespace] ?? service.namespace, name), percent: percent)
    }

    private static func percent(_ text: Substring) -> UInt32? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }), let value = UInt32(text), value <= 100
        else { return nil }
        return value
    }
}
