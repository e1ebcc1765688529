package import MeshModel

/// Why a connection's HTTP/2 ended.
package struct HTTP2Failure: Error, Sendable, CustomStringConvertible {
    package let reason: Reason
    package let description: String

    package init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }
}
