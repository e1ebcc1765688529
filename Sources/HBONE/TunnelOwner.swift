package import HTTP2

/// Whoever made a tunnel connection: a pool or a server. Called on the worker's thread.
package protocol TunnelOwner: AnyObject {
    /// The handshake is done and the peer verified.
    func tunnelOpened(_ connection: TunnelConnection)
    /// The connection is gone; the last call. `failure` is nil after an orderly end.
    func tunnelClosed(_ connection: TunnelConnection, failure: TunnelFailure?)
    /// Server: a request arrived. Attach a sink, or respond and end.
    func tunnelRequested(_ connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock, endStream: Bool)
    /// A stream ended or the peer changed its limits: the connection may have room.
    func tunnelChanged(_ connection: TunnelConnection)
}
