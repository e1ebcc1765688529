internal import ArgumentParser
internal import Capture
internal import ControlPlane
internal import Glibc

/// `ztund node`.
struct NodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Look after this node.", subcommands: [Cleanup.self])

    /// `ztund node cleanup`.
    struct Cleanup: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cleanup", abstract: "Remove what a ztund that is gone has left on this node.",
            discussion: """
                Looks into every network namespace of the node (but its own) for capture rules, routing rules and routes, and
                gives kernel settings their default where it found any; then removes BPF pins (those of every run directory,
                /sys/fs/bpf/ztun and below it), sockets and locks. Refuses while a ztund runs with the run directory, and leaves
                namespaces alone in which one listens and pins that one holds, unless --force is given. Doing it again
                does nothing. Exit status 1 when something could not be removed.

                EXAMPLE: ztund node cleanup
                """)

        @Option(help: ArgumentHelp("The run directory of the ztund that is gone.", valueName: "dir"))
        var runDir = ProgramConfiguration.defaultRunDirectory

        @Option(help: ArgumentHelp("Clean these namespaces only. May be repeated.", valueName: "path"))
        var netns: [String] = []

        @Option(
            help: ArgumentHelp(
                "Where BPF programs were pinned, when ztund was told; by itself none with --netns.", valueName: "dir"))
        var bpfDir: String?

        @Flag(help: "Only say what would be removed. (Routes and routing rules are not looked for.)")
        var dryRun = false

        @Flag(help: "Also while a ztund runs; its pods lose capture until it repairs them.")
        var force = false

        func run() throws {
            if !force, let owner = NodeCleanup.owner(of: runDir) {
                throw ValidationError("\(owner) is a ztund that runs with \(runDir): end it first, or give --force")
            }
            var cleanup = NodeCleanup(isDry: dryRun, isForced: force)
            let report = cleanup.run(
                namespaces: netns.isEmpty ? NamespaceCensus.paths() : netns, isWhole: netns.isEmpty,
                bpfDirectories: bpfDir.map { [$0] } ?? (netns.isEmpty ? NodeCleanup.usualFolders : []),
                runDirectory: force ? nil : runDir)
            for line in report.removed { print(dryRun ? "would remove \(line)" : "removed \(line)") }
            for line in report.left { print("left alone \(line)") }
            if netns.isEmpty, BootGate.isInstalled(in: BootGate.usualFolder) {
                print("left alone \(BootGate.usualFolder): the boot gate; `ztun gate remove` takes it away")
            }
            for line in report.failures { print("FAILED \(line)") }
            if report.isEmpty { print("nothing of ztund's was found") }
            if !report.failures.isEmpty { throw ExitCode.failure }
        }
    }
}
