internal import ArgumentParser
internal import FoundationEssentials
internal import StatusModel

/// `ztun policy`: about policies that are not applied yet.
struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Tell what policies would change before they are applied.",
        subcommands: [PolicyDiffCommand.self])
}

struct PolicyDiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Tell whose verdict manifests would change: open connections, and the flows of the last day.",
        discussion: """
            The manifests go on top of those in force, as with `kubectl apply`; with --replace they are all the policies
            there are. The code that decides about live connections decides here too, with the state this node has: run it
            on each node that matters. Nothing is applied.

            `open` is one connection: the edit would cut it, unless its namespace lets edits keep what is open. `class` are
            the connections of the last day that are alike, judged by the latest of them.

            EXAMPLES:
              ztun policy diff new-policy.yaml
              ztun policy diff --replace policies/*.yaml --exit-code
              ztun policy diff new.yaml -o json | jq -r '.changes[] | select(.kind == "open") | .sourceAddress'

            Exit codes: 0 compared (with --exit-code: and nothing changes), 1 it could not be compared, or --exit-code and
            something changes, 2 usage, 3 no ztund runs, 4 no answer.
            """)

    /// Seconds: a mesh of a hundred thousand pods is compiled anew.
    private static let patience = 20

    @OptionGroup var options: Options

    @Argument(help: "Files of Kubernetes manifests.")
    var files: [String]

    @Flag(help: "Leave out the policies in force: AuthorizationPolicy, PeerAuthentication, NetworkPolicy.")
    var replace = false

    @Flag(help: "Exit with 1 if anything changes.")
    var exitCode = false

    @Option(name: .shortAndLong, help: "table, json or yaml.")
    var output = OutputFormat.table

    func run() throws {
        var manifests: [PolicyDiffRequest.File] = []
        for file in files { manifests.append(.init(name: file, text: try TextFile.read(file))) }
        let body = Array(try JSONEncoder().encode(PolicyDiffRequest(manifests: manifests, replace: replace)))
        for exchange in Programs.ask(
            [options.program ?? .ztund], options, method: "POST", target: "/policy-diff", body: body,
            patience: Self.patience)
        {
            if case .answered(409, let body) = exchange.outcome {
                let reply = try? JSONDecoder().decode(CommandReply.self, from: Data(body))
                throw Failure(code: .problem, message: Table.printable(reply?.message ?? "the question was refused"))
            }
            let body = try exchange.documentBody()
            guard let report = try? JSONDecoder().decode(PolicyDiffReport.self, from: Data(body)) else {
                throw exchange.misunderstood("comparison")
            }
            show(report, body)
            if exitCode, !report.changes.isEmpty { throw ExitCode(ExitReason.problem.rawValue) }
        }
    }

    private func show(_ report: PolicyDiffReport, _ body: [UInt8]) {
        switch output {
        case .json: print(String(decoding: body, as: UTF8.self), terminator: "")
        case .yaml:
            let document = try? JSONDecoder().decode(Document.self, from: Data(body))
            print("---\n\(document?.yaml ?? "{}\n")", terminator: "")
        case .table:
            if !report.changes.isEmpty {
                var table = Table("WHAT", "FROM", "TO", "PORT", "TLS", "NOW", "THEN", "DECIDED BY", "WHERE", "LAST DAY")
                for change in report.changes {
                    let isOpen = change.kind == "open"
                    let decided = change.after.allowed ? change.before.decidedBy : change.after.decidedBy
                    table.add(
                        isOpen ? (change.cut ? "open, cut" : "open, kept") : "class",
                        isOpen ? "\(change.source) (\(change.sourceAddress))" : change.source, change.destination,
                        "\(change.port)", change.mutual ? "mutual" : "none", word(change.before), word(change.after),
                        decided,
                        change.after.allowed ? change.before.place : change.after.place,
                        isOpen ? "" : Quantity.count(change.connections))
                }
                print(table.flush.text, terminator: "")
            }
            for note in report.notes { print("note: \(Table.printable(note))") }
            let open = report.changes.count { $0.kind == "open" } + report.omitted
            print(
                "\(open) of \(Quantity.items(report.openConnections, "open connection", "open connections")) and "
                    + "\(report.changes.count { $0.kind == "class" }) of \(Quantity.items(report.classes, "class", "classes")) "
                    + "since \(report.since) would change")
        }
    }

    private func word(_ verdict: PolicyDiffReport.Verdict) -> String {
        verdict.allowed ? "allowed" : "refused (\(verdict.reason))"
    }
}
