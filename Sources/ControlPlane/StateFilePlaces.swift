/// Holds where the YAML reader finds the elements of a file's lists against where ``StateTextScan`` found them.
struct StateFilePlaces {
    typealias List = LocalStateReading.List
    private typealias Place = (line: Int32, column: Int32)

    private var expected: [List: [Place]] = [:]
    private var isRefuted = false
    /// How many values each element counts for, as far as they are confirmed.
    private(set) var values: [List: [UInt32]] = [:]
    /// What was found.
    let sections: [StateTextScan.Section]

    /// For a whole file that was scanned with nothing known.
    init(_ scan: StateTextScan) {
        sections = scan.sections
        for section in scan.sections { expect(section.fresh[...], in: section, from: 0) }
    }

    /// For some elements that stand one behind the other in a text of their own.
    /// - Parameter lines: how many lines further up they stand there.
    init(_ elements: ArraySlice<StateTextScan.Fresh>, in section: StateTextScan.Section, lines: Int) {
        sections = []
        expect(elements, in: section, from: lines)
    }

    private mutating func expect(
        _ elements: ArraySlice<StateTextScan.Fresh>, in section: StateTextScan.Section, from lines: Int
    ) {
        // The value stands behind the dash and its blank; columns are counted from 1.
        let column = Int32(clamping: section.indent + 3)
        expected[section.list] = elements.map { (Int32(clamping: $0.line - lines), column) }
        values[section.list] = []
        values[section.list]?.reserveCapacity(elements.count)
    }

    /// Takes the next element of a list as the reader found it.
    mutating func confirm(_ item: YAMLItem, of list: List) {
        guard !isRefuted, let places = expected[list], let index = values[list]?.count, index < places.count,
            places[index] == (item.node.line, item.node.column), !item.followsAnchors
        else {
            isRefuted = true
            return
        }
        values[list]?.append(UInt32(clamping: item.values))
    }

    /// Whether the reader has found exactly what was expected, and no anchors.
    var isConfirmed: Bool {
        !isRefuted && expected.allSatisfy { list, places in values[list]?.count == places.count }
    }
}
