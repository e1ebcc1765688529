package import MeshModel

/// How log lines are written.
package enum LogFormat: String, Sendable, CaseIterable {
    case text, json
}

/// One log line while it is written: text with five tab-separated columns, or one flat JSON object.
package struct LogLine {
    private let format: LogFormat
    private var bytes: [UInt8] = []
    private var hasFields = false

    init(_ format: LogFormat, level: LogLevel, scope: LogScope, message: String, now: UInt64) {
        self.format = format
        bytes.reserveCapacity(512)
        let time = CivilTime(unixNanoseconds: Int64(clamping: now))
        switch format {
        case .text:
            time.write(into: &bytes, decimals: 6)
            bytes.append(9)
            bytes.append(text: level.name)
            bytes.append(9)
            bytes.append(text: scope.name)
            bytes.append(9)
            // The message is our own text, but it may quote an error; the escapes are those of a quoted value.
            let start = bytes.count
            bytes.append(quoted: message)
            bytes.removeLast()
            bytes.remove(at: start)
        case .json:
            bytes.append(text: "{\"level\":\"")
            bytes.append(text: level.name)
            bytes.append(text: "\",\"time\":\"")
            time.write(into: &bytes, decimals: 6)
            bytes.append(text: "\",\"scope\":\"")
            bytes.append(text: scope.name)
            bytes.append(text: "\",\"message\":")
            bytes.append(jsonString: message)
        }
    }

    /// Adds a text field, quoted and escaped; nothing when it is empty.
    package mutating func field(_ name: String, string value: String) {
        guard !value.isEmpty else { return }
        begin(name)
        switch format {
        case .text: bytes.append(quoted: value)
        case .json: bytes.append(jsonString: value)
        }
    }

    /// Adds a field that needs no quotes as long as it is what it should be; nothing when it is empty.
    package mutating func field(_ name: String, bare value: String) {
        guard !value.isEmpty else { return }
        begin(name)
        switch format {
        case .text: bytes.append(bare: value)
        case .json: bytes.append(jsonString: value)
        }
    }

    /// Adds an address.
    package mutating func field(_ name: String, address: SocketAddress) {
        field(name, bare: address.description)
    }

    /// Adds a number.
    package mutating func field(_ name: String, number: some BinaryInteger) {
        begin(name)
        bytes.append(decimal: number)
    }

    private mutating func begin(_ name: String) {
        switch format {
        case .text:
            bytes.append(hasFields ? 32 : 9)
            bytes.append(text: name)
            bytes.append(UInt8(ascii: "="))
        case .json:
            bytes.append(text: ",\"")
            bytes.append(text: name)
            bytes.append(text: "\":")
        }
        hasFields = true
    }

    /// The line with its end.
    consuming func finished() -> [UInt8] {
        switch format {
        case .text: if !hasFields { bytes.append(9) }
        case .json: bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(10)
        return bytes
    }
}
