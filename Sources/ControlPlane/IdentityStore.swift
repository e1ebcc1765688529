package import MeshModel
package import StatusModel
package import TLS
internal import Telemetry

/// The credentials of every identity the program speaks for: obtained, renewed, withdrawn when they expire.
///
/// All functions may be called from any thread; ``check(now:random:)`` does the work and runs the callback, on its
/// caller's thread (the control thread), in order. The callback must not call ``check(now:random:)``.
package final class IdentityStore: Sendable {
    /// Takes new credentials of an identity, or nil when it has none any more (expired, or no longer wanted).
    package typealias Deliver = @Sendable (SpiffeID, TLSCredentials?) -> Void

    package let source: IdentitySource
    private let deliver: Deliver
    private let wanted = Lock<Set<SpiffeID>>([])
    /// Held through a whole check.
    private let authority = Lock<CertificateAuthority?>(nil)
    private let records = Lock<[SpiffeID: IdentityRecord]>([:])
    /// Why the authority in the directory is not the one in use; nil when it is.
    private let authorityFault = Lock<String?>(nil)

    package init(source: IdentitySource, deliver: @escaping Deliver) {
        self.source = source
        self.deliver = deliver
    }

    /// Adds an identity; the next check obtains its credentials.
    package func add(_ identity: SpiffeID) {
        wanted.withLock { _ = $0.insert(identity) }
    }

    /// Keeps exactly these identities; the next check withdraws the others.
    package func keep(exactly identities: Set<SpiffeID>) {
        wanted.withLock { $0 = identities }
    }

    /// The credentials held for an identity; nil when there are none that are valid.
    /// - Parameter now: seconds of the Unix epoch.
    package func credentials(for identity: SpiffeID, now: Int64) -> TLSCredentials? {
        records.withLock { records in
            guard let record = records[identity], record.isUsable(now: now) else { return nil }
            return record.credentials
        }
    }

    /// One line for each identity that is wanted, sorted by identity.
    /// - Parameter now: seconds of the Unix epoch.
    package func status(now: Int64) -> [CertificateStatus] {
        let wanted = wanted.withLock { $0 }
        let records = records.withLock { $0 }
        let fault = authorityFault.withLock { $0 }
        return wanted.map { identity in
            var status = (records[identity] ?? IdentityRecord(now: now)).status(identity, now: now)
            if status.error.isEmpty, let fault { status.error = fault }
            return status
        }
        .sorted { $0.identity < $1.identity }
    }

    /// Obtains what is missing, renews what is due and withdraws what has expired.
    /// - Parameters:
    ///   - now: seconds of the Unix epoch.
    ///   - random: numbers of -1...1, for the jitter of renewals.
    package func check(now: Int64, random: () -> Double) {
        authority.withLock { authority in
            let wanted = wanted.withLock { $0 }
            let before = records.withLock { $0 }
            for identity in before.keys where !wanted.contains(identity) {
                records.withLock { $0[identity] = nil }
                if before[identity]?.credentials != nil { deliver(identity, nil) }
            }
            let fault = openAuthority(&authority, isNeeded: !wanted.isEmpty, now: now)
            authorityFault.withLock { $0 = fault?.description }
            for identity in wanted.sorted(by: { $0.path < $1.path }) {
                let old = before[identity]
                var record = old ?? IdentityRecord(now: now)
                switch source {
                case .authority(_, _, let lifetime):
                    renew(&record, now: now, random: random, isNew: record.authority != authority?.version) {
                        () throws(CertificateError) in
                        guard let authority else { throw fault ?? CertificateError("no authority") }
                        return try authority.issue(identity, now: now, lifetime: lifetime)
                    }
                    record.authority = authority?.version
                    record.isScheduled = true
                case .files(let files):
                    guard let files = files.first(where: { $0.identity == identity }) else {
                        record.error = "no certificate file is given for \(identity); give one with --identity"
                        break
                    }
                    let versions = files.versions
                    renew(&record, now: now, random: random, isNew: record.versions != versions) {
                        () throws(CertificateError) in try files.load(now: now)
                    }
                    record.versions = versions
                }
                settle(identity, record, old: old, now: now)
            }
        }
    }

    /// Runs one attempt when the schedule or a change asks for one; what is held stays when it fails.
    private func renew(
        _ record: inout IdentityRecord, now: Int64, random: () -> Double, isNew: Bool,
        obtain: () throws(CertificateError) -> TLSCredentials
    ) {
        let isDue =
            (record.isScheduled || record.error != nil || record.credentials == nil) && record.schedule.isDue(now: now)
        guard isNew || isDue else { return }
        do throws(CertificateError) {
            let credentials = try obtain()
            record.credentials = credentials
            record.error = nil
            record.schedule.onIssued(notAfter: credentials.notAfter, now: now, jitter: random())
        } catch {
            record.error = error.description
            record.schedule.onFailure(now: now, jitter: random())
        }
    }

    /// Keeps the record and tells of the change, if it is one.
    private func settle(_ identity: SpiffeID, _ record: IdentityRecord, old: IdentityRecord?, now: Int64) {
        var record = record
        let wasDelivered = old?.isDelivered ?? false
        record.isDelivered = record.isUsable(now: now)
        records.withLock { $0[identity] = record }
        if record.isDelivered {
            if !wasDelivered || record.credentials != old?.credentials { deliver(identity, record.credentials) }
        } else if wasDelivered {
            deliver(identity, nil)
        }
    }

    /// Opens the embedded authority the first time, and again when its file is another.
    private func openAuthority(
        _ authority: inout CertificateAuthority?, isNeeded: Bool, now: Int64
    ) -> CertificateError? {
        guard case .authority(let directory, let trustDomain, _) = source, isNeeded else { return nil }
        if let held = authority, !held.isOutdated(now: now) { return nil }
        do throws(CertificateError) {
            authority = try CertificateAuthority.open(directory: directory, trustDomain: trustDomain, now: now)
            return nil
        } catch {
            return error
        }
    }
}
