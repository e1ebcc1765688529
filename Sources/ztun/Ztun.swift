internal import ArgumentParser
internal import Glibc
internal import StatusModel

/// `ztun`: what a person asks of the programs that run on this host.
@main
struct Ztun: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ztun",
        abstract: "Show and steer the ztund and ztun-waypoint that run here.",
        discussion: """
            Something is refused?     ztun denials --since 5m
            Would this be refused?    ztun why app/web app/db:5432
            What does that mean?      ztun reasons policy_not_allowed
            Is all well here?         ztun status
            Who talks to my pod?      ztun connections --pod app/web
            Where does time go?       ztun observe -f --to app/web

            Completion: `ztun --generate-completion-script bash|zsh|fish`.

            Exit codes:
              0  all is well
              1  the program is not ready, or a problem was found or reported
              2  the command line is wrong
              3  no ztund or ztun-waypoint runs here
              4  one has its socket, but gives no usable answer within 2 seconds
            """,
        version: ProductVersion.text,
        subcommands: [
            StatusCommand.self, DenialsCommand.self, ConnectionsCommand.self, ObserveCommand.self,
            StrictReadyCommand.self, PolicyCommand.self,
            WorkloadsCommand.self,
            ServicesCommand.self, PoliciesCommand.self, WhyCommand.self, LintCommand.self, NetworkPolicyCommand.self,
            PodCommand.self, CertsCommand.self, LogCommand.self,
            ReasonsCommand.self, NodeCommand.self, GateCommand.self, CNICommand.self,
            VersionCommand.self,
        ])

    static func main() {
        if CNICommand.isPlugin { Glibc.exit(CNICommand.call()) }
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let failure as Failure {
            standardError("ztun: \(failure.message)")
            Glibc.exit(failure.code.rawValue)
        } catch {
            let code = exitCode(for: error)
            let message = fullMessage(for: error)
            if code == .success {
                print(message)
                Glibc.exit(0)
            }
            if !message.isEmpty { standardError(message) }
            // The parser's own code for a wrong command line is 64; ours is the one other commands of this kind have.
            Glibc.exit(code == .validationFailure ? ExitReason.usage.rawValue : code.rawValue)
        }
    }

    /// Writes a line to standard error.
    static func standardError(_ text: String) {
        let line = text + "\n"
        _ = line.withCString { write(2, $0, line.utf8.count) }
    }
}

/// Why `ztun` ends, as its exit code.
enum ExitReason: Int32 {
    case problem = 1
    case usage = 2
    case notRunning = 3
    case notAnswering = 4
}

/// A command that did not work: what, the cause, the next step.
struct Failure: Error {
    let code: ExitReason
    let message: String
}
