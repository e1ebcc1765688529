internal import Glibc
internal import MeshModel

/// What Istio's environment variables say: flags win over them, they win over the configuration file. An empty variable
/// says nothing.
package struct EnvironmentOptions: Sendable {
    /// Something a person should know of a variable that is set and not obeyed.
    package struct Note: Hashable, Sendable {
        /// Whether not obeying it changes how safe the program is.
        package let isWarning: Bool
        package let text: String
    }

    package private(set) var program = ProgramOptions()
    /// The state itself, where a variable holds it.
    package private(set) var inlineState: String?
    package private(set) var notes: [Note] = []
    private var dataPath: [(setting: DataPathSetting, text: String)] = []

    /// - Parameters:
    ///   - variables: the environment.
    ///   - processors: how many this process may use.
    /// - Throws: ``ConfigurationError`` `invalid env var K=V (why)`.
    package init(_ variables: [String: String], processors: Int) throws(ConfigurationError) {
        let said = variables.filter { !$0.value.isEmpty }
        for setting in DataPathSetting.all {
            guard let text = said[setting.variable] else { continue }
            var scratch = DataPathOptions()
            guard setting.apply(text, &scratch) else { throw Self.invalid(setting.variable, text, setting.form) }
            dataPath.append((setting, text))
        }
        if let text = said["ISTIO_META_CLUSTER_ID"],
            let setting = DataPathSetting.all.first(where: { $0.key == "clusterId" })
        {
            var scratch = DataPathOptions()
            guard setting.apply(text, &scratch) else { throw Self.invalid("ISTIO_META_CLUSTER_ID", text, setting.form) }
            dataPath.append((setting, text))
        }
        try readProgram(said)
        program.workers = try Self.workers(said, processors: processors)
        try refuse(said)
        note(said)
    }

    private mutating func readProgram(_ said: [String: String]) throws(ConfigurationError) {
        if let path = said["LOCAL_XDS_PATH"], said["LOCAL_XDS"] != nil {
            throw Self.invalid("LOCAL_XDS_PATH", path, "LOCAL_XDS is set too; set one of them")
        }
        program.state = said["LOCAL_XDS_PATH"]
        inlineState = said["LOCAL_XDS"]
        if let text = said["TRUST_DOMAIN"] {
            guard SpiffeID.isTrustDomain(text) else {
                throw Self.invalid("TRUST_DOMAIN", text, "a trust domain has lower-case letters, digits, '.', '-', '_'")
            }
            program.trustDomain = text
        }
        if let text = said["LOG_FORMAT"] {
            guard let format = text == "plain" ? LogFormat.text : LogFormat(rawValue: text) else {
                throw Self.invalid("LOG_FORMAT", text, "expected plain, text or json")
            }
            program.logFormat = format
        }
        program.logLevel = said["RUST_LOG"]
        if let text = said["POOL_MAX_STREAMS_PER_CONNECTION"] {
            guard let value = Int(text), (1...1000).contains(value) else {
                throw Self.invalid("POOL_MAX_STREAMS_PER_CONNECTION", text, "expected a number from 1 to 1000")
            }
            program.poolMaxStreams = value
        }
        if let text = said["CONNECTION_TERMINATION_DEADLINE"], DurationText.seconds(text) == nil {
            throw Self.invalid("CONNECTION_TERMINATION_DEADLINE", text, "expected \(DurationText.form)")
        }
        if let text = said["TERMINATION_GRACE_PERIOD_SECONDS"], UInt32(text) == nil {
            throw Self.invalid("TERMINATION_GRACE_PERIOD_SECONDS", text, "expected a number of seconds")
        }
    }

    /// Values that ask for what this program is not.
    private func refuse(_ said: [String: String]) throws(ConfigurationError) {
        let only: [(name: String, value: String, why: String)] = [
            ("PROXY_MODE", "shared", "only shared mode exists here"),
            ("PACKET_MARK", "1337", "the mark is part of the pods' rules and is always 1337"),
            ("ENABLE_PROXY", "true", "a ztund without its proxy has nothing to do"),
            ("FAKE_CA", "false", "there is no fake CA; use --ca-dir for trying ztun out"),
        ]
        for (name, value, why) in only {
            if let text = said[name], text.lowercased() != value { throw Self.invalid(name, text, why) }
        }
        if let text = said["COMPLIANCE_POLICY"] {
            throw Self.invalid(
                "COMPLIANCE_POLICY", text, "it cannot be promised here; unset it, and choose a libssl that complies")
        }
    }

    /// Istio's variables that are known and not obeyed.
    private mutating func note(_ said: [String: String]) {
        if let text = said["TLS12_ENABLED"], text != "false" {
            notes.append(
                Note(isWarning: true, text: "TLS12_ENABLED=\(text.quoted) is not obeyed: tunnels are TLS 1.3 only"))
        }
        for name in ["XDS_ADDRESS", "CA_ADDRESS"] {
            guard let text = said[name] else { continue }
            notes.append(
                Note(
                    isWarning: true,
                    text: "\(name)=\(text.quoted) is not obeyed: the state comes from a file, certificates from "
                        + "--ca-dir or files"))
        }
        for name in Self.ignored where said[name] != nil {
            notes.append(Note(isWarning: false, text: "\(name) is not implemented and has no effect"))
        }
    }

    /// Known to Istio, without effect here, and of no consequence for who may talk to whom.
    package static let ignored = [
        "XDS_ROOT_CA", "ALT_XDS_HOSTNAME", "XDS_ON_DEMAND", "CA_ROOT_CA", "ALT_CA_HOSTNAME", "AUTH_TOKEN",
        "PREFERED_SERVICE_NAMESPACE", "PROXY_WORKLOAD_INFO", "INPOD_UDS", "INPOD_PORT_REUSE", "INPOD_ENABLED",
        "USER_TIMEOUT_ENABLED", "UNSTABLE_ENABLE_SOCKS5", "PROXY_CONFIG", "ISTIO_META_DNS_CAPTURE",
        "ISTIO_META_DNS_PROXY_ADDR", "RUST_BACKTRACE",
    ]

    /// Reads the environment of this process.
    package static func ofProcess() throws(ConfigurationError) -> EnvironmentOptions {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return try EnvironmentOptions(variables, processors: max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    }

    /// The options a file made, with what the environment says over them.
    func over(_ options: DataPathOptions) -> DataPathOptions {
        var merged = options
        for (setting, text) in dataPath { _ = setting.apply(text, &merged) }
        return merged
    }

    // MARK: - Threads

    /// The data threads that the variables ask for; nil when they say nothing.
    private static func workers(_ said: [String: String], processors: Int) throws(ConfigurationError) -> WorkerCount? {
        let limit = try cpus("ZTUNNEL_RESOURCE_CPU_LIMIT", said)
        let request = try cpus("ZTUNNEL_RESOURCE_CPU_REQUEST", said)
        let cores = try cpus("ZTUNNEL_CPU_LIMIT", said) ?? processors
        let count: Int
        switch said["ZTUNNEL_WORKER_THREADS"] {
        case nil where limit == nil && request == nil: return nil
        case nil:
            count = limit.map { max($0, request ?? 0) } ?? max((cores + 3) / 4, request ?? 0, 2)
        case let text? where text.hasSuffix("%"):
            guard let share = Int(text.dropLast()), (1...1000).contains(share) else {
                throw invalid("ZTUNNEL_WORKER_THREADS", text, "expected a number, 0 or a share as 50%")
            }
            count = max(1, (cores * share + 99) / 100)
        case let text?:
            guard let value = Int(text), (0...256).contains(value) else {
                throw invalid("ZTUNNEL_WORKER_THREADS", text, "expected a number to 256, 0 or a share as 50%")
            }
            count = value == 0 ? cores : value
        }
        return .exactly(min(max(count, 1), 256))
    }

    /// A Kubernetes CPU quantity, rounded up: `2`, `1.5`, `500m`.
    private static func cpus(_ name: String, _ said: [String: String]) throws(ConfigurationError) -> Int? {
        guard let text = said[name] else { return nil }
        let milli = text.hasSuffix("m") ? Double(text.dropLast()) : Double(text).map { $0 * 1000 }
        guard let milli, milli.isFinite, milli > 0, milli <= 4_096_000, text.first?.isNumber == true else {
            throw invalid(name, text, "expected a CPU quantity as 2, 1.5 or 500m")
        }
        return max(1, Int((milli / 1000).rounded(.up)))
    }

    private static func invalid(_ name: String, _ text: String, _ why: String) -> ConfigurationError {
        ConfigurationError(file: "environment", problem: "invalid env var \(name)=\(text.quotedBare) (\(why))")
    }
}

extension String {
    /// The text as ``quoted`` has it, without the quotes.
    fileprivate var quotedBare: String { String(quoted.dropFirst().dropLast()) }
}
