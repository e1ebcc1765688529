import Testing

@testable import Capture

@Suite struct SettingsRecordTests {
    private let head = "ztun settings of boot 7"
    private let forward = "/proc/sys/net/ipv4/ip_forward"

    @Test func theLastLineOfASettingHolds() {
        let text = "\(head)\n\(forward) 0\n/proc/sys/net/ipv4/a 1 2\n\(forward) 1\n"
        #expect(SettingsRecord.values(in: text, head: head) == [forward: "1", "/proc/sys/net/ipv4/a": "1 2"])
    }

    @Test func aRecordOfAnotherNamespaceIsNone() {
        #expect(SettingsRecord.values(in: "ztun settings of boot 8\n\(forward) 0\n", head: head) == nil)
        #expect(SettingsRecord.values(in: "", head: head) == nil)
        #expect(SettingsRecord.values(in: head, head: head) == nil)
    }

    @Test(arguments: ["/proc/sys/net/ipv4/a", "/etc/passwd x", "/proc/sys/net/../kernel/a 1", "/proc/sys/net/x ", "x"])
    func whatIsNoSettingIsLeftOut(_ line: String) {
        #expect(SettingsRecord.values(in: "\(head)\n\(line)\n", head: head) == [:])
    }

    @Test func aLineThatWasNotWrittenWholeIsLeftOut() {
        #expect(SettingsRecord.values(in: "\(head)\n\(forward) 1\n\(forward) 12", head: head) == [forward: "1"])
    }
}
