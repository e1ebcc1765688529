package import MeshModel

/// What `ztund` runs with: complete and checked.
package struct NodeConfiguration: Hashable, Sendable {
    package let program: ProgramConfiguration
    /// Pods from the start; more come and go at run time.
    package let pods: [PodReference]
    package let capture: CaptureMode
    package let onExit: CaptureOnExit
    package let probeSources: [IPPrefix]

    /// Completes options with defaults.
    /// - Throws: ``ConfigurationError``; also when two pods have one name or one network namespace.
    package init(_ options: NodeOptions) throws(ConfigurationError) {
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
        capture = options.capture ?? .nft
        onExit = options.onExit ?? .remove
        probeSources = options.probeSources
    }

    /// Reads a configuration file and lays flags over it.
    /// - Parameters:
    ///   - flags: what the command line says; wins.
    ///   - path: the file of `--config`; nil when there is none.
    package init(flags: NodeOptions, file path: String?) throws(ConfigurationError) {
        guard let path else {
            try self.init(flags)
            return
        }
        let file = try NodeOptions(parsing: try ConfigurationFile.read(path), file: path)
        try self.init(flags.over(file))
    }
}
