internal import Capture
internal import EventLoop
internal import MeshModel
internal import RoutingCore
internal import StatusModel
internal import Telemetry

extension NodeRounds {
    /// Decides again which pods fail open, where anything that it depends on has changed: before a pod is enrolled and in
    /// the round that brings a new state.
    func decideFailOpen() {
        let snapshot = node.shared.withLock { $0.snapshot }
        for (name, pod) in pods {
            noteForwarding(pod, snapshot)
            let isEnrolled = pod.status.phase == .enrolled
            let basis = FailOpenBasis(
                generation: snapshot.generation, isAsked: pod.asksFailOpen, mode: pod.mode, isEnrolled: isEnrolled)
            guard failOpenBasis[name] != basis else { continue }
            failOpenBasis[name] = basis
            let workload = snapshot.workload(namespace: pod.location.namespace, name: pod.location.name)
            let decision = FailOpenDecision.decide(isAsked: pod.asksFailOpen, workload: workload, snapshot)
            let obstacle = pod.setFailOpen(decision == .granted)
            let status: FailOpenStatus? =
                switch decision {
                case .notAsked: nil
                case .refused(let reason): FailOpenStatus(inForce: false, reason: reason)
                case .granted:
                    FailOpenStatus(
                        inForce: isEnrolled && obstacle == nil,
                        reason: obstacle ?? (isEnrolled ? "" : "the pod is not enrolled"))
                }
            let before = failOpen[name]
            failOpen[name] = status
            guard status != before else { continue }
            node.log.write(
                .info, .inpod, "pod \(name) \(status?.inForce == true ? "fails open" : "stays closed") without ztund",
                now: Kernel.realtimeNow()
            ) { line in
                if let reason = status?.reason, !reason.isEmpty { line.field("cause", string: reason) }
            }
        }
        for name in failOpenBasis.keys where pods[name] == nil {
            failOpenBasis[name] = nil
            failOpen[name] = nil
        }
    }

    /// Tells a pod that is not enrolled yet whether its source says that it forwards for others.
    private func noteForwarding(_ pod: PodCapture, _ snapshot: MeshSnapshot) {
        guard pod.reroutedInterfaces.isEmpty, !pod.isEnrolled else { return }
        let workload = snapshot.workload(namespace: pod.location.namespace, name: pod.location.name)
        pod.reroutedInterfaces = workload?.fields.reroutedInterfaces ?? ""
    }
}

/// What a decision about a pod's failing open was made from.
struct FailOpenBasis: Hashable {
    let generation: UInt64
    let isAsked: Bool
    let mode: Capture.CaptureMode
    let isEnrolled: Bool
}
