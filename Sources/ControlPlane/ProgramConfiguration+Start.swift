package import Telemetry

/// What both daemons do with their configuration when they start.
extension ProgramConfiguration {
    /// The log that it asks for.
    /// - Throws: a fault of the filter.
    package func makeLog() throws -> Log {
        Log(format: logFormat == .json ? .json : .text, filter: try LogFilter(logLevel))
    }

    /// Says what a person should know of the settings: variables that are not obeyed, and an authority that is for trying.
    /// - Parameter now: nanoseconds of the Unix epoch.
    package func tellStart(_ notes: [EnvironmentOptions.Note], to log: Log, now: UInt64) {
        for note in notes { log.write(note.isWarning ? .warn : .debug, .program, note.text, now: now) }
        guard case .authority(let directory, _, _) = identitySource else { return }
        log.write(
            .warn, .identity,
            "identities come from an embedded CA in \(directory): for one host and for trying ztun out, not for a cluster",
            now: now)
    }
}
