internal import MeshModel

extension TunnelAuthority {
    /// The longest authority read, in bytes: a 253-byte name, a colon, a port.
    package static let longest = Limits.standard.authorityBytes

    /// Reads `IPv4:PORT`, `[IPv6]:PORT` or `NAME:PORT` from the bytes of `:authority`.
    ///
    /// Everything that two readers could read differently is refused: no or several ports, port 0, leading zeros, octal,
    /// hexadecimal or short IPv4, IPv6 without brackets, with a zone or v4-mapped, user info, lists, empty labels, a
    /// trailing dot, percent-encoding, anything outside letters, digits, `-` and `_`. Names come out in lower case.
    /// - Throws: a refusal with ``Reason/authorityInvalid`` that quotes the text escaped and cut.
    package static func parse(_ text: some Collection<UInt8>) throws(Refusal) -> TunnelAuthority {
        let bytes = Array(text)
        guard !bytes.isEmpty else { throw invalid(bytes, "it is empty") }
        guard bytes.count <= longest else { throw invalid(bytes, "it is longer than \(longest) bytes") }
        guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")) else { throw invalid(bytes, "it has no port") }
        guard let port = SocketAddress.port(bytes[(colon + 1)...]), port != 0 else {
            throw invalid(bytes, "its port is not a number from 1 to 65535")
        }
        let host = bytes[..<colon]
        if host.first == UInt8(ascii: "[") {
            guard host.last == UInt8(ascii: "]") else { throw invalid(bytes, "its bracket is not closed") }
            let inner = host.dropFirst().dropLast()
            guard inner.contains(UInt8(ascii: ":")), let ip = IPAddress(utf8: inner) else {
                throw invalid(bytes, "there is no IPv6 address in its brackets")
            }
            guard !ip.isIPv4 else { throw invalid(bytes, "it writes an IPv4 address as IPv6") }
            return .address(SocketAddress(ip, port))
        }
        if isNumeric(lastLabel(of: host)) {
            guard !host.contains(UInt8(ascii: ":")), let ip = IPAddress(utf8: host) else {
                throw invalid(bytes, "its host is a number but no dotted IPv4 address")
            }
            return .address(SocketAddress(ip, port))
        }
        guard let name = hostname(host) else { throw invalid(bytes, "its host is no address and no host name") }
        return .hostname(name, port: port)
    }

    private static func lastLabel(of host: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let dot = host.lastIndex(of: UInt8(ascii: ".")) else { return host }
        return host[(dot + 1)...]
    }

    /// Whether some reader takes the label for a number, decimal or `0x`.
    private static func isNumeric(_ label: ArraySlice<UInt8>) -> Bool {
        guard let first = label.first, isDigit(first) else { return false }
        if label.allSatisfy(isDigit) { return true }
        guard first == UInt8(ascii: "0"), let mark = label.dropFirst().first, mark | 0x20 == UInt8(ascii: "x") else {
            return false
        }
        return label.dropFirst(2).allSatisfy { isDigit($0) || (97...102).contains($0 | 0x20) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }

    private static func hostname(_ host: ArraySlice<UInt8>) -> String? {
        guard !host.isEmpty, host.count <= 253 else { return nil }
        var folded: [UInt8] = []
        folded.reserveCapacity(host.count)
        var label = 0
        for byte in host {
            switch byte {
            case UInt8(ascii: "."):
                guard label > 0, folded.last != UInt8(ascii: "-") else { return nil }
                label = 0
            case UInt8(ascii: "-"):
                guard label > 0 else { return nil }
                label += 1
            case 48...57, 97...122, UInt8(ascii: "_"), 65...90:
                label += 1
            default: return nil
            }
            guard label <= 63 else { return nil }
            folded.append((65...90).contains(byte) ? byte | 0x20 : byte)
        }
        guard label > 0, folded.last != UInt8(ascii: "-") else { return nil }
        return String(decoding: folded, as: UTF8.self)
    }

    private static func invalid(_ bytes: [UInt8], _ why: String) -> Refusal {
        Refusal(.authorityInvalid, "authority \(EscapedText(bytes)) is refused: \(why)")
    }
}
