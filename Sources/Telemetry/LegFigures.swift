/// What the kernel has measured of one TCP connection (`TCP_INFO`): one leg of a flow.
package struct LegFigures: Sendable, Hashable {
    /// The smoothed round-trip time, and its mean deviation.
    package var roundTripMicroseconds: UInt32
    package var roundTripVarianceMicroseconds: UInt32
    /// The shortest of the last minutes; 0 where the kernel does not say.
    package var shortestRoundTripMicroseconds: UInt32
    /// Segments sent again since the connection was made.
    package var retransmits: UInt32
    /// The last measured goodput, bytes per second; 0 when too little was sent to tell.
    package var deliveryRate: UInt64

    package init(
        roundTripMicroseconds: UInt32, roundTripVarianceMicroseconds: UInt32, shortestRoundTripMicroseconds: UInt32,
        retransmits: UInt32, deliveryRate: UInt64
    ) {
        self.roundTripMicroseconds = roundTripMicroseconds
        self.roundTripVarianceMicroseconds = roundTripVarianceMicroseconds
        self.shortestRoundTripMicroseconds = shortestRoundTripMicroseconds
        self.retransmits = retransmits
        self.deliveryRate = deliveryRate
    }
}

/// The two TCP connections that a proxy joins; nil for one that was not there, or is gone.
package struct FlowLegs: Sendable, Hashable {
    /// Towards who opened the connection.
    package var downstream: LegFigures?
    /// Towards whom it is for. A tunnel's leg is that of all streams in it.
    package var upstream: LegFigures?

    package init(downstream: LegFigures?, upstream: LegFigures?) {
        self.downstream = downstream
        self.upstream = upstream
    }
}
