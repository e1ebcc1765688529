package import MeshModel

/// Connections that are alike: who calls whom, on which port, with which verdict, and whether the peer was verified.
package struct FlowClass: Hashable, Sendable {
    /// One end.
    package struct Party: Hashable, Sendable {
        package var namespace = ""
        /// The deployment, or what else the pods have in common; of a pod without one, its name.
        package var workload = ""
        /// What mutual TLS proved.
        package var identity = ""
        /// Only where the state knows no workload. Nil then means one of too many.
        package var address: IPAddress?

        package init(_ workload: Workload?, identity: SpiffeID?, address: IPAddress?) {
            if let fields = workload?.fields {
                namespace = fields.namespace
                self.workload = fields.workloadName.isEmpty ? fields.name : fields.workloadName
            } else {
                self.address = address
                namespace = identity?.namespace ?? ""
            }
            self.identity = identity.map { "\($0)" } ?? ""
        }
    }

    package var direction: Direction
    package var source: Party
    package var destination: Party
    /// Host name of the service that was called; empty when none was.
    package var service: String
    /// The application's port, as it was asked for.
    package var port: UInt16
    package var verdict: FlowVerdict
    /// Whether both ends proved who they are; plaintext otherwise.
    package var isMutual: Bool

    package init(
        direction: Direction, source: Party, destination: Party, service: String, port: UInt16, verdict: FlowVerdict,
        isMutual: Bool
    ) {
        self.direction = direction
        self.source = source
        self.destination = destination
        self.service = service
        self.port = port
        self.verdict = verdict
        self.isMutual = isMutual
    }
}

/// The last connection of a class: what policy is asked when somebody wants to know what would become of the class.
package struct FlowSample: Sendable {
    package var source: SocketAddress
    /// What was asked for: by the application outbound, of the pod inbound.
    package var target: SocketAddress
    package var sourceWorkload: Workload?
    package var destinationWorkload: Workload?
    package var sourceIdentity: SpiffeID?

    package init(
        source: SocketAddress, target: SocketAddress, sourceWorkload: Workload?, destinationWorkload: Workload?,
        sourceIdentity: SpiffeID?
    ) {
        self.source = source
        self.target = target
        self.sourceWorkload = sourceWorkload
        self.destinationWorkload = destinationWorkload
        self.sourceIdentity = sourceIdentity
    }
}
