/// The mode of one pod and why it was chosen: a decision only.
package struct CaptureChoice: Sendable, Hashable {
    /// Never ``CaptureMode/auto``.
    package let mode: CaptureMode
    /// One clause for a person, such as "asked for".
    package let reason: String

    /// How the pod's listeners are bound for it.
    package var binding: PodSockets.Binding { mode == .bpf ? .anyPort : .ports }

    /// Chooses.
    ///
    /// - Parameters:
    ///   - wanted: what the operator asked for.
    ///   - obstacle: why the node's BPF programs are not there; nil when they are.
    ///   - forwarder: what shows that the pod forwards for others (virtual machines, nested containers), which BPF programs
    ///     on its sockets do not see; nil when nothing does.
    package static func choose(_ wanted: CaptureMode, obstacle: String?, forwarder: String?) -> CaptureChoice {
        guard wanted == .auto else { return CaptureChoice(mode: wanted, reason: "asked for") }
        if let obstacle { return CaptureChoice(mode: .nft, reason: "no BPF: \(obstacle)") }
        if let forwarder {
            return CaptureChoice(
                mode: .nft, reason: "the pod forwards for others (\(forwarder)), which BPF does not see")
        }
        return CaptureChoice(mode: .bpf, reason: "the node has all that BPF takes")
    }
}
