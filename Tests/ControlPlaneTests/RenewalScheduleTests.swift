import Testing

@testable import ControlPlane

@Suite struct RenewalScheduleTests {
    @Test(arguments: [(0.0, 43_200), (1.0, 47_520), (-1.0, 38_880), (5.0, 47_520)] as [(Double, Int64)])
    func renewsAtHalfLife(jitter: Double, after: Int64) {
        var schedule = RenewalSchedule(now: 1000)
        #expect(schedule.isDue(now: 1000))
        schedule.onIssued(notAfter: 1000 + 86_400, now: 1000, jitter: jitter)
        #expect(schedule.next == 1000 + after)
        #expect(!schedule.isDue(now: 1000 + after - 1))
        #expect(schedule.isDue(now: 1000 + after))
    }

    @Test func failuresBackOff() {
        var schedule = RenewalSchedule(now: 0)
        var pauses: [Int64] = []
        var now: Int64 = 0
        for _ in 0..<11 {
            schedule.onFailure(now: now, jitter: 0)
            pauses.append(schedule.next - now)
            now = schedule.next
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 64, 128, 150, 150, 150])
        schedule.onIssued(notAfter: now + 100, now: now, jitter: 0)
        #expect(schedule.failures == 0)
        schedule.onFailure(now: now, jitter: 1)
        #expect(schedule.next - now == 1)
    }

    @Test func aClockSetBackMakesItDue() {
        var schedule = RenewalSchedule(now: 1_000_000)
        schedule.onIssued(notAfter: 1_086_400, now: 1_000_000, jitter: 0)
        #expect(!schedule.isDue(now: 999_950))
        #expect(schedule.isDue(now: 999_900))
    }

    @Test func anExpiredCertificateIsNotAskedForInALoop() {
        var schedule = RenewalSchedule(now: 1000)
        schedule.onIssued(notAfter: 500, now: 1000, jitter: 0)
        #expect(schedule.next == 1001)
    }
}
