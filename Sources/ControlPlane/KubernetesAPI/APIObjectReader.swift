internal import MeshModel

/// Makes typed objects of what the API server sends about one kind.
struct APIObjectReader {
    private let kind: WatchedKind
    private let path: ManifestPath
    private var storage = SharedStorage()

    /// - Parameter source: the server, for messages.
    init(_ kind: WatchedKind, source: String) {
        self.kind = kind
        path = ManifestPath(file: source, lineOffset: 0)
    }

    /// Reads one object.
    /// - Parameter isListed: items of a list need not say what they are.
    /// - Returns: nil for an object that is none of ours (another ConfigMap).
    /// - Throws: ``APIFailure`` for an object of another kind, or without a name.
    mutating func edit(_ node: YAMLNode, version: String, isListed: Bool) throws(APIFailure) -> ObjectEdit? {
        let reference = try reference(node, isListed: isListed)
        do throws(ConfigurationError) {
            let root = try ManifestValue(node: node, path: path).mapping()
            guard var object = try KubernetesObject.decode(.init(apiVersion: version, kind: kind.kind), root) else {
                return nil
            }
            storage.share(&object)
            return .upsert(object)
        } catch {
            let steps = error.path.reduce(into: "") { $0 += $1.hasPrefix("[") || $0.isEmpty ? $1 : ".\($1)" }
            let text = (steps.isEmpty ? "" : "\(steps): ") + error.problem + (error.hint.map { "; \($0)" } ?? "")
            return .refuse(
                reference,
                ManifestDiagnostic(.error, .invalid, reference, at: ManifestPlace(file: path.file, line: 0), text))
        }
    }

    /// What an object is called.
    func reference(_ node: YAMLNode, isListed: Bool) throws(APIFailure) -> ObjectReference {
        do throws(ConfigurationError) {
            let root = try ManifestValue(node: node, path: path).mapping()
            let name = try root.text("kind")
            let group = KubernetesObject.Kind(apiVersion: try root.text("apiVersion"), kind: name).group
            guard name == kind.kind && group == kind.group || isListed && name.isEmpty else {
                throw ConfigurationError(file: "", problem: "it is a \(name.quoted) of group \(group.quoted)")
            }
            let metadata = try Kubernetes.Metadata(
                root, isNamespaced: !KubernetesObject.clusterKinds.contains(kind.kind))
            if kind.kind == "ConfigMap" {
                return ObjectReference(kind: "MeshConfig", namespace: "", name: metadata.name)
            }
            return ObjectReference(kind: kind.kind, namespace: metadata.namespace, name: metadata.name)
        } catch {
            throw .rubbish("what it sends for \(kind.plural) is no \(kind.kind): \(error.problem)")
        }
    }

    /// The version of an object, or of a collection.
    static func resourceVersion(_ node: YAMLNode) -> String {
        node["metadata"]?["resourceVersion"]?.string ?? ""
    }
}

extension YAMLNode {
    /// The value of a mapping's key; nil without one.
    subscript(key: String) -> YAMLNode? {
        guard case .mapping(let entries) = content else { return nil }
        return entries.first { $0.isKey(key) }?.value
    }

    /// The text of a scalar that is text.
    var string: String? {
        guard case .scalar(let scalar) = content, scalar.type == .text else { return nil }
        return scalar.text
    }

    /// The value of a whole number.
    var integer: Int? {
        guard case .scalar(let scalar) = content else { return nil }
        return scalar.integer
    }
}
