/// What is remembered of one list, while its new text is passed: most elements stand where they stood, with few of them
/// changed, gone or new in between, and a known one is recognised without a look at its lines.
struct StateTextGuide {
    private let known: [StateTextScan.Known]
    /// The element that is expected.
    private var expected = 0
    private var used: [Bool]
    // Made only when elements have moved.
    private var places: [ContentHash: Int]?

    init(_ known: [StateTextScan.Known]) {
        self.known = known
        used = Array(repeating: false, count: known.count)
    }

    var count: Int { known.count }

    subscript(index: Int) -> StateTextScan.Known { known[index] }

    /// The remembered element that stands there; nil when it is not the expected one.
    func next(in text: StateText, at: Int, indent: Int) -> Int? {
        stands(expected, in: text, at: at, indent: indent) ? expected : nil
    }

    /// The remembered element that one measured line by line is; nil when it is fresh, or may be taken for it.
    /// - Parameter end: where it ends, and the next one begins.
    mutating func place(of element: StateTextScan.Known, before end: Int, in text: StateText, indent: Int) -> Int? {
        // One was added here; or this one was changed.
        if stands(expected, in: text, at: end, indent: indent) { return nil }
        if expected + 1 >= known.count || stands(expected + 1, in: text, at: end, indent: indent) {
            expected += 1
            return nil
        }
        if places == nil {
            places = Dictionary(known.enumerated().map { ($1.hash, $0) }) { first, _ in first }
        }
        if let index = places?[element.hash], element.length > 0, known[index].length == element.length { return index }
        expected += 1
        return nil
    }

    /// Takes that the element stands in the text; false when it stood there before.
    mutating func use(_ index: Int) -> Bool {
        guard !used[index] else { return false }
        used[index] = true
        expected = index + 1
        return true
    }

    /// Whether the text there is the element's, and it ends where it ended.
    private func stands(_ index: Int, in text: StateText, at: Int, indent: Int) -> Bool {
        guard index < known.count else { return false }
        let length = Int(known[index].length)
        let end = at + length
        guard length > 0, end <= text.bytes.count else { return false }
        let slice = UnsafeRawBufferPointer(rebasing: text.bytes[at..<end])
        guard ContentHash(slice) == known[index].hash else { return false }
        if end == text.bytes.count { return true }
        switch text.line(at: end, indent: indent) {
        case .element, .key: return true
        case .inside, nil: return false
        }
    }
}
