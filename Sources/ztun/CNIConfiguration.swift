internal import FoundationEssentials

/// The network configuration that the container runtime gives the plugin on standard input.
struct CNIConfiguration {
    /// Versions of the specification that this plugin speaks, oldest first.
    static let versions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    /// Namespaces whose pods are left alone when the configuration says nothing: those that a mesh needs to come up.
    static let usualExemptions = ["kube-system", "ztun-system", "istio-system"]

    let version: String
    /// What the plugins before this one made; nil in DEL and where there are none.
    let previousResult: Document?
    /// Where ztund's control socket is.
    let runDirectory: String
    /// Where a boot gate has its pins.
    let gateDirectory: String
    /// Seconds that ADD waits for ztund.
    let timeout: Int64
    /// Namespaces whose pods are enrolled; nil for all.
    let namespaces: [String]?
    let excludedNamespaces: [String]
    /// `istio.io/dataplane-mode` as the runtime passes it, by annotation or label; nil when it says nothing.
    let dataplaneMode: String?
    /// Whether the pod is to fail open, by its annotation `ztun.io/fail-open`.
    let failOpen: Bool
    /// The interfaces by which the pod forwards for others, by its annotation `istio.io/reroute-virtual-interfaces`.
    let reroutedInterfaces: String?

    /// - Throws: ``CNIFailure`` that names the key.
    init(_ bytes: [UInt8]) throws(CNIFailure) {
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(bytes)), case .map(let keys) = document
        else { throw CNIFailure(code: .undecodable, message: "standard input is not a JSON object") }
        guard case .text(let version)? = keys["cniVersion"] else {
            throw CNIFailure(code: .invalidConfiguration, message: "cniVersion is missing")
        }
        guard Self.versions.contains(version) else {
            throw CNIFailure(
                code: .incompatibleVersion, message: "CNI version \(version) is not spoken here",
                details: "this plugin speaks \(Self.versions.joined(separator: ", "))")
        }
        self.version = version
        previousResult = keys["prevResult"]
        runDirectory = try Self.text("runDir", keys) ?? "/run/ztun"
        gateDirectory = try Self.text("gateDir", keys) ?? "/sys/fs/bpf/ztun-gate"
        timeout = try Self.seconds("timeoutSeconds", keys) ?? 30
        namespaces = try Self.list("namespaces", keys)
        excludedNamespaces = try Self.list("excludeNamespaces", keys) ?? Self.usualExemptions
        dataplaneMode = Self.mode(keys)
        failOpen = Self.annotation("ztun.io/fail-open", keys) == "true"
        reroutedInterfaces =
            Self.annotation("istio.io/reroute-virtual-interfaces", keys)
            ?? Self.annotation("traffic.sidecar.istio.io/kubevirtInterfaces", keys)
    }

    /// Why a pod is not enrolled; nil when it is to be.
    func exemption(of pod: CNIPod) -> String? {
        if dataplaneMode == "none" { return "istio.io/dataplane-mode is none" }
        if excludedNamespaces.contains(pod.namespace) { return "namespace \(pod.namespace) is excluded" }
        if let namespaces, !namespaces.contains(pod.namespace), dataplaneMode != "ambient" {
            return "namespace \(pod.namespace) is not in the mesh"
        }
        return nil
    }

    private static func text(_ key: String, _ keys: [String: Document]) throws(CNIFailure) -> String? {
        switch keys[key] {
        case nil: return nil
        case .text(let text)? where text.hasPrefix("/"): return text
        default: throw CNIFailure(code: .invalidConfiguration, message: "\(key) is not an absolute path")
        }
    }

    private static func seconds(_ key: String, _ keys: [String: Document]) throws(CNIFailure) -> Int64? {
        switch keys[key] {
        case nil: return nil
        case .integer(let value)? where (1...600).contains(value): return value
        default: throw CNIFailure(code: .invalidConfiguration, message: "\(key) is not a number from 1 to 600")
        }
    }

    private static func list(_ key: String, _ keys: [String: Document]) throws(CNIFailure) -> [String]? {
        guard let value = keys[key] else { return nil }
        guard case .list(let items) = value else {
            throw CNIFailure(code: .invalidConfiguration, message: "\(key) is not a list of namespaces")
        }
        var names: [String] = []
        for item in items {
            guard case .text(let name) = item else {
                throw CNIFailure(code: .invalidConfiguration, message: "\(key) is not a list of namespaces")
            }
            names.append(name)
        }
        return names
    }

    /// An annotation of the pod, where the runtime passes them.
    private static func annotation(_ name: String, _ keys: [String: Document]) -> String? {
        guard case .map(let runtime)? = keys["runtimeConfig"],
            case .map(let annotations)? = runtime["io.kubernetes.cri.pod-annotations"],
            case .text(let value)? = annotations[name]
        else { return nil }
        return value
    }

    /// The mode from `runtimeConfig` (the capability `io.kubernetes.cri.pod-annotations` of containerd and CRI-O), or from
    /// the `labels` that CNI's conventions put into `args.cni`.
    private static func mode(_ keys: [String: Document]) -> String? {
        let name = "istio.io/dataplane-mode"
        if let mode = annotation(name, keys) { return mode }
        guard case .map(let arguments)? = keys["args"], case .map(let cni)? = arguments["cni"],
            case .list(let labels)? = cni["labels"]
        else { return nil }
        for label in labels {
            if case .map(let parts) = label, case .text(name)? = parts["key"], case .text(let mode)? = parts["value"] {
                return mode
            }
        }
        return nil
    }
}
