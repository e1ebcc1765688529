package import MeshModel

/// What the Kubernetes objects amount to, or what has changed of that.
package enum MeshUpdate: Sendable {
    /// Everything.
    case whole(CompiledMesh)
    /// What may differ from before; some of it may be as it was.
    case part(MeshChanges)
}
