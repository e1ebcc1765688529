internal import ArgumentParser
internal import FoundationEssentials
internal import StatusModel

struct WhyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why", abstract: "Tell what would become of a connection, and who decides it.",
        discussion: """
            The answer comes from the code that decides about live connections, at both ends and at a waypoint, in the state
            this node has. Each end is a pod or workload (NS/NAME), a service, a host name or an address.

            EXAMPLES:
              ztun why app/web app/db:5432
              ztun why app/web db.app.svc.cluster.local:5432 -o json
              ztun why 10.0.0.7 app/db:5432 --policy new.yaml
              ztun why app/web shop.app:80 --header 'x-user: tester' --http GET /cart
              ztun why app/web shop.app:80 --all-endpoints

            Exit codes: 0 it would be carried, 1 it would be refused, 2 usage, 3 no ztund runs, 4 no answer.
            """)

    @OptionGroup var options: Options

    @Argument(help: "Who opens the connection.")
    var source: String

    @Argument(help: "Where to, with :PORT.")
    var destination: String

    @Option(help: ArgumentHelp("Manifests to try on top of those in force, not applied.", valueName: "file"))
    var policy: String?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "The request on it, for a waypoint's routes: METHOD PATH (after the ends, or before another option).",
            valueName: "request"))
    var http: [String] = []

    @Option(help: ArgumentHelp("A field of that request, 'NAME: VALUE'. May be repeated.", valueName: "field"))
    var header: [String] = []

    @Option(help: ArgumentHelp("The host of that request.", valueName: "name"))
    var host: String?

    @Flag(help: "Tell of every endpoint of the service (or of its routes), not of one that chance has chosen.")
    var allEndpoints = false

    @Option(name: .shortAndLong, help: "table, json or yaml.")
    var output = OutputFormat.table

    func run() throws {
        var request = WhyRequest(source: source, destination: destination)
        request.http = try question()
        if allEndpoints { request.allEndpoints = true }
        if let policy {
            request.manifests = try TextFile.read(policy)
            request.manifestsName = policy
        }
        let body = Array(try JSONEncoder().encode(request))
        for exchange in Programs.ask([options.program ?? .ztund], options, method: "POST", target: "/why", body: body) {
            guard case .answered(409, let body) = exchange.outcome else {
                let body = try exchange.documentBody()
                guard let report = try? JSONDecoder().decode(WhyReport.self, from: Data(body)) else {
                    throw exchange.misunderstood("explanation")
                }
                show(report, body)
                if !report.allowed { throw ExitCode(ExitReason.problem.rawValue) }
                return
            }
            let reply = try? JSONDecoder().decode(CommandReply.self, from: Data(body))
            throw Failure(code: .usage, message: Table.printable(reply?.message ?? "the question was refused"))
        }
    }

    /// What the flags say of a request.
    private func question() throws -> WhyRequest.HTTP? {
        guard !http.isEmpty else {
            guard header.isEmpty, host == nil else {
                throw ValidationError("--header and --host belong to a request: say --http METHOD PATH too")
            }
            return nil
        }
        guard http.count == 2, http[1].hasPrefix("/") else {
            throw ValidationError("--http takes a method and a path: --http GET /cart")
        }
        let fields = try header.map { text in
            guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else {
                throw ValidationError("--header \(text) is no field: write 'NAME: VALUE'")
            }
            let value = text[text.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            return WhyRequest.HTTP.Field(name: String(text[..<colon]), value: String(value))
        }
        return WhyRequest.HTTP(method: http[0], path: http[1], host: host ?? "", headers: fields)
    }

    private func show(_ report: WhyReport, _ body: [UInt8]) {
        switch output {
        case .json: print(String(decoding: body, as: UTF8.self), terminator: "")
        case .yaml:
            let document = try? JSONDecoder().decode(Document.self, from: Data(body))
            print("---\n\(document?.yaml ?? "{}\n")", terminator: "")
        case .table:
            print("\(Table.printable(report.source)) → \(Table.printable(report.destination))")
            var table = Table("WHERE", "STEP", "WHAT")
            for step in report.steps { table.add(step.place, step.stage, step.text) }
            print(table.text, terminator: "")
            if let endpoints = report.endpoints {
                var table = Table("ENDPOINT", "ADDRESS", "ROUTE TO", "VERDICT", "BY", "WHERE")
                for row in endpoints {
                    let verdict = row.allowed ? "allowed" : row.reason
                    table.add(row.name, row.address, row.backend, verdict, row.policy, row.refusedAt)
                }
                print(table.text, terminator: "")
            }
            for note in report.notes { print("note: \(Table.printable(note))") }
            let policy = report.policy.isEmpty ? "" : " by \(Table.printable(report.policy))"
            print(
                report.allowed
                    ? "allowed\(policy)"
                    : "refused at the \(report.refusedAt)\(policy): \(report.reason) (`ztun reasons \(report.reason)`)")
        }
    }
}
