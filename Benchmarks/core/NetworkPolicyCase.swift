import MeshModel
import RoutingCore

/// A NetworkPolicy check among many: 10,000 policies of one namespace, half of them for all its pods.
final class NetworkPolicyCase: BenchCase {
    static let entries = [
        BenchEntry(
            name: "network-policy", operation: "ingress check of one connection, 10,000 policies in the namespace",
            counted: 2000, nativeLimit: 20_000
        ) { NetworkPolicyCase() }
    ]

    // Made once: under callgrind that takes seconds.
    private static let snapshot = MeshSnapshot(
        workloads: [pod(0), pod(1)],
        networkPolicies: NetworkPolicyTable(
            policies: (0..<10_000).map { number in
                NetworkPolicy(
                    name: "np\(number)", namespace: "ns0",
                    pods: number % 2 == 0 ? LabelSelector(labels: ["app": "app\(number)"]) : .all,
                    rules: [
                        .ingress: [
                            .init(
                                peers: [.pods(LabelSelector(labels: ["app": "app\(number + 1)"]), namespaces: nil)],
                                ports: [.numbers(8080...8080)])
                        ]
                    ])
            }, namespaces: [:], nodes: [:]))

    private static func pod(_ index: Int) -> Workload {
        var fields = Workload.Fields()
        fields.uid = "Kubernetes//Pod/ns0/pod\(index)"
        fields.name = "pod\(index)"
        fields.namespace = "ns0"
        fields.addresses = [MeshFixture.address(index)]
        fields.tunnelProtocol = .hbone
        fields.trustDomain = "cluster.local"
        fields.serviceAccount = "sa\(index)"
        fields.labels = LabelSet(["app": "app\(index)", "tier": "x"])
        return Workload(fields)
    }

    func run(_ operations: Int) {
        let decision = NetworkPolicyDecision(Self.snapshot)
        guard let pod = Self.snapshot.workload(uid: "Kubernetes//Pod/ns0/pod0"),
            let peer = Self.snapshot.workload(uid: "Kubernetes//Pod/ns0/pod1")
        else { fatalError("ztun-bench: no workload") }
        for _ in 0..<operations {
            let verdict = decision.ingress(
                to: pod, port: 8080, from: MeshFixture.address(1), identity: peer.identity)
            guard case .admitted = verdict else { fatalError("ztun-bench: not admitted") }
            consume(verdict)
        }
    }
}
