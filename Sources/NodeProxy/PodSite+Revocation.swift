internal import HBONE
internal import MeshModel
internal import TLS

extension PodSite {
    /// Ends the tunnels, in and out, whose peer's chain is revoked, and every connection in them.
    func cutRevoked(_ list: RevocationList) {
        let failure = TunnelFailure(.certificateRevoked, "connection closed: peer certificate revoked by CRL")
        for tunnel in Array(tunnels.values) {
            if let peer = tunnel.peer, list.revokes(peer) { tunnel.close(failure) }
        }
        pool.close(failure) { list.revokes($0) }
    }
}
