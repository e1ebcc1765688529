/// What to do about one kind of objects next: the state machine of list and watch, without clock, randomness or network.
///
/// A list gives everything and a version of the collection; a watch from that version gives what has changed since. Whatever goes
/// wrong with a watch ends in another watch from the last version known, or, when the server no longer knows that
/// version, in another list. Times are milliseconds of any clock that only goes forward.
struct WatchSession: Sendable {
    /// The next thing to do.
    enum Action: Hashable, Sendable {
        /// Ask for a page of the list; the token is that of the page before, empty for the first.
        case list(continuing: String)
        /// Ask for what has changed since a version.
        case watch(since: String)
        case wait(milliseconds: Int)
    }
    /// What is known of the kind.
    enum Knowledge: Hashable, Sendable {
        /// Not listed yet.
        case unknown
        /// Everything was listed at least once.
        case listed
        /// The server does not serve the kind.
        case absent
    }
    /// Something was refused or broke.
    enum Fault: Hashable, Sendable {
        case status(Int, retryAfter: Int?)
        /// The connection, or what came over it, cannot be used.
        case broken
        /// The version is too old, or what came contradicts what is known: only a list helps.
        case expired
    }

    private(set) var knowledge = Knowledge.unknown
    /// Which of the kind's API versions is asked for: the index in the list of those we read, best first.
    private(set) var versionIndex = 0
    private let versionCount: Int
    /// The version of the collection up to which everything is known; empty before the first list.
    private(set) var resourceVersion = ""
    private var continuation = ""
    private var isListing = true
    private var failures = 0
    private var waitUntil: Int?
    private var watchingSince = 0

    /// A kind that was not there is looked for again after this time.
    static let absentWait = 60_000
    /// Between two tries when the server says that it is forbidden.
    static let forbiddenWait = 30_000
    /// A watch that has lasted for so long shows that the server does well; before, a fault counts with those before it.
    private static let soundTime = 5000
    private static let firstWait = 200.0
    private static let longestWait = 30_000.0

    /// - Parameter versionCount: how many API versions of the kind are read; at least 1.
    init(versionCount: Int) {
        self.versionCount = max(1, versionCount)
    }

    /// What to do now.
    mutating func next(now: Int) -> Action {
        if let until = waitUntil {
            if until > now { return .wait(milliseconds: until - now) }
            waitUntil = nil
        }
        return isListing ? .list(continuing: continuation) : .watch(since: resourceVersion)
    }

    /// Whether the page that comes next begins a list.
    var isFirstPage: Bool { continuation.isEmpty }

    /// A page of the list has come.
    /// - Returns: true when it was the last: what no page had does not exist any more.
    mutating func onPage(resourceVersion: String, continuing token: String) -> Bool {
        if !token.isEmpty {
            continuation = token
            return false
        }
        self.resourceVersion = resourceVersion
        (continuation, isListing, knowledge) = ("", false, .listed)
        return true
    }

    /// The server has begun to answer a watch.
    mutating func onWatchStart(now: Int) { watchingSince = now }

    /// What an event says of its version.
    enum EventOrder: Hashable, Sendable { case fresh, repeated, stale }

    /// An event of the watch, a bookmark included, with the version that its object carries.
    ///
    /// Versions of one kind grow (KEP-5504 makes that a promise where both are numbers): one that went back was sent by somebody
    /// who knows less than we do.
    mutating func onEvent(resourceVersion version: String, now: Int) -> EventOrder {
        if now - watchingSince >= Self.soundTime { failures = 0 }
        if version == resourceVersion { return .repeated }
        if let new = UInt64(version), let old = UInt64(resourceVersion), new < old { return .stale }
        resourceVersion = version
        return .fresh
    }

    /// The watch has ended as watches do. A server that ends them at once is not asked in a loop.
    mutating func onWatchEnd(now: Int, random: Double) {
        if now - watchingSince >= Self.soundTime {
            failures = 0
        } else {
            backOff(now: now, random: random, atLeast: 0)
        }
    }

    /// A request failed.
    /// - Parameter random: from 0 to 1, so that many clients do not come back at once.
    mutating func onFault(_ fault: Fault, now: Int, random: Double) {
        switch fault {
        case .expired, .status(410, _):
            // A page's token expires like a watch's version: begin anew, at once the first time.
            let isFirst = failures == 0
            relist()
            if isFirst { failures = 1 } else { backOff(now: now, random: random, atLeast: 0) }
        case .status(404, _) where isListing && continuation.isEmpty:
            if versionIndex + 1 < versionCount, knowledge != .listed {
                versionIndex += 1
                return
            }
            versionIndex = 0
            if knowledge == .unknown { knowledge = .absent }
            waitUntil = now + Self.absentWait + Int(random * 5000)
        case .status(404, _):
            relist()
            backOff(now: now, random: random, atLeast: 0)
        case .status(403, _): waitUntil = now + Self.forbiddenWait + Int(random * 10_000)
        case .status(_, let retryAfter):
            backOff(now: now, random: random, atLeast: min(600, max(0, retryAfter ?? 0)) * 1000)
        case .broken: backOff(now: now, random: random, atLeast: 0)
        }
    }

    private mutating func relist() {
        (continuation, isListing) = ("", true)
    }

    /// Twice as long each time, half of it by chance.
    private mutating func backOff(now: Int, random: Double, atLeast: Int) {
        failures = min(failures + 1, 20)
        let bound = min(Self.longestWait, Self.firstWait * Double(1 << (failures - 1)))
        waitUntil = now + max(atLeast, Int(bound * (0.5 + 0.5 * random)))
    }
}
