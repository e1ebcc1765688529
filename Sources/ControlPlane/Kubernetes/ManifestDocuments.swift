/// Cuts a manifest file into its documents, so that a broken one does not hide the others.
///
/// `---` at the start of a line always ends a document in YAML, in a block of text too.
struct ManifestDocuments {
    /// One document's bytes, and how many lines of the file stand before it.
    struct Part {
        let bytes: ArraySlice<UInt8>
        let lineOffset: Int
    }

    let parts: [Part]

    init(_ bytes: [UInt8]) {
        var parts: [Part] = []
        var start = 0
        var startLine = 0
        var line = 0
        var at = 0
        var hasContent = false
        func close(_ end: Int) {
            if hasContent { parts.append(Part(bytes: bytes[start..<end], lineOffset: startLine)) }
        }
        while at < bytes.count {
            let end = bytes[at...].firstIndex(of: 10) ?? bytes.count
            if Self.isSeparator(bytes[at..<end]) {
                close(at)
                // The rest of the line belongs to the document (`--- {a: 1}`).
                start = at
                startLine = line
                hasContent = bytes[(at + 3)..<end].contains { $0 != 32 && $0 != 9 && $0 != 13 }
            } else if !hasContent, Self.hasContent(bytes[at..<end]) {
                hasContent = true
            }
            line += 1
            at = end + 1
        }
        close(bytes.count)
        self.parts = parts
    }

    private static func isSeparator(_ line: ArraySlice<UInt8>) -> Bool {
        guard line.starts(with: [45, 45, 45]) else { return false }
        let next = line.dropFirst(3).first
        return next == nil || next == 32 || next == 9 || next == 13
    }

    /// Whether a line is more than a blank, a comment or a directive.
    private static func hasContent(_ line: ArraySlice<UInt8>) -> Bool {
        let rest = line.drop { $0 == 32 || $0 == 9 || $0 == 13 || $0 == 0xef || $0 == 0xbb || $0 == 0xbf }
        guard let first = rest.first else { return false }
        if first == UInt8(ascii: "%"), rest.startIndex == line.startIndex { return false }
        return first != UInt8(ascii: "#") && !rest.elementsEqual("...".utf8)
    }
}
