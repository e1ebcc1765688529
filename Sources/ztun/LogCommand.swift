internal import ArgumentParser

struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Show or change what the programs log, while they run.",
        discussion: """
            A level is error, warn, info, debug, trace or off; SCOPE=LEVEL sets one scope, for example
            `ztun log --level info,access=off`. Scopes: access, proxy, inpod, state, identity, admin, dns, xds, pool,
            capture, waypoint, program. Without --level or --reset it only shows what is set.

            EXAMPLES:
              ztun log --level proxy=debug          what policy decides, line by line
              ztun log --level access=off
              ztun log --reset                      back to what the program was started with
            """)

    @OptionGroup var options: Options

    @Option(help: "LEVEL or SCOPE=LEVEL, several with commas; added to what is set.")
    var level: String?

    @Flag(help: "First go back to what the program was started with.")
    var reset = false

    func run() throws {
        var query: [String] = []
        if let level { query.append("level=\(URLText.encoded(level))") }
        if reset { query.append("reset") }
        let target = "/logging" + (query.isEmpty ? "" : "?\(query.joined(separator: "&"))")
        let programs = try Programs.found(options)
        for exchange in Programs.ask(programs, options, method: "POST", target: target) {
            switch exchange.outcome {
            case .failed(let failure): throw failure
            case .answered(let status, let body):
                var text = String(decoding: body.prefix(1000), as: UTF8.self)
                if text.hasSuffix("\n") { text.removeLast() }
                let line = "\(exchange.program.rawValue): \(Table.printable(text))"
                guard status == 200 else { throw Failure(code: .problem, message: line) }
                print(line)
            case nil: break
            }
        }
    }
}
