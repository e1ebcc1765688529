import COpenSSL
import MeshModel
import Testing

@testable import TLS

/// Identities with the same roots share the library's context; what that puts at risk is held here.
@Suite struct SharedContextTests {
    private let now = Int64(wallSeconds())

    private func identity(_ name: String) -> SpiffeID {
        SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: name)
    }

    private func authority() throws -> CertificateAuthority { try CertificateBench().authority(now: now) }

    /// Why a handshake of the two ends failed, as the server says it; nil when both ends are verified.
    private func refusal(_ client: TLSContext, _ server: TLSContext) throws -> String? {
        let pair = try SessionPair(client: client, server: server)
        if pair.shakeHands() {
            #expect(pair.client.peer?.identity == server.identity)
            #expect(pair.server.peer?.identity == client.identity)
            return nil
        }
        return (pair.server.failure ?? pair.client.failure)?.description ?? ""
    }

    @Test func equalRootsAreOneContextAndBothRolesOneIdentity() throws {
        let authority = try authority()
        let a = try TLSContext(authority.issue(identity("a"), now: now), role: .client)
        let b = try TLSContext(authority.issue(identity("b"), now: now), role: .client)
        let served = TLSContext(a, role: .server)
        #expect(a.common === b.common && a.own !== b.own)
        #expect(a.common === served.common && a.own === served.own && served.role == .server)
        let own = try TLSContext(authority.issue(identity("a"), now: now), role: .client, records: .own)
        #expect(own.common !== a.common)
        let foreign = try TLSContext(self.authority().issue(identity("a"), now: now), role: .client)
        #expect(foreign.common !== a.common)
    }

    @Test func eachIdentityPresentsItsOwnCertificateAlsoWithHandshakesAtTheSameTime() throws {
        let authority = try authority()
        let contexts = try ["a", "b", "c"].map {
            try TLSContext(authority.issue(identity($0), now: now), role: .client)
        }
        var pairs: [SessionPair] = []
        for client in contexts {
            for server in contexts {
                pairs.append(try SessionPair(client: client, server: TLSContext(server, role: .server)))
            }
        }
        for pair in pairs { #expect(pair.shakeHands()) }
        for (index, pair) in pairs.enumerated() {
            #expect(pair.server.peer?.identity == contexts[index / 3].identity)
            #expect(pair.client.peer?.identity == contexts[index % 3].identity)
        }
    }

    /// Pod A learns another root; pod B, which shared the context with it, must not.
    @Test func otherRootsOfOneIdentityAreNotThoseOfItsNeighbours() throws {
        let old = try authority()
        let new = try authority()
        var credentials = try old.issue(identity("a"), now: now)
        let a = try TLSContext(credentials, role: .server)
        let b = try TLSContext(old.issue(identity("b"), now: now), role: .server)
        var stranger = try new.issue(identity("c"), now: now)
        stranger.rootsPEM += old.certificate.pem
        let client = try TLSContext(stranger, role: .client)
        #expect(try refusal(client, a) != nil)
        credentials.rootsPEM += new.certificate.pem
        let updated = try TLSContext(credentials, role: .server)
        #expect(updated.common !== b.common)
        #expect(try refusal(client, updated) == nil)
        #expect(try refusal(client, b) != nil)
        // And back: the root is withdrawn.
        credentials.rootsPEM = old.certificate.pem
        #expect(try refusal(client, TLSContext(credentials, role: .server)) != nil)
    }

    @Test func aRevocationListReachesAllThatShareTheRoots() throws {
        let bench = try OpenSSLBench()
        let list = RevocationList()
        func context(_ name: String, _ role: TLSContext.Role, _ list: RevocationList?) throws -> TLSContext {
            try TLSContext(bench.credentials(name, identity(name)), role: role, revocations: list)
        }
        let first = try context("server", .server, list)
        let second = try context("client", .server, list)
        let without = try context("server", .server, nil)
        #expect(first.common === second.common && first.common === without.common)
        let client = try context("client", .client, nil)
        for server in [first, second, without] { #expect(try refusal(client, server) == nil) }
        list.replace(with: try RevokedCertificates(bench.list(revoking: ["client"]), source: "crl"))
        for server in [first, second] { #expect(try refusal(client, server) != nil) }
        #expect(try refusal(client, without) == nil)
        list.replace(with: .none)
        for server in [first, second] { #expect(try refusal(client, server) == nil) }
    }

    @Test func intermediatesAreSharedAndStillSent() throws {
        let bench = try OpenSSLBench()
        let client = try TLSContext(bench.credentials("client", identity("client")), role: .client)
        let server = try TLSContext(bench.credentials("server", identity("server")), role: .server)
        // The server has the root only: without the intermediate there is no way to it.
        var bare = try bench.credentials("client", identity("client"))
        let text = String(decoding: bare.chainPEM, as: UTF8.self)
        let leafEnd = try #require(text.firstRange(of: "-----END CERTIFICATE-----\n"))
        bare.chainPEM = Array(text[..<leafEnd.upperBound].utf8)
        #expect(try refusal(TLSContext(bare, role: .client), server) != nil)
        #expect(try refusal(client, server) == nil)
    }

    @Test func whatDoesNotFitIsRefusedWhenTheContextIsMade() throws {
        let authority = try authority()
        var credentials = try authority.issue(identity("a"), now: now)
        credentials.keyPEM = try authority.issue(identity("b"), now: now).keyPEM
        #expect(throws: TLSFailure.self) { try TLSContext(credentials, role: .client) }
        credentials.keyPEM = []
        #expect(throws: TLSFailure.self) { try TLSContext(credentials, role: .client) }
        credentials = try authority.issue(identity("a"), now: now)
        credentials.chainPEM = []
        #expect(throws: TLSFailure.self) { try TLSContext(credentials, role: .client) }
        credentials = try authority.issue(identity("a"), now: now)
        credentials.rootsPEM = Array("no certificate".utf8)
        #expect(throws: TLSFailure.self) { try TLSContext(credentials, role: .client) }
    }

    @Test func rootsThatNobodyHoldsAreForgotten() throws {
        weak var gone: TLSCommonContext?
        do {
            let context = try TLSContext(authority().issue(identity("a"), now: now), role: .client)
            gone = context.common
            #expect(gone != nil)
        }
        #expect(gone == nil)
        let cache = WeakCache<Int, X509Holder>()
        for number in 0..<100 { _ = cache.object(number) { X509Holder() } }
        let held = cache.object(1000) { X509Holder() }
        #expect(cache.object(1000) { X509Holder() } === held)
        #expect(cache.count == 1)
    }

    private final class X509Holder: Sendable {}
}
