package import MeshModel

/// Where one identity's certificate, key and roots are on disk.
package struct CertificateFiles: Hashable, Sendable {
    package let identity: SpiffeID
    /// The leaf and its intermediates, PEM.
    package let chainPath: String
    /// The leaf's key, PEM without passphrase.
    package let keyPath: String
    /// The certificates peers must chain to, PEM.
    package let rootsPath: String

    /// Longest accepted file, in bytes.
    private static let limit = 4 << 20

    package init(identity: SpiffeID, chainPath: String, keyPath: String, rootsPath: String) {
        self.identity = identity
        self.chainPath = chainPath
        self.keyPath = keyPath
        self.rootsPath = rootsPath
    }

    /// The versions of the three files as they are now; they change when any file does.
    package var versions: [FileVersion?] { [chainPath, keyPath, rootsPath].map { FileVersion(path: $0) } }

    /// Reads and checks the three files.
    ///
    /// What comes out can be used: the key fits the leaf, the leaf carries exactly the identity, is valid at the moment
    /// and leads to the roots.
    /// - Parameter now: seconds of the Unix epoch.
    /// - Throws: ``CertificateError`` naming file, cause and what was expected.
    package func load(now: Int64) throws(CertificateError) -> TLSCredentials {
        let chainBytes = try FileContents(path: chainPath, limit: Self.limit).bytes
        let keyBytes = try FileContents(path: keyPath, limit: Self.limit).bytes
        let rootBytes = try FileContents(path: rootsPath, limit: Self.limit).bytes
        let chain = try CertificatePEM.certificates(chainBytes, chainPath)
        let roots = try CertificatePEM.certificates(rootBytes, rootsPath)
        let key = try PrivateKey.parse(keyBytes, keyPath)
        guard key.fits(chain[0]) else {
            throw CertificateError("\(keyPath) is not the key of the first certificate in \(chainPath)")
        }
        let leaf = try Certificate(chain[0], chainPath)
        try check(leaf, now: now)
        if let fault = CertificateChain.fault(
            leaf: chain[0], intermediates: Array(chain.dropFirst()), roots: roots, at: now)
        {
            throw CertificateError("\(chainPath) does not lead to a root in \(rootsPath): \(fault)")
        }
        var rootsPEM: [UInt8] = []
        for root in roots { rootsPEM += try root.pem() }
        var chainPEM: [UInt8] = []
        for certificate in chain { chainPEM += try certificate.pem() }
        return TLSCredentials(
            chainPEM: chainPEM, keyPEM: try key.pem(), rootsPEM: rootsPEM, identity: identity,
            notBefore: leaf.notBefore, notAfter: leaf.notAfter, serial: leaf.serial)
    }

    private func check(_ leaf: Certificate, now: Int64) throws(CertificateError) {
        guard leaf.uriSANs.count == 1 else {
            throw CertificateError(
                "\(chainPath) has \(leaf.uriSANs.count) URI names; exactly one is needed, \(identity)")
        }
        guard leaf.uriSANs[0] == identity.description else {
            throw CertificateError("\(chainPath) is the certificate of '\(leaf.uriSANs[0])', not of \(identity)")
        }
        guard !leaf.isAuthority else {
            throw CertificateError(
                "\(chainPath) starts with an authority's certificate; the workload's must come first")
        }
        guard now >= leaf.notBefore else {
            throw CertificateError(
                "\(chainPath) is not valid before \(CivilTime.text(leaf.notBefore)); check the clock")
        }
        guard now < leaf.notAfter else {
            throw CertificateError(
                "\(chainPath) has expired at \(CivilTime.text(leaf.notAfter)); put a new one in place")
        }
    }
}

extension CivilTime {
    /// A second of the Unix epoch as RFC 3339 text.
    static func text(_ seconds: Int64) -> String {
        let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? "second \(seconds)" : CivilTime(unixNanoseconds: nanoseconds).description
    }
}
