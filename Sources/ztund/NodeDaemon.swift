internal import ArgumentParser
internal import ControlPlane
internal import Glibc
internal import MeshModel
internal import NodeProxy
internal import StatusModel

/// The program `ztund`.
@main
struct NodeDaemon: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ztund",
        abstract: "Carries the traffic of a node's pods through mutually authenticated tunnels.",
        discussion: """
            Runs once on every node. It enters the network namespace of each pod it is given, captures the TCP
            connections the pod opens and receives, wraps them in HBONE (HTTP/2 CONNECT over mutual TLS, port 15008)
            and enforces authorization policy. Ask it with `ztun status`.
            """,
        version: ProductVersion.text,
        subcommands: [RunCommand.self, AuthorityCommand.self, NodeCommand.self, SettingsCommand.self],
        defaultSubcommand: RunCommand.self)
}

/// `ztund run`.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the node daemon in the foreground.",
        discussion: """
            SIGTERM or SIGINT drains: no new work, running connections may end until the deadline
            (CONNECTION_TERMINATION_DEADLINE, or TERMINATION_GRACE_PERIOD_SECONDS less 5 s, or 5 s). A second signal
            ends at once. Flags win over Istio's environment variables, those over
            the file of --config; `ztund settings` lists them all.

            EXAMPLE: ztund run --state mesh.yaml --ca-dir /var/lib/ztun/ca --pod default/client@/run/netns/client
            """)

    @Option(help: ArgumentHelp("YAML file with these settings (state, pods, caDir, ...).", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("Workloads, services and policies, in ztunnel's local format.", valueName: "file"))
    var state: String?

    @Option(
        help: ArgumentHelp(
            "Folder of Kubernetes manifests, read again when they change; in place of --state.", valueName: "dir"))
    var manifests: String?

    @Option(help: ArgumentHelp("A pod: NAMESPACE/NAME@/path/of/its/netns. May be repeated.", valueName: "pod"))
    var pod: [String] = []

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

    @Option(help: ArgumentHelp("nft (default) or external (somebody else's rules).", valueName: "mode"))
    var capture: String?

    @Option(
        help: ArgumentHelp(
            "What to do with the pods' rules at exit: remove (default), or keep, so that nothing leaves in plaintext.",
            valueName: "action"))
    var onExit: String?

    @Flag(help: "Take over from the ztund that runs in the same run directory, without a refused connection.")
    var replace = false

    @Option(
        help: ArgumentHelp(
            "Once replaced and idle: exit (default), or wait for SIGTERM, for a supervisor that restarts what ends.",
            valueName: "action"))
    var whenReplaced: String?

    @Option(
        help: ArgumentHelp(
            "An address or CIDR range whose connections reach the pods directly, for probes. May be repeated.",
            valueName: "source"))
    var probeSource: [String] = []

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

    func run() throws {
        TerminationSignals.block()
        let node: Node
        do {
            var flags = try options()
            let environment = try EnvironmentOptions.ofProcess()
            if flags.program.state == nil, flags.program.manifests == nil, let state = environment.inlineState {
                let directory = flags.program.runDirectory ?? ProgramConfiguration.defaultRunDirectory
                flags.program.state = try InlineState.keep(state, in: directory)
            }
            node = try Node(NodeConfiguration(flags: flags, environment: environment, file: config))
        } catch let error as ConfigurationError {
            throw ValidationError(error.description)
        }
        do {
            try node.run(
                waitForSignal: { TerminationSignals.wait() }, raiseSignal: { kill(getpid(), SIGTERM) })
        } catch {
            let line = Array("ztund: \(error)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
            throw ExitCode.failure
        }
    }

    private func options() throws -> NodeOptions {
        var options = NodeOptions()
        options.program.state = state
        options.program.manifests = manifests
        options.program.runDirectory = runDir
        options.program.caDirectory = caDir
        options.program.roots = roots
        options.program.crl = crl
        options.program.trustDomain = trustDomain
        try options.program.fillFromEnvironment()
        options.program.logLevel = logLevel
        options.program.poolMaxStreams = poolMaxStreams
        options.program.identities = try identity.map {
            try parse($0, "--identity", IdentityReference.form) { IdentityReference($0) }
        }
        options.program.workers = try workers.map { try parse($0, "--workers", WorkerCount.form) { WorkerCount($0) } }
        options.program.adminAddress = try adminAddress.map { try address($0, "--admin-address") }
        options.program.metricsAddress = try metricsAddress.map { try address($0, "--metrics-address") }
        options.program.readinessAddress = try readinessAddress.map { try address($0, "--readiness-address") }
        options.program.logFormat = try logFormat.map {
            try parse($0, "--log-format", "text or json") { LogFormat(rawValue: $0) }
        }
        options.capture = try capture.map {
            try parse($0, "--capture", "nft or external") { CaptureMode(rawValue: $0) }
        }
        options.onExit = try onExit.map { try parse($0, "--on-exit", "remove or keep") { CaptureOnExit(rawValue: $0) } }
        options.replace = replace ? true : nil
        options.whenReplaced = try whenReplaced.map {
            try parse($0, "--when-replaced", "exit or wait") { WhenReplaced(rawValue: $0) }
        }
        options.probeSources = try probeSource.map {
            try parse($0, "--probe-source", "an address or a CIDR range") { IPPrefix($0) }
        }
        options.pods = try pod.map { try parse($0, "--pod", PodReference.form) { PodReference($0) } }
        return options
    }

    private func address(_ text: String, _ flag: String) throws -> SocketAddress {
        try parse(text, flag, "an address as '127.0.0.1:15000' or '[::]:15000'") { SocketAddress($0) }
    }

    private func parse<Value>(_ text: String, _ flag: String, _ form: String, _ read: (String) -> Value?) throws
        -> Value
    {
        guard let value = read(text) else {
            throw ValidationError("\(flag) \(text.debugDescription): expected \(form)")
        }
        return value
    }
}
