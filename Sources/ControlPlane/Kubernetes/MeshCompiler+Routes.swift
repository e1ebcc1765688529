internal import MeshModel

extension MeshCompiler {
    /// The routes of waypoints: HTTPRoutes whose parents are Services, oldest first as the Gateway API orders ties.
    mutating func compileRoutes() -> [MeshModel.HTTPRoute] {
        var routes: [MeshModel.HTTPRoute] = []
        let sorted = objects.httpRoutes.values.sorted {
            ($0.metadata.created, $0.metadata.namespace, $0.metadata.name)
                < ($1.metadata.created, $1.metadata.namespace, $1.metadata.name)
        }
        for source in sorted {
            guard !source.parents.isEmpty else {
                tell(
                    .warning, .ignored, "HTTPRoute", source.metadata,
                    "none of its parentRefs is a Service: it is not used")
                continue
            }
            let rules = source.rules.compactMap { compile($0, source.metadata) }
            for parent in source.parents {
                guard objects.services[parent.service] != nil else {
                    tell(
                        .warning, .dangling, "HTTPRoute", source.metadata,
                        "its parent Service \("\(parent.service.namespace)/\(parent.service.name)".quoted) does not exist"
                    )
                    continue
                }
                // A route of another namespace would speak for its clients only, which a waypoint cannot tell apart.
                guard parent.service.namespace == source.metadata.namespace else {
                    tell(
                        .error, .unsupported, "HTTPRoute", source.metadata,
                        "its parent is a Service of another namespace (a consumer route): it is not used")
                    continue
                }
                var route = MeshModel.HTTPRoute(parent: .service(serviceName(parent.service)), port: parent.port)
                route.rules = rules
                routes.append(route)
            }
        }
        return routes
    }

    /// A rule; nil for one that would match other requests than it says.
    private mutating func compile(
        _ source: Kubernetes.HTTPRoute.Rule, _ metadata: Kubernetes.Metadata
    ) -> MeshModel.HTTPRoute.Rule? {
        var rule = source.rule
        rule.backends = source.backends.map { backend in
            .init(.service(serviceName(backend.service), port: backend.port), weight: backend.weight)
        }
        for backend in source.backends where objects.services[backend.service] == nil {
            tell(
                .warning, .dangling, "HTTPRoute", metadata,
                "its backend \("\(backend.service.namespace)/\(backend.service.name)".quoted) does not exist: requests for it "
                    + "get 503")
        }
        guard !source.unsupported.isEmpty else { return rule }
        let fields = source.unsupported.joined(separator: ", ")
        if source.isUnusable {
            tell(.error, .unsupported, "HTTPRoute", metadata, "\(fields) is not supported: the rule is left out")
            return nil
        }
        let isAboutMatches = source.unsupported.allSatisfy { $0.contains(".matches[") }
        guard !isAboutMatches else {
            tell(.error, .unsupported, "HTTPRoute", metadata, "\(fields) is not supported: that match is left out")
            return rule
        }
        let onlyTimes = source.unsupported.allSatisfy { $0.hasSuffix(".timeouts") || $0.hasSuffix(".retry") }
        if onlyTimes {
            tell(.warning, .unsupported, "HTTPRoute", metadata, "\(fields) is not supported and not obeyed")
            return rule
        }
        // As the Gateway API has it: a rule whose filters cannot be applied must not pass requests without them.
        tell(
            .error, .unsupported, "HTTPRoute", metadata,
            "\(fields) is not supported: requests that the rule matches get 503")
        rule.backends = [
            .init(.service(ServiceName(namespace: metadata.namespace, hostname: "unsupported.invalid"), port: 1))
        ]
        return rule
    }
}
