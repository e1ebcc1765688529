internal import StatusModel

/// The pod that a CNI call is about, from its environment (`CNI_ARGS`, as kubelet's runtimes fill it).
struct CNIPod {
    let namespace: String
    let name: String
    /// The path of its network namespace; nil where the runtime does not know it any more.
    let netns: String?

    /// - Throws: ``CNIFailure`` that names the variable. Nil when the runtime speaks of no Kubernetes pod.
    init?(_ environment: [String: String], needsNamespace: Bool) throws(CNIFailure) {
        var arguments: [String: String] = [:]
        for part in (environment["CNI_ARGS"] ?? "").split(separator: ";") {
            let halves = part.split(separator: "=", maxSplits: 1)
            if halves.count == 2 { arguments[String(halves[0])] = String(halves[1]) }
        }
        guard let namespace = arguments["K8S_POD_NAMESPACE"], let name = arguments["K8S_POD_NAME"] else { return nil }
        guard PodRequest.isName(namespace), PodRequest.isName(name) else {
            throw CNIFailure(
                code: .invalidEnvironment, message: "CNI_ARGS: K8S_POD_NAMESPACE or K8S_POD_NAME is no Kubernetes name")
        }
        let path = environment["CNI_NETNS"] ?? ""
        guard !path.isEmpty || !needsNamespace else {
            throw CNIFailure(code: .invalidEnvironment, message: "CNI_NETNS is missing")
        }
        guard path.isEmpty || (path.hasPrefix("/") && path.utf8.count < 4096) else {
            throw CNIFailure(code: .invalidEnvironment, message: "CNI_NETNS is not an absolute path")
        }
        self.namespace = namespace
        self.name = name
        netns = path.isEmpty ? nil : path
    }

    /// As ztund is told of it.
    var request: PodRequest { PodRequest(namespace: namespace, name: name, netns: netns) }
    var description: String { "\(namespace)/\(name)" }
}
