internal import MeshModel

extension NetworkPolicy {
    convenience init(reading root: ManifestMapping) throws(ConfigurationError) {
        let metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        let spec = try root.required("spec").mapping()
        try spec.onlyKnown(["podSelector", "policyTypes", "ingress", "egress"])
        var rules: [Direction: [Rule]] = [:]
        let types = try spec.items("policyTypes")
        if types.isEmpty {
            rules[.ingress] = []
            if try !spec.items("egress").isEmpty { rules[.egress] = [] }
        }
        for item in types { rules[try item.oneOf()] = [] }
        for direction in Direction.allCases where rules[direction] != nil {
            let key = direction == .ingress ? "ingress" : "egress"
            for item in try spec.items(key) {
                rules[direction, default: []].append(try Rule(reading: try item.mappingOrNothing(), direction))
            }
        }
        self.init(
            name: metadata.name, namespace: metadata.namespace, pods: try spec.labelSelector("podSelector") ?? .all,
            rules: rules)
    }
}

extension NetworkPolicy.Rule {
    init(reading mapping: ManifestMapping, _ direction: NetworkPolicy.Direction) throws(ConfigurationError) {
        let key = direction == .ingress ? "from" : "to"
        try mapping.onlyKnown([key, "ports"])
        self.init()
        let peers = try mapping.items(key)
        if !peers.isEmpty {
            var made: [NetworkPolicy.Peer] = []
            for item in peers { made.append(try NetworkPolicy.Peer(reading: try item.mapping())) }
            self.peers = made
        }
        let ports = try mapping.items("ports")
        guard !ports.isEmpty else { return }
        var made: [NetworkPolicy.Port] = []
        for item in ports {
            guard let port = try NetworkPolicy.Port(reading: try item.mapping()) else { continue }
            made.append(port)
        }
        self.ports = made
    }
}

extension NetworkPolicy.Peer {
    init(reading mapping: ManifestMapping) throws(ConfigurationError) {
        try mapping.onlyKnown(["podSelector", "namespaceSelector", "ipBlock"])
        if let block = try mapping.mapping("ipBlock") {
            try block.onlyKnown(["cidr", "except"])
            guard mapping.entries.count == 1 else {
                throw mapping.error("'ipBlock' cannot stand beside a selector", hint: "make it an entry of its own")
            }
            let range = try block.required("cidr").parsed("an address range as 10.0.0.0/8") { IPPrefix($0) }
            var except: [IPPrefix] = []
            for item in try block.items("except") {
                except.append(try item.parsed("an address range as 10.0.0.0/8") { IPPrefix($0) })
            }
            self = .addresses(range, except: except)
            return
        }
        let pods = try mapping.labelSelector("podSelector")
        let namespaces = try mapping.labelSelector("namespaceSelector")
        guard pods != nil || namespaces != nil else {
            throw mapping.error("a peer needs 'podSelector', 'namespaceSelector' or 'ipBlock'")
        }
        self = .pods(pods, namespaces: namespaces)
    }
}

extension NetworkPolicy.Port {
    /// Nil for a port of another protocol.
    init?(reading mapping: ManifestMapping) throws(ConfigurationError) {
        try mapping.onlyKnown(["protocol", "port", "endPort"])
        guard try mapping.isTCP() else { return nil }
        guard let port = mapping["port"] else {
            if let end = mapping["endPort"] { throw end.error("'endPort' needs 'port'") }
            self = .numbers(1...UInt16.max)
            return
        }
        switch try port.portReference() {
        case .named(let name):
            if let end = mapping["endPort"] { throw end.error("'endPort' needs a number as 'port'") }
            self = .named(name)
        case .number(let first):
            let last = try mapping["endPort"].map { end throws(ConfigurationError) in
                UInt16(try end.integer(Int(first)...65535))
            }
            self = .numbers(first...(last ?? first))
        }
    }
}
