import FoundationEssentials
import Glibc
import MeshModel
import Testing

@testable import TLS

/// A root, an intermediate and two leaves made by the openssl program, in a folder of their own.
final class OpenSSLBench {
    let folder: String

    init() throws {
        folder = "/tmp/ztun-tls-\(getpid())-\(UInt64.random(in: .min ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in ["root", "intermediate"] { try write("", "\(name).index") }
        try authority("root", days: 30)
        try key("intermediate")
        try openssl("req", "-new", "-key", "intermediate.key", "-subj", "/O=intermediate", "-out", "intermediate.csr")
        try write(
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n", "intermediate.ext")
        try sign("intermediate", by: "root", serial: "0100")
        for (name, serial) in [("client", "0200"), ("server", "0201")] {
            try key(name)
            try openssl("req", "-new", "-key", "\(name).key", "-subj", "/", "-out", "\(name).csr")
            try write(
                "subjectAltName=critical,URI:spiffe://cluster.local/ns/default/sa/\(name)\n"
                    + "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n", "\(name).ext")
            try sign(name, by: "intermediate", serial: serial)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func credentials(_ name: String, _ identity: SpiffeID) throws -> TLSCredentials {
        TLSCredentials(
            chainPEM: try read("\(name).pem") + read("intermediate.pem"), keyPEM: try read("\(name).key"),
            rootsPEM: try read("root.pem"), identity: identity, notBefore: 0, notAfter: .max, serial: "")
    }

    func serial(_ name: String) throws -> String { try #require(serials[name]) }
    private var serials: [String: String] = [:]

    /// A list of an issuer, PEM; `daysAgo` puts its end into the past.
    func list(revoking names: [String], by issuer: String = "intermediate", daysAgo: Int = 0) throws -> [UInt8] {
        var lines = ""
        for name in names { lines += "R\t361231235959Z\t200101000000Z\t\(try serial(name))\tunknown\t/\n" }
        try write(lines, "\(issuer).index")
        try write(
            "[ca]\ndefault_ca=c\n[c]\ndatabase=\(folder)/\(issuer).index\ndefault_md=sha256\n", "\(issuer).conf")
        var arguments = [
            "ca", "-gencrl", "-config", "\(issuer).conf", "-keyfile", "\(issuer).key", "-cert", "\(issuer).pem", "-out",
            "crl.pem",
        ]
        arguments +=
            daysAgo > 0
            ? ["-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z"] : ["-crldays", "7"]
        try openssl(arguments)
        return try read("crl.pem")
    }

    func der(_ pem: [UInt8]) throws -> [UInt8] {
        try Data(pem).write(to: URL(filePath: "\(folder)/some.pem"))
        try openssl("crl", "-in", "some.pem", "-outform", "DER", "-out", "some.der")
        return try read("some.der")
    }

    private func authority(_ name: String, days: Int) throws {
        try key(name)
        try openssl(
            "req", "-x509", "-new", "-key", "\(name).key", "-days", "\(days)", "-subj", "/O=\(name)", "-addext",
            "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out",
            "\(name).pem")
    }

    private func key(_ name: String) throws {
        try openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "\(name).key")
    }

    private func sign(_ name: String, by issuer: String, serial: String) throws {
        serials[name] = serial
        try openssl(
            "x509", "-req", "-in", "\(name).csr", "-CA", "\(issuer).pem", "-CAkey", "\(issuer).key", "-set_serial",
            "0x\(serial)", "-days", "7", "-extfile", "\(name).ext", "-out", "\(name).pem")
    }

    private func read(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(filePath: "\(folder)/\(name)")))
    }

    private func write(_ text: String, _ name: String) throws {
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
    }

    private func openssl(_ arguments: String...) throws { try openssl(arguments) }

    private func openssl(_ arguments: [String]) throws {
        let words = arguments.map { $0.isEmpty ? "''" : "'\($0)'" }.joined(separator: " ")
        let command = "cd '\(folder)' && openssl \(words) </dev/null >openssl.log 2>&1"
        let code = system(command)
        let output = String(decoding: try read("openssl.log"), as: UTF8.self)
        try #require(code == 0, "openssl \(arguments): \(output)")
    }
}
