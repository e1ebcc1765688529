internal import MeshModel
internal import StatusModel
internal import TLS
internal import Telemetry

/// What is held for one identity.
struct IdentityRecord {
    var credentials: TLSCredentials? {
        didSet { if credentials != oldValue { readLinks() } }
    }
    /// What the credentials' chain and roots say, read once for the status.
    private var chain: [CertificateLink] = []
    private var roots: [CertificateLink] = []
    /// Why the last attempt failed; nil after a success.
    var error: String?
    var schedule: RenewalSchedule
    /// The versions of the files it was made from.
    var versions: [FileVersion?] = []
    /// The authority that issued it.
    var authority: CertificateAuthority.Version?
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
            status.chain = chain
            status.roots = roots
            let start = chain.map(\.notBefore.unixSeconds).max() ?? credentials.notBefore
            if now < start { status.clockBehindSeconds = start - now }
        }
        if isScheduled || error != nil { status.nextRenewal = StatusTime(unixSeconds: schedule.next) }
        return status
    }

    /// The roots read last: those of most identities are the same.
    private static let lastRoots = Lock<(pem: [UInt8], links: [CertificateLink])>(([], []))

    private static func roots(_ pem: [UInt8], read: ([UInt8]) -> [CertificateLink]) -> [CertificateLink] {
        let last = lastRoots.withLock { $0 }
        if last.pem == pem { return last.links }
        let links = read(pem)
        lastRoots.withLock { $0 = (pem, links) }
        return links
    }

    private mutating func readLinks() {
        func links(_ pem: [UInt8], _ kind: (Int) -> CertificateLink.Kind) -> [CertificateLink] {
            // Credentials hold only certificates that were read before.
            let list = (try? Certificate.chain(pem: pem, source: "credentials")) ?? []
            return list.enumerated().map { index, certificate in
                CertificateLink(
                    kind: kind(index), subject: certificate.subject, issuer: certificate.issuer,
                    serialNumber: certificate.serial, serialNumberHex: certificate.serialHex,
                    notBefore: StatusTime(unixSeconds: certificate.notBefore),
                    notAfter: StatusTime(unixSeconds: certificate.notAfter))
            }
        }
        chain = credentials.map { links($0.chainPEM) { $0 == 0 ? .leaf : .intermediate } } ?? []
        roots = credentials.map { Self.roots($0.rootsPEM) { links($0) { _ in .root } } } ?? []
    }
}
