import MeshModel
import RoutingCore

/// Decisions over a snapshot.
final class RoutingCase: BenchCase {
    static let entries = [
        BenchEntry(
            name: "resolve-service", operation: "outbound decision for a service of 20 endpoints", counted: 2000,
            nativeLimit: 20_000
        ) { RoutingCase(.outbound(service: true)) },
        BenchEntry(
            name: "resolve-address", operation: "outbound decision for a pod's address", counted: 2000,
            nativeLimit: 20_000
        ) { RoutingCase(.outbound(service: false)) },
        BenchEntry(
            name: "authorize", operation: "inbound decision and authorization, 10,000 policies", counted: 2000,
            nativeLimit: 40_000
        ) { RoutingCase(.inbound) },
        BenchEntry(
            name: "apply-one", operation: "next snapshot with one of 4,000 workloads changed", counted: 200,
            nativeLimit: 200_000
        ) { RoutingCase(.apply) },
        BenchEntry(
            name: "apply-policy", operation: "next snapshot with one of 10,000 policies changed", counted: 200,
            nativeLimit: 1_000_000
        ) { RoutingCase(.applyPolicy) },
    ]

    private enum Kind { case outbound(service: Bool), inbound, apply, applyPolicy }

    private let kind: Kind
    private var snapshot: MeshSnapshot
    private var random = RandomDraws(seed: 1)
    private static let count = 4000
    private static let policies = 10_000
    // Made once: under callgrind that takes seconds.
    private static let manyWorkloads = MeshFixture.snapshot(workloads: count)
    private static let manyPolicies = MeshSnapshot(
        workloads: (0..<100).map { MeshFixture.workload($0, policies: true) },
        services: (0..<5).map(MeshFixture.service), policies: (0..<policies).map(MeshFixture.policy))

    private init(_ kind: Kind) {
        self.kind = kind
        switch kind {
        case .outbound, .apply: snapshot = Self.manyWorkloads
        case .inbound, .applyPolicy: snapshot = Self.manyPolicies
        }
    }

    func run(_ operations: Int) {
        switch kind {
        case .outbound(let service): outbound(operations, service: service)
        case .inbound: inbound(operations)
        case .apply:
            for index in 0..<operations {
                let workload = MeshFixture.workload(index % Self.count, revision: index + 1)
                snapshot = snapshot.applying(MeshChanges(workloads: [workload]))
            }
        case .applyPolicy:
            for index in 0..<operations {
                snapshot = snapshot.applying(MeshChanges(policies: [MeshFixture.policy(index % Self.policies)]))
            }
        }
    }

    private func outbound(_ operations: Int, service: Bool) {
        guard let source = snapshot.workload(uid: MeshFixture.workload(0).fields.uid) else { return }
        for index in 0..<operations {
            let ip =
                service
                ? MeshFixture.vip(index % (Self.count / MeshFixture.endpoints)).ip
                : MeshFixture.address(index % Self.count)
            let request = OutboundDecision.Request(
                source: source, destination: SocketAddress(ip, service ? 80 : 8080), random: random.next())
            guard case .route(let route) = OutboundDecision.decide(request, in: snapshot) else {
                fatalError("ztun-bench: refused")
            }
            consume(route)
        }
    }

    private func inbound(_ operations: Int) {
        for index in 0..<operations {
            // Every tenth by an identity that no policy allows.
            let number = index % 100
            guard let workload = snapshot.workload(at: NetworkAddress(network: "", ip: MeshFixture.address(number)))
            else { fatalError("ztun-bench: no workload") }
            let request = InboundDecision.Request(
                workload: workload, localAddress: SocketAddress(MeshFixture.address(number), 15008))
            let text = Array("\(MeshFixture.address(number)):8080".utf8)
            guard case .forward(let target) = InboundDecision.decide(request, authority: text, in: snapshot) else {
                fatalError("ztun-bench: refused")
            }
            let source = SpiffeID(
                trustDomain: "cluster.local", namespace: workload.fields.namespace,
                serviceAccount: number % 10 == 9 ? "nobody" : "sa\(number)")
            consume(
                Authorizer.authorize(
                    AuthorizationRequest(
                        source: source, sourceIP: MeshFixture.address(number), target: target, workload: workload),
                    in: snapshot))
        }
    }
}
