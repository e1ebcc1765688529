/// An insertion into a manifest's text that keeps its comments, its order and its indentation.
struct ManifestEdit: Hashable, Sendable {
    /// The byte before which the text goes.
    let offset: Int
    let text: String

    /// Adds an item to a list.
    /// - Parameters:
    ///   - block: the lines of the item, without dash and indentation, for a list with one item on each line.
    ///   - flow: the item as JSON, for a list in brackets.
    /// - Returns: nil for an empty list, or where its end is not found.
    static func append(block: [String], flow: String, to list: ManifestValue, in bytes: [UInt8]) -> ManifestEdit? {
        guard case .sequence(let items) = list.node.content, let last = items.last else { return nil }
        let lines = LineStarts(bytes)
        guard let start = lines.offset(of: list, list.node, bytes) else { return nil }
        if bytes[start] == UInt8(ascii: "[") {
            guard let end = closingBracket(from: start, bytes) else { return nil }
            return ManifestEdit(offset: end, text: ", " + flow)
        }
        guard let item = lines.offset(of: list, last, bytes) else { return nil }
        let lineStart = lines.starts[Int(last.line) + list.path.lineOffset - 1]
        // The dash is the last one before the item's first key.
        guard let dash = bytes[lineStart..<item].lastIndex(of: UInt8(ascii: "-")) else { return nil }
        let indent = String(repeating: " ", count: dash - lineStart)
        let endLine = lastLine(of: last) + list.path.lineOffset
        var text = ""
        let offset: Int
        if endLine < lines.starts.count {
            offset = lines.starts[endLine]
        } else {
            offset = bytes.count
            if bytes.last != 10 { text = "\n" }
        }
        for (index, line) in block.enumerated() { text += indent + (index == 0 ? "- " : "  ") + line + "\n" }
        return ManifestEdit(offset: offset, text: text)
    }

    static func apply(_ edits: [ManifestEdit], to bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        // From the end, so that the places of the others stay.
        for edit in edits.enumerated().sorted(by: { ($0.element.offset, $0.offset) > ($1.element.offset, $1.offset) }) {
            result.insert(contentsOf: Array(edit.element.text.utf8), at: edit.element.offset)
        }
        return result
    }

    /// The last line, from 1 within the document, on which a part of the value begins; scalars over several lines are
    /// nothing a port or a peer has.
    private static func lastLine(of node: YAMLNode) -> Int {
        switch node.content {
        case .scalar: Int(node.line)
        case .sequence(let items): items.map(lastLine).max() ?? Int(node.line)
        case .mapping(let entries): entries.map { max(Int($0.line), lastLine(of: $0.value)) }.max() ?? Int(node.line)
        }
    }

    /// Where the bracket ends that opens there; quotes and comments are stepped over.
    private static func closingBracket(from start: Int, _ bytes: [UInt8]) -> Int? {
        var depth = 0
        var quote: UInt8?
        var at = start
        while at < bytes.count {
            let byte = bytes[at]
            if let open = quote {
                if open == UInt8(ascii: "\""), byte == UInt8(ascii: "\\") { at += 1 }
                if byte == open { quote = nil }
            } else {
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "'"): quote = byte
                case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: "]"), UInt8(ascii: "}"):
                    depth -= 1
                    if depth == 0 { return at }
                case UInt8(ascii: "#") where bytes[at - 1] == 32 || bytes[at - 1] == 10:
                    at = (bytes[at...].firstIndex(of: 10) ?? bytes.count) - 1
                default: break
                }
            }
            at += 1
        }
        return nil
    }
}

/// Where the lines of a text begin.
struct LineStarts {
    let starts: [Int]

    init(_ bytes: [UInt8]) {
        var starts = [0]
        for (index, byte) in bytes.enumerated() where byte == 10 && index + 1 < bytes.count { starts.append(index + 1) }
        self.starts = starts
    }

    /// The byte at which a node of a value's document begins; columns count characters, and only ASCII stands before.
    func offset(of value: ManifestValue, _ node: YAMLNode, _ bytes: [UInt8]) -> Int? {
        let line = Int(node.line) + value.path.lineOffset - 1
        guard starts.indices.contains(line) else { return nil }
        let offset = starts[line] + Int(node.column) - 1
        return offset < bytes.count ? offset : nil
    }
}
