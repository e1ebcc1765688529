/// The sizes an HTTP/2 engine announces and enforces.
package struct HTTP2Limits: Sendable, Hashable {
    /// Largest header list, RFC 9113 6.5.2 count (name + value + 32 per field), counted by us.
    package var headerListSize = 16_384
    /// Most fields in one header list.
    package var headerFields = 64
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

    package init() {}
}
