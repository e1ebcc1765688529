/// A list of header fields in one byte buffer, in order; reused from message to message.
///
/// Names and values are raw bytes as on the wire: what is read from a peer must be escaped before it is logged.
package struct HeaderBlock: Sendable {
    private var bytes: [UInt8] = []
    private var fields: [(nameEnd: Int, valueEnd: Int, isUnique: Bool)] = []
    /// Sum of name + value + 32 over the fields (RFC 9113 6.5.2).
    package private(set) var listSize = 0

    package init() {}

    /// An empty block with memory for a message of ordinary size, so that filling it does not copy it again and again.
    package init(capacity: Int) {
        bytes.reserveCapacity(capacity)
        fields.reserveCapacity(8)
    }

    package var count: Int { fields.count }

    /// Forgets the fields, keeping the memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
        listSize = 0
    }

    package mutating func append(_ name: StaticString, _ value: some Collection<UInt8>) {
        let name = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        append(name: name, value: value)
    }

    /// - Parameter isUnique: the value will hardly come again, so that it is not worth a place in the compression tables
    ///   (RFC 7541 6.2.3), which other fields would lose.
    package mutating func append(_ name: StaticString, _ value: String, isUnique: Bool = false) {
        let name = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        var value = value
        value.withUTF8 { append(name: name, bytes: $0, isUnique: isUnique) }
    }

    package mutating func append(name: some Collection<UInt8>, value: some Collection<UInt8>) {
        bytes.append(contentsOf: name)
        let nameEnd = bytes.count
        bytes.append(contentsOf: value)
        fields.append((nameEnd, bytes.count, false))
        listSize += name.count + value.count + 32
    }

    /// The same for bytes in memory, which every connection appends.
    package mutating func append(
        name: UnsafeBufferPointer<UInt8>, bytes value: UnsafeBufferPointer<UInt8>, isUnique: Bool = false
    ) {
        bytes.append(contentsOf: name)
        let nameEnd = bytes.count
        bytes.append(contentsOf: value)
        fields.append((nameEnd, bytes.count, isUnique))
        listSize += name.count + value.count + 32
    }

    private func start(of index: Int) -> Int { index == 0 ? 0 : fields[index - 1].valueEnd }

    package func name(at index: Int) -> ArraySlice<UInt8> { bytes[start(of: index)..<fields[index].nameEnd] }

    package func value(at index: Int) -> ArraySlice<UInt8> { bytes[fields[index].nameEnd..<fields[index].valueEnd] }

    /// The value of the first field of that (lower-case) name; nil when there is none.
    package func first(_ name: StaticString) -> ArraySlice<UInt8>? {
        let length = name.utf8CodeUnitCount
        return bytes.withUnsafeBufferPointer { buffer -> ArraySlice<UInt8>? in
            var start = 0
            for field in fields {
                if field.nameEnd - start == length {
                    var i = 0
                    while i < length, buffer[start + i] == name.utf8Start[i] { i += 1 }
                    if i == length { return bytes[field.nameEnd..<field.valueEnd] }
                }
                start = field.valueEnd
            }
            return nil
        }
    }

    /// The value of the first field of that name as text; nil when there is none.
    package func text(_ name: StaticString) -> String? {
        first(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// How many fields have that name.
    package func occurrences(of name: StaticString) -> Int {
        let wanted = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return (0..<count).count { self.name(at: $0).elementsEqual(wanted) }
    }

    /// The decimal `:status`; nil when it is missing or no three-digit number.
    package var status: Int? {
        guard let digits = first(":status"), digits.count == 3, digits.allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
            return nil
        }
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }

    func withRawFields<Result>(
        _ body: (UnsafePointer<UInt8>?, [(nameEnd: Int, valueEnd: Int, isUnique: Bool)]) -> Result
    ) -> Result {
        bytes.withUnsafeBufferPointer { body($0.baseAddress, fields) }
    }
}
