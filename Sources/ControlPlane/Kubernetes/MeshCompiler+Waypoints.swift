internal import MeshModel

extension MeshCompiler {
    /// Gateways with an address are waypoints, whoever runs them; one without a controller that wrote its address is
    /// reached by the Service of its name.
    mutating func findWaypoints() {
        for name in objects.gateways.keys.sorted() {
            guard let gateway = objects.gateways[name] else { continue }
            var destination: GatewayAddress.Destination?
            if let host = gateway.hostnames.first {
                destination = .hostname(ServiceName(namespace: name.namespace, hostname: host))
            } else if let address = gateway.addresses.first {
                destination = .address(NetworkAddress(network: settings.network, ip: address))
            } else if gateway.speaksHBONE, objects.services[name] != nil {
                destination = .hostname(serviceName(name))
            }
            guard let destination else {
                if gateway.speaksHBONE {
                    tell(
                        .warning, .dangling, "Gateway", gateway.metadata,
                        "it has no address (status.addresses) and there is no Service of its name: "
                            + "nothing is bound to it, traffic goes past it")
                }
                continue
            }
            let purpose = gateway.metadata.labels["istio.io/waypoint-for"] ?? "service"
            if !["service", "workload", "all", "none"].contains(purpose) {
                tell(
                    .warning, .ignored, "Gateway", gateway.metadata,
                    "istio.io/waypoint-for \(purpose.quoted) is not known; service, workload, all and none are")
            }
            waypoints[name] = Waypoint(
                address: GatewayAddress(destination: destination),
                servesServices: purpose == "service" || purpose == "all",
                servesWorkloads: purpose == "workload" || purpose == "all", gateway: gateway)
        }
    }

    /// The waypoint that a pod is an instance of.
    func waypoint(servedBy pod: Kubernetes.Pod) -> Waypoint? {
        guard let gateway = pod.metadata.labels["gateway.networking.k8s.io/gateway-name"] else { return nil }
        let found = waypoints[ObjectName(pod.metadata.namespace, gateway)]
        return found?.gateway.speaksHBONE == true ? found : nil
    }

    /// The waypoint in front of a service.
    mutating func waypoint(of service: Kubernetes.Service) -> GatewayAddress? {
        // A waypoint's own Service is never behind a waypoint.
        guard service.metadata.labels["gateway.networking.k8s.io/gateway-name"] == nil,
            waypoints[ObjectName(service.metadata)] == nil
        else { return nil }
        return waypoint("Service", service.metadata) { $0.servesServices }
    }

    /// The waypoint in front of a pod that is addressed itself.
    mutating func waypoint(of pod: Kubernetes.Pod) -> GatewayAddress? {
        waypoint("Pod", pod.metadata) { $0.servesWorkloads }
    }

    /// What `istio.io/use-waypoint` on an object, else on its namespace, leads to.
    mutating func waypoint(
        _ kind: String, _ metadata: Kubernetes.Metadata, where serves: (Waypoint) -> Bool
    ) -> GatewayAddress? {
        let own = metadata.labels["istio.io/use-waypoint"]
        let labels = own == nil ? objects.namespaces[metadata.namespace]?.metadata.labels ?? .empty : metadata.labels
        guard let name = own ?? labels["istio.io/use-waypoint"], !name.isEmpty, name != "none" else { return nil }
        let namespace = labels["istio.io/use-waypoint-namespace"] ?? metadata.namespace
        guard let waypoint = waypoints[ObjectName(namespace, name)] else {
            // Said once for a namespace's label would be enough, but each object is what a person looks at.
            if own != nil || kind == "Service" {
                tell(
                    .warning, .dangling, kind, metadata,
                    "istio.io/use-waypoint names the Gateway \("\(namespace)/\(name)".quoted), which does not exist or "
                        + "has no address: traffic goes past it")
            }
            return nil
        }
        guard serves(waypoint) else { return nil }
        guard admits(waypoint.gateway, metadata.namespace) else {
            tell(
                .warning, .dangling, kind, metadata,
                "the Gateway \("\(namespace)/\(name)".quoted) does not admit the namespace \(metadata.namespace.quoted) "
                    + "(listeners[].allowedRoutes.namespaces): traffic goes past it")
            return nil
        }
        return waypoint.address
    }

    private func admits(_ gateway: Kubernetes.Gateway, _ namespace: String) -> Bool {
        if namespace == gateway.metadata.namespace { return true }
        switch gateway.allowedNamespaces {
        case "All": return true
        case "Selector":
            let labels = objects.namespaces[namespace]?.metadata.labels ?? .empty
            return gateway.allowedSelector?.matches(labels) ?? false
        default: return false
        }
    }
}
