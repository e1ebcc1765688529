import FoundationEssentials
import MeshModel
import Testing

@testable import TLS

@Suite struct CertificateFilesTests {
    private let web = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "web")
    private let now: Int64 = 1_800_000_000
    private let bench: CertificateBench
    private let authority: CertificateAuthority

    init() throws {
        bench = try CertificateBench()
        authority = try bench.authority(now: now)
        let credentials = try authority.issue(web, now: now)
        try bench.write("cert.pem", credentials.chainPEM)
        try bench.write("key.pem", credentials.keyPEM)
        try bench.write("roots.pem", credentials.rootsPEM)
    }

    private var files: CertificateFiles {
        CertificateFiles(
            identity: web, chainPath: "\(bench.folder)/cert.pem", keyPath: "\(bench.folder)/key.pem",
            rootsPath: "\(bench.folder)/roots.pem")
    }

    private func fault(at moment: Int64? = nil) -> String? {
        bench.fault { () throws(CertificateError) in try files.load(now: moment ?? now) }?
            .replacing("\(bench.folder)/", with: "")
    }

    @Test func goodFilesLoad() throws {
        let loaded = try files.load(now: now)
        #expect(loaded.identity == web)
        #expect(loaded.notAfter == now + 86_400)
        #expect(loaded.rootsPEM == authority.certificate.pem)
    }

    @Test func missingFilesAreNamed() throws {
        try FileManager.default.removeItem(atPath: files.keyPath)
        #expect(fault() == "key.pem cannot be opened: No such file or directory")
    }

    @Test(arguments: ["cert.pem", "roots.pem"])
    func garbageIsNamed(file: String) throws {
        try bench.write(file, Array("garbage".utf8))
        #expect(fault() == "\(file) holds no PEM certificate")
        try bench.write(file, [])
        #expect(fault() == "\(file) holds no PEM certificate")
        let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        try bench.write(file, Array(block.utf8))
        #expect(fault()?.hasPrefix("\(file) holds a damaged certificate: ") == true)
    }

    @Test func aLongFileIsNotRead() throws {
        try bench.write("cert.pem", [UInt8](repeating: 65, count: (4 << 20) + 1))
        #expect(fault() == "cert.pem has 4194305 bytes; at most 4194304 are read")
    }

    @Test func aKeyWithPassphraseIsRefusedWithoutAsking() throws {
        _ = try bench.openssl(
            "pkey", "-in", "key.pem", "-aes256", "-passout", "pass:secret", "-out", "\(bench.folder)/new.pem")
        try FileManager.default.removeItem(atPath: files.keyPath)
        try FileManager.default.moveItem(atPath: "\(bench.folder)/new.pem", toPath: files.keyPath)
        #expect(fault() == "key.pem holds no PEM private key without passphrase")
    }

    @Test func anotherKeyIsRefused() throws {
        try bench.write("key.pem", try PrivateKey.generate().pem())
        #expect(fault() == "key.pem is not the key of the first certificate in cert.pem")
    }

    @Test func anotherIdentityIsRefused() throws {
        let other = try authority.issue(
            SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "db"), now: now)
        try bench.write("cert.pem", other.chainPEM)
        try bench.write("key.pem", other.keyPEM)
        #expect(
            fault()
                == "cert.pem is the certificate of 'spiffe://cluster.local/ns/default/sa/db', not of "
                + "spiffe://cluster.local/ns/default/sa/web")
    }

    @Test func timeIsChecked() {
        #expect(fault(at: now + 86_400) == "cert.pem has expired at 2027-01-16T08:00:00Z; put a new one in place")
        #expect(fault(at: now - 61) == "cert.pem is not valid before 2027-01-15T07:59:00Z; check the clock")
        #expect(fault(at: now + 86_399) == nil)
    }

    @Test func rootsOfOthersAreRefused() throws {
        let other = try CertificateAuthority.open(
            directory: "\(bench.folder)/other", trustDomain: "cluster.local", now: now)
        try bench.write("roots.pem", other.certificate.pem)
        #expect(fault()?.hasPrefix("cert.pem does not lead to a root in roots.pem: ") == true)
        // While roots change, both are in the file.
        try bench.write("roots.pem", other.certificate.pem + authority.certificate.pem)
        #expect(fault() == nil)
    }

    /// A self-signed certificate of the key in key.pem.
    private func selfSigned(_ template: CertificateTemplate) throws {
        let key = try PrivateKey.generate()
        try bench.write("key.pem", try key.pem())
        let pem = try template.signed(key: key).pem()
        try bench.write("cert.pem", pem)
        try bench.write("roots.pem", pem)
    }

    @Test func anAuthorityIsNoWorkload() throws {
        var template = CertificateTemplate.authority(trustDomain: "cluster.local", notBefore: now, notAfter: now + 9)
        template.uri = web.description
        try selfSigned(template)
        #expect(fault() == "cert.pem starts with an authority's certificate; the workload's must come first")
    }

    @Test func hostileNamesAreEscaped() throws {
        var template = CertificateTemplate.leaf(web, notBefore: now, notAfter: now + 9)
        template.uri = "spiffe://a'\n\u{1b}[31m"
        template.extensions.removeLast()
        try selfSigned(template)
        #expect(
            fault()
                == "cert.pem is the certificate of 'spiffe://a\\x27\\x0a\\x1b[31m', not of "
                + "spiffe://cluster.local/ns/default/sa/web")
    }

    @Test func aCertificateWithoutURIIsRefused() throws {
        _ = try bench.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/CN=spiffe:\\/\\/cluster.local\\/ns\\/default\\/sa\\/web", "-addext",
            "subjectAltName=DNS:spiffe.cluster.local,email:a@b.c", "-keyout", "key.pem", "-out", "cert.pem")
        #expect(
            fault() == "cert.pem has 0 URI names; exactly one is needed, spiffe://cluster.local/ns/default/sa/web")
    }

    @Test func twoURIsAreRefused() throws {
        _ = try bench.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
            "-addext",
            "subjectAltName=URI:\(web),URI:spiffe://cluster.local/ns/default/sa/db", "-keyout", "key.pem", "-out",
            "cert.pem")
        #expect(
            fault() == "cert.pem has 2 URI names; exactly one is needed, spiffe://cluster.local/ns/default/sa/web")
    }
}
