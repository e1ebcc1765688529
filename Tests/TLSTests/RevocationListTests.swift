import FoundationEssentials
import MeshModel
import Testing

@testable import TLS

/// Revocation lists made by the openssl program, against chains of up to three certificates.
@Suite struct RevocationListTests {
    private let client = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "client")
    private let server = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "server")

    private func pair(_ bench: OpenSSLBench, _ list: RevocationList) throws -> SessionPair {
        try SessionPair(
            client: bench.credentials("client", client), server: bench.credentials("server", server),
            expected: [server], trustDomain: "cluster.local", revocations: list)
    }

    @Test func aRevokedClientIsRefusedByTheServer() throws {
        let bench = try OpenSSLBench()
        let list = RevocationList()
        list.replace(with: try RevokedCertificates(bench.list(revoking: ["client"]), source: "crl"))
        let pair = try pair(bench, list)
        #expect(!pair.shakeHands())
        #expect(pair.server.failure?.reason == .certificateRevoked)
        #expect(pair.server.failure?.description.contains("spiffe://cluster.local/ns/default/sa/client") == true)
        #expect(pair.server.peer == nil)
    }

    @Test func aRevokedServerIsRefusedByTheClient() throws {
        let bench = try OpenSSLBench()
        let list = RevocationList()
        list.replace(with: try RevokedCertificates(bench.list(revoking: ["server"]), source: "crl"))
        let pair = try pair(bench, list)
        #expect(!pair.shakeHands())
        #expect(pair.client.failure?.reason == .certificateRevoked)
    }

    @Test func aRevokedIntermediateTakesItsLeavesWithIt() throws {
        let bench = try OpenSSLBench()
        let list = RevocationList()
        list.replace(with: try RevokedCertificates(bench.list(revoking: ["intermediate"], by: "root"), source: "crl"))
        let pair = try pair(bench, list)
        #expect(!pair.shakeHands())
        #expect(pair.client.failure?.reason == .certificateRevoked)
    }

    @Test func liveAndVerifiedPeersAreAskedAgain() throws {
        let bench = try OpenSSLBench()
        let list = RevocationList()
        let pair = try pair(bench, list)
        #expect(pair.shakeHands())
        let peer = try #require(pair.server.peer)
        #expect(!list.revokes(peer))
        list.replace(with: try RevokedCertificates(bench.list(revoking: ["server"]), source: "crl"))
        #expect(!list.revokes(peer))
        list.replace(with: try RevokedCertificates(bench.list(revoking: ["client", "server"]), source: "crl"))
        #expect(list.revokes(peer))
        list.replace(with: try RevokedCertificates(bench.list(revoking: ["intermediate"], by: "root"), source: "crl"))
        #expect(list.revokes(peer))
        list.replace(with: .none)
        #expect(!list.revokes(peer))
    }

    @Test func anUnrelatedExpiredOrForeignListRevokesNobody() throws {
        let bench = try OpenSSLBench()
        let other = try OpenSSLBench()
        let list = RevocationList()
        // The same issuer name and serial number, signed by another key: no word of this issuer.
        let foreign = try other.list(revoking: ["client"])
        #expect(try bench.serial("client") == other.serial("client"))
        list.replace(with: try RevokedCertificates(foreign, source: "crl"))
        let first = try pair(bench, list)
        #expect(first.shakeHands())
        // One that its issuer should have renewed long ago still counts.
        list.replace(
            with: try RevokedCertificates(foreign + bench.list(revoking: ["client"], daysAgo: 400), source: "crl"))
        let second = try pair(bench, list)
        #expect(!second.shakeHands())
    }

    @Test func listsAreReadInEveryForm() throws {
        let bench = try OpenSSLBench()
        let pem = try bench.list(revoking: ["client"])
        let root = try bench.list(revoking: ["intermediate"], by: "root")
        #expect(try RevokedCertificates([], source: "crl").count == 0)
        #expect(try RevokedCertificates(Array(" \n\t\r\n".utf8), source: "crl").count == 0)
        let both = try RevokedCertificates(pem + root, source: "crl")
        #expect((both.count, both.revokedCount) == (2, 2))
        #expect(try RevokedCertificates(bench.der(pem), source: "crl").revokedCount == 1)
    }

    @Test(arguments: [
        "garbage", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "0\u{1}\u{2}", "-----BEGIN",
    ])
    func damagedListsAreRefused(text: String) throws {
        #expect(throws: CertificateError.self) { try RevokedCertificates(Array(text.utf8), source: "crl.pem") }
        let bench = try OpenSSLBench()
        let good = try bench.list(revoking: ["client"])
        // A good one does not make up for a damaged one behind it.
        let damaged = good + Array("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".utf8)
        #expect(throws: CertificateError.self) { try RevokedCertificates(damaged, source: "crl.pem") }
        for length in stride(from: 1, to: try bench.der(good).count, by: 7) {
            let cut = Array(try bench.der(good).prefix(length))
            #expect(throws: CertificateError.self) { try RevokedCertificates(cut, source: "crl.pem") }
        }
    }
}
