/// Why a configuration or state file was refused: which file, where in it, what is wrong and what would be right.
package struct ConfigurationError: Error, Hashable, Sendable {
    /// The file as the user named it.
    package var file: String
    /// The line, from 1; nil when the fault is not at one place.
    package var line: Int?
    /// The column, from 1; nil when the fault is not at one place.
    package var column: Int?
    /// Where in the document, outermost first: `workloads[3]`, `services`.
    package var path: [String]
    /// What is wrong, without place: `unknown key 'worklods'`.
    package var problem: String
    /// What would be right: `did you mean 'workloads'?`; nil when there is nothing to suggest.
    package var hint: String?

    package init(
        file: String, line: Int? = nil, column: Int? = nil, path: [String] = [], problem: String, hint: String? = nil
    ) {
        self.file = file
        self.line = line
        self.column = column
        self.path = path
        self.problem = problem
        self.hint = hint
    }

    /// The same error seen from one level further out.
    func inside(_ step: String) -> ConfigurationError {
        var error = self
        error.path.insert(step, at: 0)
        return error
    }
}

extension ConfigurationError: CustomStringConvertible {
    /// `mesh.yaml: workloads[3]: unknown key 'nmae' at line 9, column 3; did you mean 'name'?`
    package var description: String {
        var text = "\(file): "
        if !path.isEmpty {
            text += path.reduce(into: "") { $0 += $1.hasPrefix("[") || $0.isEmpty ? $1 : ".\($1)" } + ": "
        }
        text += problem
        if let line { text += " at line \(line)" + (column.map { ", column \($0)" } ?? "") }
        if let hint { text += "; \(hint)" }
        return text
    }
}

extension String {
    /// The text between single quotes, made safe for one line of a log: control characters escaped, length bounded.
    var quoted: String {
        var text = "'"
        for scalar in unicodeScalars.prefix(120) {
            switch scalar.value {
            case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029, 0x202a...0x202e, 0x2066...0x2069:
                text += "\\u{\(String(scalar.value, radix: 16))}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + (unicodeScalars.count > 120 ? "…'" : "'")
    }
}
