internal import COpenSSL
internal import MeshModel

/// One TLS connection as an engine: ciphertext in and out through its thread's ``TLSChannel``, no socket.
///
/// Used on one thread. After every call the caller sends (or keeps) the channel's output before it calls another
/// session of that thread.
package final class TLSSession {
    /// How far a handshake has come.
    package enum Progress { case wantsInput, done, failed }

    // The library's session; nil once our record layer has taken over.
    private var session: OpaquePointer?
    var ssl: OpaquePointer { session.unsafelyUnwrapped }
    /// Ours, from the end of the handshake on where the context asks for it.
    private(set) var records: RecordLayer?
    private var secrets = TrafficSecrets()
    private let ownsRecords: Bool
    /// The key exchange, kept when the library's session goes.
    private(set) var agreedGroup = ""
    private let expectation: PeerExpectation
    private let role: TLSContext.Role
    private let revocations: RevocationList?
    private let common: TLSCommonContext
    /// The verified peer; nil until the handshake is done.
    package private(set) var peer: VerifiedPeer?
    /// Why the session failed; nil while it has not.
    package private(set) var failure: TLSFailure?
    private let channel: TLSChannel
    /// Steps of the handshake machine after the handshake; a key update with its answer is five.
    private var lateSteps: UInt32 = 0
    /// Steps of as many key updates as ``Limits`` has.
    private static let mostLateSteps = UInt32(5 * Limits.standard.keyUpdates)

    static let method = BIOMethod()

    /// - Throws: `TLSFailure` when memory is short.
    package init(_ context: TLSContext, channel: TLSChannel, expectation: PeerExpectation) throws(TLSFailure) {
        guard let ssl = SSL_new(context.common.raw) else {
            throw TLSFailure(.overLimit, TLSFailure.drainQueue("no TLS session"))
        }
        guard context.own.present(on: ssl), let bio = BIO_new(Self.method.raw) else {
            SSL_free(ssl)
            throw TLSFailure(.overLimit, TLSFailure.drainQueue("no TLS session"))
        }
        BIO_set_data(bio, channel.raw)
        SSL_set_bio(ssl, bio, bio)
        if context.role == .client { SSL_set_connect_state(ssl) } else { SSL_set_accept_state(ssl) }
        session = ssl
        ownsRecords = context.records == .own
        self.expectation = expectation
        self.channel = channel
        role = context.role
        revocations = context.revocations
        common = context.common
        zt_ssl_set_session(ssl, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        if let session { SSL_free(session) }
    }

    /// Takes the handshake as far as the input allows; checks the peer's identity before it says `.done`.
    package func handshake() -> Progress {
        guard failure == nil else { return .failed }
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        if result == 1 {
            guard verifyPeer() else { return .failed }
            if ownsRecords { takeOver() }
            return .done
        }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
            return .wantsInput
        default:
            if failure == nil { failure = handshakeFailure() }
            return .failed
        }
    }

    /// Decrypts into the buffer: the number of bytes, 0 when more input is needed, -1 after the peer's close_notify,
    /// -2 after a failure. Each call yields at most one record; call until it wants input.
    package func read(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Int {
        if let records {
            let count = records.read(into: buffer, capacity: capacity)
            if count == -2 { failure = records.failure }
            return count
        }
        clearErrors()
        let count = SSL_read(ssl, buffer, Int32(truncatingIfNeeded: min(capacity, 1 << 30)))
        if lateSteps > Self.mostLateSteps {
            failure = TLSFailure(.peerMisbehaved, "the peer sends one TLS key update after the other")
            return -2
        }
        if count > 0 { return Int(count) }
        switch SSL_get_error(ssl, count) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return 0
        case SSL_ERROR_ZERO_RETURN: return -1
        default:
            failure = TLSFailure(.tlsFailed, TLSFailure.drainQueue("TLS record"))
            return -2
        }
    }

    /// Seals at most ``TLSChannel/unit`` bytes into the channel's (empty) output; false after a failure.
    package func write(_ bytes: UnsafeRawPointer, count: Int) -> Bool {
        if let records {
            guard !records.write(bytes, count: count) else { return true }
            failure = records.failure ?? TLSFailure(.tlsFailed, "TLS write after the end")
            return false
        }
        clearErrors()
        let written = SSL_write(ssl, bytes, Int32(truncatingIfNeeded: count))
        if written == Int32(truncatingIfNeeded: count) { return true }
        failure = TLSFailure(.tlsFailed, TLSFailure.drainQueue("TLS write"))
        return false
    }

    /// What the library asks for before each call; to look is cheaper than to clear, and there hardly ever is anything.
    private func clearErrors() {
        if ERR_peek_error() != 0 { ERR_clear_error() }
    }

    /// Appends close_notify to the output.
    package func close() {
        guard failure == nil else { return }
        if let records { return records.close() }
        ERR_clear_error()
        _ = SSL_shutdown(ssl)
        ERR_clear_error()
    }

    /// The library took or made a handshake message; called by it.
    func sawHandshakeStep() {
        if peer != nil { lateSteps &+= 1 }
    }

    /// The library tells a secret of the handshake; called by it where the record layer is to be ours.
    func sawSecret(_ line: UnsafePointer<CChar>) {
        secrets.take(line)
    }

    /// Lets our record layer go on where the library's ends, at the border of a record, and frees the library's session. Where
    /// that cannot be, the library goes on.
    private func takeOver() {
        defer { secrets = TrafficSecrets() }
        guard SSL_has_pending(ssl) == 0, let suite = RecordSuite(ssl), let client = secrets.client,
            let server = secrets.server
        else { return }
        let isClient = role == .client
        let layer = RecordLayer(
            suite, sealing: isClient ? client : server, opening: isClient ? server : client, channel: channel)
        guard let layer else { return ERR_clear_error() }
        agreedGroup = keyExchange
        records = layer
        SSL_free(session)
        session = nil
    }

    // MARK: - The peer

    private func handshakeFailure() -> TLSFailure {
        TLSFailure(.tlsFailed, TLSFailure.drainQueue("TLS handshake"))
    }

    /// Verifies the peer's chain; the library calls it during the handshake and tells the peer what it refuses.
    func verify(_ chain: OpaquePointer) -> Bool {
        guard common.verify(chain, role: role) else {
            failure = .refused(chain)
            return false
        }
        guard let revocations, let verified = X509_STORE_CTX_get0_chain(chain) else { return true }
        guard !revocations.revokes(chain: verified) else {
            X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REVOKED)
            failure = .refused(chain)
            return false
        }
        return true
    }

    private func verifyPeer() -> Bool {
        var selected: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &selected, &length)
        guard let selected, length == 2, selected[0] == 0x68, selected[1] == 0x32 else {
            failure = TLSFailure(.tlsFailed, "the peer did not negotiate ALPN h2")
            return false
        }
        do throws(TLSFailure) {
            guard let certificate = SSL_get0_peer_certificate(ssl) else {
                throw TLSFailure(.tlsFailed, "the peer presented no certificate")
            }
            let identity = try PeerIdentity.read(certificate)
            if let refusal = expectation.refusal(of: identity) { throw refusal }
            let chain = revocations == nil ? nil : SSL_get0_verified_chain(ssl).map { VerifiedChain($0) }
            peer = VerifiedPeer(identity: identity, chain: chain)
            return true
        } catch {
            failure = error
            return false
        }
    }
}

/// The BIO method shared by all sessions; made at the first use, never freed.
struct BIOMethod: @unchecked Sendable {
    // Immutable after creation; OpenSSL reads it from any thread.
    let raw: OpaquePointer?

    init() {
        raw = zt_bio_method()
    }
}
