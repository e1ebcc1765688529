/// The elements of a state file's lists as ``StateText`` finds them, and which of them are known from the reading before.
struct StateTextScan {
    /// An element whose text is remembered.
    struct Known: Hashable, Sendable {
        let hash: ContentHash
        /// Bytes; 0 for one that cannot be compared, since its line does not end.
        let length: UInt32
        let lines: UInt32
        /// How many values it counts for (``YAMLLimits/nodes``).
        var values: UInt32
    }

    /// An element that must be read.
    struct Fresh {
        /// Its place in the list.
        let position: Int
        let bytes: Range<Int>
        /// The line it begins in, from 1.
        let line: Int
        let known: Known
    }

    /// One list.
    struct Section {
        let list: LocalStateReading.List
        /// The column of its elements, from 0.
        let indent: Int
        /// The line of the first element, from 1.
        let line: Int
        /// Of each element the place it had before; -1 for a fresh one.
        var origins: [Int32] = []
        var fresh: [Fresh] = []
    }

    private(set) var sections: [Section] = []
    /// Values that are no element's: the root, the keys, the lists.
    private(set) var frameValues = 1

    private var at = 0
    private var line = 1

    /// - Parameters:
    ///   - bytes: borrowed; read during the call only.
    ///   - known: what is remembered of each list.
    /// - Returns: nil where the text is not of the plain form, or an element stands in it twice.
    init?(_ bytes: UnsafeRawBufferPointer, known: [LocalStateReading.List: [Known]]) {
        let text = StateText(bytes: bytes)
        passGap(text)
        if text.isDocumentStart(at: at) {
            (at, line) = (text.end(ofLine: at), line + 1)
            passGap(text)
        }
        var seen = Set<LocalStateReading.List>()
        while at < bytes.count {
            guard let key = text.key(at: at), seen.insert(key.list).inserted else { return nil }
            (at, line) = (key.end, line + 1)
            frameValues += 2
            passGap(text)
            guard !key.isEmpty, let indent = text.indent(at: at) else { continue }
            guard takeElements(text, key.list, indent, StateTextGuide(known[key.list] ?? [])) else { return nil }
        }
        guard !seen.isEmpty else { return nil }
    }

    private mutating func passGap(_ text: StateText) {
        let gap = text.gap(at: at)
        (at, line) = (gap.end, line + gap.lines)
    }

    private mutating func takeElements(
        _ text: StateText, _ list: LocalStateReading.List, _ indent: Int, _ guide: consuming StateTextGuide
    ) -> Bool {
        var section = Section(list: list, indent: indent, line: line)
        section.origins.reserveCapacity(guide.count)
        while true {
            if let index = guide.next(in: text, at: at, indent: indent) {
                guard guide.use(index) else { return false }
                section.origins.append(Int32(truncatingIfNeeded: index))
                at += Int(guide[index].length)
                line += Int(guide[index].lines)
            } else {
                guard let fresh = measure(text, indent, position: section.origins.count) else { return false }
                (at, line) = (fresh.bytes.upperBound, line + Int(fresh.known.lines))
                if let index = guide.place(of: fresh.known, before: at, in: text, indent: indent) {
                    guard guide.use(index) else { return false }
                    section.origins.append(Int32(truncatingIfNeeded: index))
                } else {
                    section.origins.append(-1)
                    section.fresh.append(fresh)
                }
            }
            guard at < text.bytes.count else { break }
            switch text.line(at: at, indent: indent) {
            case .element: continue
            case .key: break
            // Where an element ends, nothing of it follows.
            case .inside, nil: return false
            }
            break
        }
        sections.append(section)
        return true
    }

    /// Follows the lines of the element that begins here to its end; nil where that cannot be told.
    private func measure(_ text: StateText, _ indent: Int, position: Int) -> Fresh? {
        let bytes = text.bytes
        var end = text.end(ofLine: at)
        var lines = 1
        following: while end < bytes.count {
            switch text.line(at: end, indent: indent) {
            case .inside:
                end = text.end(ofLine: end)
                lines += 1
            case .element, .key: break following
            case nil: return nil
            }
        }
        let isWhole = bytes[end - 1] == 10
        let known = Known(
            hash: ContentHash(UnsafeRawBufferPointer(rebasing: bytes[at..<end])),
            length: isWhole ? UInt32(clamping: end - at) : 0, lines: UInt32(clamping: lines), values: 0)
        return Fresh(position: position, bytes: at..<end, line: line, known: known)
    }
}
