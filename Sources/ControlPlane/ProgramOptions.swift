package import MeshModel
package import TLS

/// What both programs can be told, by flags or by a file; nil or empty is "not said".
package struct ProgramOptions: Hashable, Sendable {
    /// The state file.
    package var state: String?
    /// A folder of Kubernetes manifests, in place of ``state``.
    package var manifests: String?
    /// The Kubernetes API of the cluster that this is a pod of, in place of ``state``.
    package var kubernetes: Bool?
    /// A kubeconfig whose current context is the Kubernetes API, in place of ``state``.
    package var kubeconfig: String?
    /// Whether policies get a condition in their status; nil for no.
    package var writeStatus: Bool?
    package var runDirectory: String?
    /// Directory of the embedded authority; excludes ``roots`` and ``identities``.
    package var caDirectory: String?
    /// File with the roots of all ``identities``.
    package var roots: String?
    package var identities: [IdentityReference] = []
    /// File with certificate revocation lists.
    package var crl: String?
    /// How long the embedded authority's certificates live, in seconds.
    package var secretTTL: Int64?
    package var trustDomain: String?
    package var workers: WorkerCount?
    package var adminAddress: SocketAddress?
    package var metricsAddress: SocketAddress?
    package var readinessAddress: SocketAddress?
    package var logFormat: LogFormat?
    package var logLevel: String?
    package var poolMaxStreams: Int?
    package var tlsRecords: TLSRecords?

    package init() {}

    static let keys = [
        "state", "manifests", "kubernetes", "kubeconfig", "writeStatus", "runDir", "caDir", "roots", "identities",
        "crl", "secretTTL",
        "trustDomain", "workers",
        "adminAddress",
        "metricsAddress",
        "readinessAddress", "logFormat", "logLevel", "poolMaxStreams", "tlsRecords",
    ]

    init(_ fields: YAMLFields) throws(ConfigurationError) {
        state = try fields.path("state")
        manifests = try fields.path("manifests")
        kubernetes = try fields.optional("kubernetes") { reader throws(ConfigurationError) in try reader.bool() }
        kubeconfig = try fields.path("kubeconfig")
        writeStatus = try fields.optional("writeStatus") { reader throws(ConfigurationError) in try reader.bool() }
        runDirectory = try fields.path("runDir")
        caDirectory = try fields.path("caDir")
        roots = try fields.path("roots")
        identities = try fields.list("identities") { reader throws(ConfigurationError) in
            guard case .mapping = reader.node.content else {
                return try reader.parsed(IdentityReference.form) { IdentityReference($0) }
            }
            let parts = try reader.fields(["identity", "certificate", "key"])
            return IdentityReference(
                identity: try parts.required("identity") { reader throws(ConfigurationError) in
                    try reader.parsed("spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT") { SpiffeID($0) }
                },
                certificatePath: try parts.requiredText("certificate"), keyPath: try parts.requiredText("key"))
        }
        crl = try fields.path("crl")
        secretTTL = try fields.optional("secretTTL") { reader throws(ConfigurationError) in
            try reader.parsed(CertificateLifetime.form) { CertificateLifetime.seconds($0) }
        }
        trustDomain = try fields.optional("trustDomain") { reader throws(ConfigurationError) in
            try reader.parsed("a trust domain (lower-case letters, digits, '.', '-', '_')") {
                SpiffeID.isTrustDomain($0) ? $0 : nil
            }
        }
        workers = try fields.optional("workers") { reader throws(ConfigurationError) in
            try reader.parsed(WorkerCount.form) { WorkerCount($0) }
        }
        adminAddress = try fields.socketAddress("adminAddress")
        metricsAddress = try fields.socketAddress("metricsAddress")
        readinessAddress = try fields.socketAddress("readinessAddress")
        logFormat = try fields.optional("logFormat") { reader throws(ConfigurationError) in try reader.oneOf() }
        logLevel = try fields.optional("logLevel") { reader throws(ConfigurationError) in try reader.text() }
        poolMaxStreams = try fields.optional("poolMaxStreams") { reader throws(ConfigurationError) in
            try reader.integer(0...1000)
        }
        tlsRecords = try fields.optional("tlsRecords") { reader throws(ConfigurationError) in try reader.oneOf() }
    }

    /// Whether they say where the mesh is described.
    package var saysSource: Bool {
        state != nil || manifests != nil || kubernetes == true || kubeconfig != nil
    }

    /// These options, with the gaps filled from others.
    package func over(_ others: ProgramOptions) -> ProgramOptions {
        var merged = self
        // Where the mesh is described is one decision.
        if !saysSource {
            (merged.state, merged.manifests) = (others.state, others.manifests)
            (merged.kubernetes, merged.kubeconfig) = (others.kubernetes, others.kubeconfig)
        }
        merged.writeStatus = writeStatus ?? others.writeStatus
        merged.runDirectory = runDirectory ?? others.runDirectory
        // Where identities come from is one decision: whoever says any of it says all of it.
        if caDirectory == nil, roots == nil, identities.isEmpty {
            merged.caDirectory = others.caDirectory
            merged.roots = others.roots
            merged.identities = others.identities
        }
        merged.crl = crl ?? others.crl
        merged.secretTTL = secretTTL ?? others.secretTTL
        merged.trustDomain = trustDomain ?? others.trustDomain
        merged.workers = workers ?? others.workers
        merged.adminAddress = adminAddress ?? others.adminAddress
        merged.metricsAddress = metricsAddress ?? others.metricsAddress
        merged.readinessAddress = readinessAddress ?? others.readinessAddress
        merged.logFormat = logFormat ?? others.logFormat
        merged.logLevel = logLevel ?? others.logLevel
        merged.poolMaxStreams = poolMaxStreams ?? others.poolMaxStreams
        merged.tlsRecords = tlsRecords ?? others.tlsRecords
        return merged
    }
}

extension YAMLFields {
    func path(_ key: String) throws(ConfigurationError) -> String? {
        try optional(key) { reader throws(ConfigurationError) in
            let path = try reader.text()
            guard !path.isEmpty, !path.utf8.contains(0) else { throw reader.mismatch("a path") }
            return path
        }
    }

    func socketAddress(_ key: String) throws(ConfigurationError) -> SocketAddress? {
        try optional(key) { reader throws(ConfigurationError) in
            try reader.parsed("an address as '127.0.0.1:15000' or '[::]:15000'") { SocketAddress($0) }
        }
    }
}

extension YAMLReader {
    /// The root of a configuration file; an empty file is an empty mapping.
    static func optionsRoot(_ bytes: [UInt8], file: String) throws(ConfigurationError) -> YAMLReader {
        var limits = YAMLLimits()
        limits.bytes = 1 << 20
        if try YAMLDocument.parseAll(bytes, file: file, limits: limits).isEmpty {
            return YAMLReader(YAMLNode(content: .mapping([]), line: 1, column: 1), file: file)
        }
        return YAMLReader(try YAMLDocument.parse(bytes, file: file, limits: limits), file: file)
    }
}
