internal import Synchronization

/// Bytes that wait in this process for slow readers, counted against a budget: one account for each pod, all of them in
/// the account of the process. Safe from any thread.
///
/// What it counts are the queues behind sockets that take no more; a connection that keeps up costs it nothing.
package final class MemoryAccount: Sendable {
    /// Bytes that may be held.
    package let budget: Int
    private let whole: MemoryAccount?
    private let bytes = Atomic<Int>(0)
    private let pauseCount = Atomic<UInt64>(0)
    private let refusalCount = Atomic<UInt64>(0)
    private let shedCount = Atomic<UInt64>(0)

    private let ladder = OverloadLadder()

    /// - Parameters:
    ///   - budget: bytes, at least 1.
    ///   - whole: the account that this one is a part of.
    package init(budget: Int, partOf whole: MemoryAccount? = nil) {
        self.budget = max(1, budget)
        self.whole = whole
    }

    /// An account that is never full.
    package static var unlimited: MemoryAccount { MemoryAccount(budget: .max / 2000) }

    /// Bytes held now.
    package var held: Int { bytes.load(ordering: .relaxed) }
    /// Times a tunnel was not read because its account was full.
    package var pauses: UInt64 { pauseCount.load(ordering: .relaxed) }
    /// Connections refused because the account was full.
    package var refusals: UInt64 { refusalCount.load(ordering: .relaxed) }
    /// Connections cut because they held most of a full account.
    package var shed: UInt64 { shedCount.load(ordering: .relaxed) }

    /// Whether new work is refused now.
    package var isFull: Bool { ladder.refuses(fill) }

    /// How far the budget is used up, per mille.
    ///
    /// A full process counts for those who fill it: a pod with next to nothing goes on undisturbed until the whole budget is
    /// gone.
    package var fill: Int {
        let held = self.held
        let own = held &* 1000 / budget
        guard let whole else { return own }
        let all = whole.fill
        guard all > own else { return own }
        return held >= budget / 16 || (ladder.isOver(all) && held > 0) ? all : own
    }

    /// Adds what is held more (or less, below 0).
    package func charge(_ count: Int) {
        bytes.wrappingAdd(count, ordering: .relaxed)
        whole?.charge(count)
    }

    func countPause() {
        pauseCount.wrappingAdd(1, ordering: .relaxed)
        whole?.countPause()
    }

    package func countRefusal() {
        refusalCount.wrappingAdd(1, ordering: .relaxed)
        whole?.countRefusal()
    }

    package func countShed() {
        shedCount.wrappingAdd(1, ordering: .relaxed)
        whole?.countShed()
    }
}
