import MeshModel
import Testing

/// Which workload an address, a name or a service means, and what an update changes.
@Suite struct MeshSnapshotWorkloadTests {
    static let web = ServiceName(namespace: "ns1", hostname: "web")

    static func names(_ snapshot: MeshSnapshot, _ service: ServiceName = web) -> [String] {
        snapshot.endpoints(of: service).map(\.workload.fields.name)
    }

    @Test func severalWorkloadsOfOneAddress() {
        let entry = State.workload("entry", ["10.0.0.1"]) {
            $0.uid = "c1/networking.istio.io/WorkloadEntry/ns1/entry"
            $0.tunnelProtocol = .hbone
        }
        let plain = State.workload("b-plain", ["10.0.0.1"])
        let other = State.workload("a-plain", ["10.0.0.1"])
        let tunnelled = State.workload("z-hbone", ["10.0.0.1"]) { $0.tunnelProtocol = .hbone }
        let all = [entry, plain, other, tunnelled]
        let expected = ["z-hbone", "a-plain", "b-plain", "entry"]
        for order in [all, all.reversed()] {
            let snapshot = MeshSnapshot(workloads: order)
            #expect(snapshot.workloads(at: State.at("10.0.0.1")).map(\.fields.name) == expected)
        }
        var snapshot = MeshSnapshot(workloads: all)
        for (gone, left) in [(tunnelled, "a-plain"), (other, "b-plain"), (plain, "entry")] {
            snapshot = snapshot.applying(MeshChanges(removedWorkloads: [gone.fields.uid]))
            #expect(snapshot.workload(at: State.at("10.0.0.1"))?.fields.name == left)
        }
        snapshot = snapshot.applying(MeshChanges(removedWorkloads: [entry.fields.uid]))
        #expect(snapshot.workload(at: State.at("10.0.0.1")) == nil)
    }

    @Test func networksAreApart() {
        let here = State.workload("here", ["10.0.0.1"])
        let there = State.workload("there", ["10.0.0.1"]) { $0.network = "n" }
        let snapshot = MeshSnapshot(workloads: [here, there])
        #expect(snapshot.workload(at: State.at("10.0.0.1")) === here)
        #expect(snapshot.workload(at: State.at("10.0.0.1", network: "n")) === there)
        #expect(snapshot.workload(at: State.at("10.0.0.1", network: "m")) == nil)
    }

    @Test func hostNetworkOwnsNoAddressButIsAnEndpoint() {
        let host = State.workload("host", ["10.0.0.1"]) {
            $0.networkMode = .hostNetwork
            $0.services = [Self.web: [:]]
        }
        let snapshot = MeshSnapshot(workloads: [host])
        #expect(snapshot.workload(at: State.at("10.0.0.1")) == nil)
        #expect(Self.names(snapshot) == ["host"])
        #expect(snapshot.workload(uid: host.fields.uid) === host)
    }

    @Test func byNamespaceAndName() {
        let a = State.workload("a") { $0.node = "n1" }
        let b = State.workload("a") {
            $0.uid = "c2//Pod/ns1/a"
            $0.node = "n2"
            $0.serviceAccount = "other"
        }
        let snapshot = MeshSnapshot(workloads: [b, a])
        #expect(snapshot.workloads(namespace: "ns1", name: "a").map(\.fields.node) == ["n1", "n2"])
        #expect(snapshot.workload(namespace: "ns1", name: "a", node: "n2") === b)
        #expect(snapshot.workload(namespace: "ns1", name: "a", serviceAccount: "default") === a)
        #expect(snapshot.workload(namespace: "ns1", name: "a", serviceAccount: "other", node: "n1") == nil)
        #expect(snapshot.workload(namespace: "ns2", name: "a") == nil)
    }

    @Test func endpointsWaitForTheirService() {
        let staged = MeshSnapshot(workloads: [State.workload("b") { $0.services = [Self.web: [80: 1]] }])
        #expect(staged.service(Self.web) == nil)
        let snapshot = staged.applying(
            MeshChanges(
                workloads: [State.workload("a") { $0.services = [Self.web: [80: 2]] }], services: [State.service("web")]
            ))
        #expect(snapshot.service(Self.web) != nil)
        #expect(Self.names(snapshot) == ["a", "b"])
        #expect(snapshot.endpoints(of: Self.web).map { $0.ports[80] } == [2, 1])
        #expect(snapshot.endpoint(of: Self.web, uid: "c1//Pod/ns1/b")?.ports == [80: 1])
        #expect(snapshot.endpoint(of: Self.web, uid: "nobody") == nil)
        // The service goes and comes back; its endpoints were there all the time.
        let back = snapshot.applying(MeshChanges(removedServices: [Self.web])).applying(
            MeshChanges(services: [State.service("web")]))
        #expect(Self.names(back) == ["a", "b"])
    }

    @Test func leavingAServiceAndChangingHealth() {
        let first = MeshSnapshot(
            workloads: ["a", "b", "c"].map { State.workload($0) { $0.services = [Self.web: [:]] } })
        let second = first.applying(
            MeshChanges(workloads: [
                State.workload("b"),
                State.workload("c") {
                    $0.services = [Self.web: [80: 9]]
                    $0.health = .unhealthy
                },
            ]))
        #expect(Self.names(first) == ["a", "b", "c"])
        #expect(Self.names(second) == ["a", "c"])
        #expect(second.endpoints(of: Self.web)[1].workload.fields.health == .unhealthy)
        let third = second.applying(
            MeshChanges(removedWorkloads: ["c1//Pod/ns1/a", "c1//Pod/ns1/c", "c1//Pod/ns1/nobody"]))
        #expect(Self.names(third) == [])
        #expect(third.workloadCount == 1)
    }

    @Test func aWorkloadThatMovesLeavesNothingBehind() {
        let old = State.workload("a", ["10.0.0.1", "10.0.0.1", "2001:db8::1"]) { $0.hostname = "a.example.com" }
        let new = State.workload("a", ["10.0.0.2"]) { $0.hostname = "b.example.com" }
        let snapshot = MeshSnapshot(workloads: [old]).applying(MeshChanges(workloads: [new]))
        #expect(snapshot.workload(at: State.at("10.0.0.1")) == nil)
        #expect(snapshot.workload(at: State.at("2001:db8::1")) == nil)
        #expect(snapshot.workload(at: State.at("10.0.0.2")) === new)
        #expect(snapshot.workload(hostname: ServiceName(namespace: "ns1", hostname: "a.example.com")) == nil)
        #expect(snapshot.workload(hostname: ServiceName(namespace: "ns1", hostname: "b.example.com")) === new)
    }

    @Test func theLastOfTwoEntriesOfOneKeyCounts() {
        let one = State.workload("a", ["10.0.0.1"]) { $0.services = [Self.web: [80: 1]] }
        let two = State.workload("a", ["10.0.0.2"]) { $0.services = [Self.web: [80: 2]] }
        for snapshot in [
            MeshSnapshot(workloads: [one, two]), MeshSnapshot().applying(MeshChanges(workloads: [one, two])),
        ] {
            #expect(snapshot.workloadCount == 1)
            #expect(snapshot.workload(at: State.at("10.0.0.1")) == nil)
            #expect(snapshot.endpoints(of: Self.web).map { $0.ports[80] } == [2])
        }
    }

    @Test func generationsCountAndPoliciesHaveTheirOwn() {
        let policy = AuthorizationPolicy(name: "p", namespace: "ns1", scope: .namespace, action: .deny, rules: [])
        let a = MeshSnapshot.empty
        let b = a.applying(MeshChanges(workloads: [State.workload("a")]))
        let c = b.applying(MeshChanges(policies: [policy]))
        let d = c.applying(MeshChanges(services: [State.service("web")]))
        let e = d.applying(MeshChanges(removedPolicies: ["ns1/p"]))
        #expect([a, b, c, d, e].map(\.generation) == [0, 1, 2, 3, 4])
        #expect([a, b, c, d, e].map(\.policyGeneration) == [0, 0, 2, 2, 4])
        #expect(d.policies(ofNamespace: "ns1")?.deny?.policyCount == 1)
        #expect(e.policies(ofNamespace: "ns1") == nil && e.policyCount == 0)
    }

    @Test(arguments: 0..<20) func changesLeadToTheSameStateAsBuildingAnew(_ seed: Int) {
        var generator = Generator(seed: UInt64(seed))
        var snapshot = MeshSnapshot()
        var wanted: [String: Workload] = [:]
        for round in 0..<40 {
            var changes = MeshChanges()
            for _ in 0..<Int.random(in: 0..<5, using: &generator) {
                changes.workloads.append(generator.workload(round))
            }
            changes.removedWorkloads = wanted.keys.sorted().filter { _ in Int.random(in: 0..<6, using: &generator) == 0
            }
            for uid in changes.removedWorkloads { wanted[uid] = nil }
            for workload in changes.workloads { wanted[workload.fields.uid] = workload }
            snapshot = snapshot.applying(changes)
        }
        let anew = MeshSnapshot(workloads: wanted.keys.sorted().compactMap { wanted[$0] })
        #expect(snapshot.workloadCount == anew.workloadCount)
        for index in 0..<6 {
            let address = State.at("10.0.0.\(index)")
            #expect(
                snapshot.workloads(at: address).map(ObjectIdentifier.init)
                    == anew.workloads(at: address).map(ObjectIdentifier.init))
            let service = ServiceName(namespace: "ns1", hostname: "s\(index)")
            let a = snapshot.endpoints(of: service)
            let b = anew.endpoints(of: service)
            #expect(a.map { ObjectIdentifier($0.workload) } == b.map { ObjectIdentifier($0.workload) })
            #expect(a.map(\.ports) == b.map(\.ports))
            #expect(
                snapshot.workloads(namespace: "ns1", name: "w\(index)").map(ObjectIdentifier.init)
                    == anew.workloads(namespace: "ns1", name: "w\(index)").map(ObjectIdentifier.init))
        }
    }

    /// Deterministic randomness with workloads to draw.
    struct Generator: RandomNumberGenerator {
        var state: UInt64

        init(seed: UInt64) { state = seed &* 2 &+ 1 }

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 31
        }

        mutating func workload(_ round: Int) -> Workload {
            let index = Int.random(in: 0..<12, using: &self)
            let addresses = (0..<Int.random(in: 0..<3, using: &self)).map { _ in
                "10.0.0.\(Int.random(in: 0..<6, using: &self))"
            }
            let services = (0..<Int.random(in: 0..<3, using: &self)).map { _ in Int.random(in: 0..<6, using: &self) }
            return State.workload("w\(index % 6)", addresses) {
                $0.uid = "c\(index)//Pod/ns1/w"
                for service in services {
                    $0.services[ServiceName(namespace: "ns1", hostname: "s\(service)")] = [80: UInt16(round)]
                }
                if round % 3 == 0 { $0.tunnelProtocol = .hbone }
            }
        }
    }
}
