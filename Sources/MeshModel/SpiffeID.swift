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
    package static let longest = Limits.standard.identityBytes

    /// Reads exactly the five-segment form; nil for every look-alike: other segments, empty or dot parts, upper-case or
    /// dotted-end trust domains, ports, user info, query, fragment, percent-encoding and bytes outside the SPIFFE set.
    package init?(_ text: some StringProtocol) {
        var text = String(text)
        guard let parts = text.withUTF8(Self.parts) else { return nil }
        self.init(trustDomain: parts.0, namespace: parts.1, serviceAccount: parts.2)
    }

    /// By bytes: every handshake and every workload of a state passes here, and characters cost ten times as much.
    private static func parts(of text: UnsafeBufferPointer<UInt8>) -> (String, String, String)? {
        guard text.count <= longest, text.starts(with: "spiffe://".utf8) else { return nil }
        let parts = text.dropFirst(9).split(
            separator: UInt8(ascii: "/"), maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count == 5, parts[1].elementsEqual("ns".utf8), parts[3].elementsEqual("sa".utf8) else { return nil }
        guard isTrustDomain(bytes: parts[0]), isSegment(parts[2]), isSegment(parts[4]) else { return nil }
        func string(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String { String(decoding: bytes, as: UTF8.self) }
        return (string(parts[0]), string(parts[2]), string(parts[4]))
    }

    /// SPIFFE-ID 2.1: lower-case letters, digits, dot, dash, underscore; here also not empty and not dotted at an end.
    package static func isTrustDomain(_ text: some StringProtocol) -> Bool {
        var text = String(text)
        return text.withUTF8 { isTrustDomain(bytes: $0[...]) }
    }

    private static func isTrustDomain(bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        guard !bytes.isEmpty, bytes.count <= 255, bytes.first != 46, bytes.last != 46 else { return false }
        return bytes.allSatisfy(isLowerOrMark)
    }

    private static func isSegment(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        guard !bytes.isEmpty, !bytes.elementsEqual(".".utf8), !bytes.elementsEqual("..".utf8) else { return false }
        return bytes.allSatisfy { isLowerOrMark($0) || (65...90).contains($0) }
    }

    private static func isLowerOrMark(_ byte: UInt8) -> Bool {
        (97...122).contains(byte) || (48...57).contains(byte) || byte == 45 || byte == 46 || byte == 95
    }
}
