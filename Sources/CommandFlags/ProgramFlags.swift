package import ArgumentParser
package import ControlPlane
internal import Glibc
package import MeshModel
internal import TLS

/// The flags that `ztund run` and `ztun-waypoint run` share.
package struct ProgramFlags: ParsableArguments {
    @Option(help: ArgumentHelp("YAML file with these settings (state, caDir, ...).", valueName: "file"))
    package var config: String?

    @Option(help: ArgumentHelp("Workloads, services and policies, in ztunnel's local format.", valueName: "file"))
    var state: String?

    @Option(
        help: ArgumentHelp(
            "Folder of Kubernetes manifests, read again when they change; in place of --state.", valueName: "dir"))
    var manifests: String?

    @Flag(help: "Take the mesh from the Kubernetes API of the cluster that this is a pod of; in place of --state.")
    var kubernetes = false

    @Option(
        help: ArgumentHelp(
            "Take the mesh from the Kubernetes API of this kubeconfig's current context; in place of --state.",
            valueName: "file"))
    var kubeconfig: String?

    @Flag(
        help:
            "Write on AuthorizationPolicies and PeerAuthentications (status.conditions) whether they are in force as written."
    )
    var writeStatus = false

    @Option(help: ArgumentHelp("Directory for the control socket (default /run/ztun).", valueName: "dir"))
    var runDir: String?

    @Option(
        help: ArgumentHelp("Directory of an embedded CA, made if it is missing; for one host.", valueName: "dir"))
    var caDir: String?

    @Option(help: ArgumentHelp("Root certificates (PEM) for --identity.", valueName: "file"))
    var roots: String?

    @Option(
        help: ArgumentHelp("spiffe://...=CERT.pem,KEY.pem; excludes --ca-dir. May be repeated.", valueName: "identity"))
    var identity: [String] = []

    @Option(
        help: ArgumentHelp(
            "Certificate revocation lists (PEM or DER), watched; default: the environment's CRL_PATH.",
            valueName: "file"))
    var crl: String?

    @Option(help: ArgumentHelp("Trust domain of this mesh (default cluster.local).", valueName: "name"))
    var trustDomain: String?

    @Option(help: ArgumentHelp("Data threads: a number or auto (default).", valueName: "n"))
    var workers: String?

    @Option(help: ArgumentHelp("Admin listener (default 127.0.0.1:15000).", valueName: "address"))
    var adminAddress: String?

    @Option(help: ArgumentHelp("Metrics listener (default [::]:15020).", valueName: "address"))
    var metricsAddress: String?

    @Option(help: ArgumentHelp("Readiness listener (default [::]:15021).", valueName: "address"))
    var readinessAddress: String?

    @Option(help: ArgumentHelp("text (default) or json.", valueName: "format"))
    var logFormat: String?

    @Option(help: ArgumentHelp("A level, or SCOPE=LEVEL clauses: info,access=off.", valueName: "filter"))
    var logLevel: String?

    @Option(
        help: ArgumentHelp("Streams that share a tunnel connection (default 100; 0: one, used once).", valueName: "n"))
    var poolMaxStreams: Int?

    @Option(
        help: ArgumentHelp(
            "Whose TLS record layer carries tunnels after the handshake: libssl (default) or own.", valueName: "layer"))
    var tlsRecords: String?

    package init() {}

    /// What they say, beside the environment.
    /// - Parameter environment: a state that it holds is kept in a file of the run directory, where no flag names another.
    /// - Throws: `ValidationError` for a value that is not of its form, ``ConfigurationError`` for a variable.
    package func options(_ environment: EnvironmentOptions) throws -> ProgramOptions {
        var options = ProgramOptions()
        options.state = state
        options.manifests = manifests
        options.kubernetes = kubernetes ? true : nil
        options.kubeconfig = kubeconfig
        options.writeStatus = writeStatus ? true : nil
        options.runDirectory = runDir
        options.caDirectory = caDir
        options.roots = roots
        options.crl = crl
        options.trustDomain = trustDomain
        try options.fillFromEnvironment()
        options.logLevel = logLevel
        options.poolMaxStreams = poolMaxStreams
        options.tlsRecords = try tlsRecords.map {
            try Self.parse($0, "--tls-records", "libssl or own") { TLSRecords(rawValue: $0) }
        }
        options.identities = try identity.map {
            try Self.parse($0, "--identity", IdentityReference.form) { IdentityReference($0) }
        }
        options.workers = try workers.map { try Self.parse($0, "--workers", WorkerCount.form) { WorkerCount($0) } }
        options.adminAddress = try adminAddress.map { try Self.address($0, "--admin-address") }
        options.metricsAddress = try metricsAddress.map { try Self.address($0, "--metrics-address") }
        options.readinessAddress = try readinessAddress.map { try Self.address($0, "--readiness-address") }
        options.logFormat = try logFormat.map {
            try Self.parse($0, "--log-format", "text or json") { LogFormat(rawValue: $0) }
        }
        if !options.saysSource, let inline = environment.inlineState {
            options.state = try InlineState.keep(
                inline, in: runDir ?? ProgramConfiguration.defaultRunDirectory)
        }
        return options
    }
}

extension ProgramFlags {
    /// Reads the address of a listener.
    package static func address(_ text: String, _ flag: String) throws -> SocketAddress {
        try parse(text, flag, "an address as '127.0.0.1:15000' or '[::]:15000'") { SocketAddress($0) }
    }

    /// Reads a flag's value; what is not of its form is a usage error that names both.
    package static func parse<Value>(
        _ text: String, _ flag: String, _ form: String, _ read: (String) -> Value?
    ) throws -> Value {
        guard let value = read(text) else {
            throw ValidationError("\(flag) \(text.debugDescription): expected \(form)")
        }
        return value
    }

    /// Runs a program: what is wrong with its settings is a usage error, what goes wrong later one line and exit status 1.
    /// - Parameters:
    ///   - program: its name, for that line.
    ///   - prepare: reads the settings and makes what is to run.
    ///   - run: runs it to its end.
    package static func run<Service>(
        _ program: String, prepare: () throws -> Service, run: (Service) throws -> Void
    ) throws {
        TerminationSignals.block()
        let service: Service
        do {
            service = try prepare()
        } catch let error as ConfigurationError {
            throw ValidationError(error.description)
        }
        do {
            try run(service)
        } catch {
            let line = Array("\(program): \(error)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
            throw ExitCode.failure
        }
    }
}
