internal import ArgumentParser
internal import MeshModel

struct ReasonsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reasons", abstract: "Explain the reason tokens: what has happened, what to do.",
        discussion: """
            A token is what the access log (reason=), the metric ztun_refusals_total and `ztun denials` show of a
            connection that was refused or failed. Asks no program.

            EXAMPLES:
              ztun reasons                       all of them
              ztun reasons policy_not_allowed    this one
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json, yaml, markdown }

    @Argument(help: "One token.", completion: .list(Reason.allCases.map(\.rawValue)), transform: Self.read)
    var token: Reason?

    @Option(name: .shortAndLong, help: "table, json, yaml, or markdown (docs/reasons.md).")
    var output = Format.table

    /// One reason as it is printed.
    struct Entry: Encodable {
        var reason: String
        var cause: String
        var nextStep: String
    }

    static func read(_ text: String) throws -> Reason {
        guard let reason = Reason(rawValue: text) else {
            throw ValidationError("there is no reason \(text.debugDescription); `ztun reasons` lists them")
        }
        return reason
    }

    func run() throws {
        let reasons = token.map { [$0] } ?? Reason.allCases.sorted { $0.rawValue < $1.rawValue }
        let entries = reasons.map {
            Entry(reason: $0.rawValue, cause: $0.explanation.cause, nextStep: $0.explanation.nextStep)
        }
        switch output {
        case .table:
            print(entries.map { "\($0.reason)\n  \($0.cause)\n  \($0.nextStep)" }.joined(separator: "\n"))
        case .json: print(Document.json(entries))
        case .yaml: print(Document.yaml(entries), terminator: "")
        case .markdown: print(Reason.handbook, terminator: "")
        }
    }
}
