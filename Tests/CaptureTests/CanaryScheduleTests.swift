import Capture
import MeshModel
import Testing

/// When canaries fly and what their results mean.
struct CanaryScheduleTests {
    private let second: UInt64 = 1_000_000_000
    private let good = CanaryReport(isPassed: true, microseconds: 300)
    private let bad = CanaryReport(isPassed: false, reason: "it is lost", microseconds: 2_500_000)

    @Test func oneFailureIsRepairedTheSecondIsTold() {
        var schedule = CanarySchedule(isOn: true, retryInterval: 5 * second)
        #expect(schedule.nextDue(now: 0) == nil)
        schedule.request(at: second)
        #expect(!schedule.isDue(0) && schedule.isDue(second) && schedule.nextDue(now: 0) == second)
        schedule.sent(now: second)
        #expect(schedule.isFlying && schedule.nextDue(now: second) == second + 2_000_000)
        schedule.failed(bad, now: 3 * second)
        #expect(schedule.reason == nil && schedule.last == bad)
        #expect(schedule.nextDue(now: 3 * second) == 3 * second + 100_000_000)
        schedule.sent(now: 4 * second)
        schedule.failed(bad, now: 6 * second)
        #expect(schedule.reason?.hasPrefix("capture does not work: it is lost") == true)
        #expect(schedule.nextDue(now: 6 * second) == 11 * second)
        schedule.sent(now: 11 * second)
        schedule.passed(good)
        #expect(schedule.reason == nil && schedule.last == good && schedule.nextDue(now: 12 * second) == nil)
    }

    @Test func anEarlierRequestWinsAndOffIsOff() {
        var schedule = CanarySchedule(isOn: true, retryInterval: second)
        schedule.request(at: 2 * second)
        schedule.request(at: 3 * second)
        #expect(schedule.nextDue(now: 0) == 2 * second)
        schedule.request(at: second)
        #expect(schedule.nextDue(now: 0) == second)
        schedule.reset()
        #expect(schedule.nextDue(now: 0) == nil && schedule.last == nil)
        var off = CanarySchedule(isOn: false, retryInterval: second)
        off.request(at: 0)
        #expect(off.nextDue(now: 0) == nil && !off.isDue(second))
    }

    /// Class: a pod's own connection is taken for one of ours.
    @Test func onlyWhatWasAnnouncedIsTaken() {
        let register = CanaryRegister()
        let pod = IPAddress(v4: 0x0a3d_010a)
        let toPod = SocketAddress(pod, CanaryRegister.port)
        #expect(!register.takes(.inbound, from: SocketAddress(pod, 40000), to: toPod))
        #expect(!register.takes(.outbound, from: SocketAddress(pod, 40000), to: SocketAddress(pod, 80)))
        // Nobody's address: another ztund's canary, never to be forwarded.
        #expect(
            register.takes(
                .outbound, from: SocketAddress(pod, 40000), to: SocketAddress(CanaryRegister.farV4, CanaryRegister.port)
            ))
        #expect(
            !register.takes(.outbound, from: SocketAddress(pod, 40000), to: SocketAddress(CanaryRegister.farV4, 80)))
    }
}
