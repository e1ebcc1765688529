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

    /// Handshake steps that one turn of the loop may take: each is up to a millisecond of public-key work, in which no
    /// other connection of the worker is served.
    private static let handshakesPerTurn = 2
    private var handshakeTurn: UInt64 = 0
    private var handshakes = 0

    package init() {}

    /// Whether a handshake may go on in this turn; if not, it is to try again in the next.
    func takeHandshakeStep(turn: UInt64) -> Bool {
        if turn != handshakeTurn {
            handshakeTurn = turn
            handshakes = 0
        }
        guard handshakes < Self.handshakesPerTurn else { return false }
        handshakes += 1
        return true
    }

    deinit {
        cipherIn.deallocate()
        plainIn.deallocate()
        plainOut.deallocate()
        relay.deallocate()
    }
}
