/// One thing that a person must know of the manifests: what is refused, what leads nowhere, and what means less than
/// it says.
package struct ManifestDiagnostic: Hashable, Sendable {
    package enum Severity: String, Hashable, Sendable, CaseIterable {
        /// Something is not in force as written.
        case error
        /// Everything is in force, but probably not all that was meant.
        case warning
    }
    /// The kind of fault, stable for machines.
    package enum Code: String, Hashable, Sendable, CaseIterable {
        /// Not YAML, or a field has a wrong value.
        case invalid
        case unknownKind = "unknown-kind"
        case unknownVersion = "unknown-version"
        case duplicate
        /// A name that leads nowhere.
        case dangling
        /// A selector that selects nothing.
        case selectsNothing = "selects-nothing"
        /// A policy, or a part of one, that is not enforced as written (Istio's `UnsupportedValue`).
        case unsupported = "unsupported-value"
        /// A setting that is not obeyed.
        case ignored
    }

    package var severity: Severity
    package var code: Code
    /// Nil where not even the name could be read.
    package var object: ObjectReference?
    package var place: ManifestPlace?
    /// One sentence, without place and object; names the field, the cause and the next step.
    package var text: String

    package init(
        _ severity: Severity, _ code: Code, _ object: ObjectReference?, at place: ManifestPlace?, _ text: String
    ) {
        self.severity = severity
        self.code = code
        self.object = object
        self.place = place
        self.text = text
    }
}

extension ManifestDiagnostic: CustomStringConvertible {
    /// `mesh.yaml:12: warning: AuthorizationPolicy default/allow: …`
    package var description: String {
        (place.map { "\($0): " } ?? "") + "\(severity.rawValue): " + (object.map { "\($0): " } ?? "") + text
    }
}

extension ManifestDiagnostic: Comparable {
    package static func < (a: Self, b: Self) -> Bool {
        if a.severity != b.severity { return a.severity == .error }
        let none = ManifestPlace(file: "", line: 0)
        if a.place != b.place { return a.place ?? none < b.place ?? none }
        return a.text < b.text
    }
}
