internal import ArgumentParser

struct ConnectionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections", abstract: "Show the connections that are open now.",
        discussion: """
            LOCAL is the pod's side, REMOTE the other; REMOTE TARGET is what was asked for (a service's address, its host
            name). IDENTITY is what mutual TLS proved of the other side; TCP connections have none. SENT and RECEIVED are
            this proxy's view.

            EXAMPLES:
              ztun connections --pod app/web
              ztun connections --direction inbound --raw
              ztun connections -o json | jq '[.connections[] | select(.protocol == "TCP")] | length'
            """, aliases: ["connection", "cons"])

    @OptionGroup var list: ListOptions

    @Option(help: "Only those of this pod of the node, NS/NAME.")
    var pod: String?

    @Option(help: "inbound or outbound.")
    var direction: DirectionName?

    @Option(help: "Only peers whose identity contains this.")
    var identity: String?

    @Option(help: "Only those with an address or target that contains this.")
    var address: String?

    @Flag(help: "Addresses as they are, not the names of workloads.")
    var raw = false

    struct Row: Decodable {
        var pod: String
        var direction: String
        var `protocol`: String
        var local: String
        var localName: String
        var remote: String
        var remoteName: String
        var target: String
        var identity: String
        var ageSeconds: Int64
        var bytesSent: UInt64
        var bytesReceived: UInt64
    }

    func run() throws {
        try list.show(
            "connections",
            [
                "pod": pod ?? "", "direction": direction?.rawValue ?? "", "identity": identity ?? "",
                "address": address ?? "",
            ], Row.self, withOlder: true
        ) { rows in
            var table = Table(
                "WORKLOAD", "DIRECTION", "LOCAL", "REMOTE", "REMOTE TARGET", "PROTOCOL", "IDENTITY", "AGE", "SENT",
                "RECEIVED")
            for row in rows {
                let parts = row.pod.split(separator: "/", maxSplits: 1)
                let name = parts.count == 2 ? "\(parts[1]).\(parts[0])" : row.pod
                table.add(
                    name, row.direction == "inbound" ? "Inbound" : "Outbound", raw ? row.local : row.localName,
                    raw ? row.remote : row.remoteName, row.target, row.protocol, row.identity,
                    Quantity.time(row.ageSeconds), Quantity.bytes(row.bytesSent), Quantity.bytes(row.bytesReceived))
            }
            return table.flush
        }
    }
}
