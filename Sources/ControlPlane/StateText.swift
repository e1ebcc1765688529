internal import Glibc

/// The bytes of a state file seen line by line, without a YAML parser; says what stands at the start of a line, and nothing
/// where that is not beyond doubt.
///
/// Only the plain form is known: `workloads:`, `services:` and `policies:` at the start of a line and nothing behind, the
/// elements below them at `- `, all at one column. Whoever uses what is found here has each new element read by the YAML
/// reader, which must find exactly one at exactly that place.
struct StateText {
    /// Borrowed.
    let bytes: UnsafeRawBufferPointer

    /// What a line under a list is to that list.
    enum Line {
        case element
        case key
        /// A part of the element before.
        case inside
    }

    /// The byte after the end of the line.
    func end(ofLine at: Int) -> Int {
        guard let base = bytes.baseAddress, let found = memchr(base + at, 10, bytes.count - at) else {
            return bytes.count
        }
        return UnsafeRawPointer(found) - base + 1
    }

    /// The key line that stands there: its list, and whether it says that the list is empty.
    func key(at: Int) -> (list: LocalStateReading.List, isEmpty: Bool, end: Int)? {
        for list in LocalStateReading.List.allCases {
            for (text, isEmpty) in list.lines where starts(with: text, at) {
                let end = at + text.utf8CodeUnitCount
                if end == bytes.count { return (list, isEmpty, end) }
                if bytes[end] == 10 { return (list, isEmpty, end + 1) }
            }
        }
        return nil
    }

    /// The column of the `- ` that begins the line, where a value follows on the same line.
    func indent(at: Int) -> Int? {
        var column = at
        while column < bytes.count, bytes[column] == 32 { column += 1 }
        return isElement(column) ? column - at : nil
    }

    /// What a line is under a list with elements at that column; nil where it cannot be told.
    func line(at: Int, indent: Int) -> Line? {
        var place = at
        while place < bytes.count, bytes[place] == 32 { place += 1 }
        if place == bytes.count { return .inside }
        let column = place - at
        switch bytes[place] {
        case 10, UInt8(ascii: "#"): return .inside
        case _ where column > indent: return .inside
        case UInt8(ascii: "-") where column == indent: return isElement(place) ? .element : nil
        default: return column == 0 && key(at: at) != nil ? .key : nil
        }
    }

    /// The end of blank lines and comments of printable ASCII, and how many they are.
    func gap(at start: Int) -> (end: Int, lines: Int) {
        var at = start
        var lines = 0
        while at < bytes.count {
            let end = end(ofLine: at)
            var place = at
            while place < end, bytes[place] == 32 { place += 1 }
            let isBlank = place == end || bytes[place] == 10
            let isComment = !isBlank && bytes[place] == UInt8(ascii: "#") && isPrintable(place..<end)
            guard isBlank || isComment else { break }
            at = end
            lines += 1
        }
        return (at, lines)
    }

    /// Whether the line is `---`, the start of a document.
    func isDocumentStart(at: Int) -> Bool {
        starts(with: "---", at) && (at + 3 == bytes.count || bytes[at + 3] == 10)
    }

    /// Whether there is nothing but ASCII in sight, with line feeds as the only other bytes.
    func isPrintable(_ range: Range<Int>) -> Bool {
        range.allSatisfy { bytes[$0] == 10 || (32..<127).contains(bytes[$0]) }
    }

    private func isElement(_ place: Int) -> Bool {
        guard place + 2 < bytes.count, bytes[place] == UInt8(ascii: "-"), bytes[place + 1] == 32 else { return false }
        return bytes[place + 2] > 32 && bytes[place + 2] != UInt8(ascii: "#")
    }

    private func starts(with text: StaticString, _ at: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard let base = bytes.baseAddress, bytes.count - at >= count else { return false }
        return memcmp(base + at, text.utf8Start, count) == 0
    }
}

extension LocalStateReading.List {
    /// The lines that begin it in the plain form, and whether the list is then empty.
    fileprivate var lines: [(StaticString, Bool)] {
        switch self {
        case .workloads: [("workloads:", false), ("workloads: []", true)]
        case .policies: [("policies:", false), ("policies: []", true)]
        case .services: [("services:", false), ("services: []", true)]
        }
    }
}
