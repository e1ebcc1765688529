/// A workload identity, `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`.
package struct SpiffeID: Hashable, Sendable {
    package let trustDomain: String
    package let namespace: String
    package let serviceAccount: String

    package init(trustDomain: String, namespace: String, serviceAccount: String) {
        self.trustDomain = trustDomain
        self.namespace = namespace
        self.serviceAccount = serviceAccount
    }
}

extension SpiffeID: CustomStringConvertible {
    package var description: String { "spiffe://\(path)" }

    /// The identity without its scheme, as authorization policies name principals.
    package var path: String { "\(trustDomain)/ns/\(namespace)/sa/\(serviceAccount)" }

    /// The longest identity accepted, in bytes (SPIFFE-ID 2.3).
    package static let longest = 2048

    /// Reads exactly the five-segment form; nil for every look-alike: other segments, empty or dot parts, upper-case or
    /// dotted-end trust domains, ports, user info, query, fragment, percent-encoding and bytes outside the SPIFFE set.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= Self.longest, text.hasPrefix("spiffe://") else { return nil }
        let parts = text.dropFirst(9).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[1] == "ns", parts[3] == "sa" else { return nil }
        guard Self.isTrustDomain(parts[0]), Self.isSegment(parts[2]), Self.isSegment(parts[4]) else { return nil }
        self.init(trustDomain: String(parts[0]), namespace: String(parts[2]), serviceAccount: String(parts[4]))
    }

    /// SPIFFE-ID 2.1: lower-case letters, digits, dot, dash, underscore; here also not empty and not dotted at an end.
    package static func isTrustDomain(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        guard !bytes.isEmpty, bytes.count <= 255, bytes.first != 46, bytes.suffix(1).first != 46 else { return false }
        return bytes.allSatisfy(isLowerOrMark)
    }

    private static func isSegment(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        guard !bytes.isEmpty, text != ".", text != ".." else { return false }
        return bytes.allSatisfy { isLowerOrMark($0) || (65...90).contains($0) }
    }

    private static func isLowerOrMark(_ byte: UInt8) -> Bool {
        (97...122).contains(byte) || (48...57).contains(byte) || byte == 45 || byte == 46 || byte == 95
    }
}
