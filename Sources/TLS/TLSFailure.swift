internal import COpenSSL
package import MeshModel

/// Why TLS could not be set up or went wrong.
package struct TLSFailure: Error, Sendable, CustomStringConvertible {
    /// The token that peers, logs and metrics get.
    package let reason: Reason
    /// The cause for the person who reads the log; text of the peer in it is escaped.
    package let description: String

    package init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }

    /// Empties the library's error queue of this thread into one line.
    static func drainQueue(_ what: String) -> String {
        var text = what
        var buffer = [CChar](repeating: 0, count: 256)
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            ERR_error_string_n(code, &buffer, buffer.count)
            let message = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            text += ": " + String(decoding: message, as: UTF8.self)
        }
        return text
    }
}
