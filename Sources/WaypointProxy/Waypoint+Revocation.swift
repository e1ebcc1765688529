internal import ControlPlane
internal import HBONE
internal import MeshModel
internal import TLS

extension Waypoint {
    /// Looks at the revocation lists once; other ones are asked about every live peer.
    ///
    /// - Returns: whether the file is changing and is worth another look soon.
    func checkRevocations(now: Int64) -> Bool {
        guard let revocations else { return false }
        return revocations.check(now: now, log: log) { tell(.revoked(revocations.list)) }
    }
}

extension WaypointWorker {
    /// Ends the tunnels, in and out, whose peer's chain is revoked, and everything in them.
    func cutRevoked(_ list: RevocationList) {
        let failure = TunnelFailure(.certificateRevoked, "connection closed: peer certificate revoked by CRL")
        for tunnel in Array(tunnels.values) {
            if let peer = tunnel.peer, list.revokes(peer) { tunnel.close(failure) }
        }
        pool.close(failure) { list.revokes($0) }
    }
}
