package import MeshModel

/// What Kubernetes resources amount to: the parts of the next ``MeshSnapshot``, and what is to be told of them.
package struct CompiledMesh: Sendable {
    package var workloads: [Workload] = []
    package var services: [Service] = []
    package var policies: [AuthorizationPolicy] = []
    package var networkPolicies = NetworkPolicyTable.empty
    /// What it is told as a whole.
    package var settings = MeshSettings()
    /// Of waypoints.
    package var routes: [HTTPRoute] = []
    /// Errors first.
    package var diagnostics: [ManifestDiagnostic] = []

    package init() {}
}
