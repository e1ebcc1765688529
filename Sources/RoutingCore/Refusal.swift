package import MeshModel

/// Why a decision refuses a connection: the stable token, and the sentence for the log that names the thing and the cause.
package struct Refusal: Error, Hashable, Sendable {
    package var reason: Reason
    /// For the log and `ztun why`; never sent to the application. Text that came from a peer is escaped.
    package var detail: String

    package init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }
}
