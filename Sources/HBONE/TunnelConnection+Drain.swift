internal import HTTP2

extension TunnelConnection {
    /// Server: the first step of a graceful end. The peer is told to open no more streams; those that it opened before it
    /// heard of it are still served. ``drain()`` is the second step, a round trip later.
    package func announceDrain() {
        guard role == .server, phase == .open else { return }
        http2?.announceShutdown()
        markForOutput()
    }
}
