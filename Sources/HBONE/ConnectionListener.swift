package import EventLoop
package import HTTP2
package import MeshModel
package import TLS

/// Accepts connections on a shared listening socket and hands each to its owner.
///
/// Several workers may listen on one socket; the kernel wakes one of them. Accepting pauses while nine tenths of the
/// process's descriptors are in use: what is open already still finds some to dial with, and a full process does not spin.
package final class ConnectionListener: EventHandler {
    unowned(unsafe) private let loop: EventLoop
    private let fd: Int32
    private let accept: (consuming Descriptor, SocketAddress) -> Void
    private let refused: (Int32) -> Void
    private var pause: Deadline?
    private var isClosed = false
    /// Descriptors from this number on are kept for what has been accepted: dials, the admin surface, namespaces.
    private let ceiling: Int32
    private static let pauseSeconds = 0.2
    private static let acceptsPerTurn = 16

    /// - Parameters:
    ///   - descriptor: a listening, non-blocking socket, which stays the caller's.
    ///   - accept: takes each connection with its peer's address.
    ///   - refused: hears the errno when accepting had to pause: EMFILE also where the last tenth is kept.
    package init(
        descriptor: Int32, loop: EventLoop, accept: @escaping (consuming Descriptor, SocketAddress) -> Void,
        refused: @escaping (Int32) -> Void
    ) throws(SystemError) {
        self.loop = loop
        fd = descriptor
        self.accept = accept
        self.refused = refused
        let limit = Kernel.descriptorLimit()
        ceiling = limit > 0 ? Int32(Int(limit) * Limits.standard.descriptorsPerMille / 1000) : .max
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
        var failure: Int32 = 0
        for _ in 0..<Self.acceptsPerTurn {
            guard !isClosed else { return }
            let (result, peer) = Kernel.accept(fd)
            if result >= 0 {
                failure = 0
                accept(Descriptor(owning: result), peer)
                // The kernel gives out the lowest free number: this many are in use.
                if result >= ceiling { return pauseAccepting(Kernel.tooManyDescriptors) }
                continue
            }
            if Kernel.wouldBlock(Int(result)) { return }
            if Kernel.isShortOfResources(result) { return pauseAccepting(-result) }
            // Of one connection that is gone again, as a rule; the next may be well.
            failure = -result
        }
        // Nothing but failures: coming back at once would only spin.
        if failure != 0 { pauseAccepting(failure) }
    }

    private func pauseAccepting(_ code: Int32) {
        guard !isClosed else { return }
        refused(code)
        loop.remove(self, descriptor: fd)
        waitForRoom()
    }

    private func waitForRoom() {
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(loop.deadlines(seconds: Self.pauseSeconds), now: loop.now)
        pause = deadline
    }

    package override func expired(_ kind: UInt8) {
        pause = nil
        guard !isClosed else { return }
        let next = Kernel.nextDescriptor(like: fd)
        guard next >= 0, next < ceiling else {
            refused(Kernel.tooManyDescriptors)
            return waitForRoom()
        }
        do throws(SystemError) {
            try loop.addListener(self, descriptor: fd)
        } catch {
            // The kernel is short of memory, say: the listener must not be lost over that.
            waitForRoom()
        }
    }
}

extension TunnelConnection {
    /// Serves an accepted connection of the tunnel port.
    ///
    /// - Throws: `TunnelFailure` when it cannot be served; the socket is closed then.
    package static func serve(
        _ socket: consuming Descriptor, from remote: SocketAddress, context: TLSContext, trustDomain: String,
        loop: EventLoop, buffers: TunnelBuffers, limits: HTTP2Limits = HTTP2Limits(), share: FairShare? = nil,
        owner: any TunnelOwner
    ) throws(TunnelFailure) -> TunnelConnection {
        Kernel.setNoDelay(socket.number)
        let local = Kernel.localAddress(socket.number) ?? SocketAddress(.anyV6, 0)
        return try TunnelConnection(
            socket: socket, isConnected: true, role: .server, context: context,
            expectation: .trustDomain(trustDomain), local: local, remote: remote, loop: loop, buffers: buffers,
            limits: limits, share: share, owner: owner)
    }
}
