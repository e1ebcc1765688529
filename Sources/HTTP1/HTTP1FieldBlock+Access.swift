extension HTTP1FieldBlock {
    /// The text of a slice, with bytes that are not UTF-8 replaced; it comes from a peer: escape it before logging.
    package func text(_ slice: HTTP1Slice) -> String {
        withBytes(slice) { String(decoding: $0, as: UTF8.self) }
    }

    /// The value of the first field of that lower-case name; nil when there is none.
    package func value(of name: StaticString) -> String? {
        field(named: name).map { text(fields[$0].value) }
    }

    /// The place in ``fields`` of the first field of that lower-case name.
    package func field(named name: StaticString) -> Int? {
        let held = bytes
        let span = held.span
        return fields.firstIndex {
            Int($0.name.count) == name.utf8CodeUnitCount
                && span.hold(name, at: Int($0.name.start), end: $0.name.range.upperBound)
        }
    }

    /// Whether any field of that lower-case name has a value that the body accepts; the bytes are lent for the call.
    package func hasField(named name: String, where body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        let length = name.utf8.count
        return bytes.withUnsafeBytes { source in
            fields.contains { field in
                Int(field.name.count) == length && source[field.name.range].elementsEqual(name.utf8)
                    && body(UnsafeRawBufferPointer(rebasing: source[field.value.range]))
            }
        }
    }

    /// The place in ``fields`` of the first field of that kind, not for ``HTTP1FieldKind/other``.
    package func field(_ kind: HTTP1FieldKind) -> Int? {
        kinds.contains(kind) ? fields.firstIndex { $0.kind == kind } : nil
    }

    /// Runs the body with the bytes of a slice in place; the pointer ends with the body. A slice of a head that is gone is
    /// empty.
    package func withBytes<Result>(_ slice: HTTP1Slice, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes { source in
            let range = slice.range
            guard range.upperBound <= source.count else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
            return body(UnsafeRawBufferPointer(rebasing: source[range]))
        }
    }

    /// Whether the slice is that text, ASCII letters compared without case; `text` is lower case.
    package func equals(_ slice: HTTP1Slice, _ text: StaticString) -> Bool {
        let held = bytes
        return held.span.holdIgnoringCase(text, at: Int(slice.start), end: slice.range.upperBound)
    }

    /// Calls the body with each element of a comma-separated value, without blanks; empty elements are skipped.
    func forEachElement(_ value: HTTP1Slice, _ body: (HTTP1Slice) -> Void) {
        let end = value.range.upperBound
        var start = Int(value.start)
        while start < end {
            var stop = start
            while stop < end, bytes[stop] != UInt8(ascii: ",") { stop += 1 }
            var (a, b) = (start, stop)
            while a < b, bytes[a] == space || bytes[a] == horizontalTab { a += 1 }
            while b > a, bytes[b - 1] == space || bytes[b - 1] == horizontalTab { b -= 1 }
            if b > a { body(HTTP1Slice(start: a, end: b)) }
            start = stop + 1
        }
    }
}
