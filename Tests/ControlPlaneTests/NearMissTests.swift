import Testing

@testable import ControlPlane

@Suite struct NearMissTests {
    @Test(arguments: [
        ("worklods", "workloads"), ("service", "services"), ("Services", "services"), ("serivces", "services"),
        ("work_loads", "workloads"), ("polices", "policies"),
    ])
    func closeNamesAreSuggested(written: String, meant: String) {
        #expect(
            NearMiss.hint(for: written, among: ["workloads", "services", "policies"]) == "did you mean '\(meant)'?")
    }

    @Test func strangersAreNot() {
        #expect(NearMiss.hint(for: "certificates", among: ["workloads", "services", "policies"]) == nil)
        #expect(NearMiss.hint(for: String(repeating: "x", count: 10_000), among: ["workloads"]) == nil)
        #expect(NearMiss.hint(for: "", among: ["workloads"]) == nil)
    }

    @Test func distanceCountsSwapsOnce() {
        #expect(NearMiss.distance(Array("abc".utf8), Array("acb".utf8)) == 1)
        #expect(NearMiss.distance(Array("".utf8), Array("acb".utf8)) == 3)
        #expect(NearMiss.distance(Array("kitten".utf8), Array("sitting".utf8)) == 3)
    }
}
