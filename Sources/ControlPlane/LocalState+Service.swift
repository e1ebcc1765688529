internal import MeshModel

extension Service {
    private static let keys = [
        "name", "namespace", "hostname", "vips", "cidrVips", "ports", "endpoints", "subjectAltNames", "waypoint",
        "weightedWaypoints", "loadBalancer", "ipFamilies", "canonical", "visibility",
    ]

    /// Reads one element of `services`; `name`, `namespace`, `hostname`, `vips` and `ports` are mandatory, as upstream
    /// has it.
    convenience init(reading reader: YAMLReader) throws(ConfigurationError) {
        let fields = try reader.fields(Self.keys)
        var made = Fields()
        made.name = try fields.requiredText("name")
        made.namespace = try fields.requiredText("namespace")
        made.hostname = try fields.requiredText("hostname")
        made.vips = try fields.required("vips") { reader throws(ConfigurationError) in
            try reader.list { item throws(ConfigurationError) in try item.networkAddress() }
        }
        made.cidrVips = try fields.list("cidrVips") { reader throws(ConfigurationError) in
            let fields = try reader.fields(["network", "cidr"])
            return CIDRAddress(
                network: try fields.text("network"),
                prefix: try fields.required("cidr") { reader throws(ConfigurationError) in try reader.prefix() })
        }
        made.ports = try fields.required("ports") { reader throws(ConfigurationError) in
            try reader.ports(lowestTarget: 0)
        }
        // A dump of the daemon's configuration has them; here they follow from the workloads.
        if fields.contains("endpoints") {
            let endpoints = fields.place("endpoints")
            guard case .mapping(let entries) = endpoints.node.content, entries.isEmpty else {
                throw endpoints.error(
                    "the endpoints of a service cannot be listed here",
                    hint: "name the service under 'services' of each workload")
            }
        }
        made.subjectAltNames = try fields.list("subjectAltNames") { reader throws(ConfigurationError) in
            try reader.parsed("an identity as spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT") { text in
                SpiffeID(text) == nil ? nil : text
            }
        }
        made.waypoint = try fields.gateway("waypoint")
        made.weightedWaypoints = try fields.list("weightedWaypoints") { reader throws(ConfigurationError) in
            let fields = try reader.fields(["destination", "weight"])
            return WeightedWaypoint(
                waypoint: try fields.required("destination") { reader throws(ConfigurationError) in
                    try GatewayAddress(reading: reader)
                },
                weight: try fields.required("weight") { reader throws(ConfigurationError) in
                    try reader.integer(0...UInt32.max)
                })
        }
        made.loadBalancer = try fields.optional("loadBalancer") { reader throws(ConfigurationError) in
            let fields = try reader.fields(["routingPreferences", "mode", "healthPolicy"])
            var made = LoadBalancer()
            made.routingPreferences = try fields.list("routingPreferences") { item throws(ConfigurationError) in
                try item.oneOf()
            }
            made.mode = try fields.choice("mode", default: .standard)
            made.healthPolicy = try fields.choice("healthPolicy", default: .onlyHealthy)
            return made
        }
        made.ipFamilies = try fields.optional("ipFamilies") { reader throws(ConfigurationError) in try reader.oneOf() }
        made.canonical = try fields.bool("canonical")
        made.visibility = try fields.choice("visibility", default: .public)
        self.init(made)
    }
}

extension GatewayAddress {
    /// Reads `{destination: "network/ip" or "namespace/hostname", hboneMtlsPort: 15008}`.
    init(reading reader: YAMLReader) throws(ConfigurationError) {
        let fields = try reader.fields(["destination", "hboneMtlsPort"])
        let destination = try fields.required("destination") { reader throws(ConfigurationError) in
            try reader.parsed("a gateway as 'network/address' or 'namespace/hostname'") { text -> Destination? in
                if let address = NetworkAddress(text) { return .address(address) }
                return ServiceName(text).map { .hostname($0) }
            }
        }
        let port = try fields.optional("hboneMtlsPort") { reader throws(ConfigurationError) in try reader.port() }
        self.init(destination: destination, hboneMtlsPort: port ?? 15008)
    }
}
