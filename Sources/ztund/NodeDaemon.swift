internal import ArgumentParser
internal import CommandFlags
internal import ControlPlane
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
        subcommands: [
            RunCommand.self, AuthorityCommand.self, NodeCommand.self, GateCommand.self, SettingsCommand.self,
            LintCommand.self,
            NetworkPolicyCommand.self,
        ],
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

    @OptionGroup var program: ProgramFlags

    @Option(help: ArgumentHelp("A pod: NAMESPACE/NAME@/path/of/its/netns. May be repeated.", valueName: "pod"))
    var pod: [String] = []

    @Option(
        help: ArgumentHelp(
            "auto (default: what the node and the pod have room for, bpf first), bpf, bpf-rewrite, bpf-route, nft or external "
                + "(somebody else's rules).", valueName: "mode"))
    var capture: String?

    @Option(
        help: ArgumentHelp(
            "What to do with the pods' rules at exit: remove (default), or keep, so that nothing leaves in plaintext.",
            valueName: "action"))
    var onExit: String?

    @Option(
        help: ArgumentHelp(
            "Take in the pods of the mesh that run already: a folder of network namespaces, or of pods' cgroups. May be "
                + "repeated.", valueName: "dir"))
    var discover: [String] = []

    @Flag(help: "Do not test the capture of each pod after enrolment and after repairs.")
    var noCanary = false

    @Flag(help: "Take over from the ztund that runs in the same run directory, without a refused connection.")
    var replace = false

    @Option(
        help: ArgumentHelp(
            "Once replaced and idle: exit (default), or wait for SIGTERM, for a supervisor that restarts what ends.",
            valueName: "action"))
    var whenReplaced: String?

    @Option(
        help: ArgumentHelp("The cgroup above all pods, for bpf (default: kubepods, or the root).", valueName: "dir"))
    var podCgroup: String?

    @Option(
        help: ArgumentHelp(
            "The kubelet's cgroup: what it opens from an address of the node reaches pods directly, for bpf.",
            valueName: "dir"))
    var probeCgroup: String?

    @Option(
        help: ArgumentHelp(
            "Where bpf keeps its programs (default /sys/fs/bpf/ztun; in it a folder for each other run directory).",
            valueName: "dir"))
    var bpfDir: String?

    @Option(help: ArgumentHelp("Where the boot gate is pinned (default /sys/fs/bpf/ztun-gate).", valueName: "dir"))
    var gateDir: String?

    @Option(
        help: ArgumentHelp(
            "An address or CIDR range whose connections reach the pods directly, for probes. May be repeated.",
            valueName: "source"))
    var probeSource: [String] = []

    @Option(
        help: ArgumentHelp(
            "ALLOW_ANY, or REGISTRY_ONLY: pods reach only what the mesh knows (default: as MeshConfig says).",
            valueName: "mode"))
    var outboundTrafficPolicy: String?

    @Option(
        help: ArgumentHelp(
            "Open connections that a policy edit no longer allows: cut (default), or keep until they end.",
            valueName: "action"))
    var policyEdits: String?

    func run() throws {
        try ProgramFlags.run("ztund") {
            let environment = try EnvironmentOptions.ofProcess()
            var flags = try options()
            flags.program = try program.options(environment)
            return try Node(NodeConfiguration(flags: flags, environment: environment, file: program.config))
        } run: {
            try serve($0)
        }
    }

    private func serve(_ node: Node) throws {
        try node.run(
            waitForSignal: { TerminationSignals.wait() }, raiseSignal: { TerminationSignals.raise() })
    }

    /// What our own flags say.
    private func options() throws -> NodeOptions {
        var options = NodeOptions()
        options.capture = try capture.map {
            try ProgramFlags.parse($0, "--capture", "auto, bpf, bpf-rewrite, bpf-route, nft or external") {
                CaptureMode(rawValue: $0)
            }
        }
        options.canary = noCanary ? false : nil
        options.podCgroup = podCgroup
        options.probeCgroup = probeCgroup
        options.bpfDirectory = bpfDir
        options.gateDirectory = gateDir
        options.onExit = try onExit.map {
            try ProgramFlags.parse($0, "--on-exit", "remove or keep") { CaptureOnExit(rawValue: $0) }
        }
        options.discover = try discover.map {
            try ProgramFlags.parse($0, "--discover", "an absolute path") { $0.hasPrefix("/") ? $0 : nil }
        }
        options.replace = replace ? true : nil
        options.whenReplaced = try whenReplaced.map {
            try ProgramFlags.parse($0, "--when-replaced", "exit or wait") { WhenReplaced(rawValue: $0) }
        }
        options.probeSources = try probeSource.map {
            try ProgramFlags.parse($0, "--probe-source", "an address or a CIDR range") { IPPrefix($0) }
        }
        options.dataPathFlags["outboundTrafficPolicy"] = outboundTrafficPolicy
        options.dataPathFlags["policyEdits"] = policyEdits
        options.pods = try pod.map { try ProgramFlags.parse($0, "--pod", PodReference.form) { PodReference($0) } }
        return options
    }
}
