internal import ArgumentParser
internal import FoundationEssentials
internal import Glibc
internal import StatusModel

struct CertsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certs", abstract: "Show identities, their certificates and roots, and what is revoked.",
        discussion: """
            RENEWS is when the next certificate is asked for: half of the life, 10 % earlier or later. An identity that
            is not Available makes the command end with 1. CLOCK says that this host's clock is behind the start of a
            certificate's validity: set the clock, for peers and this host will refuse each other.

            EXAMPLES:
              ztun certs
              ztun certs --identity sa/web
              ztun certs -o json | jq -r '.certificates[] | "\\(.identity) \\(.notAfter)"'
            """)

    @OptionGroup var options: Options

    @Option(name: .shortAndLong, help: "table, json or yaml.")
    var output = OutputFormat.table

    @Option(help: "Only identities that contain this.")
    var identity: String?

    /// What `-o json` prints for each program.
    struct Answer: Codable {
        var program: String
        var certificates: [CertificateStatus]
        var revocation: RevocationStatus?
        /// Refusals that a clock explains, newest first.
        var clockRefusals: [RefusalStatus]
    }

    func run() throws {
        let programs = try Programs.found(options)
        var failures: [Failure] = []
        var answered = 0
        var hasProblem = false
        for exchange in Programs.ask(programs, options, method: "GET", target: "/status") {
            do throws(Failure) {
                let body = try exchange.documentBody()
                guard let report = try? JSONDecoder().decode(StatusReport.self, from: Data(body)) else {
                    throw exchange.misunderstood("status")
                }
                answered += 1
                let answer = Answer(
                    program: report.program,
                    certificates: report.certificates.filter {
                        identity == nil || $0.identity.contains(identity ?? "")
                    },
                    revocation: report.revocation,
                    clockRefusals: report.recentRefusals.filter { $0.detail.contains("compare the clocks") })
                hasProblem =
                    hasProblem || answer.certificates.contains { $0.state != .available }
                    || answer.revocation.map { !$0.error.isEmpty } ?? false
                switch output {
                case .json: print(Document.json(answer))
                case .yaml: print("---\n\(Document.yaml(answer))", terminator: "")
                case .table: print(CertsTable(answer, now: Self.now()).text, terminator: "")
                }
            } catch {
                failures.append(error)
            }
        }
        for failure in failures.dropFirst(answered == 0 ? 1 : 0) { Ztun.standardError("ztun: \(failure.message)") }
        if answered == 0, let failure = failures.first { throw failure }
        if hasProblem || !failures.isEmpty { throw ExitCode(ExitReason.problem.rawValue) }
    }

    private static func now() -> StatusTime { StatusTime(unixSeconds: Int64(time(nil))) }
}

/// `ztun certs` as text.
struct CertsTable {
    let answer: CertsCommand.Answer
    let now: StatusTime

    init(_ answer: CertsCommand.Answer, now: StatusTime) {
        self.answer = answer
        self.now = now
    }

    var text: String {
        var text = "\(Table.printable(answer.program))\n"
        var identities = Table("IDENTITY", "STATE", "EXPIRES", "RENEWS", "CLOCK", "WHY")
        for certificate in answer.certificates {
            identities.add(
                certificate.identity, certificate.state.rawValue, until(certificate.notAfter),
                until(certificate.nextRenewal),
                certificate.clockBehindSeconds.map { "\(Quantity.time($0)) behind" } ?? "", certificate.error)
        }
        text += identities.isEmpty ? "  no identity is wanted: no pod of this node is in the state\n" : identities.text
        var chains = Table("IDENTITY", "TYPE", "SERIAL (HEX)", "SERIAL", "NOT BEFORE", "NOT AFTER", "SUBJECT", "ISSUER")
        // Roots are usually the same for all.
        var roots: [CertificateLink] = []
        for certificate in answer.certificates {
            for link in certificate.chain ?? [] { add(link, of: certificate.identity, to: &chains) }
            for root in certificate.roots ?? [] where !roots.contains(root) { roots.append(root) }
        }
        for root in roots { add(root, of: "", to: &chains) }
        if !chains.isEmpty { text += "CHAINS\n" + chains.text }
        if let revocation = answer.revocation {
            text += "REVOCATION\n  \(Table.printable(revocation.path)): "
            text += "\(Quantity.items(revocation.lists, "list", "lists")), \(revocation.revoked) revoked"
            if let loadedAt = revocation.loadedAt { text += ", loaded \(loadedAt)" }
            if !revocation.error.isEmpty { text += "\n  \(Table.printable(revocation.error))" }
            text += "\n"
        }
        if !answer.clockRefusals.isEmpty {
            var clocks = Table("TIME", "FROM", "TO", "DETAIL")
            for refusal in answer.clockRefusals {
                clocks.add("\(refusal.time)", refusal.source, refusal.destination, refusal.detail)
            }
            text += "CLOCKS THAT DIFFER\n" + clocks.text
        }
        return text
    }

    private func add(_ link: CertificateLink, of identity: String, to table: inout Table) {
        table.add(
            identity, link.kind.rawValue, link.serialNumberHex, link.serialNumber, "\(link.notBefore)",
            "\(link.notAfter)", link.subject, link.issuer)
    }

    private func until(_ time: StatusTime?) -> String {
        guard let time else { return "" }
        let seconds = time.unixSeconds - now.unixSeconds
        return seconds >= 0 ? "in \(Quantity.time(seconds))" : "\(Quantity.time(-seconds)) ago"
    }
}
