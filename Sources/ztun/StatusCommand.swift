internal import ArgumentParser
internal import FoundationEssentials
internal import StatusModel

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show how the programs are: pods, certificates, state, workers, traffic, refusals.",
        discussion: """
            With -o json the output is one JSON object for each program; its names are stable, and "problems" says in
            sentences what must be looked at.
            EXAMPLES:
              ztun status
              ztun status -o json | jq -r '.problems[]'

            Exit codes: 0 all is well, 1 a problem was found, 2 usage, 3 none runs, 4 no answer within 2 seconds.
            """)

    @OptionGroup var options: Options

    @Option(name: .shortAndLong, help: "table, json or yaml.")
    var output = OutputFormat.table

    func run() throws {
        let programs: [ProgramName]
        do throws(Failure) { programs = try Programs.found(options) } catch {
            show(Unreachable(program: nil, problems: [error.message]))
            throw error
        }
        var failures: [Failure] = []
        var answered = 0
        var hasProblem = false
        for exchange in Programs.ask(programs, options, method: "GET", target: "/status") {
            do throws(Failure) {
                let report = try Self.report(of: exchange)
                answered += 1
                hasProblem = hasProblem || !report.problems.isEmpty
                if output == .table { print(StatusTable(report).text) } else { show(report) }
            } catch {
                failures.append(error)
                show(Unreachable(program: exchange.program.rawValue, problems: [error.message]))
            }
        }
        // One program that answers decides more than one that is gone: its socket may be left over.
        if answered == 0, let worst = failures.max(by: { $0.code.rawValue < $1.code.rawValue }) {
            for failure in failures where failure.message != worst.message {
                Ztun.standardError("ztun: \(failure.message)")
            }
            throw worst
        }
        for failure in failures { Ztun.standardError("ztun: \(failure.message)") }
        if hasProblem || !failures.isEmpty { throw ExitCode(ExitReason.problem.rawValue) }
    }

    private static func report(of exchange: Exchange) throws(Failure) -> StatusReport {
        switch exchange.outcome {
        case .failed(let failure): throw failure
        case .answered(200, let body):
            if let report = try? JSONDecoder().decode(StatusReport.self, from: Data(body)) { return report }
            throw Failure(
                code: .notAnswering,
                message: "\(exchange.program.rawValue) at \(exchange.path) answers with a status this ztun does not "
                    + "understand; see that both have the same version (`ztun version`)")
        case .answered(let status, let body):
            throw Failure(
                code: .notAnswering,
                message: "\(exchange.program.rawValue) at \(exchange.path) refuses to answer (\(status)): "
                    + Table.printable(String(decoding: body.prefix(300), as: UTF8.self)))
        case nil: throw Failure(code: .notAnswering, message: "\(exchange.path) was not asked")
        }
    }

    /// Prints a document; nothing where tables are wanted.
    private func show(_ value: some Encodable) {
        switch output {
        case .table: break
        case .json: print(Document.json(value))
        case .yaml: print("---\n\(Document.yaml(value))", terminator: "")
        }
    }
}

/// What stands in the JSON output in place of a report that could not be had.
struct Unreachable: Encodable {
    var program: String?
    var problems: [String]
}
