internal import MeshModel

/// What one manifest file says.
struct ManifestFile: Sendable {
    /// An object that is not usable; its last good version may be.
    struct Refused: Hashable, Sendable {
        let reference: ObjectReference
        let place: ManifestPlace
    }

    private(set) var objects: [KubernetesObject] = []
    private(set) var refused: [Refused] = []
    /// True when a document could not even be read as YAML, so that nobody knows whose it was.
    private(set) var hasUnreadablePart = false
    private(set) var diagnostics: [ManifestDiagnostic] = []
    private let file: String

    /// Reads a file's text; what is wrong in one object becomes a diagnostic and hides no other.
    /// - Parameter labels: shares the storage of equal label sets.
    init(_ bytes: [UInt8], file: String, limits: YAMLLimits = YAMLLimits(), labels: inout Set<LabelSet>) {
        self.file = file
        for part in ManifestDocuments(bytes).parts {
            do throws(ConfigurationError) {
                let nodes = try YAMLDocument.parseAll(Array(part.bytes), file: file, limits: limits)
                for node in nodes {
                    let path = ManifestPath(file: file, lineOffset: part.lineOffset)
                    read(ManifestValue(node: node, path: path), nil, &labels)
                }
            } catch {
                hasUnreadablePart = true
                var error = error
                error.line = error.line.map { $0 + part.lineOffset }
                tell(error, nil, nil)
            }
        }
    }

    /// A file that could not be read at all.
    init(unreadable file: String, cause: String) {
        self.file = file
        hasUnreadablePart = true
        diagnostics.append(
            ManifestDiagnostic(.error, .invalid, nil, at: ManifestPlace(file: file, line: 1), cause))
    }

    private mutating func read(
        _ value: ManifestValue, _ inherited: KubernetesObject.Kind?, _ labels: inout Set<LabelSet>
    ) {
        let place = ManifestPlace(file: file, line: Int(value.node.line) + value.path.lineOffset)
        do throws(ConfigurationError) {
            let root = try value.mapping()
            let kindName = try root.text("kind")
            let version = try root.text("apiVersion")
            if kindName.isEmpty, inherited == nil {
                // A file of MeshConfig alone has no kind; Istio's own is one.
                throw root.error("the field 'kind' is missing", hint: "is this a Kubernetes object?")
            }
            let kind =
                kindName.isEmpty
                ? inherited ?? .init(apiVersion: version, kind: "")
                : KubernetesObject.Kind(apiVersion: version, kind: kindName)
            if kind.kind.hasSuffix("List"), root["items"] != nil {
                let single = kind.kind == "List" ? nil : String(kind.kind.dropLast(4))
                let each = single.map { KubernetesObject.Kind(apiVersion: version, kind: $0) }
                for item in try root.items("items") { read(item, each, &labels) }
                return
            }
            decode(kind, root, place, &labels)
        } catch {
            hasUnreadablePart = true
            tell(error, nil, place)
        }
    }

    private mutating func decode(
        _ kind: KubernetesObject.Kind, _ root: ManifestMapping, _ place: ManifestPlace, _ labels: inout Set<LabelSet>
    ) {
        let reference = Self.reference(kind, root)
        guard let versions = KubernetesObject.versions["\(kind.group)/\(kind.kind)"] else {
            guard !KubernetesObject.isForeign(kind) else { return }
            diagnostics.append(
                ManifestDiagnostic(
                    .warning, .unknownKind, reference, at: place,
                    "the kind \((kind.group + "/" + kind.kind).quoted) is not used"))
            return
        }
        guard versions.contains(kind.version) else {
            if let reference { refused.append(.init(reference: reference, place: place)) }
            diagnostics.append(
                ManifestDiagnostic(
                    .error, .unknownVersion, reference, at: place,
                    "the version \(kind.version.quoted) is not known; use \(versions.sorted().joined(separator: ", "))")
            )
            return
        }
        do throws(ConfigurationError) {
            guard var object = try KubernetesObject.decode(kind, root) else { return }
            object.share(&labels)
            objects.append(object)
        } catch {
            if let reference {
                refused.append(.init(reference: reference, place: place))
            } else {
                hasUnreadablePart = true
            }
            tell(error, reference, place)
        }
    }

    private static func reference(_ kind: KubernetesObject.Kind, _ root: ManifestMapping) -> ObjectReference? {
        guard let metadata = try? root.mapping("metadata"), let name = try? metadata.requiredText("name") else {
            return nil
        }
        let isOfCluster = KubernetesObject.clusterKinds.contains(kind.kind)
        // Known by what is in it, so that a broken edit leaves the one before in force.
        if kind.group.isEmpty, kind.kind == "ConfigMap", name == "istio" {
            return ObjectReference(kind: "MeshConfig", namespace: "", name: name)
        }
        let namespace = (try? metadata.text("namespace")) ?? ""
        return ObjectReference(
            kind: kind.kind, namespace: isOfCluster ? "" : namespace.isEmpty ? "default" : namespace, name: name)
    }

    private mutating func tell(_ error: ConfigurationError, _ object: ObjectReference?, _ place: ManifestPlace?) {
        let at = error.line.map { ManifestPlace(file: file, line: $0) } ?? place ?? ManifestPlace(file: file, line: 1)
        let path = error.path.reduce(into: "") { $0 += $1.hasPrefix("[") || $0.isEmpty ? $1 : ".\($1)" }
        let text = (path.isEmpty ? "" : "\(path): ") + error.problem + (error.hint.map { "; \($0)" } ?? "")
        diagnostics.append(ManifestDiagnostic(.error, .invalid, object, at: at, text))
    }
}
