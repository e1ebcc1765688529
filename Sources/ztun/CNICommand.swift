internal import ArgumentParser
internal import Glibc

/// `ztun cni`.
struct CNICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cni", abstract: "The CNI plugin that holds a pod's start until ztund has it.",
        discussion: """
            A container runtime calls it (as a program named ztun-cni), with CNI_COMMAND and the rest of CNI 1.0 in the
            environment and on standard input. `ztun cni install` puts it behind the cluster's own plugin.
            """,
        subcommands: [Call.self, Install.self, Uninstall.self], defaultSubcommand: Call.self)

    /// The name under which the plugin is installed.
    static let name = "ztun-cni"

    /// Whether this program was called as the plugin.
    static var isPlugin: Bool {
        CommandLine.arguments.first?.split(separator: "/").last == Substring(name)
    }

    struct Call: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "call", abstract: "Carry out one call of a container runtime (the default).")

        func run() {
            Glibc.exit(CNICommand.call())
        }
    }

    /// One call; the answer goes to standard output, errors too, as the specification wants it.
    static func call() -> Int32 {
        var environment: [String: String] = [:]
        for name in ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        var plugin = CNIPlugin(environment: environment, input: standardInput())
        do throws(CNIFailure) {
            if let answer = try plugin.run() { print(Document.json(answer)) }
            return 0
        } catch {
            print(Document.json(error.document(version: plugin.version)))
            Ztun.standardError("\(name): \(error.message)\(error.details.isEmpty ? "" : ": \(error.details)")")
            return 1
        }
    }

    /// All of standard input, at most 4 MiB; none from a terminal.
    private static func standardInput() -> [UInt8] {
        guard isatty(0) == 0 else { return [] }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while bytes.count < 4 << 20 {
            let count = read(0, &buffer, buffer.count)
            if count <= 0 { break }
            bytes += buffer.prefix(count)
        }
        return bytes
    }
}
