package import MeshModel

/// How `ztund` takes a pod's traffic.
package enum CaptureMode: String, Sendable, CaseIterable {
    /// The best of the others that node and pod allow.
    case auto
    /// BPF programs, pinned so that pods stay closed without us.
    case bpf
    /// As `bpf`, below another program on the connect hook that replaces addresses.
    case bpfRewrite = "bpf-rewrite"
    /// As `bpf`, with routes in place of a hook on connects.
    case bpfRoute = "bpf-route"
    /// nft rules in the pod's network namespace, ours to install, repair and remove.
    case nft
    /// Somebody else's rules lead to our ports (istio-cni for instance).
    case external
}

/// What becomes of the pods' capture rules when `ztund` ends in an orderly way.
package enum CaptureOnExit: String, Sendable, CaseIterable {
    /// The rules go: the pods talk in plaintext again.
    case remove
    /// The rules stay: the pods' connections are refused until a `ztund` is there again.
    case keep
}

/// What `ztund` does when another one has taken over its pods and everything it carried has ended.
package enum WhenReplaced: String, Sendable, CaseIterable {
    /// End.
    case exit
    /// Wait for SIGTERM, so that whoever started it does not start it again; end when the other one ends.
    case wait
}

/// What `ztund` can be told, by flags or by a file; nil or empty is "not said".
package struct NodeOptions: Hashable, Sendable {
    package var program = ProgramOptions()
    package var pods: [PodReference] = []
    package var capture: CaptureMode?
    package var onExit: CaptureOnExit?
    /// Folders in which pods that run already are looked for.
    package var discover: [String] = []
    /// Whether to take over from a ztund that runs in the same run directory.
    package var replace: Bool?
    package var whenReplaced: WhenReplaced?
    /// Whether capture is tested with connections of ztund's own.
    package var canary: Bool?
    /// The cgroup above all pods.
    package var podCgroup: String?
    /// The cgroup of the node's probing agent.
    package var probeCgroup: String?
    /// Where BPF programs and maps are pinned.
    package var bpfDirectory: String?
    /// Where a boot gate has its pins.
    package var gateDirectory: String?
    /// Sources, as addresses or CIDR ranges, that reach the pods' programs directly.
    package var probeSources: [IPPrefix] = []
    /// What the file says of the data path, defaults included.
    package var dataPath = DataPathOptions()
    /// What flags say of the data path, by the settings' keys; wins over file and environment.
    package var dataPathFlags: [String: String] = [:]

    package init() {}

    /// The keys a file may have.
    static let keys =
        ProgramOptions.keys + [
            "pods", "capture", "onExit", "canary", "podCgroup", "probeCgroup", "bpfDir", "gateDir", "probeSources",
        ]
        + ["replace", "whenReplaced", "discover"]
        + DataPathSetting.all.map(\.key)

    /// Reads a configuration file's text.
    /// - Throws: ``ConfigurationError`` with line and key.
    package init(parsing bytes: [UInt8], file: String) throws(ConfigurationError) {
        let fields = try YAMLReader.optionsRoot(bytes, file: file).fields(Self.keys)
        program = try ProgramOptions(fields)
        pods = try fields.list("pods") { reader throws(ConfigurationError) in
            guard case .mapping = reader.node.content else {
                return try reader.parsed(PodReference.form) { PodReference($0) }
            }
            let parts = try reader.fields(["namespace", "name", "netns"])
            let text =
                "\(try parts.requiredText("namespace"))/\(try parts.requiredText("name"))@\(try parts.requiredText("netns"))"
            guard let pod = PodReference(text) else { throw reader.error("expected \(PodReference.form)") }
            return pod
        }
        capture = try fields.optional("capture") { reader throws(ConfigurationError) in try reader.oneOf() }
        onExit = try fields.optional("onExit") { reader throws(ConfigurationError) in try reader.oneOf() }
        discover = try fields.list("discover") { reader throws(ConfigurationError) in
            try reader.parsed("an absolute path") { $0.hasPrefix("/") ? $0 : nil }
        }
        replace = try fields.optional("replace") { reader throws(ConfigurationError) in try reader.bool() }
        whenReplaced = try fields.optional("whenReplaced") { reader throws(ConfigurationError) in try reader.oneOf() }
        canary = try fields.optional("canary") { reader throws(ConfigurationError) in try reader.bool() }
        podCgroup = try fields.path("podCgroup")
        probeCgroup = try fields.path("probeCgroup")
        bpfDirectory = try fields.path("bpfDir")
        gateDirectory = try fields.path("gateDir")
        probeSources = try fields.list("probeSources") { reader throws(ConfigurationError) in
            try reader.parsed("an address or a CIDR range") { IPPrefix($0) }
        }
        var dataPath = DataPathOptions()
        for setting in DataPathSetting.all {
            let read = dataPath
            let changed: DataPathOptions? = try fields.optional(setting.key) { reader throws(ConfigurationError) in
                try reader.parsed(setting.form) { text in
                    var options = read
                    return setting.apply(text, &options) ? options : nil
                }
            }
            dataPath = changed ?? dataPath
        }
        self.dataPath = dataPath
    }

    /// These options, with the gaps filled from others; a list that says anything replaces the other's.
    package func over(_ others: NodeOptions) -> NodeOptions {
        var merged = self
        merged.program = program.over(others.program)
        // Flags do not speak of the data path.
        merged.dataPath = others.dataPath
        if merged.pods.isEmpty { merged.pods = others.pods }
        merged.capture = capture ?? others.capture
        merged.canary = canary ?? others.canary
        merged.podCgroup = podCgroup ?? others.podCgroup
        merged.probeCgroup = probeCgroup ?? others.probeCgroup
        merged.bpfDirectory = bpfDirectory ?? others.bpfDirectory
        merged.gateDirectory = gateDirectory ?? others.gateDirectory
        merged.onExit = onExit ?? others.onExit
        if merged.discover.isEmpty { merged.discover = others.discover }
        merged.replace = replace ?? others.replace
        merged.whenReplaced = whenReplaced ?? others.whenReplaced
        if merged.probeSources.isEmpty { merged.probeSources = others.probeSources }
        return merged
    }
}
