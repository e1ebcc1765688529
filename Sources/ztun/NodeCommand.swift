internal import ArgumentParser

/// `ztun node`: what has to enter the pods' namespaces is ztund's to do, so this runs `ztund node`.
struct NodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Look after this node: `ztun node cleanup` runs `ztund node cleanup`.",
        discussion: "The same as `ztund node`, with the ztund beside this program, or the one on PATH.")

    @Argument(parsing: .captureForPassthrough, help: "cleanup, and its flags; see `ztund node cleanup --help`.")
    var words: [String] = []

    func run() throws {
        try NodeProgram.run(["node"] + words)
    }
}
