internal import COpenSSL
internal import MeshModel

/// What is to stand in a certificate, and its making.
struct CertificateTemplate {
    /// Entries of the subject, short name and value; none for workloads.
    var subject: [(field: String, value: String)] = []
    /// The one URI subject alternative name.
    var uri: String
    /// Seconds of the Unix epoch.
    var notBefore: Int64
    /// Seconds of the Unix epoch.
    var notAfter: Int64
    /// Extensions in OpenSSL's configuration syntax; never text from outside.
    var extensions: [(nid: Int32, value: String)]

    /// What a workload presents: server and client, signs only handshakes.
    static func leaf(_ identity: SpiffeID, notBefore: Int64, notAfter: Int64) -> CertificateTemplate {
        CertificateTemplate(
            uri: identity.description, notBefore: notBefore, notAfter: notAfter,
            extensions: [
                (NID_basic_constraints, "critical,CA:FALSE"),
                (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "serverAuth,clientAuth"),
                (NID_subject_key_identifier, "hash"),
                (NID_authority_key_identifier, "keyid:always"),
            ])
    }

    /// What signs leaves, and only leaves.
    static func authority(trustDomain: String, notBefore: Int64, notAfter: Int64) -> CertificateTemplate {
        // X.520 allows 64 characters of an organisation.
        let organisation = trustDomain.utf8.count <= 64 ? [("O", trustDomain)] : []
        return CertificateTemplate(
            subject: organisation + [("CN", "ztun embedded CA")],
            uri: "spiffe://\(trustDomain)", notBefore: notBefore, notAfter: notAfter,
            extensions: [
                (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
                (NID_key_usage, "critical,keyCertSign,cRLSign"),
                (NID_subject_key_identifier, "hash"),
            ])
    }

    /// Makes the certificate of a key, signed by an issuer, or by the key itself when there is none.
    func signed(
        key: PrivateKey, issuer: (certificate: X509Reference, key: PrivateKey)? = nil
    ) throws(CertificateError) -> X509Reference {
        ERR_clear_error()
        guard let pointer = X509_new() else { throw CertificatePEM.outOfMemory }
        let certificate = X509Reference(taking: pointer)
        let issuerPointer = issuer?.certificate.pointer ?? pointer
        guard X509_set_version(pointer, 2) == 1, Self.setSerial(pointer),
            Self.setTime(notBefore, { X509_set1_notBefore(pointer, $0) }),
            Self.setTime(notAfter, { X509_set1_notAfter(pointer, $0) }),
            setSubject(pointer),
            X509_set_issuer_name(pointer, X509_get_subject_name(issuerPointer)) == 1,
            X509_set_pubkey(pointer, key.pointer) == 1,
            extensions.allSatisfy({ zt_x509_add_extension(pointer, issuerPointer, $0.nid, $0.value) == 1 }),
            setURI(pointer),
            X509_sign(pointer, (issuer?.key ?? key).pointer, EVP_sha256()) > 0
        else { throw CertificateError("cannot make the certificate of \(uri): \(CertificatePEM.errorText())") }
        return certificate
    }

    private func setSubject(_ certificate: OpaquePointer) -> Bool {
        guard !subject.isEmpty else { return true }
        let name = X509_get_subject_name(certificate)
        return subject.allSatisfy { entry in
            let value = Array(entry.value.utf8)
            return X509_NAME_add_entry_by_txt(
                name, entry.field, Self.asciiText, value, Int32(clamping: value.count), -1, 0) == 1
        }
    }

    private func setURI(_ certificate: OpaquePointer) -> Bool {
        guard let names = GENERAL_NAMES_new() else { return false }
        defer { GENERAL_NAMES_free(names) }
        let bytes = uri.utf8.map { CChar(truncatingIfNeeded: $0) }
        // Critical, because the subject of a leaf is empty (RFC 5280 4.2.1.6).
        let critical: Int32 = subject.isEmpty ? 1 : 0
        return zt_names_push_uri(names, bytes, Int32(clamping: bytes.count)) == 1
            && X509_add1_ext_i2d(certificate, NID_subject_alt_name, UnsafeMutableRawPointer(names), critical, 0) == 1
    }

    /// 127 random bits, so that serials never repeat and never are negative.
    private static func setSerial(_ certificate: OpaquePointer) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 16)
        guard RAND_bytes(&bytes, 16) == 1 else { return false }
        bytes[0] = bytes[0] & 0x7f | 0x40
        guard let number = BN_bin2bn(bytes, 16, nil) else { return false }
        defer { BN_free(number) }
        return BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil
    }

    private static func setTime(_ seconds: Int64, _ set: (UnsafePointer<ASN1_TIME>?) -> Int32) -> Bool {
        guard let time = ASN1_TIME_set(nil, Int(seconds)) else { return false }
        defer { ASN1_STRING_free(time) }
        return set(time) == 1
    }

    /// `MBSTRING_ASC`, a macro that Swift does not import.
    private static var asciiText: Int32 { 0x1001 }
}
