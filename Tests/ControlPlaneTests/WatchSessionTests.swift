import Testing

@testable import ControlPlane

/// What the list-and-watch machine does next.
@Suite struct WatchSessionTests {
    /// The macro of expectations cannot call what changes its subject.
    private func expect<Value: Equatable>(
        _ value: Value, _ expected: Value, _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(value == expected, sourceLocation: location)
    }

    private func synced(_ version: String = "100") -> WatchSession {
        var session = WatchSession(versionCount: 1)
        expect(session.next(now: 0), .list(continuing: ""))
        expect(session.onPage(resourceVersion: version, continuing: ""), true)
        return session
    }

    @Test func listsPageByPageAndThenWatches() {
        var session = WatchSession(versionCount: 1)
        expect(session.onPage(resourceVersion: "7", continuing: "more"), false)
        #expect(session.knowledge == .unknown)
        expect(session.next(now: 0), .list(continuing: "more"))
        expect(session.onPage(resourceVersion: "7", continuing: ""), true)
        #expect(session.knowledge == .listed)
        expect(session.next(now: 0), .watch(since: "7"))
    }

    @Test func bookmarksAndEventsMoveTheVersion() {
        var session = synced()
        session.onWatchStart(now: 0)
        expect(session.onEvent(resourceVersion: "105", now: 1), .fresh)
        expect(session.onEvent(resourceVersion: "105", now: 1), .repeated)
        expect(session.onEvent(resourceVersion: "104", now: 1), .stale)
        expect(session.next(now: 9), .watch(since: "105"))
    }

    @Test func versionsThatAreNoNumbersAreNotCompared() {
        var session = synced("x9")
        expect(session.onEvent(resourceVersion: "x10", now: 1), .fresh)
        expect(session.onEvent(resourceVersion: "x9", now: 1), .fresh)
    }

    @Test func anExpiredVersionMeansAnotherListAtOnceButNotInALoop() {
        var session = synced()
        session.onFault(.expired, now: 10, random: 1)
        expect(session.next(now: 10), .list(continuing: ""))
        expect(session.onPage(resourceVersion: "200", continuing: ""), true)
        session.onWatchStart(now: 10)
        session.onFault(.status(410, retryAfter: nil), now: 11, random: 1)
        expect(session.next(now: 11), .wait(milliseconds: 400))
        expect(session.next(now: 411), .list(continuing: ""))
        // A watch that lasted shows that all is well again.
        expect(session.onPage(resourceVersion: "300", continuing: ""), true)
        session.onWatchStart(now: 1000)
        session.onWatchEnd(now: 7000, random: 1)
        session.onFault(.expired, now: 7001, random: 1)
        expect(session.next(now: 7001), .list(continuing: ""))
    }

    @Test func anExpiredPageBeginsTheListAnew() {
        var session = WatchSession(versionCount: 1)
        _ = session.onPage(resourceVersion: "7", continuing: "more")
        session.onFault(.status(410, retryAfter: nil), now: 0, random: 0)
        expect(session.next(now: 0), .list(continuing: ""))
        #expect(session.isFirstPage)
    }

    @Test func watchesThatEndAtOnceAreNotAskedForInALoop() {
        var session = synced()
        var waits: [Int] = []
        var now = 0
        for _ in 0..<12 {
            session.onWatchStart(now: now)
            session.onWatchEnd(now: now, random: 1)
            guard case .wait(let wait) = session.next(now: now) else { continue }
            waits.append(wait)
            now += wait
        }
        #expect(waits.prefix(4) == [200, 400, 800, 1600])
        #expect(waits.last == 30_000)
    }

    @Test func halfOfTheWaitIsChance() {
        for (random, wait) in [(0.0, 100), (1.0, 200)] {
            var session = synced()
            session.onFault(.broken, now: 0, random: random)
            expect(session.next(now: 0), .wait(milliseconds: wait))
        }
    }

    @Test func retryAfterIsObeyedAndBounded() {
        var session = synced()
        session.onFault(.status(429, retryAfter: 7), now: 0, random: 0)
        expect(session.next(now: 0), .wait(milliseconds: 7000))
        session.onFault(.status(503, retryAfter: 1 << 40), now: 0, random: 0)
        expect(session.next(now: 0), .wait(milliseconds: 600_000))
        session.onFault(.status(503, retryAfter: -5), now: 0, random: 0)
        expect(session.next(now: 0) == .wait(milliseconds: 600_000), false)
    }

    @Test func anAbsentKindIsTriedInEachVersionAndThenEveryMinute() {
        var session = WatchSession(versionCount: 2)
        session.onFault(.status(404, retryAfter: nil), now: 0, random: 0)
        expect(session.next(now: 0), .list(continuing: ""))
        expect(session.versionIndex, 1)
        session.onFault(.status(404, retryAfter: nil), now: 0, random: 0)
        #expect(session.knowledge == .absent)
        expect(session.next(now: 0), .wait(milliseconds: WatchSession.absentWait))
        #expect(session.versionIndex == 0)
        expect(session.onPage(resourceVersion: "1", continuing: ""), true)
        expect(session.knowledge, .listed)
    }

    @Test func whatIsForbiddenStaysUnknown() {
        var session = WatchSession(versionCount: 1)
        session.onFault(.status(403, retryAfter: nil), now: 0, random: 0)
        #expect(session.knowledge == .unknown)
        expect(session.next(now: 0), .wait(milliseconds: WatchSession.forbiddenWait))
    }
}
