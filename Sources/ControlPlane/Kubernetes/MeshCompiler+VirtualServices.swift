internal import MeshModel

extension MeshCompiler {
    /// The routes of waypoints that VirtualServices make: one for each port of each service they name, oldest first as Istio
    /// joins several for one host.
    ///
    /// - Parameter routed: routes of HTTPRoutes, which win: a service that has any is not routed by VirtualServices.
    mutating func compileVirtualServices(
        _ services: [Service], routed: [MeshModel.HTTPRoute]
    ) -> [MeshModel.HTTPRoute] {
        guard !objects.virtualServices.isEmpty else { return [] }
        let sorted = objects.virtualServices.values.sorted {
            ($0.metadata.created, $0.metadata.namespace, $0.metadata.name)
                < ($1.metadata.created, $1.metadata.namespace, $1.metadata.name)
        }
        let byHost = Dictionary(grouping: services, by: \.fields.hostname)
        let taken = Set(routed.map(\.parent))
        var routes: [MeshModel.HTTPRoute] = []
        for source in sorted where source.isForMesh {
            let rules = tellOf(source, byHost)
            var isUsed = false
            for service in services.sorted(by: { $0.fields.hostname < $1.fields.hostname })
            where source.hosts.contains(where: { Self.host(hostname(of: $0, source.metadata), holds: service.fields) })
            {
                isUsed = true
                guard speaks(source.metadata.namespace, for: service) else {
                    tell(
                        .warning, .ignored, "VirtualService", source.metadata,
                        "it is neither in the namespace of service \(service.serviceName) nor in its waypoint's: it is not used "
                            + "for it")
                    continue
                }
                guard !taken.contains(.service(service.serviceName)) else {
                    tell(
                        .warning, .ignored, "VirtualService", source.metadata,
                        "service \(service.serviceName) has an HTTPRoute, which wins: it is not used for it")
                    continue
                }
                routes += compile(rules, source.metadata, for: service, byHost)
            }
            if !isUsed {
                tell(
                    .warning, .dangling, "VirtualService", source.metadata,
                    "no Service or ServiceEntry has one of its hosts \(source.hosts.map(\.quoted).joined(separator: ", "))"
                )
            }
        }
        return routes
    }

    /// Whether a VirtualService of that namespace may route a service: the service's own, or its waypoint's.
    private func speaks(_ namespace: String, for service: Service) -> Bool {
        if service.fields.namespace == namespace { return true }
        guard let gateway = service.fields.waypoint else { return false }
        return waypoints.contains { $0.key.namespace == namespace && $0.value.address == gateway }
    }

    /// A host as it is written, with a short name made whole.
    private func hostname(of host: String, _ metadata: Kubernetes.Metadata) -> String {
        host.contains(".") || host.hasPrefix("*") ? host : hostname(ObjectName(metadata.namespace, host))
    }

    private static func host(_ host: String, holds service: Service.Fields) -> Bool {
        host == "*" || host == service.hostname
            || host.hasPrefix("*.") && service.hostname.hasSuffix(host.dropFirst())
                && service.hostname.utf8.count > host.utf8.count - 1
    }

    /// Tells what is not supported, once for the object; gives the rules that are left.
    private mutating func tellOf(
        _ source: Kubernetes.VirtualService, _ byHost: [String: [Service]]
    ) -> [Kubernetes.VirtualService.Rule] {
        let metadata = source.metadata
        func list(_ fields: [String]) -> String { fields.joined(separator: ", ") }
        if !source.otherLists.isEmpty {
            tell(
                .error, .unsupported, "VirtualService", metadata,
                "\(list(source.otherLists.map { "spec.\($0)" })) is not supported and not used")
        }
        var rules: [Kubernetes.VirtualService.Rule] = []
        for rule in source.rules {
            if !rule.unreadMatches.isEmpty {
                let consequence = rule.matches.isEmpty ? "the rule is left out" : "those matches are left out"
                tell(
                    .error, .unsupported, "VirtualService", metadata,
                    "\(list(rule.unreadMatches)) is not supported: \(consequence)")
            }
            // All its matches are for gateways, or cannot be read: it must not take every request.
            guard !rule.isConditional || !rule.matches.isEmpty else { continue }
            if !rule.unsupported.isEmpty {
                tell(
                    .error, .unsupported, "VirtualService", metadata,
                    "\(list(rule.unsupported)) is not supported: requests that the rule matches get 503")
            }
            if !rule.ignored.isEmpty {
                tell(
                    .warning, .unsupported, "VirtualService", metadata,
                    "\(list(rule.ignored)) is not supported and not obeyed")
            }
            for destination in rule.destinations where byHost[hostname(of: destination.host, metadata)] == nil {
                tell(
                    .warning, .dangling, "VirtualService", metadata,
                    "its destination \(destination.host.quoted) does not exist: requests for it get 503")
            }
            rules.append(rule)
        }
        return rules
    }

    /// One route for each port of the service: matches and destinations may depend on it.
    private mutating func compile(
        _ rules: [Kubernetes.VirtualService.Rule], _ metadata: Kubernetes.Metadata, for service: Service,
        _ byHost: [String: [Service]]
    ) -> [MeshModel.HTTPRoute] {
        service.fields.ports.keys.sorted().map { port in
            var route = MeshModel.HTTPRoute(parent: .service(service.serviceName), port: port)
            route.order = .written
            for (position, source) in rules.enumerated() {
                let matches = source.matches.filter { $0.port == nil || $0.port == port }
                guard !source.isConditional || !matches.isEmpty else { continue }
                var rule = MeshModel.HTTPRoute.Rule()
                rule.name = source.name.isEmpty ? "\(metadata.name) rule \(position + 1)" : source.name
                rule.matches = matches.map(\.match)
                rule.backends =
                    source.unsupported.isEmpty
                    ? source.destinations.map { backend($0, metadata, port, byHost) }
                    : [
                        .init(
                            .service(
                                ServiceName(namespace: metadata.namespace, hostname: "unsupported.invalid"), port: 1))
                    ]
                route.rules.append(rule)
            }
            return route
        }
    }

    private func backend(
        _ destination: Kubernetes.VirtualService.Destination, _ metadata: Kubernetes.Metadata, _ called: UInt16,
        _ byHost: [String: [Service]]
    ) -> MeshModel.HTTPRoute.Backend {
        let host = hostname(of: destination.host, metadata)
        let known = byHost[host] ?? []
        // A host may be registered in several namespaces: its own comes first.
        let service = known.first { $0.fields.namespace == metadata.namespace } ?? known.first
        let only = service.flatMap { $0.fields.ports.count == 1 ? $0.fields.ports.keys.first : nil }
        let name = service?.serviceName ?? ServiceName(namespace: metadata.namespace, hostname: host)
        return .init(.service(name, port: destination.port ?? only ?? called), weight: destination.weight)
    }
}
