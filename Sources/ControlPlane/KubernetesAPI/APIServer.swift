internal import MeshModel
internal import TLS

/// A Kubernetes API server, and what to show it.
package struct APIServer: Hashable, Sendable {
    /// PEM text from a file that may be replaced, or as it was given.
    package enum PEM: Hashable, Sendable {
        case file(String)
        case bytes([UInt8])

        /// The text as it is now.
        func read() throws(CertificateError) -> [UInt8] {
            switch self {
            case .bytes(let bytes): bytes
            case .file(let path): try FileContents(path: path, limit: 4 << 20).bytes
            }
        }
    }
    /// A bearer token.
    package enum Token: Hashable, Sendable {
        case text(String)
        /// Read anew for every request: Kubernetes replaces the tokens of ServiceAccounts.
        case file(String)

        /// The token as it is now, without the line end of its file.
        func read() throws(CertificateError) -> String {
            switch self {
            case .text(let text): return text
            case .file(let path):
                let bytes = try FileContents(path: path, limit: 1 << 20).bytes
                let token = String(decoding: bytes.filter { $0 > 32 && $0 < 127 }, as: UTF8.self)
                guard !token.isEmpty else { throw CertificateError("\(path) holds no token") }
                return token
            }
        }
    }

    /// A name or an address, without brackets.
    package var host: String
    package var port: UInt16
    /// What comes before `/api`; empty, or with a leading slash and none at the end.
    package var path = ""
    /// The name its certificate must carry; nil for ``host``.
    package var serverName: String?
    /// Who may have signed its certificate; nil for the system's authorities.
    package var roots: PEM?
    package var token: Token?
    package var certificate: PEM?
    package var key: PEM?

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `host:port`, as in an HTTP Host field.
    package var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Reads `https://host[:port][/path]`.
    package init?(url: String) {
        guard url.lowercased().hasPrefix("https://") else { return nil }
        var rest = url.dropFirst(8)
        var path = ""
        if let slash = rest.firstIndex(of: "/") {
            path = String(rest[slash...])
            rest = rest[..<slash]
        }
        while path.hasSuffix("/") { path.removeLast() }
        var port: UInt16 = 443
        var host = rest
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            host = rest[rest.index(after: rest.startIndex)..<end]
            let tail = rest[rest.index(after: end)...]
            if !tail.isEmpty {
                guard tail.hasPrefix(":"), let number = UInt16(tail.dropFirst()) else { return nil }
                port = number
            }
        } else if let colon = rest.firstIndex(of: ":") {
            host = rest[..<colon]
            guard let number = UInt16(rest[rest.index(after: colon)...]) else { return nil }
            port = number
        }
        let isPlain = { (byte: UInt8) in byte > 32 && byte < 127 && byte != 63 && byte != 35 && byte != 64 }
        guard !host.isEmpty, port > 0, host.utf8.allSatisfy(isPlain), path.utf8.allSatisfy(isPlain) else { return nil }
        self.init(host: String(host), port: port)
        self.path = path
    }
}

extension APIServer: CustomStringConvertible {
    /// Its address; never what is shown to it.
    package var description: String { "https://\(authority)\(path)" }
}
