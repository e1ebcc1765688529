import FoundationEssentials
import MeshModel
import StatusModel
import TLS
import Telemetry
import Testing

@testable import ControlPlane

@Suite struct IdentityStoreTests {
    private let web = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "web")
    private let db = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "db")
    private let now: Int64 = 1_800_000_000

    /// A store with a record of what it delivered.
    private final class Bench: Sendable {
        let folder: String
        let delivered = Lock<[(SpiffeID, TLSCredentials?)]>([])
        let store: IdentityStore

        init(lifetime: Int64 = 86_400, files: ((String) -> [CertificateFiles])? = nil) throws {
            folder = try Fixture.folder()
            let delivered = delivered
            store = IdentityStore(
                source: files.map { [folder] in .files($0(folder)) }
                    ?? .authority(directory: "\(folder)/ca", trustDomain: "cluster.local", lifetime: lifetime)
            ) { identity, credentials in delivered.withLock { $0.append((identity, credentials)) } }
        }

        deinit { Fixture.remove(folder) }

        var events: [String] {
            delivered.withLock { $0.map { "\($0.0.serviceAccount) \($0.1 == nil ? "-" : "+")" } }
        }
        func serial(_ index: Int) -> String? { delivered.withLock { $0[index].1?.serial } }

        func check(_ now: Int64) { store.check(now: now, random: { 0 }) }

        /// Writes what an authority issued as the files of an identity.
        func write(_ credentials: TLSCredentials, key: [UInt8]? = nil) throws {
            try Data(credentials.chainPEM).write(to: URL(filePath: "\(folder)/cert.pem"), options: .atomic)
            try Data(key ?? credentials.keyPEM).write(to: URL(filePath: "\(folder)/key.pem"), options: .atomic)
            try Data(credentials.rootsPEM).write(to: URL(filePath: "\(folder)/roots.pem"), options: .atomic)
        }
    }

    @Test func issuesRenewsAndWithdraws() throws {
        let bench = try Bench(lifetime: 1000)
        bench.check(now)
        #expect(bench.events == [])
        bench.store.add(web)
        #expect(bench.store.status(now: now).map(\.state) == [.initializing])
        bench.check(now)
        #expect(bench.events == ["web +"])
        let status = try #require(bench.store.status(now: now).first)
        #expect(status.identity == "spiffe://cluster.local/ns/default/sa/web")
        #expect(status.state == .available)
        #expect(status.notAfter?.unixSeconds == now + 1000)
        #expect(status.nextRenewal?.unixSeconds == now + 500)
        #expect(status.serialNumber == bench.serial(0))
        #expect(status.chain?.map(\.kind) == [.leaf])
        #expect(status.chain?.first?.serialNumber == bench.serial(0))
        #expect(status.roots?.map(\.subject) == ["CN=ztun embedded CA,O=cluster.local"])
        #expect(status.clockBehindSeconds == nil)
        #expect(bench.store.status(now: now - 100).first?.clockBehindSeconds == 40)
        bench.check(now + 499)
        #expect(bench.events == ["web +"])
        bench.check(now + 500)
        #expect(bench.events == ["web +", "web +"])
        #expect(bench.serial(0) != bench.serial(1))
        bench.store.keep(exactly: [db])
        bench.check(now + 501)
        #expect(bench.events == ["web +", "web +", "web -", "db +"])
        #expect(bench.store.credentials(for: web, now: now + 501) == nil)
        #expect(bench.store.credentials(for: db, now: now + 501)?.identity == db)
    }

    @Test func aFailedRenewalKeepsTheCertificateUntilItExpires() throws {
        let bench = try Bench(lifetime: 1000)
        bench.store.add(web)
        bench.check(now)
        // Another authority of another trust domain takes the place of ours.
        try FileManager.default.removeItem(atPath: "\(bench.folder)/ca")
        _ = try CertificateAuthority.open(directory: "\(bench.folder)/ca", trustDomain: "evil.example", now: now)
        bench.check(now + 500)
        // What is in memory still signs: the directory's authority is refused, not adopted.
        let status = try #require(bench.store.status(now: now + 500).first)
        #expect(status.state == .available)
        #expect(status.error.contains("is the authority of 'spiffe://evil.example', not of 'spiffe://cluster.local'"))
        #expect(status.serialNumber == bench.serial(1))
        bench.check(now + 1600)
        #expect(bench.store.credentials(for: web, now: now + 1600) != nil)
    }

    @Test func anotherAuthorityInTheDirectoryReissuesEverything() throws {
        let bench = try Bench()
        bench.store.keep(exactly: [web, db])
        bench.check(now)
        try FileManager.default.removeItem(atPath: "\(bench.folder)/ca")
        bench.check(now + 1)
        #expect(bench.events == ["db +", "web +"])
        let other = try CertificateAuthority.open(
            directory: "\(bench.folder)/ca", trustDomain: "cluster.local", now: now + 2)
        bench.check(now + 2)
        #expect(bench.events == ["db +", "web +", "db +", "web +"])
        #expect(bench.store.credentials(for: web, now: now + 2)?.rootsPEM == other.certificate.pem)
    }

    @Test func withoutAnAuthorityTheReasonShows() throws {
        let bench = try Bench()
        try FileManager.default.createDirectory(atPath: "\(bench.folder)/ca", withIntermediateDirectories: false)
        try Data("garbage".utf8).write(to: URL(filePath: "\(bench.folder)/ca/ca.crt"))
        bench.store.add(web)
        bench.check(now)
        let status = try #require(bench.store.status(now: now).first)
        #expect(status.state == .unavailable)
        #expect(status.error.contains("ca.key is missing"))
        try FileManager.default.removeItem(atPath: "\(bench.folder)/ca/ca.crt")
        bench.check(now)
        #expect(bench.events == ["web +"])
        #expect(bench.store.status(now: now).first?.error == "")
    }

    @Test func filesAreReadAgainWhenTheyChange() throws {
        let identity = web
        let bench = try Bench { folder in
            [
                CertificateFiles(
                    identity: identity, chainPath: "\(folder)/cert.pem", keyPath: "\(folder)/key.pem",
                    rootsPath: "\(folder)/roots.pem")
            ]
        }
        let authority = try CertificateAuthority.open(
            directory: "\(bench.folder)/ca", trustDomain: "cluster.local", now: now)
        bench.store.keep(exactly: [web, db])
        bench.check(now)
        #expect(bench.store.status(now: now).map(\.state) == [.unavailable, .unavailable])
        #expect(
            bench.store.status(now: now).first?.error
                == "no certificate file is given for spiffe://cluster.local/ns/default/sa/db; give one with --identity")
        let first = try authority.issue(web, now: now, lifetime: 1000)
        try bench.write(first)
        bench.check(now)
        #expect(bench.events == ["web +"])
        bench.check(now + 900)
        #expect(bench.events == ["web +"])
        let second = try authority.issue(web, now: now + 900, lifetime: 1000)
        // The certificate arrives before its key: the old pair serves until both are there.
        try bench.write(second, key: first.keyPEM)
        bench.check(now + 901)
        #expect(bench.events == ["web +"])
        #expect(
            bench.store.status(now: now + 901).last?.error
                == "\(bench.folder)/key.pem is not the key of the first certificate in \(bench.folder)/cert.pem")
        #expect(bench.store.status(now: now + 901).last?.state == .available)
        try bench.write(second)
        bench.check(now + 901)
        #expect(bench.events == ["web +", "web +"])
        #expect(bench.serial(1) == second.serial)
        bench.check(now + 1900)
        #expect(bench.events == ["web +", "web +", "web -"])
        #expect(bench.store.status(now: now + 1900).last?.state == .expired)
    }
}
