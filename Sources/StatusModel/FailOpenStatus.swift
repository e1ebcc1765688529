/// What becomes of a pod's connections while no ztund is there, for a pod that was to fail open.
package struct FailOpenStatus: Codable, Sendable, Hashable {
    /// Whether they go past the mesh; false when the pod stays closed all the same.
    package var inForce: Bool
    /// Why it stays closed; empty when it does not.
    package var reason: String

    package init(inForce: Bool, reason: String) {
        self.inForce = inForce
        self.reason = reason
    }
}
