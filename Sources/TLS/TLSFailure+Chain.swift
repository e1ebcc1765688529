internal import COpenSSL
internal import Glibc
internal import MeshModel

extension TLSFailure {
    /// Why the library refused a chain, with what the leaf claims to be; the claim is escaped, for nobody vouches for it.
    static func refused(_ chain: OpaquePointer) -> TLSFailure {
        ERR_clear_error()
        let code = X509_STORE_CTX_get_error(chain)
        var text = "the peer's certificate was refused: "
        text += X509_verify_cert_error_string(Int(code)).map { String(cString: $0) } ?? "error \(code)"
        if let certificate = X509_STORE_CTX_get_current_cert(chain) {
            switch code {
            case X509_V_ERR_CERT_NOT_YET_VALID:
                if let start = Certificate.time(X509_get0_notBefore(certificate)) {
                    text += " (valid from \(CivilTime.text(start)), \(start - Int64(time(nil))) s from now: "
                    text += "compare the clocks of both hosts)"
                }
            case X509_V_ERR_CERT_HAS_EXPIRED:
                if let end = Certificate.time(X509_get0_notAfter(certificate)) {
                    text += " (valid until \(CivilTime.text(end)), \(Int64(time(nil)) - end) s ago)"
                }
            default: break
            }
        }
        if let leaf = X509_STORE_CTX_get0_cert(chain) {
            let names = Certificate.uris(of: leaf).names
            if let claim = names.first { text += ", it claims '\(claim)'" + (names.count > 1 ? " and more" : "") }
        }
        ERR_clear_error()
        return TLSFailure(code == X509_V_ERR_CERT_REVOKED ? .certificateRevoked : .tlsFailed, text)
    }
}
