import Testing

@testable import Capture

@Suite struct CaptureChoiceTests {
    private static func facts(_ change: (inout CaptureFacts) -> Void) -> CaptureFacts {
        var facts = CaptureFacts()
        change(&facts)
        return facts
    }

    @Test(arguments: [CaptureMode.bpf, .bpfRewrite, .nft, .external])
    func whatIsAskedForIsTaken(_ mode: CaptureMode) {
        let facts = Self.facts {
            $0.obstacle = "none"
            $0.forwarder = "br0"
            $0.laterPrograms = ["other"]
        }
        let choice = CaptureChoice.choose(mode, facts)
        #expect(choice == CaptureChoice(mode: mode, reason: "asked for"))
    }

    @Test func automaticTakesBPFWhereNothingStandsAgainstIt() {
        #expect(CaptureChoice.choose(.auto, CaptureFacts()).mode == .bpf)
    }

    @Test func automaticFallsBackAndSaysWhy() {
        let without = CaptureChoice.choose(.auto, Self.facts { $0.obstacle = "no BPF file system" })
        #expect(without.mode == .nft && without.reason.contains("no BPF file system"))
        let forwarding = CaptureChoice.choose(.auto, Self.facts { $0.forwarder = "br0" })
        #expect(forwarding.mode == .nft && forwarding.reason.contains("br0"))
    }

    @Test func automaticRewritesWhereAnotherProgramRunsLater() {
        let choice = CaptureChoice.choose(.auto, Self.facts { $0.laterPrograms = ["cil_sock4_connect"] })
        #expect(choice.mode == .bpfRewrite && choice.reason.contains("cil_sock4_connect"))
    }

    @Test func automaticSelectsByRouteWhereConnectsCannotBeHooked() {
        let choice = CaptureChoice.choose(.auto, Self.facts { $0.hookObstacle = "no cgroup" })
        #expect(choice.mode == .bpfRoute && choice.reason.contains("no cgroup"))
        let cutting = CaptureChoice.choose(
            .auto,
            Self.facts {
                $0.hookObstacle = "no cgroup"
                $0.routeObstacle = "it would cut"
            })
        #expect(cutting.mode == .nft && cutting.reason.contains("it would cut"))
    }
}
