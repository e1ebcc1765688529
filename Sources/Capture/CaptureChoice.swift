/// The mode of one pod and why it was chosen: a decision only.
package struct CaptureChoice: Sendable, Hashable {
    /// Never ``CaptureMode/auto``.
    package let mode: CaptureMode
    /// One clause for a person, such as "asked for".
    package let reason: String

    /// How the pod's listeners are bound for it.
    package var binding: PodSockets.Binding {
        mode.isBPF ? .anyPort : mode == .external ? .foreignRules : .ports
    }

    /// Chooses.
    ///
    /// - Parameters:
    ///   - wanted: what the operator asked for.
    ///   - facts: what was found; of importance only where the operator leaves the choice.
    package static func choose(_ wanted: CaptureMode, _ facts: CaptureFacts) -> CaptureChoice {
        guard wanted == .auto else { return CaptureChoice(mode: wanted, reason: "asked for") }
        if let obstacle = facts.obstacle { return CaptureChoice(mode: .nft, reason: "no BPF: \(obstacle)") }
        if let forwarder = facts.forwarder {
            return CaptureChoice(
                mode: .nft, reason: "the pod forwards for others (\(forwarder)), which BPF does not see")
        }
        if let hookObstacle = facts.hookObstacle {
            if let routeObstacle = facts.routeObstacle {
                return CaptureChoice(mode: .nft, reason: "\(hookObstacle); and \(routeObstacle)")
            }
            return CaptureChoice(mode: .bpfRoute, reason: "connects cannot be hooked: \(hookObstacle)")
        }
        if !facts.laterPrograms.isEmpty {
            let names = facts.laterPrograms.joined(separator: ", ")
            return CaptureChoice(
                mode: .bpfRewrite,
                reason: "other programs act on connects after ours (\(names)) and may replace addresses")
        }
        return CaptureChoice(mode: .bpf, reason: "the node has all that BPF takes")
    }
}
