/// Why a certificate, key or authority cannot be used: what, the cause, the next step; one line of safe text.
package struct CertificateError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

extension CertificateError {
    /// Text from a certificate or a path, made safe for a line of a log: anything but printable ASCII is escaped.
    static func escaped(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        for byte in bytes.prefix(256) {
            if (0x20..<0x7f).contains(byte), byte != UInt8(ascii: "'"), byte != UInt8(ascii: "\\") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let hex = String(byte, radix: 16)
                text += "\\x" + (hex.utf8.count == 1 ? "0" : "") + hex
            }
        }
        return text
    }
}
