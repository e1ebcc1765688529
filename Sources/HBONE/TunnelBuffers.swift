package import EventLoop
internal import MeshModel
package import TLS

/// The buffers one worker thread uses for all its connections in turn; 64 KiB each, so that they stay in its cache.
package final class TunnelBuffers {
    /// Bytes in each buffer: the unit of work.
    package static let size = TLSChannel.unit
    package let channel = TLSChannel()
    /// Ciphertext as read from a peer.
    package let cipherIn = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
    /// What one decryption may fill: a whole unit of work, and room for the record that begins in it.
    package static let plainInSize = size + 16_384 + 256
    /// Frames as decrypted.
    package let plainIn = UnsafeMutableRawPointer.allocate(byteCount: plainInSize, alignment: 4096)
    /// Frames to be sealed.
    package let plainOut = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
    /// Bytes on their way between two plain sockets.
    package let relay = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
    /// The handshakes of the worker's connections.
    let handshakes: HandshakeQueue
    private let memory: MemoryAccount
    private var common: FairShare?

    /// - Parameters:
    ///   - handshakes: handshakes of strangers that may be under way at a time.
    ///   - memory: the account of connections that belong to nobody in particular.
    package init(handshakes: Int = Limits.standard.handshakes, memory: MemoryAccount = .unlimited) {
        self.memory = memory
        self.handshakes = HandshakeQueue(limit: handshakes)
    }

    /// The share of connections that belong to nobody in particular: one for all of the worker.
    package func commonShare(_ loop: EventLoop) -> FairShare {
        if let common { return common }
        let share = FairShare(loop: loop, memory: memory)
        common = share
        return share
    }

    deinit {
        cipherIn.deallocate()
        plainIn.deallocate()
        plainOut.deallocate()
        relay.deallocate()
    }
}
