internal import COpenSSL
package import MeshModel

/// A certificate authority in a directory, for one host and for trying ztun out: who can read the directory can be
/// anyone in the mesh.
///
/// A value; the directory is read once. `ca.crt` is the certificate, `ca.key` the P-256 key (0600); `ca.roots` holds
/// other authorities that are accepted beside it for a while, during a rotation.
package struct CertificateAuthority: Sendable {
    package let directory: String
    package let trustDomain: String
    package let certificate: Certificate
    /// Which version of the directory's files this is.
    package let version: Version
    /// Authorities accepted beside this one.
    package let otherRoots: [AcceptedRoot]
    /// All that is accepted, for the credentials it issues: one copy for all of them.
    private let rootsPEM: [UInt8]
    private let keyPEM: [UInt8]

    /// What tells that an authority, or what is accepted beside it, is another.
    package struct Version: Hashable, Sendable {
        let certificate: FileVersion
        let roots: FileVersion?
        /// The second of the Unix epoch at which the next of the other roots is accepted no more; nil when none is.
        var nextEnd: Int64?
    }

    /// How long a new authority lives, in seconds: ten years.
    package static let authorityLifetime: Int64 = 10 * 365 * 86400
    /// How long a leaf lives when nothing else is asked for, in seconds: a day.
    package static let leafLifetime: Int64 = 86400
    /// How far the start of validity lies back, in seconds, for clocks that differ a little.
    package static let clockSkew: Int64 = 60

    /// Reads the authority of a directory; makes both, when they are not there.
    ///
    /// Any number of processes may do so at once: a lock file lets one make it, the others read what it made.
    /// - Parameter now: seconds of the Unix epoch.
    /// - Throws: ``CertificateError``; also for an authority of another trust domain or one that has expired.
    package static func open(
        directory: String, trustDomain: String, now: Int64
    ) throws(CertificateError) -> CertificateAuthority {
        guard SpiffeID.isTrustDomain(trustDomain) else {
            throw CertificateError("'\(CertificateError.escaped(trustDomain.utf8))' is not a trust domain")
        }
        let files = CertificateAuthorityDirectory(path: directory)
        let lock = try files.lock()
        defer { lock.release() }
        if try !files.isComplete {
            let key = try PrivateKey.generate()
            let template = CertificateTemplate.authority(
                trustDomain: trustDomain, notBefore: now - clockSkew, notAfter: now + authorityLifetime)
            let made = try template.signed(key: key)
            try files.write(keyPEM: key.pem(), certificatePEM: made.pem())
        }
        return try CertificateAuthority(files, trustDomain: trustDomain, now: now)
    }

    private init(
        _ files: CertificateAuthorityDirectory, trustDomain: String, now: Int64
    ) throws(CertificateError) {
        let contents = try files.read()
        let (certificatePath, keyPath) = (files.certificatePath, files.keyPath)
        let references = try CertificatePEM.certificates(contents.certificate.bytes, certificatePath)
        guard references.count == 1 else {
            throw CertificateError("\(certificatePath) holds \(references.count) certificates instead of one")
        }
        let key = try PrivateKey.parse(contents.key.bytes, keyPath)
        guard key.fits(references[0]) else {
            throw CertificateError("\(keyPath) is not the key of \(certificatePath); \(files.remedy)")
        }
        let certificate = try Certificate(references[0], certificatePath)
        guard certificate.isAuthority else {
            throw CertificateError("\(certificatePath) is not an authority's certificate (no CA:TRUE)")
        }
        guard certificate.uriSANs == ["spiffe://\(trustDomain)"] else {
            throw CertificateError(
                "\(certificatePath) is the authority of '\(certificate.uriSANs.joined(separator: ", "))', "
                    + "not of 'spiffe://\(trustDomain)'; use another directory or trust domain")
        }
        guard now < certificate.notAfter else {
            throw CertificateError("\(certificatePath) has expired; \(files.remedy)")
        }
        directory = files.path
        self.trustDomain = trustDomain
        self.certificate = certificate
        otherRoots = try files.acceptedRoots().filter { now < $0.until && $0.certificate.pem != certificate.pem }
        rootsPEM = certificate.pem + otherRoots.flatMap(\.certificate.pem)
        version = Version(
            certificate: contents.certificate.version, roots: files.rootsVersion,
            nextEnd: otherRoots.map(\.until).min())
        keyPEM = contents.key.bytes
    }

    /// Whether the directory holds something else now, or an accepted root has come to its end.
    ///
    /// Gone is not changed: what is in memory serves until there is another authority.
    package func isOutdated(now: Int64) -> Bool {
        let files = CertificateAuthorityDirectory(path: directory)
        guard let certificate = FileVersion(path: files.certificatePath) else { return false }
        if let end = version.nextEnd, now >= end { return true }
        return certificate != version.certificate || files.rootsVersion != version.roots
    }

    /// Puts a new authority in place of the one in a directory, in two steps without a gap in trust.
    ///
    /// First the new root is accepted beside the old one; when every program has seen that (`settle` waits), the new
    /// authority signs, and the old root stays accepted until `overlap` seconds later.
    /// - Returns: the new authority.
    package static func rotate(
        directory: String, trustDomain: String, now: () -> Int64, overlap: Int64, settle: () -> Void
    ) throws(CertificateError) -> CertificateAuthority {
        let files = CertificateAuthorityDirectory(path: directory)
        let start = now()
        guard FileVersion(path: files.certificatePath) != nil else {
            throw CertificateError("\(files.certificatePath) is not there: there is no authority to take over from")
        }
        let key = try PrivateKey.generate()
        let template = CertificateTemplate.authority(
            trustDomain: trustDomain, notBefore: start - clockSkew, notAfter: start + authorityLifetime)
        let made = try template.signed(key: key)
        let next = AcceptedRoot(
            certificate: try Certificate(made, files.certificatePath), until: start + authorityLifetime)
        try accept([next], files, trustDomain, now: start)
        settle()
        let lock = try files.lock()
        defer { lock.release() }
        let old = try CertificateAuthority(files, trustDomain: trustDomain, now: now())
        let previous = AcceptedRoot(
            certificate: old.certificate, until: min(now() + max(0, overlap), old.certificate.notAfter))
        try files.write(roots: old.otherRoots + [previous])
        try files.write(keyPEM: key.pem(), certificatePEM: made.pem())
        return try CertificateAuthority(files, trustDomain: trustDomain, now: now())
    }

    /// Accepts roots beside the authority of a directory.
    private static func accept(
        _ roots: [AcceptedRoot], _ files: CertificateAuthorityDirectory, _ trustDomain: String, now: Int64
    ) throws(CertificateError) {
        let lock = try files.lock()
        defer { lock.release() }
        let authority = try CertificateAuthority(files, trustDomain: trustDomain, now: now)
        try files.write(roots: authority.otherRoots + roots)
    }

    /// Issues a certificate with a new key.
    /// - Parameters:
    ///   - now: seconds of the Unix epoch.
    ///   - lifetime: seconds from now; never beyond the authority's own end.
    package func issue(
        _ identity: SpiffeID, now: Int64, lifetime: Int64 = leafLifetime
    ) throws(CertificateError) -> TLSCredentials {
        guard SpiffeID(identity.description) == identity else {
            throw CertificateError("'\(CertificateError.escaped(identity.description.utf8))' is not a valid identity")
        }
        guard identity.trustDomain == trustDomain else {
            throw CertificateError(
                "the authority in \(directory) is of the trust domain '\(trustDomain)' and issues nothing for \(identity)"
            )
        }
        guard now < certificate.notAfter else {
            throw CertificateError("the authority in \(directory) has expired")
        }
        let issuerKey = try PrivateKey.parse(keyPEM, directory)
        let issuer = try CertificatePEM.certificates(certificate.pem, directory)[0]
        let key = try PrivateKey.generate()
        let (end, overflow) = now.addingReportingOverflow(max(1, lifetime))
        let template = CertificateTemplate.leaf(
            identity, notBefore: max(now - Self.clockSkew, certificate.notBefore),
            notAfter: overflow ? certificate.notAfter : min(end, certificate.notAfter))
        let leaf = try Certificate(try template.signed(key: key, issuer: (issuer, issuerKey)), identity.description)
        return TLSCredentials(
            chainPEM: leaf.pem, keyPEM: try key.pem(), rootsPEM: rootsPEM, identity: identity,
            notBefore: leaf.notBefore, notAfter: leaf.notAfter, serial: leaf.serial)
    }
}
