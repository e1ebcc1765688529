package import AdminServer
internal import Capture
internal import ControlPlane
internal import HTTP2
internal import MeshModel
internal import StatusModel
internal import TLS
internal import Telemetry

extension NodeSettings {
    /// Takes over what file and environment say of the data path.
    mutating func apply(_ options: DataPathOptions) {
        network = options.network
        clusterID = options.clusterID
        logsPolicyAtInfo = options.policyInfoLogging
        admitsUnverifiedByNegation = options.admitsUnverifiedByNegation
        preservesSource = options.originalSource ?? true
        localhostAppTunnel = options.localhostAppTunnel
        responseBaggage = options.responseBaggage
        http2.streamWindow = min(http2.streamWindow, options.streamWindow)
        http2.largestStreamWindow = options.streamWindow
        http2.connectionWindow = options.connectionWindow
        http2.frameSize = options.frameSize
        poolReleaseSeconds = Double(options.poolReleaseSeconds)
        memoryBudget = options.memoryBudget
        podMemoryBudget = min(options.podMemoryBudget, options.memoryBudget)
    }
}

extension Node {
    package var runningConfiguration: RunningConfiguration {
        let options = configuration.dataPath
        var running = RunningConfiguration()
        running.isNode = true
        running.adminAddress = configuration.program.adminAddress
        running.metricsAddress = configuration.program.metricsAddress
        running.readinessAddress = configuration.program.readinessAddress
        running.clusterID = options.clusterID
        running.clusterDomain = options.clusterDomain
        running.network = options.network
        running.localNode = options.nodeName
        running.statePath = configuration.program.stateOrigin
        running.workerThreads = mailboxes.count
        running.packetMark = CaptureMark.peer
        running.streamWindow = UInt32(clamping: options.streamWindow)
        running.connectionWindow = UInt32(clamping: options.connectionWindow)
        running.frameSize = UInt32(clamping: options.frameSize)
        running.poolMaxStreams = configuration.program.poolMaxStreams
        running.poolReleaseSeconds = options.poolReleaseSeconds
        running.terminationSeconds = UInt64(clamping: DrainDeadline.seconds)
        if case .authority(_, _, let lifetime) = configuration.program.identitySource {
            running.certificateSeconds = UInt64(clamping: lifetime)
        }
        running.requireOriginalSource = options.originalSource
        running.ipv6Enabled = options.ipv6
        running.localhostAppTunnel = options.localhostAppTunnel
        running.responseBaggage = options.responseBaggage
        running.keepaliveEnabled = options.keepalive
        running.keepaliveSeconds = options.keepaliveTime
        running.keepaliveIntervalSeconds = options.keepaliveInterval
        running.keepaliveRetries = options.keepaliveRetries
        return running
    }

    /// The certificates in use with their PEM text.
    package func heldCertificates() -> [HeldCertificate] {
        let (statuses, held) = shared.withLock { ($0.certificates, $0.held) }
        return statuses.map { held[$0.identity]?.certificate($0) ?? HeldCertificate($0) }
    }

    /// Pods taken in and taken out since the start.
    var podMetrics: [Metric] {
        let (started, stopped) = shared.withLock { ($0.podsStarted, $0.podsStopped) }
        return [
            Metric(
                "workload_manager_proxies_started", .counter, help: "Pods whose traffic was taken over",
                value: Double(started)),
            Metric(
                "workload_manager_proxies_stopped", .counter, help: "Pods whose traffic was let go",
                value: Double(stopped)),
        ]
    }
}

/// The public part of credentials, kept for the configuration dump as the text it came in, which the holder of the
/// credentials has too.
struct HeldChain: Sendable {
    private let chainPEM: [UInt8]
    private let rootsPEM: [UInt8]

    init(_ credentials: TLSCredentials) {
        chainPEM = credentials.chainPEM
        rootsPEM = credentials.rootsPEM
    }

    private static func parts(_ pem: [UInt8]) -> [HeldCertificate.Part] {
        let certificates = (try? Certificate.chain(pem: pem, source: "credentials")) ?? []
        return certificates.map {
            HeldCertificate.Part(
                pem: String(decoding: $0.pem, as: UTF8.self), serialNumber: $0.serial,
                validFrom: StatusTime(unixSeconds: $0.notBefore), expirationTime: StatusTime(unixSeconds: $0.notAfter))
        }
    }

    func certificate(_ status: CertificateStatus) -> HeldCertificate {
        HeldCertificate(status, chain: Self.parts(chainPEM), roots: Self.parts(rootsPEM))
    }
}
