import Testing

@testable import Capture

@Suite struct CaptureChoiceTests {
    @Test(arguments: [CaptureMode.bpf, .nft, .external])
    func whatIsAskedForIsTaken(_ mode: CaptureMode) {
        let choice = CaptureChoice.choose(mode, obstacle: "none", forwarder: "br0")
        #expect(choice == CaptureChoice(mode: mode, reason: "asked for"))
    }

    @Test func automaticTakesBPFWhereNothingStandsAgainstIt() {
        #expect(CaptureChoice.choose(.auto, obstacle: nil, forwarder: nil).mode == .bpf)
    }

    @Test func automaticFallsBackAndSaysWhy() {
        let without = CaptureChoice.choose(.auto, obstacle: "no BPF file system", forwarder: nil)
        #expect(without.mode == .nft && without.reason.contains("no BPF file system"))
        let forwarding = CaptureChoice.choose(.auto, obstacle: nil, forwarder: "br0")
        #expect(forwarding.mode == .nft && forwarding.reason.contains("br0"))
    }
}
