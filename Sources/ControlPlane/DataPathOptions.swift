package import MeshModel

/// What the data path can be told by file or environment; every value has its default.
package struct DataPathOptions: Hashable, Sendable {
    package var clusterID = "Kubernetes"
    package var clusterDomain = "cluster.local"
    package var network = ""
    package var nodeName = ""
    /// Whether the application sees the client's own address: nil where that is possible, false never, true or fail.
    package var originalSource: Bool?
    package var ipv6 = true
    package var localhostAppTunnel = true
    package var responseBaggage = true
    package var policyInfoLogging = false
    /// Whether ALLOW rules whose words on identity are all negative admit a peer without one.
    package var admitsUnverifiedByNegation = false
    package var keepalive = true
    /// Seconds of silence before the first probe.
    package var keepaliveTime: UInt64 = 180
    /// Seconds between probes.
    package var keepaliveInterval: UInt64 = 180
    package var keepaliveRetries = 9
    /// The most a stream's window grows to, in bytes.
    package var streamWindow = Limits.standard.largestStreamWindowBytes
    package var connectionWindow = Limits.standard.connectionWindowBytes
    package var frameSize = Limits.standard.frameBytes
    /// Seconds until a tunnel without streams is closed.
    package var poolReleaseSeconds: UInt64 = 300
    /// Bytes that may wait in the process for slow readers, and for those of one pod.
    package var memoryBudget = Limits.standard.processMemoryBytes
    package var podMemoryBudget = Limits.standard.podMemoryBytes
    /// What becomes of connections to unknown addresses; nil as the mesh's own configuration has it.
    package var outboundTrafficPolicy: OutboundTrafficPolicy?
    /// What becomes of open connections that a policy edit no longer allows, where a namespace does not say it.
    package var policyEdits = PolicyEdits.cut

    package init() {}
}

/// One setting of ``DataPathOptions``: its key in a file, its environment variable, and how its text is read.
package struct DataPathSetting: Sendable {
    package let key: String
    /// Istio's name of it, where it has one.
    package let variable: String
    /// What a value looks like, for errors and docs.
    package let form: String
    package let standard: String
    package let meaning: String
    /// The flag of it, where it has one.
    package var flag = ""
    /// Reads a text; false when it is not of the form.
    let apply: @Sendable (String, inout DataPathOptions) -> Bool

    private static func text(
        _ key: String, _ variable: String, _ standard: String, _ meaning: String,
        _ set: @escaping @Sendable (String, inout DataPathOptions) -> Void
    ) -> DataPathSetting {
        DataPathSetting(
            key: key, variable: variable, form: "a name of letters, digits, '.', '-', '_', at most 253",
            standard: standard, meaning: meaning
        ) { text, options in
            guard text.utf8.count <= 253, text.utf8.allSatisfy(Self.isNameByte) else { return false }
            set(text, &options)
            return true
        }
    }

    private static func flag(
        _ key: String, _ variable: String, _ standard: String, _ meaning: String,
        _ set: @escaping @Sendable (Bool, inout DataPathOptions) -> Void
    ) -> DataPathSetting {
        DataPathSetting(key: key, variable: variable, form: "true or false", standard: standard, meaning: meaning) {
            text, options in
            guard text == "true" || text == "false" else { return false }
            set(text == "true", &options)
            return true
        }
    }

    private static func number(
        _ key: String, _ variable: String, _ range: ClosedRange<Int>, _ standard: String, _ meaning: String,
        _ set: @escaping @Sendable (Int, inout DataPathOptions) -> Void
    ) -> DataPathSetting {
        DataPathSetting(
            key: key, variable: variable, form: "a number from \(range.lowerBound) to \(range.upperBound)",
            standard: standard, meaning: meaning
        ) { text, options in
            guard let value = Int(text), range.contains(value) else { return false }
            set(value, &options)
            return true
        }
    }

    private static func choice<T: RawRepresentable & CaseIterable & SendableMetatype>(
        _ key: String, _ flag: String, _ variable: String, _ standard: String, _ meaning: String,
        _ set: @escaping @Sendable (T, inout DataPathOptions) -> Void
    ) -> DataPathSetting where T.RawValue == String {
        DataPathSetting(
            key: key, variable: variable, form: T.allCases.map(\.rawValue).joined(separator: " or "),
            standard: standard, meaning: meaning, flag: flag
        ) { text, options in
            guard let value = T(rawValue: text) else { return false }
            set(value, &options)
            return true
        }
    }

    private static func duration(
        _ key: String, _ variable: String, _ standard: String, _ meaning: String,
        _ set: @escaping @Sendable (UInt64, inout DataPathOptions) -> Void
    ) -> DataPathSetting {
        DataPathSetting(
            key: key, variable: variable, form: DurationText.form, standard: standard, meaning: meaning
        ) { text, options in
            guard let value = DurationText.seconds(text), (1...86_400).contains(value) else { return false }
            set(value, &options)
            return true
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (97...122).contains(byte) || (65...90).contains(byte) || (48...57).contains(byte) || byte == 45 || byte == 46
            || byte == 95
    }
}

extension DataPathSetting {
    /// All of them, in the order of the docs.
    package static let all: [DataPathSetting] = [
        .text("clusterId", "CLUSTER_ID", "Kubernetes", "this cluster, for telemetry") { $1.clusterID = $0 },
        .text("clusterDomain", "CLUSTER_DOMAIN", "cluster.local", "shown in /config_dump") { $1.clusterDomain = $0 },
        .text(
            "network", "NETWORK", "", "the network of this node: addresses of other networks need a gateway"
        ) { $1.network = $0 },
        .text("nodeName", "NODE_NAME", "", "this node, shown in /config_dump") { $1.nodeName = $0 },
        .flag(
            "originalSource", "ENABLE_ORIG_SRC", "where possible",
            "whether applications see the client's address; `false`: always the pod's own"
        ) { $1.originalSource = $0 },
        .flag(
            "ipv6", "IPV6_ENABLED", "true",
            "`false`: metrics and readiness listen on IPv4 only, unless an address is given; pods' IPv6 stays captured"
        ) { $1.ipv6 = $0 },
        .flag(
            "localhostAppTunnel", "LOCALHOST_APP_TUNNEL", "true",
            "PROXY protocol tunnels go to the pod's loopback address"
        ) { $1.localhostAppTunnel = $0 },
        .flag(
            "responseBaggage", "ENABLE_RESPONSE_BAGGAGE", "true",
            "whether the answer to a CONNECT describes the workload"
        ) { $1.responseBaggage = $0 },
        .flag(
            "policyInfoLogging", "AUTHZ_POLICY_INFO_LOGGING", "false", "log policy decisions at info instead of debug"
        ) { $1.policyInfoLogging = $0 },
        .flag(
            "allowUnverifiedByNegation", "ALLOW_UNVERIFIED_BY_NEGATION", "false",
            "`true`: an ALLOW rule that only names identities it does not match (`notPrincipals`, `notNamespaces`) also admits a "
                + "peer without an identity, as Istio's ztunnel does"
        ) { $1.admitsUnverifiedByNegation = $0 },
        .flag("keepalive", "KEEPALIVE_ENABLED", "true", "TCP keepalive on applications' connections") {
            $1.keepalive = $0
        },
        .duration("keepaliveTime", "KEEPALIVE_TIME", "180s", "silence before the first probe") {
            $1.keepaliveTime = $0
        },
        .duration("keepaliveInterval", "KEEPALIVE_INTERVAL", "180s", "time between probes") {
            $1.keepaliveInterval = $0
        },
        .number("keepaliveRetries", "KEEPALIVE_RETRIES", 1...127, "9", "probes before giving up") {
            $1.keepaliveRetries = $0
        },
        .number(
            "streamWindow", "HTTP2_STREAM_WINDOW_SIZE", 65_535...1 << 30, "4194304",
            "the most a stream's window grows to, in bytes"
        ) { $1.streamWindow = $0 },
        .number(
            "connectionWindow", "HTTP2_CONNECTION_WINDOW_SIZE", 65_535...1 << 30, "16777216",
            "window of a tunnel connection, in bytes"
        ) { $1.connectionWindow = $0 },
        .number(
            "frameSize", "HTTP2_FRAME_SIZE", 16_384...16_777_215, "1048576", "largest frame that is accepted, in bytes"
        ) { $1.frameSize = $0 },
        .duration(
            "poolUnusedReleaseTimeout", "POOL_UNUSED_RELEASE_TIMEOUT", "5m", "when an unused tunnel is closed"
        ) { $1.poolReleaseSeconds = $0 },
        .number(
            "memoryBudget", "MEMORY_BUDGET", 1 << 20...1 << 40, "268435456",
            "what may wait in the process for slow readers, in bytes"
        ) { $1.memoryBudget = $0 },
        .number(
            "podMemoryBudget", "POD_MEMORY_BUDGET", 1 << 20...1 << 40, "67108864",
            "the same for one pod, in bytes; never more than the process may hold"
        ) { $1.podMemoryBudget = $0 },
        .choice(
            "outboundTrafficPolicy", "--outbound-traffic-policy", "OUTBOUND_TRAFFIC_POLICY",
            "as MeshConfig says, else ALLOW_ANY",
            "`REGISTRY_ONLY`: pods of the mesh reach only what it knows (docs/kubernetes.md); wins over MeshConfig"
        ) { $1.outboundTrafficPolicy = $0 },
        .choice(
            "policyEdits", "--policy-edits", "POLICY_EDITS", "cut",
            "what becomes of open connections that a policy edit no longer allows: `cut`, or `keep` until they end"
        ) { $1.policyEdits = $0 },
    ]
}

/// Durations as Istio's variables have them.
package enum DurationText {
    package static let form = "a duration as 5s, 1m or 1h"

    /// Whole seconds of `5s`, `2m`, `1h`, `1m30s` or a bare number; nil for anything else.
    package static func seconds(_ text: some StringProtocol) -> UInt64? {
        if let bare = UInt64(text), bare <= 1 << 32 { return bare }
        var total: UInt64 = 0
        var number: UInt64?
        for byte in text.utf8 {
            let unit: UInt64
            switch byte {
            case 48...57:
                guard (number ?? 0) < 1 << 32 else { return nil }
                number = (number ?? 0) * 10 + UInt64(byte - 48)
                continue
            case UInt8(ascii: "h"): unit = 3600
            case UInt8(ascii: "m"): unit = 60
            case UInt8(ascii: "s"): unit = 1
            default: return nil
            }
            guard let value = number else { return nil }
            total += value * unit
            number = nil
        }
        return number == nil && !text.isEmpty ? total : nil
    }
}
