internal import Glibc

/// The bytes of one message head and the table of its fields: one reusable buffer, no string per field.
///
/// It gathers bytes to the empty line, then is read once. Its memory stays for the next message of the connection unless
/// it grew beyond ``HTTP1FieldBlock/kept``; ``release()`` gives all of it back when the connection idles.
package final class HTTP1FieldBlock {
    /// Capacity that survives from one message to the next, in bytes.
    static let kept = 4096

    private(set) var bytes: [UInt8] = []
    /// The fields in the order they came.
    package private(set) var fields: ContiguousArray<HTTP1Field> = []
    /// The kinds among them.
    private(set) var kinds = HTTP1FieldSet()
    private var lineStart = 0
    private var emptyLines = 0
    private let limits: HTTP1Limits

    init(limits: HTTP1Limits) {
        self.limits = limits
    }

    /// Whether no byte of a head has come.
    var isEmpty: Bool { bytes.isEmpty && emptyLines == 0 }
    /// The bytes gathered, line ends included.
    package var byteCount: Int { bytes.count }

    /// Forgets the head; the memory stays for the next.
    func clear() {
        if bytes.capacity > Self.kept { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }
        fields.removeAll(keepingCapacity: true)
        kinds = HTTP1FieldSet()
        lineStart = 0
        emptyLines = 0
    }

    /// Forgets the head and gives its memory back.
    func release() {
        bytes = []
        fields = []
        kinds = HTTP1FieldSet()
        lineStart = 0
        emptyLines = 0
    }

    /// Takes bytes up to and with the empty line that ends the head; returns how many, and whether that line has come.
    func gather(_ input: UnsafeRawPointer, count: Int) throws(HTTP1Failure) -> (consumed: Int, complete: Bool) {
        var first = 0
        var offset = 0
        while offset < count, let found = memchr(input + offset, Int32(lineFeed), count - offset) {
            let end = input.distance(to: UnsafeRawPointer(found)) + 1
            let previous = end - 2 >= first ? input.load(fromByteOffset: end - 2, as: UInt8.self) : bytes.last
            guard previous == carriageReturn else { throw .bareLineFeed }
            let total = bytes.count + end - first
            if total - lineStart == 2 {
                guard lineStart == 0 else {
                    try keep(input + first, count: end - first)
                    return (end, true)
                }
                emptyLines += 1
                guard emptyLines <= limits.leadingEmptyLines else { throw .emptyLines }
                bytes.removeAll(keepingCapacity: true)
                first = end
            } else {
                lineStart = total
            }
            offset = end
        }
        try keep(input + first, count: count - first)
        return (count, false)
    }

    private func keep(_ input: UnsafeRawPointer, count: Int) throws(HTTP1Failure) {
        guard bytes.count + count <= limits.headBytes else { throw .headTooLarge }
        bytes.append(contentsOf: UnsafeRawBufferPointer(start: input, count: count))
    }

    /// Reads the field lines from `start` to the empty line into the table, lower-casing the names in place.
    func readFields(from start: Int) throws(HTTP1Failure) {
        var at = start
        while bytes[at] != carriageReturn {
            guard fields.count < limits.fields else { throw .tooManyFields }
            let name = try Self.readName(&bytes, from: at)
            let value = try Self.readValue(bytes, from: name.range.upperBound + 1)
            let kind = Self.kind(bytes, name)
            kinds.insert(kind)
            fields.append(HTTP1Field(name: name, value: value.slice, kind: kind))
            at = value.next
        }
        guard at + 2 == bytes.count else { throw .loneCarriageReturn }
    }

    private static func kind(_ bytes: [UInt8], _ name: HTTP1Slice) -> HTTP1FieldKind {
        HTTP1FieldKind.of(bytes.span, Int(name.start), name.range.upperBound)
    }

    private static func readName(_ bytes: inout [UInt8], from start: Int) throws(HTTP1Failure) -> HTTP1Slice {
        var span = bytes.mutableSpan
        var at = start
        while true {
            let byte = span[at]
            guard byte.isTokenOctet else { break }
            if byte.isUpperCase { span[at] = byte | 32 }
            at += 1
        }
        guard at > start, span[at] == UInt8(ascii: ":") else {
            throw at == start && (span[at] == space || span[at] == horizontalTab) ? .foldedField : .fieldNameInvalid
        }
        return HTTP1Slice(start: start, end: at)
    }

    /// Reads a value up to its line end; the slice has no blanks at its ends.
    private static func readValue(
        _ bytes: [UInt8], from start: Int
    ) throws(HTTP1Failure) -> (slice: HTTP1Slice, next: Int) {
        let span = bytes.span
        var first = start
        while span[first] == space || span[first] == horizontalTab { first += 1 }
        var at = first
        while span[at].isFieldValueOctet { at += 1 }
        guard span[at] == carriageReturn else { throw .fieldValueInvalid }
        guard at + 1 < span.count, span[at + 1] == lineFeed else { throw .loneCarriageReturn }
        var end = at
        while end > first, span[end - 1] == space || span[end - 1] == horizontalTab { end -= 1 }
        return (HTTP1Slice(start: first, end: end), at + 2)
    }

    /// Marks the fields that a Connection field names, so that they end here.
    ///
    /// Framing and Host cannot be named away: a peer could otherwise make the next reader see another message.
    func markConnectionOption(_ start: Int, _ end: Int) {
        let held = bytes
        let span = held.span
        for i in fields.indices {
            let field = fields[i]
            switch field.kind {
            case .host, .contentLength, .transferEncoding, .connection: continue
            default: break
            }
            guard Int(field.name.count) == end - start else { continue }
            var equal = true
            for j in 0..<(end - start) where equal {
                let byte = span[start + j]
                equal = (byte.isUpperCase ? byte | 32 : byte) == span[Int(field.name.start) + j]
            }
            if equal { fields[i].kind = .connectionOption }
        }
    }
}
