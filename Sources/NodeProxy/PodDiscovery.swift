internal import Capture
internal import EventLoop
internal import MeshModel
internal import StatusModel
internal import Telemetry

/// Finds the pods that run already: by the addresses in their network namespaces, which the state knows.
///
/// A namespace without a workload of the mesh is left alone, and it is said why.
final class PodDiscovery {
    /// What is known of one namespace.
    enum Verdict: Equatable {
        case enrol(PodLocation)
        /// It is not taken in; why, for a person.
        case leave(String)
        /// As above, and it never will be: its pod is no part of the mesh.
        case outside(String)
    }

    private let folders: [String]
    private let network: String
    private let node: String
    private var dueAt: UInt64 = 0
    private static let interval: UInt64 = 5_000_000_000
    /// Why each namespace is left alone, by where it was found.
    private(set) var left: [String: String] = [:]
    /// The namespaces whose pods are no part of the mesh, by the state.
    private(set) var outside: [String] = []

    /// - Parameters:
    ///   - folders: of named namespaces or of pods' control groups.
    ///   - node: this node's name; empty where it has none, and every workload may be here.
    init(folders: [String], network: String, node: String) {
        self.folders = folders
        self.network = network
        self.node = node
    }

    /// The pods to take in now; looks every five seconds.
    func look(_ snapshot: MeshSnapshot, now: UInt64) -> [PodLocation] {
        guard !folders.isEmpty, now >= dueAt else { return [] }
        dueAt = now + Self.interval
        var found: [PodLocation] = []
        left = [:]
        outside = []
        for folder in folders {
            guard let candidates = NamespaceCensus.candidates(in: folder) else {
                left[folder] = "there is no such folder, or it cannot be read"
                continue
            }
            for candidate in candidates {
                switch verdict(candidate, snapshot) {
                case .enrol(let location): found.append(location)
                case .leave(let reason): left[candidate.label] = reason
                case .outside(let reason):
                    left[candidate.label] = reason
                    outside.append(candidate.path)
                }
            }
        }
        return found
    }

    /// Nanoseconds of the next look; nil when there is none.
    var nextDue: UInt64? { folders.isEmpty ? nil : dueAt }

    private func verdict(_ candidate: NamespaceCensus.Candidate, _ snapshot: MeshSnapshot) -> Verdict {
        let addresses: [IPAddress]
        do {
            // The node's own namespace is refused here: its pods share the node's network.
            addresses = try NetworkNamespace(path: candidate.path).addresses()
        } catch {
            return .leave("\(error)")
        }
        return Self.verdict(at: candidate.path, addresses: addresses, snapshot, network: network, node: node)
    }

    /// Decides by the addresses alone.
    static func verdict(
        at path: String, addresses: [IPAddress], _ snapshot: MeshSnapshot, network: String, node: String
    ) -> Verdict {
        guard !addresses.isEmpty else { return .leave("it has no address yet") }
        let workloads = addresses.flatMap { snapshot.workloads(at: NetworkAddress(network: network, ip: $0)) }
        guard let workload = workloads.first else {
            let text = addresses.prefix(3).map(\.description).joined(separator: ", ")
            return .leave("the state has no workload at \(text)")
        }
        let fields = workload.fields
        guard workloads.allSatisfy({ $0.fields.uid == fields.uid }) else {
            return .leave("its addresses belong to more than one workload, \(workloads[0]) among them")
        }
        guard fields.networkMode == .standard else { return .leave("\(workload) shares its node's network") }
        guard fields.tunnelProtocol == .hbone else { return .outside("\(workload) is not in the mesh") }
        guard !fields.nativeTunnel else { return .outside("\(workload) speaks HBONE itself") }
        guard node.isEmpty || fields.node.isEmpty || fields.node == node else {
            return .leave("\(workload) runs on node \(fields.node) by the state, this is \(node)")
        }
        return .enrol(PodLocation(namespace: fields.namespace, name: fields.name, path: path))
    }
}

extension NodeRounds {
    /// Takes in the pods that run already, and lets those go that were found or given at run time and have ended.
    func discoverPods() {
        let now = Kernel.monotonicNow()
        let snapshot = node.shared.withLock { $0.snapshot }
        let isDue = discovery.nextDue.map { now >= $0 } ?? false
        let found = discovery.look(snapshot, now: now)
        if isDue { for path in discovery.outside { capture.letThrough(outsideAt: path) } }
        for location in found {
            if let known = pods[location.pod] {
                // A path that has ended is no obstacle: another process of the pod, or its next sandbox.
                guard transient.contains(location.pod), known.location != location,
                    NetworkNamespace.identity(atPath: known.location.path) == nil
                else { continue }
                known.remove(now: now)
                advance(known, now: now)
                guard known.isRemoved else { continue }
            } else if pods.values.contains(where: { isSame($0.location.path, location.path) }) {
                continue
            }
            let capture = PodCapture(location, node: self.capture, now: now)
            pods[location.pod] = capture
            transient.insert(location.pod)
            advance(capture, now: now)
        }
        for (pod, capture) in pods where transient.contains(pod) && capture.status.phase == .pending {
            guard now > capture.status.since + Self.patience,
                NetworkNamespace.identity(atPath: capture.location.path) == nil
            else { continue }
            node.log.write(
                .info, .inpod, "pod \(pod) has ended; it is forgotten", now: Kernel.realtimeNow())
            capture.remove(now: now)
            advance(capture, now: now)
        }
        transient.formIntersection(pods.keys)
    }

    /// Nanoseconds that a pod without a namespace is waited for.
    private static var patience: UInt64 { 15_000_000_000 }

    private func isSame(_ path: String, _ other: String) -> Bool {
        path == other
            || NetworkNamespace.identity(atPath: path).map { $0 == NetworkNamespace.identity(atPath: other) } ?? false
    }
}
