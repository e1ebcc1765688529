package import MeshModel

/// The metric labels of one end of a connection; an empty string is written as `unknown`.
package struct PartyLabels: Hashable, Sendable {
    package var workload = ""
    package var canonicalService = ""
    package var canonicalRevision = ""
    package var namespace = ""
    /// The whole SPIFFE identity. For a source only what its certificate proved, never what the state says.
    package var principal = ""
    package var cluster = ""
    package var region = ""
    package var zone = ""

    package init() {}

    /// The labels the state gives a workload.
    ///
    /// - Parameter principal: the identity to show; a source's comes from its certificate.
    package init(_ workload: Workload, principal: SpiffeID?) {
        let fields = workload.fields
        self.workload = fields.workloadName.isEmpty ? fields.name : fields.workloadName
        canonicalService = fields.canonicalName
        canonicalRevision = fields.canonicalRevision
        namespace = fields.namespace
        self.principal = principal.map { "\($0)" } ?? ""
        cluster = fields.clusterID
        region = fields.locality.region
        zone = fields.locality.zone
    }
}
