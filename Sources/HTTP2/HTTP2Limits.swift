/// The sizes an HTTP/2 engine announces and enforces.
package struct HTTP2Limits: Sendable, Hashable {
    /// Largest header list, RFC 9113 6.5.2 count (name + value + 32 per field), counted by us.
    package var headerListSize = 16_384
    /// Most fields in one header list.
    package var headerFields = 64
    /// Most bytes of one header block on the wire. An encoding longer than the largest list cannot be of a list we take,
    /// and decoding it would cost the worker time; the connection ends.
    package var headerBlockBytes = 65_536
    /// Streams a peer may have open on a connection.
    package var concurrentStreams = 100
    /// What each stream may receive before it is read, in bytes.
    package var streamWindow = 262_144
    /// The most a stream's window grows to.
    package var largestStreamWindow = 4_194_304
    /// What all streams of a connection may have on the wire, in bytes.
    package var connectionWindow = 16_777_216
    /// Largest frame we accept.
    package var frameSize = 1_048_576
    /// Acts of misbehaviour one connection may show at once (``GlitchBudget``).
    package var glitches = 100
    /// How many of them are forgiven per second.
    package var glitchesForgiven = 10

    package init() {}
}
