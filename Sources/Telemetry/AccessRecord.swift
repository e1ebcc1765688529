package import MeshModel

/// What the access log says of one finished or refused connection. Empty strings are left out of the line.
package struct AccessRecord: Sendable {
    /// One end of the connection as the state describes it.
    package struct Party: Sendable {
        /// Pod name, or the canonical service when there is none.
        package var workload = ""
        package var namespace = ""
        /// Only when mutual TLS proved it.
        package var identity: SpiffeID?
        package var cluster = ""

        package init() {}

        /// Names from the state; the identity is what mutual TLS proved, or nil.
        package init(_ workload: Workload, identity: SpiffeID?) {
            let fields = workload.fields
            self.workload = fields.name.isEmpty ? fields.canonicalName : fields.name
            namespace = fields.namespace
            self.identity = identity
            cluster = fields.clusterID
        }
    }

    package var direction: Direction
    package var sourceAddress: SocketAddress
    package var source = Party()
    /// Where the bytes went: the peer's tunnel port, or the application's address.
    package var destinationAddress: SocketAddress
    /// The CONNECT authority; peer text on the inbound side.
    package var hboneAddress = ""
    /// Host name of the service that was called.
    package var service = ""
    package var destination = Party()
    /// Bytes this proxy sent to the destination side, from its own view (outbound: the request).
    package var bytesSent: UInt64 = 0
    /// Bytes this proxy received, from its own view (outbound: the response).
    package var bytesReceived: UInt64 = 0
    /// From accept to close, nanoseconds.
    package var duration: UInt64 = 0
    /// What failed, in words; empty for a connection that ended well.
    package var error = ""
    /// The stable token of ``error``.
    package var reason: Reason?
    /// The policy that refused, `namespace/name`; empty when none did.
    package var policy = ""

    package init(direction: Direction, source: SocketAddress, destination: SocketAddress) {
        self.direction = direction
        sourceAddress = source
        destinationAddress = destination
    }
}

extension AccessRecord {
    /// The fields in ztunnel's order, ours (`reason`, `policy`) last.
    func writeFields(into line: inout LogLine) {
        writeEnds(into: &line)
        line.field("bytes_sent", number: bytesSent)
        line.field("bytes_recv", number: bytesReceived)
        line.field("duration", string: "\(duration / 1_000_000)ms")
        line.field("error", string: error)
        if let reason { line.field("reason", string: reason.rawValue) }
        line.field("policy", string: policy)
    }

    /// The fields that are known from the start: both ends and the direction.
    func writeEnds(into line: inout LogLine) {
        line.field("src.addr", address: sourceAddress)
        write(source, prefix: "src", into: &line)
        line.field("dst.addr", address: destinationAddress)
        line.field("dst.hbone_addr", bare: hboneAddress)
        line.field("dst.service", string: service)
        write(destination, prefix: "dst", into: &line)
        line.field("direction", string: direction.rawValue)
    }

    /// The fields of a refusal before anything is known of the connection.
    func writeShortFields(into line: inout LogLine) {
        line.field("src.addr", address: sourceAddress)
        line.field("dst.addr", address: destinationAddress)
        line.field("direction", string: direction.rawValue)
        line.field("error", string: error)
        if let reason { line.field("reason", string: reason.rawValue) }
    }

    private func write(_ party: Party, prefix: String, into line: inout LogLine) {
        line.field("\(prefix).workload", string: party.workload)
        line.field("\(prefix).namespace", string: party.namespace)
        if let identity = party.identity { line.field("\(prefix).identity", string: "\(identity)") }
        line.field("\(prefix).cluster", string: party.cluster)
    }
}
