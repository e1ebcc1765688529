import COpenSSL
import Glibc
import MeshModel

@testable import TLS

func wallSeconds() -> Int {
    time(nil)
}

/// A client and a server session joined by memory.
final class SessionPair {
    let client: TLSSession
    let server: TLSSession
    let clientChannel = TLSChannel()
    let serverChannel = TLSChannel()

    init(
        client: TLSCredentials, server: TLSCredentials, expected: [SpiffeID], trustDomain: String,
        revocations: RevocationList? = nil, clientRecords: TLSRecords = .libssl, serverRecords: TLSRecords = .libssl,
        suite: String? = nil
    ) throws {
        let clientContext = try TLSContext(client, role: .client, revocations: revocations, records: clientRecords)
        let serverContext = try TLSContext(server, role: .server, revocations: revocations, records: serverRecords)
        self.client = try TLSSession(clientContext, channel: clientChannel, expectation: .oneOf(expected))
        self.server = try TLSSession(serverContext, channel: serverChannel, expectation: .trustDomain(trustDomain))
        // Of the session: the context is shared with whoever has the same roots.
        guard let suite else { return }
        for session in [self.client, self.server] where SSL_set_ciphersuites(session.ssl, suite) != 1 {
            throw TLSFailure(.tlsFailed, suite)
        }
    }

    /// Of contexts that are there; each end expects the other's identity or trust domain.
    init(client: TLSContext, server: TLSContext) throws {
        self.client = try TLSSession(client, channel: clientChannel, expectation: .oneOf([server.identity]))
        self.server = try TLSSession(
            server, channel: serverChannel, expectation: .trustDomain(client.identity.trustDomain))
    }

    /// Runs the handshake to its end on both sides.
    func shakeHands() -> Bool {
        var toServer = output(clientChannel, after: client.handshake())
        var serverDone = false
        var clientDone = false
        for _ in 0..<10 {
            let progress = deliver(toServer, to: server, serverChannel)
            if progress == .failed { return false }
            serverDone = progress == .done
            let toClient = take(serverChannel)
            if !clientDone {
                let progress = deliver(toClient, to: client, clientChannel)
                if progress == .failed { return false }
                clientDone = progress == .done
            }
            toServer = take(clientChannel)
            if clientDone, serverDone { return true }
        }
        return false
    }

    func deliver(_ bytes: [UInt8], to session: TLSSession, _ channel: TLSChannel) -> TLSSession.Progress {
        bytes.withUnsafeBytes { buffer in
            if let base = buffer.baseAddress { channel.setInput(base, count: buffer.count) }
            return session.handshake()
        }
    }

    /// What one side seals of the bytes.
    func seal(_ bytes: [UInt8], by session: TLSSession) -> [UInt8] {
        guard bytes.withUnsafeBytes({ session.write($0.baseAddress.unsafelyUnwrapped, count: $0.count) }) else {
            return []
        }
        return take(session === client ? clientChannel : serverChannel)
    }

    /// What one side reads of ciphertext that comes in pieces of that size, and how its last read ended.
    func open(_ sealed: [UInt8], by session: TLSSession, piece: Int = .max) -> (plain: [UInt8], end: Int) {
        let channel = session === client ? clientChannel : serverChannel
        var plain: [UInt8] = []
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: 20_000, alignment: 16)
        defer { buffer.deallocate() }
        var end = 0
        var at = 0
        while at < sealed.count, end >= 0 {
            let step = min(piece, sealed.count - at)
            sealed.withUnsafeBytes { bytes in
                channel.setInput(bytes.baseAddress.unsafelyUnwrapped + at, count: step)
                repeat {
                    end = session.read(into: buffer, capacity: 20_000)
                    if end > 0 { plain += UnsafeRawBufferPointer(start: buffer, count: end) }
                } while end > 0
            }
            at += step
        }
        return (plain, end)
    }

    /// What a side has to send.
    func pending(of session: TLSSession) -> [UInt8] { take(session === client ? clientChannel : serverChannel) }

    /// What arrives at the server when the client sends the bytes.
    func send(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.withUnsafeBytes({ client.write($0.baseAddress.unsafelyUnwrapped, count: $0.count) }) else {
            return []
        }
        let sealed = take(clientChannel)
        var received = [UInt8](repeating: 0, count: TLSChannel.unit + 1)
        var count = 0
        sealed.withUnsafeBytes { cipher in
            serverChannel.setInput(cipher.baseAddress.unsafelyUnwrapped, count: cipher.count)
            received.withUnsafeMutableBytes { plain in
                while count < plain.count {
                    let result = server.read(
                        into: plain.baseAddress.unsafelyUnwrapped + count, capacity: plain.count - count)
                    if result <= 0 { break }
                    count += result
                }
            }
        }
        return Array(received[..<count])
    }

    /// Has the client's next record change its keys, and ask the server to change its own.
    func updateKeys() -> Bool { zt_ssl_update_keys(client.ssl) == 1 }

    private func output(_ channel: TLSChannel, after progress: TLSSession.Progress) -> [UInt8] { take(channel) }

    private func take(_ channel: TLSChannel) -> [UInt8] {
        defer { channel.clearOutput() }
        return Array(UnsafeRawBufferPointer(start: channel.output, count: channel.outputCount))
    }
}
