/// What the mesh is told as a whole, beside its objects.
package struct MeshSettings: Hashable, Sendable {
    package var outboundTrafficPolicy = OutboundTrafficPolicy.allowAny
    /// Where a namespace says nothing of its own.
    package var policyEdits = PolicyEdits.cut
    /// What namespaces say of their own pods' connections.
    package var policyEditsByNamespace: [String: PolicyEdits] = [:]

    package init() {}

    /// What becomes of open connections of a namespace's pods.
    package func policyEdits(ofNamespace name: String) -> PolicyEdits {
        policyEditsByNamespace.isEmpty ? policyEdits : policyEditsByNamespace[name] ?? policyEdits
    }
}
