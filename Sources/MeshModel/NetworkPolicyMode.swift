/// What becomes of a connection that a namespace's network policies do not admit.
package enum NetworkPolicyMode: String, Hashable, Sendable, CaseIterable {
    /// It is refused.
    case enforce
    /// It goes on, and the log says so.
    case audit
    /// Nobody asks.
    case off
}
