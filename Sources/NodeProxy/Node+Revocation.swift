internal import ControlPlane
internal import EventLoop
internal import StatusModel
internal import Telemetry

extension Node {
    /// Looks at the revocation lists once; other ones are asked about every live peer.
    ///
    /// - Returns: whether the file is changing and is worth another look soon.
    func checkRevocations(now: Int64) -> Bool {
        guard let revocations else { return false }
        switch revocations.check(now: now) {
        case .unchanged: return false
        case .settling: return true
        case .loaded:
            tell(.revoked(revocations.list))
            let status = revocations.status
            log.write(.info, .identity, "revocation lists loaded", now: UInt64(max(0, now))) { line in
                line.field("lists", number: status.lists)
                line.field("revoked", number: status.revoked)
            }
        case .failed:
            let isFirst = revocations.status.loadedAt == nil
            log.write(
                .warn, .identity,
                isFirst
                    ? "the revocation lists cannot be used, nothing is revoked until they can"
                    : "the revocation lists are refused, the last good ones stay in force",
                now: UInt64(max(0, now))
            ) { $0.field("error", string: revocations.lastError ?? "") }
        }
        return false
    }
}
