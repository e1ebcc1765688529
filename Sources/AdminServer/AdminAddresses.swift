package import MeshModel

/// Where an ``AdminServer`` listens; nil leaves that surface out.
package struct AdminAddresses: Sendable {
    /// Istio's admin surface; loopback only.
    package var admin: SocketAddress?
    package var metrics: SocketAddress?
    package var readiness: SocketAddress?
    /// Path of the root-only Unix socket for `ztun`.
    package var controlSocket: String?

    package init(
        admin: SocketAddress? = nil, metrics: SocketAddress? = nil, readiness: SocketAddress? = nil,
        controlSocket: String? = nil
    ) {
        self.admin = admin
        self.metrics = metrics
        self.readiness = readiness
        self.controlSocket = controlSocket
    }
}

/// Why an ``AdminServer`` could not start: what, the cause, the next step.
package struct AdminFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
