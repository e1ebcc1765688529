/// What becomes of open connections that a change of policies or labels no longer allows.
package enum PolicyEdits: String, Hashable, Sendable, CaseIterable {
    /// They are cut with ``Reason/policyChanged``.
    case cut
    /// They live until they end; only new ones are refused.
    case keep
}
