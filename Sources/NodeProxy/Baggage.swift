package import HTTP2
internal import MeshModel

/// What a peer says of itself in the `baggage` of a CONNECT or its answer: for telemetry alone, never for a decision.
///
/// Read leniently, as peers of all versions write it: unknown keys, empty values and malformed members are passed over,
/// nothing is percent-decoded, several fields add up. Every value is bounded, and control characters make it empty, so
/// that a peer cannot grow or garble what we log.
package struct Baggage: Hashable, Sendable {
    package private(set) var cluster = ""
    package private(set) var namespace = ""
    package private(set) var workload = ""
    package private(set) var service = ""
    package private(set) var version = ""
    package private(set) var region = ""
    package private(set) var zone = ""

    /// Bytes of one value, and members of all fields, that are looked at.
    private static let longestValue = Limits.standard.baggageValueBytes
    private static let memberLimit = Limits.standard.baggageMembers

    /// The baggage of a header; nil when it has none or says nothing.
    package init?(_ head: HeaderBlock) {
        var left = Self.memberLimit
        for index in 0..<head.count where head.name(at: index).elementsEqual("baggage".utf8) {
            for member in head.value(at: index).split(separator: UInt8(ascii: ",")) {
                guard left > 0 else { break }
                left -= 1
                take(member)
            }
        }
        if self == Baggage() { return nil }
    }

    private init() {}

    private mutating func take(_ member: ArraySlice<UInt8>) {
        // A member may have properties after a semicolon.
        let pair = member.prefix { $0 != UInt8(ascii: ";") }
        guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { return }
        let key = String(decoding: Self.trimmed(pair[..<equals]), as: UTF8.self)
        let bytes = Self.trimmed(pair[(equals + 1)...])
        guard bytes.count <= Self.longestValue, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return }
        let value = String(decoding: bytes, as: UTF8.self)
        switch key {
        case "k8s.cluster.name": cluster = value
        case "k8s.namespace.name": namespace = value
        case "k8s.deployment.name", "k8s.cronjob.name", "k8s.pod.name", "k8s.job.name": workload = value
        case "service.name": service = value
        case "service.version": version = value
        case "cloud.region": region = value
        case "cloud.availability_zone": zone = value
        default: break
        }
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let start = bytes.drop { $0 == 0x20 || $0 == 0x09 }
        guard let last = start.lastIndex(where: { $0 != 0x20 && $0 != 0x09 }) else { return [] }
        return start[...last]
    }
}
