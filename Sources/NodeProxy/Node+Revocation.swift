internal import ControlPlane

extension Node {
    /// Looks at the revocation lists once; other ones are asked about every live peer.
    ///
    /// - Returns: whether the file is changing and is worth another look soon.
    func checkRevocations(now: Int64) -> Bool {
        guard let revocations else { return false }
        return revocations.check(now: now, log: log) { tell(.revoked(revocations.list)) }
    }
}
