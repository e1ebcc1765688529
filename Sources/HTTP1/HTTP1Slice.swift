/// A part of a head's bytes, as offsets into its ``HTTP1FieldBlock``.
package struct HTTP1Slice: Hashable, Sendable {
    package let start: UInt16
    package let count: UInt16

    package init(start: Int, end: Int) {
        self.start = UInt16(truncatingIfNeeded: start)
        count = UInt16(truncatingIfNeeded: end - start)
    }

    /// Nothing, at the beginning.
    package static let empty = HTTP1Slice(start: 0, end: 0)

    package var isEmpty: Bool { count == 0 }
    package var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
}

/// One field line of a head: its lower-cased name, its value without surrounding blanks, and what the name means to us.
package struct HTTP1Field: Sendable {
    package let name: HTTP1Slice
    package let value: HTTP1Slice
    package var kind: HTTP1FieldKind
}
