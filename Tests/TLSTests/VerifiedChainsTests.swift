import COpenSSL
import MeshModel
import Testing

@testable import TLS

/// Leaves whose signatures were checked before.
@Suite struct VerifiedChainsTests {
    private let client = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "client")
    private let server = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "server")
    private var now: Int64 { Int64(wallSeconds()) }

    private func pair(_ a: TLSCredentials, _ b: TLSCredentials, revocations: RevocationList? = nil) throws
        -> SessionPair
    {
        try SessionPair(
            client: a, server: b, expected: [server], trustDomain: "cluster.local", revocations: revocations)
    }

    @Test func aLeafIsVerifiedOnceAndKnownAgain() throws {
        let authority = try CertificateBench().authority(now: now)
        let (a, b) = (try authority.issue(client, now: now), try authority.issue(server, now: now))
        // Who holds the roots holds what was verified.
        let held = try TLSContext(a, role: .client)
        for _ in 0..<3 {
            let pair = try pair(a, b)
            #expect(pair.shakeHands())
            #expect(pair.client.peer?.identity == server && pair.server.peer?.identity == client)
            #expect(held.common.verifiedCount == 2)
        }
        #expect(try pair(authority.issue(client, now: now), b).shakeHands())
        #expect(held.common.verifiedCount == 3)
    }

    /// The class of fault: what was good once is good for ever.
    @Test func aKnownLeafThatExpiredSinceIsRefused() throws {
        let authority = try CertificateBench().authority(now: now)
        let (a, b) = (try authority.issue(client, now: now, lifetime: 2), try authority.issue(server, now: now))
        let held = try TLSContext(b, role: .server)
        #expect(try pair(a, b).shakeHands())
        #expect(held.common.verifiedCount == 2)
        while now <= a.notAfter { try #require(now < a.notAfter + 60) }
        let late = try pair(a, b)
        #expect(!late.shakeHands())
        #expect(late.server.failure?.description.contains("expired") == true)
    }

    @Test func aKnownLeafOfAnotherAuthorityIsRefused() throws {
        let ours = try CertificateBench().authority(now: now)
        let theirs = try CertificateBench().authority(now: now)
        let b = try ours.issue(server, now: now)
        var foreign = try theirs.issue(client, now: now)
        let known = try pair(foreign, theirs.issue(server, now: now))
        #expect(known.shakeHands())
        foreign.rootsPEM = b.rootsPEM
        let pair = try pair(foreign, b)
        #expect(!pair.shakeHands())
        #expect(pair.server.peer == nil)
    }

    @Test func aKnownLeafThatWasRevokedSinceIsRefused() throws {
        let bench = try OpenSSLBench()
        let list = RevocationList()
        let (a, b) = (try bench.credentials("client", client), try bench.credentials("server", server))
        let held = try TLSContext(a, role: .client)
        #expect(try pair(a, b, revocations: list).shakeHands())
        let again = try pair(a, b, revocations: list)
        #expect(again.shakeHands())
        #expect(held.common.verifiedCount == 2)
        list.replace(with: try RevokedCertificates(bench.list(revoking: ["client"]), source: "crl"))
        #expect(list.revokes(try #require(again.server.peer)))
        let late = try pair(a, b, revocations: list)
        #expect(!late.shakeHands())
        #expect(late.server.failure?.reason == .certificateRevoked)
    }

    @Test func aChainIsSentWithoutItsRoot() throws {
        let authority = try CertificateBench().authority(now: now)
        var a = try authority.issue(client, now: now)
        a.chainPEM += a.rootsPEM
        let short = try pair(a, authority.issue(server, now: now))
        #expect(short.shakeHands())
        let received = SSL_get_peer_cert_chain(short.client.ssl)
        #expect(zt_x509s_count(received) == 1)
        let bench = try OpenSSLBench()
        let long = try pair(bench.credentials("client", client), bench.credentials("server", server))
        #expect(long.shakeHands())
        // The intermediate comes along.
        #expect(zt_x509s_count(SSL_get_peer_cert_chain(long.client.ssl)) == 2)
    }

    /// The class of fault: an intermediate that is only among the roots is not sent any more.
    @Test func anIssuerAmongTheRootsIsSentWithALeafThatCameAlone() throws {
        let bench = try OpenSSLBench()
        var a = try bench.credentials("client", client)
        let certificates = try CertificatePEM.certificates(a.chainPEM, "chain")
        #expect(certificates.count == 2)
        a.chainPEM = try certificates[0].pem()
        a.rootsPEM += try certificates[1].pem()
        let pair = try pair(a, bench.credentials("server", server))
        #expect(pair.shakeHands())
        #expect(pair.server.peer?.identity == client)
    }

    @Test func onlySoManyAreKnown() throws {
        let bench = try CertificateBench()
        let authority = try bench.authority(now: now)
        let a = try authority.issue(client, now: now)
        let held = try TLSContext(a, role: .client)
        #expect(try pair(a, authority.issue(server, now: now)).shakeHands())
        var chains = VerifiedChains()
        let leaf = try CertificatePEM.certificates(a.chainPEM, "chain")[0]
        let context = try #require(X509_STORE_CTX_new())
        defer { X509_STORE_CTX_free(context) }
        #expect(X509_STORE_CTX_init(context, SSL_CTX_get_cert_store(held.common.raw), leaf.pointer, nil) == 1)
        #expect(held.common.verify(context, role: .client))
        for number in 0...VerifiedChains.most {
            let chain = try #require(VerifiedChains.Chain(context))
            chains.keep(chain, for: VerifiedChains.Key(leaf: [UInt8("\(number)".utf8.count)] + "\(number)".utf8))
            #expect(chains.count <= VerifiedChains.most)
        }
        #expect(chains.count == 1)
    }
}
