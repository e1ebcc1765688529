import MeshModel
import Telemetry
import Testing

@Suite struct FlowJournalTests {
    private let hour: UInt64 = 3600

    private func sample(_ port: UInt16 = 1) -> FlowSample {
        let address = SocketAddress(.loopbackV4, port)
        return FlowSample(
            source: address, target: address, sourceWorkload: nil, destinationWorkload: nil, sourceIdentity: nil)
    }

    private func note(_ journal: inout FlowJournal, from last: UInt64, port: UInt16 = 80, at now: UInt64) {
        let ip = IPAddress(high: 0, low: 0xffff_0a00_0000 | last)
        var key = FlowJournal.Key(direction: .inbound, port: port, verdict: .forwarded, isMutual: false)
        key.sourceAddress = ip
        if journal.note(key, at: now, sample: sample(port)) { return }
        let flows = FlowClass(
            direction: .inbound, source: FlowClass.Party(nil, identity: nil, address: ip),
            destination: FlowClass.Party(nil, identity: nil, address: .loopbackV4), service: "", port: port,
            verdict: .forwarded, isMutual: false)
        journal.note(flows, key, at: now, sample: sample(port))
    }

    @Test func aDayInHours() {
        var count = FlowCount(at: 100 * hour)
        count.add(at: 100 * hour)
        count.add(at: 100 * hour + 10)
        count.add(at: 110 * hour)
        #expect(count.first == 100 * hour && count.last == 110 * hour)
        #expect(count.lastDay(at: 110 * hour) == 3 && count.lastDay(at: 123 * hour) == 3)
        #expect(count.lastDay(at: 124 * hour) == 1 && count.lastDay(at: 134 * hour) == 0)
        count.add(at: 300 * hour)
        #expect(count.lastDay(at: 300 * hour) == 1)
        // A clock that is set back neither loses nor invents.
        count.add(at: 200 * hour)
        #expect(count.lastDay(at: 300 * hour) == 2 && count.last == 300 * hour)
    }

    @Test func twoWorkersSawTheSame() {
        var one = FlowCount(at: 100 * hour)
        one.add(at: 100 * hour)
        var two = FlowCount(at: 90 * hour)
        two.add(at: 90 * hour)
        two.add(at: 105 * hour)
        let both = one.merged(with: two)
        #expect(
            both.lastDay(at: 105 * hour) == 3 && both.lastDay(at: 114 * hour) == 2 && both.lastDay(at: 124 * hour) == 1)
        #expect(both.first == 90 * hour && both.last == 105 * hour)
    }

    @Test func aClassIsFoundAgainAlsoAfterANewSnapshot() {
        var journal = FlowJournal()
        for second in 0..<3 { note(&journal, from: 1, at: UInt64(second)) }
        journal.forgetObjects()
        note(&journal, from: 1, at: 9)
        note(&journal, from: 1, port: 81, at: 9)
        #expect(journal.entries.count == 2 && journal.entries[0].count.lastDay(at: 9) == 4)
        #expect(journal.entries[1].sample.target.port == 81)
    }

    @Test func strangersShareAClassWhenThereAreTooMany() {
        var journal = FlowJournal(capacity: 100, strangers: 10)
        for last in 1...50 { note(&journal, from: UInt64(last), at: 5) }
        #expect(journal.entries.count == 11)
        let others = journal.entries.first { $0.flows.source.address == nil }
        #expect(others?.count.lastDay(at: 5) == 40 && journal.overflow == 0)
        note(&journal, from: 1, at: 6)
        #expect(journal.entries[0].count.lastDay(at: 6) == 2)
    }

    @Test func boundedAndForgetsAfterADay() {
        var journal = FlowJournal(capacity: 5, strangers: 100)
        for last in 1...8 { note(&journal, from: UInt64(last), at: 10) }
        #expect(journal.entries.count == 5 && journal.overflow == 3)
        note(&journal, from: 2, at: 80_000)
        note(&journal, from: 9, at: 90_000)
        #expect(journal.entries.count == 2 && journal.overflow == 3)
        note(&journal, from: 2, at: 90_001)
        let known = journal.entries.first { $0.count.last == 90_001 }
        #expect(known?.count.lastDay(at: 90_001) == 2)
    }
}
