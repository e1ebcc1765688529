internal import EventLoop
internal import Glibc
internal import MeshModel
internal import Telemetry

/// Why a host name has no address, in words.
package struct LookupFailure: Error, Hashable {
    package let description: String
}

/// Looks up endpoints' host names off the data threads, by the node's own resolver settings.
///
/// Callers that ask for one name at a time share one lookup. Answers are kept for ``lifetime``, failures for
/// ``failureLifetime``: the C library does not tell the records' own time to live, so this is the bound on how stale an
/// address may be. Names, waiting callers and threads are bounded.
final class HostnameResolver: Sendable {
    /// The addresses of a name, or the words why there are none.
    typealias Answer = Result<[IPAddress], LookupFailure>

    private struct Kept {
        let answer: Answer
        let until: UInt64
    }
    private struct State {
        var kept: [String: Kept] = [:]
        var waiting: [String: [@Sendable (Answer) -> Void]] = [:]
        var waitingCount = 0
        var queue: [String] = []
        var threads = 0
    }

    /// Nanoseconds that an answer is used.
    static let lifetime: UInt64 = 30_000_000_000
    /// Nanoseconds that a failure is used.
    static let failureLifetime: UInt64 = 2_000_000_000
    private static let nameLimit = Limits.standard.lookups
    private static let waitingLimit = Limits.standard.lookups
    private static let threadLimit = Limits.standard.lookupThreads
    private let state = Lock(State())
    private let look: @Sendable (String) -> Answer

    /// - Parameter look: blocks until it knows; the C library's `getaddrinfo` unless a test says otherwise.
    init(look: @escaping @Sendable (String) -> Answer = HostnameResolver.systemLookup) {
        self.look = look
    }

    /// The answer that is at hand; nil when the name has to be looked up.
    func known(_ name: String, now: UInt64) -> Answer? {
        state.withLock { state in
            guard let kept = state.kept[name], kept.until > now else { return nil }
            return kept.answer
        }
    }

    /// Looks the name up; `reply` is called once, on another thread or on this one.
    func lookUp(_ name: String, _ reply: @escaping @Sendable (Answer) -> Void) {
        let step: (start: Bool, refused: Bool) = state.withLock { state in
            guard state.waitingCount < Self.waitingLimit else { return (false, true) }
            state.waitingCount += 1
            state.waiting[name, default: []].append(reply)
            guard state.waiting[name]?.count == 1 else { return (false, false) }
            state.queue.append(name)
            guard state.threads < Self.threadLimit else { return (false, false) }
            state.threads += 1
            return (true, false)
        }
        if step.refused {
            return reply(.failure(LookupFailure(description: "\(Self.waitingLimit) lookups are under way")))
        }
        guard step.start else { return }
        do throws(SystemError) {
            try LoopThread(name: "ztun-dns") { [self] in work() }.detach()
        } catch {
            state.withLock { $0.threads -= 1 }
            finish(name, .failure(LookupFailure(description: "\(error)")))
        }
    }

    private func work() {
        while let name = next() {
            finish(name, look(name))
        }
    }

    private func next() -> String? {
        state.withLock { state in
            guard !state.queue.isEmpty else {
                state.threads -= 1
                return nil
            }
            return state.queue.removeFirst()
        }
    }

    private func finish(_ name: String, _ answer: Answer) {
        let now = Kernel.monotonicNow()
        let lifetime: UInt64
        if case .success = answer { lifetime = Self.lifetime } else { lifetime = Self.failureLifetime }
        let waiting = state.withLock { state in
            state.queue.removeAll { $0 == name }
            let waiting = state.waiting.removeValue(forKey: name) ?? []
            state.waitingCount -= waiting.count
            if state.kept.count >= Self.nameLimit { state.kept = state.kept.filter { $0.value.until > now } }
            if state.kept.count < Self.nameLimit { state.kept[name] = Kept(answer: answer, until: now + lifetime) }
            return waiting
        }
        for reply in waiting { reply(answer) }
    }

    /// Asks the C library, which reads `/etc/hosts` and `/etc/resolv.conf` of where ztund runs.
    static let systemLookup: @Sendable (String) -> Answer = { name in
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        guard code == 0 else { return .failure(LookupFailure(description: String(cString: gai_strerror(code)))) }
        defer { freeaddrinfo(list) }
        var found: [IPAddress] = []
        var next = list
        while let entry = next, found.count < 256 {
            next = entry.pointee.ai_next
            guard let raw = UnsafeRawPointer(entry.pointee.ai_addr) else { continue }
            switch entry.pointee.ai_family {
            case AF_INET:
                let address = raw.loadUnaligned(as: sockaddr_in.self)
                found.append(IPAddress(v4: UInt32(bigEndian: address.sin_addr.s_addr)))
            case AF_INET6:
                var address = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
                let words = withUnsafeBytes(of: &address) {
                    ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                }
                found.append(IPAddress(high: UInt64(bigEndian: words.0), low: UInt64(bigEndian: words.1)))
            default: break
            }
        }
        guard !found.isEmpty else {
            return .failure(LookupFailure(description: "the answer has no A or AAAA record"))
        }
        return .success(found)
    }
}
