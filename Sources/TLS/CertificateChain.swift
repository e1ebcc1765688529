internal import COpenSSL

/// The check that a leaf leads to one of some roots; the library does it, for the given moment.
enum CertificateChain {
    /// - Returns: nil when it does, else the library's reason.
    static func fault(
        leaf: X509Reference, intermediates: [X509Reference], roots: [X509Reference], at now: Int64
    ) -> String? {
        ERR_clear_error()
        guard let store = X509_STORE_new(), let context = X509_STORE_CTX_new(), let between = zt_x509s_new() else {
            return "out of memory"
        }
        defer {
            X509_STORE_CTX_free(context)
            X509_STORE_free(store)
            zt_x509s_free(between)
            ERR_clear_error()
        }
        for root in roots where X509_STORE_add_cert(store, root.pointer) != 1 { return CertificatePEM.errorText() }
        for certificate in intermediates { _ = zt_x509s_push(between, certificate.pointer) }
        guard X509_STORE_CTX_init(context, store, leaf.pointer, between) == 1 else { return CertificatePEM.errorText() }
        X509_STORE_CTX_set_time(context, 0, Int(now))
        if X509_verify_cert(context) == 1 { return nil }
        let code = X509_STORE_CTX_get_error(context)
        return X509_verify_cert_error_string(Int(code)).map { String(cString: $0) } ?? "error \(code)"
    }
}
