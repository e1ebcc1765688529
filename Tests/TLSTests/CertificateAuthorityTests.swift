import FoundationEssentials
import MeshModel
import Testing

@testable import TLS

@Suite struct CertificateAuthorityTests {
    private let web = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "web")
    private let now = Int64(Date().timeIntervalSince1970)

    @Test func issuesALeafOfTheRightShape() throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        let credentials = try authority.issue(web, now: now)
        let leaf = try #require(try Certificate.chain(pem: credentials.chainPEM, source: "leaf").first)
        #expect(leaf.uriSANs == ["spiffe://cluster.local/ns/default/sa/web"])
        #expect(leaf.otherSANs == 0)
        #expect(leaf.identity == web)
        #expect(leaf.subject == "")
        #expect(!leaf.isAuthority)
        #expect(leaf.notBefore == now - 60)
        #expect(leaf.notAfter == now + 86_400)
        #expect(leaf.issuer == authority.certificate.subject)
        #expect(leaf.issuer == "CN=ztun embedded CA,O=cluster.local")
        #expect(leaf.serial == credentials.serial)
        #expect(leaf.serial.utf8.count >= 38 && leaf.serial.utf8.allSatisfy { (48...57).contains($0) })
        #expect(credentials.description.contains(credentials.serial))
        #expect(!credentials.description.contains("PRIVATE"))
        #expect(try authority.issue(web, now: now).serial != credentials.serial)
    }

    @Test func theCommandLineToolAgrees() throws {
        let bench = try CertificateBench()
        let credentials = try bench.authority(now: now).issue(web, now: now)
        try bench.write("leaf.pem", credentials.chainPEM)
        try bench.write("key.pem", credentials.keyPEM)
        let verified = try bench.openssl(
            "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca/ca.crt", "leaf.pem")
        #expect(verified.contains("leaf.pem: OK"))
        #expect(
            try bench.openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca/ca.crt", "leaf.pem")
                .contains("leaf.pem: OK"))
        let text = try bench.openssl("x509", "-in", "leaf.pem", "-noout", "-text")
        for part in [
            "Version: 3 (0x2)", "Subject: \n", "X509v3 Subject Alternative Name: critical",
            "URI:spiffe://cluster.local/ns/default/sa/web", "X509v3 Basic Constraints: critical", "CA:FALSE",
            "X509v3 Key Usage: critical", "Digital Signature\n",
            "TLS Web Server Authentication, TLS Web Client Authentication",
            "ASN1 OID: prime256v1", "ecdsa-with-SHA256",
        ] {
            #expect(text.contains(part), "\(part) is missing in:\n\(text)")
        }
        #expect(try bench.openssl("pkey", "-in", "key.pem", "-noout", "-text").contains("prime256v1"))
        let ca = try bench.openssl("x509", "-in", "ca/ca.crt", "-noout", "-text")
        #expect(ca.contains("CA:TRUE, pathlen:0"))
        #expect(ca.contains("Certificate Sign, CRL Sign"))
    }

    @Test func theDirectoryIsPrivate() throws {
        let bench = try CertificateBench()
        _ = try CertificateAuthority.open(
            directory: "\(bench.folder)/deep/er/ca", trustDomain: "cluster.local", now: now)
        let folder = "\(bench.folder)/deep/er/ca"
        func mode(_ path: String) throws -> Int {
            try #require(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
        }
        #expect(try mode(folder) == 0o700)
        #expect(try mode("\(folder)/ca.key") == 0o600)
        #expect(
            Set(try FileManager.default.contentsOfDirectory(atPath: folder)) == ["ca.crt", "ca.key", "ca.lock"])
    }

    @Test func manyAtOnceMakeOneAuthority() async throws {
        let bench = try CertificateBench()
        let (folder, now) = (bench.folder, now)
        let made = try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<16 {
                group.addTask {
                    try CertificateAuthority.open(directory: "\(folder)/ca", trustDomain: "cluster.local", now: now)
                        .certificate.pem
                }
            }
            return try await group.reduce(into: Set<[UInt8]>()) { $0.insert($1) }
        }
        #expect(made.count == 1)
    }

    @Test func anInterruptedCreationIsFinished() throws {
        let bench = try CertificateBench()
        try FileManager.default.createDirectory(atPath: "\(bench.folder)/ca", withIntermediateDirectories: true)
        try bench.write("ca/ca.key", Array("half".utf8))
        try bench.write("ca/ca.key.new", Array("hal".utf8))
        _ = try bench.authority(now: now).issue(web, now: now)
    }

    @Test func leavesNeverOutliveTheAuthority() throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        let end = authority.certificate.notAfter
        #expect(try authority.issue(web, now: end - 100).notAfter == end)
        #expect(try authority.issue(web, now: now, lifetime: .max).notAfter == end)
        #expect(
            bench.fault { () throws(CertificateError) in try authority.issue(web, now: end) }?.contains("has expired")
                == true)
        #expect(
            bench.fault { () throws(CertificateError) in try bench.authority(now: end) }?.contains("ca.crt has expired")
                == true)
    }

    @Test(arguments: [
        SpiffeID(trustDomain: "cluster.local", namespace: "a/b", serviceAccount: "c"),
        SpiffeID(trustDomain: "cluster.local", namespace: "..", serviceAccount: "c"),
        SpiffeID(trustDomain: "cluster.local", namespace: "a", serviceAccount: ""),
        SpiffeID(trustDomain: "cluster.local", namespace: "a", serviceAccount: "c,URI:spiffe://x"),
        SpiffeID(trustDomain: "cluster.local", namespace: "a", serviceAccount: "c\u{0}d"),
        SpiffeID(trustDomain: "cluster.local.", namespace: "a", serviceAccount: "c"),
        SpiffeID(trustDomain: "other.local", namespace: "a", serviceAccount: "c"),
    ])
    func lookAlikeIdentitiesGetNothing(identity: SpiffeID) throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        #expect(throws: CertificateError.self) { try authority.issue(identity, now: now) }
    }

    @Test func anAuthorityOfAnotherTrustDomainIsRefused() throws {
        let bench = try CertificateBench()
        _ = try bench.authority(now: now)
        let text = bench.fault { () throws(CertificateError) in
            try CertificateAuthority.open(directory: "\(bench.folder)/ca", trustDomain: "td.example", now: now)
        }
        #expect(
            text
                == "\(bench.folder)/ca/ca.crt is the authority of 'spiffe://cluster.local', not of 'spiffe://td.example'; "
                + "use another directory or trust domain")
    }

    @Test func damagedFilesAreNamed() throws {
        let bench = try CertificateBench()
        let first = try bench.authority(now: now)
        let certificate = first.certificate.pem
        func fault() -> String? { bench.fault { () throws(CertificateError) in try bench.authority(now: now) } }
        try bench.write("ca/ca.crt", Array("garbage".utf8))
        #expect(fault()?.contains("ca.crt holds no PEM certificate") == true)
        try bench.write("ca/ca.crt", Array(certificate.dropLast(100)))
        #expect(fault()?.contains("ca/ca.crt holds") == true)
        try bench.write("ca/ca.crt", certificate)
        #expect(fault() == nil)
        try bench.write("ca/ca.key", Array("garbage".utf8), mode: 0o600)
        #expect(fault()?.contains("ca.key holds no PEM private key") == true)
        try bench.write("ca/ca.key", try PrivateKey.generate().pem(), mode: 0o600)
        #expect(fault()?.contains("ca.key is not the key of") == true)
        try bench.write("ca/ca.key", try PrivateKey.generate().pem(), mode: 0o644)
        #expect(fault()?.contains("can be read by others (mode 0644)") == true)
        try FileManager.default.removeItem(atPath: "\(bench.folder)/ca/ca.key")
        #expect(fault()?.contains("ca.key is missing") == true)
    }
}
