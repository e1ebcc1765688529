internal import Glibc
package import MeshModel
package import TLS

/// What both programs run with: complete and checked.
package struct ProgramConfiguration: Hashable, Sendable {
    /// The state file; empty where ``manifests`` is given.
    package let state: String
    /// The folder of Kubernetes manifests.
    package let manifests: String?
    /// The Kubernetes API, where the state comes from there.
    package let api: APIServer?
    /// Whether policies get a condition in their status.
    package let writesStatus: Bool
    package let runDirectory: String
    package let identitySource: IdentitySource
    /// File with certificate revocation lists; nil when revocation is nobody's business.
    package let crl: String?
    package let trustDomain: String
    package let workers: WorkerCount
    package let adminAddress: SocketAddress
    package let metricsAddress: SocketAddress
    package let readinessAddress: SocketAddress
    package let logFormat: LogFormat
    package let logLevel: String
    package let poolMaxStreams: Int
    /// Whose record layer tunnels use after the handshake.
    package let tlsRecords: TLSRecords

    /// Where the state comes from, for people.
    package var stateOrigin: String { api?.description ?? manifests ?? state }

    /// The files that are read again when they change.
    package var watchedPaths: Set<String> {
        let source = api != nil ? [] : [manifests.map { "\($0)/\(FolderWatch.everyName)" } ?? state]
        return Set(source + identitySource.watchedPaths + (crl.map { [$0] } ?? []))
    }

    package static let defaultRunDirectory = "/run/ztun"
    package static let defaultTrustDomain = "cluster.local"
    package static let defaultAdminAddress = SocketAddress(.loopbackV4, 15000)
    package static let defaultMetricsAddress = SocketAddress(.anyV6, 15020)
    package static let defaultReadinessAddress = SocketAddress(.anyV6, 15021)
    package static let defaultPoolMaxStreams = 100

    /// Completes options with defaults.
    /// - Parameter source: names where the options come from, for errors: `ztund run`.
    /// - Throws: ``ConfigurationError`` when something needed is missing or two options exclude each other.
    init(_ options: ProgramOptions, source: String) throws(ConfigurationError) {
        func fault(_ problem: String, _ hint: String) -> ConfigurationError {
            ConfigurationError(file: source, problem: problem, hint: hint)
        }
        let given = [
            options.state.map { _ in "a state file" }, options.manifests.map { _ in "a folder of manifests" },
            options.kubernetes == true ? "the Kubernetes API" : nil, options.kubeconfig.map { _ in "a kubeconfig" },
        ].compactMap(\.self)
        guard given.count <= 1 else {
            throw fault(
                "\(given.joined(separator: " and ")) are both given",
                "give one of --state, --manifests, --kubernetes and --kubeconfig")
        }
        guard !given.isEmpty else {
            throw fault(
                "no state file is given",
                "give one with --state FILE, or 'state:' in the configuration file, or --manifests DIR, or --kubernetes"
            )
        }
        state = options.state ?? ""
        manifests = options.manifests
        if let path = options.kubeconfig {
            api = try Kubeconfig.server(path: path)
        } else if options.kubernetes == true {
            api = try APIServer(inCluster: { getenv($0).map { String(cString: $0) } })
        } else {
            api = nil
        }
        writesStatus = options.writeStatus ?? false
        guard !writesStatus || api != nil else {
            throw fault(
                "statuses can be written only where the state comes from the Kubernetes API", "give --kubernetes")
        }
        crl = options.crl
        let trustDomain = options.trustDomain ?? Self.defaultTrustDomain
        self.trustDomain = trustDomain
        guard SpiffeID.isTrustDomain(trustDomain) else {
            throw fault("\(trustDomain.quoted) is not a trust domain", "use lower-case letters, digits, '.', '-', '_'")
        }
        switch (options.caDirectory, options.roots) {
        case (let directory?, nil) where options.identities.isEmpty:
            identitySource = .authority(
                directory: directory, trustDomain: trustDomain,
                lifetime: options.secretTTL ?? CertificateAuthority.leafLifetime)
        case (nil, let roots?) where !options.identities.isEmpty:
            if let other = options.identities.first(where: { $0.identity.trustDomain != trustDomain }) {
                throw fault(
                    "\(other.identity) is not of the trust domain \(trustDomain.quoted)", "set --trust-domain to match")
            }
            identitySource = .files(
                options.identities.map {
                    CertificateFiles(
                        identity: $0.identity, chainPath: $0.certificatePath, keyPath: $0.keyPath, rootsPath: roots)
                })
        case (_?, _):
            throw fault(
                "an embedded CA and certificate files are both given", "give --ca-dir, or --roots and --identity")
        case (nil, _):
            throw fault(
                "it is not said where certificates come from", "give --ca-dir DIR, or --roots FILE and --identity")
        }
        runDirectory = options.runDirectory ?? Self.defaultRunDirectory
        workers = options.workers ?? .auto
        adminAddress = options.adminAddress ?? Self.defaultAdminAddress
        metricsAddress = options.metricsAddress ?? Self.defaultMetricsAddress
        readinessAddress = options.readinessAddress ?? Self.defaultReadinessAddress
        logFormat = options.logFormat ?? .text
        logLevel = options.logLevel ?? "info"
        poolMaxStreams = options.poolMaxStreams ?? Self.defaultPoolMaxStreams
        tlsRecords = options.tlsRecords ?? .own
        guard (0...1000).contains(poolMaxStreams) else {
            throw fault("\(poolMaxStreams) streams on a tunnel connection are out of range", "give 0 to 1000")
        }
    }
}
