import MeshModel
import RoutingCore
import Testing

/// Random worlds for the comparison with the naive evaluator.
struct WorldMaker {
    var random: RandomDraws

    mutating func below(_ bound: Int) -> Int { Int(random.next(below: UInt64(bound))) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<T>(_ list: [T]) -> T { list[below(list.count)] }

    static let keys = ["app", "tier", "team"]
    static let values = ["a", "b", "c"]
    static let spaces = ["one", "two", "three"]

    mutating func labels() -> [String: String] {
        var labels: [String: String] = [:]
        for key in Self.keys where chance(60) { labels[key] = pick(Self.values) }
        return labels
    }

    mutating func selector() -> NaiveNetworkPolicy.Selector {
        var terms: NaiveNetworkPolicy.Selector = []
        for key in Self.keys where chance(35) {
            switch below(6) {
            case 0, 1, 2: terms.append(.init(key: key, kind: "=", values: [pick(Self.values)]))
            case 3: terms.append(.init(key: key, kind: chance(50) ? "in" : "notin", values: [pick(Self.values), "c"]))
            case 4: terms.append(.init(key: key, kind: "exists", values: []))
            default: terms.append(.init(key: key, kind: "absent", values: []))
            }
        }
        return terms
    }

    mutating func rule() -> NaiveNetworkPolicy.Rule {
        var rule = NaiveNetworkPolicy.Rule(peers: [], ports: [])
        for _ in 0..<below(3) {
            switch below(4) {
            case 0:
                let base = UInt32(0x0a00_0000) + UInt32(below(2)) << 8
                let length = pick([8, 24, 28, 32, 0])
                let except: [(UInt32, Int)] = length < 28 && chance(50) ? [(base, 28)] : []
                rule.peers.append(.block(base + UInt32(below(16)), length, except: except))
            case 1: rule.peers.append(.pods(selector(), namespaces: nil))
            case 2: rule.peers.append(.pods(nil, namespaces: selector()))
            default: rule.peers.append(.pods(selector(), namespaces: selector()))
            }
        }
        for _ in 0..<below(3) {
            switch below(4) {
            case 0: rule.ports.append(.named(pick(["http", "admin"])))
            case 1: rule.ports.append(.range(79, 8080))
            default:
                let port = pick([80, 81, 8080])
                rule.ports.append(.range(port, port))
            }
        }
        return rule
    }

    mutating func world() -> NaiveNetworkPolicy {
        var world = NaiveNetworkPolicy(
            policies: [], pods: [], namespaces: [:], nodes: ["n1": 0xac10_0001, "n2": 0xac10_0002], modes: [:])
        for name in Self.spaces {
            world.namespaces[name] = labels()
            world.namespaces[name]?["kubernetes.io/metadata.name"] = name
            world.modes[name] = pick(["enforce", "enforce", "enforce", "audit", "off"])
        }
        for number in 0..<7 {
            let namespace = pick(Self.spaces)
            world.pods.append(
                .init(
                    name: "p\(number)", namespace: namespace, account: "\(namespace)/\(pick(["x", "y"]))",
                    address: UInt32(0x0a00_0000) + UInt32(below(2)) << 8 + UInt32(number), labels: labels(),
                    isHostNetwork: chance(10), isInMesh: chance(80), node: pick(["n1", "n2"]),
                    ports: chance(50) ? ["http": pick([80, 8080]), "admin": 81] : [:], waypoint: nil))
        }
        // The last pod is a waypoint, to which some are bound.
        world.pods[6].isHostNetwork = false
        world.pods[6].isInMesh = true
        for number in 0..<6 where chance(30) { world.pods[number].waypoint = "p6" }
        for number in 0..<(1 + below(6)) {
            var policy = NaiveNetworkPolicy.Policy(
                name: "np\(number)", namespace: pick(Self.spaces), pods: selector(), ingress: nil, egress: nil)
            if chance(75) { policy.ingress = (0..<below(3)).map { _ in rule() } }
            if chance(50) { policy.egress = (0..<below(3)).map { _ in rule() } }
            world.policies.append(policy)
        }
        return world
    }
}

extension NaiveNetworkPolicy {
    /// The same world as the product has it.
    func snapshot() -> MeshSnapshot {
        func selector(_ selector: Selector) -> LabelSelector {
            var labels: [String: String] = [:]
            var expressions: [LabelSelector.Requirement] = []
            for term in selector {
                switch term.kind {
                case "=": labels[term.key] = term.values[0]
                case "in": expressions.append(.init(key: term.key, condition: .isIn, values: term.values))
                case "notin": expressions.append(.init(key: term.key, condition: .notIn, values: term.values))
                case "exists": expressions.append(.init(key: term.key, condition: .exists))
                default: expressions.append(.init(key: term.key, condition: .doesNotExist))
                }
            }
            return LabelSelector(labels: labels, expressions: expressions)
        }
        func range(_ base: UInt32, _ length: Int) -> IPPrefix {
            guard let prefix = IPPrefix(IPAddress(v4: base), length: length) else { preconditionFailure() }
            return prefix
        }
        func rule(_ rule: Rule) -> NetworkPolicy.Rule {
            let peers = rule.peers.map { peer -> NetworkPolicy.Peer in
                switch peer {
                case .block(let base, let length, let except):
                    .addresses(range(base, length), except: except.map { range($0.0, $0.1) })
                case .pods(let pods, let namespaces):
                    .pods(pods.map(selector), namespaces: namespaces.map(selector))
                }
            }
            let ports = rule.ports.map { port -> NetworkPolicy.Port in
                switch port {
                case .range(let low, let high): .numbers(UInt16(low)...UInt16(high))
                case .named(let name): .named(name)
                }
            }
            return NetworkPolicy.Rule(peers: peers.isEmpty ? nil : peers, ports: ports.isEmpty ? nil : ports)
        }
        let policies = policies.map { policy in
            var rules: [NetworkPolicy.Direction: [NetworkPolicy.Rule]] = [:]
            rules[.ingress] = policy.ingress.map { $0.map(rule) }
            rules[.egress] = policy.egress.map { $0.map(rule) }
            return NetworkPolicy(
                name: policy.name, namespace: policy.namespace, pods: selector(policy.pods), rules: rules)
        }
        return MeshSnapshot(
            workloads: pods.map { workload($0) },
            networkPolicies: NetworkPolicyTable(
                policies: policies,
                namespaces: Dictionary(
                    uniqueKeysWithValues: namespaces.map { name, labels in
                        let mode = NetworkPolicyMode(rawValue: modes[name] ?? "") ?? .enforce
                        return (name, NetworkPolicyTable.Namespace(labels: LabelSet(labels), mode: mode))
                    }),
                nodes: nodes.mapValues { [IPAddress(v4: $0)] }))
    }

    func workload(_ pod: Pod) -> Workload {
        var fields = Workload.Fields()
        fields.uid = "c//Pod/\(pod.namespace)/\(pod.name)"
        fields.name = pod.name
        fields.namespace = pod.namespace
        fields.addresses = [IPAddress(v4: pod.address)]
        fields.trustDomain = "td"
        fields.serviceAccount = String(pod.account.split(separator: "/")[1])
        fields.labels = LabelSet(pod.labels)
        fields.networkMode = pod.isHostNetwork ? .hostNetwork : .standard
        fields.tunnelProtocol = pod.isInMesh ? .hbone : .tcp
        fields.node = pod.node
        fields.ports = pod.ports.mapValues { UInt16($0) }
        if let waypoint = pods.first(where: { $0.name == pod.waypoint }) {
            fields.waypoint = GatewayAddress(
                destination: .address(NetworkAddress(network: "", ip: IPAddress(v4: waypoint.address))))
        }
        return Workload(fields)
    }

    func identity(_ account: String) -> SpiffeID {
        let parts = account.split(separator: "/")
        return SpiffeID(trustDomain: "td", namespace: String(parts[0]), serviceAccount: String(parts[1]))
    }
}

extension NetworkPolicyVerdict {
    var word: String {
        switch self {
        case .notIsolated, .exempt, .askedByWaypoint: "free"
        case .admitted: "yes"
        case .refused(_, let isEnforced): isEnforced ? "no" : "audit"
        }
    }
}

@Suite struct NetworkPolicyTests {
    /// 2,000 worlds with 30 connections each, waypoints, mismatched identities and unknown peers included.
    @Test func decidesAsTheNaiveEvaluator() {
        var maker = WorldMaker(random: RandomDraws(seed: 7))
        var verdicts: [String: Int] = [:]
        for number in 0..<2000 {
            let world = maker.world()
            let snapshot = world.snapshot()
            let decision = NetworkPolicyDecision(snapshot)
            for _ in 0..<10 {
                let (from, to) = (maker.pick(world.pods), maker.pick(world.pods))
                let port = maker.pick([80, 81, 8080, 9000])
                let destination = world.workload(to)
                let address = maker.chance(80) ? from.address : maker.pick([0xac10_0001, 0x0a00_00f0, 0x0808_0808])
                let account = maker.chance(75) ? from.account : maker.chance(50) ? "one/z" : nil
                let expected = world.ingress(to, port: port, from: address, account: account)
                let found = decision.ingress(
                    to: destination, port: UInt16(port), from: IPAddress(v4: address),
                    identity: account.map(world.identity))
                #expect(found.word == expected, "world \(number), ingress \(from) → \(to):\(port): \(found)")
                let peer = NetworkPolicyPeer(address: IPAddress(v4: from.address), pod: world.workload(from))
                #expect(
                    decision.ingress(to: destination, port: UInt16(port), from: peer).word
                        == world.ingressForClient(to, port: port, client: from), "world \(number), at the waypoint")
                let target = NetworkPolicyPeer(address: IPAddress(v4: to.address), pod: destination)
                let out = world.egress(from, to: to, port: port)
                #expect(
                    decision.egress(from: world.workload(from), to: target, port: UInt16(port)).word == out,
                    "world \(number), egress \(from) → \(to):\(port)")
                verdicts[expected, default: 0] += 1
                verdicts["egress " + out, default: 0] += 1
            }
        }
        // The comparison says something only where every verdict occurs often.
        for word in ["free", "yes", "no", "audit", "egress free", "egress yes", "egress no", "egress audit"] {
            #expect(verdicts[word, default: 0] > 200, "\(verdicts)")
        }
    }

    /// A pod that is asked about among many policies costs no more than among few.
    @Test func tenThousandPoliciesCostNoMoreThanTen() {
        func table(_ count: Int) -> MeshSnapshot {
            let policies = (0..<count).map { number in
                NetworkPolicy(
                    name: "np\(number)", namespace: "ns1",
                    pods: number % 2 == 0 ? LabelSelector(labels: ["app": "a\(number)"]) : .all,
                    rules: [
                        .ingress: [
                            .init(
                                peers: [.pods(LabelSelector(labels: ["app": "c\(number)"]), namespaces: nil)],
                                ports: [.numbers(8080...8080)])
                        ]
                    ])
            }
            let pods = ["a0", "c0"].enumerated().map { index, app in
                Fixture.workload(app, ["10.0.0.\(index + 1)"]) {
                    $0.labels = LabelSet(["app": app, "tier": "x"])
                    $0.tunnelProtocol = .hbone
                }
            }
            return MeshSnapshot(
                workloads: pods, networkPolicies: NetworkPolicyTable(policies: policies, namespaces: [:], nodes: [:]))
        }
        func time(_ snapshot: MeshSnapshot) -> Duration {
            let decision = NetworkPolicyDecision(snapshot)
            guard let pod = snapshot.workload(uid: "cluster1//Pod/ns1/a0"),
                let peer = snapshot.workload(uid: "cluster1//Pod/ns1/c0")
            else { return .zero }
            var best = Duration.seconds(100)
            for _ in 0..<5 {
                let spent = ContinuousClock().measure {
                    for _ in 0..<2000 {
                        let verdict = decision.ingress(
                            to: pod, port: 8080, from: Fixture.ip("10.0.0.2"), identity: peer.identity)
                        precondition(verdict.word == "yes")
                    }
                }
                best = min(best, spent)
            }
            return best / 2000
        }
        let (few, many) = (time(table(10)), time(table(10_000)))
        print("network policy check: \(few) among 10 policies, \(many) among 10,000")
        #expect(many < few * 8 + .microseconds(20), "\(few) against \(many)")
    }
}
