import MeshModel
import RoutingCore
import Testing

/// `ztun why` against an account of a connection that is put together from the naive evaluator alone.
@Suite struct ConnectionExplanationTests {
    private func mayGo(_ word: String) -> Bool { word != "no" }

    /// What becomes of a connection, by plain reasoning about who asks whom.
    private func expected(
        _ world: NaiveNetworkPolicy, _ from: NaiveNetworkPolicy.Pod, _ to: NaiveNetworkPolicy.Pod, _ port: Int
    ) -> Bool {
        let isKnown = !to.isHostNetwork
        guard from.isInMesh else {
            guard isKnown, to.isInMesh else { return true }
            return mayGo(world.ingress(to, port: port, from: from.address, account: nil))
        }
        let isThroughWaypoint = isKnown && to.waypoint != nil && to.waypoint != from.name
        guard isThroughWaypoint else {
            guard mayGo(world.egress(from, to: to, port: port)) else { return false }
            guard isKnown, to.isInMesh else { return true }
            return mayGo(world.ingress(to, port: port, from: from.address, account: from.account))
        }
        // A waypoint does not serve its own identity, and it asks both policies for the client.
        let waypoint = world.pods.first { $0.name == to.waypoint }
        guard from.account != waypoint?.account else { return false }
        guard !from.isHostNetwork else {
            return mayGo(world.ingress(to, port: port, from: from.address, account: from.account))
        }
        return mayGo(world.egress(from, to: to, port: port))
            && mayGo(world.ingressForClient(to, port: port, client: from))
    }

    /// 10,000 connections in 2,000 worlds, through waypoints, in plaintext and within the mesh.
    @Test func verdictIsThatOfTheNaiveEvaluator() {
        var maker = WorldMaker(random: RandomDraws(seed: 11))
        var counts: [String: Int] = [:]
        for number in 0..<2000 {
            let world = maker.world()
            let snapshot = world.snapshot()
            for _ in 0..<5 {
                let (from, to) = (maker.pick(world.pods), maker.pick(world.pods))
                let port = maker.pick([80, 81, 8080, 9000])
                let explanation = ConnectionExplanation(
                    from: world.workload(from), to: SocketAddress(IPAddress(v4: to.address), UInt16(port)),
                    random: maker.random.next(), in: snapshot)
                let isAllowed = expected(world, from, to, port)
                #expect(
                    (explanation.refusal == nil) == isAllowed,
                    "world \(number): \(from) → \(to):\(port): \(explanation.steps.map(\.text)) \(explanation.refusal as Any)"
                )
                counts[isAllowed ? "allowed" : explanation.refusal?.place.rawValue ?? "nowhere", default: 0] += 1
            }
        }
        for key in ["allowed", "source node", "waypoint", "destination node"] {
            #expect(counts[key, default: 0] > 100, "\(counts)")
        }
    }
}
