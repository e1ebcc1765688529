internal import MeshModel

/// An authority that is accepted beside the one that signs, until a moment.
package struct AcceptedRoot: Hashable, Sendable {
    package let certificate: Certificate
    /// Accepted before this second of the Unix epoch.
    package let until: Int64

    private static let mark = "# accepted until "

    /// One entry of `ca.roots`: a line with the end, then the PEM text.
    var text: [UInt8] { Array("\(Self.mark)\(CivilTime(unixSeconds: until))\n".utf8) + certificate.pem }

    /// Reads entries; a certificate without the line is accepted as long as it is valid.
    static func list(_ bytes: [UInt8], source: String) throws(CertificateError) -> [AcceptedRoot] {
        var roots: [AcceptedRoot] = []
        var until: Int64?
        var block: [UInt8] = []
        var isInside = false
        for line in bytes.split(separator: 10, omittingEmptySubsequences: true) {
            let text = String(decoding: line, as: UTF8.self)
            if text.hasPrefix(mark) {
                guard let end = CivilTime(String(text.dropFirst(mark.utf8.count))) else {
                    throw CertificateError("\(source) has a line '\(CertificateError.escaped(line))' without a time")
                }
                until = end.unixSeconds
            }
            if text.hasPrefix("-----BEGIN ") { (isInside, block) = (true, []) }
            if isInside { block += line + [10] }
            guard isInside, text.hasPrefix("-----END ") else { continue }
            isInside = false
            for certificate in try Certificate.chain(pem: block, source: source) {
                guard certificate.isAuthority else {
                    throw CertificateError("\(source) holds a certificate that is no authority's")
                }
                let end = min(until ?? certificate.notAfter, certificate.notAfter)
                roots.append(AcceptedRoot(certificate: certificate, until: end))
            }
            until = nil
        }
        return roots
    }
}
