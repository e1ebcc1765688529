internal import ArgumentParser
internal import ControlPlane
internal import Glibc
internal import MeshModel
internal import StatusModel
internal import WaypointProxy

/// The program `ztun-waypoint`.
@main
struct WaypointProgram: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ztun-waypoint",
        abstract: "Routes the HTTP requests of services that have this waypoint.",
        discussion: """
            Runs in a pod of its own. Node proxies send it the connections to services bound to it, inside HBONE (port
            15008); it routes each request by host, path and headers, and opens HBONE to the chosen pod with its own
            identity. Ask it with `ztun status`.
            """,
        version: ProductVersion.text,
        subcommands: [RunCommand.self], defaultSubcommand: RunCommand.self)
}

/// `ztun-waypoint run`.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the waypoint in the foreground.",
        discussion: """
            SIGTERM or SIGINT drains: no new connections, requests under way may end within --drain-seconds. A second
            signal ends at once. Flags win over the file of --config.

            EXAMPLE: ztun-waypoint run --state mesh.yaml --routes routes.yaml --workload default/waypoint \
            --ca-dir /var/lib/ztun/ca
            """)

    @Option(
        help: ArgumentHelp("YAML file with these settings (state, routes, workload, caDir, ...).", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("Workloads and services, in ztunnel's local format.", valueName: "file"))
    var state: String?

    @Option(
        help: ArgumentHelp(
            "Folder of Kubernetes manifests, read again when they change; in place of --state.", valueName: "dir"))
    var manifests: String?

    @Option(help: ArgumentHelp("HTTP routes; without it every service is its own backend.", valueName: "file"))
    var routes: String?

    @Option(help: ArgumentHelp("The workload this waypoint is: NAMESPACE/NAME.", valueName: "name"))
    var workload: String?

    @Option(help: ArgumentHelp("HBONE listener (default [::]:15008).", valueName: "address"))
    var address: String?

    @Option(help: ArgumentHelp("Seconds that requests may take to end after SIGTERM.", valueName: "seconds"))
    var drainSeconds = 30

    @Option(help: ArgumentHelp("Directory for the control socket (default /run/ztun).", valueName: "dir"))
    var runDir: String?

    @Option(help: ArgumentHelp("Directory of an embedded CA, made if it is missing; for one host.", valueName: "dir"))
    var caDir: String?

    @Option(help: ArgumentHelp("Root certificates (PEM) for --identity.", valueName: "file"))
    var roots: String?

    @Option(help: ArgumentHelp("spiffe://...=CERT.pem,KEY.pem; excludes --ca-dir.", valueName: "identity"))
    var identity: [String] = []

    @Option(help: ArgumentHelp("Trust domain of this mesh (default cluster.local).", valueName: "name"))
    var trustDomain: String?

    @Option(
        help: ArgumentHelp(
            "Certificate revocation lists (PEM or DER), watched; default: the environment's CRL_PATH.",
            valueName: "file"))
    var crl: String?

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

    func validate() throws {
        guard (0...3600).contains(drainSeconds) else {
            throw ValidationError("--drain-seconds \(drainSeconds): expected a number from 0 to 3600")
        }
    }

    func run() throws {
        TerminationSignals.block()
        let waypoint: Waypoint
        do {
            var flags = try options()
            flags.program = flags.program.over(try EnvironmentOptions.ofProcess().program)
            waypoint = try Waypoint(WaypointConfiguration(flags: flags, file: config))
        } catch let error as ConfigurationError {
            throw ValidationError(error.description)
        }
        do {
            try waypoint.run(
                drainSeconds: drainSeconds, waitForSignal: { TerminationSignals.wait() },
                raiseSignal: { kill(getpid(), SIGTERM) })
        } catch {
            let text = "ztun-waypoint: \(error)\n"
            _ = text.withCString { write(2, $0, text.utf8.count) }
            throw ExitCode.failure
        }
    }

    private func options() throws -> WaypointOptions {
        var options = WaypointOptions()
        options.routes = routes
        options.workload = try workload.map {
            try parse($0, "--workload", WorkloadReference.form) { WorkloadReference($0) }
        }
        options.address = try address.map { try socketAddress($0, "--address") }
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
        options.program.adminAddress = try adminAddress.map { try socketAddress($0, "--admin-address") }
        options.program.metricsAddress = try metricsAddress.map { try socketAddress($0, "--metrics-address") }
        options.program.readinessAddress = try readinessAddress.map { try socketAddress($0, "--readiness-address") }
        options.program.logFormat = try logFormat.map {
            try parse($0, "--log-format", "text or json") { LogFormat(rawValue: $0) }
        }
        return options
    }

    private func socketAddress(_ text: String, _ flag: String) throws -> SocketAddress {
        try parse(text, flag, "an address as '127.0.0.1:15000' or '[::]:15000'") { SocketAddress($0) }
    }

    private func parse<Value>(
        _ text: String, _ flag: String, _ form: String, _ read: (String) -> Value?
    ) throws -> Value {
        guard let value = read(text) else {
            throw ValidationError("\(flag) \(text.debugDescription): expected \(form)")
        }
        return value
    }
}
