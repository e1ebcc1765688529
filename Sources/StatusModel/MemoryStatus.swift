/// What waits in a node proxy for slow readers, and what was done about it since the start.
package struct MemoryStatus: Codable, Sendable, Hashable {
    /// Bytes held now.
    package var held: UInt64
    /// Bytes that may be held.
    package var budget: UInt64
    /// Bytes that one pod may hold.
    package var podBudget: UInt64
    /// Times a tunnel was not read because a budget was used up.
    package var pauses: UInt64
    /// Connections refused for that reason.
    package var refused: UInt64
    /// Connections cut because they held most of a used-up budget.
    package var shed: UInt64

    package init(held: UInt64, budget: UInt64, podBudget: UInt64, pauses: UInt64, refused: UInt64, shed: UInt64) {
        self.held = held
        self.budget = budget
        self.podBudget = podBudget
        self.pauses = pauses
        self.refused = refused
        self.shed = shed
    }
}
