internal import FoundationEssentials

/// JSON for messages between our own processes; here, since the data path does without Foundation.
package enum JSONText {
    /// The value as JSON; nil for a value that JSON has no form for.
    package static func encode(_ value: some Encodable) -> [UInt8]? {
        (try? JSONEncoder().encode(value)).map { Array($0) }
    }

    /// The value that JSON text stands for; nil when it is something else.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) -> Value? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }
}
