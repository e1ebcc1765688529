internal import ArgumentParser
internal import FoundationEssentials
internal import MeshModel

struct ObserveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "observe", abstract: "Show flows with their verdict, and where their time went.",
        discussion: """
            ztund records flows while somebody observes, and for ten minutes after: the first call tells of nothing before
            it. SLOWEST is the stage that took the most time; -o wide shows all, the identities, and what the kernel measured
            of both TCP connections:

              capture    the captured connection waited to be accepted
              decision   routing and policy; waiting for state, certificate or DNS
              pool       waiting for a tunnel
              connect    TCP connect to the peer, or to the application
              tls        TLS handshake of a new tunnel
              answer     the peer's answer to the CONNECT
              request    until the client's first byte
              firstByte  from then to the first byte of the answer

            A reader that does not keep up misses flows; how many, is said.

            EXAMPLES:
              ztun observe -f --to app/web
              ztun observe --last 100 --verdict refused
              ztun observe --open --from app/db -o wide
              ztun observe -f -o json | jq 'select(.stagesMicroseconds.connect > 100000)'
            """)

    /// How flows are printed.
    enum Format: String, ExpressibleByArgument, CaseIterable { case table, wide, json }
    enum Verdict: String, ExpressibleByArgument, CaseIterable { case forwarded, refused, failed }

    @OptionGroup var options: Options

    @Flag(name: .shortAndLong, help: "Go on with new flows, until interrupted.")
    var follow = false

    @Option(help: "How many of the flows that are remembered to show: 20, with --follow none; at most 10000.")
    var last: Int?

    @Flag(help: "Show the flows that are open now too.")
    var open = false

    @Option(help: "Only from this workload (NS/NAME or NAME), address or identity, or a part of the latter two.")
    var from: String?

    @Option(help: "Only to this workload, address, identity or service.")
    var to: String?

    @Option(name: .shortAndLong, help: "Only with this namespace at either end.")
    var namespace: String?

    @Option(help: "forwarded, refused or failed.")
    var verdict: Verdict?

    @Option(
        help: "Only this reason.", completion: .list(Reason.allCases.map(\.rawValue)), transform: ReasonsCommand.read)
    var reason: Reason?

    @Option(help: "Only this port of the destination, as it was asked for.")
    var port: UInt16?

    @Option(help: "Only this service: host name, NS/NAME or NAME.")
    var service: String?

    @Option(name: .shortAndLong, help: "table, wide, or json: one object per line.")
    var output = Format.table

    func validate() throws {
        if let last, !(0...10_000).contains(last) { throw ValidationError("--last takes a number from 0 to 10000") }
    }

    func run() throws {
        var items: [String] = []
        if follow { items.append("follow") }
        if open { items.append("open") }
        let filters: KeyValuePairs<String, String?> = [
            "last": last.map { "\($0)" }, "from": from, "to": to, "namespace": namespace, "verdict": verdict?.rawValue,
            "reason": reason?.rawValue, "port": port.map { "\($0)" }, "service": service,
        ]
        for (name, value) in filters {
            if let value, !value.isEmpty { items.append("\(name)=\(URLText.encoded(value))") }
        }
        let program = options.program ?? .ztund
        var stream = try LineStream(
            program, directory: options.runDir, target: "/flows?\(items.joined(separator: "&"))")
        if output != .json { Output.line(row(FlowText.header)) }
        var shown = 0
        while let line = stream.next() {
            guard let flow = try? JSONDecoder().decode(FlowText.self, from: Data(line)) else {
                throw Failure(
                    code: .notAnswering,
                    message:
                        "\(program.rawValue) sends flows this ztun does not understand; see that both have the "
                        + "same version (`ztun version`)")
            }
            shown += 1
            show(flow, line)
        }
        if follow {
            throw Failure(
                code: .notRunning, message: "\(program.rawValue) has ended the stream: it has stopped, or was replaced")
        }
        if shown == 0 {
            let since = Table.printable(stream.fields["x-ztun-since"] ?? "now")
            Ztun.standardError(
                "no flows to show: \(program.rawValue) records since \(since), and for ten minutes after this; "
                    + "--follow waits for new ones")
        }
    }

    private func show(_ flow: FlowText, _ line: [UInt8]) {
        if output == .json { return Output.line(String(decoding: line, as: UTF8.self)) }
        if let lost = flow.lost {
            return Ztun.standardError(
                "ztun: \(Quantity.items(lost, "flow was", "flows were")) missed: too many at a time")
        }
        Output.line(row(flow.cells))
        guard output == .wide else { return }
        for text in flow.more { Output.line("    " + Table.printable(text)) }
    }

    private func row(_ cells: [String]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let text = cell.isEmpty ? "-" : Table.printable(cell)
            line += text
            guard index < cells.count - 1 else { break }
            line += String(repeating: " ", count: max(1, FlowText.widths[index] - text.count + 1))
        }
        return line
    }
}
