internal import COpenSSL

/// A client's TLS connection to an ordinary `https` server as an engine: ciphertext in and out through its thread's
/// ``TLSChannel``, no socket.
///
/// Used on one thread; after every call the caller sends the channel's output.
package final class HTTPSSession {
    private let ssl: OpaquePointer
    /// Why the session failed, in one line of safe text; nil while it has not.
    package private(set) var failure: String?

    /// - Parameter host: the name or address that the server's certificate must carry.
    /// - Throws: ``CertificateError`` when memory is short or the host is none.
    package init(_ context: HTTPSContext, channel: TLSChannel, host: String) throws(CertificateError) {
        guard let ssl = SSL_new(context.raw) else { throw CertificatePEM.outOfMemory }
        self.ssl = ssl
        guard let bio = BIO_new(TLSSession.method.raw) else { throw CertificatePEM.outOfMemory }
        BIO_set_data(bio, channel.raw)
        SSL_set_bio(ssl, bio, bio)
        SSL_set_connect_state(ssl)
        // An address is looked for among the certificate's addresses, and is never asked for by name (RFC 6066, 3).
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1 {
            ERR_clear_error()
            guard SSL_set1_host(ssl, host) == 1, zt_ssl_set_server_name(ssl, host) == 1 else {
                throw CertificateError("'\(CertificateError.escaped(host.utf8))' is no host name")
            }
        }
    }

    deinit {
        SSL_free(ssl)
    }

    /// Takes the handshake as far as the input allows; the certificate is verified before it says `.done`.
    package func handshake() -> TLSSession.Progress {
        guard failure == nil else { return .failed }
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        if result == 1 { return .done }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wantsInput
        default:
            let verdict = SSL_get_verify_result(ssl)
            if verdict != Int(X509_V_OK), let text = X509_verify_cert_error_string(verdict) {
                failure = "its certificate is not accepted: \(String(cString: text))"
                ERR_clear_error()
            } else {
                failure = "TLS handshake: \(CertificatePEM.errorText())"
            }
            return .failed
        }
    }

    /// Decrypts into the buffer: the number of bytes, 0 when more input is needed, -1 after the server's close_notify,
    /// -2 after a failure.
    package func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        ERR_clear_error()
        let count = SSL_read(ssl, buffer.baseAddress, Int32(clamping: buffer.count))
        if count > 0 { return Int(count) }
        switch SSL_get_error(ssl, count) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return 0
        case SSL_ERROR_ZERO_RETURN: return -1
        default:
            failure = "TLS record: \(CertificatePEM.errorText())"
            return -2
        }
    }

    /// Seals at most ``TLSChannel/unit`` bytes into the channel's (empty) output; false after a failure.
    package func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        ERR_clear_error()
        if SSL_write(ssl, bytes.baseAddress, Int32(clamping: bytes.count)) == Int32(clamping: bytes.count) {
            return true
        }
        failure = "TLS write: \(CertificatePEM.errorText())"
        return false
    }

    /// Appends close_notify to the output.
    package func close() {
        guard failure == nil else { return }
        ERR_clear_error()
        _ = SSL_shutdown(ssl)
        ERR_clear_error()
    }
}
