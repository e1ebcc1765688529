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

    // MARK: - Through routes

    /// A rule as the naive account has it: which requests, and to which pod.
    private struct NaiveRoute {
        let path: HTTPRoute.Path
        let method: String?
        let header: String?
        let pod: NaiveNetworkPolicy.Pod

        func takes(_ path: String, _ method: String, _ header: String?) -> Bool {
            switch self.path {
            case .exact(let text): if path != text { return false }
            case .prefix(let text): if path != text && !path.hasPrefix(text + "/") { return false }
            case .beginning(let text): if !path.hasPrefix(text) { return false }
            case .ending(let text): if !path.hasSuffix(text) { return false }
            }
            if let wanted = self.method, wanted != method { return false }
            if let wanted = self.header, wanted != header { return false }
            return true
        }

        var rule: HTTPRoute.Rule {
            var match = HTTPRoute.Match()
            match.path = path
            match.method = method
            if let header { match.headers = [.init(name: "x-user", value: .exact(header))] }
            var rule = HTTPRoute.Rule()
            rule.matches = [match]
            rule.backends = [.init(.workload(namespace: pod.namespace, name: pod.name, port: 8080))]
            return rule
        }
    }

    /// 10,000 requests through waypoints with routes as a VirtualService writes them: the first rule that takes the request
    /// says which pod is asked about.
    @Test func routesLeadToWhatTheNaiveAccountSays() throws {
        var maker = WorldMaker(random: RandomDraws(seed: 12))
        var counts: [String: Int] = [:]
        var asked = 0
        while asked < 10_000 {
            let world = maker.world()
            let snapshot = world.snapshot()
            for _ in 0..<20 {
                let (from, to) = (maker.pick(world.pods), maker.pick(world.pods))
                guard from.isInMesh, !from.isHostNetwork, !to.isHostNetwork, let name = to.waypoint, name != from.name,
                    let waypoint = world.pods.first(where: { $0.name == name }), from.account != waypoint.account
                else { continue }
                let candidates = world.pods.filter { !$0.isHostNetwork }
                let routes = (0..<(1 + maker.below(4))).map { _ in
                    NaiveRoute(
                        path: maker.pick([.prefix(""), .prefix("/a"), .exact("/a"), .beginning("/a"), .ending("b")]),
                        method: maker.chance(30) ? maker.pick(["GET", "PUT"]) : nil,
                        header: maker.chance(30) ? "tester" : nil, pod: maker.pick(candidates))
                }
                let address = SocketAddress(IPAddress(v4: to.address), 80)
                var route = HTTPRoute(parent: .address(address))
                route.order = .written
                route.rules = routes.map(\.rule)
                let (path, method) = (
                    maker.pick(["/", "/a", "/ab", "/a/b", "/b"]), maker.pick(["GET", "PUT", "POST"])
                )
                let header = maker.chance(50) ? "tester" : nil
                var question = ConnectionExplanation.Question()
                question.routes = HTTPRouteTable([route])
                question.request = L7Question(
                    method: method, path: path, headers: header.map { [.init(name: "x-user", value: $0)] } ?? [])
                let explanation = ConnectionExplanation(
                    from: world.workload(from), to: address, random: maker.random.next(), in: snapshot, asking: question
                )
                asked += 1
                let expected: String
                if let pod = routes.first(where: { $0.takes(path, method, header) })?.pod {
                    if pod.name == waypoint.name {
                        expected = "recursive_call"
                    } else if !mayGo(world.egress(from, to: pod, port: 8080))
                        || !mayGo(world.ingressForClient(pod, port: 8080, client: from))
                        || pod.isInMesh
                            && !mayGo(world.ingress(pod, port: 8080, from: waypoint.address, account: waypoint.account))
                    {
                        expected = "network_policy_denied"
                    } else {
                        expected = ""
                    }
                } else {
                    expected = "route_not_found"
                }
                let found = explanation.refusal?.reason.rawValue ?? ""
                #expect(
                    found == expected,
                    "\(from) → \(to): \(method) \(path) \(header ?? "") \(explanation.steps.map(\.text))")
                counts[expected, default: 0] += 1
            }
        }
        for key in ["", "recursive_call", "network_policy_denied", "route_not_found"] {
            #expect(counts[key, default: 0] > 200, "\(counts)")
        }
    }
}
