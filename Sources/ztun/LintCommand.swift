internal import ArgumentParser

struct LintCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lint", abstract: "Check Kubernetes manifests: what is wrong, and what means less than it says.",
        discussion: """
            Nothing is applied and no ztund needs to run; the program ztund must be beside this one or in PATH, since it
            reads the manifests.

            EXAMPLE: ztun lint manifests/

            Exit codes: 0 nothing to say, 1 something was found, 2 usage.
            """)

    @Argument(help: "Files and folders of manifests.")
    var paths: [String]

    func run() throws { try NodeProgram.run(["lint"] + paths) }
}

struct NetworkPolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "netpol", abstract: "Look after NetworkPolicies that stand beside a mesh.",
        subcommands: [Lint.self])

    struct Lint: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "lint", abstract: "Find policies that would cut the tunnels of a mesh (port 15008).",
            discussion: """
                Give the pods, namespaces and waypoints too, so that only pods of the mesh count and waypoints are known.

                EXAMPLE: ztun netpol lint --fix manifests/

                Exit codes: 0 nothing was found or all is fixed, 1 something was found, 2 usage.
                """)

        @Argument(help: "Files and folders of manifests.")
        var paths: [String]

        @Flag(help: "Write what is missing into the files; comments and order stay.")
        var fix = false

        @Flag(help: "The same, and rules for probes as istio-cni sends them (169.254.7.127).")
        var fixProbes = false

        func run() throws {
            let flags = (fix ? ["--fix"] : []) + (fixProbes ? ["--fix-probes"] : [])
            try NodeProgram.run(["netpol", "lint"] + paths + flags)
        }
    }
}
