internal import ArgumentParser
internal import ControlPlane

/// `ztund ca`.
struct AuthorityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ca", abstract: "Look after the embedded CA.", subcommands: [Rotate.self])

    /// `ztund ca rotate`.
    struct Rotate: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rotate", abstract: "Replace the embedded CA without a failed tunnel.",
            discussion: """
                Running daemons first accept the new root beside the old one, then get certificates from it; the old
                root stays accepted for the time of the overlap. Nothing is restarted.

                EXAMPLE: ztund ca rotate --ca-dir /var/lib/ztun/ca --overlap 1h
                """)

        @Option(help: ArgumentHelp("Directory of the embedded CA.", valueName: "dir"))
        var caDir: String

        @Option(help: ArgumentHelp("Trust domain of this mesh.", valueName: "name"))
        var trustDomain = ProgramConfiguration.defaultTrustDomain

        @Option(
            help: ArgumentHelp("How long the old root stays accepted.", valueName: "duration"),
            transform: Rotate.duration)
        var overlap: Int64 = 86_400

        @Option(
            help: ArgumentHelp("How long running daemons have to accept the new root.", valueName: "duration"),
            transform: Rotate.duration)
        var settle: Int64 = 5

        static func duration(_ text: String) throws -> Int64 {
            guard let seconds = CertificateLifetime.seconds(text) else {
                throw ValidationError("expected \(CertificateLifetime.form)")
            }
            return seconds
        }

        func run() throws {
            do throws(ConfigurationError) {
                print(
                    try AuthorityRotation.run(
                        directory: caDir, trustDomain: trustDomain, overlap: overlap, settle: settle))
            } catch {
                throw ValidationError(error.description)
            }
        }
    }
}
