/// Bytes from a peer made safe for a log: quoted, everything but printable ASCII escaped, cut after 80 bytes.
package struct EscapedText: CustomStringConvertible, Sendable {
    package let description: String

    package init(_ bytes: some Collection<UInt8>) {
        let hex = Array("0123456789abcdef".utf8)
        var text: [UInt8] = [UInt8(ascii: "\"")]
        for byte in bytes.prefix(80) {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), byte]
            case 0x20...0x7e: text.append(byte)
            default: text += [UInt8(ascii: "\\"), UInt8(ascii: "x"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        text.append(UInt8(ascii: "\""))
        if bytes.count > 80 { text += Array("...".utf8) }
        description = String(decoding: text, as: UTF8.self)
    }
}
