internal import MeshModel
internal import TLS

/// Who is at the other end of a tunnel to us: the verified identity, and the address its packets come from.
struct TunnelSource {
    let identity: SpiffeID
    let address: SocketAddress
}
