internal import ArgumentParser
internal import CommandFlags
internal import ControlPlane
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
            signal ends at once. Flags win over Istio's environment variables, those over the file of --config.

            EXAMPLE: ztun-waypoint run --state mesh.yaml --routes routes.yaml --workload default/waypoint \
            --ca-dir /var/lib/ztun/ca
            """)

    @OptionGroup var program: ProgramFlags

    @Option(help: ArgumentHelp("HTTP routes; without it every service is its own backend.", valueName: "file"))
    var routes: String?

    @Option(help: ArgumentHelp("The workload this waypoint is: NAMESPACE/NAME.", valueName: "name"))
    var workload: String?

    @Option(help: ArgumentHelp("HBONE listener (default [::]:15008).", valueName: "address"))
    var address: String?

    @Option(help: ArgumentHelp("Seconds that requests may take to end after SIGTERM.", valueName: "seconds"))
    var drainSeconds = 30

    func validate() throws {
        guard (0...3600).contains(drainSeconds) else {
            throw ValidationError("--drain-seconds \(drainSeconds): expected a number from 0 to 3600")
        }
    }

    func run() throws {
        try ProgramFlags.run("ztun-waypoint") {
            let environment = try EnvironmentOptions.ofProcess()
            var flags = try options()
            flags.program = try program.options(environment)
            return try Waypoint(WaypointConfiguration(flags: flags, environment: environment, file: program.config))
        } run: {
            try serve($0)
        }
    }

    private func serve(_ waypoint: Waypoint) throws {
        try waypoint.run(
            drainSeconds: drainSeconds, waitForSignal: { TerminationSignals.wait() },
            raiseSignal: { TerminationSignals.raise() })
    }

    /// What our own flags say.
    private func options() throws -> WaypointOptions {
        var options = WaypointOptions()
        options.routes = routes
        options.workload = try workload.map {
            try ProgramFlags.parse($0, "--workload", WorkloadReference.form) { WorkloadReference($0) }
        }
        options.address = try address.map { try ProgramFlags.address($0, "--address") }
        return options
    }
}
