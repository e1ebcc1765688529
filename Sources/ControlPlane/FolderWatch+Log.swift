package import Telemetry

extension FolderWatch {
    /// A watch, or nil, with a line in the log, where the system gives none: polling sees changes then.
    /// - Parameter now: nanoseconds of the Unix epoch.
    package static func start(log: Log, now: UInt64) -> FolderWatch? {
        do throws(ControlThreadFailure) {
            return try FolderWatch()
        } catch {
            log.write(.warn, .state, "changes of files are seen by polling only: \(error.reason)", now: now)
            return nil
        }
    }
}
