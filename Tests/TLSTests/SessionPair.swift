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
        revocations: RevocationList? = nil
    ) throws {
        self.client = try TLSSession(
            TLSContext(client, role: .client, revocations: revocations), channel: clientChannel,
            expectation: .oneOf(expected))
        self.server = try TLSSession(
            TLSContext(server, role: .server, revocations: revocations), channel: serverChannel,
            expectation: .trustDomain(trustDomain))
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
