internal import FoundationEssentials
internal import TLS

/// A kubeconfig file, of which the current context counts.
package enum Kubeconfig {
    /// The API server that a kubeconfig's current context names, and what to show it.
    /// - Throws: ``ConfigurationError`` with line and field; for what cannot be done (programs that fetch credentials,
    ///   proxies, servers whose certificate is not to be looked at) with what to use in its place.
    package static func server(path: String) throws(ConfigurationError) -> APIServer {
        let bytes: [UInt8]
        do throws(CertificateError) {
            bytes = try FileContents(path: path, limit: 1 << 20).bytes
        } catch {
            throw ConfigurationError(file: path, problem: error.description)
        }
        return try server(bytes, file: path)
    }

    static func server(_ bytes: [UInt8], file: String) throws(ConfigurationError) -> APIServer {
        var limits = YAMLLimits()
        limits.bytes = 1 << 20
        guard let node = try YAMLDocument.parseAll(bytes, file: file, limits: limits).first else {
            throw ConfigurationError(file: file, problem: "the file is empty")
        }
        let root = try ManifestValue(node: node, path: ManifestPath(file: file, lineOffset: 0)).mapping()
        let name = try root.requiredText("current-context")
        let context = try named(name, "contexts", "context", root)
        let cluster = try named(try context.requiredText("cluster"), "clusters", "cluster", root)
        let user = try named(try context.requiredText("user"), "users", "user", root)
        let address = try cluster.required("server")
        guard var server = APIServer(url: try address.text()) else {
            throw address.error("\(try address.text().quoted) is not https://HOST[:PORT]")
        }
        for (key, hint) in [("proxy-url", "reach the server directly"), ("insecure-skip-tls-verify", "give its CA")] {
            guard let found = cluster[key], key == "proxy-url" ? true : try found.bool() else { continue }
            throw found.error("\(key) is not supported", hint: hint)
        }
        let folder = file.lastIndex(of: "/").map { String(file[...$0]) } ?? ""
        let serverName = try cluster.text("tls-server-name")
        if !serverName.isEmpty { server.serverName = serverName }
        server.roots = try pem("certificate-authority", cluster, folder)
        server.certificate = try pem("client-certificate", user, folder)
        server.key = try pem("client-key", user, folder)
        if server.certificate != nil, server.key == nil { throw user.error("a client certificate needs client-key") }
        for key in ["exec", "auth-provider"] where user[key] != nil {
            throw user.error(
                "users[].user.\(key): programs that fetch credentials are not run",
                hint: "use a token (`kubectl create token`), a tokenFile or a client certificate")
        }
        if user["username"] != nil {
            throw user.error("username and password are not supported", hint: "use a token or a client certificate")
        }
        let token = try user.text("token")
        let tokenFile = try user.text("tokenFile")
        if !tokenFile.isEmpty {
            server.token = .file(absolute(tokenFile, folder))
        } else if !token.isEmpty {
            guard token.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
                throw user.error("the token is no bearer token")
            }
            server.token = .text(token)
        }
        return server
    }

    private static func named(
        _ name: String, _ list: String, _ key: String, _ root: ManifestMapping
    ) throws(ConfigurationError) -> ManifestMapping {
        for item in try root.items(list) {
            let entry = try item.mapping()
            if try entry.text("name") == name { return try entry[key]?.mapping() ?? entry }
        }
        throw root.error("\(list) has no \(name.quoted)")
    }

    private static func absolute(_ path: String, _ folder: String) -> String {
        path.hasPrefix("/") ? path : folder + path
    }

    /// What `KEY-data` holds, else the file that `KEY` names.
    private static func pem(
        _ key: String, _ mapping: ManifestMapping, _ folder: String
    ) throws(ConfigurationError) -> APIServer.PEM? {
        if let data = mapping["\(key)-data"] {
            return .bytes(try data.parsed("base64 text") { text in Data(base64Encoded: text).map { Array($0) } })
        }
        let path = try mapping.text(key)
        return path.isEmpty ? nil : .file(absolute(path, folder))
    }
}
