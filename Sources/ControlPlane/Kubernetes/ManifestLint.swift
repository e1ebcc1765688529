internal import MeshModel
internal import TLS

/// Looks at manifests without running anything from them: what is wrong, and what means less than it says.
package struct ManifestLint {
    /// A file's text as it was read.
    package struct Source: Sendable {
        package let path: String
        package let bytes: [UInt8]
    }

    package private(set) var sources: [Source] = []
    package private(set) var diagnostics: [ManifestDiagnostic] = []
    /// How many objects were understood.
    package private(set) var objectCount = 0
    let objects: ObjectSet
    /// What the objects amount to.
    let mesh: CompiledMesh

    /// Reads files and folders.
    package init(paths: [String], settings: KubernetesSettings = KubernetesSettings()) {
        var files: [ManifestFile] = []
        var labels: Set<LabelSet> = []
        for path in paths {
            let tree = ManifestTree(path: path)
            if tree.isMissing {
                diagnostics.append(
                    ManifestDiagnostic(
                        .error, .invalid, nil, at: ManifestPlace(file: path, line: 1), "there is no such file or folder"
                    ))
            }
            for file in tree.files.keys.sorted() {
                do throws(CertificateError) {
                    let contents = try FileContents(path: file, limit: YAMLLimits().bytes)
                    sources.append(Source(path: file, bytes: contents.bytes))
                    files.append(ManifestFile(contents.bytes, file: file, labels: &labels))
                } catch {
                    files.append(ManifestFile(unreadable: file, cause: error.description))
                }
            }
        }
        var objects = ObjectSet()
        var seen: [ObjectReference: ManifestPlace] = [:]
        for file in files {
            diagnostics += file.diagnostics
            for object in file.objects {
                objectCount += 1
                if let other = seen[object.reference] {
                    diagnostics.append(
                        ManifestDiagnostic(
                            .error, .duplicate, object.reference, at: object.place,
                            "it is defined a second time; the one at \(other) is in force"))
                    continue
                }
                seen[object.reference] = object.place
                objects.insert(object)
            }
        }
        self.objects = objects
        var compiler = MeshCompiler(objects, settings)
        mesh = compiler.compile()
        diagnostics = (diagnostics + mesh.diagnostics).sorted()
    }
}
