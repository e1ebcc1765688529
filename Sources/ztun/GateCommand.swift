internal import ArgumentParser

/// `ztun gate`: BPF programs are ztund's to load, so this runs `ztund gate`.
struct GateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate", abstract: "The boot gate: no pod talks before it is enrolled. Runs `ztund gate`.",
        discussion: "The same as `ztund gate`, with the ztund beside this program, or the one on PATH.")

    @Argument(
        parsing: .captureForPassthrough,
        help: "install, remove, status or allow, and their flags; see `ztund gate --help`.")
    var words: [String] = []

    func run() throws {
        try NodeProgram.run(["gate"] + words)
    }
}
