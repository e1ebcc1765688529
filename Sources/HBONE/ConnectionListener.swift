package import EventLoop
package import HTTP2
package import MeshModel
package import TLS

/// Accepts connections on a shared listening socket and hands each to its owner.
///
/// Several workers may listen on one socket; the kernel wakes one of them. Accepting pauses while descriptors are short,
/// so that a full process does not spin.
package final class ConnectionListener: EventHandler {
    unowned(unsafe) private let loop: EventLoop
    private let fd: Int32
    private let accept: (consuming Descriptor, SocketAddress) -> Void
    private let refused: (Int32) -> Void
    private var pause: Deadline?
    private var isClosed = false
    private static let acceptsPerTurn = 64

    /// - Parameters:
    ///   - descriptor: a listening, non-blocking socket, which stays the caller's.
    ///   - accept: takes each connection with its peer's address.
    ///   - refused: hears the errno when accepting had to pause.
    package init(
        descriptor: Int32, loop: EventLoop, accept: @escaping (consuming Descriptor, SocketAddress) -> Void,
        refused: @escaping (Int32) -> Void
    ) throws(SystemError) {
        self.loop = loop
        fd = descriptor
        self.accept = accept
        self.refused = refused
        super.init()
        try loop.addListener(self, descriptor: descriptor)
    }

    /// Stops accepting; the descriptor stays open.
    package func close() {
        guard !isClosed else { return }
        isClosed = true
        pause = nil
        loop.remove(self, descriptor: fd)
    }

    package override func ready(_ readiness: Readiness) {
        for _ in 0..<Self.acceptsPerTurn {
            guard !isClosed else { return }
            let (result, peer) = Kernel.accept(fd)
            if result >= 0 {
                accept(Descriptor(owning: result), peer)
                continue
            }
            if Kernel.wouldBlock(Int(result)) { return }
            if Kernel.isShortOfResources(result) {
                refused(-result)
                loop.remove(self, descriptor: fd)
                let deadline = Deadline(owner: self, kind: 0)
                deadline.arm(loop.deadlines(seconds: 0.2), now: loop.now)
                pause = deadline
                return
            }
        }
    }

    package override func expired(_ kind: UInt8) {
        pause = nil
        guard !isClosed else { return }
        try? loop.addListener(self, descriptor: fd)
    }
}

extension TunnelConnection {
    /// Serves an accepted connection of the tunnel port.
    ///
    /// - Throws: `TunnelFailure` when it cannot be served; the socket is closed then.
    package static func serve(
        _ socket: consuming Descriptor, from remote: SocketAddress, context: TLSContext, trustDomain: String,
        loop: EventLoop, buffers: TunnelBuffers, limits: HTTP2Limits = HTTP2Limits(), owner: any TunnelOwner
    ) throws(TunnelFailure) -> TunnelConnection {
        Kernel.setNoDelay(socket.number)
        let local = Kernel.localAddress(socket.number) ?? SocketAddress(.anyV6, 0)
        return try TunnelConnection(
            socket: socket, isConnected: true, role: .server, context: context,
            expectation: .trustDomain(trustDomain), local: local, remote: remote, loop: loop, buffers: buffers,
            limits: limits, owner: owner)
    }
}
