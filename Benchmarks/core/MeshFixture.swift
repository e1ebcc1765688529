import MeshModel

/// A made-up mesh of any size: pods spread over namespaces and services, as a cluster has them.
struct MeshFixture {
    static let namespaces = 50
    /// Pods per service.
    static let endpoints = 20

    static func address(_ index: Int) -> IPAddress { IPAddress(v4: 0x0a00_0000 + UInt32(index) + 256) }
    static func vip(_ service: Int) -> NetworkAddress {
        NetworkAddress(network: "", ip: IPAddress(v4: 0x0a80_0000 + UInt32(service) + 256))
    }
    static func namespace(_ index: Int) -> String { "ns\(index % namespaces)" }

    static func serviceName(_ index: Int) -> ServiceName {
        let namespace = namespace(index)
        return ServiceName(namespace: namespace, hostname: "svc\(index).\(namespace).svc.cluster.local")
    }

    static func service(_ index: Int) -> Service {
        let name = serviceName(index)
        var fields = Service.Fields()
        fields.name = "svc\(index)"
        fields.namespace = name.namespace
        fields.hostname = name.hostname
        fields.vips = [vip(index)]
        fields.ports = [80: 8080]
        return Service(fields)
    }

    /// - Parameter revision: another one makes the same pod in another version.
    static func workload(_ index: Int, revision: Int = 0, policies: Bool = false) -> Workload {
        let service = index / endpoints
        let namespace = namespace(service)
        var fields = Workload.Fields()
        fields.uid = "Kubernetes//Pod/\(namespace)/pod\(index)"
        fields.name = "pod\(index)"
        fields.namespace = namespace
        fields.addresses = [address(index)]
        fields.tunnelProtocol = .hbone
        fields.trustDomain = "cluster.local"
        fields.serviceAccount = "sa\(service)"
        fields.node = "node\(index % 100)"
        fields.clusterID = "Kubernetes"
        fields.workloadName = "app\(service)"
        fields.workloadType = "deployment"
        fields.canonicalName = "app\(service)"
        fields.canonicalRevision = "v\(revision)"
        fields.services = [serviceName(service): [80: 8080]]
        if policies { fields.authorizationPolicies = ["\(namespace)/pol\(index)"] }
        return Workload(fields)
    }

    /// An ALLOW policy that one service account may pass; every third is for its whole namespace.
    static func policy(_ index: Int) -> AuthorizationPolicy {
        let namespace = namespace(index / endpoints)
        var match = AuthorizationPolicy.Match()
        match.principals = [.exact("cluster.local/ns/\(namespace)/sa/sa\(index)")]
        var port = AuthorizationPolicy.Match()
        port.destinationPorts = [8080]
        return AuthorizationPolicy(
            name: "pol\(index)", namespace: namespace, scope: index % 3 == 0 ? .namespace : .workloadSelector,
            action: .allow, rules: [[[match], [port]]])
    }

    static func snapshot(workloads count: Int, policies: Int = 0) -> MeshSnapshot {
        MeshSnapshot(
            workloads: (0..<count).map { workload($0, policies: $0 < policies) },
            services: (0..<(count + endpoints - 1) / endpoints).map(service),
            policies: (0..<policies).map(policy))
    }

    /// The state file of as many workloads and policies, in ztunnel's local format; of one workload another revision.
    static func stateFile(workloads count: Int, policies: Int = 0, changed: Int? = nil) -> [UInt8] {
        var text = "workloads:\n"
        for index in 0..<count {
            let service = index / endpoints
            let namespace = namespace(service)
            text += """
                - uid: Kubernetes//Pod/\(namespace)/pod\(index)
                  name: pod\(index)
                  namespace: \(namespace)
                  serviceAccount: sa\(service)
                  workloadIps: ["\(address(index))"]
                  protocol: HBONE
                  node: node\(index % 100)
                  clusterId: Kubernetes
                  workloadName: app\(service)
                  workloadType: deployment
                  canonicalName: app\(service)
                  canonicalRevision: v\(index == changed ? 1 : 0)
                  services:
                    \(serviceName(service)): {80: 8080}

                """
        }
        text += "services:\n"
        for index in 0..<(count + endpoints - 1) / endpoints {
            let name = serviceName(index)
            text += """
                - name: svc\(index)
                  namespace: \(name.namespace)
                  hostname: \(name.hostname)
                  vips: ["\(vip(index))"]
                  ports: {80: 8080}

                """
        }
        if policies > 0 { text += "policies:\n" }
        for index in 0..<policies {
            let namespace = namespace(index / endpoints)
            text += """
                - name: pol\(index)
                  namespace: \(namespace)
                  scope: Namespace
                  action: Allow
                  dryRun: false
                  rules: [[[{principals: [{Exact: cluster.local/ns/\(namespace)/sa/sa\(index)}]}], [{destinationPorts: [8080]}]]]

                """
        }
        return Array(text.utf8)
    }
}
