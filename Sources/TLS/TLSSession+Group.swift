internal import COpenSSL

extension TLSSession {
    /// The name of the key exchange group, `X25519MLKEM768` for instance; empty before the handshake is done.
    package var keyExchange: String {
        guard records == nil else { return agreedGroup }
        return zt_group_name(ssl).map { String(cString: $0) } ?? ""
    }
}
