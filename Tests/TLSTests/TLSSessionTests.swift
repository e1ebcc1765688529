import MeshModel
import Testing

@testable import TLS

/// Handshakes and records between two sessions, through memory.
@Suite struct TLSSessionTests {
    private let now = Int64(wallSeconds())
    private let client = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "client")
    private let server = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "server")

    @Test func bothSidesLearnTheOther() throws {
        let bench = try CertificateBench()
        let pair = try SessionPair(
            client: bench.authority(now: now).issue(client, now: now),
            server: bench.authority(now: now).issue(server, now: now), expected: [server], trustDomain: "cluster.local")
        #expect(pair.shakeHands())
        #expect(pair.client.peer?.identity == server)
        #expect(pair.server.peer?.identity == client)
        #expect(pair.client.failure == nil && pair.server.failure == nil)
    }

    @Test func aWholeUnitPassesUnharmed() throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        let pair = try SessionPair(
            client: authority.issue(client, now: now), server: authority.issue(server, now: now), expected: [server],
            trustDomain: "cluster.local")
        #expect(pair.shakeHands())
        let sent = (0..<TLSChannel.unit).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(pair.send(sent) == sent)
        #expect(pair.send([42]) == [42])
    }

    @Test func anotherIdentityThanExpectedIsRefusedByTheClient() throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        let other = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "other")
        let pair = try SessionPair(
            client: authority.issue(client, now: now), server: authority.issue(other, now: now), expected: [server],
            trustDomain: "cluster.local")
        #expect(!pair.shakeHands())
        #expect(pair.client.failure?.reason == .identityMismatch)
        #expect(pair.client.peer == nil)
        #expect(pair.client.failure?.description.contains("sa/other") == true)
    }

    @Test func anotherTrustDomainIsRefusedByTheServer() throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        let pair = try SessionPair(
            client: authority.issue(client, now: now), server: authority.issue(server, now: now), expected: [server],
            trustDomain: "other.mesh")
        #expect(!pair.shakeHands())
        #expect(pair.server.failure?.reason == .trustDomainMismatch)
        #expect(pair.server.peer == nil)
    }

    @Test func anotherAuthorityIsRefused() throws {
        let ours = try CertificateBench()
        let theirs = try CertificateBench()
        let pair = try SessionPair(
            client: theirs.authority(now: now).issue(client, now: now),
            server: ours.authority(now: now).issue(server, now: now), expected: [server], trustDomain: "cluster.local")
        #expect(!pair.shakeHands())
        #expect(pair.client.failure?.reason == .tlsFailed)
        #expect(pair.client.failure?.description.contains("refused") == true)
    }

    @Test func anExpiredCertificateIsRefused() throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        let pair = try SessionPair(
            client: authority.issue(client, now: now - 7200, lifetime: 3600), server: authority.issue(server, now: now),
            expected: [server], trustDomain: "cluster.local")
        #expect(!pair.shakeHands())
        #expect(pair.server.failure?.description.contains("expired") == true)
    }

    @Test(arguments: [0, 1, 5, 6, 100])
    func garbageFailsWithoutHarm(length: Int) throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        let pair = try SessionPair(
            client: authority.issue(client, now: now), server: authority.issue(server, now: now), expected: [server],
            trustDomain: "cluster.local")
        let garbage = Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8) + [UInt8](repeating: 0xff, count: length)
        #expect(pair.deliver(garbage, to: pair.server, pair.serverChannel) == .failed)
        #expect(pair.server.failure?.reason == .tlsFailed)
    }

    @Test func aFloodOfKeyUpdatesEndsTheSession() throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        let pair = try SessionPair(
            client: authority.issue(client, now: now), server: authority.issue(server, now: now), expected: [server],
            trustDomain: "cluster.local")
        #expect(pair.shakeHands())
        // Now and then is what an honest peer does.
        for _ in 0..<100 {
            #expect(pair.updateKeys())
            #expect(pair.send([1, 2, 3]) == [1, 2, 3])
        }
        #expect(pair.server.failure == nil)
        var rounds = 0
        while pair.server.failure == nil, rounds < 2000 {
            #expect(pair.updateKeys())
            _ = pair.send([1])
            rounds += 1
        }
        #expect(pair.server.failure?.reason == .peerMisbehaved)
        #expect((500...1500).contains(rounds))
    }
}
