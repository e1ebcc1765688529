package import MeshModel

/// What `ztund` runs with: complete and checked.
package struct NodeConfiguration: Hashable, Sendable {
    package let program: ProgramConfiguration
    /// Pods from the start; more come and go at run time.
    package let pods: [PodReference]
    package let capture: CaptureMode
    package let onExit: CaptureOnExit
    /// Folders in which pods that run already are looked for.
    package let discover: [String]
    /// Whether to take over from a ztund that runs in the same run directory.
    package let replaces: Bool
    package let whenReplaced: WhenReplaced
    /// Whether capture is tested with connections of ztund's own.
    package let canary: Bool
    /// The cgroup above all pods; nil to look for it.
    package let podCgroup: String?
    package let probeCgroup: String?
    /// Where BPF programs and maps are pinned; nil for the folder of the run directory.
    package let bpfDirectory: String?
    package let gateDirectory: String
    package let probeSources: [IPPrefix]
    package let dataPath: DataPathOptions
    /// What is to be told of variables that are not obeyed.
    package let environmentNotes: [EnvironmentOptions.Note]

    /// Completes options with defaults.
    /// - Throws: ``ConfigurationError``; also when two pods have one name or one network namespace.
    package init(_ options: NodeOptions, environment: EnvironmentOptions? = nil) throws(ConfigurationError) {
        var options = options
        if let environment { options.dataPath = environment.over(options.dataPath) }
        for setting in DataPathSetting.all {
            guard let text = options.dataPathFlags[setting.key] else { continue }
            guard setting.apply(text, &options.dataPath) else {
                throw ConfigurationError(
                    file: "ztund run", problem: "\(setting.flag) \(text.quoted) is not usable",
                    hint: "expected \(setting.form)")
            }
        }
        dataPath = options.dataPath
        environmentNotes = environment?.notes ?? []
        if !dataPath.ipv6 {
            let program = options.program
            options.program.metricsAddress = program.metricsAddress ?? SocketAddress(.anyV4, 15020)
            options.program.readinessAddress = program.readinessAddress ?? SocketAddress(.anyV4, 15021)
        }
        program = try ProgramConfiguration(options.program, source: "ztund run")
        var names = Set<String>()
        var netns = Set<String>()
        for pod in options.pods {
            if !names.insert("\(pod.namespace)/\(pod.name)").inserted || !netns.insert(pod.netns).inserted {
                throw ConfigurationError(
                    file: "ztund run",
                    problem: "the pod \(pod.description.quoted) shares its name or network namespace "
                        + "with another one", hint: "give each pod once")
            }
        }
        pods = options.pods
        capture = options.capture ?? .auto
        canary = options.canary ?? true
        podCgroup = options.podCgroup
        probeCgroup = options.probeCgroup
        bpfDirectory = options.bpfDirectory
        gateDirectory = options.gateDirectory ?? "/sys/fs/bpf/ztun-gate"
        onExit = options.onExit ?? .remove
        discover = options.discover
        replaces = options.replace ?? false
        whenReplaced = options.whenReplaced ?? .exit
        probeSources = options.probeSources
    }

    /// Reads a configuration file and lays the environment and the flags over it.
    /// - Parameters:
    ///   - flags: what the command line says; wins.
    ///   - environment: what the environment says; wins over the file.
    ///   - path: the file of `--config`; nil when there is none.
    package init(flags: NodeOptions, environment: EnvironmentOptions? = nil, file path: String?)
        throws(ConfigurationError)
    {
        var flags = flags
        if let environment { flags.program = flags.program.over(environment.program) }
        guard let path else {
            try self.init(flags, environment: environment)
            return
        }
        let file = try NodeOptions(parsing: try ConfigurationFile.read(path), file: path)
        try self.init(flags.over(file), environment: environment)
    }
}
