internal import ArgumentParser
internal import FoundationEssentials
internal import StatusModel

struct StrictReadyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "strict-ready", abstract: "Tell who still calls a namespace's pods in plaintext.",
        discussion: """
            Judged by what this node's ztund saw in the last day, or since it started: `ready` means that pods were called and
            nobody came in plaintext, so that PeerAuthentication STRICT would refuse nobody who called in that time. Callers
            outside the mesh prove no identity: they are named by address, or by what the state says of the address. Pods on
            other nodes are judged there.

            EXAMPLES:
              ztun strict-ready app
              ztun strict-ready app/web
              ztun strict-ready app -o json | jq -r '.callers[] | "\\(.workload)\\(.address)"'

            Exit codes: 0 ready, 1 not ready, 2 usage, 3 no ztund runs, 4 no answer, 5 no data.
            """)

    /// The exit status of a verdict that could not be given.
    private static let noData: Int32 = 5

    @OptionGroup var options: Options

    @Argument(help: "A namespace, or NS/NAME of a deployment or pod in it.")
    var scope: String

    @Option(name: .shortAndLong, help: "table, json or yaml.")
    var output = OutputFormat.table

    func validate() throws {
        let parts = scope.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else {
            throw ValidationError("say a namespace, or NS/NAME")
        }
    }

    func run() throws {
        let parts = scope.split(separator: "/", maxSplits: 1).map(String.init)
        var target = "/strict-ready?namespace=\(URLText.encoded(parts[0]))"
        if parts.count == 2 { target += "&workload=\(URLText.encoded(parts[1]))" }
        for exchange in Programs.ask([options.program ?? .ztund], options, method: "GET", target: target) {
            if case .answered(409, let body) = exchange.outcome {
                let reply = try? JSONDecoder().decode(CommandReply.self, from: Data(body))
                throw Failure(code: .problem, message: Table.printable(reply?.message ?? "the question was refused"))
            }
            let body = try exchange.documentBody()
            guard let report = try? JSONDecoder().decode(StrictReport.self, from: Data(body)) else {
                throw exchange.misunderstood("judgement")
            }
            show(report, body)
            switch report.verdict {
            case .ready: break
            case .notReady: throw ExitCode(ExitReason.problem.rawValue)
            case .noData: throw ExitCode(Self.noData)
            }
        }
    }

    private func show(_ report: StrictReport, _ body: [UInt8]) {
        switch output {
        case .json: print(String(decoding: body, as: UTF8.self), terminator: "")
        case .yaml:
            let document = try? JSONDecoder().decode(Document.self, from: Data(body))
            print("---\n\(document?.yaml ?? "{}\n")", terminator: "")
        case .table:
            if !report.callers.isEmpty {
                var table = Table(
                    "PLAINTEXT CALLER", "IN MESH", "TO", "PORT", "VERDICT", "LAST DAY", "OPEN", "FIRST SEEN",
                    "LAST SEEN")
                for caller in report.callers {
                    table.add(
                        caller.workload.isEmpty ? caller.address : caller.workload, caller.inMesh ? "yes" : "no",
                        caller.destination, "\(caller.port)", caller.verdict, Quantity.count(caller.connections),
                        Quantity.count(caller.open), "\(caller.firstSeen)", "\(caller.lastSeen)")
                }
                print(table.flush.text, terminator: "")
            }
            for note in report.notes { print("note: \(Table.printable(note))") }
            let verdict = report.verdict.rawValue.split(separator: "_").joined(separator: " ")
            print(
                "\(Table.printable(scope)): \(verdict) (\(Quantity.items(report.pods.count, "pod", "pods")) of this node, "
                    + "\(Quantity.count(report.mutualConnections)) calls with mutual TLS since \(report.since))")
        }
    }
}
