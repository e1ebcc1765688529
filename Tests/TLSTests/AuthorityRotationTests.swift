import FoundationEssentials
import MeshModel
import Testing

@testable import TLS

@Suite struct AuthorityRotationTests {
    private let client = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "client")
    private let server = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "server")
    private let now = Int64(wallSeconds())

    private func authority(_ bench: CertificateBench, at now: Int64) throws -> CertificateAuthority {
        try CertificateAuthority.open(directory: "\(bench.folder)/ca", trustDomain: "cluster.local", now: now)
    }

    /// Whether two programs, each with what it holds, reach each other both ways.
    private func meet(_ one: TLSCredentials, _ other: TLSCredentials) throws -> Bool {
        let there = try SessionPair(
            client: one, server: other, expected: [other.identity], trustDomain: "cluster.local")
        let back = try SessionPair(
            client: other, server: one, expected: [one.identity], trustDomain: "cluster.local")
        return there.shakeHands() && back.shakeHands()
    }

    @Test func whoeverIsAheadOrBehindIsUnderstoodInsideTheWindow() throws {
        let bench = try CertificateBench()
        let old = try authority(bench, at: now)
        #expect(!old.isOutdated(now: now))
        let before = try old.issue(client, now: now)
        var middle: CertificateAuthority?
        let next = try CertificateAuthority.rotate(
            directory: "\(bench.folder)/ca", trustDomain: "cluster.local", now: { now }, overlap: 100,
            settle: {
                #expect(old.isOutdated(now: now))
                middle = try? authority(bench, at: now)
            })
        let between = try #require(middle)
        #expect(between.certificate == old.certificate)
        #expect(between.otherRoots.map(\.certificate) == [next.certificate])
        #expect(between.isOutdated(now: now))
        #expect(next.otherRoots.map(\.certificate) == [old.certificate])
        #expect(try meet(between.issue(client, now: now), before))
        #expect(try meet(between.issue(client, now: now), next.issue(server, now: now)))
        // Who slept through the first step is the one that the wait is for.
        #expect(try !meet(before, next.issue(server, now: now)))
        // The window closes without anybody touching the files.
        #expect(!next.isOutdated(now: now + 99))
        #expect(next.isOutdated(now: now + 100))
        let later = try authority(bench, at: now + 100)
        #expect(later.otherRoots == [])
        #expect(!later.isOutdated(now: now + 1000))
        #expect(try !meet(later.issue(client, now: now), between.issue(server, now: now)))
    }

    @Test func thereMustBeAnAuthority() throws {
        let bench = try CertificateBench()
        #expect(throws: CertificateError.self) {
            _ = try CertificateAuthority.rotate(
                directory: "\(bench.folder)/ca", trustDomain: "cluster.local", now: { now }, overlap: 1, settle: {})
        }
    }

    @Test(arguments: ["# accepted until soon\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    func damagedRootsAreNamed(text: String) throws {
        let bench = try CertificateBench()
        _ = try authority(bench, at: now)
        try Data(text.utf8).write(to: URL(filePath: "\(bench.folder)/ca/ca.roots"))
        #expect(throws: CertificateError.self) { try authority(bench, at: now) }
    }
}
