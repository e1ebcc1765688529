internal import MeshModel

/// The sizes an HTTP/2 engine announces and enforces.
package struct HTTP2Limits: Sendable, Hashable {
    /// Largest header list, RFC 9113 6.5.2 count (name + value + 32 per field), counted by us.
    package var headerListSize = Limits.standard.headerListBytes
    /// Most fields in one header list.
    package var headerFields = Limits.standard.headerFields
    /// Most bytes of one header block on the wire. An encoding longer than the largest list cannot be of a list we take,
    /// and decoding it would cost the worker time; the connection ends.
    package var headerBlockBytes = Limits.standard.headerBlockBytes
    /// Streams a peer may have open on a connection.
    package var concurrentStreams = Limits.standard.concurrentStreams
    /// What each stream may receive before it is read, in bytes.
    package var streamWindow = Limits.standard.streamWindowBytes
    /// The most a stream's window grows to.
    package var largestStreamWindow = Limits.standard.largestStreamWindowBytes
    /// What all streams of a connection may have on the wire, in bytes.
    package var connectionWindow = Limits.standard.connectionWindowBytes
    /// Largest frame we accept.
    package var frameSize = Limits.standard.frameBytes
    /// Acts of misbehaviour one connection may show at once (``GlitchBudget``).
    package var glitches = Limits.standard.glitches
    /// How many of them are forgiven per second.
    package var glitchesForgiven = Limits.standard.glitchesForgivenPerSecond

    package init() {}
}
