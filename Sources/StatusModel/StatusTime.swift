internal import MeshModel

/// A moment in a status report: RFC 3339 UTC text in JSON, to the second.
package struct StatusTime: Hashable, Sendable, Comparable {
    /// Seconds since 1970.
    package let unixSeconds: Int64

    package init(unixSeconds: Int64) {
        self.unixSeconds = unixSeconds
    }

    /// Makes it from the realtime clock's nanoseconds.
    package init(unixNanoseconds: UInt64) {
        unixSeconds = Int64(clamping: unixNanoseconds / 1_000_000_000)
    }

    package static func < (a: Self, b: Self) -> Bool { a.unixSeconds < b.unixSeconds }
}

extension StatusTime: CustomStringConvertible {
    package var description: String {
        CivilTime(unixSeconds: unixSeconds).description
    }
}

extension StatusTime: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let time = CivilTime(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an RFC 3339 UTC time")
        }
        unixSeconds = time.unixSeconds
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
