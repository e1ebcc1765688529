import MeshModel
import Testing

@testable import Capture

@Suite struct NftRulesetTests {
    @Test func replacesOurTableAndNoOther() {
        let lines = NftRuleset.install().split(separator: "\n").map { $0.trimmingPrefix { $0 == " " } }
        #expect(lines[0] == "add table inet ztun_capture")
        #expect(lines[1] == "delete table inet ztun_capture")
        #expect(lines[2] == "table inet ztun_capture {")
        #expect(!NftRuleset.install().contains("flush"))
        #expect(lines.filter { $0.hasPrefix("table ") }.count == 1)
    }

    @Test func leavesOurOwnConnectionsAlone() {
        let text = NftRuleset.install()
        #expect(text.contains("meta mark { 0x539, 0x53a } accept"))
        #expect(text.contains("tcp dport 15008 accept"))
        #expect(text.contains("redirect to :15006"))
        #expect(text.contains("redirect to :15001"))
        #expect(!text.contains("saddr"))
    }

    @Test func besideBPFOnlyWhatIsThePodsIsRedirectedAndTheRestRefused() {
        let text = NftRuleset.install(listeners: NftRuleset.Listeners(outbound: nil, inbound: 40_001))
        #expect(text.contains("fib daddr type local tcp flags"))
        #expect(text.contains("redirect to :40001"))
        #expect(!text.contains("redirect to :15001"))
        #expect(text.contains("type filter hook forward"))
        #expect(text.contains("reject with tcp reset"))
        #expect(!NftRuleset.install().contains("hook forward"))
    }

    @Test func exemptsProbeSourcesByFamilyWithoutOverlap() throws {
        let sources = ["10.0.0.9", "10.0.0.0/24", "fd00::1", "10.0.1.1", "10.0.1.1"].compactMap { IPPrefix($0) }
        let text = NftRuleset.install(probeSources: sources)
        #expect(text.contains("ip saddr { 10.0.0.0/24, 10.0.1.1/32 } accept"))
        #expect(text.contains("ip6 saddr { fd00::1/128 } accept"))
        let exempt = try #require(text.firstRange(of: "saddr"))
        let redirect = try #require(text.firstRange(of: "redirect to :15006"))
        #expect(exempt.lowerBound < redirect.lowerBound)
    }
}
