/// One thing that the API server said about one object.
enum ObjectEdit: Sendable {
    /// It is there, like this.
    case upsert(KubernetesObject)
    /// It is gone.
    case remove(ObjectReference)
    /// Of its kind nothing else is there.
    case sweep(kind: String, keeping: Set<ObjectReference>)
    /// It is there, but cannot be read; the last version that could stays in force.
    case refuse(ObjectReference, ManifestDiagnostic)
}
