/// Reads JSON text (RFC 8259) into the nodes that YAML is read into, so that one set of decoders serves both.
///
/// Bounded in depth and number of values. Nodes carry no place: what comes from a server has no lines.
struct JSONReader {
    /// Why the text is not read.
    struct Fault: Error, CustomStringConvertible {
        let problem: String
        /// Of the byte at which it shows.
        let offset: Int

        var description: String { "not JSON: \(problem) at byte \(offset)" }
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private var at = 0
    private var nodes = 0
    private let limits: YAMLLimits
    /// Keys whose objects and arrays are passed over: what nobody looks at costs neither time nor memory.
    private let skipped: Set<String>

    /// - Parameter bytes: borrowed for the life of the reader.
    init(_ bytes: UnsafeBufferPointer<UInt8>, limits: YAMLLimits = YAMLLimits(), skipping skipped: Set<String> = []) {
        self.bytes = bytes
        self.limits = limits
        self.skipped = skipped
    }

    /// Reads a text that is one value.
    static func read(_ bytes: some Collection<UInt8>, skipping: Set<String> = []) throws(Fault) -> YAMLNode {
        try withReader(bytes, skipping) { reader throws(Fault) in
            let node = try reader.value(depth: 0)
            try reader.end()
            return node
        }
    }

    /// Reads an object, giving away the elements of its list `items` one by one; in the result that list is empty.
    static func readList(
        _ bytes: some Collection<UInt8>, skipping: Set<String> = [], take: @escaping (YAMLNode) -> Void
    ) throws(Fault) -> YAMLNode {
        try withReader(bytes, skipping) { reader throws(Fault) in
            let node = try reader.object(depth: 0, take)
            try reader.end()
            return node
        }
    }

    private static func withReader(
        _ bytes: some Collection<UInt8>, _ skipping: Set<String>, _ body: (inout JSONReader) throws(Fault) -> YAMLNode
    ) throws(Fault) -> YAMLNode {
        func run(_ buffer: UnsafeBufferPointer<UInt8>) -> Result<YAMLNode, Fault> {
            var reader = JSONReader(buffer, skipping: skipping)
            do throws(Fault) { return .success(try body(&reader)) } catch { return .failure(error) }
        }
        let result = bytes.withContiguousStorageIfAvailable(run) ?? Array(bytes).withUnsafeBufferPointer(run)
        return try result.get()
    }

    private func fault(_ problem: String) -> Fault { Fault(problem: problem, offset: at) }

    private mutating func end() throws(Fault) {
        skipBlanks()
        guard at == bytes.count else { throw fault("something follows the value") }
    }

    private mutating func skipBlanks() {
        while at < bytes.count,
            bytes[at] == 32 || (bytes[at] >= 9 && bytes[at] <= 13 && bytes[at] != 11 && bytes[at] != 12)
        {
            at += 1
        }
    }

    private var next: UInt8 { at < bytes.count ? bytes[at] : 0 }

    private static func node(_ content: YAMLNode.Content) -> YAMLNode { YAMLNode(content: content, line: 0, column: 0) }

    private mutating func count(_ depth: Int) throws(Fault) {
        nodes += 1
        guard nodes <= limits.nodes else { throw fault("more than \(limits.nodes) values") }
        guard depth <= limits.depth else { throw fault("more than \(limits.depth) levels of nesting") }
    }

    private mutating func value(depth: Int) throws(Fault) -> YAMLNode {
        try count(depth)
        skipBlanks()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth, nil)
        case UInt8(ascii: "["):
            var items: [YAMLNode] = []
            try elements(UInt8(ascii: "]")) { reader throws(Fault) in
                items.append(try reader.value(depth: depth + 1))
            }
            return Self.node(.sequence(items))
        case UInt8(ascii: "\""): return Self.node(.scalar(YAMLScalar(try text(), plain: false)))
        default: return Self.node(.scalar(YAMLScalar(try literal(), plain: true)))
        }
    }

    private mutating func object(depth: Int, _ take: ((YAMLNode) -> Void)?) throws(Fault) -> YAMLNode {
        skipBlanks()
        guard next == UInt8(ascii: "{") else { throw fault("an object is missing") }
        var entries: [YAMLNode.Entry] = []
        var keys: Set<String> = []
        try elements(UInt8(ascii: "}")) { reader throws(Fault) in
            guard reader.next == UInt8(ascii: "\"") else { throw reader.fault("a key is missing") }
            let key = try reader.text()
            reader.skipBlanks()
            guard reader.next == UInt8(ascii: ":") else { throw reader.fault("a colon is missing") }
            reader.at += 1
            reader.skipBlanks()
            let isOpening = reader.next == UInt8(ascii: "{") || reader.next == UInt8(ascii: "[")
            if isOpening, reader.skipped.contains(key) { return try reader.skip(depth: depth + 1) }
            let value: YAMLNode
            if let take, key == "items", reader.next == UInt8(ascii: "[") {
                try reader.elements(UInt8(ascii: "]")) { reader throws(Fault) in
                    // Each element has the whole budget: a list may be long.
                    reader.nodes = 0
                    take(try reader.value(depth: depth + 2))
                }
                value = Self.node(.sequence([]))
            } else {
                value = try reader.value(depth: depth + 1)
            }
            if entries.count == 16 { keys = Set(entries.map(\.key)) }
            let isNew = entries.count < 16 ? !entries.contains { $0.isKey(key) } : keys.insert(key).inserted
            guard isNew else { throw reader.fault("the key \(key.quoted) is given twice") }
            entries.append(YAMLNode.Entry(key: key, line: 0, column: 0, value: value))
        }
        return Self.node(.mapping(entries))
    }

    /// Reads an opening bracket, elements between commas, and the closing one.
    private mutating func elements(
        _ close: UInt8, _ element: (inout JSONReader) throws(Fault) -> Void
    ) throws(Fault) {
        at += 1
        skipBlanks()
        if next == close {
            at += 1
            return
        }
        while true {
            skipBlanks()
            try element(&self)
            skipBlanks()
            if next == close {
                at += 1
                return
            }
            guard next == UInt8(ascii: ",") else {
                throw fault(at == bytes.count ? "the text ends" : "a comma is missing")
            }
            at += 1
        }
    }

    /// Passes over an object or array, whose inside is only looked at for where it ends.
    private mutating func skip(depth: Int) throws(Fault) {
        var open = 0
        repeat {
            guard at < bytes.count else { throw fault("the text ends") }
            switch bytes[at] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): open += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): open -= 1
            case UInt8(ascii: "\""):
                at += 1
                while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
                    at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1
                }
            default: break
            }
            at += 1
        } while open > 0
        // A text that ends inside a string left the index behind the end.
        guard at <= bytes.count else { throw fault("the text ends") }
    }

    /// `true`, `false`, `null` or a number.
    private mutating func literal() throws(Fault) -> String {
        let start = at
        while at < bytes.count, bytes[at] > 32, ![44, 58, 91, 93, 123, 125, 34].contains(bytes[at]) { at += 1 }
        let word = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<at]), as: UTF8.self)
        let first = word.utf8.first ?? 0
        let isNumber = first == 45 || (48...57).contains(first)
        guard
            word == "true" || word == "false" || word == "null"
                || isNumber && YAMLScalar(word, plain: true).type != .text
        else {
            at = start
            throw fault(word.isEmpty ? "a value is missing" : "\(word.quoted) is no value")
        }
        return word
    }

    /// A string; the index is at its opening quote.
    private mutating func text() throws(Fault) -> String {
        at += 1
        let start = at
        while at < bytes.count, bytes[at] != UInt8(ascii: "\""), bytes[at] != UInt8(ascii: "\\"), bytes[at] >= 32 {
            at += 1
        }
        if next == UInt8(ascii: "\""), at < bytes.count {
            let text = String(validating: UnsafeBufferPointer(rebasing: bytes[start..<at]), as: UTF8.self)
            guard let text else { throw fault("a string is not UTF-8") }
            at += 1
            return text
        }
        var decoded = Array(bytes[start..<at])
        while true {
            guard at < bytes.count else { throw fault("a string does not end") }
            let byte = bytes[at]
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: decoded, as: UTF8.self) else {
                    throw fault("a string is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): try unescape(&decoded)
            case 0..<32: throw fault("a control character in a string")
            default: decoded.append(byte)
            }
        }
    }

    private mutating func unescape(_ decoded: inout [UInt8]) throws(Fault) {
        let byte = next
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(byte)
        case UInt8(ascii: "b"): decoded.append(8)
        case UInt8(ascii: "f"): decoded.append(12)
        case UInt8(ascii: "n"): decoded.append(10)
        case UInt8(ascii: "r"): decoded.append(13)
        case UInt8(ascii: "t"): decoded.append(9)
        case UInt8(ascii: "u"):
            var code = try hex()
            if (0xd800..<0xdc00).contains(code), next == UInt8(ascii: "\\"), at + 1 < bytes.count, bytes[at + 1] == 117
            {
                at += 2
                let low = try hex()
                guard (0xdc00..<0xe000).contains(low) else { throw fault("half a surrogate pair") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("half a surrogate pair") }
            decoded.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw fault("an unknown escape")
        }
    }

    private mutating func hex() throws(Fault) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(next)).hexDigitValue else { throw fault("a broken escape") }
            code = code << 4 | UInt32(digit)
            at += 1
        }
        return code
    }
}
