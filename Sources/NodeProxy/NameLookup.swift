internal import EventLoop
internal import HBONE
internal import MeshModel
internal import RoutingCore

/// A host name that is looked up for one connection.
final class NameLookup: EventHandler {
    /// Seconds that one connection waits for the resolver.
    static let limit = Limits.standard.lookupSeconds
    let name: String
    let prefersIPv4: Bool
    private let id: UInt64
    private unowned let worker: NodeWorker
    private var done: ((Result<IPAddress, TunnelFailure>) -> Void)?
    private var deadline: Deadline?

    init(
        _ name: String, prefersIPv4: Bool, id: UInt64, worker: NodeWorker,
        done: @escaping (Result<IPAddress, TunnelFailure>) -> Void
    ) {
        self.name = name
        self.prefersIPv4 = prefersIPv4
        self.id = id
        self.worker = worker
        self.done = done
        super.init()
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(worker.loop.deadlines(seconds: Self.limit), now: worker.loop.now)
        self.deadline = deadline
    }

    func end(_ result: Result<IPAddress, TunnelFailure>) {
        deadline = nil
        let done = self.done
        self.done = nil
        done?(result)
    }

    override func expired(_ kind: UInt8) {
        worker.lookups[id] = nil
        end(.failure(Self.failure(name, "no answer within \(Int(Self.limit)) s")))
    }

    static func failure(_ name: String, _ cause: String) -> TunnelFailure {
        TunnelFailure(
            .noHealthyUpstream, "no ip addresses were resolved for host name \(name): \(cause)", isBeforeRequest: true)
    }
}

extension NodeWorker {
    /// Finds an address of a host name, of the preferred family where it has one; `done` is called once, on this thread,
    /// possibly before this returns.
    func lookUp(_ name: String, prefersIPv4: Bool, _ done: @escaping (Result<IPAddress, TunnelFailure>) -> Void) {
        NodeCounters.count(services.counters.lookups)
        if let answer = services.resolver.known(name, now: loop.now) {
            return done(choose(from: answer, name, prefersIPv4))
        }
        let id = nextLookup
        nextLookup += 1
        lookups[id] = NameLookup(name, prefersIPv4: prefersIPv4, id: id, worker: self, done: done)
        services.resolver.lookUp(name) { [mailbox = mailboxes[index]] answer in mailbox.post(.lookedUp(id, answer)) }
    }

    /// The resolver has answered.
    func lookedUp(_ id: UInt64, _ answer: HostnameResolver.Answer) {
        guard let lookup = lookups.removeValue(forKey: id) else { return }
        lookup.end(choose(from: answer, lookup.name, lookup.prefersIPv4))
    }

    private func choose(
        from answer: HostnameResolver.Answer, _ name: String, _ prefersIPv4: Bool
    ) -> Result<IPAddress, TunnelFailure> {
        switch answer {
        case .failure(let failure):
            return .failure(NameLookup.failure(name, failure.description))
        case .success(let addresses):
            let preferred = addresses.filter { $0.isIPv4 == prefersIPv4 }
            let candidates = preferred.isEmpty ? addresses : preferred
            guard !candidates.isEmpty else { return .failure(NameLookup.failure(name, "the answer is empty")) }
            return .success(candidates[Int(random.next(below: UInt64(candidates.count)))])
        }
    }
}
