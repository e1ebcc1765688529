internal import ArgumentParser

/// The programs that listen in a run directory.
enum ProgramName: String, ExpressibleByArgument, CaseIterable {
    case ztund
    case waypoint = "ztun-waypoint"

    /// The name of its socket.
    var socket: String { "\(rawValue).sock" }
}

/// Which programs a command talks to.
struct Options: ParsableArguments {
    @Option(help: "The run directory of the program.")
    var runDir = "/run/ztun"

    @Option(help: "ztund or ztun-waypoint; without it, whichever is found.")
    var program: ProgramName?
}

/// How an answer is printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json, yaml
}
