internal import MeshModel
internal import StatusModel
internal import TLS

/// What is held for one identity.
struct IdentityRecord {
    var credentials: TLSCredentials?
    /// Why the last attempt failed; nil after a success.
    var error: String?
    var schedule: RenewalSchedule
    /// The versions of the files it was made from.
    var versions: [FileVersion?] = []
    /// The authority that issued it.
    var authority: FileVersion?
    /// Whether the holder of the callback has them.
    var isDelivered = false
    /// Renewed by schedule, not by change of files.
    var isScheduled = false

    init(now: Int64) {
        schedule = RenewalSchedule(now: now)
    }

    /// Whether what is held can be used at the moment.
    func isUsable(now: Int64) -> Bool {
        guard let credentials else { return false }
        return now < credentials.notAfter
    }

    func status(_ identity: SpiffeID, now: Int64) -> CertificateStatus {
        let state: CertificateStatus.State =
            isUsable(now: now)
            ? .available : credentials != nil ? .expired : error != nil ? .unavailable : .initializing
        var status = CertificateStatus(identity: identity.description, state: state, error: error ?? "")
        if let credentials {
            status.notBefore = StatusTime(unixSeconds: credentials.notBefore)
            status.notAfter = StatusTime(unixSeconds: credentials.notAfter)
            status.serialNumber = credentials.serial
        }
        if isScheduled || error != nil { status.nextRenewal = StatusTime(unixSeconds: schedule.next) }
        return status
    }
}
