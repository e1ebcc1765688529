package import MeshModel

/// Why a tunnel connection or a stream in it could not be opened or ended badly.
package struct TunnelFailure: Error, Sendable, Hashable, CustomStringConvertible {
    package let reason: Reason
    /// The cause for the log; text of the peer in it is escaped.
    package let description: String
    /// The status of a refused CONNECT; nil for every other failure.
    package var status: Int?
    /// The stage before the peer could see any byte of the application: another endpoint may be tried.
    package var isBeforeRequest: Bool
    /// The peer has said that it did not look at the stream (RFC 9113 8.7): the same may be asked again elsewhere.
    package var isUnprocessed = false

    package init(_ reason: Reason, _ description: String, status: Int? = nil, isBeforeRequest: Bool = false) {
        self.reason = reason
        self.description = description
        self.status = status
        self.isBeforeRequest = isBeforeRequest
    }
}
