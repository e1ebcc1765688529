package import MeshModel

/// What `ztun-waypoint` can be told, by flags or by a file; nil is "not said".
package struct WaypointOptions: Hashable, Sendable {
    package var program = ProgramOptions()
    /// The file of HTTP routes.
    package var routes: String?
    /// The workload the waypoint runs as; its identity follows from the state.
    package var workload: WorkloadReference?
    /// Where HBONE is accepted.
    package var address: SocketAddress?

    package init() {}

    static let keys = ProgramOptions.keys + ["routes", "workload", "address"]

    /// Reads a configuration file's text.
    /// - Throws: ``ConfigurationError`` with line and key.
    package init(parsing bytes: [UInt8], file: String) throws(ConfigurationError) {
        let fields = try YAMLReader.optionsRoot(bytes, file: file).fields(Self.keys)
        program = try ProgramOptions(fields)
        routes = try fields.path("routes")
        workload = try fields.optional("workload") { reader throws(ConfigurationError) in
            try reader.parsed(WorkloadReference.form) { WorkloadReference($0) }
        }
        address = try fields.socketAddress("address")
    }

    /// These options, with the gaps filled from others.
    package func over(_ others: WaypointOptions) -> WaypointOptions {
        var merged = self
        merged.program = program.over(others.program)
        merged.routes = routes ?? others.routes
        merged.workload = workload ?? others.workload
        merged.address = address ?? others.address
        return merged
    }
}

/// What `ztun-waypoint` runs with: complete and checked.
package struct WaypointConfiguration: Hashable, Sendable {
    package let program: ProgramConfiguration
    /// The file of HTTP routes; nil when every request goes to the service it names.
    package let routes: String?
    package let workload: WorkloadReference
    package let address: SocketAddress
    /// What the environment says of tunnels.
    package let dataPath: DataPathOptions
    /// What is to be told of variables that are not obeyed.
    package let environmentNotes: [EnvironmentOptions.Note]

    package static let defaultAddress = SocketAddress(.anyV6, 15008)

    /// Completes options with defaults.
    /// - Throws: ``ConfigurationError`` when something needed is missing.
    package init(_ options: WaypointOptions, environment: EnvironmentOptions? = nil) throws(ConfigurationError) {
        dataPath = environment?.over(DataPathOptions()) ?? DataPathOptions()
        environmentNotes = environment?.notes ?? []
        program = try ProgramConfiguration(options.program, source: "ztun-waypoint run")
        guard let workload = options.workload else {
            throw ConfigurationError(
                file: "ztun-waypoint run", problem: "the waypoint's own workload is not given",
                hint: "give it with --workload NAMESPACE/NAME")
        }
        self.workload = workload
        routes = options.routes
        address = options.address ?? Self.defaultAddress
    }

    /// Reads a configuration file and lays the environment and the flags over it.
    /// - Parameters:
    ///   - flags: what the command line says; wins.
    ///   - environment: what the environment says; wins over the file.
    ///   - path: the file of `--config`; nil when there is none.
    package init(flags: WaypointOptions, environment: EnvironmentOptions? = nil, file path: String?)
        throws(ConfigurationError)
    {
        var flags = flags
        if let environment { flags.program = flags.program.over(environment.program) }
        guard let path else {
            try self.init(flags, environment: environment)
            return
        }
        let file = try WaypointOptions(parsing: try ConfigurationFile.read(path), file: path)
        try self.init(flags.over(file), environment: environment)
    }
}
