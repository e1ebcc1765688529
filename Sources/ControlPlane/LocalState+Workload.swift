internal import MeshModel

extension Workload.Fields {
    private static let keys = [
        "uid", "name", "namespace", "workloadIps", "protocol", "networkMode", "trustDomain", "serviceAccount",
        "network",
        "node", "status", "clusterId", "hostname", "nativeTunnel", "applicationTunnel", "waypoint", "networkGateway",
        "workloadName", "workloadType", "canonicalName", "canonicalRevision", "authorizationPolicies", "locality",
        "capacity", "services", "failOpen", "rerouteVirtualInterfaces",
    ]

    /// Reads one element of `workloads`; `namespace`, `workloadIps` and `services` are mandatory, as upstream has it.
    init(reading reader: YAMLReader, trustDomain: String) throws(ConfigurationError) {
        let fields = try reader.fields(Self.keys)
        var made = Workload.Fields()
        made.name = try fields.text("name")
        made.namespace = try fields.requiredText("namespace")
        made.addresses = try fields.required("workloadIps") { reader throws(ConfigurationError) in
            try reader.list { item throws(ConfigurationError) in try item.ipAddress() }
        }
        made.uid = try fields.text("uid")
        if made.uid.isEmpty {
            // Upstream would let all workloads without a uid overwrite each other.
            let name = made.name.isEmpty ? made.addresses.first?.description ?? "" : made.name
            guard !name.isEmpty else { throw reader.error("a workload needs a uid, a name or an address") }
            made.uid = "//v1/Pod/\(made.namespace)/\(name)"
        }
        made.hostname = try fields.text("hostname")
        made.network = try fields.text("network")
        made.tunnelProtocol = try fields.choice("protocol", default: .tcp)
        made.networkMode = try fields.choice("networkMode", default: .standard)
        made.trustDomain = try fields.text("trustDomain")
        if made.trustDomain.isEmpty { made.trustDomain = trustDomain }
        made.serviceAccount = try fields.text("serviceAccount")
        made.node = try fields.text("node")
        made.health = try fields.choice("status", default: .healthy)
        made.clusterID = try fields.text("clusterId")
        made.nativeTunnel = try fields.bool("nativeTunnel")
        made.applicationTunnel = try fields.optional("applicationTunnel") { reader throws(ConfigurationError) in
            try Workload.ApplicationTunnel(reading: reader)
        }
        made.waypoint = try fields.gateway("waypoint")
        made.networkGateway = try fields.gateway("networkGateway")
        made.workloadName = try fields.text("workloadName")
        made.workloadType = try fields.text("workloadType", default: "pod")
        made.canonicalName = try fields.text("canonicalName")
        made.canonicalRevision = try fields.text("canonicalRevision")
        made.authorizationPolicies = try fields.list("authorizationPolicies") { reader throws(ConfigurationError) in
            try reader.parsed("a policy as 'namespace/name'") { text in
                text.utf8.count { $0 == UInt8(ascii: "/") } == 1 ? text : nil
            }
        }
        made.locality =
            try fields.optional("locality") { reader throws(ConfigurationError) in
                let fields = try reader.fields(["region", "zone", "subzone"])
                return Workload.Locality(
                    region: try fields.text("region"), zone: try fields.text("zone"),
                    subzone: try fields.text("subzone"))
            } ?? Workload.Locality()
        made.failsOpen = try fields.bool("failOpen")
        made.reroutedInterfaces = try fields.text("rerouteVirtualInterfaces")
        made.capacity =
            try fields.optional("capacity") { reader throws(ConfigurationError) in
                try reader.integer(0...UInt32.max)
            } ?? 1
        made.services = try fields.required("services") { reader throws(ConfigurationError) in
            let pairs = try reader.entries { key, value throws(ConfigurationError) in
                let name = try key.parsed("a service as 'namespace/hostname'") { ServiceName($0) }
                return (name, try value.ports(lowestTarget: 1))
            }
            return Dictionary(pairs) { $1 }
        }
        self = made
        let identity = made.identity
        guard SpiffeID(identity.description) == identity else {
            throw fields.place("serviceAccount").error("\(identity.description.quoted) is not a valid identity")
        }
    }
}

extension Workload.ApplicationTunnel {
    fileprivate init(reading reader: YAMLReader) throws(ConfigurationError) {
        let fields = try reader.fields(["protocol", "port"])
        self.init(
            kind: try fields.choice("protocol", default: .none),
            port: try fields.optional("port") { reader throws(ConfigurationError) in try reader.port() })
    }
}
