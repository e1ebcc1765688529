internal import COpenSSL
package import MeshModel

/// What a certificate says, read once; text in it is escaped and safe to show.
package struct Certificate: Hashable, Sendable {
    /// The URI subject alternative names in order, bytes outside printable ASCII escaped.
    package let uriSANs: [String]
    /// How many subject alternative names are of another kind (DNS, e-mail, address).
    package let otherSANs: Int
    /// Valid from this second of the Unix epoch on.
    package let notBefore: Int64
    /// Valid up to this second of the Unix epoch.
    package let notAfter: Int64
    /// Serial number, decimal.
    package let serial: String
    /// Serial number, lower-case hexadecimal with whole bytes.
    package let serialHex: String
    /// Issuer in RFC 2253 form.
    package let issuer: String
    /// Subject in RFC 2253 form; empty for workloads.
    package let subject: String
    /// Whether it may sign certificates.
    package let isAuthority: Bool
    /// The certificate as PEM text.
    package let pem: [UInt8]

    /// The identity of a workload: the one URI SAN, when it is a SPIFFE ID of the mesh form.
    package var identity: SpiffeID? { uriSANs.count == 1 ? SpiffeID(uriSANs[0]) : nil }

    /// Reads all certificates of a PEM text.
    /// - Parameter source: names the text in errors, a path for instance.
    /// - Throws: ``CertificateError`` when there is none or one is damaged.
    package static func chain(pem: [UInt8], source: String) throws(CertificateError) -> [Certificate] {
        var chain: [Certificate] = []
        for reference in try CertificatePEM.certificates(pem, source) {
            chain.append(try Certificate(reference, source))
        }
        return chain
    }

    init(_ reference: X509Reference, _ source: String) throws(CertificateError) {
        let pointer = reference.pointer
        guard let notBefore = Self.time(X509_get0_notBefore(pointer)),
            let notAfter = Self.time(X509_get0_notAfter(pointer))
        else { throw CertificateError("\(source) holds a certificate with a damaged validity") }
        self.notBefore = notBefore
        self.notAfter = notAfter
        (serial, serialHex) = Self.numbers(X509_get0_serialNumber(pointer))
        issuer = try Self.name(X509_get_issuer_name(pointer))
        subject = try Self.name(X509_get_subject_name(pointer))
        isAuthority = X509_check_ca(pointer) == 1
        pem = try reference.pem()
        (uriSANs, otherSANs) = Self.uris(of: pointer)
        ERR_clear_error()
    }

    /// The URI names, escaped, and how many names are of another kind.
    static func uris(of pointer: OpaquePointer) -> (names: [String], others: Int) {
        guard let data = X509_get_ext_d2i(pointer, NID_subject_alt_name, nil, nil) else { return ([], 0) }
        let names = OpaquePointer(data)
        defer { GENERAL_NAMES_free(names) }
        var uris: [String] = []
        var bytes: UnsafePointer<UInt8>?
        var count = zt_uri_name(names, 0, &bytes)
        while count >= 0 {
            uris.append(CertificateError.escaped(UnsafeBufferPointer(start: bytes, count: Int(count))))
            count = zt_uri_name(names, Int32(uris.count), &bytes)
        }
        return (uris, Int(zt_names_not_uri(names)))
    }

    static func time(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        guard let time, let epoch = ASN1_TIME_set(nil, 0) else { return nil }
        defer { ASN1_STRING_free(epoch) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return nil }
        return Int64(days) * 86400 + Int64(seconds)
    }

    private static func numbers(_ serial: UnsafePointer<ASN1_INTEGER>?) -> (decimal: String, hex: String) {
        guard let serial, let number = ASN1_INTEGER_to_BN(serial, nil) else { return ("", "") }
        defer { BN_free(number) }
        guard let decimal = BN_bn2dec(number), let hex = BN_bn2hex(number) else { return ("", "") }
        defer {
            CRYPTO_free(decimal, nil, 0)
            CRYPTO_free(hex, nil, 0)
        }
        return (String(cString: decimal), String(cString: hex).lowercased())
    }

    private static func name(_ name: OpaquePointer?) throws(CertificateError) -> String {
        let bytes = try CertificatePEM.written { zt_print_name($0, name) }
        return CertificateError.escaped(bytes)
    }
}
