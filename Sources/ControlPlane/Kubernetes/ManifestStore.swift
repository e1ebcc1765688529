internal import MeshModel
internal import TLS

/// The manifests of a folder as they were last read; decides what is to be read again and what stays in force.
struct ManifestStore: Sendable {
    /// What to do about the folder now.
    enum Action: Hashable, Sendable { case wait, settle, read, missing }

    private var files: [String: ManifestFile] = [:]
    /// What is in force, by name.
    private var inForce: [ObjectReference: KubernetesObject] = [:]
    private var known: ManifestTree?
    private var pending: ManifestTree?
    /// Files that may have changed within the tick of the clock in which they were read.
    private var again: Set<String> = []
    private var labels: Set<LabelSet> = []
    /// Policies that are known by name only.
    private var unreadable: [ManifestFile.Refused] = []

    /// Within this many nanoseconds two changes of a file may carry the same time.
    private static let tick: Int64 = 50_000_000

    /// Takes what the folder looks like.
    /// - Parameter now: nanoseconds of the Unix epoch.
    mutating func look(at tree: ManifestTree, now: Int64) -> Action {
        guard !tree.isMissing else {
            pending = nil
            return .missing
        }
        if tree == known {
            pending = nil
            return again.isEmpty ? .wait : .read
        }
        // Before anything was loaded there is nothing to protect.
        guard known == nil || tree == pending else {
            pending = tree
            return .settle
        }
        let before = known?.files ?? [:]
        files = files.filter { tree.files[$0.key] != nil }
        for (path, version) in tree.files where before[path] != version || files[path] == nil { again.insert(path) }
        fresh = again
        again = Set(again.filter { path in tree.files[path].map { now - $0.changed < Self.tick } ?? false })
        known = tree
        pending = nil
        return .read
    }

    private var fresh: Set<String> = []

    /// Reads what changed and compiles everything that is in force.
    mutating func load(_ settings: KubernetesSettings) -> CompiledMesh {
        if fresh.isEmpty { (fresh, again) = (again, []) }
        for path in fresh where known?.files[path] != nil { read(path) }
        fresh = []
        let isFirst = inForce.isEmpty
        // What could not be read then, and not since.
        let neverRead = Set(self.unreadable.map(\.reference))
        var next: [ObjectReference: KubernetesObject] = [:]
        var diagnostics: [ManifestDiagnostic] = []
        for path in files.keys.sorted() {
            for object in files[path]?.objects ?? [] {
                let reference = object.reference
                if let other = next[reference] {
                    diagnostics.append(
                        ManifestDiagnostic(
                            .error, .duplicate, reference, at: object.place,
                            "it is defined a second time; the one at \(other.place) is in force"))
                    continue
                }
                next[reference] = object
            }
        }
        var unreadable: [ManifestFile.Refused] = []
        for path in files.keys.sorted() {
            guard let file = files[path] else { continue }
            diagnostics += file.diagnostics
            for refused in file.refused where next[refused.reference] == nil {
                if let old = inForce[refused.reference] {
                    next[refused.reference] = old
                } else if isFirst || neverRead.contains(refused.reference) {
                    unreadable.append(refused)
                }
            }
            guard file.hasUnreadablePart else { continue }
            // Nobody knows whose text that is: what this file said before stays.
            for (reference, old) in inForce where old.place.file == path && next[reference] == nil {
                next[reference] = old
            }
        }
        inForce = next
        self.unreadable = unreadable
        var objects = ObjectSet(next.values)
        objects.unreadablePolicies = unreadable
        var compiler = MeshCompiler(objects, settings)
        var mesh = compiler.compile()
        mesh.diagnostics = (mesh.diagnostics + diagnostics).sorted()
        return mesh
    }

    /// What would be in force with files on top.
    /// - Parameter replacesPolicies: whether the policies in force are left out.
    func candidate(
        _ files: [(name: String, bytes: [UInt8])], replacesPolicies: Bool, _ settings: KubernetesSettings
    ) -> CompiledMesh {
        var labels = labels
        var objects = ObjectSet(inForce.values)
        if replacesPolicies { objects.removePolicies() }
        var diagnostics: [ManifestDiagnostic] = []
        var defined: Set<ObjectReference> = []
        for (name, bytes) in files {
            let file = ManifestFile(bytes, file: name, labels: &labels)
            for object in file.objects {
                objects.insert(object)
                defined.insert(object.reference)
            }
            diagnostics += file.diagnostics
        }
        // What nobody can read closes what it may reach until somebody writes it anew.
        if !replacesPolicies { objects.unreadablePolicies = unreadable.filter { !defined.contains($0.reference) } }
        var compiler = MeshCompiler(objects, settings)
        var mesh = compiler.compile()
        mesh.diagnostics = (mesh.diagnostics + diagnostics).sorted()
        return mesh
    }

    private mutating func read(_ path: String) {
        do throws(CertificateError) {
            let contents = try FileContents(path: path, limit: YAMLLimits().bytes)
            files[path] = ManifestFile(contents.bytes, file: path, labels: &labels)
        } catch {
            files[path] = ManifestFile(unreadable: path, cause: error.description)
        }
    }
}
