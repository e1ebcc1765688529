internal import ArgumentParser
internal import FoundationEssentials
internal import StatusModel

/// `ztun pod show`: all that ztund says of one pod.
struct PodShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show how one pod is captured, and what goes past the mesh.",
        discussion: """
            Connections older than enrolment are left alone: they are listed here until they end.
            Exit code 1 when the pod is not known or not captured as it should be.

            EXAMPLES:
              ztun pod show app/web
              ztun pod show app/web -o json | jq .older
            """)

    @OptionGroup var options: Options

    @Option(name: .shortAndLong, help: "table, json or yaml.")
    var output = OutputFormat.table

    @Argument(help: "NS/NAME, for example app/web.", transform: PodCommand.Remove.read)
    var pod: PodRequest

    func run() throws {
        let exchange = Programs.ask([options.program ?? .ztund], options, method: "GET", target: "/status").first
        guard let exchange else { return }
        let body = try exchange.documentBody()
        guard let report = try? JSONDecoder().decode(StatusReport.self, from: Data(body)) else {
            throw exchange.misunderstood("status")
        }
        guard let found = report.pods.first(where: { $0.namespace == pod.namespace && $0.name == pod.name }) else {
            throw Failure(code: .problem, message: "no pod \(pod) is known; see `ztun status`")
        }
        switch output {
        case .json: print(Document.json(found))
        case .yaml: print("---\n\(Document.yaml(found))", terminator: "")
        case .table: print(Self.text(found), terminator: "")
        }
        if found.state != .captured { throw ExitCode(ExitReason.problem.rawValue) }
    }

    static func text(_ pod: PodStatus) -> String {
        var lines: [(String, String)] = [
            ("pod", "\(pod.namespace)/\(pod.name)"),
            ("state", pod.state.rawValue + (pod.reason.isEmpty ? "" : ": \(pod.reason)")),
            ("namespace", pod.netns),
            ("capture", [pod.capture, pod.captureReason].compactMap(\.self).joined(separator: ", ")),
            ("addresses", pod.addresses.joined(separator: ", ")),
            ("identity", pod.identity),
            ("canary", canary(pod.canary)),
            ("repairs", "\(pod.repairs)"),
            ("no ztund", withoutDaemon(pod)),
            ("connections", "\(pod.connections)"),
        ]
        if let older = pod.older {
            lines.append(
                (
                    "older",
                    "\(older.open) of \(older.atEnrolment) connections that are older than enrolment are still open"
                ))
            for one in older.listed { lines.append(("", "\(one.local) to \(one.remote)")) }
            if older.open > older.listed.count { lines.append(("", "and \(older.open - older.listed.count) more")) }
        }
        return lines.map { name, value in
            name + String(repeating: " ", count: 13 - name.count) + (value.isEmpty ? "-" : Table.printable(value))
                + "\n"
        }.joined()
    }

    private static func canary(_ canary: CanaryStatus?) -> String {
        guard let canary else { return "none flew" }
        guard canary.passed else { return "failed: \(canary.reason)" }
        let untried = canary.untried.isEmpty ? "" : "; not tried: \(canary.untried.joined(separator: "; "))"
        return "came through in \(canary.microseconds) µs\(untried)"
    }

    private static func withoutDaemon(_ pod: PodStatus) -> String {
        guard let failOpen = pod.failOpen else { return "closed" }
        return failOpen.inForce
            ? "open, as asked: connections go past the mesh" : "closed, although asked to fail open: \(failOpen.reason)"
    }
}
