internal import COpenSSL
internal import MeshModel

/// OpenSSL objects from PEM bytes and back; every object that comes out belongs to the caller.
enum CertificatePEM {
    /// More than any real bundle of roots has.
    static let mostCertificates = Limits.standard.certificates

    /// All certificates of a PEM text in order; other blocks are passed over.
    /// - Parameter what: names the source in errors.
    static func certificates(_ bytes: [UInt8], _ what: String) throws(CertificateError) -> [X509Reference] {
        ERR_clear_error()
        var found: [X509Reference] = []
        var result: Result<Void, CertificateError> = .success(())
        bytes.withUnsafeBytes { buffer in
            guard let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(clamping: buffer.count)) else { return }
            defer { BIO_free(bio) }
            while let certificate = PEM_read_bio_X509(bio, nil, { _, _, _, _ in 0 }, nil) {
                found.append(X509Reference(taking: certificate))
                if found.count > mostCertificates { break }
            }
            let code = ERR_peek_last_error()
            let ended = ERR_GET_REASON(code) == PEM_R_NO_START_LINE
            if !ended { result = .failure(CertificateError("\(what) holds a damaged certificate: \(errorText())")) }
            ERR_clear_error()
        }
        try result.get()
        guard !found.isEmpty else { throw CertificateError("\(what) holds no PEM certificate") }
        guard found.count <= mostCertificates else {
            throw CertificateError("\(what) holds more than \(mostCertificates) certificates")
        }
        return found
    }

    static var outOfMemory: CertificateError { CertificateError("out of memory in the TLS library") }

    /// The library's first queued reason; the queue is empty afterwards.
    static func errorText() -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let text = buffer.baseAddress else { return "unknown error" }
            zt_error_text(text, buffer.count)
            return String(cString: text)
        }
    }

    /// What the function writes into a memory BIO.
    static func written(_ write: (OpaquePointer) -> Int32) throws(CertificateError) -> [UInt8] {
        guard let bio = BIO_new(BIO_s_mem()) else { throw outOfMemory }
        defer { BIO_free(bio) }
        guard write(bio) == 1 else { throw CertificateError("cannot encode: \(errorText())") }
        var bytes: UnsafePointer<UInt8>?
        let count = zt_bio_memory(bio, &bytes)
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }
}

/// An X509 object of OpenSSL with one owner: this.
final class X509Reference {
    let pointer: OpaquePointer

    init(taking pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        X509_free(pointer)
    }

    /// The certificate as PEM.
    func pem() throws(CertificateError) -> [UInt8] {
        try CertificatePEM.written { PEM_write_bio_X509($0, pointer) }
    }
}
