internal import MeshModel
internal import StatusModel

/// The state of the mesh in the shape of ztunnel's `/config_dump`, which istioctl and Kiali read. Private keys are no part
/// of what it is made from.
struct ConfigDump: Sendable {
    let snapshot: MeshSnapshot
    var version = ""
    var pods: [PodStatus] = []
    var certificates: [HeldCertificate] = []
    var connections: [LiveConnection] = []
    var configuration = RunningConfiguration()

    /// The document as text; takes time in proportion to the mesh.
    func bytes() -> [UInt8] {
        var bytes: [UInt8] = []
        document.write(into: &bytes)
        bytes.append(10)
        return bytes
    }

    var document: JSONValue {
        let workloads = snapshot.allWorkloads.sorted { $0.fields.uid < $1.fields.uid }
        let services = snapshot.allServices.sorted {
            ($0.fields.hostname, $0.fields.namespace) < ($1.fields.hostname, $1.fields.namespace)
        }
        let policies = snapshot.allPolicies.sorted { $0.key < $1.key }
        // The tools expect these keys also when there is nothing below them.
        return .object([
            .init("workloads", .array(workloads.map(Self.workload))),
            .init("services", .array(services.map { service($0) })),
            .init("policies", .array(policies.map(Self.policy))),
            .init("certificates", .array(certificates.map(Self.certificate))),
            .init("workloadState", .object(states)),
            .init("stagedServices", .object(staged(workloads))),
            .init(
                "staticConfig",
                .object([
                    .init("workloads", .array([])), .init("services", .array([])), .init("policies", .array([])),
                ])),
            .init("version", versionDocument),
            .init("config", configuration.document),
        ])
    }

    static func workload(_ workload: Workload) -> JSONValue {
        let fields = workload.fields
        let services = fields.services.sorted { "\($0.key)" < "\($1.key)" }.map { name, ports in
            JSONValue.Member("\(name)", .object(["port": Self.ports(ports)]))
        }
        return .object(
            [
                .init("workloadIps", .strings(fields.addresses.map(\.description))),
                .init("protocol", .string(fields.tunnelProtocol.rawValue)),
                .init("networkMode", .string(fields.networkMode.rawValue)),
                .init("name", .string(fields.name)),
                .init("namespace", .string(fields.namespace)),
                .init("status", .string(fields.health.rawValue)),
                .init("clusterId", .string(fields.clusterID)),
                .init("capacity", .number(Int64(fields.capacity))),
            ]
                + Self.members([
                    "waypoint": fields.waypoint.map(Self.gateway),
                    "networkGateway": fields.networkGateway.map(Self.gateway),
                    "uid": .string(fields.uid),
                    "trustDomain": .string(fields.trustDomain),
                    "serviceAccount": .string(fields.serviceAccount),
                    "network": .string(fields.network),
                    "workloadName": .string(fields.workloadName),
                    "workloadType": .string(fields.workloadType),
                    "canonicalName": .string(fields.canonicalName),
                    "canonicalRevision": .string(fields.canonicalRevision),
                    "hostname": .string(fields.hostname),
                    "node": .string(fields.node),
                    "nativeTunnel": fields.nativeTunnel ? .boolean(true) : nil,
                    "applicationTunnel": fields.applicationTunnel.map {
                        .object(["protocol": .string($0.kind.rawValue), "port": $0.port.map { .number(Int64($0)) }])
                    },
                    "authorizationPolicies": .strings(fields.authorizationPolicies),
                    "locality": .object([
                        "region": .string(fields.locality.region), "zone": .string(fields.locality.zone),
                        "subzone": .string(fields.locality.subzone),
                    ]),
                    "services": .object(services),
                ]))
    }

    func service(_ service: Service, withEndpoints: Bool = true) -> JSONValue {
        let fields = service.fields
        let known = withEndpoints ? snapshot.endpoints(of: service.serviceName) : []
        let endpoints = known.map { endpoint in
            JSONValue.Member(
                endpoint.workload.fields.uid,
                .object([
                    .init("workloadUid", .string(endpoint.workload.fields.uid)),
                    .init("port", Self.ports(endpoint.ports)),
                    .init("status", .string(endpoint.workload.fields.health.rawValue)),
                ]))
        }
        return .object(
            [
                .init("name", .string(fields.name)),
                .init("namespace", .string(fields.namespace)),
                .init("hostname", .string(fields.hostname)),
                .init("vips", .strings(fields.vips.map(\.description))),
                .init("ports", Self.ports(fields.ports)),
                .init("endpoints", .object(endpoints)),
                .init("subjectAltNames", .strings(fields.subjectAltNames)),
                .init("canonical", .boolean(fields.canonical)),
                .init("visibility", .string(fields.visibility.rawValue)),
            ]
                + Self.members([
                    "cidrVips": .array(
                        fields.cidrVips.map {
                            .object(["network": .string($0.network), "cidr": .string("\($0.prefix)")])
                        }),
                    "waypoint": fields.waypoint.map(Self.gateway),
                    "weightedWaypoints": .array(
                        fields.weightedWaypoints.map {
                            .object(["destination": Self.gateway($0.waypoint), "weight": .number(Int64($0.weight))])
                        }),
                    "loadBalancer": fields.loadBalancer.map {
                        .object([
                            .init("routingPreferences", .strings($0.routingPreferences.map(\.rawValue))),
                            .init("mode", .string($0.mode.rawValue)),
                            .init("healthPolicy", .string($0.healthPolicy.rawValue)),
                        ])
                    },
                    "ipFamilies": fields.ipFamilies.map { .string($0.rawValue) },
                ]))
    }

    static func policy(_ policy: AuthorizationPolicy) -> JSONValue {
        .object([
            .init("name", .string(policy.name)),
            .init("namespace", .string(policy.namespace)),
            .init("scope", .string(policy.scope.rawValue)),
            .init("action", .string(policy.action.rawValue)),
            .init("rules", .array(policy.rules.map { .array($0.map { .array($0.map(match)) }) })),
            .init("dryRun", .boolean(policy.dryRun)),
        ])
    }

    private static func match(_ match: AuthorizationPolicy.Match) -> JSONValue {
        func texts(_ values: [StringMatch]) -> JSONValue { .array(values.map(Self.text)) }
        func accounts(_ values: [ServiceAccountMatch]) -> JSONValue {
            .array(
                values.map {
                    .object(["namespace": .string($0.namespace), "serviceAccount": .string($0.serviceAccount)])
                })
        }
        func prefixes(_ values: [IPPrefix]) -> JSONValue { .strings(values.map(\.description)) }
        func ports(_ values: [UInt16]) -> JSONValue { .array(values.map { .number(Int64($0)) }) }
        return .object([
            "namespaces": texts(match.namespaces), "notNamespaces": texts(match.notNamespaces),
            "serviceAccounts": accounts(match.serviceAccounts),
            "notServiceAccounts": accounts(match.notServiceAccounts),
            "principals": texts(match.principals), "notPrincipals": texts(match.notPrincipals),
            "sourceIps": prefixes(match.sourceIPs), "notSourceIps": prefixes(match.notSourceIPs),
            "destinationIps": prefixes(match.destinationIPs), "notDestinationIps": prefixes(match.notDestinationIPs),
            "destinationPorts": ports(match.destinationPorts), "notDestinationPorts": ports(match.notDestinationPorts),
        ])
    }

    private static func text(_ match: StringMatch) -> JSONValue {
        switch match {
        case .exact(let text): .object([.init("Exact", .string(text))])
        case .prefix(let text): .object([.init("Prefix", .string(text))])
        case .suffix(let text): .object([.init("Suffix", .string(text))])
        case .presence: .object([.init("Presence", .array([]))])
        }
    }

    private static func gateway(_ gateway: GatewayAddress) -> JSONValue {
        let destination =
            switch gateway.destination {
            case .address(let address): address.description
            case .hostname(let name): name.description
            }
        return .object([
            "destination": .string(destination), "hboneMtlsPort": .number(Int64(gateway.hboneMtlsPort)),
        ])
    }

    static func ports(_ ports: [UInt16: UInt16]) -> JSONValue {
        .object(ports.sorted { $0.key < $1.key }.map { .init("\($0.key)", .number(Int64($0.value))) })
    }

    private static func members(_ pairs: KeyValuePairs<String, JSONValue?>) -> [JSONValue.Member] {
        guard case .object(let members) = JSONValue.object(pairs) else { return [] }
        return members
    }
}
