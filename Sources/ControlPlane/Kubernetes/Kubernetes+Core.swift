internal import MeshModel

extension Kubernetes.Metadata {
    init(_ root: ManifestMapping, isNamespaced: Bool) throws(ConfigurationError) {
        let mapping = try root.required("metadata").mapping()
        name = try mapping.requiredText("name")
        let given = try mapping.text("namespace")
        namespace = isNamespaced ? (given.isEmpty ? "default" : given) : ""
        labels = LabelSet(try mapping.textMap("labels"))
        annotations = try mapping.textMap("annotations", where: Self.isKept)
        created = try mapping["creationTimestamp"]?.scalarText() ?? ""
        isDeleting = mapping["deletionTimestamp"] != nil
        place = ManifestPlace(
            file: root.value.path.file, line: Int(root.value.node.line) + root.value.path.lineOffset)
        guard Self.isName(name), namespace.isEmpty || Self.isName(namespace) else {
            throw mapping.error("\(name.quoted) in \(namespace.quoted) is not a name Kubernetes allows")
        }
    }

    /// A DNS subdomain (RFC 1123); a slash or a control character would make one name look like another.
    private static func isName(_ text: String) -> Bool {
        text.utf8.count <= 253
            && text.utf8.allSatisfy {
                (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 46 || (65...90).contains($0)
                    || $0 == 95 || $0 == 58
            }
    }
}

extension ManifestValue {
    func address() throws(ConfigurationError) -> IPAddress { try parsed("an IP address") { IPAddress($0) } }

    func port() throws(ConfigurationError) -> UInt16 { UInt16(try integer(1...65535)) }

    /// A port number, or a port's name.
    func portReference() throws(ConfigurationError) -> Kubernetes.PortReference {
        if case .scalar(let scalar) = node.content, scalar.type == .integer { return .number(try port()) }
        let text = try text()
        if let number = UInt16(text), number > 0 { return .number(number) }
        guard !text.isEmpty else { throw mismatch("a port number or name") }
        return .named(text)
    }
}

extension ManifestMapping {
    func addresses(_ key: String) throws(ConfigurationError) -> [IPAddress] {
        var addresses: [IPAddress] = []
        for item in try items(key) { addresses.append(try item.address()) }
        return addresses
    }

    /// Whether the `protocol` of a port is TCP, which it is where it is not said.
    func isTCP() throws(ConfigurationError) -> Bool {
        let name = try text("protocol")
        return name.isEmpty || name == "TCP"
    }
}

extension Kubernetes.Node {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: false)
        addresses = []
        for item in try root.mapping("status")?.items("addresses") ?? [] {
            let entry = try item.mapping()
            guard let address = IPAddress(try entry.text("address")) else { continue }
            addresses.append(address)
        }
    }
}

extension Kubernetes.Pod {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        let spec = try root.required("spec").mapping()
        let account = try spec.text("serviceAccountName")
        serviceAccount = account.isEmpty ? "default" : account
        node = try spec.text("nodeName")
        isHostNetwork = try spec.bool("hostNetwork")
        ports = [:]
        for container in try spec.items("containers") {
            for item in try container.mapping().items("ports") {
                let port = try item.mapping()
                let name = try port.text("name")
                guard !name.isEmpty, try port.isTCP() else { continue }
                ports[name] = try port.required("containerPort").port()
            }
        }
        let status = try root.mapping("status")
        addresses = []
        for item in try status?.items("podIPs") ?? [] {
            addresses.append(try item.mapping().required("ip").address())
        }
        if addresses.isEmpty, let single = status?["podIP"] { addresses = [try single.address()] }
        phase = try status?.text("phase") ?? ""
        isReady = nil
        for item in try status?.items("conditions") ?? [] {
            let condition = try item.mapping()
            guard try condition.text("type") == "Ready" else { continue }
            isReady = try condition.text("status") == "True"
        }
        workloadName = try Self.workloadName(root, metadata)
    }

    /// As Istio names it: the owner, and of a Deployment's ReplicaSet the name without its hash.
    private static func workloadName(
        _ root: ManifestMapping, _ metadata: Kubernetes.Metadata
    ) throws(ConfigurationError) -> String {
        for item in try root.mapping("metadata")?.items("ownerReferences") ?? [] {
            let owner = try item.mapping()
            let name = try owner.text("name")
            guard try owner.bool("controller"), !name.isEmpty else { continue }
            if try owner.text("kind") == "ReplicaSet", let hash = metadata.labels["pod-template-hash"],
                name.hasSuffix("-\(hash)")
            {
                return String(name.dropLast(hash.count + 1))
            }
            return name
        }
        return metadata.name
    }
}

extension Kubernetes.Service {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        let spec = try root.required("spec").mapping()
        isExternalName = try spec.text("type") == "ExternalName"
        var texts: [ManifestValue] = try spec.items("clusterIPs")
        if texts.isEmpty, let single = spec["clusterIP"] { texts = [single] }
        addresses = []
        for item in texts {
            let text = try item.text()
            if !text.isEmpty, text != "None" { addresses.append(try item.address()) }
        }
        for item in try root.mapping("status")?.mapping("loadBalancer")?.items("ingress") ?? [] {
            let ingress = try item.mapping()
            guard let address = IPAddress(try ingress.text("ip")), try ingress.text("ipMode") != "Proxy" else {
                continue
            }
            addresses.append(address)
        }
        switch try spec.texts("ipFamilies") {
        case ["IPv4"]: families = .ipv4
        case ["IPv6"]: families = .ipv6
        case let both where both.count == 2: families = .dual
        default: families = nil
        }
        ports = []
        for item in try spec.items("ports") {
            let entry = try item.mapping()
            guard try entry.isTCP() else { continue }
            let port = try entry.required("port").port()
            ports.append(
                Port(
                    name: try entry.text("name"), port: port,
                    target: try entry["targetPort"]?.portReference() ?? .number(port)))
        }
        let pairs = try spec.textMap("selector")
        selector = pairs.isEmpty ? nil : LabelSet(pairs)
        let annotation = metadata.annotations["networking.istio.io/traffic-distribution"] ?? ""
        let distribution = try spec.text("trafficDistribution")
        trafficDistribution = distribution.isEmpty ? annotation : distribution
        isInternalLocal = try spec.text("internalTrafficPolicy") == "Local"
        publishesNotReady = try spec.bool("publishNotReadyAddresses")
    }
}

extension Kubernetes.EndpointSlice {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        service = metadata.labels["kubernetes.io/service-name"] ?? ""
        endpoints = []
        ports = []
        // Names in place of addresses are nothing a mesh can tunnel to.
        guard try root.text("addressType") != "FQDN" else { return }
        for item in try root.items("endpoints") {
            let entry = try item.mapping()
            let target = try entry.mapping("targetRef")
            let isPod = try target?.text("kind") == "Pod"
            endpoints.append(
                Endpoint(
                    addresses: try entry.addresses("addresses"),
                    isReady: try entry.mapping("conditions")?["ready"]?.bool(),
                    pod: isPod ? try target?.text("name") : nil,
                    node: try entry.text("nodeName"), zone: try entry.text("zone")))
        }
        for item in try root.items("ports") {
            let entry = try item.mapping()
            guard try entry.isTCP() else { continue }
            ports.append(Port(name: try entry.text("name"), port: try entry["port"]?.port()))
        }
    }
}
