internal import StatusModel
package import Telemetry

extension RevocationListFile {
    /// Looks at the file once and tells the operator what changed.
    ///
    /// - Parameters:
    ///   - now: nanoseconds of the Unix epoch.
    ///   - loaded: called when other lists are in force, to ask again for every live peer.
    /// - Returns: whether the file is changing and is worth another look soon.
    package func check(now: Int64, log: Log, loaded: () -> Void) -> Bool {
        switch check(now: now) {
        case .unchanged: return false
        case .settling: return true
        case .loaded:
            loaded()
            let status = self.status
            log.write(.info, .identity, "revocation lists loaded", now: UInt64(max(0, now))) { line in
                line.field("lists", number: status.lists)
                line.field("revoked", number: status.revoked)
            }
        case .failed:
            log.write(
                .warn, .identity,
                status.loadedAt == nil
                    ? "the revocation lists cannot be used, nothing is revoked until they can"
                    : "the revocation lists are refused, the last good ones stay in force",
                now: UInt64(max(0, now))
            ) { $0.field("error", string: lastError ?? "") }
        }
        return false
    }
}
