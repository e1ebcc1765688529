/// What the API server said about objects, in order.
package struct ObjectEdits: Sendable {
    var all: [ObjectEdit]

    init(_ edits: [ObjectEdit] = []) { all = edits }

    /// Objects as the API server lists them, for measurements.
    /// - Parameters:
    ///   - json: the text of each object.
    ///   - kind: of all of them; its name as Kubernetes has it.
    package init(reading json: [[UInt8]], of kind: String) {
        all = []
        guard let kind = WatchedKind.all(rootNamespace: "istio-system").first(where: { $0.kind == kind }) else {
            return
        }
        var reader = APIObjectReader(kind, source: "measured")
        for text in json {
            guard let node = try? JSONReader.read(text, skipping: kind.unread) else { continue }
            let edit = try? reader.edit(node, version: kind.apiVersion(0), isListed: true)
            if let edit { all.append(edit) }
        }
    }
}
