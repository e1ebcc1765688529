package import EventLoop

/// A plain relay that stands still: its two sockets, and what each had yet to be given. Closed when nobody goes on with it.
package struct PlainRelayParts: Sendable {
    /// What is to be known of one socket.
    package struct Side: Codable, Sendable, Hashable {
        /// Bytes read from it so far.
        package var bytesRead: UInt64
        /// Whether its FIN has been read.
        package var sourceEnded: Bool
        /// Whether it has been sent a FIN.
        package var isShutdown: Bool
        /// How many bytes it has yet to be given.
        package var waiting: Int
    }

    package let downstream: Side
    package let upstream: Side
    /// What downstream has yet to be given, then what upstream has.
    package let bytes: [UInt8]
    /// Downstream, upstream.
    package let sockets: DescriptorBundle

    /// Nil when the parts do not fit together.
    package init?(downstream: Side, upstream: Side, bytes: [UInt8], sockets: DescriptorBundle) {
        guard downstream.waiting >= 0, upstream.waiting >= 0, downstream.waiting <= bytes.count,
            upstream.waiting == bytes.count - downstream.waiting, sockets.open.count == 2
        else { return nil }
        self.downstream = downstream
        self.upstream = upstream
        self.bytes = bytes
        self.sockets = sockets
    }

    /// Ends both connections with RST.
    package func reset() {
        for number in sockets.open { Kernel.resetOnClose(number) }
        for number in sockets.take() { _ = Descriptor(owning: number) }
    }
}
