import EventLoop
import MeshModel
import Synchronization
import Telemetry
import Testing

@testable import NodeProxy

struct HostnameResolverTests {
    /// A lookup that waits until it is let go, and counts.
    private final class Gate: Sendable {
        let calls = Atomic<Int>(0)
        let running = Atomic<Int>(0)
        let mostRunning = Atomic<Int>(0)
        let isOpen = Atomic<Bool>(false)
        let answers = Lock<[HostnameResolver.Answer]>([])

        func look(_ answer: HostnameResolver.Answer) -> HostnameResolver.Answer {
            calls.wrappingAdd(1, ordering: .sequentiallyConsistent)
            let now = running.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
            _ = mostRunning.max(now, ordering: .sequentiallyConsistent)
            while !isOpen.load(ordering: .sequentiallyConsistent) { Kernel.pause(milliseconds: 1) }
            running.wrappingSubtract(1, ordering: .sequentiallyConsistent)
            return answer
        }

        func keep(_ answer: HostnameResolver.Answer) { answers.withLock { $0.append(answer) } }

        /// Waits until that many answers are there.
        func wait(for count: Int) -> Bool {
            for _ in 0..<5000 {
                if answers.withLock({ $0.count }) >= count { return true }
                Kernel.pause(milliseconds: 1)
            }
            return false
        }
    }

    private let address = IPAddress(v4: 0x0102_0304)

    @Test func callersOfOneNameShareOneLookup() {
        let gate = Gate()
        let resolver = HostnameResolver { [address] _ in gate.look(.success([address])) }
        for _ in 0..<10 { resolver.lookUp("a") { gate.keep($0) } }
        gate.isOpen.store(true, ordering: .sequentiallyConsistent)
        #expect(gate.wait(for: 10))
        #expect(gate.calls.load(ordering: .sequentiallyConsistent) == 1)
        #expect(gate.answers.withLock { $0 } == Array(repeating: .success([address]), count: 10))
    }

    @Test func answersAreKeptForTheirTime() {
        let gate = Gate()
        gate.isOpen.store(true, ordering: .sequentiallyConsistent)
        let resolver = HostnameResolver { [address] name in
            gate.look(name == "bad" ? .failure(LookupFailure(description: "no")) : .success([address]))
        }
        #expect(resolver.known("good", now: Kernel.monotonicNow()) == nil)
        resolver.lookUp("good") { gate.keep($0) }
        resolver.lookUp("bad") { gate.keep($0) }
        #expect(gate.wait(for: 2))
        let now = Kernel.monotonicNow()
        #expect(resolver.known("good", now: now) == .success([address]))
        #expect(resolver.known("bad", now: now) == .failure(LookupFailure(description: "no")))
        #expect(resolver.known("bad", now: now + HostnameResolver.failureLifetime) == nil)
        #expect(resolver.known("good", now: now + HostnameResolver.failureLifetime) != nil)
        #expect(resolver.known("good", now: now + HostnameResolver.lifetime) == nil)
    }

    @Test func threadsAreBoundedAndNobodyIsForgotten() {
        let gate = Gate()
        let resolver = HostnameResolver { [address] _ in gate.look(.success([address])) }
        for index in 0..<100 { resolver.lookUp("name-\(index)") { gate.keep($0) } }
        for _ in 0..<2000 where gate.running.load(ordering: .sequentiallyConsistent) < 8 {
            Kernel.pause(milliseconds: 1)
        }
        gate.isOpen.store(true, ordering: .sequentiallyConsistent)
        #expect(gate.wait(for: 100))
        #expect(gate.calls.load(ordering: .sequentiallyConsistent) == 100)
        #expect(gate.mostRunning.load(ordering: .sequentiallyConsistent) == 8)
    }

    @Test func tooManyCallersAreToldSo() {
        let gate = Gate()
        let resolver = HostnameResolver { [address] _ in gate.look(.success([address])) }
        for _ in 0..<4096 { resolver.lookUp("a") { gate.keep($0) } }
        let refused = Lock<HostnameResolver.Answer?>(nil)
        resolver.lookUp("b") { answer in refused.withLock { $0 = answer } }
        guard case .failure(let failure) = refused.withLock({ $0 }) else {
            Issue.record("the call beyond the limit was not refused at once")
            return
        }
        #expect(failure.description.contains("4096"))
        gate.isOpen.store(true, ordering: .sequentiallyConsistent)
        #expect(gate.wait(for: 4096))
    }

    @Test func theSystemKnowsLocalhostAndAddresses() throws {
        #expect(try HostnameResolver.systemLookup("127.0.0.1").get() == [.loopbackV4])
        #expect(try HostnameResolver.systemLookup("::1").get() == [.loopbackV6])
        let local = try HostnameResolver.systemLookup("localhost").get()
        #expect(local.contains { $0.isLoopback })
    }
}
