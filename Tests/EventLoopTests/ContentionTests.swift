import EventLoop
import Testing

@Suite struct ContentionTests {
    private final class Party {}
    private final class Recorder: EventHandler {
        let name: String
        let log: (String) -> Void
        init(_ name: String, _ log: @escaping (String) -> Void) {
            self.name = name
            self.log = log
        }
        override func flush() { log(name) }
    }

    /// The answers to one party after the other, at the given times.
    private func answers(_ notes: [(party: Party, now: UInt64)]) -> [Bool] {
        var contention = Contention()
        return notes.map { contention.note(ObjectIdentifier($0.party), now: $0.now) }
    }

    @Test func onePartyAloneIsNeverBesideAnother() {
        let one = Party()
        #expect(answers((0..<10).map { (one, $0) }).allSatisfy { !$0 })
    }

    @Test func twoPartiesAreBesideEachOtherUntilOneIsForgotten() {
        let (one, two) = (Party(), Party())
        let end = 20 + Contention.memory
        #expect(
            answers([(one, 0), (two, 10), (one, 20), (one, end - 1), (one, end)]) == [false, true, true, true, false])
    }

    @Test func whoIsMarkedLateIsFlushedBehindAllOthers() throws {
        let loop = try EventLoop()
        var order: [String] = []
        let handlers = ["bulk", "small", "more bulk", "other small"].map { Recorder($0) { order.append($0) } }
        for handler in handlers { loop.mark(handler, late: handler.name.hasSuffix("bulk")) }
        loop.turn(wait: false)
        #expect(order == ["small", "other small", "bulk", "more bulk"])
    }
}
