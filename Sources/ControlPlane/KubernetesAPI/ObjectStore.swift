internal import MeshModel

/// The objects that the API server has, as last told.
struct ObjectStore: Sendable {
    private var objects = ObjectSet()
    /// Objects whose newest version cannot be read, with why.
    private var refused: [ObjectReference: ManifestDiagnostic] = [:]
    /// Whether there is something that the last compilation did not know.
    private(set) var isChanged = false

    mutating func apply(_ edits: [ObjectEdit]) {
        for edit in edits {
            switch edit {
            case .upsert(let object):
                let reference = object.reference
                if refused.removeValue(forKey: reference) != nil { isChanged = true }
                guard objects[reference] != object else { continue }
                objects.insert(object)
            case .remove(let reference):
                refused[reference] = nil
                objects.remove(reference)
            case .refuse(let reference, let diagnostic):
                guard refused[reference] != diagnostic else { continue }
                refused[reference] = diagnostic
            }
            isChanged = true
        }
    }

    mutating func compile(_ settings: KubernetesSettings) -> CompiledMesh {
        isChanged = false
        return compile(objects, refused, settings)
    }

    /// What would be in force with files on top.
    /// - Parameter replacesPolicies: whether the policies in force are left out.
    func candidate(
        _ files: [(name: String, bytes: [UInt8])], replacesPolicies: Bool, _ settings: KubernetesSettings
    ) -> CompiledMesh {
        var labels: Set<LabelSet> = []
        var objects = objects
        var refused = refused
        if replacesPolicies {
            objects.removePolicies()
            refused = [:]
        }
        var diagnostics: [ManifestDiagnostic] = []
        for (name, bytes) in files {
            let file = ManifestFile(bytes, file: name, labels: &labels)
            for object in file.objects {
                objects.insert(object)
                refused[object.reference] = nil
            }
            diagnostics += file.diagnostics
        }
        var mesh = compile(objects, refused, settings)
        mesh.diagnostics = (mesh.diagnostics + diagnostics).sorted()
        return mesh
    }

    private func compile(
        _ objects: ObjectSet, _ refused: [ObjectReference: ManifestDiagnostic], _ settings: KubernetesSettings
    ) -> CompiledMesh {
        var objects = objects
        // A policy of which no version could ever be read closes what it may be for.
        objects.unreadablePolicies = refused.keys.sorted().filter { objects[$0] == nil }.map {
            ManifestFile.Refused(reference: $0, place: refused[$0]?.place ?? ManifestPlace(file: "", line: 0))
        }
        var compiler = MeshCompiler(objects, settings)
        var mesh = compiler.compile()
        mesh.diagnostics = (mesh.diagnostics + refused.values).sorted()
        return mesh
    }
}
