internal import ArgumentParser
internal import FoundationEssentials
internal import StatusModel

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show how the programs are: pods, certificates, state, workers, traffic, refusals.",
        discussion: """
            With -o json the output is {"programs": [...], "problems": [...]}; its names are stable.
            Exit codes: 0 all is well, 1 a problem was found, 2 usage, 3 none runs, 4 no answer within 2 seconds.
            """)

    @OptionGroup var options: Options

    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    func run() throws {
        let exchanges = Programs.ask(try Programs.found(options), options, method: "GET", target: "/status")
        var summary = StatusSummary()
        var codes: [ExitReason] = []
        for exchange in exchanges {
            do throws(Failure) {
                let report = try Self.report(of: exchange)
                summary.programs.append(report)
                summary.problems += report.problems
            } catch {
                summary.problems.append(error.message)
                codes.append(error.code)
            }
        }
        switch output {
        case .json: print(try Self.json(summary), terminator: "")
        case .table:
            for report in summary.programs { print(StatusTable(report).text) }
            if summary.programs.isEmpty {
                for problem in summary.problems { Ztun.standardError("ztun: \(problem)") }
            } else if !summary.problems.isEmpty {
                print("PROBLEMS")
                for problem in summary.problems { print("  - \(Table.printable(problem))") }
            }
        }
        // One program that answers decides more than one that is gone: its socket may be left over.
        if summary.programs.isEmpty, let worst = codes.max(by: { $0.rawValue < $1.rawValue }) {
            throw ExitCode(worst.rawValue)
        }
        if !summary.problems.isEmpty { throw ExitCode(ExitReason.problem.rawValue) }
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

    private static func json(_ summary: StatusSummary) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(summary), as: UTF8.self) + "\n"
    }
}

/// The JSON of `ztun status -o json`.
struct StatusSummary: Codable {
    var programs: [StatusReport] = []
    /// What a person must look at, one sentence each; empty when all is well.
    var problems: [String] = []
}
