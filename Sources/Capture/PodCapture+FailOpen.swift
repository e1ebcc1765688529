extension PodCapture {
    /// Lets the pod's connections go past the mesh while no ztund is there, or no longer; at once where the pod is enrolled.
    ///
    /// - Returns: why it cannot be, for a person; nil when it is as wanted.
    @discardableResult
    package func setFailOpen(_ isOpen: Bool) -> String? {
        failsOpen = isOpen
        guard let redirection = heldRedirection else { return nil }
        do throws(CaptureFailure) {
            return try redirection.setFailOpen(isOpen)
        } catch {
            return error.description
        }
    }
}
