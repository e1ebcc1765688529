internal import ArgumentParser
internal import MeshModel

struct DenialsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "denials", abstract: "Show refused and failed connections, newest first, each with its reason.",
        discussion: """
            Every worker remembers its last 4,096. REASON is the stable token of the access log; `ztun reasons TOKEN` says
            what it means and what to do.

            EXAMPLES:
              ztun denials --since 5m
              ztun denials --reason policy_denied --pod app/web
              ztun denials -o json | jq -r '.denials[] | "\\(.time) \\(.peer) \\(.policy)"'
            """)

    @OptionGroup var list: ListOptions

    @Option(
        help: "Only this reason.", completion: .list(Reason.allCases.map(\.rawValue)), transform: ReasonsCommand.read)
    var reason: Reason?

    @Option(help: "Only the last 90s, 5m, 2h or 1d.", transform: Age.read)
    var since: UInt64?

    @Option(help: "Only those of this pod of the node, NS/NAME.")
    var pod: String?

    @Option(help: "inbound or outbound.")
    var direction: DirectionName?

    @Option(help: "Only peers whose identity contains this.")
    var identity: String?

    @Option(help: "Only those from or to an address that contains this.")
    var address: String?

    struct Row: Decodable {
        var time: String
        var reason: String
        var direction: String
        var pod: String?
        var source: String
        var destination: String
        var peer: String
        var policy: String
        var detail: String
    }

    func run() throws {
        try list.show(
            "denials",
            [
                "reason": reason?.rawValue ?? "", "since": since.map(String.init) ?? "", "pod": pod ?? "",
                "direction": direction?.rawValue ?? "", "identity": identity ?? "", "address": address ?? "",
            ], usual: 50, Row.self, withOlder: true
        ) { rows in
            var table = Table("TIME", "REASON", "DIRECTION", "POD", "FROM", "TO", "PEER", "POLICY", "DETAIL")
            for row in rows {
                table.add(
                    row.time, row.reason, row.direction, row.pod ?? "", row.source, row.destination, row.peer,
                    row.policy, row.detail)
            }
            return table.flush
        }
    }
}

/// Which way a connection goes, seen from the pod of this node.
enum DirectionName: String, ExpressibleByArgument, CaseIterable {
    case inbound, outbound
}

/// An age on the command line.
enum Age {
    /// Seconds of `90s`, `5m`, `2h`, `1d` or a bare number.
    static func read(_ text: String) throws -> UInt64 {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let units: [Substring: UInt64] = ["": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let value = UInt64(digits), value < 1 << 32, let unit = units[text.dropFirst(digits.count)] else {
            throw ValidationError("an age is a number with s, m, h or d, for example 5m")
        }
        return value * unit
    }
}
