internal import MeshModel

extension AuthorizationPolicy {
    /// Reads one element of `policies`; all six keys are mandatory, as upstream has it.
    convenience init(reading reader: YAMLReader) throws(ConfigurationError) {
        let fields = try reader.fields(["name", "namespace", "scope", "action", "rules", "dryRun"])
        let name = try fields.requiredText("name")
        self.init(
            name: name,
            namespace: try fields.requiredText("namespace"),
            scope: try fields.required("scope") { reader throws(ConfigurationError) in try reader.oneOf() },
            action: try fields.required("action") { reader throws(ConfigurationError) in try reader.oneOf() },
            rules: try fields.required("rules") { reader throws(ConfigurationError) in
                try reader.list { rule throws(ConfigurationError) in
                    try rule.list { clause throws(ConfigurationError) in
                        try clause.list { match throws(ConfigurationError) in try Match(reading: match) }
                    }
                }
            },
            dryRun: try fields.required("dryRun") { reader throws(ConfigurationError) in try reader.bool() })
    }
}

extension AuthorizationPolicy.Match {
    private static let keys = [
        "namespaces", "notNamespaces", "serviceAccounts", "notServiceAccounts", "principals", "notPrincipals",
        "sourceIps", "notSourceIps", "destinationIps", "notDestinationIps", "destinationPorts", "notDestinationPorts",
    ]

    fileprivate init(reading reader: YAMLReader) throws(ConfigurationError) {
        let fields = try reader.fields(Self.keys)
        self.init()
        namespaces = try fields.stringMatches("namespaces")
        notNamespaces = try fields.stringMatches("notNamespaces")
        serviceAccounts = try fields.serviceAccounts("serviceAccounts")
        notServiceAccounts = try fields.serviceAccounts("notServiceAccounts")
        principals = try fields.stringMatches("principals")
        notPrincipals = try fields.stringMatches("notPrincipals")
        sourceIPs = try fields.prefixes("sourceIps")
        notSourceIPs = try fields.prefixes("notSourceIps")
        destinationIPs = try fields.prefixes("destinationIps")
        notDestinationIPs = try fields.prefixes("notDestinationIps")
        destinationPorts = try fields.portList("destinationPorts")
        notDestinationPorts = try fields.portList("notDestinationPorts")
    }
}

extension YAMLFields {
    fileprivate func stringMatches(_ key: String) throws(ConfigurationError) -> [StringMatch] {
        try list(key) { reader throws(ConfigurationError) in try StringMatch(reading: reader) }
    }

    fileprivate func serviceAccounts(_ key: String) throws(ConfigurationError) -> [ServiceAccountMatch] {
        try list(key) { reader throws(ConfigurationError) in
            let fields = try reader.fields(["namespace", "serviceAccount"])
            return ServiceAccountMatch(
                namespace: try fields.requiredText("namespace"),
                serviceAccount: try fields.requiredText("serviceAccount"))
        }
    }

    fileprivate func prefixes(_ key: String) throws(ConfigurationError) -> [IPPrefix] {
        try list(key) { reader throws(ConfigurationError) in try reader.prefix() }
    }

    fileprivate func portList(_ key: String) throws(ConfigurationError) -> [UInt16] {
        try list(key) { reader throws(ConfigurationError) in try reader.integer(0...UInt16.max) }
    }
}

extension StringMatch {
    /// Reads `{Exact: x}`, `{Prefix: x}`, `{Suffix: x}` or `{Presence: []}`.
    fileprivate init(reading reader: YAMLReader) throws(ConfigurationError) {
        let fields = try reader.fields(["Exact", "Prefix", "Suffix", "Presence"])
        guard fields.entries.count == 1, let entry = fields.entries.first else {
            throw reader.mismatch("exactly one of Exact, Prefix, Suffix, Presence")
        }
        let value = YAMLReader(entry.value, file: reader.file)
        if entry.key == "Presence" {
            // Upstream's unit value: an empty list; nothing at all says the same.
            if case .mapping(let entries) = entry.value.content, entries.isEmpty {
                self = .presence
                return
            }
            guard try value.list({ _ in () }).isEmpty else { throw value.mismatch("an empty list '[]'") }
            self = .presence
            return
        }
        do throws(ConfigurationError) {
            let text = try value.text()
            self = entry.key == "Exact" ? .exact(text) : entry.key == "Prefix" ? .prefix(text) : .suffix(text)
        } catch {
            throw error.inside(entry.key)
        }
    }
}
