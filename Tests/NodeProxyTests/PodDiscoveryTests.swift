import MeshModel
import Testing

@testable import NodeProxy

struct PodDiscoveryTests {
    private func verdict(
        _ addresses: [String], node: String = "", _ change: (inout Workload.Fields) -> Void = { _ in }
    ) throws -> PodDiscovery.Verdict {
        var first = Workload.Fields()
        first.uid = "c//v1/Pod/app/web"
        first.name = "web"
        first.namespace = "app"
        first.tunnelProtocol = .hbone
        first.trustDomain = "cluster.local"
        first.node = "n1"
        first.addresses = [try #require(IPAddress("10.0.0.1")), try #require(IPAddress("fd00::1"))]
        change(&first)
        var other = first
        other.uid = "c//v1/Pod/app/other"
        other.name = "other"
        other.addresses = [try #require(IPAddress("10.0.0.2"))]
        let snapshot = MeshSnapshot.empty.replacingAll(
            workloads: [Workload(first), Workload(other)], services: [], policies: [])
        return PodDiscovery.verdict(
            at: "/run/netns/x", addresses: addresses.compactMap { IPAddress($0) }, snapshot, network: "", node: node)
    }

    private func reason(_ verdict: PodDiscovery.Verdict) -> String {
        if case .leave(let reason) = verdict { return reason }
        if case .outside(let reason) = verdict { return reason }
        return "taken in"
    }

    @Test func aNamespaceIsThePodsWhoseAddressesItHas() throws {
        guard case .enrol(let location) = try verdict(["10.0.0.1", "fd00::1"], node: "n1") else {
            Issue.record("it is not taken in")
            return
        }
        #expect("\(location)" == "app/web@/run/netns/x")
        #expect(reason(try verdict(["192.168.1.1", "10.0.0.1"])) == "taken in")
    }

    @Test func everyOtherIsLeftAloneWithItsReason() throws {
        #expect(reason(try verdict([])) == "it has no address yet")
        #expect(reason(try verdict(["10.9.9.9"])) == "the state has no workload at 10.9.9.9")
        #expect(reason(try verdict(["10.0.0.1", "10.0.0.2"])).contains("more than one workload"))
        #expect(reason(try verdict(["10.0.0.1"], node: "n2")).contains("runs on node n1"))
        #expect(reason(try verdict(["10.0.0.1"]) { $0.tunnelProtocol = .tcp }) == "app/web is not in the mesh")
        #expect(reason(try verdict(["10.0.0.1"]) { $0.nativeTunnel = true }).contains("speaks HBONE itself"))
        // Who shares its node's network is nobody's address.
        #expect(reason(try verdict(["10.0.0.1"]) { $0.networkMode = .hostNetwork }).contains("has no workload"))
    }
}
